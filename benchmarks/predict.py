"""Compare prediction: batches, single rows and file sizes, beside other libraries.

Each peer predicts with the same trees where it can import them (scikit-learn's forest
or LightGBM's booster), else with its own of the same shape. Rounds are interleaved:
peer after peer, then again. Outputs of equal trees are compared before anything is
timed. Models are kept in a folder, since training takes minutes.

    python benchmarks/predict.py --work boosting --threads 1
    python benchmarks/predict.py --work forest --work one-row --folder models
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]
if not __package__:  # run as a script
    sys.path.insert(0, str(ROOT))

from benchmarks import datasets, imported  # noqa: E402 - needs the path above

SHAPES = [(100, 31), (100, 63), (500, 31), (500, 63)]
WORKS = ("boosting", "forest", "one-row", "threads", "file")
N_TRAIN = 200_000
N_PREDICT = 100_000


def rows(n_rows: int) -> Any:
    """Return float32 rows that no model was trained on."""
    return datasets.synthetic_binary(n_rows, seed=5).X_train


class Models:
    """Trained models in a folder, made when first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._data: Any = None

    def data(self) -> Any:
        """Return the training data."""
        if self._data is None:
            self._data = datasets.synthetic_binary(N_TRAIN)
        return self._data

    def columns(self, X: Any) -> dict[str, Any]:
        """Return the columns as YDF takes them."""
        return {f"f{i}": np.ascontiguousarray(X[:, i]) for i in range(X.shape[1])}

    def lightgbm(self, n_trees: int, n_leaves: int) -> Path:
        """Return the file of a LightGBM model."""
        path = self.folder / f"lgb_{n_trees}_{n_leaves}.txt"
        if not path.exists():
            import lightgbm

            data = self.data()
            model = lightgbm.LGBMRegressor(
                n_estimators=n_trees, num_leaves=n_leaves, verbose=-1
            ).fit(data.X_train, data.y_train.astype(float))
            model.booster_.save_model(path)
        return path

    def forest(self) -> Any:
        """Return scikit-learn's forest of 100 full-depth trees."""
        import joblib

        path = self.folder / "rf.joblib"
        if not path.exists():
            from sklearn.ensemble import RandomForestClassifier

            data = self.data()
            model = RandomForestClassifier(100, n_jobs=-1, random_state=0)
            joblib.dump(model.fit(data.X_train, data.y_train), path)
        return joblib.load(path)

    def boosting_peers(
        self, n_trees: int, n_leaves: int, n_threads: int
    ) -> dict[str, tuple[bool, Callable[[Any], Any]]]:
        """Return how each library predicts, and whether it has the same trees."""
        import lightgbm

        peers: dict[str, tuple[bool, Callable[[Any], Any]]] = {}
        path = self.lightgbm(n_trees, n_leaves)
        booster = lightgbm.Booster(model_file=path)
        ensemble = imported.from_lightgbm(booster)
        zero = np.zeros(1)
        predictor = imported.predictor_of(ensemble)

        def ours(X: Any) -> Any:
            if len(X) == 1:
                return predictor.predict_one(X)
            return ensemble.sum_values(X, zero, n_threads)[:, 0]

        peers["fasttree"] = (True, ours)
        peers["LightGBM"] = (
            True,
            lambda X: booster.predict(X, num_threads=n_threads),
        )
        name = f"{n_trees}_{n_leaves}"
        for add in (_add_tl2cgen, _add_lleaves, _add_onnx, _add_xgboost, _add_ydf):
            try:
                add(peers, self, path, booster, name, n_trees, n_leaves, n_threads)
            except ImportError as error:
                print(f"left out: {error}", file=sys.stderr)
        return peers

    def forest_peers(
        self, n_threads: int
    ) -> dict[str, tuple[bool, Callable[[Any], Any]]]:
        """Return how each library predicts with the forest of full-depth trees."""
        forest = self.forest()
        ensemble = imported.from_forest(forest)
        predictor = imported.predictor_of(ensemble)
        forest.set_params(n_jobs=n_threads)
        peers: dict[str, tuple[bool, Callable[[Any], Any]]] = {}

        def ours(X: Any) -> Any:
            if len(X) == 1:
                return predictor.predict_proba_one(X)[None]
            return ensemble.mean_shares(X, n_threads)

        peers["fasttree"] = (True, ours)
        peers["scikit-learn"] = (True, forest.predict_proba)
        try:
            import treelite

            model = treelite.sklearn.import_model(forest)
            peers["treelite GTIL"] = (
                True,
                lambda X: treelite.gtil.predict(model, X, nthread=n_threads)[:, 0],
            )
        except ImportError as error:
            print(f"left out: {error}", file=sys.stderr)
        for name, make in (("sklearnex", self._sklearnex), ("YDF", self._ydf_forest)):
            try:
                peers[name] = (False, make(n_threads))
            except ImportError as error:
                print(f"left out: {error}", file=sys.stderr)
        return peers

    def _ydf_forest(self, n_threads: int) -> Callable[[Any], Any]:
        import ydf

        ydf.verbose(0)
        folder = self.folder / "ydf_forest"
        if not folder.exists():
            data = self.data()
            ydf.RandomForestLearner(
                label="y",
                num_trees=100,
                max_depth=-1,
                min_examples=1,
                winner_take_all=False,
                compute_oob_performances=False,
            ).train({**self.columns(data.X_train), "y": data.y_train}).save(str(folder))
        return _predict_columns(ydf.load_model(str(folder)), n_threads)

    def _sklearnex(self, n_threads: int) -> Callable[[Any], Any]:
        import joblib
        from sklearnex.ensemble import RandomForestClassifier

        path = self.folder / "sklearnex.joblib"
        if not path.exists():
            data = self.data()
            model = RandomForestClassifier(100, n_jobs=-1, random_state=0)
            joblib.dump(model.fit(data.X_train, data.y_train), path)
        model = joblib.load(path).set_params(n_jobs=n_threads)
        return model.predict_proba


