"""The prediction kernels equal their plain twins."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reference_predict as reference
from fasttree._kernels import predict as kernels
from fasttree.trees.tree import Tree


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_leaves=st.integers(1, 60),
    n_rows=st.integers(1, 40),
    categorical=st.sampled_from([0.0, 0.5, 1.0]),
    chain=st.booleans(),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_apply(seed, n_leaves, n_rows, categorical, chain, dtype):
    rng = np.random.default_rng(seed)
    tree = Tree.from_arrays(
        **reference.random_arrays(
            rng, n_leaves=n_leaves, categorical=categorical, chain=chain
        )
    )
    X = reference.random_rows(rng, n_rows, tree.n_features, dtype)
    np.testing.assert_array_equal(tree.apply(X), reference.apply(tree, X))
    path = tree.decision_path(X)
    np.testing.assert_array_equal(path.toarray(), reference.decision_path(tree, X))
    assert path.has_sorted_indices


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("categorical", [0.0, 0.5])
def test_apply_writes_only_its_rows(dtype, categorical):
    rng = np.random.default_rng(0)
    arrays = reference.random_arrays(rng, n_leaves=30, categorical=categorical)
    tree = Tree.from_arrays(**arrays)
    X = reference.random_rows(rng, 50, tree.n_features, dtype)
    out = np.full(50, -7)
    tree.packed.find_leaves(X, out, 11, 30)
    tree.packed.find_leaves(X, out, 40, 40)
    expected = np.full(50, -7)
    nodes = reference.apply(tree, X)
    expected[11:30] = np.searchsorted(tree.leaf_nodes, nodes[11:30])
    np.testing.assert_array_equal(out, expected)


def test_threshold_is_compared_in_float64():
    # Between two neighbours in float32: rounding the threshold would move one.
    low = np.float32(0.1)
    high = np.nextafter(low, np.float32(1))
    for threshold in (float(low), np.nextafter(float(low), 1.0), float(high)):
        tree = Tree.from_arrays(
            n_features=1, n_classes=0, criterion="squared_error",
            children_left=[1, -1, -1], children_right=[2, -1, -1],
            feature=[0, -2, -2], threshold=[threshold, -2.0, -2.0],
            missing_left=[0, 0, 0], impurity=[1.0, 0.0, 0.0],
            n_node_samples=[2, 1, 1], weighted_n_node_samples=[2.0, 1.0, 1.0],
            leaf_value=[0.0, 1.0],
        )  # fmt: skip
        for dtype in (np.float32, np.float64):
            X = np.array([[low], [high]], dtype)
            assert tree.apply(X).tolist() == [1, 2 - (threshold >= high)]


def test_leaf_shares():
    start = np.array([0, 2, 3, 6])
    leaf_class = np.array([0, 3, 1, 0, 1, 3], np.int32)
    share = np.array([0.25, 0.75, 1.0, 0.5, 0.125, 0.375])
    leaves = np.array([2, 0, 1, 1, 2])
    out = np.zeros((5, 4))
    kernels.leaf_shares(leaves, start, leaf_class, share, out, 0, 2)
    kernels.leaf_shares(leaves, start, leaf_class, share, out, 2, 4)
    expected = np.array(
        [
            [0.5, 0.125, 0, 0.375],
            [0.25, 0, 0, 0.75],
            [0, 1, 0, 0],
            [0, 1, 0, 0],
            [0] * 4,
        ]
    )
    np.testing.assert_array_equal(out, expected)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_leaves=st.integers(1, 40))
def test_measure_preorder(seed, n_leaves):
    rng = np.random.default_rng(seed)
    arrays = reference.random_arrays(rng, n_leaves=n_leaves)
    left = arrays["children_left"].astype(np.int32)
    right = arrays["children_right"].astype(np.int32)
    size, depth = np.empty_like(left), np.empty_like(left)
    assert kernels.measure_preorder(left, right, size, depth) == -1
    expected = np.zeros_like(left)
    for node in np.flatnonzero(left != -1):
        expected[[left[node], right[node]]] = expected[node] + 1
    np.testing.assert_array_equal(depth, expected)
    for node in range(len(left)):
        below = np.flatnonzero(depth[node + 1 :] <= depth[node])
        end = node + 1 + below[0] if below.size else len(left)
        assert size[node] == end - node

    # The preorder of a shape is unique: whatever is changed, it is noticed.
    children = [left, right][rng.integers(2)]
    at = rng.integers(len(left))
    old = children[at]
    children[at] = rng.choice(
        [-(2**31), -2, -1, 0, at, at + 1, at + 2, len(left), 2**31 - 1]
    )
    bad = kernels.measure_preorder(left, right, size, depth)
    assert (bad == -1) == (children[at] == old)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_leaves=st.integers(1, 40),
    n_classes=st.integers(0, 5),
)
def test_value(seed, n_leaves, n_classes):
    rng = np.random.default_rng(seed)
    arrays = reference.random_arrays(rng, n_leaves=n_leaves, n_classes=n_classes)
    tree = Tree.from_arrays(**arrays)
    np.testing.assert_allclose(tree.value, reference.value(tree), rtol=1e-12)
