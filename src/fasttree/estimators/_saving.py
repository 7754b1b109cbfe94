"""Model files and predictors of estimators.

An estimator says what it is with `make_state` and comes back with `restore`. Files
name the class; only classes that are registered here are made, and nothing that a
file holds is run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from fasttree.data.schema import InputSchema
from fasttree.prediction.ensemble import Ensemble
from fasttree.prediction.predictor import Predictor
from fasttree.storage import model_file
from fasttree.storage.model_file import ModelFileError
from fasttree.storage.model_state import ModelState, statistics_of
from fasttree.trees.node_statistics import NodeStatistics

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

_CLASSES: dict[str, type[SavableMixin]] = {}


class SavableMixin:
    """Saving, and predictors, for estimators of trees.

    A subclass is registered under its name. It has ``_to_state() -> ModelState``, for
    which there is `make_state`, and ``_take_state(state, ensemble)``, which sets the
    attributes of a fit beyond those that `restore` sets.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # A subclass of a user that has the name of one of ours does not replace it.
        _CLASSES.setdefault(cls.__name__, cls)

    def _to_state(self) -> ModelState:
        raise NotImplementedError

    def _take_state(self, state: ModelState, ensemble: Ensemble) -> None:
        raise NotImplementedError

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to a file that `fasttree.load` reads.

        The file holds plain arrays and their description, nothing that could be run;
        docs/model_file.md has the format. An older file of that name stays whole
        until the new one is complete.

        Parameters
        ----------
        path : str or path-like

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        TypeError
            If a parameter or label is neither a number nor a string, nor made of
            them.
        OSError
            If the file cannot be written.
        """
        check_is_fitted(self)
        model_file.write(path, *self._to_state().to_parts())

    def predictor(self) -> Predictor:
        """Return a predictor for single rows, which needs microseconds.

        Returns
        -------
        fasttree.Predictor
            It does not follow later fits of this estimator.
        """
        check_is_fitted(self)
        return Predictor.from_state(self._to_state())

    @property
    def nbytes(self) -> int:
        """Bytes of the fitted trees in their packed form, as in a file."""
        check_is_fitted(self)
        state = self._to_state()
        return state.packed.nbytes + sum(
            array.nbytes
            for array in (*state.statistics.values(), *state.arrays.values())
        )


def make_state(
    estimator: Any,
    ensemble: Ensemble,
    *,
    combination: str = "mean",
    link: str = "identity",
    baseline: ArrayLike | None = None,
    attributes: Mapping[str, Any] | None = None,
    arrays: Mapping[str, NDArray[Any]] | None = None,
) -> ModelState:
    """Return the state of a fitted estimator that has these trees.

    Parameters
    ----------
    estimator : estimator
        With ``schema_`` and, for classification, ``classes_``.
    ensemble : Ensemble
    combination : {"mean", "sum"}, default="mean"
        How predictions come from the trees.
    link : {"identity", "logistic", "softmax", "exponential"}, default="identity"
        What makes predictions of the columns.
    baseline : float array of shape (n_columns,), default=None
        What sums start from; zeros by default.
    attributes : mapping, default=None
        Further numbers, strings, lists and dicts that ``_take_state`` wants back.
    arrays : mapping of str to ndarray, default=None
        Further arrays.
    """
    schema = estimator.schema_
    classes = getattr(estimator, "classes_", None)
    if classes is not None and not isinstance(classes, list):
        classes = [classes]
    n_columns = ensemble.packed.n_columns
    if baseline is None:
        baseline = np.zeros(n_columns + int(ensemble.outputs.max()))
    names = schema.feature_names
    return ModelState(
        packed=ensemble.packed,
        columns=ensemble.outputs,
        baseline=np.array(baseline, np.float64),
        combination=combination,
        link=link,
        feature_names=None if names is None else tuple(names.tolist()),
        categories=schema.categories,
        single=schema.single,
        unknown_category=schema.unknown_category,
        classes=None if classes is None else tuple(classes),
        criterion=ensemble.statistics.criterion,
        statistics=statistics_of(ensemble.statistics),
        estimator=type(estimator).__name__,
        params=estimator.get_params(deep=False),
        attributes=dict(attributes or {}),
        arrays=dict(arrays or {}),
    )


def restore(state: ModelState) -> Any:
    """Return the fitted estimator that a state is of.

    Raises
    ------
    ModelFileError
        If no estimator of this version is like that.
    """
    cls = _CLASSES.get(state.estimator or "")
    if cls is None:
        raise ModelFileError(
            f"the model is a {state.estimator!r:.80}; this fasttree knows "
            f"{', '.join(sorted(_CLASSES))}"
        )
    try:
        model = cls(**state.params)
        if state.criterion is None or (state.classes is not None) != hasattr(
            model, "predict_proba"
        ):
            raise ValueError("its trees are of another kind")
        ensemble = ensemble_of(state)
        model.schema_ = InputSchema(
            feature_names=_names_of(state),
            categories=state.categories,
            single=state.single,
            unknown_category=state.unknown_category,
        )
        model.n_features_in_ = ensemble.n_features
        if state.feature_names is not None:
            model.feature_names_in_ = _names_of(state)
        if state.classes is not None:
            several = len(state.classes) > 1
            sizes = [len(labels) for labels in state.classes]
            is_of_classes = ensemble.is_classification
            if is_of_classes and ensemble.n_classes.tolist() != sizes:
                raise ValueError("its classes are not those of its trees")
            model.classes_ = list(state.classes) if several else state.classes[0]
            model.n_classes_ = sizes if several else sizes[0]
        model.n_outputs_ = ensemble.n_outputs
        model._take_state(state, ensemble)
    except ModelFileError:
        raise
    except (
        ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError,
        MemoryError,
    ) as error:  # fmt: skip
        raise ModelFileError(f"this is not a {cls.__name__}: {error}") from error
    return model


def ensemble_of(state: ModelState) -> Ensemble:
    """Return the trees of a state."""
    empty = np.zeros(0)
    fields = {
        name: state.statistics.get(name, empty)
        for name in (
            "n_node_samples", "weighted_n_node_samples", "impurity", "inner_value",
        )
    }  # fmt: skip
    output_classes = state.statistics.get("output_classes", np.zeros(0, np.int32))
    statistics = NodeStatistics(
        criterion=state.criterion or "", output_classes=output_classes, **fields
    )
    statistics.check(state.packed)
    return Ensemble.from_packed(state.packed, statistics, state.columns)


def _names_of(state: ModelState) -> NDArray[Any] | None:
    if state.feature_names is None:
        return None
    names = np.empty(len(state.feature_names), object)
    names[:] = state.feature_names
    return names


def load(path: str | os.PathLike[str]) -> Any:
    """Return the fitted estimator that was saved in a file.

    Parameters
    ----------
    path : str or path-like
        What an estimator's ``save`` wrote.

    Returns
    -------
    estimator
        It predicts the same, to the bit.

    Raises
    ------
    ModelFileError
        A ValueError: the file is not a model file, is damaged or of an unknown
        version.
    OSError
        If it cannot be read.
    """
    return restore(ModelState.from_parts(*model_file.read(path)))
