"""The named jobs of compare.py: data, and the tree to grow on it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks import datasets

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Workload:
    """One job.

    Attributes
    ----------
    name : str
    about : str
        One line for ``--list``.
    load, load_small : callable returning Dataset
        The data, and some hundreds of rows of its kind for ``--smoke``.
    criterion : {"entropy", "gini", "squared_error", "absolute_error"}
    max_depth : int or None
        None grows to the end: leaves are pure or cannot be split.
    max_bins : int or None
        None asks for exact splits of peers that offer them.
    splitter : {"best", "random"}
        "random" asks for an extra tree, whose splits are drawn.
    max_features : {"sqrt"} or None
        Features that a split looks at; None is all.
    n_inner : int
        Fits in each process; the median of their times counts.
    """

    name: str
    about: str
    load: Callable[[], datasets.Dataset]
    load_small: Callable[[], datasets.Dataset]
    criterion: str
    max_depth: int | None = None
    max_bins: int | None = None
    splitter: str = "best"
    max_features: str | None = None
    n_inner: int = 1

    @property
    def is_regression(self) -> bool:
        """Whether the target is a number."""
        return self.criterion in {"squared_error", "absolute_error"}


def _sized(make: Callable[..., datasets.Dataset], rows: int) -> dict[str, Any]:
    return {"load": partial(make, rows), "load_small": partial(make, 400)}


def _real(make: Callable[..., datasets.Dataset], *args: Any) -> dict[str, Any]:
    return {"load": partial(make, *args), "load_small": partial(make, *args, 400)}


_BINARY = _sized(datasets.synthetic_binary, 200_000)
_FLIGHTS = _real(datasets.flights)

ALL = [
    Workload(
        "synth-200k",
        "200,000 x 28 float32, 2 classes; entropy, full depth, exact",
        **_BINARY,
        criterion="entropy",
    ),
    Workload(
        "synth-200k-255",
        "the same with at most 255 bins where a peer has bins",
        **_BINARY,
        criterion="entropy",
        max_bins=255,
    ),
    Workload(
        "synth-200k-gini",
        "the same with gini, exact",
        **_BINARY,
        criterion="gini",
    ),
    Workload(
        "flights",
        "261,807 x 26 real flights, missing values, categories; entropy, full depth",
        **_FLIGHTS,
        criterion="entropy",
    ),
    Workload(
        "flights-gini",
        "the same flights with gini, full depth",
        **_FLIGHTS,
        criterion="gini",
    ),
    Workload(
        "flights-depth8",
        "the same flights, entropy, depth 8",
        **_FLIGHTS,
        criterion="entropy",
        max_depth=8,
    ),
    Workload(
        "covtype-like",
        "400,000 x 54 float32 mostly 0/1 columns, 7 classes; entropy, full depth",
        **_sized(datasets.covtype_like, 400_000),
        criterion="entropy",
    ),
    Workload(
        "regression-200k",
        "200,000 x 28 float32 regression; squared error, full depth, exact",
        **_sized(datasets.synthetic_regression, 200_000),
        criterion="squared_error",
    ),
    Workload(
        "regression-200k-depth8",
        "the same regression, depth 8",
        **_sized(datasets.synthetic_regression, 200_000),
        criterion="squared_error",
        max_depth=8,
    ),
    Workload(
        "regression-20k-absolute",
        "20,000 x 28 float32 regression; absolute error, full depth, exact",
        **_sized(datasets.synthetic_regression, 20_000),
        criterion="absolute_error",
    ),
    Workload(
        "drawn-200k",
        "200,000 x 28 float32, 2 classes; gini, sqrt features, full depth, exact",
        **_BINARY,
        criterion="gini",
        max_features="sqrt",
    ),
    Workload(
        "drawn-1m-255",
        "1,000,000 x 28 float32, the same with 255 bins",
        **_sized(datasets.synthetic_binary, 1_000_000),
        criterion="gini",
        max_bins=255,
        max_features="sqrt",
    ),
    Workload(
        "extra-1m",
        "the same million rows; an extra tree (sqrt features), full depth",
        **_sized(datasets.synthetic_binary, 1_000_000),
        criterion="gini",
        splitter="random",
        max_features="sqrt",
    ),
    Workload(
        "extra-200k",
        "200,000 x 28 float32, 2 classes; an extra tree (sqrt features), full depth",
        **_BINARY,
        criterion="gini",
        splitter="random",
        max_features="sqrt",
    ),
    Workload(
        "synth-1m",
        "1,000,000 x 28 float32, 2 classes; entropy, depth 10, 255 bins",
        **_sized(datasets.synthetic_binary, 1_000_000),
        criterion="entropy",
        max_depth=10,
        max_bins=255,
    ),
    Workload(
        "synth-1m-gini",
        "the same with gini",
        **_sized(datasets.synthetic_binary, 1_000_000),
        criterion="gini",
        max_depth=10,
        max_bins=255,
    ),
    Workload(
        "synth-1m-exact",
        "the same million rows, entropy, full depth, exact",
        **_sized(datasets.synthetic_binary, 1_000_000),
        criterion="entropy",
    ),
    Workload(
        "synth-1m-255",
        "the same million rows, entropy, full depth, 255 bins",
        **_sized(datasets.synthetic_binary, 1_000_000),
        criterion="entropy",
        max_bins=255,
    ),
    Workload(
        "classes-450",
        "50,000 x 20 float32, 450 classes; gini, full depth, exact",
        load=partial(datasets.many_classes, 50_000),
        load_small=partial(datasets.many_classes, 400, 20),
        criterion="gini",
    ),
    Workload(
        "few-values",
        "200,000 x 30 skewed counts, 2 classes; gini, full depth",
        **_sized(datasets.few_values, 200_000),
        criterion="gini",
    ),
    Workload(
        "digits",
        "1,437 x 64 real images of digits, 10 classes; gini, full depth",
        **_real(datasets.from_sklearn, "digits"),
        criterion="gini",
        n_inner=10,
    ),
    Workload(
        "iris",
        "120 x 4 real flowers, 3 classes; gini, full depth, many fits",
        **_real(datasets.from_sklearn, "iris"),
        criterion="gini",
        n_inner=200,
    ),
    Workload(
        "small",
        "1,000 x 20 float32, 2 classes; gini, full depth, many fits",
        load=partial(datasets.synthetic_binary, 1_000, 20),
        load_small=partial(datasets.synthetic_binary, 200, 20),
        criterion="gini",
        n_inner=50,
    ),
]

BY_NAME = {workload.name: workload for workload in ALL}
