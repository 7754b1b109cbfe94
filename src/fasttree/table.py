"""Tables of encoded columns, and reading arrays and data frames into them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any

import narwhals.stable.v2 as nw
import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_array

from fasttree._kernels import encode
from fasttree.encoding import (
    MAX_ROWS,
    Column,
    Workspace,
    Workspaces,
    encode_categories,
    encode_keys,
    encode_numeric,
    presort,
)
from fasttree.threads import resolve_n_jobs, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import ArrayLike, NDArray

MAX_BINS = 65535
UNKNOWN_CATEGORY_POLICIES = ("missing", "error")

#: Integers of larger magnitude are not all float64 values, as thresholds are.
MAX_INTEGER = 2**53

#: Columns that are held as floats at once, beside the caller's data: as many
#: float32 as half a cache line of a C-ordered matrix has. More threads hold more.
COLUMNS_AT_ONCE = 8

#: Values of a block of rows that prediction makes dense at once.
DENSE_AT_ONCE = 2**20

#: Values below which starting threads costs more than it saves.
SERIAL_BELOW = 50_000

_LABEL_DTYPES = (nw.Categorical, nw.Enum, nw.String, nw.Object)
_SINGLE_DTYPES = (nw.Float32, nw.Int8, nw.Int16, nw.UInt8, nw.UInt16, nw.Boolean)


class EncodedTable:
    """A table whose columns are integer codes.

    Made once with `from_data`, it can be passed to ``fit`` of any estimator in the
    place of ``X``, so that a grid search or cross-validation encodes only once. It
    is immutable.

    Attributes
    ----------
    columns : tuple of Column
    schema : InputSchema
        How new data must look to be predicted by a model of this table.
    """

    __slots__ = ("columns", "schema")

    columns: tuple[Column, ...]
    schema: InputSchema

    def __init__(self, columns: tuple[Column, ...], schema: InputSchema) -> None:
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "schema", schema)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"EncodedTable is immutable: cannot set {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"EncodedTable is immutable: cannot delete {name!r}")

    @classmethod
    def from_data(
        cls,
        X: Any,
        *,
        max_bins: int | None = None,
        categorical_features: ArrayLike | str | None = None,
        sample_weight: ArrayLike | None = None,
        unknown_category: str = "missing",
        n_jobs: int | None = None,
    ) -> EncodedTable:
        """Encode an array, sparse matrix or data frame.

        Parameters
        ----------
        X : array-like, sparse or data frame of shape (n_samples, n_features)
            Array of any numeric dtype and memory layout, SciPy's sparse matrix or
            array of any format (best CSC), or a pandas, polars or pyarrow frame.
            NaN and null are missing values; what is not stored in a sparse matrix
            is 0. Only some columns at a time are made dense.
        max_bins : int or None, default=None
            None gives each distinct value of a numeric column a code of its own.
            An integer from 2 to 65535 cuts columns of more distinct values than
            that into at most so many bins of about equal weight.
        categorical_features : array-like of bool, int or str, "from_dtype" or None, \
