"""Class labels and codes, against numpy.unique."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasttree.data.labels import encode_labels

INTEGERS = ["int8", "uint8", "int16", "int32", "uint32", "int64", "uint64"]


def assert_as_unique(y):
    classes, codes = encode_labels(y)
    expected, inverse = np.unique(y, return_inverse=True)
    assert classes.dtype == y.dtype
    assert codes.dtype == np.int32
    np.testing.assert_array_equal(classes, expected)
    np.testing.assert_array_equal(codes, inverse)


@given(st.data())
def test_integers_equal_unique(data):
    dtype = np.dtype(data.draw(st.sampled_from(INTEGERS)))
    limits = np.iinfo(dtype)
    centre = data.draw(st.integers(limits.min, limits.max))
    near = st.integers(max(limits.min, centre - 3), min(limits.max, centre + 3))
    anywhere = st.integers(limits.min, limits.max)
    values = data.draw(
        st.lists(data.draw(st.sampled_from([near, anywhere])), min_size=1)
    )
    assert_as_unique(np.array(values, dtype))


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1),
    st.sampled_from([np.float16, np.float32, np.float64]),
)
def test_floats_equal_unique(values, dtype):
    with np.errstate(over="ignore"):
        y = np.array(values).astype(dtype)
    assert_as_unique(y[np.isfinite(y)] if np.isfinite(y).any() else np.zeros(1, dtype))


@pytest.mark.parametrize(
    "y",
    [
        np.array([True, False, True]),
        np.array([False]),
        np.array(["b", "a", "b"]),
        np.array(["b", "a", "b"], object),
        np.arange(1000)[::-1],
        np.arange(1000.0)[::-3],
        np.arange(70_000) % 66_000,
        np.array([0.0, -0.0, 1.0]),
        np.arange(20, dtype=np.int64)[::2],
    ],
)
def test_other_labels_equal_unique(y):
    assert_as_unique(y)
