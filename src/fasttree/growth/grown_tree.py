"""What growth brought, in the terms of a `Tree`: thresholds, values and weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree._kernels import predict
from fasttree.growth import constraints
from fasttree.growth.records import MARGIN_DTYPE
from fasttree.growth.target import BINARY, CLASSES, LABELS, REGRESSION, SUMS, Target
from fasttree.trees.tree import Tree

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fasttree.data.table import EncodedTable
    from fasttree.growth.plan import GrowthParams
    from fasttree.growth.records import Grown


def to_tree(
    grown: Grown, table: EncodedTable, target: Target, params: GrowthParams
) -> Tree:
    nodes = grown.nodes
    is_leaf = nodes["left"] < 0
    weight = nodes["weight"] / target.weights.scale
    category_start = nodes["set_start"]
    category_count = np.zeros(len(category_start), np.int32)
    n_codes = np.array([column.n_codes for column in table.columns], np.int32)
    in_set = category_start >= 0
    category_count[in_set] = n_codes[nodes["feature"][in_set]]
    payload: dict[str, Any]
    impurity = nodes["impurity"]
    if target.kind in (REGRESSION, SUMS):
        power = 2 if target.criterion == "squared_error" else 1
        impurity = np.ldexp(impurity, -power * target.response_exponent)
        payload = _value_payload(grown, target, is_leaf, params.monotone)
    elif target.kind == BINARY:
        payload = _binary_payload(nodes["n"][is_leaf], nodes["ones"][is_leaf])
    else:
        payload = {
            "leaf_start": grown.leaf_start,
            "leaf_class": grown.leaf_class,
            "leaf_weight": grown.leaf_weight / target.weights.scale,
        }
    if target.kind == LABELS:
        payload["output_classes"] = np.diff(target.class_start)
    if target.kind in (BINARY, CLASSES) and params.monotone is not None:
        payload = _bounded_payload(payload, nodes, target, params)
    return Tree.from_arrays(
        n_features=table.n_features,
        n_classes=target.n_classes,
        n_outputs=target.n_outputs,
        criterion=params.criterion,
        children_left=nodes["left"],
        children_right=nodes["right"],
        feature=nodes["feature"],
        threshold=_thresholds(nodes, table),
        missing_left=nodes["missing_left"],
        category_start=category_start,
        category_count=category_count,
        category_bits=grown.words,
        impurity=impurity,
        n_node_samples=nodes["n"],
        weighted_n_node_samples=weight,
        **payload,
        **_margins(grown, target),
    )


def _margins(grown: Grown, target: Target) -> dict[str, Any]:
    """Return the gains of score as decreases of impurity, if margins were kept."""
    if grown.margins is None:
        return {}
    margins = {name: grown.margins[name] for name in MARGIN_DTYPE.names or ()}
    for name in ("gain", "runner_up_gain"):
        decrease = margins[name]
        if target.kind in (REGRESSION, SUMS):
            # The inverse of what `plan` makes of min_impurity_decrease.
            power = 2 if target.criterion == "squared_error" else 1
            per_unit = target.value_exponent + target.response_exponent
            decrease = np.ldexp(decrease, -power * per_unit)
            decrease *= target.weights.scale**power
        if target.criterion == "poisson":
            decrease *= np.log(2.0)
        margins[name] = decrease / (target.weights.total * target.n_outputs)
    return margins


def _value_payload(
    grown: Grown,
    target: Target,
    is_leaf: NDArray[np.bool_],
    monotone: constraints.Monotone | None,
) -> dict[str, Any]:
    """Return the values of the leaves.

    And of the inner nodes, if those are medians or keep to constraints.
    """
    value = grown.nodes["value"][:, None]
    if target.kind == SUMS:
        value = grown.leaf_weight.view(np.float64).reshape(-1, target.n_outputs)
    if monotone is not None:
        bounds = _regression_bounds(grown.nodes, target, monotone)
        value = value.clip(bounds[:, :1], bounds[:, 1:])
    value = np.ldexp(value, -target.response_exponent)
    if len(value) < len(is_leaf):
        return {"leaf_value": value.reshape(-1)}
    payload = {"leaf_value": value[is_leaf].reshape(-1)}
    if target.criterion == "absolute_error" or monotone is not None:
        payload["inner_value"] = value[~is_leaf].reshape(-1)
    return payload


def _binary_payload(n: NDArray[np.int64], ones: NDArray[np.int64]) -> dict[str, Any]:
    """Return the classes present in each leaf, from the rows of class 1."""
    counts = np.stack([n - ones, ones], axis=1)
    leaf, leaf_class = np.nonzero(counts)
    leaf_start = np.zeros(len(n) + 1, np.int64)
    np.cumsum((counts > 0).sum(axis=1), out=leaf_start[1:])
    return {
        "leaf_start": leaf_start,
        "leaf_class": leaf_class.astype(np.int32),
        "leaf_weight": counts[leaf, leaf_class].astype(np.float64),
    }


def _regression_bounds(
    nodes: dict[str, NDArray[Any]], target: Target, monotone: constraints.Monotone
) -> NDArray[np.float64]:
    """Return each node's lowest and highest value, (n_nodes, 2), as a response."""
    is_median = target.criterion == "absolute_error"
    values = nodes["value"] if is_median else nodes["ones"] / nodes["weight"]
    tree = nodes["left"], nodes["right"], nodes["feature"]
    bounds = constraints.find_bounds(monotone, *tree, values[:, None])[:, 0]
    return bounds if is_median else bounds / target.per_unit + target.centre[0]


