"""Tree: scikit-learn's fields, and nothing but trees gets in."""

import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import config_context
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import reference_predict as reference
from fasttree.prediction import inference
from fasttree.trees.tree import Tree


def make(seed=0, **options):
    options = {"n_leaves": 12} | options
    return reference.random_arrays(np.random.default_rng(seed), **options)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(400, 5)).astype(np.float32)
    X[rng.random(X.shape) < 0.1] = np.nan
    y = rng.integers(0, 4, 400) + (np.nan_to_num(X[:, 0]) > 0)
    return X, y


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "estimator",
    [
        DecisionTreeClassifier(random_state=0),
        DecisionTreeClassifier(criterion="entropy", max_depth=4, random_state=0),
        DecisionTreeRegressor(random_state=0, min_samples_leaf=5),
        DecisionTreeRegressor(random_state=0, max_leaf_nodes=2),
        DecisionTreeClassifier(max_depth=1, min_samples_leaf=400),
    ],
)
def test_is_like_scikit_learns_tree(data, estimator, weighted, n_outputs):
    X, y = data
    if n_outputs > 1:
        y = np.stack([y, y == 2, y // 2], axis=1)
    weight = np.random.default_rng(1).integers(1, 4, len(y)) if weighted else None
    estimator.fit(X, y, sample_weight=weight)
    if np.any(estimator.tree_.children_left[1:] == 1):
        pytest.skip("scikit-learn's best-first trees are not in preorder")
    theirs, ours = estimator.tree_, reference.from_sklearn(estimator)
    for name in (
        "node_count", "n_leaves", "max_depth", "n_features", "n_outputs",
        "max_n_classes", "n_classes", "children_left", "children_right", "feature",
        "threshold", "impurity", "n_node_samples", "weighted_n_node_samples",
        "missing_go_to_left",
    ):  # fmt: skip
        np.testing.assert_array_equal(
            getattr(ours, name), getattr(theirs, name), err_msg=name
        )
    assert ours.value.shape == theirs.value.shape
    np.testing.assert_allclose(ours.value, theirs.value, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(ours.apply(X), theirs.apply(X))
    for interface in ("sparray", "spmatrix"):
        with config_context(sparse_interface=interface):
            path, expected = ours.decision_path(X), theirs.decision_path(X)
        assert type(path) is type(expected)
        assert path.shape == expected.shape
        for name in ("data", "indices", "indptr"):
            first, second = getattr(path, name), getattr(expected, name)
            assert first.dtype == second.dtype
            np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-12)
    for normalize in (True, False):
        np.testing.assert_allclose(
            ours.compute_feature_importances(normalize),
            theirs.compute_feature_importances(normalize),
            atol=1e-12,
        )


@pytest.mark.parametrize("n_classes", [1, 2, 7, 450])
def test_class_outputs(n_classes):
    rng = np.random.default_rng(n_classes)
    tree = Tree.from_arrays(
        **reference.random_arrays(rng, n_leaves=40, n_classes=n_classes)
    )
    X = reference.random_rows(rng, 200, tree.n_features, np.float64)
    shares = inference.predict_shares(tree, X)
    np.testing.assert_array_equal(shares, tree.predict(X))
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    np.testing.assert_array_equal(
        inference.predict_class(tree, X), shares.argmax(axis=1)
    )
    np.testing.assert_array_equal(inference.apply(tree, X), tree.apply(X))


@pytest.mark.parametrize("n_classes", [0, 1, 2, 30])
def test_several_outputs(n_classes):
    arrays = make(n_leaves=40, n_classes=n_classes, n_outputs=3)
    tree = Tree.from_arrays(**arrays)
    X = reference.random_rows(np.random.default_rng(0), 200, 4, np.float64)
    value = tree.value
    assert value.shape == (tree.node_count, 3, tree.max_n_classes)
    np.testing.assert_allclose(value, reference.value(tree), rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(tree.predict(X), value[tree.apply(X)])
    if n_classes == 0:
        np.testing.assert_array_equal(
            inference.predict_value(tree, X), tree.predict(X)[:, :, 0]
        )
        return
    assert tree.n_classes.tolist() == [n_classes, n_classes + 1, n_classes + 2]
    shares = np.split(inference.predict_shares(tree, X), tree.class_start[1:-1], axis=1)
    winners = inference.predict_class(tree, X)
    assert winners.shape == (200, 3)
    for output, share in enumerate(shares):
        expected = tree.predict(X)[:, output]
        np.testing.assert_array_equal(share, expected[:, : share.shape[1]])
        assert not expected[:, share.shape[1] :].any()
        np.testing.assert_array_equal(winners[:, output], share.argmax(axis=1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_change_nothing(dtype, monkeypatch):
    monkeypatch.setattr(inference, "_STEPS_PER_TASK", 50)
    rng = np.random.default_rng(0)
    tree = Tree.from_arrays(**make(n_leaves=80, categorical=0.3))
    regression = Tree.from_arrays(**make(n_leaves=80, n_classes=0))
    X = reference.random_rows(rng, 1003, tree.n_features, dtype)
    for n_threads in (2, 3, 8):
        for predict, model in (
            (inference.apply, tree),
            (inference.predict_class, tree),
            (inference.predict_shares, tree),
            (inference.predict_value, regression),
        ):
            np.testing.assert_array_equal(
                predict(model, X, n_threads), predict(model, X, 1)
            )


def test_no_rows_and_one_leaf():
    tree = Tree.from_arrays(**make(n_leaves=1))
    assert (tree.node_count, tree.n_leaves, tree.max_depth) == (1, 1, 0)
    assert tree.apply(np.zeros((3, 4))).tolist() == [0, 0, 0]
    assert tree.apply(np.zeros((0, 4))).shape == (0,)
    assert tree.decision_path(np.zeros((3, 4))).toarray().tolist() == [[1], [1], [1]]
    assert tree.decision_path(np.zeros((0, 4))).shape == (0, 1)
    for node in (-1, 1):
        with pytest.raises(IndexError):
            tree.paths_to(np.array([node]))
    assert inference.predict_shares(tree, np.zeros((0, 4))).shape == (0, 3)
    assert tree.compute_feature_importances().tolist() == [0.0] * 4


def test_very_deep_tree():
    tree = Tree.from_arrays(**make(n_leaves=20_000, n_classes=0, chain=True))
    assert tree.max_depth == 19_999
    X = np.full((3, 4), np.nan)
    np.testing.assert_array_equal(tree.apply(X), reference.apply(tree, X))


def test_huge_values():
    arrays = make(n_classes=0)
    arrays["leaf_value"] = np.full(12, 1.7e308)
    arrays["weighted_n_node_samples"] = np.full(23, 1e300)
    value = Tree.from_arrays(**arrays).value
    np.testing.assert_allclose(value, 1.7e308, rtol=1e-12)


@pytest.mark.parametrize("name", ["threshold", "feature", "value", "leaf_nodes"])
def test_is_read_only(name):
    arrays = make()
    tree = Tree.from_arrays(**arrays)
    with pytest.raises(ValueError, match="read-only"):
        getattr(tree, name)[...] = 0
    with pytest.raises(AttributeError):
        setattr(tree, name, None)


def test_does_not_share_the_callers_memory():
    arrays = make()
    arrays["feature"] = arrays["feature"].astype(np.int32)
    tree = Tree.from_arrays(**arrays)
    kept = tree.feature.copy()
    arrays["feature"][:] = 1_000_000
    np.testing.assert_array_equal(tree.feature, kept)
    with pytest.raises(ValueError, match="WRITEABLE"):
        tree.feature.setflags(write=True)


def test_input_of_the_wrong_shape_or_kind():
    tree = Tree.from_arrays(**make())
    for X in (np.zeros((2, 3)), np.zeros(4), np.zeros((2, 2, 4)), 0.0):
        with pytest.raises(ValueError, match=r"\(n_samples, 4\)"):
            tree.apply(X)
    with pytest.raises(ValueError, match="numeric"):
        tree.apply([["a", "b", "c", "d"]])
    strided = np.asfortranarray(np.random.default_rng(0).normal(size=(50, 8)))[:, ::2]
    np.testing.assert_array_equal(tree.apply(strided), tree.apply(strided.copy()))
    swapped = strided.astype(">f8")
    np.testing.assert_array_equal(tree.apply(swapped), tree.apply(strided))


def _set(name, index, value):
    def change(arrays):
        array = np.array(arrays[name])
        array[index] = value
        arrays[name] = array

    return change


def _put(**values):
    return lambda arrays: arrays.update(values)


# The tree of make(): node 0 is an inner node, the last one is a leaf.
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("children_left", 0, 2), "preorder"),
        (_set("children_right", 0, 1), "preorder"),
        (_set("children_right", 0, -1), "preorder"),
        (_set("children_right", 0, 23), "preorder"),
        (_set("children_left", -1, 0), "preorder"),
        (_set("feature", 0, 4), "feature"),
        (_set("feature", 0, -2), "feature"),
        (_set("feature", -1, 0), "feature"),
        (_set("threshold", 0, np.nan), "threshold"),
        (_set("threshold", -1, 0.0), "threshold"),
        (_put(missing_left=np.full(23, 2)), "missing_left"),
        (_put(missing_left=np.full(23, 300)), "missing_left"),
        (_set("impurity", 3, np.inf), "impurity"),
        (_set("n_node_samples", 3, 0), "n_node_samples"),
        (_set("weighted_n_node_samples", 3, 0.0), "weighted_n_node_samples"),
        (_set("leaf_start", 0, 1), "leaf_start"),
        (_set("leaf_start", -1, 1), "leaf_start"),
        (_set("leaf_start", 3, 10**15), "leaf_start"),
        (_set("leaf_class", 0, 3), "leaf_class"),
        (_set("leaf_class", 0, -1), "leaf_class"),
        (_set("leaf_weight", 0, -1.0), "leaf_weight"),
        (_set("leaf_weight", 0, np.nan), "leaf_weight"),
        (_set("leaf_weight", slice(None), 0.0), "leaf_weight"),
        (_set("leaf_weight", slice(None), 1e308), "leaf_weight"),
        (_put(leaf_weight=None), "leaf_weight"),
        (_put(leaf_value=np.zeros(12)), "leaf_value"),
        (_put(inner_value=np.zeros(11)), "inner_value is for regression"),
        (_put(feature=np.zeros(22, int)), "feature"),
        (_put(feature=np.zeros((23, 1), int)), "feature"),
        (_put(feature=np.zeros(23)), "feature"),
        (_put(feature=np.array(["a"] * 23)), "feature"),
        (_put(feature=np.array([None] * 23)), "feature"),
        (_put(feature=np.full(23, 2**40)), "feature"),
        (_put(threshold=np.zeros(23, complex)), "threshold"),
        (_put(children_left=[], children_right=[]), "0 nodes"),
        (_put(children_left=np.zeros(0, complex)), "0 nodes"),
        (_put(criterion="squared_error"), "criterion"),
        (_put(n_classes=0), "criterion"),
        (_put(n_classes=0, criterion="squared_error"), "leaf_start is too much"),
        (_put(n_features=0), "n_features"),
        (_put(n_features=2**40), "n_features"),
        (_put(category_start=None), "go together"),
    ],
)
def test_what_is_not_a_tree_is_refused(change, message):
    arrays = make()
    change(arrays)
    with pytest.raises(ValueError, match=message):
        Tree.from_arrays(**arrays)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_put(n_outputs=0), "n_outputs"),
        (_put(n_outputs=1), "output_classes is too much"),
        (_put(n_outputs=3), "output_classes"),
        (_put(output_classes=None), "output_classes is missing"),
        (_put(output_classes=[7, 0]), "output_classes"),
        (_put(output_classes=[3, 5]), "output_classes"),
        (_put(output_classes=[2**31 - 1, 2**31 - 1]), "output_classes"),
        (_put(output_classes=[6, 1]), "classes of each of 2 outputs"),
        (_put(n_classes=0, criterion="squared_error"), "leaf_start is too much"),
    ],
)
def test_what_has_not_several_outputs_is_refused(change, message):
    arrays = make(n_outputs=2)
    change(arrays)
    with pytest.raises(ValueError, match=message):
        Tree.from_arrays(**arrays)
    arrays = make(n_outputs=2, n_classes=0)
    arrays["leaf_value"] = arrays["leaf_value"][1:]
    with pytest.raises(ValueError, match="2 finite numbers for each of 12 leaves"):
        Tree.from_arrays(**arrays)


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_values_of_inner_nodes(n_outputs):
    arrays = make(n_classes=0, n_outputs=n_outputs)
    for wrong in (np.zeros(11 * n_outputs - 1), np.full(11 * n_outputs, np.nan)):
        with pytest.raises(ValueError, match="each of 11 inner nodes"):
            Tree.from_arrays(**arrays, inner_value=wrong)
    inner_value = np.arange(11.0 * n_outputs)
    tree = Tree.from_arrays(**arrays, inner_value=inner_value)
    inner = tree.children_left >= 0
    np.testing.assert_array_equal(tree.value[inner, :, 0].ravel(), inner_value)
    leaves = tree.value[tree.leaf_nodes, :, 0].ravel()
    np.testing.assert_array_equal(leaves, arrays["leaf_value"])
    again = pickle.loads(pickle.dumps(tree))
    np.testing.assert_array_equal(again.inner_value, tree.inner_value)
    assert tree.__getstate__()["format_version"] == 2


