"""What a model file says of a forest: its draws, checked, and its out-of-bag arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree.data.encoding import MAX_ROWS
from fasttree.ensembles.forest import Bootstrap, RowDraws
from fasttree.estimators._saving import SavableMixin, make_state
from fasttree.prediction.joining import TreeList

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fasttree.prediction.ensemble import Ensemble
    from fasttree.storage.model_state import ModelState

_OOB_ARRAYS = (
    "oob_decision_function_",
    "oob_prediction_",
    "_conformity",
    "_residuals",
)


class ForestStateMixin(SavableMixin):
    """A forest as plain data."""

    def _to_state(self) -> ModelState:
        # Forests that were merged have drawn in several ways.
        ways = {id(draws): draws for _, draws in self._origins if draws is not None}
        numbers = {way: number for number, way in enumerate(ways)}
        attributes: dict[str, Any] = {
            "max_features": self._max_features,
            "n_rows": self._n_rows,
            "keys": [key for key, _ in self._origins],
            "way_of": [numbers.get(id(draws), -1) for _, draws in self._origins],
            "ways": [],
        }
        arrays = {}
        for number, draws in enumerate(ways.values()):
            bootstrap = draws.bootstrap
            attributes["ways"].append(
                {
                    "n_rows": draws.n_rows,
                    "n_draws": bootstrap.n_draws,
                    "n_groups": bootstrap.n_groups,
                    "balances": bootstrap.balances,
                }
            )
            arrays[f"weights_{number}"] = bootstrap.weights
            arrays[f"group_of_{number}"] = bootstrap.group_of
        if hasattr(self, "_least_spread"):
            attributes["least_spread"] = self._least_spread
        if hasattr(self, "oob_score_"):
            attributes["oob_score"] = float(self.oob_score_)
        for name in _OOB_ARRAYS:
            arrays[name] = getattr(self, name, None)
        return make_state(
            self,
            self._ensemble,
            attributes=attributes,
            arrays={name: value for name, value in arrays.items() if value is not None},
        )

    def _take_state(self, state: ModelState, ensemble: Ensemble) -> None:
        kept, arrays = state.attributes, state.arrays
        self._max_features = check_size(kept["max_features"], 2**31)
        self._n_rows = check_size(kept["n_rows"], MAX_ROWS)
        ways = [
            restore_draws(way, arrays, number)
            for number, way in enumerate(kept["ways"])
        ]
        if any(way.n_rows != self._n_rows for way in ways):
            raise ValueError("draws must be of the rows of training")
        self._origins = [
            (
                check_size(key, 2**64),
                None if way == -1 else ways[check_size(way, 2**31)],
            )
            for key, way in zip(kept["keys"], kept["way_of"], strict=True)
        ]
        if "least_spread" in kept:
            self._least_spread = float(kept["least_spread"])
        if "oob_score" in kept:
            self.oob_score_ = kept["oob_score"]
        for name in _OOB_ARRAYS:
            if name in arrays:
                setattr(self, name, arrays[name])
        if len(self._origins) != len(ensemble):
            raise ValueError("keys must be those of the trees")
        self._trees = TreeList([ensemble])
        self.estimator_ = self._make_tree()


def check_size(value: Any, limit: int) -> int:
    """Return a number of a file if it can be what it stands for."""
    if type(value) is not int or not 0 <= value < limit:
        raise ValueError(
            f"a number must be an integer below {limit}, got {value!r:.40}"
        )
    return value


def restore_draws(kept: Any, arrays: dict[str, NDArray[Any]], number: int) -> RowDraws:
    """Return the draws of a file, after checking what they index with."""
    n_rows = check_size(kept["n_rows"], MAX_ROWS)
    n_groups = check_size(kept["n_groups"], MAX_ROWS)
    n_draws = check_size(kept["n_draws"], 2**31)
    weights, group_of = (
        arrays.get(f"{name}_{number}") for name in ("weights", "group_of")
    )
    if group_of is not None:
        group_of = group_of.astype(np.intp)
        if group_of.shape != (n_rows,) or np.any(
            (group_of < 0) | (group_of >= n_groups)
        ):
            raise ValueError("group_of must number the group of each row")
    if weights is not None:
        weights = weights.astype(np.float64)
        if (
            weights.shape != (n_rows if group_of is None else n_groups,)
            or not np.all((weights >= 0.0) & np.isfinite(weights))
            or not 0.0 < weights.sum() < np.inf
        ):
            raise ValueError("weights must be those of rows or groups")
    bootstrap = Bootstrap(
        n_draws, weights, group_of, n_groups, kept["balances"] is True
    )
    return RowDraws(n_rows, bootstrap)
