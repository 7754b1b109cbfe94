"""Growth that counts the features it draws: the same trees as by sorted orders.

Trees that are grown best leaf first, to the end, come from sorted orders and tiles,
which `reference_growth` audits: they have to be the same, byte for byte.
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fasttree import DecisionTreeClassifier
from fasttree._kernels import bags
from fasttree._kernels import forest as kernels
from fasttree.data.table import EncodedTable
from fasttree.growth import sampling, training
from test_growth import PARAMS, arrays_of, assert_same, synthetic, weights


def test_structs_are_mirrored():
    assert sampling.COLUMN_DTYPE.itemsize == kernels.LAYOUT["column"]


@st.composite
def sampled_tables(draw):
    n_rows = draw(st.integers(5, 400))
    n_features = draw(st.integers(2, 11))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X = rng.normal(size=(n_rows, n_features))
    X[:, ::2] = np.round(X[:, ::2], 1)
    X[:, 0] = rng.integers(0, draw(st.sampled_from([2, 5, 40])), n_rows)
    X[rng.random(X.shape) < draw(st.sampled_from([0.0, 0.2]))] = np.nan
    return EncodedTable.from_data(
        X.astype(draw(st.sampled_from([np.float32, np.float64]))),
        max_bins=draw(st.sampled_from([None, 20, 255])),
        categorical_features=draw(st.sampled_from([None, [0]])),
    )


def both_ways(data, table, grow, params):
    expected = grow(dataclasses.replace(params, max_leaf_nodes=table.n_rows + 1))
    copies = data.draw(st.sampled_from([(256 << 10, 512), (1, 1), (1, 20)]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "_COPY_BYTES", copies[0])
        patch.setattr(sampling, "_LEAST_NARROW", copies[1])
        return grow(params), expected


def drawn_params(data, table, criterion):
    return dataclasses.replace(
        PARAMS,
        criterion=criterion,
        max_depth=data.draw(st.sampled_from([None, None, 6])),
        min_samples_leaf=data.draw(st.sampled_from([1, 1, 3])),
        min_weight_fraction_leaf=data.draw(st.sampled_from([0.0, 0.0, 0.02])),
        min_samples_category=data.draw(st.sampled_from([1, 10])),
        min_impurity_decrease=data.draw(st.sampled_from([0.0, 0.0, 0.001])),
        max_features=data.draw(st.integers(1, table.n_features - 1)),
        seed=data.draw(st.integers(0, 2**64 - 1)),
    )


@settings(max_examples=90, deadline=None)
@given(st.data())
def test_classification_is_that_of_sorted_orders(data):
    table = data.draw(sampled_tables())
    weight = data.draw(weights(table.n_rows))
    n_classes = data.draw(st.sampled_from([2, 2, 5]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    y = rng.integers(0, n_classes, table.n_rows).astype(np.int32)
    params = drawn_params(data, table, data.draw(st.sampled_from(["gini", "entropy"])))

    def grow(params):
        return training.grow_classification_tree(table, y, n_classes, weight, params, 1)

    tree, expected = (arrays_of(t) for t in both_ways(data, table, grow, params))
    if weight is not None and n_classes == 2 and params.criterion == "entropy":
        # Counts take the impurity from the score, whose terms are rounded.
        np.testing.assert_allclose(
            tree.pop("impurity"), expected.pop("impurity"), rtol=1e-6, atol=1e-9
        )
    assert {k: v.tobytes() for k, v in tree.items()} == {
        k: v.tobytes() for k, v in expected.items()
    }


@settings(max_examples=70, deadline=None)
@given(st.data())
def test_regression_is_that_of_sorted_orders(data):
    table = data.draw(sampled_tables())
    weight = data.draw(weights(table.n_rows))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    y = np.round(rng.exponential(size=table.n_rows), data.draw(st.integers(1, 8)))
    y[0] += 1.0
    criterion = data.draw(
        st.sampled_from(["squared_error", "squared_error", "poisson", "absolute_error"])
    )
    params = drawn_params(data, table, criterion)

    def grow(params):
        return training.grow_regression_tree(table, y, weight, params, 1)

    assert_same(*both_ways(data, table, grow, params))


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("max_bins", [None, 255])
def test_wide_nodes_are_those_of_sorted_orders(n_classes, max_bins):
    X, score = synthetic(20_000)
    cuts = np.quantile(score, np.linspace(0, 1, n_classes + 1)[1:-1])
    y = np.searchsorted(cuts, score).astype(np.int32)
    table = EncodedTable.from_data(X, max_bins=max_bins)
    params = dataclasses.replace(PARAMS, max_features=3, max_depth=8, seed=5)
    whole = dataclasses.replace(params, max_leaf_nodes=20_000)
    assert_same(
        training.grow_classification_tree(table, y, n_classes, None, params, 1),
        training.grow_classification_tree(table, y, n_classes, None, whole, 1),
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_data_and_table_give_the_same_tree(dtype):
    X, score = synthetic(500, dtype=dtype)
    model = DecisionTreeClassifier(max_features=3, random_state=0)
    first = model.fit(X, score > 0).tree_
    table = EncodedTable.from_data(X)
    assert_same(first, model.fit(table, score > 0).tree_)


def test_rows_are_drawn_evenly_or_by_weight():
    counts = np.zeros(50, np.uint32)
    bags.draw_counts(7, 100_000, counts)
    assert counts.sum() == 100_000
    assert abs(counts / 2000 - 1).max() < 0.1
    again = np.zeros(50, np.uint32)
    bags.draw_counts(7, 100_000, again)
    np.testing.assert_array_equal(counts, again)
    bags.draw_counts(8, 100_000, again)
    assert (again != 2 * counts).any()
