"""How sure a forest is: label sets, intervals and quantiles from rows out of the bag.

Split conformal prediction, with errors out of the bag in the place of those of a
second part of the data.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils.validation import check_is_fitted

from fasttree.prediction import inference

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from fasttree.ensembles.outofbag import OutOfBag


class _ScoresMixin:
    """The conformity scores of the rows out of the bag, of forests of one output."""

    def _scores_of_bag(self, coverage: float) -> float:
        """Return the conformity score that the share `coverage` does not exceed."""
        check_is_fitted(self)
        if self.n_outputs_ > 1:
            raise ValueError(
                "coverage is of the target of one output; this forest was fitted on "
                f"{self.n_outputs_}"
            )
        scores = vars(self).get("_conformity")
        if scores is None:
            raise AttributeError(
                "coverage comes from rows out of the bag: fit with oob_score=True"
            )
        if not 0.0 < coverage < 1.0:
            raise ValueError(f"coverage must be between 0 and 1, got {coverage!r}")
        place = math.ceil((len(scores) + 1) * coverage) - 1
        return float(scores[place]) if place < len(scores) else math.inf


class LabelSetsMixin(_ScoresMixin):
    """Sets of classes that hold the true one with a given chance."""

    def _keep_scores(
        self, bag: OutOfBag, means: NDArray[np.float64], y: NDArray[np.int32]
    ) -> None:
        self._conformity = np.sort(1.0 - means[np.arange(len(y)), y][bag.seen])

    def predict_set(self, X: ArrayLike, coverage: float = 0.9) -> NDArray[np.bool_]:
        """Return the classes that cannot be ruled out: conformal label sets.

        A set holds the true class with about the chance `coverage`, whatever the
        data, as long as new rows are like those of the training: what the trees
        give to the true classes of rows out of their bags says how much a class
        needs (split conformal prediction with out-of-bag scores in the place of a
        second part of the data).

        Parameters
        ----------
        X : {array-like, sparse, data frame} of shape (n_samples, n_features)
        coverage : float, default=0.9

        Returns
        -------
        ndarray of shape (n_samples, n_classes), bool
            Columns in the order of ``classes_``. A set may be empty.

        Raises
        ------
        AttributeError
            If the forest was not fitted with `oob_score`.
        ValueError
            If `coverage` is not between 0 and 1, or there are several outputs.
        """
        limit = self._scores_of_bag(coverage)
        return 1.0 - self.predict_proba(X) <= limit


class IntervalsMixin(_ScoresMixin):
    """Intervals that hold the target with a given chance, and its quantiles."""

    def _keep_scores(
        self, bag: OutOfBag, means: NDArray[np.float64], y: NDArray[np.float64]
    ) -> None:
        residuals = (y - means[:, 0])[bag.seen]
        spreads = bag.spreads()[:, 0][bag.seen]
        # Where trees agree the spread says little: it is not taken for less than this.
        self._least_spread = float(np.median(spreads)) or 1.0
        scaled = residuals / (spreads + self._least_spread)
        self._residuals = np.sort(scaled)
        self._conformity = np.sort(np.abs(scaled))

    def _means_and_spreads(
        self, X: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        matrix = self._matrix(X)
        mean = self._ensemble.mean_values(matrix, self._n_threads())
        squares = np.zeros(len(mean))
        for tree in self._ensemble:
            value = inference.predict_value(tree, matrix, self._n_threads())
            squares += (value - mean) ** 2
        return mean, np.sqrt(squares / len(self)) + self._least_spread

    def predict_interval(
        self, X: ArrayLike, coverage: float = 0.9
    ) -> NDArray[np.float64]:
        """Return conformal prediction intervals about `predict`.

        An interval holds the target with about the chance `coverage`, whatever the
        data, as long as new rows are like those of the training. It comes from the
        errors for rows out of the bag, relative to how far the trees disagree.

        Parameters
        ----------
        X : {array-like, sparse, data frame} of shape (n_samples, n_features)
        coverage : float, default=0.9

        Returns
        -------
        ndarray of shape (n_samples, 2), float64
            Lower and upper ends.

        Raises
        ------
        AttributeError
            If the forest was not fitted with `oob_score`.
        ValueError
            If `coverage` is not between 0 and 1, or there are several outputs.
        """
        limit = self._scores_of_bag(coverage)
        mean, spread = self._means_and_spreads(X)
        return np.stack([mean - limit * spread, mean + limit * spread], axis=1)

    def predict_quantiles(
        self, X: ArrayLike, quantiles: ArrayLike = (0.05, 0.5, 0.95)
    ) -> NDArray[np.float64]:
        """Return quantiles of the target, given each row.

        `predict` plus quantiles of the errors for rows out of the bag, which are
        taken relative to how far the trees disagree.

        Parameters
        ----------
        X : {array-like, sparse, data frame} of shape (n_samples, n_features)
        quantiles : array-like of float, default=(0.05, 0.5, 0.95)
            Between 0 and 1.

        Returns
        -------
        ndarray of shape (n_samples, n_quantiles), float64

        Raises
        ------
        AttributeError
            If the forest was not fitted with `oob_score`.
        ValueError
            If a quantile is not in 0..1, or there are several outputs.
        """
        self._scores_of_bag(0.5)
        wanted = np.atleast_1d(np.asarray(quantiles, np.float64))
        if wanted.ndim != 1 or not np.all((wanted >= 0.0) & (wanted <= 1.0)):
            raise ValueError(f"quantiles must be between 0 and 1, got {quantiles!r}")
        mean, spread = self._means_and_spreads(X)
        return mean[:, None] + spread[:, None] * np.quantile(self._residuals, wanted)
