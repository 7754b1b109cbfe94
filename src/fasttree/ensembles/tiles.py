"""A table's codes as boosting reads them: a byte a column, or a byte for several."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree import threads
from fasttree._kernels import tiles as kernels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fasttree.data.encoding import Column
    from fasttree.data.table import EncodedTable

#: Codes of a column, missing ones not counted: a code is a byte.
MAX_CODES = 255

#: Columns with one code in so many of their rows may share a byte with others.
DEFAULT_SHARE = 0.5

#: Rows that are looked at for that.
SAMPLE_ROWS = 1024

#: Bundles that are tried, the latest ones.
MAX_TRIED = 100

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
    slots : ndarray of shape (8 * n_tiles,), SLOT
    columns : list of (ndarray of shape (n_rows,), uint8, or None)
        The bytes of each slot, None for a slot without a column.
    code_of : list of (ndarray or None)
        For a categorical column of many categories the byte of each of its codes;
        the rarest ones share one. None where codes are bytes as they are.
    """

    features: NDArray[Any]
    slots: NDArray[Any]
    columns: list[Any]
    code_of: list[NDArray[np.uint8] | None]

    @property
    def n_tiles(self) -> int:
        return len(self.slots) // TILE


@dataclass
class _Bundle:
    """Columns of which at most one is away from its default in each row.

    Byte 0 stands for all defaults; then come the other codes of the first column, of
    the second, and so on. A column alone keeps its codes, `codes` then.
    """

    codes: Any
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
    bundles = _bundle(table.columns, features)
    n_slots = -(-len(bundles) // TILE) * TILE
    slots = np.zeros(n_slots, SLOT)
    columns: list[Any] = [None] * n_slots
    offset = 0
    for slot, bundle in enumerate(bundles):
        features["slot"][bundle.columns] = slot
        if len(bundle.columns) > 1:
            columns[slot], n_bins = bundle.codes, bundle.n_bytes
        else:
            f = bundle.columns[0]
            codes, mapped = table.columns[f].codes, code_of[f]
            columns[slot] = codes if mapped is None else mapped[codes]
            n_bins = int(features["n_codes"][f]) + int(features["has_missing"][f])
            features["default_code"][f] = -1
            features["first"][f] = 0
        slots[slot] = (offset, n_bins, 0)
        offset += n_bins
    return Layout(features, slots, columns, code_of)


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


def _bundle(columns: list[Column], features: NDArray[Any]) -> list[_Bundle]:
    """Group the columns, and note where their codes stand in a shared byte.

    Each column of a frequent default joins the first bundle that it never meets (Ke
    et al., "LightGBM", NIPS 2017, without their conflicts: splits stay exact).
    """
    bundles = []
    shared: list[_Bundle] = []
    for f, column in enumerate(columns):
        default = _default_of(column)
        if default is None:
            bundles.append(_Bundle(None, [f]))
            continue
        n_bytes = int(features["n_codes"][f]) + int(features["has_missing"][f])
        tried = [b for b in shared[-MAX_TRIED:] if b.n_bytes + n_bytes - 1 <= 256]
        at = kernels.find_bundle(column.codes, default, [b.codes for b in tried])
        if at >= 0:
            bundle = tried[at]
        else:
            bundle = _Bundle(np.zeros(len(column.codes), np.uint8))
            shared.append(bundle)
            bundles.append(bundle)
        others = np.delete(np.arange(n_bytes), default)
        bytes_of = np.zeros(256, np.uint8)
        bytes_of[others] = bundle.n_bytes + np.arange(n_bytes - 1)
        kernels.join_bundle(column.codes, bytes_of, bundle.codes)
        features["first"][f] = bundle.n_bytes
        features["default_code"][f] = default
        bundle.columns.append(f)
        bundle.n_bytes += n_bytes - 1
    return bundles


def _default_of(column: Column) -> int | None:
    """Return the code that most rows of a numeric column have, None if few do."""
    if column.is_categorical:
        return None
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
