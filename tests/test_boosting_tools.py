"""scikit-learn's tools on boosted trees: they agree with what can be recomputed."""
# ruff: noqa: ARG002 - scikit-learn passes what hooks name

import signal
import threading

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.compose import make_column_transformer
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.metrics import log_loss
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    cross_val_predict,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from boosting_data import PLAIN, data, queries
from fasttree import (
    GradientBoostingClassifier,
    GradientBoostingRanker,
    GradientBoostingRegressor,
    load,
)


def classes(n_rows=600):
    X, score = data(n_rows)
    return X, (score > 0.5).astype(int)


def test_calibration_mends_weights():
    X, y = classes(2000)
    weight = np.where(y[:1000], 8.0, 1.0)
    model = GradientBoostingClassifier(max_iter=20)
    skewed = clone(model).fit(X[:1000], y[:1000], weight).predict_proba(X[1000:])
    calibrated = CalibratedClassifierCV(model, cv=3).fit(X[:1000], y[:1000])
    p = calibrated.predict_proba(X[1000:])
    assert np.allclose(p.sum(axis=1), 1)
    assert log_loss(y[1000:], p) < log_loss(y[1000:], skewed)


def test_importances_find_the_features_that_count():
    X, y = classes()
    model = GradientBoostingClassifier(max_iter=20).fit(X, y)
    drops = permutation_importance(model, X, y, n_repeats=2, random_state=0)
    assert set(np.argsort(-drops.importances_mean)[:3]) == {0, 1, 2}
    assert model.feature_importances_.sum() == pytest.approx(1)
    assert set(np.argsort(-model.feature_importances_)[:3]) == {0, 1, 2}
    counts = model.compute_feature_importances("split", normalize=False)
    inner = sum(int((tree.feature >= 0).sum()) for tree in model.ensemble_)
    assert counts.sum() == inner


def test_partial_dependence_is_the_mean_prediction():
    X, y = data(300)
    model = GradientBoostingRegressor(max_iter=10).fit(X, y)
    found = partial_dependence(model, X, [0], grid_resolution=7)
    for value, mean in zip(found["grid_values"][0], found["average"][0], strict=True):
        rows = X.copy()
        rows[:, 0] = value
        assert mean == pytest.approx(model.predict(rows).mean())


def test_a_search_refits_the_best_parameters():
    X, y = classes()
    model = GradientBoostingClassifier(max_iter=10, random_state=0)
    grid = {"max_leaf_nodes": [2, 15], "grow_policy": ["lossguide", "depthwise"]}
    search = GridSearchCV(model, grid, cv=2, n_jobs=2).fit(X, y)
    again = clone(model).set_params(**search.best_params_).fit(X, y)
    assert np.array_equal(search.predict_proba(X), again.predict_proba(X))
    assert search.best_params_["max_leaf_nodes"] == 15


def test_cross_val_predict_is_each_folds_prediction():
    X, y = data(300)
    folds = KFold(3)
    model = GradientBoostingRegressor(max_iter=5)
    found = cross_val_predict(model, X, y, cv=folds)
    for train, test in folds.split(X):
        wanted = clone(model).fit(X[train], y[train]).predict(X[test])
        assert np.array_equal(found[test], wanted)


