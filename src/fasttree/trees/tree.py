"""One fitted tree: a few flat arrays, checked once and never changed again.

Everything that a kernel will index with is checked here, whether the arrays come
from training, from a user or from a pickle. The bytes are then copied into buffers
that cannot be written to, so what was checked stays true.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy import sparse
from sklearn import get_config

from fasttree._kernels import predict as kernels
from fasttree.trees.packed_tree import PackedTree, pack_tree
from fasttree.trees.tree_checks import (
    CATEGORY_FIELDS,
    CHANGED_FIELDS,
    CLASSIFICATION_CRITERIA,
    FIELDS,
    INT32_MAX,
    LEAF_FIELDS,
    MARGIN_FIELDS,
    NO_CHILD,
    OPTIONAL_FIELDS,
    REGRESSION_CRITERIA,
    check_classes,
    check_margins,
    check_nodes,
    check_shape,
    check_values,
    frozen,
    integer,
    output_starts,
    require,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

# A state has the lowest version that can hold its tree: 2 brings several outputs,
# values of inner nodes and shares of leaves, 3 brings margins.
FORMAT_VERSIONS = (1, 2, 3)
_SCALARS = ("n_features", "n_classes", "criterion")


class Tree:
    """A fitted decision tree with scikit-learn's field names.

    Made by training or by :meth:`from_arrays`; it cannot be changed afterwards and
    any number of threads may use it. Nodes stand in depth-first preorder: the left
    child of an inner node is the next node.
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

    def __init__(self) -> None:
        raise TypeError("Tree is made by Tree.from_arrays or by training")

    @classmethod
    def from_arrays(
        cls,
        *,
        n_features: int,
        n_classes: int,
        criterion: str,
        children_left: ArrayLike,
        children_right: ArrayLike,
        feature: ArrayLike,
        threshold: ArrayLike,
        missing_left: ArrayLike,
        impurity: ArrayLike,
        n_node_samples: ArrayLike,
        weighted_n_node_samples: ArrayLike,
        category_start: ArrayLike | None = None,
        category_count: ArrayLike | None = None,
        category_bits: ArrayLike | None = None,
        leaf_start: ArrayLike | None = None,
        leaf_class: ArrayLike | None = None,
        leaf_weight: ArrayLike | None = None,
        leaf_share: ArrayLike | None = None,
        leaf_value: ArrayLike | None = None,
        inner_value: ArrayLike | None = None,
        n_outputs: int = 1,
        output_classes: ArrayLike | None = None,
        gain: ArrayLike | None = None,
        runner_up: ArrayLike | None = None,
        runner_up_gain: ArrayLike | None = None,
    ) -> Self:
        """Return the tree that these arrays describe, after checking them.

        Parameters
        ----------
        n_features : int
        n_classes : int
            Of all outputs together; 0 for regression.
        criterion : {"gini", "entropy", "squared_error", "poisson", "absolute_error"}
        children_left, children_right : int array of shape (node_count,)
            -1 at leaves. Nodes are in depth-first preorder.
        feature : int array of shape (node_count,)
            -2 at leaves.
        threshold : float array of shape (node_count,)
            Values up to it go left. -2.0 at leaves, NaN at categorical nodes.
        missing_left : bool or uint8 array of shape (node_count,)
            Whether a missing value goes left.
        impurity : float array of shape (node_count,)
        n_node_samples : int array of shape (node_count,)
        weighted_n_node_samples : float array of shape (node_count,)
        category_start : int array of shape (node_count,), optional
            First word in `category_bits` of a categorical node, -1 elsewhere.
        category_count : int array of shape (node_count,), optional
            Number of codes that the node's set covers, 0 if it has none. Other
            codes go where missing values go.
        category_bits : uint64 array, optional
            Bit ``c`` of a node's words is set where code ``c`` goes left.
        leaf_start : int array of shape (n_leaves + 1,)
            Classification: where each leaf's classes start, leaves in node order.
        leaf_class : int array of shape (leaf_start[-1],)
            Class codes, ascending within a leaf. They number the classes of the
            first output, then those of the second, and so on; each leaf has some of
            each output.
        leaf_weight : float array of shape (leaf_start[-1],)
            Weight of the training rows of that class in the leaf.
        leaf_share : float array of shape (leaf_start[-1],), optional
            Class fractions of the leaves, where they are not those of the weights:
            monotonic constraints move them. For one output.
        leaf_value : float array of shape (n_leaves * n_outputs,)
            Regression: the values of the first leaf, then those of the second, and
            so on.
        inner_value : float array of shape (n_inner_nodes * n_outputs,), optional
            Regression: the values of the inner nodes, as `leaf_value`, where they
            are not the means of the leaves below; medians are not.
        n_outputs : int, default=1
            Number of targets.
        output_classes : int array of shape (n_outputs,), optional
            Classification with several outputs: how many classes each has.
        gain : float array of shape (node_count,), optional
            Weighted decrease of impurity by the node's split, NaN at leaves.
        runner_up : int array of shape (node_count,), optional
            The other feature whose best split was next, -2 where there was none.
        runner_up_gain : float array of shape (node_count,), optional
            Weighted decrease by that split, NaN where there was none.

        Raises
        ------
        ValueError
            If the arrays are not those of a tree.
        TypeError
            If `n_features`, `n_classes` or `criterion` has the wrong type.
        """
        arrays = {name: value for name, value in locals().items() if name in FIELDS}
        self = cls.__new__(cls)
        self._build(n_features, n_classes, criterion, n_outputs, arrays)
        return self

    def _build(
        self,
        n_features: Any,
        n_classes: Any,
        criterion: Any,
        n_outputs: Any,
        arrays: dict[str, Any],
    ) -> None:
        n_features = integer("n_features", n_features, 1, INT32_MAX)
        n_classes = integer("n_classes", n_classes, 0, INT32_MAX)
        n_outputs = integer("n_outputs", n_outputs, 1, INT32_MAX)
        if not isinstance(criterion, str):
            raise TypeError(f"criterion must be a string, got {criterion!r}")
        allowed = CLASSIFICATION_CRITERIA if n_classes else REGRESSION_CRITERIA
        require(
            criterion in allowed,
            f"criterion must be one of {', '.join(allowed)} for "
            f"n_classes={n_classes}, got {criterion!r}",
        )
        fields: dict[str, NDArray[Any]] = {}
        for name in FIELDS:
            value = arrays.get(name)
            if value is not None:
                fields[name] = frozen(name, value)
            else:
                require(name in OPTIONAL_FIELDS, f"{name} is missing")
        n_nodes = fields["children_left"].size
        require(0 < n_nodes < INT32_MAX // 2, f"a tree cannot have {n_nodes} nodes")
        self._fill_category_fields(fields, n_nodes)
        for name, array in fields.items():
            is_per_node = name not in (
                *LEAF_FIELDS,
                *CHANGED_FIELDS,
                "category_bits",
            )
            if is_per_node and array.size != n_nodes:
                raise ValueError(
                    f"{name} must have one entry for each of {n_nodes} nodes, "
                    f"got {array.size}"
                )
        depth = check_shape(fields)
        check_nodes(fields, n_features)
        check_margins(fields, n_features)
        n_leaves = int(np.count_nonzero(fields["children_left"] == NO_CHILD))
        if n_classes:
            check_classes(fields, n_leaves, n_classes, n_outputs)
        else:
            check_values(fields, n_leaves, n_outputs)

        self._fields = fields
        self._scalars = (n_features, n_classes, criterion)
        self._n_outputs = n_outputs
        self._depth = int(depth.max())
        self._leaf_nodes: NDArray[np.intp] | None = None
        self._packed: PackedTree | None = None
        self._shares: NDArray[np.float64] | None = fields.get("leaf_share")
        self._value: NDArray[np.float64] | None = None

    @staticmethod
    def _fill_category_fields(fields: dict[str, NDArray[Any]], n_nodes: int) -> None:
        given = [name for name in CATEGORY_FIELDS if name in fields]
        require(
            len(given) in (0, len(CATEGORY_FIELDS)),
            f"{', '.join(CATEGORY_FIELDS)} go together, got only {', '.join(given)}",
        )
        if not given:
            fields["category_start"] = frozen("category_start", np.full(n_nodes, -1))
            fields["category_count"] = frozen(
                "category_count", np.zeros(n_nodes, np.int32)
            )
            fields["category_bits"] = frozen("category_bits", np.zeros(0, np.uint64))

    # --- State ---------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """Return the tree as a plain dict of arrays, numbers and strings."""
        state: dict[str, Any] = {"format_version": 1}
        state.update(zip(_SCALARS, self._scalars, strict=True))
        if self._n_outputs > 1 or not self._fields.keys().isdisjoint(CHANGED_FIELDS):
            state |= {"format_version": 2, "n_outputs": self._n_outputs}
        if self.has_margins:
            state |= {"format_version": 3, "n_outputs": self._n_outputs}
        has_categories = self.is_categorical.any()
        return state | {
            name: array
            for name, array in self._fields.items()
            if has_categories or name not in CATEGORY_FIELDS
        }

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Restore a tree, or raise ValueError if `state` is not the state of one."""
        if hasattr(self, "_fields"):
            raise TypeError("a Tree cannot be changed once it is made")
        try:
            self._restore(state)
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"this is not the state of a Tree: {error}") from error

    def _restore(self, state: Mapping[str, Any]) -> None:
        if not isinstance(state, dict):
            raise TypeError(f"a dict is needed, got {type(state).__name__}")
        version = state.get("format_version")
        require(
            type(version) is int and version in FORMAT_VERSIONS,
            f"format_version must be one of {FORMAT_VERSIONS}, got {version!r}",
        )
        arrays = {name: value for name, value in state.items() if name in FIELDS}
        scalars = {"format_version", *_SCALARS}
        if version > 1:
            scalars.add("n_outputs")
        unknown = state.keys() - arrays.keys() - scalars
        require(not unknown, f"unknown entries {sorted(map(repr, unknown))}")
        for name in _SCALARS:
            require(name in state, f"{name} is missing")
        n_outputs = state.get("n_outputs", 1)
        self._build(*(state[name] for name in _SCALARS), n_outputs, arrays)

    def __repr__(self) -> str:
        return (
            f"<Tree: {self.node_count} nodes, {self.n_leaves} leaves, "
            f"depth {self.max_depth}, {self._scalars[2]}>"
        )

    # --- Fields --------------------------------------------------------------------

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

    def with_margins(self, margins: Mapping[str, ArrayLike]) -> Tree:
        """Return this tree with `margins`, as the property gives them.

        Raises
        ------
        ValueError
            If they are not those of such a tree.
        """
        n_features, n_classes, criterion = self._scalars
        return Tree.from_arrays(
            n_features=n_features,
            n_classes=n_classes,
            criterion=criterion,
            n_outputs=self._n_outputs,
            **(self._fields | dict(margins)),
        )

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

    # --- Use -----------------------------------------------------------------------

    @property
    def packed(self) -> PackedTree:
        """The tree as the traversal kernel reads it, made when first asked for."""
        if self._packed is None:
            self._packed = pack_tree(self)
        return self._packed

    def check_matrix(self, X: ArrayLike) -> NDArray[Any]:
        """Return `X` as the contiguous float matrix that the kernels take.

        Raises
        ------
        ValueError
            If `X` is not a numeric matrix with `n_features` columns.
        """
        matrix = np.asarray(X)
        if matrix.ndim != 2 or matrix.shape[1] != self.n_features:
            raise ValueError(
                f"X must have shape (n_samples, {self.n_features}), got {matrix.shape}"
            )
        if matrix.dtype.kind not in "biuf":
            raise ValueError(f"X must be numeric, got dtype {matrix.dtype}")
        single = np.can_cast(matrix.dtype, np.float32, "safe")
        return np.ascontiguousarray(matrix, np.float32 if single else np.float64)

    def apply(self, X: ArrayLike) -> NDArray[np.intp]:
        """Return the node number of the leaf that each row of `X` reaches.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Numbers, or the codes of categories; NaN where missing.

        Returns
        -------
        ndarray of shape (n_samples,), intp
        """
        X = self.check_matrix(X)
        leaves = np.empty(len(X), np.intp)
        self.packed.find_leaves(X, leaves, 0, len(X))
        return self.leaf_nodes.take(leaves)

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return :attr:`value` of the leaf that each row of `X` reaches.

        Returns
        -------
        ndarray of shape (n_samples, max_n_classes), float64
            (n_samples, n_outputs, max_n_classes) where there are several outputs.
        """
        value = self.value[:, 0, :] if self._n_outputs == 1 else self.value
        return value.take(self.apply(X), axis=0)

    def decision_path(self, X: ArrayLike) -> sparse.csr_matrix | sparse.csr_array:
        """Return which nodes each row of `X` goes through.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            As in :meth:`apply`.

        Returns
        -------
        CSR matrix of shape (n_samples, node_count), intp
            1 at the nodes of each row's path, which are stored in the order in
            which they are passed. A sparse array where scikit-learn is configured
            with ``sparse_interface="sparray"``.
        """
        return self.paths_to(self.apply(X))

    def paths_to(self, nodes: NDArray[np.intp]) -> sparse.csr_matrix | sparse.csr_array:
        """Return the paths from the root to each of `nodes`, as `decision_path`.

        Raises
        ------
        IndexError
            If an entry of `nodes` is not the number of a node.
        """
        size, depth = np.empty((2, self.node_count), np.int32)
        kernels.measure_preorder(self.children_left, self.children_right, size, depth)
        parent = np.full(self.node_count, -1, np.int32)
        inner = np.flatnonzero(self.children_left != NO_CHILD)
        parent[self.children_left[inner]] = inner
        parent[self.children_right[inner]] = inner
        nodes = np.ascontiguousarray(nodes, np.intp)
        if nodes.size and nodes.min() < 0:
            raise IndexError(f"there is no node {nodes.min()}")
        indptr = np.zeros(len(nodes) + 1, np.intp)
        np.cumsum(depth.take(nodes) + 1, out=indptr[1:])
        indices = np.empty(indptr[-1], np.intp)
        kernels.write_paths(nodes, parent, indptr, indices)
        path = sparse.csr_array(
            (np.ones(len(indices), np.intp), indices, indptr),
            shape=(len(nodes), self.node_count),
        )
        if get_config()["sparse_interface"] == "sparray":
            return path
        # Made from an array it keeps 64-bit indices, as scikit-learn's does.
        return sparse.csr_matrix(path)

    def compute_feature_importances(
        self, normalize: bool = True
    ) -> NDArray[np.float64]:
        """Return how much each feature lowered the impurity.

        Parameters
        ----------
        normalize : bool, default=True
            Whether the importances are scaled to sum to 1 (unless all are 0).

        Returns
        -------
        ndarray of shape (n_features,), float64
        """
        inner = np.flatnonzero(self.children_left != NO_CHILD)
        weighted = self.weighted_n_node_samples * self.impurity
        decrease = (
            weighted[inner]
            - weighted[self.children_left[inner]]
            - weighted[self.children_right[inner]]
        )
        importances = np.bincount(
            self.feature[inner], decrease, minlength=self.n_features
        ).astype(np.float64)
        importances /= self.weighted_n_node_samples[0]
        total = importances.sum()
        if normalize and total > 0.0:
            importances /= total
        return importances
