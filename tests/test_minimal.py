"""Enough to accept a wheel: one file, few seconds, scikit-learn alone beside it."""

import pickle

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.tree import DecisionTreeClassifier as PeerClassifier
from sklearn.tree import DecisionTreeRegressor as PeerRegressor

import fasttree


@pytest.mark.parametrize("criterion", ["gini", "entropy"])
@pytest.mark.parametrize("load", [load_iris, load_breast_cancer])
@pytest.mark.parametrize("max_bins", [None, 64])
def test_classifier(load, criterion, max_bins):
    X, y = load(return_X_y=True)
    model = fasttree.DecisionTreeClassifier(criterion=criterion, max_bins=max_bins)
    model.fit(X[::2], y[::2])
    peer = PeerClassifier(criterion=criterion, random_state=0).fit(X[::2], y[::2])
    assert model.score(X[1::2], y[1::2]) >= peer.score(X[1::2], y[1::2]) - 0.04
    if max_bins is None:
        assert model.score(X[::2], y[::2]) == 1.0
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


def test_regressor():
    X, y = load_diabetes(return_X_y=True)
    model = fasttree.DecisionTreeRegressor(max_depth=4).fit(X, y)
    peer = PeerRegressor(max_depth=4, random_state=0).fit(X, y)
    assert model.score(X, y) == pytest.approx(peer.score(X, y), abs=1e-3)


def test_exact_root_is_scikit_learns():
    X, y = load_breast_cancer(return_X_y=True)
    model = fasttree.DecisionTreeClassifier(criterion="entropy", max_depth=1)
    peer = PeerClassifier(criterion="entropy", max_depth=1, random_state=0)
    ours, theirs = model.fit(X, y).tree_, peer.fit(X, y).tree_
    np.testing.assert_allclose(ours.impurity, theirs.impurity, rtol=1e-12)


def test_show_versions(capsys):
    fasttree.show_versions()
    printed = capsys.readouterr().out
    for word in ("fasttree", "numpy", "kernels", "threads"):
        assert word in printed
