"""Gradient boosted trees that rank."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import (
    _num_samples,
    check_consistent_length,
    column_or_1d,
)

from fasttree.ensembles.losses import LambdaLoss, Queries, mean_ndcg
from fasttree.estimators._boosting import BaseGradientBoosting
from fasttree.estimators._boosting_parameters import (
    CONSTRAINTS,
    DEFAULT_BINS,
    SHARED_DOC,
    take_parameters,
)
from fasttree.estimators._boosting_rows import Given, Rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from fasttree.data.table import EncodedTable


class GradientBoostingRanker(BaseGradientBoosting):
    __doc__ = (
        """Gradient boosted trees that rank the rows of each query: LambdaMART.

    Parameters
    ----------
    loss : {"lambdamart"}, default="lambdamart"
        Lowers 1 - NDCG by the gradients of Burges (2010), as LightGBM has them.
    truncation : int, default=30
        Pairs of rows count if one of them is ranked that high.
    ndcg_at : int or None, default=10
        Rows of a query that `score` and ``train_score_`` look at; None: all.
"""
        + SHARED_DOC.lstrip("\n")
        + """
    Attributes
    ----------
    ensemble_ : Ensemble
        The trees.
    baseline_ : ndarray of shape (1,)
    n_iter_, best_iteration_ : int
    train_score_, validation_score_ : ndarray of shape (n_iter_ + 1,) or (0,)
        NDCG at `ndcg_at`, computed if there is an `eval_set`.
    feature_importances_ : ndarray of shape (n_features_in_,)
    n_features_in_, feature_names_in_
    """
    )

    _parameter_constraints: ClassVar = {
        "loss": [StrOptions({"lambdamart"})],
        "truncation": [Interval(Integral, 1, None, closed="left")],
        "ndcg_at": [Interval(Integral, 1, None, closed="left"), None],
        **CONSTRAINTS,
    }

    def __init__(
        self,
        loss: str = "lambdamart",
        *,
        truncation: int = 30,
        ndcg_at: int | None = 10,
        learning_rate: float = 0.1,
        max_iter: int = 100,
        max_leaf_nodes: int | None = 31,
        max_depth: int | None = None,
        min_samples_leaf: int = 20,
        min_sum_hessian: float = 1e-3,
        l2_regularization: float = 0.0,
        max_features: float = 1.0,
        max_bins: int = DEFAULT_BINS,
        categorical_features: Any = "from_dtype",
        monotonic_cst: Any = None,
        interaction_cst: Any = None,
        grow_policy: str = "lossguide",
        sampling: str = "uniform",
        subsample: float = 1.0,
        top_rate: float = 0.2,
        other_rate: float = 0.1,
        warm_start: bool = False,
        early_stopping: bool | str = "auto",
        scoring: Any = "loss",
        validation_fraction: float | None = None,
        n_iter_no_change: int = 10,
        tol: float = 1e-7,
        random_state: Any = None,
        callbacks: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        take_parameters(self, locals())

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike | EncodedTable,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        qid: ArrayLike | None = None,
        eval_set: tuple | None = None,
        init_score: ArrayLike | None = None,
    ) -> Self:
        """Grow the trees.

        Parameters
        ----------
        X : {array-like, sparse, data frame, EncodedTable} of shape \
(n_samples, n_features)
        y : array-like of shape (n_samples,)
            Grades of relevance: whole numbers from 0 to 31.
        sample_weight : array-like of shape (n_samples,), default=None
            A query weighs what its first row does.
        qid : array-like of shape (n_samples,), default=None
            Query of each row; the rows of a query stand next to one another. None: all
            rows are of one query.
        eval_set : tuple (X, y, qid), default=None
            Rows to score after each iteration, and for early stopping.
        init_score : array-like of shape (n_samples,), default=None
            Scores to start from. Predictions do not have them.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data cannot be used; an earlier fit is kept.
        """
        ids = np.zeros(_num_samples(X), np.int8) if qid is None else qid
        return self._fit(Given(X, y, sample_weight, eval_set, init_score, ids))

    def _check_target(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        qid: Any,
        going_on: bool,  # noqa: ARG002 - as its base
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, Any]:
        weight = self._check_weights(sample_weight, None, X)
        qid = column_or_1d(qid)
        check_consistent_length(X, qid)
        return np.ascontiguousarray(y, dtype=np.float64), weight, qid

    def _read_eval_set(self, eval_set: Any) -> Rows:
        if isinstance(eval_set, list) and len(eval_set) == 1:
            eval_set = eval_set[0]
        if not isinstance(eval_set, tuple) or len(eval_set) != 3:
            raise ValueError(
                f"eval_set must be a tuple (X, y, qid), got {type(eval_set).__name__}"
            )
        X, labels, qid = eval_set
        y = self._encode_eval_target(column_or_1d(labels))
        check_consistent_length(X, y, qid)
        queries = Queries.from_ids(column_or_1d(qid), y, int(self.truncation))
        return Rows(X, labels, y, start=queries.start)

    def _make_loss(self, y: NDArray[np.float64] | None = None, qid: Any = None) -> Any:
        truncation = int(self.truncation)
        queries = None if y is None else Queries.from_ids(qid, y, truncation)
        return LambdaLoss(queries, truncation, self.ndcg_at)

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the scores of the rows, (n_samples,): higher ranks first."""
        return self._raw(X)[:, 0]

    def staged_predict(self, X: ArrayLike) -> Iterator[NDArray[np.float64]]:
        """Yield `predict` after each iteration."""
        for raw in self._staged_raw(X):
            yield raw[:, 0]

    def rank(
        self, X: ArrayLike, prior: ArrayLike | None = None, k: int | None = None
    ) -> NDArray[np.intp]:
        """Return the rows of one query, the best first.

        Parameters
        ----------
        X : {array-like, sparse, data frame} of shape (n_samples, n_features)
            The candidates.
        prior : array-like of shape (n_samples,), default=None
            How probable each candidate is beforehand, up to a factor: its logarithm
            is added to the score, so a candidate of prior 0 comes last.
        k : int or None, default=None
            How many to return; None: all.

        Returns
        -------
        ndarray of shape (min(k, n_samples),), intp
            Positions in `X`; equal scores in the order of `X`.

        Raises
        ------
        ValueError
            If `prior` has the wrong shape, NaN or negative values, or k < 1.
        """
        score = self.predict(X)
        if prior is not None:
            weights = np.asarray(prior, dtype=np.float64)
            if weights.shape != score.shape:
                raise ValueError(
                    f"prior must have the shape {score.shape}, got {weights.shape}"
                )
            if not (weights >= 0).all() or np.isinf(weights).any():
                raise ValueError("prior must be finite, without NaN, and >= 0")
            with np.errstate(divide="ignore"):
                score = score + np.log(weights)
        if k is not None and not (isinstance(k, Integral) and k >= 1):
            raise ValueError(f"k must be None or an integer >= 1, got {k!r}")
        return np.argsort(-score, kind="stable")[:k]

    def score(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        qid: ArrayLike | None = None,
    ) -> float:
        """Return the mean NDCG at `ndcg_at` over the queries.

        Queries without a relevant row do not count.
        """
        score = self.predict(X)
        y = np.asarray(column_or_1d(y), dtype=np.float64)
        ids = np.zeros(len(y)) if qid is None else column_or_1d(qid)
        check_consistent_length(score, y, ids)
        queries = Queries.from_ids(ids, y, int(self.truncation))
        return mean_ndcg(queries.start, y, score, self.ndcg_at)
