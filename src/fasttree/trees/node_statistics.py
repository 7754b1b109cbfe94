"""What training leaves at nodes beside what prediction needs, in few bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree._kernels import predict as tree_kernels
from fasttree.trees.packed_trees import (
    CATEGORY,
    MISSING_LOW,
    N_CONSTANT_SLOTS,
    float_values,
)
from fasttree.trees.tree import Tree
from fasttree.trees.tree_checks import NO_CHILD, NO_FEATURE, NO_THRESHOLD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fasttree.trees.joint_trees import JointTrees
    from fasttree.trees.packed_trees import PackedTrees


@dataclass(frozen=True, eq=False)
class NodeStatistics:
    """Sizes and impurities of the nodes of an ensemble, trees in order.

    Attributes
    ----------
    criterion : str
    n_node_samples : uint array
        Of leaves, where those of other nodes are their sums; else of all nodes, in
        preorder.
    weighted_n_node_samples : array
        The same; empty where it equals `n_node_samples`, and a single bool where that
        of a leaf is the sum of its class weights.
    impurity : float64 array
        Of inner nodes, where that of all leaves is 0; else of all nodes.
    inner_value : float64 array
        Regression: values of inner nodes, where they are not the means of leaves;
        else empty.
    output_classes : int32 array
        Number of classes of each output; empty for one output and for regression.
    """

    criterion: str
    n_node_samples: NDArray[Any]
    weighted_n_node_samples: NDArray[Any]
    impurity: NDArray[np.float64]
    inner_value: NDArray[np.float64]
    output_classes: NDArray[np.int32]

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(
            value.nbytes
            for value in vars(self).values()
            if isinstance(value, np.ndarray)
        )

    @classmethod
    def of(cls, trees: Sequence[Tree | JointTrees]) -> NodeStatistics:
        """Return the statistics of trees that fit together."""
        first = trees[0]
        samples = _shorten(trees, [tree.n_node_samples for tree in trees])
        is_same = all(
            np.array_equal(tree.n_node_samples, tree.weighted_n_node_samples)
            for tree in trees
        )
        weighted = np.zeros(0)
        if not is_same:
            weighted = _shorten(trees, [tree.weighted_n_node_samples for tree in trees])
            n_leaves = sum(tree.n_leaves for tree in trees)
            is_of_leaves = len(weighted) == n_leaves and first.is_classification
            if is_of_leaves and first.n_outputs == 1:
                sums = np.concatenate([_sum_classes(tree) for tree in trees])
                if np.array_equal(sums, weighted):
                    weighted = np.ones(1, np.bool_)
        is_pure = not any(tree.impurity[tree.leaf_nodes].any() for tree in trees)
        impurity = np.concatenate(
            [
                np.delete(tree.impurity, tree.leaf_nodes) if is_pure else tree.impurity
                for tree in trees
            ]
        )
        several = first.is_classification and first.n_outputs > 1
        output_classes = first.n_classes if several else np.zeros(0)
        inner_value = np.zeros(0)
        if not first.is_classification and first.inner_value is not None:
            inner_value = np.concatenate([tree.inner_value.ravel() for tree in trees])
        return cls(
            first.criterion, samples, weighted, impurity, inner_value,
            output_classes.astype(np.int32),
        )  # fmt: skip

    def check(self, packed: PackedTrees) -> None:
        """Check that these can be the statistics of packed trees.

        Raises
        ------
        ValueError
            If an array has the wrong size or kind. Whether the values make sense is
            seen when a tree is restored.
        """
        n_nodes, n_trees = packed.n_nodes, packed.n_trees
        n_leaves = (n_nodes + n_trees) // 2
        n_inner = n_nodes - n_leaves
        is_classification = not len(packed.leaf_value)
        width = 0 if is_classification else packed.n_columns
        for name, sizes in (
            ("n_node_samples", {n_leaves, n_nodes}),
            ("weighted_n_node_samples", {0, n_leaves, n_nodes}),
            ("impurity", {n_inner, n_nodes}),
            ("inner_value", {0, n_inner * width}),
        ):
            array = getattr(self, name)
            if name.startswith("weighted") and array.dtype == np.bool_:
                if array.shape != (1,) or not is_classification:
                    raise ValueError(f"{name} cannot be the sum of class weights")
                continue
            if array.ndim != 1 or array.dtype.kind not in "uif":
                raise ValueError(f"{name} must be a vector of numbers")
            if len(array) not in sizes or not np.all(np.isfinite(array)):
                raise ValueError(f"{name} must have a finite number for each node")
        classes = self.output_classes
        if classes.ndim != 1 or classes.dtype.kind not in "ui":
            raise ValueError("output_classes must be a vector of integers")
        if len(classes) and not (
            is_classification
            and np.all(classes >= 1)
            and sum(classes.tolist()) == packed.n_columns
        ):
            raise ValueError("output_classes must be the classes of each output")

    def restore(self, packed: PackedTrees, tree: int) -> Tree:
        """Return one of the trees as it was before packing.

        Raises
        ------
        ValueError
            If the parts do not make a tree.
        """
        start, stop = packed.tree_start[tree : tree + 2].tolist()
        n_nodes = stop - start - 1
        first_node = start - tree
        first_leaf = (first_node + tree) // 2
        n_leaves = (n_nodes + 1) // 2
        number = packed.preorder(tree)
        nodes = packed.nodes[start:stop]
        key = nodes[:, 0]
        slot, pair = packed.slots_and_pairs(nodes)
        inner = np.flatnonzero(slot >= N_CONSTANT_SLOTS)
        at = number[inner]
        left, right, feature, missing_left, start_of, count = np.full(
            (6, n_nodes), NO_CHILD, np.int32
        )
        threshold = np.full(n_nodes, NO_THRESHOLD)
        feature[:], missing_left[:], count[:] = NO_FEATURE, 0, 0
        left[at] = number[2 * pair[inner].astype(np.int64)]
        right[at] = number[2 * pair[inner].astype(np.int64) + 1]
        feature[at] = packed.slot_feature[slot[inner]]
        kind = packed.slot_kind[slot[inner]]
        missing_left[at] = kind == MISSING_LOW
        keys = key[inner]
        numeric = np.flatnonzero(kind != CATEGORY)
        if len(packed.cut_start):
            first_cut = packed.cut_start[feature[at[numeric]]]
            threshold[at[numeric]] = packed.cuts[first_cut + keys[numeric]]
        else:
            threshold[at[numeric]] = float_values(keys[numeric])
        # In the order of nodes, as their sets stand.
        sets = inner[kind == CATEGORY]
        sets = sets[np.argsort(number[sets])]
        threshold[number[sets]] = np.nan
        bits, count_of, set_start, set_missing = packed.unpack_sets(key[sets])
        count[number[sets]] = count_of
        start_of[number[sets]] = set_start
        missing_left[number[sets]] = set_missing

        is_leaf = left == NO_CHILD
        leaves = np.flatnonzero(slot < N_CONSTANT_SLOTS)
        leaves = leaves[number[leaves] >= 0]
        payload = key[leaves[np.argsort(number[leaves])]].astype(np.int64)
        samples = self._lengthen(
            self.n_node_samples, packed.n_nodes, first_node, first_leaf, left, right,
            is_leaf,
        )  # fmt: skip
        weighted = samples
        is_sum = self.weighted_n_node_samples.dtype == np.bool_
        if len(self.weighted_n_node_samples) and not is_sum:
            weighted = self._lengthen(
                self.weighted_n_node_samples, packed.n_nodes, first_node, first_leaf,
                left, right, is_leaf,
            )  # fmt: skip
        impurity = np.zeros(n_nodes)
        if len(self.impurity) == packed.n_nodes:
            impurity[:] = self.impurity[first_node : first_node + n_nodes]
        else:
            first_inner = first_node - first_leaf
            impurity[~is_leaf] = self.impurity[
                first_inner : first_inner + n_nodes - n_leaves
            ]
        fields: dict[str, Any] = {}
        if len(packed.leaf_value):
            fields["leaf_value"] = packed.leaf_value[payload].ravel()
            fields["n_outputs"] = packed.n_columns
            if len(self.inner_value):
                width = packed.n_columns
                first_inner = (first_node - first_leaf) * width
                n_inner = (n_nodes - n_leaves) * width
                fields["inner_value"] = self.inner_value[
                    first_inner : first_inner + n_inner
                ]
        else:
            counts = np.diff(packed.profile_start)[payload]
            leaf_start = np.append(0, np.cumsum(counts))
            entries = np.repeat(packed.profile_start[payload] - leaf_start[:-1], counts)
            entries += np.arange(len(entries))
            fields["leaf_start"] = leaf_start
            fields["leaf_class"] = packed.profile_class[entries]
            fields["leaf_weight"] = packed.profile_weight[entries]
            if is_sum:
                sums = np.zeros((n_nodes, 1))
                sums[is_leaf, 0] = np.add.reduceat(
                    fields["leaf_weight"], leaf_start[:-1]
                )
                tree_kernels.sum_upwards(left, right, sums)
                weighted = sums[:, 0]
            share = packed.profile_share[entries]
            if len(self.output_classes) == 0 and _is_moved(fields, share):
                fields["leaf_share"] = share
            if len(self.output_classes):
                fields["n_outputs"] = len(self.output_classes)
                fields["output_classes"] = self.output_classes
        if len(sets):
            fields |= {
                "category_start": start_of,
                "category_count": count,
                "category_bits": bits,
            }
        return Tree.from_arrays(
            n_features=packed.n_features,
            n_classes=0 if len(packed.leaf_value) else packed.n_columns,
            criterion=self.criterion,
            children_left=left,
            children_right=right,
            feature=feature,
            threshold=threshold,
            missing_left=missing_left.astype(np.uint8),
            impurity=impurity,
            n_node_samples=samples.astype(np.int64),
            weighted_n_node_samples=weighted,
            **fields,
        )

    @staticmethod
    def _lengthen(
        values: NDArray[Any],
        n_all: int,
        first_node: int,
        first_leaf: int,
        left: NDArray[np.int32],
        right: NDArray[np.int32],
        is_leaf: NDArray[np.bool_],
    ) -> NDArray[np.float64]:
        n_nodes, n_leaves = len(left), int(np.count_nonzero(is_leaf))
        if len(values) == n_all:
            return values[first_node : first_node + n_nodes].astype(np.float64)
        sums = np.zeros((n_nodes, 1))
        sums[is_leaf, 0] = values[first_leaf : first_leaf + n_leaves]
        tree_kernels.sum_upwards(left, right, sums)
        return sums[:, 0]


def _sum_classes(tree: Tree) -> NDArray[np.float64]:
    """Return the sum of the class weights of each leaf."""
    return np.add.reduceat(tree.leaf_weight, tree.leaf_start[:-1])


def _shorten(
    trees: Sequence[Tree | JointTrees], values: list[NDArray[Any]]
) -> NDArray[Any]:
    """Return the values of leaves alone where the others are their sums."""
    is_sum = True
    for tree, own in zip(trees, values, strict=True):
        sums = np.zeros((tree.node_count, 1))
        sums[tree.leaf_nodes, 0] = own[tree.leaf_nodes]
        tree_kernels.sum_upwards(tree.children_left, tree.children_right, sums)
        is_sum = is_sum and np.array_equal(sums[:, 0], own)
    kept = [
        own[tree.leaf_nodes] if is_sum else own
        for tree, own in zip(trees, values, strict=True)
    ]
    return narrowest(np.concatenate(kept))


def narrowest(values: NDArray[Any]) -> NDArray[Any]:
    """Return the values in the narrowest dtype that holds them all exactly."""
    for dtype in (np.uint8, np.uint16, np.uint32, np.float32):
        with np.errstate(over="ignore", invalid="ignore"):
            cast = values.astype(dtype)
        if np.array_equal(cast.astype(np.float64), values.astype(np.float64)):
            return cast
    return values


def _is_moved(fields: dict[str, Any], share: NDArray[np.float64]) -> bool:
    """Return whether class shares are not those of the leaves' weights."""
    starts, weight = fields["leaf_start"], fields["leaf_weight"]
    totals = np.add.reduceat(weight, starts[:-1])
    with np.errstate(invalid="ignore", divide="ignore"):  # of a forged file
        own = weight / np.repeat(totals, np.diff(starts))
    return not np.array_equal(share, own)
