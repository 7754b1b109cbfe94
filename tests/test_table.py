"""Tables: reading arrays and frames, their checks, views, schema and state."""

import copy
import datetime as dt
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import reference_encode as reference
from fasttree.data.schema import InputSchema
from fasttree.data.table import EncodedTable

from_data = EncodedTable.from_data
FRAMES = [pd.DataFrame, pl.DataFrame]


def assert_same(first, second):
    assert first.n_features == second.n_features
    for a, b in zip(first.columns, second.columns, strict=True):
        for name in a.__dataclass_fields__:
            left, right = getattr(a, name), getattr(b, name)
            np.testing.assert_array_equal(left, right)
            if isinstance(left, np.ndarray):
                assert left.dtype == right.dtype


def check_codes(table, X):
    """Codes equal NumPy's on the values as float64."""
    values = np.asarray(X).astype(np.float64)
    for column, raw in zip(table.columns, values.T, strict=True):
        codes, distinct = reference.encode_exact(raw)
        np.testing.assert_array_equal(column.codes, codes)
        np.testing.assert_array_equal(column.lower, distinct)


numeric_dtypes = st.sampled_from(
    ["?", "i1", "u1", "<i2", ">i2", "<u2", "<i4", ">u4", "<i8", ">u8"]
)
float_dtypes = st.sampled_from(["<f2", "<f4", ">f4", "<f8", ">f8", "g"])
shapes = st.tuples(st.integers(1, 20), st.integers(1, 5))


@st.composite
def matrices(draw):
    if draw(st.booleans()):
        dtype = np.dtype(draw(numeric_dtypes))
        elements = st.integers(0 if dtype.kind in "u?" else -3, 1).map(abs)
        if dtype.kind == "i":
            elements = st.integers(-100, 100)
        elif dtype.kind == "u":
            elements = st.integers(0, 200)
        else:
            elements = st.booleans()
        X = draw(hnp.arrays(np.int64, draw(shapes), elements=elements))
        return X.astype(dtype)
    values = st.floats(width=16, allow_infinity=False)
    X = draw(hnp.arrays(np.float16, draw(shapes), elements=values))
    return X.astype(draw(float_dtypes))


def layouts(X):
    wide = np.zeros((2 * X.shape[0], 3 * X.shape[1]), X.dtype)
    wide[::2, ::3] = X
    yield X
    yield np.asfortranarray(X)
    yield wide[::2, ::3]
    yield X[::-1].copy()[::-1]


@given(matrices())
def test_any_dtype_and_layout(X):
    table = from_data(X)
    check_codes(table, X)
    kind, size = X.dtype.kind, X.dtype.itemsize
    single = kind == "b" or size <= (4 if kind == "f" else 2)
    assert {column.single for column in table.columns} == {single}
    for other in layouts(X):
        assert_same(from_data(other), table)


def test_float64_is_not_ordered_as_float32():
    X = 1 + np.arange(5)[:, None] * 2.0**-50
    table = from_data(X)
    assert table.columns[0].n_codes == 5
    np.testing.assert_array_equal(table.columns[0].lower, X[:, 0])


@pytest.mark.parametrize("max_bins", [None, 31, 300])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_n_jobs_and_layout_do_not_matter(max_bins, dtype):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((5000, 70)).astype(dtype)
    X[rng.random(X.shape) < 0.1] = np.nan
    weights = rng.random(5000)
    one = from_data(X, max_bins=max_bins, sample_weight=weights, n_jobs=1)
    for n_jobs in (2, 4, None):
        for other in layouts(X):
            table = from_data(
                other, max_bins=max_bins, sample_weight=weights, n_jobs=n_jobs
            )
            assert_same(table, one)


def test_lists_and_objects_of_numbers():
    assert_same(from_data([[1, 2], [3, 1]]), from_data(np.array([[1, 2], [3, 1]])))
    X = np.array([[1.5, 2], [None, 1]], dtype=object)
    table = from_data(X)
    assert table.columns[0].n_missing == 1
    assert table.feature_names is None


