"""DecisionTreeClassifier and DecisionTreeRegressor behave as scikit-learn's do."""

import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from fasttree.data.table import EncodedTable
from fasttree.estimators import DecisionTreeClassifier, DecisionTreeRegressor
from fasttree.trees.export import export_text

IRIS, SPECIES = load_iris(return_X_y=True)
BOTH = pytest.mark.parametrize(
    "estimator", [DecisionTreeClassifier(), DecisionTreeRegressor()], ids=type
)


@parametrize_with_checks([DecisionTreeClassifier(), DecisionTreeRegressor()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def flights(n=300, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "hour": rng.integers(0, 24, n),
            "carrier": rng.choice(["AA", "B6", "DL", None], n),
            "wind": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)),
        }
    )
    late = (frame["hour"] > 15) ^ (frame["carrier"] == "B6")
    return frame, late.to_numpy()


def test_classifier():
    model = DecisionTreeClassifier(criterion="entropy", max_depth=3).fit(IRIS, SPECIES)
    assert model.score(IRIS, SPECIES) > 0.95
    assert model.classes_.tolist() == [0, 1, 2]
    assert (model.n_classes_, model.n_outputs_, model.max_features_) == (3, 1, 4)
    assert model.n_features_in_ == 4
    assert not hasattr(model, "feature_names_in_")
    assert model.get_depth() == model.tree_.max_depth == 3
    assert model.get_n_leaves() == model.tree_.n_leaves
    proba = model.predict_proba(IRIS)
    assert proba.shape == (150, 3)
    np.testing.assert_array_equal(model.predict(IRIS), proba.argmax(axis=1))
    with np.errstate(divide="ignore"):
        np.testing.assert_array_equal(model.predict_log_proba(IRIS), np.log(proba))
    nodes = model.apply(IRIS)
    assert set(nodes) == set(model.tree_.leaf_nodes)
    np.testing.assert_array_equal(np.bincount(nodes)[nodes],
                                  model.tree_.n_node_samples[nodes])  # fmt: skip
    assert model.feature_importances_.sum() == pytest.approx(1.0)
    assert "class: 2" in export_text(model)


def test_regressor():
    X, y = load_diabetes(return_X_y=True)
    model = DecisionTreeRegressor(min_samples_leaf=20).fit(X, y)
    nodes = model.apply(X)
    for node in set(nodes):
        rows = nodes == node
        assert rows.sum() >= 20
        np.testing.assert_allclose(model.predict(X)[rows], y[rows].mean(), rtol=1e-6)
    assert not hasattr(model, "classes_")


@BOTH
def test_decision_path(estimator):
    model = clone(estimator)
    with pytest.raises(NotFittedError):
        model.decision_path(IRIS)
    model.fit(IRIS, SPECIES)
    path = model.decision_path(IRIS)
    assert path.shape == (150, model.tree_.node_count)
    np.testing.assert_array_equal(path.sum(axis=0).ravel(),
                                  model.tree_.n_node_samples[None])  # fmt: skip
    np.testing.assert_array_equal(path.indices[path.indptr[1:] - 1], model.apply(IRIS))
    with pytest.raises(ValueError, match="expecting 4 features"):
        model.decision_path(IRIS[:, :3])


def test_log_loss_is_entropy():
    first, second = (
        DecisionTreeClassifier(criterion=name, random_state=0).fit(IRIS, SPECIES)
        for name in ("entropy", "log_loss")
    )
    assert first.tree_.criterion == second.tree_.criterion == "entropy"
    assert export_text(first) == export_text(second)


@pytest.mark.parametrize("labels", [["b", "a", "c"], [True, False, True], [-1, 7, 3]])
def test_class_labels_of_any_type(labels):
    y = np.array(labels, dtype=object)[SPECIES]
    y = y.astype(type(labels[0]))
    model = DecisionTreeClassifier().fit(IRIS, y)
    assert model.predict(IRIS).dtype == model.classes_.dtype
    np.testing.assert_array_equal(model.classes_, np.unique(y))
    assert model.score(IRIS, y) == 1.0


def test_one_class_and_one_row():
    model = DecisionTreeClassifier().fit([[1.0]], ["only"])
    assert model.predict([[5.0]]).tolist() == ["only"]
    assert model.predict_proba([[5.0]]).tolist() == [[1.0]]
    assert model.predict_log_proba([[5.0]]).tolist() == [[0.0]]
    assert DecisionTreeRegressor().fit([[1.0]], [3.5]).predict([[0]]) == [3.5]


