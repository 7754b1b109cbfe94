"""A table's codes as boosting reads them: a byte a column, a byte for several, or rows.

Columns that have one code in most rows share a byte where they never meet. Those that
meet others are held by their other codes alone (`sparse_features`).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree import threads
from fasttree._kernels import tiles as kernels
from fasttree.data.sparse_columns import SparseColumn
from fasttree.ensembles.sparse_features import SparseFeatures

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fasttree.data.encoding import Column
    from fasttree.data.table import EncodedTable
    from fasttree.ensembles.sparse_features import Entries

#: Codes of a column, missing ones not counted: a code is a byte.
MAX_CODES = 255

#: Columns with one code in so many of their rows may share a byte with others.
DEFAULT_SHARE = 0.5

#: Rows that are looked at for that.
SAMPLE_ROWS = 1024

#: Bundles that are tried, the latest ones: a bit each.
MAX_TRIED = 64

#: A byte with something else than defaults in less of the rows may be held sparse.
SPARSE_SHARE = 0.25

#: What counting an entry and a row of sparse columns costs, in bytes of a row.
ENTRY_COST = 1.5
ROW_COST = 8.0

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
class Layout:
    """Where each column's codes stand in the tiles.

    Attributes
    ----------
    features : ndarray of shape (n_features,), FEATURE
    slots : ndarray of shape (8 * n_tiles + n_sparse,), SLOT
        Those of the tiles' bytes, then those of the sparse columns.
    columns : list of (ndarray of shape (n_rows,), uint8, or None)
        The bytes of each slot of the tiles, None for a slot without a column.
    sparse : SparseFeatures
    code_of : list of (ndarray or None)
        For a categorical column of many categories the byte of each of its codes;
        the rarest ones share one. None where codes are bytes as they are.
    """

    features: NDArray[Any]
    slots: NDArray[Any]
    columns: list[Any]
    sparse: SparseFeatures
    code_of: list[NDArray[np.uint8] | None]

    @property
    def n_tiles(self) -> int:
        return len(self.columns) // TILE


@dataclass
class _Bundle:
    """Columns of which at most one is away from its default in each row.

    Byte 0 stands for all defaults; then come the other codes of the first column, of
    the second, and so on. A column alone keeps its codes. `n_entries` is the number of
    rows with another byte, all rows where there is no default.
    """

    n_entries: int
    columns: list[int] = field(default_factory=list)
    n_bytes: int = 1


def make_layout(table: EncodedTable) -> Layout:
    """Give each column of a table a byte of a tile, or a share of one.

    Raises
    ------
    ValueError
        If a numeric column has more than 255 codes.
    """
    features = np.zeros(table.n_features, FEATURE)
    code_of = [_byte_of_category(column) for column in table.columns]
    for f, column in enumerate(table.columns):
        mapped = code_of[f]
        n_codes = column.n_codes if mapped is None else int(mapped[-1])
        has_missing = column.n_missing > 0
        features[f] = (f, 0, -1, n_codes, has_missing, column.is_categorical, 0, 0)
    others = _Others(table)
    bundles = _bundle(others, features)
    held = _choose_sparse(bundles, table.n_rows)
    bundles = [bundle for bundle in bundles if bundle.columns[0] not in held]
    n_slots = -(-len(bundles) // TILE) * TILE
    slots = np.zeros(n_slots, SLOT)
    columns: list[Any] = [None] * n_slots
    offset = 0
    for slot, bundle in enumerate(bundles):
        features["slot"][bundle.columns] = slot
        if len(bundle.columns) > 1:
            columns[slot] = np.zeros(table.n_rows, np.uint8)
            for f in bundle.columns:
                rows, codes = others.of(f, features["default_code"][f])
                kernels.write_bytes(rows, codes, _bytes_of(features[f]), columns[slot])
            n_bins = bundle.n_bytes
        else:
            f = bundle.columns[0]
            codes, mapped = _codes_of(table.columns[f]), code_of[f]
            columns[slot] = codes if mapped is None else mapped[codes]
            n_bins = int(features["n_codes"][f]) + int(features["has_missing"][f])
            features["default_code"][f] = -1
            features["first"][f] = 0
        slots[slot] = (offset, n_bins, 0)
        offset += n_bins
    sparse, more = _hold_sparse(sorted(held), others, features, n_slots, offset)
    return Layout(features, np.append(slots, more), columns, sparse, code_of)


def _hold_sparse(
    held: list[int], others: _Others, features: NDArray[Any], n_slots: int, n_cells: int
) -> tuple[SparseFeatures, NDArray[Any]]:
    """Return the entries of columns, and slots for them behind those of the tiles."""
    features["slot"][held] = np.arange(n_slots, n_slots + len(held))
    features["first"][held] = 1
    entries = []
    for f in held:
        rows, codes = others.of(f, features["default_code"][f])
        # Byte 1 is the first code but the default.
        entries.append((rows, codes + (codes < features["default_code"][f])))
    n_bytes = (features["n_codes"] + features["has_missing"])[held].tolist()
    sparse = SparseFeatures.of_columns(entries, n_bytes, others.n_rows)
    slots = np.zeros(len(held), SLOT)
    slots["offset"] = n_cells + sparse.cell[:-1].astype(np.int64)
    slots["n_bins"] = n_bytes
    return sparse, slots


def _codes_of(column: Column) -> NDArray[Any]:
    return column.spread() if isinstance(column, SparseColumn) else column.codes


class _Others:
    """The rows of a table's columns that are away from a default, and their codes."""

    def __init__(self, table: EncodedTable) -> None:
        self.columns = table.columns
        self.n_rows = table.n_rows
        self._rows = np.empty(table.n_rows, np.uint32)
        self._codes = np.empty(table.n_rows, np.uint8)
        self._few: dict[int, Entries] = {}

    def of(self, f: int, default: int) -> Entries:
        """Return a column's; they are valid until the next call."""
        if f in self._few:
            return self._few[f]
        column = self.columns[f]
        if isinstance(column, SparseColumn):
            return column.rows, column.others
        codes = column.codes
        count = kernels.list_entries(codes, default, self._rows, self._codes)
        entries = self._rows[:count], self._codes[:count]
        if count <= SPARSE_SHARE * self.n_rows:
            self._few[f] = entries[0].copy(), entries[1].copy()
        return entries