def _add_tl2cgen(
    peers: Any, models: Models, path: Path, _b: Any, name: str, _t: int, _l: int, n: int
) -> None:
    import tl2cgen
    import treelite

    library = models.folder / f"tl_{name}.so"
    if not library.exists():
        tl2cgen.export_lib(
            treelite.frontend.load_lightgbm_model(path),
            toolchain="gcc",
            libpath=library,
            params={"parallel_comp": 8, "quantize": 1},
        )
    predictor = tl2cgen.Predictor(library, nthread=n)

    def predict(X: Any) -> Any:
        return predictor.predict(tl2cgen.DMatrix(X)).ravel()

    peers["tl2cgen"] = (True, predict)


def _add_lleaves(
    peers: Any, models: Models, path: Path, _b: Any, name: str, _t: int, _l: int, n: int
) -> None:
    import lleaves

    model = lleaves.Model(model_file=path)
    model.compile(cache=models.folder / f"ll_{name}.o")
    peers["lleaves"] = (True, lambda X: model.predict(X, n_jobs=n))


def _add_onnx(
    peers: Any, models: Models, _p: Path, booster: Any, name: str, _t: int, _l: int,
    n: int,
) -> None:  # fmt: skip
    import onnxruntime
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    file = models.folder / f"ort_{name}.onnx"
    if not file.exists():
        width = booster.num_feature()
        model = convert_lightgbm(
            booster, initial_types=[("X", FloatTensorType([None, width]))]
        )
        file.write_bytes(model.SerializeToString())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        file, options, providers=["CPUExecutionProvider"]
    )
    peers["onnxruntime"] = (True, lambda X: session.run(None, {"X": X})[0].ravel())


def _add_xgboost(
    peers: Any, models: Models, _p: Path, _b: Any, name: str, n_trees: int,
    n_leaves: int, n: int,
) -> None:  # fmt: skip
    import xgboost

    file = models.folder / f"xgb_{name}.ubj"
    if not file.exists():
        data = models.data()
        xgboost.train(
            {
                "max_leaves": n_leaves,
                "grow_policy": "lossguide",
                "max_depth": 0,
                "tree_method": "hist",
            },
            xgboost.DMatrix(data.X_train, data.y_train),
            n_trees,
        ).save_model(file)
    model = xgboost.Booster(model_file=file)
    model.set_param({"nthread": n})
    peers["XGBoost"] = (False, model.inplace_predict)


