"""Compare fasttree with itself: threads, criteria, and memory against the input.

Each fit runs in a process of its own, all of them taking turns. Medians are printed;
`ratio` is the seconds of the first line over those of this one, within each round.

    python benchmarks/ours.py --workload synth-1m-exact --threads 1 --threads 2
    python benchmarks/ours.py --workload synth-200k-gini --workload synth-200k
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if not __package__:  # run as a script
    sys.path.insert(0, str(ROOT))

from benchmarks import compare, workloads  # noqa: E402 - needs the path above


def measure(
    chosen: list[workloads.Workload],
    threads: list[int],
    *,
    repeats: int,
    smoke: bool,
    timeout: float,
) -> list[dict[str, Any]]:
    """Return a line for each workload and number of threads, in order.

    Raises
    ------
    RuntimeError
        If a fit failed.
    """
    lines = []
    with tempfile.TemporaryDirectory(prefix="fasttree-ours-") as folder:
        for workload in chosen:
            path = str(Path(folder) / workload.name)
            shape = run(
                {
                    "do": "prepare",
                    "workload_name": workload.name,
                    "path": path,
                    "smoke": smoke,
                },
                1,
                timeout,
            )
            lines += [
                {"workload": workload.name, "threads": n, "path": path, "samples": []}
                | shape
                for n in threads
            ]
        for repeat in range(repeats):
            for line in lines:
                answer = run(
                    {
                        "do": "measure",
                        "workload_name": line["workload"],
                        "peer_name": "fasttree",
                        "path": line["path"],
                        "n_threads": line["threads"],
                        "smoke": smoke,
                    },
                    line["threads"],
                    timeout,
                )
                line["samples"].append(answer)
                compare.progress(
                    f"{repeat + 1} of {repeats}, {line['workload']} on "
                    f"{line['threads']}: {answer['wall_seconds']:.4g} s"
                )
    return lines


def run(request: dict[str, Any], n_threads: int, timeout: float) -> dict[str, Any]:
    """Return a child's answer, or raise RuntimeError if there is none."""
    answer = compare.run_child(request, n_threads, timeout)
    if "failed" in answer:
        raise RuntimeError(f"{request['workload_name']}: {answer['failed']}")
    return answer


def to_markdown(lines: list[dict[str, Any]]) -> str:
    """Return the lines as a Markdown table."""
    header = ["workload", "threads", "wall s", "ratio", "peak MiB", "peak / input"]
    table = [
        "| " + " | ".join(header) + " |",
        "| --- |" + " ---: |" * (len(header) - 1),
    ]
    for line in lines:
        walls = [sample["wall_seconds"] for sample in line["samples"]]
        first = [sample["wall_seconds"] for sample in lines[0]["samples"]]
        ratio = median(a / b for a, b in zip(first, walls, strict=True))
        peak = median(sample["peak_bytes"] for sample in line["samples"])
        cells = [
            line["workload"],
            str(line["threads"]),
            f"{median(walls):.4g}",
            f"{ratio:.2f}",
            f"{peak / 2**20:.1f}",
            f"{peak / line['n_bytes']:.2f}",
        ]
        table.append("| " + " | ".join(cells) + " |")
    return "\n".join(table) + "\n"


def main(argv: list[str] | None = None) -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--workload",
        action="append",
        required=True,
        metavar="NAME",
        help="one of those that compare.py lists; may be given again",
    )
    parser.add_argument(
        "--threads",
        action="append",
        type=compare.positive,
        help="threads of a fit; may be given again (default 1)",
    )
    parser.add_argument("--repeats", type=compare.positive, default=3)
    parser.add_argument("--timeout", type=compare.positive, default=900)
    parser.add_argument(
        "--smoke", action="store_true", help="some hundred rows: does everything run?"
    )
    args = parser.parse_args(argv)
    chosen = compare.choose_workloads(args.workload)
    print(f"{compare.describe_machine()}\n")
    lines = measure(
        chosen,
        args.threads or [1],
        repeats=args.repeats,
        smoke=args.smoke,
        timeout=args.timeout,
    )
    print(to_markdown(lines))


if __name__ == "__main__":
    main()
