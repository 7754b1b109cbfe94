"""Prediction for serving: one row in about a microsecond, or some hundred."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from fasttree._kernels import row as kernels
from fasttree.prediction.batch import BatchPredictor
from fasttree.prediction.leaf_masks import LeafMasks, cycles_of_walk
from fasttree.storage import model_file
from fasttree.storage.model_state import ModelState
from fasttree.trees.links import LINKS, apply_link

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Processor cycles of a row from which on others may have the GIL meanwhile: taking it
# back costs some hundred where nobody wants it, and far more where somebody does.
_CYCLES_TO_RELEASE = 10_000


class Predictor(kernels.RowPredictor):
    """A fitted model that predicts single rows without delay.

    Made by an estimator's ``predictor()`` or by :func:`fasttree.load_predictor`. It
    gives the estimator's predictions, to the bit. It cannot be changed, takes no
    lock and starts no thread: any number of threads, and processes after a fork,
    may use it.

    Attributes
    ----------
    state : ModelState
        All that the model is.
    """

    def __init__(self) -> None:
        raise TypeError("Predictor is made by predictor() or load_predictor()")

    @classmethod
    def from_state(cls, state: ModelState) -> Self:
        """Return the predictor of a model whose state has been checked."""
        self = cls.__new__(cls)
        packed = state.packed
        batch = BatchPredictor(packed)
        codes = None
        if any(labels is not None for labels in state.categories):
            codes = tuple(
                None
                if labels is None
                else {label: float(code) for code, label in enumerate(labels.tolist())}
                for labels in state.categories
            )
        classes = state.classes
        masks = LeafMasks.of(packed, batch.payload[0])
        cycles = cycles_of_walk(packed) if masks is None else masks.cycles
        kernels.RowPredictor.__init__(
            self,
            *packed.layout,
            *batch.payload,
            state.columns,
            state.baseline,
            masks=masks,
            releases_gil=cycles > _CYCLES_TO_RELEASE,
            n_features=packed.n_features,
            divisor=float(packed.n_trees) if state.combination == "mean" else 1.0,
            link=LINKS[state.link],
            names=state.feature_names,
            codes=codes,
            refuses_unknown=state.unknown_category == "error",
            classes=None
            if classes is None
            else tuple(tuple(labels.tolist()) for labels in classes),
        )
        object.__setattr__(self, "state", state)
        object.__setattr__(self, "_batch", batch)
        object.__setattr__(self, "_takes_matrix", codes is None)
        return self

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Predictor is immutable: cannot set {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"Predictor is immutable: cannot delete {name!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, self.state.to_parts()

    def __repr__(self) -> str:
        packed = self.state.packed
        return (
            f"<Predictor of {self.state.estimator}: {packed.n_trees} trees, "
            f"{packed.n_nodes} nodes, {packed.n_features} features>"
        )

    @property
    def classes_(self) -> NDArray[Any] | list[NDArray[Any]] | None:
        """Labels of the classes, a list of them for several outputs."""
        classes = self.state.classes
        if classes is None or len(classes) > 1:
            return None if classes is None else list(classes)
        return classes[0]

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """Names of the features, if the training data had any."""
        return self.state.feature_names

    @property
    def nbytes(self) -> int:
        """Bytes of the trees as they are held for prediction."""
        return self.state.packed.nbytes

    def predict_many(self, rows: Sequence[Any] | NDArray[Any]) -> NDArray[Any]:
        """Return the predictions for some rows, in the calling thread.

        Parameters
        ----------
        rows : ndarray of shape (n_rows, n_features), or sequence of rows
            Rows as in :meth:`predict_one`.

        Returns
        -------
        ndarray of shape (n_rows,) or, of several outputs, (n_rows, n_outputs)
        """
        scores = self._score_many(rows)
        classes = self.state.classes
        if classes is None:
            scores = apply_link(self.state.link, scores)
            return scores[:, 0] if scores.shape[1] == 1 else scores
        if self.state.link == "logistic":
            return classes[0].take((scores[:, 0] > 0.0).astype(np.intp))
        winners = []
        start = 0
        for labels in classes:
            own = scores[:, start : start + len(labels)]
            winners.append(labels.take(own.argmax(axis=1)))
            start += len(labels)
        return winners[0] if len(winners) == 1 else np.stack(winners, axis=1)

    def predict_proba_many(
        self, rows: Sequence[Any] | NDArray[Any]
    ) -> NDArray[np.float64] | list[NDArray[np.float64]]:
        """Return the class probabilities of some rows, in the calling thread.

        Parameters
        ----------
        rows : ndarray of shape (n_rows, n_features), or sequence of rows
            Rows as in :meth:`predict_one`.

        Returns
        -------
        ndarray of shape (n_rows, n_classes), float64
            A list of them where there are several outputs.
        """
        classes = self.state.classes
        if classes is None:
            raise AttributeError("a regression model has no predict_proba_many")
        scores = apply_link(self.state.link, self._score_many(rows))
        bounds = np.cumsum([len(labels) for labels in classes])[:-1]
        parts = np.split(scores, bounds, axis=1)
        return parts[0] if len(parts) == 1 else parts

    def _score_many(self, rows: Sequence[Any] | NDArray[Any]) -> NDArray[np.float64]:
        state = self.state
        is_matrix = (
            self._takes_matrix
            and isinstance(rows, np.ndarray)
            and rows.ndim == 2
            and rows.dtype.kind in "biuf"
        )
        if not is_matrix:
            if not hasattr(rows, "__len__") or hasattr(rows, "columns"):
                raise TypeError(
                    "rows must be a matrix or a sequence of rows, got "
                    f"{type(rows).__name__}; estimators predict data frames"
                )
            scores = np.empty((len(rows), len(state.baseline)))
            for i in range(len(rows)):
                scores[i] = self.score_one(rows[i])
            return scores
        if rows.dtype.kind == "f" and np.isinf(rows).any():
            raise ValueError("rows have an infinite value")
        scores = np.empty((len(rows), len(state.baseline)))
        scores[:] = state.baseline
        self._batch.add(rows, state.columns, scores)
        if state.combination == "mean":
            scores /= state.packed.n_trees
        return scores


def _restore(description: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Predictor:
    return Predictor.from_state(ModelState.from_parts(description, arrays))


def load_predictor(path: str | os.PathLike[str], *, mmap: bool = True) -> Predictor:
    """Return the predictor of a saved model, without importing scikit-learn.

    Parameters
    ----------
    path : str or path-like
        What an estimator's ``save`` wrote.
    mmap : bool, default=True
        Whether the trees stay in the file, shared by the processes that map it. It
        must not be overwritten in place then; ``save`` never does.

    Returns
    -------
    Predictor

    Raises
    ------
    ModelFileError
        A ValueError: the file is not a model file, is damaged or of an unknown
        version.
    OSError
        If it cannot be read.
    """
    description, arrays = model_file.read(path, mmap=mmap)
    return Predictor.from_state(ModelState.from_parts(description, arrays))
