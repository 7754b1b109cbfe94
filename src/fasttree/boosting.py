"""Boosting rounds: trees of gradients, grown one after another on one table."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree import threads
from fasttree._kernels import boost as kernels
from fasttree.encoding import halfway
from fasttree.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fasttree.encoding import Column
    from fasttree.table import EncodedTable

#: Codes of a column, missing ones not counted: a code is a byte.
MAX_CODES = 255

#: Rows times features below which helpers cost more than they save.
SERIAL_BELOW = 200_000

#: Bytes that the sums of open leaves may take; leaves without them are counted anew.
POOL_BYTES = 1 << 29

#: A leaf's number takes 16 bits.
MAX_LEAVES = 65535

TILE = 8
PANEL = 8

# The same fields as the structs of the kernels.
SLOT = np.dtype([("offset", "i8"), ("n_bins", "i4"), ("unused", "i4")])
FEATURE = np.dtype(
    [
        ("slot", "i4"),
        ("first", "i4"),
        ("default_code", "i4"),
        ("n_codes", "i4"),
        ("has_missing", "u1"),
        ("categorical", "u1"),
        ("monotonic", "i1"),
        ("unused", "u1"),
    ]
)


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
    min_gain: float = 0.0


@dataclass(frozen=True)
class Layout:
    """Where each column's codes stand in the tiles.

    Attributes
    ----------
    features : ndarray of shape (n_features,), FEATURE
    slots : ndarray of shape (8 * n_tiles,), SLOT
    code_of : list of (ndarray or None)
        For a categorical column of many categories the byte of each of its codes;
        the rarest ones share one. None where codes are bytes as they are.
    """

    features: NDArray[Any]
    slots: NDArray[Any]
    code_of: list[NDArray[np.uint8] | None]

    @property
    def n_tiles(self) -> int:
        return len(self.slots) // TILE


def make_layout(table: EncodedTable) -> Layout:
    """Give each column of a table a byte of a tile.

    Raises
    ------
    ValueError
        If a numeric column has more than 255 codes.
    """
    n_features = table.n_features
    n_tiles = -(-n_features // TILE)
    features = np.zeros(n_features, FEATURE)
    slots = np.zeros(n_tiles * TILE, SLOT)
    code_of: list[NDArray[np.uint8] | None] = []
    offset = 0
    for f, column in enumerate(table.columns):
        mapped = _byte_of_category(column)
        code_of.append(mapped)
        n_codes = column.n_codes if mapped is None else int(mapped[-1])
        has_missing = column.n_missing > 0
        features[f] = (f, 0, -1, n_codes, has_missing, column.is_categorical, 0, 0)
        slots[f] = (offset, n_codes + has_missing, 0)
        offset += n_codes + has_missing
    return Layout(features, slots, code_of)


def _byte_of_category(column: Column) -> NDArray[np.uint8] | None:
    """Return the byte of each code and of the missing one, None if it is the code."""
    if column.codes.dtype == np.uint8:
        return None
    if not column.is_categorical:
        raise ValueError(
            f"boosting needs columns of at most {MAX_CODES} codes, got one of "
            f"{column.n_codes}; encode the table with max_bins={MAX_CODES} or less"
        )
    counts = np.bincount(column.codes, minlength=column.n_codes + 1)
    # The most frequent ones in the order of their codes, and one for all others.
    frequent = np.sort(np.argsort(-counts[:-1], kind="stable")[: MAX_CODES - 1])
    mapped = np.full(column.n_codes + 1, MAX_CODES - 1, np.uint8)
    mapped[frequent] = np.arange(len(frequent))
    mapped[-1] = MAX_CODES
    return mapped


def slot_columns(table: EncodedTable, layout: Layout) -> list[Any]:
    """Return the bytes of each slot, None for a slot without a column."""
    columns: list[Any] = [None] * len(layout.slots)
    for f, (column, mapped) in enumerate(
        zip(table.columns, layout.code_of, strict=True)
    ):
        codes = column.codes if mapped is None else mapped[column.codes]
        columns[layout.features["slot"][f]] = codes
    return columns


def pack(columns: list[Any], n_rows: int, n_threads: int) -> NDArray[np.uint64]:
    """Return the slots' bytes as panels: eight columns a tile, eight tiles a panel.

    A panel is C-contiguous of shape (n_rows, 8); the last one's rows have 1, 2, 4 or
    8 tiles.
    """
    n_tiles = len(columns) // TILE
    n_panels = -(-n_tiles // PANEL)
    last_width = 1
    while last_width < n_tiles - PANEL * (n_panels - 1):
        last_width *= 2
    # Not zeros: NumPy asks for huge pages for what it does not clear.
    words = np.empty(n_rows * (PANEL * (n_panels - 1) + last_width), np.uint64)
    n_blocks = min(n_threads, -(-n_rows // 65536))
    bounds = np.linspace(0, n_rows, n_blocks + 1).astype(int).tolist()
    tasks = []
    for panel in range(n_panels):
        width = last_width if panel == n_panels - 1 else PANEL
        first = panel * PANEL * n_rows
        rows = words[first : first + n_rows * width].reshape(n_rows, width)
        members = columns[panel * PANEL * TILE : (panel + 1) * PANEL * TILE]
        tasks += [
            (rows, members, start, stop) for start, stop in itertools.pairwise(bounds)
        ]
    threads.run(kernels.pack_panel, tasks, n_threads)
    return words


class Boosting:
    """The rows and memory of a fit, and one step after another on its threads.

    Parameters
    ----------
    layout : Layout
    columns : list of ndarray of shape (n_rows,), uint8
        From `slot_columns`.
    tiles : ndarray of uint64
        From `pack`.
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
        columns: list[Any],
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
        tile = features["slot"] // TILE
        tile_features = np.argsort(tile, kind="stable").astype(np.int32)
        tile_start = np.searchsorted(
            tile[tile_features], np.arange(layout.n_tiles + 1)
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
            columns,
            groups,
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
                params.min_gain,
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


def draw_key(seed: int, number: int) -> int:
    """Return the key of the random numbers of a tree: splitmix64 of both."""
    mask = (1 << 64) - 1
    x = (seed + (number + 1) * 0x9E3779B97F4A7C15) & mask
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
    return x ^ (x >> 31)


class TreeMaker:
    """Turns grown nodes into trees: codes become thresholds and sets of categories."""

    def __init__(self, table: EncodedTable, layout: Layout) -> None:
        self._n_features = table.n_features
        self._code_of = layout.code_of
        self._n_codes = np.array([c.n_codes for c in table.columns], np.int32)
        cuts = [self._cuts(column) for column in table.columns]
        self._cuts_of = np.concatenate(cuts)
        self._start = np.cumsum([0, *map(len, cuts)])[:-1]

    @staticmethod
    def _cuts(column: Column) -> NDArray[np.float64]:
        """Return the threshold behind each code."""
        if column.lower is None or column.upper is None or not len(column.upper):
            return np.full(1, np.inf)
        dtype = np.float32 if column.single else np.float64
        middle = halfway(
            column.upper[:-1].astype(dtype), column.lower[1:].astype(dtype)
        )
        return np.append(middle.astype(np.float64), np.inf)

    def make(self, nodes: NDArray[Any]) -> Tree:
        """Return the tree of the nodes that `Boosting.grow` returned.

        The weight of a node is its hessian, and impurities are such that a split
        lowers their weighted sum by its gain.
        """
        n = len(nodes)
        order, left, right = (np.empty(n, np.int32) for _ in range(3))
        kernels.order_nodes(
            np.ascontiguousarray(nodes["left"]),
            np.ascontiguousarray(nodes["right"]),
            order,
            left,
            right,
            np.empty(n + 1, np.int32),
        )
        nodes = nodes[order]
        is_leaf = left < 0
        feature = np.where(is_leaf, -2, nodes["feature"]).astype(np.int32)
        at = np.where(is_leaf | (nodes["code"] < 0), 0, nodes["feature"])
        threshold = self._cuts_of[self._start[at] + np.maximum(nodes["code"], 0)]
        threshold[is_leaf] = -2.0
        hessian = nodes["sum_hessian"]
        mean = np.divide(
            nodes["sum_gradient"], hessian, out=np.zeros(n), where=hessian > 0
        )
        share = mean * mean
        sets: dict[str, Any] = {}
        if nodes["categorical"].any():
            threshold[nodes["categorical"] > 0] = np.nan
            sets = self._sets(nodes)
        return Tree.from_arrays(
            n_features=self._n_features,
            n_classes=0,
            criterion="squared_error",
            children_left=left,
            children_right=right,
            feature=feature,
            threshold=threshold,
            missing_left=np.ascontiguousarray(nodes["missing_left"]),
            impurity=share.max() - share,
            n_node_samples=np.ascontiguousarray(nodes["n"]),
            weighted_n_node_samples=np.ascontiguousarray(hessian),
            leaf_value=nodes["value"][is_leaf],
            **sets,
        )

    def _sets(self, nodes: NDArray[Any]) -> dict[str, NDArray[Any]]:
        start = np.full(len(nodes), -1, np.int32)
        count = np.zeros(len(nodes), np.int32)
        words: list[NDArray[np.uint64]] = []
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
