"""How new data must look, and reading it as the matrix that prediction takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from fasttree.data.sources import (
    ArraySource,
    Labels,
    Source,
    check_sparse,
    infinity_error,
    open_source,
    quote,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from fasttree.data.encoding import Column

#: Values of a block of rows that prediction makes dense at once.
DENSE_AT_ONCE = 2**20


class Encoded:
    """Encoded columns and the schema they have in common: see `EncodedTable`."""

    columns: tuple[Column, ...]
    schema: InputSchema


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
        if isinstance(X, Encoded):
            return self._decode(X)
        if sparse.issparse(X):
            check_sparse(X)
            X = X.toarray()
        has_categories = self.has_categories
        source = open_source(
            X, keep_objects=has_categories, dtypes=None if has_categories else self._to
        )
        positions = self._match_columns(source)
        if isinstance(source, ArraySource) and not has_categories:
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
            if isinstance(column, Labels):
                matrix[:, i] = self._codes_of(column, categories)
                continue
            if np.isinf(column.values).any():
                raise infinity_error(column.name)
            if not column.single:
                matrix = matrix.astype(np.float64, copy=False)
            matrix[:, i] = column.values
        return matrix

    @property
    def _to(self) -> list[type]:
        """Dtypes that an array may keep; the first is what it becomes otherwise."""
        return [np.float64, np.float32] if all(self.single) else [np.float64]

    def _match_columns(self, source: Source) -> list[int]:
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
                message += f".\nFeature names unseen at fit time: {quote(unseen)}"
            if absent:
                message += (
                    f".\nFeature names seen at fit time, yet now missing: "
                    f"{quote(absent)}"
                )
            raise ValueError(message)
        return [position_of[name] for name in expected]

    def _codes_of(self, column: Labels, categories: NDArray | None) -> NDArray:
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

    def _decode(self, table: Encoded) -> NDArray:
        """Return values that fall on the same side of every threshold as the codes."""
        if len(table.columns) != self.n_features or not all(
            _equal_categories(own, other)
            for own, other in zip(self.categories, table.schema.categories, strict=True)
        ):
            raise ValueError(
                "X is an EncodedTable of other columns or categories than the "
                "training data; pass the data itself"
            )
        matrix = np.empty(
            (len(table.columns[0].codes), self.n_features),
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


def _equal_categories(first: NDArray | None, second: NDArray | None) -> bool:
    if first is None or second is None:
        return first is second
    return first is second or np.array_equal(first, second)


# Reading arrays and frames, some columns at a time.
