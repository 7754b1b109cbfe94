"""Honest trees: half of the rows choose the splits, the others make the leaves.

What a leaf predicts is then no longer the best of many tries: its rows had no part in
choosing it (Athey and Imbens, "Recursive partitioning for heterogeneous causal
effects", PNAS 113, 2016; Wager and Athey, "Estimation and inference of heterogeneous
treatment effects using random forests", JASA 113, 2018).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree._kernels import predict
from fasttree.growth import plan
from fasttree.growth.grown_tree import to_tree
from fasttree.growth.records import JOB_DTYPE, NODE_DTYPE, Pieces
from fasttree.trees import pruning
from fasttree.trees.tree import Tree
from fasttree.trees.tree_checks import MARGIN_FIELDS, NO_CHILD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from fasttree.data.table import EncodedTable
    from fasttree.growth.target import Target

_STREAM = 0x686F6E657374  # sets the draw of the halves apart from other draws


def split_rows(n_rows: int, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows that choose splits, and those that make leaves.

    Each row has a random number of its own, keyed by `seed`; those with the smaller
    half of them choose splits.

    Parameters
    ----------
    n_rows : int
    seed : int
        In [0, 2**64).

    Returns
    -------
    choosing, estimating : ndarray of intp
        Ascending; `choosing` has n_rows // 2 rows.

    Raises
    ------
    ValueError
        If there are fewer than two rows.
    """
    if n_rows < 2:
        raise ValueError(
            "honest=True needs at least 2 rows of positive weight, one for each half; "
            f"got {n_rows}"
        )
    bits = np.random.Philox(key=np.array([seed, _STREAM], np.uint64)).random_raw(n_rows)
    half = n_rows // 2
    chooses = np.zeros(n_rows, np.bool_)
    chooses[np.argsort(bits, kind="stable")[:half]] = True
    return np.flatnonzero(chooses), np.flatnonzero(~chooses)


def refill(
    tree: Tree, table: EncodedTable, target: Target, params: plan.GrowthParams
) -> Tree:
    """Return the tree with sizes, impurities and leaves of other rows.

    A split that has none of them on one side is dropped, and the other side's subtree
    takes its node's place.

    Parameters
    ----------
    tree : Tree
    table : EncodedTable of n_rows rows
        Encoded as what `tree` was grown on.
    target : Target of these rows
    params : GrowthParams

    Returns
    -------
    Tree
    """
    matrix = table.schema.to_matrix(table)
    splits, n_nodes = _reached(tree, tree.apply(matrix), target)
    route = _router(splits, n_nodes, tree.n_features)
    leaf_of_row = route.apply(matrix)
    del matrix
    record_of_node, (records, leaf_class, leaf_weight, _) = _measure(
        route, leaf_of_row, target, params
    )
    nodes = records.view(NODE_DTYPE)
    nodes["feature"][record_of_node] = splits["feature"]
    nodes["missing_left"][record_of_node] = splits["missing_left"]
    bits, starts = _sets_in_order(splits, np.argsort(record_of_node))
    nodes["set_start"][record_of_node] = starts
    nodes["threshold"][record_of_node] = splits["threshold"]
    part = (records, leaf_class, leaf_weight, bits)
    only = np.zeros(n_nodes, np.int32)
    pieces = Pieces([part], only, record_of_node, record_of_node + 1)
    refilled = to_tree(pieces.join(), table, target, params)
    if not tree.has_margins:
        return refilled
    return refilled.with_margins({name: splits[name] for name in tree.margins})


def _sets_in_order(
    splits: dict[str, Any], order: NDArray[np.intp]
) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
    """Return the words of the nodes' sets as they stand in `order`, and each start."""
    start, bits = splits["category_start"].copy(), splits["category_bits"]
    own = order[start[order] >= 0]
    n_words = (splits["category_count"][own].astype(np.int64) + 63) // 64
    first = np.cumsum(n_words) - n_words
    words = np.arange(n_words.sum()) + np.repeat(start[own] - first, n_words)
    start[own] = first
    return bits[words], start


