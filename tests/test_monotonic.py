"""Monotonic constraints: predictions keep to them, and splits are the best allowed."""

import dataclasses
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import tree as sk

import reference_growth as reference
from fasttree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    EncodedTable,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
    load,
)
from fasttree.growth import constraints, sampling, training
from fasttree.growth.constraints import Monotone
from fasttree.trees.tree_checks import REGRESSION_CRITERIA
from test_growth import PARAMS, _with_narrow_rows, assert_same, weights

N_FEATURES = 5


def table_of(rng, n_rows):
    """Continuous, rounded, few-valued and two-valued columns, some values missing."""
    X = rng.normal(size=(n_rows, N_FEATURES))
    X[:, 1] = np.round(X[:, 1], 1)
    X[:, 2] = rng.integers(0, 4, n_rows)
    X[:, 3] = rng.integers(0, 2, n_rows)
    return X


def assert_monotone(predict, X, signs):
    """`predict` gives (n,) values, which must move as `signs` say."""
    for f in np.flatnonzero(signs):
        grid = np.unique(X[:, f][~np.isnan(X[:, f])])
        grid = np.concatenate([grid, grid[:-1] / 2 + grid[1:] / 2, [-9.0, 9.0]])
        grid = np.sort(grid)[:: max(1, len(grid) // 60)]
        rows = np.repeat(X[:40], len(grid), axis=0)
        rows[:, f] = np.tile(grid, min(40, len(X)))
        values = predict(rows).reshape(-1, len(grid))
        assert (np.diff(values, axis=1) * signs[f] >= 0.0).all()


def draw_options(data):
    return {
        "splitter": data.draw(st.sampled_from(["best", "random"])),
        "max_bins": data.draw(st.sampled_from([None, 12])),
        "max_leaf_nodes": data.draw(st.sampled_from([None, 15])),
        "min_samples_leaf": data.draw(st.sampled_from([1, 4])),
        "max_features": data.draw(st.sampled_from([None, 3])),
        "ccp_alpha": data.draw(st.sampled_from([0.0, 0.0, 0.005])),
        "random_state": 0,
    }


def draw_case(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n_rows = data.draw(st.integers(20, 250))
    X = table_of(rng, n_rows)
    if data.draw(st.booleans()):
        X[rng.random(X.shape) < 0.1] = np.nan
    score = np.nan_to_num(X[:, 0] - X[:, 1] + np.sin(3 * X[:, 4])) + rng.normal(
        size=n_rows
    )
    weight = data.draw(weights(n_rows))
    return rng, X, score, weight


SIGNS = st.lists(st.integers(-1, 1), min_size=N_FEATURES, max_size=N_FEATURES)


@settings(max_examples=80, deadline=None)
@given(st.data(), SIGNS)
def test_regression_is_monotone(data, signs):
    _, X, y, weight = draw_case(data)
    criterion = data.draw(st.sampled_from(REGRESSION_CRITERIA))
    options = draw_options(data)
    if criterion == "poisson":
        y = np.exp(y)
    model = DecisionTreeRegressor(
        criterion=criterion, monotonic_cst=signs, **options
    ).fit(X, y, weight)
    assert_monotone(model.predict, X, np.array(signs))


@settings(max_examples=60, deadline=None)
@given(st.data(), SIGNS)
def test_two_classes_are_monotone(data, signs):
    _, X, score, weight = draw_case(data)
    model = DecisionTreeClassifier(
        criterion=data.draw(st.sampled_from(["gini", "entropy"])),
        monotonic_cst=signs,
        **draw_options(data),
    ).fit(X, score > 0, weight)
    if len(model.classes_) == 2:
        assert_monotone(lambda rows: model.predict_proba(rows)[:, 1], X, signs)
        assert_monotone(
            lambda rows: model.predict_proba(rows)[:, 0], X, -np.array(signs)
        )


@settings(max_examples=80, deadline=None)
@given(st.data(), SIGNS, SIGNS)
def test_many_classes_are_monotone(data, first, last):
    _, X, score, weight = draw_case(data)
    labels = np.array(["a", "b", "c", "d"])
    y = labels[np.digitize(score, [-1.0, 0.0, 1.0])]
    y[:4] = labels
    model = DecisionTreeClassifier(
        criterion=data.draw(st.sampled_from(["gini", "entropy"])),
        monotonic_cst={"a": first, "d": last},
        **draw_options(data),
    ).fit(X, y, weight)
    for label, signs in (("a", first), ("d", last)):
        code = model.classes_.tolist().index(label)
        assert_monotone(
            lambda rows, code=code: model.predict_proba(rows)[:, code], X, signs
        )
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1.0, atol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("max_leaf_nodes", [None, 12])
@pytest.mark.parametrize("criterion", [*REGRESSION_CRITERIA, "gini", "entropy"])
class TestLikeScikitLearn:
    def test_same_tree(self, criterion, max_leaf_nodes, weighted):
        """Trees part only where two splits gain just as much."""
        options = {
            "criterion": criterion,
            "monotonic_cst": [1, 1, -1, 0],
            "max_depth": 5,
            "min_samples_leaf": 15,
            "max_leaf_nodes": max_leaf_nodes,
            "random_state": 0,  # by which scikit-learn breaks ties
        }
        n_tied = 0
        for seed in range(8):
            rng = np.random.default_rng(seed)
            X = rng.normal(size=(500, 4)).astype(np.float32)
            weight = rng.random(500) + 0.1 if weighted else None
            score = X[:, 0] + np.sin(2 * X[:, 1]) - X[:, 2] + rng.normal(size=500)
            if criterion in REGRESSION_CRITERIA:
                y = np.exp(score)
                ours, theirs = DecisionTreeRegressor, sk.DecisionTreeRegressor
            else:
                y = score > 0.3
                ours, theirs = DecisionTreeClassifier, sk.DecisionTreeClassifier
            trees = [
                model.fit(X, y, weight).tree_
                for model in (ours(**options), theirs(**options))
            ]
            is_tied = part_at_a_tie(*trees, X)
            n_tied += is_tied
            if not is_tied:
                # Node by node, in the order of the rows: best-first nodes of
                # scikit-learn have other numbers.
                values = [
                    np.stack([tree.value[leaf, 0, 0], tree.impurity[leaf]])
                    for tree in trees
                    for leaf in [tree.apply(X)]
                ]
                np.testing.assert_allclose(*values, rtol=1e-9, atol=1e-12)
            # Values had to be moved, or splits to be left out, somewhere.
            free = ours(**{**options, "monotonic_cst": None}).fit(X, y, weight).tree_
            bound = trees[0].value[trees[0].apply(X), 0, 0]
            assert not np.allclose(bound, free.value[free.apply(X), 0, 0])
        # Sums of deviations and counts of classes are often the same.
        has_ties = criterion == "absolute_error" or (
            not weighted and criterion in ("gini", "entropy")
        )
        assert n_tied <= (6 if has_ties else 0)


def part_at_a_tie(first, second, X):
    """Return whether two trees differ, which they may from a tie downwards alone."""
    is_tied = is_cut_off = False
    stack = [(0, 0, np.arange(len(X)))]
    while stack:
        *nodes, rows = stack.pop()
        trees = list(zip((first, second), nodes, strict=True))
        is_leaf = [tree.children_left[node] < 0 for tree, node in trees]
        if any(is_leaf):
            # A split that gains nothing but a rounding error is none.
            gains = [
                gain_of(tree, node)
                for (tree, node), ends in zip(trees, is_leaf, strict=True)
                if not ends
            ]
            is_cut_off |= max(gains, default=0.0) > 1e-9
            continue
        sides = [
            X[rows, tree.feature[node]] <= tree.threshold[node] for tree, node in trees
        ]
        if not np.array_equal(*sides):
            gains = [gain_of(tree, node) for tree, node in trees]
            np.testing.assert_allclose(*gains, rtol=1e-9)
            is_tied = True
            continue
        for children, side in (("left", sides[0]), ("right", ~sides[0])):
            below = [
                getattr(tree, f"children_{children}")[node] for tree, node in trees
            ]
            stack.append((*below, rows[side]))
    # With max_leaf_nodes a tie decides about other leaves too.
    assert is_tied or not is_cut_off
    return is_tied


def gain_of(tree, node):
    heft = tree.weighted_n_node_samples * tree.impurity
    left, right = tree.children_left[node], tree.children_right[node]
    return heft[node] - heft[left] - heft[right]


def loss_value(criterion, y, weight, n_classes):
    if n_classes:
        return np.bincount(y, weight, minlength=n_classes) / weight.sum()
    return np.array([reference.value_of(criterion, y, weight)])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_splits_are_the_best_allowed(data):
    """Every node against every split that brute force allows."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n_rows = data.draw(st.integers(4, 24))
    X = table_of(rng, n_rows)[:, :4]
    if data.draw(st.booleans()):
        X[rng.random(n_rows) < 0.2, 0] = np.nan
    n_classes = data.draw(st.sampled_from([0, 2, 3]))
    weight = data.draw(weights(n_rows))
    table = EncodedTable.from_data(X)
    signs = rng.integers(-1, 2, (4, 1 if n_classes < 3 else 2)).astype(np.int8)
    classes = np.array([1] if n_classes < 3 else [0, 2], np.int32)
    criteria = ("gini", "entropy") if n_classes else ("squared_error", "absolute_error")
    params = dataclasses.replace(
        PARAMS,
        criterion=data.draw(st.sampled_from(criteria)),
        max_features=4,
        monotone=Monotone(signs, classes),
    )
    if n_classes:
        y = rng.integers(0, n_classes, n_rows).astype(np.int32)
        tree = training.grow_classification_tree(table, y, n_classes, weight, params, 1)
    else:
        y = rng.normal(size=n_rows)
        tree = training.grow_regression_tree(table, y, weight, params, 1)
        classes = np.array([0])
    weight = np.ones(n_rows) if weight is None else weight
    leaf_of = tree.apply(X)
    bounds = np.tile([-np.inf, np.inf], (len(classes), 1))
    stack = [(0, np.flatnonzero(weight > 0), bounds)]
    while stack:
        node, rows, bounds = stack.pop()

        def values(rows):
            return loss_value(params.criterion, y[rows], weight[rows], n_classes)[
                classes
            ]

        def is_allowed(candidate, slack, rows=rows, bounds=bounds, values=values):
            sign = signs[candidate.feature]
            if not sign.any():
                return True
            left = values(rows[candidate.goes_left])
            right = values(rows[~candidate.goes_left])
            both = np.stack([left, right])
            return bool(
                (both >= bounds[:, 0] - slack).all()
                and (both <= bounds[:, 1] + slack).all()
                and ((right - left) * sign >= -slack).all()
            )

        pure = len(np.unique(y[rows])) == 1
        found = [] if pure else list(
            reference.candidates(
                table.columns, rows, y, weight, params.criterion, n_classes, 1, 0.0,
                range(4),
            )
        )  # fmt: skip
        surely = [c for c in found if is_allowed(c, -1e-9)]
        perhaps = [c for c in found if is_allowed(c, 1e-9)]
        left = tree.children_left[node]
        if left < 0:
            assert not surely
            continue
        went_left = np.isin(leaf_of[rows], reference._leaves_below(tree, left))
        chosen = [
            c
            for c in perhaps
            if c.feature == tree.feature[node]
            and np.array_equal(c.goes_left, went_left)
        ]
        assert chosen
        best = max((c.decrease for c in surely), default=-np.inf)
        assert chosen[0].decrease >= best - 1e-7 * weight.sum()
        middle = values(rows[went_left]) / 2 + values(rows[~went_left]) / 2
        below, above = bounds.copy(), bounds.copy()
        sign = signs[tree.feature[node]]
        below[sign > 0, 1] = middle[sign > 0]
        above[sign > 0, 0] = middle[sign > 0]
        below[sign < 0, 0] = middle[sign < 0]
        above[sign < 0, 1] = middle[sign < 0]
        stack.append((left, rows[went_left], below))
        stack.append((tree.children_right[node], rows[~went_left], above))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_wide_nodes_are_as_narrow_ones(data):
    rng, X, score, weight = draw_case(data)
    n_classes = data.draw(st.sampled_from([0, 2, 4]))
    n_bounded = 2 if n_classes == 4 else 1
    table = EncodedTable.from_data(X, max_bins=data.draw(st.sampled_from([None, 12])))
    classes = [0, 3] if n_classes == 4 else [1]
    signs = rng.integers(-1, 2, (N_FEATURES, n_bounded)).astype(np.int8)
    criteria = ("gini", "entropy") if n_classes else REGRESSION_CRITERIA
    params = dataclasses.replace(
        PARAMS,
        criterion=data.draw(st.sampled_from(criteria)),
        max_features=data.draw(st.sampled_from([5, 3])),
        splitter=data.draw(st.sampled_from(["best", "random"])),
        monotone=Monotone(signs, np.array(classes, np.int32)),
    )

    def fit(n_threads):
        if n_classes == 0:
            y = np.exp(score)
            return training.grow_regression_tree(table, y, weight, params, n_threads)
        y = np.digitize(score, [-1.0, 0.0, 1.0][: n_classes - 1]).astype(np.int32)
        return training.grow_classification_tree(
            table, y, n_classes, weight, params, n_threads
        )

    narrow = fit(1)
    for narrow_rows, n_threads in ((1, 1), (20, 3)):
        with pytest.MonkeyPatch.context() as patch:
            make_plan = _with_narrow_rows(training.make_plan, narrow_rows)
            patch.setattr(training, "make_plan", make_plan)
            for name in ("_KEY_BYTES", "_COPY_BYTES"):
                patch.setattr(sampling, name, 1)
            patch.setattr(sampling, "_LEAST_NARROW", narrow_rows)
            assert_same(narrow, fit(n_threads))


def test_shares_are_projected():
    """The nearest point of the simplex within bounds, against a solver's optimum."""
    from scipy.optimize import minimize

    rng = np.random.default_rng(0)
    monotone = Monotone(np.zeros((1, 2), np.int8), np.array([0, 2], np.int32))
    shares = rng.dirichlet(np.ones(4), 20)
    bounds = np.empty((20, 2, 2))
    inside = rng.dirichlet(np.ones(4), 20)[:, [0, 2]]
    bounds[:, :, 0] = inside - 0.1 * rng.random((20, 2))
    bounds[:, :, 1] = inside + 0.1 * rng.random((20, 2))
    found = constraints.project_shares(monotone, shares, bounds)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-14)
    for share, bound, projected in zip(shares, bounds, found, strict=True):
        limits = np.tile([0.0, 1.0], (4, 1))
        limits[[0, 2]] = np.clip(bound, 0.0, 1.0)
        expected = minimize(
            lambda x, share=share: ((x - share) ** 2).sum(),
            projected,
            bounds=limits,
            constraints={"type": "eq", "fun": lambda x: x.sum() - 1.0},
        ).x
        np.testing.assert_allclose(projected, expected, atol=1e-6)
        assert (projected >= limits[:, 0]).all()
        assert (projected <= limits[:, 1]).all()


def test_classes_by_name():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2))
    y = np.where(X[:, 0] + rng.normal(size=400) > 0, "yes", "no")
    rising = DecisionTreeClassifier(monotonic_cst=[1, 0], max_depth=4).fit(X, y)
    for named in ({"yes": [1, 0]}, {"no": [-1, 0]}, {"yes": [1, 0], "no": [-1, 0]}):
        model = DecisionTreeClassifier(monotonic_cst=named, max_depth=4).fit(X, y)
        assert_same(rising.tree_, model.tree_)
    free = DecisionTreeClassifier(max_depth=4).fit(X, y)
    for nothing in ([0, 0], {}, {"no": [0, 0]}):
        model = DecisionTreeClassifier(monotonic_cst=nothing, max_depth=4).fit(X, y)
        assert_same(free.tree_, model.tree_)


