"""Reading arrays, sparse matrices and data frames, some columns at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import narwhals.stable.v2 as nw
import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_array

from fasttree._kernels import encode
from fasttree.threads import run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

#: Integers of larger magnitude are not all float64 values, as thresholds are.
MAX_INTEGER = 2**53

#: Values below which starting threads costs more than it saves.
SERIAL_BELOW = 50_000

_LABEL_DTYPES = (nw.Categorical, nw.Enum, nw.String, nw.Object)
_SINGLE_DTYPES = (nw.Float32, nw.Int8, nw.Int16, nw.UInt8, nw.UInt16, nw.Boolean)


@dataclass(frozen=True)
class Numbers:
    """A numeric column as float32 or float64, NaN where missing."""

    name: str
    values: NDArray
    single: bool
    source: NDArray | None  # the same values in memory that stays, or None


@dataclass(frozen=True)
class Labels:
    """A categorical column: each row's position in `labels`, -1 where missing."""

    name: str
    positions: NDArray
    labels: list


@dataclass(frozen=True)
class StoredNumbers:
    """A numeric column of a sparse matrix: its stored values, ascending by row."""

    name: str
    values: NDArray
    rows: NDArray[np.uint32]
    n_rows: int
    single: bool


class ArraySource:
    """A two-dimensional array."""

    feature_names = None

    def __init__(self, X: NDArray) -> None:
        self.X = X
        self.n_rows, self.n_features = X.shape
        self._buffer = np.empty((0, 0))

    def has_labels(self, position: int) -> bool:  # noqa: ARG002 - as _FrameSource
        return False

    def read(
        self, start: int, stop: int, is_categorical: NDArray, n_threads: int
    ) -> list[Numbers | Labels]:
        block = self.X[:, start:stop]
        names = [f"column {position}" for position in range(start, stop)]
        if block.dtype.kind == "O" or is_categorical[start:stop].any():
            return [
                _labels_of_array(block[:, i], name)
                if is_categorical[start + i]
                else _numbers_of_array(block[:, i], name)
                for i, name in enumerate(names)
            ]
        single = _is_single(block.dtype)
        values = self._by_column(_as_floats(block, "X"), n_threads)
        return [
            Numbers(name, column, single, block[:, i])
            for i, (name, column) in enumerate(zip(names, values, strict=True))
        ]

    def _by_column(self, X: NDArray, n_threads: int) -> NDArray:
        """Return the columns as contiguous rows, valid until the next call."""
        if X.flags.f_contiguous:
            return X.T
        n_rows, n_columns = X.shape
        if len(self._buffer) < n_columns or self._buffer.dtype != X.dtype:
            self._buffer = np.empty((n_columns, n_rows), dtype=X.dtype)
        values = self._buffer[:n_columns]
        step = max(4096, -(-n_rows // (4 * n_threads)))
        tasks = [
            (X, values, start, min(start + step, n_rows))
            for start in range(0, n_rows, step)
        ]
        run(encode.transpose, tasks, n_threads)
        return values


class _SparseSource:
    """A sparse matrix, in columns; what is not stored is 0.

    With `most_stored`, numeric columns that store at most this share of their rows
    are not made dense.
    """

    feature_names = None

    def __init__(self, X: Any, most_stored: float | None) -> None:
        self.X = X
        self.n_rows, self.n_features = X.shape
        self._stores_few = np.zeros(self.n_features, bool)
        # Elsewhere SciPy adds up duplicates.
        if most_stored is not None and X.has_canonical_format:
            self._stores_few = np.diff(X.indptr) <= most_stored * self.n_rows

    def has_labels(self, position: int) -> bool:  # noqa: ARG002 - as _FrameSource
        return False

    def read(
        self, start: int, stop: int, is_categorical: NDArray, n_threads: int
    ) -> list[Numbers | StoredNumbers | Labels]:
        stored = self._stores_few[start:stop] & ~is_categorical[start:stop]
        if not stored.any():
            return self._read_dense(start, stop, is_categorical, n_threads)
        return [
            self._stored(position)
            if is_stored
            else self._read_dense(position, position + 1, is_categorical, n_threads)[0]
            for position, is_stored in enumerate(stored.tolist(), start)
        ]

    def _stored(self, position: int) -> StoredNumbers:
        X, name = self.X, f"column {position}"
        own = slice(X.indptr[position], X.indptr[position + 1])
        rows, values = X.indices[own], X.data[own]
        if len(values):
            values = _as_floats(values, "X")
        single = _is_single(X.dtype)
        values = values.astype(np.float32 if single else np.float64, copy=False)
        return StoredNumbers(
            name, values, rows.astype(np.uint32, copy=False), self.n_rows, single
        )

    def _read_dense(
        self, start: int, stop: int, is_categorical: NDArray, n_threads: int
    ) -> list[Any]:
        # In Fortran order, and duplicates are added up.
        block = ArraySource(self.X[:, start:stop].toarray(order="F"))
        columns = block.read(0, stop - start, is_categorical[start:stop], n_threads)
        # Their values do not outlive the block.
        changes = [
            {"source": None} if isinstance(column, Numbers) else {}
            for column in columns
        ]
        return [
            replace(column, name=f"column {position}", **change)
            for position, (column, change) in enumerate(
                zip(columns, changes, strict=True), start
            )
        ]


class _FrameSource:
    """A data frame."""

    def __init__(self, frame: nw.DataFrame) -> None:
        self.frame = frame
        self.n_rows, self.n_features = frame.shape
        self.feature_names = _names_of(frame.columns)
        for size, what in ((self.n_rows, "sample"), (self.n_features, "feature")):
            if not size:
                raise ValueError(
                    f"Found array with 0 {what}(s) (shape={frame.shape}) while a "
                    f"minimum of 1 is required."
                )

    def has_labels(self, position: int) -> bool:
        return self.frame[:, position].dtype in _LABEL_DTYPES

    def read(
        self,
        start: int,
        stop: int,
        is_categorical: NDArray,
        n_threads: int,  # noqa: ARG002 - as ArraySource
    ) -> list[Numbers | Labels]:
        return [
            _read_labels(series) if is_categorical[start + i] else _read_numbers(series)
            for i, series in enumerate(self.frame[:, start:stop].iter_columns())
        ]


Source = ArraySource | _SparseSource | _FrameSource


def open_source(
    X: Any,
    *,
    keep_objects: bool,
    dtypes: list[type] | None = None,
    most_stored: float | None = None,
) -> Source:
    """Find out what `X` is.

    `most_stored` is the share of stored values up to which columns of a sparse matrix
    are not made dense.

    An array of objects is made numeric unless `keep_objects`; with `dtypes` an
    array is also made C-contiguous, of one of them, and is checked for infinity.
    """
    if dtypes is None and is_plain(X):
        return ArraySource(X)
    if sparse.issparse(X):
        check_sparse(X)
        columns = check_array(
            X, accept_sparse="csc", ensure_all_finite=False, input_name="X"
        )
        return _SparseSource(columns, most_stored)
    frame = nw.from_native(X, pass_through=True, eager_only=True)
    if isinstance(frame, nw.DataFrame):
        return _FrameSource(frame)
    if isinstance(nw.from_native(X, pass_through=True), nw.LazyFrame):
        raise TypeError("X is a lazy frame; collect it first")
    if keep_objects and isinstance(X, np.ndarray) and X.dtype.kind in "OUS":
        dtype: Any = object
    else:
        dtype = "numeric" if dtypes is None else dtypes
    array = check_array(
        X,
        dtype=dtype,
        order=None if dtypes is None else "C",
        ensure_all_finite=False if dtypes is None else "allow-nan",
        input_name="X",
    )
    return ArraySource(array.astype(array.dtype.newbyteorder("="), copy=False))


def is_plain(X: Any) -> bool:
    """Return whether `X` is an array of numbers that `check_array` takes as it is."""
    return (
        type(X) is np.ndarray
        and X.ndim == 2
        and X.size > 0
        and X.dtype.kind in "fiub"
        and X.dtype.isnative
    )


def check_sparse(X: Any) -> None:
    """Check that the indices of a sparse matrix lie inside it.

    SciPy does not, when it converts or slices, and would write anywhere.

    Raises
    ------
    ValueError
        If they do not, or `X` is not two-dimensional.
    """
    if X.ndim != 2:
        raise ValueError(f"X must have two dimensions, got a sparse array of {X.ndim}")
    if X.format in {"csr", "csc", "bsr"}:
        try:
            # Of a view, since SciPy shortens the arrays of what it checks.
            type(X)(X).check_format(full_check=True)
        except ValueError as error:
            raise ValueError(f"X is not a valid sparse matrix: {error}") from None
        if X.format == "bsr":
            return
        n_stored = X.indptr[-1]
        problem = len(X.indices) < n_stored or len(X.data) < n_stored
    elif X.format == "coo":
        problem = X.row.shape != X.data.shape or X.col.shape != X.data.shape
        for index, size in ((X.row, X.shape[0]), (X.col, X.shape[1])):
            if index.size and (index.min() < 0 or index.max() >= size):
                problem = True
    else:
        return
    if problem:
        raise ValueError("X is not a valid sparse matrix: indices are out of range")


def _names_of(names: list) -> NDArray | None:
    is_text = [isinstance(name, str) for name in names]
    if all(is_text):
        return np.asarray(names, dtype=object)
    if any(is_text):
        kinds = sorted({type(name).__name__ for name in names})
        raise TypeError(
            f"Feature names are only supported if all are strings, got {kinds}; "
            f"convert with X.columns = X.columns.astype(str)"
        )
    return None


def _is_single(dtype: np.dtype) -> bool:
    return dtype.kind == "b" or dtype.itemsize <= (4 if dtype.kind == "f" else 2)


def _as_floats(values: NDArray, name: str) -> NDArray:
    """Return numbers as float32, if that holds the dtype, or as float64."""
    if values.dtype.kind in "iu" and values.dtype.itemsize == 8:
        _check_integers(values.min(), values.max(), name)
    dtype = np.float32 if _is_single(values.dtype) else np.float64
    return values.astype(dtype, copy=False)


def _numbers_of_array(values: NDArray, name: str) -> Numbers:
    if values.dtype.kind == "O":
        try:
            values = values.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{name} of X is neither numeric nor listed in "
                f"categorical_features: {error}"
            ) from None
    floats = _as_floats(values, name)
    return Numbers(name, floats, _is_single(values.dtype), floats)


def _labels_of_array(values: NDArray, name: str) -> Labels:
    if values.dtype.kind == "O":
        return _labels_of_objects(values.tolist(), name)
    if values.dtype.kind == "f" and np.isinf(values).any():
        raise infinity_error(name)
    labels, positions = np.unique(values, return_inverse=True)
    if values.dtype.kind == "f":
        positions = np.where(np.isnan(values), -1, positions)
        labels = labels[~np.isnan(labels)]
    return Labels(name, positions, list(labels))


def _labels_of_objects(values: list, name: str) -> Labels:
    position_of: dict[Any, int] = {}
    positions = np.empty(len(values), dtype=np.int64)
    try:
        for row, label in enumerate(values):
            # NaN is the label that is not itself.
            if label is None or label != label:  # noqa: PLR0124
                positions[row] = -1
            else:
                positions[row] = position_of.setdefault(label, len(position_of))
    except TypeError as error:
        raise _label_error(name, error) from None
    return Labels(name, positions, list(position_of))


def _read_labels(series: nw.Series) -> Labels:
    """Read a column of a frame as categories."""
    name = f"column {series.name!r}"
    if series.implementation.is_pandas_like():
        try:
            categorical = series.to_native().astype("category").cat
        except TypeError as error:
            raise _label_error(name, error) from None
        positions = categorical.codes.to_numpy().astype(np.int64)
        return Labels(name, positions, categorical.categories.tolist())
    if series.implementation.is_polars() and series.dtype in _LABEL_DTYPES[:3]:
        text = series.cast(nw.String)
        labels = sorted(text.drop_nulls().unique().to_list())
        physical = text.cast(nw.Enum(labels)).to_native().to_physical()
        positions = physical.cast(int).fill_null(-1).to_numpy()
        return Labels(name, positions, labels)
    return _labels_of_objects(series.to_list(), name)


def _read_numbers(series: nw.Series) -> Numbers:
    """Read a column of a frame as numbers."""
    name, dtype = f"column {series.name!r}", series.dtype
    n_missing = series.null_count()
    if n_missing == len(series):
        values = np.full(len(series), np.nan, np.float32)
        return Numbers(name, values, True, values)
    if not (dtype.is_numeric() or dtype == nw.Boolean):
        raise ValueError(
            f"{name} of X has dtype {dtype}, which is neither numeric nor, by "
            f"categorical_features, categorical; list it there, convert it to "
            f"numbers or leave it out"
        )
    single = dtype in _SINGLE_DTYPES
    if dtype.is_integer():
        _check_integers(series.min(), series.max(), name)
    is_plain = single or dtype in {nw.Float64, nw.Int64}
    if not is_plain or (n_missing and not dtype.is_float()):
        series = series.cast(nw.Float32 if single else nw.Float64)
    values = _as_floats(series.to_numpy(), name)
    return Numbers(name, values, single, values)


def _check_integers(smallest: int, largest: int, name: str) -> None:
    if smallest < -MAX_INTEGER or largest > MAX_INTEGER:
        raise ValueError(
            f"{name} has integers from {smallest} to {largest}; beyond 2**53 in "
            f"magnitude float64 thresholds cannot separate them"
        )


def infinity_error(name: str) -> ValueError:
    return ValueError(f"Input X contains infinity in {name}.")


def _label_error(name: str, error: TypeError) -> TypeError:
    return TypeError(f"{name} of X has values that cannot be categories: {error}")


def quote(names: Iterable) -> str:
    return ", ".join(repr(name) for name in names)


# Checks of the other arguments.
