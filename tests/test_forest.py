"""Forests: against scikit-learn, against themselves, and every option."""

import itertools
import pickle

import numpy as np
import pytest
from sklearn import ensemble as peers
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.metrics import balanced_accuracy_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from fasttree import (
    DecisionTreeClassifier,
    EncodedTable,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    threads,
)
from fasttree.ensembles.forest import Bootstrap, RowDraws
from fasttree.estimators._forest_progress import Progress
from forest_classes import CLASSIFIERS, FORESTS, REGRESSORS

WEIGHTS = {
    f"check_sample_weight_equivalence_on_{kind}_data": "weights drive the bootstrap"
    for kind in ("dense", "sparse")
}


@parametrize_with_checks(
    [forest(n_estimators=10) for forest in FORESTS],
    expected_failed_checks=lambda model: WEIGHTS if model.bootstrap else {},
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def data(n_rows=600, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, 8)).astype(np.float32)
    X[:, 1] = rng.integers(0, 6, n_rows)
    X[rng.random(n_rows) < 0.1, 2] = np.nan
    score = X[:, 0] + np.nan_to_num(X[:, 2]) + (X[:, 1] == 3)
    return X, score + 0.3 * rng.normal(size=n_rows)


def target_of(forest, score):
    return np.digitize(score, [-0.5, 0.5]) if forest in CLASSIFIERS else score


def bytes_of(model):
    return [
        [array.tobytes() for array in tree.tree_.__getstate__().values()
         if isinstance(array, np.ndarray)]
        for tree in model.estimators_
    ]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Some inputs do not have OOB scores")
@pytest.mark.parametrize("forest", FORESTS)
@pytest.mark.parametrize("bootstrap", [True, False])
def test_threads_and_warm_starts_change_no_byte(forest, bootstrap):
    X, score = data()
    y = target_of(forest, score)
    options = {"random_state": 3, "bootstrap": bootstrap, "oob_score": bootstrap}
    models = [forest(12, n_jobs=n_jobs, **options).fit(X, y) for n_jobs in (1, 2, 4)]
    grown = forest(5, warm_start=True, **options).fit(X, y)
    models.append(grown.set_params(n_estimators=12).fit(X, y))
    expected = bytes_of(models[0])
    assert len(expected) == 12
    assert len({tuple(tree) for tree in expected}) == 12
    for model in models[1:]:
        assert bytes_of(model) == expected
        if bootstrap:
            assert model.oob_score_ == models[0].oob_score_
        np.testing.assert_array_equal(model.predict(X), models[0].predict(X))


@pytest.mark.parametrize("forest", FORESTS)
def test_quality_is_that_of_scikit_learn(forest):
    if forest in CLASSIFIERS:
        X, y = load_digits(return_X_y=True)
        tolerance = 0.01
    else:
        X, y = load_diabetes(return_X_y=True)
        tolerance = 0.03
    options = {"oob_score": True, "bootstrap": True, "n_estimators": 100}
    model = forest(random_state=0, **options).fit(X, y)
    peer = getattr(peers, forest.__name__)(random_state=0, n_jobs=2, **options)
    assert model.oob_score_ > peer.fit(X, y).oob_score_ - tolerance
    importances = np.corrcoef(model.feature_importances_, peer.feature_importances_)
    assert importances[0, 1] > 0.95
    np.testing.assert_allclose(model.feature_importances_.sum(), 1.0)


@pytest.mark.parametrize("forest", FORESTS)
def test_predictions_are_means_over_the_trees(forest):
    X, score = data()
    model = forest(7, random_state=0).fit(X, target_of(forest, score))
    if forest in CLASSIFIERS:
        of_trees = [tree.predict_proba(X) for tree in model]
        np.testing.assert_allclose(model.predict_proba(X), np.mean(of_trees, axis=0))
    else:
        of_trees = [tree.predict(X) for tree in model]
        np.testing.assert_allclose(model.predict(X), np.mean(of_trees, axis=0))
    leaves = model.apply(X)
    for number, tree in enumerate(model):
        np.testing.assert_array_equal(leaves[:, number], tree.apply(X))
    paths, ends = model.decision_path(X)
    assert paths.shape == (len(X), ends[-1])
    assert (paths.sum(axis=1) >= 7).all()
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(model)).predict(X), model.predict(X)
    )


