"""Columns that share bytes: what they hold, and that no bit of a model changes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fasttree import GradientBoostingClassifier, GradientBoostingRegressor
from fasttree._kernels import tiles as kernels
from fasttree.data.table import EncodedTable
from fasttree.ensembles import tiles


def sparse_data(n_rows=3000, seed=0):
    """Return one-hot columns, rare numbers, a mostly missing one, and dense ones."""
    rng = np.random.default_rng(seed)
    X = np.zeros((n_rows, 24), np.float32)
    X[np.arange(n_rows), rng.integers(0, 6, n_rows)] = 1
    kind = rng.integers(0, 12, n_rows)
    X[:, 6:12] = rng.normal(size=(n_rows, 6)).round(1) * (kind[:, None] == np.arange(6))
    X[:, 12] = np.where(kind == 7, rng.normal(size=n_rows), np.nan)
    X[kind == 8, 13] = np.nan
    X[:, 14] = np.choose(kind, [0] * 9 + [-1, 2, 0])
    X[:, 15] = 7
    X[:, 16:20] = rng.random((n_rows, 4)) < 0.2
    X[:, 20:] = rng.normal(size=(n_rows, 4))
    effect = rng.normal(size=12)
    score = X[:, :6] @ rng.normal(size=6) + effect[kind] + X[:, 20] * X[:, 16]
    return X, score + 0.3 * rng.normal(size=n_rows)


def codes_of(layout, f):
    """Read a column's codes back from the bytes of its slot."""
    feature = layout.features[f]
    default = feature["default_code"]
    k = int(feature["slot"]) - len(layout.columns)
    if k >= 0:
        sparse = layout.sparse
        own = slice(*sparse.column_start[k : k + 2])
        codes = np.zeros(len(sparse.row_start) - 1, np.uint8)
        codes[sparse.column_rows[own]] = sparse.column_bytes[own]
    else:
        codes = layout.columns[feature["slot"]]
    if default < 0:
        return codes
    n = int(feature["n_codes"]) + int(feature["has_missing"])
    others = np.delete(np.arange(n), default)
    out = np.full(len(codes), default, np.uint8)
    for byte, code in enumerate(others, feature["first"]):
        out[codes == byte] = code
    return out


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.integers(1, 40))
def test_codes_can_be_read_back(seed, n_rows, n_columns):
    rng = np.random.default_rng(seed)
    X = rng.integers(0, rng.integers(1, 9, n_columns), (n_rows, n_columns))
    X = np.where(rng.random(X.shape) < rng.random(n_columns), X, 0).astype(float)
    X[rng.random(X.shape) < 0.3 * rng.random(n_columns) ** 4] = np.nan
    table = EncodedTable.from_data(X, max_bins=255)
    layout = tiles.make_layout(table)
    slots = layout.slots
    for f, column in enumerate(table.columns):
        np.testing.assert_array_equal(codes_of(layout, f), column.codes)
    assert (slots["n_bins"] <= 256).all()
    ends = slots["offset"] + slots["n_bins"]
    ends[len(layout.columns) :] -= 1  # byte 0 of what is held by entries has no bin
    used = slots["n_bins"] > 0
    assert (slots["offset"][used][1:] >= ends[used][:-1]).all()


def test_exclusive_columns_share_a_byte():
    X, _ = sparse_data()
    layout = tiles.make_layout(EncodedTable.from_data(X, max_bins=255))
    slot = layout.features["slot"]
    assert len(set(slot[:6])) == 1
    assert len(set(slot[[6, 7, 14]])) < 3
    assert (layout.features["default_code"][20:] == -1).all()
    assert len(set(slot)) < 16


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"monotonic_cst": [1] * 6 + [0] * 18},
        {"subsample": 0.5, "max_features": 0.4},
        {"interaction_cst": [{0, 1, 2, 12}, {3, 4, 13, 20}]},
        {"min_samples_leaf": 1, "max_leaf_nodes": 100},
        {"n_jobs": 2},
    ],
)
def test_sharing_changes_no_bit(options, monkeypatch):
    X, score = sparse_data(9000)
    rows = sparse_data(500, seed=1)[0]
    rows[::7, :20] = np.nan  # new data may miss what training data never did
    for kind, y in (
        (GradientBoostingRegressor, score),
        (GradientBoostingClassifier, score > 0),
    ):
        model = kind(max_iter=8, random_state=0, early_stopping=False, **options)
        shared = [tree.__getstate__() for tree in model.fit(X, y).ensemble_]
        prediction = model.predict(rows)
        with monkeypatch.context() as patch:
            patch.setattr(tiles, "DEFAULT_SHARE", 2.0)
            alone = [tree.__getstate__() for tree in model.fit(X, y).ensemble_]
        for a, b in zip(shared, alone, strict=True):
            for name in a:
                assert np.asarray(a[name]).tobytes() == np.asarray(b[name]).tobytes()
        np.testing.assert_array_equal(model.predict(rows), prediction)


