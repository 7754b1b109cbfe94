"""Data for the benchmarks: seeded generators, and real data from packages.

Everything is a function of its arguments: the same numbers on every machine and
with every version of the library. Nothing is downloaded.
"""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

TEST_FRACTION = 0.2


@dataclass(frozen=True)
class Dataset:
    """A training and a test part.

    Attributes
    ----------
    X_train, X_test : ndarray or DataFrame of shape (n_rows, n_features)
    y_train, y_test : ndarray of shape (n_rows,)
        Class codes (int64) or values (float64).
    task : {"classification", "regression"}
    categorical : tuple of str
        Names of the categorical columns of a frame.
    """

    X_train: Any
    y_train: NDArray[Any]
    X_test: Any
    y_test: NDArray[Any]
    task: Literal["classification", "regression"]
    categorical: tuple[str, ...] = ()


def _features_28(rng: np.random.Generator, n_rows: int) -> NDArray[np.float32]:
    """Return 28 normal columns, of which 14 to 20 are noisy products of others."""
    x = rng.standard_normal((n_rows, 28), dtype=np.float32)
    # Each column below reads only columns that were made before it.
    for f in range(14, 21):
        x[:, f] = x[:, f - 14] * x[:, f - 7] + np.float32(0.3) * x[:, f]
    return x


