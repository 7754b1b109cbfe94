"""Turning one column into integer codes."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from fasttree._kernels import encode
from fasttree.data.workspace import Workspace

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Entries of an order are rows in their low 30 bits, flags in the two above.
MAX_ROWS = 2**29  # growth keeps three flags beside a row in 32 bits
ROW_MASK = np.uint32((1 << 30) - 1)

#: Columns of at most this many codes, missing included, have no `order`.
MAX_CODES_WITHOUT_ORDER = 256

#: Columns of at most this many values are not sorted to be coded.
MAX_FEW = 255


def code_dtype(n_codes: int) -> np.dtype:
    """Return the narrowest dtype that holds `n_codes` codes and the missing one."""
    for dtype in (np.uint8, np.uint16):
        if n_codes <= np.iinfo(dtype).max:
            return np.dtype(dtype)
    return np.dtype(np.uint32)


@dataclass(frozen=True, eq=False, repr=False)
class Column:
    """One column as integer codes; its arrays are read-only.

    Attributes
    ----------
    codes : ndarray of shape (n_rows,), uint8, uint16 or uint32
        The narrowest dtype that holds ``n_codes + 1`` values. ``0`` to
        ``n_codes - 1`` stand for values in their order; ``n_codes`` stands for a
        missing value and is always reserved.
    n_codes : int
        Number of distinct values, bins or categories.
    n_missing : int
        Number of rows that are missing.
    lower, upper : ndarray of shape (n_codes,), float64, or None
        Bounds of the training values of each code of a numeric column: the
        smallest and the largest one, or neighbouring numbers where the bins were
        placed by a sample. One and the same array if the codes are exact. None
        for a categorical column.
    categories : ndarray of shape (n_codes,) or None
        Categories in code order; None for a numeric column.
    order : ndarray of shape (n_rows,), uint32, or None
        Rows in order of code, then of row, for numeric columns with more than 255
        codes. Bit 31 is set where the code differs from the entry before, bit 30
        where the row is missing.
    single : bool
        Whether every value of the raw dtype is a float32 value, so that
        thresholds must be float32 values too.
    is_exact : bool
        Whether each distinct value has a code of its own.
    """

    codes: NDArray
    n_codes: int
    n_missing: int
    lower: NDArray | None
    upper: NDArray | None
    categories: NDArray | None
    order: NDArray | None
    single: bool
    is_exact: bool

    def __post_init__(self) -> None:
        for array in self._arrays():
            array.flags.writeable = False

    def _arrays(self) -> list[NDArray]:
        arrays = (self.codes, self.lower, self.upper, self.categories, self.order)
        return [array for array in arrays if isinstance(array, np.ndarray)]

    def __reduce__(self) -> tuple:
        return _restore, tuple(getattr(self, field.name) for field in fields(self))

    def __repr__(self) -> str:
        kind = "categorical" if self.is_categorical else "numeric"
        return (
            f"Column({kind}, n_rows={len(self.codes)}, n_codes={self.n_codes}, "
            f"n_missing={self.n_missing}, dtype={self.codes.dtype})"
        )

    @property
    def n_rows(self) -> int:
        return len(self.codes)

    @property
    def is_categorical(self) -> bool:
        return self.categories is not None

    @property
    def nbytes(self) -> int:
        """Bytes that the arrays hold; an array that is two fields counts once."""
        return sum({id(array): array.nbytes for array in self._arrays()}.values())

    @property
    def fits_tile(self) -> bool:
        """Whether it is numeric and its codes are bytes."""
        return self.codes.dtype == np.uint8 and not self.is_categorical

    def take_order(self, space: Workspace) -> NDArray:
        """Return the rows in order of their codes, as `order`, for the caller."""
        order = space.new(len(self.codes), np.uint32)
        if self.order is None:
            encode.order_codes(
                self.codes, self.n_codes, space.pairs, space.spare, order
            )
        else:
            order[:] = self.order
        return order

    def thresholds_between(self, low_rows: NDArray, high_rows: NDArray) -> NDArray:
        """Return thresholds between the values of two rows of a numeric column.

        Exact columns are cut half-way between the two values; binned ones at the
        middle one of the cuts between the two bins. Missing values alone on the
        right are cut off by infinity.

        Parameters
        ----------
        low_rows, high_rows : ndarray of shape (n_splits,)
            A row whose value is the largest that goes left, and one whose value
            is the smallest that goes right, or is missing.

        Returns
        -------
        ndarray of shape (n_splits,), float64
            Values of float32 for a float32 column.
        """
        low = self.codes[low_rows].astype(np.int64)
        high = self.codes[high_rows].astype(np.int64)
        if not self.is_exact:
            low = low + (np.minimum(high, self.n_codes) - 1 - low) // 2
            high = low + 1
        past = high >= self.n_codes
        dtype = np.float32 if self.single else np.float64
        a = self.upper[low].astype(dtype)  # type: ignore[index]
        b = self.lower[np.where(past, low, high)].astype(dtype)  # type: ignore[index]
        return np.where(past, np.inf, halfway(a, b).astype(np.float64))

    def take(self, rows: NDArray, space: Workspace) -> Column:
        """Return the column of `rows`, indices in range; codes keep their meaning."""
        codes = space.new(len(rows), self.codes.dtype)
        # The rows are in range; only without a check does NumPy not buffer `out`.
        self.codes.take(rows, out=codes, mode="wrap")
        return Column(
            codes=codes,
            n_codes=self.n_codes,
            n_missing=int(np.count_nonzero(codes == self.n_codes)),
            lower=self.lower,
            upper=self.upper,
            categories=self.categories,
            order=None
            if self.is_categorical
            else _order_codes(codes, self.n_codes, space),
            single=self.single,
            is_exact=self.is_exact,
        )


def _restore(*state: object) -> Column:
    """Make a column from unpickled state.

    Raises
    ------
    ValueError
        If the state does not fit together; kernels index with it.
    """
    column = Column(*state)  # type: ignore[arg-type]
    problem = _find_problem(column)
    if problem:
        raise ValueError(f"Column state is not valid: {problem}")
    return column


def _find_problem(column: Column) -> str | None:
    codes, n_codes = column.codes, column.n_codes
    if not isinstance(n_codes, int) or not 0 <= n_codes < MAX_ROWS:
        return f"n_codes is {n_codes!r}"
    if not _is_vector(codes, None, code_dtype(n_codes)) or not len(codes):
        return "codes have the wrong shape or dtype"
    if codes.max() > n_codes:
        return "a code is above n_codes"
    if column.n_missing != np.count_nonzero(codes == n_codes):
        return "n_missing does not match the codes"
    if column.is_categorical:
        if not _is_vector(column.categories, n_codes, None):
            return "categories have the wrong shape"
        return None if column.order is None else "a categorical column has an order"
    for name in ("lower", "upper"):
        if not _is_vector(getattr(column, name), n_codes, np.dtype(np.float64)):
            return f"{name} has the wrong shape or dtype"
    order = _order_codes(codes, n_codes, Workspace(len(codes)))
    if order is None or column.order is None:
        return None if order is column.order else "order is missing or should be"
    if not (
        _is_vector(column.order, len(codes), order.dtype)
        and np.array_equal(column.order, order)
    ):
        return "order does not match the codes"
    return None


def _is_vector(array: object, size: int | None, dtype: np.dtype | None) -> bool:
    return (
        isinstance(array, np.ndarray)
        and array.ndim == 1
        and array.flags.c_contiguous
        and (size is None or len(array) == size)
        and (dtype is None or array.dtype == dtype)
    )


def _order_codes(codes: NDArray, n_codes: int, space: Workspace) -> NDArray | None:
    """Return the order of a numeric column, None if it has too few codes for one."""
    if n_codes + 1 <= MAX_CODES_WITHOUT_ORDER:
        return None
    order = space.new(len(codes), np.uint32)
    encode.order_codes(codes, n_codes, space.pairs, space.spare, order)
    return order


def encode_numeric(
    values: NDArray,
    *,
    single: bool,
    max_bins: int | None,
    sample_weight: NDArray | None,
    space: Workspace,
) -> Column:
    """Encode a numeric column.

    Parameters
    ----------
    values : ndarray of shape (n_rows,), float32 or float64
        Contiguous; at least one row; NaN is missing.
    single : bool
        Whether the raw dtype was float32 or narrower.
    max_bins : int or None
        None gives each distinct value a code. Otherwise columns of more distinct
        values than this are cut into at most so many bins.
    sample_weight : ndarray of shape (n_rows,), float64, or None
        Weights that the bins balance; rows of weight zero take no part in placing
        them. Not used if `max_bins` is None.
    space : Workspace

    Returns
    -------
    Column

    Raises
    ------
    OverflowError
        If a value is infinite.
    """
    if sample_weight is None or max_bins is None:
        column = encode_few(values, single, max_bins or MAX_FEW, space)
        if column is not None:
            return column
    if max_bins is None:
        return _encode_exact(values, single, space)
    return _encode_bins(values, single, max_bins, sample_weight, space)


def encode_few(
    values: NDArray, single: bool, most: int, space: Workspace
) -> Column | None:
    """Return the exact column of at most `most` values, or None, without sorting."""
    codes = space.codes
    distinct = np.empty(MAX_FEW, values.dtype)
    n_codes, n_missing = encode.code_few(values, codes, distinct)
    if not 0 <= n_codes <= most:
        return None
    values_of = distinct[:n_codes].astype(np.float64)
    check_finite(values_of)
    return Column(
        codes=space.keep(codes),
        n_codes=n_codes,
        n_missing=n_missing,
        lower=values_of,
        upper=values_of,
        categories=None,
        order=None,
        single=single,
        is_exact=True,
    )


def _encode_exact(values: NDArray, single: bool, space: Workspace) -> Column:
    n_codes, n_missing = encode.presort(values, space.pairs, space.spare, space.order)
    codes = space.new(len(values), code_dtype(n_codes))
    distinct = space.new(n_codes, np.float64)
    encode.rank(space.order, values, codes, distinct)
    check_finite(distinct)
    return Column(
        codes=codes,
        n_codes=n_codes,
        n_missing=n_missing,
        lower=distinct,
        upper=distinct,
        categories=None,
        order=space.keep(space.order),
        single=single,
        is_exact=True,
    )


def check_finite(ordered: NDArray) -> None:
    if len(ordered) and (math.isinf(ordered[0]) or math.isinf(ordered[-1])):
        raise OverflowError("infinite value")


def _encode_bins(
    values: NDArray,
    single: bool,
    max_bins: int,
    sample_weight: NDArray | None,
    space: Workspace,
) -> Column:
    bins = None
    if space.samples:
        bins = _place_bins_by_sample(values, single, max_bins, sample_weight, space)
    if bins is None:
        bins = _place_bins(values, max_bins, sample_weight, space)
    lower, upper, is_exact = bins
    n_codes = len(lower)
    codes = space.new(len(values), code_dtype(n_codes))
    if n_codes:
        tree = np.empty(1 << (n_codes - 1).bit_length(), dtype=values.dtype)
        encode.search(values, upper.astype(values.dtype), tree, codes)
    else:
        codes[:] = 0
    return Column(
        codes=codes,
        n_codes=n_codes,
        n_missing=int(np.count_nonzero(codes == n_codes)),
        lower=lower,
        upper=upper,
        categories=None,
        order=_order_codes(codes, n_codes, space),
        single=single,
        is_exact=is_exact,
    )


def _place_bins(
    values: NDArray, max_bins: int, sample_weight: NDArray | None, space: Workspace
) -> tuple[NDArray, NDArray, bool]:
    """Return the smallest and the largest value of each bin, and if they are one."""
    ordered, cumulative = _values_that_count(values, sample_weight, space)
    check_finite(ordered)
    return cut_values(ordered, cumulative, max_bins)


def cut_values(
    ordered: NDArray, cumulative: NDArray | None, max_bins: int
) -> tuple[NDArray, NDArray, bool]:
    """Return the smallest and the largest value of each bin, and if they are one.

    `cumulative` are the weights of the sorted values, None for weights of one.
    """
    lower = upper = np.empty(0)
    is_exact = True
    if len(ordered):
        capacity = min(max_bins, len(ordered))
        lower, upper = np.empty(capacity), np.empty(capacity)
        heavy = np.empty(max_bins + 1, dtype=np.intp)
        n_codes, is_exact = encode.cut(
            ordered, cumulative, len(ordered), max_bins, lower, upper, heavy
        )
        lower = lower[:n_codes].copy()
        upper = lower if is_exact else upper[:n_codes].copy()
    return lower, upper, is_exact


def _place_bins_by_sample(
    values: NDArray,
    single: bool,
    max_bins: int,
    sample_weight: NDArray | None,
    space: Workspace,
) -> tuple[NDArray, NDArray, bool] | None:
    """Return bins that a sample of the rows fills evenly, None if it has too few.

    What all rows have between the values of the sample lies on either side of a
    bound half-way between them.
    """
    smallest, largest = np.fmin.reduce(values), np.fmax.reduce(values)
    if np.isinf([smallest, largest]).any():
        raise OverflowError("infinite value")
    rows = space.sample
    lower, upper, is_exact = _place_bins(
        values[rows],
        max_bins,
        None if sample_weight is None else sample_weight[rows],
        space,
    )
    if is_exact:  # the other rows may hold values that the sample has not
        return None
    return widen_bins(lower, upper, single, smallest, largest)


def widen_bins(
    lower: NDArray, upper: NDArray, single: bool, smallest: float, largest: float
) -> tuple[NDArray, NDArray, bool]:
    """Let the bins of a sample meet half-way, and hold all rows' values."""
    dtype = np.dtype(np.float32 if single else np.float64)
    bounds = halfway(upper[:-1].astype(dtype), lower[1:].astype(dtype))
    lower[1:] = np.nextafter(bounds, dtype.type(np.inf))
    upper[:-1] = bounds
    lower[0], upper[-1] = smallest + 0.0, largest + 0.0
    return lower, upper, False


