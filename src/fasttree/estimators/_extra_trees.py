"""Forests of extremely randomized trees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from sklearn.utils._param_validation import StrOptions

from fasttree.estimators._extra_tree import ExtraTreeClassifier, ExtraTreeRegressor
from fasttree.estimators._forest import ForestClassifier, ForestRegressor
from fasttree.estimators._forest_fitting import CONSTRAINTS
from fasttree.estimators._tree_parameters import replace_deprecated
from fasttree.trees.tree_checks import REGRESSION_CRITERIA

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import ArrayLike


class ExtraTreesClassifier(ForestClassifier):
    """Extremely randomized trees for classification.

    Each node draws features anew, and of each of them one split; the best of these
    is taken. Predictions are means over the trees (Geurts, Ernst and Wehenkel 2006).

    Parameters
    ----------
    n_estimators : int, default=100
        Number of trees.
    criterion : {"gini", "entropy", "log_loss"}, default="gini"
        The impurity that splits lower; "log_loss" is "entropy".
    max_depth : int, default=None
        None grows until leaves are pure or too small to split.
    min_samples_split : int or float, default=2
        Rows that a node needs to be split; a float is a fraction of all rows.
    min_samples_leaf : int or float, default=1
        Rows that a leaf needs; a float is a fraction of all rows. A row that was
        drawn twice is one row.
    min_weight_fraction_leaf : float, default=0.0
        Share of the sum of a tree's weights that a leaf needs.
    max_features : int, float, {"sqrt", "log2"} or None, default="sqrt"
        Features to look at for each split, drawn anew; None looks at all.
    max_leaf_nodes : int, default=None
        Grows the best leaf first, up to so many leaves.
    min_impurity_decrease : float, default=0.0
        Weighted decrease of impurity that a split needs.
    bootstrap : bool, default=False
        Whether trees draw their rows, with replacement; else each has them all.
    oob_score : bool or callable, default=False
        Whether to predict each row by the trees that did not draw it, and to score
        that: by accuracy, or by ``callable(y_true, y_pred)``. Needs a bootstrap.
    n_jobs : int, default=None
        Threads; None uses the processors that are granted, -1 all. It never changes
        a tree.
    random_state : int, RandomState instance or None, default=None
        Seeds the drawing of rows, features and splits. Trees are numbered, and each
        hangs on the seed and its number alone.
    verbose : int, default=0
        1 prints the number of trees and their rate; 2 also where the time went.
    warm_start : bool, default=False
        Whether `fit` keeps the trees and adds those that are missing. With an integer
        `random_state` they are those of a single `fit`, byte for byte.
    class_weight : dict, list of dict, {"balanced", "balanced_subsample"} or None, \
