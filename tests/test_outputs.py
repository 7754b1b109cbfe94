"""Several outputs: growth against brute force, estimators against scikit-learn."""

import copy
import dataclasses
import pickle

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn import tree as sk
from sklearn.base import clone

import reference_draw
import reference_growth as reference
from fasttree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    EncodedTable,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
    export_graphviz,
    export_text,
    plot_tree,
)
from fasttree.growth import sampling, training
from fasttree.trees.tree_checks import CLASSIFICATION_CRITERIA, REGRESSION_CRITERIA
from test_growth import PARAMS, _with_narrow_rows, assert_same, tables, weights

CRITERIA = (*CLASSIFICATION_CRITERIA, *REGRESSION_CRITERIA)
ESTIMATORS = [
    *(DecisionTreeClassifier(criterion=c) for c in CLASSIFICATION_CRITERIA),
    *(DecisionTreeRegressor(criterion=c) for c in REGRESSION_CRITERIA),
]


def targets(rng, criterion, n_rows, n_outputs=3):
    """Return targets for any criterion, and the outputs' numbers of classes."""
    if criterion in CLASSIFICATION_CRITERIA:
        n_classes = np.array([2, 3, 5, 1, 2])[np.arange(n_outputs) % 5]
        y = rng.integers(0, n_classes, (n_rows, n_outputs)).astype(np.int32)
        return y, n_classes
    y = np.rint(rng.normal(size=(n_rows, n_outputs)) * [[1.0, 40.0, 3.0]])
    if criterion == "poisson":
        y = np.abs(y)
        y[0] = 1.0
    return y, 0


def grow(table, y, n_classes, weight, params, n_threads=1):
    if params.criterion in CLASSIFICATION_CRITERIA:
        return training.grow_classification_tree(
            table, y, n_classes, weight, params, n_threads
        )
    return training.grow_regression_tree(table, y, weight, params, n_threads)


def with_params(table, **changes):
    return dataclasses.replace(PARAMS, max_features=table.n_features, **changes)