def _score_28(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the signal that the targets of the 28-column data are made of."""
    return (
        0.9 * x[:, 0] * x[:, 1]
        + 0.6 * np.sin(2 * x[:, 2])
        + 0.5 * np.where(x[:, 3] > 0.3, 1, -1).astype(np.float32) * x[:, 4]
        + 0.3 * x[:, 14]
        - 0.4 * x[:, 15]
        + 0.5 * np.abs(x[:, 6])
        - 0.4
    )


def _divide(
    X: Any, y: NDArray[Any], n_train: int, task: Literal["classification", "regression"]
) -> Dataset:
    return Dataset(X[:n_train], y[:n_train], X[n_train:], y[n_train:], task)


def _with_test_rows(n_train: int) -> int:
    """Return the rows to draw so that `n_train` are left to learn from."""
    return n_train + max(50, int(n_train * TEST_FRACTION))


def synthetic_binary(n_rows: int, n_features: int = 28, seed: int = 0) -> Dataset:
    """Return float32 columns and two noisy classes, which make deep trees.

    Of the 28 columns that are drawn the first `n_features` (16 or more) are kept.
    """
    rng = np.random.default_rng(seed)
    total = _with_test_rows(n_rows)
    x = _features_28(rng, total)
    noise = rng.standard_normal(total, dtype=np.float32)
    y = (_score_28(x) + np.float32(0.9) * noise > 0).astype(np.int64)
    return _divide(np.ascontiguousarray(x[:, :n_features]), y, n_rows, "classification")


def synthetic_regression(n_rows: int, seed: int = 0) -> Dataset:
    """Return the columns of `synthetic_binary` with its score as the target."""
    rng = np.random.default_rng(seed)
    total = _with_test_rows(n_rows)
    x = _features_28(rng, total)
    noise = rng.standard_normal(total, dtype=np.float32)
    y = (_score_28(x) + np.float32(0.9) * noise).astype(np.float64)
    return _divide(x, y, n_rows, "regression")


def covtype_like(n_rows: int, seed: int = 0) -> Dataset:
    """Return 54 columns and seven uneven classes, shaped like forest cover types.

    Ten columns are whole-numbered measurements; 44 are 0/1: one of four areas and
    one of forty soils, whose frequencies fall off as they do in nature.
    """
    rng = np.random.default_rng(seed)
    total = _with_test_rows(n_rows)
    measured = np.rint(
        rng.standard_normal((total, 10))
        * [280, 112, 8, 212, 58, 1559, 27, 20, 38, 1325]
        + [2959, 156, 14, 269, 46, 2350, 212, 223, 142, 1980]
    )
    area = rng.choice(4, total, p=[0.45, 0.05, 0.44, 0.06])
    frequency = 1.0 / np.arange(1, 41) ** 1.1
    soil = rng.choice(40, total, p=frequency / frequency.sum())
    X = np.zeros((total, 54), dtype=np.float32)
    X[:, :10] = measured
    X[np.arange(total), 10 + area] = 1
    X[np.arange(total), 14 + soil] = 1

    height = (measured[:, 0] - 2959) / 280
    water = measured[:, 3] / 212
    road = measured[:, 5] / 1559
    taste = rng.standard_normal((40, 7)) * 0.8
    place = rng.standard_normal((4, 7)) * 0.6
    score = taste[soil] + place[area]
    score += np.outer(height, [0.6, -0.2, -1.5, -2.0, -0.6, -1.4, 2.0])
    score += np.outer(np.sin(3 * water) * road, [0.4, -0.3, 0.2, 0.1, -0.2, 0.3, -0.4])
    score += [2.2, 2.4, 0.2, -1.6, -0.9, -0.3, -0.7]
    score += rng.gumbel(scale=0.45, size=score.shape)
    return _divide(X, score.argmax(axis=1), n_rows, "classification")


def many_classes(n_rows: int, n_classes: int = 450, seed: int = 0) -> Dataset:
    """Return 20 float32 columns around one centre per class."""
    rng = np.random.default_rng(seed)
    total = _with_test_rows(n_rows)
    # Every class is met at least once when there are rows enough.
    y = rng.permutation(np.arange(total) % n_classes)
    centres = rng.standard_normal((n_classes, 20))
    X = centres[y] + 0.55 * rng.standard_normal((total, 20))
    return _divide(X.astype(np.float32), y, n_rows, "classification")


def few_values(n_rows: int, seed: int = 0) -> Dataset:
    """Return 30 skewed count columns (most values 0) and two classes."""
    rng = np.random.default_rng(seed)
    total = _with_test_rows(n_rows)
    rate = rng.gamma(0.5, 1.5, size=30)
    X = rng.poisson(rate * rng.gamma(1.0, 1.0, size=(total, 1)), size=(total, 30))
    score = np.log1p(X) @ rng.standard_normal(30) + (X[:, 0] > X[:, 1])
    noisy = score + rng.standard_normal(total) * score.std()
    y = (noisy > np.median(noisy)).astype(np.int64)
    return _divide(X.astype(np.float32), y, n_rows, "classification")


def from_sklearn(name: str, max_rows: int | None = None) -> Dataset:
    """Return a data set that scikit-learn ships, shuffled with a fixed seed."""
    from sklearn import datasets as sklearn_data

    bunch = getattr(sklearn_data, f"load_{name}")()
    is_class = hasattr(bunch, "target_names")
    order = np.random.default_rng(0).permutation(len(bunch.target))[:max_rows]
    X = np.ascontiguousarray(bunch.data[order], dtype=np.float32)
    y = bunch.target[order].astype(np.int64 if is_class else np.float64)
    n_train = int(len(order) * (1 - TEST_FRACTION))
    return _divide(X, y, n_train, "classification" if is_class else "regression")


def flights(max_rows: int | None = None) -> Dataset:
    """Return the flights of 2013 as the demo prepares and splits them."""
    demo = _flights_example()
    X, y = demo.load()
    return _divide_flights(X, y, "classification", max_rows)


def flight_delays(max_rows: int | None = None) -> Dataset:
    """Return the same rows with the minutes of delay at arrival as the target."""
    demo = _flights_example()
    X, _ = demo.load()
    delay = demo.read_csv("flights.csv.zip")["arr_delay"].dropna()
    return _divide_flights(X, delay.to_numpy(np.float64), "regression", max_rows)


def _divide_flights(
    X: Any,
    y: NDArray[Any],
    task: Literal["classification", "regression"],
    max_rows: int | None,
) -> Dataset:
    demo = _flights_example()
    if max_rows is not None and max_rows < len(X):
        picked = np.random.default_rng(0).choice(len(X), max_rows, replace=False)
        picked.sort()
        X, y = X.iloc[picked].reset_index(drop=True), y[picked]
    train, test = demo.split(len(X))
    return Dataset(
        X.iloc[train].reset_index(drop=True),
        y[train],
        X.iloc[test].reset_index(drop=True),
        y[test],
        task,
        tuple(demo.CATEGORICAL),
    )


def ordinal_matrix(data: Dataset, X: Any) -> NDArray[np.float32]:
    """Return a frame of `data` as floats, for peers that take only matrices."""
    if not data.categorical:
        return X
    return _flights_example().ordinal_matrix(X)


def _flights_example() -> ModuleType:
    """Import examples/flights.py, which is no part of a package."""
    name = "fasttree_flights_example"
    if name not in sys.modules:
        path = Path(__file__).resolve().parents[1] / "examples" / "flights.py"
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]