def test_attributes():
    table = from_data(pd.DataFrame({"a": [1.0, 2.0], "b": ["x", None]}))
    assert (table.n_rows, len(table), table.n_features) == (2, 2, 2)
    assert table.feature_names.tolist() == ["a", "b"]
    assert table.feature_names.dtype == object
    assert "n_rows=2, n_features=2, n_categorical=1" in repr(table)
    assert table.nbytes == sum(column.nbytes for column in table.columns)
    with pytest.raises(AttributeError, match="immutable"):
        table.columns = ()
    with pytest.raises(AttributeError, match="immutable"):
        del table.schema
    with pytest.raises(ValueError, match="read-only"):
        table.columns[0].codes[0] = 1


# Categories.


def example_columns():
    return {
        "number": [1.5, None, 2.5, 0.5],
        "whole": [3, 1, 2, 1],
        "text": ["b", None, "a", "b"],
        "flag": [True, False, True, True],
    }


@pytest.mark.parametrize("frame", FRAMES)
def test_frames_by_dtype(frame):
    table = from_data(frame(example_columns()))
    number, whole, text, flag = table.columns
    np.testing.assert_array_equal(number.codes, [1, 3, 2, 0])
    np.testing.assert_array_equal(whole.codes, [2, 0, 1, 0])
    np.testing.assert_array_equal(text.codes, [1, 2, 0, 1])
    np.testing.assert_array_equal(flag.codes, [1, 0, 1, 1])
    assert text.categories.tolist() == ["a", "b"]
    assert [column.single for column in table.columns] == [False, False, True, True]
    assert [column.n_missing for column in table.columns] == [1, 0, 1, 0]


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(["b", None, "a"], dtype=object),
        pd.Series(["b", None, "a"], dtype="string"),
        pd.Series(["b", None, "a"], dtype="category"),
        pd.Series(pd.Categorical(["b", None, "a"], categories=["c", "b", "a"])),
        pl.Series(["b", None, "a"]),
        pl.Series(["b", None, "a"], dtype=pl.Categorical),
        pl.Series(["b", None, "a"], dtype=pl.Enum(["c", "b", "a"])),
        pl.Series(["b", None, "a"], dtype=pl.Object),
    ],
    ids=lambda column: f"{type(column).__module__[:6]}-{column.dtype}",
)
def test_every_dtype_of_labels(column):
    frame = (pl if isinstance(column, pl.Series) else pd).DataFrame({"x": column})
    table = from_data(frame)
    np.testing.assert_array_equal(table.columns[0].codes, [1, 2, 0])
    assert table.columns[0].categories.tolist() == ["a", "b"]
    np.testing.assert_array_equal(table.schema.to_matrix(frame)[:, 0], [1, np.nan, 0])


NULLABLE = [
    ("Int8", pl.Int8, True),
    ("UInt16", pl.UInt16, True),
    ("Int32", pl.Int32, False),
    ("Int64", pl.Int64, False),
    ("Float32", pl.Float32, True),
    ("Float64", pl.Float64, False),
    ("boolean", pl.Boolean, True),
]


@pytest.mark.parametrize(("pandas_dtype", "polars_dtype", "single"), NULLABLE)
@pytest.mark.parametrize("values", [[1, None, 0, 1], [1, 0, 0, 1]])
def test_nullable_columns(pandas_dtype, polars_dtype, single, values):
    if polars_dtype == pl.Boolean:
        values = [None if value is None else bool(value) for value in values]
    frames = [
        pd.DataFrame({"x": pd.array(values, dtype=pandas_dtype)}),
        pl.DataFrame({"x": pl.Series(values, dtype=polars_dtype)}),
    ]
    expected = np.array([[1, 2 if None in values else 0, 0, 1]])
    for frame in frames:
        table = from_data(frame)
        np.testing.assert_array_equal([table.columns[0].codes], expected)
        assert table.columns[0].single == single
        matrix = table.schema.to_matrix(frame)
        assert matrix.dtype == (np.float32 if single else np.float64)
        np.testing.assert_array_equal(
            matrix[:, 0], np.array(values, dtype=object).astype(float)
        )


def test_numpy_float16_column_of_a_frame():
    table = from_data(pd.DataFrame({"x": np.array([1, 0.5, np.nan], np.float16)}))
    np.testing.assert_array_equal(table.columns[0].codes, [1, 0, 2])


