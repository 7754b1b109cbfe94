"""Cost-complexity pruning does what scikit-learn's does."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.tree import DecisionTreeClassifier as PeerClassifier
from sklearn.tree import DecisionTreeRegressor as PeerRegressor

import reference_predict as reference
from fasttree import DecisionTreeClassifier, DecisionTreeRegressor, EncodedTable
from fasttree.trees.pruning import prune, pruning_path
from fasttree.trees.tree import Tree

X_CANCER, Y_CANCER = load_breast_cancer(return_X_y=True)
X_CANCER = X_CANCER.astype(np.float32)
X_DIABETES, Y_DIABETES = load_diabetes(return_X_y=True)
X_DIABETES = X_DIABETES.astype(np.float32)


def noisy_classes(n=3000):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 30, (n, 4)).astype(np.float32)
    X[rng.random(X.shape) < 0.1] = np.nan
    return X, rng.integers(0, 3, n) + (np.nan_to_num(X[:, 0]) > 9)


PEERS = [
    (PeerClassifier(random_state=0), X_CANCER, Y_CANCER),
    (PeerClassifier(criterion="entropy", random_state=0), X_CANCER, Y_CANCER),
    (PeerClassifier(random_state=0), *noisy_classes()),
    (PeerClassifier(criterion="log_loss", random_state=0), *noisy_classes()),
    (PeerClassifier(max_depth=1), X_CANCER[:3], [1, 1, 1]),
    (PeerRegressor(random_state=0), X_DIABETES, Y_DIABETES),
    (PeerRegressor(random_state=0, min_samples_leaf=7), *noisy_classes()),
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("peer", "X", "y"), PEERS)
def test_path_and_trees_are_scikit_learns(peer, X, y, weighted):
    weight = None
    if weighted:
        weight = np.random.default_rng(1).integers(1, 4, len(y)) / 4
    peer.set_params(ccp_alpha=0.0).fit(X, y, weight)
    path = peer.cost_complexity_pruning_path(X, y, weight)
    tree = reference.from_sklearn(peer)
    alphas, impurities = pruning_path(tree)
    np.testing.assert_array_equal(alphas, path.ccp_alphas)
    np.testing.assert_array_equal(impurities, path.impurities)
    between = (alphas[1:] + alphas[:-1]) / 2
    for alpha in [*alphas[:: len(alphas) // 6 + 1], *between[-3:], alphas[-1], 1e9]:
        if alpha < 0.0:
            continue
        theirs = peer.set_params(ccp_alpha=alpha).fit(X, y, weight).tree_
        # scikit-learn takes 0.0 to mean that nothing is pruned.
        ours = prune(tree, alpha) if alpha else tree
        for name in (
            "children_left", "children_right", "feature", "threshold", "impurity",
            "n_node_samples", "weighted_n_node_samples", "max_depth", "n_leaves",
        ):  # fmt: skip
            np.testing.assert_array_equal(
                getattr(ours, name), getattr(theirs, name), err_msg=name
            )
        inner = ours.children_left >= 0
        np.testing.assert_array_equal(
            ours.missing_go_to_left[inner], theirs.missing_go_to_left[inner]
        )
        np.testing.assert_allclose(ours.value, theirs.value, rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(ours.apply(X), theirs.apply(X))
    peer.set_params(ccp_alpha=0.0)


def test_estimators_prune():
    # Values without ties between splits: the trees are the same.
    rng = np.random.default_rng(5)
    X = rng.normal(size=(300, 1)).astype(np.float32)
    labels = (X[:, 0] > 0.2) ^ (rng.random(300) < 0.2)
    target = X[:, 0] + rng.normal(size=300)
    for model, peer, y in (
        (DecisionTreeClassifier(max_depth=5), PeerClassifier(max_depth=5), labels),
        (DecisionTreeRegressor(max_depth=5), PeerRegressor(max_depth=5), target),
    ):
        weight = rng.integers(1, 3, 300)
        ours = model.cost_complexity_pruning_path(X, y, sample_weight=weight)
        theirs = peer.cost_complexity_pruning_path(X, y, sample_weight=weight)
        assert set(ours) == {"ccp_alphas", "impurities"}
        np.testing.assert_allclose(ours.ccp_alphas, theirs.ccp_alphas, atol=1e-12)
        np.testing.assert_allclose(ours.impurities, theirs.impurities, rtol=1e-9)
        assert not hasattr(model, "tree_")
        before = np.inf
        for low, high in zip(ours.ccp_alphas[2:-1], ours.ccp_alphas[3:], strict=True):
            alpha = (low + high) / 2
            model.set_params(ccp_alpha=alpha).fit(X, y, weight)
            peer.set_params(ccp_alpha=alpha).fit(X, y, weight)
            assert model.get_n_leaves() == peer.get_n_leaves() <= before
            before = model.get_n_leaves()
            np.testing.assert_allclose(model.predict(X), peer.predict(X), rtol=1e-9)
            # The path is that of the whole tree.
            again = model.cost_complexity_pruning_path(X, y, weight)
            np.testing.assert_array_equal(again.ccp_alphas, ours.ccp_alphas)
        assert before == 2
        model.set_params(ccp_alpha=1e9).fit(X, y)
        assert (model.get_depth(), model.tree_.node_count) == (0, 1)


def test_path_of_a_table():
    X, y = load_iris(return_X_y=True)
    path = DecisionTreeClassifier(max_bins=16).cost_complexity_pruning_path(X, y)
    table = EncodedTable.from_data(X, max_bins=16)
    again = DecisionTreeClassifier(ccp_alpha=0.1).cost_complexity_pruning_path(table, y)
    np.testing.assert_array_equal(path.ccp_alphas, again.ccp_alphas)
    assert np.all(np.diff(path.impurities) > 0)


@pytest.mark.parametrize("n_classes", [0, 1, 3])
def test_leaves_below_are_added_up(n_classes):
    rng = np.random.default_rng(n_classes)
    arrays = reference.random_arrays(
        rng, n_leaves=60, n_classes=n_classes, categorical=0.5
    )
    tree = Tree.from_arrays(**arrays)
    X = reference.random_rows(rng, 500, tree.n_features, np.float64)
    path = tree.apply(X)
    for alpha in np.quantile(pruning_path(tree)[0], [0.0, 0.2, 0.5, 0.8]):
        pruned = prune(tree, alpha)
        assert pruned.n_leaves < tree.n_leaves
        assert pruned.category_bits.size == ((pruned.category_count + 63) // 64).sum()
        # Rows that shared a leaf still do, and the values are the ancestors'.
        for leaf in np.unique(path):
            assert len(np.unique(pruned.apply(X[path == leaf]))) == 1
        np.testing.assert_array_equal(pruned.apply(X), reference.apply(pruned, X))
        np.testing.assert_allclose(
            pruned.value[0],
            tree.value[0] if n_classes else pruned.value[0],
            rtol=1e-12,
        )
    root = prune(tree, np.inf)
    assert root.node_count == 1
    np.testing.assert_allclose(root.value, tree.value[:1], rtol=1e-12)
    leaf = Tree.from_arrays(**reference.random_arrays(rng, n_leaves=1))
    assert prune(leaf, 1.0) is leaf


def test_costs_beyond_the_largest_float():
    arrays = reference.random_arrays(np.random.default_rng(0), n_leaves=9, n_classes=0)
    arrays["weighted_n_node_samples"] = np.full(17, 1e300)
    arrays["impurity"] = np.full(17, 1e300)
    alphas, impurities = pruning_path(Tree.from_arrays(**arrays))
    assert np.isfinite(alphas).all()
    assert np.isfinite(impurities).all()


@pytest.mark.parametrize("alpha", [-0.1, np.nan, "0", None])
def test_bad_alpha(alpha):
    X, y = load_iris(return_X_y=True)
    for model in (DecisionTreeClassifier, DecisionTreeRegressor):
        with pytest.raises(ValueError, match="ccp_alpha"):
            model(ccp_alpha=alpha).fit(X, y)
