"""Single rows that are looked up give what walking through the trees gives."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reference_predict as reference
from fasttree._kernels import row as kernels
from fasttree.prediction import leaf_masks
from fasttree.prediction.ensemble import Ensemble
from fasttree.prediction.leaf_masks import LeafMasks
from fasttree.prediction.small_trees import SmallTrees
from fasttree.trees.node_statistics import NodeStatistics
from fasttree.trees.tree import Tree


def make_trees(seed, n_trees, max_leaves, *, single=True, **options):
    rng = np.random.default_rng(seed)
    trees = []
    for _ in range(n_trees):
        n_leaves = int(rng.integers(1, max_leaves + 1))
        arrays = reference.random_arrays(rng, n_leaves=n_leaves, **options)
        if not single:
            is_split = arrays["children_left"] >= 0
            noise = rng.normal(size=int(is_split.sum())) * 1e-9
            arrays["threshold"][is_split] += noise
        trees.append(Tree.from_arrays(**arrays))
    return trees


def row_predictor(ensemble, masks, n_columns):
    packed = ensemble.packed
    return kernels.RowPredictor(
        *packed.layout, *packed.payload(), ensemble.outputs, np.zeros(n_columns),
        masks=masks, releases_gil=n_columns == 3, n_features=packed.n_features,
        divisor=1.0, link=0, names=None, codes=None, refuses_unknown=False,
        classes=None,
    )  # fmt: skip


@settings(max_examples=120)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_trees=st.sampled_from([1, 3, 40]),
    max_leaves=st.sampled_from([2, 32, 33, 64]),
    n_features=st.sampled_from([1, 4, 30]),
    n_classes=st.sampled_from([0, 3]),
    categorical=st.sampled_from([0.0, 0.3, 1.0]),
    single=st.booleans(),
    chain=st.booleans(),
    most_bytes=st.sampled_from([2**12, 2**15, 2**22]),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_equals_walking(
    seed, n_trees, max_leaves, n_features, n_classes, categorical, single, chain,
    most_bytes, dtype,
):  # fmt: skip
    trees = make_trees(
        seed, n_trees, max_leaves, single=single, n_features=n_features,
        n_classes=n_classes, categorical=categorical, chain=chain,
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    outputs = rng.integers(0, 2, n_trees) if not n_classes and seed % 2 else None
    ensemble = Ensemble.from_trees(trees, outputs=outputs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leaf_masks, "_MOST_BYTES", most_bytes)
        patch.setattr(leaf_masks, "cycles_of_walk", lambda _: np.inf)
        if ensemble.packed.n_slots == 2:
            return
        masks = LeafMasks.of(ensemble.packed, ensemble.packed.payload()[0])
    if masks is None:
        assert most_bytes < 2**22 or categorical
        return
    n_columns = n_classes or ensemble.n_columns
    looked_up = row_predictor(ensemble, masks, n_columns)
    walked = row_predictor(ensemble, None, n_columns)
    X = reference.random_rows(rng, 60, n_features, dtype)
    thresholds = np.concatenate([tree.threshold for tree in trees])
    thresholds = thresholds[np.isfinite(thresholds)]
    X[::2] = rng.choice(np.append(thresholds, np.nan), X[::2].shape)
    X[np.isinf(X)] = 0.0
    for row in X:
        expected = walked.score_one(row)
        np.testing.assert_array_equal(looked_up.score_one(row), expected)
    sums = ensemble.mean_shares(X) * n_trees if n_classes else None
    if sums is not None:
        got = [looked_up.score_one(row) for row in X]
        np.testing.assert_allclose(got, sums, rtol=1e-12)


def test_words_of_some_ranks_only():
    trees = make_trees(5, 60, 60, n_features=6, n_classes=0)
    packed = Ensemble.from_trees(trees).packed
    with pytest.MonkeyPatch.context() as patch:
        shifts = []
        for size in (2**24, 2**20, 2**18, 2**16, 2**12):
            patch.setattr(leaf_masks, "_MOST_BYTES", size)
            patch.setattr(leaf_masks, "cycles_of_walk", lambda _: np.inf)
            masks = LeafMasks.of(packed, packed.payload()[0])
            shifts.append(masks and masks.shift)
    assert shifts[0] == 0
    assert 0 < shifts[2] < shifts[3]
    assert shifts[4] is None


@pytest.mark.parametrize(
    ("n_trees", "max_leaves", "n_features", "is_used"),
    [(100, 31, 28, True), (1, 2, 28, False), (100, 65, 4, False), (9, 8, 400, False)],
)
def test_where_rows_are_looked_up(n_trees, max_leaves, n_features, is_used):
    trees = make_trees(1, n_trees, max_leaves, n_features=n_features, n_classes=0)
    packed = Ensemble.from_trees(trees).packed
    masks = LeafMasks.of(packed, packed.payload()[0])
    assert (masks is not None) == is_used


def test_slots_that_no_node_looks_at():
    """A file may describe them."""
    trees = make_trees(2, 12, 1, n_features=3, n_classes=0)
    packed = replace(
        Ensemble.from_trees(trees).packed,
        slot_feature=np.array([-1, -1, 2], np.int32),
        slot_kind=np.zeros(3, np.uint8),
        slot_bits=2,
    )
    packed.check()
    ensemble = Ensemble.from_packed(
        packed, NodeStatistics.of(trees), np.zeros(12, np.int32)
    )
    masks = LeafMasks.of(packed, packed.payload()[0])
    small = SmallTrees.of(packed, packed.payload()[0])
    out = np.zeros((300, 1))
    numbers = np.zeros((0, 0), np.intp)
    X = np.zeros((300, 3), np.float32)
    small.run(X, np.zeros(12, np.int32), out, numbers, (0, 12), (0, 300))
    expected = sum(tree.leaf_value[0] for tree in trees)
    np.testing.assert_allclose(out, expected, rtol=1e-12)
    for used in (masks, None):
        score = row_predictor(ensemble, used, 1).score_one(X[0])
        np.testing.assert_allclose(score, expected, rtol=1e-12)
