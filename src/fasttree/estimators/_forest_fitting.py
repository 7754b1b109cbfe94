"""Fitting a forest: what its trees share, and growing those that are missing."""

from __future__ import annotations

import time
import warnings
from dataclasses import replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.callback import CallbackSupportMixin
from sklearn.ensemble._bootstrap import _get_n_samples_bootstrap
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import column_or_1d

from fasttree.data.table import EncodedTable
from fasttree.ensembles.forest import Bootstrap, ForestTrainer, RowDraws
from fasttree.ensembles.outofbag import OutOfBag
from fasttree.estimators._base import TableInputMixin
from fasttree.estimators._fit_tasks import FitTasks
from fasttree.estimators._forest_progress import Progress
from fasttree.estimators._forest_trees import TreesMixin
from fasttree.estimators._tree_parameters import CONSTRAINTS as TREE_CONSTRAINTS
from fasttree.estimators._tree_parameters import resolve_constraints
from fasttree.prediction.joining import CompactTree, TreeList

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from fasttree.trees.tree import Tree

CONSTRAINTS: dict[str, list[Any]] = {
    **{name: TREE_CONSTRAINTS[name] for name in TREE_CONSTRAINTS if name != "splitter"},
    "n_estimators": [Interval(Integral, 1, None, closed="left")],
    "bootstrap": ["boolean"],
    "oob_score": ["boolean", callable],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "max_samples": [
        None,
        Interval(RealNotInt, 0.0, None, closed="neither"),
        Interval(Integral, 1, None, closed="left"),
    ],
    "max_time": [Interval(Real, 0.0, None, closed="neither"), None],
    "max_bytes": [Interval(Integral, 1, None, closed="left"), None],
    "oob_tolerance": [Interval(Real, 0.0, None, closed="left"), None],
    "on_interrupt": [StrOptions({"raise", "keep"})],
    "callback": [callable, None],
}


