"""What the forests share: growing trees over one table, and their predictions."""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from scipy import sparse
from sklearn.base import ClassifierMixin, RegressorMixin, _fit_context, clone
from sklearn.ensemble._bootstrap import _get_n_samples_bootstrap
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import compute_class_weight, compute_sample_weight
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from fasttree import constraints, inference, threads
from fasttree.encoding import MAX_ROWS
from fasttree.estimators._base import TableInputMixin, old_state_on_error, resolve_seed
from fasttree.estimators._decision_tree import CONSTRAINTS as TREE_CONSTRAINTS
from fasttree.estimators._decision_tree import check_unordered
from fasttree.estimators._forest_progress import Progress
from fasttree.estimators._forest_state import check_size, restore_draws
from fasttree.estimators._saving import SavableMixin, make_state
from fasttree.forest import Bootstrap, ForestTrainer, RowDraws
from fasttree.joining import CompactTree, TreeList
from fasttree.labels import encode_labels
from fasttree.outofbag import OutOfBag, debiased_importances, permuted_losses
from fasttree.schema import SparseRows
from fasttree.table import EncodedTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import ArrayLike, NDArray

    from fasttree.ensemble import Ensemble
    from fasttree.model_state import ModelState
    from fasttree.tree import Tree

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
_OOB_ARRAYS = (
    "oob_decision_function_",
    "oob_prediction_",
    "_conformity",
    "_residuals",
)


