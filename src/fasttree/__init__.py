"""fasttree: fast, reproducible decision trees behind scikit-learn's interface."""

from importlib.metadata import version

from fasttree.drawing import export_graphviz, plot_tree
from fasttree.estimators import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)
from fasttree.export import export_text
from fasttree.table import EncodedTable
from fasttree.versions import show_versions

__version__ = version("fasttree")

__all__ = [
    "DecisionTreeClassifier",
    "DecisionTreeRegressor",
    "EncodedTable",
    "ExtraTreeClassifier",
    "ExtraTreeRegressor",
    "export_graphviz",
    "export_text",
    "plot_tree",
    "show_versions",
]
