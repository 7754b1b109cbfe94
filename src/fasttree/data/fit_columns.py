"""Columns that serve one fit: sorted without codes, or not even sorted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fasttree._kernels import encode
from fasttree.data.encoding import (
    MAX_FEW,
    ROW_MASK,
    Column,
    check_finite,
    encode_few,
    halfway,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fasttree.data.workspace import Workspace


class PresortedColumn(Column):
    """An exact numeric column for one fit: its values and their order, no codes.

    `codes` are the values as they came, NaN where missing, perhaps a view of the
    caller's data; they are looked up for thresholds alone. `order` is given away by
    the first `take_order`.
    """

    def __post_init__(self) -> None:
        """Leave `order` to growth, which permutes it."""

    def take(self, rows: NDArray, space: Workspace) -> Column:
        """Return the column of `rows`, indices in range."""
        values = self.codes.take(rows)
        values = values.astype(np.float32 if self.single else np.float64, copy=False)
        return presort(values, values, single=self.single, in_tile=False, space=space)

    def take_order(self, space: Workspace) -> NDArray:  # noqa: ARG002
        order = self.order
        object.__setattr__(self, "order", None)
        return order

    def thresholds_between(self, low_rows: NDArray, high_rows: NDArray) -> NDArray:
        dtype = np.float32 if self.single else np.float64
        # Adding zero turns -0.0 into 0.0.
        low = self.codes[low_rows].astype(dtype) + dtype(0)
        high = self.codes[high_rows].astype(dtype) + dtype(0)
        return np.where(np.isnan(high), np.inf, halfway(low, high).astype(np.float64))


def presort(
    values: NDArray, source: NDArray, *, single: bool, in_tile: bool, space: Workspace
) -> Column:
    """Return an exact numeric column for one fit.

    Parameters
    ----------
    values : ndarray of shape (n_rows,), float32 or float64
        Contiguous; at least one row; NaN is missing.
    source : ndarray of shape (n_rows,)
        The same values in memory that outlives the fit.
    single : bool
        Whether the raw dtype was float32 or narrower.
    in_tile : bool
        Whether a column of few values is to have codes of one byte instead.
    space : Workspace

    Returns
    -------
    Column

    Raises
    ------
    OverflowError
        If a value is infinite.
    """
    if in_tile:
        column = encode_few(values, single, MAX_FEW, space)
        if column is not None:
            return column
    order = space.new(len(values), np.uint32)
    _, n_missing = encode.presort(values, space.pairs, space.spare, order)
    n_present = len(values) - n_missing
    if n_present:
        check_finite(values[order[[0, n_present - 1]] & ROW_MASK])
    return PresortedColumn(
        codes=source,
        n_codes=0,
        n_missing=n_missing,
        lower=None,
        upper=None,
        categories=None,
        order=order,
        single=single,
        is_exact=True,
    )


class KeyColumn(Column):
    """A numeric column for drawn splits: nothing of it is sorted.

    Its codes are int32 or int64 numbers in the order of the values, see
    `fasttree._kernels.draw`; the largest stands for a missing value. It has no other
    arrays, and `n_codes` is 0.
    """

    def take(self, rows: NDArray, space: Workspace) -> Column:  # noqa: ARG002
        """Return the column of `rows`, indices in range."""
        codes = self.codes.take(rows)
        missing = np.iinfo(codes.dtype).max
        return replace(self, codes=codes, n_missing=int((codes == missing).sum()))


def encode_keys(values: NDArray, single: bool) -> KeyColumn:
    """Return a numeric column as keys; parameters and errors as `encode_numeric`."""
    values = values.astype(np.float32 if single else np.float64, copy=False)
    keys = np.empty(len(values), np.int32 if single else np.int64)
    n_missing, n_infinite = encode.value_keys(values, keys)
    if n_infinite:
        raise OverflowError("infinite value")
    return KeyColumn(
        codes=keys,
        n_codes=0,
        n_missing=n_missing,
        lower=None,
        upper=None,
        categories=None,
        order=None,
        single=single,
        is_exact=True,
    )


@dataclass(frozen=True, eq=False, repr=False)
class ValueColumn(Column):
    """A column for drawn splits that is looked at where it stands in the data.

    `codes` are its values in `matrix`, which is the caller's; it has no other arrays,
    and `n_codes` is 0.
    """

    matrix: NDArray

    def __post_init__(self) -> None:
        """Leave the caller's data as they are."""

    def take(self, rows: NDArray, space: Workspace) -> Column:  # noqa: ARG002
        """Return the column of `rows`, indices in range."""
        return encode_keys(self.codes.take(rows), self.single)


def value_columns(matrix: NDArray) -> tuple[ValueColumn, ...]:
    """Return the columns of a matrix for drawn splits.

    Parameters
    ----------
    matrix : ndarray of shape (n_rows, n_features), float32 or float64
        C-contiguous, at least one row and column.

    Raises
    ------
    OverflowError
        If a value is infinite.
    """
    n_missing = np.zeros(matrix.shape[1], np.uint32)
    if encode.scan_rows(matrix, n_missing):
        raise OverflowError("infinite value")
    return tuple(
        ValueColumn(
            codes=matrix[:, f],
            n_codes=0,
            n_missing=count,
            lower=None,
            upper=None,
            categories=None,
            order=None,
            single=matrix.dtype == np.float32,
            is_exact=True,
            matrix=matrix,
        )
        for f, count in enumerate(n_missing.tolist())
    )
