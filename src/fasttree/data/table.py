"""Tables of encoded columns."""

from __future__ import annotations

from contextlib import suppress
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree.data.encoding import (
    MAX_ROWS,
    Column,
    encode_categories,
    encode_numeric,
)
from fasttree.data.fit_columns import encode_keys, presort, value_columns
from fasttree.data.schema import Encoded, InputSchema
from fasttree.data.sources import (
    SERIAL_BELOW,
    Labels,
    Numbers,
    Source,
    StoredNumbers,
    infinity_error,
    open_source,
    quote,
)
from fasttree.data.sparse_columns import encode_stored
from fasttree.data.workspace import Workspace, Workspaces
from fasttree.threads import resolve_n_jobs, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

MAX_BINS = 65535
UNKNOWN_CATEGORY_POLICIES = ("missing", "error")

#: Columns that are held as floats at once, beside the caller's data: as many
#: float32 as half a cache line of a C-ordered matrix has. More threads hold more.
COLUMNS_AT_ONCE = 8


class EncodedTable(Encoded):
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
        encode_exact: Callable[[Numbers, Workspace], Column] | None = None,
        most_stored: float | None = None,
    ) -> EncodedTable:
        """Do as `from_data` does, or encode exact columns in a way of one's own.

        Numeric columns of a sparse matrix that store at most `most_stored` of their
        rows become sparse columns; `max_bins` is at most 255 then.
        """
        if isinstance(X, EncodedTable):
            raise TypeError("X is an EncodedTable already")
        max_bins = _check_max_bins(max_bins)
        if unknown_category not in UNKNOWN_CATEGORY_POLICIES:
            raise ValueError(
                f"unknown_category must be one of {UNKNOWN_CATEGORY_POLICIES}, got "
                f"{unknown_category!r}"
            )
        n_threads = resolve_n_jobs(n_jobs)
        source = open_source(
            X, keep_objects=categorical_features is not None, most_stored=most_stored
        )
        if source.n_rows >= MAX_ROWS:
            raise ValueError(
                f"X has {source.n_rows} rows; fewer than 2**29 are supported"
            )
        if source.n_rows * source.n_features < SERIAL_BELOW:
            n_threads = 1
        weights = _check_sample_weight(sample_weight, source.n_rows)
        is_categorical = _find_categorical(categorical_features, source)
        spaces = Workspaces(source.n_rows, source.n_features)

        def encode_column(raw: Numbers | StoredNumbers | Labels) -> Column:
            if isinstance(raw, Labels):
                return encode_categories(raw.positions, raw.labels)
            try:
                with spaces.borrow() as space:
                    if isinstance(raw, StoredNumbers):
                        return encode_stored(raw, max_bins, space)
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
                raise infinity_error(raw.name) from None

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
    def for_boosting(
        cls,
        X: Any,
        *,
        max_bins: int,
        categorical_features: ArrayLike | str | None,
        most_stored: float,
        n_jobs: int | None,
    ) -> EncodedTable:
        """Encode data for one fit of boosting, in less memory and time if sparse.

        Parameters and errors are those of `from_data`; `max_bins` is at most 255.
        Trees are the same too. Numeric columns of a sparse matrix that store at most
        `most_stored` of their rows are `SparseColumn`. The table may refer to the
        memory of `X`.
        """
        return cls._from_data(
            X,
            max_bins,
            categorical_features,
            None,
            "missing",
            n_jobs,
            most_stored=most_stored,
        )

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

        Parameters and errors are those of `from_data`. Trees are the same too. The
        table may refer to the memory of `X`, and is used up by the fit.
        """
        if max_bins is None and categorical_features is None and _is_matrix(X):
            _check_sample_weight(sample_weight, len(X))
            with suppress(OverflowError):  # told by what reads column by column
                columns = value_columns(X)
                schema = InputSchema(
                    feature_names=None,
                    categories=(None,) * len(columns),
                    single=tuple(column.single for column in columns),
                    unknown_category="missing",
                )
                return cls(columns, schema)
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

        def presort_column(raw: Numbers, space: Workspace) -> Column:
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
        return self.columns[0].n_rows

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


def _is_matrix(X: Any) -> bool:
    """Return whether `X` is laid out as drawn splits can look at it."""
    return (
        type(X) is np.ndarray
        and X.ndim == 2
        and X.dtype in (np.float32, np.float64)
        and X.dtype.isnative
        and X.flags.c_contiguous
        and X.flags.aligned
        and X.size > 0
        and len(X) < MAX_ROWS
    )


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


def _find_categorical(features: ArrayLike | str | None, source: Source) -> NDArray:
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
            f"categorical_features has names that X does not have: {quote(unknown)}"
        )
    is_categorical[[position_of[name] for name in given]] = True
    return is_categorical
