"""Train one tree: a table and a target in, a `Tree` out."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree import threads
from fasttree._kernels import forest as _kernel
from fasttree.growth import honesty, node_order, sampling, tree_parts
from fasttree.growth.compacting import take_compact
from fasttree.growth.grown_tree import to_tree
from fasttree.growth.plan import (
    GrowthParams,
    bounded_of,
    first_rows,
    make_limits,
    make_plan,
    samples_features,
    signs_of,
)
from fasttree.growth.records import NODE_DTYPE, Pieces
from fasttree.growth.target import (
    BINARY,
    CLASSES,
    SUM_BITS,
    WEIGHT_BITS,
    Target,
    Weights,
    check_poisson,
    class_target,
    drop_weightless,
    n_rows_of,
    nlogn_table,
    regression_target,
)
from fasttree.prediction.joining import CompactTree

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from fasttree.data.table import EncodedTable
    from fasttree.threads import Task
    from fasttree.trees.tree import Tree


def grow_classification_tree(
    table: EncodedTable,
    y: NDArray[np.int32],
    n_classes: int | NDArray[np.intp],
    sample_weight: NDArray[np.float64] | None,
    params: GrowthParams,
    n_threads: int,
) -> Tree:
    """Grow a classification tree.

    Parameters
    ----------
    table : EncodedTable of n_rows rows
    y : ndarray of int32, shape (n_rows,) or (n_rows, n_outputs)
        Class codes in [0, n_classes).
    n_classes : int, or ndarray of intp, shape (n_outputs,)
        At most 65,536 in all.
    sample_weight : ndarray of float64, shape (n_rows,), or None
        Not negative, not all zero. Rows of weight zero are left out.
    params : GrowthParams
    n_threads : int
        Changes no bit of the result.

    Returns
    -------
    Tree

    Raises
    ------
    ValueError
        If there are more classes.
    """
    table, y, sample_weight = drop_weightless(table, y, sample_weight)
    make_target = partial(class_target, n_classes=n_classes, criterion=params.criterion)
    return _grow(table, y, sample_weight, make_target, params, n_threads)


def grow_regression_tree(
    table: EncodedTable,
    y: NDArray[np.float64],
    sample_weight: NDArray[np.float64] | None,
    params: GrowthParams,
    n_threads: int,
) -> Tree:
    """Grow a regression tree.

    Targets are rounded to a grid of about 61 - log2(n_rows) bits below the
    largest deviation from the mean: at 200,000 rows a relative 2**-43.

    Parameters
    ----------
    table : EncodedTable of n_rows rows
    y : ndarray of float64, shape (n_rows,) or (n_rows, n_outputs)
        Finite.
    sample_weight, params, n_threads
        As in `grow_classification_tree`.

    Returns
    -------
    Tree

    Raises
    ------
    ValueError
        If the criterion is "poisson" and a target is negative, or none positive.
    """
    if params.criterion == "poisson":
        check_poisson(y, sample_weight)
    table, y, sample_weight = drop_weightless(table, y, sample_weight)
    make_target = partial(regression_target, criterion=params.criterion)
    return _grow(table, y, sample_weight, make_target, params, n_threads)


def _grow(
    table: EncodedTable,
    y: NDArray[Any],
    sample_weight: NDArray[np.float64] | None,
    make_target: Callable[..., Target],
    params: GrowthParams,
    n_threads: int,
) -> Tree:
    if not params.honest:
        target = make_target(y, sample_weight=sample_weight)
        return _grow_of_all(table, target, params, n_threads)
    halves = honesty.split_rows(len(y), params.seed)
    targets = []
    for rows in halves:
        if params.criterion == "poisson" and not y[rows].any():
            raise ValueError(
                "y must be positive in both halves of the rows with "
                "criterion='poisson' and honest=True; one half has no positive y"
            )
        weight = None if sample_weight is None else sample_weight[rows]
        targets.append(make_target(y[rows], sample_weight=weight))
    choosing, estimating = halves
    tree = _grow_of_all(table.take(choosing), targets[0], params, n_threads)
    return honesty.refill(tree, table.take(estimating), targets[1], params)


def _grow_of_all(
    table: EncodedTable, target: Target, params: GrowthParams, n_threads: int
) -> Tree:
    if samples_features(params, table.n_features):
        return _grow_sampled(table, target, params, n_threads)
    plan, owned = make_plan(table, target, params, n_threads)
    if params.max_leaf_nodes is None:
        pieces = node_order.grow_depth_first(plan)
    else:
        pieces = node_order.grow_best_first(plan)
    # They hold as much memory as the data.
    del plan, owned
    return to_tree(pieces.join(), table, target, params)


def share_columns(
    table: EncodedTable, params: GrowthParams, n_threads: int
) -> sampling.SharedColumns:
    """Return the columns for trees that draw what they look at."""
    return sampling.SharedColumns(
        table,
        drawn=params.splitter == "random",
        signs=signs_of(params, table.n_features),
        bounded=bounded_of(params),
        n_threads=n_threads,
    )


def _grow_sampled(
    table: EncodedTable, target: Target, params: GrowthParams, n_threads: int
) -> Tree:
    shared = SharedTarget.of_rows(target, params)
    columns = share_columns(table, params, n_threads)
    spaces = tree_parts.Spaces(lambda: shared.make_growth(columns))
    trees: list[Tree] = []
    task = partial(
        shared.grow, spaces, params.seed, None, table, shared.take_tree, trees.append,
        n_threads,
    )  # fmt: skip
    threads.run_tasks([task], n_threads)
    return trees[0]


@dataclass(frozen=True)
class SharedTarget:
    """The target of trees that count the features they draw.

    Made by `of_rows` for trees of all rows, or by `of_draws` for those whose rows are
    drawn: then the weights of a tree are how often each row was, or what
    `balanced_units` makes of that.
    """

    target: Target
    params: GrowthParams
    limits: tuple[Any, ...]
    order: NDArray[np.uint32] | None  # rows of the root, None: by number
    counts: NDArray[np.uint32] | None = None  # weights of all trees, for BINARY
    units: NDArray[np.int64] | None = None  # weights of all trees, for other kinds

    @classmethod
    def of_rows(cls, target: Target, params: GrowthParams) -> SharedTarget:
        """Return the target for trees of all rows, with their own weights."""
        counts, units = None, target.weights.units
        if params.monotone is not None and target.kind == BINARY:
            target = replace(target, kind=CLASSES)
        elif params.monotone is None and _counts_fit(target):
            assert units is not None
            counts, units = units.astype(np.uint32), None
            target = replace(target, kind=BINARY)
        limits = make_limits(target, params, n_rows_of(target))
        return cls(target, params, limits, _start_order(target), counts, units)

    @classmethod
    def of_draws(
        cls,
        y: NDArray[Any],
        n_classes: int | NDArray[np.intp],
        params: GrowthParams,
        *,
        n_draws: int,
        most: int,
        balances: bool,
    ) -> SharedTarget:
        """Return the target for trees whose rows are drawn.

        Parameters
        ----------
        y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
            Class codes, or targets if `n_classes` is 0.
        n_classes : int, or ndarray of shape (n_outputs,)
        params : GrowthParams
        n_draws : int
            The most that the counts of a tree may sum up to.
        most : int
            The most that one row may be drawn.
        balances : bool
            Whether trees weigh their rows by `balanced_units`.
        """
        n_rows = len(y)
        # The units are each tree's own; here is only what they sum up to.
        weights = Weights(np.empty(0, np.int64), n_draws, 1.0)
        if not np.any(n_classes):
            target = regression_target(y, None, params.criterion)
            share = _deviations(target)
            largest = n_draws * float(np.abs(share).max())
            exponent = SUM_BITS - 1 - math.frexp(largest)[1]
            value = np.rint(np.ldexp(share, exponent)).astype(np.int64)
            target = replace(
                target, weights=weights, value=value, value_exponent=exponent
            )
        else:
            if balances:
                exponent = WEIGHT_BITS - math.frexp(float(n_draws))[1] - 1
                scale = math.ldexp(1.0, exponent)
                weights = replace(weights, total=int(n_draws * scale), scale=scale)
            few = n_draws <= _kernel.MOST_BINARY_TOTAL and (
                most <= _kernel.MOST_BINARY_WEIGHT
            )
            target = class_target(y, n_classes, None, "gini")
            kind = target.kind
            if kind == BINARY and (not few or balances or params.monotone is not None):
                kind = CLASSES
            nlogn, quantum = None, 0.0
            if params.criterion == "entropy":
                nlogn, quantum = nlogn_table(weights.total, target.n_outputs)
            target = replace(
                target,
                kind=kind,
                criterion=params.criterion,
                weights=weights,
                nlogn=nlogn,
                quantum=quantum,
            )
        limits = make_limits(target, params, n_rows)
        return cls(target, params, limits, _start_order(target))

    def make_growth(
        self, columns: sampling.SharedColumns, *, shuffles: bool = False
    ) -> Any:
        """Return a thread's memory for one tree after another."""
        return columns.make_growth(
            self.target, self.limits, columns.table.n_rows, shuffles=shuffles
        )

    def grow(
        self,
        spaces: tree_parts.Spaces,
        key: int,
        counts: NDArray[np.uint32] | None,
        table: EncodedTable,
        take: Callable[[Any, EncodedTable], Any],
        use: Callable[[Any], None],
        n_threads: int = 1,
        units: NDArray[np.int64] | None = None,
    ) -> Sequence[Task]:
        """Grow the tree of `key`, of rows drawn `counts` times or of weight `units`.

        `take`, which is `take_tree` or `take_compact`, makes the tree that `use` is
        called with. For several threads its growth may be cut into tasks, which are
        returned; `use` is called when they are done.
        """
        target = self.target
        space = spaces.take()

        def finish() -> None:
            use(spaces.finish(space, partial(take, table=table)))

        n_rows = table.n_rows
        least = tree_parts.least_rows(n_rows, n_threads)
        branch_rows = tree_parts.branch_rows(n_rows, least if n_threads > 1 else n_rows)
        space.grow(
            key,
            self.counts if counts is None else counts,
            target.label,
            self.units if units is None else units,
            target.value,
            target.response,
            self.order,
            branch_rows,
        )
        if space.n_branches:
            return tree_parts.TreeInParts(space, spaces, least, finish).tasks()
        finish()
        return ()

    @property
    def _is_plain(self) -> bool:
        """Whether records say all of a tree, without what stands beside them."""
        return self.target.n_outputs == 1 and self.params.monotone is None

    def take_compact(self, space: Any, table: EncodedTable) -> CompactTree:
        """Return the tree whose records are in `space`, packed."""
        if self._is_plain:
            return take_compact(space, self.target)
        return CompactTree.of(self.take_tree(space, table))

    def take_tree(self, space: Any, table: EncodedTable) -> Tree:
        """Return the tree whose records are in `space`."""
        target = self.target
        if self._is_plain:
            return sampling.take_tree(space, target, table.n_features)
        records = space.take_records()
        n_nodes = len(records[0]) // NODE_DTYPE.itemsize
        bounds = np.array([0, n_nodes], np.int64)
        part = np.zeros(1, np.int32)
        pieces = Pieces([records], part, bounds[:1], bounds[1:])
        return to_tree(pieces.join(), table, target, self.params)

    def balanced_units(
        self, y: NDArray[np.int32], counts: NDArray[np.uint32]
    ) -> NDArray[np.int64]:
        """Return weights of the rows that were drawn: each class weighs the same."""
        n_classes = np.diff(self.target.class_start)
        weights = balanced_weights(y, counts, n_classes)
        units = np.rint(weights * self.target.weights.scale).astype(np.int64)
        units[counts > 0] = np.maximum(units[counts > 0], 1)
        return units


