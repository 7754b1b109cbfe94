"""Criteria of regression against scikit-learn's trees."""

import numpy as np
import pytest
from sklearn import tree as sk

from fasttree import DecisionTreeRegressor, EncodedTable, ExtraTreeRegressor
from fasttree.growth import plan
from fasttree.trees.tree_checks import REGRESSION_CRITERIA
from test_growth import synthetic


def counts(n_rows, seed=0, n_features=5):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, n_features)).astype(np.float32)
    X[:, 1] = np.round(X[:, 1], 1)
    y = rng.poisson(np.exp(X[:, 0] - 0.5 * X[:, 1]))
    return X, y.astype(float), rng.random(n_rows) + 0.01


def root_decrease(tree):
    weight, impurity = tree.weighted_n_node_samples, tree.impurity
    left, right = tree.children_left[0], tree.children_right[0]
    rest = weight[left] * impurity[left] + weight[right] * impurity[right]
    return impurity[0] - rest / weight[0]


@pytest.mark.parametrize("criterion", REGRESSION_CRITERIA)
@pytest.mark.parametrize("weighted", [False, True])
class TestLikeScikitLearn:
    def test_root_and_full_depth(self, criterion, weighted):
        for seed in range(10):
            X, y, weight = counts(300, seed)
            y += np.random.default_rng(seed).random(300)
            weight = weight if weighted else None
            ours = DecisionTreeRegressor(criterion=criterion).fit(X, y, weight)
            theirs = sk.DecisionTreeRegressor(criterion=criterion).fit(X, y, weight)
            np.testing.assert_allclose(
                root_decrease(ours.tree_), root_decrease(theirs.tree_), rtol=1e-9
            )
            assert ours.tree_.feature[0] == theirs.tree_.feature[0]
            np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-12)

    def test_same_tree(self, criterion, weighted):
        """Continuous data without ties: every field is the same."""
        rng = np.random.default_rng(0)
        X, _, weight = counts(2000)
        X = X[:, [0, 2, 3]]
        y = np.exp(X[:, 0] + X[:, 1] ** 2 + 0.3 * rng.normal(size=2000))
        options = {"criterion": criterion, "max_depth": 4, "min_samples_leaf": 20}
        weight = weight if weighted else None
        ours = DecisionTreeRegressor(**options).fit(X, y, weight).tree_
        theirs = sk.DecisionTreeRegressor(**options).fit(X, y, weight).tree_
        np.testing.assert_array_equal(ours.feature, theirs.feature)
        np.testing.assert_array_equal(ours.children_left, theirs.children_left)
        # Midpoints are values of float32 here, and of float64 there.
        np.testing.assert_allclose(ours.threshold, theirs.threshold, rtol=1e-6)
        for field in ("impurity", "value", "weighted_n_node_samples"):
            np.testing.assert_allclose(
                getattr(ours, field), getattr(theirs, field), rtol=1e-9, err_msg=field
            )

    def test_pruning_path(self, criterion, weighted):
        X, _, weight = counts(400)
        X = X[:, [0, 2, 3]]
        y = np.exp(X[:, 0] + X[:, 1] ** 2)
        options = {"criterion": criterion, "max_depth": 4}
        weight = weight if weighted else None
        ours = DecisionTreeRegressor(**options)
        theirs = sk.DecisionTreeRegressor(**options)
        path = ours.cost_complexity_pruning_path(X, y, weight)
        expected = theirs.cost_complexity_pruning_path(X, y, weight)
        np.testing.assert_allclose(path.ccp_alphas, expected.ccp_alphas, atol=1e-12)
        np.testing.assert_allclose(path.impurities, expected.impurities)
        for model in (ours, theirs):
            model.set_params(ccp_alpha=path.ccp_alphas[-3] * 1.0001).fit(X, y, weight)
        np.testing.assert_allclose(ours.tree_.value, theirs.tree_.value)

    def test_min_impurity_decrease(self, criterion, weighted):
        X, y, weight = counts(300)
        weight = weight if weighted else None
        options = {"criterion": criterion, "min_impurity_decrease": 0.02}
        ours = DecisionTreeRegressor(**options).fit(X, y, weight)
        theirs = sk.DecisionTreeRegressor(**options).fit(X, y, weight)
        assert 3 < ours.get_n_leaves() < 100
        assert ours.get_n_leaves() == theirs.get_n_leaves()


def test_fractions_of_weights_scale():
    """Weights times a power of two give the same splits and values."""
    X, y, weight = counts(500)
    for criterion in REGRESSION_CRITERIA:
        trees = [
            DecisionTreeRegressor(criterion=criterion).fit(X, y, weight * scale).tree_
            for scale in (1.0, 2.0**-80, 2.0**40)
        ]
        for other in trees[1:]:
            np.testing.assert_array_equal(trees[0].threshold, other.threshold)
            np.testing.assert_array_equal(trees[0].value, other.value)


