"""The encode kernels against their NumPy twins."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import reference_encode as reference
from fasttree._kernels import encode

SINGLE, DOUBLE = np.float32, np.float64


def floats(dtype):
    """Vectors with ties, NaN, signed zeros and every finite magnitude."""
    width = 8 * np.dtype(dtype).itemsize
    anything = st.floats(width=width, allow_infinity=False)
    few = st.sampled_from([0.0, -0.0, 1.0, -1.0, np.nan, 1e-30, -1e30, 0.5])
    sizes = st.integers(1, 80)
    return st.one_of(
        hnp.arrays(dtype, sizes, elements=anything),
        hnp.arrays(dtype, sizes, elements=few),
    )


vectors = st.sampled_from([SINGLE, DOUBLE]).flatmap(floats)


def big_vectors():
    """Longer than each limit of the radix sort, of several shapes."""
    rng = np.random.default_rng(0)
    for n in (33, 4095, 4096, 20_000):
        yield rng.standard_normal(n)
        yield np.round(rng.standard_normal(n), 1)
        yield rng.integers(-3, 3, n).astype(float)
        yield np.full(n, 7.0)
        # Equal upper halves of the keys, different lower ones.
        yield 1 + rng.integers(0, 1000, n) * 2.0**-50
        yield -1 - rng.integers(0, 10 * n, n) * 2.0**-52
        yield rng.integers(0, 50, n) + rng.integers(0, 9, n) * 2.0**-46
        values = np.exp(rng.normal(0, 200, n).clip(-80, 80))
        values[rng.random(n) < 0.2] = np.nan
        yield values


def workspace(n):
    return np.empty(n, np.uint64), np.empty(n, np.uint64)


def presort(values):
    order = np.empty(len(values), np.uint32)
    n_distinct, n_missing = encode.presort(values, *workspace(len(values)), order)
    return order, n_distinct, n_missing


def check_exact(values):
    codes, distinct = reference.encode_exact(values)
    order, n_distinct, n_missing = presort(values)
    assert n_distinct == len(distinct)
    assert n_missing == np.isnan(values).sum()
    np.testing.assert_array_equal(order, reference.order_codes(codes, n_distinct))
    for dtype in (np.uint8, np.uint16, np.uint32):
        if n_distinct > np.iinfo(dtype).max:
            continue
        got, got_distinct = np.empty(len(values), dtype), np.empty(n_distinct)
        encode.rank(order, values, got, got_distinct)
        np.testing.assert_array_equal(got, codes)
        np.testing.assert_array_equal(got_distinct, distinct)
        assert not np.signbit(got_distinct[got_distinct == 0]).any()


@given(vectors)
def test_presort_and_rank_equal_unique(values):
    check_exact(values)


@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE])
def test_presort_and_rank_of_long_columns(dtype):
    for values in big_vectors():
        check_exact(values.astype(dtype))


@given(vectors)
def test_sort_values_equals_sort(values):
    check_sorted(values)


@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE])
def test_sort_values_of_long_columns(dtype):
    for values in big_vectors():
        check_sorted(values.astype(dtype))


def check_sorted(values):
    out = np.empty_like(values)
    n = encode.sort_values(values, *workspace(len(values)), out)
    np.testing.assert_array_equal(out[:n], np.sort(values[~np.isnan(values)]))


def test_infinities_sort_to_the_ends():
    values = np.array([1, np.inf, np.nan, -np.inf, np.finfo(float).max])
    for dtype in (SINGLE, DOUBLE):
        with np.errstate(over="ignore"):
            cast = values.astype(dtype)
        check_sorted(cast)
        check_exact(cast)


@given(st.data(), st.sampled_from([np.uint8, np.uint16, np.uint32]))
def test_order_codes_equals_argsort(data, dtype):
    n_codes = data.draw(st.sampled_from([0, 1, 3, 200, 255]))
    codes = data.draw(
        hnp.arrays(dtype, st.integers(1, 100), elements=st.integers(0, n_codes))
    )
    check_order(codes, n_codes)


@pytest.mark.parametrize("n_codes", [300, 65535, 1_000_000])
def test_order_codes_of_long_columns(n_codes):
    dtype = np.uint16 if n_codes < 2**16 else np.uint32
    codes = np.random.default_rng(1).integers(0, n_codes + 1, 30_000, dtype)
    check_order(codes, n_codes)


def check_order(codes, n_codes):
    order = np.empty(len(codes), np.uint32)
    encode.order_codes(codes, n_codes, *workspace(len(codes)), order)
    np.testing.assert_array_equal(order, reference.order_codes(codes, n_codes))


def cut(values, weights, max_bins):
    ordered = np.empty_like(values)
    if weights is None:
        n = encode.sort_values(values, *workspace(len(values)), ordered)
        cumulative = None
    else:
        cumulative = np.empty(len(values) + 1)
        n = encode.take_weighted(
            presort(values)[0], values, weights, ordered, cumulative
        )
    if not n:
        return np.empty(0), np.empty(0), True
    lower, upper = np.empty(max_bins), np.empty(max_bins)
    heavy = np.empty(max_bins + 1, np.intp)
    n_bins, is_exact = encode.cut(ordered, cumulative, n, max_bins, lower, upper, heavy)
    return lower[:n_bins], upper[:n_bins], is_exact


@settings(max_examples=300)
@given(vectors, st.integers(2, 20), st.data())
def test_cut_equals_reference(values, max_bins, data):
    weights = data.draw(
        st.none()
        | hnp.arrays(np.float64, len(values), elements=st.integers(0, 4).map(float))
    )
    lower, upper, is_exact = cut(values, weights, max_bins)
    expected_lower, expected_upper = reference.cut(values, weights, max_bins)
    np.testing.assert_array_equal(lower, expected_lower)
    np.testing.assert_array_equal(upper, expected_upper)
    counted = values if weights is None else values[weights > 0]
    assert is_exact == (len(np.unique(counted[~np.isnan(counted)])) <= max_bins)


@pytest.mark.parametrize("max_bins", [2, 16, 255, 1000])
@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE])
def test_cut_of_long_columns(max_bins, dtype):
    rng = np.random.default_rng(2)
    for values in big_vectors():
        for weights in (None, rng.integers(0, 3, len(values)).astype(float)):
            cast = values.astype(dtype)
            lower, upper, _ = cut(cast, weights, max_bins)
            expected_lower, expected_upper = reference.cut(cast, weights, max_bins)
            np.testing.assert_array_equal(lower, expected_lower)
            np.testing.assert_array_equal(upper, expected_upper)


@given(st.data(), st.sampled_from([SINGLE, DOUBLE]))
def test_search_equals_searchsorted(data, dtype):
    values = data.draw(floats(dtype))
    n_codes = data.draw(st.integers(1, 40))
    upper = np.unique(data.draw(floats(dtype))[:n_codes])
    upper = upper[~np.isnan(upper)]
    if not len(upper):
        upper = np.zeros(1, dtype)
    check_search(values, upper)


@pytest.mark.parametrize("n_codes", [1, 2, 3, 7, 8, 9, 255, 256, 65535])
@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE])
def test_search_of_long_columns(n_codes, dtype):
    rng = np.random.default_rng(3)
    upper = np.arange(n_codes, dtype=dtype)
    values = rng.integers(-1, 2 * n_codes, 5003).astype(dtype) / 2
    values[::17] = np.nan
    check_search(values, upper)


def check_search(values, upper):
    expected = reference.search(values, upper)
    tree = np.empty(1 << (len(upper) - 1).bit_length(), upper.dtype)
    for dtype in (np.uint8, np.uint16, np.uint32):
        if len(upper) > np.iinfo(dtype).max:
            continue
        codes = np.empty(len(values), dtype)
        encode.search(values, upper, tree, codes)
        np.testing.assert_array_equal(codes, expected)


@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (200, 3), (131, 33)])
@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE])
def test_transpose_of_any_layout(shape, dtype):
    base = np.random.default_rng(4).standard_normal((2 * shape[0], 3 * shape[1]))
    base = base.astype(dtype)
    layouts = [
        base[: shape[0], : shape[1]].copy(),
        np.asfortranarray(base)[::2, ::3],
        base[::-2, ::-3],
    ]
    layouts[0].flags.writeable = False
    for X in layouts:
        out = np.zeros(shape[::-1], dtype)
        middle = shape[0] // 2
        encode.transpose(X, out, middle, shape[0])
        encode.transpose(X, out, 0, middle)
        np.testing.assert_array_equal(out, X.T)


@given(
    hnp.arrays(
        np.float32,
        st.integers(1, 400),
        elements=st.sampled_from([0.0, -0.0, np.nan, np.inf, 1.5])
        | st.integers(0, 300).map(float),
    ),
    st.sampled_from([np.float32, np.float64]),
)
def test_code_few_in_order_of_the_values(values, dtype):
    values = values.astype(dtype)
    codes = np.empty(len(values), np.uint8)
    distinct = np.empty(255, dtype)
    n, n_missing = encode.code_few(values, codes, distinct)
    is_missing = np.isnan(values)
    expected = np.unique(values[~is_missing] + 0.0)
    if len(expected) > 255:
        assert n == -1
        return
    assert (n, n_missing) == (len(expected), is_missing.sum())
    np.testing.assert_array_equal(distinct[:n], expected)
    assert not np.signbit(distinct[:n]).any()
    np.testing.assert_array_equal(codes == n, is_missing)
    np.testing.assert_array_equal(distinct[codes[~is_missing]], values[~is_missing])
