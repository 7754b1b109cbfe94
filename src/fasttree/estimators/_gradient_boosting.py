"""Gradient boosted trees."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    RegressorMixin,
    _fit_context,
    is_classifier,
)
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split
from sklearn.utils import _safe_indexing, check_random_state, compute_sample_weight
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_monotonic_cst,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
)

from fasttree import boosting, tiles
from fasttree.ensemble import Ensemble
from fasttree.estimators._base import TableInputMixin
from fasttree.estimators._saving import SavableMixin, make_state
from fasttree.labels import encode_labels
from fasttree.losses import (
    REGRESSION_LOSSES,
    CustomLoss,
    LambdaLoss,
    Loss,
    mean_ndcg,
)
from fasttree.table import EncodedTable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from fasttree.model_state import ModelState

_DEFAULT_BINS = 255
_EARLY_STOPPING_FROM = 10_000
_NO_DEPTH = 1 << 30

_CONSTRAINTS: dict[str, list[Any]] = {
    "learning_rate": [Interval(Real, 0, None, closed="neither")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "max_leaf_nodes": [Interval(Integral, 2, None, closed="left"), None],
    "max_depth": [Interval(Integral, 1, None, closed="left"), None],
    "min_samples_leaf": [Interval(Integral, 1, None, closed="left")],
    "min_sum_hessian": [Interval(Real, 0, None, closed="left")],
    "l2_regularization": [Interval(Real, 0, None, closed="left")],
    "max_features": [Interval(RealNotInt, 0, 1, closed="right")],
    "max_bins": [Interval(Integral, 2, 255, closed="both")],
    "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
    "monotonic_cst": ["array-like", dict, None],
    "interaction_cst": [
        list,
        tuple,
        StrOptions({"pairwise", "no_interactions"}),
        None,
    ],
    "grow_policy": [StrOptions({"lossguide", "depthwise"})],
    "sampling": [StrOptions({"uniform", "goss"})],
    "subsample": [Interval(Real, 0, 1, closed="right")],
    "top_rate": [Interval(Real, 0, 1, closed="neither")],
    "other_rate": [Interval(Real, 0, 1, closed="neither")],
    "warm_start": ["boolean"],
    "early_stopping": [StrOptions({"auto"}), "boolean"],
    "scoring": [str, callable, None],
    "validation_fraction": [
        Interval(RealNotInt, 0, 1, closed="neither"),
        Interval(Integral, 1, None, closed="left"),
        None,
    ],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left")],
    "random_state": ["random_state"],
    "callbacks": [list, tuple, None],
    "n_jobs": [Integral, None],
}


@dataclass(frozen=True)
class Progress:
    """What a callback is told after each iteration.

    Attributes
    ----------
    iteration : int
        Number of iterations done, those of an earlier fit too.
    train_score, validation_score : float or None
        As in ``train_score_`` and ``validation_score_``; None if not computed.
    """

    iteration: int
    train_score: float | None
    validation_score: float | None


@dataclass
class _Validation:
    """Rows that are only predicted, and their raw predictions."""

    X: Any
    y: NDArray[np.float64]
    labels: Any
    weight: NDArray[np.float64] | None
    raw: NDArray[np.float64]
    start: NDArray[np.int64] | None = None


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


class BaseGradientBoosting(SavableMixin, TableInputMixin):
    """What the boosting estimators share."""

    _loss: Any

    # --- Fitting -------------------------------------------------------------------

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        eval_set: Any,
        init_score: Any,
        qid: Any = None,
    ) -> Self:
        rng = check_random_state(self.random_state)
        seed = int(rng.randint(2**31 - 1))
        n_threads = self._n_threads()
        going_on = self.warm_start and hasattr(self, "ensemble_")
        X, y = self._check_data(
            X, y, y_numeric=not is_classifier(self), check_input=True
        )
        labels = y
        y, weight, qid = self._check_target(X, y, sample_weight, qid, going_on)
        init = self._check_init(init_score, len(y))
        X, labels, y, weight, qid, init = _drop_weightless(
            X, labels, y, weight, qid, init
        )
        stops = self.early_stopping is True or (
            self.early_stopping == "auto" and len(y) > _EARLY_STOPPING_FROM
        )
        validation = None
        if eval_set is not None:
            validation = self._read_eval_set(eval_set)
        elif stops and self.validation_fraction is not None and qid is None:
            X, labels, y, weight, init, validation = self._hold_out(
                X, labels, y, weight, init, rng
            )
        elif stops and qid is not None:
            if self.early_stopping is True:
                raise ValueError(
                    "early_stopping of a ranker needs an eval_set: (X, y, qid)"
                )
            stops = False
        loss = self._loss = self._make_loss(y, qid)
        loss.check_target(y)
        if validation is not None:
            loss.check_target(validation.y)
        table = self._read_boosting_table(X)
        n_rows = table.n_rows
        if not going_on:
            self.schema_ = table.schema
            self._trees: list[Any] = []
            self._gains = np.zeros(table.n_features)
            self._splits = np.zeros(table.n_features, np.int64)
            self._seed = seed
            self.baseline_ = (
                loss.baseline(y, weight) if init is None else np.zeros(loss.n_outputs)
            )
            self._train_scores: list[float] = []
            self._validation_scores: list[float] = []
        raw = np.empty((loss.n_outputs, n_rows))
        raw[:] = self.baseline_[:, None]
        if init is not None:
            raw += init
        if validation is not None:
            validation.X = self._matrix(validation.X)
            if not isinstance(validation.X, np.ndarray):
                validation.X = np.concatenate([b for _, b in validation.X.blocks()])
            validation.raw = np.empty((loss.n_outputs, len(validation.y)))
            validation.raw[:] = self.baseline_[:, None]
        if going_on:
            # Copies: an error must leave those of the earlier fit as they are.
            self._train_scores = list(self._train_scores)
            self._validation_scores = list(self._validation_scores)
            ensemble = self.ensemble_
            matrix = self.schema_.to_matrix(table if isinstance(X, EncodedTable) else X)
            zeros = np.zeros(loss.n_outputs)
            raw += ensemble.sum_values(matrix, zeros, n_threads).T
            if validation is not None:
                validation.raw += ensemble.sum_values(validation.X, zeros, n_threads).T
        layout = tiles.make_layout(table)
        run = boosting.Boosting(
            layout,
            tiles.pack(layout.columns, n_rows, n_threads),
            raw,
            self._params(table.n_features),
            self._monotonic(),
            self._groups(table.n_features),
            n_threads,
        )
        maker = boosting.TreeMaker(table, layout)
        scorer = None
        if (stops or validation is not None) and self.scoring != "loss":
            scorer = check_scoring(_Fitted(self, raw), self.scoring)
        self._boost(run, maker, loss, y, labels, weight, validation, stops, scorer)
        return self

    def _boost(
        self,
        run: boosting.Boosting,
        maker: boosting.TreeMaker,
        loss: Any,
        y: NDArray[np.float64],
        labels: Any,
        weight: NDArray[np.float64] | None,
        validation: _Validation | None,
        stops: bool,
        scorer: Any,
    ) -> None:
        """Grow trees until `max_iter`, a callback or early stopping says no."""
        n_outputs = loss.n_outputs
        first = len(self._trees) // n_outputs
        if first > self.max_iter:
            raise ValueError(
                f"max_iter={self.max_iter} must be larger than or equal to n_iter_="
                f"{first} when warm_start is True"
            )
        scores = stops or validation is not None
        if scores and not self._validation_scores and not self._train_scores:
            self._score(loss, run.raw, y, labels, weight, validation, scorer)
        grown: list[NDArray[Any]] = []
        made = 0
        samples = self.subsample < 1.0 or self.sampling == "goss"
        rates = (self.top_rate, self.other_rate) if self.sampling == "goss" else None
        booster = run.booster

        def step() -> None:
            loss.find_gradients(run, y, weight)
            for output in range(n_outputs):
                key = boosting.draw_key(self._seed, iteration * n_outputs + output)
                if samples:
                    drawn = boosting.draw_key(self._seed ^ (1 << 40), iteration)
                    run.sample(output, drawn, float(self.subsample), rates)
                nodes = run.grow(output, key)
                loss.refit(run, nodes, y, weight, self.learning_rate)
                booster.add(output)
                grown.append(nodes)

        interrupted: BaseException | None = None
        iteration = first
        try:
            for iteration in range(first, self.max_iter):
                run.run(step)
                if scores:
                    if validation is not None:
                        for output, nodes in enumerate(grown[made:]):
                            tree = maker.make(nodes)
                            values = tree.predict(validation.X)
                            validation.raw[output] += np.ravel(values)
                        made = len(grown)
                    self._score(loss, run.raw, y, labels, weight, validation, scorer)
                if self._tell(iteration + 1):
                    break
                if stops and self._should_stop(validation is not None):
                    break
        except KeyboardInterrupt as error:
            del grown[len(grown) // n_outputs * n_outputs :]
            if not self.warm_start or not (grown or self._trees):
                raise
            error.fitted = True  # type: ignore[attr-defined]
            interrupted = error
        for nodes in grown:
            inner = nodes["left"] >= 0
            n_features = len(self._gains)
            feature = nodes["feature"][inner]
            gains = np.bincount(feature, nodes["gain"][inner], n_features)
            self._gains = self._gains + gains
            self._splits = self._splits + np.bincount(feature, minlength=n_features)
        self._trees = self._trees + [maker.make(nodes) for nodes in grown]
        self._finish(n_outputs)
        if interrupted is not None:
            raise interrupted

    def _finish(self, n_outputs: int) -> None:
        # That of a fit may hold its rows.
        self._loss = self._make_loss()
        outputs = np.tile(np.arange(n_outputs), len(self._trees) // n_outputs)
        self.ensemble_ = Ensemble.from_trees(self._trees, outputs=outputs)
        self.n_iter_ = len(self._trees) // n_outputs
        self.n_trees_per_iteration_ = n_outputs
        self.train_score_ = np.array(self._train_scores)
        self.validation_score_ = np.array(self._validation_scores)
        best = self.n_iter_
        if len(self.validation_score_):
            best = int(np.argmax(self.validation_score_))
        self.best_iteration_ = best

    def _score(
        self,
        loss: Any,
        raw: NDArray[np.float64],
        y: NDArray[np.float64],
        labels: Any,
        weight: NDArray[np.float64] | None,
        validation: _Validation | None,
        scorer: Any,
    ) -> None:
        """Note the scores of the model so far; higher is better."""
        if isinstance(loss, LambdaLoss):
            score = mean_ndcg(loss.queries.start, y, raw[0], loss.at)
            self._train_scores.append(score)
            if validation is not None:
                self._validation_scores.append(
                    mean_ndcg(
                        validation.start, validation.y, validation.raw[0], loss.at
                    )
                )
            return
        if scorer is None:
            if isinstance(loss, CustomLoss):
                raise ValueError(
                    "scoring must not be 'loss' when loss is a function, which has no "
                    "value; give a scorer"
                )
            self._train_scores.append(-loss.value(y, raw, weight))
            if validation is not None:
                self._validation_scores.append(
                    -loss.value(validation.y, validation.raw, validation.weight)
                )
            return
        for scores, rows, target, weights in (
            (self._train_scores, raw, labels, weight),
            *(
                []
                if validation is None
                else [
                    (
                        self._validation_scores,
                        validation.raw,
                        validation.labels,
                        validation.weight,
                    )
                ]
            ),
        ):
            options = {} if weights is None else {"sample_weight": weights}
            # Predictions are there already; X only has the right length.
            X = np.empty((rows.shape[1], 0))
            scores.append(float(scorer(_Fitted(self, rows), X, target, **options)))

    def _should_stop(self, has_validation: bool) -> bool:
        scores = self._validation_scores if has_validation else self._train_scores
        reference = self.n_iter_no_change + 1
        if len(scores) < reference:
            return False
        least = scores[-reference] + self.tol
        return not any(score > least for score in scores[-reference + 1 :])

    def _tell(self, iteration: int) -> bool:
        """Call the callbacks, and return whether one of them says to stop."""
        progress = Progress(
            iteration,
            self._train_scores[-1] if self._train_scores else None,
            self._validation_scores[-1] if self._validation_scores else None,
        )
        answers = [callback(progress) for callback in self.callbacks or ()]
        return any(answer is True for answer in answers)

    # --- Reading data --------------------------------------------------------------

    def _read_boosting_table(self, X: Any) -> EncodedTable:
        if isinstance(X, EncodedTable):
            if self.categorical_features not in (None, "from_dtype"):
                raise ValueError(
                    "categorical_features must be None when X is an EncodedTable; "
                    "give it to EncodedTable.from_data"
                )
            return X
        return EncodedTable.from_data(
            X,
            max_bins=int(self.max_bins),
            categorical_features=self.categorical_features,
            n_jobs=self.n_jobs,
        )

    def _check_target(
        self, X: Any, y: Any, sample_weight: Any, qid: Any, going_on: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, Any]:
        raise NotImplementedError

    def _check_init(self, init_score: Any, n_rows: int) -> NDArray | None:
        if init_score is None:
            return None
        init = np.asarray(init_score, dtype=np.float64)
        n_outputs = self._n_outputs()
        if init.shape not in {(n_rows,), (n_rows, n_outputs)} or (
            init.ndim == 1 and n_outputs > 1
        ):
            raise ValueError(
                f"init_score must have the shape ({n_rows}, {n_outputs}), got "
                f"{init.shape}"
            )
        if not np.isfinite(init).all():
            raise ValueError("init_score contains NaN or infinity")
        return np.ascontiguousarray(init.reshape(n_rows, n_outputs).T)

    def _n_outputs(self) -> int:
        return 1

    def _read_eval_set(self, eval_set: Any) -> _Validation:
        if isinstance(eval_set, list) and len(eval_set) == 1:
            eval_set = eval_set[0]
        if not isinstance(eval_set, tuple) or len(eval_set) not in (2, 3):
            raise ValueError(
                "eval_set must be a tuple (X, y) or (X, y, sample_weight), got "
                f"{type(eval_set).__name__}"
            )
        X, labels = eval_set[0], column_or_1d(eval_set[1])
        check_consistent_length(X, labels)
        weight = None
        if len(eval_set) == 3:
            weight = self._check_weights(eval_set[2], None, X)
        return _Validation(
            X, self._encode_eval_target(labels), labels, weight, np.empty((0, 0))
        )

    def _encode_eval_target(self, labels: Any) -> NDArray[np.float64]:
        values = np.asarray(labels, dtype=np.float64)
        if not np.isfinite(values).all():
            raise ValueError("y of eval_set contains NaN or infinity")
        return values

    def _hold_out(
        self,
        X: Any,
        labels: Any,
        y: NDArray[np.float64],
        weight: Any,
        init: Any,
        rng: np.random.RandomState,
    ) -> tuple[Any, ...]:
        """Split the rows into those to train on and those to validate with."""
        try:
            train, test = train_test_split(
                np.arange(len(y)),
                test_size=self.validation_fraction,
                stratify=y if is_classifier(self) else None,
                random_state=rng.randint(2**31 - 1),
            )
        except ValueError as error:
            raise ValueError(
                f"early_stopping needs rows to validate with, but validation_fraction="
                f"{self.validation_fraction} of {len(y)} rows cannot be held out: "
                f"{error}"
            ) from None
        train, test = np.sort(train), np.sort(test)

        def take(values: Any, rows: NDArray) -> Any:
            if values is None:
                return None
            if isinstance(values, EncodedTable):
                return values.take(rows)
            return _safe_indexing(values, rows)

        validation = _Validation(
            take(X, test), y[test], labels[test], take(weight, test), np.empty((0, 0))
        )
        return (
            take(X, train),
            labels[train],
            np.ascontiguousarray(y[train]),
            take(weight, train),
            None if init is None else np.ascontiguousarray(init[:, train]),
            validation,
        )

    # --- Parameters ----------------------------------------------------------------

    def _make_loss(self, y: NDArray[np.float64] | None = None, qid: Any = None) -> Any:
        """Return the loss, for rows to train on if there are any."""
        raise NotImplementedError

    def _params(self, n_features: int) -> boosting.BoostingParams:
        return boosting.BoostingParams(
            learning_rate=float(self.learning_rate),
            max_leaves=(
                boosting.MAX_LEAVES
                if self.max_leaf_nodes is None
                else int(self.max_leaf_nodes)
            ),
            max_depth=_NO_DEPTH if self.max_depth is None else int(self.max_depth),
            min_samples_leaf=int(self.min_samples_leaf),
            max_features=max(1, int(self.max_features * n_features)),
            min_hessian=float(self.min_sum_hessian),
            l2=float(self.l2_regularization),
            depthwise=self.grow_policy == "depthwise",
        )

    def _monotonic(self) -> NDArray[np.int8]:
        directions = _check_monotonic_cst(self, self.monotonic_cst)
        if directions.any() and self._loss.n_outputs > 1:
            raise ValueError(
                "monotonic constraints are not supported for multiclass classification"
            )
        for f in np.flatnonzero(directions):
            if self.schema_.categories[f] is not None:
                raise ValueError(
                    "Categorical features cannot have monotonic constraints; "
                    f"monotonic_cst has {directions[f]} for feature {f}"
                )
        return directions.astype(np.int8)

    def _groups(self, n_features: int) -> NDArray[np.uint8]:
        """Return which features may interact, as masks."""
        given = self.interaction_cst
        if given is None:
            return np.zeros((0, n_features), np.uint8)
        if given == "no_interactions":
            sets = [{f} for f in range(n_features)]
        elif given == "pairwise":
            sets = [{a, b} for a in range(n_features) for b in range(a)]
        else:
            try:
                sets = [set(group) for group in given]
            except TypeError:
                raise ValueError(
                    "interaction_cst must be a sequence of sequences of indices, got "
                    f"{given!r}"
                ) from None
            for f in set().union(*sets):
                if not (isinstance(f, Integral) and 0 <= f < n_features):
                    raise ValueError(
                        "interaction_cst must have indices from 0 to "
                        f"{n_features - 1}, got {f!r}"
                    )
            rest = set(range(n_features)) - set().union(*sets)
            if rest:
                sets.append(rest)
        groups = np.zeros((len(sets), n_features), np.uint8)
        for row, members in zip(groups, sets, strict=True):
            row[list(members)] = 1
        return groups

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
        self._trees = list(ensemble)
        self._seed = state.attributes["seed"]
        self._gains, self._splits = arrays["gains"], arrays["splits"]
        self._train_scores = arrays["train_score"].tolist()
        self._validation_scores = arrays["validation_score"].tolist()
        self._finish(n_outputs)

    # --- Prediction ----------------------------------------------------------------

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

    def _predictions(self, raw: NDArray[np.float64]) -> NDArray[Any]:
        raise NotImplementedError

    def apply(self, X: ArrayLike) -> NDArray[np.intp]:
        """Return the node number of the leaf that each row reaches in each tree.

        Parameters
        ----------
        X : {array-like, sparse, data frame} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_trees), intp
        """
        check_is_fitted(self)
        return self.ensemble_.leaves(self._matrix(X), self._n_threads())

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


@contextmanager
def _unless_interrupted(estimator: BaseGradientBoosting) -> Iterator[None]:
    """Put back all attributes, unless an interrupted fit has trees to go on from."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException as error:
        if not (isinstance(error, KeyboardInterrupt) and hasattr(error, "fitted")):
            vars(estimator).clear()
            vars(estimator).update(before)
        raise


