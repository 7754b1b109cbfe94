"""Sparse input is the dense input that it stands for; check_input is honoured."""

import tracemalloc

import numpy as np
import pytest
import sklearn.tree
from scipy import sparse
from sklearn.utils import metadata_routing

from fasttree import DecisionTreeClassifier, DecisionTreeRegressor, EncodedTable
from fasttree.data import schema as schema_module

BOTH = pytest.mark.parametrize(
    "estimator", [DecisionTreeClassifier, DecisionTreeRegressor]
)


def make(n=400, n_features=7, dtype=np.float32, seed=0):
    """Return mostly zeros, negative numbers among the others, and a target."""
    rng = np.random.default_rng(seed)
    X = rng.integers(-4, 5, (n, n_features)) * (rng.random((n, n_features)) < 0.3)
    X = X.astype(dtype) if np.dtype(dtype).kind != "b" else X > 0
    y = (X[:, 0] > 0).astype(int) + (X[:, 1] < 0) + (rng.random(n) < 0.1)
    return X, y


def same(first, second):
    for name in ("feature", "threshold", "children_left", "impurity", "value"):
        np.testing.assert_array_equal(
            getattr(first.tree_, name), getattr(second.tree_, name)
        )


@pytest.mark.parametrize("kind", ["matrix", "array"])
@pytest.mark.parametrize("layout", ["csr", "csc", "coo", "lil", "bsr", "dok"])
@BOTH
def test_every_format(estimator, layout, kind, monkeypatch):
    monkeypatch.setattr(schema_module, "DENSE_AT_ONCE", 300)
    X, y = make()
    given = getattr(sparse, f"{layout}_{kind}")(X)
    dense = estimator().fit(X, y)
    model = estimator().fit(given, y)
    same(model, dense)
    for method in ("predict", "apply", "predict_proba"):
        if hasattr(model, method):
            ours, expected = getattr(model, method), getattr(dense, method)
            np.testing.assert_array_equal(ours(given), expected(X))
            np.testing.assert_array_equal(ours(X), expected(X))
    path = model.decision_path(given)
    np.testing.assert_array_equal(path.toarray(), dense.decision_path(X).toarray())
    same(estimator().fit(EncodedTable.from_data(given), y), dense)
    first, second = (
        estimator().cost_complexity_pruning_path(data, y) for data in (X, given)
    )
    np.testing.assert_array_equal(first.ccp_alphas, second.ccp_alphas)


@pytest.mark.parametrize(
    "dtype", [np.float64, np.float32, np.int64, np.int32, np.uint8, np.int8, bool]
)
@pytest.mark.parametrize("max_bins", [None, 3])
def test_every_dtype(dtype, max_bins):
    X, y = make(dtype=dtype)
    dense = DecisionTreeClassifier(max_bins=max_bins).fit(X, y)
    model = DecisionTreeClassifier(max_bins=max_bins).fit(sparse.csc_array(X), y)
    same(model, dense)
    assert model.schema_.single == dense.schema_.single
    np.testing.assert_array_equal(model.predict(sparse.csr_array(X)), dense.predict(X))


def test_means_what_scikit_learn_means():
    rng = np.random.default_rng(0)
    # One column: no ties between features.
    X = (rng.normal(size=(300, 1)) * (rng.random((300, 1)) < 0.4)).astype(np.float32)
    y = rng.integers(0, 3, 300) + (X[:, 0] == 0)
    for matrix in (sparse.csc_matrix(X), sparse.csr_array(X)):
        ours = DecisionTreeClassifier(max_depth=3).fit(matrix, y)
        theirs = sklearn.tree.DecisionTreeClassifier(max_depth=3).fit(matrix, y)
        np.testing.assert_array_equal(ours.tree_.feature, theirs.tree_.feature)
        np.testing.assert_allclose(ours.tree_.threshold, theirs.tree_.threshold)
        np.testing.assert_array_equal(ours.apply(matrix), theirs.apply(matrix))
        np.testing.assert_array_equal(ours.predict(matrix), theirs.predict(matrix))


