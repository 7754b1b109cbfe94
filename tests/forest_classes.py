"""The forests, for tests of all of them."""

from fasttree import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)

FORESTS = [
    RandomForestClassifier,
    RandomForestRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
]
CLASSIFIERS, REGRESSORS = FORESTS[::2], FORESTS[1::2]
