"""Grown trees: against brute force, against each other, for every option."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reference_growth as reference
from fasttree.data.table import EncodedTable
from fasttree.growth import node_order, training
from fasttree.growth import target as target_module
from fasttree.growth.plan import GrowthParams
from fasttree.trees.tree_checks import REGRESSION_CRITERIA

PARAMS = GrowthParams(
    criterion="entropy",
    max_depth=None,
    min_samples_split=2,
    min_samples_leaf=1,
    min_weight_fraction_leaf=0.0,
    min_samples_category=1,
    max_features=1,
    max_leaf_nodes=None,
    min_impurity_decrease=0.0,
    seed=0,
)


def with_params(table, **changes):
    return dataclasses.replace(PARAMS, max_features=table.n_features, **changes)


def make_plan(seed=0, n_rows=50, n_features=3):
    rng = np.random.default_rng(seed)
    table = EncodedTable.from_data(rng.normal(size=(n_rows, n_features)))
    target = target_module.Target(
        target_module.BINARY,
        "gini",
        2,
        rng.integers(0, 2, n_rows).astype(np.uint16),
        target_module.Weights(None, n_rows, 1.0),
        None,
        None,
        None,
        0.0,
    )
    plan, _ = training.make_plan(table, target, with_params(table), 1)
    return plan


def tile_problem(n_classes):
    """A problem of eleven uint8 columns, and what it was made of."""
    rng = np.random.default_rng(n_classes)
    X = rng.integers(0, 40, (500, 11)).astype(np.float32)
    table = EncodedTable.from_data(X)
    codes = np.stack([column.codes for column in table.columns], axis=1)
    label = rng.integers(0, max(n_classes, 2), 500).astype(np.uint16)
    value = rng.integers(-(2**40), 2**40, 500)
    target = target_module.Target(
        {0: target_module.REGRESSION, 2: target_module.BINARY}.get(
            n_classes, target_module.CLASSES
        ),
        "gini" if n_classes else "squared_error",
        n_classes,
        label if n_classes else None,
        target_module.Weights(None, 500, 1.0),
        None if n_classes else value,
        None if n_classes else value.astype(float),
        None,
        0.0,
    )
    plan, _ = training.make_plan(table, target, with_params(table), 1)
    return plan.problem, codes.astype(np.int64), np.arange(500), label, value


def arrays_of(tree):
    state = dict(tree.__getstate__())
    return {k: v for k, v in state.items() if isinstance(v, np.ndarray)}


def assert_same(first, second):
    first, second = arrays_of(first), arrays_of(second)
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)
        assert array.tobytes() == second[name].tobytes()


@st.composite
def tables(draw, max_rows=28):
    """Small tables with ties, duplicates, constants, NaN and wild scales."""
    n_rows = draw(st.integers(1, max_rows))
    n_features = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    columns = []
    for _ in range(n_features):
        kind = draw(st.sampled_from(["continuous", "ties", "constant", "binary"]))
        scale = draw(st.sampled_from([1.0, 1e-30, 1e30]))
        column = {
            "continuous": lambda: rng.normal(size=n_rows),
            "ties": lambda: rng.integers(-3, 4, n_rows).astype(float),
            "constant": lambda: np.full(n_rows, 2.0),
            "binary": lambda: rng.integers(0, 2, n_rows).astype(float),
        }[kind]()
        column *= scale
        if draw(st.booleans()):
            column[rng.random(n_rows) < 0.3] = np.nan
        columns.append(column)
    X = np.stack(columns, axis=1)
    return X.astype(draw(st.sampled_from([np.float32, np.float64])))


@st.composite
def weights(draw, n_rows):
    kind = draw(st.sampled_from(["none", "counts", "fractions"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if kind == "none":
        return None
    if kind == "counts":
        weight = rng.integers(0, 4, n_rows).astype(float)
    else:
        weight = rng.random(n_rows) * draw(st.sampled_from([1.0, 1e-6, 1e6]))
    weight[0] += 1.0
    return weight


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_classification_equals_brute_force(data):
    X = data.draw(tables())
    n_classes = data.draw(st.sampled_from([1, 2, 2, 3, 7]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    y = rng.integers(0, n_classes, len(X)).astype(np.int32)
    weight = data.draw(weights(len(X)))
    table = EncodedTable.from_data(X)
    params = with_params(
        table,
        criterion=data.draw(st.sampled_from(["gini", "entropy"])),
        min_samples_leaf=data.draw(st.sampled_from([1, 1, 2, 4])),
        min_weight_fraction_leaf=data.draw(st.sampled_from([0.0, 0.0, 0.2])),
        min_samples_split=data.draw(st.sampled_from([2, 5])),
        max_depth=data.draw(st.sampled_from([None, 1, 3])),
        min_impurity_decrease=data.draw(st.sampled_from([0.0, 0.0, 0.05])),
    )
    tree = training.grow_classification_tree(table, y, n_classes, weight, params, 1)
    reference.audit(tree, table, X, y, params, weight, n_classes)
    # A node's value holds its class shares.
    kept = np.ones(len(X)) if weight is None else weight
    share = np.bincount(y, kept, minlength=n_classes) / kept.sum()
    np.testing.assert_allclose(tree.value[0, 0], share, atol=1e-9)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_regression_equals_brute_force(data):
    X = data.draw(tables())
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    scale = data.draw(st.sampled_from([1.0, 1e-120, 1e120]))
    offset = data.draw(st.sampled_from([0.0, 1e3]))
    y = data.draw(st.sampled_from([rng.normal, rng.standard_cauchy]))(size=len(X))
    if data.draw(st.booleans()):
        y = np.rint(y)
    y = (y + offset) * scale
    criterion = data.draw(st.sampled_from(REGRESSION_CRITERIA))
    weight = data.draw(weights(len(X)))
    if criterion == "poisson":
        y = np.maximum(y, 0.0)
        y[0] = scale
    table = EncodedTable.from_data(X)
    params = with_params(
        table,
        criterion=criterion,
        min_samples_leaf=data.draw(st.sampled_from([1, 1, 3])),
        min_weight_fraction_leaf=data.draw(st.sampled_from([0.0, 0.0, 0.2])),
        max_depth=data.draw(st.sampled_from([None, 2])),
    )
    tree = training.grow_regression_tree(table, y, weight, params, 1)
    reference.audit(tree, table, X, y, params, weight)
    leaves = tree.apply(X)
    kept = np.ones(len(X)) if weight is None else weight
    for leaf in np.unique(leaves[kept > 0]):
        rows = (leaves == leaf) & (kept > 0)
        value = reference.value_of(criterion, y[rows], kept[rows])
        rounding = rows.sum() * reference.WEIGHT_STEP * kept.sum() / kept[rows].sum()
        spread = np.abs(y - y.mean()).max()
        np.testing.assert_allclose(
            tree.value[leaf, 0, 0], value, rtol=1e-12, atol=(1e-12 + rounding) * spread
        )


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_categories_equal_brute_force(data):
    n_rows = data.draw(st.integers(2, 30))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    X = rng.integers(0, 5, (n_rows, 2)).astype(float)
    if data.draw(st.booleans()):
        X[rng.random(n_rows) < 0.2, 0] = np.nan
    table = EncodedTable.from_data(X, categorical_features=[0])
    matrix = table.schema.to_matrix(X)
    weight = data.draw(weights(n_rows))
    if data.draw(st.booleans()):
        n_classes = data.draw(st.sampled_from([2, 3]))
        y = rng.integers(0, n_classes, n_rows).astype(np.int32)
        params = with_params(table, criterion="gini")
        tree = training.grow_classification_tree(table, y, n_classes, weight, params, 1)
        reference.audit(
            tree, table, matrix, y, params, weight, n_classes, exact=n_classes == 2
        )
    else:
        y = rng.exponential(size=n_rows)
        criterion = data.draw(st.sampled_from(REGRESSION_CRITERIA))
        params = with_params(table, criterion=criterion)
        tree = training.grow_regression_tree(table, y, weight, params, 1)
        exact = criterion != "absolute_error"
        reference.audit(tree, table, matrix, y, params, weight, exact=exact)


def test_small_categories_are_pooled():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 40, (400, 1)).astype(float)
    y = rng.integers(0, 2, 400).astype(np.int32)
    table = EncodedTable.from_data(X, categorical_features=[0])
    codes = table.columns[0].codes

    def sides(least):
        params = with_params(table, max_depth=1, min_samples_category=least)
        tree = training.grow_classification_tree(table, y, 2, None, params, 1)
        leaf = tree.apply(table.schema.to_matrix(X))
        return [leaf[codes == code][0] for code in range(40)]

    sizes = np.bincount(codes, minlength=40)
    pooled = np.array(sides(11))[sizes < 11]
    assert 1 < (sizes < 11).sum() < 40
    assert len(set(pooled)) == 1
    assert len(set(np.array(sides(1))[sizes < 11])) == 2
    assert len(set(sides(1000))) == 1


def grow_both_ways(data):
    """Grow with subtrees from the root, and with as few of them as can be."""
    n_rows = data.draw(st.integers(30, 300))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n_features = data.draw(st.integers(1, 11))
    X = rng.normal(size=(n_rows, n_features))
    X[:, ::2] = np.round(X[:, ::2], 1)
    X[rng.random(X.shape) < data.draw(st.sampled_from([0.0, 0.2]))] = np.nan
    table = EncodedTable.from_data(
        X, max_bins=data.draw(st.sampled_from([None, 20, 255]))
    )
    n_classes = data.draw(st.sampled_from([0, 2, 5]))
    weight = data.draw(weights(n_rows))
    params = dataclasses.replace(
        PARAMS,
        criterion=data.draw(
            st.sampled_from(REGRESSION_CRITERIA if n_classes == 0 else ["entropy"])
        ),
        max_features=data.draw(st.integers(1, n_features)),
        min_samples_leaf=data.draw(st.sampled_from([1, 3])),
        seed=data.draw(st.integers(0, 2**64 - 1)),
    )

    def fit(n_threads):
        if n_classes == 0:
            y = np.random.default_rng(0).exponential(size=n_rows)
            return training.grow_regression_tree(table, y, weight, params, n_threads)
        y = np.random.default_rng(0).integers(0, n_classes, n_rows).astype(np.int32)
        return training.grow_classification_tree(
            table, y, n_classes, weight, params, n_threads
        )

    narrow = fit(1)
    for narrow_rows in (1, 20):
        for n_threads in (1, 3):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(
                    training,
                    "make_plan",
                    _with_narrow_rows(training.make_plan, narrow_rows),
                )
                assert_same(narrow, fit(n_threads))


@pytest.mark.parametrize("criterion", ["gini", "entropy", "squared_error"])
@pytest.mark.parametrize("seed", range(8))
def test_fractional_weights_grow_one_tree_wide_and_narrow(seed, criterion):
    """Continuous columns split small nodes in several perfect ways."""
    rng = np.random.default_rng(seed)
    table = EncodedTable.from_data(rng.normal(size=(120, 5)))
    y, weight = rng.integers(0, 2, 120).astype(np.int32), rng.random(120)
    params = dataclasses.replace(PARAMS, criterion=criterion, max_features=5)

    def fit():
        if criterion == "squared_error":
            return training.grow_regression_tree(
                table, y.astype(float), weight, params, 1
            )
        return training.grow_classification_tree(table, y, 2, weight, params, 1)

    narrow = fit()
    with pytest.MonkeyPatch.context() as patch:
        make_plan = _with_narrow_rows(training.make_plan, 1)
        patch.setattr(training, "make_plan", make_plan)
        assert_same(narrow, fit())


def _with_narrow_rows(make_plan, narrow_rows):
    def wrapped(*arguments):
        plan, owned = make_plan(*arguments)
        return dataclasses.replace(plan, narrow_rows=narrow_rows), owned

    return wrapped


def synthetic(n_rows, n_features=12, seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, n_features)).astype(dtype)
    X[:, 1] = np.round(X[:, 1], 1)
    X[:, 2] = rng.integers(0, 2, n_rows)
    X[rng.random(n_rows) < 0.1, 3] = np.nan
    score = X[:, 0] + X[:, 1] * X[:, 2] + np.nan_to_num(X[:, 3])
    return X, score + 0.5 * rng.normal(size=n_rows)


@pytest.mark.parametrize(
    ("criterion", "n_classes"),
    [*((criterion, 0) for criterion in REGRESSION_CRITERIA), ("gini", 2), ("gini", 4)],
)
@pytest.mark.parametrize("max_bins", [None, 255])
@pytest.mark.parametrize("max_features", [12, 4])
def test_threads_change_no_bit(criterion, n_classes, max_bins, max_features):
    X, score = synthetic(20_000)
    if criterion == "poisson":
        score = np.floor(np.exp(score))
    table = EncodedTable.from_data(X, max_bins=max_bins, n_jobs=2)
    params = dataclasses.replace(
        PARAMS,
        criterion=criterion,
        max_features=max_features,
        seed=7,
    )
    trees = []
    for n_threads in (1, 2, 4):
        if n_classes == 0:
            tree = training.grow_regression_tree(table, score, None, params, n_threads)
        else:
            cuts = np.quantile(score, np.linspace(0, 1, n_classes + 1)[1:-1])
            y = np.searchsorted(cuts, score).astype(np.int32)
            tree = training.grow_classification_tree(
                table, y, n_classes, None, params, n_threads
            )
        trees.append(tree)
    assert_same(trees[0], trees[1])
    assert_same(trees[0], trees[2])
    assert trees[0].node_count > 1000


def test_memory_layout_and_row_views_change_no_bit():
    X, score = synthetic(3000)
    y = (score > 0).astype(np.int32)
    params = dataclasses.replace(PARAMS, max_features=12)

    def fit(table, y):
        return training.grow_classification_tree(table, y, 2, None, params, 1)

    expected = fit(EncodedTable.from_data(X), y)
    assert_same(expected, fit(EncodedTable.from_data(np.asfortranarray(X)), y))
    rows = np.arange(0, 3000, 3)
    whole = EncodedTable.from_data(X)
    taken = fit(whole.take(rows), y[rows])
    alone = fit(EncodedTable.from_data(X[rows]), y[rows])
    np.testing.assert_array_equal(taken.feature, alone.feature)
    np.testing.assert_array_equal(taken.apply(X[rows]), alone.apply(X[rows]))


def test_weights_count_as_copies():
    X, score = synthetic(2000, 5)
    y = (score > 0).astype(np.int32)
    weight = np.random.default_rng(1).integers(0, 3, 2000).astype(float)
    copies = np.repeat(np.arange(2000), weight.astype(int))
    params = dataclasses.replace(PARAMS, max_features=5)
    weighted = training.grow_classification_tree(
        EncodedTable.from_data(X), y, 2, weight, params, 1
    )
    copied = training.grow_classification_tree(
        EncodedTable.from_data(X[copies]), y[copies], 2, None, params, 1
    )
    np.testing.assert_array_equal(weighted.feature, copied.feature)
    np.testing.assert_array_equal(weighted.threshold, copied.threshold)
    np.testing.assert_array_equal(
        weighted.weighted_n_node_samples, copied.weighted_n_node_samples
    )


@pytest.mark.parametrize("n_classes", [2, 3])
def test_best_first_takes_the_largest_gains(n_classes):
    X, score = synthetic(4000, 6)
    cuts = np.quantile(score, np.linspace(0, 1, n_classes + 1)[1:-1])
    y = np.searchsorted(cuts, score).astype(np.int32)
    table = EncodedTable.from_data(X)
    params = dataclasses.replace(PARAMS, max_features=6)
    full = training.grow_classification_tree(table, y, n_classes, None, params, 1)
    limited = training.grow_classification_tree(
        table, y, n_classes, None, dataclasses.replace(params, max_leaf_nodes=20), 1
    )
    assert limited.n_leaves == 20

    def gains(tree):
        weight = tree.weighted_n_node_samples * tree.impurity
        inner = np.flatnonzero(tree.children_left >= 0)
        left, right = tree.children_left[inner], tree.children_right[inner]
        return inner, weight[inner] - weight[left] - weight[right]

    # The same selection, made from the full tree.
    inner, gain = gains(full)
    gain_of = dict(zip(inner.tolist(), gain.tolist(), strict=True))
    frontier, taken = [0], []
    while len(taken) < 19:
        best = max((n for n in frontier if n in gain_of), key=gain_of.__getitem__)
        frontier.remove(best)
        taken.append(best)
        frontier += [full.children_left[best], full.children_right[best]]
    np.testing.assert_allclose(
        sorted(gains(limited)[1]), sorted(gain_of[n] for n in taken), rtol=1e-9
    )


def test_many_classes():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(6000, 6))
    y = (np.digitize(X[:, 0], np.linspace(-2, 2, 29)) * 15 + 7).astype(np.int32)
    table = EncodedTable.from_data(X)
    params = dataclasses.replace(PARAMS, max_features=6)
    tree = training.grow_classification_tree(table, y, 450, None, params, 1)
    assert (tree.value[tree.apply(X), 0].argmax(axis=1) == y).all()
    assert tree.n_leaves == len(np.unique(y))


def test_too_many_classes_are_refused():
    table = EncodedTable.from_data(np.zeros((2, 1)))
    with pytest.raises(ValueError, match="65537 classes"):
        training.grow_classification_tree(
            table, np.zeros(2, np.int32), 65537, None, PARAMS, 1
        )


def test_histogram_memory_is_bounded(monkeypatch):
    X, score = synthetic(20_000)
    y = (score > 0).astype(np.int32)
    table = EncodedTable.from_data(X, max_bins=64)
    params = dataclasses.replace(PARAMS, max_features=12)
    kept = training.grow_classification_tree(table, y, 2, None, params, 1)
    monkeypatch.setattr(node_order, "_HISTOGRAM_BYTES", 0)
    counted = training.grow_classification_tree(table, y, 2, None, params, 1)
    assert_same(kept, counted)
