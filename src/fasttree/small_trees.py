"""Ensembles of small trees, as `_kernels/small.pyx` evaluates them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree._kernels import small as kernels
from fasttree.packed_trees import (
    MISSING_HIGH,
    N_CONSTANT_SLOTS,
    aligned_empty,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fasttree.packed_trees import PackedTrees

_MOST_LEAVES = 64
_MOST_CUTS = 255
_CHUNK = 16
_TABLE = 2048
# Rows whose codes, with the tables of a tree, about fit the first cache.
_ROWS_PER_BLOCK = 512
# Fewer trees do not pay for turning rows into codes.
_LEAST_TREES = 8


@dataclass(frozen=True, eq=False)
class SmallTrees:
    """What the kernel looks up; see there.

    Attributes
    ----------
    layout : tuple
        Its arguments from `slot_feature` to `n_words`.
    worth : float64 array of shape (n_trees, 64, width)
        What each leaf of each tree holds.
    numbers : int32 array of shape (n_trees, 64)
        Node number of each leaf.
    row_size : int
        Bytes of a row of codes.
    """

    layout: tuple[Any, ...]
    worth: NDArray[np.float64]
    numbers: NDArray[np.int32]
    row_size: int

    @classmethod
    def of(cls, packed: PackedTrees, table: NDArray[np.float64]) -> SmallTrees | None:
        """Return the small trees that `packed` are, or None if they are not small.

        Parameters
        ----------
        packed : PackedTrees
        table : float64 array of shape (n_payloads, width)
            What leaves are worth; no rows if that is not held for all columns.
        """
        n_slots = packed.n_slots - N_CONSTANT_SLOTS
        n_trees = packed.n_trees
        if (
            not kernels.AVAILABLE
            or n_trees < _LEAST_TREES
            or int(np.diff(packed.tree_start).max()) > 2 * _MOST_LEAVES
            or not 0 < n_slots <= 4 * _CHUNK
            or packed.first_set_slot < packed.n_slots
            or packed.nodes.shape[1] != 2
            or not len(table)
        ):
            return None
        rank, thresholds, start = packed.ranks()
        counts = np.diff(start)
        if counts.max() > _MOST_CUTS:
            return None
        cuts = aligned_empty((n_slots, _MOST_CUTS + 1), np.float64)
        cuts[:] = np.inf
        for slot, feature in enumerate(packed.slot_feature[N_CONSTANT_SLOTS:].tolist()):
            cuts[slot, : counts[feature]] = thresholds[
                start[feature] : start[feature + 1]
            ]
        n_chunks = 2 if n_slots <= 2 * _CHUNK else 4
        index = aligned_empty((n_trees, _MOST_LEAVES * n_chunks), np.uint8)
        index[:] = 0x80
        limit = aligned_empty((n_trees, _MOST_LEAVES), np.uint8)
        limit[:] = 0
        leaf_table = aligned_empty((n_trees, _TABLE), np.uint64)
        below, at = packed.number_leaves()
        n_words = np.empty(n_trees, np.uint8)
        kernels.prepare(
            packed.nodes, packed.tree_start, packed.slot_bits, below,
            rank.astype(np.uint8), n_chunks, index, limit, leaf_table, n_words,
        )  # fmt: skip
        if not len(packed.cut_start):
            # Keys are those of float32 values.
            singles = aligned_empty(cuts.shape, np.float32)
            singles[:] = cuts
            cuts = singles
        coarse = aligned_empty((n_slots, 16), cuts.dtype)
        coarse[:] = cuts[:, 15::16]
        kinds = packed.slot_kind[N_CONSTANT_SLOTS:]
        return cls(
            layout=(
                packed.slot_feature[N_CONSTANT_SLOTS:].copy(),
                np.where(kinds == MISSING_HIGH, 255, 0).astype(np.uint8),
                coarse, cuts, n_chunks, index, limit, leaf_table, n_words,
            ),
            worth=np.ascontiguousarray(table[packed.nodes[at, 0]]),
            numbers=np.ascontiguousarray(packed.preorder()[at]),
            row_size=_CHUNK * n_chunks,
        )  # fmt: skip

    def run(
        self,
        X: NDArray[Any],
        columns: NDArray[np.int32],
        out: NDArray[np.float64],
        numbers: NDArray[np.intp],
        trees: tuple[int, int],
        rows: tuple[int, int],
    ) -> None:
        """Add to rows of `out`, or write `numbers` if it has no columns."""
        n_rows = min(_ROWS_PER_BLOCK, rows[1] - rows[0])
        codes = aligned_empty((n_rows, self.row_size), np.uint8)
        codes[:] = 0
        kernels.add_leaves(
            X, *self.layout, self.worth, self.numbers, columns, out, numbers, *trees,
            *rows, codes, np.empty(n_rows, np.uint8),
        )  # fmt: skip