def test_pyarrow_table_and_columns():
    pa = pytest.importorskip("pyarrow")
    data = pa.table({"x": [1.5, None, 0.5], "s": ["b", None, "a"]})
    table = from_data(data)
    np.testing.assert_array_equal(table.columns[0].codes, [1, 2, 0])
    np.testing.assert_array_equal(table.columns[1].codes, [1, 2, 0])
    frame = data.to_pandas(types_mapper=pd.ArrowDtype)
    assert_same(from_data(frame), table)


@pytest.mark.parametrize("frame", FRAMES)
def test_column_of_nothing_is_missing(frame):
    table = from_data(frame({"x": [None, None], "y": [1, 2]}), categorical_features=[])
    assert table.columns[0].n_missing == 2
    assert table.columns[0].n_codes == 0


@pytest.mark.parametrize(
    "features", [[1, 2], [False, True, True, False], ["whole", "text"]]
)
@pytest.mark.parametrize("frame", FRAMES)
def test_categorical_features_of_a_frame(frame, features):
    data = frame(example_columns())
    for given_features in (features, np.array(features)):
        table = from_data(data, categorical_features=given_features)
        kinds = [column.is_categorical for column in table.columns]
        assert kinds == [False, True, True, False]
        assert table.columns[1].categories.tolist() == [1, 2, 3]
        matrix = table.schema.to_matrix(data)
        np.testing.assert_array_equal(matrix[:, 1], [2, 0, 1, 0])


@pytest.mark.parametrize("dtype", ["i8", "f4", "f8", ">i2", "?"])
def test_categorical_features_of_an_array(dtype):
    X = np.array([[3, 1], [1, 0], [2, 1], [1, 1]]).astype(dtype)
    table = from_data(X, categorical_features=[0])
    expected, codes = np.unique(X[:, 0], return_inverse=True)
    np.testing.assert_array_equal(table.columns[0].categories, expected)
    np.testing.assert_array_equal(table.columns[0].codes, codes)
    assert not table.columns[1].is_categorical
    np.testing.assert_array_equal(table.schema.to_matrix(X)[:, 0], codes)


def test_categories_of_an_array_may_be_missing_or_text():
    X = np.array([[2.0], [np.nan], [1.0]])
    table = from_data(X, categorical_features=[True])
    np.testing.assert_array_equal(table.columns[0].codes, [1, 2, 0])
    mixed = np.array([["b", 1.5], [None, 0.5], ["a", None]], dtype=object)
    table = from_data(mixed, categorical_features=[0])
    np.testing.assert_array_equal(table.columns[0].codes, [1, 2, 0])
    np.testing.assert_array_equal(table.columns[1].codes, [1, 0, 2])
    matrix = table.schema.to_matrix(mixed)
    np.testing.assert_array_equal(matrix, [[1, 1.5], [np.nan, 0.5], [0, np.nan]])
    text = from_data(np.array([["b"], ["a"]]), categorical_features=[0])
    np.testing.assert_array_equal(text.columns[0].codes, [1, 0])


def test_categories_are_not_binned():
    X = np.arange(100)[:, None]
    table = from_data(X, categorical_features=[0], max_bins=4)
    assert table.columns[0].n_codes == 100


def test_polars_and_pandas_frames_agree():
    rng = np.random.default_rng(1)
    data = {
        "x": rng.standard_normal(500),
        "s": rng.choice(["u", "v", "é", "Z"], 500),
        "i": rng.integers(0, 1000, 500),
    }
    assert_same(from_data(pd.DataFrame(data)), from_data(pl.DataFrame(data)))


def test_frames_without_text_names_are_known_by_position():
    table = from_data(pd.DataFrame(np.eye(3)))
    assert table.feature_names is None
    assert table.schema.to_matrix(pd.DataFrame(np.eye(3))).shape == (3, 3)


