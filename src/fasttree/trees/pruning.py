"""Minimal cost-complexity pruning of a fitted tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree._kernels import predict as tree_kernels
from fasttree._kernels import prune as kernels
from fasttree.trees.tree import Tree
from fasttree.trees.tree_checks import NO_CHILD, NO_FEATURE, NO_THRESHOLD

if TYPE_CHECKING:
    from numpy.typing import NDArray


def pruning_path(tree: Tree) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what each step costs when the weakest links are pruned one by one.

    Parameters
    ----------
    tree : Tree

    Returns
    -------
    ccp_alphas : ndarray of shape (n_steps,), float64
        The effective alpha of each pruned node; 0 for the whole tree.
    impurities : ndarray of shape (n_steps,), float64
        Sum of the impurities of the leaves then, weighted by their share of the
        training weight.
    """
    _, _, ccp_alphas, impurities = _prune_links(tree, np.inf)
    return ccp_alphas, impurities


def prune(tree: Tree, ccp_alpha: float) -> Tree:
    """Return the tree without the branches that are not worth `ccp_alpha` a leaf.

    Parameters
    ----------
    tree : Tree
    ccp_alpha : float
        Not negative.

    Returns
    -------
    Tree
        `tree` itself if nothing is to be pruned. A node that becomes a leaf has
        the classes of the leaves that were below it, or its own value.
    """
    is_kept, is_leaf, _, _ = _prune_links(tree, ccp_alpha)
    if is_kept.all():
        return tree
    return _without(tree, is_kept, is_leaf)


def _prune_links(
    tree: Tree, largest_alpha: float
) -> tuple[
    NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]
]:
    n_nodes = tree.node_count
    size, depth = np.empty((2, n_nodes), np.int32)
    tree_kernels.measure_preorder(tree.children_left, tree.children_right, size, depth)
    is_kept, is_leaf = np.empty((2, n_nodes), np.uint8)
    alphas, costs = np.empty((2, n_nodes - tree.n_leaves + 1))
    n_steps = kernels.prune(
        tree.children_left,
        tree.children_right,
        size,
        _costs(tree),
        largest_alpha,
        is_kept,
        is_leaf,
        alphas,
        costs,
        np.empty(n_nodes, np.int32),
        np.empty(n_nodes, np.int64),
        np.empty(n_nodes),
        np.empty(2 << (n_nodes - 1).bit_length()),
    )
    return (
        is_kept.view(np.bool_),
        is_leaf.view(np.bool_),
        alphas[:n_steps].copy(),
        costs[:n_steps].copy(),
    )


def _costs(tree: Tree) -> NDArray[np.float64]:
    """Return each node's impurity, weighted by its share of the training weight."""
    weight, impurity = tree.weighted_n_node_samples, tree.impurity
    with np.errstate(over="ignore"):
        cost = weight * impurity / weight[0]
    if not np.isfinite(cost).all():
        # Rounds otherwise than scikit-learn, where that has infinity.
        cost = weight / weight[0] * impurity
    return cost


def _without(
    tree: Tree, is_kept: NDArray[np.bool_], is_leaf: NDArray[np.bool_]
) -> Tree:
    """Return the tree of the nodes that are kept."""
    kept = np.flatnonzero(is_kept)
    leaf = is_leaf[kept]
    arrays = take_splits(tree, kept, leaf, np.cumsum(is_kept) - 1)
    for name in ("impurity", "n_node_samples", "weighted_n_node_samples"):
        arrays[name] = getattr(tree, name)[kept]
    new_leaves = kept[leaf]
    if tree.is_classification:
        arrays |= _merge_classes(tree, new_leaves)
    else:
        arrays["leaf_value"] = tree.value[new_leaves, :, 0].ravel()
        if tree.inner_value is not None:
            arrays["inner_value"] = tree.value[kept[~leaf], :, 0].ravel()
    if tree.is_classification and tree.n_outputs > 1:
        arrays["output_classes"] = tree.n_classes
    return Tree.from_arrays(
        n_features=tree.n_features,
        n_classes=tree.total_n_classes,
        n_outputs=tree.n_outputs,
        criterion=tree.criterion,
        **arrays,
    )


def take_splits(
    tree: Tree,
    kept: NDArray[np.intp],
    leaf: NDArray[np.bool_],
    number: NDArray[np.intp],
) -> dict[str, Any]:
    """Return the splits of some nodes, as fields of a tree.

    Parameters
    ----------
    tree : Tree
    kept : ndarray of shape (n_kept,)
        The nodes, ascending.
    leaf : ndarray of shape (n_kept,)
        Which of them become leaves, or are.
    number : ndarray of shape (node_count,)
        Which of `kept` stands where a node was.
    """
    arrays: dict[str, Any] = {
        name: np.where(leaf, NO_CHILD, number[getattr(tree, name)[kept]])
        for name in ("children_left", "children_right")
    }
    for name, at_leaf in (
        ("feature", NO_FEATURE),
        ("threshold", NO_THRESHOLD),
        ("category_start", -1),
        ("category_count", 0),
    ):
        arrays[name] = np.where(leaf, at_leaf, getattr(tree, name)[kept])
    arrays["missing_left"] = np.where(leaf, 0, tree.missing_go_to_left[kept])
    for name, values in tree.margins.items():
        absent = NO_FEATURE if name == "runner_up" else np.nan
        arrays[name] = np.where(leaf, absent, values[kept])
    _compact_sets(tree, arrays)
    return arrays


def _compact_sets(tree: Tree, arrays: dict[str, Any]) -> None:
    """Drop the words of the sets that no node has any more."""
    start, count = arrays["category_start"], arrays["category_count"]
    at = np.flatnonzero(start >= 0)
    n_words = (count[at] + 63) // 64
    first = np.cumsum(n_words) - n_words
    words = np.repeat(start[at] - first, n_words) + np.arange(n_words.sum())
    arrays["category_bits"] = tree.category_bits[words]
    start[at] = first


def _merge_classes(tree: Tree, new_leaves: NDArray[np.intp]) -> dict[str, Any]:
    """Return the class weights of the old leaves, added up for each new one."""
    # In preorder the leaves of a subtree stand together.
    owner = np.searchsorted(new_leaves, tree.leaf_nodes, side="right") - 1
    n_classes = tree.total_n_classes
    entry = np.repeat(owner, np.diff(tree.leaf_start)) * n_classes + tree.leaf_class
    merged, position = np.unique(entry, return_inverse=True)
    bounds = np.arange(len(new_leaves) + 1) * n_classes
    payload = {
        "leaf_start": np.searchsorted(merged, bounds),
        "leaf_class": merged % n_classes,
        "leaf_weight": np.bincount(position, tree.leaf_weight),
    }
    if tree.has_own_shares:
        payload["leaf_share"] = _merge_shares(tree, owner).ravel()[merged]
    return payload


def _merge_shares(tree: Tree, owner: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the mean class shares of the old leaves of each new one.

    None is below the least or above the largest of them, not even by rounding, so
    that monotonic constraints hold as before.
    """
    shares = np.zeros((tree.n_leaves, tree.max_n_classes))
    leaf = np.repeat(np.arange(tree.n_leaves), np.diff(tree.leaf_start))
    shares[leaf, tree.leaf_class] = tree.leaf_share
    first = np.flatnonzero(np.diff(owner, prepend=-1))
    weight = tree.weighted_n_node_samples[tree.leaf_nodes][:, None]
    mean = np.add.reduceat(shares * weight, first) / np.add.reduceat(weight, first)
    return mean.clip(
        np.minimum.reduceat(shares, first), np.maximum.reduceat(shares, first)
    )
