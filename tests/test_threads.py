"""Tasks on threads: every result, every error, and a working pool after a fork."""

import multiprocessing
import threading

import numpy as np
import pytest

from fasttree import DecisionTreeClassifier, threads


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_results_stand_in_the_order_of_the_tasks(n_threads):
    tasks = [(i, 2) for i in range(50)]
    assert threads.run(pow, tasks, n_threads) == [i**2 for i in range(50)]
    assert threads.run(pow, [], n_threads) == []


@pytest.mark.parametrize("n_threads", [1, 3])
def test_an_error_is_raised(n_threads):
    def fail(i):
        if i == 7:
            raise RuntimeError("seven")

    with pytest.raises(RuntimeError, match="seven"):
        threads.run(fail, [(i,) for i in range(20)], n_threads)


def test_other_tasks_end_early_where_they_check():
    meeting = threading.Barrier(2, timeout=30)
    ended = []

    def work(fails):
        threads.check()
        meeting.wait()
        if fails:
            raise RuntimeError("one")
        try:
            while True:
                threads.check()
        finally:
            ended.append(True)

    with pytest.raises(RuntimeError, match="one"):
        threads.run(work, [(False,), (True,)], 2)
    assert ended == [True]
    threads.check()


def test_tasks_run_at_the_same_time():
    meeting = threading.Barrier(2, timeout=30)
    threads.run(lambda _: meeting.wait(), [(0,), (1,)], 2)
    assert not meeting.broken


@pytest.mark.parametrize(
    ("n_jobs", "error"), [(0, ValueError), (1.5, TypeError), (True, TypeError)]
)
def test_wrong_n_jobs(n_jobs, error):
    with pytest.raises(error, match="n_jobs"):
        threads.resolve_n_jobs(n_jobs)


def test_n_jobs_counts_as_joblib_does():
    everything = threads.resolve_n_jobs(-1)
    assert everything >= 1
    assert threads.resolve_n_jobs(3) == 3
    assert threads.resolve_n_jobs(-2) == max(1, everything - 1)
    assert threads.resolve_n_jobs(None) == everything


def _fit(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(9000, 6))
    model = DecisionTreeClassifier(n_jobs=2).fit(X, X[:, 0] * X[:, 1] > 0)
    return model.tree_.node_count


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="no fork here"
)
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_fits_on_threads_of_its_own():
    expected = _fit(0)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map_async(_fit, [0, 0]).get(timeout=120) == [expected] * 2