def _drop_weightless(
    X: Any, labels: Any, y: NDArray, weight: Any, qid: Any, init: Any
) -> tuple[Any, ...]:
    """Leave out the rows of weight zero: they count for nothing."""
    if weight is None or weight.all():
        return X, labels, y, weight, qid, init
    rows = np.flatnonzero(weight)
    return (
        X.take(rows) if isinstance(X, EncodedTable) else _safe_indexing(X, rows),
        labels[rows],
        y[rows],
        weight[rows],
        None if qid is None else qid[rows],
        None if init is None else np.ascontiguousarray(init[:, rows]),
    )


_SHARED_DOC = """
    learning_rate : float, default=0.1
        What the leaves' values are multiplied with.
    max_iter : int, default=100
        Number of boosting iterations; each grows a tree, or one a class of several.
    max_leaf_nodes : int or None, default=31
        Leaves of a tree; None: up to 65,535.
    max_depth : int or None, default=None
    min_samples_leaf : int, default=20
        Rows of a leaf, counted exactly.
    min_sum_hessian : float, default=1e-3
        Sum of the hessians of a leaf (LightGBM's ``min_sum_hessian_in_leaf``).
    l2_regularization : float, default=0.0
    max_features : float, default=1.0
        Share of the features, drawn anew for each split.
    max_bins : int, default=255
        Bins of a numeric column, besides one for missing values.
    categorical_features : array-like or "from_dtype", default="from_dtype"
        As in `EncodedTable.from_data`. Of more than 255 categories the rarest share
        a bin.
    monotonic_cst : array-like of int, dict or None, default=None
        1: increasing, -1: decreasing, 0: none; by position or by name.
    interaction_cst : {"pairwise", "no_interactions"}, sequence of sequences of int, \
or None, default=None
        Features that may interact in a branch.
    grow_policy : {"lossguide", "depthwise"}, default="lossguide"
        Whether the leaf of the largest gain is split next, or the highest one.
    sampling : {"uniform", "goss"}, default="uniform"
        How rows are drawn for a tree. "goss" takes the `top_rate` of the rows with
        the largest gradients, and of the others as many as are `other_rate` of all,
        with accordingly more weight (Ke et al., "LightGBM", NIPS 2017).
    subsample : float, default=1.0
        Chance of each row under sampling="uniform".
    top_rate : float, default=0.2
    other_rate : float, default=0.1
    warm_start : bool, default=False
        Whether `fit` goes on from the trees of an earlier fit on the same data. A fit
        that is interrupted then keeps its trees.
    early_stopping : "auto" or bool, default="auto"
        Whether to stop when the score no longer improves. "auto": if there are more
        than 10,000 rows.
    scoring : str, callable or None, default="loss"
        Score for early stopping; None is the estimator's own, "loss" the loss.
    validation_fraction : int, float or None, default=0.1
        Rows that are held out for early stopping if there is no `eval_set`; None
        scores the training rows.
    n_iter_no_change : int, default=10
    tol : float, default=1e-7
    random_state : int, RandomState instance or None, default=None
        Seeds what is drawn: rows, features and the rows held out.
    callbacks : list of callable or None, default=None
        Each is called with a `Progress` after each iteration, and stops the fit if it
        returns True.
    n_jobs : int or None, default=None
        Number of threads, see `fasttree.threads.resolve_n_jobs`. It changes no bit of
        the model.
"""