default=None
        Weights of the classes. "balanced" makes them inverse to their frequency,
        "balanced_subsample" to that among the rows of each tree. Several outputs take
        a list, a dict for each; the weights that a row has of its outputs are
        multiplied.
    ccp_alpha : float, default=0.0
        Branches whose weighted decrease of impurity is at most this for each leaf
        that they add are pruned, weakest first; 0.0 prunes nothing.
    max_samples : int or float, default=None
        Rows that a tree draws, or groups; a float is a fraction of them, or of the sum
        of their weights. None draws as many as there are.
    monotonic_cst : array-like of shape (n_features,) or dict, default=None
        1 where a probability must not fall as the feature rises, -1 where it must not
        rise, 0 where it is free; of the second of two classes, or by a dict of such
        arrays for each class that it names: as for `DecisionTreeClassifier`.
    max_bins : int, default=None
        None considers every distinct value; 2 to 65535 at most so many quantiles.
    categorical_features : array-like, "from_dtype" or None, default=None
        A mask, indices or names. None takes a frame's category, enum, string and
        object columns, and no column of an array.
    min_samples_category : int, default=30
        Categories of fewer rows in a node are pooled: they go one way together.
    max_time : float, default=None
        Seconds after which no further tree is begun.
    max_bytes : int, default=None
        Bytes of new trees after which no further one is begun.
    oob_tolerance : float, default=None
        Stops once the out-of-bag score has changed by at most this over each of three
        rounds of ten trees in a row.
    on_interrupt : {"raise", "keep"}, default="raise"
        What a KeyboardInterrupt does: leave the forest as it was before, or keep the
        trees that are grown and return.
    callback : callable, default=None
        Called with the number of trees after each one, in the thread that grew it;
        no further tree is begun once it returns true.

    Attributes
    ----------
    estimator_ : ExtraTreeClassifier
        What the trees were made after.
    estimators_ : list of ExtraTreeClassifier
    classes_ : ndarray of shape (n_classes,)
        A list of one for each output where there are several.
    n_classes_ : int
        A list where there are several outputs.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only if the training data had names.
    n_outputs_ : int
    schema_ : InputSchema
        How to read new rows.
    feature_importances_ : ndarray of shape (n_features_in_,)
    estimators_samples_ : list of ndarray
        Rows that each tree drew.
    oob_score_ : float
        Only with `oob_score`, as is the next.
    oob_decision_function_ : ndarray of shape (n_samples, n_classes)
        Or (n_samples, n_classes, n_outputs), where there are several outputs.
    """

    splitter: ClassVar[str] = "random"
    _default_bins: ClassVar[int | None] = None
    _tree_class: ClassVar[type] = ExtraTreeClassifier
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **CONSTRAINTS,
        "criterion": [StrOptions({"gini", "entropy", "log_loss"})],
        "monotonic_cst": ["array-like", dict, None],
        "class_weight": [
            dict,
            list,
            StrOptions({"balanced", "balanced_subsample"}),
            None,
        ],
    }

    def __init__(
        self,
        n_estimators: int = 100,
        *,
        criterion: str = "gini",
        max_depth: int | None = None,
        min_samples_split: float = 2,
        min_samples_leaf: float = 1,
        min_weight_fraction_leaf: float = 0.0,
        max_features: float | str | None = "sqrt",
        max_leaf_nodes: int | None = None,
        min_impurity_decrease: float = 0.0,
        bootstrap: bool = False,
        oob_score: bool | Callable[..., float] = False,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        warm_start: bool = False,
        class_weight: Mapping[Any, float] | list[Any] | str | None = None,
        ccp_alpha: float = 0.0,
        max_samples: float | None = None,
        monotonic_cst: ArrayLike | Mapping[Any, ArrayLike] | None = None,
        max_bins: int | None = None,
        categorical_features: ArrayLike | str | None = None,
        min_samples_category: int = 30,
        max_time: float | None = None,
        max_bytes: int | None = None,
        oob_tolerance: float | None = None,
        on_interrupt: str = "raise",
        callback: Callable[[int], Any] | None = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.criterion = criterion
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_features = max_features
        self.max_leaf_nodes = max_leaf_nodes
        self.min_impurity_decrease = min_impurity_decrease
        self.bootstrap = bootstrap
        self.oob_score = oob_score
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.warm_start = warm_start
        self.class_weight = class_weight
        self.ccp_alpha = ccp_alpha
        self.max_samples = max_samples
        self.monotonic_cst = monotonic_cst
        self.max_bins = max_bins
        self.categorical_features = categorical_features
        self.min_samples_category = min_samples_category
        self.max_time = max_time
        self.max_bytes = max_bytes
        self.oob_tolerance = oob_tolerance
        self.on_interrupt = on_interrupt
        self.callback = callback


class ExtraTreesRegressor(ForestRegressor):
    """Extremely randomized trees for regression.

    Each node draws one split of each feature; the best of these is taken.
    Predictions are means over the trees (Geurts, Ernst and Wehenkel 2006).

    Parameters
    ----------
    n_estimators : int, default=100
        Number of trees.
    criterion : {"squared_error", "poisson", "absolute_error"}, \