def _add_ydf(
    peers: Any, models: Models, _p: Path, _b: Any, name: str, n_trees: int,
    n_leaves: int, n: int,
) -> None:  # fmt: skip
    import ydf

    ydf.verbose(0)
    folder = models.folder / f"ydf_{name}"
    if not folder.exists():
        data = models.data()
        ydf.GradientBoostedTreesLearner(
            label="y",
            task=ydf.Task.REGRESSION,
            num_trees=n_trees,
            max_num_nodes=n_leaves,
            growing_strategy="BEST_FIRST_GLOBAL",
            max_depth=-1,
            validation_ratio=0.0,
            early_stopping="NONE",
        ).train(
            {
                **models.columns(data.X_train),
                "y": data.y_train.astype(np.float32),
            }
        ).save(str(folder))
    model = ydf.load_model(str(folder))
    peers["YDF"] = (False, _predict_columns(model, n))


def _predict_columns(model: Any, n_threads: int) -> Callable[[Any], Any]:
    """Return how YDF predicts, without what it takes to make columns of a batch."""
    kept: dict[int, Any] = {}

    def predict(X: Any) -> Any:
        if id(X) not in kept:
            kept.clear()
            kept[id(X)] = {
                f"f{i}": np.ascontiguousarray(X[:, i]) for i in range(X.shape[1])
            }
        return model.predict(kept[id(X)], num_threads=n_threads)

    return predict


def check_equal(peers: dict[str, tuple[bool, Any]], X: Any) -> None:
    """Check that all with the same trees give the same predictions."""
    expected = np.asarray(peers["fasttree"][1](X), np.float64)
    for name, (is_same, predict) in peers.items():
        if is_same:
            got = np.asarray(predict(X), np.float64)
            np.testing.assert_allclose(
                got, expected, rtol=1e-4, atol=1e-5, err_msg=name
            )


