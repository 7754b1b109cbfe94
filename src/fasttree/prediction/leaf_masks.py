"""Ensembles of small trees, as `_kernels/leaf_masks.pxd` looks single rows up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree._kernels import mask_rows as kernels
from fasttree.trees.packed_trees import (
    CATEGORY,
    MISSING_HIGH,
    N_CONSTANT_SLOTS,
    aligned_empty,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fasttree.trees.packed_trees import PackedTrees

_MOST_LEAVES = 64
_CACHE_LINE = 64
# Cuts of a feature that a vector search finds its way among.
_MOST_CUTS = 255
# Bytes of rows that may stay in the second cache.
_MOST_BYTES = 2**21
_MOST_SHIFT = 8
_MOST_COLUMNS = kernels.COLUMNS - kernels.COLUMN_GROUP


@dataclass(frozen=True, eq=False)
class LeafMasks:
    """What the kernel looks up; see there.

    Attributes
    ----------
    arrays : tuple
        `feature` and so on to `worth`, in the order of the struct.
    first_set : int
        Number of columns that hold no category.
    word_size : int
        Bytes of the leaves of a tree.
    shift : int
        Each ``2**shift``-th rank has a row.
    cycles : float
        About how many processor cycles a row takes.
    """

    arrays: tuple[NDArray[Any], ...]
    first_set: int
    word_size: int
    shift: int
    cycles: float

    @classmethod
    def of(cls, packed: PackedTrees, table: NDArray[np.float64]) -> LeafMasks | None:
        """Return what is looked up, or None where trees are better walked.

        Parameters
        ----------
        packed : PackedTrees
        table : float64 array of shape (n_payloads, width)
            What leaves are worth; no rows if that is not held for all columns.
        """
        n_leaves = int(np.diff(packed.tree_start).max()) // 2
        if n_leaves > _MOST_LEAVES or packed.nodes.shape[1] != 2 or not len(table):
            return None
        columns = _Columns.of(packed)
        word = np.uint32 if n_leaves <= 32 else np.uint64
        row_size = packed.n_trees * np.dtype(word).itemsize
        row_size += -row_size % _CACHE_LINE
        shift = columns.shift_for(row_size)
        if shift is None or not 0 < len(columns.feature) <= _MOST_COLUMNS:
            return None
        cycles = columns.cycles(packed, row_size, shift)
        if cycles > cycles_of_walk(packed):
            return None

        counts = np.where(columns.is_set, columns.n_ranks, columns.n_ranks >> shift) + 1
        counts += ~columns.is_set  # missing values
        after = np.cumsum(counts)
        first_row = after - counts
        missing_row = after - 1
        rows = aligned_empty((int(after[-1]), row_size // word().itemsize), word)
        rows[:] = ~word(0)

        below, at = packed.number_leaves()
        slot, pair = packed.slots_and_pairs(packed.nodes)
        inner = np.flatnonzero(slot >= N_CONSTANT_SLOTS)
        number = columns.first_rank[columns.of_slot[slot[inner]]] + columns.rank[inner]
        order = np.argsort(number, kind="stable")
        inner, number = inner[order], number[order]
        tree = np.searchsorted(packed.tree_start, inner, side="right") - 1
        left = packed.tree_start[tree] + 2 * pair[inner].astype(np.int64)
        entry_start = np.searchsorted(number, np.arange(columns.n_numbers + 1))
        entry_tree = tree.astype(np.int32)
        entry_word = (~below[left]).astype(word)
        kernels.write_rows(
            columns.first_set, shift, columns.n_ranks, columns.first_rank, first_row,
            missing_row, entry_start, entry_tree, entry_word,
            (packed.slot_kind[slot[inner]] == MISSING_HIGH).astype(np.uint8),
            packed.nodes[inner, 0], packed.words, rows, np.empty(rows.shape[1], word),
        )  # fmt: skip

        n_bits = 8 * word().itemsize
        worth = np.ascontiguousarray(table[packed.nodes[at[:, :n_bits], 0]])
        # The last column again, to fill up.
        n = len(columns.feature)
        filled = np.minimum(np.arange(n + -n % kernels.COLUMN_GROUP), n - 1)
        coarse, fine = columns.vectors(packed, filled)
        return cls(
            arrays=(
                columns.feature[filled], columns.n_ranks[filled],
                columns.first_rank[filled], first_row[filled], missing_row[filled],
                columns.cuts, coarse, fine, entry_start, entry_tree, entry_word, rows,
                worth,
            ),
            first_set=columns.first_set if columns.is_set.any() else len(filled),
            word_size=word().itemsize,
            shift=shift,
            cycles=cycles,
        )  # fmt: skip


@dataclass(frozen=True)
class _Columns:
    """The features that nodes ask for, and the ranks that rows can have there."""

    feature: NDArray[np.int32]
    is_set: NDArray[np.bool_]
    n_ranks: NDArray[np.int32]  # thresholds, or the last code
    first_rank: NDArray[np.int64]
    cuts: NDArray[np.float64]  # (n_numbers,) from first_rank on
    of_slot: NDArray[np.intp]  # (n_slots,)
    rank: NDArray[np.int64]  # (n_positions,)

    @classmethod
    def of(cls, packed: PackedTrees) -> _Columns:
        rank, cuts, cut_start = packed.ranks()
        first_set = packed.first_set_slot
        is_category = packed.slot_kind == CATEGORY
        numeric = np.unique(packed.slot_feature[N_CONSTANT_SLOTS:first_set])
        categories = packed.slot_feature[is_category]
        feature = np.concatenate([numeric, categories]).astype(np.int32)
        is_set = np.arange(len(feature)) >= len(numeric)
        of_slot = np.searchsorted(numeric, packed.slot_feature)
        of_slot[is_category] = np.arange(len(numeric), len(feature))
        n_ranks = np.zeros(len(feature), np.int32)
        n_ranks[~is_set] = np.diff(cut_start)[numeric]
        slot, _ = packed.slots_and_pairs(packed.nodes)
        sets = np.flatnonzero(slot >= first_set)
        np.maximum.at(
            n_ranks,
            of_slot[slot[sets]],
            packed.words[packed.nodes[sets, 0]].astype(np.int32),
        )
        n_numbers = np.where(is_set, 1, n_ranks)
        first_rank = np.cumsum(n_numbers) - n_numbers
        own_cuts = np.zeros(int(n_numbers.sum()))
        for column, f in enumerate(numeric.tolist()):
            first = first_rank[column]
            own_cuts[first : first + n_ranks[column]] = cuts[
                cut_start[f] : cut_start[f + 1]
            ]
        return cls(feature, is_set, n_ranks, first_rank, own_cuts, of_slot, rank)

    @property
    def first_set(self) -> int:
        return int(np.count_nonzero(~self.is_set))

    @property
    def n_numbers(self) -> int:
        return len(self.cuts)

    def shift_for(self, row_size: int) -> int | None:
        """Return the least shift that takes little memory, or None."""
        ranks, codes = self.n_ranks[~self.is_set], self.n_ranks[self.is_set]
        room = _MOST_BYTES // row_size - len(codes) - int(codes.sum(dtype=np.int64))
        for shift in range(_MOST_SHIFT + 1):
            if int((ranks >> shift).sum(dtype=np.int64)) + 2 * len(ranks) <= room:
                return shift
        return None

    def cycles(self, packed: PackedTrees, row_size: int, shift: int) -> float:
        """Return about how many processor cycles looking a row up takes."""
        nodes_per_rank = packed.n_nodes / 2 / max(1, self.n_numbers)
        applying = 2**shift * nodes_per_rank if shift else 0
        each = 12 + row_size / 32 + applying
        return len(self.feature) * each + 4 * packed.n_trees

    def vectors(
        self, packed: PackedTrees, filled: NDArray[np.intp]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the cuts as the vector search takes them, or nothing."""
        ranks = self.n_ranks[~self.is_set]
        if (
            not kernels.HAS_CUT_SEARCH
            or len(packed.cut_start)
            or ranks.max(initial=0) > _MOST_CUTS
        ):
            return np.zeros((0, 16), np.float32), np.zeros((0, 256), np.float32)
        fine = np.full((len(self.feature), _MOST_CUTS + 1), np.inf, np.float32)
        for column in range(len(ranks)):
            first = self.first_rank[column]
            fine[column, : ranks[column]] = self.cuts[first : first + ranks[column]]
        fine = fine[filled]
        return np.ascontiguousarray(fine[:, 15::16]), fine


def cycles_of_walk(packed: PackedTrees) -> float:
    """Return about how many processor cycles a walk through all trees takes."""
    n_leaves = np.diff(packed.tree_start) // 2
    # The deepest of eight trees is waited for.
    steps = 1.5 * np.log2(n_leaves) + 2
    return 4 * float(steps.sum()) + 3 * packed.n_slots