@pytest.mark.parametrize("forest", FORESTS)
def test_out_of_bag_predictions_are_of_trees_that_did_not_draw(forest):
    X, score = data(200)
    y = target_of(forest, score)
    model = forest(30, random_state=1, bootstrap=True, oob_score=True).fit(X, y)
    n = np.zeros(len(X))
    total = 0.0
    for tree, rows in zip(model, model.estimators_samples_, strict=True):
        out = ~np.isin(np.arange(len(X)), rows)
        n += out
        if forest in CLASSIFIERS:
            total = total + tree.predict_proba(X) * out[:, None]
        else:
            total = total + tree.predict(X) * out
    if forest in CLASSIFIERS:
        expected, own = total / n[:, None], model.oob_decision_function_
        assert model.oob_score_ == np.mean(expected.argmax(axis=1) == y)
    else:
        expected, own = total / n, model.oob_prediction_
    np.testing.assert_allclose(own, expected, atol=1e-10)


def test_a_tree_counts_its_rows_as_often_as_it_drew_them():
    X, score = data()
    model = RandomForestClassifier(3, random_state=0, max_bins=None)
    model.fit(X, score > 0)
    for tree, rows in zip(model, model.estimators_samples_, strict=True):
        counts = np.bincount(rows, minlength=len(X))
        assert tree.tree_.n_node_samples[0] == (counts > 0).sum()
        assert tree.tree_.weighted_n_node_samples[0] == len(X)
        leaves = tree.apply(X)
        of_leaf = np.bincount(leaves, counts, minlength=tree.tree_.node_count)
        is_leaf = tree.tree_.children_left < 0
        np.testing.assert_array_equal(
            of_leaf[is_leaf], tree.tree_.weighted_n_node_samples[is_leaf]
        )
        drawn = counts > 0
        np.testing.assert_array_equal(tree.predict(X)[drawn], (score > 0)[drawn])


def test_weights_drive_the_draw():
    X, score = data()
    weight = np.where(np.arange(len(X)) < 300, 3.0, 0.0)
    weight[300:400] = 1.0
    model = RandomForestClassifier(60, random_state=0)
    model.fit(X, score > 0, sample_weight=weight)
    drawn = np.bincount(np.concatenate(model.estimators_samples_), minlength=len(X))
    assert drawn[400:].sum() == 0
    assert abs(drawn[:300].sum() / drawn[300:400].sum() - 9) < 0.5
    assert drawn.sum() == 60 * len(X)


def test_without_a_bootstrap_weights_are_the_trees():
    X, score = data()
    weight = np.random.default_rng(0).integers(0, 3, len(X)).astype(float)
    for forest in (RandomForestClassifier, ExtraTreesClassifier):
        model = forest(3, random_state=0, bootstrap=False, max_bins=None)
        model.fit(X, score > 0, sample_weight=weight)
        for tree in model:
            assert tree.tree_.weighted_n_node_samples[0] == weight.sum()


@pytest.mark.parametrize("criterion", ["gini", "entropy"])
def test_class_weights(criterion):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 5))
    y = (X[:, 0] + 0.7 * rng.normal(size=3000) > 1.6).astype(int)
    recalls = {}
    for weight in (None, "balanced", "balanced_subsample", {0: 1, 1: 8}):
        model = RandomForestClassifier(
            20, random_state=0, class_weight=weight, criterion=criterion,
            min_samples_leaf=5,
        ).fit(X[:1500], y[:1500])  # fmt: skip
        recalls[str(weight)] = balanced_accuracy_score(
            y[1500:], model.predict(X[1500:])
        )
    plain = recalls.pop("None")
    assert min(recalls.values()) > plain + 0.03


def test_groups_are_drawn_whole():
    X, score = data()
    groups = np.repeat(np.arange(60), 10)
    model = RandomForestRegressor(10, random_state=0).fit(X, score, groups=groups)
    for rows in model.estimators_samples_:
        counts = np.bincount(rows, minlength=len(X)).reshape(60, 10)
        assert (counts == counts[:, :1]).all()
        assert counts[:, 0].sum() == 60
    with pytest.raises(ValueError, match="groups"):
        RandomForestRegressor(bootstrap=False).fit(X, score, groups=groups)
    with pytest.raises(ValueError, match="groups must have one entry"):
        RandomForestRegressor().fit(X, score, groups=groups[1:])


def test_groups_of_copies_keep_the_out_of_bag_score_honest():
    rng = np.random.default_rng(0)
    X = np.repeat(rng.normal(size=(100, 4)), 10, axis=0)
    y = np.repeat(rng.integers(0, 2, 100), 10)
    options = {"n_estimators": 30, "random_state": 0, "oob_score": True}
    naive = RandomForestClassifier(**options).fit(X, y)
    honest = RandomForestClassifier(**options).fit(
        X, y, groups=np.repeat(np.arange(100), 10)
    )
    assert naive.oob_score_ > 0.95
    assert honest.oob_score_ < 0.7