@pytest.mark.parametrize("n", [1, 7, 8, 1003])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.6, 1.0])
def test_entries_of_a_column(n, share):
    rng = np.random.default_rng(n)
    codes = np.where(rng.random(n) < share, rng.integers(0, 5, n), 2).astype(np.uint8)
    rows, others = np.empty(n, np.uint32), np.empty(n, np.uint8)
    count = kernels.list_entries(codes, 2, rows, others)
    np.testing.assert_array_equal(rows[:count], np.flatnonzero(codes != 2))
    np.testing.assert_array_equal(others[:count], codes[codes != 2])


def test_bundle_kernels():
    rng = np.random.default_rng(0)
    n = 10_000
    is_taken = rng.random((64, n)) < 0.3
    rows = np.flatnonzero(rng.random(n) < 0.01).astype(np.uint32)
    room = np.full(64, 9, np.int32)
    occupied = np.zeros(n, np.uint64)
    is_taken[[20, 30, 63]] = False
    for k, taken in enumerate(is_taken):
        kernels.mark_bundle(np.flatnonzero(taken).astype(np.uint32), occupied, k, True)
    assert kernels.find_bundle(rows, occupied, room, 9) == 20
    room[20] = 8
    assert kernels.find_bundle(rows, occupied, room, 9) == 30
    kernels.mark_bundle(rows[-1:], occupied, 30, True)
    assert kernels.find_bundle(rows, occupied, room, 9) == 63
    kernels.mark_bundle(rows, occupied, 63, True)
    assert kernels.find_bundle(rows, occupied, room, 9) == -1
    kernels.mark_bundle(rows, occupied, 63, False)
    assert kernels.find_bundle(rows, occupied, room, 9) == 63
    assert kernels.find_bundle(rows, occupied, room, 10) == -1
    bytes_of = rng.integers(0, 256, 256, dtype=np.uint8)
    others = rng.integers(0, 256, len(rows), dtype=np.uint8)
    column = np.arange(n).astype(np.uint8)
    expected = column.copy()
    expected[rows] = bytes_of[others]
    kernels.write_bytes(rows, others, bytes_of, column)
    np.testing.assert_array_equal(column, expected)


def test_more_bundles_than_are_tried():
    # Columns that meet their next one: no two of them share a byte.
    n = 200
    X = np.zeros((2000, n))
    for f in range(n):
        X[10 * f : 10 * f + 12, f] = 1 + f
    X[-1] = 1
    table = EncodedTable.from_data(X, max_bins=255)
    layout = tiles.make_layout(table)
    assert len(set(layout.features["slot"])) == n
    for f, column in enumerate(table.columns):
        np.testing.assert_array_equal(codes_of(layout, f), column.codes)


@pytest.mark.parametrize("n_tiles", [1, 2, 3, 8, 9, 13])
def test_pack(n_tiles):
    rng = np.random.default_rng(0)
    columns = list(rng.integers(0, 256, (8 * n_tiles, 3000), dtype=np.uint8))
    columns[-1] = None
    words = tiles.pack(columns, 3000, 2)
    start = 0
    for first in range(0, n_tiles, 8):
        members = columns[8 * first : 8 * first + 64]
        width = min(w for w in (1, 2, 4, 8) if 8 * w >= len(members))
        panel = words[start : start + 3000 * width].view(np.uint8).reshape(3000, -1)
        for j, column in enumerate(members):
            np.testing.assert_array_equal(panel[:, j], 0 if column is None else column)
        start += 3000 * width
    assert start == len(words)
