"""What trees and forests of them may be told, and what that means."""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions

from fasttree.growth import constraints

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fasttree.data.table import EncodedTable
    from fasttree.estimators._base import TableInputMixin

CONSTRAINTS: dict[str, list[Any]] = {
    "splitter": [StrOptions({"best", "random"})],
    "max_depth": [Interval(Integral, 1, None, closed="left"), None],
    "min_samples_split": [
        Interval(Integral, 2, None, closed="left"),
        Interval(RealNotInt, 0.0, 1.0, closed="right"),
    ],
    "min_samples_leaf": [
        Interval(Integral, 1, None, closed="left"),
        Interval(RealNotInt, 0.0, 1.0, closed="neither"),
    ],
    "min_weight_fraction_leaf": [Interval(Real, 0.0, 0.5, closed="both")],
    "max_features": [
        Interval(Integral, 1, None, closed="left"),
        Interval(RealNotInt, 0.0, 1.0, closed="right"),
        StrOptions({"sqrt", "log2"}),
        None,
    ],
    "random_state": ["random_state"],
    "max_leaf_nodes": [Interval(Integral, 2, None, closed="left"), None],
    "min_impurity_decrease": [Interval(Real, 0.0, None, closed="left")],
    "ccp_alpha": [Interval(Real, 0.0, None, closed="left")],
    "max_bins": [Interval(Integral, 2, 65535, closed="both"), None],
    "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
    "min_samples_category": [Interval(Integral, 1, None, closed="left")],
    "honest": ["boolean"],
    "stability_report": ["boolean"],
    "n_jobs": [Integral, None],
}


def replace_deprecated(criterion: str) -> str:
    """Return "squared_error" for "friedman_mse", with scikit-learn 1.9's warning."""
    if not isinstance(criterion, str) or criterion != "friedman_mse":
        return criterion
    warnings.warn(
        'criterion="friedman_mse" is deprecated, as in scikit-learn, and means '
        'criterion="squared_error", which always gave the same trees; use that',
        FutureWarning,
        stacklevel=3,
    )
    return "squared_error"


def resolve_constraints(
    model: TableInputMixin,
    table: EncodedTable,
    labels: NDArray[Any] | None,
    n_outputs: int,
) -> constraints.Monotone | None:
    """Return what `monotonic_cst` of a tree or forest asks of this training data.

    `labels` are the classes of classification.
    """
    if model.monotonic_cst is not None and n_outputs > 1:
        raise ValueError(
            "monotonic_cst must be None for several outputs, which constraints do "
            f"not support; y has {n_outputs} columns"
        )
    monotone = constraints.resolve(model.monotonic_cst, table.n_features, labels)
    if monotone is None:
        return None
    for f in np.flatnonzero(monotone.signs.any(axis=1)).tolist():
        if table.columns[f].is_categorical:
            names = table.feature_names
            raise ValueError(
                "monotonic_cst must be 0 for categorical features, got a constraint "
                f"for {f if names is None else names[f]!r}"
            )
    return monotone
