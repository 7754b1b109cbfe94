"""Blocks of rows through packed trees, on threads."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree import threads
from fasttree._kernels import ensemble as kernels
from fasttree._kernels import large as large_kernels
from fasttree.prediction.small_trees import SmallTrees
from fasttree.trees.packed_tree import check_matrix
from fasttree.trees.packed_trees import LANES, aligned_empty

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fasttree.trees.packed_trees import PackedTrees

# A tree that fits the first cache is read anew for each block of rows, and a block
# fits it too; a larger one waits for memory less when many rows pass it at once.
_SMALL_TREE = 2**14
_SMALL_BLOCK = 2**15
_LARGE_BLOCK = 2**22
_LEAST_ROWS = 64
# Rows that pay for the tables of small trees, which are made once.
_ROWS_FOR_SMALL = 256
# Rows that pay for copies of trees, which are made for each block: these at least, and
# one for so many nodes of a tree. With one for so few, copies are next to nothing.
_ROWS_FOR_COPIES = 128
_NODES_PER_ROW = 100
_FEW_NODES_PER_ROW = 2
_NO_SUMS = np.zeros((0, 0))
_NO_NUMBERS = np.zeros((0, 0), np.intp)
# Nodes' worth of work that outweighs the 60 us that handing a task over costs.
_STEPS_PER_TASK = 250_000
_TASKS_PER_THREAD = 4


class BatchPredictor:
    """Packed trees with what many rows need: sums and leaves, on threads."""

    __slots__ = (
        "_can_copy",
        "_largest",
        "_nodes_per_tree",
        "_numbers",
        "_payload",
        "_small",
        "_steps_per_row",
        "packed",
    )

    def __init__(self, packed: PackedTrees) -> None:
        self.packed = packed
        self._payload: tuple[NDArray[Any], ...] | None = None
        self._numbers: NDArray[np.int32] | None = None
        self._small: tuple[SmallTrees | None, ...] = ()
        n_nodes = np.diff(packed.tree_start)
        # Trees that grew unevenly are deeper than that.
        self._steps_per_row = int(np.ceil(2 * np.log2(n_nodes)).sum())
        self._largest = int(n_nodes.max())
        self._nodes_per_tree = int(n_nodes.mean())
        self._can_copy = (
            packed.nodes.shape[1] == 2
            and self._largest < 2**25
            and packed.n_slots <= large_kernels.COLUMNS
            and packed.first_set_slot == packed.n_slots
        )

    @property
    def payload(self) -> tuple[NDArray[Any], ...]:
        """What leaves are worth, as the kernels take it."""
        if self._payload is None:
            self._payload = self.packed.payload()
        return self._payload

    @property
    def small(self) -> SmallTrees | None:
        """The trees in another form, if all of them are small."""
        if not self._small:
            self._small = (SmallTrees.of(self.packed, self.payload[0]),)
        return self._small[0]

    def add(
        self,
        X: NDArray[Any],
        columns: NDArray[np.int32],
        out: NDArray[np.float64],
        n_threads: int = 1,
        trees: tuple[int, int] | None = None,
    ) -> None:
        """Add what the leaves hold to the rows of `out`, a range of trees in order.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
        columns : int32 array of shape (n_trees,)
            First column of `out` that each tree adds to.
        out : float64 array of shape (n_rows, n_columns)
        n_threads : int, default=1
            Changes nothing but the time.
        trees : tuple of int, default=None
            First tree, and the one after the last; None for all.
        """
        trees = trees or (0, self.packed.n_trees)
        self._run(X, columns, out, _NO_NUMBERS, trees, n_threads)

    def write_leaves(
        self, X: NDArray[Any], out: NDArray[np.intp], n_threads: int = 1
    ) -> None:
        """Write the node number of each row's leaf in each tree."""
        n_trees = self.packed.n_trees
        columns = np.zeros(n_trees, np.int32)
        if self._numbers is None:
            self._numbers = self.packed.preorder()
        self._run(X, columns, _NO_SUMS, out, (0, n_trees), n_threads)

    def _run(
        self,
        X: NDArray[Any],
        columns: NDArray[np.int32],
        out: NDArray[np.float64],
        number_out: NDArray[np.intp],
        trees: tuple[int, int],
        n_threads: int,
    ) -> None:
        """Add to `out`, or write `number_out` if that has no columns, on threads."""
        X = check_matrix(X, self.packed.n_features)
        if not len(X):
            return
        steps = len(X) * self._steps_per_row
        n_tasks = min(n_threads * _TASKS_PER_THREAD, steps // _STEPS_PER_TASK)
        if n_threads == 1 or n_tasks <= 1:
            n_tasks = 1
        run: Callable[..., None] = self._walk
        if len(X) >= _ROWS_FOR_SMALL and self.small is not None:
            run = self.small.run
        elif self._can_copy and len(X) >= max(
            _ROWS_FOR_COPIES, self._nodes_per_tree // _NODES_PER_ROW
        ):
            run = self._walk_copies
            # Each task copies all trees.
            most = len(X) * _FEW_NODES_PER_ROW // self._nodes_per_tree
            n_tasks = min(n_tasks, max(most, n_threads))
        bounds = np.linspace(0, len(X), n_tasks + 1).astype(np.intp).tolist()
        tasks = [
            (X, columns, out, number_out, trees, rows)
            for rows in itertools.pairwise(bounds)
        ]
        threads.run(run, tasks, n_threads)

    def _walk(
        self,
        X: NDArray[Any],
        columns: NDArray[np.int32],
        out: NDArray[np.float64],
        number_out: NDArray[np.intp],
        trees: tuple[int, int],
        rows: tuple[int, int],
    ) -> None:
        packed = self.packed
        tree_bytes = packed.nodes.nbytes / packed.n_trees
        block_bytes = _SMALL_BLOCK if tree_bytes <= _SMALL_TREE else _LARGE_BLOCK
        row_size = packed.n_slots + 1
        n_rows = min(max(_LEAST_ROWS, block_bytes // (4 * row_size)), rows[1] - rows[0])
        kernels.run(
            X, *packed.layout, *self.payload, columns, out, self._number_array(),
            number_out, *trees, *rows,
            aligned_empty(((n_rows + LANES) * row_size,), np.uint32),
        )  # fmt: skip

    def _walk_copies(
        self,
        X: NDArray[Any],
        columns: NDArray[np.int32],
        out: NDArray[np.float64],
        number_out: NDArray[np.intp],
        trees: tuple[int, int],
        rows: tuple[int, int],
    ) -> None:
        packed = self.packed
        row_size = 16
        while row_size < packed.n_slots:
            row_size *= 2
        n_rows = _LARGE_BLOCK // (4 * row_size)
        n_rows = max(n_rows, self._nodes_per_tree // _FEW_NODES_PER_ROW)
        n_rows = min(n_rows, rows[1] - rows[0])
        large_kernels.run(
            X, *packed.layout, *self.payload, columns, out, self._number_array(),
            number_out, *trees, *rows, n_rows, np.empty(packed.n_features, np.uint8),
            aligned_empty(((n_rows + large_kernels.GROUP) * row_size,), np.uint32),
            aligned_empty((self._largest, 2), np.uint32),
        )  # fmt: skip

    def _number_array(self) -> NDArray[np.int32]:
        return np.zeros(0, np.int32) if self._numbers is None else self._numbers