def test_budgets_end_a_fit():
    X, score = data()
    model = RandomForestRegressor(200, random_state=0, max_bytes=1, n_jobs=1)
    assert len(model.fit(X, score)) == 1
    seen = []
    model = RandomForestRegressor(
        200, random_state=0, n_jobs=1, callback=lambda n: seen.append(n) or n >= 5
    ).fit(X, score)
    assert len(model) == 5
    assert seen == [1, 2, 3, 4, 5]
    whole = RandomForestRegressor(5, random_state=0).fit(X, score)
    assert bytes_of(whole) == bytes_of(model)
    assert len(RandomForestRegressor(20, max_time=1e-9, n_jobs=1).fit(X, score)) == 1


def test_a_steady_out_of_bag_score_ends_a_fit():
    X, y = load_breast_cancer(return_X_y=True)
    options = {"n_estimators": 300, "random_state": 0, "oob_tolerance": 0.004}
    models = [
        RandomForestClassifier(n_jobs=n_jobs, **options).fit(X, y) for n_jobs in (1, 2)
    ]
    assert len(models[0]) % 10 == 0
    assert 40 <= len(models[0]) < 300
    assert bytes_of(models[0]) == bytes_of(models[1])
    with pytest.raises(ValueError, match="Out of bag"):
        RandomForestClassifier(bootstrap=False, oob_tolerance=0.1).fit(X, y)


@pytest.mark.filterwarnings("ignore:Some inputs do not have OOB scores")
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_interrupt_keeps_trees_when_asked(n_jobs):
    X, score = data()

    def interrupt(n_trees):
        if n_trees == 6:
            raise KeyboardInterrupt

    options = {"n_estimators": 30, "random_state": 0, "n_jobs": n_jobs}
    options |= {"oob_score": True}
    kept = RandomForestRegressor(
        callback=interrupt, on_interrupt="keep", warm_start=True, **options
    ).fit(X, score)
    assert 4 <= len(kept) < 30
    whole = RandomForestRegressor(**options).fit(X, score)
    assert bytes_of(kept) == bytes_of(whole)[: len(kept)]
    kept.set_params(callback=None).fit(X, score)
    assert bytes_of(kept) == bytes_of(whole)
    assert kept.oob_score_ == whole.oob_score_

    model = RandomForestRegressor(**options).fit(X, score)
    before = bytes_of(model)
    with pytest.raises(KeyboardInterrupt):
        model.set_params(callback=interrupt).fit(X, -score)
    assert bytes_of(model) == before


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("forest", [RandomForestClassifier, ExtraTreesClassifier])
def test_an_interrupt_ends_a_tree_that_is_being_grown(n_jobs, forest, monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100_000, 12))
    y = rng.random(len(X)) < 0.5
    options = {"random_state": 0, "n_jobs": n_jobs, "max_features": None}
    options |= {"max_depth": 7, "warm_start": True}
    whole = forest(6, **options).fit(X, y)
    check, use, done, raised = threads.check, Progress.use, set(), []

    def note(progress, position, *tree):
        use(progress, position, *tree)
        done.add(position)

    def interrupt():
        if 0 in done and not raised:
            raised.append(True)
            raise KeyboardInterrupt
        check()

    monkeypatch.setattr(Progress, "use", note)
    monkeypatch.setattr(threads, "check", interrupt)
    with pytest.raises(KeyboardInterrupt):
        forest(6, **options).fit(X, y)
    done.clear()
    raised.clear()
    kept = forest(6, on_interrupt="keep", **options).fit(X, y)
    assert raised
    assert 1 <= len(kept) < 6
    assert bytes_of(kept) == bytes_of(whole)[: len(kept)]
    monkeypatch.undo()
    assert bytes_of(kept.fit(X, y)) == bytes_of(whole)


def test_tables_of_categories():
    X, score = data()
    y = score > 0
    options = {"random_state": 0, "n_estimators": 5, "min_samples_category": 1}
    for forest in FORESTS:
        model = forest(categorical_features=[1], **options).fit(X, y)
        bins = None if forest.splitter == "random" else 255
        table = EncodedTable.from_data(X, max_bins=bins, categorical_features=[1])
        assert bytes_of(forest(**options).fit(table, y)) == bytes_of(model)
        assert any(tree.tree_.is_categorical.any() for tree in model)
        assert np.isfinite(model.predict(X).astype(float)).all()
    with pytest.raises(ValueError, match="max_bins"):
        RandomForestClassifier(max_bins=20).fit(table, y)


