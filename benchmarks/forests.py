"""Compare forests with scikit-learn's and those of other libraries.

Each fit runs in a process of its own, the libraries taking turns within a round;
encoding counts as fitting, threads are pinned alike. The ratio of a round is a
peer's wall seconds over fasttree's; the median over the rounds is printed.

    python benchmarks/forests.py --list
    python benchmarks/forests.py binary-entropy --trees 10 --peers ydf,lightgbm
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
if not __package__:  # run as a script
    sys.path.insert(0, str(ROOT))

from benchmarks import datasets, measure  # noqa: E402 - needs the path above
from benchmarks.compare import THREAD_VARIABLES, describe_machine  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Work:
    """One forest to grow: data, and what every library is told."""

    about: str
    load: Callable[[], datasets.Dataset]
    criterion: str
    n_trees: int = 100
    max_features: float | str | None = "sqrt"
    extra: bool = False
    exact: bool = False


_BINARY = partial(datasets.synthetic_binary, 200_000)
WORKS = {
    "binary-entropy": Work("200,000 x 28, 2 classes, entropy", _BINARY, "entropy"),
    "binary-gini": Work("200,000 x 28, 2 classes, gini", _BINARY, "gini"),
    "binary-1m": Work(
        "1,000,000 x 28, 2 classes, entropy",
        partial(datasets.synthetic_binary, 1_000_000), "entropy", 10,
    ),
    "flights": Work("261,807 x 26 flights, gini", datasets.flights, "gini"),
    "seven-classes": Work(
        "400,000 x 54, 7 classes, gini",
        partial(datasets.covtype_like, 400_000), "gini",
    ),
    "regression": Work(
        "200,000 x 28 regression, a third of the features",
        partial(datasets.synthetic_regression, 200_000), "squared_error",
        max_features=1 / 3,
    ),
    "regression-all": Work(
        "200,000 x 28 regression, all features",
        partial(datasets.synthetic_regression, 200_000), "squared_error",
        max_features=1.0,
    ),
    "digits": Work(
        "digits, 1,437 x 64, 10 classes, gini",
        partial(datasets.from_sklearn, "digits"), "gini", 500,
    ),
    "extra": Work("extra trees, 200,000 x 28, gini", _BINARY, "gini", extra=True),
    "exact": Work("exact, 200,000 x 28, entropy", _BINARY, "entropy", exact=True),
}  # fmt: skip


def _matrix(data: datasets.Dataset, X: Any) -> Any:
    return datasets.ordinal_matrix(data, X)


def _fit_fasttree(work: Work, data: datasets.Dataset, n_threads: int) -> Any:
    import fasttree

    kind = "ExtraTrees" if work.extra else "RandomForest"
    kind += "Regressor" if data.task == "regression" else "Classifier"
    options = {} if work.extra or not work.exact else {"max_bins": None}
    return getattr(fasttree, kind)(
        work.n_trees,
        criterion=work.criterion,
        max_features=work.max_features,
        n_jobs=n_threads,
        random_state=0,
        **options,
    ).fit(data.X_train, data.y_train)


def _fit_sklearn_like(
    module: str, work: Work, data: datasets.Dataset, n_threads: int, **options: Any
) -> Any:
    import importlib

    kind = "ExtraTrees" if work.extra else "RandomForest"
    kind += "Regressor" if data.task == "regression" else "Classifier"
    return getattr(importlib.import_module(module), kind)(
        work.n_trees,
        criterion=work.criterion,
        max_features=work.max_features,
        n_jobs=n_threads,
        random_state=0,
        **options,
    ).fit(_matrix(data, data.X_train), data.y_train)


def _share(work: Work, n_features: int) -> float:
    if work.max_features == "sqrt":
        return int(np.sqrt(n_features)) / n_features
    return float(work.max_features or 1.0)


def _fit_lightgbm(work: Work, data: datasets.Dataset, n_threads: int) -> Any:
    import lightgbm

    X = _matrix(data, data.X_train)
    regression = data.task == "regression"
    kind = lightgbm.LGBMRegressor if regression else lightgbm.LGBMClassifier
    return kind(
        boosting_type="rf",
        n_estimators=work.n_trees,
        num_leaves=131_072,
        min_child_samples=1,
        min_child_weight=0.0,
        subsample=0.632,
        subsample_freq=1,
        feature_fraction_bynode=_share(work, X.shape[1]),
        min_data_in_bin=1,
        n_jobs=n_threads,
        verbose=-1,
        random_state=0,
    ).fit(X, data.y_train)


def _fit_xgboost(work: Work, data: datasets.Dataset, n_threads: int) -> Any:
    import xgboost

    X = _matrix(data, data.X_train)
    kind = (
        xgboost.XGBRFRegressor if data.task == "regression" else xgboost.XGBRFClassifier
    )
    return kind(
        n_estimators=work.n_trees,
        tree_method="hist",
        max_depth=0,
        min_child_weight=0,
        reg_lambda=0.0,
        subsample=0.632,
        colsample_bynode=_share(work, X.shape[1]),
        n_jobs=n_threads,
        random_state=0,
    ).fit(X, data.y_train)


def _fit_ydf(work: Work, data: datasets.Dataset, n_threads: int) -> Any:
    import ydf

    ydf.verbose(0)
    X = _matrix(data, data.X_train)
    regression = data.task == "regression"
    return ydf.RandomForestLearner(
        label="y",
        task=ydf.Task.REGRESSION if regression else ydf.Task.CLASSIFICATION,
        num_trees=work.n_trees,
        max_depth=-1,
        min_examples=1,
        num_candidate_attributes_ratio=_share(work, X.shape[1]),
        winner_take_all=False,
        compute_oob_performances=False,
        num_threads=n_threads,
    ).train({"x": X, "y": data.y_train})


def _predict(model: Any, data: datasets.Dataset, X: Any) -> Any:
    del data
    return getattr(model, "predict_proba", model.predict)(X)


def _predict_matrix(model: Any, data: datasets.Dataset, X: Any) -> Any:
    return _predict(model, data, _matrix(data, X))


def _predict_ydf(model: Any, data: datasets.Dataset, X: Any) -> Any:
    predicted = model.predict({"x": _matrix(data, X)})
    if data.task == "classification" and predicted.ndim == 1:
        return np.stack([1 - predicted, predicted], axis=1)
    return predicted


PEERS: dict[str, tuple[Callable[..., Any], Callable[..., Any], str]] = {
    "fasttree": (_fit_fasttree, _predict, ""),
    "sklearn": (partial(_fit_sklearn_like, "sklearn.ensemble"), _predict_matrix, ""),
    "sklearnex": (
        partial(_fit_sklearn_like, "sklearnex.ensemble"),
        _predict_matrix,
        "gini, or squared error",
    ),
    "lightgbm": (_fit_lightgbm, _predict_matrix, "boosting_type='rf'"),
    "xgboost": (_fit_xgboost, _predict_matrix, "XGBRF*"),
    "ydf": (_fit_ydf, _predict_ydf, ""),
}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Fit one library on prepared data in this process, and return the figures."""
    work = WORKS[request["work"]]
    if request["n_trees"]:
        work = Work(**{**vars(work), "n_trees": request["n_trees"]})
    with Path(request["path"]).open("rb") as file:
        data = pickle.load(file)
    fit, predict, _ = PEERS[request["peer"]]
    small = Work(**{**vars(work), "n_trees": 2})
    fit(small, measure.head(data), request["n_threads"])  # imports, pools
    baseline = measure.reset_peak_bytes()
    started = time.perf_counter()
    model = fit(work, data, request["n_threads"])
    seconds = time.perf_counter() - started
    peak = max(measure.peak_bytes() - baseline, 1)
    quality = measure.score(data, predict(model, data, data.X_test))
    return {"seconds": seconds, "peak": peak, **quality}


