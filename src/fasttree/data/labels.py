"""Turning class labels into codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree._kernels import encode

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAX_SPAN = 1 << 16  # of integers that are looked up in a table


def encode_labels(y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """Return the distinct labels in order, and each row's place among them.

    The same as ``numpy.unique`` with ``return_inverse``, which sorts the rows;
    neither integers of a small span nor few numbers need that.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
        Finite if it holds floats; at least one row.

    Returns
    -------
    classes : ndarray of shape (n_classes,), of y's dtype
    codes : ndarray of shape (n_rows,), int32
    """
    if y.dtype.kind == "b":
        return _by_table(y, y.view(np.uint8), 0, 1)
    if y.dtype.kind in "iu":
        low, high = int(y.min()), int(y.max())
        if high - low < _MAX_SPAN:
            return _by_table(y, y, low, high)
    elif y.dtype in (np.float32, np.float64):
        codes, distinct = np.empty(len(y), np.uint8), np.empty(255, y.dtype)
        n_classes, _ = encode.code_few(np.ascontiguousarray(y), codes, distinct)
        if n_classes >= 0:
            return distinct[:n_classes].copy(), codes.astype(np.int32)
    classes, codes = np.unique(y, return_inverse=True)
    return classes, codes.astype(np.int32)


def _by_table(
    y: NDArray[Any], numbers: NDArray[Any], low: int, high: int
) -> tuple[NDArray[Any], NDArray[np.int32]]:
    wide = np.uint64 if numbers.dtype == np.uint64 else np.int64
    offsets = (numbers.astype(wide) - wide(low)).astype(np.intp)
    present = np.zeros(high - low + 1, np.bool_)
    present[offsets] = True
    found = np.flatnonzero(present)
    place = np.empty(len(present), np.int32)
    place[found] = np.arange(len(found), dtype=np.int32)
    classes = np.array([low + int(offset) for offset in found], y.dtype)
    return classes, place.take(offsets)
