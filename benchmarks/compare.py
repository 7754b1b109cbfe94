"""Compare fasttree with its peers: seconds, quality, memory and size of one tree.

Each fit runs in a process of its own, the peers taking turns, so that neither a
warm cache, a grown heap nor a drift of the machine's speed favours one. Threads
are pinned alike. Encoding counts as fitting. Medians are printed.

    python benchmarks/compare.py --list
    python benchmarks/compare.py --workload synth-200k --peers sklearn,lightgbm
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if not __package__:  # run as a script
    sys.path.insert(0, str(ROOT))

from benchmarks import peers as peer_module  # noqa: E402 - needs the path above
from benchmarks import workloads  # noqa: E402

ALWAYS = ("fasttree", "sklearn")
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "BLIS_NUM_THREADS",
)
QUALITY = {
    "accuracy": "accuracy",
    "auc": "AUC",
    "log_loss": "log loss",
    "r2": "R2",
    "rmse": "RMSE",
}
DISTRIBUTIONS = {
    "fasttree": "fasttree",
    "sklearn": "scikit-learn",
    "hgb": "scikit-learn",
    "sklearnex": "scikit-learn-intelex",
    "lightgbm": "lightgbm",
    "xgboost": "xgboost",
    "ydf": "ydf",
}


def progress(text: str) -> None:
    """Print to standard error; standard output has only the tables."""
    print(text, file=sys.stderr, flush=True)


def run_child(
    request: dict[str, Any], n_threads: int, timeout: float
) -> dict[str, Any]:
    """Run one request of measure.py in a process of its own.

    Returns
    -------
    dict
        Its answer, or ``{"failed": reason}``.
    """
    environment = {
        **os.environ,
        **dict.fromkeys(THREAD_VARIABLES, str(n_threads)),
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.measure", json.dumps(request)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"not done after {timeout:.0f} s"}
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        last = lines[-1] if lines else "no message"
        return {"failed": f"exit {done.returncode}: {last}"}
    return json.loads(done.stdout.strip().splitlines()[-1])


def compare(
    workload: workloads.Workload,
    peer_names: list[str],
    *,
    n_threads: int,
    repeats: int,
    smoke: bool,
    timeout: float,
) -> dict[str, Any]:
    """Measure all peers on one workload, in turn.

    Returns
    -------
    dict
        The workload's name and data shape, and per peer the samples of each
        repeat and their summary.
    """
    with tempfile.TemporaryDirectory(prefix="fasttree-compare-") as folder:
        path = str(Path(folder) / "data.pickle")
        progress(f"{workload.name}: making the data")
        shape = run_child(
            {
                "do": "prepare",
                "workload_name": workload.name,
                "path": path,
                "smoke": smoke,
            },
            n_threads,
            timeout,
        )
        samples: dict[str, list[dict[str, Any]]] = {name: [] for name in peer_names}
        out: dict[str, dict[str, Any]] = {}
        if "failed" in shape:
            out = {name: {"failed": "no data: " + shape["failed"]} for name in samples}
        for repeat in range(repeats):
            for name in peer_names:
                if name in out:
                    continue
                answer = run_child(
                    {
                        "do": "measure",
                        "workload_name": workload.name,
                        "peer_name": name,
                        "path": path,
                        "n_threads": n_threads,
                        "smoke": smoke,
                    },
                    n_threads,
                    timeout,
                )
                if "wall_seconds" in answer:
                    samples[name].append(answer)
                    told = f"{answer['wall_seconds']:.4g} s"
                else:
                    out[name] = answer
                    told = next(iter(answer.values()))
                progress(f"{workload.name}: {repeat + 1} of {repeats}, {name}: {told}")
    results = {name: out.get(name) or summarise(samples[name]) for name in peer_names}
    add_ratios(results, samples)
    return {
        "workload": workload.name,
        "about": workload.about,
        "shape": shape,
        "peers": results,
        "samples": samples,
    }


def summarise(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of each figure; the quality is the same in each sample."""
    summary = dict(samples[0])
    for key in ("wall_seconds", "cpu_seconds", "peak_bytes"):
        summary[key] = median(sample[key] for sample in samples)
    return summary


def add_ratios(
    results: dict[str, dict[str, Any]], samples: dict[str, list[dict[str, Any]]]
) -> None:
    """Add to each peer how many times fasttree's wall seconds it took.

    The ratio is taken within each round and its median kept: what slows the
    machine during one round slows both.
    """
    if "wall_seconds" not in results.get("fasttree", {}):
        return
    for name, result in results.items():
        if "wall_seconds" in result:
            result["ratio"] = median(
                theirs["wall_seconds"] / ours["wall_seconds"]
                for theirs, ours in zip(samples[name], samples["fasttree"], strict=True)
            )


