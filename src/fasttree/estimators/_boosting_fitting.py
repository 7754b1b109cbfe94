"""Fitting boosted trees: one iteration after another, from checked rows."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import is_classifier
from sklearn.callback import CallbackSupportMixin
from sklearn.metrics import check_scoring
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length, column_or_1d

from fasttree.data.table import EncodedTable
from fasttree.ensembles import boosting, tiles
from fasttree.ensembles.losses import LambdaLoss
from fasttree.estimators._base import TableInputMixin
from fasttree.estimators._boosting_parameters import (
    interaction_groups,
    monotonic_signs,
    tree_params,
)
from fasttree.estimators._boosting_rows import Given, Rows, Scores
from fasttree.estimators._fit_tasks import FitTasks
from fasttree.prediction.ensemble import Ensemble

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from fasttree.trees.tree import Tree

_EARLY_STOPPING_FROM = 10_000


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
class _Run:
    """What one fit works with.

    `first` is the number of iterations of the fit that this one goes on from; `stops`
    is whether it may stop early.
    """

    engine: boosting.Boosting
    maker: boosting.TreeMaker
    loss: Any
    train: Rows
    validation: Rows | None
    scores: Scores
    scorer: Any
    stops: bool
    first: int
    tasks: FitTasks

    def __post_init__(self) -> None:
        self.nodes: list[NDArray[Any]] = []
        self._made: list[Tree] = []

    @property
    def trees(self) -> list[Tree]:
        """The trees of the whole iterations that have been done."""
        for nodes in self.nodes[len(self._made) :]:
            self._made.append(self.maker.make(nodes))
        return self._made

    def drop_parts(self) -> None:
        """Forget the trees of an iteration that was interrupted."""
        n_outputs = self.loss.n_outputs
        del self.nodes[len(self.nodes) // n_outputs * n_outputs :]

    def uses(self, n_features: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Return the gain of each feature's splits, and their number."""
        gains, counts = np.zeros(n_features), np.zeros(n_features, np.int64)
        for nodes in self.nodes:
            inner = nodes["left"] >= 0
            feature = nodes["feature"][inner]
            gains += np.bincount(feature, nodes["gain"][inner], n_features)
            counts += np.bincount(feature, minlength=n_features)
        return gains, counts

    @property
    def is_scored(self) -> bool:
        return self.stops or self.validation is not None

    def add_score(self, model: Any) -> None:
        """Score the model, whose validation rows follow the trees here."""
        if self.validation is not None and self.nodes:
            n_outputs = self.loss.n_outputs
            for output, tree in enumerate(self.trees[-n_outputs:]):
                values = tree.predict(self.validation.X)
                self.validation.raw[output] += np.ravel(values)
        self.scores.add(model, self.loss, self.scorer, self.train, self.validation)