def balanced_weights(
    y: NDArray[np.int32],
    counts: NDArray[np.uint32],
    n_classes: int | NDArray[np.intp],
) -> NDArray[np.float64]:
    """Return weights under which each class that was drawn weighs the same.

    Those of several outputs are multiplied, and scaled to sum up to the number of
    drawings, as those of one output do.
    """
    outputs = y.reshape(len(y), -1).T
    weights = counts.astype(np.float64)
    for codes, size in zip(outputs, np.atleast_1d(n_classes), strict=True):
        of_class = np.bincount(codes, counts, minlength=size)
        present = of_class > 0
        of_one = np.zeros(size)
        of_one[present] = counts.sum() / (present.sum() * of_class[present])
        weights *= of_one.take(codes)
    if len(outputs) > 1:
        # Summed exactly: the same on every machine.
        weights *= int(counts.sum()) / math.fsum(weights.tolist())
    return weights


def _deviations(target: Target) -> NDArray[np.float64]:
    """Return how far the responses are from their centres, as they stand."""
    assert target.response is not None
    n_outputs = target.n_outputs
    if target.criterion == "absolute_error":
        response = target.response.reshape(n_outputs, -1)
        return (response - target.centre[:, None]).reshape(-1)
    return (target.response.reshape(-1, n_outputs) - target.centre).reshape(-1)


def _start_order(target: Target) -> NDArray[np.uint32] | None:
    if target.criterion != "absolute_error":
        return None
    return first_rows(target, n_rows_of(target))


def _counts_fit(target: Target) -> bool:
    """Return whether two classes are weighted by small whole numbers."""
    units = target.weights.units
    return (
        target.kind == CLASSES
        and target.n_classes <= 2
        and units is not None
        and target.weights.scale == 1.0
        and target.weights.total <= _kernel.MOST_BINARY_TOTAL
        and int(units.max()) <= _kernel.MOST_BINARY_WEIGHT
    )
