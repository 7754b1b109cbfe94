"""How the time of a boosting fit grows with rows, features and leaves.

Each sweep changes one of them and leaves the others: fasttree on one and on two
threads and LightGBM (quantized, row-wise) on one fit 20 trees in turn. Fits that would
take longer than the budget (by the last point's time, grown linearly) are left out.

    python benchmarks/boosting_scaling.py                  # prints the tables
    python benchmarks/boosting_scaling.py --plot FILE.svg  # and draws them
    python benchmarks/boosting_scaling.py --smoke          # small sizes, for tests
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
if not __package__:  # run as a script
    sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402 - needs the path above

from benchmarks.scaling import make_table  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

BUDGET = 10.0  # seconds that a fit may take
TREES = 20
BASE = {"rows": 100_000, "features": 10, "leaves": 31}
SWEEPS = {
    "rows": (10_000, 40_000, 160_000, 640_000, 2_000_000, 4_000_000),
    "features": (10, 30, 100, 300, 1_000, 2_000),
    "leaves": (15, 31, 63, 127, 255, 511, 1_023),
}
# Sweeps that would be too large with the others' rows.
ROWS = {"features": 20_000}


def fit_fasttree(X: Any, y: Any, leaves: int, n_threads: int) -> None:
    """Fit fasttree's trees."""
    from fasttree import GradientBoostingClassifier

    GradientBoostingClassifier(
        max_iter=TREES, max_leaf_nodes=leaves, early_stopping=False, n_jobs=n_threads
    ).fit(X, y)


def fit_lightgbm(X: Any, y: Any, leaves: int, n_threads: int) -> None:
    """Fit LightGBM's trees."""
    from lightgbm import LGBMClassifier

    LGBMClassifier(
        n_estimators=TREES,
        num_leaves=leaves,
        n_jobs=n_threads,
        verbose=-1,
        use_quantized_grad=True,
        force_row_wise=True,
    ).fit(X, y)


FITS: dict[str, tuple[Callable[..., None], int]] = {
    "fasttree": (fit_fasttree, 1),
    "fasttree, 2 threads": (fit_fasttree, 2),
    "LightGBM": (fit_lightgbm, 1),
}


def seconds_of(fit: Callable[..., None], *arguments: Any) -> float:
    """Return the seconds of the faster of two fits, of one if it is long."""
    best, spent = np.inf, 0.0
    for _ in range(2):
        start = time.perf_counter()
        fit(*arguments)
        seconds = time.perf_counter() - start
        best, spent = min(best, seconds), spent + seconds
        if spent > 1.0:
            break
    return best


def run_sweep(name: str, values: tuple[int, ...]) -> dict[str, list[float | None]]:
    """Return the seconds of each peer at each value, None where left out."""
    known = {
        peer: fit
        for peer, fit in FITS.items()
        if peer != "LightGBM" or importlib.util.find_spec("lightgbm")
    }
    seconds: dict[str, list[float | None]] = {peer: [] for peer in known}
    few = make_table(400, 10)
    for fit, n_threads in known.values():
        # Imports and first calls are no part of a fit.
        fit(*few, 3, n_threads)
    for i, value in enumerate(values):
        size = BASE | {"rows": ROWS.get(name, BASE["rows"])} | {name: value}
        X, y = make_table(size["rows"], size["features"])
        for peer, (fit, n_threads) in known.items():
            before = seconds[peer][-1] if i else 0.0
            growth = value / values[i - 1] if i else 1.0
            if before is None or before * growth > BUDGET:
                seconds[peer].append(None)
            else:
                seconds[peer].append(seconds_of(fit, X, y, size["leaves"], n_threads))
    return seconds


def describe(name: str) -> str:
    """Return what a sweep leaves as it is."""
    size = BASE | {"rows": ROWS.get(name, BASE["rows"])}
    return ", ".join(f"{n:,} {what}" for what, n in size.items() if what != name)


def print_table(name: str, values: tuple[int, ...], seconds: dict[str, Any]) -> None:
    """Print one sweep as a Markdown table."""
    print(f"\n{name.capitalize()} ({describe(name)}); seconds of {TREES} trees\n")
    print(f"| {name} | {' | '.join(seconds)} |")
    print("| ---: |" + " ---: |" * len(seconds))
    for i, value in enumerate(values):
        cells = ["-" if s[i] is None else f"{s[i]:.3g}" for s in seconds.values()]
        print(f"| {value:,} | {' | '.join(cells)} |", flush=True)


def plot(results: dict[str, tuple[tuple[int, ...], dict[str, Any]]], path: str) -> None:
    """Draw the sweeps side by side on logarithmic axes."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams["svg.hashsalt"] = "fasttree"
    figure, axes = plt.subplots(
        1, len(results), figsize=(4 * len(results), 3.6), layout="constrained"
    )
    for axis, (name, (values, seconds)) in zip(axes, results.items(), strict=True):
        for (peer, times), style in zip(
            seconds.items(), ("-o", "--o", "-s"), strict=False
        ):
            known = [v for v, t in zip(values, times, strict=True) if t is not None]
            axis.loglog(known, times[: len(known)], style, label=peer, markersize=4)
        axis.set(xlabel=name, ylabel="seconds", title=describe(name))
        axis.grid(visible=True, alpha=0.3)
    axes[0].legend()
    figure.savefig(path, metadata={"Date": None})


def main(arguments: list[str] | None = None) -> None:
    """Run the sweeps that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--smoke", action="store_true", help="small sizes")
    parser.add_argument("--plot", metavar="FILE", help="draw the sweeps too")
    options = parser.parse_args(arguments)
    results = {}
    for name, values in SWEEPS.items():
        if options.smoke:
            values = (20, 40)  # noqa: PLW2901 - of any of them
        seconds = run_sweep(name, values)
        print_table(name, values, seconds)
        results[name] = values, seconds
    if options.plot:
        plot(results, options.plot)


if __name__ == "__main__":
    main()