def test_best_first_trees():
    X, score = data()
    for forest in FORESTS:
        model = forest(4, max_leaf_nodes=9, random_state=0)
        model.fit(X, target_of(forest, score))
        assert [tree.get_n_leaves() for tree in model] == [9] * 4


def test_pruned_trees():
    X, score = data()
    full = RandomForestRegressor(4, random_state=0).fit(X, score)
    pruned = RandomForestRegressor(4, random_state=0, ccp_alpha=0.01).fit(X, score)
    for a, b in zip(full, pruned, strict=True):
        assert b.get_n_leaves() < a.get_n_leaves()


def test_progress_and_phases_are_told(capsys):
    X, score = data()
    RandomForestRegressor(4, random_state=0, verbose=2).fit(X, score)
    told = capsys.readouterr().out
    assert "4 of 4 trees" in told
    for phase in ("encode", "wide nodes", "narrow nodes", "out of bag", "elsewhere"):
        assert phase in told
    shares = [float(line[:-1].split()[-1]) for line in told.splitlines() if "%" in line]
    assert len(shares) == 9
    assert shares[-1] == 100.0
    np.testing.assert_allclose(sum(shares[:-1]), 100.0, atol=0.5)


def test_weighted_draws_follow_the_weights():
    weights = np.array([0.0, 1.0, 0.0, 2.5, 1e-9, 0.5])
    draws = RowDraws(6, Bootstrap(n_draws=40_000, weights=weights))
    counts = draws.counts(5)
    assert counts.sum() == 40_000
    assert counts[[0, 2]].sum() == 0
    np.testing.assert_allclose(counts / 10_000, weights, atol=0.05)
    np.testing.assert_array_equal(draws.counts(5), counts)


def test_combinations_that_cannot_be():
    X, score = data(50)
    with pytest.raises(ValueError, match="max_samples"):
        RandomForestRegressor(bootstrap=False, max_samples=0.5).fit(X, score)
    with pytest.raises(ValueError, match="Out of bag"):
        ExtraTreesRegressor(oob_score=True).fit(X, score)
    model = RandomForestRegressor(5, warm_start=True).fit(X, score)
    with pytest.raises(ValueError, match="must be larger or equal"):
        model.set_params(n_estimators=3).fit(X, score)
    assert len(model) == 5
    with pytest.warns(UserWarning, match="does not fit new trees"):
        model.set_params(n_estimators=5).fit(X, score)
    assert isinstance(RandomForestClassifier(1).fit(X, score > 0)[0],
                      DecisionTreeClassifier)  # fmt: skip


# --- what rows out of the bag tell ------------------------------------------------


