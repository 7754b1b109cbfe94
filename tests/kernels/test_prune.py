"""The pruning kernel against its NumPy twin."""

import numpy as np
import pytest

import reference_predict
import reference_pruning as reference
from fasttree.trees import pruning
from fasttree.trees.tree import Tree


@pytest.mark.parametrize("chain", [False, True])
@pytest.mark.parametrize("n_leaves", [1, 2, 3, 8, 9, 150])
@pytest.mark.parametrize("levels", [2, 5, None])
def test_equals_the_twin(n_leaves, levels, chain):
    rng = np.random.default_rng(n_leaves)
    for _ in range(5):
        arrays = reference_predict.random_arrays(rng, n_leaves=n_leaves, chain=chain)
        n_nodes = 2 * n_leaves - 1
        if levels is not None:
            # Many alphas are equal, and some negative.
            arrays["impurity"] = rng.integers(0, levels, n_nodes).astype(float)
            arrays["weighted_n_node_samples"] = np.ones(n_nodes)
        tree = Tree.from_arrays(**arrays)
        cost = pruning._costs(tree)
        *_, alphas, _ = reference.prune(tree, cost, np.inf)
        for largest in (np.inf, 0.0, np.median(alphas), max(alphas)):
            for ours, expected in zip(
                pruning._prune_links(tree, largest),
                reference.prune(tree, cost, largest),
                strict=True,
            ):
                np.testing.assert_array_equal(ours, expected)
