"""How settings, and the rounding of gradients, change the quality of boosting.

Answers two questions that differences from peers in `boosting.py` raise:

- equal: are peers alike where all bound leaves alike? XGBoost bounds hessians only
  (`min_child_weight`), so all are given a least hessian of 1 and no least rows.
- rounding: how much is due to the few bins that LightGBM rounds gradients to? Its
  number of bins goes up, and fasttree is given gradients that were rounded alike by
  way of a loss of one's own.

Every draw is another data set; differences are from the first line, draw by draw.

    python benchmarks/boosting_settings.py rounding --workload binary-1k --draws 60
    python benchmarks/boosting_settings.py equal --workload binary-50k --draws 40
"""

from __future__ import annotations

import argparse
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if not __package__:  # run as a script
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from scipy.special import expit

from benchmarks import boosting

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

ROWS = {"min_samples_leaf": 1, "min_sum_hessian": 1.0}
EQUAL: dict[str, tuple[str, dict[str, Any]]] = {
    "fasttree": ("fasttree", {}),
    "fasttree, hessian 1": ("fasttree", ROWS),
    "LightGBM": ("lightgbm-row", {}),
    "LightGBM, hessian 1": (
        "lightgbm-row",
        {"min_child_samples": 1, "min_child_weight": 1.0},
    ),
    "XGBoost": ("xgboost", {}),
    "XGBoost, 254 bins": ("xgboost", {"max_bin": 254}),
}


class Probabilities:
    """What a model of a loss of one's own predicts, as log loss understands it."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def predict_proba(self, X: Any) -> NDArray[Any]:
        p = expit(self.model.decision_function(X))
        return np.stack([1 - p, p], axis=1)


def rounded_log_loss(n_bins: float, *, stochastic: bool) -> Callable[..., Any]:
    """Return the log loss of two classes with gradients as LightGBM rounds them.

    Gradients are multiples of their largest magnitude over `n_bins / 2`, hessians of
    theirs over `n_bins` (Shi et al., "Quantized Training of Gradient Boosting Decision
    Trees", NeurIPS 2022). With infinitely many bins nothing is rounded.
    """
    rng = np.random.default_rng(0)

    def steps(x: NDArray[Any], n: float) -> NDArray[Any]:
        if np.isinf(n):
            return x
        unit = np.abs(x).max() / n
        offset = rng.random(len(x)) if stochastic else 0.5
        return np.copysign(np.floor(np.abs(x) / unit + offset) * unit, x)

    def loss(y: NDArray[Any], raw: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        p = expit(raw)
        return steps(p - y, n_bins / 2), steps(p * (1 - p), n_bins)

    return loss


def rounding() -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the variants of the second question, their losses new ones."""
    variants: dict[str, tuple[str, dict[str, Any]]] = {
        "fasttree": ("fasttree", {}),
        "LightGBM": ("lightgbm-row", {}),
    }
    for n_bins in (4, 16, 64, 254):
        for stochastic in (True, False):
            how = "stochastic" if stochastic else "nearest"
            variants[f"LightGBM, {n_bins} bins, {how}"] = (
                "lightgbm-quant",
                {"num_grad_quant_bins": n_bins, "stochastic_rounding": stochastic},
            )
    for name, n_bins, stochastic in (
        ("not rounded", np.inf, False),
        ("4 bins, stochastic", 4, True),
        ("4 bins, nearest", 4, False),
    ):
        loss = rounded_log_loss(n_bins, stochastic=stochastic)
        variants[f"fasttree, own loss, {name}"] = ("fasttree", {"loss": loss})
    return variants


def main(argv: list[str] | None = None) -> int:
    """Print the table of one question."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("question", choices=["equal", "rounding"])
    parser.add_argument("--workload", required=True, choices=boosting.JOBS)
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--trees", type=int)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    job = boosting.JOBS[args.workload]
    if job.task != "binary":
        parser.error(f"--workload must have two classes, got {args.workload!r}")
    job = replace(job, trees=args.trees or job.trees)
    scores: dict[str, list[dict[str, float]]] = {}
    for number in range(args.draws):
        data = job.draw(number)
        variants = EQUAL if args.question == "equal" else rounding()
        for name, (peer, changes) in variants.items():
            model = boosting.fit(peer, job, data, args.threads, **changes)
            if "loss" in changes:
                model = Probabilities(model)
            found = boosting.quality(peer, job, data, model)
            scores.setdefault(name, []).append(found)
    result = boosting.Result({}, {"fasttree": scores["fasttree"], **scores})
    print(f"{job.about}; {job.trees} trees, {args.draws} draws\n")
    print("| | log loss | AUC |\n| --- | ---: | ---: |")
    for name in scores:
        cells = [result.cell(name, measure) for measure in ("log loss", "AUC")]
        print(f"| {name} | {' | '.join(cells)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
