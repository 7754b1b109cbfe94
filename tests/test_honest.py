"""Honest trees: one half of the rows chooses the splits, the other fills the leaves."""

import dataclasses
import pickle
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reference_growth as reference
from fasttree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    EncodedTable,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
    load,
)
from fasttree.growth import honesty, training
from fasttree.trees.tree_checks import CLASSIFICATION_CRITERIA, REGRESSION_CRITERIA
from test_growth import PARAMS, assert_same, weights
from test_monotonic import assert_monotone, table_of

CRITERIA = (*CLASSIFICATION_CRITERIA, *REGRESSION_CRITERIA)
ESTIMATORS = [
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
]


def walk(tree, table, matrix, present):
    """Yield (feature, threshold or set, rows) in preorder, one-sided splits left out.

    A side needs something in each column of its rows of `present`.
    """
    leaf_of = tree.apply(matrix)
    stack = [0]
    while stack:
        node = stack.pop()
        below = np.isin(leaf_of, reference._leaves_below(tree, node))
        while tree.children_left[node] >= 0:
            sides = tree.children_left[node], tree.children_right[node]
            reached = [
                present[np.isin(leaf_of, reference._leaves_below(tree, side))]
                .any(axis=0)
                .all()
                for side in sides
            ]
            if all(reached):
                break
            node = sides[int(reached[1])]
        feature = tree.feature[node]
        yield feature, tree.threshold[node], below
        if feature >= 0:
            stack += [tree.children_right[node], tree.children_left[node]]


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_nodes_are_those_of_the_other_half(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n_rows = data.draw(st.integers(2, 120))
    X = table_of(rng, n_rows)
    if data.draw(st.booleans()):
        X[rng.random(X.shape) < 0.1] = np.nan
    if data.draw(st.booleans()):
        X[:, 2] = np.abs(np.nan_to_num(X[:, 2]))
    criterion = data.draw(st.sampled_from(CRITERIA))
    n_outputs = data.draw(st.sampled_from([1, 1, 2]))
    weight = data.draw(weights(n_rows))
    categorical = data.draw(st.sampled_from([None, [2]]))
    max_bins = data.draw(st.sampled_from([None, 6]))
    table = EncodedTable.from_data(
        X, max_bins=max_bins, categorical_features=categorical
    )
    shape = (n_rows, n_outputs)[:n_outputs]
    n_classes = 0
    if criterion in CLASSIFICATION_CRITERIA:
        n_classes = data.draw(st.sampled_from([2, 4]))
        y = rng.integers(0, n_classes, shape).astype(np.int32)
        n_classes = np.full(n_outputs, n_classes) if n_outputs > 1 else n_classes
    else:
        y = np.rint(rng.normal(size=shape) * 5)
        if criterion == "poisson":
            y = np.abs(y) + (rng.random(shape) < 0.5)
    params = dataclasses.replace(
        PARAMS,
        criterion=criterion,
        max_features=table.n_features,
        min_samples_leaf=data.draw(st.sampled_from([1, 3])),
        max_depth=data.draw(st.sampled_from([None, 3])),
        max_leaf_nodes=data.draw(st.sampled_from([None, 6])),
        splitter=data.draw(st.sampled_from(["best", "random"])),
        min_samples_category=1,
        seed=data.draw(st.integers(0, 2**64 - 1)),
    )

    def grow(table, y, weight, params, n_threads=1):
        if np.any(n_classes):
            return training.grow_classification_tree(
                table, y, n_classes, weight, params, n_threads
            )
        return training.grow_regression_tree(table, y, weight, params, n_threads)

    honest = dataclasses.replace(params, honest=True)
    kept = np.arange(n_rows) if weight is None else np.flatnonzero(weight)
    if len(kept) < 2:
        with pytest.raises(ValueError, match="honest=True needs at least 2 rows"):
            grow(table, y, weight, honest)
        return
    choosing, estimating = (
        kept[half] for half in honesty.split_rows(len(kept), honest.seed)
    )
    positive = [y[half].any() for half in (choosing, estimating)]
    if criterion == "poisson" and not all(positive):
        with pytest.raises(ValueError, match="y must be positive"):
            grow(table, y, weight, honest)
        return
    tree = grow(table, y, weight, honest)
    assert_same(tree, grow(table, y, weight, honest, n_threads=3))

    def part(array, rows):
        return None if array is None else array[rows]

    plain = grow(table.take(choosing), y[choosing], part(weight, choosing), params)
    other, own = table.take(estimating), y[estimating]
    share = np.ones(len(own)) if weight is None else weight[estimating]
    matrix = table.schema.to_matrix(other)
    present = np.ones((len(own), 1))
    if criterion == "poisson":
        present = own.reshape(len(own), -1)
        if not present.any(axis=0).all():
            return  # the impurity of an output that is 0 everywhere is not defined
    expected = list(walk(plain, other, matrix, present))
    assert tree.node_count == len(expected)
    assert tree.feature.tolist() == [feature for feature, _, _ in expected]
    np.testing.assert_array_equal(tree.threshold, [at for _, at, _ in expected])
    leaf_of = tree.apply(matrix)
    for node in range(tree.node_count):
        rows = np.isin(leaf_of, reference._leaves_below(tree, node))
        assert tree.n_node_samples[node] == rows.sum() > 0
        heft = share[rows]
        np.testing.assert_allclose(
            tree.weighted_n_node_samples[node], heft.sum(), rtol=1e-9, atol=1e-12
        )
        impurity = reference.impurity(criterion, own[rows], heft, n_classes)
        np.testing.assert_allclose(tree.impurity[node], impurity, rtol=1e-6, atol=1e-9)
        targets = own[rows].reshape(len(heft), -1).T
        for output, column in enumerate(targets):
            value = tree.value[node, output]
            if criterion in CLASSIFICATION_CRITERIA:
                shares = np.bincount(column, heft, len(value)) / heft.sum()
                np.testing.assert_allclose(value, shares, rtol=1e-6, atol=1e-9)
            else:
                mean = reference.value_of(criterion, column, heft)
                np.testing.assert_allclose(value[0], mean, rtol=1e-6, atol=1e-9)


def test_halves_are_drawn_anew_for_each_seed():
    for n_rows in (2, 3, 1000):
        choosing, estimating = honesty.split_rows(n_rows, 7)
        assert len(choosing) == n_rows // 2
        both = np.concatenate([choosing, estimating])
        np.testing.assert_array_equal(np.sort(both), np.arange(n_rows))
    other, _ = honesty.split_rows(1000, 8)
    assert 350 < np.isin(choosing, other).sum() * 2 < 650
    # The first rows do not depend on how many follow by more than the cut.
    np.testing.assert_array_equal(choosing, honesty.split_rows(1000, 7)[0])


def noise(n_rows=2000, seed=0):
    """A target that no feature has anything to do with."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_rows, 5)), rng.normal(size=n_rows)


def test_leaves_do_not_flatter_themselves():
    """In noise a tree claims to explain much; an honest one does not."""
    X, y = noise()
    options = {"max_depth": 5, "random_state": 0}
    plain = DecisionTreeRegressor(**options).fit(X, y)
    honest = DecisionTreeRegressor(**options, honest=True).fit(X, y)
    for model, (low, high) in ((plain, (0.03, 1.0)), (honest, (-0.05, 0.03))):
        tree = model.tree_
        gains = tree.compute_feature_importances(normalize=False)
        assert low < gains.sum() / tree.impurity[0] < high


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_estimators_keep_and_save_honest_trees(estimator, tmp_path):
    X, y = noise(300)
    X[:, 3] = np.digitize(X[:, 3], [-1, 0, 1])
    frame = pd.DataFrame(X, columns=list("abcde"))
    frame["d"] = frame["d"].map(dict(enumerate("wxyz"))).astype("category")
    y = np.rint(3 * (y + frame["a"] + (frame["d"] == "x")))
    model = estimator(
        honest=True,
        stability_report=True,
        random_state=3,
        min_samples_category=1,
        ccp_alpha=0.001,
    )
    model.fit(frame, y, np.linspace(0.5, 2, 300))
    assert model.tree_.n_node_samples[0] == 150
    model.save(tmp_path / "model")
    for other in (load(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
        assert_same(model.tree_, other.tree_)
        np.testing.assert_array_equal(model.predict(frame), other.predict(frame))
        report, kept = model.stability_report_, other.stability_report_
        for name, values in report.items():
            np.testing.assert_array_equal(values, kept[name])
    again = estimator(**model.get_params()).fit(frame, y, np.linspace(0.5, 2, 300))
    assert_same(model.tree_, again.tree_)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_constraints_hold_for_the_other_half(estimator):
    rng = np.random.default_rng(0)
    X = table_of(rng, 400)
    score = X[:, 0] - X[:, 1] + rng.normal(size=400)
    signs = [1, -1, 1, 0, -1]
    model = estimator(honest=True, monotonic_cst=signs, random_state=0)
    if isinstance(model, DecisionTreeClassifier):
        model.fit(X, score > 0)
        assert_monotone(lambda rows: model.predict_proba(rows)[:, 1], X, signs)
    else:
        model.fit(X, score)
        assert_monotone(model.predict, X, signs)


def test_constraints_of_many_classes_hold_for_the_other_half():
    rng = np.random.default_rng(0)
    for seed in range(20):
        X = table_of(rng, 150)
        y = np.digitize(X[:, 0] - X[:, 1] + 2 * rng.normal(size=150), [-1, 0, 1])
        signs = {
            0: rng.integers(-1, 2, X.shape[1]),
            2: rng.integers(-1, 2, X.shape[1]),
            3: rng.integers(-1, 2, X.shape[1]),
        }
        model = DecisionTreeClassifier(honest=True, monotonic_cst=signs)
        model.set_params(random_state=seed).fit(X, y)
        np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1.0, rtol=1e-9)
        for label, own in signs.items():
            assert_monotone(partial(share_of, model, label), X, own)


def share_of(model, label, rows):
    return np.round(model.predict_proba(rows)[:, label], 9)


def test_one_row_has_no_halves():
    with pytest.raises(ValueError, match=r"honest=True needs at least 2 rows.*got 1"):
        DecisionTreeClassifier(honest=True).fit([[0.0]], [1])
    with pytest.raises(ValueError, match="'honest' parameter"):
        DecisionTreeClassifier(honest="yes").fit([[0.0], [1.0]], [1, 0])


def test_medians_of_nodes_with_sets():
    """Nodes are measured level by level there, and sets have to keep to their nodes."""
    rng = np.random.default_rng(0)
    X = np.stack([rng.integers(0, 70, 400), rng.integers(0, 5, 400)], axis=1)
    y = rng.normal(size=400) + X[:, 0] % 7
    table = EncodedTable.from_data(X, categorical_features=[0, 1])
    params = dataclasses.replace(
        PARAMS,
        criterion="absolute_error",
        max_features=2,
        honest=True,
        min_samples_category=1,
        max_depth=5,
    )
    tree = training.grow_regression_tree(table, y, None, params, 1)
    estimating = honesty.split_rows(400, params.seed)[1]
    leaf = tree.apply(table.schema.to_matrix(X))[estimating]
    assert tree.is_categorical.sum() > 10
    for node in np.unique(leaf):
        assert tree.value[node, 0, 0] == np.median(y[estimating][leaf == node])
