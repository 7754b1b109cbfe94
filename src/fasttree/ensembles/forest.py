"""Train many trees over one table: rows drawn for each, a tree a task.

A tree hangs on its key and the data alone, so neither the number of threads nor the
moment of an interruption changes one. Of two runs of equal keys the trees have the
same bytes.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree import threads
from fasttree._kernels import bags
from fasttree.growth import training, tree_parts
from fasttree.growth.target import (
    check_poisson,
    class_target,
    drop_weightless,
    regression_target,
)
from fasttree.prediction.joining import CompactTree
from fasttree.trees import pruning

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from fasttree._kernels import forest as kernels
    from fasttree.data.table import EncodedTable
    from fasttree.growth.plan import GrowthParams
    from fasttree.threads import Task
    from fasttree.trees.tree import Tree

_WEIGHT_BITS = 52  # of the sum of the weights that drive the draw


@dataclass(frozen=True)
class Bootstrap:
    """How the rows of a tree are drawn, with replacement.

    Attributes
    ----------
    n_draws : int
        Of rows, or of groups.
    weights : ndarray of float64 or None
        Of the rows, or of the groups; they drive the draw.
    group_of : ndarray of shape (n_rows,), intp, or None
        Number of each row's group: groups are drawn whole.
    n_groups : int
    balances : bool
        Weigh the classes of what was drawn equally.
    """

    n_draws: int
    weights: NDArray[np.float64] | None = None
    group_of: NDArray[np.intp] | None = None
    n_groups: int = 0
    balances: bool = False


class RowDraws:
    """Draws rows for one tree after another.

    Parameters
    ----------
    n_rows : int
    bootstrap : Bootstrap
    """

    def __init__(self, n_rows: int, bootstrap: Bootstrap) -> None:
        self.bootstrap = bootstrap
        self.n_rows = n_rows
        self.n_things = n_rows if bootstrap.group_of is None else bootstrap.n_groups
        self._ends: NDArray[np.int64] | None = None
        if bootstrap.weights is not None:
            weights = bootstrap.weights
            exponent = _WEIGHT_BITS - math.frexp(float(weights.sum()))[1]
            units = np.rint(np.ldexp(weights, exponent)).astype(np.int64)
            units[weights > 0.0] = np.maximum(units[weights > 0.0], 1)
            self._ends = np.cumsum(units)
            total = int(self._ends[-1])
            self._shift = max(0, total.bit_length() - len(units).bit_length() - 1)
            firsts = np.arange((total >> self._shift) + 1) << self._shift
            self._guide = np.searchsorted(self._ends, firsts, side="right")

    def counts(self, key: int) -> NDArray[np.uint32]:
        """Return how often the tree of `key` draws each row."""
        drawn = np.zeros(self.n_things, np.uint32)
        if self._ends is None:
            bags.draw_counts(key, self.bootstrap.n_draws, drawn)
        else:
            bags.draw_weighted_counts(
                key, self.bootstrap.n_draws, self._ends, self._guide, self._shift, drawn
            )
        if self.bootstrap.group_of is not None:
            return drawn.take(self.bootstrap.group_of)
        return drawn

    @property
    def n_draws(self) -> int:
        """The most that the counts of the rows may sum up to."""
        if self.bootstrap.group_of is None:
            return self.bootstrap.n_draws
        return self.bootstrap.n_draws * int(np.bincount(self.bootstrap.group_of).max())

    @property
    def most_counts(self) -> int:
        """A number that no row's count exceeds, but with absurd luck."""
        n_draws = self.bootstrap.n_draws
        if self._ends is None:
            return min(n_draws, 64 + 16 * -(-n_draws // self.n_things))
        return n_draws


@dataclass
class Phases:
    """Seconds of work, summed over the threads."""

    draw: float = 0.0  # of the rows
    grow: float = 0.0  # of trees that are grown as single ones are
    after: float = 0.0  # out-of-bag predictions and the like
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, **seconds: float) -> None:
        with self.lock:
            for name, value in seconds.items():
                setattr(self, name, getattr(self, name) + value)


class ForestTrainer:
    """Grows the trees of one forest.

    Parameters
    ----------
    table : EncodedTable of n_rows rows
    y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
        int32 class codes, or float64 targets.
    n_classes : int, or ndarray of shape (n_outputs,)
        0 for regression.
    params : GrowthParams
        The seed is the forest's.
    bootstrap : Bootstrap or None
        None trains every tree on all rows.
    sample_weight : ndarray of float64 or None
        Of the rows, without a bootstrap.
    ccp_alpha : float, default=0.0
        What trees are pruned by.
    n_threads : int, default=1
        Threads that make what all trees share.
    """

    def __init__(
        self,
        table: EncodedTable,
        y: NDArray[Any],
        n_classes: int | NDArray[np.intp],
        params: GrowthParams,
        bootstrap: Bootstrap | None,
        sample_weight: NDArray[np.float64] | None = None,
        ccp_alpha: float = 0.0,
        n_threads: int = 1,
    ) -> None:
        self.is_classification = bool(np.any(n_classes))
        if params.criterion == "poisson":
            check_poisson(y, sample_weight)
        if bootstrap is None:
            table, y, sample_weight = drop_weightless(table, y, sample_weight)
        elif sample_weight is not None:
            raise ValueError("with a bootstrap the weights drive the draw")
        self.table, self.y, self.n_classes = table, y, n_classes
        self.params, self.sample_weight = params, sample_weight
        self.ccp_alpha = ccp_alpha
        self.draws = None if bootstrap is None else RowDraws(table.n_rows, bootstrap)
        self.phases = Phases()
        self._spaces: tree_parts.Spaces | None = None
        if params.max_leaf_nodes is None:
            self._prepare(n_threads)

    def key(self, number: int) -> int:
        """Return the key of the tree of this number."""
        return bags.tree_key(self.params.seed, number)

    def _prepare(self, n_threads: int) -> None:
        """Make what all trees share, for growth that counts what it draws."""
        if self.draws is None:
            make = regression_target
            if self.is_classification:
                make = partial(class_target, n_classes=self.n_classes)
            target = make(
                self.y,
                sample_weight=self.sample_weight,
                criterion=self.params.criterion,
            )
            self._target = training.SharedTarget.of_rows(target, self.params)
        else:
            self._target = training.SharedTarget.of_draws(
                self.y,
                self.n_classes,
                self.params,
                n_draws=self.draws.n_draws,
                most=self.draws.most_counts,
                balances=self.draws.bootstrap.balances,
            )
        columns = training.share_columns(self.table, self.params, n_threads)
        self._spaces = tree_parts.Spaces(
            partial(self._target.make_growth, columns, shuffles=True)
        )

    @property
    def spaces_seconds(self) -> tree_parts.Seconds:
        """Where the time of growth went, summed over the threads."""
        if self._spaces is None:
            return tree_parts.Seconds(0.0, 0.0, 0.0)
        return self._spaces.seconds

    def grow(
        self,
        key: int,
        use: Callable[[CompactTree, NDArray[np.uint32] | None], None],
        n_threads: int,
    ) -> Sequence[Task]:
        """Grow the tree of `key`.

        `use` is called with the tree and how often each row was drawn for it, once
        the tasks that are returned are done.
        """
        started = time.perf_counter()
        counts = None if self.draws is None else self.draws.counts(key)
        drawn = time.perf_counter()
        self.phases.add(draw=drawn - started)
        if self._spaces is None:
            tree = self._compact(self._grow_alone(key, counts))
            self.phases.add(grow=time.perf_counter() - drawn)
            use(tree, counts)
            return ()
        taken, units = counts, None
        if self.draws is not None and self.draws.bootstrap.balances:
            taken, units = None, self._target.balanced_units(self.y, counts)
        return self._target.grow(
            self._spaces,
            key,
            taken,
            self.table,
            self._take_pruned if self.ccp_alpha > 0.0 else self._target.take_compact,
            lambda tree: use(tree, counts),
            n_threads,
            units,
        )

    def _take_pruned(self, space: kernels.Growth, table: EncodedTable) -> CompactTree:
        return self._compact(self._target.take_tree(space, table))

    def _compact(self, tree: Tree) -> CompactTree:
        if self.ccp_alpha > 0.0:
            tree = pruning.prune(tree, self.ccp_alpha)
        return CompactTree.of(tree)

    def _grow_alone(self, key: int, counts: NDArray[np.uint32] | None) -> Tree:
        """Grow a tree by the means that single trees have."""
        weights = self.sample_weight
        if self.draws is not None:
            weights = counts.astype(np.float64)
            if self.draws.bootstrap.balances:
                weights = training.balanced_weights(self.y, counts, self.n_classes)
        params = replace(self.params, seed=key)
        if self.is_classification:
            return training.grow_classification_tree(
                self.table, self.y, self.n_classes, weights, params, 1
            )
        return training.grow_regression_tree(self.table, self.y, weights, params, 1)


def grow_trees(
    trainer: ForestTrainer,
    keys: Sequence[int],
    n_threads: int,
    use: Callable[[int, CompactTree, NDArray[np.uint32] | None], None],
    begins: Callable[[int], bool] = lambda _: True,
) -> None:
    """Grow the trees of `keys`, in order, a tree a task.

    Parameters
    ----------
    trainer : ForestTrainer
    keys : sequence of int
    n_threads : int
    use : callable
        Called as ``use(position, tree, counts)`` in the thread that grew the tree.
    begins : callable
        Asked as ``begins(position)`` before each tree, in its thread; once it is
        false no further one is begun. Trees that were begun are finished: those that
        `use` has seen are then the first ones.
    """

    def task(position: int) -> Sequence[Task]:
        if not begins(position):
            return ()
        # The last trees have several threads each.
        share = -(-n_threads // (len(keys) - position))
        return trainer.grow(keys[position], partial(take, position), share)

    def take(
        position: int, tree: CompactTree, counts: NDArray[np.uint32] | None
    ) -> None:
        started = time.perf_counter()
        use(position, tree, counts)
        trainer.phases.add(after=time.perf_counter() - started)

    threads.run_tasks([partial(task, i) for i in range(len(keys))], n_threads)