default="squared_error"
        What splits lower: the variance, half the Poisson deviance, or the mean
        deviation from the median. "friedman_mse" is "squared_error", and deprecated.
    max_depth : int, default=None
        None grows until leaves are pure or too small to split.
    min_samples_split : int or float, default=2
        Rows that a node needs to be split; a float is a fraction of all rows.
    min_samples_leaf : int or float, default=1
        Rows that a leaf needs; a float is a fraction of all rows. A row that was
        drawn twice is one row.
    min_weight_fraction_leaf : float, default=0.0
        Share of the sum of a tree's weights that a leaf needs.
    max_features : int, float, {"sqrt", "log2"} or None, default=1.0
        Features to look at for each split, drawn anew; None looks at all.
    max_leaf_nodes : int, default=None
        Grows the best leaf first, up to so many leaves.
    min_impurity_decrease : float, default=0.0
        Weighted decrease of impurity that a split needs.
    bootstrap : bool, default=False
        Whether trees draw their rows, with replacement; else each has them all.
    oob_score : bool or callable, default=False
        Whether to predict each row by the trees that did not draw it, and to score
        that: by R2, or by ``callable(y_true, y_pred)``. Needs a bootstrap.
    n_jobs : int, default=None
        Threads; None uses the processors that are granted, -1 all. It never changes
        a tree.
    random_state : int, RandomState instance or None, default=None
        Seeds the drawing of rows, features and splits. Trees are numbered, and each
        hangs on the seed and its number alone.
    verbose : int, default=0
        1 prints the number of trees and their rate; 2 also where the time went.
    warm_start : bool, default=False
        Whether `fit` keeps the trees and adds those that are missing. With an integer
        `random_state` they are those of a single `fit`, byte for byte.
    ccp_alpha : float, default=0.0
        Branches whose weighted decrease of impurity is at most this for each leaf
        that they add are pruned, weakest first; 0.0 prunes nothing.
    max_samples : int or float, default=None
        Rows that a tree draws, or groups; a float is a fraction of them, or of the sum
        of their weights. None draws as many as there are.
    monotonic_cst : array-like of shape (n_features,), default=None
        1 where predictions must not fall as the feature rises, -1 where they must not
        rise, 0 where they are free: as for `DecisionTreeRegressor`.
    max_bins : int, default=None
        None considers every distinct value; 2 to 65535 at most so many quantiles.
    categorical_features : array-like, "from_dtype" or None, default=None
        A mask, indices or names. None takes a frame's category, enum, string and
        object columns, and no column of an array.
    min_samples_category : int, default=30
        Categories of fewer rows in a node are pooled: they go one way together.
    max_time : float, default=None
        Seconds after which no further tree is begun.
    max_bytes : int, default=None
        Bytes of new trees after which no further one is begun.
    oob_tolerance : float, default=None
        Stops once the out-of-bag score has changed by at most this over each of three
        rounds of ten trees in a row.
    on_interrupt : {"raise", "keep"}, default="raise"
        What a KeyboardInterrupt does: leave the forest as it was before, or keep the
        trees that are grown and return.
    callback : callable, default=None
        Called with the number of trees after each one, in the thread that grew it;
        no further tree is begun once it returns true.

    Attributes
    ----------
    estimator_ : ExtraTreeRegressor
        What the trees were made after.
    estimators_ : list of ExtraTreeRegressor
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only if the training data had names.
    n_outputs_ : int
    schema_ : InputSchema
        How to read new rows.
    feature_importances_ : ndarray of shape (n_features_in_,)
    estimators_samples_ : list of ndarray
        Rows that each tree drew.
    oob_score_ : float
        Only with `oob_score`, as is the next.
    oob_prediction_ : ndarray of shape (n_samples,) or (n_samples, n_outputs)
    """

    splitter: ClassVar[str] = "random"
    _default_bins: ClassVar[int | None] = None
    _tree_class: ClassVar[type] = ExtraTreeRegressor
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **CONSTRAINTS,
        "criterion": [StrOptions(set(REGRESSION_CRITERIA))],
        "monotonic_cst": ["array-like", None],
    }

    def __init__(
        self,
        n_estimators: int = 100,
        *,
        criterion: str = "squared_error",
        max_depth: int | None = None,
        min_samples_split: float = 2,
        min_samples_leaf: float = 1,
        min_weight_fraction_leaf: float = 0.0,
        max_features: float | str | None = 1.0,
        max_leaf_nodes: int | None = None,
        min_impurity_decrease: float = 0.0,
        bootstrap: bool = False,
        oob_score: bool | Callable[..., float] = False,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        warm_start: bool = False,
        ccp_alpha: float = 0.0,
        max_samples: float | None = None,
        monotonic_cst: ArrayLike | None = None,
        max_bins: int | None = None,
        categorical_features: ArrayLike | str | None = None,
        min_samples_category: int = 30,
        max_time: float | None = None,
        max_bytes: int | None = None,
        oob_tolerance: float | None = None,
        on_interrupt: str = "raise",
        callback: Callable[[int], Any] | None = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.criterion = replace_deprecated(criterion)
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_weight_fraction_leaf = min_weight_fraction_leaf
        self.max_features = max_features
        self.max_leaf_nodes = max_leaf_nodes
        self.min_impurity_decrease = min_impurity_decrease
        self.bootstrap = bootstrap
        self.oob_score = oob_score
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.warm_start = warm_start
        self.ccp_alpha = ccp_alpha
        self.max_samples = max_samples
        self.monotonic_cst = monotonic_cst
        self.max_bins = max_bins
        self.categorical_features = categorical_features
        self.min_samples_category = min_samples_category
        self.max_time = max_time
        self.max_bytes = max_bytes
        self.oob_tolerance = oob_tolerance
        self.on_interrupt = on_interrupt
        self.callback = callback