def test_explicit_zeros_duplicates_and_unsorted_indices():
    X, y = make()
    given = sparse.csr_array(X)
    filled = sparse.csr_array(
        (
            np.concatenate([given.data - 1, np.ones(given.nnz), np.zeros(400)]),
            (
                np.concatenate([*[given.tocoo().row] * 2, np.arange(400)]),
                np.concatenate([*[given.tocoo().col] * 2, np.arange(400) % 7]),
            ),
        ),
        shape=X.shape,
    )
    rng = np.random.default_rng(0)
    stored = sparse.coo_array(given)
    shuffled = rng.permutation(given.nnz)
    stored = sparse.coo_array(
        (
            np.concatenate([stored.data[shuffled] - 1, np.ones(given.nnz)]),
            (
                np.concatenate([stored.row[shuffled], stored.row]),
                np.concatenate([stored.col[shuffled], stored.col]),
            ),
        ),
        shape=X.shape,
    )
    assert filled.nnz > given.nnz
    dense = DecisionTreeClassifier().fit(X.astype(np.float64), y)
    for matrix in (filled, stored):
        before = matrix.copy()
        model = DecisionTreeClassifier().fit(matrix, y)
        same(model, dense)
        np.testing.assert_array_equal(model.predict(matrix), dense.predict(X))
        np.testing.assert_array_equal(matrix.data, before.data)


def test_stored_nan_is_missing():
    X, y = make()
    X[np.random.default_rng(1).random(X.shape) < 0.1] = np.nan
    given = sparse.csr_matrix(X)
    dense = DecisionTreeClassifier().fit(X, y)
    model = DecisionTreeClassifier().fit(given, y)
    same(model, dense)
    np.testing.assert_array_equal(model.predict(given), dense.predict(X))


def test_64_bit_indices():
    X, y = make()
    given = sparse.csr_array(X)
    given.indices, given.indptr = (
        given.indices.astype(np.int64), given.indptr.astype(np.int64)
    )  # fmt: skip
    indices = given.indices
    model = DecisionTreeClassifier().fit(given, y)
    assert given.indices is indices
    same(model, DecisionTreeClassifier().fit(X, y))
    np.testing.assert_array_equal(model.predict(given), model.predict(X))


def test_categorical_columns():
    X, y = make()
    dense = DecisionTreeClassifier(categorical_features=[0, 2]).fit(X, y)
    given = sparse.csc_array(X)
    model = DecisionTreeClassifier(categorical_features=[0, 2]).fit(given, y)
    assert model.tree_.is_categorical.any()
    same(model, dense)
    for check_input in (True, False):
        np.testing.assert_array_equal(model.predict(given, check_input),
                                      dense.predict(X, check_input))  # fmt: skip


