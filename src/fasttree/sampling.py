"""Trees whose nodes look at a few features: columns shared by many trees.

The kernels' ``sampled.pxd`` says how such a tree is grown. Here are the columns as
it reads them, a thread's memory for one tree after another, and the way from its
arrays to a `Tree`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree._kernels import forest as kernels
from fasttree.tree import Tree

if TYPE_CHECKING:
    from fasttree.table import EncodedTable

# Mirrors of the kernels' structs; LAYOUT holds their sizes for a test.
CODES_DTYPE = np.dtype(
    [
        ("codes", np.uintp),
        ("n_codes", np.uint32),
        ("missing", np.uint32),
        ("size", np.uint8),
        ("categorical", np.uint8),
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

_COPY_BYTES = 256 << 10  # of a narrow node: a good part of a common L2 cache
_LEAST_NARROW = 512


class SharedColumns:
    """The columns of a table as trees read them, and what keeps them alive.

    Parameters
    ----------
    table : EncodedTable
        Of columns that have codes.
    """

    def __init__(self, table: EncodedTable) -> None:
        self.table = table
        self.columns = np.zeros(table.n_features, COLUMN_DTYPE)
        for entry, column in zip(self.columns, table.columns, strict=True):
            codes = entry["codes"]
            codes["codes"] = column.codes.ctypes.data
            # The missing code is one more.
            codes["n_codes"] = column.n_codes + 1
            codes["missing"] = column.n_codes
            codes["size"] = column.codes.itemsize
            codes["categorical"] = column.is_categorical
            entry["is_exact"] = column.is_exact
            entry["single"] = column.single
            if not column.is_categorical:
                entry["lower"] = column.lower.ctypes.data
                entry["upper"] = column.upper.ctypes.data

    @property
    def narrow_rows(self) -> int:
        """Rows of a node whose codes are copied out."""
        sizes = np.minimum(self.columns["codes"]["size"], 2)
        capacity = _COPY_BYTES // int(sizes.sum())
        return int(np.clip(capacity, _LEAST_NARROW, kernels.MOST_NARROW_ROWS // 2))

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
            target.nlogn,
            target.quantum,
            float(target.centre[0]),
            target.per_unit,
            self.columns.view(np.uint8),
            limits,
            self.table.n_rows,
            n_rows,
            min(self.narrow_rows, n_rows),
            shuffles,
            self,
        )


def take_tree(growth: kernels.Growth, target: Any, n_features: int) -> Tree:
    """Return the tree that `growth` has grown last."""
    return Tree.from_arrays(
        n_features=n_features,
        n_classes=target.n_classes,
        criterion=target.criterion,
        **growth.take(target.response_exponent, target.weights.scale),
    )
