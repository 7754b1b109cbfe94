"""What boosting minimizes: losses, their domains and links, and ranking.

Values and intercepts are scikit-learn's; gradients are the kernels', whose
exponentials are the same on every platform. Nothing else reaches the trees but the
intercept, which is rounded to float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn._loss import loss as sk

from fasttree.trees.links import apply_link

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fasttree.ensembles.boosting import Boosting

# The kernel's numbers, see objective.pxd.
_NUMBERS = {
    "squared_error": 0,
    "log_loss": 1,
    "poisson": 2,
    "gamma": 3,
    "tweedie": 4,
    "absolute_error": 5,
    "quantile": 6,
    "huber": 7,
    "multinomial": 8,
}
REGRESSION_LOSSES = (
    "squared_error",
    "absolute_error",
    "huber",
    "quantile",
    "poisson",
    "gamma",
    "tweedie",
)

#: Losses whose leaves are fitted to the residuals, as their hessians say little.
_REFITTED = frozenset({"absolute_error", "quantile", "huber"})

#: What a leaf changes a class's raw prediction by at most. Newton steps are far too
#: long where rows of next to no hessian were wrong; a class then overturns the others.
_LARGEST_STEP = 4.0

_LINKS = {
    "log_loss": "logistic",
    "multinomial": "softmax",
    "poisson": "exponential",
    "gamma": "exponential",
    "tweedie": "exponential",
}

_DOMAINS: dict[str, tuple[Callable[[NDArray], bool], str]] = {
    "poisson": (lambda y: bool((y >= 0).all() and y.sum() > 0), "y >= 0, not all 0"),
    "gamma": (lambda y: bool((y > 0).all()), "y > 0"),
    "tweedie": (lambda y: bool((y >= 0).all() and y.sum() > 0), "y >= 0, not all 0"),
}


class Loss:
    """A loss of one output, or the multinomial one.

    Parameters
    ----------
    name : str
    n_outputs : int, default=1
        Raw predictions of a row.
    quantile : float or None
        Of the loss "quantile"; for "huber", of the absolute residuals: the squared
        part reaches that far.
    power : float
        Of the variance under "tweedie", between 1 and 2.
    """

    def __init__(
        self,
        name: str,
        n_outputs: int = 1,
        quantile: float | None = None,
        power: float = 1.5,
    ) -> None:
        self.name = name
        self.n_outputs = n_outputs
        self.number = _NUMBERS[name]
        self.parameter = 0.0
        self.quantile = quantile
        self.sk = self._make(power)
        if name == "tweedie":
            self.parameter = power
        elif name == "quantile":
            self.parameter = float(quantile)  # type: ignore[arg-type]

    def _make(self, power: float) -> Any:
        if self.name == "log_loss":
            return sk.HalfBinomialLoss()
        if self.name == "multinomial":
            return sk.HalfMultinomialLoss(n_classes=self.n_outputs)
        if self.name == "squared_error":
            return sk.HalfSquaredError()
        if self.name == "absolute_error":
            return sk.AbsoluteError()
        if self.name == "quantile":
            return sk.PinballLoss(quantile=self.quantile)
        if self.name == "huber":
            return sk.HuberLoss(quantile=self.quantile)
        if self.name == "poisson":
            return sk.HalfPoissonLoss()
        if self.name == "gamma":
            return sk.HalfGammaLoss()
        return sk.HalfTweedieLoss(power=power)

    def check_target(self, y: NDArray[np.float64]) -> None:
        """Raise ValueError if a target is outside the loss's domain."""
        if self.name in _DOMAINS:
            is_inside, wanted = _DOMAINS[self.name]
            if not is_inside(y):
                raise ValueError(
                    f"loss={self.name!r} requires {wanted}; got y from {y.min()} to "
                    f"{y.max()}"
                )

    def baseline(
        self, y: NDArray[np.float64], weight: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        """Return the best constant raw prediction, (n_outputs,)."""
        if self.name == "huber":
            self.sk.delta = self._delta(y - np.median(y), weight)
        value = np.atleast_1d(self.sk.fit_intercept_only(y, weight))
        # The last bits of a logarithm are the platform's.
        return value.astype(np.float32).astype(np.float64)

    def value(
        self,
        y: NDArray[np.float64],
        raw: NDArray[np.float64],
        weight: NDArray[np.float64] | None,
    ) -> float:
        """Return the mean loss of raw predictions (n_outputs, n_rows)."""
        raw = raw[0] if self.n_outputs == 1 else np.ascontiguousarray(raw.T)
        return float(self.sk(y_true=y, raw_prediction=raw, sample_weight=weight))

    def to_prediction(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the means (n_rows,) or probabilities (n_rows, n_classes)."""
        prediction = apply_link(self.link, raw)
        is_value = self.link in ("identity", "exponential")
        return prediction[:, 0] if is_value else prediction

    @property
    def link(self) -> str:
        """Name of the link, see `fasttree.trees.links`."""
        return _LINKS.get(self.name, "identity")

    def find_gradients(
        self,
        boosting: Boosting,
        y: NDArray[np.float64],
        weight: NDArray[np.float64] | None,
    ) -> None:
        """Fill the gradients of a boosting run from its raw predictions."""
        if self.name == "huber":
            self.parameter = self.sk.delta = self._delta(y - boosting.raw[0], weight)
        boosting.booster.find_gradients(self.number, self.parameter, y, weight)

    def _delta(
        self, residuals: NDArray[np.float64], weight: NDArray[np.float64] | None
    ) -> float:
        size = np.abs(residuals)
        if weight is None:
            return float(np.percentile(size, 100 * float(self.quantile or 0.9)))
        order = np.argsort(size, kind="stable")
        total = np.cumsum(weight[order])
        at = np.searchsorted(total, float(self.quantile or 0.9) * total[-1])
        return float(size[order[min(at, len(order) - 1)]])

    def refit(
        self,
        boosting: Boosting,
        nodes: NDArray[Any],
        y: NDArray[np.float64],
        weight: NDArray[np.float64] | None,
        learning_rate: float,
    ) -> None:
        """Fit the last tree's leaves to residuals, or bound them, as the loss asks."""
        leaves, values = boosting.booster.leaves, boosting.booster.leaf_values
        if self.name == "multinomial":
            np.clip(values, -_LARGEST_STEP, _LARGEST_STEP, out=values)
            self._keep(nodes, values)
        if self.name not in _REFITTED:
            return
        residuals = y - boosting.raw[0]
        order = np.argsort(leaves, kind="stable")
        bounds = np.searchsorted(leaves[order], np.arange(len(values) + 1))
        for leaf in range(len(values)):
            rows = order[bounds[leaf] : bounds[leaf + 1]]
            if boosting.sampled is not None:
                rows = rows[boosting.sampled[rows]]
            if len(rows):
                values[leaf] = learning_rate * self.sk.fit_intercept_only(
                    residuals[rows], None if weight is None else weight[rows]
                )
        self._keep(nodes, values)

    @staticmethod
    def _keep(nodes: NDArray[Any], values: NDArray[np.float64]) -> None:
        """Write the leaves' values into the nodes."""
        at = nodes["left"] < 0
        nodes["value"][at] = values[nodes["leaf"][at]]


class _NewtonLoss:
    """A loss of one output whose leaves are Newton steps from 0."""

    n_outputs = 1

    def baseline(
        self,
        y: NDArray[np.float64],  # noqa: ARG002 - as Loss
        weight: NDArray[np.float64] | None,  # noqa: ARG002
    ) -> NDArray[np.float64]:
        return np.zeros(1)

    def to_prediction(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        return raw[:, 0]

    def refit(self, *_: Any) -> None:
        """Do nothing: leaves are Newton steps."""


class CustomLoss(_NewtonLoss):
    """A loss given as a function of (y, raw) that returns (gradient, hessian)."""

    name = "custom"

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def check_target(self, y: NDArray[np.float64]) -> None:
        """Do nothing: the function knows its domain."""

    def find_gradients(
        self,
        boosting: Boosting,
        y: NDArray[np.float64],
        weight: NDArray[np.float64] | None,
    ) -> None:
        """Ask the function for the gradients, and check what it returns.

        Raises
        ------
        TypeError, ValueError
            If it does not return two finite arrays of the shape of `raw`, or a
            hessian is negative.
        """
        raw = boosting.raw[0]
        result = self.function(y, raw.copy())
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(
                "loss must return a tuple (gradient, hessian), got "
                f"{type(result).__name__}"
            )
        for name, given, target in zip(
            ("gradient", "hessian"), result, boosting.booster.gradients, strict=True
        ):
            values = np.asarray(given, dtype=np.float64)
            if values.shape != raw.shape:
                raise ValueError(
                    f"loss returned a {name} of shape {values.shape}; raw predictions "
                    f"have {raw.shape}"
                )
            with np.errstate(over="ignore"):
                single = values.astype(np.float32)
            if not np.isfinite(single).all():
                raise ValueError(f"loss returned a {name} with NaN or infinity")
            if name == "hessian" and (single < 0).any():
                raise ValueError("loss returned negative hessians; they must be >= 0")
            if weight is not None:
                single = single * weight.astype(np.float32)
            target[0] = single


@dataclass(frozen=True)
class Queries:
    """Rows of each query, which stand together, and the gains of their labels.

    Attributes
    ----------
    start : ndarray of shape (n_queries + 1,), int64
    gain : ndarray of shape (n_rows,), float32
        2**label - 1.
    discount : ndarray of shape (longest query + 8,), float32
        Of a position. The kernel reads eight at a time.
    inverse_max : ndarray of shape (n_queries,), float32
        1 / DCG of the best order of so many rows; 0 where none is relevant.
    """

    start: NDArray[np.int64]
    gain: NDArray[np.float32]
    discount: NDArray[np.float32]
    inverse_max: NDArray[np.float32]

    @classmethod
    def from_ids(
        cls, qid: NDArray[Any], y: NDArray[np.float64], truncation: int
    ) -> Queries:
        """Find the queries of rows that are in order of their query."""
        changes = np.flatnonzero(qid[1:] != qid[:-1]) + 1
        start = np.concatenate([[0], changes, [len(qid)]]).astype(np.int64)
        if len(np.unique(qid)) != len(start) - 1:
            raise ValueError(
                "qid must have the rows of a query next to one another: sort X, y and "
                "qid by qid"
            )
        gain = np.exp2(y) - 1.0
        # float32: the last bits of a logarithm are the platform's.
        discount = 1 / np.log2(np.arange(np.diff(start).max() + 8) + 2.0)
        discount = discount.astype(np.float32)
        best = _dcg(start, gain, y, truncation, discount.astype(np.float64))
        inverse_max = np.divide(1.0, best, out=np.zeros_like(best), where=best > 0)
        return cls(
            start, gain.astype(np.float32), discount, inverse_max.astype(np.float32)
        )


def _dcg(
    start: NDArray[np.int64],
    gain: NDArray[np.float64],
    score: NDArray[np.float64],
    k: int | None,
    discount: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the queries' discounted gains of the best `k` rows by score."""
    size = np.diff(start)
    query = np.repeat(np.arange(len(size)), size)
    order = np.lexsort((-score, query))
    place = np.arange(len(score)) - np.repeat(start[:-1], size)
    shares = gain[order] * discount[place]
    if k is not None:
        shares[place >= k] = 0.0
    # One after another: the same bits on every platform.
    return np.bincount(query, shares, len(size))


class LambdaLoss(_NewtonLoss):
    """LambdaMART's gradients, and NDCG as the value: 1 - NDCG is what it lowers.

    Parameters
    ----------
    queries : Queries or None
        Those to train on; None: predictions only.
    truncation : int
    at : int or None
    """

    name = "lambdamart"

    def __init__(
        self, queries: Queries | None, truncation: int, at: int | None
    ) -> None:
        self.truncation = truncation
        self.at = at
        if queries is None:
            return
        self.queries = queries
        size = np.diff(queries.start)
        rows = np.arange(len(queries.gain)) - np.repeat(queries.start[:-1], size)
        self._order = rows.astype(np.int32)

    def check_target(self, y: NDArray[np.float64]) -> None:
        """Raise ValueError unless the labels are grades."""
        if (y < 0).any() or (y > 31).any() or (y != np.floor(y)).any():
            raise ValueError(
                "y must be grades of relevance, whole numbers from 0 to 31; got from "
                f"{y.min()} to {y.max()}"
            )

    def find_gradients(
        self,
        boosting: Boosting,
        y: NDArray[np.float64],  # noqa: ARG002 - the queries have it
        weight: NDArray[np.float64] | None,
    ) -> None:
        queries = self.queries
        boosting.booster.rank_gradients(
            queries.start,
            queries.gain,
            queries.discount,
            queries.inverse_max,
            weight,
            self.truncation,
            self._order,
        )


def mean_ndcg(
    start: NDArray[np.int64],
    y: NDArray[np.float64],
    score: NDArray[np.float64],
    k: int | None = None,
) -> float:
    """Return the mean NDCG at `k` of the queries that have a relevant row.

    Gains are 2**y - 1; rows of equal score count in their order.
    """
    gain = np.exp2(y) - 1.0
    discount = 1 / np.log2(np.arange(np.diff(start).max()) + 2.0)
    best = _dcg(start, gain, y, k, discount)
    found = _dcg(start, gain, score, k, discount)
    counts = best > 0
    return float(np.mean(found[counts] / best[counts])) if counts.any() else 1.0
