"""Forests of several outputs: against scikit-learn, against themselves."""

import pickle
from contextlib import nullcontext

import numpy as np
import pytest
from sklearn import ensemble as peers
from sklearn.metrics import accuracy_score, r2_score

import fasttree
from fasttree import (
    RandomForestClassifier,
    RandomForestRegressor,
)
from forest_classes import CLASSIFIERS, FORESTS, REGRESSORS


def data(forest, n_rows=500, seed=0, sizes=(2, 2)):
    """Return rows and two targets: classes of these sizes, or numbers."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, 6)).astype(np.float32)
    scores = np.stack([X[:, 0] + X[:, 1], X[:, 2] - X[:, 1] + X[:, 3] ** 2], axis=1)
    scores += 0.3 * rng.normal(size=scores.shape)
    if forest in REGRESSORS:
        return X, scores * [1.0, 2.0] + [0.0, 1000.0]
    columns = [
        np.searchsorted(np.quantile(own, np.arange(1, size) / size), own)
        for own, size in zip(scores.T, sizes, strict=True)
    ]
    return X, np.stack(columns, axis=1)


def bytes_of(model):
    return [pickle.dumps(tree.tree_) for tree in model.estimators_]


@pytest.mark.parametrize("forest", FORESTS)
@pytest.mark.parametrize("bootstrap", [True, False])
def test_threads_and_warm_starts_change_no_byte(forest, bootstrap):
    X, y = data(forest)
    options = {"random_state": 3, "bootstrap": bootstrap, "oob_score": bootstrap}
    models = [forest(10, n_jobs=n_jobs, **options) for n_jobs in (1, 2, 4)]
    grown = forest(5, warm_start=True, **options)
    with pytest.warns(match="do not have OOB") if bootstrap else nullcontext():
        for model in [*models, grown]:
            model.fit(X, y)
        grown.set_params(n_estimators=10).fit(X, y)
    for model in [*models[1:], grown]:
        assert bytes_of(model) == bytes_of(models[0])
        if bootstrap:
            assert model.oob_score_ == models[0].oob_score_
        np.testing.assert_array_equal(model.predict(X), models[0].predict(X))


@pytest.mark.parametrize("criterion", ["gini", "entropy", "squared_error"])
def test_full_trees_predict_as_scikit_learn(criterion):
    regresses = criterion == "squared_error"
    forest = RandomForestRegressor if regresses else RandomForestClassifier
    X, y = data(forest, n_rows=1000, sizes=(3, 2))
    new, _ = data(forest, n_rows=200, seed=1)
    options = {"criterion": criterion, "bootstrap": False, "max_features": None}
    # Small nodes have ties, which the two libraries break differently.
    options |= {"n_estimators": 3, "random_state": 0, "max_depth": 4}
    options["min_samples_leaf"] = 20
    model = forest(max_bins=None, **options).fit(X, y)
    peer = getattr(peers, forest.__name__)(**options).fit(X, y)
    assert model.n_outputs_ == peer.n_outputs_ == 2
    assert min(tree.get_n_leaves() for tree in model) > 8
    np.testing.assert_allclose(model.predict(new), peer.predict(new), rtol=1e-9)
    np.testing.assert_allclose(
        model.feature_importances_, peer.feature_importances_, rtol=1e-9
    )
    if regresses:
        return
    for own, other in zip(
        model.predict_proba(new), peer.predict_proba(new), strict=True
    ):
        np.testing.assert_allclose(own, other, rtol=1e-9)
    for own, other in zip(
        model.predict_log_proba(new), model.predict_proba(new), strict=True
    ):
        np.testing.assert_allclose(np.exp(own), other, rtol=1e-9)
    assert model.n_classes_ == peer.n_classes_ == [3, 2]
    for own, other in zip(model.classes_, peer.classes_, strict=True):
        np.testing.assert_array_equal(own, other)


@pytest.mark.parametrize("forest", FORESTS)
def test_out_of_bag_is_as_good_as_scikit_learn(forest):
    X, y = data(forest, n_rows=1000)
    options = {"n_estimators": 150, "bootstrap": True, "oob_score": True}
    model = forest(random_state=0, **options).fit(X, y)
    peer = getattr(peers, forest.__name__)(random_state=0, **options).fit(X, y)
    assert abs(model.oob_score_ - peer.oob_score_) < 0.03
    name = "oob_decision_function_" if forest in CLASSIFIERS else "oob_prediction_"
    own, other = getattr(model, name), getattr(peer, name)
    assert own.shape == other.shape
    assert np.corrcoef(own.ravel(), other.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("forest", FORESTS)
def test_out_of_bag_is_of_trees_that_did_not_draw(forest):
    X, y = data(forest, n_rows=200)
    model = forest(40, bootstrap=True, oob_score=True, random_state=1).fit(X, y)
    sums = np.zeros((200, 2, 2) if forest in CLASSIFIERS else (200, 2))
    n_trees = np.zeros(200)
    for tree, drawn in zip(model, model.estimators_samples_, strict=True):
        out = np.setdiff1d(np.arange(200), drawn)
        n_trees[out] += 1
        if forest in CLASSIFIERS:
            sums[out] += np.stack(tree.predict_proba(X[out]), axis=2)
        else:
            sums[out] += tree.predict(X[out])
    means = sums / n_trees.reshape(-1, *[1] * (sums.ndim - 1))
    if forest in CLASSIFIERS:
        np.testing.assert_allclose(model.oob_decision_function_, means, atol=1e-9)
        assert model.oob_score_ == accuracy_score(y, means.argmax(axis=1))
    else:
        np.testing.assert_allclose(model.oob_prediction_, means, rtol=1e-9)
        np.testing.assert_allclose(model.oob_score_, r2_score(y, means))


@pytest.mark.parametrize("forest", FORESTS)
def test_two_copies_of_a_target_are_one_target(forest):
    X, y = data(forest)
    options = {"n_estimators": 5, "random_state": 0, "bootstrap": True}
    single = forest(**options).fit(X, y[:, 0])
    double = forest(**options).fit(X, y[:, [0, 0]])
    expected = np.stack([single.predict(X)] * 2, axis=1)
    np.testing.assert_allclose(double.predict(X), expected, rtol=1e-7)


@pytest.mark.parametrize("criterion", ["absolute_error", "poisson"])
def test_other_losses(criterion):
    X, y = data(RandomForestRegressor, n_rows=300)
    y = np.abs(y)
    options = {"criterion": criterion, "n_estimators": 30, "random_state": 0}
    model = RandomForestRegressor(**options).fit(X, y)
    peer = peers.RandomForestRegressor(**options).fit(X, y)
    new, _ = data(RandomForestRegressor, n_rows=200, seed=1)
    own, other = model.predict(new), peer.predict(new)
    for output in range(2):
        assert np.corrcoef(own[:, output], other[:, output])[0, 1] > 0.9


@pytest.mark.parametrize("forest", CLASSIFIERS)
@pytest.mark.parametrize("bootstrap", [True, False])
@pytest.mark.parametrize(
    "class_weight",
    ["balanced", "balanced_subsample", [{0: 1, 1: 5, 2: 1}, {0: 2.5, 1: 1}]],
)
def test_class_weights(forest, bootstrap, class_weight):
    X, y = data(forest, n_rows=800, sizes=(3, 2))
    kept = (y[:, 0] != 1) | (np.arange(800) % 8 == 0)
    X, y = X[kept], y[kept]
    options = {"class_weight": class_weight, "bootstrap": bootstrap}
    options |= {"n_estimators": 50, "random_state": 0, "min_samples_leaf": 20}
    model = forest(**options).fit(X, y)
    peer = getattr(peers, forest.__name__)(**options).fit(X, y)
    for own, other in zip(model.predict_proba(X), peer.predict_proba(X), strict=True):
        assert np.abs(own - other).mean() < 0.04
    plain = forest(**{**options, "class_weight": None}).fit(X, y)
    gain = model.predict_proba(X)[0][:, 1] - plain.predict_proba(X)[0][:, 1]
    assert gain.mean() > 0.1


@pytest.mark.parametrize("forest", FORESTS)
def test_saved_pickled_and_merged_forests_predict_the_same(forest, tmp_path):
    X, y = data(forest, sizes=(3, 2))
    if forest in CLASSIFIERS:
        y = np.array(["a", "b", "c"])[y]
    model = forest(6, random_state=0).fit(X, y)
    model.save(tmp_path / "forest")
    for other in (
        fasttree.load(tmp_path / "forest"),
        pickle.loads(pickle.dumps(model)),
    ):
        np.testing.assert_array_equal(other.predict(X), model.predict(X))
        assert other.n_outputs_ == 2
        assert bytes_of(other) == bytes_of(model)
        if forest in CLASSIFIERS:
            assert other.n_classes_ == [3, 2]
    second = forest(6, random_state=1).fit(X, y)
    merged = model.merge(second)
    assert len(merged) == 12
    if forest in CLASSIFIERS:
        own, first, last = (m.predict_proba(X) for m in (merged, model, second))
        for joint, a, b in zip(own, first, last, strict=True):
            np.testing.assert_allclose(joint, (a + b) / 2)
    else:
        np.testing.assert_allclose(
            merged.predict(X), (model.predict(X) + second.predict(X)) / 2
        )
    with pytest.raises(ValueError, match="outputs"):
        model.merge(forest(2, random_state=5).fit(X, y[:, 0]))


@pytest.mark.parametrize("forest", FORESTS)
def test_importances_out_of_the_bag(forest):
    X, y = data(forest, n_rows=800)
    model = forest(20, bootstrap=True, random_state=0).fit(X, y)
    for importances in (
        model.feature_importances_,
        model.oob_feature_importances(X, y),
        model.oob_permutation_importances(X, y, random_state=0),
    ):
        assert importances.shape == (6,)
        assert importances[:4].min() > 1.5 * importances[4:].max()
    with pytest.raises(ValueError, match="2 columns"):
        model.oob_feature_importances(X, y[:, 0])


@pytest.mark.parametrize("forest", FORESTS)
def test_what_needs_one_output_says_so(forest):
    X, y = data(forest)
    model = forest(20, bootstrap=True, oob_score=True, random_state=0).fit(X, y)
    if forest in CLASSIFIERS:
        methods = [model.predict_set]
    else:
        methods = [model.predict_interval, model.predict_quantiles]
    for method in methods:
        with pytest.raises(ValueError, match="one output; this forest was fitted on 2"):
            method(X)
    with pytest.raises(ValueError, match="monotonic_cst must be None"):
        forest(monotonic_cst=[1, 0, 0, 0, 0, 0]).fit(X, y)


def test_out_of_bag_scores_of_many_classes_and_outputs_are_refused():
    X, y = data(RandomForestClassifier, sizes=(3, 2))
    model = RandomForestClassifier(5, oob_score=True)
    with pytest.raises(ValueError, match="multiclass-multioutput"):
        model.fit(X, y)


def test_best_first_trees_and_predictors():
    X, y = data(RandomForestClassifier, sizes=(3, 2))
    model = RandomForestClassifier(5, max_leaf_nodes=9, random_state=0).fit(X, y)
    assert {tree.get_n_leaves() for tree in model} == {9}
    expected = np.hstack([own[0] for own in model.predict_proba(X[:1])])
    of_row = model.predictor().predict_proba_many(X[:1])
    np.testing.assert_allclose(np.hstack(of_row)[0], expected)


def test_more_classes_than_codes_are_refused():
    X = np.arange(70_000.0)[:, None]
    for y in (np.arange(70_000), np.stack([np.arange(70_000) // 2] * 2, axis=1)):
        with pytest.raises(ValueError, match="70000 classes; at most 65536"):
            RandomForestClassifier(1).fit(X, y)


def test_poisson_refuses_negative_targets():
    X, y = data(RandomForestRegressor)
    for target in (-np.abs(y), np.zeros_like(y)):
        with pytest.raises(ValueError, match="y must"):
            RandomForestRegressor(2, criterion="poisson").fit(X, target)
