"""Columns of sparse matrices for one fit: only what is not zero is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fasttree._kernels import encode
from fasttree.data.encoding import (
    MAX_FEW,
    Column,
    check_finite,
    cut_values,
    widen_bins,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fasttree.data.sources import StoredNumbers
    from fasttree.data.workspace import Workspace


@dataclass(frozen=True, eq=False, repr=False)
class SparseColumn(Column):
    """A numeric column of at most 255 codes, one of them in most rows.

    It serves one fit of boosting; `codes` is empty.

    Attributes
    ----------
    rows : ndarray of shape (n_entries,), uint32
        The other rows, ascending.
    others : ndarray of shape (n_entries,), uint8
        Their codes.
    default : int
        The code of all rows that are not in `rows`.
    size : int
        Number of all rows.
    """

    rows: NDArray[np.uint32]
    others: NDArray[np.uint8]
    default: int
    size: int

    @property
    def n_rows(self) -> int:
        return self.size

    def spread(self) -> NDArray[np.uint8]:
        """Return the codes of all rows."""
        codes = np.full(self.size, self.default, np.uint8)
        codes[self.rows] = self.others
        return codes


def encode_stored(raw: StoredNumbers, max_bins: int, space: Workspace) -> SparseColumn:
    """Encode a column of which some rows are zero, as `encode_numeric` does.

    Parameters
    ----------
    raw : StoredNumbers
        At least one row is not stored.
    max_bins : int
        At most 255.
    space : Workspace

    Raises
    ------
    OverflowError
        If a value is infinite.
    """
    values, rows = raw.values, raw.rows
    codes = np.empty(len(values), np.uint8)
    distinct = np.empty(MAX_FEW, values.dtype)
    n_codes, n_missing = encode.code_few(values, codes, distinct)
    default = int(np.searchsorted(distinct[: max(n_codes, 0)], 0))
    is_stored = default < n_codes and distinct[default] == 0
    if 0 <= n_codes <= max_bins - (not is_stored):
        lower = upper = distinct[:n_codes].astype(np.float64)
        is_exact = True
        if not is_stored:
            lower = np.empty(n_codes + 1)
            lower[:default] = distinct[:default]
            lower[default] = 0.0
            lower[default + 1 :] = distinct[default:n_codes]
            upper = lower
            codes += codes >= default
        check_finite(lower)
    else:
        lower, upper, is_exact = _place_bins(raw, max_bins, space)
        tree = np.empty(1 << (len(lower) - 1).bit_length(), dtype=values.dtype)
        bounds = upper.astype(values.dtype)
        encode.search(values, bounds, tree, codes)
        zero = np.empty(1, np.uint8)
        encode.search(np.zeros(1, values.dtype), bounds, tree, zero)
        default = int(zero[0])
        n_missing = int(np.count_nonzero(codes == len(lower)))
        is_stored = True
    if is_stored:
        is_other = codes != default
        rows, codes = rows[is_other], codes[is_other]
    return SparseColumn(
        codes=np.empty(0, np.uint8),
        n_codes=len(lower),
        n_missing=n_missing,
        lower=lower,
        upper=upper,
        categories=None,
        order=None,
        single=raw.single,
        is_exact=is_exact,
        rows=rows,
        others=codes,
        default=default,
        size=raw.n_rows,
    )


def _place_bins(
    raw: StoredNumbers, max_bins: int, space: Workspace
) -> tuple[NDArray, NDArray, bool]:
    """Return the bins that all rows would have; see `encoding`."""
    values = raw.values
    if space.samples:
        smallest, largest = np.fmin.reduce(values), np.fmax.reduce(values)
        if np.isinf([smallest, largest]).any():
            raise OverflowError("infinite value")
        sampled = values[space.is_sampled[raw.rows]]
        bins = cut_values(
            _ordered(sampled, len(space.sample) - len(sampled), space), None, max_bins
        )
        if not bins[2]:
            smallest, largest = min(smallest, 0), max(largest, 0)
            return widen_bins(*bins[:2], raw.single, smallest, largest)
    return cut_values(_ordered(values, raw.n_rows - len(values), space), None, max_bins)


def _ordered(values: NDArray, n_zeros: int, space: Workspace) -> NDArray:
    """Return the values that are not missing, and zeros, sorted."""
    ordered = space.values(values.dtype)
    n = 0
    if len(values):
        n = encode.sort_values(values, space.pairs, space.spare, ordered)
    check_finite(ordered[:n])
    at = int(np.searchsorted(ordered[:n], 0))
    ordered[at + n_zeros : n + n_zeros] = ordered[at:n].copy()
    ordered[at : at + n_zeros] = 0
    return ordered[: n + n_zeros]