def test_array_frame_and_table_give_the_same_tree():
    names = ["a", "b", "c", "d"]
    frames = [pd.DataFrame(IRIS, columns=names), pl.DataFrame(IRIS, schema=names)]
    reference = DecisionTreeClassifier().fit(IRIS, SPECIES)
    for X in (*frames, np.asfortranarray(IRIS), IRIS.tolist()):
        model = DecisionTreeClassifier().fit(X, SPECIES)
        assert export_text(model) == export_text(reference)
        np.testing.assert_array_equal(model.predict_proba(X),
                                      reference.predict_proba(IRIS))  # fmt: skip
    for X in (*frames, IRIS):
        model = DecisionTreeClassifier().fit(EncodedTable.from_data(X), SPECIES)
        assert export_text(model) == export_text(reference)
        np.testing.assert_array_equal(model.predict(X), reference.predict(IRIS))
        assert hasattr(model, "feature_names_in_") == (X is not IRIS)


def test_frame_with_categories_and_missing_values():
    frame, late = flights()
    model = DecisionTreeClassifier(max_depth=4, min_samples_category=1)
    model.fit(frame, late)
    assert model.score(frame, late) == 1.0
    assert model.feature_names_in_.tolist() == ["hour", "carrier", "wind"]
    # Columns are found by name.
    np.testing.assert_array_equal(
        model.predict(frame[["wind", "carrier", "hour"]]), model.predict(frame)
    )
    np.testing.assert_array_equal(
        model.predict(pl.DataFrame(frame.replace({np.nan: None}).to_dict("list"))),
        model.predict(frame),
    )
    text = export_text(model, feature_names=model.feature_names_in_)
    assert re.search(r"carrier (not )?in \{(AA|B6|DL)", text)
    unknown = frame.assign(carrier="ZZ")
    missing = frame.assign(carrier=None)
    np.testing.assert_array_equal(model.apply(unknown), model.apply(missing))
    with pytest.raises(ValueError, match="wind"):
        model.predict(frame[["hour", "carrier"]])
    with pytest.raises(ValueError, match="extra"):
        model.predict(frame.assign(extra=1))


def test_unknown_category_can_be_an_error():
    frame, late = flights()
    table = EncodedTable.from_data(frame, unknown_category="error")
    model = DecisionTreeClassifier().fit(table, late)
    with pytest.raises(ValueError, match=r"carrier.*ZZ"):
        model.predict(frame.assign(carrier="ZZ"))


def test_array_with_categories():
    frame, late = flights()
    X = frame.to_numpy()
    assert X.dtype == object
    model = DecisionTreeClassifier(categorical_features=[1]).fit(X, late)
    expected = DecisionTreeClassifier().fit(frame, late)
    assert export_text(model) == export_text(expected)
    np.testing.assert_array_equal(model.predict(X), expected.predict(frame))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_numbers_beside_categories(dtype, order):
    rng = np.random.default_rng(0)
    X = np.asarray(rng.normal(size=(300, 4)), dtype, order=order)
    X[:, 1] = rng.integers(0, 5, 300)
    y = 4.0 * X[:, 0] + X[:, 2] + X[:, 3] * (X[:, 1] > 2)
    model = DecisionTreeRegressor(categorical_features=[1]).fit(X, y)
    np.testing.assert_array_equal(model.predict(X), y)
    matrix = model.schema_.to_matrix(X)
    assert matrix.dtype == dtype
    np.testing.assert_array_equal(matrix, X)  # the codes are the categories


def test_table_in_place_of_data():
    frame, late = flights()
    table = EncodedTable.from_data(frame)
    rows = np.arange(0, 300, 2)
    model = DecisionTreeClassifier().fit(table.take(rows), late[rows])
    np.testing.assert_array_equal(model.predict(table), model.predict(frame))
    with pytest.raises(ValueError, match=r"max_bins must be None.*255"):
        DecisionTreeClassifier(max_bins=255).fit(table, late)
    with pytest.raises(ValueError, match="categorical_features must be None"):
        DecisionTreeClassifier(categorical_features=[0]).fit(table, late)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        DecisionTreeClassifier().fit(table, late[:-1])
    with pytest.raises(ValueError, match="requires y"):
        DecisionTreeClassifier().fit(table, None)