def run_child(request: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Answer a request in a process of its own."""
    n_threads = str(request["n_threads"])
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, n_threads)}
    command = [sys.executable, str(Path(__file__)), "--child", json.dumps(request)]
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True,
            timeout=timeout, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"failed": f"not done after {timeout:.0f} s"}
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def compare(name: str, peers: list[str], args: argparse.Namespace) -> None:
    """Print one work's table."""
    work = WORKS[name]
    rows: dict[str, list[dict[str, Any]]] = {peer: [] for peer in peers}
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="fasttree-forests-") as folder:
        path = Path(folder) / "data.pickle"
        with path.open("wb") as file:
            pickle.dump(work.load(), file, protocol=5)
        for _ in range(args.repeats):
            for peer in peers:
                if peer in failed:
                    continue
                request = {"work": name, "peer": peer, "path": str(path)}
                request |= {"n_threads": args.threads, "n_trees": args.trees}
                row = run_child(request, args.timeout)
                if "failed" in row:
                    failed[peer] = row["failed"]
                else:
                    rows[peer].append(row)
                    print(f"{name}: {peer} {row['seconds']:.4g} s", file=sys.stderr)
    n_trees = args.trees or work.n_trees
    print(f"### {name}: {work.about}; {n_trees} trees, {args.threads} threads\n")
    print("| library | wall s | ratio | peak MiB | ratio | quality |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    ours = rows["fasttree"]
    for peer, own in rows.items():
        if peer in failed or not own or not ours:
            print(f"| {peer} | {failed.get(peer, 'no figure')[:60]} | | | | |")
            continue
        pairs = list(zip(own, ours, strict=False))
        ratio = median(row["seconds"] / our["seconds"] for row, our in pairs)
        memory = median(row["peak"] / our["peak"] for row, our in pairs)
        seconds = median(row["seconds"] for row in own)
        peak = median(row["peak"] for row in own) / 2**20
        kinds = ("r2",) if "r2" in own[0] else ("accuracy", "log_loss")
        quality = ", ".join(f"{kind} {own[0][kind]:.4f}" for kind in kinds)
        print(
            f"| {peer} | {seconds:.4g} | {ratio:.2f} | {peak:.0f} | {memory:.2f} |"
            f" {quality} |"
        )
    print(flush=True)


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("works", nargs="*", help="default: all")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--peers", default="", help="besides scikit-learn: a,b,c")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--trees", type=int, default=0, help="instead of the work's")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--timeout", type=float, default=900.0)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(answer(json.loads(args.child))))
        return 0
    if args.list:
        for name, work in WORKS.items():
            print(f"{name:<16}{work.about}, {work.n_trees} trees")
        for peer, (_, _, note) in PEERS.items():
            print(f"{peer:<16}{note}")
        return 0
    print(describe_machine(), flush=True)
    peers = ["fasttree", "sklearn", *(p for p in args.peers.split(",") if p)]
    for name in args.works or WORKS:
        compare(name, peers, args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
