"""Columns that have one code in most rows: the other entries, by column and by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fasttree._kernels import tiles as kernels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    #: Rows of a column's entries, ascending, and their bytes, from 1.
    Entries = tuple[NDArray[np.uint32], NDArray[np.uint8]]


@dataclass(frozen=True)
class SparseFeatures:
    """Columns of which the rows away from their default are held.

    In a leaf's sums each of them has a cell for every code but the default; byte 1
    is the first. Cell 0 is no column's.

    Attributes
    ----------
    cell : ndarray of shape (n_columns + 1,), uint32
        The cell before that of byte 1, and at the end the last one of all.
    column_start : ndarray of shape (n_columns + 1,), int64
    column_rows : ndarray of shape (n_entries,), uint32
        Ascending in a column.
    column_bytes : ndarray of shape (n_entries,), uint8
    row_start : ndarray of shape (n_rows + 1,), int64
    row_cells : ndarray of shape (n_entries,), uint32
        Ascending in a row.
    """

    cell: NDArray[np.uint32]
    column_start: NDArray[np.int64]
    column_rows: NDArray[np.uint32]
    column_bytes: NDArray[np.uint8]
    row_start: NDArray[np.int64]
    row_cells: NDArray[np.uint32]

    @classmethod
    def of_columns(
        cls, entries: list[Entries], n_bytes: list[int], n_rows: int
    ) -> SparseFeatures:
        """Take each column's entries; `n_bytes` counts its bytes, 0 among them."""
        cell = np.cumsum([0, *(n - 1 for n in n_bytes)]).astype(np.uint32)
        start = np.cumsum([0, *(len(rows) for rows, _ in entries)]).astype(np.int64)
        rows = np.concatenate([np.zeros(0, np.uint32), *(rows for rows, _ in entries)])
        bytes_ = np.concatenate(
            [np.zeros(0, np.uint8), *(other for _, other in entries)]
        )
        row_start = np.empty(n_rows + 1, np.int64)
        row_cells = np.empty(len(rows), np.uint32)
        kernels.sort_by_row(start, rows, bytes_, cell[:-1], row_start, row_cells)
        return cls(cell, start, rows, bytes_, row_start, row_cells)

    def __len__(self) -> int:
        return len(self.cell) - 1

    @property
    def n_cells(self) -> int:
        """Cells of a leaf's sums, that of no column too; 0 if there is no column."""
        return int(self.cell[-1]) + 1 if len(self) else 0