def _reached(
    tree: Tree, leaf_of_row: NDArray[np.intp], target: Target
) -> tuple[dict[str, Any], int]:
    """Return the splits with rows on both sides, and how many nodes are left."""
    needed = _needed(target, len(leaf_of_row))
    present = np.stack(
        [np.bincount(leaf_of_row, column, tree.node_count) for column in needed],
        axis=1,
    )
    predict.sum_upwards(tree.children_left, tree.children_right, present)
    has_rows = (present > 0.0).all(axis=1)
    # A node with rows on one side only is replaced by that side, and so on.
    stands_for = np.arange(tree.node_count)
    inner = np.flatnonzero(tree.children_left != NO_CHILD)
    left, right = tree.children_left[inner], tree.children_right[inner]
    stands_for[inner] = np.where(
        ~has_rows[left], right, np.where(~has_rows[right], left, inner)
    )
    is_kept = has_rows & (stands_for == np.arange(tree.node_count))
    while True:
        further = stands_for[stands_for]
        if np.array_equal(further, stands_for):
            break
        stands_for = further
    kept = np.flatnonzero(is_kept)
    number = (np.cumsum(is_kept) - 1)[stands_for]
    leaf = tree.children_left[kept] == NO_CHILD
    return pruning.take_splits(tree, kept, leaf, number), len(kept)


def _needed(target: Target, n_rows: int) -> list[NDArray[np.float64]]:
    """Return what a side needs some of: rows, for Poisson positive ones of each output.

    An output that is 0 everywhere asks for nothing.
    """
    if target.criterion != "poisson":
        return [np.ones(n_rows)]
    assert target.response is not None
    positive = (target.response.reshape(n_rows, -1) > 0.0).astype(np.float64)
    return [column for column in positive.T if column.any()]


def _router(splits: dict[str, Any], n_nodes: int, n_features: int) -> Tree:
    """Return a tree of these splits that says nothing at its leaves."""
    ones = np.ones(n_nodes, np.int64)
    return Tree.from_arrays(
        n_features=n_features,
        n_classes=0,
        criterion="squared_error",
        impurity=np.zeros(n_nodes),
        n_node_samples=ones,
        weighted_n_node_samples=ones,
        leaf_value=np.zeros((n_nodes + 1) // 2),
        **{name: value for name, value in splits.items() if name not in MARGIN_FIELDS},
    )


def _measure(
    route: Tree,
    leaf_of_row: NDArray[np.intp],
    target: Target,
    params: plan.GrowthParams,
) -> tuple[NDArray[np.int64], tuple[NDArray[Any], ...]]:
    """Return each node's record, and the records with what they point at.

    Rows are put in such an order that each node has a run of them.
    """
    n_rows, n_nodes = len(leaf_of_row), route.node_count
    first = plan.first_rows(target, n_rows)
    rows = first.copy()
    problem = plan.make_measure(target, params, rows, n_rows, route.n_features)
    sums = np.bincount(leaf_of_row, minlength=n_nodes)[:, None].astype(np.float64)
    predict.sum_upwards(route.children_left, route.children_right, sums)
    sizes = sums[:, 0].astype(np.int64)
    is_leaf = route.children_left == NO_CHILD
    n_bounded = 0 if params.monotone is None else len(params.monotone.classes)
    record_of_node = np.empty(n_nodes, np.int64)
    n_records = 0
    for nodes, node_of_row in _runs(route, leaf_of_row, target):
        by_order = first.reshape(-1, n_rows)
        order = np.argsort(node_of_row[by_order], axis=1, kind="stable")
        rows.reshape(-1, n_rows)[:] = np.take_along_axis(by_order, order, axis=1)
        before = np.cumsum(np.bincount(node_of_row, minlength=n_nodes + 1))
        begins = np.append(0, before)[nodes]
        jobs = np.zeros(len(nodes), JOB_DTYPE)
        problem.measure(
            begins,
            begins + sizes[nodes],
            jobs.view(np.uint8),
            np.zeros((len(nodes), target.n_totals), np.int64),
            np.empty((len(nodes), n_bounded)),
        )
        problem.record(jobs.view(np.uint8), is_leaf[nodes].view(np.uint8))
        record_of_node[nodes] = n_records + np.arange(len(nodes))
        n_records += len(nodes)
    return record_of_node, problem.take_arena()


def _runs(
    route: Tree, leaf_of_row: NDArray[np.intp], target: Target
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield nodes that have runs of rows at the same time, and the rows' nodes.

    In preorder the rows of all nodes are runs when those of the leaves are. Medians
    need each node's rows in the order of the targets, so that nodes take turns there,
    level by level.
    """
    if target.criterion != "absolute_error":
        yield np.arange(route.node_count), leaf_of_row
        return
    node_of_row = np.zeros_like(leaf_of_row)
    nodes = np.zeros(1, np.intp)
    while len(nodes):
        yield nodes, node_of_row
        inner = nodes[route.children_left[nodes] != NO_CHILD]
        nodes = np.concatenate(
            [route.children_left[inner], route.children_right[inner]]
        ).astype(np.intp)
        right = route.children_right[node_of_row]
        moves = right != NO_CHILD
        child = np.where(leaf_of_row >= right, right, node_of_row + 1)
        node_of_row = np.where(moves, child, node_of_row)
