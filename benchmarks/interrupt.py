"""How long after Ctrl-C a fit returns, and whether it can go on afterwards.

A process of its own fits, is sent SIGINT at several moments of the fit (shares of the
seconds that it takes undisturbed), and says when `fit` has returned; the longest of
these times is printed. After one of the moments the fit goes on with ``warm_start``,
and its trees are compared with those of a fit that nothing interrupted.

    python benchmarks/interrupt.py                           # all, on 1,000,000 rows
    python benchmarks/interrupt.py --work boosting --work forest --threads 2
    python benchmarks/interrupt.py --rows 20000 --moments 2  # does everything run?
"""

from __future__ import annotations

import argparse
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

ROOT = Path(__file__).resolve().parents[1]
if not __package__:  # run as a script
    sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402 - needs the path above

from benchmarks import compare, datasets  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

#: Shares of an undisturbed fit: reading the table comes first, packing the trees last.
MOMENTS = (0.01, 0.03, 0.06, 0.1, 0.15, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.95, 0.98)
N_MORE = 2  # trees, or iterations, by which a fit goes on
CLASSES = 7
DOCUMENTS = 40  # of a query


@dataclass(frozen=True)
class Work:
    """One kind of fit.

    Attributes
    ----------
    about : str
    name : str
        Of the estimator.
    n_trees : int
        Or iterations; 0 for a single tree, which cannot go on.
    target : callable
        Makes a target from a score for each row.
    params : dict
    """

    about: str
    name: str
    n_trees: int
    target: Callable[[NDArray[np.float64]], NDArray[Any]]
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> str:
        """The parameter that says how many trees there are to be."""
        return "max_iter" if "Boosting" in self.name else "n_estimators"

    def make(self, n_trees: int, n_threads: int) -> Any:
        """Return an estimator that keeps what it has when interrupted."""
        import fasttree

        more: dict[str, Any] = {}
        if self.n_trees:
            more = {"warm_start": True, self.size: n_trees}
        if self.size == "max_iter":
            more["early_stopping"] = False
        elif self.n_trees:
            more["on_interrupt"] = "keep"
        return getattr(fasttree, self.name)(
            random_state=0, n_jobs=n_threads, **self.params, **more
        )

    def trees(self, model: Any) -> list[bytes]:
        """Return the trees of a model that may not be fitted."""
        if hasattr(model, "ensemble_"):
            return [pickle.dumps(tree) for tree in model.ensemble_]
        if self.n_trees and hasattr(model, "schema_"):
            return [pickle.dumps(tree.tree_) for tree in model.estimators_]
        return [pickle.dumps(model.tree_)] if hasattr(model, "tree_") else []


def two_classes(score: NDArray[np.float64]) -> NDArray[Any]:
    """Return whether each score is above 0."""
    return (score > 0).astype(np.int64)


def grades(score: NDArray[np.float64]) -> NDArray[Any]:
    """Return the number of each score's septile."""
    return np.digitize(score, np.quantile(score, np.arange(1, CLASSES) / CLASSES))


def as_it_is(score: NDArray[np.float64]) -> NDArray[Any]:
    """Return the score."""
    return score


