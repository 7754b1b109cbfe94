"""Rows through copies of large trees end where they do in the trees themselves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reference_predict as reference
from fasttree.prediction import batch
from fasttree.prediction.ensemble import Ensemble
from fasttree.trees.tree import Tree


def make_ensemble(seed, n_trees, max_leaves, *, single=True, **options):
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
    ensemble = Ensemble.from_trees(trees)
    ensemble._batch._small = (None,)
    return ensemble


def walked_and_copied(patch, ensemble, predict):
    results = []
    for rows_for_copies in (10**9, 1):
        patch.setattr(batch, "_ROWS_FOR_COPIES", rows_for_copies)
        results.append(predict(ensemble))
    return results


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_rows=st.sampled_from([1, 15, 100, 1024, 1025, 2500]),
    max_leaves=st.sampled_from([1, 3, 100, 2000]),
    n_features=st.sampled_from([1, 5, 15, 40, 100]),
    n_classes=st.sampled_from([0, 2, 3, 7]),
    dtype=st.sampled_from([np.float32, np.float64]),
    missing=st.sampled_from(["none", "one column", "everywhere"]),
    single=st.booleans(),
    chain=st.booleans(),
    block=st.sampled_from([2**12, 2**22]),
)
def test_equals_walking(
    seed, n_rows, max_leaves, n_features, n_classes, dtype, missing, single, chain,
    block,
):  # fmt: skip
    ensemble = make_ensemble(
        seed, 4, min(max_leaves, 200) if chain else max_leaves, single=single,
        n_features=n_features, n_classes=n_classes, chain=chain,
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, n_features)).astype(dtype)
    if missing == "one column":
        X[rng.random(n_rows) < 0.3, 0] = np.nan
    elif missing == "everywhere":
        X[rng.random(X.shape) < 0.3] = np.nan
    thresholds = np.concatenate([tree.threshold for tree in ensemble])
    X[::4] = rng.choice(thresholds[~np.isnan(thresholds)], X[::4].shape)
    predict = Ensemble.mean_shares if n_classes else Ensemble.mean_values
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch, "_LARGE_BLOCK", block)
        for n_threads in (1, 2):
            for call in (predict, Ensemble.leaves):
                walked, copied = walked_and_copied(
                    patch, ensemble, lambda e, call=call, n=n_threads: call(e, X, n)
                )
                np.testing.assert_array_equal(copied, walked)


def test_where_trees_are_copied(monkeypatch):
    kinds = []

    def note(self, *_):
        kinds.append("copied")

    monkeypatch.setattr(batch.BatchPredictor, "_walk_copies", note)
    for n_rows, options in (
        (1000, {}),
        (100, {}),
        (1000, {"categorical": 0.5}),
        (1000, {"n_features": 300}),
    ):
        ensemble = make_ensemble(3, 3, 300, **options)
        ensemble.leaves(np.zeros((n_rows, ensemble.n_features), np.float32))
        kinds.append(None)
    assert kinds == ["copied", None, None, None, None]
