"""Compare fasttree's boosting with its peers: seconds of a fit, and quality.

The peers take turns in one process, with the same number of threads, and medians are
printed; a fit is everything from the frame or array to the model. LightGBM runs
row-wise, column-wise and with quantized gradients. All have the same number of trees
and leaves, learning rate 0.1, lambda 1, and 20 rows in a leaf where they count rows.

Each round is a draw of its own: generated data from another seed, real rows divided
anew into those to train on and those to test with. Scores of test rows are means over
the draws, and differences from fasttree's stand with their standard errors. The exit
status is 1 if fasttree's are worse than a peer's by more than 0.001 of AUC, 0.3 % of
log loss or RMSE, or 0.003 of NDCG, and where there are several draws with 97.5 %
confidence (Student's t).

    python benchmarks/boosting.py --list
    python benchmarks/boosting.py --workload binary-1m --threads 2 --draws 3
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
import pandas as pd  # noqa: E402
import scipy.sparse  # noqa: E402
import scipy.stats  # noqa: E402
from threadpoolctl import threadpool_limits  # noqa: E402

from benchmarks import datasets, peers  # noqa: E402

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
    """One row of the table; `load` takes a seed, or nothing where rows are real."""

    about: str
    load: Callable[..., Any]
    task: str = "binary"
    trees: int = 100
    leaves: int = 31
    draws: int = 3
    leave_out: tuple[str, ...] = field(default=())
    is_real: bool = False

    def draw(self, number: int) -> datasets.Dataset:
        """Return the data of a round."""
        if not self.is_real:
            return self.load(seed=number)
        data = self.load()
        if number == 0:
            return data
        # The test rows of the loader stay as many.
        X = pd.concat([data.X_train, data.X_test], ignore_index=True)
        y = np.concatenate([data.y_train, data.y_test])
        order = np.random.default_rng(number).permutation(len(y))
        train, test = np.split(order, [len(data.y_train)])
        return replace(
            data,
            X_train=X.iloc[train].reset_index(drop=True),
            y_train=y[train],
            X_test=X.iloc[test].reset_index(drop=True),
            y_test=y[test],
        )


def ranking(
    n_queries: int, n_rows: int, n_features: int, seed: int = 0
) -> datasets.Dataset:
    """Return documents whose grades depend on some features and on their query."""
    rng = np.random.default_rng(seed)
    n = n_queries * n_rows
    X = rng.standard_normal((n, n_features), dtype=np.float32)
    score = X[:, 0] + X[:, 1] * X[:, 2] + np.sin(2 * X[:, 3]) + np.abs(X[:, 4])
    score += np.repeat(rng.standard_normal(n_queries), n_rows)
    score += rng.standard_normal(n)
    y = np.digitize(score, np.quantile(score, [0.6, 0.8, 0.92, 0.98])).astype(float)
    cut = n_queries * 4 // 5 * n_rows
    return datasets.Dataset(X[:cut], y[:cut], X[cut:], y[cut:], "regression")


def wide(n_rows: int, n_features: int, seed: int = 0) -> datasets.Dataset:
    """Return normal columns of which the first thirty matter."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_rows * 5 // 4, n_features), dtype=np.float32)
    score = X[:, :30] @ rng.standard_normal(30).astype(np.float32) + X[:, 0] * X[:, 1]
    y = (score + 2 * rng.standard_normal(len(X)) > 0).astype(np.int64)
    return datasets.Dataset(
        X[:n_rows], y[:n_rows], X[n_rows:], y[n_rows:], "classification"
    )


