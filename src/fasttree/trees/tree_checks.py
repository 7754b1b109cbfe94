"""What must be true of a tree's arrays: everything that a kernel indexes with."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree._kernels import predict as kernels
from fasttree._kernels import validate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

CLASSIFICATION_CRITERIA = ("gini", "entropy")
REGRESSION_CRITERIA = ("squared_error", "poisson", "absolute_error")

# scikit-learn's marks.
NO_CHILD = -1
NO_FEATURE = -2
NO_THRESHOLD = -2.0

INT32_MAX = np.iinfo(np.int32).max
FIELDS: dict[str, type[np.generic]] = {
    "children_left": np.int32,
    "children_right": np.int32,
    "feature": np.int32,
    "threshold": np.float64,
    "missing_left": np.uint8,
    "impurity": np.float64,
    "n_node_samples": np.int64,
    "weighted_n_node_samples": np.float64,
    "category_start": np.int32,
    "category_count": np.int32,
    "category_bits": np.uint64,
    "leaf_start": np.int64,
    "leaf_class": np.int32,
    "leaf_weight": np.float64,
    "leaf_share": np.float64,
    "leaf_value": np.float64,
    "inner_value": np.float64,
    "output_classes": np.int32,
    "gain": np.float64,
    "runner_up": np.int32,
    "runner_up_gain": np.float64,
}
# What validate.pyx takes, and what it may find wrong, in its order.
_NODE_FIELDS = (
    "children_left",
    "feature",
    "threshold",
    "missing_left",
    "category_start",
    "category_count",
    "impurity",
    "n_node_samples",
    "weighted_n_node_samples",
)
_NODE_PROBLEMS = (
    f"feature must be in 0..{{last}}, and {NO_FEATURE} at leaves",
    (
        "threshold must be NaN where the node is categorical and only there, and "
        f"{NO_THRESHOLD} at leaves"
    ),
    "missing_left must be 0 or 1",
    (
        "category_start and category_count must point into category_bits at "
        "categorical nodes, and be -1 and 0 elsewhere"
    ),
    "impurity must be finite",
    "n_node_samples must be positive",
    "weighted_n_node_samples must be positive and finite",
)
CATEGORY_FIELDS = ("category_start", "category_count", "category_bits")
_CLASS_FIELDS = ("leaf_start", "leaf_class", "leaf_weight")
LEAF_FIELDS = (*_CLASS_FIELDS, "leaf_value", "output_classes")
CHANGED_FIELDS = ("leaf_share", "inner_value")
MARGIN_FIELDS = ("gain", "runner_up", "runner_up_gain")
OPTIONAL_FIELDS = (
    *CATEGORY_FIELDS,
    *LEAF_FIELDS,
    *CHANGED_FIELDS,
    *MARGIN_FIELDS,
)


def require(condition: object, message: str) -> None:
    if not condition:
        raise ValueError(message)


def integer(name: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    require(low <= number <= high, f"{name} must be in {low}..{high}, got {number}")
    return number


def frozen(name: str, value: Any) -> NDArray[Any]:
    """Return a copy of `value` as a 1-D array that nobody can make writeable."""
    dtype = np.dtype(FIELDS[name])
    if type(value) is np.ndarray and value.dtype == dtype and value.ndim == 1:
        flags = value.flags
        is_plain = flags.c_contiguous and flags.aligned and not flags.writeable
        if is_plain and type(value.base) is bytes:
            return value  # it is one already
        return np.frombuffer(value.tobytes(), dtype)
    array = np.asarray(value)
    require(array.ndim == 1, f"{name} must have one dimension, got {array.ndim}")
    if dtype.kind == "f":
        fits = np.can_cast(array.dtype, dtype, "safe") or array.dtype.kind in "iu"
    else:
        fits = array.dtype.kind in "biu"
        if fits and array.size > 0 and not np.can_cast(array.dtype, dtype, "safe"):
            limits = np.iinfo(dtype)
            lowest, highest = int(array.min()), int(array.max())
            require(
                limits.min <= lowest and highest <= limits.max,
                f"{name} has values outside {dtype.name}: {lowest}..{highest}",
            )
    if array.size == 0:
        # Whatever its dtype: that of an empty list is an accident.
        return np.frombuffer(b"", dtype)
    require(fits, f"{name} must hold {dtype.name}, got {array.dtype}")
    return np.frombuffer(array.astype(dtype).tobytes(), dtype)


def check_shape(fields: Mapping[str, NDArray[Any]]) -> NDArray[np.int32]:
    """Return the depth of each node, or raise if the children form no preorder."""
    n_nodes = fields["children_left"].size
    size, depth = np.empty(n_nodes, np.int32), np.empty(n_nodes, np.int32)
    bad = kernels.measure_preorder(
        fields["children_left"], fields["children_right"], size, depth
    )
    require(
        bad < 0,
        "children_left and children_right must form one tree in depth-first "
        f"preorder; they do not at node {bad}",
    )
    return depth


def check_nodes(fields: Mapping[str, NDArray[Any]], n_features: int) -> None:
    n_words = fields["category_bits"].size
    arrays = (fields[name] for name in _NODE_FIELDS)
    problem = validate.find_bad_field(*arrays, n_features, n_words)
    if problem:
        raise ValueError(_NODE_PROBLEMS[problem - 1].format(last=n_features - 1))


def check_margins(fields: Mapping[str, NDArray[Any]], n_features: int) -> None:
    given = [name for name in MARGIN_FIELDS if name in fields]
    require(
        len(given) in (0, len(MARGIN_FIELDS)),
        f"{', '.join(MARGIN_FIELDS)} go together, got only {', '.join(given)}",
    )
    if not given:
        return
    is_leaf = fields["children_left"] == NO_CHILD
    runner_up = fields["runner_up"]
    is_alone = runner_up == NO_FEATURE
    require(
        np.all(is_alone | ((runner_up >= 0) & (runner_up < n_features)))
        and np.all(is_alone[is_leaf]),
        f"runner_up must be in 0..{n_features - 1}, or {NO_FEATURE} as at leaves",
    )
    for name, absent in (("gain", is_leaf), ("runner_up_gain", is_alone)):
        value = fields[name]
        require(
            np.all(np.isnan(value) == absent) and not np.isinf(value).any(),
            f"{name} must be finite, and NaN where there is no such split",
        )


def output_starts(fields: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
    """Return where the entries of each leaf's outputs start, and the end."""
    ends = np.cumsum(fields["output_classes"], dtype=np.int64)
    output = np.searchsorted(ends, fields["leaf_class"], side="right")
    changes = output[1:] != output[:-1]
    changes[fields["leaf_start"][1:-1] - 1] = True
    return np.concatenate(([0], np.flatnonzero(changes) + 1, [len(output)]))