def interleave(
    peers: dict[str, tuple[bool, Any]], X: Any, n_rounds: int
) -> dict[str, list[float]]:
    """Return the seconds of each round, the peers taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(n_rounds):
        for name, (_, predict) in peers.items():
            start = time.perf_counter()
            predict(X)
            seconds[name].append(time.perf_counter() - start)
    return seconds


def latencies(
    peers: dict[str, tuple[bool, Any]], X: Any, n_rounds: int, n_calls: int
) -> dict[str, list[float]]:
    """Return the seconds of single calls, the peers taking turns."""
    each = [np.ascontiguousarray(X[i : i + 1]) for i in range(200)]
    calls: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(n_rounds):
        for name, (_, predict) in peers.items():
            own = n_calls if name == "fasttree" else max(20, n_calls // 50)
            for i in range(own):
                row = each[i % 200]
                start = time.perf_counter()
                predict(row)
                calls[name].append(time.perf_counter() - start)
    return calls


def show_batch(title: str, seconds: dict[str, list[float]], per_row: int) -> None:
    """Print the medians, and how many times slower than fasttree each one is."""
    print(f"\n{title}\n\n| library | ms | ns a row and tree | ratio |")
    print("| :--- | ---: | ---: | ---: |")
    own = seconds["fasttree"]
    for name, samples in seconds.items():
        median = statistics.median(samples)
        ratio = statistics.median(a / b for a, b in zip(samples, own, strict=True))
        each = median / N_PREDICT / per_row * 1e9
        print(f"| {name} | {median * 1e3:.1f} | {each:.2f} | {ratio:.2f} |")


def show_latency(title: str, calls: dict[str, list[float]]) -> None:
    """Print the 50th and 99th percentile of single calls."""
    print(f"\n{title}\n\n| library | p50 us | p99 us | ratio of p50 |")
    print("| :--- | ---: | ---: | ---: |")
    own = np.percentile(calls["fasttree"], 50)
    for name, samples in calls.items():
        middle, high = np.percentile(samples, [50, 99])
        print(
            f"| {name} | {middle * 1e6:.2f} | {high * 1e6:.2f} | {middle / own:.1f} |"
        )


def throughput(call: Callable[[Any], Any], X: Any, n_threads: int) -> float:
    """Return how many calls a second threads do together, each with rows of its own."""
    counts = [0] * n_threads
    barrier = threading.Barrier(n_threads + 1)
    is_over = threading.Event()

    def work(number: int) -> None:
        own = np.array_split(X, n_threads)[number]
        each = [np.ascontiguousarray(own[i : i + 1]) for i in range(10)]
        barrier.wait()
        while not is_over.is_set():
            for row in each:
                call(row)
                counts[number] += 1

    workers = [threading.Thread(target=work, args=(i,)) for i in range(n_threads)]
    for worker in workers:
        worker.start()
    barrier.wait()
    before, start = sum(counts), time.perf_counter()
    time.sleep(2.0)
    done, seconds = sum(counts) - before, time.perf_counter() - start
    is_over.set()
    for worker in workers:
        worker.join()
    return done / seconds


def show_threads(models: Models, X: Any) -> None:
    """Print what threads that share a predictor do, beside what one does."""
    import lightgbm

    booster = lightgbm.Booster(model_file=models.lightgbm(100, 31))
    small = imported.predictor_of(imported.from_lightgbm(booster))
    large = imported.predictor_of(imported.from_forest(models.forest()))
    block, batch = (np.ascontiguousarray(X[:n]) for n in (256, 4096))
    works = {
        "predict_one, 100 trees of 31 leaves": small.predict_one,
        "predict_many of 256 rows, 31 leaves": lambda _: small.predict_many(block),
        "predict_one, 100 full-depth trees": large.predict_one,
        "predict_many of 256 rows, full depth": lambda _: large.predict_many(block),
        "predict_many of 4,096 rows, 31 leaves": lambda _: small.predict_many(batch),
        "predict_many of 4,096 rows, full depth": lambda _: large.predict_many(batch),
    }
    print("\nCalls of one predictor a second\n")
    print("| call | 1 thread | 2 threads | 16 threads |")
    print("| :--- | ---: | ---: | ---: |")
    for name, call in works.items():
        rates = [throughput(call, X, n) for n in (1, 2, 16)]
        print(f"| {name} | " + " | ".join(f"{rate:,.0f}" for rate in rates) + " |")


def show_files(models: Models) -> None:
    """Print the bytes of the forest's files."""
    import joblib

    forest = models.forest()
    ensemble = imported.from_forest(forest)
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder) / "ours", Path(folder) / "theirs"
        imported.save(ensemble, ours)
        joblib.dump(forest, theirs)
        sizes = ours.stat().st_size, theirs.stat().st_size
    print("\nFile of 100 full-depth trees\n\n| library | MB | bytes a node | ratio |")
    print("| :--- | ---: | ---: | ---: |")
    for name, size in zip(("fasttree", "scikit-learn, joblib"), sizes, strict=True):
        each = size / ensemble.node_count
        print(f"| {name} | {size / 1e6:.1f} | {each:.2f} | {size / sizes[0]:.2f} |")


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", action="append", choices=WORKS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shape", action="append", help="trees,leaves of boosting")
    parser.add_argument("--folder", type=Path, default=ROOT / ".models")
    options = parser.parse_args()
    models = Models(options.folder)
    works = options.work or WORKS
    shapes = SHAPES
    if options.shape:
        shapes = [tuple(map(int, shape.split(","))) for shape in options.shape]
    n = options.threads
    X = rows(N_PREDICT)
    work = f"{N_PREDICT} rows, {n} thread{'s' * (n > 1)}"
    if "boosting" in works:
        for n_trees, n_leaves in shapes:
            peers = models.boosting_peers(n_trees, n_leaves, n)
            check_equal(peers, X[:2000])
            interleave(peers, X, 1)
            seconds = interleave(peers, X, options.rounds)
            title = f"{n_trees} trees of {n_leaves} leaves, {work}"
            show_batch(title, seconds, n_trees)
    if "forest" in works:
        peers = models.forest_peers(n)
        check_equal(peers, X[:2000])
        interleave(peers, X, 1)
        seconds = interleave(peers, X, options.rounds)
        show_batch(f"100 full-depth trees, {work}", seconds, 100)
    if "one-row" in works:
        peers = models.boosting_peers(100, 31, 1)
        show_latency("One row, 100 trees of 31 leaves", latencies(peers, X, 5, 5000))
        peers = models.forest_peers(1)
        show_latency("One row, 100 full-depth trees", latencies(peers, X, 5, 2000))
    if "threads" in works:
        show_threads(models, X)
    if "file" in works:
        show_files(models)


if __name__ == "__main__":
    main()
