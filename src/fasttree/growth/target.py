"""The target of a fit as the kernels take it: integers.

Class weights and regression targets are put on a fixed-point grid whose step is a
power of two, chosen per fit so that no sum can overflow; sums are then exact and do
not depend on the order of the rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree._kernels import prepare

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fasttree.data.table import EncodedTable

# Kinds of target, as the kernels number them.
BINARY, CLASSES, REGRESSION, LABELS, SUMS = range(5)
_LOSSES = {"squared_error": 0, "poisson": 1, "absolute_error": 2}
MAX_CLASSES = 1 << 16
SUM_BITS = 61  # of an int64 sum of absolute values
WEIGHT_BITS = 52  # of the sum of fractional weights


@dataclass(frozen=True)
class Weights:
    units: NDArray[np.int64] | None  # None: every row weighs one unit
    total: int  # units
    scale: float  # units of a weight of 1; a power of two


@dataclass(frozen=True)
class Target:
    """What the kernels need of the target, and how to read their sums."""

    kind: int
    criterion: str
    n_classes: int
    label: NDArray[np.uint16] | None
    weights: Weights
    value: NDArray[np.int64] | None
    response: NDArray[np.float64] | None
    nlogn: NDArray[np.float64] | None
    quantum: float
    centre: NDArray[np.float64] = field(default_factory=lambda: np.zeros(1))
    """(n_outputs,), of the responses."""
    value_exponent: int = 0  # value = weight * (response - centre) * 2**exponent
    response_exponent: int = 0  # response = y * 2**exponent
    class_start: NDArray[np.int64] | None = None  # (n_outputs + 1,)

    @property
    def n_outputs(self) -> int:
        return len(self.centre)

    @property
    def n_totals(self) -> int:
        """Numbers that the kernels keep of a node besides its statistics."""
        if self.kind == SUMS:
            return 2 * self.n_outputs
        return self.n_classes if self.kind in (CLASSES, LABELS) else 0

    @property
    def row_bytes(self) -> int:
        """Bytes of a row's targets, where there are several."""
        return {LABELS: 2, SUMS: 16}.get(self.kind, 0) * self.n_outputs

    @property
    def loss(self) -> int:
        """Which loss regression lowers, as the kernels number them."""
        return _LOSSES.get(self.criterion, 0)

    @property
    def per_unit(self) -> float:
        """Units of value that a deviation of one has in a row of one weight unit."""
        return math.ldexp(1.0, self.value_exponent) / self.weights.scale


def n_rows_of(target: Target) -> int:
    rows = target.response if target.label is None else target.label
    assert rows is not None
    return len(rows) // target.n_outputs


def class_target(
    y: NDArray[np.int32],
    n_classes: int | NDArray[np.intp],
    sample_weight: NDArray[np.float64] | None,
    criterion: str,
) -> Target:
    """Return what the kernels need of classes.

    Raises
    ------
    ValueError
        If there are more than `MAX_CLASSES`.
    """
    class_start = np.append(0, np.cumsum(n_classes, dtype=np.int64))
    total, n_outputs = int(class_start[-1]), len(class_start) - 1
    if total > MAX_CLASSES:
        raise ValueError(
            f"y has {total} classes; at most {MAX_CLASSES} are supported, those of "
            "all outputs together"
        )
    weights = _weight_units(sample_weight, len(y))
    if n_outputs > 1:
        kind = LABELS
        y = y + class_start[:-1]
    else:
        kind = BINARY if total <= 2 and weights.units is None else CLASSES
    nlogn, quantum = None, 0.0
    if criterion == "entropy":
        nlogn, quantum = nlogn_table(weights.total, n_outputs)
    return Target(
        kind,
        criterion,
        total,
        np.ascontiguousarray(y, np.uint16).reshape(-1),
        weights,
        None,
        None,
        nlogn,
        quantum,
        np.zeros(n_outputs),
        class_start=class_start,
    )


def check_poisson(
    y: NDArray[np.float64], sample_weight: NDArray[np.float64] | None
) -> None:
    if y.min() < 0.0:
        raise ValueError(
            "y must not be negative with criterion='poisson': some value(s) of y "
            f"are negative, down to {y.min()}"
        )
    if not (y.any() if sample_weight is None else y[sample_weight > 0.0].any()):
        raise ValueError(
            "y must be positive somewhere with criterion='poisson': the sum of y is "
            "not positive over the rows of positive weight"
        )


