"""A forest as a list of its trees' estimators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from fasttree.prediction.joining import CompactTree, TreeList

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from fasttree.ensembles.forest import RowDraws
    from fasttree.prediction.ensemble import Ensemble
    from fasttree.trees.tree import Tree


class TreesMixin:
    """The trees of a forest: packed as they are grown, estimators when asked for."""

    _tree_class: ClassVar[type]

    _trees: TreeList  # as they were grown
    _origins: list[tuple[int, RowDraws | None]]  # each tree's key, and its draws
    _models: list[Any] | None = None  # of the trees, once they were asked for
    _given: list[Tree]  # the trees of `_models` as they were made

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

    @property
    def _ensemble(self) -> Ensemble:
        return self._current_trees().ensemble

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

    def _set_target_attributes(self, model: Any) -> None:
        """Set what the estimator of a tree knows of the target."""

    @property
    def estimators_samples_(self) -> list[NDArray[np.intp]]:
        """list of ndarray: the rows that each tree drew, as often as it did."""
        check_is_fitted(self)
        rows = np.arange(self._n_rows)
        return [
            rows if draws is None else np.repeat(rows, draws.counts(key))
            for key, draws in self._origins
        ]

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