class FittingMixin(CallbackSupportMixin, TreesMixin, TableInputMixin):
    """How a forest is fitted.

    A subclass says what it is of in ``score_means``, the score of means over the trees
    as `OutOfBag` has them, and ``_set_oob_attributes``.
    """

    splitter: ClassVar[str]
    _default_bins: ClassVar[int | None]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _tasks(self, X: Any, y: Any, sample_weight: Any) -> FitTasks:
        """Return what callbacks are told; to be made before a fit sets anything."""
        n_before = len(self) if self.warm_start and "_trees" in vars(self) else 0
        n_more = max(0, self.n_estimators - n_before)
        return FitTasks(self, "tree", n_more, X, y, sample_weight)

    def _read_table(
        self, X: Any, sample_weight: NDArray[np.float64] | None
    ) -> EncodedTable:
        """Return `X` encoded; `X` has been checked."""
        if isinstance(X, EncodedTable):
            self._check_not_encoded(self._default_bins)
            return X
        encode = EncodedTable.from_data
        if self.splitter == "random":
            encode = EncodedTable.for_drawn_splits
        return encode(
            X,
            max_bins=self.max_bins,
            categorical_features=self.categorical_features,
            sample_weight=sample_weight,
            n_jobs=self.n_jobs,
        )

    def _check_combinations(self, y: NDArray[Any]) -> None:
        """Check parameters against each other; `y` is classes by number, or targets."""
        if self.bootstrap:
            kind = type_of_target(y) if y.ndim == 2 and self.oob_score else ""
            if kind == "multiclass-multioutput" and y.dtype.kind == "i":
                raise ValueError(
                    "The type of target cannot be used to compute OOB estimates. Got "
                    f"{kind}; of several outputs of classes, two classes each are "
                    "supported (multilabel-indicator)"
                )
            return
        if self.max_samples is not None:
            raise ValueError(
                "`max_samples` cannot be set if `bootstrap=False`. Either switch to "
                "`bootstrap=True` or set `max_samples=None`."
            )
        if self.oob_score or self.oob_tolerance is not None:
            raise ValueError("Out of bag estimation only available if bootstrap=True")

    def _make_bootstrap(
        self,
        n_rows: int,
        weights: NDArray[np.float64] | None,
        groups: Any,
        *,
        balances: bool,
    ) -> Bootstrap | None:
        if not self.bootstrap:
            if groups is not None:
                raise ValueError("groups are drawn whole: they need bootstrap=True")
            return None
        group_of, n_groups = None, 0
        if groups is not None:
            labels = column_or_1d(groups)
            if len(labels) != n_rows:
                raise ValueError(
                    f"groups must have one entry for each of {n_rows} rows, got "
                    f"{len(labels)}"
                )
            names, group_of = np.unique(labels, return_inverse=True)
            n_groups = len(names)
            if weights is not None:
                weights = np.bincount(group_of, weights, minlength=n_groups)
        n_things = n_groups if groups is not None else n_rows
        n_draws = _get_n_samples_bootstrap(n_things, self.max_samples, weights)
        return Bootstrap(int(n_draws), weights, group_of, n_groups, balances)

    def _grow(
        self,
        X: Any,
        y: NDArray[Any],
        n_classes: int | NDArray[np.intp],
        weights: NDArray[np.float64] | None,
        groups: Any,
        tasks: FitTasks,
        *,
        balances: bool = False,
    ) -> None:
        """Grow the trees that are missing, and set what is known of them.

        Parameters
        ----------
        X
            As `fit` takes it; checked.
        y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
            int32 class codes, or float64 targets.
        n_classes : int, or ndarray of shape (n_outputs,)
            0 for regression.
        weights : ndarray of shape (n_rows,) or None
        groups : array-like of shape (n_rows,) or None
        tasks : FitTasks
        balances : bool
            Whether each tree balances the classes that it has drawn.
        """
        started = time.perf_counter()
        n_threads = self._n_threads()
        self._check_combinations(y)
        trees = TreeList()
        origins: list[tuple[int, RowDraws | None]] = []
        if self.warm_start and "_trees" in vars(self):
            trees, origins = self._current_trees(), self._origins
        n_before = len(trees)
        n_more = self.n_estimators - n_before
        if n_more < 0:
            raise ValueError(
                f"n_estimators={self.n_estimators} must be larger or equal to "
                f"len(estimators_)={n_before} when warm_start==True"
            )
        bootstrap = self._make_bootstrap(len(y), weights, groups, balances=balances)
        table = self._read_table(X, weights)
        n_outputs = 1 if y.ndim == 1 else y.shape[1]
        labels = self.classes_ if np.any(n_classes) else None
        params = replace(
            self._growth_params(len(y), table.n_features),
            monotone=resolve_constraints(self, table, labels, n_outputs),
        )
        trainer = ForestTrainer(
            table,
            y,
            n_classes,
            params,
            bootstrap,
            None if bootstrap else weights,
            float(self.ccp_alpha),
            n_threads,
        )
        encoded = time.perf_counter()
        self.schema_ = table.schema
        self.n_outputs_ = n_outputs
        self._n_rows = len(y)
        self._max_features = params.max_features
        if n_more == 0:
            warnings.warn(
                "Warm-start fitting without increasing n_estimators does not fit new "
                "trees.",
                UserWarning,
                stacklevel=4,
            )
        self.estimator_ = self._make_tree()
        keys = [trainer.key(number) for number in range(n_before, self.n_estimators)]
        bag = None
        if self.oob_score or self.oob_tolerance is not None:
            bag = self._open_bag(
                X, y, n_classes, trainer, zip(trees, origins, strict=True)
            )
        progress = Progress(self, trainer, trees, bag, y, tasks)
        grown = progress.run(keys, n_threads)
        new = [(key, trainer.draws) for key in keys[: len(grown)]]
        self._trees, self._origins = trees + TreeList(grown), [*origins, *new]
        self._models = None
        if self.oob_score and bag is not None:
            scored = time.perf_counter()
            self._set_oob(bag, y)
            trainer.phases.add(after=time.perf_counter() - scored)
        if self.verbose > 1:
            now = time.perf_counter()
            progress.tell_phases(encoded - started, now - started, n_threads)
        tasks.close()

    def _open_bag(
        self,
        X: Any,
        y: NDArray[Any],
        n_classes: int | NDArray[np.intp],
        trainer: ForestTrainer,
        there: Iterable[tuple[Tree, tuple[int, Any]]],
    ) -> OutOfBag:
        """Return the sums of the trees that are there already."""
        started = time.perf_counter()
        total = int(np.sum(n_classes))
        n_columns = total or self.n_outputs_
        bag = OutOfBag(self._matrix(X), n_columns, None if total else y)
        assert trainer.draws is not None
        for tree, (key, _) in there:
            bag.add(CompactTree.of(tree), trainer.draws.counts(key))
        trainer.phases.add(after=time.perf_counter() - started)
        return bag

    def _set_oob(self, bag: OutOfBag, y: NDArray[Any]) -> None:
        if not bag.seen.all():
            warnings.warn(
                "Some inputs do not have OOB scores. This probably means too few "
                "trees were used to compute any reliable OOB estimates.",
                UserWarning,
                stacklevel=5,
            )
        self._set_oob_attributes(bag, bag.means(), y)
