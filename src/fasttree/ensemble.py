"""Many trees as one model: which leaves rows reach, and sums over the trees.

Sums of a row run in the order of the trees, in float64, whatever the number of
threads or the size of the blocks: these change no bit of a result.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from fasttree import packing, threads
from fasttree._kernels import ensemble as kernels
from fasttree.table import SparseRows
from fasttree.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import ArrayLike, NDArray

    from fasttree.packing import PackedTrees

# A tree that fits the first cache is read anew for each block of rows, and a block
# fits it too; a larger one waits for memory less when many rows pass it at once.
_SMALL_TREE = 2**14
_SMALL_BLOCK = 2**15
_LARGE_BLOCK = 2**22
_LEAST_ROWS = 64
# Steps that outweigh the 60 us that handing a task over costs.
_STEPS_PER_TASK = 250_000
_TASKS_PER_THREAD = 4


class Ensemble:
    """An immutable sequence of fitted trees that predict together.

    Made by :meth:`from_trees`; it cannot be changed afterwards and any number of
    threads may use it. Indexing and iterating give the trees.
    """

    __slots__ = ("_numbers", "_outputs", "_packed", "_payload", "_trees")

    def __init__(self) -> None:
        raise TypeError("Ensemble is made by Ensemble.from_trees")

    @classmethod
    def from_trees(
        cls, trees: Iterable[Tree], *, outputs: ArrayLike | None = None
    ) -> Self:
        """Return the ensemble of these trees, in this order.

        Parameters
        ----------
        trees : iterable of Tree
            At least one; all of one kind, with the same features and the same
            classes or outputs.
        outputs : int array of shape (n_trees,), default=None
            Column of :meth:`sum_values` that each tree's value is added to, for
            regression trees of one output. None: column 0 for all.

        Returns
        -------
        Ensemble

        Raises
        ------
        TypeError
            If an entry of `trees` is not a Tree.
        ValueError
            If the trees do not fit together, or `outputs` not to them.
        """
        self = cls.__new__(cls)
        self._trees = _check_trees(tuple(trees))
        self._outputs = _check_outputs(outputs, self._trees)
        self._packed: PackedTrees | None = None
        self._payload: tuple[NDArray[Any], ...] | None = None
        self._numbers: NDArray[np.int32] | None = None
        return self

    def __len__(self) -> int:
        return len(self._trees)

    def __getitem__(self, index: int) -> Tree:
        return self._trees[index]

    def __iter__(self) -> Iterator[Tree]:
        return iter(self._trees)

    def __repr__(self) -> str:
        return (
            f"<Ensemble: {len(self)} trees, {self.node_count} nodes, "
            f"{'classification' if self.is_classification else 'regression'}>"
        )

    # --- Fields --------------------------------------------------------------------

    @property
    def is_classification(self) -> bool:
        """Whether leaves hold class weights rather than values."""
        return self._trees[0].is_classification

    @property
    def n_features(self) -> int:
        """Number of columns of the input."""
        return self._trees[0].n_features

    @property
    def n_classes(self) -> NDArray[np.intp]:
        """intp (n_outputs,): number of classes of each output; 1 for regression."""
        return self._trees[0].n_classes

    @property
    def n_outputs(self) -> int:
        """Number of targets of each tree."""
        return self._trees[0].n_outputs

    @property
    def outputs(self) -> NDArray[np.int32]:
        """int32 (n_trees,): column of the sums that each tree adds to."""
        return self._outputs

    @property
    def n_columns(self) -> int:
        """Number of columns of :meth:`sum_values`."""
        return int(self._outputs.max()) + 1

    @property
    def node_count(self) -> int:
        """Number of nodes of all trees, leaves included."""
        return sum(tree.node_count for tree in self._trees)

    @property
    def packed(self) -> PackedTrees:
        """The trees as the kernels read them, made when first asked for."""
        if self._packed is None:
            self._packed = packing.pack(self._trees)
        return self._packed

    # --- Prediction ----------------------------------------------------------------

    def leaves(
        self, X: NDArray[Any] | SparseRows, n_threads: int = 1
    ) -> NDArray[np.intp]:
        """Return the node number of the leaf that each row reaches in each tree.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features), or SparseRows
            Numbers and category codes, NaN where missing; best C-contiguous float32
            or float64, of which no copy is made.
        n_threads : int, default=1
            Changes nothing but the time.

        Returns
        -------
        ndarray of shape (n_rows, n_trees), intp
        """
        out = np.empty((len(X), len(self)), np.intp)
        packed = self.packed
        if self._numbers is None:
            self._numbers = packed.preorder()
        numbers = self._numbers

        def write(
            rows: NDArray[Any], first: int, start: int, stop: int, work: NDArray[Any]
        ) -> None:
            kernels.write_leaves(
                rows, *packed.layout, numbers, out[first : first + len(rows)], start,
                stop, work,
            )  # fmt: skip

        self._run(X, write, n_threads)
        return out

    def mean_shares(
        self,
        X: NDArray[Any] | SparseRows,
        n_threads: int = 1,
        out: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """Return the means over the trees of the class fractions of each row's leaves.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features), or SparseRows
            As in :meth:`leaves`.
        n_threads : int, default=1
            Changes nothing but the time.
        out : ndarray of shape (n_rows, n_class_columns), float64, default=None
            Where to write the result: C-contiguous.

        Returns
        -------
        ndarray of shape (n_rows, n_class_columns), float64
            The classes of several outputs stand side by side.

        Raises
        ------
        ValueError
            If the trees have no classes, or `X` or `out` has the wrong shape.
        """
        if not self.is_classification:
            raise ValueError("mean_shares needs trees for classification")
        n_columns = int(self.n_classes.sum())
        out = _check_out(out, (len(X), n_columns))

        out[:] = 0.0
        self._add(X, out, n_threads)
        out /= len(self)
        return out

    def mean_values(
        self,
        X: NDArray[Any] | SparseRows,
        n_threads: int = 1,
        out: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """Return the means over the trees of the values of each row's leaves.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features), or SparseRows
            As in :meth:`leaves`.
        n_threads : int, default=1
            Changes nothing but the time.
        out : ndarray of shape (n_rows,) or (n_rows, n_outputs), float64, default=None
            Where to write the result: C-contiguous.

        Returns
        -------
        ndarray of shape (n_rows,), or (n_rows, n_outputs) of several outputs, float64

        Raises
        ------
        ValueError
            If the trees have classes, or `X` or `out` has the wrong shape.
        """
        if self.is_classification:
            raise ValueError("mean_values needs trees for regression")
        shape = (len(X),) if self.n_outputs == 1 else (len(X), self.n_outputs)
        out = _check_out(out, shape)

        out[...] = 0.0
        self._add(X, out.reshape(len(X), self.n_outputs), n_threads)
        out /= len(self)
        return out

    def sum_values(
        self,
        X: NDArray[Any] | SparseRows,
        baseline: ArrayLike,
        n_threads: int = 1,
        out: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """Return the baseline plus the trees' values, each in its tree's column.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features), or SparseRows
            As in :meth:`leaves`.
        baseline : float array of shape (n_columns,)
            What each column starts from. It may have more columns than the trees
            add to.
        n_threads : int, default=1
            Changes nothing but the time.
        out : ndarray of shape (n_rows, n_columns), float64, default=None
            Where to write the result: C-contiguous.

        Returns
        -------
        ndarray of shape (n_rows, n_columns), float64

        Raises
        ------
        ValueError
            If the trees have classes or several outputs, or an argument has the
            wrong shape.
        """
        start_from = self._check_baseline(baseline)
        out = _check_out(out, (len(X), len(start_from)))
        out[:] = start_from
        self._add(X, out, n_threads, self._outputs)
        return out

    def staged_sums(
        self,
        X: NDArray[Any] | SparseRows,
        baseline: ArrayLike,
        n_threads: int = 1,
        *,
        trees_per_stage: int = 1,
    ) -> Iterator[NDArray[np.float64]]:
        """Yield :meth:`sum_values` after each stage of `trees_per_stage` trees.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features), or SparseRows
            As in :meth:`leaves`.
        baseline : float array of shape (n_columns,)
            As in :meth:`sum_values`.
        n_threads : int, default=1
            Changes nothing but the time.
        trees_per_stage : int, default=1
            Number of trees of a boosting round; it divides the number of trees.

        Yields
        ------
        ndarray of shape (n_rows, n_columns), float64
            A new array each time.
        """
        start_from = self._check_baseline(baseline)
        if trees_per_stage < 1 or len(self) % trees_per_stage:
            raise ValueError(
                f"trees_per_stage must divide the {len(self)} trees, got "
                f"{trees_per_stage}"
            )
        sums = np.empty((len(X), len(start_from)))
        sums[:] = start_from
        for first in range(0, len(self), trees_per_stage):
            last = first + trees_per_stage
            self._add(X, sums, n_threads, self._outputs, (first, last))
            yield sums.copy()

    def _check_baseline(self, baseline: ArrayLike) -> NDArray[np.float64]:
        if self.is_classification or self.n_outputs != 1:
            raise ValueError("sums of values need regression trees of one output")
        checked = np.asarray(baseline, np.float64)
        if checked.ndim != 1 or len(checked) < self.n_columns:
            raise ValueError(
                f"baseline must have shape (n,) with n at least {self.n_columns}, "
                f"got {checked.shape}"
            )
        return checked

    def _add(
        self,
        X: NDArray[Any] | SparseRows,
        out: NDArray[np.float64],
        n_threads: int,
        columns: NDArray[np.int32] | None = None,
        trees: tuple[int, int] | None = None,
    ) -> None:
        """Add what the leaves hold to the rows of `out`, a range of trees in order."""
        packed = self.packed
        if self._payload is None:
            self._payload = packed.payload()
        payload = self._payload
        if columns is None:
            columns = np.zeros(len(self), np.int32)
        first_tree, last_tree = trees or (0, len(self))

        def write(
            rows: NDArray[Any], first: int, start: int, stop: int, work: NDArray[Any]
        ) -> None:
            kernels.add_leaves(
                rows, *packed.layout, *payload, columns,
                out[first : first + len(rows)], first_tree, last_tree, start, stop,
                work,
            )  # fmt: skip

        self._run(X, write, n_threads)

    def _run(
        self,
        X: NDArray[Any] | SparseRows,
        write: Callable[[NDArray[Any], int, int, int, NDArray[Any]], None],
        n_threads: int,
    ) -> None:
        """Call ``write(rows, first, start, stop, work)`` for all rows, on threads.

        `first` is the number of the first of `rows`, of which the call writes
        start:stop; `work` is room to rewrite rows in.
        """
        if isinstance(X, SparseRows):
            for first, rows in X.blocks():
                self._run_rows(rows, first, write, n_threads)
        else:
            self._run_rows(X, 0, write, n_threads)

    def _run_rows(
        self,
        X: NDArray[Any],
        first: int,
        write: Callable[[NDArray[Any], int, int, int, NDArray[Any]], None],
        n_threads: int,
    ) -> None:
        X = self._trees[0].check_matrix(X)
        if not len(X):
            return
        packed = self.packed
        steps = len(X) * self._steps_per_row
        n_tasks = min(n_threads * _TASKS_PER_THREAD, steps // _STEPS_PER_TASK)
        if n_threads == 1 or n_tasks <= 1:
            n_tasks = 1
        bounds = np.linspace(0, len(X), n_tasks + 1).astype(np.intp).tolist()
        tree_bytes = packed.nodes.nbytes / len(self)
        block_bytes = _SMALL_BLOCK if tree_bytes <= _SMALL_TREE else _LARGE_BLOCK
        row_size = packed.n_slots + 1
        n_rows = min(max(_LEAST_ROWS, block_bytes // (4 * row_size)), bounds[1] + 1)

        def run(start: int, stop: int) -> None:
            work = packing.aligned_empty(
                ((n_rows + packing.LANES) * row_size,), np.uint32
            )
            write(X, first, start, stop, work)

        threads.run(run, list(itertools.pairwise(bounds)), n_threads)

    @property
    def _steps_per_row(self) -> int:
        return sum(1 + tree.max_depth for tree in self._trees)


def _check_trees(trees: tuple[Tree, ...]) -> tuple[Tree, ...]:
    if not trees:
        raise ValueError("trees must hold at least one tree")
    for tree in trees:
        if not isinstance(tree, Tree):
            raise TypeError(f"trees must hold Tree objects, got {tree!r}")
    first = trees[0]
    for position, tree in enumerate(trees):
        for name in ("is_classification", "n_features", "n_outputs", "n_classes"):
            expected, got = getattr(first, name), getattr(tree, name)
            if not np.array_equal(expected, got):
                raise ValueError(
                    f"trees must agree in {name}: tree 0 has {expected}, tree "
                    f"{position} has {got}"
                )
    return trees


def _check_outputs(
    outputs: ArrayLike | None, trees: tuple[Tree, ...]
) -> NDArray[np.int32]:
    checked = np.zeros(len(trees), np.int32)
    if outputs is not None:
        given = np.asarray(outputs)
        if given.shape != checked.shape or given.dtype.kind not in "iu":
            raise ValueError(
                f"outputs must be integers of shape ({len(trees)},), got {given.dtype} "
                f"of shape {given.shape}"
            )
        if given.min() < 0 or given.max() > np.iinfo(np.int32).max - 1:
            raise ValueError(
                f"outputs must be column numbers, got {given.min()}..{given.max()}"
            )
        checked[:] = given
    checked.setflags(write=False)
    return checked


def _check_out(
    out: NDArray[np.float64] | None, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    if out is None:
        return np.empty(shape)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be an ndarray, got {type(out).__name__}")
    if (
        out.shape != shape
        or out.dtype != np.float64
        or not out.flags.c_contiguous
        or not out.flags.writeable
    ):
        raise ValueError(
            f"out must be a writeable C-contiguous float64 array of shape {shape}, "
            f"got {out.dtype} of shape {out.shape}"
        )
    return out
