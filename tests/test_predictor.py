"""Predictors, files and pickles give the estimator's predictions, to the bit."""

import copy
import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError

import fasttree
from fasttree.storage.model_file import ModelFileError

ESTIMATORS = [
    fasttree.DecisionTreeClassifier,
    fasttree.DecisionTreeRegressor,
    fasttree.ExtraTreeClassifier,
    fasttree.ExtraTreeRegressor,
]


def make_data(seed, n_rows=120, *, dtype=np.float64, categories=True, missing=True):
    """Return a frame, or an array without categories, and labels."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, 4)).astype(dtype)
    X[:, 1] = rng.integers(0, 5, n_rows)
    if missing:
        X[rng.random(X.shape) < 0.1] = np.nan
    y = rng.integers(0, 3, n_rows)
    if not categories:
        return X, y
    frame = pd.DataFrame(X, columns=list("abcd"))
    labels = rng.choice(["red", "green", "blue", None], n_rows)
    frame["colour"] = pd.Categorical(labels)
    frame["code"] = pd.Categorical(rng.choice([3, 1, 4, 15], n_rows))
    return frame, y


def same_bits(first, second):
    first, second = np.asarray(first), np.asarray(second)
    assert first.shape == second.shape
    if first.dtype.kind == "f":
        assert first.tobytes() == second.astype(first.dtype).tobytes()
    else:
        assert first.tolist() == second.tolist()


def check_agreement(model, X, rows, path):
    """Check whatever predicts against the estimator."""
    model.save(path)
    restored = [
        fasttree.load(path),
        pickle.loads(pickle.dumps(model)),
        copy.deepcopy(model),
    ]
    for other in restored:
        same_bits(other.predict(X), model.predict(X))
        same_bits(other.apply(X), model.apply(X))
        assert type(other) is type(model)
    predictor = model.predictor()
    predictors = [
        predictor,
        pickle.loads(pickle.dumps(predictor)),
        fasttree.load_predictor(path),
        fasttree.load_predictor(path, mmap=False),
        restored[0].predictor(),
    ]
    expected = model.predict(X)
    for other in predictors:
        same_bits([other.predict_one(row) for row in rows], expected)
        same_bits(other.predict_many(rows), expected)
    if hasattr(model, "predict_proba"):
        shares = model.predict_proba(X)
        for other in predictors:
            same_bits([other.predict_proba_one(row) for row in rows], shares)
            same_bits(other.predict_proba_many(rows), shares)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32 - 1),
    estimator=st.sampled_from(ESTIMATORS),
    dtype=st.sampled_from([np.float32, np.float64]),
    max_bins=st.sampled_from([None, 6]),
    on_thresholds=st.booleans(),
)
def test_arrays(tmp_path, seed, estimator, dtype, max_bins, on_thresholds):
    X, y = make_data(seed, dtype=dtype, categories=False)
    model = estimator(max_bins=max_bins, random_state=seed % 1000).fit(X, y)
    if on_thresholds:
        rng = np.random.default_rng(seed)
        at = np.append(model.tree_.threshold, [0.0, -0.0, np.nan]).astype(dtype)
        at = at[~np.isinf(at)]
        up, down = np.array([np.inf, -np.inf], dtype)
        at = np.concatenate([at, np.nextafter(at, up), np.nextafter(at, down)])
        X = rng.choice(at, X.shape)
    path = tmp_path / "model"
    check_agreement(model, X, list(X), path)
    check_agreement(model, X, [row.tolist() for row in X], path)
    check_agreement(model, X, X, path)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), estimator=st.sampled_from(ESTIMATORS))
def test_frames(tmp_path, seed, estimator):
    X, y = make_data(seed)
    y = np.array(["x", "yy", "z"])[y] if hasattr(estimator, "predict_proba") else y
    model = estimator(min_samples_category=1, random_state=0).fit(X, y)
    rows = X.astype(object).where(X.notna(), None).to_numpy()
    path = tmp_path / "model"
    check_agreement(model, X, [tuple(row) for row in rows], path)
    check_agreement(model, X, [dict(zip(X, row, strict=True)) for row in rows], path)
    series = [X.iloc[i] for i in range(len(X))]
    check_agreement(model, X, series, path)


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True, as_frame=True)
    return fasttree.DecisionTreeClassifier(max_depth=3).fit(X, y), X


def test_what_a_row_may_be(iris):
    model, X = iris
    predictor = model.predictor()
    row = X.iloc[70].to_numpy()
    expected = model.predict_proba(X)[70]
    as_integers = np.array([6, 3, 5, 2])
    for given_row in (
        row, row.astype(np.float32).astype(np.float64), row.tolist(), tuple(row),
        row[None, :], np.asfortranarray(np.stack([row, row]))[0], row[::-1][::-1],
        row.astype(">f8"), row.astype(object), dict(X.iloc[70]), X.iloc[70],
        np.repeat(row, 2)[::2],
    ):  # fmt: skip
        same_bits(predictor.predict_proba_one(given_row), expected)
    label = predictor.predict_one(as_integers)
    assert type(label) is int
    assert label == predictor.predict_one([6, 3, 5, 2])
    assert predictor.predict_one([True, 3, None, np.int8(2)]) in (0, 1, 2)
    same_bits(predictor.classes_, model.classes_)
    assert predictor.feature_names == tuple(X)
    assert "150" not in repr(predictor)
    assert "DecisionTreeClassifier" in repr(predictor)


def test_refused_rows(iris):
    model, X = iris
    predictor = model.predictor()
    row = X.iloc[0].tolist()
    for bad in ([], row[:3], [*row, 1.0], np.array(row[:3]), np.zeros((2, 4))):
        with pytest.raises(ValueError, match="row"):
            predictor.predict_one(bad)
    for bad in (3, None, "abcd", b"abcd", iter(row), object()):
        with pytest.raises(TypeError, match="row must be"):
            predictor.predict_one(bad)
    for value in (np.inf, -np.inf):
        for bad in ([*row[:3], value], np.array([*row[:3], value])):
            with pytest.raises(ValueError, match="infinite"):
                predictor.predict_one(bad)
        with pytest.raises(ValueError, match="infinite"):
            predictor.predict_many(np.full((2, 4), value))
    with pytest.raises(ValueError, match="too large"):
        predictor.predict_one([*row[:3], 10**400])
    for value in ("1.0", [1.0], {}):
        with pytest.raises(TypeError, match="petal width"):
            predictor.predict_one([*row[:3], value])
    named = dict(X.iloc[0])
    with pytest.raises(ValueError, match=r"unknown.*more"):
        predictor.predict_one({**named, "more": 1.0})
    named["other"] = named.pop("petal width (cm)")
    with pytest.raises(ValueError, match="petal width"):
        predictor.predict_one(named)
    nameless = fasttree.DecisionTreeRegressor().fit(X.to_numpy(), X.index).predictor()
    with pytest.raises(ValueError, match="without feature names"):
        nameless.predict_one(dict(X.iloc[0]))
    with pytest.raises(AttributeError, match="no predict_proba_one"):
        nameless.predict_proba_one(row)
    with pytest.raises(AttributeError, match="no predict_proba_many"):
        nameless.predict_proba_many([row])
    with pytest.raises(TypeError, match="data frames"):
        predictor.predict_many(X)
    with pytest.raises(ValueError, match="X must have shape"):
        predictor.predict_many(np.zeros((2, 3)))


def test_a_list_that_shrinks_while_it_is_read(iris):
    predictor = iris[0].predictor()
    row = []

    class Shrinking:
        def __float__(self):
            row.clear()
            return 1.0

    row += [Shrinking(), 1.0, 2.0, 3.0]
    with pytest.raises(ValueError, match="row has 1 values"):
        predictor.predict_one(row)


def test_unknown_categories():
    X = pd.DataFrame({"a": ["x", "y", "z"] * 20, "b": np.arange(60.0)})
    y = np.arange(60) % 3
    table = fasttree.EncodedTable.from_data(X, unknown_category="error")
    strict = fasttree.DecisionTreeClassifier().fit(table, y).predictor()
    lenient = fasttree.DecisionTreeClassifier().fit(X, y)
    with pytest.raises(ValueError, match="category 'w'"):
        strict.predict_one(["w", 1.0])
    frame = pd.DataFrame({"a": ["w"], "b": [1.0]})
    expected = lenient.predict_proba(frame)[0]
    for value in ("w", None, np.nan, pd.NA, ["unhashable"]):
        same_bits(lenient.predictor().predict_proba_one([value, 1.0]), expected)
    assert strict.predict_one(["y", 1.0]) == 1


def test_predictor_is_immutable(iris):
    predictor = iris[0].predictor()
    with pytest.raises(AttributeError, match="immutable"):
        predictor.state = None
    with pytest.raises(AttributeError, match="immutable"):
        del predictor.state
    with pytest.raises(TypeError, match="made by"):
        fasttree.Predictor()
    empty = fasttree.Predictor.__new__(fasttree.Predictor)
    with pytest.raises(ValueError, match="row has 1 values"):
        empty.predict_one([1.0])


def test_not_fitted(tmp_path):
    model = fasttree.DecisionTreeClassifier()
    with pytest.raises(NotFittedError):
        model.save(tmp_path / "model")
    with pytest.raises(NotFittedError):
        model.predictor()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "model",
    [
        fasttree.RandomForestClassifier(7, oob_score=True, class_weight="balanced"),
        fasttree.RandomForestRegressor(9, max_samples=0.5),
        fasttree.ExtraTreesClassifier(8, max_leaf_nodes=12),
        fasttree.ExtraTreesRegressor(12, bootstrap=True, max_depth=3),
    ],
)
@pytest.mark.filterwarnings("ignore:Some inputs do not have OOB")
def test_forests(model, tmp_path):
    for dtype in (np.float32, np.float64):
        X, y = make_data(5, 400, dtype=dtype, categories=False)
        model.set_params(random_state=3).fit(X, y)
        check_agreement(model, X, list(X), tmp_path / "model")
        check_agreement(model, X, X.tolist(), tmp_path / "model")
    again = fasttree.load(tmp_path / "model")
    for own, other in zip(
        again.estimators_samples_, model.estimators_samples_, strict=True
    ):
        np.testing.assert_array_equal(own, other)
    for own, other in zip(again, model, strict=True):
        same_bits(own.predict(X), other.predict(X))
    if hasattr(model, "oob_score_"):
        assert again.oob_score_ == model.oob_score_
        np.testing.assert_array_equal(
            again.oob_decision_function_, model.oob_decision_function_
        )


@pytest.mark.parametrize(
    ("model", "n_classes"),
    [
        (fasttree.GradientBoostingClassifier(max_iter=12), 2),
        (fasttree.GradientBoostingClassifier(max_iter=5), 3),
        (fasttree.GradientBoostingRegressor(max_iter=12), 0),
        (fasttree.GradientBoostingRegressor(loss="poisson", max_iter=9), 0),
        (fasttree.GradientBoostingRegressor(loss="quantile", quantile=0.3), 0),
    ],
)
def test_boosting(model, n_classes, tmp_path):
    for dtype in (np.float32, np.float64):
        X, y = make_data(6, 500, dtype=dtype, categories=False)
        y = np.minimum(y, n_classes - 1) if n_classes else y.astype(float)
        model.set_params(random_state=0).fit(X, y)
        check_agreement(model, X, list(X), tmp_path / "model")
        check_agreement(model, X, X.tolist(), tmp_path / "model")
    again = fasttree.load(tmp_path / "model")
    same_bits(again.feature_importances_, model.feature_importances_)
    same_bits(again.train_score_, model.train_score_)
    assert again.n_iter_ == model.n_iter_
    more = {"warm_start": True, "max_iter": model.n_iter_ + 2}
    same_bits(
        again.set_params(**more).fit(X, y).predict(X),
        model.set_params(**more).fit(X, y).predict(X),
    )


def test_wide_rows_and_many_classes(tmp_path):
    """More features, slots and classes than fit on the stack."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(900, 700))
    X[rng.random(X.shape) < 0.2] = np.nan
    y = rng.integers(0, 200, 900)
    model = fasttree.ExtraTreeClassifier(random_state=0).fit(X, y)
    check_agreement(model, X[:40], list(X[:40]), tmp_path / "model")
    check_agreement(model, X[:40], X[:40].tolist(), tmp_path / "model")