def test_is_not_made_dense():
    given = sparse.random_array((40_000, 400), density=0.01, rng=0, format="csr")
    given.data = np.ceil(given.data * 50)
    tracemalloc.start()
    EncodedTable.from_data(given, n_jobs=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.4 * given.shape[0] * given.shape[1] * given.dtype.itemsize


def broken(attribute, value):
    X = sparse.csr_array(make()[0])
    getattr(X, attribute)[3] = value
    return X


@pytest.mark.parametrize("check_input", [True, False])
@pytest.mark.parametrize(
    ("attribute", "value"),
    [("indices", 10**6), ("indices", -5), ("indptr", 10**6), ("indptr", -3)],
)
def test_indices_outside_the_matrix(attribute, value, check_input):
    X, y = make()
    model = DecisionTreeClassifier().fit(X, y)
    for matrix in (broken(attribute, value), broken(attribute, value).T):
        with pytest.raises(ValueError, match="not a valid sparse matrix"):
            model.fit(matrix, y, check_input=check_input)
        with pytest.raises(ValueError, match="not a valid sparse matrix"):
            model.predict(matrix, check_input)
        with pytest.raises(ValueError, match="not a valid sparse matrix"):
            EncodedTable.from_data(matrix)


def test_coordinates_outside_the_matrix():
    X, y = make()
    for name in ("row", "col"):
        matrix = sparse.coo_matrix(X)
        getattr(matrix, name)[0] = 10**6
        with pytest.raises(ValueError, match="not a valid sparse matrix"):
            DecisionTreeClassifier().fit(matrix, y)


@BOTH
def test_bad_sparse(estimator):
    X, y = make()
    given = sparse.csr_array(X)
    model = estimator().fit(given, y)
    infinite = given.copy()
    infinite.data[5] = np.inf
    for call in (
        lambda: estimator().fit(infinite, y),
        lambda: estimator().fit(infinite, y, check_input=False),
        lambda: model.predict(infinite),
    ):
        with pytest.raises(ValueError, match="infinity"):
            call()
    with pytest.raises(ValueError, match=r"(?i)complex"):
        estimator().fit(given * 1j, y)
    for check_input in (True, False):
        with pytest.raises(ValueError, match="expecting 7 features"):
            model.predict(given[:, :3], check_input)
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            estimator().fit(given[:5], y, check_input=check_input)
        with pytest.raises(ValueError, match="two dimensions"):
            estimator().fit(sparse.coo_array(X[:, 0]), y, check_input=check_input)


# check_input


@BOTH
def test_unchecked_input_gives_the_same(estimator):
    X, y = make()
    checked = estimator().fit(X, y)
    for data in (X, X.astype(np.float64), sparse.csc_array(X), np.asfortranarray(X)):
        model = estimator().fit(data, y, check_input=False)
        same(model, checked)
        assert model.n_features_in_ == 7
        for name in ("predict", "apply", "predict_proba"):
            if hasattr(model, name):
                np.testing.assert_array_equal(
                    getattr(model, name)(data, check_input=False),
                    getattr(checked, name)(X),
                )
        path = model.decision_path(data, check_input=False)
        assert (path != checked.decision_path(X)).nnz == 0
    table = EncodedTable.from_data(X)
    same(estimator().fit(table, y, check_input=False), checked)


@BOTH
def test_checks_are_left_out(estimator, monkeypatch):
    from fasttree.estimators import _base

    X, y = make()
    calls = []
    validate_data = _base.validate_data

    def note(*args, **kwargs):
        calls.append(args)
        return validate_data(*args, **kwargs)

    monkeypatch.setattr(_base, "validate_data", note)
    model = estimator().fit(X, y, check_input=False)
    model.predict(X, check_input=False)
    assert not calls
    model.predict(X)
    assert len(calls) == 1
    # Infinity is not looked for: it is larger than any threshold.
    high = X.copy()
    high[:, 0] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        model.predict(high)
    high_leaves = model.apply(high, check_input=False)
    high[:, 0] = 1e30
    np.testing.assert_array_equal(high_leaves, model.apply(high))


@BOTH
def test_what_is_checked_always(estimator):
    X, y = make()
    model = estimator().fit(X, y)
    for wrong in (X.tolist(), None, "X"):
        with pytest.raises(TypeError, match=r"check_input=False"):
            estimator().fit(wrong, y, check_input=False)
        with pytest.raises(TypeError, match=r"check_input=False"):
            model.predict(wrong, check_input=False)
    for call in (
        lambda: estimator().fit(X[:, 0], y, check_input=False),
        lambda: estimator().fit(X[:0], y[:0], check_input=False),
        lambda: estimator().fit(X[:9], y, check_input=False),
        lambda: estimator().fit(X, None, check_input=False),
        lambda: estimator().fit(X, np.where(y == 0, np.nan, y), check_input=False),
        lambda: estimator().fit(X * 1j, y, check_input=False),
        lambda: estimator().fit(np.where(X > 0, np.inf, X), y, check_input=False),
        lambda: model.predict(X[:, :3], check_input=False),
        lambda: model.predict(X[0], check_input=False),
        lambda: model.predict(X * 1j, check_input=False),
        lambda: model.predict(X.astype(object), check_input=False),
        lambda: model.predict(X.astype(str), check_input=False),
    ):
        with pytest.raises(ValueError, match=r"\w"):
            call()


@BOTH
def test_check_input_is_not_routed(estimator):
    for method in ("fit", "predict"):
        assert (
            getattr(estimator().get_metadata_routing(), method).requests
            == getattr(
                metadata_routing.get_routing_for_object(
                    getattr(sklearn.tree, estimator.__name__)()
                ),
                method,
            ).requests
        )
