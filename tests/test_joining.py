"""Trees packed one by one and joined are the ensemble of all of them."""

import numpy as np
import pandas as pd
import pytest

from fasttree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeRegressor,
)
from fasttree.prediction.ensemble import Ensemble
from fasttree.prediction.joining import CompactTree, TreeList, join


def trees_of(kind):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 5))
    X[:, 1] = np.round(X[:, 1])
    X[rng.random(X.shape) < 0.1] = np.nan
    data = pd.DataFrame(X)
    data[3] = pd.Series(rng.choice(list("abcdef"), 300)).astype("category")
    labels = rng.integers(0, 5, 300)
    target = rng.normal(size=300)
    weight = rng.random(300) + 0.1
    whole = rng.integers(1, 4, 300)
    makers = {
        "classes": lambda s: DecisionTreeClassifier(
            max_features=2, max_depth=s + 1, random_state=s
        ).fit(data, labels),
        "float32": lambda s: DecisionTreeClassifier(
            max_features=2, random_state=s
        ).fit(X.astype(np.float32), labels, whole),
        "mixed": lambda s: DecisionTreeRegressor(
            max_features=2, random_state=s, max_depth=4
        ).fit((np.rint if s else np.array)(X), target, weight),
        "medians": lambda s: ExtraTreeRegressor(
            criterion="absolute_error", random_state=s, max_depth=s
        ).fit(data, target) if s else DecisionTreeRegressor(
            criterion="absolute_error", max_depth=2
        ).fit(data, target),
        "outputs": lambda s: DecisionTreeClassifier(random_state=s, max_features=2).fit(
            X, np.stack([labels, labels % 2], axis=1)
        ),
        "constrained": lambda s: DecisionTreeClassifier(
            random_state=s, max_features=3, monotonic_cst=[1, 0, -1, 0, 0]
        ).fit(X, labels % 2),
        "stumps": lambda s: DecisionTreeClassifier(max_depth=s or None).fit(
            data, labels, None if s else weight
        ),
    }  # fmt: skip
    models = [makers[kind](s) for s in range(4)]
    takes_frame = kind in {"classes", "medians", "stumps"}
    rows = models[0].schema_.to_matrix(data if takes_frame else X)
    return [model.tree_ for model in models], rows


def same(a, b):
    one, other = (
        {
            k: v.tobytes()
            for k, v in tree.__getstate__().items()
            if hasattr(v, "tobytes")
        }
        for tree in (a, b)
    )
    return one == other


@pytest.mark.parametrize(
    "kind",
    [
        "classes", "float32", "mixed", "medians", "outputs", "constrained", "stumps",
    ],
)  # fmt: skip
def test_joined_is_packed_together(kind):
    trees, matrix = trees_of(kind)
    together = Ensemble.from_trees(trees)
    parts = [CompactTree.of(tree) for tree in trees]
    parts[1:3] = [join(parts[1:3])]  # an ensemble is a part, too
    joined = TreeList(parts).ensemble
    joined.packed.check()
    joined.statistics.check(joined.packed)
    for one, other, tree in zip(together, joined, trees, strict=True):
        assert same(one, other)
        assert same(tree, other)
    predict = "mean_shares" if together.is_classification else "mean_values"
    np.testing.assert_array_equal(
        getattr(together, predict)(matrix), getattr(joined, predict)(matrix)
    )
    np.testing.assert_array_equal(together.leaves(matrix), joined.leaves(matrix))
    assert joined.packed.nbytes == together.packed.nbytes


def test_a_list_of_trees():
    trees, _ = trees_of("classes")
    first = TreeList([CompactTree.of(tree) for tree in trees[:2]])
    both = first + TreeList([CompactTree.of(tree) for tree in trees[2:]])
    assert len(both) == 4
    ensemble = both.ensemble
    assert len(first) == 2
    assert both.ensemble is ensemble
    assert all(same(a, b) for a, b in zip(both, trees, strict=True))
    many = np.random.default_rng(0).normal(size=(3000, 2))
    tree = DecisionTreeClassifier().fit(many, many[:, 0] > many[:, 1] ** 2).tree_
    assert CompactTree.of(tree).nbytes < tree.nbytes
