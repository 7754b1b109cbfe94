"""Trees packed from the kernel's records are those that go by way of a Tree."""

import numpy as np
import pandas as pd
import pytest

from fasttree.data.table import EncodedTable
from fasttree.ensembles.forest import Bootstrap, RowDraws
from fasttree.growth import tree_parts
from fasttree.growth.plan import GrowthParams
from fasttree.growth.target import class_target, regression_target
from fasttree.growth.training import SharedTarget, share_columns
from fasttree.prediction.joining import CompactTree

N_ROWS = 400


def table_of(kind, rng, **options):
    X = rng.normal(size=(N_ROWS, 4))
    X[:, 1] = np.round(2 * X[:, 1])
    X[rng.random(X.shape) < 0.1] = np.nan
    if kind == "single":
        X = X.astype(np.float32)
    if kind == "categories":
        X = pd.DataFrame(X)
        X[3] = pd.Series(rng.choice(list("abcdef"), N_ROWS)).astype("category")
        X[4] = pd.Series(rng.integers(0, 129, N_ROWS).astype(str)).astype("category")
    return EncodedTable.from_data(X, **options)


def both_ways(table, target, params, counts=None, units=None):
    """Return a tree packed from its records, and by way of a Tree."""
    columns = share_columns(table, params, 1)
    spaces = tree_parts.Spaces(lambda: target.make_growth(columns))
    found = []
    target.grow(
        spaces, 7, counts, table,
        lambda space, table: (
            target.take_compact(space, table), target.take_tree(space, table)
        ),
        found.append, units=units,
    )  # fmt: skip
    compact, tree = found[0]
    return compact, CompactTree.of(tree)


def params_of(criterion, **options):
    return GrowthParams(
        **{
            "criterion": criterion, "max_depth": None, "min_samples_split": 2,
            "min_samples_leaf": 1, "min_weight_fraction_leaf": 0.0,
            "min_samples_category": 3, "max_features": 2, "max_leaf_nodes": None,
            "min_impurity_decrease": 0.0, "seed": 3, **options,
        }
    )  # fmt: skip


def assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        for name, value in vars(a).items():
            expected = vars(b)[name]
            if isinstance(value, np.ndarray):
                assert value.dtype == expected.dtype, name
                np.testing.assert_array_equal(value, expected, err_msg=name)
            else:
                assert value == expected, name
    one.packed.check()
    one.statistics.check(one.packed)


@pytest.mark.parametrize("kind", ["single", "double", "categories"])
@pytest.mark.parametrize("splitter", ["best", "random"])
@pytest.mark.parametrize("max_bins", [None, 16])
@pytest.mark.parametrize(
    ("criterion", "n_classes"),
    [
        ("gini", 2), ("entropy", 2), ("gini", 5),
        ("squared_error", 0), ("absolute_error", 0), ("poisson", 0),
    ],
)  # fmt: skip
def test_the_same_bytes(kind, splitter, max_bins, criterion, n_classes):
    rng = np.random.default_rng(0)
    table = table_of(kind, rng, max_bins=max_bins)
    options = {"min_samples_leaf": 5} if kind == "double" else {}
    params = params_of(criterion, splitter=splitter, **options)
    y = rng.integers(0, n_classes, N_ROWS, dtype=np.int32) if n_classes else (
        rng.exponential(size=N_ROWS)
    )  # fmt: skip
    for weight in (None, rng.integers(1, 4, N_ROWS) * 1.0, rng.random(N_ROWS) + 0.1):
        make = regression_target
        if n_classes:

            def make(y, weight, criterion):
                return class_target(y, n_classes, weight, criterion)

        target = SharedTarget.of_rows(make(y, weight, criterion), params)
        assert_same(*both_ways(table, target, params))
    draws = RowDraws(N_ROWS, Bootstrap(N_ROWS))
    drawn = draws.counts(5)
    target = SharedTarget.of_draws(
        y, n_classes, params, n_draws=N_ROWS, most=draws.most_counts, balances=False
    )
    assert_same(*both_ways(table, target, params, drawn))
    if n_classes:
        target = SharedTarget.of_draws(
            y, n_classes, params, n_draws=N_ROWS, most=draws.most_counts, balances=True
        )
        units = target.balanced_units(y, drawn)
        assert_same(*both_ways(table, target, params, None, units))


@pytest.mark.parametrize("kind", ["single", "double"])
@pytest.mark.parametrize("n_classes", [0, 2])
def test_a_tree_of_one_leaf(kind, n_classes):
    table = table_of(kind, np.random.default_rng(0))
    y = np.zeros(N_ROWS, np.int32 if n_classes else float)
    params = params_of("gini" if n_classes else "squared_error")
    if n_classes:
        made = class_target(y, n_classes, None, "gini")
    else:
        made = regression_target(y, None, "squared_error")
    target = SharedTarget.of_rows(made, params)
    compact, expected = both_ways(table, target, params)
    assert compact.packed.n_nodes == 1
    assert_same(compact, expected)