def test_frames_pass_through_a_pipeline_with_their_categories():
    X, score = data(600)
    frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(6)])
    kinds = np.random.default_rng(0).integers(0, 3, 600)
    frame["kind"] = pd.Categorical(np.array(["a", "b", "c"])[kinds])
    y = score + 5 * (kinds == 1)
    scale = make_column_transformer(
        (StandardScaler(), ["f0", "f1"]),
        remainder="passthrough",
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    model = make_pipeline(scale, GradientBoostingRegressor(max_iter=30)).fit(frame, y)
    assert model.score(frame, y) > 0.9
    names = model[-1].feature_names_in_.tolist()
    assert names == ["f0", "f1", "f2", "f3", "f4", "f5", "kind"]
    assert any(tree.is_categorical.any() for tree in model[-1].ensemble_)
    with pytest.raises(ValueError, match="columns are missing"):
        model.predict(frame.drop(columns="f0"))


@pytest.mark.parametrize(
    ("given", "groups"),
    [
        ([{0, 1}, {1, 2, 3}], [{0, 1}, {1, 2, 3}, {4, 5}]),
        ("pairwise", [{a, b} for a in range(6) for b in range(a)]),
        ("no_interactions", [{f} for f in range(6)]),
    ],
)
def test_branches_keep_to_groups_that_may_interact(given, groups):
    X, y = data()
    model = GradientBoostingRegressor(max_iter=20, interaction_cst=given, **PLAIN)
    seen = set()
    for tree in model.fit(X, y).ensemble_:
        stack = [(0, frozenset())]
        while stack:
            node, used = stack.pop()
            if tree.children_left[node] < 0:
                assert any(used <= group for group in groups)
                seen.add(used)
                continue
            used |= {int(tree.feature[node])}
            stack += [
                (tree.children_left[node], used),
                (tree.children_right[node], used),
            ]
    assert max(map(len, seen)) == max(map(len, groups))


# --- Metadata ----------------------------------------------------------------------


def test_metadata_is_routed():
    X, y, qid = queries(30)
    weight = np.linspace(0.5, 2, len(y))
    with sklearn.config_context(enable_metadata_routing=True):
        ranker = GradientBoostingRanker(max_iter=2)
        ranker.set_fit_request(qid=True).set_score_request(qid=True)
        scores = cross_validate(
            ranker, X, y, params={"qid": qid}, cv=GroupKFold(2).split(X, y, qid)
        )
        assert scores["test_score"].min() > 0.3
        model = GradientBoostingRegressor(max_iter=3)
        model.set_fit_request(sample_weight=True, init_score=True)
        piped = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=False), model
        )
        piped.fit(X, y, sample_weight=weight, init_score=y / 2)
    scaled = StandardScaler().fit_transform(X)
    direct = GradientBoostingRegressor(max_iter=3)
    direct.fit(scaled, y, sample_weight=weight, init_score=y / 2)
    assert np.array_equal(piped.predict(X), direct.predict(scaled))


def test_a_fit_goes_on_from_init_score():
    X, y = data()
    first = GradientBoostingRegressor(max_iter=5, **PLAIN).fit(X, y)
    whole = GradientBoostingRegressor(max_iter=9, **PLAIN).fit(X, y)
    rest = GradientBoostingRegressor(max_iter=4, **PLAIN)
    rest.fit(X, y, init_score=first.predict(X))
    assert np.allclose(first.predict(X) + rest.predict(X), whole.predict(X), atol=1e-4)


def test_weights_of_an_eval_set_count():
    X, y = data()
    weight = np.where(np.arange(1000) < 500, 1.0, 0.0)
    model = GradientBoostingRegressor(max_iter=5, **PLAIN)
    some = clone(model).fit(X[1000:], y[1000:], eval_set=(X[:500], y[:500]))
    all_ = clone(model).fit(X[1000:], y[1000:], eval_set=(X[:1000], y[:1000], weight))
    assert np.allclose(some.validation_score_, all_.validation_score_)


def test_goss_learns_from_fewer_rows():
    X, y = data(20_000)
    model = GradientBoostingRegressor(sampling="goss", random_state=0, **PLAIN)
    model.fit(X[:15_000], y[:15_000])
    assert model.score(X[15_000:], y[15_000:]) > 0.95
    n = np.array([tree.n_node_samples[0] for tree in model.ensemble_])
    # 0.2 of the rows with the largest gradients, and 0.1 drawn from the others.
    assert np.abs(n / 15_000 - 0.3).max() < 0.03


def test_a_saved_classifier_is_the_same(tmp_path):
    X, score = data(600)
    frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(6)])
    frame["kind"] = pd.Categorical(np.where(X[:, 4] > 0, "a", "b"))
    y = np.digitize(score, [0.0, 1.0])
    model = GradientBoostingClassifier(max_iter=5).fit(frame, y)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert np.array_equal(again.predict_proba(frame), model.predict_proba(frame))
    stages = zip(again.staged_predict(frame), model.staged_predict(frame), strict=True)
    assert all(np.array_equal(a, b) for a, b in stages)
    assert np.array_equal(again.feature_importances_, model.feature_importances_)