def one_hot(n_rows: int, seed: int = 0) -> datasets.Dataset:
    """Return twenty categories of fifty values each as columns of 0 and 1."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 50, (n_rows * 5 // 4, 20))
    effects = rng.standard_normal((20, 50))
    score = effects[np.arange(20), codes].sum(axis=1)
    X = (codes[:, :, None] == np.arange(50)).reshape(len(codes), 1000)
    y = (score + rng.standard_normal(len(codes)) > 0).astype(np.int64)
    X = X.astype(np.float32)
    return datasets.Dataset(
        X[:n_rows], y[:n_rows], X[n_rows:], y[n_rows:], "classification"
    )


def sparse(n_rows: int, n_features: int, seed: int = 0) -> datasets.Dataset:
    """Return CSR rows of some twenty positive values each, as counts of words."""
    rng = np.random.default_rng(seed)
    total = n_rows * 5 // 4
    X = scipy.sparse.random_array(
        (total, n_features), density=20 / n_features, rng=rng, dtype=np.float32
    ).tocsr()
    X.data = np.ceil(4 * X.data**4)
    effects = rng.standard_normal(n_features)
    score = X @ effects
    y = (score + rng.standard_normal(total) * score.std() > 0).astype(np.int64)
    return datasets.Dataset(
        X[:n_rows], y[:n_rows], X[n_rows:], y[n_rows:], "classification"
    )


def words(n_rows: int, n_features: int, seed: int = 0) -> datasets.Dataset:
    """Return CSR rows of forty weights, as of words: some columns are frequent."""
    rng = np.random.default_rng(seed)
    total, per_row = n_rows * 5 // 4, 40
    chance = 1 / np.arange(1, n_features + 1) ** 0.8
    columns = rng.choice(n_features, total * per_row, p=chance / chance.sum())
    rows = np.repeat(np.arange(total), per_row)
    weights = rng.random(total * per_row, dtype=np.float32)
    X = scipy.sparse.csr_array((weights, (rows, columns)), (total, n_features))
    X.sum_duplicates()
    score = X @ rng.standard_normal(n_features)
    y = (score + rng.standard_normal(total) * score.std() > 0).astype(np.int64)
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
        draws=1,
    ),
    "binary-200k": Job("200,000 x 28, two classes", partial(_binary, 200_000)),
    "binary-200k-500": Job(
        "200,000 x 28, 500 trees of 63 leaves",
        partial(_binary, 200_000),
        trees=500,
        leaves=63,
        draws=1,
    ),
    "regression-200k": Job(
        "200,000 x 28, squared error",
        partial(datasets.synthetic_regression, 200_000),
        task="regression",
    ),
    "flights": Job(
        "261,807 x 26 real flights, missing values, categories",
        datasets.flights,
        is_real=True,
    ),
    "flights-delay": Job(
        "261,807 x 26 real flights, minutes of delay",
        datasets.flight_delays,
        task="regression",
        is_real=True,
    ),
    "binary-50k": Job("50,000 x 28, two classes", partial(_binary, 50_000), draws=5),
    "binary-20k": Job("20,000 x 28, two classes", partial(_binary, 20_000), draws=5),
    "binary-1k": Job("1,000 x 20, two classes", partial(_binary, 1_000, 20), draws=25),
    "covtype-like": Job(
        "400,000 x 54, seven classes",
        partial(datasets.covtype_like, 400_000),
        task="multiclass",
        trees=20,
        draws=1,
    ),
    "ranking": Job(
        "4,000 queries x 40 documents x 50 columns, LambdaMART",
        partial(ranking, 5_000, 40, 50),
        task="ranking",
        leave_out=("hgb", "ydf"),
    ),
    "wide": Job("20,000 x 2,000, two classes", partial(wide, 20_000, 2_000), draws=1),
    "one-hot": Job(
        "100,000 x 1,000 columns of 0 and 1", partial(one_hot, 100_000), draws=1
    ),
    "sparse": Job(
        "100,000 x 2,000 in CSR, 1 % of the values",
        partial(sparse, 100_000, 2_000),
        draws=1,
        leave_out=("hgb", "ydf"),
    ),
    "words": Job(
        "50,000 x 2,000 in CSR, forty weights a row, all different",
        partial(words, 50_000, 2_000),
        draws=1,
        leave_out=("hgb", "ydf"),
    ),
}


def fit(
    peer: str, job: Job, data: datasets.Dataset, n_threads: int, **changes: Any
) -> Any:
    """Fit a peer's model with the job's number of trees and leaves.

    `changes` are parameters of the peer's own, which YDF is not given.
    """
    X, y = data.X_train, data.y_train
    group = np.full(len(y) // 40, 40)
    if peer == "fasttree":
        import fasttree

        options = {
            "max_iter": job.trees,
            "max_leaf_nodes": job.leaves,
            "l2_regularization": 1.0,
            "early_stopping": False,
            "n_jobs": n_threads,
            **changes,
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
            reg_lambda=1.0,
            n_jobs=n_threads,
            verbose=-1,
            force_row_wise=peer != "lightgbm-col",
            force_col_wise=peer == "lightgbm-col",
            use_quantized_grad=peer == "lightgbm-quant",
            **changes,
        )
        extra = {"group": group} if job.task == "ranking" else {}
        return model.fit(X, y.astype(int) if job.task == "ranking" else y, **extra)
    if peer == "xgboost":
        import xgboost

        kind = {"regression": "Regressor", "ranking": "Ranker"}.get(
            job.task, "Classifier"
        )
        options = {"objective": "rank:ndcg"} if job.task == "ranking" else {}
        options |= changes
        model = getattr(xgboost, f"XGB{kind}")(
            n_estimators=job.trees,
            max_leaves=job.leaves,
            max_depth=0,
            grow_policy="lossguide",
            learning_rate=0.1,
            reg_lambda=1.0,
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
            max_iter=job.trees,
            max_leaf_nodes=job.leaves,
            l2_regularization=1.0,
            early_stopping=False,
            # Categories of a frame are categories.
            categorical_features="from_dtype",
            **changes,
        )
        with threadpool_limits(n_threads):
            return model.fit(X, y)
    return _fit_ydf(job, X, y, n_threads)


def _fit_ydf(job: Job, X: Any, y: Any, n_threads: int) -> Any:
    import ydf

    ydf.verbose(0)
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
        l2_regularization=1.0,
        validation_ratio=0.0,
        early_stopping="NONE",
        discretize_numerical_columns=True,
        num_threads=n_threads,
    ).train({**peers.ydf_columns(X), "label": y})


def quality(
    peer: str, job: Job, data: datasets.Dataset, model: Any
) -> dict[str, float]:
    """Return scores of the test rows by their names."""
    from sklearn.metrics import log_loss, roc_auc_score, root_mean_squared_error

    X, y = data.X_test, data.y_test
    if peer == "ydf":
        X = peers.ydf_columns(X)
    if job.task == "regression":
        return {"RMSE": root_mean_squared_error(y, model.predict(X))}
    if job.task == "ranking":
        from fasttree.ensembles.losses import mean_ndcg

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


def is_worse(name: str, ours: list[float], theirs: list[float]) -> bool:
    """Whether scores are worse than a peer's by more than counts as equal."""
    change = np.subtract(ours, theirs)
    if name == "AUC":
        change, margin = -change, 0.001
    elif name == "NDCG@10":
        change, margin = -change, 0.003
    else:
        margin = 0.003 * float(np.mean(theirs))
    doubt = 0.0
    if len(change) > 1:
        doubt = scipy.stats.t.ppf(0.975, len(change) - 1) * standard_error(change)
    return float(np.mean(change)) > max(margin, doubt)


