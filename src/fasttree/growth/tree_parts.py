"""One tree grown by several threads: subtrees are tasks, which leave further ones.

A task grows a subtree from its root down and leaves large nodes below to other tasks.
Once all of these are done their records take the places that were kept for them. What
a node draws hangs on its key alone, so the tree is the same however it was cut.
"""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fasttree._kernels import forest as kernels
    from fasttree.threads import Task

LEAST_ROWS = 1 << 14  # of a subtree that is worth a task of its own
_TASKS_A_THREAD = 4  # of equal size, so that threads end together
_NONE = (0, 0)


class Seconds(NamedTuple):
    """Where time went: nodes, wide and narrow, and records made a Tree."""

    wide: float
    narrow: float
    tree: float


class Spaces:
    """Threads' memories for one tree after another, made when first needed."""

    def __init__(self, make: Callable[[], kernels.Growth]) -> None:
        self._make = make
        self._idle: list[kernels.Growth] = []
        self._all: list[kernels.Growth] = []
        self._tree_seconds: list[float] = []

    def take(self) -> kernels.Growth:
        """Return a memory that nobody else uses until it is put back."""
        try:
            return self._idle.pop()
        except IndexError:
            self._all.append(self._make())
            return self._all[-1]

    def put(self, space: kernels.Growth) -> None:
        self._idle.append(space)

    def finish(
        self, space: kernels.Growth, take_tree: Callable[[kernels.Growth], Any]
    ) -> Any:
        """Take the tree out of a memory, and put that back."""
        started = time.perf_counter()
        tree = take_tree(space)
        self._tree_seconds.append(time.perf_counter() - started)
        self.put(space)
        return tree

    @property
    def seconds(self) -> Seconds:
        """Seconds of all threads so far."""
        of_each = [own.seconds for own in self._all]
        return Seconds(
            sum(wide for wide, _ in of_each),
            sum(narrow for _, narrow in of_each),
            sum(self._tree_seconds),
        )


class _Subtree:
    """A subtree that was grown but for nodes left to other tasks."""

    def __init__(self, part: kernels.Part, parent: _Subtree | None, index: int) -> None:
        self.part, self.parent, self.index = part, parent, index
        self.below: list[Any] = [None] * part.n_branches
        self.n_missing = part.n_branches


class TreeInParts:
    """A tree on its way.

    Parameters
    ----------
    root : kernels.Growth
        Has grown the top of the tree. Its rows are the tree's until `finish`.
    spaces : Spaces
        What the tasks grow subtrees in.
    least : int
        Rows of subtrees that are not cut any more.
    finish : callable
        Called, without arguments, in the thread that ends the tree; `root` holds the
        whole of it by then.
    """

    def __init__(
        self,
        root: kernels.Growth,
        spaces: Spaces,
        least: int,
        finish: Callable[[], None],
    ) -> None:
        self._root, self._spaces, self._finish = root, spaces, finish
        self._least = least
        self._lock = threading.Lock()

    def tasks(self) -> Sequence[Task]:
        """Return what is to be done."""
        return self._go_on(_Subtree(self._root.take_part(), None, 0))

    def _go_on(self, subtree: _Subtree) -> Sequence[Task]:
        if subtree.n_missing == 0:
            self._end(subtree)
            return ()
        return [partial(self._grow, subtree, i) for i in range(subtree.n_missing)]

    def _grow(self, parent: _Subtree, index: int) -> Sequence[Task]:
        space = self._spaces.take()
        rows = branch_rows(parent.part.rows_of(index), self._least)
        space.grow_branch(self._root, parent.part, index, rows)
        part = space.take_part()
        self._spaces.put(space)
        return self._go_on(_Subtree(part, parent, index))

    def _end(self, subtree: _Subtree) -> None:
        """Join a subtree to what is above it, as far as all parts are there."""
        while (parent := subtree.parent) is not None:
            with self._lock:
                parent.below[subtree.index] = subtree.part
                parent.n_missing -= 1
                if parent.n_missing:
                    return
            parent.part.join(parent.below)
            subtree = parent
        self._root.put_part(subtree.part)
        self._finish()


def least_rows(n_rows: int, n_threads: int) -> int:
    """Return the rows of subtrees that `n_threads` threads need not cut further."""
    return max(LEAST_ROWS, n_rows // (_TASKS_A_THREAD * n_threads))


def branch_rows(n_rows: int, least: int) -> tuple[int, int]:
    """Return the least and most rows of nodes that are left, in one of `n_rows`."""
    if n_rows < 2 * least:
        return _NONE
    return LEAST_ROWS // 4, max(least, 2 * n_rows // 3)
