"""What a fitted tree holds: its fields, and what is derived from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree._kernels import predict as kernels
from fasttree.trees.tree_checks import MARGIN_FIELDS, NO_CHILD, output_starts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fasttree.trees.packed_tree import PackedTree


class TreeFields:
    """The fields of a tree, under scikit-learn's names.

    `Tree` sets what is behind them. What is derived is made when first asked for.
    """

    __slots__ = (
        "_depth",
        "_fields",
        "_leaf_nodes",
        "_n_outputs",
        "_packed",
        "_scalars",
        "_shares",
        "_value",
    )
    _scalars: tuple[int, int, str]
    _fields: dict[str, NDArray[Any]]
    _n_outputs: int
    _depth: int
    _leaf_nodes: NDArray[np.intp] | None
    _packed: PackedTree | None
    _shares: NDArray[np.float64] | None
    _value: NDArray[np.float64] | None

    @property
    def criterion(self) -> str:
        """The impurity that the tree was grown with."""
        return self._scalars[2]

    @property
    def is_classification(self) -> bool:
        """Whether leaves hold class weights rather than a value."""
        return self._scalars[1] > 0

    @property
    def n_features(self) -> int:
        """Number of columns of the input."""
        return self._scalars[0]

    @property
    def n_outputs(self) -> int:
        """Number of targets."""
        return self._n_outputs

    @property
    def total_n_classes(self) -> int:
        """Number of classes of all outputs together; 0 for regression."""
        return self._scalars[1]

    @property
    def max_n_classes(self) -> int:
        """Largest number of classes of an output; 1 for regression."""
        return int(self.n_classes.max())

    @property
    def n_classes(self) -> NDArray[np.intp]:
        """intp (n_outputs,): number of classes of each output; 1 for regression."""
        if "output_classes" in self._fields:
            return self._fields["output_classes"].astype(np.intp)
        return np.full(self._n_outputs, max(1, self._scalars[1]), np.intp)

    @property
    def class_start(self) -> NDArray[np.intp]:
        """intp (n_outputs + 1,): classification; first class code of each output."""
        n_classes = self.n_classes if self.is_classification else [0] * self.n_outputs
        return np.append(0, np.cumsum(n_classes))

    @property
    def node_count(self) -> int:
        """Number of nodes, leaves included."""
        return self.children_left.size

    @property
    def n_leaves(self) -> int:
        """Number of leaves."""
        return (self.node_count + 1) // 2

    @property
    def max_depth(self) -> int:
        """Number of steps from the root to the deepest leaf."""
        return self._depth

    @property
    def children_left(self) -> NDArray[np.int32]:
        """int32 (node_count,): left child, -1 at leaves."""
        return self._fields["children_left"]

    @property
    def children_right(self) -> NDArray[np.int32]:
        """int32 (node_count,): right child, -1 at leaves."""
        return self._fields["children_right"]

    @property
    def feature(self) -> NDArray[np.int32]:
        """int32 (node_count,): column that the node looks at, -2 at leaves."""
        return self._fields["feature"]

    @property
    def threshold(self) -> NDArray[np.float64]:
        """float64 (node_count,): -2.0 at leaves, NaN at categorical nodes."""
        return self._fields["threshold"]

    @property
    def missing_go_to_left(self) -> NDArray[np.uint8]:
        """uint8 (node_count,): whether missing values go left."""
        return self._fields["missing_left"]

    @property
    def category_start(self) -> NDArray[np.int32]:
        """int32 (node_count,): first word of the node's set, -1 if it has none."""
        return self._fields["category_start"]

    @property
    def category_count(self) -> NDArray[np.int32]:
        """int32 (node_count,): number of codes that the node's set covers."""
        return self._fields["category_count"]

    @property
    def category_bits(self) -> NDArray[np.uint64]:
        """uint64: the sets' words; a set bit sends its code left."""
        return self._fields["category_bits"]

    @property
    def is_categorical(self) -> NDArray[np.bool_]:
        """bool (node_count,): whether the node looks at a category."""
        return self.category_start >= 0

    @property
    def impurity(self) -> NDArray[np.float64]:
        """float64 (node_count,)."""
        return self._fields["impurity"]

    @property
    def n_node_samples(self) -> NDArray[np.int64]:
        """int64 (node_count,): training rows in the node."""
        return self._fields["n_node_samples"]

    @property
    def weighted_n_node_samples(self) -> NDArray[np.float64]:
        """float64 (node_count,): weight of the training rows in the node."""
        return self._fields["weighted_n_node_samples"]

    @property
    def has_margins(self) -> bool:
        """Whether each node's margin to the runner-up was kept."""
        return "gain" in self._fields

    @property
    def margins(self) -> dict[str, NDArray[Any]]:
        """`gain`, `runner_up` and `runner_up_gain` of :meth:`from_arrays`, if kept."""
        return {
            name: self._fields[name] for name in MARGIN_FIELDS if name in self._fields
        }

    @property
    def leaf_nodes(self) -> NDArray[np.intp]:
        """intp (n_leaves,): the leaves' node numbers, ascending."""
        if self._leaf_nodes is None:
            leaf_nodes = np.flatnonzero(self.children_left == NO_CHILD)
            leaf_nodes.setflags(write=False)
            self._leaf_nodes = leaf_nodes
        return self._leaf_nodes

    @property
    def leaf_start(self) -> NDArray[np.int64]:
        """int64 (n_leaves + 1,): classification; first entry of each leaf."""
        return self._class_field("leaf_start")

    @property
    def leaf_class(self) -> NDArray[np.int32]:
        """int32 (n_entries,): classification; class codes of the leaves."""
        return self._class_field("leaf_class")

    @property
    def leaf_weight(self) -> NDArray[np.float64]:
        """float64 (n_entries,): classification; class weights of the leaves."""
        return self._class_field("leaf_weight")

    @property
    def has_own_shares(self) -> bool:
        """Whether `leaf_share` is not what `leaf_weight` tells."""
        return "leaf_share" in self._fields

    @property
    def leaf_share(self) -> NDArray[np.float64]:
        """float64 (n_entries,): classification; class fractions of the leaves."""
        if self._shares is None:
            starts = self.output_start
            totals = np.add.reduceat(self.leaf_weight, starts[:-1])
            shares = self.leaf_weight / np.repeat(totals, np.diff(starts))
            shares.setflags(write=False)
            self._shares = shares
        return self._shares

    @property
    def output_start(self) -> NDArray[np.int64]:
        """int64 (n_leaves * n_outputs + 1,): classification; see `leaf_start`.

        First entry of each output of each leaf.
        """
        if self._n_outputs == 1:
            return self.leaf_start
        return output_starts(self._fields)

    @property
    def leaf_value(self) -> NDArray[np.float64]:
        """float64 (n_leaves,): regression; values of the leaves.

        (n_leaves, n_outputs) where there are several outputs.
        """
        if self.is_classification:
            raise AttributeError("a classification tree has no leaf_value")
        value = self._fields["leaf_value"]
        return value if self._n_outputs == 1 else value.reshape(-1, self._n_outputs)

    @property
    def inner_value(self) -> NDArray[np.float64] | None:
        """float64 (n_inner_nodes,): regression; values of the inner nodes.

        (n_inner_nodes, n_outputs) where there are several outputs; None where they
        are the means of the leaves.
        """
        if self.is_classification:
            raise AttributeError("a classification tree has no inner_value")
        value = self._fields.get("inner_value")
        if value is None or self._n_outputs == 1:
            return value
        return value.reshape(-1, self._n_outputs)

    def _class_field(self, name: str) -> NDArray[Any]:
        if not self.is_classification:
            raise AttributeError(f"a regression tree has no {name}")
        return self._fields[name]

    @property
    def value(self) -> NDArray[np.float64]:
        """float64 (node_count, n_outputs, max_n_classes): class fractions, or values.

        Values are means of the targets, or their medians for "absolute_error".

        Computed when first asked for, since few need it and with many classes it is
        much larger than the tree.
        """
        if self._value is None:
            make = self._class_fractions if self.is_classification else self._values
            value = make()
            value.setflags(write=False)
            self._value = value
        return self._value

    def _class_fractions(self) -> NDArray[np.float64]:
        joint = np.zeros((self.node_count, self.total_n_classes))
        node = np.repeat(self.leaf_nodes, np.diff(self.leaf_start))
        joint[node, self.leaf_class] = self.leaf_weight
        if self.has_own_shares:
            weight = self.weighted_n_node_samples[node]
            joint[node, self.leaf_class] = self.leaf_share * weight
        kernels.sum_upwards(self.children_left, self.children_right, joint)
        if self._n_outputs == 1:
            value = joint[:, None, :]
        else:
            value = np.zeros((self.node_count, self._n_outputs, self.max_n_classes))
            starts = self.class_start
            for output, n_classes in enumerate(self.n_classes):
                own = joint[:, starts[output] : starts[output + 1]]
                value[:, output, :n_classes] = own
        value /= value.sum(axis=2, keepdims=True)
        output, within = self.split_class(self.leaf_class)
        value[node, output, within] = self.leaf_share
        return value

    def split_class(
        self, codes: NDArray[np.int32]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the output of each of `codes`, and which of its classes it is."""
        starts = self.class_start
        output = np.searchsorted(starts, codes, side="right") - 1
        return output, codes - starts[output]

    def _values(self) -> NDArray[np.float64]:
        if self.inner_value is None:
            return self._means()
        value = np.empty((self.node_count, self._n_outputs, 1))
        value[self.leaf_nodes, :, 0] = self.leaf_value.reshape(-1, self._n_outputs)
        inner = self.children_left != NO_CHILD
        value[inner, :, 0] = self.inner_value.reshape(-1, self._n_outputs)
        return value

    def _means(self) -> NDArray[np.float64]:
        leaves, n_outputs = self.leaf_nodes, self._n_outputs
        leaf_value = self._fields["leaf_value"].reshape(-1, n_outputs)
        weight = self.weighted_n_node_samples[leaves]
        # Scaled, so that sums of huge values times weights do not overflow.
        scale = np.abs(leaf_value).max() or 1.0
        largest = weight.max()
        sums = np.empty((self.node_count, n_outputs + 1))
        sums[leaves, -1] = weight / largest
        sums[leaves, :-1] = leaf_value / scale * sums[leaves, -1:]
        kernels.sum_upwards(self.children_left, self.children_right, sums)
        value = sums[:, :-1] / sums[:, -1:] * scale
        value[leaves] = leaf_value
        return value[:, :, None]

    @property
    def nbytes(self) -> int:
        """Bytes of the tree's arrays, without what is derived from them."""
        return sum(array.nbytes for array in self._fields.values())
