"""Boosted trees: splits by brute force, scikit-learn as oracle, bits, and errors."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.utils.estimator_checks import check_estimator
from threadpoolctl import threadpool_limits

import reference_boosting
from boosting_data import PLAIN, data, queries
from fasttree import (
    EncodedTable,
    GradientBoostingClassifier,
    GradientBoostingRanker,
    GradientBoostingRegressor,
    load,
)
from fasttree.prediction.ensemble import Ensemble


def bits(model):
    return [
        {
            name: np.asarray(value).tobytes()
            for name, value in tree.__getstate__().items()
        }
        for tree in model.ensemble_
    ]


def best_split(X, g, h, l2, min_samples):
    """Return the gain of the best split, by trying every threshold."""
    best = -np.inf
    for f in range(X.shape[1]):
        for threshold in np.unique(X[~np.isnan(X[:, f]), f]):
            for missing in (False, True):
                left = np.where(np.isnan(X[:, f]), missing, X[:, f] <= threshold)
                left = left.astype(bool)
                if min(left.sum(), (~left).sum()) < min_samples:
                    continue
                gain = -(g.sum() ** 2) / (h.sum() + l2)
                for side in (left, ~left):
                    gain += g[side].sum() ** 2 / (h[side].sum() + l2)
                best = max(best, gain)
    return best


@pytest.mark.parametrize("min_samples", [1, 20, 60])
@pytest.mark.parametrize("l2", [0.0, 3.0])
@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_the_root_is_the_best_split(kind, l2, min_samples):
    X, score = data(200, 4)
    options = {
        "max_iter": 2,
        "max_leaf_nodes": 2,
        "min_samples_leaf": min_samples,
        "l2_regularization": l2,
        "min_sum_hessian": 0.0,
        **PLAIN,
    }
    if kind == "classifier":
        y = (score > 0.5).astype(int)
        model = GradientBoostingClassifier(**options).fit(X, y)
        raw = next(model.staged_decision_function(X))
        p = 1 / (1 + np.exp(-raw))
        g, h = p - y, p * (1 - p)
    else:
        model = GradientBoostingRegressor(**options).fit(X, score)
        g, h = next(model.staged_predict(X)) - score, np.ones(len(X))
    tree = model.ensemble_[1]
    leaves = tree.apply(X)
    gain = -(g.sum() ** 2) / (h.sum() + l2)
    for leaf in np.unique(leaves):
        rows = leaves == leaf
        gain += g[rows].sum() ** 2 / (h[rows].sum() + l2)
        value = -0.1 * g[rows].sum() / (h[rows].sum() + l2)
        assert tree.predict(X)[rows][0] == pytest.approx(value, rel=1e-5)
    assert gain == pytest.approx(best_split(X, g, h, l2, min_samples), rel=1e-4)


@pytest.mark.parametrize(
    "loss", ["squared_error", "absolute_error", "poisson", "gamma"]
)
def test_regression_is_as_good_as_scikit_learn(loss):
    X, score = data(4000)
    y = np.exp(score / 3) if loss in ("poisson", "gamma") else score
    options = {"loss": loss, "max_iter": 30, **PLAIN}
    ours = GradientBoostingRegressor(**options).fit(X[:3000], y[:3000])
    with threadpool_limits(1):
        theirs = HistGradientBoostingRegressor(**options).fit(X[:3000], y[:3000])
    errors = [mean_squared_error(y[3000:], m.predict(X[3000:])) for m in (ours, theirs)]
    assert errors[0] < errors[1] * 1.1


@pytest.mark.parametrize("n_classes", [2, 3])
def test_classification_is_as_good_as_scikit_learn(n_classes):
    X, score = data(4000)
    y = np.digitize(score, [0.5, 2.0][: n_classes - 1])
    losses = []
    for kind in (GradientBoostingClassifier, HistGradientBoostingClassifier):
        with threadpool_limits(1):
            model = kind(max_iter=30, **PLAIN).fit(X[:3000], y[:3000])
        losses.append(log_loss(y[3000:], model.predict_proba(X[3000:])))
    assert losses[0] < losses[1] * 1.1


@pytest.mark.parametrize("quantile", [0.1, 0.9])
def test_quantiles_cover_their_share(quantile):
    X, y = data()
    model = GradientBoostingRegressor(loss="quantile", quantile=quantile, **PLAIN)
    share = (y <= model.fit(X, y).predict(X)).mean()
    assert abs(share - quantile) < 0.05


def test_huber_and_tweedie_predict():
    X, score = data()
    wild = score.copy()
    wild[::50] += 1000
    huber = GradientBoostingRegressor(loss="huber", **PLAIN).fit(X, wild)
    assert np.median(np.abs(huber.predict(X) - score)) < 0.5
    y = np.exp(score / 3)
    tweedie = GradientBoostingRegressor(loss="tweedie", **PLAIN).fit(X, y)
    assert mean_squared_error(y, tweedie.predict(X)) < 0.3 * y.var()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"subsample": 0.6, "max_features": 0.5, "random_state": 3},
        {"sampling": "goss", "random_state": 3},
        {"grow_policy": "depthwise", "max_depth": 3},
        {"max_leaf_nodes": None, "max_features": 0.5, "random_state": 1},
    ],
)
def test_the_bits_do_not_depend_on_n_jobs(options, monkeypatch):
    monkeypatch.setattr("fasttree.ensembles.boosting.SERIAL_BELOW", 0)
    X, score = data(34_000)
    y = np.digitize(score, [0.0, 1.0])
    models = [
        GradientBoostingClassifier(max_iter=3, n_jobs=n, **options, **PLAIN).fit(X, y)
        for n in (1, 2, 4)
    ]
    assert bits(models[0]) == bits(models[1]) == bits(models[2])
    model = GradientBoostingRegressor(max_iter=3, n_jobs=1, **options, **PLAIN)
    others = [clone(model).set_params(n_jobs=n).fit(X, score) for n in (2, 4)]
    model.fit(X, score)
    assert bits(model) == bits(others[0]) == bits(others[1])


def test_leaves_without_sums_are_counted_anew(monkeypatch):
    X, y = data()
    model = GradientBoostingRegressor(max_iter=5, **PLAIN)
    first = bits(model.fit(X, y))
    monkeypatch.setattr("fasttree.ensembles.boosting.POOL_BYTES", 0)
    assert bits(model.fit(X, y)) == first


def test_min_samples_leaf_is_exact():
    X, score = data(2000)
    y = (score > 3).astype(int)
    model = GradientBoostingClassifier(min_samples_leaf=37, **PLAIN).fit(X, y)
    for tree in model.ensemble_:
        assert np.bincount(tree.apply(X))[tree.leaf_nodes].min() >= 37
        assert tree.n_node_samples[tree.leaf_nodes].min() >= 37


@pytest.mark.parametrize("options", [{}, {"subsample": 0.9}])
def test_rows_without_hessian_have_bounded_leaves(options):
    rng = np.random.default_rng(0)
    sure = np.arange(20_000) % 2
    y = np.where(sure, 1, rng.integers(0, 2, 20_000))
    y[1:200:2] = 0  # a hundred rows that the start is sure to be of the other class
    model = GradientBoostingClassifier(
        max_iter=1, max_leaf_nodes=2, min_sum_hessian=0.1, **options, **PLAIN
    )
    model.fit(sure[:, None], y, init_score=60.0 * sure)
    assert np.abs(model.ensemble_[0].leaf_value).max() <= 0.1 * 100 / 0.1


def test_a_class_does_not_overturn_the_others():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 5000)
    start = 30.0 * np.eye(3)[(y + (rng.random(5000) < 0.02)) % 3]
    model = GradientBoostingClassifier(max_iter=2, **PLAIN)
    model.fit(rng.normal(size=(5000, 2)), y, init_score=start)
    largest = max(np.abs(tree.leaf_value).max() for tree in model.ensemble_)
    assert largest == 4.0


@pytest.mark.parametrize("categories", [False, True])
def test_trees_packed_at_once_are_those_packed_one_by_one(categories):
    X, score = data(2000)
    frame = pd.DataFrame(X)
    if categories:
        frame[5] = pd.Categorical((X[:, 5] * 3).round().astype(int).astype(str))
    y = np.digitize(score, [0.0, 1.0]) + 2 * (frame[5].astype(float) > 1)
    ensemble = GradientBoostingClassifier(max_iter=4, **PLAIN).fit(frame, y).ensemble_
    again = Ensemble.from_trees(list(ensemble), outputs=ensemble.outputs)
    for part in ("packed", "statistics"):
        one, other = vars(getattr(ensemble, part)), vars(getattr(again, part))
        for name, value in one.items():
            assert np.array_equal(value, other[name]), name
            assert np.asarray(value).dtype == np.asarray(other[name]).dtype


def test_weights_of_zero_leave_rows_out():
    X, y = data()
    weight = np.ones(len(y))
    weight[::3] = 0
    kept = weight > 0
    model = GradientBoostingRegressor(max_iter=10, **PLAIN)
    first = model.fit(X, y, sample_weight=weight).predict(X)
    assert np.array_equal(first, model.fit(X[kept], y[kept]).predict(X))


def test_staged_predictions_end_in_the_prediction():
    X, score = data(500)
    y = score > 0.5
    model = GradientBoostingClassifier(max_iter=7, **PLAIN).fit(X, y)
    stages = list(model.staged_predict_proba(X))
    assert len(stages) == model.n_iter_ == 7
    assert np.array_equal(stages[-1], model.predict_proba(X))
    assert np.array_equal(list(model.staged_predict(X))[-1], model.predict(X))


def test_categories_split_by_their_effect():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 400, 20_000)
    effect = rng.normal(size=400)
    y = effect[codes] + 0.1 * rng.normal(size=len(codes))
    X = pd.DataFrame({"c": pd.Categorical([f"c{c}" for c in codes]), "x": y * 0})
    model = GradientBoostingRegressor(min_samples_leaf=5, **PLAIN).fit(X, y)
    assert mean_squared_error(y, model.predict(X)) < 0.5 * y.var()
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict(X), model.predict(X))
    few = pd.DataFrame({"c": pd.Categorical((codes % 4).astype(str))})
    z = (codes % 4 == 2) * 1.0
    model = GradientBoostingRegressor(**PLAIN).fit(few, z)
    assert np.abs(model.predict(few) - z).max() < 0.01


def test_constraints_hold():
    X, score = data()
    model = GradientBoostingRegressor(monotonic_cst=[1, 0, -1, 0, 0, 0], **PLAIN)
    model.fit(X, score)
    grid = np.repeat(X[:50], 40, axis=0)
    for f, sign in ((0, 1), (2, -1)):
        rows = grid.copy()
        rows[:, f] = np.tile(np.linspace(-3, 3, 40), 50)
        steps = np.diff(model.predict(rows).reshape(50, 40), axis=1)
        assert (sign * steps >= -1e-12).all()
    model = GradientBoostingRegressor(interaction_cst="no_interactions", **PLAIN)
    for tree in model.fit(X, score).ensemble_:
        assert len(set(tree.feature[tree.feature >= 0])) <= 1


def test_early_stopping_with_an_eval_set():
    X, score = data(4000)
    y = (score > 0.5).astype(int)
    model = GradientBoostingClassifier(
        max_iter=500, early_stopping=True, n_iter_no_change=3, learning_rate=0.3
    )
    model.fit(X[:2000], y[:2000], eval_set=(X[2000:], y[2000:]))
    assert model.n_iter_ < 500
    assert len(model.validation_score_) == model.n_iter_ + 1
    expected = -log_loss(y[2000:], model.predict_proba(X[2000:]))
    assert model.validation_score_[-1] == pytest.approx(expected)
    assert model.best_iteration_ == np.argmax(model.validation_score_)
    for scoring in ("accuracy", "neg_log_loss", None):
        stopped = clone(model).set_params(scoring=scoring).fit(X, y)
        assert stopped.n_iter_ < 500


def test_warm_start_goes_on_as_if_it_had_not_stopped():
    X, y = data()
    whole = GradientBoostingRegressor(max_iter=10, random_state=0, **PLAIN).fit(X, y)
    model = GradientBoostingRegressor(
        max_iter=4, random_state=0, warm_start=True, **PLAIN
    ).fit(X, y)
    model.set_params(max_iter=10).fit(X, y)
    assert bits(whole) == bits(model)


def test_an_interrupted_warm_start_keeps_its_trees():
    X, y = data()

    def interrupt(progress):
        if progress.iteration == 5:
            raise KeyboardInterrupt

    model = GradientBoostingRegressor(warm_start=True, callbacks=[interrupt], **PLAIN)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert model.n_iter_ == 5
    model.set_params(callbacks=None).fit(X, y)
    assert model.n_iter_ == 100
    cold = GradientBoostingRegressor(callbacks=[interrupt], **PLAIN)
    with pytest.raises(KeyboardInterrupt):
        cold.fit(X, y)
    assert not hasattr(cold, "ensemble_")


def test_a_custom_loss_is_the_built_in_one():
    X, y = data()

    def squared(y, raw):
        return raw - y, np.ones_like(y)

    custom = GradientBoostingRegressor(loss=squared, max_iter=20, **PLAIN)
    custom.fit(X, y, init_score=np.full(len(y), y.mean()))
    built_in = GradientBoostingRegressor(max_iter=20, **PLAIN).fit(X, y)
    assert np.allclose(custom.predict(X) + y.mean(), built_in.predict(X), atol=1e-4)


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (lambda _, raw: raw, TypeError, "tuple"),
        (lambda _, raw: (raw[1:], raw), ValueError, "gradient of shape"),
        (lambda _, raw: (raw, raw[:, None]), ValueError, "hessian of shape"),
        (lambda _, raw: (raw * np.nan, raw), ValueError, "gradient with NaN"),
        (lambda _, raw: (raw, raw - 1), ValueError, "negative hessians"),
    ],
)
def test_wrong_objectives_are_refused(answer, error, message):
    X, y = data(100)
    with pytest.raises(error, match=message):
        GradientBoostingRegressor(loss=answer, **PLAIN).fit(X, y)


def test_callbacks_stop_a_fit():
    X, y = data(300)
    seen = []

    def stop(progress):
        seen.append(progress.iteration)
        return progress.iteration == 3

    model = GradientBoostingRegressor(callbacks=[stop], **PLAIN).fit(X, y)
    assert seen == [1, 2, 3]
    assert model.n_iter_ == 3


@pytest.mark.parametrize(
    ("loss", "y"), [("poisson", -1.0), ("gamma", 0.0), ("tweedie", -0.5)]
)
def test_targets_outside_a_domain_are_refused(loss, y):
    X, _ = data(100)
    with pytest.raises(ValueError, match=f"loss='{loss}' requires"):
        GradientBoostingRegressor(loss=loss).fit(X, np.full(100, y))


def test_bad_arguments_are_refused():
    X, y = data(100)
    fit = GradientBoostingRegressor().fit
    with pytest.raises(ValueError, match="init_score must have the shape"):
        fit(X, y, init_score=y[1:])
    with pytest.raises(ValueError, match="eval_set must be a tuple"):
        fit(X, y, eval_set=X)
    with pytest.raises(ValueError, match="early_stopping needs rows"):
        GradientBoostingRegressor(early_stopping=True).fit(X[:1], y[:1])
    with pytest.raises(ValueError, match="quantile"):
        GradientBoostingRegressor(loss="quantile").fit(X, y)
    with pytest.raises(ValueError, match="at most 255 codes"):
        fit(EncodedTable.from_data(np.arange(1000.0)[:, None]), np.arange(1000.0))
    with pytest.raises(ValueError, match="interaction_cst must have indices"):
        GradientBoostingRegressor(interaction_cst=[{9}]).fit(X, y)
    with pytest.raises(ValueError, match="only one class"):
        GradientBoostingClassifier().fit(X, np.zeros(100))


def test_a_table_gives_the_same_model():
    X, y = data()
    table = EncodedTable.from_data(X, max_bins=255)
    model = GradientBoostingRegressor(max_iter=5, **PLAIN)
    assert bits(clone(model).fit(table, y)) == bits(model.fit(X, y))


# --- Ranking -----------------------------------------------------------------------


def test_ranking_learns_the_order():
    X, y, qid = queries()
    Z, z, zid = queries(seed=1)
    model = GradientBoostingRanker(min_samples_leaf=5)
    model.fit(X, y, qid=qid, eval_set=(Z, z, zid))
    assert model.score(Z, z, qid=zid) > 0.9 > model.validation_score_[0]
    assert model.validation_score_[-1] == model.score(Z, z, qid=zid)
    one = Z[:12]
    order = model.rank(one)
    assert np.array_equal(order, np.argsort(-model.predict(one), kind="stable"))
    prior = np.full(12, 0.1)
    prior[order[3]] = 1e6
    assert model.rank(one, prior, k=2)[0] == order[3]
    prior[order[0]] = 0
    assert model.rank(one, prior)[-1] == order[0]


def test_a_ranker_is_saved_without_its_rows(tmp_path):
    X, y, qid = queries()
    model = GradientBoostingRanker(max_iter=2, max_leaf_nodes=3).fit(X, y, qid=qid)
    model.save(tmp_path / "ranker")
    again = load(tmp_path / "ranker")
    assert np.array_equal(again.predict(X), model.predict(X))
    again.set_params(warm_start=True, max_iter=4).fit(X, y, qid=qid)
    assert again.n_iter_ == 4
    assert len(pickle.dumps(model)) < 4 * len(y)


def test_lambda_gradients_by_hand():
    X, y, qid = queries(1, 5)
    y = np.array([0.0, 2.0, 1.0, 0.0, 1.0])
    X = np.arange(5.0)[:, None]
    model = GradientBoostingRanker(
        max_iter=1, min_samples_leaf=1, max_leaf_nodes=5, learning_rate=1.0,
        min_sum_hessian=0.0,
    ).fit(X, y, qid=qid)  # fmt: skip
    gain, discount = 2**y - 1, 1 / np.log2(np.arange(5) + 2)
    best = np.sort(gain)[::-1] @ discount
    g, h = np.zeros(5), np.zeros(5)
    for a in range(5):
        for b in range(5):
            if y[a] > y[b]:
                change = (gain[a] - gain[b]) * abs(discount[a] - discount[b]) / best
                g[a] -= change / 2
                g[b] += change / 2
                h[[a, b]] += change / 4
    total = np.abs(g).sum()
    pairs = sum(
        abs(gain[a] - gain[b]) * abs(discount[a] - discount[b]) / best
        for a in range(5)
        for b in range(a)
    )
    assert total <= pairs
    assert np.allclose(model.predict(X), -g / h, rtol=1e-5)


def test_bad_rankings_are_refused():
    X, y, qid = queries()
    fit = GradientBoostingRanker().fit
    with pytest.raises(ValueError, match="next to one another"):
        fit(X, y, qid=np.arange(len(y)) % 3)
    with pytest.raises(ValueError, match="grades of relevance"):
        fit(X, y - 1, qid=qid)
    with pytest.raises(ValueError, match="needs an eval_set"):
        GradientBoostingRanker(early_stopping=True).fit(X, y, qid=qid)
    model = GradientBoostingRanker(max_iter=1).fit(X, y, qid=qid)
    with pytest.raises(ValueError, match="prior must have the shape"):
        model.rank(X, prior=[1.0])
    with pytest.raises(ValueError, match="prior must be finite"):
        model.rank(X[:2], prior=[1.0, -1.0])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "model",
    [
        GradientBoostingClassifier(max_iter=5),
        GradientBoostingRegressor(max_iter=5),
        GradientBoostingRanker(max_iter=5),
    ],
)
def test_scikit_learn_finds_no_fault(model):
    expected = {}
    if isinstance(model, GradientBoostingRanker):
        # The weight is a query's: a row that comes twice makes other pairs.
        for kind in ("dense", "sparse"):
            expected[f"check_sample_weight_equivalence_on_{kind}_data"] = "queries"
    check_estimator(model, expected_failed_checks=expected)


@pytest.mark.parametrize("n_jobs", [1, 2, 3])
@pytest.mark.parametrize("subsample", [1.0, 0.7])
def test_leaf_values_are_means_of_many_rows(n_jobs, subsample, monkeypatch):
    monkeypatch.setattr("fasttree.ensembles.boosting.SERIAL_BELOW", 0)
    # Several blocks of rows whose leaves are noted, in whatever order a leaf has them.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100_000, 3))
    y = np.round(X[:, 0] * X[:, 1] + X[:, 2], 1)
    options = PLAIN | {"l2_regularization": 0.0, "random_state": 0}
    model = GradientBoostingRegressor(
        max_iter=1, learning_rate=1.0, subsample=subsample, n_jobs=n_jobs, **options
    ).fit(X, y)
    value, leaf = np.unique(model.predict(X), return_inverse=True)
    assert len(value) == 31
    if subsample == 1.0:
        mean = np.bincount(leaf, y) / np.bincount(leaf)
        np.testing.assert_allclose(value, mean, rtol=1e-5, atol=1e-5)
    again = GradientBoostingRegressor(
        max_iter=2, learning_rate=1.0, subsample=subsample, n_jobs=1, **options
    ).fit(X, y)
    both = clone(again).set_params(n_jobs=n_jobs).fit(X, y)
    assert bits(both) == bits(again)


@pytest.mark.parametrize(
    ("loss", "n_features", "n_jobs"),
    # Features that fill a part of their last tile, in one panel and in two.
    [("squared_error", 5, 1), ("log_loss", 5, 1), ("log_loss", 70, 1),
     ("squared_error", 10, 2), ("squared_error", 70, 2)],
)  # fmt: skip
def test_trees_are_those_of_float64_histograms(loss, n_features, n_jobs, monkeypatch):
    monkeypatch.setattr("fasttree.ensembles.boosting.SERIAL_BELOW", 0)
    X, score = data(1500, n_features)
    y = score if loss == "squared_error" else (score > 0.5).astype(float)
    table = EncodedTable.from_data(X, max_bins=60)
    codes = np.stack([column.codes.astype(int) for column in table.columns], axis=1)
    n_codes = [column.n_codes for column in table.columns]
    expected = reference_boosting.Booster(n_codes, loss, trees=8, leaves=12)
    expected.fit(codes, y)
    options = {"max_iter": 8, "max_leaf_nodes": 12, "n_jobs": n_jobs, **PLAIN}
    if loss == "squared_error":
        raw = GradientBoostingRegressor(**options).fit(table, y).predict(table)
    else:
        model = GradientBoostingClassifier(**options).fit(table, y)
        raw = model.decision_function(table)
    wanted = expected.decision_function(codes)
    # Sums of integers may break a near tie in another way.
    assert np.mean(np.abs(raw - wanted) < 1e-4) > 0.98
