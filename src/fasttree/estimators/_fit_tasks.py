"""The steps of a fit, as scikit-learn's callbacks are told of them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from sklearn.callback import CallbackSupportMixin


class FitTasks:
    """A task for each step of a fit; nothing where an estimator has no callbacks.

    Made before a fit changes the estimator, so that callbacks are ended however the
    fit ends. Threads may begin and end steps at the same time: callbacks are called
    one at a time, in the thread of the step.

    Parameters
    ----------
    estimator : CallbackSupportMixin
    step_name : str
        What a step grows.
    n_steps : int
        The most that there will be.
    X, y, sample_weight
        What `fit` was given.
    """

    def __init__(
        self,
        estimator: CallbackSupportMixin,
        step_name: str,
        n_steps: int,
        X: Any,
        y: Any,
        sample_weight: Any = None,
    ) -> None:
        self.estimator, self.step_name = estimator, step_name
        self._root: Any = None
        if not hasattr(estimator, "_skl_callbacks"):
            return
        self._lock = threading.Lock()
        self._steps: dict[int, Any] = {}
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._given = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._root = estimator._init_callback_context(  # noqa: SLF001 - its only way
            max_subtasks=n_steps, sequential_subtasks=False
        )
        self._root.call_on_fit_task_begin(**self._given)

    def begin(self, number: int) -> None:
        """Say that a step begins."""
        if self._root is None:
            return
        with self._lock:
            step = self._root.subcontext(task_name=self.step_name, task_id=number)
            self._steps[number] = step
            step.call_on_fit_task_begin(**self._given)

    def end(self, number: int, attributes: Callable[[], dict[str, Any]]) -> bool:
        """Say that a step has ended, and return whether a callback asks to stop.

        `attributes` returns those of an estimator that had been fitted up to here.
        """
        if self._root is None:
            return False
        with self._lock:
            return self._steps.pop(number).call_on_fit_task_end(
                **self._given, reconstruction_attributes=attributes
            )

    def close(self) -> None:
        """Say that the fit has ended: the estimator is fitted."""
        if self._root is not None:
            self._root.call_on_fit_task_end(
                **self._given, reconstruction_attributes=dict
            )
