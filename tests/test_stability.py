"""Margins: how far each split is ahead of the best split of another feature."""

import dataclasses

import numpy as np
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
)
from fasttree.growth import training
from fasttree.trees.tree import Tree
from fasttree.trees.tree_checks import CLASSIFICATION_CRITERIA, REGRESSION_CRITERIA
from test_growth import PARAMS, tables, weights

CRITERIA = (*CLASSIFICATION_CRITERIA, *REGRESSION_CRITERIA)


def assert_same_but_margins(kept, plain):
    kept, plain = kept.__getstate__(), plain.__getstate__()
    for state in (kept, plain):
        state.pop("format_version")
        state.pop("n_outputs", None)
    for name in ("gain", "runner_up", "runner_up_gain"):
        kept.pop(name)
    assert kept.keys() == plain.keys()
    for name, value in plain.items():
        np.testing.assert_array_equal(kept[name], value, err_msg=name)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_margins_equal_brute_force(data):
    X = data.draw(tables(max_rows=20))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    criterion = data.draw(st.sampled_from(CRITERIA))
    weight = data.draw(weights(len(X)))
    n_classes = 0
    if criterion in CLASSIFICATION_CRITERIA:
        n_classes = data.draw(st.sampled_from([2, 3]))
        y = rng.integers(0, n_classes, len(X)).astype(np.int32)
    else:
        y = rng.integers(1, 9, len(X)).astype(np.float64)
    table = EncodedTable.from_data(X)
    params = dataclasses.replace(
        PARAMS,
        criterion=criterion,
        max_features=table.n_features,
        min_samples_leaf=data.draw(st.sampled_from([1, 2])),
        max_leaf_nodes=data.draw(st.sampled_from([None, 5])),
    )

    def grow(**changes):
        own = dataclasses.replace(params, **changes)
        if n_classes:
            return training.grow_classification_tree(
                table, y, n_classes, weight, own, 1
            )
        return training.grow_regression_tree(table, y, weight, own, 1)

    tree = grow(keeps_margins=True)
    assert_same_but_margins(tree, grow())
    share = np.ones(len(X)) if weight is None else weight
    total = share.sum()
    leaf_of = tree.apply(X)
    margins = tree.margins
    for node in range(tree.node_count):
        if tree.children_left[node] < 0:
            assert np.isnan(margins["gain"][node])
            assert np.isnan(margins["runner_up_gain"][node])
            assert margins["runner_up"][node] == -2
            continue
        below = np.isin(leaf_of, reference._leaves_below(tree, node))
        rows = np.flatnonzero(below & (share > 0))
        best = {}
        for candidate in reference.candidates(
            table.columns, rows, y, share, criterion, n_classes,
            params.min_samples_leaf, 0.0, range(table.n_features),
        ):  # fmt: skip
            so_far = best.get(candidate.feature, -np.inf)
            best[candidate.feature] = max(so_far, candidate.decrease / total)
        tolerance = {"rtol": 1e-6, "atol": 1e-9}
        chosen = best.pop(tree.feature[node])
        np.testing.assert_allclose(margins["gain"][node], chosen, **tolerance)
        if not best:
            assert margins["runner_up"][node] == -2
            continue
        runner_up = margins["runner_up"][node]
        second = max(best.values())
        np.testing.assert_allclose(best[runner_up], second, **tolerance)
        np.testing.assert_allclose(margins["runner_up_gain"][node], second, **tolerance)


