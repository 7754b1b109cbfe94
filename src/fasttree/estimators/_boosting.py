"""What fitted boosting estimators share: predictions, importances, files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from fasttree.estimators._boosting_fitting import FittingMixin
from fasttree.estimators._boosting_rows import Scores
from fasttree.estimators._ensemble import EnsembleMixin
from fasttree.estimators._saving import SavableMixin, make_state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from fasttree.prediction.ensemble import Ensemble
    from fasttree.storage.model_state import ModelState


class BaseGradientBoosting(EnsembleMixin, SavableMixin, FittingMixin):
    """What the boosting estimators share."""

    def _raw(self, X: Any) -> NDArray[np.float64]:
        """Return raw predictions, (n_rows, n_outputs)."""
        check_is_fitted(self)
        return self.ensemble_.sum_values(
            self._matrix(X), self.baseline_, self._n_threads()
        )

    def _staged_raw(self, X: Any) -> Iterator[NDArray[np.float64]]:
        check_is_fitted(self)
        yield from self.ensemble_.staged_sums(
            self._matrix(X),
            self.baseline_,
            self._n_threads(),
            trees_per_stage=self.n_trees_per_iteration_,
        )

    @property
    def _ensemble(self) -> Ensemble:
        return self.ensemble_

    @property
    def feature_importances_(self) -> NDArray[np.float64]:
        """Share of the splits' gain of each feature, (n_features_in_,)."""
        return self.compute_feature_importances("gain")

    def compute_feature_importances(
        self, kind: str = "gain", *, normalize: bool = True
    ) -> NDArray[np.float64]:
        """Return how much each feature is used.

        Parameters
        ----------
        kind : {"gain", "split"}, default="gain"
            By what its splits lower the loss, or by how many they are.
        normalize : bool, default=True
            Whether the importances are scaled to sum to 1 (unless all are 0).

        Returns
        -------
        ndarray of shape (n_features_in_,), float64
        """
        check_is_fitted(self)
        if kind not in ("gain", "split"):
            raise ValueError(f'kind must be "gain" or "split", got {kind!r}')
        values = self._gains if kind == "gain" else self._splits
        values = values.astype(np.float64)
        total = values.sum()
        return values / total if normalize and total > 0 else values

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "ensemble_")

    # --- Saving --------------------------------------------------------------------

    def _to_state(self) -> ModelState:
        if callable(self.loss):
            raise TypeError("a model whose loss is a function cannot be saved")
        return make_state(
            self,
            self.ensemble_,
            combination="sum",
            link=getattr(self._loss, "link", "identity"),
            baseline=self.baseline_,
            attributes={"seed": int(self._seed)},
            arrays={
                "gains": self._gains,
                "splits": self._splits,
                "train_score": self.train_score_,
                "validation_score": self.validation_score_,
            },
        )

    def _take_state(self, state: ModelState, ensemble: Ensemble) -> None:
        arrays = state.arrays
        for name in ("gains", "splits"):
            if arrays[name].shape != (ensemble.n_features,):
                raise ValueError(f"{name} must have a number for each feature")
        self.baseline_ = state.baseline
        n_outputs = len(state.baseline)
        columns = np.tile(np.arange(n_outputs), len(ensemble) // n_outputs)
        if not np.array_equal(columns, ensemble.outputs):
            raise ValueError("its trees must take turns with the outputs")
        self._seed = state.attributes["seed"]
        self._gains, self._splits = arrays["gains"], arrays["splits"]
        scores = Scores(
            arrays["train_score"].tolist(), arrays["validation_score"].tolist()
        )
        vars(self).update(self._fitted_attributes(ensemble, n_outputs, scores))
