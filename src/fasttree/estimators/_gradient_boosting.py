"""Gradient boosted trees for classification and regression."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin, _fit_context
from sklearn.utils import compute_sample_weight
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets

from fasttree.data.labels import encode_labels
from fasttree.ensembles.losses import REGRESSION_LOSSES, CustomLoss, Loss
from fasttree.estimators._boosting import BaseGradientBoosting
from fasttree.estimators._boosting_parameters import (
    CONSTRAINTS,
    DEFAULT_BINS,
    SHARED_DOC,
    take_parameters,
)
from fasttree.estimators._boosting_rows import Given

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from fasttree.data.table import EncodedTable


class GradientBoostingClassifier(ClassifierMixin, BaseGradientBoosting):
    __doc__ = (
        """Gradient boosted trees for classification.

    Parameters and attributes are those of scikit-learn's
    HistGradientBoostingClassifier unless said otherwise.

    Parameters
    ----------
    loss : {"log_loss"} or callable, default="log_loss"
        With more than two classes, a tree is grown for each in each iteration. A
        function of (y, raw) returns (gradient, hessian) of two classes, coded 0 and 1;
        raw predictions are then scores, and the larger class is where they exceed 0.
"""
        + SHARED_DOC.lstrip("\n")
        + """    class_weight : dict, "balanced" or None, default=None

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    ensemble_ : Ensemble
        The trees.
    baseline_ : ndarray of shape (n_outputs,)
        What raw predictions start from.
    n_iter_, n_trees_per_iteration_, best_iteration_ : int
    train_score_, validation_score_ : ndarray of shape (n_iter_ + 1,) or (0,)
        Higher is better; the first is that of the baseline.
    feature_importances_ : ndarray of shape (n_features_in_,)
    n_features_in_, feature_names_in_
    """
    )

    _parameter_constraints: ClassVar = {
        "loss": [StrOptions({"log_loss"}), callable],
        **CONSTRAINTS,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        loss: Any = "log_loss",
        *,
        learning_rate: float = 0.1,
        max_iter: int = 100,
        max_leaf_nodes: int | None = 31,
        max_depth: int | None = None,
        min_samples_leaf: int = 20,
        min_sum_hessian: float = 1e-3,
        l2_regularization: float = 0.0,
        max_features: float = 1.0,
        max_bins: int = DEFAULT_BINS,
        categorical_features: Any = "from_dtype",
        monotonic_cst: Any = None,
        interaction_cst: Any = None,
        grow_policy: str = "lossguide",
        sampling: str = "uniform",
        subsample: float = 1.0,
        top_rate: float = 0.2,
        other_rate: float = 0.1,
        warm_start: bool = False,
        early_stopping: bool | str = "auto",
        scoring: Any = "loss",
        validation_fraction: float | None = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-7,
        random_state: Any = None,
        class_weight: Any = None,
        callbacks: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        take_parameters(self, locals())

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike | EncodedTable,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        eval_set: tuple | None = None,
        init_score: ArrayLike | None = None,
    ) -> Self:
        """Grow the trees.

        Parameters
        ----------
        X : {array-like, sparse, data frame, EncodedTable} of shape \
(n_samples, n_features)
            An EncodedTable needs max_bins of at most 255.
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), default=None
        eval_set : tuple (X, y) or (X, y, sample_weight), default=None
            Rows to score after each iteration, and for early stopping.
        init_score : array-like of shape (n_samples,) or (n_samples, n_classes), \