def to_markdown(result: dict[str, Any]) -> str:
    """Return one workload's result as a Markdown table."""
    rows = result["peers"]
    kinds = [key for key in QUALITY if any(key in row for row in rows.values())]
    header = [
        "peer",
        "wall s",
        "CPU s",
        *(QUALITY[key] for key in kinds),
        "peak MiB",
        "nodes",
        "ratio",
    ]
    shape = result["shape"]
    size = ""
    if "n_rows" in shape:
        size = (
            f"{shape['n_rows']:,} rows x {shape['n_features']} columns to learn from,"
            f" {shape['n_test']:,} rows to test on"
        )
    lines = [
        f"### {result['workload']}",
        "",
        f"{result['about']}{' (run on ' + size + ')' if size else ''}",
        "",
        "| " + " | ".join(header) + " |",
        "| --- |" + " ---: |" * (len(header) - 1),
    ]
    remarks = []
    for name, row in rows.items():
        if "wall_seconds" not in row:
            reason = row.get("failed") or row["unsupported"]
            word = "failed" if "failed" in row else "not run"
            remarks.append(f"- {name} {word}: {reason}")
            continue
        nodes = row["n_nodes"]
        cells = [
            name,
            f"{row['wall_seconds']:.4g}",
            f"{row['cpu_seconds']:.4g}",
            *(f"{row[key]:.4f}" if key in row else "-" for key in kinds),
            f"{row['peak_bytes'] / 2**20:.1f}",
            "-" if nodes is None else f"{nodes:,}",
            f"{row['ratio']:.2f}" if "ratio" in row else "-",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    if remarks:
        lines += ["", *remarks]
    return "\n".join(lines) + "\n"


def describe_machine() -> str:
    """Return the processor's name and count, and Python's version."""
    model = platform.processor() or platform.machine()
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.exists():
        for line in cpu_info.read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return f"{model}, {os.cpu_count()} processors, Python {platform.python_version()}"


def describe_versions(peer_names: list[str]) -> str:
    """Return the versions of the libraries compared."""
    told = []
    for distribution in dict.fromkeys(DISTRIBUTIONS[name] for name in peer_names):
        try:
            told.append(f"{distribution} {version(distribution)}")
        except PackageNotFoundError:
            told.append(f"{distribution} (version unknown)")
    return ", ".join(told)


def choose_peers(asked: str) -> list[str]:
    """Return fasttree, scikit-learn and the installed ones of those asked for."""
    names = [name for name in asked.split(",") if name]
    unknown = sorted(set(names) - set(peer_module.BY_NAME))
    if unknown:
        msg = (
            f"--peers: unknown {', '.join(unknown)};"
            f" there are {', '.join(peer_module.BY_NAME)}"
        )
        raise SystemExit(msg)
    chosen = list(ALWAYS)
    for name in dict.fromkeys(names):
        if name in ALWAYS:
            continue
        if peer_module.BY_NAME[name].is_installed():
            chosen.append(name)
        else:
            progress(f"{name} is not installed; left out")
    return chosen


def choose_workloads(asked: list[str] | None) -> list[workloads.Workload]:
    """Return the workloads of these names, or all of them."""
    if not asked:
        return list(workloads.ALL)
    unknown = sorted(set(asked) - set(workloads.BY_NAME))
    if unknown:
        raise SystemExit(f"--workload: unknown {', '.join(unknown)}; try --list")
    return [workloads.BY_NAME[name] for name in dict.fromkeys(asked)]


def positive(text: str) -> int:
    """Read a command-line number of at least 1."""
    value = int(text)
    if value < 1:
        msg = f"{value} is less than 1"
        raise argparse.ArgumentTypeError(msg)
    return value


def make_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--list", action="store_true", help="list workloads and peers, run nothing"
    )
    parser.add_argument(
        "--workload",
        action="append",
        metavar="NAME",
        help="run this one; may be given again (default: all)",
    )
    parser.add_argument(
        "--peers",
        default="",
        metavar="A,B",
        help="more peers than scikit-learn: hgb, sklearnex, lightgbm, xgboost, ydf",
    )
    parser.add_argument(
        "--threads", type=positive, default=1, help="threads of each fit (%(default)s)"
    )
    parser.add_argument(
        "--repeats", type=positive, help="fits of each peer (default 3, smoke 1)"
    )
    parser.add_argument(
        "--timeout",
        type=positive,
        default=900,
        help="seconds for one fit (%(default)s)",
    )
    parser.add_argument(
        "--smoke", action="store_true", help="some hundred rows: does everything run?"
    )
    parser.add_argument("--json", metavar="FILE", help="write all samples there too")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the comparison; the exit status is 1 if fasttree or scikit-learn failed."""
    args = make_parser().parse_args(argv)
    if args.list:
        for workload in workloads.ALL:
            print(f"{workload.name:<24}{workload.about}")
        print()
        for peer in peer_module.ALL:
            there = "" if peer.is_installed() else " (not installed)"
            print(f"{peer.name:<24}{peer.note}{there}")
        return 0

    names = choose_peers(args.peers)
    repeats = args.repeats or (1 if args.smoke else 3)
    chosen = choose_workloads(args.workload)
    machine, versions = describe_machine(), describe_versions(names)
    print(f"{machine}\n{versions}\nthreads {args.threads}, repeats {repeats}\n")
    print("ratio: a peer's wall seconds over fasttree's.")
    print("peak MiB: memory of the fit beyond the loaded data.\n", flush=True)
    if args.smoke:
        print("--smoke: tiny data; these figures say nothing about speed.\n")
    results = []
    for workload in chosen:
        result = compare(
            workload,
            names,
            n_threads=args.threads,
            repeats=repeats,
            smoke=args.smoke,
            timeout=args.timeout,
        )
        results.append(result)
        print(to_markdown(result), flush=True)
    if args.json:
        report = {
            "machine": machine,
            "versions": versions,
            "threads": args.threads,
            "repeats": repeats,
            "smoke": args.smoke,
            "results": results,
        }
        Path(args.json).write_text(json.dumps(report, indent=1) + "\n")
    failed = any(
        "failed" in result["peers"][name] for result in results for name in ALWAYS
    )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