def test_threads_share_a_predictor():
    """It predicts while it is pickled and while another model is fitted."""
    X, y = make_data(3, 2000, categories=False)
    model = fasttree.DecisionTreeRegressor().fit(X, y)
    predictor = model.predictor()
    expected = model.predict(X).tolist()
    rows = list(X)
    outcomes = []
    stop = threading.Event()

    def is_right():
        return [predictor.predict_one(row) for row in rows] == expected

    def work():
        outcomes.extend(is_right() for _ in range(5))

    def disturb():
        while not stop.is_set():
            again = pickle.loads(pickle.dumps(predictor))
            outcomes.append(again.predict_one(rows[0]) == expected[0])
            fasttree.DecisionTreeClassifier(n_jobs=2).fit(X, y > 1)

    threads = [threading.Thread(target=work) for _ in range(16)]
    disturber = threading.Thread(target=disturb)
    for thread in [disturber, *threads]:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    disturber.join()
    assert all(outcomes)
    assert len(outcomes) > 80


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_after_a_fork():
    code = """if True:
    import os, numpy as np, fasttree
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(3000, 5)), rng.integers(0, 2, 3000)
    model = fasttree.DecisionTreeClassifier(n_jobs=2).fit(X, y)
    predictor = model.predictor()
    expected = model.predict(X)
    child = os.fork()
    good = [predictor.predict_one(row) for row in X] == expected.tolist()
    again = fasttree.DecisionTreeClassifier(n_jobs=2).fit(X, y)
    good = good and (again.predict(X) == expected).all()
    if child == 0:
        os._exit(0 if good else 1)
    assert good and os.waitpid(child, 0)[1] == 0
    """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_loading_a_predictor_does_not_import_sklearn(iris, tmp_path):
    iris[0].save(tmp_path / "model")
    code = (
        "import sys, fasttree\n"
        f"p = fasttree.load_predictor({str(tmp_path / 'model')!r})\n"
        "assert p.predict_one([5.0, 3.4, 1.5, 0.2]) == 0\n"
        "p.predict_many([[5.0, 3.4, 1.5, 0.2]])\n"
        "heavy = {'sklearn', 'scipy', 'joblib', 'narwhals', 'pandas'}\n"
        "assert not heavy & {name.split('.')[0] for name in sys.modules}\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_names_of_the_package():
    assert set(fasttree.__all__) <= set(dir(fasttree))
    for name in fasttree.__all__:
        assert getattr(fasttree, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        fasttree.nothing  # noqa: B018
    assert issubclass(ModelFileError, ValueError)