default=None
            Which columns are categorical: a mask, indices, or names of a frame's
            columns. "from_dtype" and None take a frame's columns of category,
            enum, string and object dtype, and no column of an array.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights that bins balance; rows of weight zero take no part in placing
            them. Codes of exact columns do not depend on weights.
        unknown_category : {"missing", "error"}, default="missing"
            Whether, at prediction, a category that `X` does not have is handled
            as a missing value or is an error.
        n_jobs : int or None, default=None
            Number of threads, see `fasttree.threads.resolve_n_jobs`. The codes do
            not depend on it.

        Returns
        -------
        EncodedTable

        Raises
        ------
        TypeError
            If an argument is of the wrong type, or `X` is lazy.
        ValueError
            If an argument is out of its range, or if `X` is empty, not
            two-dimensional, complex, infinite anywhere, has integers beyond 2**53
            or a column that is neither numeric nor categorical.
        """
        return cls._from_data(
            X, max_bins, categorical_features, sample_weight, unknown_category, n_jobs
        )

    @classmethod
    def _from_data(
        cls,
        X: Any,
        max_bins: int | None,
        categorical_features: ArrayLike | str | None,
        sample_weight: ArrayLike | None,
        unknown_category: str,
        n_jobs: int | None,
        encode_exact: Callable[[_Numbers, Workspace], Column] | None = None,
    ) -> EncodedTable:
        """Do as `from_data` does, or encode exact columns in a way of one's own."""
        max_bins = _check_max_bins(max_bins)
        if unknown_category not in UNKNOWN_CATEGORY_POLICIES:
            raise ValueError(
                f"unknown_category must be one of {UNKNOWN_CATEGORY_POLICIES}, got "
                f"{unknown_category!r}"
            )
        n_threads = resolve_n_jobs(n_jobs)
        source = _open(X, keep_objects=categorical_features is not None)
        if source.n_rows >= MAX_ROWS:
            raise ValueError(
                f"X has {source.n_rows} rows; fewer than 2**29 are supported"
            )
        if source.n_rows * source.n_features < SERIAL_BELOW:
            n_threads = 1
        weights = _check_sample_weight(sample_weight, source.n_rows)
        is_categorical = _find_categorical(categorical_features, source)
        spaces = Workspaces(source.n_rows, source.n_features)

        def encode_column(raw: _Numbers | _Labels) -> Column:
            if isinstance(raw, _Labels):
                return encode_categories(raw.positions, raw.labels)
            try:
                with spaces.borrow() as space:
                    if encode_exact is not None and max_bins is None:
                        return encode_exact(raw, space)
                    return encode_numeric(
                        np.ascontiguousarray(raw.values),
                        single=raw.single,
                        max_bins=max_bins,
                        sample_weight=weights,
                        space=space,
                    )
            except OverflowError:
                raise _infinity_error(raw.name) from None

        columns_at_once = max(COLUMNS_AT_ONCE, n_threads)
        columns: list[Column] = []
        for start in range(0, source.n_features, columns_at_once):
            stop = min(start + columns_at_once, source.n_features)
            raw = source.read(start, stop, is_categorical, n_threads)
            columns += run(encode_column, [(column,) for column in raw], n_threads)
        schema = InputSchema(
            feature_names=source.feature_names,
            categories=tuple(column.categories for column in columns),
            single=tuple(column.single for column in columns),
            unknown_category=unknown_category,
        )
        return cls(tuple(columns), schema)

    @classmethod
    def for_drawn_splits(
        cls,
        X: Any,
        *,
        max_bins: int | None,
        categorical_features: ArrayLike | str | None,
        sample_weight: ArrayLike | None,
        n_jobs: int | None,
    ) -> EncodedTable:
        """Encode data for trees with splitter="random" alone, in less time.

        Parameters and errors are those of `from_data`. Trees are the same too.
        """
        return cls._from_data(
            X,
            max_bins,
            categorical_features,
            sample_weight,
            "missing",
            n_jobs,
            lambda raw, _: encode_keys(np.ascontiguousarray(raw.values), raw.single),
        )

    @classmethod
    def for_best_splits(
        cls,
        X: Any,
        *,
        max_bins: int | None,
        categorical_features: ArrayLike | str | None,
        sample_weight: ArrayLike | None,
        n_jobs: int | None,
        in_tiles: bool,
    ) -> EncodedTable:
        """Encode data for one tree with splitter="best", in less memory and time.

        Parameters and errors are those of `from_data`. Trees are the same too.
        `in_tiles` says whether growth counts columns of few values in tiles. The
        table may refer to the memory of `X`, and is used up by the fit.
        """

        def presort_column(raw: _Numbers, space: Workspace) -> Column:
            values = np.ascontiguousarray(raw.values)
            if raw.source is None:
                return encode_numeric(
                    values,
                    single=raw.single,
                    max_bins=None,
                    sample_weight=None,
                    space=space,
                )
            return presort(
                values, raw.source, single=raw.single, in_tile=in_tiles, space=space
            )

        return cls._from_data(
            X,
            max_bins,
            categorical_features,
            sample_weight,
            "missing",
            n_jobs,
            presort_column,
        )

    @property
    def n_rows(self) -> int:
        return len(self.columns[0].codes)

    @property
    def n_features(self) -> int:
        return len(self.columns)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, as of an array."""
        return self.n_rows, self.n_features

    @property
    def feature_names(self) -> NDArray | None:
        """Names of the frame's columns, None for an array."""
        return self.schema.feature_names

    @property
    def nbytes(self) -> int:
        """Bytes that the columns hold."""
        return sum(column.nbytes for column in self.columns)

    def take(self, rows: ArrayLike) -> EncodedTable:
        """Return a table of some of the rows, with the same codes.

        Parameters
        ----------
        rows : array-like of int or bool
            Row numbers, in any order and with repetitions, or a mask of all rows.

        Returns
        -------
        EncodedTable

        Raises
        ------
        IndexError
            If a row number is out of range.
        ValueError
            If `rows` is not a vector of row numbers or a mask, or is empty.
        """
        indices = _check_rows(rows, self.n_rows)
        n_threads = resolve_n_jobs(None)
        if len(indices) * self.n_features < SERIAL_BELOW:
            n_threads = 1
        spaces = Workspaces(len(indices), self.n_features)

        def take_column(column: Column) -> Column:
            with spaces.borrow() as space:
                return column.take(indices, space)

        columns = run(take_column, [(column,) for column in self.columns], n_threads)
        return EncodedTable(tuple(columns), self.schema)

    def __len__(self) -> int:
        return self.n_rows

    def __repr__(self) -> str:
        n_categorical = sum(column.is_categorical for column in self.columns)
        return (
            f"EncodedTable(n_rows={self.n_rows}, n_features={self.n_features}, "
            f"n_categorical={n_categorical}, nbytes={self.nbytes})"
        )

    def __reduce__(self) -> tuple:
        return _restore, (self.columns, self.schema)