@pytest.mark.parametrize(
    "model",
    [
        DecisionTreeClassifier(),
        DecisionTreeClassifier(max_bins=20),
        DecisionTreeClassifier(max_features=2),
        DecisionTreeClassifier(max_leaf_nodes=30, criterion="entropy"),
        DecisionTreeRegressor(),
        DecisionTreeRegressor(criterion="absolute_error", max_depth=6),
        DecisionTreeRegressor(monotonic_cst=[1, 0, 0, 0, 0]),
        ExtraTreeClassifier(),
        ExtraTreeRegressor(max_features=None),
    ],
)
def test_the_tree_is_the_same(model):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 5)).astype(np.float32)
    y = X[:, 0] + X[:, 1] * X[:, 2] + 0.5 * rng.normal(size=3000)
    if isinstance(model, DecisionTreeClassifier):
        y = np.digitize(y, [-1, 0, 1])
    model.set_params(random_state=1, n_jobs=1)
    plain = model.fit(X, y).tree_
    with pytest.raises(AttributeError, match="stability_report=True"):
        model.stability_report_  # noqa: B018 - a property
    kept = model.set_params(stability_report=True).fit(X, y)
    assert_same_but_margins(kept.tree_, plain)
    report = kept.stability_report_
    inner = report.feature >= 0
    assert (report.margin[inner] >= 0.0).all()
    assert (report.margin[inner] <= 1.0).all()
    assert (report.runner_up[inner] != report.feature[inner]).all()
    assert np.isnan(report.margin[~inner]).all()
    several = model.set_params(n_jobs=2).fit(X, y).stability_report_
    for name, values in report.items():
        np.testing.assert_array_equal(values, several[name])


def test_twins_tie():
    """A column and its copy: the split of the one is the split of the other."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=200)
    model = DecisionTreeClassifier(stability_report=True)
    model.fit(np.stack([x, x], axis=1), x + rng.normal(size=200) > 0)
    report = model.stability_report_
    inner = report.feature >= 0
    assert (report.feature[inner] == 0).all()
    assert (report.runner_up[inner] == 1).all()
    assert (report.margin[inner] == 0.0).all()
    alone = model.fit(x[:, None], x > 0).stability_report_
    assert alone.margin.tolist()[0] == 1.0
    assert alone.runner_up.tolist() == [-2, -2, -2]


def test_levels_of_many_nodes_are_searched_in_parts(monkeypatch):
    from fasttree.growth import node_order

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(500, 3)), rng.integers(0, 2, 500)
    model = DecisionTreeClassifier(stability_report=True)
    whole = model.fit(X, y).tree_
    monkeypatch.setattr(node_order, "_SPLIT_BYTES", 1000)
    parts = model.fit(X, y).tree_
    for name, values in whole.__getstate__().items():
        np.testing.assert_array_equal(values, parts.__getstate__()[name])


def test_pruned_trees_keep_the_margins_that_are_left():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(400, 3)), rng.normal(size=400)
    model = DecisionTreeRegressor(stability_report=True, ccp_alpha=0.01).fit(X, y)
    report = model.stability_report_
    inner = report.feature >= 0
    assert 0 < inner.sum() < 200
    assert not np.isnan(report.gain[inner]).any()
    assert np.isnan(report.gain[~inner]).all()
    tree = model.tree_
    weighted = tree.weighted_n_node_samples * tree.impurity
    left, right = tree.children_left[inner], tree.children_right[inner]
    decrease = (weighted[inner] - weighted[left] - weighted[right]) / 400
    np.testing.assert_allclose(report.gain[inner], decrease, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gain": None}, "go together"),
        ({"runner_up": [7, -2, -2]}, "runner_up must be in 0..1"),
        ({"runner_up": [1, 1, -2]}, "as at leaves"),
        ({"gain": [np.inf, np.nan, np.nan]}, "gain must be finite"),
        ({"runner_up_gain": [np.nan] * 3}, "runner_up_gain must be finite"),
        ({"gain": [1.0]}, "one entry for each"),
    ],
)
def test_wrong_margins_are_refused(change, message):
    fields = {
        "n_features": 2,
        "n_classes": 0,
        "criterion": "squared_error",
        "children_left": [1, -1, -1],
        "children_right": [2, -1, -1],
        "feature": [0, -2, -2],
        "threshold": [0.5, -2.0, -2.0],
        "missing_left": [0, 0, 0],
        "impurity": [1.0, 0.0, 0.0],
        "n_node_samples": [2, 1, 1],
        "weighted_n_node_samples": [2.0, 1.0, 1.0],
        "leaf_value": [0.0, 1.0],
        "gain": [1.0, np.nan, np.nan],
        "runner_up": [1, -2, -2],
        "runner_up_gain": [0.5, np.nan, np.nan],
    }
    Tree.from_arrays(**fields)
    with pytest.raises(ValueError, match=message):
        Tree.from_arrays(**(fields | change))
