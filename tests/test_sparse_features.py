"""Columns held by their entries: what is counted; no bit of a model changes."""

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from fasttree import GradientBoostingClassifier, GradientBoostingRegressor
from fasttree._kernels import probes
from fasttree.data.table import EncodedTable
from fasttree.ensembles import boosting, tiles
from fasttree.ensembles.sparse_features import SparseFeatures


def meeting_data(n_rows=6000, n_columns=40, seed=0):
    """Return rare numbers that meet in rows, missing values, and dense columns."""
    rng = np.random.default_rng(seed)
    shape = n_rows, n_columns
    X = np.where(rng.random(shape) < 0.06, rng.integers(-2, 5, shape), 0.0)
    X[:, ::7] = np.where(rng.random(X[:, ::7].shape) < 0.03, np.nan, X[:, ::7])
    X[:, 5] = np.where(rng.random(n_rows) < 0.1, rng.normal(size=n_rows).round(1), 1e9)
    X[:, 6] = np.where(rng.random(n_rows) < 0.1, X[:, 6], np.nan)
    X[:, 9] = 3
    X[:, -3:] = rng.normal(size=(n_rows, 3))
    score = np.nan_to_num(np.clip(X, -9, 9)) @ rng.normal(size=n_columns)
    return X, score + rng.normal(size=n_rows)


def random_features(rng, n_rows, n_columns):
    """Return sparse columns, and their bytes as a dense array."""
    n_bytes = rng.integers(1, 6, n_columns)
    dense = rng.integers(0, n_bytes, (n_rows, n_columns)).astype(np.uint8)
    dense[rng.random(dense.shape) < rng.random(n_columns)] = 0
    entries = []
    for column in dense.T:
        rows = np.flatnonzero(column).astype(np.uint32)
        entries.append((rows, column[rows]))
    return SparseFeatures.of_columns(entries, n_bytes.tolist(), n_rows), dense, n_bytes


