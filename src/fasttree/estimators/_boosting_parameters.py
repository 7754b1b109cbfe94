"""What boosting may be told, and what that means for its trees."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions
from sklearn.utils.validation import _check_monotonic_cst

from fasttree.ensembles import boosting

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sklearn.base import BaseEstimator

    from fasttree.data.schema import Schema

DEFAULT_BINS = 255
_NO_DEPTH = 1 << 30

CONSTRAINTS: dict[str, list[Any]] = {
    "learning_rate": [Interval(Real, 0, None, closed="neither")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "max_leaf_nodes": [Interval(Integral, 2, None, closed="left"), None],
    "max_depth": [Interval(Integral, 1, None, closed="left"), None],
    "min_samples_leaf": [Interval(Integral, 1, None, closed="left")],
    "min_sum_hessian": [Interval(Real, 0, None, closed="left")],
    "l2_regularization": [Interval(Real, 0, None, closed="left")],
    "max_features": [Interval(RealNotInt, 0, 1, closed="right")],
    "max_bins": [Interval(Integral, 2, 255, closed="both")],
    "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
    "monotonic_cst": ["array-like", dict, None],
    "interaction_cst": [
        list,
        tuple,
        StrOptions({"pairwise", "no_interactions"}),
        None,
    ],
    "grow_policy": [StrOptions({"lossguide", "depthwise"})],
    "sampling": [StrOptions({"uniform", "goss"})],
    "subsample": [Interval(Real, 0, 1, closed="right")],
    "top_rate": [Interval(Real, 0, 1, closed="neither")],
    "other_rate": [Interval(Real, 0, 1, closed="neither")],
    "warm_start": ["boolean"],
    "early_stopping": [StrOptions({"auto"}), "boolean"],
    "scoring": [str, callable, None],
    "validation_fraction": [
        Interval(RealNotInt, 0, 1, closed="neither"),
        Interval(Integral, 1, None, closed="left"),
        None,
    ],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left")],
    "random_state": ["random_state"],
    "callbacks": [list, tuple, None],
    "n_jobs": [Integral, None],
}


def take_parameters(estimator: BaseEstimator, given: dict[str, Any]) -> None:
    """Set the parameters of a constructor, given its `locals()`."""
    for name in estimator._get_param_names():  # noqa: SLF001 - scikit-learn's way
        setattr(estimator, name, given[name])


def tree_params(model: Any, n_features: int) -> boosting.BoostingParams:
    """Return what bounds and penalizes a model's trees."""
    return boosting.BoostingParams(
        learning_rate=float(model.learning_rate),
        max_leaves=(
            boosting.MAX_LEAVES
            if model.max_leaf_nodes is None
            else int(model.max_leaf_nodes)
        ),
        max_depth=_NO_DEPTH if model.max_depth is None else int(model.max_depth),
        min_samples_leaf=int(model.min_samples_leaf),
        max_features=max(1, int(model.max_features * n_features)),
        min_hessian=float(model.min_sum_hessian),
        l2=float(model.l2_regularization),
        depthwise=model.grow_policy == "depthwise",
    )


def monotonic_signs(model: Any, schema: Schema, n_outputs: int) -> NDArray[np.int8]:
    """Return the direction of each feature's constraint, 0 for none."""
    directions = _check_monotonic_cst(model, model.monotonic_cst)
    if directions.any() and n_outputs > 1:
        raise ValueError(
            "monotonic constraints are not supported for multiclass classification"
        )
    for f in np.flatnonzero(directions):
        if schema.categories[f] is not None:
            raise ValueError(
                "Categorical features cannot have monotonic constraints; "
                f"monotonic_cst has {directions[f]} for feature {f}"
            )
    return directions.astype(np.int8)


def interaction_groups(given: Any, n_features: int) -> NDArray[np.uint8]:
    """Return which features may interact, as masks (n_groups, n_features).

    `given` is `interaction_cst`; without groups all may.
    """
    if given is None:
        return np.zeros((0, n_features), np.uint8)
    if given == "no_interactions":
        sets = [{f} for f in range(n_features)]
    elif given == "pairwise":
        sets = [{a, b} for a in range(n_features) for b in range(a)]
    else:
        try:
            sets = [set(group) for group in given]
        except TypeError:
            raise ValueError(
                "interaction_cst must be a sequence of sequences of indices, got "
                f"{given!r}"
            ) from None
        for f in set().union(*sets):
            if not (isinstance(f, Integral) and 0 <= f < n_features):
                raise ValueError(
                    "interaction_cst must have indices from 0 to "
                    f"{n_features - 1}, got {f!r}"
                )
        rest = set(range(n_features)) - set().union(*sets)
        if rest:
            sets.append(rest)
    groups = np.zeros((len(sets), n_features), np.uint8)
    for row, members in zip(groups, sets, strict=True):
        row[list(members)] = 1
    return groups


#: Parameters that all boosting estimators have, as their docstrings say them.
SHARED_DOC = """
    learning_rate : float, default=0.1
        What the leaves' values are multiplied with.
    max_iter : int, default=100
        Number of boosting iterations; each grows a tree, or one a class of several.
    max_leaf_nodes : int or None, default=31
        Leaves of a tree; None: up to 65,535.
    max_depth : int or None, default=None
    min_samples_leaf : int, default=20
        Rows of a leaf, counted exactly.
    min_sum_hessian : float, default=1e-3
        Sum of the hessians of a leaf (LightGBM's ``min_sum_hessian_in_leaf``).
    l2_regularization : float, default=0.0
    max_features : float, default=1.0
        Share of the features, drawn anew for each split.
    max_bins : int, default=255
        Bins of a numeric column, besides one for missing values.
    categorical_features : array-like or "from_dtype", default="from_dtype"
        As in `EncodedTable.from_data`. Of more than 255 categories the rarest share
        a bin.
    monotonic_cst : array-like of int, dict or None, default=None
        1: increasing, -1: decreasing, 0: none; by position or by name.
    interaction_cst : {"pairwise", "no_interactions"}, sequence of sequences of int, \
or None, default=None
        Features that may interact in a branch.
    grow_policy : {"lossguide", "depthwise"}, default="lossguide"
        Whether the leaf of the largest gain is split next, or the highest one.
    sampling : {"uniform", "goss"}, default="uniform"
        How rows are drawn for a tree. "goss" takes the `top_rate` of the rows with
        the largest gradients, and of the others as many as are `other_rate` of all,
        with accordingly more weight (Ke et al., "LightGBM", NIPS 2017).
    subsample : float, default=1.0
        Chance of each row under sampling="uniform".
    top_rate : float, default=0.2
    other_rate : float, default=0.1
    warm_start : bool, default=False
        Whether `fit` goes on from the trees of an earlier fit on the same data. A fit
        that is interrupted then keeps its trees.
    early_stopping : "auto" or bool, default="auto"
        Whether to stop when the score no longer improves. "auto": if there are more
        than 10,000 rows.
    scoring : str, callable or None, default="loss"
        Score for early stopping; None is the estimator's own, "loss" the loss.
    validation_fraction : int, float or None, default=0.1
        Rows that are held out for early stopping if there is no `eval_set`; None
        scores the training rows.
    n_iter_no_change : int, default=10
    tol : float, default=1e-7
    random_state : int, RandomState instance or None, default=None
        Seeds what is drawn: rows, features and the rows held out.
    callbacks : list of callable or None, default=None
        Each is called with a `Progress` after each iteration, and stops the fit if it
        returns True.
    n_jobs : int or None, default=None
        Number of threads, see `fasttree.threads.resolve_n_jobs`. It changes no bit of
        the model.
"""
