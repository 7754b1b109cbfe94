"""How each library grows the tree of a workload.

A peer's `fit` takes raw data to a fitted model, its own encoding included; that
is what gets timed. `score` and `count_nodes` are not timed.

Only fasttree and scikit-learn are always there. The others are imported when
asked for and installed. Libraries made for boosting grow one round without
shrinkage or regularisation; it is the nearest that they offer to a single tree,
not the same tree, and with K > 2 classes it is K trees.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.datasets import ordinal_matrix

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from numpy.typing import NDArray

    from benchmarks.datasets import Dataset
    from benchmarks.workloads import Workload


class UnsupportedWorkload(Exception):  # noqa: N818 - an answer, not a failure
    """The peer has no tree of the kind that the workload asks for."""


@dataclass(frozen=True)
class Peer:
    """One library.

    Attributes
    ----------
    name : str
        As given to ``--peers``.
    module : str
        What has to be importable.
    note : str
        How its tree differs from an exact CART tree.
    fit : callable
        ``fit(workload, data, n_threads) -> model``.
    predict : callable
        ``predict(model, data, X)`` gives class probabilities of shape
        (n_rows, n_classes seen in training), or values.
    count_nodes : callable
        ``count_nodes(model) -> int``, or None where the library does not say.
    """

    name: str
    module: str
    note: str
    fit: Callable[[Workload, Dataset, int], Any]
    predict: Callable[[Any, Dataset, Any], NDArray[Any]]
    count_nodes: Callable[[Any], int | None]

    def is_installed(self) -> bool:
        """Tell whether the library can be imported, without importing it."""
        return importlib.util.find_spec(self.module) is not None


def _is_classification(workload: Workload) -> bool:
    return not workload.is_regression


def _check_best_splits(workload: Workload) -> None:
    if workload.splitter != "best":
        msg = "it draws no splits"
        raise UnsupportedWorkload(msg)
    if workload.max_features is not None:
        msg = "it draws no features for a node"
        raise UnsupportedWorkload(msg)
    if workload.criterion == "absolute_error":
        msg = "it has no trees of medians"
        raise UnsupportedWorkload(msg)


def _predict(model: Any, X: Any) -> NDArray[Any]:
    predict = getattr(model, "predict_proba", None) or model.predict
    return predict(X)


def _predict_frame(model: Any, _data: Dataset, X: Any) -> NDArray[Any]:
    return _predict(model, X)


def _predict_matrix(model: Any, data: Dataset, X: Any) -> NDArray[Any]:
    return _predict(model, ordinal_matrix(data, X))


# -- fasttree and scikit-learn ------------------------------------------------


def _single_tree(library: ModuleType, workload: Workload, **params: Any) -> Any:
    """Return a tree of fasttree or scikit-learn, which name parameters alike."""
    kind = "Classifier" if _is_classification(workload) else "Regressor"
    return getattr(library, f"DecisionTree{kind}")(
        criterion=workload.criterion,
        max_depth=workload.max_depth,
        splitter=workload.splitter,
        max_features=workload.max_features,
        random_state=0,
        **params,
    )


def _fit_fasttree(workload: Workload, data: Dataset, n_threads: int) -> Any:
    import fasttree

    model = _single_tree(
        fasttree, workload, max_bins=workload.max_bins, n_jobs=n_threads
    )
    return model.fit(data.X_train, data.y_train)


def _fit_sklearn(workload: Workload, data: Dataset, _n_threads: int) -> Any:
    from sklearn import tree

    matrix = ordinal_matrix(data, data.X_train)
    return _single_tree(tree, workload).fit(matrix, data.y_train)


def _count_tree(model: Any) -> int:
    return int(model.tree_.node_count)


# -- The others ---------------------------------------------------------------


def _fit_hgb(workload: Workload, data: Dataset, _n_threads: int) -> Any:
    _check_best_splits(workload)
    # It has no n_jobs; OMP_NUM_THREADS, which compare.py sets, is what it follows.
    from sklearn.ensemble import (
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
    )

    estimator = (
        HistGradientBoostingClassifier
        if _is_classification(workload)
        else HistGradientBoostingRegressor
    )
    return estimator(
        max_iter=1,
        learning_rate=1.0,
        max_leaf_nodes=None,
        max_depth=workload.max_depth,
        min_samples_leaf=1,
        l2_regularization=0.0,
        max_bins=min(workload.max_bins or 255, 255),
        early_stopping=False,
        categorical_features="from_dtype",
        random_state=0,
    ).fit(data.X_train, data.y_train)


def _count_hgb(model: Any) -> int:
    return sum(
        len(tree.nodes)
        for one_round in model._predictors  # noqa: SLF001 - no public count
        for tree in one_round
    )


def _fit_sklearnex(workload: Workload, data: Dataset, n_threads: int) -> Any:
    _check_best_splits(workload)
    from sklearnex.ensemble import RandomForestClassifier, RandomForestRegressor

    if workload.criterion == "entropy" or data.categorical:
        # It would hand these to scikit-learn without a word.
        msg = "sklearnex has neither entropy nor missing values"
        raise UnsupportedWorkload(msg)
    estimator = (
        RandomForestClassifier
        if _is_classification(workload)
        else RandomForestRegressor
    )
    return estimator(
        n_estimators=1,
        bootstrap=False,
        max_features=None,
        criterion=workload.criterion,
        max_depth=workload.max_depth,
        max_bins=workload.max_bins or 256,
        random_state=0,
        n_jobs=n_threads,
    ).fit(data.X_train, data.y_train)


def _count_forest(model: Any) -> int:
    return sum(int(tree.tree_.node_count) for tree in model.estimators_)


def _fit_lightgbm(workload: Workload, data: Dataset, n_threads: int) -> Any:
    _check_best_splits(workload)
    from lightgbm import LGBMClassifier, LGBMRegressor

    estimator = LGBMClassifier if _is_classification(workload) else LGBMRegressor
    # It makes room for all leaves at once, and refuses more than 131,072.
    most_leaves = min(131_072, max(2, len(data.y_train)))
    depth = workload.max_depth
    return estimator(
        n_estimators=1,
        learning_rate=1.0,
        num_leaves=most_leaves if depth is None else min(2**depth, most_leaves),
        max_depth=-1 if depth is None else depth,
        max_bin=workload.max_bins or 255,
        min_child_samples=1,
        min_child_weight=0.0,
        reg_lambda=0.0,
        boost_from_average=True,
        random_state=0,
        n_jobs=n_threads,
        verbose=-1,
    ).fit(data.X_train, data.y_train)


def _count_lightgbm(model: Any) -> int:
    text = model.booster_.model_to_string()
    leaves = [
        int(line.partition("=")[2])
        for line in text.splitlines()
        if line.startswith("num_leaves=")
    ]
    return sum(2 * count - 1 for count in leaves)


def _fit_xgboost(workload: Workload, data: Dataset, n_threads: int) -> Any:
    _check_best_splits(workload)
    from xgboost import XGBClassifier, XGBRegressor

    estimator = XGBClassifier if _is_classification(workload) else XGBRegressor
    return estimator(
        n_estimators=1,
        learning_rate=1.0,
        max_depth=workload.max_depth or 0,
        max_leaves=0,
        tree_method="hist",
        max_bin=workload.max_bins or 256,
        min_child_weight=0.0,
        reg_lambda=0.0,
        enable_categorical=bool(data.categorical),
        random_state=0,
        n_jobs=n_threads,
    ).fit(data.X_train, data.y_train)


def _count_xgboost(model: Any) -> int:
    return sum(tree.count("\n") for tree in model.get_booster().get_dump())


def ydf_columns(X: Any) -> dict[str, NDArray[Any]]:
    """Return a frame or matrix as YDF takes it."""
    if hasattr(X, "columns"):
        return {
            name: X[name].astype(object).fillna("").to_numpy().astype(str)
            if X[name].dtype == "category"
            else X[name].to_numpy(dtype=np.float32, na_value=np.nan)
            for name in X.columns
        }
    return {f"f{i}": np.ascontiguousarray(X[:, i]) for i in range(X.shape[1])}


def _fit_ydf(workload: Workload, data: Dataset, n_threads: int) -> Any:
    _check_best_splits(workload)
    import ydf

    ydf.verbose(0)
    is_class = _is_classification(workload)
    y = data.y_train if is_class else data.y_train.astype(np.float32)
    depth = workload.max_depth
    return ydf.CartLearner(
        label="label",
        task=ydf.Task.CLASSIFICATION if is_class else ydf.Task.REGRESSION,
        # It counts the root as depth 1.
        max_depth=-1 if depth is None else depth + 1,
        min_examples=1,
        validation_ratio=0.0,
        num_threads=n_threads,
    ).train({**ydf_columns(data.X_train), "label": y})


def _predict_ydf(model: Any, data: Dataset, X: Any) -> NDArray[Any]:
    scores = np.asarray(model.predict(ydf_columns(X)))
    if data.task == "regression":
        return scores
    # The columns follow its own order of labels; with two classes there is one.
    labels = [int(label) for label in model.label_classes()]
    if scores.ndim == 1:
        scores = np.stack([1 - scores, scores], axis=1)
    return scores[:, np.argsort(labels)]


def _count_ydf(model: Any) -> int | None:
    count = getattr(model, "num_nodes", None)
    return int(count()) if callable(count) else None


ALL = [
    Peer("fasttree", "fasttree", "", _fit_fasttree, _predict_frame, _count_tree),
    Peer(
        "sklearn",
        "sklearn",
        "always exact; one thread; categories as ordered numbers",
        _fit_sklearn,
        _predict_matrix,
        _count_tree,
    ),
    Peer(
        "hgb",
        "sklearn",
        "one round of HistGradientBoosting; 255 bins; its gain is second order",
        _fit_hgb,
        _predict_frame,
        _count_hgb,
    ),
    Peer(
        "sklearnex",
        "sklearnex",
        "a forest of one tree; bins",
        _fit_sklearnex,
        _predict_matrix,
        _count_forest,
    ),
    Peer(
        "lightgbm",
        "lightgbm",
        "one round of boosting; bins; best-first; at most 131,072 leaves",
        _fit_lightgbm,
        _predict_frame,
        _count_lightgbm,
    ),
    Peer(
        "xgboost",
        "xgboost",
        "one round of boosting; bins; its gain is second order",
        _fit_xgboost,
        _predict_frame,
        _count_xgboost,
    ),
    Peer(
        "ydf",
        "ydf",
        "CART without pruning; its gain is entropy whatever is asked",
        _fit_ydf,
        _predict_ydf,
        _count_ydf,
    ),
]

BY_NAME = {peer.name: peer for peer in ALL}