def _restore(columns: tuple[Column, ...], schema: InputSchema) -> EncodedTable:
    """Make a table from unpickled state, whose columns have been checked."""
    is_valid = (
        isinstance(columns, tuple)
        and len(columns) > 0
        and all(isinstance(column, Column) for column in columns)
        and len({len(column.codes) for column in columns}) == 1
        and isinstance(schema, InputSchema)
        and schema.n_features == len(columns)
        and all(
            column.is_categorical == (categories is not None)
            for column, categories in zip(columns, schema.categories, strict=True)
        )
    )
    if not is_valid:
        raise ValueError("EncodedTable state is not valid: its parts do not match")
    return EncodedTable(columns, schema)


@dataclass(frozen=True, eq=False)
class InputSchema:
    """What a fitted model keeps of its table: how new data must look.

    Attributes
    ----------
    feature_names : ndarray of shape (n_features,), object, or None
    categories : tuple of (ndarray or None)
        Categories of each column in code order; None for a numeric column.
    single : tuple of bool
        Whether each column's thresholds are float32 values.
    unknown_category : {"missing", "error"}
    """

    feature_names: NDArray | None
    categories: tuple[NDArray | None, ...]
    single: tuple[bool, ...]
    unknown_category: str

    @property
    def n_features(self) -> int:
        return len(self.single)

    @property
    def has_categories(self) -> bool:
        """Whether any column is categorical."""
        return any(values is not None for values in self.categories)

    def is_like(self, other: InputSchema) -> bool:
        """Return whether models of the two read the same columns in the same way."""
        names, own = other.feature_names, self.feature_names
        return (
            self.single == other.single
            and self.unknown_category == other.unknown_category
            and (own is None) == (names is None)
            and (own is None or np.array_equal(own, names))
            and all(map(_equal_categories, self.categories, other.categories))
        )

    def to_matrix(self, X: Any) -> NDArray:
        """Return data as the matrix that prediction compares with thresholds.

        Parameters
        ----------
        X : array-like, sparse, data frame or EncodedTable of shape \
(n_samples, n_features)
            A frame's columns are found by name if the training data had names. A
            table must have the categories of the training data. `SparseRows`
            needs less memory for a sparse matrix.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            C-contiguous. float32 if all columns were trained on and come as
            float32 or narrower, else float64. Categories are their codes. Missing
            values, and unknown categories under the policy "missing", are NaN.
            `X` itself if it is such an array of numbers only.

        Raises
        ------
        ValueError
            If columns are missing or too many, a value is infinite, a column is
            not of the kind it was trained as, or a category is unknown and the
            policy is "error".
        """
        if isinstance(X, EncodedTable):
            return self._decode(X)
        if sparse.issparse(X):
            check_sparse(X)
            X = X.toarray()
        has_categories = self.has_categories
        source = _open(
            X, keep_objects=has_categories, dtypes=None if has_categories else self._to
        )
        positions = self._match_columns(source)
        if isinstance(source, _ArraySource) and not has_categories:
            return source.X
        is_categorical = np.zeros(source.n_features, dtype=bool)
        is_categorical[positions] = [values is not None for values in self.categories]
        matrix = np.empty(
            (source.n_rows, self.n_features),
            np.float32 if all(self.single) else np.float64,
        )
        for i, (position, categories) in enumerate(
            zip(positions, self.categories, strict=True)
        ):
            # A column's values are valid until the next one is read.
            column = source.read(position, position + 1, is_categorical, 1)[0]
            if isinstance(column, _Labels):
                matrix[:, i] = self._codes_of(column, categories)
                continue
            if np.isinf(column.values).any():
                raise _infinity_error(column.name)
            if not column.single:
                matrix = matrix.astype(np.float64, copy=False)
            matrix[:, i] = column.values
        return matrix

    @property
    def _to(self) -> list[type]:
        """Dtypes that an array may keep; the first is what it becomes otherwise."""
        return [np.float64, np.float32] if all(self.single) else [np.float64]

    def _match_columns(self, source: _Source) -> list[int]:
        """Return where each of the training columns stands in `source`."""
        names, expected = source.feature_names, self.feature_names
        if names is None or expected is None:
            if source.n_features != self.n_features:
                raise ValueError(
                    f"X has {source.n_features} features, but {type(self).__name__} "
                    f"is expecting {self.n_features} features as input."
                )
            return list(range(self.n_features))
        position_of = {name: position for position, name in enumerate(names)}
        unseen = sorted(set(names) - set(expected))
        absent = sorted(set(expected) - set(names))
        if unseen or absent:
            message = "The feature names should match those that were passed during fit"
            if unseen:
                message += f".\nFeature names unseen at fit time: {_quote(unseen)}"
            if absent:
                message += (
                    f".\nFeature names seen at fit time, yet now missing: "
                    f"{_quote(absent)}"
                )
            raise ValueError(message)
        return [position_of[name] for name in expected]

    def _codes_of(self, column: _Labels, categories: NDArray | None) -> NDArray:
        code_of = {label: code for code, label in enumerate(categories)}
        # Position -1, a missing value, picks the last entry.
        codes = np.full(len(column.labels) + 1, np.nan)
        for position, label in enumerate(column.labels):
            if label in code_of:
                codes[position] = code_of[label]
            elif self.unknown_category == "error" and position in column.positions:
                raise ValueError(
                    f"{column.name} of X has the category {label!r}, which the "
                    f"training data did not have"
                )
        return codes[column.positions]

    def _decode(self, table: EncodedTable) -> NDArray:
        """Return values that fall on the same side of every threshold as the codes."""
        if table.n_features != self.n_features or not all(
            _equal_categories(own, other)
            for own, other in zip(self.categories, table.schema.categories, strict=True)
        ):
            raise ValueError(
                "X is an EncodedTable of other columns or categories than the "
                "training data; pass the data itself"
            )
        matrix = np.empty(
            (table.n_rows, self.n_features),
            np.float32 if all(self.single + table.schema.single) else np.float64,
        )
        for target, column in zip(matrix.T, table.columns, strict=True):
            values = np.arange(column.n_codes) if column.upper is None else column.upper
            target[:] = np.append(values, np.nan)[column.codes]
        return matrix


