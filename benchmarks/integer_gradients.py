"""Compare integer gradients with float64 histograms: the same trees, else.

The float64 side is the NumPy reference of the tests, which differs from the kernels in
nothing but its sums. Scores are means over folds: log loss of two classes, and RMSE
divided by the deviation of the target; lower is better.

    python benchmarks/integer_gradients.py
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import numpy as np  # noqa: E402 - needs the path above
from sklearn import datasets as real  # noqa: E402
from sklearn.metrics import log_loss  # noqa: E402
from sklearn.model_selection import KFold  # noqa: E402

import reference_boosting  # noqa: E402
from benchmarks import datasets  # noqa: E402
from fasttree import (  # noqa: E402
    EncodedTable,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

TREES, LEAVES = 40, 15


def tasks() -> Iterator[tuple[str, Any, Any]]:
    """Yield the names, features and targets; bool targets are classes."""
    rng = np.random.default_rng(0)
    n = 8000
    data = datasets.synthetic_binary(n)
    yield "synthetic, two classes", data.X_train, data.y_train == 1
    data = datasets.synthetic_regression(n)
    X, y = data.X_train, data.y_train
    yield "synthetic, regression", X, y
    yield "the same, Cauchy noise", X, y + rng.standard_cauchy(len(y))
    yield "the same, log-normal (3)", X, np.exp(3 * (y - y.mean()) / y.std())
    yield "the same, Pareto (1.2) noise", X, y + rng.pareto(1.2, len(y))
    wild = y.copy()
    wild[:5] += 1e6
    yield "the same, five values of 1e6", X, wild
    yield "rare class (1 %)", X, y > np.quantile(y, 0.99)
    counts = rng.poisson(np.exp(np.clip(y / y.std(), -3, 3)))
    yield "counts", X, counts.astype(float)
    few = datasets.few_values(n)
    yield "skewed counts, two classes", few.X_train, few.y_train == 1
    for name in ("breast_cancer", "diabetes", "digits", "wine"):
        X, y = getattr(real, f"load_{name}")(return_X_y=True)
        yield name, X, y if name == "diabetes" else y == 1
    for i in (1, 2, 3):
        X, y = getattr(real, f"make_friedman{i}")(5000, noise=1.0, random_state=0)
        yield f"Friedman {i}", X, y


def scores(X: Any, y: Any) -> tuple[float, float]:
    """Return the mean scores with integers and with float64."""
    table = EncodedTable.from_data(np.asarray(X, np.float32), max_bins=255)
    codes = np.stack([column.codes.astype(int) for column in table.columns], axis=1)
    is_class = y.dtype == bool
    target = y.astype(float)
    out = []
    for train, test in KFold(4, shuffle=True, random_state=0).split(codes):
        options = {"max_iter": TREES, "max_leaf_nodes": LEAVES, "early_stopping": False}
        kind = GradientBoostingClassifier if is_class else GradientBoostingRegressor
        model = kind(**options).fit(table.take(train), target[train])
        reference = reference_boosting.Booster(
            [column.n_codes for column in table.columns],
            "log_loss" if is_class else "squared_error",
            trees=TREES,
            leaves=LEAVES,
        ).fit(codes[train], target[train])
        if is_class:
            ours = model.predict_proba(table.take(test))[:, 1]
            theirs = 1 / (1 + np.exp(-reference.decision_function(codes[test])))
            out.append([log_loss(y[test], p) for p in (ours, theirs)])
        else:
            ours = model.predict(table.take(test))
            theirs = reference.decision_function(codes[test])
            out.append(
                [
                    np.sqrt(np.mean((p - target[test]) ** 2)) / target.std()
                    for p in (ours, theirs)
                ]
            )
    first, second = np.mean(out, axis=0)
    return float(first), float(second)


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    print("| data | integers | float64 | change |\n| --- | ---: | ---: | ---: |")
    changes = []
    for name, X, y in tasks():
        ours, theirs = scores(X, y)
        changes.append(100 * (ours / theirs - 1))
        print(f"| {name} | {ours:.5f} | {theirs:.5f} | {changes[-1]:+.3f} % |")
    print(f"\nmean change {np.mean(changes):+.3f} %")


if __name__ == "__main__":
    main()
