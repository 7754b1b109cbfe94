"""Compare fasttree's boosting with its peers: seconds of a fit, and quality.

The peers take turns in one process, with the same number of threads, and medians are
printed; a fit is everything from the frame or array to the model. LightGBM runs
row-wise, column-wise and with quantized gradients. Scores of test rows stand beside the
seconds; the exit status is 1 if fasttree's are worse than a peer's by more than 0.001
of AUC, 0.3 % of log loss or RMSE, or 0.003 of NDCG.

    python benchmarks/boosting.py --list
    python benchmarks/boosting.py --workload binary-1m --threads 2
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import sys
import time
import warnings
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
if not __package__:  # run as a script
    sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402 - needs the path above
from threadpoolctl import threadpool_limits  # noqa: E402

from benchmarks import datasets  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

PEERS = (
    "fasttree",
    "lightgbm-row",
    "lightgbm-col",
    "lightgbm-quant",
    "xgboost",
    "hgb",
    "ydf",
)


@dataclass(frozen=True)
class Job:
    """One row of the table."""

    about: str
    load: Callable[[], Any]
    task: str = "binary"
    trees: int = 100
    leaves: int = 31
    repeats: int = 3
    leave_out: tuple[str, ...] = field(default=())


def ranking(n_queries: int, n_rows: int, n_features: int) -> datasets.Dataset:
    """Return documents whose grades depend on some features and on their query."""
    rng = np.random.default_rng(0)
    n = n_queries * n_rows
    X = rng.standard_normal((n, n_features), dtype=np.float32)
    score = X[:, 0] + X[:, 1] * X[:, 2] + np.sin(2 * X[:, 3]) + np.abs(X[:, 4])
    score += np.repeat(rng.standard_normal(n_queries), n_rows)
    score += rng.standard_normal(n)
    y = np.digitize(score, np.quantile(score, [0.6, 0.8, 0.92, 0.98])).astype(float)
    cut = n_queries * 4 // 5 * n_rows
    return datasets.Dataset(X[:cut], y[:cut], X[cut:], y[cut:], "regression")


def wide(n_rows: int, n_features: int) -> datasets.Dataset:
    """Return normal columns of which the first thirty matter."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows * 5 // 4, n_features), dtype=np.float32)
    score = X[:, :30] @ rng.standard_normal(30).astype(np.float32) + X[:, 0] * X[:, 1]
    y = (score + 2 * rng.standard_normal(len(X)) > 0).astype(np.int64)
    return datasets.Dataset(
        X[:n_rows], y[:n_rows], X[n_rows:], y[n_rows:], "classification"
    )


