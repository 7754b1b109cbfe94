"""Trees packed one by one, and one ensemble of them all.

A forest packs each tree when it is grown: a `Tree` takes about five times as many
bytes. Slots, cuts and profiles, which trees of an ensemble share, are then numbered
anew.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fasttree.prediction import packing
from fasttree.prediction.ensemble import Ensemble
from fasttree.trees.node_statistics import NodeStatistics, narrowest
from fasttree.trees.packed_trees import (
    CATEGORY,
    N_CONSTANT_SLOTS,
    PackedTrees,
    aligned_empty,
    float_values,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from fasttree.data.schema import SparseRows
    from fasttree.trees.tree import Tree

_MAX_WORDS = np.iinfo(np.int32).max


class CompactTree(NamedTuple):
    """One tree in few bytes."""

    packed: PackedTrees
    statistics: NodeStatistics

    @classmethod
    def of(cls, tree: Tree) -> CompactTree:
        """Pack a tree."""
        return cls(packing.pack([tree]), NodeStatistics.of([tree]))

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return self.packed.nbytes + self.statistics.nbytes

    def find_payloads(self, X: NDArray[Any] | SparseRows) -> NDArray[np.intp]:
        """Return the number of the payload of each row's leaf, (n_rows,)."""
        ensemble = Ensemble.from_packed(*self, np.zeros(1, np.int32))
        number = self.packed.preorder()
        payload_of = np.empty(self.packed.n_nodes, np.intp)
        payload_of[number[number >= 0]] = self.packed.nodes[number >= 0, 0]
        return payload_of.take(ensemble.leaves(X)[:, 0])

    def restore(self) -> Tree:
        """Return the tree as it was before packing."""
        return self.statistics.restore(self.packed, 0)


class TreeList:
    """Packed trees that become one `Ensemble` when they are first to predict.

    Parameters
    ----------
    parts : iterable of CompactTree or Ensemble
        In order; those of one list fit together.
    """

    def __init__(self, parts: Sequence[CompactTree | Ensemble] = ()) -> None:
        self._parts = list(parts)

    def __len__(self) -> int:
        return sum(
            len(part) if isinstance(part, Ensemble) else 1 for part in self._parts
        )

    def __iter__(self) -> Iterator[Tree]:
        """Yield the trees, made anew each time."""
        for part in self._parts:
            if isinstance(part, Ensemble):
                yield from part
            else:
                yield part.restore()

    def __add__(self, other: TreeList) -> TreeList:
        """Return the trees of both."""
        return TreeList([*self._parts, *other._parts])

    @property
    def ensemble(self) -> Ensemble:
        """All the trees as one."""
        if len(self._parts) != 1 or not isinstance(self._parts[0], Ensemble):
            self._parts = [join(self._parts)]
        only = self._parts[0]
        assert isinstance(only, Ensemble)
        return only


def join(parts: Sequence[CompactTree | Ensemble]) -> Ensemble:
    """Return one ensemble of the trees of all parts, which fit together."""
    n_trees = sum(part.packed.n_trees for part in parts)
    packed = join_packed([part.packed for part in parts])
    statistics = _join_statistics(
        [part.packed for part in parts], [part.statistics for part in parts]
    )
    if statistics is None:
        return Ensemble.from_trees(TreeList(parts))
    return Ensemble.from_packed(packed, statistics, np.zeros(n_trees, np.int32))


