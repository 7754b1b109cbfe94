"""How the time of a fit grows with rows, features, classes and distinct values.

Each sweep changes one of them and leaves the others; fasttree and scikit-learn fit
in turn, on one thread, in one process. Peers that would take longer than the budget
(by the last point's time, grown linearly) are left out from there on.

    python benchmarks/scaling.py                  # prints the tables
    python benchmarks/scaling.py --plot FILE.svg  # and draws them
    python benchmarks/scaling.py --smoke          # small sizes, for tests
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

BUDGET = 40.0  # seconds that a fit may take


@dataclass(frozen=True)
class Sweep:
    """One sweep: what changes, its values, and the data for a value."""

    name: str
    fixed: str
    values: tuple[int, ...]
    small: tuple[int, ...]
    make: Callable[[int], tuple[NDArray[Any], NDArray[Any]]]


def make_table(
    n_rows: int, n_features: int, n_classes: int = 2, n_distinct: int | None = None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return a table whose classes follow eight features and noise."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, n_features)).astype(np.float32)
    if n_distinct is not None:
        # Even ranks, so that every value is met about as often.
        X = (X.argsort(axis=0).argsort(axis=0) * n_distinct // n_rows).astype(
            np.float32
        )
    informative = X[:, :8] - X[:, :8].mean(axis=0)
    score = informative.sum(axis=1) + rng.normal(size=n_rows) * informative.std()
    ranks = score.argsort().argsort()
    return X, ranks * n_classes // n_rows


SWEEPS = (
    Sweep(
        "rows",
        "10 float32 features, 2 classes",
        (1_000, 4_000, 16_000, 64_000, 250_000, 1_000_000, 2_000_000),
        (200, 400),
        lambda n: make_table(n, 10),
    ),
    Sweep(
        "features",
        "5,000 rows, 2 classes",
        (2, 8, 32, 128, 512, 2_000),
        (2, 4),
        lambda n: make_table(5_000, n),
    ),
    Sweep(
        "classes",
        "20,000 rows, 10 features",
        (2, 4, 8, 16, 32, 64, 150, 450),
        (2, 3),
        lambda n: make_table(20_000, 10, n_classes=n),
    ),
    Sweep(
        "distinct values",
        "100,000 rows, 10 features, 2 classes",
        (2, 4, 16, 64, 250, 260, 1_000, 10_000, 100_000),
        (2, 4),
        lambda n: make_table(100_000, 10, n_distinct=n),
    ),
)


def _estimators() -> dict[str, Callable[[], Any]]:
    from sklearn.tree import DecisionTreeClassifier as PeerTree

    from fasttree import DecisionTreeClassifier

    common = {"criterion": "entropy", "random_state": 0}
    return {
        "fasttree": lambda: DecisionTreeClassifier(**common, n_jobs=1),
        "fasttree, 255 bins": lambda: DecisionTreeClassifier(
            **common, max_bins=255, n_jobs=1
        ),
        "scikit-learn": lambda: PeerTree(**common),
    }


def seconds_of(make: Callable[[], Any], X: NDArray[Any], y: NDArray[Any]) -> float:
    """Return the seconds of the fastest of some fits, fewer of long ones."""
    best, spent = np.inf, 0.0
    while spent < 0.3:
        start = time.perf_counter()
        make().fit(X, y)
        seconds = time.perf_counter() - start
        best, spent = min(best, seconds), spent + seconds
    return best


def run_sweep(sweep: Sweep, values: tuple[int, ...]) -> dict[str, list[float | None]]:
    """Return the seconds of each estimator at each value, None where left out."""
    estimators = _estimators()
    seconds: dict[str, list[float | None]] = {name: [] for name in estimators}
    for i, value in enumerate(values):
        X, y = sweep.make(value)
        for name, make in estimators.items():
            before = seconds[name][-1] if i else 0.0
            growth = value / values[i - 1] if i else 1.0
            if before is None or before * growth > BUDGET:
                seconds[name].append(None)
            else:
                seconds[name].append(seconds_of(make, X, y))
    return seconds


def print_table(sweep: Sweep, values: tuple[int, ...], seconds: dict[str, Any]) -> None:
    """Print one sweep as a Markdown table."""
    print(f"\n{sweep.name.capitalize()} ({sweep.fixed}); seconds\n")
    print(f"| {sweep.name} | {' | '.join(seconds)} | ratio |")
    print("| ---: |" + " ---: |" * (len(seconds) + 1))
    for i, value in enumerate(values):
        cells = ["-" if s[i] is None else f"{s[i]:.4g}" for s in seconds.values()]
        own, peer = seconds["fasttree"][i], seconds["scikit-learn"][i]
        ratio = "-" if own is None or peer is None else f"{peer / own:.1f}"
        print(f"| {value:,} | {' | '.join(cells)} | {ratio} |", flush=True)


def plot(
    results: list[tuple[Sweep, tuple[int, ...], dict[str, Any]]], path: str
) -> None:
    """Draw the sweeps side by side on logarithmic axes."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams["svg.hashsalt"] = "fasttree"
    figure, axes = plt.subplots(2, 2, figsize=(10, 7), layout="constrained")
    for axis, (sweep, values, seconds) in zip(axes.flat, results, strict=True):
        for (name, times), style in zip(
            seconds.items(), ("-o", "--o", "-s"), strict=True
        ):
            known = [
                (v, t) for v, t in zip(values, times, strict=True) if t is not None
            ]
            axis.loglog(*zip(*known, strict=True), style, label=name, markersize=4)
        axis.set(xlabel=sweep.name, ylabel="seconds", title=sweep.fixed)
        axis.grid(visible=True, alpha=0.3)
    axes.flat[0].legend()
    figure.savefig(path, metadata={"Date": None})


def main(arguments: list[str] | None = None) -> None:
    """Run the sweeps that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--smoke", action="store_true", help="small sizes")
    parser.add_argument("--plot", metavar="FILE", help="draw the sweeps too")
    options = parser.parse_args(arguments)
    results = []
    for sweep in SWEEPS:
        values = sweep.small if options.smoke else sweep.values
        seconds = run_sweep(sweep, values)
        print_table(sweep, values, seconds)
        results.append((sweep, values, seconds))
    if options.plot:
        plot(results, options.plot)


if __name__ == "__main__":
    main()
