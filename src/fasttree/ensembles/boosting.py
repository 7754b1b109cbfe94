"""Boosting rounds: trees of gradients, grown one after another on one table."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree import threads
from fasttree._kernels import boost as kernels
from fasttree.data.encoding import halfway
from fasttree.ensembles.tiles import TILE
from fasttree.trees.joint_trees import JointTrees
from fasttree.trees.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fasttree.data.encoding import Column
    from fasttree.data.table import EncodedTable
    from fasttree.ensembles.tiles import Layout

#: Rows times features below which helpers cost more than they save.
SERIAL_BELOW = 400_000

#: Bytes that the sums of open leaves may take; leaves without them are counted anew.
POOL_BYTES = 1 << 29

#: Columns held by their entries whose splits are looked for at once.
SPARSE_GROUP = 256

#: A leaf's number takes 16 bits.
MAX_LEAVES = 65535


@dataclass(frozen=True)
class BoostingParams:
    """What bounds and penalizes the trees of a fit; see the estimators."""

    learning_rate: float
    max_leaves: int
    max_depth: int
    min_samples_leaf: int
    max_features: int
    min_hessian: float
    l2: float
    depthwise: bool
    cat_smooth: float = 10.0
    cat_l2: float = 10.0
    max_cat_threshold: int = 32
    min_data_per_group: int = 100


class Boosting:
    """The rows and memory of a fit, and one step after another on its threads.

    Parameters
    ----------
    layout : Layout
    tiles : ndarray of uint64
        From `tiles.pack`.
    raw : ndarray of shape (n_outputs, n_rows), float64
        Raw predictions, which the trees that are grown are added to.
    params : BoostingParams
    monotonic : ndarray of shape (n_features,), int8
    groups : ndarray of shape (n_groups, n_features), uint8
        Features that may interact; no rows if all may.
    n_threads : int
    """

    def __init__(
        self,
        layout: Layout,
        tiles: NDArray[np.uint64],
        raw: NDArray[np.float64],
        params: BoostingParams,
        monotonic: NDArray[np.int8],
        groups: NDArray[np.uint8],
        n_threads: int,
    ) -> None:
        n_rows = raw.shape[1]
        n_features = len(layout.features)
        if n_rows * n_features < SERIAL_BELOW:
            n_threads = 1
        self.n_threads = n_threads
        self.raw = raw
        #: Mask of the rows that the next tree grows from, None: all.
        self.sampled: NDArray[np.bool_] | None = None
        self._sample: NDArray[np.uint32] | None = None
        features = layout.features.copy()
        features["monotonic"] = monotonic
        scan, n_scans = scan_groups(layout)
        tile_features = np.argsort(scan, kind="stable").astype(np.int32)
        tile_start = np.searchsorted(
            scan[tile_features], np.arange(n_scans + 1)
        ).astype(np.int32)
        max_leaves = max(1, min(params.max_leaves, MAX_LEAVES, n_rows))
        n_cells = int((layout.slots["offset"] + layout.slots["n_bins"]).max())
        n_pool = min(max_leaves + 2, max(4, POOL_BYTES // (8 * n_cells + 8)))
        self._booster = kernels.Booster(
            kernels.Rows(tiles, raw),
            layout.slots.view(np.uint8),
            features.view(np.uint8),
            tile_features,
            tile_start,
            layout.columns,
            groups,
            layout.sparse,
            (
                max_leaves,
                params.max_depth,
                params.min_samples_leaf,
                params.max_features,
                params.min_hessian,
                params.l2,
                params.cat_smooth,
                params.cat_l2,
                params.max_cat_threshold,
                params.min_data_per_group,
                params.depthwise,
                bool(np.any(monotonic)),
            ),
            params.learning_rate,
            n_pool,
            n_threads,
        )

    @property
    def booster(self) -> Any:
        return self._booster

    def sample(
        self, output: int, key: int, fraction: float, rates: tuple[float, float] | None
    ) -> None:
        """Draw the rows of the next tree from an output's gradients.

        Parameters
        ----------
        output : int
        key : int
            Of the random numbers.
        fraction : float
            Chance of each row.
        rates : tuple of two floats, or None
            GOSS: the fraction of rows with the largest gradients, all of which are
            taken, and the fraction of all rows that is drawn from the others.
        """
        rest, threshold = 0.0, -1.0
        if rates is not None:
            top, other = rates
            fraction, rest = 1.0, min(1.0, other / (1.0 - top))
            g, h = self._booster.gradients
            size = np.abs(g[output] * h[output])
            at = max(0, len(size) - max(1, round(top * len(size))) - 1)
            threshold = float(np.partition(size, at)[at])
        rows = self._booster.sample(output, key, fraction, rest, threshold)
        if not len(rows):
            rows = np.zeros(1, np.uint32)
        self._sample = rows
        self.sampled = np.zeros(self.raw.shape[1], bool)
        self.sampled[rows] = True

    def grow(self, output: int, key: int) -> NDArray[Any]:
        """Return the nodes of a tree grown from an output's gradients."""
        return self._booster.grow(output, key, self._sample)

    def run(self, work: Callable[[], Any]) -> Any:
        """Return `work()`, whose calls of the booster the other threads help with."""
        booster = self._booster
        booster.open(self.n_threads)
        if self.n_threads == 1:
            return work()
        caller = threading.get_ident()
        numbers = itertools.count(1)
        results: list[Any] = []

        def take_part() -> None:
            if threading.get_ident() != caller:
                booster.help(next(numbers))
            elif not results:
                try:
                    results.append(work())
                finally:
                    booster.close()

        threads.run(take_part, [()] * self.n_threads, self.n_threads)
        return results[0]


