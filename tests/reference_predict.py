"""Slow, plain twins of the prediction kernels, and trees to try them on."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator

from fasttree.trees.tree import Tree


def from_sklearn(estimator):
    """Return scikit-learn's fitted tree as a Tree."""
    return Tree.from_arrays(**arrays_from_sklearn(estimator))


def arrays_from_sklearn(estimator):
    """Return the arguments of Tree.from_arrays for scikit-learn's fitted tree."""
    tree = estimator.tree_
    is_leaf = tree.children_left == -1
    arrays = {
        "n_features": tree.n_features,
        "n_classes": 0,
        "n_outputs": tree.n_outputs,
        "criterion": "squared_error",
        "children_left": tree.children_left.astype(np.int32),
        "children_right": tree.children_right.astype(np.int32),
        "feature": tree.feature.astype(np.int32),
        "threshold": tree.threshold,
        "missing_left": tree.missing_go_to_left.astype(np.uint8),
        "impurity": tree.impurity,
        "n_node_samples": tree.n_node_samples.astype(np.int64),
        "weighted_n_node_samples": tree.weighted_n_node_samples,
    }
    if not hasattr(estimator, "classes_"):
        return arrays | {"leaf_value": tree.value[is_leaf, :, 0].ravel()}
    value = tree.value[is_leaf] * tree.weighted_n_node_samples[is_leaf, None, None]
    weight = np.hstack([value[:, o, :n] for o, n in enumerate(tree.n_classes)])
    leaf, leaf_class = np.nonzero(weight)
    if tree.n_outputs > 1:
        arrays["output_classes"] = tree.n_classes
    return arrays | {
        "n_classes": sum(tree.n_classes),
        "criterion": {"log_loss": "entropy"}.get(
            estimator.criterion, estimator.criterion
        ),
        "leaf_start": np.searchsorted(leaf, np.arange(len(weight) + 1)),
        "leaf_class": leaf_class.astype(np.int32),
        "leaf_weight": weight[leaf, leaf_class],
    }


class Fitted(BaseEstimator):
    """Something fitted around a tree, with just what export_text asks for."""

    def __init__(self, tree=None, schema=None):
        self.tree = self.tree_ = tree
        self.schema = self.schema_ = schema
        if tree is not None and tree.is_classification:
            self.classes_ = np.arange(tree.max_n_classes)

    def fit(self, X, y):
        raise NotImplementedError


def random_arrays(
    rng,
    *,
    n_leaves,
    n_features=4,
    n_classes=3,
    n_outputs=1,
    categorical=0.0,
    chain=False,
):
    """Return the arguments of Tree.from_arrays for a tree grown at random.

    The first output has `n_classes` classes, each one after it one more.
    """
    left, right = [-1], [-1]
    # Grown as linked nodes first, then numbered in preorder.
    leaves = [0]
    for _ in range(n_leaves - 1):
        node = leaves.pop(-1 if chain else rng.integers(len(leaves)))
        left[node], right[node] = len(left), len(left) + 1
        leaves += [left[node], right[node]]
        left += [-1, -1]
        right += [-1, -1]
    order, stack = [], [0]
    while stack:
        node = stack.pop()
        order.append(node)
        if left[node] >= 0:
            stack += [right[node], left[node]]
    number = np.empty(len(order), np.int32)
    number[order] = np.arange(len(order))
    children_left, children_right = (
        np.array([number[child[node]] if child[node] >= 0 else -1 for node in order])
        for child in (left, right)
    )
    n = len(order)
    is_leaf = children_left == -1
    threshold = np.where(is_leaf, -2.0, rng.normal(size=n).astype(np.float32))
    threshold[~is_leaf & (rng.random(n) < 0.1)] = np.inf
    is_set = ~is_leaf & (rng.random(n) < categorical)
    threshold[is_set] = np.nan
    count = np.where(is_set, rng.integers(1, 140, n), 0)
    n_words = (count + 63) // 64
    arrays = {
        "n_features": n_features,
        "n_classes": n_classes,
        "criterion": "gini" if n_classes else "squared_error",
        "children_left": children_left,
        "children_right": children_right,
        "feature": np.where(is_leaf, -2, rng.integers(0, n_features, n)),
        "threshold": threshold,
        "missing_left": rng.random(n) < 0.5,
        "impurity": rng.random(n),
        "n_node_samples": rng.integers(1, 100, n),
        "weighted_n_node_samples": rng.random(n) + 0.1,
        "category_start": np.where(is_set, np.cumsum(n_words) - n_words, -1),
        "category_count": count,
        "category_bits": rng.integers(0, 2**64, n_words.sum(), dtype=np.uint64),
    }
    if n_outputs > 1:
        arrays["n_outputs"] = n_outputs
    if not n_classes:
        return arrays | {"leaf_value": rng.normal(size=n_leaves * n_outputs)}
    own = n_classes + np.arange(n_outputs)
    weight = rng.integers(0, 4, (n_leaves, own.sum())).astype(np.float64)
    for first, n in zip(own.cumsum() - own, own, strict=True):
        weight[np.arange(n_leaves), first + rng.integers(0, n, n_leaves)] += 1.0
    leaf, leaf_class = np.nonzero(weight)
    if n_outputs > 1:
        arrays |= {"n_classes": int(own.sum()), "output_classes": own}
    return arrays | {
        "leaf_start": np.searchsorted(leaf, np.arange(n_leaves + 1)),
        "leaf_class": leaf_class,
        "leaf_weight": weight[leaf, leaf_class],
    }


