"""Extremely randomized trees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fasttree.estimators._decision_tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import ArrayLike


class ExtraTreeClassifier(DecisionTreeClassifier):
    """An extremely randomized tree for classification.

    At each node some features are drawn, and one split of each; the best of these
    is taken (Geurts, Ernst and Wehenkel 2006). One such tree is weak: they are meant
    for ensembles.

    Parameters
    ----------
    criterion : {"gini", "entropy", "log_loss"}, default="gini"
        The impurity that splits lower; "log_loss" is "entropy".
    splitter : {"best", "random"}, default="random"
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
    max_features : int, float, {"sqrt", "log2"} or None, default="sqrt"
        Features to look at for each split, drawn anew; None looks at all.
    random_state : int, RandomState instance or None, default=None
        Seeds the drawing of features and of splits.
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

    def __init__(
        self,
        *,
        criterion: str = "gini",
        splitter: str = "random",
        max_depth: int | None = None,
        min_samples_split: float = 2,
        min_samples_leaf: float = 1,
        min_weight_fraction_leaf: float = 0.0,
        max_features: float | str | None = "sqrt",
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
        super().__init__(
            criterion=criterion,
            splitter=splitter,
            max_depth=max_depth,
            min_samples_split=min_samples_split,
            min_samples_leaf=min_samples_leaf,
            min_weight_fraction_leaf=min_weight_fraction_leaf,
            max_features=max_features,
            random_state=random_state,
            max_leaf_nodes=max_leaf_nodes,
            min_impurity_decrease=min_impurity_decrease,
            ccp_alpha=ccp_alpha,
            class_weight=class_weight,
            monotonic_cst=monotonic_cst,
            max_bins=max_bins,
            categorical_features=categorical_features,
            min_samples_category=min_samples_category,
            honest=honest,
            stability_report=stability_report,
            n_jobs=n_jobs,
        )


class ExtraTreeRegressor(DecisionTreeRegressor):
    """An extremely randomized tree for regression.

    At each node one split of each feature is drawn, and the best of these is taken
    (Geurts, Ernst and Wehenkel 2006). One such tree is weak: they are meant for
    ensembles.

    Parameters
    ----------
    criterion : {"squared_error", "absolute_error", "poisson"}, \
default="squared_error"
        The impurity that splits lower: the variance; the mean absolute deviation
        from the median, which is then what leaves predict; or half the mean Poisson
        deviance, for targets that are counts or frequencies: not negative, and with
        a positive sum in every leaf. "friedman_mse" is deprecated in scikit-learn:
        it warns and is "squared_error".
    splitter : {"best", "random"}, default="random"
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
    max_features : int, float, {"sqrt", "log2"} or None, default=1.0
        Features to look at for each split, drawn anew; None looks at all.
    random_state : int, RandomState instance or None, default=None
        Seeds the drawing of features and of splits.
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

    def __init__(
        self,
        *,
        criterion: str = "squared_error",
        splitter: str = "random",
        max_depth: int | None = None,
        min_samples_split: float = 2,
        min_samples_leaf: float = 1,
        min_weight_fraction_leaf: float = 0.0,
        max_features: float | str | None = 1.0,
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
        super().__init__(
            criterion=criterion,
            splitter=splitter,
            max_depth=max_depth,
            min_samples_split=min_samples_split,
            min_samples_leaf=min_samples_leaf,
            min_weight_fraction_leaf=min_weight_fraction_leaf,
            max_features=max_features,
            random_state=random_state,
            max_leaf_nodes=max_leaf_nodes,
            min_impurity_decrease=min_impurity_decrease,
            ccp_alpha=ccp_alpha,
            monotonic_cst=monotonic_cst,
            max_bins=max_bins,
            categorical_features=categorical_features,
            min_samples_category=min_samples_category,
            honest=honest,
            stability_report=stability_report,
            n_jobs=n_jobs,
        )