def regression_target(
    y: NDArray[np.float64], sample_weight: NDArray[np.float64] | None, criterion: str
) -> Target:
    """Put `y` on a fixed-point grid, about a centre, and keep it to take means of."""
    weights = _weight_units(sample_weight, len(y))
    y = y.reshape(len(y), -1)
    n_outputs = y.shape[1]
    centre = np.zeros(n_outputs)
    if criterion != "poisson":
        centre[:] = [_mean_of_finite(column) for column in y.T]
    spread = float(np.abs(y - centre).max())
    if criterion == "absolute_error" and spread:
        # Whole targets stay whole: then equal sums of deviations are seen as such.
        exponent = math.frexp(spread)[1] - 1
        centre[:] = [_round_to_power(own, exponent) for own in centre]
    deviation = y - centre
    response_exponent = -math.frexp(max(spread, float(np.abs(deviation).max())))[1]
    share = np.ldexp(deviation, response_exponent)
    if sample_weight is not None:
        share *= sample_weight[:, None]
    heaviest = float(np.abs(share).sum(axis=0).max())
    value_exponent = SUM_BITS - 1 - math.frexp(heaviest)[1]
    value = np.rint(np.ldexp(share, value_exponent)).astype(np.int64)
    response = np.ldexp(y, response_exponent)
    if criterion == "absolute_error":
        # The rows of each output's deviations stand in an order of their own.
        value, response = value.T, response.T
    return Target(
        REGRESSION if n_outputs == 1 else SUMS,
        criterion,
        0,
        None,
        weights,
        np.ascontiguousarray(value).reshape(-1),
        np.ascontiguousarray(response).reshape(-1),
        None,
        0.0,
        np.ldexp(centre, response_exponent),
        value_exponent,
        response_exponent,
    )


def drop_weightless(
    table: EncodedTable, y: NDArray[Any], sample_weight: NDArray[np.float64] | None
) -> tuple[EncodedTable, NDArray[Any], NDArray[np.float64] | None]:
    """Leave out the rows of weight zero."""
    if sample_weight is None or sample_weight.all():
        return table, y, sample_weight
    kept = np.flatnonzero(sample_weight)
    return table.take(kept), y[kept], sample_weight[kept]


def _weight_units(sample_weight: NDArray[np.float64] | None, n_rows: int) -> Weights:
    if sample_weight is None or (sample_weight == 1.0).all():
        return Weights(None, n_rows, 1.0)
    # A sum of float64 may depend on the CPU; only its magnitude is used.
    magnitude = math.frexp(float(sample_weight.sum()))[1]
    whole = np.rint(sample_weight)
    if magnitude <= WEIGHT_BITS and (whole == sample_weight).all():
        units = whole.astype(np.int64)
        return Weights(units, int(units.sum()), 1.0)
    exponent = WEIGHT_BITS - magnitude - 1
    units = np.rint(np.ldexp(sample_weight, exponent)).astype(np.int64)
    np.maximum(units, 1, out=units)
    return Weights(units, int(units.sum()), math.ldexp(1.0, exponent))


def nlogn_table(total: int, n_outputs: int = 1) -> tuple[NDArray[np.float64], float]:
    """Return x * log2(x) for x up to about `total`, and the step it is rounded to."""
    largest = n_outputs * total * max(math.log2(total), 1.0)
    quantum = math.ldexp(1.0, math.frexp(largest)[1] - 50)
    table = np.empty(min(total, 1 << 24) + 2)
    prepare.fill_nlogn(table, quantum)
    return table, quantum


def _round_to_power(x: float, exponent: int) -> float:
    """Return `x` rounded to a multiple of 2**exponent."""
    return math.ldexp(round(math.ldexp(x, -exponent)), exponent)


def _mean_of_finite(y: NDArray[np.float64]) -> float:
    """Return about the mean, by a sum of integers: the same on every machine."""
    largest = float(np.abs(y).max())
    if largest == 0.0:
        return 0.0
    exponent = SUM_BITS - 1 - len(y).bit_length() - math.frexp(largest)[1]
    if not -1000 < exponent < 1000:
        # Near the ends of float64's range the power of two itself overflows.
        half = exponent // 2
        scaled = np.ldexp(np.ldexp(y, half), exponent - half)
    else:
        scaled = np.ldexp(y, exponent)
    total = int(np.rint(scaled).astype(np.int64).sum())
    return math.ldexp(total / len(y), -exponent)
