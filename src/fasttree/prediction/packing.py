"""From trees to their packed form."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree._kernels import ensemble as kernels
from fasttree._kernels import predict as tree_kernels
from fasttree.trees.joint_trees import JointTrees
from fasttree.trees.packed_trees import (
    ALWAYS_RIGHT,
    CATEGORY,
    MISSING_HIGH,
    MISSING_LOW,
    N_CONSTANT_SLOTS,
    PackedTrees,
    aligned_empty,
    float_keys,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fasttree.trees.tree import Tree

_INT32_MAX = np.iinfo(np.int32).max
_NO_CHILD = -1


def pack(trees: Sequence[Tree | JointTrees], *, narrow: bool = True) -> PackedTrees:
    """Return the packed form of trees that fit together.

    `narrow` is whether eight bytes a node are tried; few ensembles need more.
    """
    slots = Slots.of(trees)
    sizes = [_sizes_of(tree) for tree in trees]
    n_pairs = (np.concatenate(sizes) + 1) // 2
    tree_start = np.append(0, np.cumsum(2 * n_pairs))
    slot_bits = slots.slot_bits
    is_narrow = narrow and slots.has_room_for(int(n_pairs.max()))
    nodes = aligned_empty((int(tree_start[-1]), 2 if is_narrow else 3), np.uint32)
    payload = _pack_payload(trees)
    words = [np.zeros(2, np.uint64)]
    n_words = 2
    first_leaf = first_tree = 0
    for tree, n_nodes in zip(trees, sizes, strict=True):
        starts = tree_start[first_tree : first_tree + len(n_nodes) + 1]
        first_tree += len(n_nodes)
        start, stop = starts[0], starts[-1]
        base = starts[:-1] - start
        inner = np.flatnonzero(tree.children_left != _NO_CHILD)
        leaves = tree.leaf_nodes
        # Pairs are counted within each tree.
        n_inner = n_nodes // 2
        pair = np.arange(1, len(inner) + 1) - np.repeat(
            np.cumsum(n_inner) - n_inner, n_inner
        )
        first = np.repeat(base, n_inner) + 2 * pair
        position = np.zeros(tree.node_count, np.int64)
        position[np.cumsum(n_nodes) - n_nodes] = base
        position[tree.children_left[inner]] = first
        position[tree.children_right[inner]] = first + 1

        slot_at = np.empty(stop - start, np.uint32)
        pair_at = np.empty(stop - start, np.uint32)
        key_at = np.empty(stop - start, np.uint32)
        slot_at[base + 1], pair_at[base + 1], key_at[base + 1] = ALWAYS_RIGHT, 0, 0
        at = position[leaves]
        slot_at[at] = at & 1
        pair_at[at] = (at - np.repeat(base, n_nodes - n_inner)) >> 1
        key_at[at] = payload.keys[first_leaf : first_leaf + len(leaves)]
        first_leaf += len(leaves)
        at = position[inner]
        slot_at[at] = slots.of_nodes(tree, inner)
        pair_at[at] = pair
        key_at[at] = slots.keys_of(tree, inner)
        categorical = inner[tree.is_categorical[inner]]
        if len(categorical):
            sets, first_word = _pack_sets(tree, categorical)
            key_at[position[categorical]] = n_words + first_word
            words.append(sets)
            n_words += len(sets)
        own = nodes[start:stop]
        own[:, 0] = key_at
        if is_narrow:
            own[:, 1] = pair_at << np.uint32(slot_bits) | slot_at
        else:
            own[:, 1], own[:, 2] = slot_at, pair_at
    if n_words > _INT32_MAX:
        raise ValueError("the trees' category sets are too large")
    return replace(
        payload.fields,
        nodes=nodes,
        tree_start=tree_start,
        slot_bits=slot_bits,
        slot_feature=slots.feature,
        slot_kind=slots.kind,
        cuts=slots.cuts,
        cut_start=slots.cut_start,
        words=np.concatenate(words),
    )


def _sizes_of(tree: Tree | JointTrees) -> NDArray[np.int64]:
    """Return the number of nodes of a tree, or of each of several."""
    if isinstance(tree, JointTrees):
        return np.diff(tree.roots, append=tree.node_count)
    return np.array([tree.node_count])


@dataclass(frozen=True)
class Slots:
    """Which slots the rows of an ensemble have, and how thresholds become keys."""

    feature: NDArray[np.int32]
    kind: NDArray[np.uint8]
    slot_of: NDArray[np.uint32]  # (n_features, 3)
    cuts: NDArray[np.float64]
    cut_start: NDArray[np.int64]

    @classmethod
    def of(cls, trees: Sequence[Tree | JointTrees]) -> Slots:
        """Return the slots that trees need."""
        n_features = trees[0].n_features
        is_used = np.zeros((n_features, 3), bool)
        is_single = True
        for tree in trees:
            inner = np.flatnonzero(tree.children_left != _NO_CHILD)
            is_used[tree.feature[inner], _kinds(tree, inner)] = True
            threshold = tree.threshold[inner]
            with np.errstate(over="ignore"):
                rounded = threshold.astype(np.float32)
            is_single &= bool(
                np.all((rounded == threshold) | tree.is_categorical[inner])
            )
        cuts, cut_start = np.zeros(0), np.zeros(0, np.int64)
        if not is_single:
            cuts, cut_start = _find_cuts(trees, n_features)
        return cls.of_used(is_used, cuts, cut_start)

    @classmethod
    def of_used(
        cls,
        is_used: NDArray[Any],
        cuts: NDArray[np.float64],
        cut_start: NDArray[np.int64],
    ) -> Slots:
        """Return the slots of those features and kinds, (n_features, 3), in use."""
        numeric, direction = np.nonzero(is_used[:, :CATEGORY])
        categorical = np.flatnonzero(is_used[:, CATEGORY])
        constant = np.full(N_CONSTANT_SLOTS, -1)
        feature = np.concatenate([constant, numeric, categorical]).astype(np.int32)
        kind = np.concatenate(
            [[0, 0], direction, np.full(len(categorical), CATEGORY)]
        ).astype(np.uint8)
        slot_of = np.zeros(is_used.shape, np.uint32)
        own = np.arange(N_CONSTANT_SLOTS, len(feature), dtype=np.uint32)
        slot_of[feature[N_CONSTANT_SLOTS:], kind[N_CONSTANT_SLOTS:]] = own
        return cls(feature, kind, slot_of, cuts, cut_start)

    @property
    def n_slots(self) -> int:
        return len(self.feature)

    @property
    def slot_bits(self) -> int:
        """Bits that name a slot."""
        return int(self.n_slots - 1).bit_length()

    def has_room_for(self, n_pairs: int) -> bool:
        """Return whether slots and so many pairs of nodes fit one link."""
        return self.slot_bits <= 31 and n_pairs <= 2 ** (32 - self.slot_bits)

    def of_nodes(
        self, tree: Tree | JointTrees, inner: NDArray[np.intp]
    ) -> NDArray[np.uint32]:
        return self.slot_of[tree.feature[inner], _kinds(tree, inner)]

    def keys_of(
        self, tree: Tree | JointTrees, inner: NDArray[np.intp]
    ) -> NDArray[np.uint32]:
        threshold = tree.threshold[inner]
        if not len(self.cut_start):
            return float_keys(threshold)
        feature = tree.feature[inner]
        keys = np.zeros(len(inner), np.uint32)
        numeric = np.flatnonzero(~tree.is_categorical[inner])
        order = numeric[np.argsort(feature[numeric], kind="stable")]
        bounds = np.searchsorted(feature[order], np.arange(tree.n_features + 1))
        for f in np.unique(feature[numeric]).tolist():
            own = order[bounds[f] : bounds[f + 1]]
            cuts = self.cuts[self.cut_start[f] : self.cut_start[f + 1]]
            keys[own] = np.searchsorted(cuts, threshold[own])
        return keys


def _kinds(tree: Tree | JointTrees, inner: NDArray[np.intp]) -> NDArray[np.intp]:
    kind = np.where(tree.missing_go_to_left[inner], MISSING_LOW, MISSING_HIGH)
    kind[tree.is_categorical[inner]] = CATEGORY
    return kind


def _find_cuts(
    trees: Sequence[Tree | JointTrees], n_features: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the distinct thresholds of each feature, and where each starts."""
    feature, threshold = [], []
    for tree in trees:
        numeric = np.flatnonzero(
            (tree.children_left != _NO_CHILD) & ~tree.is_categorical
        )
        feature.append(tree.feature[numeric])
        # Zeros of both signs are one cut.
        threshold.append(tree.threshold[numeric] + 0.0)
    features, thresholds = np.concatenate(feature), np.concatenate(threshold)
    order = np.lexsort((thresholds, features))
    features, thresholds = features[order], thresholds[order]
    is_new = np.ones(len(order), bool)
    is_new[1:] = (features[1:] != features[:-1]) | (thresholds[1:] != thresholds[:-1])
    features, thresholds = features[is_new], thresholds[is_new]
    return thresholds, np.searchsorted(features, np.arange(n_features + 1)).astype(
        np.int64
    )


