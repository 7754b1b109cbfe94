"""Importances of a forest's features by the rows that its trees did not draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted, column_or_1d

from fasttree import threads
from fasttree.data.schema import SparseRows
from fasttree.ensembles.outofbag import debiased_importances, permuted_losses
from fasttree.estimators._base import resolve_seed
from fasttree.prediction import inference

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from fasttree.trees.tree import Tree


class ImportancesMixin:
    """What a forest's features are worth."""

    @property
    def feature_importances_(self) -> NDArray[np.float64]:
        """ndarray of shape (n_features,): mean share in lowering the impurity."""
        check_is_fitted(self)
        of_trees = [
            tree.compute_feature_importances()
            for tree in self._current_trees()
            if tree.node_count > 1
        ]
        if not of_trees:
            return np.zeros(self.n_features_in_)
        mean = np.mean(of_trees, axis=0, dtype=np.float64)
        total = mean.sum()
        return mean / total if total > 0.0 else mean

    def oob_feature_importances(
        self, X: ArrayLike, y: ArrayLike
    ) -> NDArray[np.float64]:
        """Return debiased importances: about 0 for features that only fit noise.

        ``feature_importances_`` credits a feature with every split, those that fit
        noise among them, of which features of many values have more. Here each
        split is judged by the rows that its tree did not draw (Li et al. 2019,
        MDI-oob).

        Parameters
        ----------
        X, y
            The training data.

        Returns
        -------
        ndarray of shape (n_features,), float64
            Means over the trees and outputs, not scaled; they may be negative.

        Raises
        ------
        ValueError
            If the trees did not draw their rows, or these are others.
        """
        matrix, target = self._check_training_data(X, y)

        def of_tree(
            _position: int, tree: Tree, out: NDArray[np.intp]
        ) -> NDArray[np.float64]:
            leaves = inference.find_leaves(tree, matrix).take(out)
            return debiased_importances(tree, leaves, target[out])

        return self._mean_over_trees(of_tree)

    def oob_permutation_importances(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        random_state: int | np.random.RandomState | None = None,
    ) -> NDArray[np.float64]:
        """Return how much worse trees predict once a feature has been shuffled.

        Each tree predicts the rows that it did not draw, as they are and with one
        feature's values permuted among them (Breiman 2001).

        Parameters
        ----------
        X, y
            The training data.
        random_state : int, RandomState instance or None, default=None
            Seeds the permutations.

        Returns
        -------
        ndarray of shape (n_features,), float64
            Mean rise of the trees' error rate, or of their mean squared error; of
            several outputs the mean over these.

        Raises
        ------
        ValueError
            If the trees did not draw their rows, or these are others.
        """
        matrix, target = self._check_training_data(X, y)
        seed = resolve_seed(random_state)

        def of_tree(
            position: int, tree: Tree, out: NDArray[np.intp]
        ) -> NDArray[np.float64]:
            random = np.random.default_rng([seed, position])
            return permuted_losses(tree, matrix[out], target[out], random)

        return self._mean_over_trees(of_tree)

    def _mean_over_trees(
        self, of_tree: Callable[[int, Tree, NDArray[np.intp]], NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        """Return the mean of what each tree has, and the rows that it did not draw."""
        trees = self._ensemble

        def task(position: int) -> NDArray[np.float64]:
            key, draws = self._origins[position]
            out = np.flatnonzero(draws.counts(key) == 0)
            return of_tree(position, trees[position], out)

        tasks = [(position,) for position in range(len(self))]
        return np.mean(threads.run(task, tasks, self._n_threads()), axis=0)

    def _check_training_data(self, X: Any, y: Any) -> tuple[Any, NDArray[Any]]:
        """Return the training data as trees read it; the draws are of its rows."""
        check_is_fitted(self)
        if any(draws is None for _, draws in self._origins):
            raise ValueError("Out of bag estimation only available if bootstrap=True")
        matrix = self._matrix(X)
        y = self._encode_target(np.asarray(y))
        for name, rows in (("X", len(matrix)), ("y", len(y))):
            if rows != self._n_rows:
                raise ValueError(
                    f"{name} must be the training data of {self._n_rows} rows, got "
                    f"{rows}"
                )
        if isinstance(matrix, SparseRows):
            matrix = self.schema_.to_matrix(matrix.X)
        return matrix, y

    def _target_columns(self, y: NDArray[Any]) -> list[NDArray[Any]]:
        """Return the targets of each output."""
        if self.n_outputs_ == 1:
            return [column_or_1d(y)]
        if y.ndim != 2 or y.shape[1] != self.n_outputs_:
            raise ValueError(
                f"y must have {self.n_outputs_} columns, as in training; got shape "
                f"{y.shape}"
            )
        return list(y.T)
