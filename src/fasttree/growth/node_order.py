"""Which node grows next, and what happens to it: policy, no loops over rows.

Wide nodes are searched and split column by column, a whole level at a time
(`grow_depth_first`) or one best leaf at a time (`grow_best_first`). Nodes that
fit a worker's copy are finished as subtrees in one call each. The result does
not depend on which thread did what: nodes are numbered in preorder at the end.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import pairwise
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree import threads
from fasttree._kernels import grow as kernels
from fasttree.growth.records import (
    COUNT_DTYPE,
    JOB_DTYPE,
    MARGIN_DTYPE,
    NODE_DTYPE,
    SPLIT_DTYPE,
    Pieces,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SPLIT_BYTES = 64 << 20  # of the splits of a level's nodes, a row for each feature
_HISTOGRAM_BYTES = 256 << 20  # above this, histograms are counted, not kept
_TASK_ROWS = 1 << 14  # rows of subtrees that make a task worth its overhead


@dataclass(frozen=True)
class Plan:
    """How one tree is to grow over a `kernels.Problem`.

    Attributes
    ----------
    problem : kernels.Problem
    n_rows, n_features : int
    drawn : bool
        Splits are drawn at random, from keys by row: there are no orders.
    ordered : ndarray of int32
        Features held as orders; all of them where splits are drawn.
    tile_of : ndarray of int32, shape (n_features,)
        Tile of each feature, -1 for ordered ones.
    n_tiles : int
    n_totals : int
        Columns of the jobs' class weights; 0 where the kernels need none.
    signs : ndarray of int8, shape (n_features, n_bounded)
        Monotonic constraints: see constraints.py. There are none of 0 columns.
    column_words : int
        uint64 words of a column's histogram, 0 if histograms are not kept.
    max_features : int
    max_leaf_nodes : int or None
    min_gain : float
        In units of score.
    key : int
        uint64 key of the root.
    narrow_rows : int
        Nodes of at most so many rows are finished as subtrees.
    n_threads : int
    keeps_margins : bool, default=False
        The best split of a second feature is noted for each node. All nodes must be
        wide then, `narrow_rows` 0, and no histograms kept.
    """

    problem: Any
    n_rows: int
    n_features: int
    drawn: bool
    ordered: NDArray[np.int32]
    tile_of: NDArray[np.int32]
    n_tiles: int
    n_totals: int
    signs: NDArray[np.int8]
    column_words: int
    max_features: int
    max_leaf_nodes: int | None
    min_gain: float
    key: int
    narrow_rows: int
    n_threads: int
    keeps_margins: bool = False


@dataclass
class _Level:
    """Wide nodes that are handled together."""

    jobs: NDArray[Any]  # JOB_DTYPE
    totals: NDArray[np.int64]  # (n_jobs, n_totals)
    masks: NDArray[np.bool_]  # (n_jobs, n_features) columns that may vary
    bounds: NDArray[np.float64]  # (n_jobs, n_bounded, 2) lowest and highest values
    parents: list[tuple[int, bool]]  # record of the parent, and whether right

    def __len__(self) -> int:
        return len(self.jobs)

    def take(self, chosen: Any) -> _Level:
        return _Level(
            self.jobs[chosen],
            self.totals[chosen],
            self.masks[chosen],
            self.bounds[chosen],
            [self.parents[i] for i in np.arange(len(self))[chosen]],
        )


@dataclass
class _Links:
    """Children of the wide records: a record, -1 (none), or -2 - subtree."""

    left: list[int] = field(default_factory=list)
    right: list[int] = field(default_factory=list)

    def add_record(self, parent: tuple[int, bool]) -> int:
        record = len(self.left)
        self.left.append(-1)
        self.right.append(-1)
        self.connect(parent, record)
        return record

    def in_preorder(self) -> NDArray[np.int64]:
        """Return records, and -1 - subtree for subtrees, in preorder."""
        pieces = []
        stack = [0]
        while stack:
            child = stack.pop()
            if child < -1:
                pieces.append(child + 1)
                continue
            pieces.append(child)
            if self.left[child] != -1:
                stack += [self.right[child], self.left[child]]
        return np.array(pieces, np.int64)

    def connect(self, parent: tuple[int, bool], child: int) -> None:
        record, is_right = parent
        if record >= 0:
            (self.right if is_right else self.left)[record] = child


def _call(function: Any, *arguments: Any) -> Any:
    return function(*arguments)


def _bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    return array.view(np.uint8).reshape(-1)


class _Growth:
    """One tree's growth: the wide nodes' bookkeeping."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.links = _Links()
        self.subtrees: list[_Level] = []
        self.n_subtrees = 0
        self.margins: list[NDArray[Any]] = []  # of the records, where they are kept
        self.histograms = np.empty((0, 0, 0), np.uint64)
        self.free_slots: list[int] = []
        if plan.column_words and plan.n_tiles:
            n_slots = 2 * (plan.n_rows // plan.narrow_rows) + 2
            shape = (n_slots, plan.n_tiles, 8 * plan.column_words)
            if 8 * int(np.prod(shape)) <= _HISTOGRAM_BYTES:
                self.histograms = np.empty(shape, np.uint64)
                self.free_slots = list(range(n_slots))[::-1]

    @property
    def keeps_histograms(self) -> bool:
        return len(self.histograms) > 0

    def measure(
        self,
        begins: NDArray[np.int64],
        ends: NDArray[np.int64],
        depths: NDArray[np.int64],
        keys: NDArray[np.uint64],
        masks: NDArray[np.bool_],
        parents: list[tuple[int, bool]],
        bounds: NDArray[np.float64],
        signs: NDArray[np.int8],
    ) -> _Level:
        """Return a level of nodes: the root, or children in pairs.

        `bounds` are the parents', and `signs` (n_parents, n_bounded) are those of the
        features that these split.
        """
        jobs = np.zeros(len(begins), JOB_DTYPE)
        jobs["depth"] = depths
        jobs["key"] = keys
        jobs["slot"] = -1
        totals = np.zeros((len(begins), self.plan.n_totals), np.int64)
        values = np.empty((len(begins), signs.shape[1]))
        if len(begins):
            self.plan.problem.measure(begins, ends, _bytes(jobs), totals, values)
        kernels.bound_nodes(signs, values, bounds)
        return _Level(jobs, totals, masks, bounds, parents)

    def root(self) -> _Level:
        plan = self.plan
        return self.measure(
            np.zeros(1, np.int64),
            np.full(1, plan.n_rows, np.int64),
            np.zeros(1, np.int64),
            np.full(1, plan.key, np.uint64),
            np.ones((1, plan.n_features), np.bool_),
            [(-1, False)],
            np.tile([-np.inf, np.inf], (1, plan.signs.shape[1], 1)),
            plan.signs[:0],
        )

    def search(
        self, level: _Level, counts: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return each job's best split (feature -1: none), and its margin if kept."""
        splits, orders = self._search_features(level, counts)
        best = _best_of(splits, orders)
        if not self.plan.keeps_margins:
            return best, _no_margins(0)
        return best, _margins_of(splits, orders, best, level.jobs["stat"]["score"])

    def _search_features(
        self, level: _Level, counts: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[np.int32] | None]:
        """Return SPLIT_DTYPE (n_features, n_jobs), and the order that breaks ties."""
        plan = self.plan
        if plan.max_features >= plan.n_features:
            return self._search_selected(level, level.masks, counts), None
        # Draw features until max_features are seen and one of them varies.
        orders = np.empty((len(level), plan.n_features), np.int32)
        orders[:] = np.arange(plan.n_features, dtype=np.int32)
        for job, order in zip(level.jobs, orders, strict=True):
            kernels.draw_features(int(job["key"]), order)
        ranks = np.argsort(orders, axis=1)
        selected = (ranks < plan.max_features) & level.masks
        splits = self._search_selected(level, selected, counts)
        drawn = plan.max_features
        while drawn < plan.n_features:
            varies = (selected & level.masks).any(axis=1)
            more = (ranks == drawn) & level.masks & ~varies[:, None]
            if more.any():
                extra = self._search_selected(level, more, counts)
                splits = np.where(more.T, extra, splits)
                selected |= more
            elif varies.all():
                break
            drawn += 1
        return splits, orders

    def _search_selected(
        self, level: _Level, selected: NDArray[np.bool_], counts: NDArray[Any]
    ) -> NDArray[Any]:
        """Return SPLIT_DTYPE (n_features, n_jobs); clear masks of constant columns."""
        plan = self.plan
        splits = np.zeros((plan.n_features, len(level)), SPLIT_DTYPE)
        splits["score"] = -np.inf
        splits["feature"] = -1
        wanted = selected.any(axis=0)
        flags = np.ascontiguousarray(selected).view(np.uint8)
        jobs, out = _bytes(level.jobs), _bytes(splits)
        if len(counts):
            tiles = np.arange(plan.n_tiles)  # the histograms of all are kept
        else:
            tiles = np.setdiff1d(plan.tile_of[wanted], [-1])
        chunks = _chunks(plan.ordered[wanted[plan.ordered]], plan.n_threads)
        shared = (jobs, level.totals, flags, out, level.bounds)
        kept = (_bytes(counts), self.histograms)
        search_tile = plan.problem.search_tile
        search_orders = plan.problem.search_orders
        if plan.drawn:
            search_orders = plan.problem.search_drawn
        tasks = [
            *((search_tile, int(tile), *shared, *kept) for tile in tiles),
            *((search_orders, features, *shared) for features in chunks),
        ]
        threads.run(_call, tasks, plan.n_threads)
        level.masks &= ~(splits["constant"].T != 0)
        return splits

    def split(
        self, level: _Level, splits: NDArray[Any], margins: NDArray[Any]
    ) -> _Level:
        """Split every job of `level` and return the measured children in pairs."""
        n_jobs = len(level)
        self.margins.append(margins)
        begins = np.empty(2 * n_jobs, np.int64)
        ends = np.empty(2 * n_jobs, np.int64)
        keys = np.empty(2 * n_jobs, np.uint64)
        parents: list[tuple[int, bool]] = []
        split = self.plan.problem.split
        if self.plan.drawn:
            split = self.plan.problem.split_drawn
        for i in range(n_jobs):
            n_left = split(_bytes(level.jobs[i : i + 1]), _bytes(splits[i : i + 1]))
            begin = int(level.jobs["begin"][i])
            begins[2 * i] = begin
            ends[2 * i] = begins[2 * i + 1] = begin + n_left
            ends[2 * i + 1] = begin + int(level.jobs["stat"]["n"][i])
            keys[2 * i : 2 * i + 2] = kernels.node_keys(int(level.jobs["key"][i]))
            record = self.links.add_record(level.parents[i])
            parents += [(record, False), (record, True)]
        children = self.measure(
            begins,
            ends,
            np.repeat(level.jobs["depth"] + 1, 2),
            keys,
            np.repeat(level.masks, 2, axis=0),
            parents,
            np.repeat(level.bounds, 2, axis=0),
            self.plan.signs[splits["feature"]],
        )
        if self.plan.drawn:
            return children
        grows = (children.jobs["leaf"] == 0).reshape(-1, 2).any(axis=1)
        wanted = np.ascontiguousarray(level.masks & grows[:, None]).view(np.uint8)
        ordered = self.plan.ordered[wanted.any(axis=0)[self.plan.ordered]]
        tasks = [
            (features, begins[::2].copy(), ends[1::2].copy(), wanted)
            for features in _chunks(ordered, self.plan.n_threads)
        ]
        threads.run(self.plan.problem.partition_orders, tasks, self.plan.n_threads)
        return children

    def record_leaves(self, level: _Level) -> None:
        is_leaf = np.ones(len(level), np.uint8)
        self.plan.problem.record(_bytes(level.jobs), is_leaf)
        for parent in level.parents:
            self.links.add_record(parent)
        if self.plan.keeps_margins:
            self.margins.append(_no_margins(len(level)))

    def leave_to_subtrees(self, level: _Level) -> None:
        for parent in level.parents:
            self.links.connect(parent, -2 - self.n_subtrees)
            self.n_subtrees += 1
        if len(level):
            self.subtrees.append(level)

    # --- histograms kept from level to level ---------------------------------

    def count_root(self, level: _Level) -> NDArray[Any]:
        """Give the root a slot, where histograms are kept."""
        if not self.keeps_histograms:
            return np.empty(0, COUNT_DTYPE)
        level.jobs["slot"][0] = self.free_slots.pop()
        return np.array([(0, self.plan.n_rows, level.jobs["slot"][0], -1)], COUNT_DTYPE)

    def count_children(
        self, parents: _Level, children: _Level, is_wide: NDArray[np.bool_]
    ) -> NDArray[Any]:
        """Assign slots to the wide children and say which rows to count.

        Of two siblings the smaller is counted and the larger is what remains of
        the parent. Slots of nodes that end here are free again.
        """
        if not self.keeps_histograms:
            return np.empty(0, COUNT_DTYPE)
        counts = []
        done = []
        begins, sizes = children.jobs["begin"], children.jobs["stat"]["n"]
        for i in range(len(parents)):
            slot = int(parents.jobs["slot"][i])
            small, large = 2 * i, 2 * i + 1
            if sizes[small] > sizes[large]:
                small, large = large, small
            if not is_wide[small] and not is_wide[large]:
                self.free_slots.append(slot)
                continue
            own = self.free_slots.pop()
            stop = begins[small] + sizes[small]
            counts.append((begins[small], stop, own, slot if is_wide[large] else -1))
            if is_wide[small]:
                children.jobs["slot"][small] = own
            else:
                done.append(own)
            if is_wide[large]:
                children.jobs["slot"][large] = slot
            else:
                done.append(slot)
        # Only now: within this level they are still written to.
        self.free_slots += done
        return np.array(counts, COUNT_DTYPE)

    # --- the end --------------------------------------------------------------

    def grow_subtrees(self) -> list[tuple[Any, ...]]:
        """Return (offsets, arena...) of each task, in the subtrees' order."""
        if not self.subtrees:
            return []
        jobs = np.concatenate([level.jobs for level in self.subtrees])
        masks = np.concatenate([level.masks for level in self.subtrees])
        values = np.concatenate([level.bounds for level in self.subtrees])
        words = _mask_words(masks)
        sizes = jobs["stat"]["n"]
        bounds = [0, len(jobs)]
        if len(jobs) > 1:
            task_of = (np.cumsum(sizes) - sizes) // _TASK_ROWS
            bounds = np.flatnonzero(np.diff(task_of, prepend=-1, append=-1)).tolist()
        workers: SimpleQueue[Any] = SimpleQueue()
        capacity = int(sizes.max())

        def grow(start: int, stop: int) -> tuple[Any, ...]:
            worker = None if workers.empty() else _get(workers)
            if worker is None:
                worker = kernels.Worker(self.plan.problem, capacity)
            try:
                chosen = slice(start, stop)
                return worker.grow(_bytes(jobs[chosen]), words[chosen], values[chosen])
            finally:
                workers.put(worker)

        tasks = list(pairwise(bounds))
        return threads.run(grow, tasks, self.plan.n_threads)

    def finish(self) -> Pieces:
        wide = self.plan.problem.take_arena()
        grown = self.grow_subtrees()
        if not self.links.left and len(grown) == 1:  # one subtree is all there is
            _, *part = grown[0]
            start = np.zeros(1, np.int64)
            n_nodes = len(part[0]) // NODE_DTYPE.itemsize
            return Pieces([tuple(part)], start.astype(np.int32), start, start + n_nodes)
        parts = [wide, *(part[1:] for part in grown)]
        # Of each subtree: its part, and its records there.
        part_of = np.repeat(
            np.arange(1, len(parts), dtype=np.int32), [len(part[0]) for part in grown]
        )
        starts = np.concatenate([np.zeros(0, np.int64), *(part[0] for part in grown)])
        stops = np.roll(starts, -1)
        is_last = np.diff(part_of, append=-1) != 0
        stops[is_last] = [len(part[0]) // NODE_DTYPE.itemsize for part in parts[1:]]
        pieces = self.links.in_preorder()
        is_subtree = pieces < 0
        subtree = -1 - pieces[is_subtree]
        part = np.zeros(len(pieces), np.int32)
        start = pieces.copy()
        stop = pieces + 1
        part[is_subtree] = part_of[subtree]
        start[is_subtree] = starts[subtree]
        stop[is_subtree] = stops[subtree]
        if not self.plan.keeps_margins:
            return Pieces(parts, part, start, stop)
        return Pieces(parts, part, start, stop, np.concatenate(self.margins)[pieces])


def _get(workers: SimpleQueue[Any]) -> Any:
    from queue import Empty

    try:
        return workers.get_nowait()
    except Empty:
        return None


def _chunks(features: NDArray[np.int32], n_threads: int) -> list[NDArray[np.int32]]:
    """Split features into a few chunks a thread, so that threads end together."""
    if len(features) == 0:
        return []
    n_chunks = 1 if n_threads == 1 else min(len(features), 4 * n_threads)
    return np.array_split(features, n_chunks)


def _mask_words(masks: NDArray[np.bool_]) -> NDArray[np.uint64]:
    packed = np.packbits(masks, axis=1, bitorder="little")
    n_words = (masks.shape[1] + 63) // 64
    words = np.zeros((len(masks), 8 * n_words), np.uint8)
    words[:, : packed.shape[1]] = packed
    return words.view(np.dtype("<u8")).astype(np.uint64, copy=False)


def _best_of(splits: NDArray[Any], orders: NDArray[np.int32] | None) -> NDArray[Any]:
    """Return each job's best split; ties go to the first feature in `orders`."""
    jobs = np.arange(splits.shape[1])
    if orders is None:
        best = splits[np.argmax(splits["score"], axis=0), jobs]
    else:
        ordered = splits[orders.T, jobs]
        best = ordered[np.argmax(ordered["score"], axis=0), jobs]
    best["feature"][best["score"] == -np.inf] = -1
    return best


def _no_margins(n_nodes: int) -> NDArray[Any]:
    return np.full(n_nodes, np.array((np.nan, np.nan, -2), MARGIN_DTYPE))


def _margins_of(
    splits: NDArray[Any],
    orders: NDArray[np.int32] | None,
    best: NDArray[Any],
    before: NDArray[np.float64],
) -> NDArray[Any]:
    """Return how much each job's best split gains, and that of another feature."""
    jobs = np.arange(splits.shape[1])
    others = splits.copy()
    others["score"][best["feature"], jobs] = -np.inf
    second = _best_of(others, orders)
    margins = _no_margins(len(jobs))
    margins["gain"] = best["score"] - before
    there = second["feature"] >= 0
    margins["runner_up_gain"][there] = (second["score"] - before)[there]
    margins["runner_up"][there] = second["feature"][there]
    return margins


def grow_depth_first(plan: Plan) -> Pieces:
    """Grow every node that may grow: wide ones by levels, then the subtrees."""
    growth = _Growth(plan)
    level = growth.root()
    if level.jobs["leaf"][0]:
        growth.record_leaves(level)
        return growth.finish()
    if plan.n_rows <= plan.narrow_rows:
        growth.subtrees.append(level)
        growth.n_subtrees = 1
        return growth.finish()
    most = max(1, _SPLIT_BYTES // (SPLIT_DTYPE.itemsize * plan.n_features))
    pending = [(level, growth.count_root(level))]
    while pending:
        level, counts = pending.pop()
        if not growth.keeps_histograms and len(level) > most:
            pending.append((level.take(slice(most, None)), counts))
            level = level.take(slice(most))
        splits, margins = growth.search(level, counts)
        gain = splits["score"] - level.jobs["stat"]["score"]
        splittable = (splits["feature"] >= 0) & (gain >= plan.min_gain)
        growth.record_leaves(level.take(~splittable))
        growth.free_slots += [
            int(slot) for slot in level.jobs["slot"][~splittable] if slot >= 0
        ]
        parents = level.take(splittable)
        if plan.keeps_margins:
            margins = margins[splittable]
        children = growth.split(parents, splits[splittable], margins)
        grows = children.jobs["leaf"] == 0
        is_narrow = children.jobs["stat"]["n"] <= plan.narrow_rows
        growth.record_leaves(children.take(~grows))
        growth.leave_to_subtrees(children.take(grows & is_narrow))
        counts = growth.count_children(parents, children, grows & ~is_narrow)
        if (grows & ~is_narrow).any():
            pending.append((children.take(grows & ~is_narrow), counts))
    return growth.finish()


def grow_best_first(plan: Plan) -> Pieces:
    """Grow the leaf with the largest gain until there are max_leaf_nodes leaves.

    Equal gains grow in the order in which the leaves came to be.
    """
    assert plan.max_leaf_nodes is not None
    growth = _Growth(plan)
    no_counts = np.empty(0, COUNT_DTYPE)
    heap: list[tuple[float, int, _Level, NDArray[Any], NDArray[Any]]] = []
    ended: list[tuple[int, _Level]] = []
    n_seen = 0

    def consider(level: _Level) -> None:
        nonlocal n_seen
        for i in range(len(level)):
            node = level.take(slice(i, i + 1))
            n_seen += 1
            if not node.jobs["leaf"][0]:
                split, margin = growth.search(node, no_counts)
                gain = float(split["score"][0] - node.jobs["stat"]["score"][0])
                if split["feature"][0] >= 0 and gain >= plan.min_gain:
                    heapq.heappush(heap, (-gain, n_seen, node, split, margin))
                    continue
            ended.append((n_seen, node))

    consider(growth.root())
    n_leaves = 1
    while heap and n_leaves < plan.max_leaf_nodes:
        _, _, node, split, margin = heapq.heappop(heap)
        consider(growth.split(node, split, margin))
        n_leaves += 1
    for _, node in sorted(
        [*ended, *((seen, node) for _, seen, node, *_ in heap)],
        key=lambda item: item[0],
    ):
        growth.record_leaves(node)
    return growth.finish()