def standard_error(values: Any) -> float:
    """Return that of the mean of some values, 0 of one."""
    n = len(values)
    return float(np.std(values, ddof=1) / np.sqrt(n)) if n > 1 else 0.0


@dataclass
class Result:
    """What the rounds of a workload gave, by peer."""

    seconds: dict[str, list[float]]
    scores: dict[str, list[dict[str, float]]]

    def of(self, peer: str, measure: str) -> list[float]:
        """Return a measure of each draw."""
        return [scores[measure] for scores in self.scores[peer]]

    def ratio(self, peer: str) -> float:
        """Return a peer's seconds over fasttree's."""
        return median(self.seconds[peer]) / median(self.seconds["fasttree"])

    def cell(self, peer: str, measure: str) -> str:
        """Return the mean, and how far it is from fasttree's."""
        ours, theirs = self.of("fasttree", measure), self.of(peer, measure)
        text = f"{np.mean(theirs):.4f}"
        if peer == "fasttree":
            return text
        change = np.subtract(theirs, ours)
        error = standard_error(change)
        return f"{text} ({np.mean(change):+.4f}{f' ± {error:.4f}' if error else ''})"


def compare(name: str, names: list[str], n_threads: int, job: Job) -> bool:
    """Print one workload's table, and return whether quality is equal."""
    names = [peer for peer in names if peer not in job.leave_out]
    result = run(job, names, n_threads)
    print(f"### {name}\n\n{job.about}; {job.trees} trees of {job.leaves} leaves, ")
    print(
        f"{n_threads} thread{'s' if n_threads > 1 else ''}, {job.draws} "
        f"draw{'s' if job.draws > 1 else ''}\n"
    )
    measures = list(result.scores["fasttree"][0])
    print(f"| peer | seconds | {' | '.join(measures)} | ratio |")
    print("| --- |" + " ---: |" * (len(measures) + 2))
    for peer in result.seconds:
        cells = [result.cell(peer, measure) for measure in measures]
        seconds = median(result.seconds[peer])
        print(
            f"| {peer} | {seconds:.3f} | {' | '.join(cells)} | "
            f"{result.ratio(peer):.2f} |"
        )
    rivals = [peer for peer in result.seconds if peer != "fasttree"]
    worse = [
        f"{measure} is worse than {peer}'s"
        for peer in rivals
        for measure in measures
        if is_worse(measure, result.of("fasttree", measure), result.of(peer, measure))
    ]
    if rivals:
        best = min(result.ratio(peer) for peer in rivals)
        print(f"\nagainst the fastest peer: {best:.2f}")
        print(f"quality: {'; '.join(worse) or 'equal or better'}\n", flush=True)
    return not worse


