"""What compare.py runs in processes of its own: prepare data, measure one fit.

``python -m benchmarks.measure '<json request>'``. The last line of standard
output is the answer as JSON.
"""

from __future__ import annotations

import contextlib
import json
import pickle
import resource
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import datasets, peers, workloads


def prepare(workload_name: str, path: str, *, smoke: bool) -> dict[str, Any]:
    """Make a workload's data and keep it in a file.

    The fits then load it in a process that never held more than the data, so
    what it needs beyond that is the fit's.
    """
    workload = workloads.BY_NAME[workload_name]
    data = workload.load_small() if smoke else workload.load()
    with Path(path).open("wb") as file:
        pickle.dump(data, file, protocol=5)
    return {
        "n_rows": len(data.y_train),
        "n_features": int(data.X_train.shape[1]),
        "n_test": len(data.y_test),
        "n_bytes": _bytes_of(data.X_train),
        "task": data.task,
    }


def _bytes_of(X: Any) -> int:
    """Return how many bytes an array or frame holds."""
    if hasattr(X, "memory_usage"):
        return int(X.memory_usage(index=False, deep=True).sum())
    return int(X.nbytes)


def measure(
    workload_name: str, peer_name: str, path: str, *, n_threads: int, smoke: bool
) -> dict[str, Any]:
    """Fit one peer on the prepared data and return the figures."""
    workload = workloads.BY_NAME[workload_name]
    peer = peers.BY_NAME[peer_name]
    with Path(path).open("rb") as file:
        data: datasets.Dataset = pickle.load(file)
    try:
        # Imports, thread pools and the like come with the first fit of a process.
        peer.fit(workload, head(data), n_threads)
    except peers.UnsupportedWorkload as error:
        return {"unsupported": str(error)}

    baseline = reset_peak_bytes()
    walls = []
    n_inner = 2 if smoke and workload.n_inner > 1 else workload.n_inner
    cpu_start = time.process_time()
    for _ in range(n_inner):
        start = time.perf_counter()
        model = peer.fit(workload, data, n_threads)
        walls.append(time.perf_counter() - start)
    cpu = (time.process_time() - cpu_start) / n_inner
    peak = peak_bytes() - baseline
    return {
        "wall_seconds": median(walls),
        "cpu_seconds": cpu,
        "peak_bytes": max(peak, 0),
        "n_nodes": peer.count_nodes(model),
        **score(data, peer.predict(model, data, data.X_test)),
    }


def score(data: datasets.Dataset, predicted: Any) -> dict[str, float]:
    """Return the quality on the test part.

    Parameters
    ----------
    data : Dataset
    predicted : ndarray
        Probabilities of the classes of ``y_train`` in ascending order, or values.
    """
    from sklearn.metrics import r2_score, roc_auc_score, root_mean_squared_error

    predicted = np.asarray(predicted, dtype=np.float64)
    if data.task == "regression":
        return {
            "r2": float(r2_score(data.y_test, predicted)),
            "rmse": float(root_mean_squared_error(data.y_test, predicted)),
        }
    classes = np.unique(data.y_train)
    result = {
        "accuracy": float(np.mean(classes[predicted.argmax(axis=1)] == data.y_test)),
        "log_loss": _log_loss(classes, predicted, data.y_test),
    }
    if len(classes) == 2 and len(np.unique(data.y_test)) == 2:
        result["auc"] = float(roc_auc_score(data.y_test, predicted[:, 1]))
    return result


def _log_loss(classes: Any, probability: Any, y: Any) -> float:
    """Return the mean of -log(p of the true class), p at least 1e-15.

    A class that training never saw has probability 0, hence the floor.
    """
    column = np.searchsorted(classes, y).clip(max=len(classes) - 1)
    p = np.where(classes[column] == y, probability[np.arange(len(y)), column], 0.0)
    return float(np.log(1 / np.maximum(p, 1e-15)).mean())


def head(data: datasets.Dataset) -> datasets.Dataset:
    """Return some training rows, each class among them, for the first fit."""
    if data.task == "classification":
        _, first = np.unique(data.y_train, return_index=True)
    else:
        first = np.arange(0)
    rows = np.union1d(first, np.arange(min(200, len(data.y_train))))
    X = data.X_train
    X = X.iloc[rows] if hasattr(X, "iloc") else X[rows]
    return datasets.Dataset(
        X, data.y_train[rows], data.X_test, data.y_test, data.task, data.categorical
    )


def reset_peak_bytes() -> int:
    """Start a new high-water mark of memory and return where it stands.

    Linux can lower the mark to what is in use now; elsewhere it stays at the
    highest so far, and a fit that stays below shows as 0.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return peak_bytes()


def peak_bytes() -> int:
    """Return the most memory that the process has had resident."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        # ru_maxrss is in KiB, but in bytes on macOS.
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    # ru_maxrss would also know of the parent's size from before exec.
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def main() -> None:
    """Answer the request on the command line."""
    request = json.loads(sys.argv[1])
    function = {"prepare": prepare, "measure": measure}[request.pop("do")]
    print(json.dumps(function(**request)))


if __name__ == "__main__":
    main()