def random_rows(rng, n_rows, n_features, dtype):
    """Return numbers, category codes, NaN and what is neither, all mixed."""
    X = rng.normal(size=(n_rows, n_features))
    X = np.where(rng.random(X.shape) < 0.5, rng.integers(-3, 150, X.shape), X)
    X[rng.random(X.shape) < 0.15] = np.nan
    X[rng.random(X.shape) < 0.02] = np.inf
    X[rng.random(X.shape) < 0.02] = -np.inf
    return X.astype(dtype)


def goes_left(tree, node, value):
    """Return where one value goes at one inner node."""
    missing = bool(tree.missing_go_to_left[node])
    if tree.category_start[node] >= 0:
        if not 0 <= value < tree.category_count[node]:
            return missing
        code = int(value)
        word = int(tree.category_bits[tree.category_start[node] + code // 64])
        return bool(word >> (code % 64) & 1)
    if np.isnan(value):
        return missing
    return float(value) <= tree.threshold[node]


def apply(tree, X):
    """Return the leaf's node number for each row, one step at a time."""
    nodes = np.zeros(len(X), np.intp)
    for row, values in enumerate(X):
        node = 0
        while tree.children_left[node] != -1:
            left = goes_left(tree, node, values[tree.feature[node]])
            node = tree.children_left[node] if left else tree.children_right[node]
        nodes[row] = node
    return nodes


def decision_path(tree, X):
    """Return the nodes that each row goes through, as a dense mask."""
    indicator = np.zeros((len(X), tree.node_count), np.intp)
    for row, leaf in enumerate(apply(tree, X)):
        node = leaf
        while node >= 0:
            indicator[row, node] = 1
            above = (tree.children_left == node) | (tree.children_right == node)
            node = np.flatnonzero(above)[0] if above.any() else -1
    return indicator


def value(tree):
    """Return the node values, by a sum over each node's leaves."""
    parent = np.full(tree.node_count, -1)
    for node in np.flatnonzero(tree.children_left != -1):
        parent[[tree.children_left[node], tree.children_right[node]]] = node
    shape = (tree.n_outputs, tree.max_n_classes)
    sums = np.zeros((tree.node_count, *shape))
    weights = np.zeros((tree.node_count, tree.n_outputs, 1))
    codes = [(o, c) for o, n in enumerate(tree.n_classes) for c in range(n)]
    for leaf, node in enumerate(np.flatnonzero(tree.children_left == -1)):
        own = np.zeros(shape)
        if tree.is_classification:
            for entry in range(tree.leaf_start[leaf], tree.leaf_start[leaf + 1]):
                own[codes[tree.leaf_class[entry]]] = tree.leaf_weight[entry]
            weight = own.sum(axis=1, keepdims=True)
        else:
            weight = tree.weighted_n_node_samples[node]
            own[:, 0] = weight * tree.leaf_value[leaf]
        at = node
        while at >= 0:
            sums[at] += own
            weights[at] += weight
            at = parent[at]
    return sums / weights
