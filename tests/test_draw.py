"""Splits drawn at random: the draws, what is made of them, and their schedule."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import tree as sk
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

import reference_draw as reference
from fasttree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    EncodedTable,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)
from fasttree.growth import sampling, training
from fasttree.trees.tree_checks import REGRESSION_CRITERIA
from test_growth import (
    PARAMS,
    arrays_of,
    assert_same,
    synthetic,
    tables,
    weights,
)

DRAWN = dataclasses.replace(PARAMS, splitter="random")


@parametrize_with_checks(
    [
        ExtraTreeClassifier(),
        ExtraTreeRegressor(),
        DecisionTreeClassifier(splitter="random"),
        DecisionTreeRegressor(splitter="random"),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def fit(table, n_classes, weight, params, n_threads=1):
    rng = np.random.default_rng(0)
    if n_classes == 0:
        y = rng.exponential(size=table.n_rows)
        tree = training.grow_regression_tree(table, y, weight, params, n_threads)
    else:
        y = rng.integers(0, n_classes, table.n_rows).astype(np.int32)
        tree = training.grow_classification_tree(
            table, y, n_classes, weight, params, n_threads
        )
    return tree, y


def draw_params(data, n_features, n_classes):
    criteria = ("gini", "entropy") if n_classes else REGRESSION_CRITERIA
    return dataclasses.replace(
        DRAWN,
        criterion=data.draw(st.sampled_from(criteria)),
        max_features=data.draw(st.integers(1, n_features)),
        min_samples_leaf=data.draw(st.sampled_from([1, 1, 2, 4])),
        min_weight_fraction_leaf=data.draw(st.sampled_from([0.0, 0.0, 0.2])),
        min_samples_category=data.draw(st.sampled_from([1, 3])),
        max_depth=data.draw(st.sampled_from([None, None, 2])),
        seed=data.draw(st.integers(0, 2**64 - 1)),
    )


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_nodes_hold_the_best_of_their_draws(data):
    X = data.draw(tables(60))
    table = EncodedTable.from_data(X, max_bins=data.draw(st.sampled_from([None, 4])))
    n_classes = data.draw(st.sampled_from([0, 2, 2, 3, 7]))
    weight = data.draw(weights(len(X)))
    params = draw_params(data, table.n_features, n_classes)
    tree, y = fit(table, n_classes, weight, params)
    reference.audit(tree, table, X, y, params, weight, n_classes)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_categories_are_drawn_too(data):
    n_rows = data.draw(st.integers(2, 60))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    X = rng.integers(0, 6, (n_rows, 3)).astype(float)
    X[rng.random(n_rows) < 0.2, 0] = np.nan
    table = EncodedTable.from_data(X, categorical_features=[0, 1])
    n_classes = data.draw(st.sampled_from([0, 2, 3]))
    weight = data.draw(weights(n_rows))
    params = draw_params(data, 3, n_classes)
    tree, y = fit(table, n_classes, weight, params)
    matrix = table.schema.to_matrix(X)
    reference.audit(tree, table, matrix, y, params, weight, n_classes)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_wide_nodes_draw_as_narrow_ones_do(data):
    n_rows = data.draw(st.integers(30, 300))
    n_features = data.draw(st.integers(1, 11))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    X = rng.normal(size=(n_rows, n_features))
    X[:, ::2] = np.round(X[:, ::2], 1)
    X[:, 0] = rng.integers(0, 9, n_rows)
    X[rng.random(X.shape) < data.draw(st.sampled_from([0.0, 0.2]))] = np.nan
    table = EncodedTable.from_data(
        X.astype(data.draw(st.sampled_from([np.float32, np.float64]))),
        max_bins=data.draw(st.sampled_from([None, 20, 255])),
        categorical_features=data.draw(st.sampled_from([None, [0]])),
    )
    n_classes = data.draw(st.sampled_from([0, 2, 5]))
    weight = data.draw(weights(n_rows))
    params = draw_params(data, n_features, n_classes)
    narrow, _ = fit(table, n_classes, weight, params)
    for narrow_rows in (1, 20):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sampling, "_KEY_BYTES", 1)
            patch.setattr(sampling, "_LEAST_NARROW", narrow_rows)
            assert_same(narrow, fit(table, n_classes, weight, params, 2)[0])
    # Best leaf first, to the end, comes from nodes that are looked at one by one.
    whole = dataclasses.replace(params, max_leaf_nodes=n_rows + 1)
    best_first = fit(table, n_classes, weight, whole, 2)[0]
    first, second = narrow.__getstate__(), best_first.__getstate__()
    # Two classes with small whole weights are counted as such there, and their entropy
    # is not rounded as that of weights.
    impurities = first.pop("impurity"), second.pop("impurity")
    np.testing.assert_allclose(*impurities, rtol=1e-12, atol=1e-12)
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


@pytest.mark.parametrize(
    ("criterion", "n_classes"),
    [*((criterion, 0) for criterion in REGRESSION_CRITERIA), ("gini", 2), ("gini", 4)],
)
@pytest.mark.parametrize("max_bins", [None, 255])
def test_threads_change_no_bit(criterion, n_classes, max_bins):
    X, _ = synthetic(20_000)
    table = EncodedTable.from_data(X, max_bins=max_bins)
    params = dataclasses.replace(DRAWN, criterion=criterion, max_features=4)
    trees = [fit(table, n_classes, None, params, n)[0] for n in (1, 2, 4)]
    assert trees[0].node_count > 1000
    assert_same(trees[0], trees[1])
    assert_same(trees[0], trees[2])


def test_thresholds_are_uniform():
    keys = np.random.default_rng(0).integers(0, 2**63, 50_000).tolist()
    drawn = [
        reference.draw_threshold(reference.draw(key, 0), -3.0, 5.0, single=False)
        for key in keys
    ]
    assert stats.kstest((np.array(drawn) + 3.0) / 8.0, "uniform").pvalue > 0.001
    # The kernel draws the very same.
    table = EncodedTable.from_data([[-3.0], [5.0], [5.0]])
    y = np.array([0, 1, 1], np.int32)
    for key, threshold in zip(keys[:300], drawn, strict=False):
        params = dataclasses.replace(DRAWN, seed=key)
        tree = training.grow_classification_tree(table, y, 2, None, params, 1)
        assert tree.threshold[0] == threshold


def test_missing_values_go_either_way():
    X = np.array([[0.0], [1.0], [np.nan], [np.nan]])
    y = [0.0, 1.0, 2.0, 2.0]
    left = sum(
        int(ExtraTreeRegressor(random_state=seed).fit(X, y).tree_.missing_go_to_left[0])
        for seed in range(1000)
    )
    assert 420 < left < 580


def test_category_subsets_are_even():
    X = np.repeat(np.arange(4.0), 5)[:, None]
    y = np.arange(20.0)
    seen = np.zeros(16)
    for seed in range(1400):
        model = ExtraTreeRegressor(
            categorical_features=[0],
            min_samples_category=1,
            max_depth=1,
            random_state=seed,
        ).fit(X, y)
        seen[int(model.tree_.category_bits[0])] += 1
    assert seen[0] == seen[15] == 0
    assert stats.chisquare(seen[1:15]).pvalue > 0.01


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_neighbouring_floats_are_told_apart(dtype):
    rng = np.random.default_rng(0)
    steps = rng.integers(-3, 3, size=(200, 2))
    for scale in (1.0, 2.0**100):
        X = ((1.0 + steps * np.finfo(dtype).eps) * scale).astype(dtype)
        X[:, 1] *= -1
        _, y = np.unique(X, axis=0, return_inverse=True)
        assert ExtraTreeClassifier(random_state=0).fit(X, y).score(X, y) == 1.0


def test_extreme_values():
    largest = np.finfo(np.float64).max
    X = np.array([[-largest], [-0.0], [0.0], [5e-324], [largest]])
    y = np.array([0, 1, 1, 2, 3])
    for seed in range(20):
        model = ExtraTreeClassifier(random_state=seed).fit(X, y)
        assert model.score(X, y) == 1.0
        inner = model.tree_.feature >= 0
        assert not np.signbit(model.tree_.threshold[inner & (X[1, 0] == 0.0)]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_data_and_table_give_the_same_tree(dtype):
    X, score = synthetic(3000, dtype=np.float64)
    X = np.round(np.nan_to_num(X) * 20) if dtype == np.int16 else X - 0.0
    X = X.astype(dtype)
    frame = pd.DataFrame(X).rename(columns=str)
    frame["2"] = frame["2"].astype("category")
    frame.loc[::7, "5"] = None
    for data in (X, frame):
        for sample_weight in (None, np.arange(3000) % 3):
            for max_bins in (None, 50):
                table = EncodedTable.from_data(
                    data, max_bins=max_bins, sample_weight=sample_weight
                )
                model = ExtraTreeRegressor(random_state=0, max_bins=max_bins)
                tree = model.fit(data, score, sample_weight).tree_
                again = clone(model).set_params(max_bins=None)
                assert_same(tree, again.fit(table, score, sample_weight).tree_)


def test_infinite_data_are_refused():
    X = np.ones((5, 2))
    X[3, 1] = np.inf
    with pytest.raises(ValueError, match="infinit"):
        ExtraTreeRegressor().fit(X, np.arange(5.0))


@pytest.mark.parametrize("max_leaf_nodes", [None, 40])
def test_random_state(max_leaf_nodes):
    X, score = synthetic(2000)

    def grow(seed):
        model = ExtraTreeRegressor(random_state=seed, max_leaf_nodes=max_leaf_nodes)
        return model.fit(X, score).tree_

    assert_same(grow(3), grow(3))
    first, second = arrays_of(grow(3)), arrays_of(grow(4))
    assert first["threshold"].tobytes() != second["threshold"].tobytes()


def test_best_first_takes_the_same_splits():
    X, score = synthetic(3000)
    full = ExtraTreeRegressor(random_state=0).fit(X, score).tree_
    some = ExtraTreeRegressor(random_state=0, max_leaf_nodes=30).fit(X, score).tree_
    assert some.n_leaves == 30
    inner = some.feature >= 0
    splits = set(zip(full.feature.tolist(), full.threshold.tolist(), strict=True))
    for f, t in zip(some.feature[inner], some.threshold[inner], strict=True):
        assert (f, t) in splits


def test_defaults_are_scikit_learns():
    for ours, theirs in (
        (ExtraTreeClassifier(), sk.ExtraTreeClassifier()),
        (ExtraTreeRegressor(), sk.ExtraTreeRegressor()),
    ):
        expected = theirs.get_params()
        for name, value in ours.get_params().items():
            if name in expected:
                assert value == expected[name], name


@pytest.mark.parametrize("load", [load_breast_cancer, load_digits, load_wine])
def test_classifies_as_well_as_scikit_learn(load):
    X, y = load(return_X_y=True)

    def scores(make):
        return [
            cross_val_score(make(random_state=seed), X, y, cv=5).mean()
            for seed in range(20)
        ]

    ours, theirs = scores(ExtraTreeClassifier), scores(sk.ExtraTreeClassifier)
    noise = np.sqrt((np.var(ours) + np.var(theirs)) / 20)
    assert abs(np.mean(ours) - np.mean(theirs)) < 3.5 * noise


def test_regresses_as_well_as_scikit_learn():
    X, y = load_diabetes(return_X_y=True)

    def scores(make):
        return [
            cross_val_score(make(random_state=seed, min_samples_leaf=5), X, y).mean()
            for seed in range(20)
        ]

    ours, theirs = scores(ExtraTreeRegressor), scores(sk.ExtraTreeRegressor)
    noise = np.sqrt((np.var(ours) + np.var(theirs)) / 20)
    assert abs(np.mean(ours) - np.mean(theirs)) < 3.5 * noise


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_features", [1, 3, 28])
@pytest.mark.parametrize("has_nan", [False, True])
def test_values_are_looked_at_where_they_stand(dtype, n_features, has_nan):
    """A C-ordered matrix is read as it is, a Fortran-ordered one becomes keys."""
    rng = np.random.default_rng(n_features)
    X = rng.normal(size=(6000, n_features)).astype(dtype)
    X[:, 0] = np.round(X[:, 0])
    X[rng.random(X.shape) < 0.1] = 0.0
    X[rng.random(X.shape) < 0.1] = -0.0
    X[rng.random(X.shape) < 0.01] = np.finfo(dtype).max
    X[rng.random(X.shape) < 0.01] = -np.finfo(dtype).smallest_subnormal
    if has_nan:
        X[rng.random(X.shape) < 0.05] = np.nan
        X[rng.random(X.shape) < 0.05] = -np.nan
    before = X.copy()
    y = np.nan_to_num(X[:, 0]).clip(-9, 9) + rng.normal(size=len(X))
    weight = rng.integers(0, 3, len(X)).astype(float)
    for model, target in (
        (ExtraTreeClassifier(random_state=0), y > 0.5),
        (ExtraTreeRegressor(random_state=0, max_features=None), y),
        (ExtraTreeRegressor(random_state=0, max_leaf_nodes=30), y),
    ):
        for weights_ in (None, weight):
            trees = [
                model.fit(data, target, weights_).tree_
                for data in (X, np.asfortranarray(X))
            ]
            assert_same(*trees)
    np.testing.assert_array_equal(X, before)
    X[17, n_features - 1] = -np.inf
    with pytest.raises(ValueError, match=f"infinity in column {n_features - 1}"):
        model.fit(X, y)