def test_max_bins():
    X, y = load_diabetes(return_X_y=True)
    model = DecisionTreeRegressor(max_bins=4).fit(X[:, 2:3], y)
    assert model.get_n_leaves() <= 4
    assert DecisionTreeRegressor().fit(X[:, 2:3], y).get_n_leaves() > 100


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predictions_agree_with_training(dtype):
    rng = np.random.default_rng(0)
    # Neighbouring floats, so that a careless threshold sends rows astray.
    steps = rng.integers(0, 6, size=(200, 2))
    X = (1.0 + steps * np.finfo(dtype).eps).astype(dtype)
    _, y = np.unique(X, axis=0, return_inverse=True)
    model = DecisionTreeClassifier().fit(X, y)
    assert model.score(X, y) == 1.0
    counts = np.bincount(model.apply(X), minlength=model.tree_.node_count)
    leaves = model.tree_.leaf_nodes
    np.testing.assert_array_equal(counts[leaves], model.tree_.n_node_samples[leaves])


def test_weights():
    rng = np.random.default_rng(0)
    weight = rng.integers(0, 3, 150)
    copies = np.repeat(np.arange(150), weight)
    weighted = DecisionTreeClassifier(max_depth=3).fit(IRIS, SPECIES, weight)
    copied = DecisionTreeClassifier(max_depth=3).fit(IRIS[copies], SPECIES[copies])
    np.testing.assert_array_equal(
        weighted.predict_proba(IRIS), copied.predict_proba(IRIS)
    )
    by_class = DecisionTreeClassifier(max_depth=2, class_weight={0: 1, 1: 5, 2: 2})
    by_row = DecisionTreeClassifier(max_depth=2)
    by_class.fit(IRIS, SPECIES)
    by_row.fit(IRIS, SPECIES, np.array([1, 5, 2])[SPECIES])
    np.testing.assert_array_equal(
        by_class.predict_proba(IRIS), by_row.predict_proba(IRIS)
    )


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float32, np.float64])
def test_rows_of_weight_zero_are_left_out_whatever_the_dtype(dtype):
    X = np.random.default_rng(3).integers(0, 100, (400, 3)).astype(dtype)
    y = X[:, 0] > X[:, 1]
    weight = np.arange(400) % 3
    kept = weight > 0
    model = DecisionTreeClassifier().fit(X, y, sample_weight=weight)
    smaller = DecisionTreeClassifier().fit(X[kept], y[kept], weight[kept])
    np.testing.assert_array_equal(model.tree_.threshold, smaller.tree_.threshold)
    np.testing.assert_array_equal(model.tree_.feature, smaller.tree_.feature)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.full(150, -1.0), "(?i)negative"),
        (np.zeros(150), "(?i)sample.weight"),
        (np.full(150, np.nan), "NaN"),
        (np.ones(149), "sample_weight"),
        (np.ones((150, 1)), "(?i)sample.weights? must be 1D"),
    ],
)
@BOTH
def test_bad_sample_weight(estimator, weight, message):
    with pytest.raises(ValueError, match=message):
        clone(estimator).fit(IRIS, SPECIES, sample_weight=weight)


@pytest.mark.parametrize("weight", [{0: -1.0}, {0: 0, 1: 0, 2: 0}, {0: np.inf}])
def test_bad_class_weight(weight):
    with pytest.raises(ValueError, match="class_weight"):
        DecisionTreeClassifier(class_weight=weight).fit(IRIS, SPECIES)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("criterion", "mae"),
        ("splitter", "worst"),
        ("max_depth", 0),
        ("max_depth", 2.5),
        ("min_samples_split", 1),
        ("min_samples_split", 1.5),
        ("min_samples_leaf", 0),
        ("min_samples_leaf", 1.0),
        ("max_features", 0),
        ("max_features", "all"),
        ("max_leaf_nodes", 1),
        ("min_impurity_decrease", -0.1),
        ("max_bins", 1),
        ("max_bins", 65536),
        ("categorical_features", 3),
        ("random_state", "seed"),
        ("n_jobs", 0),
        ("n_jobs", "all"),
    ],
)
@BOTH
def test_bad_parameter(estimator, name, value):
    with pytest.raises(ValueError, match=name):
        clone(estimator).set_params(**{name: value}).fit(IRIS, SPECIES)