def noisy(n_rows, seed):
    """Two columns that tell something, and two of noise: one of many values."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, 4))
    X[:, 1] = rng.integers(0, 2, n_rows)
    X[:, 3] = rng.integers(0, 2, n_rows)
    signal = X[:, 0] + X[:, 1]
    return X, signal + (0.2 + np.abs(X[:, 0])) * rng.normal(size=n_rows)


@pytest.mark.parametrize("forest", FORESTS)
def test_importances_out_of_the_bag_are_not_fooled_by_noise(forest):
    X, y = noisy(800, 0)
    y = y - y.mean()
    y = (y > 0).astype(int) if forest in CLASSIFIERS else y
    model = forest(60, random_state=0, bootstrap=True, max_features=2).fit(X, y)
    plain = model.feature_importances_
    assert plain[2] > 0.1
    for own in (
        model.oob_feature_importances(X, y),
        model.oob_permutation_importances(X, y, random_state=0),
    ):
        assert own.shape == (4,)
        assert abs(own[[2, 3]]).max() < 0.2 * own[:2].min()
    n_jobs = model.set_params(n_jobs=1).oob_feature_importances(X, y)
    np.testing.assert_array_equal(
        n_jobs, model.set_params(n_jobs=2).oob_feature_importances(X, y)
    )


def test_debiased_importances_are_those_of_their_definition():
    X, y = noisy(120, 1)
    model = RandomForestRegressor(3, random_state=0, max_bins=None).fit(X, y)
    expected = np.zeros(4)
    for tree, rows in zip(model, model.estimators_samples_, strict=True):
        own = tree.tree_
        out = np.setdiff1d(np.arange(len(X)), rows)
        for row in out:
            path = tree.decision_path(X[row : row + 1]).indices
            for node, child in itertools.pairwise(path):
                step = own.value[child, 0, 0] - own.value[node, 0, 0]
                about = y[row] - own.value[0, 0, 0]
                expected[own.feature[node]] += step * about / len(out) / 3
    importances = model.oob_feature_importances(X, y)
    np.testing.assert_allclose(importances, expected)
    shifted = RandomForestRegressor(3, random_state=0, max_bins=None).fit(X, y + 512)
    np.testing.assert_allclose(
        shifted.oob_feature_importances(X, y + 512), importances, atol=1e-3
    )


@pytest.mark.parametrize("forest", REGRESSORS)
def test_intervals_and_quantiles_cover(forest):
    X, y = noisy(3000, 2)
    fresh, truth = noisy(4000, 3)
    model = forest(50, random_state=0, bootstrap=True, oob_score=True)
    model.set_params(min_samples_leaf=3).fit(X, y)
    for coverage in (0.5, 0.9):
        low, high = model.predict_interval(fresh, coverage).T
        covered = np.mean((low <= truth) & (truth <= high))
        assert abs(covered - coverage) < 0.035
    quantiles = model.predict_quantiles(fresh, [0.1, 0.5, 0.9])
    assert (np.diff(quantiles, axis=1) >= 0).all()
    np.testing.assert_allclose(
        (truth[:, None] <= quantiles).mean(axis=0), [0.1, 0.5, 0.9], atol=0.035
    )
    # Wider where the noise is.
    width = quantiles[:, 2] - quantiles[:, 0]
    loud = np.abs(fresh[:, 0]) > 1.5
    assert width[loud].mean() > 1.2 * width[~loud].mean()


@pytest.mark.parametrize("forest", CLASSIFIERS)
def test_label_sets_cover(forest):
    X, score = noisy(3000, 4)
    fresh, truth = noisy(4000, 5)
    cuts = [-0.5, 0.5, 1.2]
    model = forest(50, random_state=0, bootstrap=True, oob_score=True)
    model.set_params(min_samples_leaf=3).fit(X, np.digitize(score, cuts))
    truth = np.digitize(truth, cuts)
    for coverage in (0.7, 0.9):
        sets = model.predict_set(fresh, coverage)
        assert abs(sets[np.arange(len(truth)), truth].mean() - coverage) < 0.03
    assert sets.sum(axis=1).mean() < 3.5


def test_coverage_needs_scores_out_of_the_bag():
    X, y = noisy(60, 0)
    model = RandomForestRegressor(3).fit(X, y)
    for method in (model.predict_interval, model.predict_quantiles):
        with pytest.raises(AttributeError, match="oob_score=True"):
            method(X)
    model = RandomForestRegressor(30, oob_score=True).fit(X, y)
    with pytest.raises(ValueError, match="coverage"):
        model.predict_interval(X, 1.5)
    with pytest.raises(ValueError, match="quantiles"):
        model.predict_quantiles(X, [2.0])
    with pytest.raises(ValueError, match="training data of 60 rows"):
        model.oob_feature_importances(X[1:], y[1:])
    with pytest.raises(ValueError, match="bootstrap"):
        ExtraTreesRegressor(3).fit(X, y).oob_feature_importances(X, y)


def test_merged_forests():
    X, score = data()
    y = score > 0
    first = RandomForestClassifier(4, random_state=0, oob_score=True, warm_start=True)
    with pytest.warns(UserWarning, match="OOB"):
        first.fit(X, y)
    second = RandomForestClassifier(3, random_state=1).fit(X, y)
    both = first.merge(second)
    assert len(both) == both.n_estimators == 7
    assert bytes_of(both) == bytes_of(first) + bytes_of(second)
    np.testing.assert_allclose(
        both.predict_proba(X),
        (4 * first.predict_proba(X) + 3 * second.predict_proba(X)) / 7,
    )
    assert not hasattr(both, "oob_score_")
    assert len(first) == 4
    assert first.oob_score_ > 0
    assert len(both.estimators_samples_) == 7
    with pytest.raises(ValueError, match="same random_state"):
        first.merge(first)
    with pytest.raises(TypeError, match="RandomForestClassifier"):
        first.merge(RandomForestRegressor(2).fit(X, score))
    with pytest.raises(ValueError, match="other features"):
        first.merge(RandomForestClassifier(2, random_state=2).fit(X[:, :4], y))


class TestTreesOfAForest:
    """They are kept in few bytes, and made when they are asked for."""

    def setup_method(self):
        rng = np.random.default_rng(0)
        self.X = rng.normal(size=(500, 4))
        self.y = (self.X[:, 0] + rng.normal(size=500) > 0).astype(int)
        self.model = RandomForestClassifier(10, random_state=0, n_jobs=2)
        self.model.fit(self.X, self.y)

    def test_asking_changes_nothing(self):
        before = self.model.predict_proba(self.X)
        state = pickle.dumps(self.model)
        assert len(self.model.estimators_) == len(self.model) == 10
        assert self.model.estimators_ is self.model.estimators_
        assert self.model[3] is self.model.estimators_[3]
        mean = np.mean([tree.predict_proba(self.X) for tree in self.model], axis=0)
        np.testing.assert_allclose(mean, before, rtol=1e-12)
        np.testing.assert_array_equal(self.model.predict_proba(self.X), before)
        again = pickle.loads(pickle.dumps(self.model))
        np.testing.assert_array_equal(again.predict_proba(self.X), before)
        n_bytes = sum(model.tree_.nbytes for model in self.model)
        assert len(state) < n_bytes / 2

    def test_estimators_may_be_exchanged(self):
        other = clone(self.model).set_params(random_state=1).fit(self.X, self.y)
        self.model.estimators_[0].tree_ = other.estimators_[0].tree_
        self.model.estimators_[1:] = other.estimators_[1:]
        np.testing.assert_array_equal(
            self.model.predict_proba(self.X), other.predict_proba(self.X)
        )
        again = pickle.loads(pickle.dumps(self.model))
        np.testing.assert_array_equal(
            again.predict_proba(self.X), other.predict_proba(self.X)
        )
        self.model.estimators_ = other.estimators_[:2]
        assert len(self.model) == 2
        assert self.model.predict_proba(self.X).shape == (500, 2)

    def test_unfitted_ones_have_none(self):
        assert not hasattr(RandomForestClassifier(), "estimators_")


class TestMonotonicForests:
    @pytest.mark.parametrize("max_leaf_nodes", [None, 20])
    @pytest.mark.parametrize(
        "model_class",
        [
            RandomForestClassifier,
            RandomForestRegressor,
            ExtraTreesClassifier,
            ExtraTreesRegressor,
        ],
    )
    def test_predictions_keep_to_the_signs(self, model_class, max_leaf_nodes):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(600, 3))
        score = X[:, 0] - X[:, 1] + np.sin(3 * X[:, 2]) + rng.normal(size=600)
        is_classifier = "Classifier" in model_class.__name__
        y = score > 0 if is_classifier else score
        signs = [1, -1, 0]
        model = model_class(
            12, monotonic_cst=signs, max_leaf_nodes=max_leaf_nodes, random_state=0
        ).fit(X, y)
        free = clone(model).set_params(monotonic_cst=None).fit(X, y)
        broken = {}
        for own in (model, free):
            predict = getattr(own, "predict_proba", own.predict)
            broken[own] = 0
            for f in (0, 1):
                rows = np.repeat(X[:100], 21, axis=0)
                rows[:, f] = np.tile(np.linspace(-3, 3, 21), 100)
                values = predict(rows).reshape(100, 21, -1)[:, :, -1] * signs[f]
                broken[own] += int((np.diff(values, axis=1) < -1e-12).sum())
        assert broken[model] == 0
        assert broken[free] > 20
        again = clone(model).set_params(n_jobs=2).fit(X, y)
        np.testing.assert_array_equal(again.predict(X), model.predict(X))
        assert model.score(X, y) > 0.3

    def test_by_class(self):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(500, 2))
        y = np.digitize(X[:, 0] + 0.5 * rng.normal(size=500), [-0.5, 0.5])
        model = RandomForestClassifier(
            10, max_features=1, monotonic_cst={0: [-1, 0], 2: [1, 0]}, random_state=0
        ).fit(X, y)
        rows = np.stack([np.linspace(-3, 3, 50), np.zeros(50)], axis=1)
        shares = model.predict_proba(rows)
        assert np.all(np.diff(shares[:, 0]) <= 1e-12)
        assert np.all(np.diff(shares[:, 2]) >= -1e-12)
        with pytest.raises(ValueError, match="monotonic_cst"):
            model.set_params(monotonic_cst=[1, 0, 0]).fit(X, y)
