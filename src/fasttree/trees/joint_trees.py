"""Trees that one fit made, as one set of arrays: node numbers count through."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fasttree.trees.tree_checks import NO_CHILD, check_nodes

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class JointTrees:
    """Regression trees of one output, one after another.

    Attributes have the names and dtypes of `Tree`, so that what reads a tree's arrays
    reads these too.

    Attributes
    ----------
    n_features : int
    criterion : str
    roots : ndarray of shape (n_trees,), int64
        First node of each tree; its nodes follow in preorder.
    children_left, children_right, feature, ... : ndarray of shape (n_nodes,)
    category_bits : ndarray of uint64
    leaf_value : ndarray of shape (n_leaves,), float64

    Raises
    ------
    ValueError
        If a node's fields contradict each other.
    """

    n_features: int
    criterion: str
    roots: NDArray[np.int64]
    children_left: NDArray[np.int32]
    children_right: NDArray[np.int32]
    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    missing_left: NDArray[np.uint8]
    category_start: NDArray[np.int32]
    category_count: NDArray[np.int32]
    category_bits: NDArray[np.uint64]
    impurity: NDArray[np.float64]
    n_node_samples: NDArray[np.int64]
    weighted_n_node_samples: NDArray[np.float64]
    leaf_value: NDArray[np.float64]

    is_classification: ClassVar[bool] = False
    n_outputs: ClassVar[int] = 1
    inner_value: ClassVar[None] = None

    def __post_init__(self) -> None:
        check_nodes(vars(self), self.n_features)

    @property
    def fields(self) -> dict[str, Any]:
        """The arguments of `Tree.from_arrays`, if there is one tree."""
        fields = {name: value for name, value in vars(self).items() if name != "roots"}
        return fields | {"n_classes": 0}

    @property
    def node_count(self) -> int:
        """Number of nodes of all trees, leaves included."""
        return len(self.children_left)

    @property
    def n_leaves(self) -> int:
        """Number of leaves of all trees."""
        return (self.node_count + len(self.roots)) // 2

    @cached_property
    def leaf_nodes(self) -> NDArray[np.intp]:
        """intp (n_leaves,): the leaves' node numbers, ascending."""
        return np.flatnonzero(self.children_left == NO_CHILD)

    @property
    def missing_go_to_left(self) -> NDArray[np.uint8]:
        """uint8 (n_nodes,): whether missing values go left."""
        return self.missing_left

    @property
    def is_categorical(self) -> NDArray[np.bool_]:
        """bool (n_nodes,): whether the node looks at a category."""
        return self.category_start >= 0