def _bounded_payload(
    payload: dict[str, Any],
    nodes: dict[str, NDArray[Any]],
    target: Target,
    params: GrowthParams,
) -> dict[str, Any]:
    """Return the leaves' classes with shares that keep to the constraints."""
    monotone = params.monotone
    assert monotone is not None
    leaves = np.flatnonzero(nodes["left"] < 0)
    weight = np.zeros((len(leaves), target.n_classes))
    leaf = np.repeat(np.arange(len(leaves)), np.diff(payload["leaf_start"]))
    weight[leaf, payload["leaf_class"]] = payload["leaf_weight"]
    # Sums of the weights' units are exact.
    needs_all = params.honest and target.n_classes > 2
    classes = np.arange(target.n_classes) if needs_all else monotone.classes
    sums = np.zeros((len(nodes["left"]), len(classes)))
    sums[leaves] = weight[:, classes]
    predict.sum_upwards(nodes["left"], nodes["right"], sums)
    values = sums / (nodes["weight"] / target.weights.scale)[:, None]
    tree = nodes["left"], nodes["right"], nodes["feature"]
    find = constraints.find_share_bounds if needs_all else constraints.find_bounds
    bounds = find(monotone, *tree, values)[leaves]
    shares = weight / weight.sum(axis=1, keepdims=True)
    shares = constraints.project_shares(monotone, shares, bounds)
    is_listed = (weight > 0.0) | (shares > 0.0)
    leaf, leaf_class = np.nonzero(is_listed)
    leaf_start = np.zeros(len(leaves) + 1, np.int64)
    np.cumsum(is_listed.sum(axis=1), out=leaf_start[1:])
    return {
        "leaf_start": leaf_start,
        "leaf_class": leaf_class.astype(np.int32),
        "leaf_weight": weight[leaf, leaf_class],
        "leaf_share": shares[leaf, leaf_class],
    }


def _thresholds(
    nodes: dict[str, NDArray[Any]], table: EncodedTable
) -> NDArray[np.float64]:
    """Return each split's threshold, in the dtype of its column.

    Drawn splits bring it along.
    """
    feature, threshold = nodes["feature"], nodes["threshold"]
    is_drawn = ~np.isnan(threshold)
    threshold = np.where(is_drawn, threshold, -2.0)
    threshold[nodes["set_start"] >= 0] = np.nan
    numeric = np.flatnonzero((feature >= 0) & (nodes["set_start"] < 0) & ~is_drawn)
    dtype = np.min_scalar_type(table.n_features)  # NumPy sorts the short ones faster
    by_feature = numeric[np.argsort(feature[numeric].astype(dtype), kind="stable")]
    ends = np.cumsum(np.bincount(feature[numeric], minlength=table.n_features))
    start = 0
    for column, end in zip(table.columns, ends.tolist(), strict=True):
        if end > start:
            at = by_feature[start:end]
            threshold[at] = column.thresholds_between(
                nodes["row_low"][at], nodes["row_high"][at]
            )
        start = end
    return threshold