def _check_leaf_fields(
    fields: Mapping[str, NDArray[Any]], n_classes: int, wanted: tuple[str, ...]
) -> None:
    for name in LEAF_FIELDS:
        require(
            (name in fields) == (name in wanted),
            f"a tree with n_classes={n_classes} has {', '.join(wanted)}; "
            f"{name} is {'too much' if name in fields else 'missing'}",
        )


def check_values(
    fields: Mapping[str, NDArray[Any]], n_leaves: int, n_outputs: int
) -> None:
    _check_leaf_fields(fields, 0, ("leaf_value",))
    require(
        "leaf_share" not in fields, "leaf_share is for classification: there are none"
    )
    value = fields["leaf_value"]
    require(
        value.size == n_leaves * n_outputs and np.all(np.isfinite(value)),
        f"leaf_value must hold {n_outputs} finite numbers for each of {n_leaves} "
        "leaves",
    )
    inner = fields.get("inner_value", np.zeros((n_leaves - 1) * n_outputs))
    require(
        inner.size == (n_leaves - 1) * n_outputs and np.all(np.isfinite(inner)),
        f"inner_value must hold {n_outputs} finite numbers for each of "
        f"{n_leaves - 1} inner nodes",
    )


def check_classes(
    fields: Mapping[str, NDArray[Any]], n_leaves: int, n_classes: int, n_outputs: int
) -> None:
    require(
        "inner_value" not in fields, "inner_value is for regression: there are classes"
    )
    several = ("output_classes",) if n_outputs > 1 else ()
    _check_leaf_fields(fields, n_classes, (*_CLASS_FIELDS, *several))
    if several:
        own = fields["output_classes"]
        require(
            own.size == n_outputs
            and np.all(own >= 1)
            and own.sum(dtype=np.int64) == n_classes,
            f"output_classes must hold {n_outputs} positive numbers whose sum is "
            f"n_classes={n_classes}",
        )
    starts, classes = fields["leaf_start"], fields["leaf_class"]
    weight = fields["leaf_weight"]
    require(
        starts.size == n_leaves + 1
        and starts[0] == 0
        and np.all(starts[1:] > starts[:-1])
        and starts[-1] == classes.size == weight.size,
        f"leaf_start must rise from 0 to the {classes.size} entries of leaf_class "
        f"and leaf_weight, with one step for each of {n_leaves} leaves",
    )
    rises = classes[1:] > classes[:-1]
    rises[starts[1:-1] - 1] = True
    require(
        np.all(classes >= 0) and np.all(classes < n_classes) and np.all(rises),
        f"leaf_class must be in 0..{n_classes - 1} and ascend within a leaf",
    )
    require(
        np.all(weight >= 0.0) and np.all(np.isfinite(weight)),
        "leaf_weight must be finite and not negative",
    )
    share = fields.get("leaf_share")
    if share is not None:
        require(
            not several
            and share.size == classes.size
            and np.all(share >= 0.0)
            and np.allclose(np.add.reduceat(share, starts[:-1]), 1.0, 0.0, 1e-9),
            "leaf_share must have the entries of leaf_class, not negative and with "
            "sum 1 in each leaf, and one output",
        )
    if several:
        starts = output_starts(fields)
        require(
            starts.size == n_leaves * n_outputs + 1,
            f"leaf_class must have classes of each of {n_outputs} outputs in each leaf",
        )
    with np.errstate(over="ignore"):
        totals = np.add.reduceat(weight, starts[:-1])
        grand_total = totals.sum()
    require(
        np.all(totals > 0.0) and np.isfinite(grand_total),
        "leaf_weight must have a positive, finite sum in each leaf",
    )
