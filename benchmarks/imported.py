"""Other libraries' fitted trees as ensembles, so that the same trees are compared.

Thresholds are rounded down to float32: for float32 rows, which these benchmarks
predict, that changes no comparison.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree.prediction.ensemble import Ensemble
from fasttree.prediction.predictor import Predictor
from fasttree.storage import model_file
from fasttree.storage.model_state import ModelState, statistics_of
from fasttree.trees.tree import Tree

if TYPE_CHECKING:
    from pathlib import Path


def from_forest(forest: Any) -> Ensemble:
    """Return the trees of a scikit-learn forest with one output."""
    return Ensemble.from_trees([_from_sklearn_tree(tree) for tree in forest])


def from_lightgbm(booster: Any) -> Ensemble:
    """Return the trees of a LightGBM booster of one output without categories."""
    dump = booster.dump_model()
    n_features = dump["max_feature_idx"] + 1
    trees = [
        _from_nested(info["tree_structure"], n_features) for info in dump["tree_info"]
    ]
    return Ensemble.from_trees(trees)


def round_down(threshold: Any) -> Any:
    """Return the largest float32 values that are not above the float64 ones."""
    nearest = threshold.astype(np.float32)
    above = nearest > threshold
    nearest[above] = np.nextafter(nearest[above], np.float32(-np.inf))
    return nearest


def _from_sklearn_tree(estimator: Any) -> Tree:
    tree = estimator.tree_
    is_leaf = tree.children_left == -1
    arrays = {
        "n_features": tree.n_features,
        "n_classes": 0,
        "criterion": "squared_error",
        "children_left": tree.children_left.astype(np.int32),
        "children_right": tree.children_right.astype(np.int32),
        "feature": tree.feature.astype(np.int32),
        "threshold": np.where(is_leaf, -2.0, round_down(tree.threshold)),
        "missing_left": tree.missing_go_to_left.astype(np.uint8),
        "impurity": tree.impurity,
        "n_node_samples": tree.n_node_samples.astype(np.int64),
        "weighted_n_node_samples": tree.weighted_n_node_samples,
    }
    if not hasattr(estimator, "classes_"):
        return Tree.from_arrays(**arrays, leaf_value=tree.value[is_leaf, 0, 0])
    weight = tree.value[is_leaf, 0] * tree.weighted_n_node_samples[is_leaf, None]
    leaf, leaf_class = np.nonzero(weight)
    return Tree.from_arrays(
        **arrays
        | {
            "n_classes": weight.shape[1],
            "criterion": "gini",
            "leaf_start": np.searchsorted(leaf, np.arange(len(weight) + 1)),
            "leaf_class": leaf_class.astype(np.int32),
            "leaf_weight": np.round(weight[leaf, leaf_class], 6),
        }
    )


def _from_nested(root: dict[str, Any], n_features: int) -> Tree:
    left: list[int] = []
    right: list[int] = []
    feature: list[int] = []
    threshold: list[float] = []
    value: list[float] = []
    stack = [(root, -1)]
    while stack:
        node, parent = stack.pop()
        number = len(left)
        if parent >= 0:
            right[parent] = number
        if "leaf_value" in node:
            left.append(-1)
            right.append(-1)
            feature.append(-2)
            threshold.append(-2.0)
            value.append(node["leaf_value"])
        else:
            left.append(number + 1)
            right.append(-1)
            feature.append(node["split_feature"])
            threshold.append(float(round_down(np.array([node["threshold"]]))[0]))
            stack += [(node["right_child"], number), (node["left_child"], -1)]
    n = len(left)
    return Tree.from_arrays(
        n_features=n_features,
        n_classes=0,
        criterion="squared_error",
        children_left=left,
        children_right=right,
        feature=feature,
        threshold=threshold,
        missing_left=np.zeros(n, np.uint8),
        impurity=np.zeros(n),
        n_node_samples=np.ones(n, np.int64),
        weighted_n_node_samples=np.ones(n),
        leaf_value=value,
    )


def state_of(ensemble: Ensemble) -> ModelState:
    """Return the trees as a model: the mean of shares, or the sum of values."""
    n_features = ensemble.n_features
    n_columns = ensemble.packed.n_columns
    is_classification = ensemble.is_classification
    return ModelState(
        packed=ensemble.packed,
        columns=ensemble.outputs,
        baseline=np.zeros(n_columns),
        combination="mean" if is_classification else "sum",
        link="identity",
        feature_names=None,
        categories=(None,) * n_features,
        single=(True,) * n_features,
        unknown_category="missing",
        classes=(np.arange(n_columns),) if is_classification else None,
        criterion=ensemble.statistics.criterion,
        statistics=statistics_of(ensemble.statistics),
    )


def predictor_of(ensemble: Ensemble) -> Predictor:
    """Return the trees ready for single rows."""
    return Predictor.from_state(state_of(ensemble))


def save(ensemble: Ensemble, path: Path) -> None:
    """Write the trees to a model file, with what training left at nodes."""
    model_file.write(path, *state_of(ensemble).to_parts())