class FittingMixin(CallbackSupportMixin, TableInputMixin):
    """How boosted trees are fitted.

    A subclass says how a target is read in ``_check_target``, and what is minimized in
    ``_make_loss``.
    """

    _loss: Any

    def _fit(self, given: Given) -> Self:
        going_on = self.warm_start and hasattr(self, "ensemble_")
        first = self.n_iter_ if going_on else 0
        if first > self.max_iter:
            raise ValueError(
                f"max_iter={self.max_iter} must be larger than or equal to n_iter_="
                f"{first} when warm_start is True"
            )
        tasks = FitTasks(
            self,
            "iteration",
            self.max_iter - first,
            given.X,
            given.y,
            given.sample_weight,
        )
        with _unless_interrupted(self):
            self._boost(self._prepare(given, going_on, tasks))
        tasks.close()
        return self

    def _prepare(self, given: Given, going_on: bool, tasks: FitTasks) -> _Run:
        """Check and encode the rows; raw predictions are then where a fit begins."""
        rng = check_random_state(self.random_state)
        seed = int(rng.randint(2**31 - 1))
        X, y = self._check_data(
            given.X, given.y, y_numeric=not is_classifier(self), check_input=True
        )
        target, weight, qid = self._check_target(
            X, y, given.sample_weight, given.qid, going_on
        )
        init = self._check_init(given.init_score, len(target))
        train = Rows(X, y, target, weight, qid, init).of_weight()
        train, validation, stops = self._set_apart(train, given.eval_set, rng)
        loss = self._loss = self._make_loss(train.y, train.qid)
        for rows in (train, validation):
            if rows is not None:
                loss.check_target(rows.y)
        if isinstance(loss, LambdaLoss):
            train.start = loss.queries.start
        table = self._read_boosting_table(train.X)
        if not going_on:
            self.schema_ = table.schema
            self._gains = np.zeros(table.n_features)
            self._splits = np.zeros(table.n_features, np.int64)
            self._seed = seed
            self.baseline_ = np.zeros(loss.n_outputs)
            if train.init is None:
                self.baseline_ = loss.baseline(train.y, train.weight)
        train.begin(self.baseline_)
        if validation is not None:
            validation.X = self._dense_matrix(validation.X)
            validation.begin(self.baseline_)
        scores = Scores()
        if going_on:
            scores = Scores(self.train_score_, self.validation_score_)
            encoded = isinstance(train.X, EncodedTable)
            matrix = self.schema_.to_matrix(table if encoded else train.X)
            train.raw += self._sum_of_trees(matrix)
            if validation is not None:
                validation.raw += self._sum_of_trees(validation.X)
        scorer = None
        if (stops or validation is not None) and self.scoring != "loss":
            scorer = check_scoring(self, self.scoring)
        layout = tiles.make_layout(table)
        n_threads = self._n_threads()
        engine = boosting.Boosting(
            layout,
            tiles.pack(layout.columns, table.n_rows, n_threads),
            train.raw,
            tree_params(self, table.n_features),
            monotonic_signs(self, self.schema_, loss.n_outputs),
            interaction_groups(self.interaction_cst, table.n_features),
            n_threads,
        )
        maker = boosting.TreeMaker(table, layout)
        first = self.n_iter_ if going_on else 0
        return _Run(
            engine, maker, loss, train, validation, scores, scorer, stops, first, tasks
        )

    def _boost(self, run: _Run) -> None:
        """Grow trees until `max_iter`, a callback or early stopping says no."""
        loss, engine, train = run.loss, run.engine, run.train
        samples = self.subsample < 1.0 or self.sampling == "goss"
        rates = (self.top_rate, self.other_rate) if self.sampling == "goss" else None
        if run.is_scored and not run.scores.train and not run.scores.validation:
            run.add_score(self)

        def step() -> None:
            loss.find_gradients(engine, train.y, train.weight)
            for output in range(loss.n_outputs):
                number = iteration * loss.n_outputs + output
                if samples:
                    drawn = boosting.draw_key(self._seed ^ (1 << 40), iteration)
                    engine.sample(output, drawn, float(self.subsample), rates)
                nodes = engine.grow(output, boosting.draw_key(self._seed, number))
                loss.refit(engine, nodes, train.y, train.weight, self.learning_rate)
                engine.booster.add(output)
                run.nodes.append(nodes)

        interrupted: BaseException | None = None
        iteration = run.first
        try:
            for iteration in range(run.first, self.max_iter):
                run.tasks.begin(iteration)
                engine.run(step)
                if run.is_scored:
                    run.add_score(self)
                ends = run.tasks.end(iteration, lambda: self._attributes_of(run))
                if self._tell(iteration + 1, run.scores) or ends:
                    break
                if run.stops and run.scores.have_settled(
                    self.n_iter_no_change,
                    self.tol,
                    by_validation=run.validation is not None,
                ):
                    break
        except KeyboardInterrupt as error:
            run.drop_parts()
            if not self.warm_start or not (run.nodes or run.first):
                raise
            error.fitted = True  # type: ignore[attr-defined]
            interrupted = error
        vars(self).update(self._attributes_of(run))
        if interrupted is not None:
            raise interrupted

    def _attributes_of(self, run: _Run) -> dict[str, Any]:
        """Return the fitted attributes after the iterations that have been done."""
        gains, counts = run.uses(len(self._gains))
        n_outputs = run.loss.n_outputs
        outputs = np.arange(run.first * n_outputs + len(run.nodes)) % n_outputs
        if run.first:
            trees = [*self.ensemble_, *run.trees]
            ensemble = Ensemble.from_trees(trees, outputs=outputs)
        else:
            ensemble = Ensemble.from_joint(run.maker.join(run.nodes), outputs=outputs)
        fitted = self._fitted_attributes(ensemble, n_outputs, run.scores)
        return fitted | {
            "_gains": self._gains + gains,
            "_splits": self._splits + counts,
        }

    def _fitted_attributes(
        self, ensemble: Ensemble, n_outputs: int, scores: Scores
    ) -> dict[str, Any]:
        n_iter = len(ensemble) // n_outputs
        best = int(np.argmax(scores.validation)) if scores.validation else n_iter
        return {
            # That of a fit may hold its rows.
            "_loss": self._make_loss(),
            "ensemble_": ensemble,
            "n_iter_": n_iter,
            "n_trees_per_iteration_": n_outputs,
            "train_score_": np.array(scores.train),
            "validation_score_": np.array(scores.validation),
            "best_iteration_": best,
        }

    def _tell(self, iteration: int, scores: Scores) -> bool:
        """Call the callbacks, and return whether one of them says to stop."""
        progress = Progress(
            iteration,
            scores.train[-1] if scores.train else None,
            scores.validation[-1] if scores.validation else None,
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
        return EncodedTable.for_boosting(
            X,
            max_bins=int(self.max_bins),
            categorical_features=self.categorical_features,
            most_stored=tiles.SPARSE_SHARE,
            n_jobs=self.n_jobs,
        )

    def _dense_matrix(self, X: Any) -> NDArray[Any]:
        matrix = self._matrix(X)
        if isinstance(matrix, np.ndarray):
            return matrix
        return np.concatenate([block for _, block in matrix.blocks()])

    def _sum_of_trees(self, matrix: Any) -> NDArray[np.float64]:
        """Return what the trees of an earlier fit add up to, (n_outputs, n_rows)."""
        zeros = np.zeros(self.n_trees_per_iteration_)
        return self.ensemble_.sum_values(matrix, zeros, self._n_threads()).T

    def _set_apart(
        self, rows: Rows, eval_set: Any, rng: np.random.RandomState
    ) -> tuple[Rows, Rows | None, bool]:
        """Return the rows to train on, those to score, and whether a fit may stop."""
        stops = self.early_stopping is True or (
            self.early_stopping == "auto" and len(rows.y) > _EARLY_STOPPING_FROM
        )
        if eval_set is not None:
            return rows, self._read_eval_set(eval_set), stops
        if not stops:
            return rows, None, False
        if rows.qid is not None:
            if self.early_stopping is True:
                raise ValueError(
                    "early_stopping of a ranker needs an eval_set: (X, y, qid)"
                )
            return rows, None, False
        if self.validation_fraction is None:
            return rows, None, True
        train, validation = rows.split(
            self.validation_fraction, rng, stratify=is_classifier(self)
        )
        return train, validation, True

    def _check_target(
        self, X: Any, y: Any, sample_weight: Any, qid: Any, going_on: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, Any]:
        raise NotImplementedError

    def _make_loss(self, y: NDArray[np.float64] | None = None, qid: Any = None) -> Any:
        """Return the loss, for rows to train on if there are any."""
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

    def _read_eval_set(self, eval_set: Any) -> Rows:
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
        return Rows(X, labels, self._encode_eval_target(labels), weight)

    def _encode_eval_target(self, labels: Any) -> NDArray[np.float64]:
        values = np.asarray(labels, dtype=np.float64)
        if not np.isfinite(values).all():
            raise ValueError("y of eval_set contains NaN or infinity")
        return values


@contextmanager
def _unless_interrupted(estimator: FittingMixin) -> Iterator[None]:
    """Put back all attributes, unless an interrupted fit has trees to go on from."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException as error:
        if not (isinstance(error, KeyboardInterrupt) and hasattr(error, "fitted")):
            vars(estimator).clear()
            vars(estimator).update(before)
        raise
