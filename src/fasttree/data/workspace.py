"""Buffers for encoding columns, memory for what comes of it, and rows for a sample."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

#: Of more rows than this, as many are drawn to place the bins of a column.
SAMPLE_ROWS = 200_000


class Workspace:
    """Buffers for encoding one column after another, and memory for the results.

    Results are cut from large chunks: memory of more than 4 MiB comes in huge
    pages, where the system has them, and is filled in far less time than small
    pages are.

    Parameters
    ----------
    n_rows : int
    n_columns : int, default=1
        How many columns are expected at most; it bounds the size of a chunk.
    """

    LARGEST_CHUNK = 2**25
    SMALLEST_CHUNK = 2**22
    ALIGNMENT = 64

    def __init__(self, n_rows: int, n_columns: int = 1) -> None:
        self.pairs = np.empty(n_rows, dtype=np.uint64)
        self.spare = np.empty(n_rows, dtype=np.uint64)
        self.order = np.empty(n_rows, dtype=np.uint32)
        self._values = np.empty(n_rows, dtype=np.float64)
        self.codes = np.empty(n_rows, dtype=np.uint8)
        self._sample: NDArray[np.int64] | None = None
        self._is_sampled: NDArray[np.bool_] | None = None
        # A row of a column takes at most 4 + 4 + 8 bytes.
        self._chunk_size = min(self.LARGEST_CHUNK, 16 * n_rows * n_columns)
        self._chunk = np.empty(0, dtype=np.uint8)

    def values(self, dtype: np.dtype) -> NDArray:
        """Return the buffer for the values of a column."""
        return self._values.view(dtype)[: len(self._values)]

    @property
    def samples(self) -> bool:
        """Whether a sample of the rows places the bins of a column."""
        return len(self.order) > SAMPLE_ROWS

    @property
    def sample(self) -> NDArray[np.int64]:
        """Rows that place the bins, see `draw_sample`."""
        if self._sample is None:
            self._sample = draw_sample(len(self.order))
        return self._sample

    @property
    def is_sampled(self) -> NDArray[np.bool_]:
        """Mask of those rows."""
        if self._is_sampled is None:
            self._is_sampled = np.zeros(len(self.order), bool)
            self._is_sampled[self.sample] = True
        return self._is_sampled

    def new(self, size: int, dtype: np.dtype | type) -> NDArray:
        """Return an uninitialized array that the caller may keep."""
        n_bytes = size * np.dtype(dtype).itemsize
        if self._chunk_size < self.SMALLEST_CHUNK or n_bytes > self._chunk_size:
            return np.empty(size, dtype=dtype)
        if n_bytes > len(self._chunk):
            self._chunk = np.empty(self._chunk_size, dtype=np.uint8)
        array = self._chunk[:n_bytes].view(dtype)
        self._chunk = self._chunk[-(-n_bytes // self.ALIGNMENT) * self.ALIGNMENT :]
        return array

    def keep(self, array: NDArray) -> NDArray:
        """Return a copy that the caller may keep."""
        copy = self.new(len(array), array.dtype)
        copy[:] = array
        return copy


class Workspaces:
    """A workspace for each thread at work, made when first needed.

    Parameters
    ----------
    n_rows, n_columns : int
        As for `Workspace`.
    """

    def __init__(self, n_rows: int, n_columns: int) -> None:
        self._shape = n_rows, n_columns
        self._idle: list[Workspace] = []

    @contextmanager
    def borrow(self) -> Iterator[Workspace]:
        try:
            space = self._idle.pop()
        except IndexError:
            space = Workspace(*self._shape)
        try:
            yield space
        finally:
            self._idle.append(space)


def draw_sample(n_rows: int) -> NDArray[np.int64]:
    """Return `SAMPLE_ROWS` rows in order, one from each of as many equal stretches.

    A hash of the stretch's number picks its row, so that no period of the data can
    fall in step with the sample, and the same rows are drawn each time.
    """
    stretch = np.arange(SAMPLE_ROWS + 1, dtype=np.int64)
    start = stretch * n_rows // SAMPLE_ROWS
    # The finalizer of splitmix64 (Steele, Lea and Flood 2014).
    key = stretch[:-1].astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    key ^= key >> np.uint64(31)
    width = np.diff(start).astype(np.uint64)
    return start[:-1] + (key % width).astype(np.int64)