class SparseRows:
    """A sparse matrix that prediction reads as dense blocks of rows.

    Parameters
    ----------
    X : sparse matrix or array of shape (n_samples, n_features)
        It has passed `check_sparse`.
    schema : InputSchema or None
        How to read the blocks; None takes their numbers as they are.
    """

    def __init__(self, X: Any, schema: InputSchema | None) -> None:
        self.X = X.tocsr()
        self.schema = schema

    def __len__(self) -> int:
        return self.X.shape[0]

    def blocks(self) -> Iterator[tuple[int, NDArray]]:
        """Yield the first row of each block, and the block."""
        n_rows, n_features = self.X.shape
        step = max(1, DENSE_AT_ONCE // n_features)
        for start in range(0, n_rows, step):
            block = self.X[start : start + step].toarray()
            yield start, block if self.schema is None else self.schema.to_matrix(block)


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


def _equal_categories(first: NDArray | None, second: NDArray | None) -> bool:
    if first is None or second is None:
        return first is second
    return first is second or np.array_equal(first, second)


# Reading arrays and frames, some columns at a time.


@dataclass(frozen=True)
class _Numbers:
    """A numeric column as float32 or float64, NaN where missing."""

    name: str
    values: NDArray
    single: bool
    source: NDArray | None  # the same values in memory that stays, or None


@dataclass(frozen=True)
class _Labels:
    """A categorical column: each row's position in `labels`, -1 where missing."""

    name: str
    positions: NDArray
    labels: list


class _ArraySource:
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
    ) -> list[_Numbers | _Labels]:
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
            _Numbers(name, column, single, block[:, i])
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
    """A sparse matrix, in columns; what is not stored is 0."""

    feature_names = None

    def __init__(self, X: Any) -> None:
        self.X = X
        self.n_rows, self.n_features = X.shape

    def has_labels(self, position: int) -> bool:  # noqa: ARG002 - as _FrameSource
        return False

    def read(
        self, start: int, stop: int, is_categorical: NDArray, n_threads: int
    ) -> list[_Numbers | _Labels]:
        # In Fortran order, and duplicates are added up.
        block = _ArraySource(self.X[:, start:stop].toarray(order="F"))
        columns = block.read(0, stop - start, is_categorical[start:stop], n_threads)
        # Their values do not outlive the block.
        changes = [
            {"source": None} if isinstance(column, _Numbers) else {}
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
        n_threads: int,  # noqa: ARG002 - as _ArraySource
    ) -> list[_Numbers | _Labels]:
        return [
            _read_labels(series) if is_categorical[start + i] else _read_numbers(series)
            for i, series in enumerate(self.frame[:, start:stop].iter_columns())
        ]


