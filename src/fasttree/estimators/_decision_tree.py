"""Single decision trees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin, _fit_context
from sklearn.utils import compute_sample_weight
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import check_classification_targets

from fasttree.data.labels import encode_labels
from fasttree.estimators._base import old_state_on_error
from fasttree.estimators._base_tree import BaseDecisionTree
from fasttree.estimators._tree_parameters import CONSTRAINTS, replace_deprecated
from fasttree.growth import training
from fasttree.prediction import inference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from fasttree.data.table import EncodedTable


class DecisionTreeClassifier(ClassifierMixin, BaseDecisionTree):
    """A decision tree for classification, of any number of classes.

    Parameters
    ----------
    criterion : {"gini", "entropy", "log_loss"}, default="gini"
        The impurity that splits lower; "log_loss" is "entropy".
    splitter : {"best", "random"}, default="best"
        "best" looks at every threshold; "random" at one a feature, drawn evenly
        between the smallest and the largest value in the node, with missing values
        on a side drawn as well. Of a categorical column it draws a subset of the
        categories in the node, each with a chance of one half.
    max_depth : int, default=None
        None grows until leaves are pure or too small to split.
    min_samples_split : int or float, default=2
        Rows that a node needs to be split; a float is a fraction of all rows.
    min_samples_leaf : int or float, default=1
        Rows that a leaf needs; a float is a fraction of all rows.
    min_weight_fraction_leaf : float, default=0.0
        Share of the sum of all sample weights that a leaf needs.
    max_features : int, float or {"sqrt", "log2"}, default=None
        Features to look at for each split, drawn anew; None looks at all.
    random_state : int, RandomState instance or None, default=None
        Matters only where features or splits are drawn.
    max_leaf_nodes : int, default=None
        Grows the best leaf first, up to so many leaves.
    min_impurity_decrease : float, default=0.0
        Weighted decrease of impurity that a split needs.
    ccp_alpha : float, default=0.0
        Branches whose weighted decrease of impurity is at most this for each leaf
        that they add are pruned, weakest first; 0.0 prunes nothing.
    class_weight : dict, list of dict, "balanced" or None, default=None
        Weights of the classes; "balanced" makes them inverse to their frequency.
        Several outputs take a list, a dict for each; the weights that a row has of
        its outputs are multiplied.
    monotonic_cst : array-like of shape (n_features,) or dict, default=None
        1 where a probability must not fall as the feature rises, -1 where it must not
        rise, 0 where it is free. Of two classes the array speaks of the second. A dict
        gives such an array for each class that it names, of any number of classes:
        ``{"good": [1, 0], "bad": [-1, 0]}``. A split of a constrained feature must
        part the sides' probabilities as the signs say, and half-way between them is a
        bound for all nodes below; probabilities of leaves are moved to the nearest
        ones within the bounds, which sum to 1. Missing values have no place in the
        order, and categorical features cannot be constrained.
    max_bins : int, default=None
        None considers every distinct value; 2 to 65535 at most so many quantiles.
    categorical_features : array-like, "from_dtype" or None, default=None
        A mask, indices or names. None takes a frame's category, enum, string and
        object columns, and no column of an array.
    min_samples_category : int, default=30
        Categories of fewer rows in a node are pooled: they go one way together.
        1 tries the best subset whatever the sizes, which overfits columns of many
        categories (LightGBM's ``min_data_per_group`` is 100).
    honest : bool, default=False
        True lets half of the rows, drawn by `random_state`, choose the splits, and
        the other half make the sizes, impurities and predictions of the nodes, which
        are then of rows that no split was chosen by. A split without rows of the
        second half on one side is dropped. Limits such as `min_samples_leaf` are for
        the half that chooses.
    stability_report : bool, default=False
        True keeps, for each split, the best split of another feature beside it: see
        ``stability_report_``. The tree is the same, but takes longer to grow.
    n_jobs : int, default=None
        Threads; None uses the processors that are granted, -1 all. It never
        changes the tree.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        A list of one for each output where there are several.
    n_classes_ : int
        Of each output, in an array, where there are several.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only if the training data had names.
    n_outputs_ : int
    max_features_ : int
    tree_ : Tree
    schema_ : InputSchema
        How to read new rows.
    feature_importances_ : ndarray of shape (n_features_in_,)
        With ``honest=True`` they can be below 0: splits that do not hold.
    stability_report_ : Bunch
        With ``stability_report=True``.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **CONSTRAINTS,
        "criterion": [StrOptions({"gini", "entropy", "log_loss"})],
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
        "monotonic_cst": ["array-like", dict, None],
    }

    def __init__(
        self,
        *,
        criterion: str = "gini",
        splitter: str = "best",
        max_depth: int | None = None,
        min_samples_split: float = 2,
        min_samples_leaf: float = 1,
        min_weight_fraction_leaf: float = 0.0,
        max_features: float | str | None = None,
        random_state: int | np.random.RandomState | None = None,
        max_leaf_nodes: int | None = None,
        min_impurity_decrease: float = 0.0,
        ccp_alpha: float = 0.0,
        class_weight: Mapping[Any, float] | str | None = None,
        monotonic_cst: ArrayLike | Mapping[Any, ArrayLike] | None = None,
        max_bins: int | None = None,
        categorical_features: ArrayLike | str | None = None,
        min_samples_category: int = 30,
        honest: bool = False,
        stability_report: bool = False,
        n_jobs: int | None = None,
    ) -> None:
        self.criterion = criterion
        self.splitter = splitter
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_features = max_features
        self.random_state = random_state
        self.max_leaf_nodes = max_leaf_nodes
        self.min_impurity_decrease = min_impurity_decrease
        self.ccp_alpha = ccp_alpha
        self.class_weight = class_weight
        self.monotonic_cst = monotonic_cst
        self.max_bins = max_bins
        self.categorical_features = categorical_features
        self.min_samples_category = min_samples_category
        self.honest = honest
        self.stability_report = stability_report
        self.n_jobs = n_jobs

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike | EncodedTable,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        check_input: bool = True,
    ) -> Self:
        """Grow the tree.

        Parameters
        ----------
        X : {array-like, sparse, data frame, EncodedTable} of shape \
(n_samples, n_features)
            NaN and None are missing values; what a sparse matrix does not store is
            0.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, not negative.
        check_input : bool, default=True
            False leaves out scikit-learn's checks and conversions of `X`, which
            must be an array or sparse then, for those who have done them. Whatever
            could make the tree wrong, infinities among it, is found all the same.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data cannot be used; an earlier fit is kept.
        """
        n_threads = self._n_threads()
        with old_state_on_error(self):
            X, y = self._check_data(X, y, y_numeric=False, check_input=check_input)
            if y.dtype.kind not in "iub":
                check_classification_targets(y)
            columns = y.T if y.ndim == 2 else [y]
            found = [encode_labels(column) for column in columns]
            classes = [own for own, _ in found]
            n_classes = np.array([len(own) for own in classes], np.intp)
            class_weights = None
            if self.class_weight is not None:
                class_weights = compute_sample_weight(self.class_weight, y)
            weights = self._check_weights(sample_weight, class_weights, X)
            table = self._read_table(X, weights, len(classes))
            params = self._tree_params(len(y), table, classes, len(classes))
            one = len(classes) == 1
            self.classes_ = classes[0] if one else classes
            self.n_classes_ = len(classes[0]) if one else n_classes
            self.tree_ = training.grow_classification_tree(
                table,
                found[0][1] if one else np.stack([code for _, code in found], axis=1),
                self.n_classes_,
                weights,
                params,
                n_threads,
            )
            self._keep(table, params)
        return self

    def predict(self, X: ArrayLike, check_input: bool = True) -> NDArray[Any]:
        """Return the most frequent class of each row's leaf.

        Parameters
        ----------
        X : {array-like, sparse, data frame} of shape (n_samples, n_features)
        check_input : bool, default=True
            False leaves out the checks and conversions of `X`, which must be an
            array of numbers or sparse then, for those who have done them.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        codes = self._of_leaves(inference.predict_class, X, check_input)
        if self.n_outputs_ == 1:
            return self.classes_.take(codes)
        columns = zip(self.classes_, codes.T, strict=True)
        return np.stack([own.take(column) for own, column in columns], axis=1)

    def predict_proba(
        self, X: ArrayLike, check_input: bool = True
    ) -> NDArray[np.float64] | list[NDArray[np.float64]]:
        """Return the class fractions of each row's leaf.

        Parameters
        ----------
        X : {array-like, sparse, data frame} of shape (n_samples, n_features)
        check_input : bool, default=True
            False leaves out the checks and conversions of `X`, which must be an
            array of numbers or sparse then, for those who have done them.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), float64
            Columns in the order of ``classes_``. A list of such arrays, one for
            each output, where there are several.
        """
        shares = self._of_leaves(inference.predict_shares, X, check_input)
        if self.n_outputs_ == 1:
            return shares
        parts = np.split(shares, self.tree_.class_start[1:-1], axis=1)
        return [np.ascontiguousarray(part) for part in parts]

    def predict_log_proba(
        self, X: ArrayLike
    ) -> NDArray[np.float64] | list[NDArray[np.float64]]:
        """Return the logarithm of `predict_proba`, -inf where that is 0."""
        proba = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            if self.n_outputs_ == 1:
                return np.log(proba)
            return [np.log(part) for part in proba]


class DecisionTreeRegressor(RegressorMixin, BaseDecisionTree):
    """A decision tree for regression.

    Parameters
    ----------
    criterion : {"squared_error", "absolute_error", "poisson"}, \