class Forest(SavableMixin, TableInputMixin):
    """Trees grown on one encoded table, each from rows and features of its own."""

    splitter: ClassVar[str]
    _default_bins: ClassVar[int | None]

    _trees: TreeList  # as they were grown
    _models: list[Any] | None = None  # of the trees, once they were asked for

    @property
    def estimators_(self) -> list[Any]:
        """list of estimators, one for each tree; made when first asked for.

        They may be changed or exchanged: predictions are those of this list.
        """
        if "_trees" not in vars(self):
            raise AttributeError(
                f"This {type(self).__name__} is not fitted yet: it has no estimators_"
            )
        if self._models is None:
            self._models = [
                self._make_tree(tree, key)
                for tree, (key, _) in zip(self._trees, self._origins, strict=True)
            ]
            self._given = [model.tree_ for model in self._models]
        return self._models

    @estimators_.setter
    def estimators_(self, models: list[Any]) -> None:
        self._models, self._given = models, []

    def _current_trees(self) -> TreeList:
        """Return the trees that predict: those of the estimators, if they changed."""
        if self._models is not None:
            trees = [model.tree_ for model in self._models]
            if len(trees) != len(self._given) or any(
                a is not b for a, b in zip(trees, self._given, strict=True)
            ):
                self._trees = TreeList([CompactTree.of(tree) for tree in trees])
                self._given = trees
        return self._trees

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle holds: the trees in few bytes."""
        if "_trees" in vars(self):
            self._current_trees()
        state = super().__getstate__()
        for name in ("_models", "_given"):
            state.pop(name, None)
        return state

    def __len__(self) -> int:
        """Return the number of trees."""
        return len(self.estimators_ if self._models is not None else self._trees)

    def __getitem__(self, index: int) -> Any:
        """Return a tree's estimator."""
        return self.estimators_[index]

    def __iter__(self) -> Iterator[Any]:
        """Yield the trees' estimators."""
        return iter(self.estimators_)

    # --- training ------------------------------------------------------------------

    def _make_tree(self, tree: Tree | None = None, key: int = 0) -> Any:
        """Return the estimator of a tree."""
        model = self._tree_class()
        for name in model.get_params(deep=False):
            if hasattr(self, name):
                setattr(model, name, getattr(self, name))
        model.random_state, model.n_jobs = key >> 33, 1
        if getattr(model, "class_weight", None) == "balanced_subsample":
            model.class_weight = "balanced"
        if tree is not None:
            model.tree_ = tree
            model.schema_ = self.schema_
            model.n_features_in_ = self.n_features_in_
            model.n_outputs_ = self.n_outputs_
            model.max_features_ = self._max_features
            self._set_target_attributes(model)
        return model

    def _read_table(
        self, X: Any, sample_weight: NDArray[np.float64] | None
    ) -> EncodedTable:
        if isinstance(X, EncodedTable):
            if self.max_bins not in (None, self._default_bins):
                raise ValueError(
                    f"max_bins must be None when X is an EncodedTable, got "
                    f"{self.max_bins!r}; give it to EncodedTable.from_data"
                )
            if self.categorical_features is not None:
                raise ValueError(
                    f"categorical_features must be None when X is an EncodedTable, got "
                    f"{self.categorical_features!r}; give it to EncodedTable.from_data"
                )
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

    def _check_combinations(self) -> None:
        if self.bootstrap:
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
        n_classes: int,
        weights: NDArray[np.float64] | None,
        groups: Any,
        *,
        balances: bool = False,
    ) -> None:
        """Grow the trees that are missing, and set what is known of them."""
        started = time.perf_counter()
        n_threads = self._n_threads()
        self._check_combinations()
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
        labels = self.classes_ if n_classes else None
        monotone = constraints.resolve(self.monotonic_cst, table.n_features, labels)
        if monotone is not None:
            check_unordered(monotone, table)
        params = replace(
            self._growth_params(len(y), table.n_features), monotone=monotone
        )
        trainer = ForestTrainer(
            table, y, n_classes, params, bootstrap, None if bootstrap else weights
        )
        encoded = time.perf_counter()
        self.schema_ = table.schema
        self.n_outputs_ = 1
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
        progress = Progress(self, trainer, n_before, bag, y)
        grown = progress.run(keys, n_threads)
        new = [(key, trainer.draws) for key in keys[: len(grown)]]
        self._trees, self._origins = trees + TreeList(grown), [*origins, *new]
        self._models = None
        if self.oob_score and bag is not None:
            self._set_oob(bag, y)
        if self.verbose > 1:
            progress.tell_phases(encoded - started, time.perf_counter() - started)

    def _open_bag(
        self,
        X: Any,
        y: NDArray[Any],
        n_classes: int,
        trainer: ForestTrainer,
        there: Iterable[tuple[Tree, tuple[int, Any]]],
    ) -> OutOfBag:
        """Return the sums of the trees that are there already."""
        bag = OutOfBag(self._matrix(X), max(n_classes, 1), None if n_classes else y)
        assert trainer.draws is not None
        for tree, (key, _) in there:
            bag.add(tree, trainer.draws.counts(key))
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

    @property
    def estimators_samples_(self) -> list[NDArray[np.intp]]:
        """list of ndarray: the rows that each tree drew, as often as it did."""
        check_is_fitted(self)
        rows = np.arange(self._n_rows)
        return [
            rows if draws is None else np.repeat(rows, draws.counts(key))
            for key, draws in self._origins
        ]

    # --- saving --------------------------------------------------------------------

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

    # --- what rows out of the bag tell -----------------------------------------------

    def _check_training_data(self, X: Any, y: Any) -> tuple[Any, NDArray[Any]]:
        """Return the training data as trees read it; the draws are of its rows."""
        check_is_fitted(self)
        if any(draws is None for _, draws in self._origins):
            raise ValueError("Out of bag estimation only available if bootstrap=True")
        matrix = self._matrix(X)
        y = self._encode_target(column_or_1d(y))
        for name, rows in (("X", len(matrix)), ("y", len(y))):
            if rows != self._n_rows:
                raise ValueError(
                    f"{name} must be the training data of {self._n_rows} rows, got "
                    f"{rows}"
                )
        if isinstance(matrix, SparseRows):
            matrix = self.schema_.to_matrix(matrix.X)
        return matrix, y

    def oob_feature_importances(
        self, X: ArrayLike, y: ArrayLike
    ) -> NDArray[np.float64]:
        """Return debiased importances: about 0 for features that only fit noise.

        ``feature_importances_`` credits a feature with every split, those that fit
        noise among them, of which features of many values have more. Here each
        split is judged by the rows that its tree did not draw (Li et al. 2019,
        MDI-oob).

        Parameters
        ----------
        X, y
            The training data.

        Returns
        -------
        ndarray of shape (n_features,), float64
            Means over the trees, not scaled; they may be negative.

        Raises
        ------
        ValueError
            If the trees did not draw their rows, or these are others.
        """
        matrix, target = self._check_training_data(X, y)
        trees = self._ensemble

        def of_tree(position: int) -> NDArray[np.float64]:
            tree = trees[position]
            key, draws = self._origins[position]
            out = np.flatnonzero(draws.counts(key) == 0)
            leaves = inference.find_leaves(tree, matrix).take(out)
            return debiased_importances(tree, leaves, target[out])

        tasks = [(position,) for position in range(len(self))]
        return np.mean(threads.run(of_tree, tasks, self._n_threads()), axis=0)

    def oob_permutation_importances(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        random_state: int | np.random.RandomState | None = None,
    ) -> NDArray[np.float64]:
        """Return how much worse trees predict once a feature has been shuffled.

        Each tree predicts the rows that it did not draw, as they are and with one
        feature's values permuted among them (Breiman 2001).

        Parameters
        ----------
        X, y
            The training data.
        random_state : int, RandomState instance or None, default=None
            Seeds the permutations.

        Returns
        -------
        ndarray of shape (n_features,), float64
            Mean rise of the trees' error rate, or of their mean squared error.

        Raises
        ------
        ValueError
            If the trees did not draw their rows, or these are others.
        """
        matrix, target = self._check_training_data(X, y)
        seed = resolve_seed(random_state)
        trees = self._ensemble

        def of_tree(position: int) -> NDArray[np.float64]:
            key, draws = self._origins[position]
            out = np.flatnonzero(draws.counts(key) == 0)
            random = np.random.default_rng([seed, position])
            tree = trees[position]
            return permuted_losses(tree, matrix[out], target[out], random)

        tasks = [(position,) for position in range(len(self))]
        return np.mean(threads.run(of_tree, tasks, self._n_threads()), axis=0)

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
        if not self.schema_.is_like(other.schema_) or not np.array_equal(
            getattr(self, "classes_", None), getattr(other, "classes_", None)
        ):
            raise ValueError(
                "other was trained on other features, categories or classes"
            )
        if {key for key, _ in self._origins} & {key for key, _ in other._origins}:
            raise ValueError(
                "other has trees of the same random_state: they would count twice"
            )
        merged = clone(self)
        vars(merged).update(vars(self))
        for name in [name for name in vars(merged) if name.startswith("oob_")]:
            if name.endswith("_"):
                delattr(merged, name)
        vars(merged).pop("_conformity", None)
        state = vars(merged)
        state["_trees"] = self._current_trees() + other._current_trees()
        state["_origins"] = [*self._origins, *vars(other)["_origins"]]
        state["_models"] = None
        merged.n_estimators = len(merged)
        return merged

    def _scores_of_bag(self, coverage: float) -> float:
        """Return the conformity score that the share `coverage` does not exceed."""
        check_is_fitted(self)
        scores = vars(self).get("_conformity")
        if scores is None:
            raise AttributeError(
                "coverage comes from rows out of the bag: fit with oob_score=True"
            )
        if not 0.0 < coverage < 1.0:
            raise ValueError(f"coverage must be between 0 and 1, got {coverage!r}")
        place = math.ceil((len(scores) + 1) * coverage) - 1
        return float(scores[place]) if place < len(scores) else math.inf

    # --- use -----------------------------------------------------------------------

    @property
    def _ensemble(self) -> Ensemble:
        return self._current_trees().ensemble

    def apply(self, X: ArrayLike) -> NDArray[np.intp]:
        """Return the node number of the leaf that each row reaches in each tree.

        Parameters
        ----------
        X : {array-like, sparse, data frame} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_estimators), intp
        """
        check_is_fitted(self)
        return self._ensemble.leaves(self._matrix(X), self._n_threads())

    def decision_path(self, X: ArrayLike) -> tuple[Any, NDArray[np.intp]]:
        """Return which nodes each row goes through.

        Parameters
        ----------
        X : {array-like, sparse, data frame} of shape (n_samples, n_features)

        Returns
        -------
        indicator : CSR matrix of shape (n_samples, n_nodes)
            The trees' nodes stand side by side.
        n_nodes_ptr : ndarray of shape (n_estimators + 1,)
            Where the nodes of each tree begin.
        """
        leaves = self.apply(X)
        paths = [
            tree.paths_to(np.ascontiguousarray(own))
            for tree, own in zip(self._ensemble, leaves.T, strict=True)
        ]
        ends = np.cumsum([0] + [path.shape[1] for path in paths])
        return sparse.hstack(paths).tocsr(), ends

    @property
    def feature_importances_(self) -> NDArray[np.float64]:
        """ndarray of shape (n_features,): mean share in lowering the impurity."""
        check_is_fitted(self)
        of_trees = [
            tree.compute_feature_importances()
            for tree in self._current_trees()
            if tree.node_count > 1
        ]
        if not of_trees:
            return np.zeros(self.n_features_in_)
        mean = np.mean(of_trees, axis=0, dtype=np.float64)
        total = mean.sum()
        return mean / total if total > 0.0 else mean