def one_hot(n_rows: int) -> datasets.Dataset:
    """Return twenty categories of fifty values each as columns of 0 and 1."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 50, (n_rows * 5 // 4, 20))
    effects = rng.standard_normal((20, 50))
    score = effects[np.arange(20), codes].sum(axis=1)
    X = (codes[:, :, None] == np.arange(50)).reshape(len(codes), 1000)
    y = (score + rng.standard_normal(len(codes)) > 0).astype(np.int64)
    X = X.astype(np.float32)
    return datasets.Dataset(
        X[:n_rows], y[:n_rows], X[n_rows:], y[n_rows:], "classification"
    )


_binary = datasets.synthetic_binary
JOBS = {
    "binary-1m": Job("1,000,000 x 28, two classes", partial(_binary, 1_000_000)),
    "binary-1m-255": Job(
        "1,000,000 x 28, two classes, 255 leaves",
        partial(_binary, 1_000_000),
        leaves=255,
        repeats=1,
    ),
    "binary-200k": Job("200,000 x 28, two classes", partial(_binary, 200_000)),
    "binary-200k-500": Job(
        "200,000 x 28, 500 trees of 63 leaves",
        partial(_binary, 200_000),
        trees=500,
        leaves=63,
        repeats=1,
    ),
    "regression-200k": Job(
        "200,000 x 28, squared error",
        partial(datasets.synthetic_regression, 200_000),
        task="regression",
    ),
    "flights": Job(
        "261,807 x 26 real flights, missing values, categories",
        datasets.flights,
        leave_out=("ydf",),
    ),
    "flights-delay": Job(
        "261,807 x 26 real flights, minutes of delay",
        datasets.flight_delays,
        task="regression",
        leave_out=("ydf",),
    ),
    "binary-20k": Job("20,000 x 28, two classes", partial(_binary, 20_000), repeats=5),
    "binary-1k": Job("1,000 x 20, two classes", partial(_binary, 1_000, 20), repeats=7),
    "covtype-like": Job(
        "400,000 x 54, seven classes",
        partial(datasets.covtype_like, 400_000),
        task="multiclass",
        repeats=1,
    ),
    "ranking": Job(
        "4,000 queries x 40 documents x 50 columns, LambdaMART",
        partial(ranking, 5_000, 40, 50),
        task="ranking",
        leave_out=("hgb", "ydf"),
    ),
    "wide": Job("20,000 x 2,000, two classes", partial(wide, 20_000, 2_000), repeats=1),
    "one-hot": Job(
        "100,000 x 1,000 columns of 0 and 1", partial(one_hot, 100_000), repeats=1
    ),
}


def fit(peer: str, job: Job, data: datasets.Dataset, n_threads: int) -> Any:
    """Fit a peer's model with the job's number of trees and leaves."""
    X, y = data.X_train, data.y_train
    group = np.full(len(y) // 40, 40)
    if peer == "fasttree":
        import fasttree

        options = {
            "max_iter": job.trees,
            "max_leaf_nodes": job.leaves,
            "early_stopping": False,
            "n_jobs": n_threads,
        }
        if job.task == "ranking":
            model = fasttree.GradientBoostingRanker(**options)
            return model.fit(X, y, qid=np.repeat(np.arange(len(group)), 40))
        kind = "Regressor" if job.task == "regression" else "Classifier"
        return getattr(fasttree, f"GradientBoosting{kind}")(**options).fit(X, y)
    if peer.startswith("lightgbm"):
        import lightgbm

        kind = {"regression": "Regressor", "ranking": "Ranker"}.get(
            job.task, "Classifier"
        )
        model = getattr(lightgbm, f"LGBM{kind}")(
            n_estimators=job.trees,
            num_leaves=job.leaves,
            n_jobs=n_threads,
            verbose=-1,
            force_row_wise=peer != "lightgbm-col",
            force_col_wise=peer == "lightgbm-col",
            use_quantized_grad=peer == "lightgbm-quant",
        )
        extra = {"group": group} if job.task == "ranking" else {}
        return model.fit(X, y.astype(int) if job.task == "ranking" else y, **extra)
    if peer == "xgboost":
        import xgboost

        kind = {"regression": "Regressor", "ranking": "Ranker"}.get(
            job.task, "Classifier"
        )
        options = {"objective": "rank:ndcg"} if job.task == "ranking" else {}
        model = getattr(xgboost, f"XGB{kind}")(
            n_estimators=job.trees,
            max_leaves=job.leaves,
            max_depth=0,
            grow_policy="lossguide",
            learning_rate=0.1,
            tree_method="hist",
            n_jobs=n_threads,
            enable_categorical=True,
            **options,
        )
        extra = {"group": group} if job.task == "ranking" else {}
        return model.fit(X, y, **extra)
    if peer == "hgb":
        from sklearn import ensemble

        kind = "Regressor" if job.task == "regression" else "Classifier"
        model = getattr(ensemble, f"HistGradientBoosting{kind}")(
            max_iter=job.trees, max_leaf_nodes=job.leaves, early_stopping=False
        )
        with threadpool_limits(n_threads):
            return model.fit(X, y)
    return _fit_ydf(job, X, y, n_threads)


def _fit_ydf(job: Job, X: Any, y: Any, n_threads: int) -> Any:
    import ydf

    ydf.verbose(0)
    columns = {f"f{i}": np.ascontiguousarray(X[:, i]) for i in range(X.shape[1])}
    return ydf.GradientBoostedTreesLearner(
        label="label",
        task=ydf.Task.REGRESSION
        if job.task == "regression"
        else ydf.Task.CLASSIFICATION,
        num_trees=job.trees,
        growing_strategy="BEST_FIRST_GLOBAL",
        max_num_nodes=job.leaves,
        max_depth=-1,
        min_examples=20,
        shrinkage=0.1,
        validation_ratio=0.0,
        early_stopping="NONE",
        discretize_numerical_columns=True,
        num_threads=n_threads,
    ).train({**columns, "label": y})


def quality(
    peer: str, job: Job, data: datasets.Dataset, model: Any
) -> dict[str, float]:
    """Return scores of the test rows by their names."""
    from sklearn.metrics import log_loss, roc_auc_score, root_mean_squared_error

    X, y = data.X_test, data.y_test
    if peer == "ydf":
        X = {f"f{i}": np.ascontiguousarray(X[:, i]) for i in range(X.shape[1])}
    if job.task == "regression":
        return {"RMSE": root_mean_squared_error(y, model.predict(X))}
    if job.task == "ranking":
        from fasttree.losses import mean_ndcg

        start = np.arange(0, len(y) + 1, 40)
        return {"NDCG@10": mean_ndcg(start, y, np.asarray(model.predict(X)), 10)}
    if peer == "ydf":
        scores = np.asarray(model.predict(X))
        if scores.ndim == 1:
            scores = np.stack([1 - scores, scores], axis=1)
        scores = scores[:, np.argsort([int(label) for label in model.label_classes()])]
    else:
        scores = model.predict_proba(X)
    found = {"log loss": log_loss(y, scores)}
    if job.task == "binary":
        found["AUC"] = roc_auc_score(y, scores[:, 1])
    return found


def is_worse(name: str, ours: float, theirs: float) -> bool:
    """Whether a score is worse than a peer's by more than counts as equal."""
    if name == "AUC":
        return ours < theirs - 0.001
    if name == "NDCG@10":
        return ours < theirs - 0.003
    return ours > theirs * 1.003