@BOTH
def test_bad_data(estimator):
    estimator = clone(estimator)
    with pytest.raises(NotFittedError):
        estimator.predict(IRIS)
    with pytest.raises(NotFittedError):
        _ = estimator.feature_importances_
    with pytest.raises(ValueError, match="infinity"):
        estimator.fit(np.where(IRIS > 6, np.inf, IRIS), SPECIES)
    with pytest.raises(ValueError, match=r"(?i)complex"):
        estimator.fit(IRIS.astype(complex), SPECIES)
    with pytest.raises(ValueError, match="0 sample"):
        estimator.fit(IRIS[:0], SPECIES[:0])
    with pytest.raises(ValueError, match="NaN"):
        estimator.fit(IRIS, np.where(SPECIES == 1, np.nan, SPECIES))
    estimator.fit(IRIS, SPECIES)
    with pytest.raises(ValueError, match="expecting 4 features"):
        estimator.predict(IRIS[:, :3])
    with pytest.raises(ValueError, match="infinity"):
        estimator.predict(np.full((1, 4), np.inf))


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@BOTH
def test_failed_fit_keeps_the_old_one(estimator, error, monkeypatch):
    frame = pd.DataFrame(IRIS, columns=list("abcd"))
    model = clone(estimator).fit(frame, SPECIES)
    before = vars(model).copy()

    def fail(*args):
        raise error

    from fasttree.growth import training

    monkeypatch.setattr(training, "grow_classification_tree", fail)
    monkeypatch.setattr(training, "grow_regression_tree", fail)
    with pytest.raises(error):
        model.fit(IRIS[:, :2], SPECIES)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is before[name] for name in before)
    model.predict(frame)


def test_fit_again_forgets_the_names():
    model = DecisionTreeClassifier()
    model.fit(pd.DataFrame(IRIS, columns=list("abcd")), SPECIES)
    assert hasattr(model, "feature_names_in_")
    model.fit(EncodedTable.from_data(IRIS), SPECIES)
    assert not hasattr(model, "feature_names_in_")


def test_fractions():
    model = DecisionTreeClassifier(min_samples_leaf=0.1, min_samples_split=0.5)
    model.fit(IRIS, SPECIES)
    tree = model.tree_
    assert tree.n_node_samples.min() >= 15
    assert tree.n_node_samples[tree.children_left >= 0].min() >= 75


@pytest.mark.parametrize(
    ("max_features", "expected"),
    [(None, 4), ("sqrt", 2), ("log2", 2), (0.8, 3), (1, 1), (0.01, 1), (9, 4)],
)
def test_max_features(max_features, expected):
    model = DecisionTreeClassifier(max_features=max_features, random_state=0)
    assert model.fit(IRIS, SPECIES).max_features_ == expected
    again = clone(model).fit(IRIS, SPECIES)
    assert export_text(model) == export_text(again)


def test_random_state_instance():
    trees = [
        DecisionTreeClassifier(max_features=1, random_state=np.random.RandomState(5))
        for _ in range(2)
    ]
    first, second = (export_text(tree.fit(IRIS, SPECIES)) for tree in trees)
    assert first == second


def test_max_leaf_nodes():
    model = DecisionTreeClassifier(max_leaf_nodes=3).fit(IRIS, SPECIES)
    assert model.get_n_leaves() == 3


def test_in_scikit_learns_tools():
    search = GridSearchCV(
        make_pipeline(StandardScaler(), DecisionTreeClassifier()),
        {"decisiontreeclassifier__max_depth": [1, 3]},
        cv=3,
    )
    assert search.fit(IRIS, SPECIES).best_score_ > 0.9
    assert cross_val_score(DecisionTreeRegressor(), IRIS, SPECIES, cv=3).shape == (3,)


def test_n_jobs_changes_nothing():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60_000, 3))
    y = rng.integers(0, 3, len(X))
    trees = [
        DecisionTreeClassifier(n_jobs=n_jobs, max_depth=3).fit(X, y)
        for n_jobs in (1, 2, 4, -1, None)
    ]
    for tree in trees[1:]:
        assert export_text(tree) == export_text(trees[0])
        np.testing.assert_array_equal(tree.predict_proba(X), trees[0].predict_proba(X))


def test_equal_parameters_of_other_types_are_checked_on_their_own():
    """1 has been found valid; 1.0 is not the same, though equal."""
    X, y = [[0.0], [1.0]], [0, 1]
    for _ in range(2):
        DecisionTreeClassifier(min_samples_leaf=1).fit(X, y)
        with pytest.raises(ValueError, match="'min_samples_leaf' parameter"):
            DecisionTreeClassifier(min_samples_leaf=1.0).fit(X, y)
        with pytest.raises(ValueError, match="'max_leaf_nodes' parameter"):
            DecisionTreeClassifier(max_leaf_nodes=1).fit(X, y)
