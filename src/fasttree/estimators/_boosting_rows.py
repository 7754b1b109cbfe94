"""Rows that a boosting fit trains on or is scored with, and their scores."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, is_classifier
from sklearn.model_selection import train_test_split
from sklearn.utils import _safe_indexing

from fasttree.data.table import EncodedTable
from fasttree.ensembles.losses import CustomLoss, LambdaLoss, mean_ndcg

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Given(NamedTuple):
    """What `fit` was given."""

    X: Any
    y: Any
    sample_weight: Any
    eval_set: Any
    init_score: Any
    qid: Any = None


@dataclass
class Rows:
    """Checked rows.

    Attributes
    ----------
    X
        As `fit` takes it.
    labels : array-like of shape (n_rows,)
        The target as it was given.
    y : ndarray of shape (n_rows,), float64
        As the loss reads it.
    weight : ndarray of shape (n_rows,), float64, or None
    qid : ndarray of shape (n_rows,) or None
    init : ndarray of shape (n_outputs, n_rows), float64, or None
        What raw predictions start from besides the baseline.
    raw : ndarray of shape (n_outputs, n_rows), float64
        Raw predictions of the model so far.
    start : ndarray of shape (n_queries + 1,), int64, or None
        First row of each query, where the loss ranks.
    """

    X: Any
    labels: Any
    y: NDArray[np.float64]
    weight: NDArray[np.float64] | None = None
    qid: Any = None
    init: NDArray[np.float64] | None = None
    raw: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))
    start: NDArray[np.int64] | None = None

    def take(self, rows: NDArray[np.intp]) -> Rows:
        """Return some of the rows."""
        encoded = isinstance(self.X, EncodedTable)
        return Rows(
            self.X.take(rows) if encoded else _safe_indexing(self.X, rows),
            _safe_indexing(self.labels, rows),
            self.y[rows],
            None if self.weight is None else self.weight[rows],
            None if self.qid is None else self.qid[rows],
            None if self.init is None else np.ascontiguousarray(self.init[:, rows]),
        )

    def of_weight(self) -> Rows:
        """Return the rows whose weight is not zero: others count for nothing."""
        if self.weight is None or self.weight.all():
            return self
        return self.take(np.flatnonzero(self.weight))

    def split(
        self, fraction: Any, rng: np.random.RandomState, *, stratify: bool
    ) -> tuple[Rows, Rows]:
        """Return the rows to train on, and those to score.

        Raises
        ------
        ValueError
            If `fraction` of the rows cannot be held out.
        """
        try:
            train, test = train_test_split(
                np.arange(len(self.y)),
                test_size=fraction,
                stratify=self.y if stratify else None,
                random_state=rng.randint(2**31 - 1),
            )
        except ValueError as error:
            raise ValueError(
                "early_stopping needs rows to validate with, but validation_fraction="
                f"{fraction} of {len(self.y)} rows cannot be held out: {error}"
            ) from None
        return self.take(np.sort(train)), self.take(np.sort(test))

    def begin(self, baseline: NDArray[np.float64]) -> None:
        """Make `raw` what predictions start from."""
        self.raw = np.empty((len(baseline), len(self.y)))
        self.raw[:] = baseline[:, None]
        if self.init is not None:
            self.raw += self.init


class _Fitted(BaseEstimator):
    """What a scorer is given: predictions that are there already."""

    def __init__(self, model: Any, raw: NDArray[np.float64]) -> None:
        self.model = model
        self.raw = raw

    def __sklearn_tags__(self) -> Any:
        return self.model.__sklearn_tags__()

    def __sklearn_is_fitted__(self) -> bool:
        return True

    @property
    def classes_(self) -> Any:
        return self.model.classes_

    def predict(self, X: Any) -> Any:  # noqa: ARG002
        return self.model._predictions(self.raw.T)  # noqa: SLF001

    def predict_proba(self, X: Any) -> Any:  # noqa: ARG002
        return self.model._loss.to_prediction(  # noqa: SLF001
            np.ascontiguousarray(self.raw.T)
        )

    def decision_function(self, X: Any) -> Any:  # noqa: ARG002
        return self.raw[0] if len(self.raw) == 1 else self.raw.T

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        kind = ClassifierMixin if is_classifier(self) else RegressorMixin
        return kind.score(self, X, y, sample_weight)


class Scores:
    """Scores after each iteration, the first of the baseline; higher is better."""

    def __init__(self, train: Any = (), validation: Any = ()) -> None:
        self.train = list(train)
        self.validation = list(validation)

    def add(
        self, model: Any, loss: Any, scorer: Any, train: Rows, validation: Rows | None
    ) -> None:
        """Score the model so far; without a scorer by the loss."""
        self.train.append(_score(model, loss, scorer, train))
        if validation is not None:
            self.validation.append(_score(model, loss, scorer, validation))

    def have_settled(
        self, n_iter_no_change: int, tol: float, *, by_validation: bool
    ) -> bool:
        """Return whether none of the last scores is better than those before."""
        scores = self.validation if by_validation else self.train
        reference = n_iter_no_change + 1
        if len(scores) < reference:
            return False
        least = scores[-reference] + tol
        return not any(score > least for score in scores[-reference + 1 :])


def _score(model: Any, loss: Any, scorer: Any, rows: Rows) -> float:
    if isinstance(loss, LambdaLoss):
        return mean_ndcg(rows.start, rows.y, rows.raw[0], loss.at)
    if scorer is None:
        if isinstance(loss, CustomLoss):
            raise ValueError(
                "scoring must not be 'loss' when loss is a function, which has no "
                "value; give a scorer"
            )
        return -loss.value(rows.y, rows.raw, rows.weight)
    options = {} if rows.weight is None else {"sample_weight": rows.weight}
    # Predictions are there already; X only has the right length.
    X = np.empty((rows.raw.shape[1], 0))
    return float(scorer(_Fitted(model, rows.raw), X, rows.labels, **options))