def _bytes_of(feature: Any) -> NDArray[np.uint8]:
    """Return the byte of each code of a column that has a default."""
    n_codes = int(feature["n_codes"]) + int(feature["has_missing"])
    bytes_of = np.zeros(256, np.uint8)
    others = np.delete(np.arange(n_codes), int(feature["default_code"]))
    bytes_of[others] = int(feature["first"]) + np.arange(len(others))
    return bytes_of


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


def _bundle(others: _Others, features: NDArray[Any]) -> list[_Bundle]:
    """Group the columns, and note where their codes stand in a shared byte.

    Each column of a frequent default joins the first bundle that it never meets (Ke
    et al., "LightGBM", NIPS 2017, without their conflicts: splits stay exact).
    """
    bundles: list[_Bundle] = []
    tried: list[_Bundle] = []
    room = np.full(MAX_TRIED, -1, np.int32)
    occupied = np.zeros(others.n_rows, np.uint64)
    n_shared = 0
    for f, column in enumerate(others.columns):
        default = _default_of(column)
        if default is None:
            bundles.append(_Bundle(others.n_rows, [f]))
            continue
        n_others = int(features["n_codes"][f]) + int(features["has_missing"][f]) - 1
        rows = others.of(f, default)[0]
        at = kernels.find_bundle(rows, occupied, room, n_others)
        if at < 0:
            at = n_shared % MAX_TRIED
            if n_shared >= MAX_TRIED:
                for old in tried[at].columns:
                    old_rows = others.of(old, features["default_code"][old])[0]
                    kernels.mark_bundle(old_rows, occupied, at, False)
                rows = others.of(f, default)[0]
            bundle = _Bundle(0)
            tried[at : at + 1] = [bundle]
            bundles.append(bundle)
            n_shared += 1
        bundle = tried[at]
        kernels.mark_bundle(rows, occupied, at, True)
        features["first"][f] = bundle.n_bytes
        features["default_code"][f] = default
        bundle.columns.append(f)
        bundle.n_bytes += n_others
        bundle.n_entries += len(rows)
        room[at] = 256 - bundle.n_bytes
    return bundles


def _choose_sparse(bundles: list[_Bundle], n_rows: int) -> set[int]:
    """Return the columns that are better held by their entries than as bytes."""
    light = [b for b in bundles if b.n_entries <= SPARSE_SHARE * n_rows]
    entries = sum(bundle.n_entries for bundle in light) / n_rows
    if len(light) < ENTRY_COST * entries + ROW_COST:
        return set()
    return {f for bundle in light for f in bundle.columns}


def _default_of(column: Column) -> int | None:
    """Return the code that most rows of a numeric column have, None if few do."""
    if column.is_categorical:
        return None
    if isinstance(column, SparseColumn):
        share = 1 - len(column.rows) / column.n_rows
        return column.default if share >= DEFAULT_SHARE else None
    codes = column.codes[:: -(-len(column.codes) // SAMPLE_ROWS)]
    counts = np.bincount(codes)
    default = int(counts.argmax())
    return default if counts[default] >= DEFAULT_SHARE * len(codes) else None


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
