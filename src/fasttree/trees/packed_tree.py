"""One tree as the traversal kernel reads it: siblings side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fasttree._kernels import predict as kernels
from fasttree.trees.tree_checks import NO_CHILD, require

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# The same fields as NumericNode and CategoricalNode in traverse.pxd.
NODE = np.dtype([("threshold", "f8"), ("feature", "u4"), ("left", "u4")])
CATEGORICAL_NODE = np.dtype([*NODE.descr, ("first_word", "u4"), ("n_codes", "u4")])
_MISSING_RIGHT = np.uint32(1 << 31)
_CACHE_LINE = 64


class PackedTree(NamedTuple):
    """A tree as the traversal kernel reads it; see ``traverse.pxd``."""

    nodes: NDArray[np.uint8]
    words: NDArray[np.uint64]
    is_categorical: bool
    leaf_of: NDArray[np.int32]  # leaf number of each position, -1 elsewhere

    def find_leaves(
        self,
        X: NDArray[np.float32] | NDArray[np.float64],
        out: NDArray[np.intp],
        start: int,
        stop: int,
    ) -> None:
        """Write the leaf numbers of the rows start:stop of a checked `X`."""
        kernels.apply(
            X, self.nodes, self.words, self.is_categorical, self.leaf_of, out,
            start, stop,
        )  # fmt: skip


def _aligned_zeros(n: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return zeros that start on a cache line, so that siblings share one."""
    raw = np.zeros(n * dtype.itemsize + _CACHE_LINE, np.uint8)
    offset = -raw.ctypes.data % _CACHE_LINE
    return raw[offset : offset + n * dtype.itemsize].view(dtype)


def pack_tree(tree: Any) -> PackedTree:
    """Return a `Tree` as the kernel reads it."""
    inner = np.flatnonzero(tree.children_left != NO_CHILD)
    leaves = tree.leaf_nodes
    categorical = inner[tree.is_categorical[inner]]
    # The root at 0, nothing at 1, then pairs of siblings in the order of parents.
    position = np.zeros(tree.node_count, np.uint32)
    first_child = np.arange(2, 2 * inner.size + 2, 2, dtype=np.uint32)
    position[tree.children_left[inner]] = first_child
    position[tree.children_right[inner]] = first_child + 1

    n_positions = 2 * inner.size + 2
    nodes = _aligned_zeros(n_positions, CATEGORICAL_NODE if categorical.size else NODE)
    at = position[inner]
    nodes["threshold"] = np.inf
    nodes["left"][at] = first_child
    nodes["left"][position[leaves]] = position[leaves]
    nodes["feature"][at] = tree.feature[inner]
    nodes["threshold"][at] = tree.threshold[inner]
    missing_right = inner[(tree.missing_go_to_left[inner] == 0)]
    missing_right = missing_right[~tree.is_categorical[missing_right]]
    nodes["feature"][position[missing_right]] |= _MISSING_RIGHT

    words = np.zeros(1, np.uint64)
    if categorical.size:
        at = position[categorical]
        n_codes = tree.category_count[categorical]
        ends = np.cumsum(n_codes.astype(np.int64) // 64 + 1)
        require(ends[-1] < 2**32, "the tree's category sets are too large")
        words = np.zeros(1 + ends[-1], np.uint64)
        first_word = np.ones(categorical.size, np.uint32)
        first_word[1:] += ends[:-1].astype(np.uint32)
        kernels.pack_category_sets(
            tree.category_bits,
            tree.category_start[categorical],
            n_codes,
            tree.missing_go_to_left[categorical],
            first_word,
            words,
        )
        nodes["threshold"][at] = np.inf
        nodes["first_word"][at] = first_word
        nodes["n_codes"][at] = n_codes
    leaf_of = np.full(n_positions, -1, np.int32)
    leaf_of[position[leaves]] = np.arange(leaves.size)
    return PackedTree(nodes.view(np.uint8), words, bool(categorical.size), leaf_of)


def check_matrix(X: ArrayLike, n_features: int) -> NDArray[Any]:
    """Return `X` as the contiguous float matrix that the kernels take.

    Raises
    ------
    ValueError
        If `X` is not a numeric matrix with `n_features` columns.
    """
    matrix = np.asarray(X)
    if matrix.ndim != 2 or matrix.shape[1] != n_features:
        raise ValueError(
            f"X must have shape (n_samples, {n_features}), got {matrix.shape}"
        )
    if matrix.dtype.kind not in "biuf":
        raise ValueError(f"X must be numeric, got dtype {matrix.dtype}")
    single = np.can_cast(matrix.dtype, np.float32, "safe")
    return np.ascontiguousarray(matrix, np.float32 if single else np.float64)
