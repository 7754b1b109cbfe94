"""Prediction: rows in blocks, on threads, and outputs from leaves."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree import threads
from fasttree._kernels import predict as kernels
from fasttree.data.schema import SparseRows
from fasttree.trees.packed_tree import check_matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fasttree.trees.tree import Tree

# About 2 ns a step: a task must outweigh the 60 us that handing it over costs.
_STEPS_PER_TASK = 250_000
_TASKS_PER_THREAD = 4


def _row_blocks(
    n_rows: int, steps_per_row: int, n_threads: int
) -> list[tuple[int, int]]:
    """Cut `n_rows` into ranges that are worth a task each."""
    steps = n_rows * max(1, steps_per_row)
    n_blocks = min(n_threads * _TASKS_PER_THREAD, steps // _STEPS_PER_TASK)
    if n_threads <= 1 or n_blocks <= 1:
        return [(0, n_rows)]
    bounds = np.linspace(0, n_rows, n_blocks + 1).astype(np.intp).tolist()
    return list(itertools.pairwise(bounds))


def find_leaves(
    tree: Tree, X: NDArray[Any] | SparseRows, n_threads: int = 1
) -> NDArray[np.intp]:
    """Return the leaf number (leaves in node order) of each row.

    Parameters
    ----------
    tree : Tree
    X : ndarray of shape (n_samples, n_features), or SparseRows
        Numbers and category codes, NaN where missing; best C-contiguous float32
        or float64, of which no copy is made.
    n_threads : int, default=1
        Changes nothing but the time.

    Returns
    -------
    ndarray of shape (n_samples,), intp
    """
    if isinstance(X, SparseRows):
        leaves = np.empty(len(X), np.intp)
        for start, block in X.blocks():
            stop = start + len(block)
            leaves[start:stop] = find_leaves(tree, block, n_threads)
        return leaves
    X = check_matrix(X, tree.n_features)
    packed = tree.packed
    leaves = np.empty(len(X), np.intp)
    blocks = _row_blocks(len(X), tree.max_depth, n_threads)
    tasks = [(X, leaves, start, stop) for start, stop in blocks]
    threads.run(packed.find_leaves, tasks, n_threads)
    return leaves


def apply(
    tree: Tree, X: NDArray[Any] | SparseRows, n_threads: int = 1
) -> NDArray[np.intp]:
    """Return the node number of the leaf that each row reaches."""
    return tree.leaf_nodes.take(find_leaves(tree, X, n_threads))


def predict_value(
    tree: Tree, X: NDArray[Any] | SparseRows, n_threads: int = 1
) -> NDArray[np.float64]:
    """Return the value of each row's leaf, for a regression tree.

    Returns
    -------
    ndarray of shape (n_samples,) or, of several outputs, (n_samples, n_outputs)
    """
    return tree.leaf_value.take(find_leaves(tree, X, n_threads), axis=0)


def leaf_winners(tree: Tree) -> NDArray[np.int32]:
    """Return the class with the largest share of each leaf, the lowest on a tie.

    Returns
    -------
    ndarray of shape (n_leaves,) or, of several outputs, (n_leaves, n_outputs), int32
    """
    starts, share = tree.output_start, tree.leaf_share
    largest = np.maximum.reduceat(share, starts[:-1])
    candidates = np.flatnonzero(share == np.repeat(largest, np.diff(starts)))
    first = candidates[np.searchsorted(candidates, starts[:-1])]
    winners = tree.leaf_class[first]
    if tree.n_outputs == 1:
        return winners
    _, within = tree.split_class(winners)
    return within.astype(np.int32).reshape(-1, tree.n_outputs)


def predict_class(
    tree: Tree, X: NDArray[Any] | SparseRows, n_threads: int = 1
) -> NDArray[np.int32]:
    """Return the class code that has the largest share of each row's leaf.

    Returns
    -------
    ndarray of shape (n_samples,) or, of several outputs, (n_samples, n_outputs), \
int32
    """
    return leaf_winners(tree).take(find_leaves(tree, X, n_threads), axis=0)


def predict_shares(
    tree: Tree, X: NDArray[Any] | SparseRows, n_threads: int = 1
) -> NDArray[np.float64]:
    """Return the class fractions of each row's leaf.

    Returns
    -------
    ndarray of shape (n_samples, n_classes), float64
        Those of several outputs stand side by side: see ``Tree.class_start``.
    """
    leaves = find_leaves(tree, X, n_threads)
    out = np.zeros((len(leaves), tree.total_n_classes))
    starts, classes, share = tree.leaf_start, tree.leaf_class, tree.leaf_share
    tasks = [
        (leaves, starts, classes, share, out, start, stop)
        for start, stop in _row_blocks(len(leaves), tree.total_n_classes, n_threads)
    ]
    threads.run(kernels.leaf_shares, tasks, n_threads)
    return out