# Errors.


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ([1, 2], ValueError, "Expected 2D array"),
        (np.zeros((0, 2)), ValueError, r"0 sample\(s\)"),
        (np.zeros((2, 0)), ValueError, r"0 feature\(s\)"),
        (np.zeros((2, 2), complex), ValueError, "Complex data not supported"),
        ([[1.0, np.inf]], ValueError, "Input X contains infinity in column 1"),
        (np.array([[2**53 + 1]]), ValueError, r"beyond 2\*\*53"),
        (np.array([[2**64 - 1]], np.uint64), ValueError, r"beyond 2\*\*53"),
        ([["a", "b"]], ValueError, "dtype='numeric'|could not convert"),
        (scipy.sparse.eye(3).tocsr() * 1j, ValueError, "[Cc]omplex"),
        (scipy.sparse.csr_array((0, 3)), ValueError, "0 sample"),
        (scipy.sparse.csc_matrix([[0.0, np.inf]]), ValueError, "infinity in column 1"),
        (pl.LazyFrame({"a": [1]}), TypeError, "lazy"),
        (pl.DataFrame({"a": []}), ValueError, r"0 sample\(s\)"),
        (pd.DataFrame(index=[0, 1]), ValueError, r"0 feature\(s\)"),
        (pd.DataFrame({"a": [1], 3: [1]}), TypeError, "all are strings"),
        (pd.DataFrame({"a": [np.inf]}), ValueError, "infinity in column 'a'"),
        (pd.DataFrame({"a": [2**60]}), ValueError, "column 'a' has integers"),
        (
            pl.DataFrame({"a": [2**60, None]}),
            ValueError,
            "column 'a' has integers",
        ),
        (
            pd.DataFrame({"t": [dt.datetime(2020, 1, 1)]}),
            ValueError,
            "column 't' of X has dtype Datetime",
        ),
        (
            pd.DataFrame({"t": pd.Series([{}, {}], dtype=object)}),
            TypeError,
            "column 't' of X has values that cannot be categories",
        ),
        (from_data([[1.0]]), TypeError, "EncodedTable already"),
        (None, ValueError, "Expected 2D array"),
    ],
    ids=str,
)
def test_data_that_is_refused(X, error, message):
    with pytest.raises(error, match=message):
        from_data(X)


def test_text_that_is_not_listed_is_an_error():
    frame = pd.DataFrame({"x": [1, 2], "s": ["a", "b"]})
    with pytest.raises(ValueError, match=r"column 's' of X has dtype .*list it"):
        from_data(frame, categorical_features=["x"])
    X = np.array([["a", "b"]], dtype=object)
    with pytest.raises(ValueError, match="column 1 of X is neither numeric"):
        from_data(X, categorical_features=[0])


@pytest.mark.parametrize("categorical", [None, [0]])
def test_objects_that_are_not_numbers(categorical):
    X = np.array([[1.0, {}]], dtype=object)
    with pytest.raises((TypeError, ValueError), match="number"):
        from_data(X, categorical_features=categorical)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"max_bins": 1}, ValueError, "max_bins"),
        ({"max_bins": 65536}, ValueError, "max_bins"),
        ({"max_bins": 10.0}, TypeError, "max_bins"),
        ({"max_bins": True}, TypeError, "max_bins"),
        ({"unknown_category": "ignore"}, ValueError, "unknown_category"),
        ({"n_jobs": 0}, ValueError, "n_jobs"),
        ({"sample_weight": [1.0]}, ValueError, r"shape \(3,\)"),
        ({"sample_weight": 1.0}, ValueError, r"shape \(3,\)"),
        ({"sample_weight": [[1.0], [1.0], [1.0]]}, ValueError, r"shape \(3,\)"),
        ({"sample_weight": [1, -1, 1]}, ValueError, "negative"),
        ({"sample_weight": [1, np.nan, 1]}, ValueError, "NaN or infinity"),
        ({"sample_weight": [0, 0, 0]}, ValueError, "zero for every row"),
        ({"categorical_features": "all"}, ValueError, "from_dtype"),
        ({"categorical_features": [2]}, ValueError, "from 0 to 1"),
        ({"categorical_features": [-1]}, ValueError, "from 0 to 1"),
        ({"categorical_features": [True]}, ValueError, "mask of 1 features"),
        ({"categorical_features": [0.5]}, ValueError, "categorical_features"),
        ({"categorical_features": [[0]]}, ValueError, "categorical_features"),
        ({"categorical_features": ["a"]}, ValueError, "no feature names"),
    ],
    ids=str,
)
def test_arguments_that_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        from_data(np.zeros((3, 2)), **arguments)


def test_names_that_a_frame_does_not_have():
    with pytest.raises(ValueError, match="'z'"):
        from_data(pd.DataFrame({"a": [1]}), categorical_features=["z"])


# Views.


