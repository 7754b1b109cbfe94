"""One tree grown by several threads: subtrees that are tasks of their own."""

import threading

import numpy as np
import pytest
from tests.digests import digest_tree

import fasttree
from fasttree import threads
from fasttree.growth import sampling, tree_parts


@pytest.fixture
def small_parts(monkeypatch):
    """Cut trees of a few thousand rows into many parts."""
    monkeypatch.setattr(tree_parts, "LEAST_ROWS", 256)
    # Nodes that fit a copy are finished in one go.
    monkeypatch.setattr(sampling, "_COPY_BYTES", 1)
    monkeypatch.setattr(sampling, "_KEY_BYTES", 1)
    monkeypatch.setattr(sampling, "_LEAST_NARROW", 50)


def _table(kind, n=6000):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(n, 7)).astype(np.float32)
    X[:, 1] = rng.integers(0, 9, n)
    X[rng.random(n) < 0.1, 2] = np.nan
    signal = X[:, 0] + np.sin(3 * X[:, 3]) + (X[:, 1] % 3 == 1)
    if kind == "outputs":
        return X, np.column_stack([signal, -X[:, 4]]) + 0.3 * rng.normal(size=(n, 2))
    if kind == "regression":
        return X, signal + 0.3 * rng.normal(size=n)
    edges = [0.5] if kind == "two" else [-0.5, 0.3, 1.2]
    return X, np.digitize(signal + 0.3 * rng.normal(size=n), edges)


CASES = [
    ("two", "DecisionTreeClassifier", {"criterion": "entropy"}),
    ("two", "DecisionTreeClassifier", {"max_bins": 32, "categorical_features": [1]}),
    ("two", "DecisionTreeClassifier", {"monotonic_cst": [1, 0, 0, 0, 0, 0, 0]}),
    ("four", "DecisionTreeClassifier", {"categorical_features": [1]}),
    ("four", "ExtraTreeClassifier", {"categorical_features": [1]}),
    ("regression", "DecisionTreeRegressor", {"categorical_features": [1]}),
    ("regression", "ExtraTreeRegressor", {}),
    ("regression", "DecisionTreeRegressor", {"criterion": "absolute_error"}),
    ("outputs", "DecisionTreeRegressor", {}),
    ("outputs", "DecisionTreeRegressor", {"criterion": "absolute_error"}),
]


@pytest.mark.parametrize(("kind", "name", "options"), CASES)
def test_a_tree_in_parts_is_the_same_tree(kind, name, options, small_parts):
    X, y = _table(kind)
    kwargs = {"max_features": 3, "random_state": 5, **options}
    trees = [
        getattr(fasttree, name)(n_jobs=n_jobs, **kwargs).fit(X, y).tree_
        for n_jobs in (1, 2, 5)
    ]
    assert len({digest_tree(tree) for tree in trees}) == 1


@pytest.mark.filterwarnings("ignore:Some inputs do not have OOB")
@pytest.mark.parametrize(("n_trees", "n_jobs"), [(1, 4), (3, 2), (5, 4), (2, 16)])
def test_the_last_trees_of_a_forest_are_shared(n_trees, n_jobs, small_parts):
    X, y = _table("four")
    forests = [
        fasttree.RandomForestClassifier(
            n_trees, n_jobs=n, random_state=1, oob_score=True, min_samples_leaf=2
        ).fit(X, y)
        for n in (1, n_jobs)
    ]
    one, many = ([digest_tree(e.tree_) for e in f.estimators_] for f in forests)
    assert one == many
    np.testing.assert_array_equal(
        forests[0].oob_decision_function_, forests[1].oob_decision_function_
    )


def test_growth_is_cut(small_parts, monkeypatch):
    joined = []
    end = tree_parts.TreeInParts._end
    monkeypatch.setattr(
        tree_parts.TreeInParts, "_end", lambda *args: (joined.append(1), end(*args))
    )
    X, y = _table("two")
    fasttree.DecisionTreeClassifier(max_features=3, n_jobs=4).fit(X, y)
    assert len(joined) > 8


def test_nodes_that_are_left_lie_between_the_limits():
    assert tree_parts.branch_rows(1000, 600) == (0, 0)
    least, most = tree_parts.branch_rows(1_000_000, 100_000)
    assert least < 100_000 < most < 1_000_000
    assert tree_parts.least_rows(10_000_000, 2) == 1_250_000
    assert tree_parts.least_rows(1000, 2) == tree_parts.LEAST_ROWS


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_tasks_may_return_tasks(n_threads):
    seen = []
    lock = threading.Lock()

    def visit(name):
        with lock:
            seen.append(name)
        return [lambda c=c: visit(name + c) for c in "ab"] if len(name) < 5 else None

    threads.run_tasks([lambda: visit("x"), lambda: visit("y")], n_threads)
    assert len(seen) == len(set(seen)) == 2 * (2**5 - 1)
    if n_threads == 1:  # those that a task returns come before those that wait
        assert [name[0] for name in seen] == sorted(name[0] for name in seen)


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_an_error_ends_the_tasks(n_threads):
    def fail():
        raise ZeroDivisionError("a task")

    def more():
        return [fail, *[lambda: None] * 20]

    with pytest.raises(ZeroDivisionError, match="a task"):
        threads.run_tasks([more, lambda: None], n_threads)
