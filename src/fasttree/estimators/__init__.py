"""The estimators, behind scikit-learn's interface."""

from fasttree.estimators._decision_tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
)

__all__ = ["DecisionTreeClassifier", "DecisionTreeRegressor"]