def scan_groups(layout: Layout) -> tuple[NDArray[np.int64], int]:
    """Return which features are looked at together, and the number of groups.

    They are those of a tile, and so many neighbours of the columns that are held by
    their entries.
    """
    slot = layout.features["slot"].astype(np.int64)
    behind = slot - TILE * layout.n_tiles
    group = np.where(behind < 0, slot // TILE, layout.n_tiles + behind // SPARSE_GROUP)
    return group, layout.n_tiles + -(-len(layout.sparse) // SPARSE_GROUP)


def draw_key(seed: int, number: int) -> int:
    """Return the key of the random numbers of a tree: splitmix64 of both."""
    mask = (1 << 64) - 1
    x = (seed + (number + 1) * 0x9E3779B97F4A7C15) & mask
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
    return x ^ (x >> 31)


def _lower(column: Column) -> NDArray[np.float64]:
    return np.zeros(0) if column.lower is None else column.lower


def _upper(column: Column) -> NDArray[np.float64]:
    return np.zeros(0) if column.upper is None else column.upper


class TreeMaker:
    """Turns grown nodes into trees: codes become thresholds and sets of categories."""

    def __init__(self, table: EncodedTable, layout: Layout) -> None:
        self._n_features = table.n_features
        self._code_of = layout.code_of
        self._n_codes = np.array([c.n_codes for c in table.columns], np.int32)
        self._single = np.array([c.single for c in table.columns])
        # One more, so that the last code of all has one behind it.
        self._lower = np.concatenate([*map(_lower, table.columns), [np.inf]])
        self._upper = np.concatenate([*map(_upper, table.columns), [np.inf]])
        sizes = [0, *(len(_upper(column)) for column in table.columns)]
        self._start = np.cumsum(sizes)[:-1]

    def _thresholds(
        self, feature: NDArray[np.int32], code: NDArray[np.int32]
    ) -> NDArray[np.float64]:
        """Return the thresholds behind codes of numeric columns."""
        at = self._start[feature] + code
        is_last = code >= self._n_codes[feature] - 1
        low = self._upper[at]
        high = np.where(is_last, low, self._lower[at + 1])
        middle = halfway(low, high)
        single = self._single[feature]
        middle[single] = halfway(
            low[single].astype(np.float32), high[single].astype(np.float32)
        )
        middle[is_last] = np.inf
        return middle

    def make(self, nodes: NDArray[Any]) -> Tree:
        """Return the tree of the nodes that `Boosting.grow` returned."""
        return Tree.from_arrays(**self.join([nodes]).fields)

    def join(self, grown: list[NDArray[Any]]) -> JointTrees:
        """Return the trees of several such sets of nodes.

        The weight of a node is its hessian, and impurities are such that a split
        lowers their weighted sum by its gain.
        """
        sizes = np.array([len(nodes) for nodes in grown])
        roots = np.cumsum(sizes) - sizes
        order, left, right = (np.empty(sizes.sum(), np.int32) for _ in range(3))
        stack = np.empty(sizes.max() + 1, np.int32)
        for nodes, root in zip(grown, roots.tolist(), strict=True):
            own = slice(root, root + len(nodes))
            kernels.order_nodes(
                np.ascontiguousarray(nodes["left"]),
                np.ascontiguousarray(nodes["right"]),
                order[own],
                left[own],
                right[own],
                stack,
            )
        is_leaf = left < 0
        first = np.repeat(roots, sizes).astype(np.int32)
        left = np.where(is_leaf, -1, left + first)
        right = np.where(is_leaf, -1, right + first)
        nodes = np.concatenate(grown)[order + first]
        feature = np.where(is_leaf, -2, nodes["feature"]).astype(np.int32)
        threshold = np.full(len(nodes), -2.0)
        threshold[nodes["categorical"] > 0] = np.nan
        is_cut = ~is_leaf & (nodes["categorical"] == 0)
        threshold[is_cut] = self._thresholds(
            nodes["feature"][is_cut], nodes["code"][is_cut]
        )
        hessian = nodes["sum_hessian"]
        mean = np.divide(
            nodes["sum_gradient"], hessian, out=np.zeros(len(nodes)), where=hessian > 0
        )
        share = mean * mean
        most = np.repeat(np.maximum.reduceat(share, roots), sizes)
        return JointTrees(
            n_features=self._n_features,
            criterion="squared_error",
            roots=roots,
            children_left=left,
            children_right=right,
            feature=feature,
            threshold=threshold,
            missing_left=np.ascontiguousarray(nodes["missing_left"]),
            impurity=most - share,
            n_node_samples=np.ascontiguousarray(nodes["n"]),
            weighted_n_node_samples=np.ascontiguousarray(hessian),
            leaf_value=nodes["value"][is_leaf],
            **self._sets(nodes),
        )

    def _sets(self, nodes: NDArray[Any]) -> dict[str, NDArray[Any]]:
        start = np.full(len(nodes), -1, np.int32)
        count = np.zeros(len(nodes), np.int32)
        words = [np.zeros(0, np.uint64)]
        n_words = 0
        for at in np.flatnonzero(nodes["categorical"]):
            f = int(nodes["feature"][at])
            bits = np.unpackbits(nodes["set"][at].view(np.uint8), bitorder="little")
            code_of = self._code_of[f]
            n_codes = int(self._n_codes[f])
            bits = bits[:n_codes] if code_of is None else bits[code_of[:-1]]
            padded = np.zeros(-(-n_codes // 64) * 64, np.uint8)
            padded[:n_codes] = bits
            words.append(np.packbits(padded, bitorder="little").view(np.uint64))
            start[at], count[at] = n_words, n_codes
            n_words += len(words[-1])
        return {
            "category_start": start,
            "category_count": count,
            "category_bits": np.concatenate(words),
        }
