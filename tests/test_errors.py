"""Bad input: an error that names what is wrong, whatever the estimator."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from fasttree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 3))
Y = RNG.integers(0, 3, 30)
EACH = pytest.mark.parametrize(
    "estimator",
    [
        DecisionTreeClassifier(),
        DecisionTreeRegressor(),
        ExtraTreeClassifier(),
        ExtraTreeRegressor(),
    ],
)


def changed(array, value, at=0):
    copy = np.array(array, float)
    copy.flat[at] = value
    return copy


@pytest.mark.parametrize(
    ("data", "target", "message"),
    [
        (X[0], Y, "Expected 2D array, got 1D"),
        (X[:, :, None], Y, "dim 3"),
        (3.0, Y, "Expected 2D array, got scalar"),
        (X[:0], Y[:0], "0 sample"),
        (X[:, :0], Y, "0 feature"),
        (X[:-1], Y, r"inconsistent numbers of samples: \[29, 30\]"),
        (X, Y[:-1], r"inconsistent numbers of samples: \[30, 29\]"),
        (X.astype(complex), Y, "(?i)complex"),
        (changed(X, np.inf), Y, "infinity"),
        (changed(X, -np.inf, 7), Y, "infinity"),
        (np.full((30, 3), "a"), Y, "(?i)string|convert|numeric"),
        (sparse.csr_array(changed(X, np.inf)), Y, "infinity"),
        (X, None, "requires y to be passed"),
        (X, changed(Y, np.nan), "y contains NaN"),
        (X, changed(Y, np.inf), "y contains infinity"),
        (X, Y.astype(complex), "(?i)complex"),
        (X, np.stack([Y, changed(Y, np.nan)], axis=1), "y contains NaN"),
        (X, np.zeros((30, 2, 2)), "dim 3"),
        (X, np.zeros((30, 0)), "0 feature|0 output"),
        (X, sparse.csr_array(np.eye(30)), "(?i)sparse"),
    ],
)
@EACH
def test_data(estimator, data, target, message):
    with pytest.raises((ValueError, TypeError), match=message):
        clone(estimator).fit(data, target)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.ones(29), "sample_weight"),
        (np.ones((30, 1)), "(?i)sample.weight"),
        (changed(np.ones(30), -1.0), "(?i)negative.*sample_weight"),
        (np.zeros(30), "(?i)sample.weight.* at least one non-zero"),
        (changed(np.ones(30), np.nan), "sample_weight contains NaN"),
        (changed(np.ones(30), np.inf), "sample_weight contains infinity"),
        (np.ones(30, complex), "(?i)complex"),
        (["a"] * 30, "(?i)could not convert"),
    ],
)
@EACH
def test_weights(estimator, weight, message):
    for target in (Y, np.stack([Y, Y], axis=1)):
        with pytest.raises(ValueError, match=message):
            clone(estimator).fit(X, target, sample_weight=weight)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("criterion", "best"),
        ("criterion", None),
        ("splitter", "worst"),
        ("max_depth", 0),
        ("max_depth", 1.5),
        ("min_samples_split", 1),
        ("min_samples_split", 1.5),
        ("min_samples_leaf", 0),
        ("min_samples_leaf", 1.0),
        ("min_weight_fraction_leaf", 0.6),
        ("min_weight_fraction_leaf", -0.1),
        ("max_features", 0),
        ("max_features", 1.1),
        ("max_features", "all"),
        ("max_leaf_nodes", 1),
        ("min_impurity_decrease", -0.1),
        ("max_bins", 1),
        ("max_bins", 65536),
        ("categorical_features", 3),
        ("min_samples_category", 0),
        ("random_state", "seed"),
        ("n_jobs", 0),
        ("n_jobs", "all"),
    ],
)
@EACH
def test_parameters(estimator, name, value):
    with pytest.raises(ValueError, match=name) as error:
        clone(estimator).set_params(**{name: value}).fit(X, Y)
    assert repr(value) in str(error.value)


@EACH
def test_unknown_parameter(estimator):
    with pytest.raises(ValueError, match="depth"):
        clone(estimator).set_params(depth=3)


@pytest.mark.parametrize(
    "columns", [[3], [-4], [0.5], ["a"], [True, False], [[0], [1]]]
)
@EACH
def test_categorical_columns(estimator, columns):
    with pytest.raises((ValueError, TypeError), match="categorical_features"):
        clone(estimator).set_params(categorical_features=columns).fit(X, Y)


@pytest.mark.parametrize(
    "use",
    [
        lambda model: model.predict(X),
        lambda model: model.apply(X),
        lambda model: model.decision_path(X),
        lambda model: model.get_depth(),
        lambda model: model.get_n_leaves(),
        lambda model: model.feature_importances_,
    ],
)
@EACH
def test_before_fitting(estimator, use):
    with pytest.raises(NotFittedError, match="not fitted"):
        use(clone(estimator))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (X[:, :2], "2 features, but .* is expecting 3 features"),
        (np.hstack([X, X]), "6 features, but .* is expecting 3 features"),
        (sparse.csr_array(X[:, :2]), "2 features, but .* is expecting 3 features"),
        (X[0], "Expected 2D array"),
        (changed(X, np.inf), "infinity"),
        (X.astype(complex), "(?i)complex"),
    ],
)
@EACH
def test_other_columns(estimator, data, message):
    model = clone(estimator).fit(X, Y)
    for method in ("predict", "apply", "decision_path"):
        with pytest.raises(ValueError, match=message):
            getattr(model, method)(data)


@EACH
def test_other_names(estimator):
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    model = clone(estimator).fit(frame, Y)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame.rename(columns={"c": "d"}))


@pytest.mark.parametrize(
    "class_weight", [{0: -1.0}, {0: np.nan}, "even", {0: 0.0, 1: 0.0, 2: 0.0}]
)
@pytest.mark.parametrize("estimator", [DecisionTreeClassifier(), ExtraTreeClassifier()])
def test_class_weights(estimator, class_weight):
    with pytest.raises(ValueError, match="class_weight"):
        clone(estimator).set_params(class_weight=class_weight).fit(X, Y)


@pytest.mark.parametrize(
    "estimator",
    [
        DecisionTreeRegressor(criterion="poisson"),
        ExtraTreeRegressor(criterion="poisson"),
    ],
)
def test_poisson_targets(estimator):
    for target in (Y - 1, np.stack([Y, Y - 1], axis=1)):
        with pytest.raises(ValueError, match="y must not be negative"):
            clone(estimator).fit(X, target)
    with pytest.raises(ValueError, match="y must be positive somewhere"):
        clone(estimator).fit(X, np.zeros(30))