@pytest.mark.parametrize("name", ["category_start", "category_count"])
@pytest.mark.parametrize("wrong", [-2, 10_000, 2**31 - 1])
def test_category_sets_stay_within_the_bits(name, wrong):
    arrays = make(categorical=1.0)
    _set(name, 0, wrong)(arrays)
    with pytest.raises(ValueError, match="category_bits"):
        Tree.from_arrays(**arrays)


@pytest.mark.parametrize("wrong", [None, 2.0, "3", True, [3]])
@pytest.mark.parametrize("name", ["n_features", "n_classes", "n_outputs"])
def test_numbers_of_the_wrong_type(name, wrong):
    with pytest.raises(TypeError, match=name):
        Tree.from_arrays(**make() | {name: wrong})


def test_is_not_made_empty():
    with pytest.raises(TypeError, match="from_arrays"):
        Tree()
    assert "12 leaves" in repr(Tree.from_arrays(**make()))


def test_fields_of_the_other_kind():
    with pytest.raises(AttributeError, match="leaf_value"):
        _ = Tree.from_arrays(**make()).leaf_value
    with pytest.raises(AttributeError, match="leaf_class"):
        _ = Tree.from_arrays(**make(n_classes=0)).leaf_class


_SCALAR_MUTANTS = st.sampled_from(
    [None, -1, 0, 1, 2, 3, 5, 2**31 - 1, 2**63, True, 1.5, "gini", "entropy",
     "squared_error", "x", b"gini", [], {}, np.int64(3), np.array(3), np.array([3, 4])]
)  # fmt: skip
_NUMBERS = st.sampled_from(
    [-(2**31), -3, -2, -1, 0, 1, 2, 5, 63, 64, 65, 1000, 2**31 - 1, 2**40, 2**63,
     0.5, 1e300, -0.0, np.nan, np.inf, -np.inf]
)  # fmt: skip


