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
from fasttree.trees.packed_tree import PackedTree, check_matrix, pack_tree
from fasttree.trees.tree_checks import (
    CATEGORY_FIELDS,
    CHANGED_FIELDS,
    CLASSIFICATION_CRITERIA,
    FIELDS,
    INT32_MAX,
    LEAF_FIELDS,
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
    require,
)
from fasttree.trees.tree_fields import TreeFields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

# A state has the lowest version that can hold its tree: 2 brings several outputs,
# values of inner nodes and shares of leaves, 3 brings margins.
FORMAT_VERSIONS = (1, 2, 3)
_SCALARS = ("n_features", "n_classes", "criterion")


class Tree(TreeFields):
    """A fitted decision tree with scikit-learn's field names.

    Made by training or by :meth:`from_arrays`; it cannot be changed afterwards and
    any number of threads may use it. Nodes stand in depth-first preorder: the left
    child of an inner node is the next node.
    """

    __slots__ = ()

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
        self._leaf_nodes = self._packed = self._value = None
        self._shares = fields.get("leaf_share")

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

    # --- Use -----------------------------------------------------------------------

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
    def packed(self) -> PackedTree:
        """The tree as the traversal kernel reads it, made when first asked for."""
        if self._packed is None:
            self._packed = pack_tree(self)
        return self._packed

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
        X = check_matrix(X, self.n_features)
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
