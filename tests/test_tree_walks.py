"""Code that reads scikit-learn's tree_ runs unchanged on ours.

The functions are typical of scikit-learn's gallery and of what is built on it; each
gets either library's model.
"""

import numpy as np
import pytest
from sklearn import tree
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.model_selection import train_test_split
from sklearn.tree import _tree

import fasttree
import reference_predict as reference


@pytest.fixture(scope="module")
def models():
    """Models of either library around one and the same tree."""
    X, y = load_iris(return_X_y=True)
    X_train, X_test, y_train, _ = train_test_split(X, y, random_state=0)
    X_train, X_test = X_train.astype(np.float32), X_test.astype(np.float32)
    theirs = tree.DecisionTreeClassifier(max_leaf_nodes=3, random_state=0)
    theirs.fit(X_train, y_train)
    ours = fasttree.DecisionTreeClassifier(max_leaf_nodes=3).fit(X_train, y_train)
    # In the place of whichever of the equally good trees it found.
    ours.tree_ = reference.from_sklearn(theirs)
    return ours, theirs, X_test


def structure_of(clf):
    """The walk of "Understanding the decision tree structure"."""
    n_nodes = clf.tree_.node_count
    children_left = clf.tree_.children_left
    children_right = clf.tree_.children_right
    feature = clf.tree_.feature
    threshold = clf.tree_.threshold
    values = clf.tree_.value
    text = ""

    node_depth = np.zeros(shape=n_nodes, dtype=np.int64)
    is_leaves = np.zeros(shape=n_nodes, dtype=bool)
    stack = [(0, 0)]  # start with the root node id (0) and its depth (0)
    while len(stack) > 0:
        # `pop` ensures each node is only visited once
        node_id, depth = stack.pop()
        node_depth[node_id] = depth

        # If the left and right child of a node is not the same we have a split node
        is_split_node = children_left[node_id] != children_right[node_id]
        if is_split_node:
            stack.append((children_left[node_id], depth + 1))
            stack.append((children_right[node_id], depth + 1))
        else:
            is_leaves[node_id] = True

    for i in range(n_nodes):
        if is_leaves[i]:
            text += "{space}node={node} is a leaf node with value={value}.\n".format(
                space=node_depth[i] * "\t", node=i, value=np.around(values[i], 3)
            )
        else:
            text += (
                "{space}node={node} is a split node with value={value}: "
                "go to node {left} if X[:, {feature}] <= {threshold} "
                "else to node {right}.\n".format(
                    space=node_depth[i] * "\t",
                    node=i,
                    left=children_left[i],
                    feature=feature[i],
                    threshold=threshold[i],
                    right=children_right[i],
                    value=np.around(values[i], 3),
                )
            )
    return text


def rules_of(clf, X_test, sample_id):
    """The rules for one row, of the same example."""
    feature, threshold = clf.tree_.feature, clf.tree_.threshold
    node_indicator = clf.decision_path(X_test)
    leaf_id = clf.apply(X_test)
    node_index = node_indicator.indices[
        node_indicator.indptr[sample_id] : node_indicator.indptr[sample_id + 1]
    ]
    rules = []
    for node_id in node_index:
        # continue to the next node if it is a leaf node
        if leaf_id[sample_id] == node_id:
            continue
        if X_test[sample_id, feature[node_id]] <= threshold[node_id]:
            threshold_sign = "<="
        else:
            threshold_sign = ">"
        rules.append((int(node_id), int(feature[node_id]), threshold_sign))
    return rules


def common_nodes(clf, X_test, sample_ids):
    """The nodes that rows share, of the same example."""
    node_indicator = clf.decision_path(X_test)
    common = node_indicator.toarray()[sample_ids].sum(axis=0) == len(sample_ids)
    return np.arange(clf.tree_.node_count)[common].tolist()


def code_of(clf, feature_names):
    """A tree as Python code, as it is often written by recursion."""
    tree_ = clf.tree_
    feature_name = [
        feature_names[i] if i != _tree.TREE_UNDEFINED else "undefined!"
        for i in tree_.feature
    ]
    lines = [f"def predict({', '.join(feature_names)}):"]

    def recurse(node, depth):
        indent = "    " * depth
        if tree_.feature[node] != _tree.TREE_UNDEFINED:
            name = feature_name[node]
            threshold = tree_.threshold[node]
            lines.append(f"{indent}if {name} <= {threshold}:")
            recurse(tree_.children_left[node], depth + 1)
            lines.append(f"{indent}else:  # if {name} > {threshold}")
            recurse(tree_.children_right[node], depth + 1)
        else:
            lines.append(f"{indent}return {int(np.argmax(tree_.value[node]))}")

    recurse(0, 1)
    return "\n".join(lines)


def test_understanding_the_structure(models):
    ours, theirs, X_test = models
    assert structure_of(ours) == structure_of(theirs)
    for sample_id in range(len(X_test)):
        assert rules_of(ours, X_test, sample_id) == rules_of(theirs, X_test, sample_id)
    assert common_nodes(ours, X_test, [0, 1]) == common_nodes(theirs, X_test, [0, 1])


def test_tree_to_code(models):
    ours, theirs, X_test = models
    names = ["a", "b", "c", "d"]
    code = code_of(ours, names)
    assert code == code_of(theirs, names)
    scope = {}
    exec(code, scope)
    assert [scope["predict"](*row) for row in X_test] == ours.predict(X_test).tolist()


@pytest.mark.parametrize("module", [tree, fasttree])
def test_post_pruning(module):
    """ "Post pruning decision trees with cost complexity pruning"."""
    X, y = load_breast_cancer(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    clf = module.DecisionTreeClassifier(random_state=0)
    path = clf.cost_complexity_pruning_path(X_train, y_train)
    ccp_alphas, impurities = path.ccp_alphas, path.impurities
    assert np.all(np.diff(impurities) >= 0)
    clfs = []
    for ccp_alpha in ccp_alphas:
        clf = module.DecisionTreeClassifier(random_state=0, ccp_alpha=ccp_alpha)
        clf.fit(X_train, y_train)
        clfs.append(clf)
    assert clfs[-1].tree_.node_count == 1
    clfs = clfs[:-1]
    node_counts = [clf.tree_.node_count for clf in clfs]
    depth = [clf.tree_.max_depth for clf in clfs]
    assert node_counts == sorted(node_counts, reverse=True)
    assert depth == sorted(depth, reverse=True)
    test_scores = [clf.score(X_test, y_test) for clf in clfs]
    assert max(test_scores) > 0.9
