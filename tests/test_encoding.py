"""Columns: dtypes of codes, exact and binned encoding, labels, state."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import reference_encode as reference
from fasttree.data import encoding, fit_columns, workspace
from fasttree.data.encoding import Column, encode_categories, encode_numeric
from fasttree.data.workspace import Workspace


def encode(values, max_bins=None, sample_weight=None):
    values = np.ascontiguousarray(values)
    return encode_numeric(
        values,
        single=values.dtype == np.float32,
        max_bins=max_bins,
        sample_weight=sample_weight,
        space=Workspace(len(values)),
    )


def assert_same(first, second):
    for name in Column.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def check_state(column):
    assert encoding._find_problem(column) is None
    for array in column._arrays():
        assert not array.flags.writeable


columns = st.sampled_from([np.float32, np.float64]).flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        st.integers(1, 60),
        elements=st.sampled_from([0.0, -0.0, 1.5, -2.0, 3.0, 1e-20, 1e20, np.nan])
        | st.floats(-10, 10, width=16),
    )
)


@given(columns)
def test_exact_codes_are_ranks(values):
    column = encode(values)
    codes, distinct = reference.encode_exact(values)
    np.testing.assert_array_equal(column.codes, codes)
    np.testing.assert_array_equal(column.lower, distinct)
    assert column.upper is column.lower
    assert column.is_exact
    assert not column.is_categorical
    assert column.n_missing == np.isnan(values).sum()
    check_state(column)


@pytest.mark.parametrize(
    ("n_codes", "dtype"),
    [
        (1, np.uint8),
        (255, np.uint8),
        (256, np.uint16),
        (65535, np.uint16),
        (65536, np.uint32),
    ],
)
@pytest.mark.parametrize("max_bins", [None, 65535])
def test_codes_are_as_narrow_as_can_be(n_codes, dtype, max_bins):
    values = np.random.default_rng(0).permutation(n_codes).astype(np.float64)
    column = encode(np.append(values, np.nan), max_bins)
    if max_bins is not None and n_codes > max_bins:
        dtype = np.uint16
    else:
        assert column.n_codes == n_codes
        np.testing.assert_array_equal(column.codes[:-1], values)
    assert column.codes.dtype == dtype
    assert column.codes[-1] == column.n_codes
    assert (column.order is None) == (column.n_codes + 1 <= 256)
    check_state(column)


@given(columns, st.integers(2, 8), st.data())
def test_bins_equal_the_reference(values, max_bins, data):
    weights = data.draw(
        st.none()
        | hnp.arrays(np.float64, len(values), elements=st.integers(0, 3).map(float))
    )
    column = encode(values, max_bins, weights)
    lower, upper = reference.cut(values, weights, max_bins)
    if not len(lower):
        lower, upper = reference.cut(values, None, max_bins)
    np.testing.assert_array_equal(column.lower, lower)
    np.testing.assert_array_equal(column.upper, upper)
    if len(upper):
        np.testing.assert_array_equal(column.codes, reference.search(values, upper))
    else:
        assert not column.codes.any()
    assert column.n_codes <= max_bins
    assert column.n_missing == np.isnan(values).sum()
    assert column.is_exact == (column.lower is column.upper)
    check_state(column)


@given(columns, st.integers(2, 8), st.data())
def test_integer_weights_are_copies(values, max_bins, data):
    weights = data.draw(
        hnp.arrays(np.int64, len(values), elements=st.integers(0, 4)).filter(any)
    )
    weighted = encode(values, max_bins, weights.astype(np.float64))
    copied_values = np.repeat(values, weights)
    if np.isnan(copied_values).all():
        return
    copied = encode(copied_values, max_bins)
    np.testing.assert_array_equal(weighted.lower, copied.lower)
    np.testing.assert_array_equal(weighted.upper, copied.upper)
    np.testing.assert_array_equal(np.repeat(weighted.codes, weights), copied.codes)


@pytest.mark.parametrize("scale", [1, 20])
def test_bins_hold_about_equal_weight(scale):
    rng = np.random.default_rng(1)
    values = np.exp(scale * rng.standard_normal(100_000))
    # Half of the rows are one value; the rest must still get nearly all bins.
    values[::2] = 1.0
    column = encode(values, 64)
    counts = np.bincount(column.codes)
    assert len(counts) >= 62
    assert np.sort(counts)[-2] <= 1.1 * 50_000 / 62


def test_rows_without_weight_are_encoded_between_the_others():
    values = np.array([0.0, 1.0, 2.0, 5.0, -9.0, 99.0, 1.5, np.nan])
    weights = np.array([1.0, 1, 1, 1, 0, 0, 0, 0])
    column = encode(values, 8, weights)
    np.testing.assert_array_equal(column.lower, [0, 1, 2, 5])
    np.testing.assert_array_equal(column.codes, [0, 1, 2, 3, 0, 3, 2, 4])


@pytest.mark.parametrize("weights", [None, np.array([1.0, 0.0, 1.0])])
@pytest.mark.parametrize("max_bins", [None, 2])
@pytest.mark.parametrize("infinity", [np.inf, -np.inf])
def test_infinity_is_an_error(infinity, max_bins, weights):
    with pytest.raises(OverflowError):
        encode(np.array([1.0, infinity, np.nan]), max_bins, weights)


@pytest.mark.parametrize("max_bins", [None, 2])
def test_all_missing(max_bins):
    column = encode(np.full(3, np.nan), max_bins)
    assert column.n_codes == 0
    assert column.n_missing == 3
    assert column.codes.dtype == np.uint8
    np.testing.assert_array_equal(column.codes, [0, 0, 0])
    check_state(column)


def test_categories_are_sorted_and_used():
    column = encode_categories(
        np.array([2, -1, 0, 2, 3]), ["b", "unused", "c", "a", "unused too"]
    )
    assert column.categories.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(column.codes, [2, 3, 1, 2, 0])
    assert column.n_missing == 1
    assert column.is_categorical
    assert column.lower is column.upper is column.order is None
    check_state(column)


@pytest.mark.parametrize(
    ("labels", "expected", "dtype"),
    [
        ([3, 1, 2], [1, 2, 3], np.int64),
        ([2.5, 1.5], [1.5, 2.5], np.float64),
        (["x", 1, "a", 2.5], [2.5, 1, "a", "x"], object),
        ([(1, 2), (0, 5)], [(0, 5), (1, 2)], object),
        ([2**70, 1], [1, 2**70], object),
        ([], [], object),
    ],
)
def test_labels_of_any_type(labels, expected, dtype):
    positions = np.arange(-1, len(labels))
    column = encode_categories(positions, labels)
    assert column.categories.tolist() == expected
    assert column.categories.dtype == dtype
    assert column.codes[0] == len(labels)


@pytest.fixture
def small_sample(monkeypatch):
    monkeypatch.setattr(workspace, "SAMPLE_ROWS", 500)


@pytest.mark.usefixtures("small_sample")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("is_weighted", [False, True])
def test_a_sample_places_the_bins_of_many_rows(dtype, is_weighted):
    rng = np.random.default_rng(5)
    values = rng.standard_normal(20_000).astype(dtype)
    values[::11] = np.nan
    weight = rng.integers(0, 3, len(values)).astype(float) if is_weighted else None
    column = encode(values, 32, weight)
    present = ~np.isnan(values)
    codes = column.codes[present]
    assert (column.n_codes, column.is_exact) == (32, False)
    assert (column.lower[codes] <= values[present]).all()
    assert (values[present] <= column.upper[codes]).all()
    assert column.lower[0] == np.nanmin(values)
    assert column.upper[-1] == np.nanmax(values)
    np.testing.assert_array_equal(
        column.lower[1:].astype(dtype),
        np.nextafter(column.upper[:-1].astype(dtype), dtype(np.inf)),
    )
    # 500 rows leave each of 32 bins some 16: a share within a factor of three.
    shares = np.bincount(codes, None if weight is None else weight[present])
    assert shares.max() < 3 * shares.mean()
    assert shares.min() > shares.mean() / 3
    check_state(column)


@pytest.mark.usefixtures("small_sample")
def test_few_values_of_many_rows_stay_exact():
    values = np.zeros(20_000)
    values[12_345] = 1.0  # no sample of 500 rows is likely to have it
    column = encode(values, 255)
    assert column.is_exact
    assert column.lower.tolist() == [0.0, 1.0]


@pytest.mark.usefixtures("small_sample")
@pytest.mark.parametrize("infinity", [np.inf, -np.inf])
def test_infinity_outside_the_sample_is_found(infinity):
    values = np.random.default_rng(6).standard_normal(20_000)
    values[12_345] = infinity
    with pytest.raises(OverflowError):
        encode(values, 32)


@pytest.mark.parametrize("n_rows", [200_001, 1_000_003])
def test_sample_has_a_row_of_each_stretch(n_rows):
    rows = workspace.draw_sample(n_rows)
    stretch = np.arange(workspace.SAMPLE_ROWS + 1) * n_rows // workspace.SAMPLE_ROWS
    assert (stretch[:-1] <= rows).all()
    assert (rows < stretch[1:]).all()
    # Places within the stretches are spread evenly.
    place = (rows - stretch[:-1]) / np.diff(stretch)
    assert (
        abs(np.mean(place) - np.mean((np.diff(stretch) - 1) / 2 / np.diff(stretch)))
        < 0.01
    )


@pytest.mark.parametrize("max_bins", [None, 300])
def test_take_equals_reference(max_bins):
    rng = np.random.default_rng(2)
    values = rng.standard_normal(2000)
    values[::7] = np.nan
    column = encode(values, max_bins)
    rows = rng.integers(0, 2000, 1500)
    taken = column.take(rows, Workspace(len(rows)))
    np.testing.assert_array_equal(taken.codes, column.codes[rows])
    np.testing.assert_array_equal(
        taken.order, reference.order_codes(taken.codes, column.n_codes)
    )
    assert taken.n_missing == np.isnan(values[rows]).sum()
    assert taken.lower is column.lower
    check_state(taken)


@given(columns, st.booleans())
def test_presorted_columns_cut_where_others_do(values, in_tile):
    space = Workspace(len(values))
    single = values.dtype == np.float32
    column = encode(values)
    own = fit_columns.presort(
        values, values, single=single, in_tile=in_tile, space=space
    )
    assert own.n_missing == column.n_missing
    order = column.take_order(space)
    if in_tile:
        assert_same(own, column)
    np.testing.assert_array_equal(own.take_order(space), order)
    rows = order & encoding.ROW_MASK
    at = np.flatnonzero(order[1:] >> 31)
    np.testing.assert_array_equal(
        own.thresholds_between(rows[at], rows[at + 1]),
        column.thresholds_between(rows[at], rows[at + 1]),
    )
    some = np.arange(0, len(values), 2)
    taken = own.take(some, Workspace(len(some)))
    np.testing.assert_array_equal(
        taken.take_order(space), column.take(some, space).take_order(space)
    )


@pytest.mark.parametrize("n", [10, 1000])
def test_state_survives_pickle_and_copy(n):
    column = encode(np.random.default_rng(3).standard_normal(n))
    for twin in (pickle.loads(pickle.dumps(column)), copy.deepcopy(column)):
        assert_same(twin, column)
        assert twin.upper is twin.lower
        check_state(twin)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("codes", np.full(600, 601, np.uint16)),
        ("codes", np.zeros(600, np.uint32)),
        ("codes", np.zeros((600, 1), np.uint16)),
        ("codes", [0] * 600),
        ("codes", np.zeros(0, np.uint16)),
        ("n_codes", 5),
        ("n_codes", -1),
        ("n_codes", "600"),
        ("n_missing", 1),
        ("lower", np.zeros(599)),
        ("lower", None),
        ("upper", np.zeros(600, np.float32)),
        ("categories", np.zeros(600)),
        ("order", None),
        ("order", np.zeros(600, np.uint32)),
        ("order", np.zeros(600, np.int64)),
    ],
)
def test_tampered_state_is_an_error(name, value):
    column = encode(np.random.default_rng(4).standard_normal(600))
    restore, state = column.__reduce__()
    position = list(Column.__dataclass_fields__).index(name)
    tampered = (*state[:position], value, *state[position + 1 :])
    with pytest.raises(ValueError, match="Column state is not valid"):
        restore(*tampered)


def test_repr_and_nbytes():
    column = encode(np.arange(4.0))
    assert "numeric, n_rows=4, n_codes=4" in repr(column)
    assert column.nbytes == 4 + 4 * 8


def test_workspace_hands_out_disjoint_aligned_arrays():
    space = Workspace(1000, 500)
    arrays = [
        space.new(size, dtype)
        for size in (1, 1000, 37, 100_000, 10**6)
        for dtype in (np.uint8, np.uint32, np.float64)
    ]
    for number, array in enumerate(arrays):
        array[:] = number
    for number, array in enumerate(arrays):
        assert (array == number).all()
        assert array.ctypes.data % array.dtype.itemsize == 0
    kept = space.keep(arrays[4])
    assert not np.shares_memory(kept, arrays[4])
    np.testing.assert_array_equal(kept, arrays[4])
