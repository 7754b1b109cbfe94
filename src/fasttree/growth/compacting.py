"""A grown tree packed straight from the kernel's records, with no Tree in between.

The same bytes as `CompactTree.of` gives of the Tree; see the kernel's compact.pxd.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree._kernels import forest as kernels
from fasttree.prediction.joining import CompactTree
from fasttree.prediction.packing import NO_PAYLOAD, Slots, check_leaves, intern_profiles
from fasttree.trees.node_statistics import NodeStatistics, narrowest
from fasttree.trees.packed_trees import PackedTrees, aligned_empty

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fasttree.growth.target import Target


def take_compact(growth: kernels.Growth, target: Target) -> CompactTree:
    """Return the tree of one output that `growth` has grown last.

    Parameters
    ----------
    growth : Growth
    target : Target
        What it was grown for, without constraints.
    """
    outline, single, plain, n_words = growth.outline(
        target.response_exponent, target.weights.scale
    )
    asks, thresholds = outline["asks"], outline["thresholds"]
    check_leaves(len(outline["leaf_rows"]))
    n_features = len(outline["used"])
    cuts, cut_start = np.zeros(0), np.zeros(0, np.int64)
    if not single:
        cuts, cut_start = _find_cuts(asks, thresholds, n_features)
    slots = Slots.of_used(outline["used"], cuts, cut_start)
    payload, leaf_keys = _payload_of(outline)
    width = 2 if slots.has_room_for((len(asks) + 1) // 2) else 3
    nodes = aligned_empty((len(asks) + 1, width), np.uint32)
    words = np.zeros(n_words, np.uint64)
    growth.pack(
        asks, thresholds, slots.slot_of, slots.slot_bits, cuts, cut_start, leaf_keys,
        nodes, words,
    )  # fmt: skip
    packed = PackedTrees(
        nodes=nodes,
        tree_start=np.array([0, len(nodes)], np.int64),
        slot_bits=slots.slot_bits,
        n_features=n_features,
        slot_feature=slots.feature,
        slot_kind=slots.kind,
        cuts=cuts,
        cut_start=cut_start,
        words=words,
        n_columns=max(target.n_classes, 1),
        **{**NO_PAYLOAD, **payload},
    )
    weighted: NDArray[Any] = np.zeros(0)
    if not plain:
        weighted = np.ones(1, np.bool_)  # sums of the leaves' class weights
        if target.n_classes == 0:
            weighted = narrowest(outline["leaf_units"] / target.weights.scale)
    statistics = NodeStatistics(
        criterion=target.criterion,
        n_node_samples=narrowest(outline["leaf_rows"]),
        weighted_n_node_samples=weighted,
        impurity=outline["impurity"],
        inner_value=outline.get("inner_value", np.zeros(0)),
        output_classes=np.zeros(0, np.int32),
    )
    return CompactTree(packed, statistics)


def _find_cuts(
    asks: NDArray[np.int32], thresholds: NDArray[np.float64], n_features: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the distinct thresholds of each feature, and where each begins."""
    grouped, start = kernels.thresholds_by_feature(asks, thresholds, n_features)
    own = [np.unique(part) for part in np.split(grouped, start[1:-1])]
    cut_start = np.append(0, np.cumsum([len(cuts) for cuts in own]))
    return np.concatenate(own), cut_start.astype(np.int64)


def _payload_of(
    outline: dict[str, NDArray[Any]],
) -> tuple[dict[str, NDArray[Any]], NDArray[np.int32]]:
    """Return what leaves are worth, in fields of PackedTrees, and each leaf's key."""
    if "leaf_value" in outline:
        value = outline["leaf_value"]
        return {"leaf_value": value.reshape(-1, 1)}, np.arange(
            len(value), dtype=np.int32
        )
    if "profiles" in outline:
        weights = outline["profiles"]
        profile, of_class = np.nonzero(weights)
        weight = weights[profile, of_class]
        counts = np.bincount(profile, minlength=len(weights))
        return {
            "profile_start": np.append(0, np.cumsum(counts)),
            "profile_class": of_class.astype(np.int32),
            "profile_weight": weight,
            "profile_share": weight / weights.sum(axis=1)[profile],
        }, outline["leaf_keys"]
    start, weight = outline["leaf_start"], outline["leaf_weight"]
    counts = np.diff(start)
    share = weight / np.repeat(np.add.reduceat(weight, start[:-1]), counts)
    return intern_profiles(
        counts, outline["leaf_class"], weight, share, has_own_shares=False
    )