@pytest.mark.parametrize("max_bins", [None, 400])
def test_take(max_bins):
    rng = np.random.default_rng(2)
    X = rng.standard_normal((2000, 30))
    X[::5, 3] = np.nan
    table = from_data(X, max_bins=max_bins)
    rows = rng.permutation(2000)[:1700]
    taken = table.take(rows)
    assert taken.n_rows == 1700
    assert taken.schema is table.schema
    for column, whole in zip(taken.columns, table.columns, strict=True):
        np.testing.assert_array_equal(column.codes, whole.codes[rows])
        np.testing.assert_array_equal(
            column.order, reference.order_codes(column.codes, column.n_codes)
        )
    mask = np.zeros(2000, bool)
    mask[rows] = True
    assert_same(table.take(mask), table.take(np.sort(rows)))
    assert_same(table.take([-1, 0]), table.take([1999, 0]))


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ([3], IndexError),
        ([-4], IndexError),
        ([], ValueError),
        ([0.5], ValueError),
        ([[0]], ValueError),
        ([True], ValueError),
        ([False] * 3, ValueError),
        (0, ValueError),
    ],
)
def test_rows_that_are_refused(rows, error):
    with pytest.raises(error, match="rows"):
        from_data([[1.0], [2.0], [3.0]]).take(rows)


# Schema.


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_plain_arrays_are_not_copied(dtype):
    X = np.random.default_rng(3).standard_normal((50, 4)).astype(dtype)
    X[0, 0] = np.nan
    schema = from_data(X).schema
    assert schema.to_matrix(X) is X
    fortran = schema.to_matrix(np.asfortranarray(X))
    assert fortran.flags.c_contiguous
    np.testing.assert_array_equal(fortran, X)