def halfway(low: NDArray, high: NDArray) -> NDArray:
    """Return the middle of [low, high) in their dtype, `low` where it has none."""
    middle = low / 2 + high / 2
    return np.where((middle >= high) | (middle < low), low, middle)


def _values_that_count(
    values: NDArray, sample_weight: NDArray | None, space: Workspace
) -> tuple[NDArray, NDArray | None]:
    """Return the sorted values that are neither missing nor of weight zero.

    With them come their cumulative weights, None for weights of one.
    """
    ordered = space.values(values.dtype)
    if sample_weight is not None:
        order = space.order[: len(values)]
        _, n_missing = encode.presort(values, space.pairs, space.spare, order)
        n_present = len(values) - n_missing
        check_finite(values[order[[0, n_present - 1]] & ROW_MASK])
        cumulative = np.empty(len(values) + 1)
        n = encode.take_weighted(order, values, sample_weight, ordered, cumulative)
        if n:
            return ordered[:n], cumulative
        # Nothing that has a weight has a value: the values still need a code.
    n = encode.sort_values(values, space.pairs, space.spare, ordered)
    return ordered[:n], None


def encode_categories(positions: NDArray, labels: list) -> Column:
    """Encode a column of labels.

    Parameters
    ----------
    positions : ndarray of shape (n_rows,), signed integer
        Where each row's label stands in `labels`; negative is missing.
    labels : list
        Labels, each once, in any order; those that no row has are dropped.

    Returns
    -------
    Column
    """
    is_missing = positions < 0
    counts = np.bincount(positions[~is_missing], minlength=len(labels))
    used = sort_labels([i for i in range(len(labels)) if counts[i]], labels)
    n_codes = len(used)
    # Position -1 picks the last entry: the missing code.
    code_of = np.full(len(labels) + 1, n_codes, dtype=code_dtype(n_codes))
    code_of[used] = np.arange(n_codes)
    return Column(
        codes=code_of[positions],
        n_codes=n_codes,
        n_missing=int(np.count_nonzero(is_missing)),
        lower=None,
        upper=None,
        categories=as_label_array([labels[i] for i in used]),
        order=None,
        single=True,
        is_exact=True,
    )


def sort_labels(positions: list[int], labels: list) -> list[int]:
    """Return `positions` sorted by label; labels of different types by type first."""
    try:
        return sorted(positions, key=lambda i: labels[i])
    except TypeError:
        return sorted(positions, key=lambda i: _type_and_text(labels[i]))


def _type_and_text(label: object) -> tuple[str, str]:
    return type(label).__name__, str(label)


def as_label_array(labels: list) -> NDArray:
    """Return labels as an array: numbers as numbers, anything else as objects."""
    if labels and all(type(label) is type(labels[0]) for label in labels):
        array = np.asarray(labels)
        if array.dtype.kind in "biuf" and array.ndim == 1:
            return array
    return np.fromiter(labels, dtype=object, count=len(labels))