default=None
            Raw predictions to start from, in the place of the baseline. Predictions
            do not have them.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data cannot be used; an earlier fit is kept.
        """
        return self._fit(Given(X, y, sample_weight, eval_set, init_score))

    def _check_target(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        qid: Any,  # noqa: ARG002 - as its base
        going_on: bool,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, Any]:
        check_classification_targets(y)
        classes, codes = encode_labels(np.asarray(y))
        if len(classes) < 2:
            raise ValueError(
                f"{type(self).__name__} needs at least two classes, but y contains "
                "only one class"
            )
        if going_on and not np.array_equal(classes, self.classes_):
            raise ValueError("warm_start needs the classes of the earlier fit in y")
        self.classes_ = classes
        class_weights = None
        if self.class_weight is not None:
            class_weights = compute_sample_weight(self.class_weight, y)
        weight = self._check_weights(sample_weight, class_weights, X)
        return codes.astype(np.float64), weight, None

    def _encode_eval_target(self, labels: Any) -> NDArray[np.float64]:
        codes = np.searchsorted(self.classes_, labels)
        codes = np.minimum(codes, len(self.classes_) - 1)
        if not np.array_equal(self.classes_[codes], labels):
            raise ValueError("y of eval_set has classes that the training data has not")
        return codes.astype(np.float64)

    def _n_outputs(self) -> int:
        return 1 if len(self.classes_) == 2 else len(self.classes_)

    def _make_loss(self, *_: Any) -> Any:
        n_outputs = self._n_outputs()
        if callable(self.loss):
            if n_outputs > 1:
                raise ValueError("a loss that is a function needs y of two classes")
            return CustomLoss(self.loss)
        return Loss("log_loss" if n_outputs == 1 else "multinomial", n_outputs)

    def _predictions(self, raw: NDArray[np.float64]) -> NDArray[Any]:
        if raw.shape[1] == 1:
            return self.classes_[(raw[:, 0] > 0).astype(np.intp)]
        return self.classes_[np.argmax(raw, axis=1)]

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return raw predictions, (n_samples,) or (n_samples, n_classes)."""
        raw = self._raw(X)
        return raw[:, 0] if raw.shape[1] == 1 else raw

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the most probable class of each row."""
        return self._predictions(self._raw(X))

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the probabilities of the classes, (n_samples, n_classes)."""
        return self._probabilities(self._raw(X))

    def _probabilities(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        if callable(self.loss):
            raise AttributeError("a loss that is a function has no probabilities")
        return self._loss.to_prediction(raw)

    def staged_decision_function(self, X: ArrayLike) -> Iterator[NDArray[np.float64]]:
        """Yield `decision_function` after each iteration."""
        for raw in self._staged_raw(X):
            yield raw[:, 0] if raw.shape[1] == 1 else raw

    def staged_predict(self, X: ArrayLike) -> Iterator[NDArray[Any]]:
        """Yield `predict` after each iteration."""
        for raw in self._staged_raw(X):
            yield self._predictions(raw)

    def staged_predict_proba(self, X: ArrayLike) -> Iterator[NDArray[np.float64]]:
        """Yield `predict_proba` after each iteration."""
        for raw in self._staged_raw(X):
            yield self._probabilities(raw)


class GradientBoostingRegressor(RegressorMixin, BaseGradientBoosting):
    __doc__ = (
        """Gradient boosted trees for regression.

    Parameters and attributes are those of scikit-learn's
    HistGradientBoostingRegressor unless said otherwise.

    Parameters
    ----------
    loss : {"squared_error", "absolute_error", "huber", "quantile", "poisson", \
"gamma", "tweedie"} or callable, default="squared_error"
        A function of (y, raw) returns (gradient, hessian), each of shape
        (n_samples,); predictions are the raw ones then.
    quantile : float or None, default=None
        Which quantile loss="quantile" predicts; for "huber" the quantile of the
        absolute residuals beyond which they count linearly (None: 0.9).
    tweedie_power : float, default=1.5
        Power of the variance under loss="tweedie", between 1 and 2.
"""
        + SHARED_DOC.lstrip("\n")
        + """
    Attributes
    ----------
    ensemble_ : Ensemble
        The trees.
    baseline_ : ndarray of shape (1,)
        What raw predictions start from.
    n_iter_, n_trees_per_iteration_, best_iteration_ : int
    train_score_, validation_score_ : ndarray of shape (n_iter_ + 1,) or (0,)
        Higher is better; the first is that of the baseline.
    feature_importances_ : ndarray of shape (n_features_in_,)
    n_features_in_, feature_names_in_
    """
    )

    _parameter_constraints: ClassVar = {
        "loss": [StrOptions(set(REGRESSION_LOSSES)), callable],
        "quantile": [Interval(Real, 0, 1, closed="both"), None],
        "tweedie_power": [Interval(Real, 1, 2, closed="neither")],
        **CONSTRAINTS,
    }

    def __init__(
        self,
        loss: Any = "squared_error",
        *,
        quantile: float | None = None,
        tweedie_power: float = 1.5,
        learning_rate: float = 0.1,
        max_iter: int = 100,
        max_leaf_nodes: int | None = 31,
        max_depth: int | None = None,
        min_samples_leaf: int = 20,
        min_sum_hessian: float = 1e-3,
        l2_regularization: float = 0.0,
        max_features: float = 1.0,
        max_bins: int = DEFAULT_BINS,
        categorical_features: Any = "from_dtype",
        monotonic_cst: Any = None,
        interaction_cst: Any = None,
        grow_policy: str = "lossguide",
        sampling: str = "uniform",
        subsample: float = 1.0,
        top_rate: float = 0.2,
        other_rate: float = 0.1,
        warm_start: bool = False,
        early_stopping: bool | str = "auto",
        scoring: Any = "loss",
        validation_fraction: float | None = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-7,
        random_state: Any = None,
        callbacks: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        take_parameters(self, locals())

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike | EncodedTable,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        eval_set: tuple | None = None,
        init_score: ArrayLike | None = None,
    ) -> Self:
        """Grow the trees.

        Parameters and errors are those of `GradientBoostingClassifier.fit`; y holds
        numbers that the loss allows.

        Returns
        -------
        self
        """
        return self._fit(Given(X, y, sample_weight, eval_set, init_score))

    def _check_target(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        qid: Any,  # noqa: ARG002 - as its base
        going_on: bool,  # noqa: ARG002 - as its base
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, Any]:
        weight = self._check_weights(sample_weight, None, X)
        return np.ascontiguousarray(y, dtype=np.float64), weight, None

    def _make_loss(self, *_: Any) -> Any:
        if callable(self.loss):
            return CustomLoss(self.loss)
        quantile = self.quantile
        if self.loss == "quantile" and quantile is None:
            raise ValueError("loss='quantile' needs the parameter quantile, got None")
        if self.loss == "huber":
            quantile = 0.9 if quantile is None else quantile
        return Loss(self.loss, 1, quantile, float(self.tweedie_power))

    def _predictions(self, raw: NDArray[np.float64]) -> NDArray[Any]:
        return self._loss.to_prediction(raw)

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the predictions, (n_samples,)."""
        return self._predictions(self._raw(X))

    def staged_predict(self, X: ArrayLike) -> Iterator[NDArray[np.float64]]:
        """Yield `predict` after each iteration."""
        for raw in self._staged_raw(X):
            yield self._predictions(raw)