def _pack_sets(
    tree: Tree | JointTrees, nodes: NDArray[np.intp]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the words of these nodes' sets, and where each starts."""
    n_codes = tree.category_count[nodes]
    n_words = 2 + n_codes.astype(np.int64) // 64
    first_word = np.cumsum(n_words) - n_words
    words = np.zeros(int(n_words.sum()), np.uint64)
    if len(words) > _INT32_MAX:
        raise ValueError("the trees' category sets are too large")
    words[first_word] = n_codes
    tree_kernels.pack_category_sets(
        tree.category_bits,
        tree.category_start[nodes],
        n_codes,
        tree.missing_go_to_left[nodes],
        (first_word + 1).astype(np.uint32),
        words,
    )
    return words, first_word


# What leaves are worth, in fields of PackedTrees: to be replaced by what there is.
NO_PAYLOAD: dict[str, NDArray[Any]] = {
    "leaf_value": np.zeros((0, 1)),
    "profile_start": np.zeros(1, np.int64),
    "profile_class": np.zeros(0, np.int32),
    "profile_weight": np.zeros(0),
    "profile_share": np.zeros(0),
}


@dataclass(frozen=True)
class _Payload:
    """What leaves are worth, and the number of each leaf's payload."""

    fields: PackedTrees
    keys: NDArray[np.int32]


def _pack_payload(trees: Sequence[Tree | JointTrees]) -> _Payload:
    n_leaves = sum(tree.n_leaves for tree in trees)
    check_leaves(n_leaves)
    first = trees[0]
    empty: dict[str, Any] = dict.fromkeys(PackedTrees.__dataclass_fields__)
    empty |= {**NO_PAYLOAD, "n_features": first.n_features}
    if not first.is_classification:
        value = np.concatenate([tree.leaf_value for tree in trees])
        empty["leaf_value"] = value.reshape(n_leaves, first.n_outputs)
        empty["n_columns"] = first.n_outputs
        return _Payload(PackedTrees(**empty), np.arange(n_leaves, dtype=np.int32))
    fields, keys = intern_profiles(
        np.concatenate([np.diff(tree.leaf_start) for tree in trees]),
        np.concatenate([tree.leaf_class for tree in trees]),
        np.concatenate([tree.leaf_weight for tree in trees]),
        np.concatenate([tree.leaf_share for tree in trees]),
        has_own_shares=any(tree.has_own_shares for tree in trees),
    )
    empty |= {**fields, "n_columns": first.total_n_classes}
    return _Payload(PackedTrees(**empty), keys)


def check_leaves(n_leaves: int) -> None:
    """Raise ValueError if trees have too many leaves together."""
    if n_leaves > _INT32_MAX:
        raise ValueError(f"trees can have {_INT32_MAX} leaves together, got {n_leaves}")


def intern_profiles(
    counts: NDArray[np.int64],
    leaf_class: NDArray[np.int32],
    weight: NDArray[np.float64],
    share: NDArray[np.float64],
    *,
    has_own_shares: bool,
) -> tuple[dict[str, Any], NDArray[np.int32]]:
    """Return the distinct sets of class weights, and the number of each leaf's.

    Parameters
    ----------
    counts : ndarray of shape (n_leaves,)
        Entries of each leaf.
    leaf_class, weight, share : ndarray of shape (n_entries,)
    has_own_shares : bool
        Whether shares may differ where weights are the same.

    Returns
    -------
    fields : dict
        ``profile_start`` and so on, of `PackedTrees`.
    keys : ndarray of shape (n_leaves,)
    """
    n_leaves = len(counts)
    check_leaves(n_leaves)
    start = np.append(0, np.cumsum(counts))
    keys = np.empty(n_leaves, np.int32)
    table = np.full(2 << int(n_leaves).bit_length(), -1, np.int32)
    firsts = np.empty(n_leaves, np.int32)
    distinct = start, leaf_class, weight
    if has_own_shares:
        distinct = _with_shares(start, leaf_class, weight, share)
    n_profiles = kernels.intern(*distinct, table, keys, firsts)
    kept = firsts[:n_profiles]
    profile_start = np.append(0, np.cumsum(counts[kept]))
    entries = np.repeat(start[kept] - profile_start[:-1], counts[kept])
    entries += np.arange(len(entries))
    fields = {
        "profile_start": profile_start,
        "profile_class": leaf_class[entries],
        "profile_weight": weight[entries],
        "profile_share": share[entries],
    }
    return fields, keys


def _with_shares(
    start: NDArray[np.int64],
    leaf_class: NDArray[np.int32],
    weight: NDArray[np.float64],
    share: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]:
    """Return the entries of leaves with each leaf's shares after its weights."""
    counts = np.diff(start)
    place = np.arange(len(weight)) + np.repeat(start[:-1], counts)
    shifted = place + np.repeat(counts, counts)
    classes = np.empty(2 * len(weight), np.int32)
    values = np.empty(2 * len(weight))
    classes[place], classes[shifted] = leaf_class, leaf_class
    values[place], values[shifted] = weight, share
    return 2 * start, classes, values