@pytest.mark.parametrize("splitter", ["best", "random"])
def test_medians_are_targets(splitter):
    """Leaves of an odd number of rows hold one of their targets, to the bit."""
    X, score = synthetic(3000)
    y = score * 0.1 + 1e5
    for weight in (None, np.random.default_rng(0).random(3000)):
        model = DecisionTreeRegressor(
            criterion="absolute_error", min_samples_leaf=9, splitter=splitter
        ).fit(X, y, weight)
        leaf = model.apply(X)
        tree = model.tree_
        seen = 0
        for node in tree.leaf_nodes:
            if weight is not None or tree.n_node_samples[node] % 2:
                assert tree.value[node, 0, 0] in y[leaf == node]
                seen += 1
        assert seen > 50


def test_whole_targets_tie_exactly():
    """Two columns of the same gain: the first is taken, whatever the sums."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        y = rng.integers(0, 30, 64).astype(float) + 7.0
        first = rng.permutation(64).astype(float)
        # Best split from the last rows up costs the same in reverse.
        X = np.stack([-first, first], axis=1)
        model = DecisionTreeRegressor(criterion="absolute_error", max_depth=1)
        assert model.fit(X, y).tree_.feature[0] == 0


@pytest.mark.parametrize("model", [DecisionTreeRegressor, ExtraTreeRegressor])
class TestPoissonTargets:
    @pytest.mark.parametrize(
        ("y", "message"),
        [
            ([1.0, -2.0, 3.0], "negative.*-2.0"),
            ([0.0, 0.0, 0.0], "sum of y is not positive"),
        ],
    )
    def test_bad_ones_are_refused(self, model, y, message):
        X = np.arange(3.0)[:, None]
        with pytest.raises(ValueError, match=message):
            model(criterion="poisson").fit(X, y)

    def test_weights_may_leave_none(self, model):
        X = np.arange(3.0)[:, None]
        with pytest.raises(ValueError, match="sum of y is not positive"):
            model(criterion="poisson").fit(X, [1.0, 0.0, 0.0], [0.0, 1.0, 1.0])

    def test_no_leaf_predicts_zero(self, model):
        X, y, weight = counts(500)
        assert (y == 0.0).sum() > 100
        for sample_weight in (None, weight):
            for max_bins in (None, 20):
                fitted = model(criterion="poisson", max_bins=max_bins, random_state=0)
                assert fitted.fit(X, y, sample_weight).predict(X).min() > 0.0


def test_friedman_mse_is_a_deprecated_name():
    X, y, _ = counts(100)
    for ours, theirs in (
        (DecisionTreeRegressor, sk.DecisionTreeRegressor),
        (ExtraTreeRegressor, sk.ExtraTreeRegressor),
    ):
        for model in (ours, theirs):
            with pytest.warns(FutureWarning, match="friedman_mse"):
                made = model(criterion="friedman_mse")
            assert made.criterion == "squared_error"
            made.set_params(criterion="friedman_mse")
            with pytest.raises(ValueError, match="criterion"):
                made.fit(X, y)


def test_targets_of_wild_scales():
    """Huge, tiny and equal targets, and an outlier: no overflow, and a full fit."""
    X = np.arange(40.0)[:, None]
    rng = np.random.default_rng(0)
    base = rng.random(40)
    for y in (
        base * 1e140,
        base * 1e-140,
        np.full(40, 1e140),
        base + (X[:, 0] == 7) * 1e9,
    ):
        for criterion in REGRESSION_CRITERIA:
            table = EncodedTable.from_data(X)
            assert table.n_rows == 40
            model = DecisionTreeRegressor(criterion=criterion).fit(table, y)
            np.testing.assert_allclose(model.predict(X), y, rtol=1e-12)


def test_tiles_are_for_sums():
    assert plan.uses_tiles(is_weighted=False, criterion="poisson")
    assert not plan.uses_tiles(is_weighted=False, criterion="absolute_error")
    assert not plan.uses_tiles(is_weighted=True, criterion="squared_error")


def test_restless_medians():
    """Weights that make the median jump: found by the indexed tree, and as well."""
    rng = np.random.default_rng(0)
    n = 600
    y = np.concatenate([rng.normal(-9, 1, n), rng.normal(9, 1, n)])
    weight = np.ones(2 * n)
    # In this order a heavy row comes from one half and then from the other.
    X = np.empty((2 * n, 1))
    X[:, 0] = np.concatenate([np.arange(n) * 2.0, np.arange(n) * 2.0 + 1])
    weight[n:] = 1.7
    for sample_weight in (weight, weight * (1 + rng.random(2 * n))):
        for order in (X, -X):
            model = DecisionTreeRegressor(criterion="absolute_error", max_depth=1)
            theirs = sk.DecisionTreeRegressor(criterion="absolute_error", max_depth=1)
            np.testing.assert_allclose(
                root_decrease(model.fit(order, y, sample_weight).tree_),
                root_decrease(theirs.fit(order, y, sample_weight).tree_),
                rtol=1e-9,
            )