class ForestClassifier(ClassifierMixin, Forest):
    """What forests for classification share."""

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike | EncodedTable,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Grow the trees.

        Parameters
        ----------
        X : {array-like, sparse, data frame, EncodedTable} of shape \
(n_samples, n_features)
            NaN and None are missing values; what a sparse matrix does not store is
            0.
        y : array-like of shape (n_samples,)
            Class labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, not negative. With a bootstrap they are the rows'
            chances of being drawn, else the weights of the trees' rows.
        groups : array-like of shape (n_samples,), default=None
            Rows of one group are drawn together or not at all, so that no tree has
            seen the group of a row that is out of its bag. `max_samples` is then of
            the groups.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data cannot be used; an earlier fit is kept.
        """
        with old_state_on_error(self):
            X, y = self._check_data(X, y, y_numeric=False, check_input=True)
            if y.dtype.kind not in "iub":
                check_classification_targets(y)
            classes, codes = encode_labels(y)
            of_classes, balances = self._weights_of_classes(y, classes, sample_weight)
            weights = self._check_weights(sample_weight, of_classes, X)
            self.classes_ = classes
            self.n_classes_ = len(classes)
            self._n_rows = len(y)
            self._grow(X, codes, len(classes), weights, groups, balances=balances)
        return self

    def _weights_of_classes(
        self, y: NDArray[Any], classes: NDArray[Any], sample_weight: Any
    ) -> tuple[NDArray[np.float64] | None, bool]:
        """Return the rows' class weights, and whether trees balance their own."""
        given = self.class_weight
        if given is None:
            return None, False
        if isinstance(given, str):
            if self.warm_start:
                warnings.warn(
                    'class_weight presets "balanced" or "balanced_subsample" are not '
                    "recommended for warm_start if the fitted data differs from the "
                    "full dataset: the classes' frequencies are those of this call.",
                    UserWarning,
                    stacklevel=4,
                )
            if given == "balanced_subsample" and self.bootstrap:
                return None, True
            of_class = compute_class_weight(
                "balanced", classes=classes, y=y, sample_weight=sample_weight
            )
            given = dict(zip(classes.tolist(), of_class.tolist(), strict=True))
        return compute_sample_weight(given, y), False

    def _set_target_attributes(self, model: Any) -> None:
        # As in scikit-learn, a tree of a forest knows classes by number.
        model.classes_ = np.arange(self.n_classes_, dtype=np.float64)
        model.n_classes_ = self.n_classes_

    def score_means(self, means: NDArray[np.float64], y: NDArray[Any]) -> float:
        """Return the score of predictions for rows out of the bag."""
        score = self.oob_score if callable(self.oob_score) else accuracy_score
        return score(y, means.argmax(axis=1))  # of class numbers, as in scikit-learn

    def _set_oob_attributes(
        self, bag: OutOfBag, means: NDArray[np.float64], y: NDArray[Any]
    ) -> None:
        self.oob_decision_function_ = means
        self.oob_score_ = self.score_means(means, y)
        self._conformity = np.sort(1.0 - means[np.arange(len(y)), y][bag.seen])

    def _encode_target(self, y: NDArray[Any]) -> NDArray[np.intp]:
        codes = np.searchsorted(self.classes_, y).clip(max=self.n_classes_ - 1)
        if not np.array_equal(self.classes_.take(codes), y):
            raise ValueError("y has classes that the training data did not have")
        return codes

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
        """
        limit = self._scores_of_bag(coverage)
        return 1.0 - self.predict_proba(X) <= limit

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the class of the largest mean share over the trees.

        Parameters
        ----------
        X : {array-like, sparse, data frame} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        return self.classes_.take(self.predict_proba(X).argmax(axis=1))

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the means over the trees of the class fractions of each row's leaf.

        Parameters
        ----------
        X : {array-like, sparse, data frame} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes), float64
            Columns in the order of ``classes_``.
        """
        check_is_fitted(self)
        return self._ensemble.mean_shares(self._matrix(X), self._n_threads())

    def predict_log_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the logarithm of `predict_proba`, -inf where that is 0."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))