def join_packed(parts: Sequence[PackedTrees]) -> PackedTrees:
    """Return the trees of all parts as if they had been packed together.

    Raises
    ------
    ValueError
        If they have too many leaves or category sets.
    """
    slots = _joint_slots(parts)
    payload, payload_of = _join_payload(parts)
    cuts, cut_start = _join_cuts(parts)
    n_words = [2, *(len(part.words) - 2 for part in parts)]
    first_word = np.cumsum(n_words)
    if first_word[-1] > _MAX_WORDS:
        raise ValueError("the trees' category sets are too large")
    positions = np.cumsum([0, *(len(part.nodes) for part in parts)])
    most_pairs = max(int(np.diff(part.tree_start).max()) // 2 for part in parts)
    slot_bits = int(len(slots) - 1).bit_length()
    narrow = slot_bits <= 31 and most_pairs <= 2 ** (32 - slot_bits)
    nodes = aligned_empty((int(positions[-1]), 2 if narrow else 3), np.uint32)
    for i, part in enumerate(parts):
        slot, pair = part.slots_and_pairs(part.nodes)
        own = nodes[positions[i] : positions[i + 1]]
        own[:, 0] = _keys(part, slot, payload_of[i], first_word[i] - 2, cuts, cut_start)
        slot = _slot_numbers(part, slots)[slot]
        if narrow:
            own[:, 1] = pair << np.uint32(slot_bits) | slot
        else:
            own[:, 1], own[:, 2] = slot, pair
    starts = [
        part.tree_start[:-1] + at
        for part, at in zip(parts, positions[:-1], strict=True)
    ]
    return replace(
        payload,
        nodes=nodes,
        tree_start=np.append(np.concatenate(starts), positions[-1]),
        slot_bits=slot_bits,
        slot_feature=np.array([feature for _, feature, _ in slots], np.int32),
        slot_kind=np.array([kind for _, _, kind in slots], np.uint8),
        cuts=cuts,
        cut_start=cut_start,
        words=np.concatenate([np.zeros(2, np.uint64), *(p.words[2:] for p in parts)]),
    )


def _joint_slots(parts: Sequence[PackedTrees]) -> list[tuple[bool, int, int]]:
    """Return the slots in order: numbers by feature, then categories."""
    used = {
        (bool(kind == CATEGORY), int(feature), int(kind))
        for part in parts
        for feature, kind in zip(
            part.slot_feature[N_CONSTANT_SLOTS:],
            part.slot_kind[N_CONSTANT_SLOTS:],
            strict=True,
        )
    }
    return [(False, -1, 0)] * N_CONSTANT_SLOTS + sorted(used)


def _slot_numbers(
    part: PackedTrees, slots: list[tuple[bool, int, int]]
) -> NDArray[np.uint32]:
    """Return the number in `slots` of each slot of a part."""
    number = {slot: i for i, slot in enumerate(slots)}
    own = zip(part.slot_feature.tolist(), part.slot_kind.tolist(), strict=True)
    numbers = [number.get((kind == CATEGORY, f, kind), 0) for f, kind in own]
    numbers[:N_CONSTANT_SLOTS] = range(N_CONSTANT_SLOTS)
    return np.array(numbers, np.uint32)


def _keys(
    part: PackedTrees,
    slot: NDArray[np.uint32],
    payload_of: NDArray[np.int64],
    word_shift: int,
    cuts: NDArray[np.float64],
    cut_start: NDArray[np.int64],
) -> NDArray[np.uint32]:
    """Return the keys of a part's nodes as the whole ensemble numbers them."""
    keys = part.nodes[:, 0].copy()
    leaves = np.flatnonzero(slot < N_CONSTANT_SLOTS)
    keys[leaves] = payload_of[keys[leaves]]
    keys[part.tree_start[:-1] + 1] = 0  # positions that are not used
    sets = np.flatnonzero(slot >= part.first_set_slot)
    keys[sets] += np.uint32(word_shift)
    if len(cut_start):
        numeric = np.flatnonzero(
            (slot >= N_CONSTANT_SLOTS) & (slot < part.first_set_slot)
        )
        feature = part.slot_feature[slot[numeric]]
        threshold = _thresholds(part, feature, keys[numeric])
        for f in np.unique(feature).tolist():
            own = feature == f
            keys[numeric[own]] = np.searchsorted(
                cuts[cut_start[f] : cut_start[f + 1]], threshold[own]
            )
    return keys


def _thresholds(
    part: PackedTrees, feature: NDArray[np.int32], keys: NDArray[np.uint32]
) -> NDArray[np.float64]:
    if len(part.cut_start):
        return part.cuts[part.cut_start[feature] + keys]
    return float_values(keys)


def _join_cuts(
    parts: Sequence[PackedTrees],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the cuts of all parts, none where all have float32 keys."""
    if not any(len(part.cut_start) for part in parts):
        return np.zeros(0), np.zeros(0, np.int64)
    n_features = parts[0].n_features
    features, thresholds = [], []
    for part in parts:
        if len(part.cut_start):
            counts = np.diff(part.cut_start)
            features.append(np.repeat(np.arange(n_features, dtype=np.int32), counts))
            thresholds.append(part.cuts)
            continue
        slot, _ = part.slots_and_pairs(part.nodes)
        numeric = (slot >= N_CONSTANT_SLOTS) & (slot < part.first_set_slot)
        features.append(part.slot_feature[slot[numeric]])
        thresholds.append(float_values(part.nodes[numeric, 0]))
    feature, threshold = np.concatenate(features), np.concatenate(thresholds)
    own = [np.unique(threshold[feature == f]) for f in range(n_features)]
    start = np.append(0, np.cumsum([len(cuts) for cuts in own]))
    return np.concatenate(own), start.astype(np.int64)


def _join_payload(
    parts: Sequence[PackedTrees],
) -> tuple[PackedTrees, list[NDArray[np.int64]]]:
    """Return the payloads of all, and the number there of each payload of a part."""
    if len(parts[0].leaf_value):
        values = np.concatenate([part.leaf_value for part in parts])
        ends = np.cumsum([0, *(len(part.leaf_value) for part in parts)])
        packing.check_leaves(int(ends[-1]))
        numbers = [np.arange(a, b) for a, b in pairwise(ends)]
        return replace(parts[0], leaf_value=values), numbers
    fields, keys = packing.intern_profiles(
        np.concatenate([np.diff(part.profile_start) for part in parts]),
        np.concatenate([part.profile_class for part in parts]),
        np.concatenate([part.profile_weight for part in parts]),
        np.concatenate([part.profile_share for part in parts]),
        has_own_shares=True,
    )
    ends = np.cumsum([len(part.profile_start) - 1 for part in parts])
    return replace(parts[0], **fields), np.split(keys.astype(np.int64), ends[:-1])


def _join_statistics(
    packed: Sequence[PackedTrees], parts: Sequence[NodeStatistics]
) -> NodeStatistics | None:
    """Return the statistics of all trees; None where they are kept in several ways."""
    first = parts[0]
    joint: dict[str, Any] = {}
    n_leaves = [(p.n_nodes + p.n_trees) // 2 for p in packed]
    for name in ("n_node_samples", "weighted_n_node_samples"):
        arrays = [getattr(part, name) for part in parts]
        if all(array.dtype == np.bool_ for array in arrays):
            joint[name] = first.weighted_n_node_samples
            continue
        full = {len(a) - n for a, n in zip(arrays, n_leaves, strict=True)}
        is_sum = [array.dtype == np.bool_ for array in arrays]
        if any(is_sum) or (full != {0} and any(len(array) for array in arrays)):
            return None
        joint[name] = narrowest(np.concatenate(arrays))
    if not any(len(part.weighted_n_node_samples) for part in parts):
        joint["weighted_n_node_samples"] = np.zeros(0)
    impurity = [part.impurity for part in parts]
    if any(len(a) == p.n_nodes for a, p in zip(impurity, packed, strict=True)):
        impurity = [_of_all(a, p) for a, p in zip(impurity, packed, strict=True)]
    values = [part.inner_value for part in parts]
    has_values = {
        len(own) > 0
        for own, part in zip(values, packed, strict=True)
        if part.n_nodes > part.n_trees
    }
    if len(has_values) > 1:
        return None
    return replace(
        first,
        impurity=np.concatenate(impurity),
        inner_value=np.concatenate(values),
        **joint,
    )


def _of_all(impurity: NDArray[np.float64], packed: PackedTrees) -> NDArray[np.float64]:
    """Return the impurity of all nodes, where that of leaves may be left out as 0."""
    if len(impurity) == packed.n_nodes:
        return impurity
    slot, _ = packed.slots_and_pairs(packed.nodes)
    number = packed.preorder().astype(np.int64)
    starts = packed.tree_start[:-1]
    number += np.repeat(starts - np.arange(len(starts)), np.diff(packed.tree_start))
    inner = np.sort(number[slot >= N_CONSTANT_SLOTS])
    full = np.zeros(packed.n_nodes)
    full[inner] = impurity
    return full