@settings(max_examples=1500, deadline=None)
@given(data=st.data(), seed=st.integers(0, 20))
def test_mutated_states_never_crash(data, seed):
    """Whatever a state holds, it is refused or is a tree that can be used."""
    rng = np.random.default_rng(seed)
    tree = Tree.from_arrays(
        **make(
            seed,
            n_leaves=int(rng.integers(1, 9)),
            n_classes=int(rng.integers(0, 4)),
            n_outputs=int(rng.integers(1, 3)),
            categorical=rng.choice([0.0, 0.5]),
        )
    )
    state = tree.__getstate__()
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from([*state, "new", 7]))
        old = state.get(name)
        kind = data.draw(st.sampled_from(["delete", "scalar", "item", "size", "dtype"]))
        if kind == "delete":
            state.pop(name, None)
        elif kind == "scalar" or getattr(old, "ndim", 0) != 1 or not len(old):
            state[name] = data.draw(_SCALAR_MUTANTS)
        elif kind == "item":
            changed = old.astype(data.draw(st.sampled_from([old.dtype, object])))
            number = data.draw(_NUMBERS)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    changed[data.draw(st.integers(0, old.size - 1))] = number
                except (OverflowError, ValueError):
                    continue
            if changed.dtype == object and data.draw(st.booleans()):
                changed = changed.tolist()
            state[name] = changed
        elif kind == "size":
            size = data.draw(st.integers(0, 2 * old.size))
            state[name] = data.draw(
                st.sampled_from([np.resize(old, size), old[:0], old[None], old[0]])
            )
        else:
            dtype = data.draw(
                st.sampled_from(["i1", "u1", "i8", ">i4", "f4", ">f8", "c16", "U3"])
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    state[name] = old.astype(dtype)
                except (OverflowError, TypeError, ValueError):
                    continue
    restored = Tree.__new__(Tree)
    try:
        restored.__setstate__(state)
    except ValueError:
        return
    if restored.n_features < 100:
        X = reference.random_rows(rng, 20, restored.n_features, np.float64)
        np.testing.assert_array_equal(restored.apply(X), reference.apply(restored, X))
        assert inference.find_leaves(restored, X).max() < restored.n_leaves
        if 0 < restored.total_n_classes < 100:
            inference.predict_shares(restored, X)
            inference.predict_class(restored, X)
        if restored.max_n_classes * restored.n_outputs < 1000:
            assert np.all(np.isfinite(restored.value))


def test_arrays_over_bytes_are_kept_if_they_are_plain():
    arrays = make()
    tree = Tree.from_arrays(**arrays)
    plain = np.frombuffer(tree.threshold.tobytes(), np.float64)
    assert Tree.from_arrays(**(arrays | {"threshold": plain})).threshold is plain
    every_second = np.ndarray(
        tree.node_count, np.float64, np.repeat(tree.threshold, 2).tobytes(), 0, (16,)
    )
    crooked = np.ndarray(
        tree.node_count, np.float64, b"\0" + tree.threshold.tobytes(), 1
    )
    for odd in (every_second, crooked, tree.threshold.copy()):
        other = Tree.from_arrays(**(arrays | {"threshold": odd})).threshold
        assert other is not odd
        assert other.flags.c_contiguous
        assert other.flags.aligned
        np.testing.assert_array_equal(other, tree.threshold)
        with pytest.raises(ValueError, match="WRITEABLE"):
            other.setflags(write=True)
