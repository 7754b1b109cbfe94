"""Records of nodes as the kernels write them, and a grown tree made of such."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree._kernels import assemble

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Mirrors of the kernels' structs; LAYOUT holds their sizes for a test.
NODE_DTYPE = np.dtype(
    [
        ("n", np.int64),
        ("weight", np.int64),
        ("ones", np.int64),
        ("impurity", np.float64),
        ("value", np.float64),
        ("threshold", np.float64),
        ("payload", np.int64),
        ("set_start", np.int64),
        ("left", np.int32),
        ("right", np.int32),
        ("feature", np.int32),
        ("row_low", np.uint32),
        ("row_high", np.uint32),
        ("missing_left", np.int32),
    ],
    align=True,
)
STAT_DTYPE = np.dtype(
    [
        ("n", np.int64),
        ("weight", np.int64),
        ("sum", np.int64),
        ("class_sum", np.float64),
        ("score", np.float64),
        ("impurity", np.float64),
        ("mean", np.float64),
        ("value", np.float64),
        ("pure", np.intc),
    ],
    align=True,
)
JOB_DTYPE = np.dtype(
    [
        ("begin", np.int64),
        ("slot", np.int64),
        ("key", np.uint64),
        ("depth", np.int64),
        ("leaf", np.int64),
        ("stat", STAT_DTYPE),
    ],
    align=True,
)
COUNT_DTYPE = np.dtype(
    [
        ("begin", np.int64),
        ("end", np.int64),
        ("slot", np.int64),
        ("parent", np.int64),
    ],
    align=True,
)
SPLIT_DTYPE = np.dtype(
    [
        ("score", np.float64),
        ("position", np.int64),
        ("threshold", np.float64),
        ("feature", np.int32),
        ("code_low", np.uint32),
        ("code_high", np.uint32),
        ("order_class", np.int32),
        ("missing_left", np.uint8),
        ("constant", np.uint8),
    ],
    align=True,
)
FEATURE_DTYPE = np.dtype(
    [
        ("place", np.int32),
        ("tiled", np.uint8),
        ("binary", np.uint8),
        ("categorical", np.uint8),
        ("has_missing", np.uint8),
        ("itemsize", np.uint8),
        ("n_codes", np.uint32),
        ("codes", np.uintp),
        ("order", np.uintp),
        ("keys", np.uintp),
        ("lower", np.uintp),
        ("upper", np.uintp),
        ("key_size", np.uint8),
        ("single", np.uint8),
        ("monotone", np.uint8),
    ],
    align=True,
)

# A node's split beside the best one of a second feature: gains of score, NaN where
# there is none, and that feature, -2 where there is none.
MARGIN_DTYPE = np.dtype(
    [("gain", np.float64), ("runner_up_gain", np.float64), ("runner_up", np.int32)]
)


@dataclass
class Grown:
    """A grown tree in preorder.

    Attributes
    ----------
    nodes : dict of ndarray of shape (n_nodes,)
        By the names of NODE_DTYPE's fields but `payload`.
    leaf_start : ndarray of int64, shape (n_leaves + 1,)
        Where each leaf's classes begin; all 0 if the leaves list none.
    leaf_class, leaf_weight : ndarray
        Classes of the leaves and their weight units. Several outputs of numbers have
        their values here, as float64 bits: n_outputs for each leaf, or for each node
        where a node's values are medians.
    words : ndarray of uint64
        Category sets.
    margins : ndarray of MARGIN_DTYPE, shape (n_nodes,), or None
    """

    nodes: dict[str, NDArray[Any]]
    leaf_start: NDArray[np.int64]
    leaf_class: NDArray[np.int32]
    leaf_weight: NDArray[np.int64]
    words: NDArray[np.uint64]
    margins: NDArray[Any] | None


@dataclass
class Pieces:
    """A grown tree in pieces, which need nothing of the table or its plan.

    Attributes
    ----------
    parts : list of tuple of ndarray
        The records of each worker, and what they point at.
    part, start, stop : ndarray of shape (n_pieces,)
        Runs of records, in preorder.
    margins : ndarray of MARGIN_DTYPE, shape (n_nodes,), or None
    """

    parts: list[tuple[NDArray[Any], ...]]
    part: NDArray[np.int32]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    margins: NDArray[Any] | None = None

    def join(self) -> Grown:
        """Return the tree; the pieces are let go."""
        parts, self.parts = self.parts, []
        fields = assemble.assemble(parts, self.part, self.start, self.stop)
        return Grown(*fields, self.margins)