# --- Callbacks and interrupts ------------------------------------------------------


class Recorder:
    """What a callback was told, in order."""

    def __init__(self, stop_after=None, fails=False):
        self.told, self.stop_after, self.fails = [], stop_after, fails

    def setup(self, estimator, context):
        self.told.append("setup")

    def teardown(self, estimator, context):
        self.told.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.told.append(("begin", context.task_name, context.task_id))

    def on_fit_task_end(self, estimator, context, *, X, y, fitted_estimator):
        assert fitted_estimator.predict(X).shape == y.shape
        self.told.append(("end", context.task_name, fitted_estimator.n_iter_))
        if self.fails:
            raise RuntimeError("no more")
        return fitted_estimator.n_iter_ == self.stop_after


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_each_iteration_is_a_task(n_classes, n_jobs):
    X, score = data(70_000 if n_jobs == 2 else 500)
    y = np.digitize(score, [0.0, 1.0][: n_classes - 1])
    recorder = Recorder()
    model = GradientBoostingClassifier(max_iter=3, n_jobs=n_jobs, **PLAIN)
    model.set_callbacks(recorder).fit(X, y)
    steps = [
        told
        for i in range(3)
        for told in (("begin", "iteration", i), ("end", "iteration", i + 1))
    ]
    start, end = ["setup", ("begin", "fit", 0)], [("end", "fit", 3), "teardown"]
    assert recorder.told == start + steps + end
    plain = GradientBoostingClassifier(max_iter=3, **PLAIN).fit(X, y)
    assert np.array_equal(plain.predict_proba(X), model.predict_proba(X))


def test_a_callback_may_end_a_fit():
    X, y = data(300)
    model = GradientBoostingRegressor(**PLAIN).set_callbacks(Recorder(stop_after=4))
    assert model.fit(X, y).n_iter_ == 4


def test_callbacks_are_torn_down_when_a_fit_fails():
    X, y = data(300)
    recorder = Recorder(fails=True)
    model = GradientBoostingRegressor(**PLAIN).set_callbacks(recorder)
    before = vars(model).copy()
    with pytest.raises(RuntimeError, match="no more"):
        model.fit(X, y)
    assert recorder.told[-1] == "teardown"
    assert vars(model) == before


def test_a_warm_start_tells_of_new_iterations_alone():
    X, y = data(300)
    model = GradientBoostingRegressor(max_iter=3, warm_start=True, **PLAIN).fit(X, y)
    recorder = Recorder()
    model.set_callbacks(recorder).set_params(max_iter=5).fit(X, y)
    ends = [told[2] for told in recorder.told if told[:2] == ("end", "iteration")]
    assert ends == [4, 5]


def test_scores_are_monitored():
    X, y = classes()
    monitor = ScoringMonitor(scoring="accuracy")
    model = GradientBoostingClassifier(max_iter=5, **PLAIN).set_callbacks(monitor)
    model.fit(X, y)
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "iteration"]
    wanted = [(stage == y).mean() for stage in model.staged_predict(X)]
    assert [row["accuracy"] for row in rows] == wanted


def test_progress_of_a_search_reaches_boosting(capsys):
    pytest.importorskip("rich")
    X, y = classes(200)
    search = GridSearchCV(
        GradientBoostingClassifier(max_iter=3), {"max_depth": [2, 3]}, cv=2
    )
    search.set_callbacks(ProgressBar()).fit(X, y)
    assert "GradientBoostingClassifier" in capsys.readouterr().out


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs signals")
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_interrupt_ends_a_fit(n_jobs, request):
    # Processes that a shell starts in the background ignore it.
    default = signal.default_int_handler
    former = signal.signal(signal.SIGINT, default)  # None: not from Python
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, former or default))
    X, y = data(70_000)
    model = GradientBoostingRegressor(max_iter=2, n_jobs=n_jobs, **PLAIN).fit(X, y)
    model.set_params(max_iter=5_000)
    before = vars(model).copy()
    main = threading.get_ident()
    timer = threading.Timer(0.5, signal.pthread_kill, (main, signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, -y)
    timer.join()
    assert vars(model) == before
    assert model.n_iter_ == 2