_Source = _ArraySource | _SparseSource | _FrameSource


def _open(X: Any, *, keep_objects: bool, dtypes: list[type] | None = None) -> _Source:
    """Find out what `X` is.

    An array of objects is made numeric unless `keep_objects`; with `dtypes` an
    array is also made C-contiguous, of one of them, and is checked for infinity.
    """
    if isinstance(X, EncodedTable):
        raise TypeError("X is an EncodedTable already")
    if dtypes is None and is_plain(X):
        return _ArraySource(X)
    if sparse.issparse(X):
        check_sparse(X)
        columns = check_array(
            X, accept_sparse="csc", ensure_all_finite=False, input_name="X"
        )
        return _SparseSource(columns)
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
    return _ArraySource(array.astype(array.dtype.newbyteorder("="), copy=False))


def is_plain(X: Any) -> bool:
    """Return whether `X` is an array of numbers that `check_array` takes as it is."""
    return (
        type(X) is np.ndarray
        and X.ndim == 2
        and X.size > 0
        and X.dtype.kind in "fiub"
        and X.dtype.isnative
    )


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


def _numbers_of_array(values: NDArray, name: str) -> _Numbers:
    if values.dtype.kind == "O":
        try:
            values = values.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{name} of X is neither numeric nor listed in "
                f"categorical_features: {error}"
            ) from None
    floats = _as_floats(values, name)
    return _Numbers(name, floats, _is_single(values.dtype), floats)


def _labels_of_array(values: NDArray, name: str) -> _Labels:
    if values.dtype.kind == "O":
        return _labels_of_objects(values.tolist(), name)
    if values.dtype.kind == "f" and np.isinf(values).any():
        raise _infinity_error(name)
    labels, positions = np.unique(values, return_inverse=True)
    if values.dtype.kind == "f":
        positions = np.where(np.isnan(values), -1, positions)
        labels = labels[~np.isnan(labels)]
    return _Labels(name, positions, list(labels))


def _labels_of_objects(values: list, name: str) -> _Labels:
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
    return _Labels(name, positions, list(position_of))


def _read_labels(series: nw.Series) -> _Labels:
    """Read a column of a frame as categories."""
    name = f"column {series.name!r}"
    if series.implementation.is_pandas_like():
        try:
            categorical = series.to_native().astype("category").cat
        except TypeError as error:
            raise _label_error(name, error) from None
        positions = categorical.codes.to_numpy().astype(np.int64)
        return _Labels(name, positions, categorical.categories.tolist())
    if series.implementation.is_polars() and series.dtype in _LABEL_DTYPES[:3]:
        text = series.cast(nw.String)
        labels = sorted(text.drop_nulls().unique().to_list())
        physical = text.cast(nw.Enum(labels)).to_native().to_physical()
        positions = physical.cast(int).fill_null(-1).to_numpy()
        return _Labels(name, positions, labels)
    return _labels_of_objects(series.to_list(), name)


def _read_numbers(series: nw.Series) -> _Numbers:
    """Read a column of a frame as numbers."""
    name, dtype = f"column {series.name!r}", series.dtype
    n_missing = series.null_count()
    if n_missing == len(series):
        values = np.full(len(series), np.nan, np.float32)
        return _Numbers(name, values, True, values)
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
    return _Numbers(name, values, single, values)