def half_squares(
    y: NDArray[np.float64], raw: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the gradients and hessians of half the squared error."""
    return raw - y, np.ones_like(y)


_RANKER, _REGRESSOR = "GradientBoostingRanker", "GradientBoostingRegressor"
WORKS = {
    "boosting": Work("two classes", "GradientBoostingClassifier", 100, two_classes),
    "multiclass": Work("seven classes", "GradientBoostingClassifier", 15, grades),
    "absolute": Work(
        "absolute error", _REGRESSOR, 50, as_it_is, {"loss": "absolute_error"}
    ),
    "custom": Work("own objective", _REGRESSOR, 100, as_it_is, {"loss": half_squares}),
    "ranking": Work("LambdaMART, 40 documents a query", _RANKER, 50, grades),
    "forest": Work("random forest", "RandomForestClassifier", 10, two_classes),
    "exact-forest": Work(
        "random forest, every threshold",
        "RandomForestClassifier",
        4,
        two_classes,
        {"max_bins": None},
    ),
    "forest-regression": Work(
        "random forest of all features", "RandomForestRegressor", 2, as_it_is
    ),
    "extra-trees": Work("extra trees", "ExtraTreesClassifier", 10, two_classes),
    "tree": Work("one tree", "DecisionTreeClassifier", 0, two_classes),
    "extra-tree": Work("one extra tree", "ExtraTreeClassifier", 0, two_classes),
}


class Child:
    """What the other process does: fits, as often as it is told to."""

    def __init__(self, name: str, n_threads: int, n_rows: int) -> None:
        self.work, self.n_threads = WORKS[name], n_threads
        data = datasets.synthetic_regression(n_rows)
        self.data = {"X": data.X_train, "y": self.work.target(data.y_train)}
        if name == "ranking":
            self.data["qid"] = np.arange(n_rows) // DOCUMENTS
        self.model: Any = None

    def fit(self) -> int:
        """Return how many trees there are after a fit that may be interrupted."""
        self.model = self.work.make(self.work.n_trees, self.n_threads)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            print("begins", flush=True)
            self.model.fit(**self.data)
        except KeyboardInterrupt:
            pass
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("returned", flush=True)
        return len(self.work.trees(self.model))

    def go_on(self) -> int:
        """Return how many trees of a model that goes on differ from those of another.

        The other one is fitted at once. A model that has no trees differs by nothing.
        """
        work = self.work
        there = work.trees(self.model)
        if not (there and work.n_trees):
            return 0
        if work.size == "max_iter":
            n_trees = self.model.n_iter_ + N_MORE
        else:
            n_trees = len(there) + N_MORE
        self.model.set_params(**{work.size: n_trees}).fit(**self.data)
        other = work.trees(work.make(n_trees, self.n_threads).fit(**self.data))
        own = work.trees(self.model)
        assert own[: len(there)] == there
        assert len(own) == len(other)
        return sum(a != b for a, b in zip(own, other, strict=True))

    def serve(self) -> None:
        """Do what is asked for, and answer with a number."""
        for line in sys.stdin:
            print({"fit": self.fit, "go on": self.go_on}[line.strip()](), flush=True)


class Fits:
    """The other process, as this one sees it."""

    def __init__(self, name: str, n_threads: int, n_rows: int) -> None:
        arguments = ["--child", name, str(n_threads), str(n_rows)]
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def read(self) -> str:
        """Return the next line that it says."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            raise RuntimeError("the fitting process has ended")
        return line

    def ask(self, what: str) -> None:
        """Tell it what to do."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()

    def fit(self, moment: float | None = None) -> tuple[float, int]:
        """Return the seconds until a fit returned, and its trees.

        They are counted from the interrupt, sent `moment` seconds after the beginning,
        or from the beginning where there is none.
        """
        self.ask("fit")
        assert self.read() == "begins"
        if moment is not None:
            time.sleep(moment)
            os.kill(self._process.pid, signal.SIGINT)
        started = time.perf_counter()
        assert self.read() == "returned"
        return time.perf_counter() - started, int(self.read())

    def go_on(self) -> int:
        """Return how many trees differ after going on."""
        self.ask("go on")
        return int(self.read())


def measure(name: str, n_threads: int, n_rows: int, moments: list[float]) -> list[str]:
    """Return a row of the table: one kind of fit, interrupted at these moments."""
    with Fits(name, n_threads, n_rows) as fits:
        fits.fit()  # imports and first touches of memory
        whole, n_all = fits.fit()
        seconds: list[float] = []
        differ = -1  # has not gone on yet
        for share in moments:
            elapsed, n_trees = fits.fit(share * whole)
            if n_trees == n_all:
                continue  # too late: it had ended
            seconds.append(elapsed)
            if differ < 0 and n_trees and share >= moments[len(moments) // 2]:
                differ = fits.go_on()
        if differ > 0:
            raise AssertionError(f"{name}: {differ} trees are not those of one fit")
    if not seconds:
        return [name, str(n_threads), f"{whole:.3g}", "-", "-", "-"]
    longest = int(np.argmax(seconds))
    return [
        name,
        str(n_threads),
        f"{whole:.3g}",
        f"{np.median(seconds):.3f}",
        f"{seconds[longest]:.3f}",
        f"{moments[longest]:.0%}",
    ]


def main(argv: list[str] | None = None) -> None:
    """Print how long interrupted fits take to return."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--work", action="append", choices=WORKS, help="may be given again"
    )
    parser.add_argument("--threads", action="append", type=compare.positive)
    parser.add_argument("--rows", type=compare.positive, default=1_000_000)
    parser.add_argument(
        "--moments", type=compare.positive, help="at the most (default: all)"
    )
    args = parser.parse_args(argv)
    moments = list(MOMENTS[:: -(-len(MOMENTS) // (args.moments or len(MOMENTS)))])
    print(f"{compare.describe_machine()}\n\n{args.rows:,} x 28\n")
    print("| fit | threads | s undisturbed | median s after SIGINT | longest | at |")
    print("| --- |" + " ---: |" * 5)
    for name in args.work or WORKS:
        for n_threads in args.threads or (1, 2):
            cells = measure(name, n_threads, args.rows, moments)
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        Child(sys.argv[2], int(sys.argv[3]), int(sys.argv[4])).serve()
    else:
        main()
