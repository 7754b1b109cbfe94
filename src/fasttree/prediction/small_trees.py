"""Ensembles of small trees, as `_kernels/small.pyx` looks blocks of rows up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree._kernels import mask_rows
from fasttree._kernels import small as kernels
from fasttree.trees.packed_trees import MISSING_HIGH, N_CONSTANT_SLOTS, aligned_empty

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fasttree.trees.packed_trees import PackedTrees

_MOST_LEAVES = 64
# One of 256 codes is that of missing values.
_MOST_CUTS = 254
_BIAS = 128
# Columns of a group of trees from which on walking is cheaper.
_MOST_COLUMNS = 128
# Parts of a block of rows, which share what each group of trees looks up.
_PARTS_PER_BLOCK = 16
# Fewer trees do not pay for turning rows into codes.
_LEAST_TREES = 8


@dataclass(frozen=True, eq=False)
class SmallTrees:
    """What the kernel looks up; see there.

    Attributes
    ----------
    layout : tuple
        Its arguments from `feature` to `leaf_numbers`.
    n_used : int
        Number of features that trees look at.
    most_columns : int
        Of a group of trees.
    """

    layout: tuple[Any, ...]
    n_used: int
    most_columns: int

    @classmethod
    def of(cls, packed: PackedTrees, table: NDArray[np.float64]) -> SmallTrees | None:
        """Return the small trees that `packed` are, or None if they are not small.

        Parameters
        ----------
        packed : PackedTrees
        table : float64 array of shape (n_payloads, width)
            What leaves are worth; no rows if that is not held for all columns.
        """
        n_trees = packed.n_trees
        n_leaves = int(np.diff(packed.tree_start).max()) // 2
        if (
            n_trees < _LEAST_TREES
            or n_leaves > _MOST_LEAVES
            or packed.n_slots == N_CONSTANT_SLOTS
            or packed.first_set_slot < packed.n_slots
            or packed.nodes.shape[1] != 2
            or not len(table)
        ):
            return None
        rank, thresholds, threshold_start = packed.ranks()
        n_cuts = np.diff(threshold_start)
        if n_cuts.max() > _MOST_CUTS:
            return None
        word = np.dtype(np.uint32 if n_leaves <= 32 else np.uint64)
        per_group = kernels.LINE_SIZE // word.itemsize

        # Nodes in the order of their group, feature and rank; those with the same
        # group and feature are a column.
        slot, pair = packed.slots_and_pairs(packed.nodes)
        inner = np.flatnonzero(slot >= N_CONSTANT_SLOTS)
        tree = np.searchsorted(packed.tree_start, inner, side="right") - 1
        used = np.unique(packed.slot_feature[N_CONSTANT_SLOTS:])
        feature = np.searchsorted(used, packed.slot_feature[slot[inner]])
        place = (tree // per_group * len(used) + feature) * 256 + rank[inner]
        order = np.argsort(place, kind="stable")
        inner, tree, place = inner[order], tree[order], place[order]
        distinct, entry_start = np.unique(place, return_index=True)
        columns, first_cut = np.unique(distinct // 256, return_index=True)
        column_start = np.searchsorted(
            columns // len(used), np.arange(-(-n_trees // per_group) + 1)
        )
        most_columns = int(np.diff(column_start).max())
        if most_columns > _MOST_COLUMNS:
            return None

        n_ranks = np.diff(np.append(first_cut, len(distinct)))
        # A line for each rank, and for missing values.
        n_lines = n_ranks + 2
        first_line = np.cumsum(n_lines) - n_lines
        line_start = np.append(first_line, n_lines.sum())[column_start[:-1]]
        group = columns // len(used)
        lines = aligned_empty((int(n_lines.sum()), per_group), word)
        lines[:] = ~word.type(0)
        below, at = packed.number_leaves()
        left = packed.tree_start[tree] + 2 * pair[inner].astype(np.int64)
        mask_rows.write_rows(
            len(columns), 0, n_ranks.astype(np.int32), first_cut, first_line,
            first_line + n_ranks + 1, np.append(entry_start, len(inner)),
            (tree % per_group).astype(np.int32), (~below[left]).astype(word),
            (packed.slot_kind[slot[inner]] == MISSING_HIGH).astype(np.uint8),
            np.zeros(len(inner), np.uint32), packed.words, lines,
            np.empty(per_group, word),
        )  # fmt: skip

        # Missing values exceed one more cut than all others.
        ends = np.append(first_cut, len(distinct))[1:]
        column_cuts = np.insert(distinct % 256, ends, kernels.MISSING_CODE - 1) - _BIAS
        cut_start = np.append(0, np.cumsum(n_ranks + 1))
        at = at[:, : 8 * word.itemsize]
        coarse, cuts = _cut_tables(packed, thresholds, threshold_start, used)
        return cls(
            layout=(
                used.astype(np.int32), coarse, cuts, n_cuts[used].astype(np.int32),
                column_start, (columns % len(used)).astype(np.int32), cut_start,
                column_cuts.astype(np.int8),
                (first_line - line_start[group]).astype(np.int32), line_start,
                lines.view(np.uint8), word.itemsize,
                np.ascontiguousarray(table[packed.nodes[at, 0]]),
                np.ascontiguousarray(packed.preorder()[at]),
            ),
            n_used=len(used),
            most_columns=most_columns,
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
        part = kernels.PART_SIZE
        n_parts = min(_PARTS_PER_BLOCK, -(-(rows[1] - rows[0]) // part))
        codes = aligned_empty((n_parts, self.n_used * part), np.int8)
        codes[:] = 0
        kernels.run(
            X, *self.layout, columns, out, numbers, *trees, *rows, codes,
            np.empty(part * self.most_columns, np.uint16),
        )  # fmt: skip


def _cut_tables(
    packed: PackedTrees,
    thresholds: NDArray[np.float64],
    start: NDArray[np.int64],
    used: NDArray[np.intp],
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return every sixteenth cut of each feature, and all, filled up with infinity."""
    is_single = mask_rows.HAS_CUT_SEARCH and not len(packed.cut_start)
    cuts = aligned_empty((len(used), 256), np.float32 if is_single else np.float64)
    cuts[:] = np.inf
    for i, feature in enumerate(used.tolist()):
        own = thresholds[start[feature] : start[feature + 1]]
        cuts[i, : len(own)] = own
    coarse = aligned_empty((len(used), 16), cuts.dtype)
    coarse[:] = cuts[:, 15::16]
    return coarse, cuts
