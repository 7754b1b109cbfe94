"""One forest of two."""

from __future__ import annotations

from typing import Self

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

# What rows out of the bag told of one forest says nothing of both.
_OF_ONE = ("oob_score_", "oob_decision_function_", "oob_prediction_", "_conformity")


class MergingMixin:
    """Putting the trees of two forests together."""

    def merge(self, other: Self) -> Self:
        """Return a forest of the trees of both, as if one had grown them all.

        Parameters
        ----------
        other : forest
            Of the same class, with the same features, categories and classes.

        Returns
        -------
        forest
            `n_estimators` is the number of trees. Out-of-bag attributes are left
            out.

        Raises
        ------
        TypeError
            If `other` is no such forest.
        ValueError
            If the two do not fit together, or have trees in common.
        """
        check_is_fitted(self)
        if type(other) is not type(self):
            raise TypeError(
                f"other must be a {type(self).__name__}, got {type(other).__name__}"
            )
        check_is_fitted(other)
        if not self.schema_.is_like(other.schema_) or not self._has_targets_of(other):
            raise ValueError(
                "other was trained on other features, categories, classes or outputs"
            )
        if {key for key, _ in self._origins} & {key for key, _ in other._origins}:
            raise ValueError(
                "other has trees of the same random_state: they would count twice"
            )
        merged = clone(self)
        state = vars(merged)
        state.update(vars(self))
        for name in _OF_ONE:
            state.pop(name, None)
        state["_trees"] = self._current_trees() + other._current_trees()
        state["_origins"] = [*self._origins, *other._origins]
        state["_models"] = None
        merged.n_estimators = len(merged)
        return merged

    def _has_targets_of(self, other: Self) -> bool:
        """Return whether both predict the same outputs, of the same classes."""
        if self.n_outputs_ != other.n_outputs_:
            return False
        own, others = (getattr(model, "classes_", []) for model in (self, other))
        if self.n_outputs_ == 1:
            own, others = [own], [others]
        return all(np.array_equal(a, b) for a, b in zip(own, others, strict=True))
