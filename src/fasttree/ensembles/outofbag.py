"""Predictions for the rows that a tree did not draw.

A row's out-of-bag prediction is the mean over the trees that did not see it. Sums
are integers: threads may add in any order, and change no bit.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree._kernels import bags
from fasttree._kernels import predict as tree_kernels
from fasttree.prediction import inference

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fasttree.data.schema import SparseRows
    from fasttree.prediction.joining import CompactTree
    from fasttree.trees.tree import Tree

_SHARE_BITS = 40  # of a class share: sums hold 2**22 trees
_VALUE_BITS = 40  # of the largest deviation from the centre
_SQUARE_SHIFT = 24  # bits that values lose before they are squared


class OutOfBag:
    """Sums of what trees predict for the rows that they did not draw.

    Parameters
    ----------
    X : ndarray or SparseRows
        The training rows as `inference` takes them.
    n_columns : int
        Classes of all outputs, or outputs of regression.
    y : ndarray of float64, shape (n_rows,) or (n_rows, n_outputs), or None
        The targets of regression.
    """

    def __init__(
        self,
        X: NDArray[Any] | SparseRows,
        n_columns: int,
        y: NDArray[np.float64] | None = None,
    ) -> None:
        self.X = X
        self.sums = np.zeros((len(X), n_columns), np.int64)
        self.squares = np.zeros((len(X) if y is not None else 0, n_columns), np.int64)
        self.n_trees = np.zeros(len(X), np.int32)
        self._lock = threading.Lock()
        self._centre = np.zeros(n_columns)
        self._exponent = np.full(n_columns, _SHARE_BITS)
        if y is not None:
            self._centre = y.reshape(len(y), -1)[0].copy()
            spread = np.abs(y.reshape(len(y), -1) - self._centre).max(axis=0)
            self._exponent = _VALUE_BITS - np.frexp(spread)[1]

    def add(self, tree: CompactTree, counts: NDArray[np.uint32], sign: int = 1) -> None:
        """Add a tree that drew each row `counts` times, or with -1 take it away."""
        packed = tree.packed
        leaves = tree.find_payloads(self.X)
        if not len(packed.leaf_value):
            units = np.rint(np.ldexp(packed.profile_share, _SHARE_BITS))
            entries = (
                packed.profile_start, packed.profile_class, units.astype(np.int64)
            )  # fmt: skip
            with self._lock:
                bags.add_shares(leaves, counts, *entries, sign, self.sums, self.n_trees)
            return
        deviations = packed.leaf_value - self._centre
        values = np.rint(np.ldexp(deviations, self._exponent)).astype(np.int64)
        squares = (values >> _SQUARE_SHIFT) ** 2
        with self._lock:
            bags.add_values(leaves, counts, values, sign, self.sums, self.n_trees)
            again = np.zeros_like(self.n_trees)
            bags.add_values(leaves, counts, squares, sign, self.squares, again)

    @property
    def seen(self) -> NDArray[np.bool_]:
        """bool (n_rows,): rows that some tree did not draw."""
        return self.n_trees > 0

    def means(self) -> NDArray[np.float64]:
        """Return the means; 0 for rows that every tree drew, as scikit-learn does.

        Returns
        -------
        ndarray of shape (n_rows, n_columns), float64
        """
        n = np.maximum(self.n_trees, 1)[:, None]
        means = np.ldexp(self.sums / n, -self._exponent)
        means[self.seen] += self._centre
        return means

    def spreads(self) -> NDArray[np.float64]:
        """Return the standard deviations of the trees' values for each row."""
        n = np.maximum(self.n_trees, 1)[:, None]
        means = np.ldexp(self.sums / n, -self._exponent)
        squares = np.ldexp(self.squares / n, 2 * (_SQUARE_SHIFT - self._exponent))
        return np.sqrt(np.maximum(squares - means**2, 0.0))


def debiased_importances(
    tree: Tree, leaves: NDArray[np.intp], y: NDArray[Any]
) -> NDArray[np.float64]:
    """Return the importances of a tree's features by rows that it has not seen.

    How far each split moves the prediction, times the targets of the rows (numbers
    about the root's value): features that only fit noise come to about 0 (MDI-oob of
    Li, Wang, Basu, Kumbier and Yu 2019, "A debiased MDI feature importance measure
    for random forests").

    Parameters
    ----------
    tree : Tree
    leaves : ndarray of shape (n_rows,)
        Leaf numbers of rows that were not drawn.
    y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
        Their class codes or targets.

    Returns
    -------
    ndarray of shape (n_features,), float64
        Of several outputs the mean over these, as impurities are.
    """
    nodes = tree.leaf_nodes.take(leaves)
    inner = np.flatnonzero(tree.children_left >= 0)
    moved = np.zeros(len(inner))
    for output, own in enumerate(y.reshape(len(y), -1).T):
        value = tree.value[:, output, :]
        sums = np.zeros_like(value)
        if tree.is_classification:
            np.add.at(sums, (nodes, own), 1.0)
        else:
            # About the root's value: an offset of all targets adds nothing but noise.
            about = own - value[0, 0]
            sums[:, 0] = np.bincount(nodes, about, minlength=tree.node_count)
        tree_kernels.sum_upwards(tree.children_left, tree.children_right, sums)
        for side in (tree.children_left[inner], tree.children_right[inner]):
            moved += ((value[side] - value[inner]) * sums[side]).sum(axis=1)
    out = np.bincount(tree.feature[inner], moved, minlength=tree.n_features)
    return out / (max(len(leaves), 1) * tree.n_outputs)


def permuted_losses(
    tree: Tree, X: NDArray[Any], y: NDArray[Any], random: np.random.Generator
) -> NDArray[np.float64]:
    """Return how much worse a tree predicts rows whose feature has been shuffled.

    Parameters
    ----------
    tree : Tree
    X : ndarray of shape (n_rows, n_features)
        Rows that the tree has not drawn.
    y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
        Their class codes or targets.
    random : Generator

    Returns
    -------
    ndarray of shape (n_features,), float64
        The rise of the error rate, or of the mean squared error (Breiman 2001); 0 for
        features that the tree does not use. Of several outputs the mean over these.
    """

    def loss(rows: NDArray[Any]) -> float:
        if tree.is_classification:
            return float(np.mean(inference.predict_class(tree, rows) != y))
        return float(np.mean((inference.predict_value(tree, rows) - y) ** 2))

    out = np.zeros(tree.n_features)
    if not len(y):
        return out
    before = loss(X)
    for f in np.unique(tree.feature[tree.feature >= 0]):
        shuffled = X.copy()
        shuffled[:, f] = random.permutation(X[:, f])
        out[f] = loss(shuffled) - before
    return out
