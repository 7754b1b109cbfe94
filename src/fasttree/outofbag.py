"""Predictions for the rows that a tree did not draw.

A row's out-of-bag prediction is the mean over the trees that did not see it. Sums
are integers: threads may add in any order, and change no bit.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree import inference
from fasttree._kernels import forest as kernels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fasttree.table import SparseRows
    from fasttree.tree import Tree

_SHARE_BITS = 40  # of a class share: sums hold 2**22 trees
_VALUE_BITS = 40  # of the largest deviation from the centre


class OutOfBag:
    """Sums of what trees predict for the rows that they did not draw.

    Parameters
    ----------
    X : ndarray or SparseRows
        The training rows as `inference` takes them.
    n_columns : int
        Classes, or 1 for regression.
    y : ndarray of float64, shape (n_rows,), or None
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
        self.n_trees = np.zeros(len(X), np.int32)
        self._lock = threading.Lock()
        self._centre, self._exponent = 0.0, _SHARE_BITS
        if y is not None:
            self._centre = float(y[0])
            spread = float(np.abs(y - self._centre).max())
            self._exponent = _VALUE_BITS - math.frexp(spread)[1]

    def add(self, tree: Tree, counts: NDArray[np.uint32], sign: int = 1) -> None:
        """Add a tree that drew each row `counts` times, or with -1 take it away."""
        leaves = inference.find_leaves(tree, self.X)
        if tree.is_classification:
            units = np.rint(np.ldexp(tree.leaf_share, self._exponent))
            entries = (tree.leaf_start, tree.leaf_class, units.astype(np.int64))
            with self._lock:
                kernels.add_shares(
                    leaves, counts, *entries, sign, self.sums, self.n_trees
                )
            return
        units = np.ldexp(tree.leaf_value - self._centre, self._exponent)
        values = np.rint(units).astype(np.int64).reshape(tree.n_leaves, -1)
        with self._lock:
            kernels.add_values(leaves, counts, values, sign, self.sums, self.n_trees)

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
