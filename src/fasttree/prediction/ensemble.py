"""Many trees as one model: which leaves rows reach, and sums over the trees.

Sums of a row run in the order of the trees, in float64, whatever the number of
threads or the size of the blocks: these change no bit of a result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from fasttree.data.schema import SparseRows
from fasttree.prediction import packing
from fasttree.prediction.batch import BatchPredictor
from fasttree.trees.node_statistics import NodeStatistics
from fasttree.trees.packed_trees import PackedTrees
from fasttree.trees.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import ArrayLike, NDArray

    from fasttree.trees.joint_trees import JointTrees


class Ensemble:
    """An immutable sequence of fitted trees that predict together.

    Made by :meth:`from_trees`; it cannot be changed afterwards and any number of
    threads may use it. Indexing and iterating give the trees.
    """

    __slots__ = ("_batch", "_outputs", "_statistics")

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
        given = _check_trees(tuple(trees))
        return cls.from_packed(
            packing.pack(given),
            NodeStatistics.of(given),
            _check_outputs(outputs, len(given)),
        )

    @classmethod
    def from_joint(cls, trees: JointTrees, *, outputs: ArrayLike) -> Self:
        """Return the ensemble of trees that are one set of arrays.

        `outputs` as in :meth:`from_trees`.
        """
        return cls.from_packed(
            packing.pack([trees]),
            NodeStatistics.of([trees]),
            _check_outputs(outputs, len(trees.roots)),
        )

    @classmethod
    def from_packed(
        cls,
        packed: PackedTrees,
        statistics: NodeStatistics,
        outputs: NDArray[np.int32],
    ) -> Self:
        """Return the ensemble of trees that are packed, and have been checked."""
        self = cls.__new__(cls)
        self._batch = BatchPredictor(packed)
        self._statistics = statistics
        self._outputs = outputs
        return self

    def __len__(self) -> int:
        return self.packed.n_trees

    def __getitem__(self, index: int) -> Tree:
        """Return one of the trees, made anew each time."""
        tree = range(len(self))[index]
        return self._statistics.restore(self.packed, tree)

    def __iter__(self) -> Iterator[Tree]:
        return (self[tree] for tree in range(len(self)))

    def __reduce__(self) -> tuple[Any, ...]:
        # Without what is derived from these.
        parts = vars(self.packed), vars(self._statistics), self._outputs
        return _restore, parts

    def __repr__(self) -> str:
        return (
            f"<Ensemble: {len(self)} trees, {self.node_count} nodes, "
            f"{'classification' if self.is_classification else 'regression'}>"
        )

    # --- Fields --------------------------------------------------------------------

    @property
    def packed(self) -> PackedTrees:
        """The trees as the kernels read them."""
        return self._batch.packed

    @property
    def statistics(self) -> NodeStatistics:
        """What training left at the nodes."""
        return self._statistics

    @property
    def is_classification(self) -> bool:
        """Whether leaves hold class weights rather than values."""
        return not len(self.packed.leaf_value)

    @property
    def n_features(self) -> int:
        """Number of columns of the input."""
        return self.packed.n_features

    @property
    def n_classes(self) -> NDArray[np.intp]:
        """intp (n_outputs,): number of classes of each output; 1 for regression."""
        if not self.is_classification:
            return np.ones(self.n_outputs, np.intp)
        if len(self._statistics.output_classes):
            return self._statistics.output_classes.astype(np.intp)
        return np.array([self.packed.n_columns], np.intp)

    @property
    def n_outputs(self) -> int:
        """Number of targets of each tree."""
        if not self.is_classification:
            return self.packed.n_columns
        return max(1, len(self._statistics.output_classes))

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
        return self.packed.n_nodes

    @property
    def nbytes(self) -> int:
        """Bytes of the trees: nodes, payloads and what training left at the nodes."""
        return self.packed.nbytes + self._statistics.nbytes + self._outputs.nbytes

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
        for start, rows in _blocks(X):
            part = out[start : start + len(rows)]
            self._batch.write_leaves(rows, part, n_threads)
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
        return self._means(X, (len(X), self.packed.n_columns), n_threads, out)

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
        return self._means(X, shape, n_threads, out)

    def _means(
        self,
        X: NDArray[Any] | SparseRows,
        shape: tuple[int, ...],
        n_threads: int,
        out: NDArray[np.float64] | None,
    ) -> NDArray[np.float64]:
        out = _check_out(out, shape)
        out[...] = 0.0
        self._add(X, out.reshape(len(X), shape[-1] if shape[1:] else 1), n_threads)
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
        if columns is None:
            columns = np.zeros(len(self), np.int32)
        for start, rows in _blocks(X):
            part = out[start : start + len(rows)]
            self._batch.add(rows, columns, part, n_threads, trees)


def _restore(
    packed: dict[str, Any], statistics: dict[str, Any], outputs: NDArray[np.int32]
) -> Ensemble:
    """Return an ensemble from unpickled state, after checking it."""
    trees = PackedTrees(**packed)
    trees.check()
    nodes = NodeStatistics(**statistics)
    nodes.check(trees)
    return Ensemble.from_packed(trees, nodes, _check_outputs(outputs, trees.n_trees))


def _blocks(X: NDArray[Any] | SparseRows) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield the first row of each block that is dense at once, and the block."""
    if isinstance(X, SparseRows):
        yield from X.blocks()
    else:
        yield 0, X


def _check_trees(trees: tuple[Tree, ...]) -> tuple[Tree, ...]:
    if not trees:
        raise ValueError("trees must hold at least one tree")
    for tree in trees:
        if not isinstance(tree, Tree):
            raise TypeError(f"trees must hold Tree objects, got {tree!r}")
    first = trees[0]
    for position, tree in enumerate(trees):
        for name in (
            "is_classification", "n_features", "n_outputs", "n_classes", "criterion"
        ):  # fmt: skip
            expected, got = getattr(first, name), getattr(tree, name)
            if not np.array_equal(expected, got):
                raise ValueError(
                    f"trees must agree in {name}: tree 0 has {expected}, tree "
                    f"{position} has {got}"
                )
    return trees


def _check_outputs(outputs: ArrayLike | None, n_trees: int) -> NDArray[np.int32]:
    checked = np.zeros(n_trees, np.int32)
    if outputs is not None:
        given = np.asarray(outputs)
        if given.shape != checked.shape or given.dtype.kind not in "iu":
            raise ValueError(
                f"outputs must be integers of shape ({n_trees},), got {given.dtype} "
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
