"""One fit of a forest: how far it is, and what ends it."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import numpy as np

from fasttree.ensembles.forest import grow_trees
from fasttree.prediction.joining import CompactTree, TreeList

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from fasttree.ensembles.forest import ForestTrainer
    from fasttree.ensembles.outofbag import OutOfBag
    from fasttree.estimators._fit_tasks import FitTasks
    from fasttree.estimators._forest_fitting import FittingMixin

ROUND = 10  # trees between two looks at the out-of-bag score
_PATIENCE = 3  # rounds in a row that have to change little
_TELL_EVERY = 1.0  # seconds between two lines of progress


class Progress:
    """One call of `fit`: grows trees until all are there or something ends it."""

    def __init__(
        self,
        forest: FittingMixin,
        trainer: ForestTrainer,
        before: TreeList,
        bag: OutOfBag | None,
        y: NDArray[Any],
        tasks: FitTasks,
    ) -> None:
        self.forest, self.trainer, self.bag, self.y = forest, trainer, bag, y
        self.before, self.n_before, self.tasks = before, len(before), tasks
        self.started = self.told = time.perf_counter()
        self.trees: dict[int, CompactTree] = {}
        self.n_bytes = 0
        self.stopped = False

    def run(self, keys: list[int], n_threads: int) -> list[CompactTree]:
        """Return the trees of the first of `keys`."""
        forest, self.keys = self.forest, keys
        step = len(keys)
        if forest.oob_tolerance is not None:
            step = ROUND
        scores: list[float] = []
        try:
            for start in range(0, len(keys), step or 1):
                self.first = start
                part = keys[start : start + step]
                grow_trees(self.trainer, part, n_threads, self.use, self.begins)
                if forest.oob_tolerance is not None and self.converged(scores):
                    break
                if self.stopped:
                    break
        except KeyboardInterrupt:
            if forest.on_interrupt == "raise" or 0 not in self.trees:
                raise
        n_kept = 0
        while n_kept in self.trees:
            n_kept += 1
        if self.bag is not None and n_kept < len(self.trees):
            # The trees after a gap are not kept.
            for position in range(n_kept, len(keys)):
                if position in self.trees:
                    counts = self.trainer.draws.counts(keys[position])
                    self.bag.add(self.trees[position], counts, -1)
        if forest.verbose:
            self.tell(n_kept, done=True)
        return [self.trees[position] for position in range(n_kept)]

    def use(
        self, position: int, tree: CompactTree, counts: NDArray[np.uint32] | None
    ) -> None:
        """Take a tree that a thread has grown."""
        forest = self.forest
        if self.bag is not None:
            assert counts is not None
            self.bag.add(tree, counts)
        self.trees[self.first + position] = tree
        n_done = len(self.trees)
        if forest.max_bytes is not None:
            self.n_bytes += tree.nbytes
            self.stopped |= self.n_bytes >= forest.max_bytes
        if forest.callback is not None and forest.callback(self.n_before + n_done):
            self.stopped = True
        if self.tasks.end(self.first + position, self.attributes):
            self.stopped = True
        if forest.verbose:
            self.tell(n_done)

    def begins(self, position: int) -> bool:
        """Return whether another tree may be begun."""
        if self.stopped:
            return False
        if self.forest.max_time is not None and self.trees:
            elapsed = time.perf_counter() - self.started
            self.stopped |= elapsed >= self.forest.max_time
        if not self.stopped:
            self.tasks.begin(self.first + position)
        return not self.stopped

    def attributes(self) -> dict[str, Any]:
        """Return what a forest of the trees that are there has beyond this one."""
        there = sorted(self.trees)
        origins = [(self.keys[position], self.trainer.draws) for position in there]
        before = vars(self.forest).get("_origins", []) if self.n_before else []
        return {
            "_trees": self.before + TreeList([self.trees[i] for i in there]),
            "_origins": [*before, *origins],
            "_models": None,
        }

    def converged(self, scores: list[float]) -> bool:
        """Return whether the out-of-bag score has changed little for some rounds."""
        assert self.bag is not None
        seen = self.bag.seen
        if not seen.any():
            return False
        scores.append(self.forest.score_means(self.bag.means()[seen], self.y[seen]))
        recent = np.abs(np.diff(scores[-_PATIENCE - 1 :]))
        return len(recent) == _PATIENCE and bool(
            (recent <= self.forest.oob_tolerance).all()
        )

    def tell(self, n_done: int, *, done: bool = False) -> None:
        """Print how many trees there are, and how fast they come."""
        now = time.perf_counter()
        if not done and now - self.told < _TELL_EVERY:
            return
        self.told = now
        rate = n_done / max(now - self.started, 1e-9)
        name = type(self.forest).__name__
        print(
            f"[{name}] {self.n_before + n_done} of {self.forest.n_estimators} trees, "
            f"{rate:.3g} trees/s",
            file=sys.stdout,
            flush=True,
        )

    def tell_phases(self, encoding: float, total: float, n_threads: int) -> None:
        """Print where the time went: of all threads together, but for encoding."""
        phases, growth = self.trainer.phases, self.trainer.spaces_seconds
        of_threads = {
            "draw rows": phases.draw,
            "wide nodes": growth.wide,
            "narrow nodes": growth.narrow,
            "whole trees": phases.grow,
            "pack trees": growth.tree,
            "out of bag": phases.after,
        }
        rest = n_threads * (total - encoding) - sum(of_threads.values())
        seconds = {"encode": encoding, **of_threads, "elsewhere, waiting": rest}
        # Each thread's share; those of the phases sum up to 1.
        shares = {
            name: value / total / (1 if name == "encode" else n_threads)
            for name, value in seconds.items()
        }
        for name, value in {**seconds, "fit, by the clock": total}.items():
            share = shares.get(name, 1.0)
            print(
                f"[{type(self.forest).__name__}] {name:<20} {value:9.4f} s {share:7.1%}"
            )
