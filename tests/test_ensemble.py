"""Ensembles equal loops over their trees, to the bit, on any number of threads."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import reference_predict as reference
from fasttree.data.schema import SparseRows
from fasttree.prediction import inference, packing
from fasttree.prediction.ensemble import Ensemble
from fasttree.trees.node_statistics import NodeStatistics
from fasttree.trees.tree import Tree


def make_trees(seed, n_trees, *, n_classes=3, max_leaves=40, **options):
    rng = np.random.default_rng(seed)
    return [
        Tree.from_arrays(
            **reference.random_arrays(
                rng,
                n_leaves=int(rng.integers(1, max_leaves + 1)),
                n_classes=n_classes,
                **options,
            )
        )
        for _ in range(n_trees)
    ]


def rows(seed, n_rows, n_features=4, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return reference.random_rows(rng, n_rows, n_features, dtype)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_trees=st.integers(1, 20),
    n_rows=st.integers(0, 50),
    categorical=st.sampled_from([0.0, 0.4]),
    chain=st.booleans(),
    dtype=st.sampled_from([np.float32, np.float64]),
    n_threads=st.sampled_from([1, 2]),
)
def test_equals_a_loop_over_trees(
    seed, n_trees, n_rows, categorical, chain, dtype, n_threads
):
    X = rows(seed, n_rows, dtype=dtype)
    options = {"categorical": categorical, "chain": chain}

    classifiers = make_trees(seed, n_trees, **options)
    ensemble = Ensemble.from_trees(classifiers)
    expected = np.zeros((n_rows, 3))
    for tree in classifiers:
        expected += tree.predict(X)
    expected /= n_trees
    np.testing.assert_array_equal(ensemble.mean_shares(X, n_threads), expected)
    leaves = ensemble.leaves(X, n_threads)
    assert leaves.shape == (n_rows, n_trees)
    for column, tree in zip(leaves.T, classifiers, strict=True):
        np.testing.assert_array_equal(column, reference.apply(tree, X))

    regressors = make_trees(seed, n_trees, n_classes=0, **options)
    outputs = np.random.default_rng(seed).integers(0, 3, n_trees)
    ensemble = Ensemble.from_trees(regressors, outputs=outputs)
    mean = np.zeros(n_rows)
    baseline = np.array([0.5, -1.0, 0.1])
    sums = np.tile(baseline, (n_rows, 1))
    stages = []
    for tree, column in zip(regressors, outputs, strict=True):
        mean += tree.predict(X)[:, 0]
        sums[:, column] += tree.predict(X)[:, 0]
        stages.append(sums.copy())
    np.testing.assert_array_equal(ensemble.mean_values(X, n_threads), mean / n_trees)
    np.testing.assert_array_equal(ensemble.sum_values(X, baseline, n_threads), sums)
    staged = list(ensemble.staged_sums(X, baseline, n_threads))
    assert len(staged) == n_trees
    for got, wanted in zip(staged, stages, strict=True):
        np.testing.assert_array_equal(got, wanted)
    (last,) = ensemble.staged_sums(X, baseline, n_threads, trees_per_stage=n_trees)
    np.testing.assert_array_equal(last, sums)


@pytest.mark.parametrize("categorical", [0.0, 0.4])
@pytest.mark.parametrize("single", [True, False])
def test_wide_nodes(categorical, single):
    trees = make_trees(6, 9, categorical=categorical)
    if not single:
        trees[3] = Tree.from_arrays(**with_double_thresholds(trees[3]))
    X = rows(6, 100)
    narrow = Ensemble.from_trees(trees)
    wide = Ensemble.from_packed(
        packing.pack(trees, narrow=False), narrow.statistics, narrow.outputs
    )
    wide.packed.check()
    assert (narrow.packed.nodes.shape[1], wide.packed.nodes.shape[1]) == (2, 3)
    assert len(narrow.packed.cuts) > 0 or single
    np.testing.assert_array_equal(wide.mean_shares(X), narrow.mean_shares(X))
    np.testing.assert_array_equal(wide.leaves(X), narrow.leaves(X))


def with_double_thresholds(tree):
    """Return the arrays of the tree with thresholds that float32 cannot hold."""
    state = tree.__getstate__()
    del state["format_version"]
    is_inner = state["children_left"] != -1
    state["threshold"] = np.where(
        is_inner & np.isfinite(state["threshold"]),
        state["threshold"] + 1e-12,
        state["threshold"],
    )
    return state


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), dtype=st.sampled_from([np.float32, np.float64]))
def test_values_beside_thresholds(seed, dtype):
    """Rows on a threshold and on both sides of it go where floats say."""
    rng = np.random.default_rng(seed)
    trees = make_trees(seed, 4)
    if rng.random() < 0.5:
        trees = [Tree.from_arrays(**with_double_thresholds(tree)) for tree in trees]
    at = np.concatenate([tree.threshold for tree in trees])
    at = np.append(at, [0.0, -0.0, 5e-324, -5e-324, 1e-45, 3.4e38, 1.7e308])
    at = np.concatenate([at, np.nextafter(at, np.inf), np.nextafter(at, -np.inf)])
    with np.errstate(over="ignore"):
        single = at.astype(np.float32)
        up = np.nextafter(single, np.float32(np.inf))
        at = np.concatenate([at, single, up]).astype(dtype)
    X = np.ascontiguousarray(rng.choice(at, (60, 4)))
    leaves = Ensemble.from_trees(trees).leaves(X)
    for column, tree in zip(leaves.T, trees, strict=True):
        np.testing.assert_array_equal(column, reference.apply(tree, X))


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    categorical=st.sampled_from([0.0, 0.4]),
    n_classes=st.sampled_from([0, 1, 3]),
    n_outputs=st.sampled_from([1, 3]),
    single=st.booleans(),
    narrow=st.booleans(),
)
def test_trees_come_back(seed, categorical, n_classes, n_outputs, single, narrow):
    trees = make_trees(
        seed, 4, categorical=categorical, n_classes=n_classes, n_outputs=n_outputs
    )
    if not single:
        trees = [Tree.from_arrays(**with_double_thresholds(tree)) for tree in trees]
    packed = packing.pack(trees, narrow=narrow)
    packed.check()
    statistics = NodeStatistics.of(trees)
    for i, tree in enumerate(trees):
        state = statistics.restore(packed, i).__getstate__()
        expected = tree.__getstate__()
        assert state.keys() == expected.keys()
        # Where leaves send missing values is nobody's business.
        expected["missing_left"] = expected["missing_left"].copy()
        expected["missing_left"][tree.leaf_nodes] = 0
        # How sets are laid out in words neither, as long as they are the same.
        for name in state.keys() - {"category_start", "category_bits"}:
            np.testing.assert_array_equal(state[name], expected[name], err_msg=name)
        X = rows(seed, 40)
        np.testing.assert_array_equal(
            statistics.restore(packed, i).apply(X), reference.apply(tree, X)
        )


@pytest.mark.parametrize("n_outputs", [2, 5])
def test_several_outputs(n_outputs):
    X = rows(7, 100)
    values = make_trees(7, 5, n_classes=0, n_outputs=n_outputs)
    expected = np.zeros((100, n_outputs))
    for tree in values:
        expected += inference.predict_value(tree, X)
    got = Ensemble.from_trees(values).mean_values(X)
    np.testing.assert_array_equal(got, expected / 5)


@pytest.mark.parametrize("n_classes", [1, 2, 5, 300])
def test_numbers_of_classes(n_classes):
    X = rows(8, 100)
    trees = make_trees(8, 5, n_classes=n_classes)
    expected = np.zeros((100, n_classes))
    for tree in trees:
        expected += inference.predict_shares(tree, X)
    got = Ensemble.from_trees(trees).mean_shares(X)
    np.testing.assert_array_equal(got, expected / 5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_and_blocks_change_nothing(dtype):
    trees = make_trees(1, 30, max_leaves=200, categorical=0.2)
    values = make_trees(1, 30, n_classes=0, max_leaves=200)
    forest = Ensemble.from_trees(trees)
    boosted = Ensemble.from_trees(values, outputs=np.arange(30) % 3)
    X = rows(2, 10_007, dtype=dtype)
    for n_threads in (2, 5):
        for predict in (
            forest.mean_shares,
            forest.leaves,
            boosted.mean_values,
            lambda X, n: boosted.sum_values(X, np.zeros(3), n),
        ):
            whole = predict(X, 1)
            np.testing.assert_array_equal(predict(X, n_threads), whole)
            np.testing.assert_array_equal(predict(X[17:1018], 1), whole[17:1018])


def test_sparse_rows():
    X = rows(3, 300)
    X[np.isnan(X)] = 0.0
    X[np.abs(X) < 1.0] = 0.0
    ensemble = Ensemble.from_trees(make_trees(3, 7))
    table = SparseRows(sparse.csr_array(X), None)
    np.testing.assert_array_equal(ensemble.mean_shares(table), ensemble.mean_shares(X))
    np.testing.assert_array_equal(ensemble.leaves(table), ensemble.leaves(X))


def test_out():
    X = rows(4, 20)
    forest = Ensemble.from_trees(make_trees(4, 3))
    boosted = Ensemble.from_trees(make_trees(4, 3, n_classes=0))
    for predict, shape in (
        (forest.mean_shares, (20, 3)),
        (boosted.mean_values, (20,)),
        (lambda X, out=None: boosted.sum_values(X, [1.0, 2.0], out=out), (20, 2)),
    ):
        out = np.full(shape, np.nan)
        assert predict(X, out=out) is out
        np.testing.assert_array_equal(out, predict(X))
        wrong = [np.zeros((19, *shape[1:])), np.zeros(shape, np.float32)]
        wrong.append(np.zeros((20, 20))[:, : shape[-1]] if len(shape) == 2 else None)
        frozen = np.zeros(shape)
        frozen.setflags(write=False)
        for bad in [*wrong, frozen]:
            if bad is not None:
                with pytest.raises(ValueError, match="out must be"):
                    predict(X, out=bad)
        with pytest.raises(TypeError, match="out must be"):
            predict(X, out=[0.0])


def test_refused_input():
    trees, values = make_trees(5, 2), make_trees(5, 2, n_classes=0)
    with pytest.raises(ValueError, match="at least one tree"):
        Ensemble.from_trees([])
    with pytest.raises(TypeError, match="must hold Tree objects"):
        Ensemble.from_trees([*trees, None])
    with pytest.raises(ValueError, match="agree in is_classification"):
        Ensemble.from_trees([*trees, *values])
    with pytest.raises(ValueError, match="agree in n_classes"):
        Ensemble.from_trees([*trees, *make_trees(5, 1, n_classes=4)])
    with pytest.raises(ValueError, match="agree in n_features"):
        Ensemble.from_trees([*trees, *make_trees(5, 1, n_features=3)])
    for outputs in ([0], [0.0, 1.0], [-1, 0], [0, 2**31]):
        with pytest.raises(ValueError, match="outputs must be"):
            Ensemble.from_trees(values, outputs=outputs)
    forest, boosted = Ensemble.from_trees(trees), Ensemble.from_trees(values)
    X = rows(5, 3)
    with pytest.raises(ValueError, match="mean_values needs"):
        forest.mean_values(X)
    with pytest.raises(ValueError, match="mean_shares needs"):
        boosted.mean_shares(X)
    with pytest.raises(ValueError, match="sums of values need"):
        forest.sum_values(X, [0.0])
    with pytest.raises(ValueError, match="baseline must have shape"):
        boosted.sum_values(X, [])
    with pytest.raises(ValueError, match="trees_per_stage must divide"):
        next(boosted.staged_sums(X, [0.0], trees_per_stage=3))
    for wrong in (X[:, :3], X[0], X.astype(str)):
        with pytest.raises(ValueError, match="X must"):
            forest.leaves(wrong)
    with pytest.raises(TypeError, match=r"from_trees"):
        Ensemble()


def reference_sum(trees, X):
    """Return the trees' values added one by one."""
    total = np.zeros(len(X))
    for tree in trees:
        total += inference.predict_value(tree, X)
    return total


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    max_leaves=st.sampled_from([2, 20, 33, 64]),
    n_features=st.sampled_from([1, 4, 30, 32]),
    dtype=st.sampled_from([np.float32, np.float64]),
    single=st.booleans(),
    chain=st.booleans(),
)
def test_small_trees(seed, max_leaves, n_features, dtype, single, chain):
    """Trees that are not walked give the same sums and leaves."""
    options = {"max_leaves": max_leaves, "n_features": n_features, "chain": chain}
    trees = make_trees(seed, 19, n_classes=0, **options)
    classes = make_trees(seed, 19, n_classes=3, **options)
    if not single:
        trees = [Tree.from_arrays(**with_double_thresholds(tree)) for tree in trees]
    X = rows(seed, 700, n_features, dtype)
    X[::3] = np.random.default_rng(seed).choice(
        np.append(trees[0].threshold, np.nan), X[::3].shape
    )
    columns = np.arange(19) % 2
    boosted = Ensemble.from_trees(trees, outputs=columns)
    walked = Ensemble.from_trees(trees, outputs=columns)
    forest, slow_forest = Ensemble.from_trees(classes), Ensemble.from_trees(classes)
    walked._batch._small = slow_forest._batch._small = (None,)
    single_column = Ensemble.from_trees(trees)
    stages = [np.array(list(e.staged_sums(X, [1.0, -0.5]))) for e in (boosted, walked)]
    for fast, slow in (
        (single_column.sum_values(X, [0.0])[:, 0], reference_sum(trees, X)),
        stages,
        (boosted.sum_values(X, [1.0, -0.5]), walked.sum_values(X, [1.0, -0.5])),
        (boosted.leaves(X), walked.leaves(X)),
        (forest.mean_shares(X), slow_forest.mean_shares(X)),
    ):
        np.testing.assert_array_equal(fast, slow)
    for n_threads in (1, 2):
        # More than a block of rows, and a part that is not full.
        many = np.tile(X, (4, 1))
        np.testing.assert_array_equal(
            boosted.leaves(many, n_threads), np.tile(walked.leaves(X), (4, 1))
        )
    is_small = boosted._batch.small is not None
    # Of one feature there may be more thresholds than bytes have values.
    if n_features > 1:
        assert is_small == (boosted.packed.n_slots > 2)


def test_trees_that_are_not_small():
    for options in (
        {"max_leaves": 300}, {"categorical": 0.5}, {"n_features": 600},
    ):  # fmt: skip
        trees = make_trees(3, 30, n_classes=0, **options)
        assert Ensemble.from_trees(trees)._batch.small is None


def test_pickle_and_copies():
    """Also of one that has predicted, and holds what is derived from its trees."""
    trees = make_trees(4, 12, n_classes=0)
    X = rows(4, 400)
    ensemble = Ensemble.from_trees(trees, outputs=np.arange(12) % 2)
    expected = ensemble.sum_values(X, [0.0, 1.0])
    for again in (
        pickle.loads(pickle.dumps(ensemble)), copy.copy(ensemble),
        copy.deepcopy(ensemble), pickle.loads(pickle.dumps(ensemble, 5)),
    ):  # fmt: skip
        for _ in range(2):
            got = again.sum_values(X, [0.0, 1.0])
            np.testing.assert_array_equal(got, expected)
        assert [tree.node_count for tree in again] == [t.node_count for t in trees]
