"""The benchmarks' machinery; nothing here asserts a time."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def bench(monkeypatch):
    """Import a module of the folder benchmarks, which is not installed."""
    monkeypatch.syspath_prepend(str(ROOT))
    return lambda name: importlib.import_module(f"benchmarks.{name}")


def test_smoke_prints_a_table_and_writes_json(tmp_path):
    pytest.importorskip("fasttree")
    report = tmp_path / "report.json"
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "benchmarks" / "compare.py"),
            "--smoke",
            *("--workload", "synth-200k", "--workload", "regression-200k"),
            *("--repeats", "2", "--json", str(report)),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| peer | wall s | CPU s | accuracy | AUC | log loss |" in done.stdout
    assert "| peer | wall s | CPU s | R2 | RMSE |" in done.stdout
    # The peers take turns.
    order = [line.split()[4] for line in done.stderr.splitlines() if " of 2, " in line]
    assert order == ["fasttree:", "sklearn:"] * 4
    first = json.loads(report.read_text())["results"][0]
    assert first["shape"]["n_rows"] == 400
    for name in ("fasttree", "sklearn"):
        assert len(first["samples"][name]) == 2
        summary = first["peers"][name]
        assert summary["wall_seconds"] > 0
        assert summary["peak_bytes"] >= 0
        assert summary["n_nodes"] > 1
        assert summary["ratio"] > 0


def test_list_names_every_workload_and_peer(bench, capsys):
    assert bench("compare").main(["--list"]) == 0
    printed = capsys.readouterr().out
    for name in [*bench("workloads").BY_NAME, *bench("peers").BY_NAME]:
        assert f"{name} " in printed


@pytest.mark.parametrize(
    "arguments", [["--workload", "nope"], ["--peers", "nope"], ["--repeats", "0"]]
)
def test_unknown_names_are_refused(bench, arguments, capsys):
    with pytest.raises(SystemExit) as error:
        bench("compare").main(arguments)
    assert error.value.code != 0
    capsys.readouterr()


def test_a_failing_fit_is_reported_and_others_go_on(bench, monkeypatch):
    compare = bench("compare")

    def answer(request, _n_threads, _timeout):
        if request["do"] == "prepare":
            return {"n_rows": 1, "n_features": 1, "n_test": 1, "task": "regression"}
        if request["peer_name"] == "xgboost":
            return {"failed": "exit 1: ValueError: no"}
        wall = {"fasttree": 1.0, "sklearn": 3.0}[request["peer_name"]]
        return {"wall_seconds": wall, "cpu_seconds": 1.0, "peak_bytes": 0, "n_nodes": 3}

    monkeypatch.setattr(compare, "run_child", answer)
    result = compare.compare(
        bench("workloads").BY_NAME["iris"],
        ["fasttree", "sklearn", "xgboost"],
        n_threads=1,
        repeats=3,
        smoke=True,
        timeout=1,
    )
    assert result["peers"]["sklearn"]["ratio"] == 3.0
    text = compare.to_markdown(result)
    assert "- xgboost failed: exit 1: ValueError: no" in text
    assert "| sklearn | 3 | 1 | 0.0 | 3 | 3.00 |" in text


@pytest.mark.parametrize(
    "name",
    [
        "synthetic_binary",
        "synthetic_regression",
        "covtype_like",
        "many_classes",
        "few_values",
    ],
)
def test_generators_are_seeded_and_have_their_shape(bench, name):
    make = getattr(bench("datasets"), name)
    first, again, other = make(1000), make(1000), make(1000, seed=1)
    np.testing.assert_array_equal(first.X_train, again.X_train)
    np.testing.assert_array_equal(first.y_test, again.y_test)
    assert not np.array_equal(first.X_train, other.X_train)
    assert first.X_train.shape[0] == len(first.y_train) == 1000
    assert first.X_train.dtype == np.float32
    assert first.X_train.flags.c_contiguous
    assert len(first.X_test) == len(first.y_test) == 200


def test_generators_follow_their_formula(bench):
    datasets = bench("datasets")
    binary = datasets.synthetic_binary(20_000)
    x = binary.X_train
    assert x.shape[1] == 28
    noise = x[:, 14:21] - x[:, 0:7] * x[:, 7:14]
    np.testing.assert_allclose(noise.std(axis=0), 0.3, rtol=0.05)
    assert 0.3 < binary.y_train.mean() < 0.7
    cover = datasets.covtype_like(20_000)
    assert np.isin(cover.X_train[:, 10:], [0, 1]).all()
    assert (cover.X_train[:, 10:].sum(axis=1) == 2).all()
    shares = np.bincount(cover.y_train, minlength=7) / 20_000
    assert len(shares) == 7
    assert 0.001 < shares.min() < 0.05
    assert shares.max() > 0.3
    assert len(np.unique(datasets.many_classes(5_000).y_train)) == 450


def test_score_floors_the_log_loss_of_unseen_classes(bench):
    datasets, measure = bench("datasets"), bench("measure")
    data = datasets.Dataset(
        None, np.array([0, 0, 2]), None, np.array([0, 2, 5]), "classification"
    )
    probability = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    result = measure.score(data, probability)
    assert result["accuracy"] == pytest.approx(1 / 3)
    expected = (0 + np.log(2) + np.log(1e15)) / 3
    assert result["log_loss"] == pytest.approx(expected)


def test_predict_compares_equal_outputs_and_prints(bench, capsys):
    predict = bench("predict")
    rows = predict.rows(300)

    def double(X):
        return 2 * X[:, 0]

    peers = {"fasttree": (True, double), "twin": (True, double)}
    predict.check_equal(peers, rows)
    with pytest.raises(AssertionError, match="wrong"):
        predict.check_equal({**peers, "wrong": (True, lambda X: X[:, 0])}, rows)
    predict.check_equal({**peers, "other": (False, lambda X: X[:, 0])}, rows)
    seconds = predict.interleave(peers, rows, 3)
    predict.show_batch("Batch", seconds, 1)
    predict.show_latency("One row", predict.latencies(peers, rows, 2, 10))
    printed = capsys.readouterr().out
    assert printed.count("| twin |") == 2
    assert [len(samples) for samples in seconds.values()] == [3, 3]


def test_imported_trees_predict_the_same():
    from benchmarks import imported, predict
    from sklearn.ensemble import RandomForestClassifier

    X = predict.rows(400)
    y = (X[:, 0] + X[:, 1] > 0).astype(int)
    forest = RandomForestClassifier(9, random_state=0).fit(X, y)
    ensemble = imported.from_forest(forest)
    np.testing.assert_allclose(
        ensemble.mean_shares(X), forest.predict_proba(X), atol=1e-6
    )
    predictor = imported.predictor_of(ensemble)
    np.testing.assert_array_equal(
        predictor.predict_proba_one(X[0]), ensemble.mean_shares(X)[0]
    )


def test_scaling_prints_every_sweep(bench, capsys, tmp_path):
    scaling = bench("scaling")
    path = tmp_path / "sweeps.svg"
    scaling.main(["--smoke", "--plot", str(path)])
    printed = capsys.readouterr().out
    for sweep in scaling.SWEEPS:
        assert f"{sweep.name.capitalize()} ({sweep.fixed})" in printed
        for value in sweep.small:
            assert f"\n| {value:,} | " in printed
    assert path.read_text().startswith("<?xml")


def test_fasttree_against_itself(bench, capsys):
    bench("ours").main(
        [
            *("--workload", "synth-200k", "--workload", "flights"),
            *("--threads", "1", "--threads", "2", "--repeats", "1", "--smoke"),
        ]
    )
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("|")
    ]
    assert [row[:2] for row in rows[2:]] == [
        ["synth-200k", "1"],
        ["synth-200k", "2"],
        ["flights", "1"],
        ["flights", "2"],
    ]
    assert float(rows[2][3]) == 1.0
    with pytest.raises(RuntimeError, match="synth-200k"):
        bench("ours").run(
            {
                "do": "prepare",
                "workload_name": "synth-200k",
                "path": "/",
                "smoke": True,
            },
            1,
            60,
        )


def test_boosting_scaling_prints_every_sweep(bench, capsys, tmp_path):
    scaling = bench("boosting_scaling")
    path = tmp_path / "sweeps.svg"
    scaling.main(["--smoke", "--plot", str(path)])
    printed = capsys.readouterr().out
    for name in scaling.SWEEPS:
        assert f"{name.capitalize()} ({scaling.describe(name)})" in printed
    assert path.read_text().startswith("<?xml")


def test_boosting_states_quality_with_its_spread(bench, capsys):
    boosting = bench("boosting")
    chosen = ["--workload", "binary-1k", "--trees", "3", "--peers", "hgb"]
    boosting.main([*chosen, "--draws", "2"])
    printed = capsys.readouterr().out
    assert "1 thread, 2 draws" in printed
    assert re.search(r"\| hgb \| .* ± \d\.\d{4}\) \|", printed)
    assert "quality: " in printed


def test_boosting_calls_quality_worse_only_beyond_doubt(bench):
    is_worse = bench("boosting").is_worse
    assert is_worse("AUC", [0.8], [0.802])
    assert not is_worse("AUC", [0.8], [0.8005])
    assert is_worse("log loss", [0.5], [0.49])
    assert not is_worse("log loss", [0.5, 0.6], [0.49, 0.6])
    assert is_worse("log loss", [0.5, 0.6, 0.5], [0.49, 0.589, 0.49])
    assert not is_worse("RMSE", [1.0], [2.0])


def test_boosting_divides_real_rows_anew(bench):
    draw = bench("boosting").JOBS["flights"].draw
    first, again, other = draw(0), draw(0), draw(1)
    assert first.X_train.equals(again.X_train)
    assert len(other.y_train) == len(first.y_train)
    assert list(other.X_train.dtypes) == list(first.X_train.dtypes)
    assert not np.array_equal(other.y_train, first.y_train)
