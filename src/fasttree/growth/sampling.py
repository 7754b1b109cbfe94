"""Trees whose nodes look at a few features, or at one split of each.

The kernels' ``sampled.pxd`` says how such a tree is grown. Here are the columns as
it reads them, which many trees share; a thread's memory for one tree after another;
and the way from its arrays to a `Tree`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree import threads
from fasttree._kernels import encode, prepare
from fasttree._kernels import forest as kernels
from fasttree.data.fit_columns import KeyColumn, ValueColumn, encode_keys
from fasttree.growth.records import FEATURE_DTYPE
from fasttree.trees.tree import Tree

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fasttree.data.table import EncodedTable

# Mirrors of the kernels' structs; LAYOUT holds their sizes for a test.
CODES_DTYPE = np.dtype(
    [
        ("codes", np.uintp),
        ("n_codes", np.uint32),
        ("missing", np.uint32),
        ("size", np.uint8),
        ("categorical", np.uint8),
        ("monotone", np.uint8),
    ],
    align=True,
)
COLUMN_DTYPE = np.dtype(
    [
        ("codes", CODES_DTYPE),
        ("lower", np.uintp),
        ("upper", np.uintp),
        ("is_exact", np.uint8),
        ("single", np.uint8),
    ],
    align=True,
)

_COPY_BYTES = 512 << 10  # of a narrow node: a good part of a common L2 cache
_KEY_BYTES = 1 << 20  # where it is looked at in a few places of each row
_LEAST_NARROW = 512


class SharedColumns:
    """The columns of a table as trees read them, and what keeps them alive.

    Parameters
    ----------
    table : EncodedTable
    drawn : bool
        Whether splits are drawn, from keys by row.
    signs : ndarray of int8, shape (n_features, n_bounded)
        Monotonic constraints: see constraints.py.
    bounded : ndarray of int32, shape (n_bounded,)
    n_threads : int
    """

    def __init__(
        self,
        table: EncodedTable,
        *,
        drawn: bool,
        signs: NDArray[np.int8],
        bounded: NDArray[np.int32],
        n_threads: int = 1,
    ) -> None:
        self.table, self.signs, self.bounded = table, signs, bounded
        self.columns = np.zeros(table.n_features, COLUMN_DTYPE)
        self.features: NDArray[Any] | None = None
        self.row_keys: NDArray[np.uint8] | None = None
        self.key_offset: NDArray[np.int64] | None = None
        self.raw_size = 0
        is_bounded = signs.any(axis=1)
        for f, column in enumerate(table.columns):
            codes = self.columns[f]["codes"]
            # The missing code is one more; of categories it always counts.
            has_missing = column.is_categorical or column.n_missing > 0
            codes["n_codes"] = column.n_codes + has_missing
            codes["missing"] = column.n_codes
            codes["categorical"] = column.is_categorical
            codes["monotone"] = is_bounded[f]
        if drawn and all(isinstance(column, ValueColumn) for column in table.columns):
            self._look_at_values()
            self.features["monotone"] = is_bounded
            return
        if drawn:
            self._keys = keys_by_row(table, n_threads)
            self.features = np.zeros(table.n_features, FEATURE_DTYPE)
            for feature, column, keys in zip(
                self.features, table.columns, self._keys, strict=True
            ):
                set_keys(feature, column, keys)
            self.features["monotone"] = is_bounded
            self._interleave(n_threads)
            return
        for entry, column in zip(self.columns, table.columns, strict=True):
            entry["codes"]["codes"] = column.codes.ctypes.data
            entry["codes"]["size"] = column.codes.itemsize
            entry["is_exact"] = column.is_exact
            entry["single"] = column.single
            if not column.is_categorical:
                entry["lower"] = column.lower.ctypes.data
                entry["upper"] = column.upper.ctypes.data
        if 2 * np.sum(self.columns["codes"]["size"] == 1) >= table.n_features:
            self._interleave_codes(n_threads)

    def _look_at_values(self) -> None:
        """Take the data's own matrix in place of keys."""
        columns = self.table.columns
        matrix = columns[0].matrix
        self.features = np.zeros(len(columns), FEATURE_DTYPE)
        self.features["has_missing"] = [column.n_missing > 0 for column in columns]
        self.features["single"] = columns[0].single
        self.features["key_size"] = self.raw_size = matrix.itemsize
        self.key_offset = np.arange(len(columns), dtype=np.int64) * matrix.itemsize
        self.row_keys = matrix.view(np.uint8)

    def _interleave(self, n_threads: int) -> None:
        """Put the keys of each row together, the wide ones first."""
        assert self.features is not None
        sizes = self.features["key_size"].astype(np.int64)
        order = np.argsort(-sizes, kind="stable")
        self.key_offset = np.empty(len(sizes), np.int64)
        self.key_offset[order] = np.cumsum(sizes[order]) - sizes[order]
        row_bytes = int(sizes.sum() + 7) // 8 * 8
        n_rows = self.table.n_rows
        self.row_keys = np.empty((n_rows, row_bytes), np.uint8)
        bounds = np.linspace(0, n_rows, n_threads + 1).astype(int).tolist()
        tasks = [
            (self.features.view(np.uint8), self.key_offset, start, stop, self.row_keys)
            for start, stop in pairwise(bounds)
        ]
        threads.run(prepare.interleave_keys, tasks, n_threads)

    def _interleave_codes(self, n_threads: int) -> None:
        """Put the codes of each row together: nodes are copied from them."""
        n_rows, n_features = self.table.n_rows, self.table.n_features
        self.row_keys = np.empty((n_rows, (n_features + 7) // 8 * 8), np.uint8)
        bounds = np.linspace(0, n_rows, n_threads + 1).astype(int).tolist()
        tasks = [
            (self.columns.view(np.uint8), start, stop, self.row_keys)
            for start, stop in pairwise(bounds)
        ]
        threads.run(prepare.interleave_codes, tasks, n_threads)

    @property
    def narrow_rows(self) -> int:
        """Rows of a node whose codes or keys are copied out."""
        if self.features is not None:
            capacity = _KEY_BYTES // int(self.features["key_size"].sum())
            return int(np.clip(capacity, _LEAST_NARROW, kernels.MOST_NARROW_ROWS))
        sizes = np.minimum(self.columns["codes"]["size"], 2)
        capacity = _COPY_BYTES // int(sizes.sum())
        return int(np.clip(capacity, _LEAST_NARROW, kernels.MOST_NARROW_ROWS))

    def make_growth(
        self, target: Any, limits: tuple[Any, ...], n_rows: int, *, shuffles: bool
    ) -> kernels.Growth:
        """Return a thread's memory for trees of at most `n_rows` rows each.

        `target` and `limits` are those of `training`. With `shuffles` equal splits
        are told apart by an order of the features that each node draws, whatever
        `max_features` is.
        """
        return kernels.Growth(
            target.kind,
            target.loss,
            target.criterion == "entropy",
            target.n_classes,
            target.n_outputs,
            target.n_totals,
            target.class_start,
            target.nlogn,
            target.quantum,
            target.centre,
            target.per_unit,
            self.columns.view(np.uint8),
            None if self.features is None else self.features.view(np.uint8),
            self.row_keys,
            self.key_offset,
            self.raw_size,
            limits,
            self.bounded,
            self.signs,
            self.table.n_rows,
            n_rows,
            min(self.narrow_rows, n_rows),
            shuffles,
            threads.check,
            self,
        )


def keys_by_row(table: EncodedTable, n_threads: int) -> list[NDArray[Any]]:
    """Return each column as the integers that drawn splits look at.

    They are in the order of the values: see the kernel's keys.pxd.
    """

    def make(column: Any) -> NDArray[Any]:
        values: NDArray[Any] = np.arange(column.n_codes, dtype=np.int32)
        last = column.n_codes
        if isinstance(column, ValueColumn):
            values = np.ascontiguousarray(column.codes)
            return encode_keys(values, column.single).codes
        if isinstance(column, KeyColumn):
            return column.codes
        if column.is_exact and not column.is_categorical:
            upper = column.upper.astype(np.float32 if column.single else np.float64)
            values = np.empty(len(upper), np.int32 if column.single else np.int64)
            encode.value_keys(upper, values)
        if not column.is_categorical:
            last = np.iinfo(values.dtype).max
        keys = np.empty(len(column.codes), values.dtype)
        prepare.gather_keys(
            column.codes, np.append(values, values.dtype.type(last)), keys
        )
        return keys

    return threads.run(make, [(column,) for column in table.columns], n_threads)


def set_keys(feature: Any, column: Any, keys: NDArray[Any]) -> None:
    """Fill in the fields of a FEATURE_DTYPE that drawn splits need."""
    feature["categorical"] = column.is_categorical
    feature["has_missing"] = column.n_missing > 0
    feature["n_codes"] = column.n_codes
    feature["single"] = column.single
    feature["keys"] = keys.ctypes.data
    feature["key_size"] = keys.itemsize
    if not column.is_categorical and not column.is_exact:
        feature["lower"] = column.lower.ctypes.data
        feature["upper"] = column.upper.ctypes.data


def take_tree(growth: kernels.Growth, target: Any, n_features: int) -> Tree:
    """Return the tree that `growth` has grown last."""
    return Tree.from_arrays(
        n_features=n_features,
        n_classes=target.n_classes,
        criterion=target.criterion,
        **growth.take(target.response_exponent, target.weights.scale),
    )
