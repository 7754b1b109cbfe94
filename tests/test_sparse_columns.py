"""Sparse matrices as boosting encodes them: the codes are those of dense columns."""

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from fasttree import GradientBoostingClassifier, GradientBoostingRegressor
from fasttree.data import workspace
from fasttree.data.sparse_columns import SparseColumn
from fasttree.data.table import EncodedTable

OPTIONS = {"categorical_features": None, "n_jobs": 1, "most_stored": 0.25}


def sparse_data(rng, n_rows=400, n_columns=6, dtype=np.float32):
    """Return CSC columns of few and of many values, with stored zeros and NaN."""
    shape = n_rows, n_columns
    values = rng.choice([-2, -1, 0, 1, 3, 7], shape).astype(dtype)
    if np.dtype(dtype).kind == "f":
        values[:, 1] = rng.normal(size=n_rows)
        values[:, 2] = np.abs(rng.normal(size=n_rows))
        values[:, 3] = np.where(rng.random(n_rows) < 0.3, np.nan, values[:, 3])
        values[0, 3] = -0.0
    is_stored = rng.random(shape) < rng.choice([0.02, 0.1, 0.2, 0.6], n_columns)
    rows, columns = np.nonzero(is_stored)
    coo = scipy.sparse.coo_array((values[rows, columns], (rows, columns)), shape)
    return coo.tocsc()


def assert_same_columns(X, max_bins):
    held = EncodedTable.for_boosting(X, max_bins=max_bins, **OPTIONS)
    table = EncodedTable.from_data(X, max_bins=max_bins)
    assert held.shape == table.shape
    share = np.diff(X.indptr) / X.shape[0]
    for column, expected, stored in zip(
        held.columns, table.columns, share, strict=True
    ):
        assert isinstance(column, SparseColumn) == (stored <= 0.25)
        codes = column.spread() if stored <= 0.25 else column.codes
        np.testing.assert_array_equal(codes, expected.codes)
        for name in ("n_codes", "n_missing", "single", "is_exact"):
            assert getattr(column, name) == getattr(expected, name)
        for name in ("lower", "upper"):
            a, b = getattr(column, name), getattr(expected, name)
            assert a.tobytes() == b.tobytes()
        if stored <= 0.25:
            assert (column.others != column.default).all()
            assert (np.diff(column.rows.astype(int)) > 0).all()


@settings(max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([2, 3, 10, 255]),
    st.sampled_from([np.float32, np.float64, np.int8, np.int64]),
)
def test_codes_are_those_of_dense_columns(seed, max_bins, dtype):
    rng = np.random.default_rng(seed)
    assert_same_columns(
        sparse_data(rng, int(rng.integers(1, 400)), dtype=dtype), max_bins
    )


@pytest.mark.parametrize("max_bins", [5, 255])
def test_more_values_than_bins(max_bins):
    rng = np.random.default_rng(0)
    X = sparse_data(rng, 6000, 12)
    assert_same_columns(X, max_bins)


@pytest.mark.parametrize("max_bins", [5, 255])
def test_bins_placed_by_a_sample(max_bins, monkeypatch):
    monkeypatch.setattr(workspace, "SAMPLE_ROWS", 2000)
    X = sparse_data(np.random.default_rng(1), 6000, 12)
    assert_same_columns(X, max_bins)


def test_infinity_is_refused():
    X = sparse_data(np.random.default_rng(0))
    for position in (0, 1):
        bad = X.copy()
        bad.data[bad.indptr[position]] = np.inf
        with pytest.raises(ValueError, match=f"infinity in column {position}"):
            EncodedTable.for_boosting(bad, max_bins=255, **OPTIONS)


def test_duplicates_are_added_up():
    rng = np.random.default_rng(0)
    rows, columns = rng.integers(0, 300, 900), rng.integers(0, 20, 900)
    data = rng.integers(1, 3, 900).astype(float)
    X = scipy.sparse.coo_array((data, (rows, columns)), (300, 20))
    order = np.lexsort((rows, columns))
    start = np.searchsorted(columns[order], np.arange(21))
    doubled = scipy.sparse.csc_array((data[order], rows[order], start), (300, 20))
    assert not doubled.has_canonical_format
    y = rng.normal(size=300)
    options = {"max_iter": 3, "early_stopping": False, "min_samples_leaf": 5}
    expected = GradientBoostingRegressor(**options).fit(X.toarray(), y)
    for given_ in (X, X.tocsr(), doubled):
        model = GradientBoostingRegressor(**options).fit(given_, y)
        np.testing.assert_array_equal(
            model.predict(X.toarray()), expected.predict(X.toarray())
        )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_bins": 8, "n_jobs": 2},
        {"categorical_features": [0, 3]},
        {"subsample": 0.6, "early_stopping": True},
        {"warm_start": True},
    ],
    ids="-".join,
)
def test_the_model_is_that_of_dense_rows(options):
    rng = np.random.default_rng(2)
    X = sparse_data(rng, 3000, 30)
    dense = X.toarray()
    dense[:, [0, 3]] = np.nan_to_num(dense[:, [0, 3]]).round().clip(-3, 3)
    X = scipy.sparse.csc_array(dense)
    y = np.nan_to_num(dense) @ rng.normal(size=30) + rng.normal(size=3000) > 0
    options = {"max_iter": 5, "random_state": 0, "early_stopping": False} | options
    found = []
    for rows in (X.tocsr(), dense):
        model = GradientBoostingClassifier(**options).fit(rows, y)
        if model.warm_start:
            model.set_params(max_iter=8).fit(rows, y)
        found.append([model.decision_function(dense), model.train_score_])
    for sparse, plain in zip(*found, strict=True):
        np.testing.assert_array_equal(sparse, plain)


def test_few_columns_are_bytes_of_tiles():
    X = sparse_data(np.random.default_rng(0), 2000, 4)
    y = np.arange(2000.0)
    options = {"max_iter": 3, "early_stopping": False}
    predictions = [
        GradientBoostingRegressor(**options).fit(rows, y).predict(X.toarray())
        for rows in (X, X.toarray())
    ]
    np.testing.assert_array_equal(*predictions)


def test_the_rows_of_a_matrix_stay_as_they_are():
    X = sparse_data(np.random.default_rng(0), 2000, 30)
    before = X.data.copy(), X.indices.copy(), X.indptr.copy()
    GradientBoostingRegressor(max_iter=2).fit(X, np.arange(2000.0))
    for array, old in zip((X.data, X.indices, X.indptr), before, strict=True):
        np.testing.assert_array_equal(array, old)
        assert array.flags.writeable