def _check_integers(smallest: int, largest: int, name: str) -> None:
    if smallest < -MAX_INTEGER or largest > MAX_INTEGER:
        raise ValueError(
            f"{name} has integers from {smallest} to {largest}; beyond 2**53 in "
            f"magnitude float64 thresholds cannot separate them"
        )


def _infinity_error(name: str) -> ValueError:
    return ValueError(f"Input X contains infinity in {name}.")


def _label_error(name: str, error: TypeError) -> TypeError:
    return TypeError(f"{name} of X has values that cannot be categories: {error}")


def _quote(names: Iterable) -> str:
    return ", ".join(repr(name) for name in names)


# Checks of the other arguments.


def _check_max_bins(max_bins: int | None) -> int | None:
    if max_bins is None:
        return None
    if isinstance(max_bins, bool) or not isinstance(max_bins, Integral):
        raise TypeError(
            f"max_bins must be None or an integer from 2 to {MAX_BINS}, got "
            f"{max_bins!r}"
        )
    if not 2 <= max_bins <= MAX_BINS:
        raise ValueError(
            f"max_bins must be None or from 2 to {MAX_BINS}, got {max_bins}"
        )
    return int(max_bins)


def _check_sample_weight(
    sample_weight: ArrayLike | None, n_rows: int
) -> NDArray | None:
    if sample_weight is None:
        return None
    weights = np.ascontiguousarray(sample_weight, dtype=np.float64)
    if np.ndim(sample_weight) != 1 or len(weights) != n_rows:
        raise ValueError(
            f"sample_weight must have the shape ({n_rows},), got "
            f"{np.shape(sample_weight)}"
        )
    if not np.isfinite(weights).all():
        raise ValueError("sample_weight contains NaN or infinity")
    if (weights < 0).any():
        raise ValueError("sample_weight has negative values; weights must be >= 0")
    if not weights.any():
        raise ValueError("sample_weight is zero for every row")
    return weights


def _check_rows(rows: ArrayLike, n_rows: int) -> NDArray:
    indices = np.asarray(rows)
    if indices.ndim != 1 or indices.dtype.kind not in "biu" or not indices.size:
        raise ValueError(
            f"rows must be a vector of row numbers, or a mask, and not empty; got "
            f"dtype {indices.dtype} and shape {indices.shape}"
        )
    if indices.dtype.kind == "b":
        if len(indices) != n_rows:
            raise ValueError(
                f"rows is a mask of {len(indices)} rows, but the table has {n_rows}"
            )
        indices = np.flatnonzero(indices)
        if not indices.size:
            raise ValueError("rows is a mask that leaves no row")
    if len(indices) >= MAX_ROWS:
        raise ValueError(
            f"rows has {len(indices)} entries; fewer than 2**29 are supported"
        )
    if indices.min() < -n_rows or indices.max() >= n_rows:
        raise IndexError(f"rows are out of range for a table of {n_rows} rows")
    return indices.astype(np.intp, copy=False)


def _find_categorical(features: ArrayLike | str | None, source: _Source) -> NDArray:
    """Return which columns are categorical, as a mask."""
    n_features = source.n_features
    if features is None or (isinstance(features, str) and features == "from_dtype"):
        return np.array([source.has_labels(i) for i in range(n_features)])
    is_categorical = np.zeros(n_features, dtype=bool)
    given = np.asarray(features)
    if given.ndim != 1 or given.dtype.kind not in "biuOU":
        if given.ndim == 1 and not given.size:
            return is_categorical
        raise ValueError(
            f'categorical_features must be None, "from_dtype", or a vector of bool, '
            f"int or str, got {features!r}"
        )
    if given.dtype.kind == "b":
        if len(given) != n_features:
            raise ValueError(
                f"categorical_features is a mask of {len(given)} features, but X has "
                f"{n_features}"
            )
        return given
    if given.dtype.kind in "iu":
        if given.size and (given.min() < 0 or given.max() >= n_features):
            raise ValueError(
                f"categorical_features has indices from {given.min()} to "
                f"{given.max()}; they must be from 0 to {n_features - 1}"
            )
        is_categorical[given] = True
        return is_categorical
    names = source.feature_names
    if names is None:
        raise ValueError(
            "categorical_features has names, but X has no feature names; use "
            "indices or a mask"
        )
    position_of = {name: position for position, name in enumerate(names)}
    unknown = [name for name in given if name not in position_of]
    if unknown:
        raise ValueError(
            f"categorical_features has names that X does not have: {_quote(unknown)}"
        )
    is_categorical[[position_of[name] for name in given]] = True
    return is_categorical