class ForestRegressor(RegressorMixin, Forest):
    """What forests for regression share."""

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike | EncodedTable,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Grow the trees.

        Parameters
        ----------
        X : {array-like, sparse, data frame, EncodedTable} of shape \
(n_samples, n_features)
            NaN and None are missing values; what a sparse matrix does not store is
            0.
        y : array-like of shape (n_samples,)
            Finite numbers.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, not negative. With a bootstrap they are the rows'
            chances of being drawn, else the weights of the trees' rows.
        groups : array-like of shape (n_samples,), default=None
            Rows of one group are drawn together or not at all, so that no tree has
            seen the group of a row that is out of its bag. `max_samples` is then of
            the groups.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter or the data cannot be used; an earlier fit is kept.
        """
        with old_state_on_error(self):
            X, y = self._check_data(X, y, y_numeric=True, check_input=True)
            weights = self._check_weights(sample_weight, None, X)
            self._n_rows = len(y)
            self._grow(X, np.ascontiguousarray(y), 0, weights, groups)
        return self

    def _set_target_attributes(self, model: Any) -> None:
        """Do nothing: regression has no classes."""

    def score_means(self, means: NDArray[np.float64], y: NDArray[Any]) -> float:
        """Return the score of predictions for rows out of the bag."""
        score = self.oob_score if callable(self.oob_score) else r2_score
        return score(y, means[:, 0])

    def _set_oob_attributes(
        self, bag: OutOfBag, means: NDArray[np.float64], y: NDArray[Any]
    ) -> None:
        self.oob_prediction_ = means[:, 0]
        self.oob_score_ = self.score_means(means, y)
        residuals = (y - means[:, 0])[bag.seen]
        spreads = bag.spreads()[:, 0][bag.seen]
        # Where trees agree the spread says little: it is not taken for less than this.
        self._least_spread = float(np.median(spreads)) or 1.0
        scaled = residuals / (spreads + self._least_spread)
        self._residuals = np.sort(scaled)
        self._conformity = np.sort(np.abs(scaled))

    def _encode_target(self, y: NDArray[Any]) -> NDArray[np.float64]:
        return y.astype(np.float64)

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
        """
        self._scores_of_bag(0.5)
        wanted = np.atleast_1d(np.asarray(quantiles, np.float64))
        if wanted.ndim != 1 or not np.all((wanted >= 0.0) & (wanted <= 1.0)):
            raise ValueError(f"quantiles must be between 0 and 1, got {quantiles!r}")
        mean, spread = self._means_and_spreads(X)
        return mean[:, None] + spread[:, None] * np.quantile(self._residuals, wanted)

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the mean over the trees of the values of each row's leaf.

        Parameters
        ----------
        X : {array-like, sparse, data frame} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,), float64
        """
        check_is_fitted(self)
        return self._ensemble.mean_values(self._matrix(X), self._n_threads())
