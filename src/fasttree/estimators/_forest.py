"""What the forests share: their parts put together, fitting and predictions."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy import sparse
from sklearn.base import ClassifierMixin, RegressorMixin, _fit_context
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import compute_class_weight, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from fasttree.data.labels import encode_labels
from fasttree.estimators._base import old_state_on_error
from fasttree.estimators._ensemble import EnsembleMixin
from fasttree.estimators._forest_conformal import IntervalsMixin, LabelSetsMixin
from fasttree.estimators._forest_fitting import FittingMixin
from fasttree.estimators._forest_importances import ImportancesMixin
from fasttree.estimators._forest_merging import MergingMixin
from fasttree.estimators._forest_state import ForestStateMixin

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from fasttree.data.table import EncodedTable
    from fasttree.ensembles.outofbag import OutOfBag


class Forest(
    EnsembleMixin, ImportancesMixin, MergingMixin, ForestStateMixin, FittingMixin
):
    """Trees grown on one encoded table, each from rows and features of its own."""

    def decision_path(self, X: ArrayLike) -> tuple[Any, NDArray[np.intp]]:
        """Return which nodes each row goes through.

        Parameters
        ----------
        X : {array-like, sparse, data frame} of shape (n_samples, n_features)

        Returns
        -------
        indicator : CSR matrix of shape (n_samples, n_nodes)
            The trees' nodes stand side by side.
        n_nodes_ptr : ndarray of shape (n_estimators + 1,)
            Where the nodes of each tree begin.
        """
        leaves = self.apply(X)
        paths = [
            tree.paths_to(np.ascontiguousarray(own))
            for tree, own in zip(self._ensemble, leaves.T, strict=True)
        ]
        ends = np.cumsum([0] + [path.shape[1] for path in paths])
        return sparse.hstack(paths).tocsr(), ends


class ForestClassifier(ClassifierMixin, LabelSetsMixin, Forest):
    """What forests for classification share."""

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike | EncodedTable,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Grow the trees.

        Parameters
        ----------
        X : {array-like, sparse, data frame, EncodedTable} of shape \
(n_samples, n_features)
            NaN and None are missing values; what a sparse matrix does not store is
            0.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, not negative. With a bootstrap they are the rows'
            chances of being drawn, else the weights of the trees' rows.
        groups : array-like of shape (n_samples,), default=None
            Rows of one group are drawn together or not at all, so that no tree has
            seen the group of a row that is out of its bag. `max_samples` is then of
            the groups.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data cannot be used; an earlier fit is kept.
        """
        tasks = self._tasks(X, y, sample_weight)
        with old_state_on_error(self):
            X, y = self._check_data(X, y, y_numeric=False, check_input=True)
            if y.dtype.kind not in "iub":
                check_classification_targets(y)
            columns = y.T if y.ndim == 2 else [y]
            classes, codes = map(list, zip(*map(encode_labels, columns), strict=True))
            of_classes, balances = self._weights_of_classes(y, classes, sample_weight)
            weights = self._check_weights(sample_weight, of_classes, X)
            sizes = [len(own) for own in classes]
            one = y.ndim == 1
            self.classes_ = classes[0] if one else classes
            self.n_classes_ = sizes[0] if one else sizes
            self._grow(
                X,
                codes[0] if one else np.stack(codes, axis=1),
                np.array(sizes, np.intp),
                weights,
                groups,
                tasks,
                balances=balances,
            )
        return self

    def _weights_of_classes(
        self, y: NDArray[Any], classes: list[NDArray[Any]], sample_weight: Any
    ) -> tuple[NDArray[np.float64] | None, bool]:
        """Return the rows' class weights, and whether trees balance their own."""
        given = self.class_weight
        if given is None:
            return None, False
        if not isinstance(given, str):
            return compute_sample_weight(given, y), False
        if self.warm_start:
            warnings.warn(
                'class_weight presets "balanced" or "balanced_subsample" are not '
                "recommended for warm_start if the fitted data differs from the "
                "full dataset: the classes' frequencies are those of this call.",
                UserWarning,
                stacklevel=4,
            )
        if given == "balanced_subsample" and self.bootstrap:
            return None, True
        weights = np.ones(len(y))
        columns = y.T if y.ndim == 2 else [y]
        for own, column in zip(classes, columns, strict=True):
            of_class = compute_class_weight(
                "balanced", classes=own, y=column, sample_weight=sample_weight
            )
            weights *= of_class.take(np.searchsorted(own, column))
        return weights, False

    def _set_target_attributes(self, model: Any) -> None:
        # As in scikit-learn, a tree of a forest knows classes by number.
        sizes = np.atleast_1d(self.n_classes_)
        classes = [np.arange(size, dtype=np.float64) for size in sizes]
        one = self.n_outputs_ == 1
        model.classes_ = classes[0] if one else classes
        model.n_classes_ = self.n_classes_ if one else sizes

    def _of_outputs(self, means: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Return the means of each output's classes, which stand side by side."""
        ends = np.cumsum(self.n_classes_)
        return np.split(means, ends[:-1], axis=1)

    def _winners(self, means: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return the number of the likeliest class, of each output."""
        if self.n_outputs_ == 1:
            return means.argmax(axis=1)
        winners = [own.argmax(axis=1) for own in self._of_outputs(means)]
        return np.stack(winners, axis=1)

    def score_means(self, means: NDArray[np.float64], y: NDArray[Any]) -> float:
        """Return the score of predictions for rows out of the bag."""
        score = self.oob_score if callable(self.oob_score) else accuracy_score
        return score(y, self._winners(means))  # of class numbers, as in scikit-learn

    def _set_oob_attributes(
        self, bag: OutOfBag, means: NDArray[np.float64], y: NDArray[Any]
    ) -> None:
        self.oob_score_ = self.score_means(means, y)
        if self.n_outputs_ == 1:
            self.oob_decision_function_ = means
            self._keep_scores(bag, means, y)
            return
        # As in scikit-learn: (n_samples, n_classes, n_outputs).
        shape = (len(y), max(self.n_classes_), self.n_outputs_)
        self.oob_decision_function_ = np.zeros(shape)
        for output, own in enumerate(self._of_outputs(means)):
            self.oob_decision_function_[:, : own.shape[1], output] = own

    def _encode_target(self, y: NDArray[Any]) -> NDArray[np.intp]:
        classes = [self.classes_] if self.n_outputs_ == 1 else self.classes_
        columns = self._target_columns(y)
        codes = []
        for own, column in zip(classes, columns, strict=True):
            codes.append(np.searchsorted(own, column).clip(max=len(own) - 1))
            if not np.array_equal(own.take(codes[-1]), column):
                raise ValueError("y has classes that the training data did not have")
        return codes[0] if self.n_outputs_ == 1 else np.stack(codes, axis=1)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the class of the largest mean share over the trees.

        Parameters
        ----------
        X : {array-like, sparse, data frame} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        check_is_fitted(self)
        codes = self._winners(self._mean_shares(X))
        if self.n_outputs_ == 1:
            return self.classes_.take(codes)
        columns = zip(self.classes_, codes.T, strict=True)
        return np.stack([own.take(column) for own, column in columns], axis=1)

    def predict_proba(
        self, X: ArrayLike
    ) -> NDArray[np.float64] | list[NDArray[np.float64]]:
        """Return the means over the trees of the class fractions of each row's leaf.

        Parameters
        ----------
        X : {array-like, sparse, data frame} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes), float64
            Columns in the order of ``classes_``. A list of such arrays, one for
            each output, where there are several.
        """
        check_is_fitted(self)
        means = self._mean_shares(X)
        if self.n_outputs_ == 1:
            return means
        return [np.ascontiguousarray(own) for own in self._of_outputs(means)]

    def _mean_shares(self, X: ArrayLike) -> NDArray[np.float64]:
        return self._ensemble.mean_shares(self._matrix(X), self._n_threads())

    def predict_log_proba(
        self, X: ArrayLike
    ) -> NDArray[np.float64] | list[NDArray[np.float64]]:
        """Return the logarithm of `predict_proba`, -inf where that is 0."""
        proba = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            if self.n_outputs_ == 1:
                return np.log(proba)
            return [np.log(own) for own in proba]


class ForestRegressor(RegressorMixin, IntervalsMixin, Forest):
    """What forests for regression share."""

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike | EncodedTable,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Grow the trees.

        Parameters
        ----------
        X : {array-like, sparse, data frame, EncodedTable} of shape \
(n_samples, n_features)
            NaN and None are missing values; what a sparse matrix does not store is
            0.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Finite numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, not negative. With a bootstrap they are the rows'
            chances of being drawn, else the weights of the trees' rows.
        groups : array-like of shape (n_samples,), default=None
            Rows of one group are drawn together or not at all, so that no tree has
            seen the group of a row that is out of its bag. `max_samples` is then of
            the groups.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data cannot be used; an earlier fit is kept.
        """
        tasks = self._tasks(X, y, sample_weight)
        with old_state_on_error(self):
            X, y = self._check_data(X, y, y_numeric=True, check_input=True)
            weights = self._check_weights(sample_weight, None, X)
            self._grow(X, np.ascontiguousarray(y), 0, weights, groups, tasks)
        return self

    def score_means(self, means: NDArray[np.float64], y: NDArray[Any]) -> float:
        """Return the score of predictions for rows out of the bag."""
        score = self.oob_score if callable(self.oob_score) else r2_score
        return score(y, means.reshape(y.shape))

    def _set_oob_attributes(
        self, bag: OutOfBag, means: NDArray[np.float64], y: NDArray[Any]
    ) -> None:
        self.oob_prediction_ = means.reshape(y.shape)
        self.oob_score_ = self.score_means(means, y)
        if self.n_outputs_ == 1:
            self._keep_scores(bag, means, y)

    def _encode_target(self, y: NDArray[Any]) -> NDArray[np.float64]:
        columns = [column.astype(np.float64) for column in self._target_columns(y)]
        return columns[0] if self.n_outputs_ == 1 else np.stack(columns, axis=1)

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the mean over the trees of the values of each row's leaf.

        Parameters
        ----------
        X : {array-like, sparse, data frame} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs), float64
        """
        check_is_fitted(self)
        return self._ensemble.mean_values(self._matrix(X), self._n_threads())
