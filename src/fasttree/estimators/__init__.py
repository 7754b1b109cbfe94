"""The estimators, behind scikit-learn's interface."""

from fasttree.estimators._decision_tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
)
from fasttree.estimators._extra_tree import ExtraTreeClassifier, ExtraTreeRegressor
from fasttree.estimators._extra_trees import ExtraTreesClassifier, ExtraTreesRegressor
from fasttree.estimators._gradient_boosting import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
)
from fasttree.estimators._random_forest import (
    RandomForestClassifier,
    RandomForestRegressor,
)
from fasttree.estimators._ranker import GradientBoostingRanker
from fasttree.estimators._saving import load

__all__ = [
    "DecisionTreeClassifier",
    "DecisionTreeRegressor",
    "ExtraTreeClassifier",
    "ExtraTreeRegressor",
    "ExtraTreesClassifier",
    "ExtraTreesRegressor",
    "GradientBoostingClassifier",
    "GradientBoostingRanker",
    "GradientBoostingRegressor",
    "RandomForestClassifier",
    "RandomForestRegressor",
    "load",
]
