"""How many threads to use, and one way to run tasks on them.

There is no OpenMP runtime here: tasks are coarse calls of kernels that release
the GIL, run by one ``ThreadPoolExecutor`` that is made when first needed and
made anew in a forked child.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class _Pool:
    """The process's executor, grown to the largest number of workers asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None
        self._workers = 0

    def get(self, workers: int) -> ThreadPoolExecutor:
        with self._lock:
            if self._executor is None or workers > self._workers:
                # The former executor ends when its last user lets go of it.
                self._executor = ThreadPoolExecutor(workers, "fasttree")
                self._workers = workers
            return self._executor

    def forget(self) -> None:
        """Drop the executor without joining: in a forked child its threads are gone."""
        self.__init__()  # type: ignore[misc]


_pool = _Pool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.forget)


def resolve_n_jobs(n_jobs: int | None) -> int:
    """Return the number of threads that `n_jobs` stands for.

    Parameters
    ----------
    n_jobs : int or None
        joblib's convention. None uses the processors that CPU affinity and
        cgroup quotas grant, unless a ``joblib.parallel_config`` block says
        otherwise; -1 is all of them, -2 all but one, and so on.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    TypeError
        If `n_jobs` is neither an integer nor None.
    ValueError
        If `n_jobs` is 0.
    """
    # Not at the top: a process that only predicts has no need of joblib.
    from joblib import cpu_count, effective_n_jobs

    if n_jobs is None:
        return max(1, cpu_count())
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, Integral):
        raise TypeError(f"n_jobs must be an integer or None, got {n_jobs!r}")
    if n_jobs == 0:
        raise ValueError("n_jobs must not be 0; use 1 for one thread, -1 for all")
    if n_jobs > 0:
        return int(n_jobs)
    return max(1, effective_n_jobs(int(n_jobs)))


def run(
    function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]], n_threads: int
) -> list[Any]:
    """Return ``[function(*task) for task in tasks]``, on up to `n_threads` threads.

    The caller's thread takes part. After an exception no further task is begun; it is
    raised once those that were have ended, so that no kernel still writes into the
    caller's arrays.
    """
    if n_threads <= 1 or len(tasks) <= 1:
        return [function(*task) for task in tasks]
    executor = _pool.get(n_threads)
    results: list[Any] = [None] * len(tasks)
    positions = iter(range(len(tasks)))
    lock = threading.Lock()
    failed = threading.Event()

    def drain() -> None:
        try:
            while not failed.is_set():
                with lock:
                    position = next(positions, None)
                if position is None:
                    return
                results[position] = function(*tasks[position])
        except BaseException:
            failed.set()
            raise

    n_helpers = min(n_threads, len(tasks)) - 1
    futures = [executor.submit(drain) for _ in range(n_helpers)]
    error: BaseException | None = None
    try:
        drain()
    except BaseException as caught:  # noqa: BLE001 - re-raised below
        error = caught
    for future in futures:
        while True:
            try:
                future_error = future.exception()
                break
            except KeyboardInterrupt as caught:  # while waiting here
                failed.set()
                error = error or caught
        error = error or future_error
    if error is not None:
        raise error
    return results
