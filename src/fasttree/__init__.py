"""fasttree: fast, reproducible decision trees behind scikit-learn's interface.

Names are imported when they are used: a process that only predicts with
`load_predictor` does not wait for scikit-learn.
"""

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING

# At once, so that a level that cannot be used is refused here.
from fasttree import _kernels as _kernels

if TYPE_CHECKING:
    from fasttree.data.table import EncodedTable
    from fasttree.estimators import (
        DecisionTreeClassifier,
        DecisionTreeRegressor,
        ExtraTreeClassifier,
        ExtraTreeRegressor,
        ExtraTreesClassifier,
        ExtraTreesRegressor,
        GradientBoostingClassifier,
        GradientBoostingRanker,
        GradientBoostingRegressor,
        RandomForestClassifier,
        RandomForestRegressor,
        load,
    )
    from fasttree.prediction.predictor import Predictor, load_predictor
    from fasttree.storage.model_file import ModelFileError
    from fasttree.trees.drawing import export_graphviz, plot_tree
    from fasttree.trees.export import export_text
    from fasttree.versions import show_versions

__version__ = version("fasttree")

_MODULES = {
    "DecisionTreeClassifier": "estimators",
    "DecisionTreeRegressor": "estimators",
    "EncodedTable": "data.table",
    "ExtraTreeClassifier": "estimators",
    "ExtraTreeRegressor": "estimators",
    "ExtraTreesClassifier": "estimators",
    "ExtraTreesRegressor": "estimators",
    "GradientBoostingClassifier": "estimators",
    "GradientBoostingRanker": "estimators",
    "GradientBoostingRegressor": "estimators",
    "ModelFileError": "storage.model_file",
    "Predictor": "prediction.predictor",
    "RandomForestClassifier": "estimators",
    "RandomForestRegressor": "estimators",
    "export_graphviz": "trees.drawing",
    "export_text": "trees.export",
    "load": "estimators",
    "load_predictor": "prediction.predictor",
    "plot_tree": "trees.drawing",
    "show_versions": "versions",
}

__all__ = [
    "DecisionTreeClassifier",
    "DecisionTreeRegressor",
    "EncodedTable",
    "ExtraTreeClassifier",
    "ExtraTreeRegressor",
    "ExtraTreesClassifier",
    "ExtraTreesRegressor",
    "GradientBoostingClassifier",
    "GradientBoostingRanker",
    "GradientBoostingRegressor",
    "ModelFileError",
    "Predictor",
    "RandomForestClassifier",
    "RandomForestRegressor",
    "export_graphviz",
    "export_text",
    "load",
    "load_predictor",
    "plot_tree",
    "show_versions",
]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