class GradientBoostingClassifier(ClassifierMixin, BaseGradientBoosting):
    __doc__ = (
        """Gradient boosted trees for classification.

    Parameters and attributes are those of scikit-learn's
    HistGradientBoostingClassifier unless said otherwise.

    Parameters
    ----------
    loss : {"log_loss"} or callable, default="log_loss"
        With more than two classes, a tree is grown for each in each iteration. A
        function of (y, raw) returns (gradient, hessian) of two classes, coded 0 and 1;
        raw predictions are then scores, and the larger class is where they exceed 0.
"""
        + _SHARED_DOC.lstrip("\n")
        + """    class_weight : dict, "balanced" or None, default=None

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    ensemble_ : Ensemble
        The trees.
    baseline_ : ndarray of shape (n_outputs,)
        What raw predictions start from.
    n_iter_, n_trees_per_iteration_, best_iteration_ : int
    train_score_, validation_score_ : ndarray of shape (n_iter_ + 1,) or (0,)
        Higher is better; the first is that of the baseline.
    feature_importances_ : ndarray of shape (n_features_in_,)
    n_features_in_, feature_names_in_
    """
    )

    _parameter_constraints: ClassVar = {
        "loss": [StrOptions({"log_loss"}), callable],
        **_CONSTRAINTS,
        "class_weight": [dict, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
        loss: Any = "log_loss",
        *,
        learning_rate: float = 0.1,
        max_iter: int = 100,
        max_leaf_nodes: int | None = 31,
        max_depth: int | None = None,
        min_samples_leaf: int = 20,
        min_sum_hessian: float = 1e-3,
        l2_regularization: float = 0.0,
        max_features: float = 1.0,
        max_bins: int = _DEFAULT_BINS,
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
        validation_fraction: float | None = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-7,
        random_state: Any = None,
        class_weight: Any = None,
        callbacks: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.loss = loss
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.max_leaf_nodes = max_leaf_nodes
        self.max_depth = max_depth
        self.min_samples_leaf = min_samples_leaf
        self.min_sum_hessian = min_sum_hessian
        self.l2_regularization = l2_regularization
        self.max_features = max_features
        self.max_bins = max_bins
        self.categorical_features = categorical_features
        self.monotonic_cst = monotonic_cst
        self.interaction_cst = interaction_cst
        self.grow_policy = grow_policy
        self.sampling = sampling
        self.subsample = subsample
        self.top_rate = top_rate
        self.other_rate = other_rate
        self.warm_start = warm_start
        self.early_stopping = early_stopping
        self.scoring = scoring
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.random_state = random_state
        self.class_weight = class_weight
        self.callbacks = callbacks
        self.n_jobs = n_jobs

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike | EncodedTable,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        eval_set: tuple | None = None,
        init_score: ArrayLike | None = None,
    ) -> Self:
        """Grow the trees.

        Parameters
        ----------
        X : {array-like, sparse, data frame, EncodedTable} of shape \
(n_samples, n_features)
            An EncodedTable needs max_bins of at most 255.
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), default=None
        eval_set : tuple (X, y) or (X, y, sample_weight), default=None
            Rows to score after each iteration, and for early stopping.
        init_score : array-like of shape (n_samples,) or (n_samples, n_classes), \
default=None
            Raw predictions to start from, in the place of the baseline. Predictions
            do not have them.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data cannot be used; an earlier fit is kept.
        """
        with _unless_interrupted(self):
            return self._fit(X, y, sample_weight, eval_set, init_score)

    def _check_target(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        qid: Any,  # noqa: ARG002 - as its base
        going_on: bool,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, Any]:
        check_classification_targets(y)
        classes, codes = encode_labels(np.asarray(y))
        if len(classes) < 2:
            raise ValueError(
                f"{type(self).__name__} needs at least two classes, but y contains "
                "only one class"
            )
        if going_on and not np.array_equal(classes, self.classes_):
            raise ValueError("warm_start needs the classes of the earlier fit in y")
        self.classes_ = classes
        class_weights = None
        if self.class_weight is not None:
            class_weights = compute_sample_weight(self.class_weight, y)
        weight = self._check_weights(sample_weight, class_weights, X)
        return codes.astype(np.float64), weight, None

    def _encode_eval_target(self, labels: Any) -> NDArray[np.float64]:
        codes = np.searchsorted(self.classes_, labels)
        codes = np.minimum(codes, len(self.classes_) - 1)
        if not np.array_equal(self.classes_[codes], labels):
            raise ValueError("y of eval_set has classes that the training data has not")
        return codes.astype(np.float64)

    def _n_outputs(self) -> int:
        return 1 if len(self.classes_) == 2 else len(self.classes_)

    def _make_loss(self, *_: Any) -> Any:
        n_outputs = self._n_outputs()
        if callable(self.loss):
            if n_outputs > 1:
                raise ValueError("a loss that is a function needs y of two classes")
            return CustomLoss(self.loss)
        return Loss("log_loss" if n_outputs == 1 else "multinomial", n_outputs)

    def _predictions(self, raw: NDArray[np.float64]) -> NDArray[Any]:
        if raw.shape[1] == 1:
            return self.classes_[(raw[:, 0] > 0).astype(np.intp)]
        return self.classes_[np.argmax(raw, axis=1)]

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return raw predictions, (n_samples,) or (n_samples, n_classes)."""
        raw = self._raw(X)
        return raw[:, 0] if raw.shape[1] == 1 else raw

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the most probable class of each row."""
        return self._predictions(self._raw(X))

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the probabilities of the classes, (n_samples, n_classes)."""
        return self._probabilities(self._raw(X))

    def _probabilities(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        if callable(self.loss):
            raise AttributeError("a loss that is a function has no probabilities")
        return self._loss.to_prediction(raw)

    def staged_decision_function(self, X: ArrayLike) -> Iterator[NDArray[np.float64]]:
        """Yield `decision_function` after each iteration."""
        for raw in self._staged_raw(X):
            yield raw[:, 0] if raw.shape[1] == 1 else raw

    def staged_predict(self, X: ArrayLike) -> Iterator[NDArray[Any]]:
        """Yield `predict` after each iteration."""
        for raw in self._staged_raw(X):
            yield self._predictions(raw)

    def staged_predict_proba(self, X: ArrayLike) -> Iterator[NDArray[np.float64]]:
        """Yield `predict_proba` after each iteration."""
        for raw in self._staged_raw(X):
            yield self._probabilities(raw)


class GradientBoostingRegressor(RegressorMixin, BaseGradientBoosting):
    __doc__ = (
        """Gradient boosted trees for regression.

    Parameters and attributes are those of scikit-learn's
    HistGradientBoostingRegressor unless said otherwise.

    Parameters
    ----------
    loss : {"squared_error", "absolute_error", "huber", "quantile", "poisson", \
"gamma", "tweedie"} or callable, default="squared_error"
        A function of (y, raw) returns (gradient, hessian), each of shape
        (n_samples,); predictions are the raw ones then.
    quantile : float or None, default=None
        Which quantile loss="quantile" predicts; for "huber" the quantile of the
        absolute residuals beyond which they count linearly (None: 0.9).
    tweedie_power : float, default=1.5
        Power of the variance under loss="tweedie", between 1 and 2.
"""
        + _SHARED_DOC.lstrip("\n")
        + """
    Attributes
    ----------
    ensemble_ : Ensemble
        The trees.
    baseline_ : ndarray of shape (1,)
        What raw predictions start from.
    n_iter_, n_trees_per_iteration_, best_iteration_ : int
    train_score_, validation_score_ : ndarray of shape (n_iter_ + 1,) or (0,)
        Higher is better; the first is that of the baseline.
    feature_importances_ : ndarray of shape (n_features_in_,)
    n_features_in_, feature_names_in_
    """
    )

    _parameter_constraints: ClassVar = {
        "loss": [StrOptions(set(REGRESSION_LOSSES)), callable],
        "quantile": [Interval(Real, 0, 1, closed="both"), None],
        "tweedie_power": [Interval(Real, 1, 2, closed="neither")],
        **_CONSTRAINTS,
    }

    def __init__(
        self,
        loss: Any = "squared_error",
        *,
        quantile: float | None = None,
        tweedie_power: float = 1.5,
        learning_rate: float = 0.1,
        max_iter: int = 100,
        max_leaf_nodes: int | None = 31,
        max_depth: int | None = None,
        min_samples_leaf: int = 20,
        min_sum_hessian: float = 1e-3,
        l2_regularization: float = 0.0,
        max_features: float = 1.0,
        max_bins: int = _DEFAULT_BINS,
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
        validation_fraction: float | None = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-7,
        random_state: Any = None,
        callbacks: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.loss = loss
        self.quantile = quantile
        self.tweedie_power = tweedie_power
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.max_leaf_nodes = max_leaf_nodes
        self.max_depth = max_depth
        self.min_samples_leaf = min_samples_leaf
        self.min_sum_hessian = min_sum_hessian
        self.l2_regularization = l2_regularization
        self.max_features = max_features
        self.max_bins = max_bins
        self.categorical_features = categorical_features
        self.monotonic_cst = monotonic_cst
        self.interaction_cst = interaction_cst
        self.grow_policy = grow_policy
        self.sampling = sampling
        self.subsample = subsample
        self.top_rate = top_rate
        self.other_rate = other_rate
        self.warm_start = warm_start
        self.early_stopping = early_stopping
        self.scoring = scoring
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.random_state = random_state
        self.callbacks = callbacks
        self.n_jobs = n_jobs

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike | EncodedTable,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        eval_set: tuple | None = None,
        init_score: ArrayLike | None = None,
    ) -> Self:
        """Grow the trees.

        Parameters and errors are those of `GradientBoostingClassifier.fit`; y holds
        numbers that the loss allows.

        Returns
        -------
        self
        """
        with _unless_interrupted(self):
            return self._fit(X, y, sample_weight, eval_set, init_score)

    def _check_target(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        qid: Any,  # noqa: ARG002 - as its base
        going_on: bool,  # noqa: ARG002 - as its base
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, Any]:
        weight = self._check_weights(sample_weight, None, X)
        return np.ascontiguousarray(y, dtype=np.float64), weight, None

    def _make_loss(self, *_: Any) -> Any:
        if callable(self.loss):
            return CustomLoss(self.loss)
        quantile = self.quantile
        if self.loss == "quantile" and quantile is None:
            raise ValueError("loss='quantile' needs the parameter quantile, got None")
        if self.loss == "huber":
            quantile = 0.9 if quantile is None else quantile
        return Loss(self.loss, 1, quantile, float(self.tweedie_power))

    def _predictions(self, raw: NDArray[np.float64]) -> NDArray[Any]:
        return self._loss.to_prediction(raw)

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the predictions, (n_samples,)."""
        return self._predictions(self._raw(X))

    def staged_predict(self, X: ArrayLike) -> Iterator[NDArray[np.float64]]:
        """Yield `predict` after each iteration."""
        for raw in self._staged_raw(X):
            yield self._predictions(raw)
