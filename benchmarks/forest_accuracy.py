"""Compare how well forests predict: ours of 255 bins, and scikit-learn's exact ones.

Each data set is cross-validated with several seeds, both libraries on the same folds.
The difference of the mean scores (accuracy, or r2) is printed with its standard
error over the folds.

    python benchmarks/forest_accuracy.py --trees 100 --seeds 2
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
if not __package__:  # run as a script
    sys.path.insert(0, str(ROOT))

from benchmarks import datasets  # noqa: E402 - needs the path above

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

N_ROWS = 3000  # of a data set, at most


def load_all() -> Iterator[tuple[str, Any, Any, bool]]:
    """Yield a name, X, y and whether y holds classes."""
    from sklearn import datasets as data

    for name, load in (
        ("breast cancer", data.load_breast_cancer),
        ("wine", data.load_wine),
        ("iris", data.load_iris),
        ("digits", data.load_digits),
    ):
        yield (name, *load(return_X_y=True), True)
    yield ("diabetes", *data.load_diabetes(return_X_y=True), False)
    flights = datasets.flights(8 * N_ROWS)
    X = datasets.ordinal_matrix(flights, flights.X_train)[:N_ROWS]
    yield "flights, numbers for names", X, flights.y_train[:N_ROWS], True
    own: list[tuple[str, Callable[..., Any]]] = [
        ("binary 28", datasets.synthetic_binary),
        ("seven classes 54", datasets.covtype_like),
        ("regression 28", datasets.synthetic_regression),
    ]
    for name, make in own:
        made = make(2 * N_ROWS)
        is_classes = made.task == "classification"
        yield name, made.X_train[:N_ROWS], made.y_train[:N_ROWS], is_classes
    for name, make in (
        ("friedman 1", data.make_friedman1),
        ("friedman 2", data.make_friedman2),
        ("friedman 3", data.make_friedman3),
    ):
        yield (name, *make(N_ROWS, noise=0.5, random_state=0), False)
    X, y = data.make_moons(N_ROWS, noise=0.3, random_state=0)
    yield "moons", X, y, True
    X, y = data.make_circles(N_ROWS, noise=0.15, factor=0.6, random_state=0)
    yield "circles", X, y, True
    X, y = data.make_hastie_10_2(N_ROWS, random_state=0)
    yield "hastie", X, y, True


def compare(
    X: Any, y: Any, *, is_classes: bool, n_trees: int, n_seeds: int
) -> tuple[float, float, float]:
    """Return our mean score, scikit-learn's, and the standard error of ours less it."""
    from sklearn import ensemble
    from sklearn.model_selection import KFold, StratifiedKFold

    import fasttree

    kind = "RandomForestClassifier" if is_classes else "RandomForestRegressor"
    options = {} if is_classes else {"max_features": 1 / 3}
    scores: dict[str, list[float]] = {"ours": [], "theirs": []}
    for seed in range(n_seeds):
        folds = (StratifiedKFold if is_classes else KFold)(
            5, shuffle=True, random_state=seed
        )
        for fold, (train, test) in enumerate(folds.split(X, y)):
            # Forests of one seed would draw the same features in all folds.
            own = 5 * seed + fold
            for name, module in (("ours", fasttree), ("theirs", ensemble)):
                model = getattr(module, kind)(
                    n_trees, random_state=own, n_jobs=1, **options
                )
                model.fit(X[train], y[train])
                scores[name].append(model.score(X[test], y[test]))
    ours, theirs = (np.array(scores[name]) for name in ("ours", "theirs"))
    difference = ours - theirs
    error = difference.std(ddof=1) / np.sqrt(len(difference))
    return float(ours.mean()), float(theirs.mean()), float(error)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--rows", type=int, default=N_ROWS)
    args = parser.parse_args()
    print("| data | rows | fasttree | scikit-learn | difference | standard error |")
    print("| :--- | ---: | ---: | ---: | ---: | ---: |")
    for name, X, y, is_classes in load_all():
        ours, theirs, error = compare(
            X[: args.rows],
            y[: args.rows],
            is_classes=is_classes,
            n_trees=args.trees,
            n_seeds=args.seeds,
        )
        print(
            f"| {name} | {len(y[: args.rows])} | {ours:.4f} | {theirs:.4f} |"
            f" {ours - theirs:+.4f} | {error:.4f} |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