def test_dtype_of_the_matrix():
    single = from_data(np.zeros((2, 1), np.float32)).schema
    double = from_data(np.zeros((2, 1), np.float64)).schema
    narrow, wide = np.zeros((2, 1), np.float32), np.zeros((2, 1), np.float64)
    assert single.to_matrix(narrow).dtype == np.float32
    assert single.to_matrix(wide).dtype == np.float64
    assert double.to_matrix(narrow).dtype == np.float64
    assert double.to_matrix([[1], [2]]).dtype == np.float64
    frame = pd.DataFrame(wide)
    assert single.to_matrix(frame).dtype == np.float64
    assert single.to_matrix(frame.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("frame", FRAMES)
def test_frames_are_matched_by_name(frame):
    data = frame(example_columns())
    schema = from_data(data).schema
    matrix = schema.to_matrix(data)
    np.testing.assert_array_equal(
        matrix, [[1.5, 3, 1, 1], [np.nan, 1, np.nan, 0], [2.5, 2, 0, 1], [0.5, 1, 1, 1]]
    )
    shuffled = data[["flag", "text", "number", "whole"]]
    np.testing.assert_array_equal(schema.to_matrix(shuffled), matrix)
    with pytest.raises(ValueError, match="yet now missing: 'whole'"):
        schema.to_matrix(data[["flag", "text", "number"]])
    more = data.assign(z=1) if frame is pd.DataFrame else data.with_columns(z=1)
    with pytest.raises(ValueError, match="unseen at fit time: 'z'"):
        schema.to_matrix(more)


def test_pandas_model_predicts_polars_data():
    schema = from_data(pd.DataFrame(example_columns())).schema
    np.testing.assert_array_equal(
        schema.to_matrix(pl.DataFrame(example_columns())),
        schema.to_matrix(pd.DataFrame(example_columns())),
    )


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("dtype", ["text", "category"])
def test_unknown_categories(frame, dtype):
    def cast(values):
        data = frame({"s": values})
        if dtype == "text":
            return data
        if frame is pd.DataFrame:
            return data.astype("category")
        return data.cast(pl.Categorical)

    train, new = cast(["a", "b", None]), cast(["b", "new", None, "a"])
    matrix = from_data(train).schema.to_matrix(new)
    np.testing.assert_array_equal(matrix[:, 0], [1, np.nan, np.nan, 0])
    strict = from_data(train, unknown_category="error").schema
    with pytest.raises(ValueError, match="column 's' of X has the category 'new'"):
        strict.to_matrix(new)
    np.testing.assert_array_equal(strict.to_matrix(train)[:, 0], [0, 1, np.nan])


def test_category_that_is_declared_but_not_used_is_no_error():
    strict = from_data(
        pd.DataFrame({"s": ["a"]}).astype("category"), unknown_category="error"
    ).schema
    new = pd.DataFrame({"s": pd.Categorical(["a"], categories=["a", "new"])})
    np.testing.assert_array_equal(strict.to_matrix(new), [[0]])


def test_numbers_of_another_dtype_are_the_same_category():
    schema = from_data(pd.DataFrame({"c": [1, 2]}), categorical_features=["c"]).schema
    for frame in (pd.DataFrame({"c": [2.0, np.nan]}), pl.DataFrame({"c": [2.0, None]})):
        np.testing.assert_array_equal(schema.to_matrix(frame)[:, 0], [1, np.nan])
    np.testing.assert_array_equal(schema.to_matrix(np.array([[2.0]])), [[1]])


def test_schema_errors():
    schema = from_data(np.zeros((3, 2))).schema
    with pytest.raises(ValueError, match=r"X has 3 features, but .* is expecting 2"):
        schema.to_matrix(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="infinity"):
        schema.to_matrix([[0, np.inf]])
    with pytest.raises(ValueError, match="infinity in column 'a'"):
        from_data(pd.DataFrame({"a": [1.0]})).schema.to_matrix(
            pd.DataFrame({"a": [-np.inf]})
        )
    with pytest.raises(ValueError, match="column 'a' of X has dtype String"):
        from_data(pl.DataFrame({"a": [1.0]})).schema.to_matrix(
            pl.DataFrame({"a": ["x"]})
        )
    with pytest.raises(ValueError, match="infinity in column 0"):
        from_data([[1, 2]], categorical_features=[0]).schema.to_matrix([[np.inf, 1]])


@pytest.mark.parametrize("max_bins", [None, 8])
def test_table_as_input_of_prediction(max_bins):
    X = np.random.default_rng(4).standard_normal((100, 2)).astype(np.float32)
    X[::9] = np.nan
    table = from_data(X, max_bins=max_bins)
    matrix = table.schema.to_matrix(table.take(np.arange(50)))
    assert matrix.dtype == np.float32
    for column, values, raw in zip(table.columns, matrix.T, X[:50].T, strict=True):
        np.testing.assert_array_equal(
            reference.search(values, column.upper), column.codes[:50]
        )
        if max_bins is None:
            np.testing.assert_array_equal(values, raw)


def test_table_of_other_categories_is_refused():
    frame = pd.DataFrame({"s": ["a", "b"]})
    schema = from_data(frame).schema
    np.testing.assert_array_equal(schema.to_matrix(from_data(frame)), [[0], [1]])
    for other in (pd.DataFrame({"s": ["a", "c"]}), pd.DataFrame({"s": [1, 2]})):
        with pytest.raises(ValueError, match="other columns or categories"):
            schema.to_matrix(from_data(other))


# State.


def test_state_survives_pickle_and_copy():
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"x": rng.standard_normal(400), "s": ["a", "b"] * 200})
    table = from_data(frame, unknown_category="error")
    for twin in (pickle.loads(pickle.dumps(table)), copy.deepcopy(table)):
        assert_same(twin, table)
        assert twin.feature_names.tolist() == ["x", "s"]
        assert twin.schema.unknown_category == "error"
        np.testing.assert_array_equal(
            twin.schema.to_matrix(frame), table.schema.to_matrix(frame)
        )
    assert_same(copy.copy(table), table)


def test_tampered_state_is_an_error():
    table = from_data(np.zeros((3, 2)))
    restore, (columns, schema) = table.__reduce__()
    short = from_data(np.zeros((2, 1))).columns[0]
    for state in (
        ((), schema),
        (list(columns), schema),
        ((columns[0], None), schema),
        ((columns[0], short), schema),
        (columns[:1], schema),
        (columns, None),
        (columns, InputSchema(None, (np.zeros(1), None), (True, True), "missing")),
    ):
        with pytest.raises(ValueError, match="EncodedTable state is not valid"):
            restore(*state)


def test_too_many_rows_are_refused():
    few = np.lib.stride_tricks.as_strided(
        np.zeros(1, np.float32), shape=(2**29, 1), strides=(0, 0)
    )
    with pytest.raises(ValueError, match=r"536870912 rows; fewer than 2\*\*29"):
        EncodedTable.from_data(few)