def compare(name: str, peers: list[str], n_threads: int, repeats: int | None) -> bool:
    """Print one workload's table, and return whether quality is equal."""
    job = JOBS[name]
    data = job.load()
    peers = [peer for peer in peers if peer not in job.leave_out]
    seconds: dict[str, list[float]] = {peer: [] for peer in peers}
    scores: dict[str, dict[str, float]] = {}
    # Imports and first calls are no part of a fit.
    head = data.X_train.iloc if hasattr(data.X_train, "iloc") else data.X_train
    few = datasets.Dataset(head[:400], data.y_train[:400], None, None, data.task)
    for peer in peers:
        with contextlib.suppress(Exception):
            fit(peer, replace(job, trees=2), few, n_threads)
    for _ in range(repeats or job.repeats):
        for peer in list(peers):
            gc.collect()
            start = time.perf_counter()
            try:
                model = fit(peer, job, data, n_threads)
            except Exception as error:  # noqa: BLE001 - a peer's failure is a result
                print(f"- {peer} failed: {str(error).splitlines()[0]}", file=sys.stderr)
                peers.remove(peer)
                continue
            seconds[peer].append(time.perf_counter() - start)
            if peer not in scores:
                scores[peer] = quality(peer, job, data, model)
            del model
    print(f"### {name}\n\n{job.about}; {job.trees} trees of {job.leaves} leaves, ")
    print(f"{n_threads} thread{'s' if n_threads > 1 else ''}\n")
    measures = list(scores["fasttree"])
    print(f"| peer | seconds | {' | '.join(measures)} | ratio |")
    print("| --- |" + " ---: |" * (len(measures) + 2))
    ours = median(seconds["fasttree"])
    for peer in peers:
        taken = median(seconds[peer])
        cells = [f"{scores[peer][measure]:.4f}" for measure in measures]
        print(f"| {peer} | {taken:.3f} | {' | '.join(cells)} | {taken / ours:.2f} |")
    rivals = [peer for peer in peers if peer != "fasttree"]
    worse = [
        f"{measure} is worse than {peer}'s"
        for peer in rivals
        for measure in measures
        if is_worse(measure, scores["fasttree"][measure], scores[peer][measure])
    ]
    if rivals:
        best = min(median(seconds[peer]) for peer in rivals)
        print(f"\nagainst the fastest peer: {best / ours:.2f}")
        print(f"quality: {'; '.join(worse) or 'equal or better'}\n", flush=True)
    return not worse


def compare_encoding(n_threads: int) -> None:
    """Print what encoding alone takes, beside LightGBM's Dataset."""
    import lightgbm

    from fasttree import EncodedTable

    data = JOBS["binary-1m"].load()
    times: dict[str, list[float]] = {"fasttree": [], "lightgbm": []}
    for _ in range(3):
        start = time.perf_counter()
        EncodedTable.from_data(data.X_train, max_bins=255, n_jobs=n_threads)
        times["fasttree"].append(time.perf_counter() - start)
        start = time.perf_counter()
        options = {"num_threads": n_threads, "verbose": -1}
        lightgbm.Dataset(data.X_train, data.y_train, params=options).construct()
        times["lightgbm"].append(time.perf_counter() - start)
    ours, theirs = median(times["fasttree"]), median(times["lightgbm"])
    print(f"### encoding\n\n1,000,000 x 28 float32: fasttree {ours:.3f} s, LightGBM's ")
    print(f"Dataset {theirs:.3f} s, ratio {theirs / ours:.1f}\n", flush=True)


def main(argv: list[str] | None = None) -> int:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--workload", action="append", choices=[*JOBS, "encoding"])
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int)
    args = parser.parse_args(argv)
    if args.list:
        for name, job in JOBS.items():
            print(f"{name:<20}{job.about}")
        return 0
    peers = list(dict.fromkeys(["fasttree", *args.peers.split(",")]))
    warnings.simplefilter("ignore")
    equal = True
    for name in args.workload or [*JOBS, "encoding"]:
        if name == "encoding":
            compare_encoding(args.threads)
        else:
            equal &= compare(name, peers, args.threads, args.repeats)
    return 0 if equal else 1


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.exit(main())