def trees_of(model):
    return [
        {name: np.asarray(value).tobytes() for name, value in state.items()}
        for state in (tree.__getstate__() for tree in model.ensemble_)
    ]


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 200), st.integers(0, 9))
def test_sums_of_entries(seed, n_rows, n_columns):
    rng = np.random.default_rng(seed)
    sparse, dense, n_bytes = random_features(rng, n_rows, n_columns)
    if not n_columns:
        assert sparse.n_cells == 0
        return
    sums = rng.integers(0, 2**40, n_rows, dtype=np.uint64)
    first = np.cumsum([0, *(n_bytes - 1)])
    for rows in (None, rng.permutation(n_rows)[: n_rows // 2 + 1].astype(np.uint32)):
        taken = np.arange(n_rows) if rows is None else rows
        cells = rng.integers(0, 9, sparse.n_cells, dtype=np.uint64)
        counts = np.ones(sparse.n_cells, np.uint32)
        before, wanted, counted = cells.copy(), cells.copy(), np.zeros_like(counts)
        for k in range(n_columns):
            for b in range(1, n_bytes[k]):
                own = dense[taken, k] == b
                wanted[first[k] + b] += sums[: len(taken)][own].sum()
                counted[first[k] + b] = own.sum()
        probes.sum_entries(sparse, rows, sums[: len(taken)], 0, 1, cells, counts)
        np.testing.assert_array_equal(cells, wanted)
        np.testing.assert_array_equal(counts, counted)
        for _ in range(2):
            probes.sum_entries(sparse, rows, sums[: len(taken)], 0, -1, cells, counts)
        probes.sum_entries(sparse, rows, sums[: len(taken)], 0, 1, cells, counts)
        np.testing.assert_array_equal(cells, before)


def test_parts_of_the_rows_add_up():
    rng = np.random.default_rng(0)
    sparse, _, _ = random_features(rng, 500, 7)
    sums = rng.integers(0, 2**40, 500, dtype=np.uint64)
    counts = np.empty(sparse.n_cells, np.uint32)
    whole, parts = np.zeros((2, sparse.n_cells), np.uint64)
    probes.sum_entries(sparse, None, sums, 0, 1, whole, counts)
    for start, stop in ((0, 100), (100, 101), (101, 500)):
        probes.sum_entries(sparse, None, sums[start:stop], start, 1, parts, counts)
    np.testing.assert_array_equal(parts, whole)


def test_columns_are_spread_one_after_another():
    rng = np.random.default_rng(0)
    sparse, dense, _ = random_features(rng, 300, 6)
    order = np.array([0, 3, 3, 5, 0, 1, 2, 4])
    out = np.full((len(order), 300), 99, np.uint8)
    probes.spread_columns(sparse, order, out)
    np.testing.assert_array_equal(out, dense.T[order])


def test_which_columns_are_held_by_entries(monkeypatch):
    X, _ = meeting_data()
    table = EncodedTable.from_data(X, max_bins=255)
    layout = tiles.make_layout(table)
    held = layout.features["slot"] >= len(layout.columns)
    assert held[:-3].all()
    assert not held[-3:].any()
    # Columns that never meet share a byte instead, if that has something in most rows.
    one_hot = np.eye(30)[np.random.default_rng(0).integers(0, 30, 3000)]
    layout = tiles.make_layout(EncodedTable.from_data(one_hot, max_bins=255))
    assert len(layout.sparse) == 0
    # A few columns are not worth it.
    few = EncodedTable.from_data(X[:, :6], max_bins=255)
    assert len(tiles.make_layout(few).sparse) == 0
    monkeypatch.setattr(tiles, "ROW_COST", np.inf)
    assert len(tiles.make_layout(table).sparse) == 0


OPTIONS = [
    {},
    {"monotonic_cst": [1] * 10 + [0] * 30},
    {"subsample": 0.5, "max_features": 0.4},
    {"sampling": "goss"},
    {"interaction_cst": [set(range(20)), set(range(15, 40))]},
    {"min_samples_leaf": 1, "max_leaf_nodes": 80},
    {"min_samples_leaf": 200},
    {"grow_policy": "depthwise", "l2_regularization": 2.0},
    {"early_stopping": True, "n_iter_no_change": 3},
    {"n_jobs": 2, "max_leaf_nodes": 60},
]


@pytest.mark.parametrize("options", OPTIONS, ids="-".join)
@pytest.mark.parametrize(
    "kind", [GradientBoostingRegressor, GradientBoostingClassifier]
)
def test_entries_change_no_bit(kind, options, monkeypatch):
    monkeypatch.setattr(boosting, "SERIAL_BELOW", 0)
    X, y = meeting_data()
    if kind is GradientBoostingClassifier:
        y = y > 0
    rows = meeting_data(300, seed=1)[0]
    rows[::7, :20] = np.nan  # new data may miss what training data never did
    options = {"max_iter": 6, "random_state": 0, "early_stopping": False} | options
    model = kind(**options).fit(X, y)
    held = trees_of(model), model.predict(rows)
    monkeypatch.setattr(tiles, "ROW_COST", np.inf)
    model.fit(X, y)
    assert trees_of(model) == held[0]
    np.testing.assert_array_equal(model.predict(rows), held[1])


def test_workers_divide_the_rows(monkeypatch):
    X, y = meeting_data(70_000, 24)
    trees = []
    for n_jobs, row_cost in ((1, tiles.ROW_COST), (3, tiles.ROW_COST), (1, np.inf)):
        monkeypatch.setattr(tiles, "ROW_COST", row_cost)
        model = GradientBoostingRegressor(
            max_iter=2, early_stopping=False, random_state=0, n_jobs=n_jobs
        )
        trees.append(trees_of(model.fit(X, y)))
    assert trees[0] == trees[1] == trees[2]


def test_only_sparse_columns():
    X, y = meeting_data(2000, 40)
    X = X[:, :-3]
    model = GradientBoostingRegressor(max_iter=5, early_stopping=False)
    dense = trees_of(model.fit(X, y))
    assert trees_of(model.fit(scipy.sparse.csr_array(X), y)) == dense
    layout = tiles.make_layout(EncodedTable.from_data(X, max_bins=255))
    assert layout.n_tiles == 0
    assert model.score(X, y) > 0.3
