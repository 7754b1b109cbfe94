"""export_text writes what scikit-learn writes, and categories."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.tree import export_text as export_text_sklearn

import reference_predict as reference
from fasttree.trees.export import export_text
from fasttree.trees.tree import Tree


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_depth": 0},
        {"max_depth": 2, "spacing": 1},
        {"decimals": 0, "spacing": 5},
        {"decimals": 5, "show_weights": True},
        {"feature_names": ["a", "b b", "c", "d"]},
        {"feature_names": np.array(["a", "b", "c", "d"])},
    ],
)
@pytest.mark.parametrize("max_leaf", [None, 1])
def test_equals_scikit_learn(options, max_leaf):
    X, y = load_iris(return_X_y=True)
    X = X.astype(np.float32)
    for theirs, more in (
        (DecisionTreeClassifier(random_state=0, max_depth=max_leaf), {}),
        (
            DecisionTreeClassifier(random_state=0, max_depth=max_leaf),
            {"class_names": ["x", "y", "z"]},
        ),
        (DecisionTreeRegressor(random_state=0, max_depth=max_leaf), {}),
    ):
        theirs.fit(X, y)
        ours = reference.Fitted(reference.from_sklearn(theirs))
        assert export_text(ours, **options, **more) == export_text_sklearn(
            theirs, **options, **more
        )


def test_equals_scikit_learn_on_a_large_tree_and_a_leaf():
    X, y = load_diabetes(return_X_y=True)
    for theirs in (
        DecisionTreeRegressor(random_state=0).fit(X.astype(np.float32), y),
        DecisionTreeClassifier().fit(X[:3], [1, 1, 1]),
    ):
        ours = reference.Fitted(reference.from_sklearn(theirs))
        assert export_text(ours) == export_text_sklearn(theirs)


def category_tree(codes, count=70):
    words = np.zeros(2, np.uint64)
    for code in codes:
        words[code // 64] |= np.uint64(1) << np.uint64(code % 64)
    return Tree.from_arrays(
        n_features=2, n_classes=0, criterion="squared_error",
        children_left=[1, 2, -1, -1, -1], children_right=[4, 3, -1, -1, -1],
        feature=[1, 0, -2, -2, -2], threshold=[np.nan, 0.5, -2.0, -2.0, -2.0],
        missing_left=[0, 1, 0, 0, 0], impurity=[1.0, 0.0, 0.0, 0.0, 0.0],
        n_node_samples=[4, 3, 1, 2, 1], weighted_n_node_samples=[4, 3, 1, 2, 1],
        category_start=[0, -1, -1, -1, -1], category_count=[count, 0, 0, 0, 0],
        category_bits=words, leaf_value=[1.0, 2.0, 3.0],
    )  # fmt: skip


def test_categories():
    fitted = reference.Fitted(category_tree([0, 69]))
    assert export_text(fitted, feature_names=["delay", "carrier"]) == (
        "|--- carrier in {0, 69}\n"
        "|   |--- delay <= 0.50\n"
        "|   |   |--- value: [1.00]\n"
        "|   |--- delay >  0.50\n"
        "|   |   |--- value: [2.00]\n"
        "|--- carrier not in {0, 69}\n"
        "|   |--- value: [3.00]\n"
    )
    assert export_text(fitted, show_missing=True).splitlines()[::2] == [
        "|--- feature_1 in {0, 69}",
        "|   |   |--- value: [1.00]",
        "|   |   |--- value: [2.00]",
        "|   |--- value: [3.00]",
    ]
    assert "not in {0, 69} or missing\n" in export_text(fitted, show_missing=True)
    assert "feature_0 <= 0.50 or missing\n" in export_text(fitted, show_missing=True)


def test_long_sets_are_shortened():
    fitted = reference.Fitted(category_tree(range(3, 23)))
    first = export_text(fitted).splitlines()[0]
    assert first == "|--- feature_1 in {3, 4, 5, 6, 7, 8, 9, 10, ... 20 in all}"


def test_deeper_than_the_recursion_limit():
    arrays = reference.random_arrays(
        np.random.default_rng(0), n_leaves=3000, n_classes=2, chain=True
    )
    fitted = reference.Fitted(Tree.from_arrays(**arrays))
    assert export_text(fitted, max_depth=None).count("class:") == 3000
    assert "truncated branch of depth 2989\n" in export_text(fitted, max_depth=10)


def test_errors():
    fitted = reference.Fitted(Tree.from_arrays(**reference.random_arrays(
        np.random.default_rng(0), n_leaves=3
    )))  # fmt: skip
    with pytest.raises(ValueError, match="feature_names must contain 4"):
        export_text(fitted, feature_names=["a"])
    with pytest.raises(ValueError, match="class_names must contain 3"):
        export_text(fitted, class_names=["a"])
    with pytest.raises(ValueError, match="max_depth"):
        export_text(fitted, max_depth=-1)
    with pytest.raises(NotFittedError):
        export_text(DecisionTreeClassifier())
    with pytest.raises(TypeError, match="fasttree"):
        export_text(DecisionTreeClassifier().fit([[0], [1]], [0, 1]))
    with pytest.raises(TypeError):
        export_text(SimpleNamespace())