def run(job: Job, names: list[str], n_threads: int) -> Result:
    """Let the peers take turns; one that fails is left out."""
    result = Result({peer: [] for peer in names}, {peer: [] for peer in names})
    for number in range(job.draws):
        data = job.draw(number)
        if number == 0:
            # Imports and first calls are no part of a fit.
            X = data.X_train
            head = X.iloc[:400] if hasattr(X, "iloc") else X[:400]
            few = replace(data, X_train=head, y_train=data.y_train[:400])
            for peer in names:
                with contextlib.suppress(Exception):
                    fit(peer, replace(job, trees=2), few, n_threads)
        for peer in list(result.seconds):
            gc.collect()
            start = time.perf_counter()
            try:
                model = fit(peer, job, data, n_threads)
            except Exception as error:
                if peer == "fasttree":
                    raise
                # A peer's failure is a result.
                print(f"- {peer} failed: {str(error).splitlines()[0]}", file=sys.stderr)
                del result.seconds[peer]
                continue
            result.seconds[peer].append(time.perf_counter() - start)
            result.scores[peer].append(quality(peer, job, data, model))
            del model
    return result


def compare_encoding(n_threads: int) -> None:
    """Print what encoding alone takes, beside LightGBM's Dataset."""
    import lightgbm

    from fasttree import EncodedTable

    data = JOBS["binary-1m"].draw(0)
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
    parser.add_argument("--draws", type=int, help="rounds, each of other data")
    parser.add_argument("--trees", type=int, help="fewer or more for all peers")
    args = parser.parse_args(argv)
    if args.list:
        for name, job in JOBS.items():
            print(f"{name:<20}{job.about}")
        return 0
    names = list(dict.fromkeys(["fasttree", *args.peers.split(",")]))
    warnings.simplefilter("ignore")
    equal = True
    for name in args.workload or [*JOBS, "encoding"]:
        if name == "encoding":
            compare_encoding(args.threads)
            continue
        job = JOBS[name]
        job = replace(job, draws=args.draws or job.draws, trees=args.trees or job.trees)
        equal &= compare(name, names, args.threads, job)
    return 0 if equal else 1


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.exit(main())