default="squared_error"
        The impurity that splits lower: the variance; the mean absolute deviation
        from the median, which is then what leaves predict; or half the mean Poisson
        deviance, for targets that are counts or frequencies: not negative, and with
        a positive sum in every leaf. "friedman_mse" is deprecated in scikit-learn:
        it warns and is "squared_error".
    splitter : {"best", "random"}, default="best"
        "best" looks at every threshold; "random" at one a feature, drawn evenly
        between the smallest and the largest value in the node, with missing values
        on a side drawn as well. Of a categorical column it draws a subset of the
        categories in the node, each with a chance of one half.
    max_depth : int, default=None
        None grows until leaves are pure or too small to split.
    min_samples_split : int or float, default=2
        Rows that a node needs to be split; a float is a fraction of all rows.
    min_samples_leaf : int or float, default=1
        Rows that a leaf needs; a float is a fraction of all rows.
    min_weight_fraction_leaf : float, default=0.0
        Share of the sum of all sample weights that a leaf needs.
    max_features : int, float or {"sqrt", "log2"}, default=None
        Features to look at for each split, drawn anew; None looks at all.
    random_state : int, RandomState instance or None, default=None
        Matters only where features or splits are drawn.
    max_leaf_nodes : int, default=None
        Grows the best leaf first, up to so many leaves.
    min_impurity_decrease : float, default=0.0
        Weighted decrease of impurity that a split needs.
    ccp_alpha : float, default=0.0
        Branches whose weighted decrease of impurity is at most this for each leaf
        that they add are pruned, weakest first; 0.0 prunes nothing.
    monotonic_cst : array-like of shape (n_features,), default=None
        1 where predictions must not fall as the feature rises, -1 where they must not
        rise, 0 where they are free. A split of a constrained feature must part the
        sides' values as the sign says, and half-way between them is a bound for all
        nodes below, to which their values are clipped. Missing values have no place
        in the order, and categorical features cannot be constrained.
    max_bins : int, default=None
        None considers every distinct value; 2 to 65535 at most so many quantiles.
    categorical_features : array-like, "from_dtype" or None, default=None
        A mask, indices or names. None takes a frame's category, enum, string and
        object columns, and no column of an array.
    min_samples_category : int, default=30
        Categories of fewer rows in a node are pooled: they go one way together.
        1 tries the best subset whatever the sizes, which overfits columns of many
        categories (LightGBM's ``min_data_per_group`` is 100).
    honest : bool, default=False
        True lets half of the rows, drawn by `random_state`, choose the splits, and
        the other half make the sizes, impurities and predictions of the nodes, which
        are then of rows that no split was chosen by. A split without rows of the
        second half on one side is dropped. Limits such as `min_samples_leaf` are for
        the half that chooses.
    stability_report : bool, default=False
        True keeps, for each split, the best split of another feature beside it: see
        ``stability_report_``. The tree is the same, but takes longer to grow.
    n_jobs : int, default=None
        Threads; None uses the processors that are granted, -1 all. It never
        changes the tree.

    Attributes
    ----------
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only if the training data had names.
    n_outputs_ : int
    max_features_ : int
    tree_ : Tree
    schema_ : InputSchema
        How to read new rows.
    feature_importances_ : ndarray of shape (n_features_in_,)
        With ``honest=True`` they can be below 0: splits that do not hold.
    stability_report_ : Bunch
        With ``stability_report=True``.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **CONSTRAINTS,
        "criterion": [StrOptions({"squared_error", "absolute_error", "poisson"})],
        "monotonic_cst": ["array-like", None],
    }

    def __init__(
        self,
        *,
        criterion: str = "squared_error",
        splitter: str = "best",
        max_depth: int | None = None,
        min_samples_split: float = 2,
        min_samples_leaf: float = 1,
        min_weight_fraction_leaf: float = 0.0,
        max_features: float | str | None = None,
        random_state: int | np.random.RandomState | None = None,
        max_leaf_nodes: int | None = None,
        min_impurity_decrease: float = 0.0,
        ccp_alpha: float = 0.0,
        monotonic_cst: ArrayLike | None = None,
        max_bins: int | None = None,
        categorical_features: ArrayLike | str | None = None,
        min_samples_category: int = 30,
        honest: bool = False,
        stability_report: bool = False,
        n_jobs: int | None = None,
    ) -> None:
        self.criterion = replace_deprecated(criterion)
        self.splitter = splitter
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_features = max_features
        self.random_state = random_state
        self.max_leaf_nodes = max_leaf_nodes
        self.min_impurity_decrease = min_impurity_decrease
        self.ccp_alpha = ccp_alpha
        self.monotonic_cst = monotonic_cst
        self.max_bins = max_bins
        self.categorical_features = categorical_features
        self.min_samples_category = min_samples_category
        self.honest = honest
        self.stability_report = stability_report
        self.n_jobs = n_jobs

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike | EncodedTable,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        check_input: bool = True,
    ) -> Self:
        """Grow the tree.

        Parameters
        ----------
        X : {array-like, sparse, data frame, EncodedTable} of shape \
(n_samples, n_features)
            NaN and None are missing values; what a sparse matrix does not store is
            0.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Finite numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, not negative.
        check_input : bool, default=True
            False leaves out scikit-learn's checks and conversions of `X`, which
            must be an array or sparse then, for those who have done them. Whatever
            could make the tree wrong, infinities among it, is found all the same.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data cannot be used; an earlier fit is kept.
        """
        n_threads = self._n_threads()
        with old_state_on_error(self):
            X, y = self._check_data(X, y, y_numeric=True, check_input=check_input)
            weights = self._check_weights(sample_weight, None, X)
            n_outputs = 1 if y.ndim == 1 else y.shape[1]
            table = self._read_table(X, weights, n_outputs)
            params = self._tree_params(len(y), table, [], n_outputs)
            self.tree_ = training.grow_regression_tree(
                table, np.ascontiguousarray(y), weights, params, n_threads
            )
            self._keep(table, params)
        return self

    def predict(self, X: ArrayLike, check_input: bool = True) -> NDArray[np.float64]:
        """Return the mean target, or targets, of each row's leaf, or the median.

        The median is that of criterion "absolute_error", the mean of the others.

        Parameters
        ----------
        X : {array-like, sparse, data frame} of shape (n_samples, n_features)
        check_input : bool, default=True
            False leaves out the checks and conversions of `X`, which must be an
            array of numbers or sparse then, for those who have done them.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs), float64
        """
        return self._of_leaves(inference.predict_value, X, check_input)