def test_states_keep_moved_shares(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2))
    y = np.digitize(X[:, 0] + X[:, 1] ** 2 + rng.normal(size=400), [0.0, 1.0])
    model = DecisionTreeClassifier(monotonic_cst={0: [-1, 0]}).fit(X, y)
    assert model.tree_.has_own_shares
    again = pickle.loads(pickle.dumps(model))
    assert_same(model.tree_, again.tree_)
    np.testing.assert_array_equal(model.predict_proba(X), again.predict_proba(X))
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert_same(model.tree_, again.tree_)
    np.testing.assert_array_equal(model.predict_proba(X), again.predict_proba(X))
    state = model.tree_.__getstate__()
    assert state["format_version"] == 2
    state["leaf_share"] = state["leaf_share"] * 1.1
    with pytest.raises(ValueError, match="leaf_share"):
        type(model.tree_).__new__(type(model.tree_)).__setstate__(state)


@pytest.mark.parametrize(
    ("model", "y", "given", "message"),
    [
        (DecisionTreeRegressor, [0.0, 1.0, 2.0], [1], "shape \\(1,\\).* 2 features"),
        (DecisionTreeRegressor, [0.0, 1.0, 2.0], [[1, 0]], "shape \\(1, 2\\)"),
        (ExtraTreeRegressor, [0.0, 1.0, 2.0], [2, 0], "-1, 0 or 1, but got \\[0 2\\]"),
        (DecisionTreeRegressor, [0.0, 1.0, 2.0], {0: [1, 0]}, "monotonic_cst"),
        (DecisionTreeClassifier, [0, 1, 2], [1, 0], "dict .* more than two classes"),
        (DecisionTreeClassifier, [0, 1, 2], {5: [1, 0]}, "the class 5.*\\[0, 1, 2\\]"),
        (ExtraTreeClassifier, [0, 1, 2], {1: [1]}, "monotonic_cst\\[1\\] has shape"),
        (ExtraTreeClassifier, [0, 1, 1], {0: [1, 0], 1: [1, 0]}, "opposite signs"),
        (DecisionTreeClassifier, [0, 1, 1], "rising", "monotonic_cst"),
    ],
)
def test_bad_constraints_are_refused(model, y, given, message):
    X = np.arange(6.0).reshape(3, 2)
    with pytest.raises(ValueError, match=message):
        model(monotonic_cst=given).fit(X, y)


def test_categories_cannot_be_constrained():
    frame = pd.DataFrame({"size": [1.0, 2.0, 3.0], "colour": ["red", "blue", "red"]})
    frame["colour"] = frame["colour"].astype("category")
    with pytest.raises(ValueError, match=r"categorical features.*'colour'"):
        DecisionTreeRegressor(monotonic_cst=[1, 1]).fit(frame, [0.0, 1.0, 2.0])
    DecisionTreeRegressor(monotonic_cst=[1, 0]).fit(frame, [0.0, 1.0, 2.0])