def table_data(n_rows, seed=0):
    """Numbers, ties, two values, missing values; targets that depend on them."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, 6)).astype(np.float32)
    X[:, 1] = np.round(X[:, 1], 1)
    X[:, 2] = rng.integers(0, 2, n_rows)
    score = np.stack([X[:, 0] + X[:, 1], X[:, 3] * X[:, 2], X[:, 4]], axis=1)
    X[rng.random(n_rows) < 0.1, 4] = np.nan
    return X, score + 0.3 * rng.normal(size=score.shape)


def targets_of(criterion, score):
    if criterion in CLASSIFICATION_CRITERIA:
        return np.stack(
            [score[:, 0] > 0, np.digitize(score[:, 1], [-1, 0, 1]), score[:, 2] > 1],
            axis=1,
        ).astype(np.int32)
    return np.exp(score) if criterion == "poisson" else score


# --- growth ------------------------------------------------------------------------


@pytest.mark.parametrize("criterion", CRITERIA)
@settings(max_examples=60)
@given(data=st.data())
def test_equals_brute_force(criterion, data):
    X = data.draw(tables(max_rows=24))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    y, n_classes = targets(rng, criterion, len(X))
    weight = data.draw(weights(len(X)))
    table = EncodedTable.from_data(X)
    params = with_params(
        table,
        criterion=criterion,
        min_samples_leaf=data.draw(st.sampled_from([1, 1, 3])),
        min_weight_fraction_leaf=data.draw(st.sampled_from([0.0, 0.0, 0.2])),
        min_impurity_decrease=data.draw(st.sampled_from([0.0, 0.0, 0.05])),
        max_depth=data.draw(st.sampled_from([None, 2])),
    )
    tree = grow(table, y, n_classes, weight, params)
    reference.audit(tree, table, X, y, params, weight, n_classes)
    kept = np.ones(len(X)) if weight is None else weight
    leaves = tree.apply(X)
    for leaf in np.unique(leaves[kept > 0]):
        rows = (leaves == leaf) & (kept > 0)
        for output in range(y.shape[1]):
            own, value = y[rows, output], tree.value[leaf, output]
            if criterion in CLASSIFICATION_CRITERIA:
                share = np.bincount(own, kept[rows], minlength=len(value))
                np.testing.assert_allclose(value, share / share.sum(), atol=1e-7)
            else:
                expected = reference.value_of(criterion, own, kept[rows])
                np.testing.assert_allclose(value[0], expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("criterion", CRITERIA)
@settings(max_examples=30)
@given(data=st.data())
def test_nodes_hold_the_best_of_their_draws(criterion, data):
    X = data.draw(tables())
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    y, n_classes = targets(rng, criterion, len(X))
    weight = data.draw(weights(len(X)))
    categorical = data.draw(st.booleans())
    if categorical:
        X[:, 0] = rng.integers(0, 6, len(X))
    table = EncodedTable.from_data(X, categorical_features=[0] if categorical else None)
    params = dataclasses.replace(
        with_params(table, criterion=criterion, splitter="random"),
        max_features=data.draw(st.integers(1, table.n_features)),
        min_samples_leaf=data.draw(st.sampled_from([1, 1, 3])),
        seed=data.draw(st.integers(0, 2**64 - 1)),
    )
    tree = grow(table, y, n_classes, weight, params)
    matrix = table.schema.to_matrix(X)
    reference_draw.audit(tree, table, matrix, y, params, weight, n_classes)


def orders_tried(y, weight, criterion, n_classes):
    """Return the numbers whose means order categories, as scan.pxd has it."""
    if criterion not in CLASSIFICATION_CRITERIA:
        columns = [*y.T, y.sum(axis=1)]
        return columns[:8]
    shares = []
    for output, n in enumerate(n_classes):
        for c in range(1 if n == 2 else 0, n):
            is_class = (y[:, output] == c).astype(float)
            here = weight @ is_class
            evenness = min(here, weight.sum() - here)
            if evenness > 0:
                shares.append((-evenness, len(shares), is_class))
    return [is_class for _, _, is_class in sorted(shares, key=lambda s: s[:2])[:8]]


@pytest.mark.parametrize("n_outputs", [2, 3, 12])
@pytest.mark.parametrize("criterion", CRITERIA)
def test_categories_are_split_by_the_best_order(criterion, n_outputs):
    for seed in range(12):
        rng = np.random.default_rng(seed)
        n_rows = 40
        X = rng.integers(0, 7, (n_rows, 1)).astype(float)
        y, n_classes = targets(rng, criterion, n_rows, n_outputs=3)
        copies = np.arange(n_outputs) % 3
        y = y[:, copies]
        if criterion in CLASSIFICATION_CRITERIA:
            n_classes = n_classes[copies]
        weight = rng.integers(1, 4, n_rows).astype(float) if seed % 2 else None
        table = EncodedTable.from_data(X, categorical_features=[0])
        params = with_params(table, criterion=criterion, max_depth=1)
        tree = grow(table, y, n_classes, weight, params)
        kept = np.ones(n_rows) if weight is None else weight
        codes = table.columns[0].codes.astype(int)
        rows = np.arange(n_rows)
        best = -np.inf
        for number in orders_tried(y, kept, criterion, n_classes):
            mean = [
                np.average(number[codes == c], weights=kept[codes == c])
                for c in np.unique(codes)
            ]
            # Equal means keep the order of the codes.
            order = np.unique(codes)[np.argsort(np.round(mean, 12), kind="stable")]
            for n_left in range(1, len(order)):
                sides = np.isin(codes, order[:n_left])
                decrease = reference_draw.decrease_of(
                    sides, rows, y, kept, params, n_classes, 0.0
                )
                best = max(best, decrease)
        own = tree.weighted_n_node_samples * tree.impurity
        grown = own[0] - own[tree.children_left[0]] - own[tree.children_right[0]]
        assert tree.node_count == 3
        np.testing.assert_allclose(grown, best, rtol=1e-9)


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("splitter", ["best", "random"])
def test_a_target_given_thrice_grows_the_same_tree(criterion, splitter):
    """The other kernels, which know one output, say what the tree must be."""
    n_rows = 2_000 if criterion == "absolute_error" else 12_000
    X, score = table_data(n_rows)
    y = targets_of(criterion, score)[:, 0]
    # Sums of squares of doubles may break a tie otherwise: there are none here.
    table = EncodedTable.from_data(X)
    params = with_params(table, criterion=criterion, splitter=splitter, max_depth=6)
    for weight in (None, np.random.default_rng(1).integers(0, 3, n_rows) * 1.0):
        one = grow(table, y, 2, weight, params)
        several = grow(table, np.stack([y] * 3, axis=1), [2, 2, 2], weight, params)
        for name in ("children_left", "feature", "threshold", "n_node_samples"):
            np.testing.assert_array_equal(getattr(several, name), getattr(one, name))
        np.testing.assert_allclose(
            several.impurity, one.impurity, rtol=1e-9, atol=1e-12
        )
        for output in range(3):
            np.testing.assert_allclose(
                several.value[:, output], one.value[:, 0], rtol=1e-9, atol=1e-12
            )


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("splitter", ["best", "random"])
def test_regime_and_threads_change_no_bit(criterion, splitter, monkeypatch):
    n_rows = 3_000 if criterion == "absolute_error" else 10_000
    X, score = table_data(n_rows)
    X[:, 5] = np.random.default_rng(0).integers(0, 9, n_rows)
    y = targets_of(criterion, score)
    weight = np.random.default_rng(2).random(n_rows)
    table = EncodedTable.from_data(X, categorical_features=[5], max_bins=300)
    params = dataclasses.replace(
        with_params(table, criterion=criterion, splitter=splitter), max_features=4
    )
    make_plan = training.make_plan
    for own in (None, weight):
        first = grow(table, y, [2, 4, 2], own, params)
        for narrow_rows, n_threads in ((1024, 2), (200, 1), (200, 3)):
            monkeypatch.setattr(
                training, "make_plan", _with_narrow_rows(make_plan, narrow_rows)
            )
            monkeypatch.setattr(sampling, "_KEY_BYTES", 1)
            monkeypatch.setattr(sampling, "_COPY_BYTES", 1)
            monkeypatch.setattr(sampling, "_LEAST_NARROW", narrow_rows)
            assert_same(first, grow(table, y, [2, 4, 2], own, params, n_threads))
            monkeypatch.undo()


def test_many_outputs():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    table = EncodedTable.from_data(X)
    y = rng.normal(size=(60, 700))
    tree = grow(table, y, 0, None, with_params(table, criterion="squared_error"))
    np.testing.assert_allclose(tree.predict(X)[:, :, 0], y)
    y = rng.integers(0, 50, (60, 70)).astype(np.int32)
    params = with_params(table, criterion="gini")
    tree = grow(table, y, np.full(70, 50), None, params)
    np.testing.assert_array_equal(tree.predict(X).argmax(axis=2), y)
    reference.audit(tree, table, X, y, params, None, np.full(70, 50))


def test_too_many_classes_are_refused():
    table = EncodedTable.from_data(np.zeros((3, 1)))
    y = np.zeros((3, 2), np.int32)
    with pytest.raises(ValueError, match="65537 classes; at most 65536"):
        grow(table, y, [65_536, 1], None, with_params(table, criterion="gini"))


def test_an_output_that_is_nothing_but_zero_stops_no_poisson_tree():
    X, score = table_data(300)
    y = np.exp(score)
    y[:, 1] = 0.0
    model = DecisionTreeRegressor(criterion="poisson").fit(X, y)
    assert model.score(X, y) > 0.99
    assert not model.predict(X)[:, 1].any()


# --- estimators --------------------------------------------------------------------


def theirs(estimator):
    return getattr(sk, type(estimator).__name__)(
        criterion=estimator.criterion, random_state=0
    )


def root_decrease(tree):
    own = tree.weighted_n_node_samples * tree.impurity
    children = own[tree.children_left[0]] + own[tree.children_right[0]]
    return (own[0] - children) / tree.weighted_n_node_samples[0]


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("weighted", [False, True])
def test_as_good_as_scikit_learn(estimator, weighted):
    for seed in range(5):
        X, score = table_data(400, seed)
        X = np.nan_to_num(X)
        y = targets_of(estimator.criterion, score)
        weight = np.random.default_rng(seed).random(400) + 0.1 if weighted else None
        ours = clone(estimator).fit(X, y, sample_weight=weight)
        other = theirs(estimator).fit(X, y, sample_weight=weight)
        np.testing.assert_allclose(
            root_decrease(ours.tree_), root_decrease(other.tree_), rtol=1e-6
        )
        np.testing.assert_allclose(ours.tree_.impurity[0], other.tree_.impurity[0])
        np.testing.assert_allclose(ours.predict(X), other.predict(X), rtol=1e-12)
        assert ours.n_outputs_ == other.n_outputs_ == 3


@pytest.fixture
def few():
    """Data whose trees have no ties: scikit-learn's are the same."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(300, 5)).astype(np.float32)
    score = X[:, :3] + 0.5 * rng.normal(size=(300, 3))
    return X, score


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_same_tree_as_scikit_learn(estimator, few):
    X, score = few
    y = targets_of(estimator.criterion, score)
    ours = clone(estimator).set_params(max_depth=3).fit(X, y)
    other = theirs(estimator).set_params(max_depth=3).fit(X, y)
    for name in ("children_left", "children_right", "feature", "n_node_samples"):
        np.testing.assert_array_equal(
            getattr(ours.tree_, name), getattr(other.tree_, name)
        )
    for name in ("threshold", "impurity", "value", "weighted_n_node_samples"):
        own, expected = getattr(ours.tree_, name), getattr(other.tree_, name)
        assert own.shape == expected.shape
        np.testing.assert_allclose(own, expected, rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(ours.tree_.n_classes, other.tree_.n_classes)
    np.testing.assert_allclose(ours.feature_importances_, other.feature_importances_)
    np.testing.assert_array_equal(ours.apply(X), other.apply(X))
    np.testing.assert_array_equal(
        ours.decision_path(X).toarray(), other.decision_path(X).toarray()
    )
    np.testing.assert_allclose(ours.predict(X), other.predict(X))
    paths = [
        clone(model).set_params(max_depth=4).cost_complexity_pruning_path(X, y)
        for model in (ours, other)
    ]
    np.testing.assert_allclose(paths[0].ccp_alphas, paths[1].ccp_alphas, atol=1e-8)
    np.testing.assert_allclose(paths[0].impurities, paths[1].impurities, rtol=1e-6)
    alpha = float(paths[1].ccp_alphas[-3:].mean())
    pruned = [
        clone(model).set_params(ccp_alpha=alpha).fit(X, y) for model in (ours, other)
    ]
    np.testing.assert_array_equal(pruned[0].apply(X), pruned[1].apply(X))
    np.testing.assert_allclose(
        pruned[0].tree_.value, pruned[1].tree_.value, rtol=1e-6, atol=1e-9
    )
    if "Classifier" in type(estimator).__name__:
        assert isinstance(ours.classes_, list)
        np.testing.assert_array_equal(ours.n_classes_, other.n_classes_)
        for method in ("predict_proba", "predict_log_proba"):
            with np.errstate(divide="ignore"):
                mine, expected = getattr(ours, method)(X), getattr(other, method)(X)
            assert isinstance(mine, list)
            for own, part in zip(mine, expected, strict=True):
                assert own.shape == part.shape
                assert own.flags.c_contiguous
                np.testing.assert_allclose(own, part)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_drawn_as_scikit_learn_draws(estimator, few):
    X, score = few
    y = targets_of(estimator.criterion, score)
    ours = clone(estimator).set_params(max_depth=2).fit(X, y)
    other = theirs(estimator).set_params(max_depth=2).fit(X, y)
    for options in ({}, {"filled": True, "proportion": True, "node_ids": True}):
        assert export_graphviz(ours, **options) == sk.export_graphviz(other, **options)
    with mpl.rc_context({"backend": "agg"}):
        texts = [[a.get_text() for a in draw(m)] for draw, m in
                 ((plot_tree, ours), (sk.plot_tree, other))]  # fmt: skip
    assert texts[0] == texts[1]
    if "Regressor" in type(estimator).__name__:
        assert export_text(ours) == sk.export_text(other)


def test_classes_as_text(few):
    X, score = few
    y = np.where(targets_of("gini", score) > 0, "yes", "no").astype(object)
    y[:, 1] = np.where(y[:, 1] == "yes", "up", "down")
    model = DecisionTreeClassifier(max_depth=1).fit(X, y.astype(str))
    text = export_text(model, show_weights=True)
    assert text.count("class: [") == 2
    line = text.splitlines()[1]
    in_left = model.apply(X) == 1
    winners = model.predict(X[in_left])[0]
    assert line.endswith(f"class: [{', '.join(winners)}]")
    weights = model.tree_.value[1] * model.tree_.weighted_n_node_samples[1]
    listed = ", ".join(f"[{no:.2f}, {yes:.2f}]" for no, yes in weights)
    assert f"weights: [{listed}] class" in line
    names = [["a", "b"], ["c", "d"], ["e", "f"]]
    code = [list(own).index(c) for own, c in zip(model.classes_, winners, strict=True)]
    named = ", ".join(names[output][c] for output, c in enumerate(code))
    assert f"class: [{named}]" in export_text(model, class_names=names)
    with pytest.raises(ValueError, match="3 arrays, one for each output, got 2"):
        export_text(model, class_names=names[:2])
    with pytest.raises(ValueError, match="2 elements, one for each class, got 3"):
        export_text(model, class_names=[["a", "b", "c"], *names[1:]])


def test_labels_of_any_type(few):
    X, score = few
    codes = targets_of("gini", score)
    for labels in (np.array(["a", "b", "c", "d"]), np.array([-3, 0, 5, 9])):
        y = labels[codes]
        model = DecisionTreeClassifier().fit(X, y)
        np.testing.assert_array_equal(model.predict(X), y)
        assert model.predict(X).dtype == y.dtype
        assert [list(own) for own in model.classes_] == [
            list(labels[[0, 1]]), list(labels), list(labels[[0, 1]])
        ]  # fmt: skip
    frame = pd.DataFrame(codes, columns=["p", "q", "r"])
    by_frame = DecisionTreeClassifier().fit(X, frame)
    np.testing.assert_array_equal(by_frame.predict(X), codes)
    one = DecisionTreeClassifier().fit(X, codes[:, :1])
    assert (one.n_outputs_, one.predict(X).shape) == (1, (300,))


@pytest.mark.parametrize(
    "class_weight",
    ["balanced", [{0: 1.0, 1: 3.0}, {0: 1, 1: 2, 2: 1, 3: 5}, {0: 2.5, 1: 1.0}]],
)
def test_class_weight(class_weight, few):
    X, score = few
    y = targets_of("gini", score)
    options = {"class_weight": class_weight, "max_depth": 3}
    ours = DecisionTreeClassifier(**options).fit(X, y)
    other = sk.DecisionTreeClassifier(**options, random_state=0).fit(X, y)
    np.testing.assert_array_equal(ours.tree_.feature, other.tree_.feature)
    np.testing.assert_allclose(ours.tree_.value, other.tree_.value)
    np.testing.assert_allclose(
        ours.tree_.weighted_n_node_samples, other.tree_.weighted_n_node_samples
    )
    with pytest.raises(ValueError, match="class_weight"):
        DecisionTreeClassifier(class_weight={0: 1.0, 1: 2.0}).fit(X, y)


@pytest.mark.parametrize(
    "estimator",
    [
        *ESTIMATORS,
        ExtraTreeClassifier(),
        ExtraTreeRegressor(criterion="absolute_error"),
    ],
)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_leaf_nodes": 9},
        {"max_features": 2, "max_bins": 10},
        {"min_impurity_decrease": 0.02, "min_samples_leaf": 4},
    ],
)
def test_options_and_ways_to_give_the_data(estimator, options, few):
    X, score = few
    X = np.where(np.abs(X) < 0.3, 0.0, X).astype(np.float32)
    X[:, 4] = np.abs(np.rint(X[:, 4]))
    y = targets_of(estimator.criterion, score)
    model = clone(estimator).set_params(random_state=1, **options)
    dense = clone(model).fit(X, y)
    for matrix in (sparse.csr_array(X), sparse.csc_array(X)):
        assert_same(dense.tree_, clone(model).fit(matrix, y).tree_)
        np.testing.assert_array_equal(dense.predict(matrix), dense.predict(X))
    table = EncodedTable.from_data(X, max_bins=options.get("max_bins"))
    assert_same(dense.tree_, clone(model).set_params(max_bins=None).fit(table, y).tree_)
    by_rows = clone(model).set_params(n_jobs=2).fit(np.asfortranarray(X), y[:, ::-1])
    flipped = clone(model).fit(X, np.ascontiguousarray(y[:, ::-1]))
    assert_same(by_rows.tree_, flipped.tree_)
    for again in (pickle.loads(pickle.dumps(dense)), copy.deepcopy(dense)):
        np.testing.assert_array_equal(again.predict(X), dense.predict(X))
    if "max_leaf_nodes" in options:
        assert dense.get_n_leaves() == 9
    if estimator.criterion in CLASSIFICATION_CRITERIA:
        proba = [part.argmax(axis=1) for part in dense.predict_proba(X)]
        np.testing.assert_array_equal(np.stack(proba, axis=1), dense.predict(X))


def test_frames_with_categories():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({
        "colour": pd.Categorical(rng.choice(["red", "green", "blue"], 400)),
        "size": rng.normal(size=400),
    })  # fmt: skip
    y = np.stack([frame.colour == "red", frame["size"] > 0], axis=1)
    model = DecisionTreeClassifier().fit(frame, y)
    np.testing.assert_array_equal(model.predict(frame), y)
    assert model.get_n_leaves() == 4
    values = y * [1.0, 5.0]
    regressor = DecisionTreeRegressor().fit(frame, values)
    np.testing.assert_array_equal(regressor.predict(frame), values)
    assert regressor.score(frame, values) == 1.0


@pytest.mark.parametrize("splitter", ["best", "random"])
def test_few_features_of_data(splitter):
    """Data and their table give the same tree where nodes look at some features."""
    X, score = table_data(400)
    y = np.digitize(score, [-0.5, 0.5])
    model = DecisionTreeClassifier(max_features=2, splitter=splitter, random_state=0)
    tree = model.fit(X, y).tree_
    assert_same(tree, model.fit(EncodedTable.from_data(X), y).tree_)
