"""How many threads to use, and one way to run tasks on them.

There is no OpenMP runtime here: tasks are coarse calls of kernels that release
the GIL, run by one ``ThreadPoolExecutor`` that is made when first needed and
made anew in a forked child.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from numbers import Integral
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Task = Callable[[], "Iterable[Task] | None"]


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
    raised once those that were have ended, early where they `check`, so that no kernel
    still writes into the caller's arrays.
    """
    if n_threads <= 1 or len(tasks) <= 1:
        return [function(*task) for task in tasks]
    results: list[Any] = [None] * len(tasks)

    def keep(position: int) -> None:
        results[position] = function(*tasks[position])

    own = [partial(keep, position) for position in range(len(tasks))]
    run_tasks(own, min(n_threads, len(tasks)))
    return results


class _Ended(BaseException):
    """Ends a task that nobody needs any more, since another one has failed."""


class _OfThread(threading.local):
    """The queue whose task the thread runs."""

    queue: _Queue | None = None


class _Queue:
    """Tasks that wait, and how many are being run."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._waiting = deque(tasks)
        self._n_running = 0
        self._failed = False
        self._changed = threading.Condition()

    def drain(self) -> None:
        """Run tasks until there are none, nor any that may still add some."""
        outer, _of_thread.queue = _of_thread.queue, self
        try:
            self._drain()
        except _Ended:
            pass
        except BaseException:
            self.fail()
            raise
        finally:
            _of_thread.queue = outer

    def _drain(self) -> None:
        while (task := self._take()) is not None:
            more = task()
            with self._changed:
                self._n_running -= 1
                if more:
                    self._waiting.extendleft(more)
                if more or not self._n_running:
                    self._changed.notify_all()

    def check(self) -> None:
        """Raise `_Ended` if a task has failed."""
        if self._failed:
            raise _Ended

    def _take(self) -> Task | None:
        with self._changed:
            while not self._waiting and self._n_running and not self._failed:
                self._changed.wait()
            if self._failed or not self._waiting:
                return None
            self._n_running += 1
            return self._waiting.popleft()

    def fail(self) -> None:
        """Let no further task begin."""
        with self._changed:
            self._failed = True
            self._changed.notify_all()


_of_thread = _OfThread()


def check() -> None:
    """Raise if what runs here is to end early; long kernels call it now and then.

    Signals are told of in any Python function that the main thread enters, so that an
    interrupt is raised here. The other threads then find that a task has failed.
    """
    queue = _of_thread.queue
    if queue is not None:
        queue.check()


def run_tasks(tasks: Iterable[Task], n_threads: int) -> None:
    """Run tasks, and before those that wait the ones that a task returns.

    The threads and errors are those of `run`.
    """
    queue = _Queue(tasks)
    futures = []
    if n_threads > 1:
        executor = _pool.get(n_threads)
        futures = [executor.submit(queue.drain) for _ in range(n_threads - 1)]
    error: BaseException | None = None
    try:
        queue.drain()
    except BaseException as caught:  # noqa: BLE001 - re-raised below
        queue.fail()
        error = caught
    for future in futures:
        while True:
            try:
                future_error = future.exception()
                break
            except KeyboardInterrupt as caught:  # while waiting here
                queue.fail()
                error = error or caught
        error = error or future_error
    if error is not None:
        raise error
