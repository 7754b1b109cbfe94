"""scikit-learn's callbacks on forests."""
# ruff: noqa: ARG002 - scikit-learn passes what hooks name

import threading

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.model_selection import GridSearchCV

from fasttree import (
    RandomForestClassifier,
    RandomForestRegressor,
)
from forest_classes import FORESTS


class Recorder:
    """What a callback was told, in order."""

    def __init__(self, stop_after=None, fails=False):
        self.told, self.stop_after, self.fails = [], stop_after, fails
        self.inside = threading.Lock()

    def note(self, *words):
        assert self.inside.acquire(blocking=False), "called twice at a time"
        self.told.append(words)
        self.inside.release()

    def setup(self, estimator, context):
        self.note("setup", context.task_name)

    def teardown(self, estimator, context):
        self.note("teardown", context.task_name)

    def on_fit_task_begin(self, estimator, context):
        self.note("begin", context.task_name, context.task_id)

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        assert fitted_estimator.predict(X).shape == y.shape
        self.note("end", context.task_name, context.task_id, len(fitted_estimator))
        if self.fails:
            raise RuntimeError("no more")
        return self.stop_after is not None and len(fitted_estimator) >= self.stop_after

    def words(self, first):
        return [words[1:] for words in self.told if words[0] == first]


def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4))
    return X, (X[:, 0] > 0).astype(int)


@pytest.mark.parametrize("forest", FORESTS)
@pytest.mark.parametrize("n_jobs", [1, 3])
def test_each_tree_is_a_task(forest, n_jobs):
    X, y = data()
    recorder = Recorder()
    model = forest(7, n_jobs=n_jobs, random_state=0).set_callbacks(recorder).fit(X, y)
    assert recorder.told[0] == ("setup", "fit")
    assert recorder.told[1] == ("begin", "fit", 0)
    assert recorder.told[-2] == ("end", "fit", 0, 7)
    assert recorder.told[-1] == ("teardown", "fit")
    begun = [number for name, number in recorder.words("begin") if name == "tree"]
    assert sorted(begun) == list(range(7))
    ends = [(number, n) for name, number, n in recorder.words("end") if name == "tree"]
    assert sorted(number for number, _ in ends) == list(range(7))
    counts = [n for _, n in ends]  # another thread's tree may be there by then
    assert counts == sorted(counts)
    assert counts[-1] == 7
    plain = forest(7, random_state=0).fit(X, y)
    np.testing.assert_array_equal(model.predict(X), plain.predict(X))


def test_a_callback_may_end_a_fit():
    X, y = data()
    model = RandomForestClassifier(50, random_state=0, n_jobs=1)
    model.set_callbacks(Recorder(stop_after=4)).fit(X, y)
    assert len(model) == 4


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_callbacks_are_torn_down_when_a_fit_fails(n_jobs):
    X, y = data()
    recorder = Recorder(fails=True)
    model = RandomForestClassifier(5, n_jobs=n_jobs).set_callbacks(recorder)
    before = vars(model).copy()
    with pytest.raises(RuntimeError, match="no more"):
        model.fit(X, y)
    assert recorder.told[-1] == ("teardown", "fit")
    assert vars(model) == before
    late = Recorder()
    with pytest.raises(ValueError, match="one entry for each"):
        model.set_callbacks(late).fit(X, y, groups=[0])
    assert [words[0] for words in late.told] == ["setup", "begin", "teardown"]


def test_a_warm_start_tells_of_new_trees_alone():
    X, y = data()
    model = RandomForestRegressor(3, warm_start=True, random_state=0).fit(X, y)
    recorder = Recorder()
    model.set_callbacks(recorder).set_params(n_estimators=5).fit(X, y)
    assert [n for name, _, n in recorder.words("end") if name == "tree"] == [4, 5]


def test_scores_are_monitored():
    X, y = data()
    monitor = ScoringMonitor(scoring="accuracy")
    model = RandomForestClassifier(5, random_state=0, n_jobs=2).set_callbacks(monitor)
    model.fit(X, y)
    scores = [row["accuracy"] for row in monitor.get_logs().data]
    assert len(scores) == 6
    assert model.score(X, y) in scores
    assert clone(model).get_params() == model.get_params()


def test_progress_of_a_search_reaches_the_forest(capsys):
    pytest.importorskip("rich")
    X, y = data()
    search = GridSearchCV(
        RandomForestClassifier(4, random_state=0), {"max_depth": [2, 3]}, cv=2
    )
    search.set_callbacks(ProgressBar()).fit(X, y)
    assert "RandomForestClassifier" in capsys.readouterr().out
