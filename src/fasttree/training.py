"""Train one tree: a table and a target in, a `Tree` out.

Statistics are integers. Class weights and regression targets are put on a
fixed-point grid whose step is a power of two, chosen per fit so that no sum can
overflow; sums are then exact and do not depend on the order of the rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree import constraints, growth, sampling, threads
from fasttree._kernels import encode, predict
from fasttree._kernels import forest as _kernel
from fasttree._kernels import grow as kernels
from fasttree.encoding import KeyColumn, Workspaces
from fasttree.tree import Tree

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fasttree.table import EncodedTable

_BINARY, _CLASSES, _REGRESSION, _LABELS, _SUMS = range(5)
_LOSSES = {"squared_error": 0, "poisson": 1, "absolute_error": 2}
_MAX_CLASSES = 1 << 16
_SUM_BITS = 61  # of an int64 sum of absolute values
_WEIGHT_BITS = 52  # of the sum of fractional weights
_MAX_KEPT_CLASSES = 32  # more are counted column by column, not kept
_COPY_BYTES = 320 << 10  # of a worker's copy: most of a common L2 cache
_DRAWN_BYTES = 4 << 20  # of one that is looked at in a few columns at a time


@dataclass(frozen=True)
class GrowthParams:
    """Checked and resolved hyperparameters of one tree.

    Attributes
    ----------
    criterion : {"gini", "entropy", "squared_error", "poisson", "absolute_error"}
    max_depth : int or None
    min_samples_split, min_samples_leaf, max_features : int
    min_weight_fraction_leaf : float
        Of the sum of the sample weights.
    min_samples_category : int
        Categories of fewer rows in a node are pooled.
    max_leaf_nodes : int or None
    min_impurity_decrease : float
    seed : int
        In [0, 2**64).
    splitter : {"best", "random"}
        Whether every split of a feature is tried, or one drawn at random.
    monotone : Monotone or None
        Constraints; of classification with two classes on the share of class 1.
    """

    criterion: str
    max_depth: int | None
    min_samples_split: int
    min_samples_leaf: int
    min_weight_fraction_leaf: float
    min_samples_category: int
    max_features: int
    max_leaf_nodes: int | None
    min_impurity_decrease: float
    seed: int
    splitter: str = "best"
    monotone: constraints.Monotone | None = None


@dataclass(frozen=True)
class _Weights:
    units: NDArray[np.int64] | None  # None: every row weighs one unit
    total: int  # units
    scale: float  # units of a weight of 1; a power of two


@dataclass(frozen=True)
class _Target:
    """What the kernels need of the target, and how to read their sums."""

    kind: int
    criterion: str
    n_classes: int
    label: NDArray[np.uint16] | None
    weights: _Weights
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
        if self.kind == _SUMS:
            return 2 * self.n_outputs
        return self.n_classes if self.kind in (_CLASSES, _LABELS) else 0

    @property
    def row_bytes(self) -> int:
        """Bytes of a row's targets, where there are several."""
        return {_LABELS: 2, _SUMS: 16}.get(self.kind, 0) * self.n_outputs

    @property
    def loss(self) -> int:
        """Which loss regression lowers, as the kernels number them."""
        return _LOSSES.get(self.criterion, 0)

    @property
    def per_unit(self) -> float:
        """Units of value that a deviation of one has in a row of one weight unit."""
        return math.ldexp(1.0, self.value_exponent) / self.weights.scale


def uses_tiles(*, is_weighted: bool, criterion: str, n_outputs: int = 1) -> bool:
    """Return whether columns of at most 255 codes are counted in tiles.

    Rows of one weight and one target are counted in histograms; weighted rows are
    walked in order, where a position tells the number of rows as well as their
    weight, and so are rows of several targets. Medians do not come from histograms
    either.
    """
    return not is_weighted and criterion != "absolute_error" and n_outputs == 1


def grow_classification_tree(
    table: EncodedTable,
    y: NDArray[np.int32],
    n_classes: int | NDArray[np.intp],
    sample_weight: NDArray[np.float64] | None,
    params: GrowthParams,
    n_threads: int,
) -> Tree:
    """Grow a classification tree.

    Parameters
    ----------
    table : EncodedTable of n_rows rows
    y : ndarray of int32, shape (n_rows,) or (n_rows, n_outputs)
        Class codes in [0, n_classes).
    n_classes : int, or ndarray of intp, shape (n_outputs,)
        At most 65,536 in all.
    sample_weight : ndarray of float64, shape (n_rows,), or None
        Not negative, not all zero. Rows of weight zero are left out.
    params : GrowthParams
    n_threads : int
        Changes no bit of the result.

    Returns
    -------
    Tree
    """
    total = int(np.sum(n_classes))
    if total > _MAX_CLASSES:
        raise ValueError(
            f"y has {total} classes; at most {_MAX_CLASSES} are supported, those of "
            "all outputs together"
        )
    table, y, sample_weight = drop_weightless(table, y, sample_weight)
    target = class_target(y, n_classes, sample_weight, params.criterion)
    return _grow(table, target, params, n_threads)


def class_target(
    y: NDArray[np.int32],
    n_classes: int | NDArray[np.intp],
    sample_weight: NDArray[np.float64] | None,
    criterion: str,
) -> _Target:
    """Return what the kernels need of classes."""
    class_start = np.append(0, np.cumsum(n_classes, dtype=np.int64))
    total, n_outputs = int(class_start[-1]), len(class_start) - 1
    weights = _weight_units(sample_weight, len(y))
    if n_outputs > 1:
        kind = _LABELS
        y = y + class_start[:-1]
    else:
        kind = _BINARY if total <= 2 and weights.units is None else _CLASSES
    nlogn, quantum = None, 0.0
    if criterion == "entropy":
        nlogn, quantum = _nlogn_table(weights.total, n_outputs)
    return _Target(
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


def grow_regression_tree(
    table: EncodedTable,
    y: NDArray[np.float64],
    sample_weight: NDArray[np.float64] | None,
    params: GrowthParams,
    n_threads: int,
) -> Tree:
    """Grow a regression tree.

    Targets are rounded to a grid of about 61 - log2(n_rows) bits below the
    largest deviation from the mean: at 200,000 rows a relative 2**-43.

    Parameters
    ----------
    table : EncodedTable of n_rows rows
    y : ndarray of float64, shape (n_rows,) or (n_rows, n_outputs)
        Finite.
    sample_weight, params, n_threads
        As in `grow_classification_tree`.

    Returns
    -------
    Tree

    Raises
    ------
    ValueError
        If the criterion is "poisson" and a target is negative, or none positive.
    """
    if params.criterion == "poisson":
        _check_poisson(y, sample_weight)
    table, y, sample_weight = drop_weightless(table, y, sample_weight)
    target = regression_target(y, sample_weight, params.criterion)
    return _grow(table, target, params, n_threads)


def _check_poisson(
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
) -> _Target:
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
    value_exponent = _SUM_BITS - 1 - math.frexp(heaviest)[1]
    value = np.rint(np.ldexp(share, value_exponent)).astype(np.int64)
    response = np.ldexp(y, response_exponent)
    if criterion == "absolute_error":
        # The rows of each output's deviations stand in an order of their own.
        value, response = value.T, response.T
    return _Target(
        _REGRESSION if n_outputs == 1 else _SUMS,
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


def _weight_units(sample_weight: NDArray[np.float64] | None, n_rows: int) -> _Weights:
    if sample_weight is None or (sample_weight == 1.0).all():
        return _Weights(None, n_rows, 1.0)
    # A sum of float64 may depend on the CPU; only its magnitude is used.
    magnitude = math.frexp(float(sample_weight.sum()))[1]
    whole = np.rint(sample_weight)
    if magnitude <= _WEIGHT_BITS and (whole == sample_weight).all():
        units = whole.astype(np.int64)
        return _Weights(units, int(units.sum()), 1.0)
    exponent = _WEIGHT_BITS - magnitude - 1
    units = np.rint(np.ldexp(sample_weight, exponent)).astype(np.int64)
    np.maximum(units, 1, out=units)
    return _Weights(units, int(units.sum()), math.ldexp(1.0, exponent))


def _nlogn_table(total: int, n_outputs: int = 1) -> tuple[NDArray[np.float64], float]:
    """Return x * log2(x) for x up to about `total`, and the step it is rounded to."""
    largest = n_outputs * total * max(math.log2(total), 1.0)
    quantum = math.ldexp(1.0, math.frexp(largest)[1] - 50)
    table = np.empty(min(total, 1 << 24) + 2)
    kernels.fill_nlogn(table, quantum)
    return table, quantum


def _round_to_power(x: float, exponent: int) -> float:
    """Return `x` rounded to a multiple of 2**exponent."""
    return math.ldexp(round(math.ldexp(x, -exponent)), exponent)


def _mean_of_finite(y: NDArray[np.float64]) -> float:
    """Return about the mean, by a sum of integers: the same on every machine."""
    largest = float(np.abs(y).max())
    if largest == 0.0:
        return 0.0
    exponent = _SUM_BITS - 1 - len(y).bit_length() - math.frexp(largest)[1]
    if not -1000 < exponent < 1000:
        # Near the ends of float64's range the power of two itself overflows.
        half = exponent // 2
        scaled = np.ldexp(np.ldexp(y, half), exponent - half)
    else:
        scaled = np.ldexp(y, exponent)
    total = int(np.rint(scaled).astype(np.int64).sum())
    return math.ldexp(total / len(y), -exponent)


def _grow(
    table: EncodedTable, target: _Target, params: GrowthParams, n_threads: int
) -> Tree:
    if target.n_outputs == 1 and samples_features(params, table.n_features):
        return _grow_sampled(table, target, params)
    plan, owned = _make_plan(table, target, params, n_threads)
    if params.max_leaf_nodes is None:
        pieces = growth.grow_depth_first(plan)
    else:
        pieces = growth.grow_best_first(plan)
    # They hold as much memory as the data.
    del plan, owned
    return _to_tree(pieces.join(), table, target, params)


def samples_features(params: GrowthParams, n_features: int) -> bool:
    """Return whether nodes count the features that they draw, and no others."""
    return (
        params.splitter == "best"
        and params.max_features < n_features
        and params.max_leaf_nodes is None
        and params.monotone is None
    )


def _grow_sampled(table: EncodedTable, target: _Target, params: GrowthParams) -> Tree:
    shared = SharedTarget.of_rows(target, params)
    growth_space = shared.make_growth(sampling.SharedColumns(table))
    return shared.grow(growth_space, params.seed, None, table.n_features)


@dataclass(frozen=True)
class SharedTarget:
    """The target of trees that count the features they draw.

    Made by `of_rows` for trees of all rows, or by `of_draws` for those whose rows are
    drawn: then the weights of a tree are how often each row was, or what
    `balanced_units` makes of that.
    """

    target: _Target
    limits: tuple[Any, ...]
    order: NDArray[np.uint32] | None  # rows of the root, None: by number
    counts: NDArray[np.uint32] | None = None  # weights of all trees, for BINARY
    units: NDArray[np.int64] | None = None  # weights of all trees, for other kinds

    @classmethod
    def of_rows(cls, target: _Target, params: GrowthParams) -> SharedTarget:
        """Return the target for trees of all rows, with their own weights."""
        counts, units = None, target.weights.units
        if _counts_fit(target):
            assert units is not None
            counts, units = units.astype(np.uint32), None
            target = replace(target, kind=_BINARY)
        limits = _limits(target, params, _n_rows(target))
        return cls(target, limits, _start_order(target), counts, units)

    @classmethod
    def of_draws(
        cls,
        y: NDArray[Any],
        n_classes: int,
        params: GrowthParams,
        *,
        n_draws: int,
        most: int,
        balances: bool,
    ) -> SharedTarget:
        """Return the target for trees whose rows are drawn.

        Parameters
        ----------
        y : ndarray of shape (n_rows,)
            Class codes, or targets if `n_classes` is 0.
        n_classes : int
        params : GrowthParams
        n_draws : int
            The most that the counts of a tree may sum up to.
        most : int
            The most that one row may be drawn.
        balances : bool
            Whether trees weigh their rows by `balanced_units`.
        """
        n_rows = len(y)
        # The units are each tree's own; here is only what they sum up to.
        weights = _Weights(np.empty(0, np.int64), n_draws, 1.0)
        if n_classes == 0:
            target = regression_target(y, None, params.criterion)
            share = np.ldexp(y, target.response_exponent) - target.centre
            largest = n_draws * float(np.abs(share).max())
            exponent = _SUM_BITS - 1 - math.frexp(largest)[1]
            value = np.rint(np.ldexp(share, exponent)).astype(np.int64)
            target = replace(
                target, weights=weights, value=value, value_exponent=exponent
            )
        else:
            if balances:
                exponent = _WEIGHT_BITS - math.frexp(float(n_draws))[1] - 1
                scale = math.ldexp(1.0, exponent)
                weights = replace(weights, total=int(n_draws * scale), scale=scale)
            few = n_draws <= _kernel.MOST_BINARY_TOTAL and (
                most <= _kernel.MOST_BINARY_WEIGHT
            )
            is_binary = n_classes <= 2 and few and not balances
            target = class_target(y, n_classes, None, "gini")
            nlogn, quantum = None, 0.0
            if params.criterion == "entropy":
                nlogn, quantum = _nlogn_table(weights.total)
            target = replace(
                target,
                kind=_BINARY if is_binary else _CLASSES,
                criterion=params.criterion,
                weights=weights,
                nlogn=nlogn,
                quantum=quantum,
            )
        return cls(target, _limits(target, params, n_rows), _start_order(target))

    def make_growth(
        self, columns: sampling.SharedColumns, *, shuffles: bool = False
    ) -> Any:
        """Return a thread's memory for one tree after another."""
        return columns.make_growth(
            self.target, self.limits, columns.table.n_rows, shuffles=shuffles
        )

    def grow(
        self,
        growth_space: Any,
        key: int,
        counts: NDArray[np.uint32] | None,
        n_features: int,
        units: NDArray[np.int64] | None = None,
    ) -> Tree:
        """Grow the tree of `key`, of rows drawn `counts` times or of weight `units`."""
        target = self.target
        growth_space.grow(
            key,
            self.counts if counts is None else counts,
            target.label,
            self.units if units is None else units,
            target.value,
            target.response,
            self.order,
        )
        return sampling.take_tree(growth_space, target, n_features)

    def balanced_units(
        self, y: NDArray[np.int32], counts: NDArray[np.uint32]
    ) -> NDArray[np.int64]:
        """Return weights of the rows that were drawn: each class weighs the same."""
        weights = balanced_weights(y, counts, self.target.n_classes)
        units = np.rint(weights * self.target.weights.scale).astype(np.int64)
        units[counts > 0] = np.maximum(units[counts > 0], 1)
        return units


def balanced_weights(
    y: NDArray[np.int32], counts: NDArray[np.uint32], n_classes: int
) -> NDArray[np.float64]:
    """Return weights under which each class that was drawn weighs the same."""
    of_class = np.bincount(y, counts, minlength=n_classes)
    present = of_class > 0
    of_one = np.zeros(n_classes)
    of_one[present] = counts.sum() / (present.sum() * of_class[present])
    return of_one.take(y) * counts


def _n_rows(target: _Target) -> int:
    rows = target.response if target.label is None else target.label
    assert rows is not None
    return len(rows)


def _start_order(target: _Target) -> NDArray[np.uint32] | None:
    if target.criterion != "absolute_error":
        return None
    return _first_rows(target, _n_rows(target))


def _counts_fit(target: _Target) -> bool:
    """Return whether two classes are weighted by small whole numbers."""
    units = target.weights.units
    return (
        target.kind == _CLASSES
        and target.n_classes <= 2
        and units is not None
        and target.weights.scale == 1.0
        and target.weights.total <= _kernel.MOST_BINARY_TOTAL
        and int(units.max()) <= _kernel.MOST_BINARY_WEIGHT
    )


def _make_plan(
    table: EncodedTable, target: _Target, params: GrowthParams, n_threads: int
) -> tuple[growth.Plan, Any]:
    n_rows, n_features = table.n_rows, table.n_features
    drawn = params.splitter == "random"
    in_tiles = not drawn and uses_tiles(
        is_weighted=target.weights.units is not None,
        criterion=params.criterion,
        n_outputs=target.n_outputs,
    )
    signs = np.zeros((n_features, 0), np.int8)
    bounded = np.zeros(0, np.int32)
    if params.monotone is not None:
        signs, bounded = params.monotone.signs, params.monotone.classes
    features = np.zeros(n_features, growth.FEATURE_DTYPE)
    tile_of = np.full(n_features, -1, np.int32)
    keys = _keys_by_row(table, n_threads) if drawn else None
    tiled: list[int] = []
    ordered: list[int] = []
    for f, column in enumerate(table.columns):
        is_tiled = in_tiles and column.fits_tile
        (tiled if is_tiled else ordered).append(f)
        features[f]["tiled"] = is_tiled
        features[f]["categorical"] = column.is_categorical
        features[f]["has_missing"] = column.n_missing > 0
        features[f]["n_codes"] = column.n_codes
        features[f]["single"] = column.single
        if column.is_categorical:
            features[f]["codes"] = column.codes.ctypes.data
            features[f]["itemsize"] = column.codes.itemsize
        if keys is not None:
            _set_keys(features[f], column, keys[f])
        is_binary = column.n_codes == 2 and column.n_missing == 0
        features[f]["binary"] = is_tiled and is_binary
        features[f]["monotone"] = signs[f].any()
    # Columns of two values share tiles, so that the bits of a row stand together.
    tiled.sort(key=lambda f: not features[f]["binary"])
    features["place"][tiled] = np.arange(len(tiled))
    tile_of[tiled] = np.arange(len(tiled)) // 8
    n_tiles = (len(tiled) + 7) // 8
    tiles = np.zeros((n_tiles, n_rows), np.uint64)
    for t in range(n_tiles):
        members = tiled[8 * t : 8 * t + 8]
        kernels.pack_tile([table.columns[f].codes for f in members], tiles[t])
    tiled_features = np.full(8 * n_tiles, -1, np.int32)
    tiled_features[: len(tiled)] = tiled
    orders = [] if drawn else _take_orders(table, ordered, target, n_threads)
    for f, order in zip(ordered, orders, strict=False):
        features[f]["order"] = order.ctypes.data
    n_runs = max(
        (
            column.n_codes + 1 if drawn else min(column.n_codes + 1, n_rows)
            for column in table.columns
            if column.is_categorical
        ),
        default=0,
    )
    limits = _limits(target, params, n_rows)
    problem = kernels.Problem(
        target.kind,
        target.loss,
        target.criterion == "entropy",
        target.n_classes,
        target.n_outputs,
        target.n_totals,
        target.class_start,
        target.label,
        target.weights.units,
        target.value,
        target.response,
        target.nlogn,
        target.quantum,
        target.centre,
        target.per_unit,
        features.view(np.uint8),
        _first_rows(target, n_rows),
        tiles,
        tiled_features,
        limits,
        bounded,
        signs,
        n_runs,
        (table, keys, orders),
    )
    # Only then is a parent's histogram of every column there to subtract from.
    looks_at_all = params.max_features == n_features and params.max_leaf_nodes is None
    # Bytes of a row: two for each list, eight for 64 columns of two values.
    n_binary = int(features["binary"].sum())
    row_bytes = 2 * (n_features - n_binary) + 8 * -(-n_binary // 64)
    row_bytes += target.row_bytes
    capacity, most = _COPY_BYTES // row_bytes, kernels.MAX_LOCAL_ROWS
    if drawn:
        capacity = _DRAWN_BYTES // (4 * n_features + target.row_bytes)
        if target.kind != _CLASSES:
            most = kernels.MAX_DRAWN_ROWS
    plan = growth.Plan(
        problem=problem,
        n_rows=n_rows,
        n_features=n_features,
        drawn=drawn,
        ordered=np.asarray(ordered, np.int32),
        tile_of=tile_of,
        n_tiles=n_tiles,
        n_totals=target.n_totals,
        signs=signs,
        column_words=_column_words(target) if looks_at_all else 0,
        max_features=params.max_features,
        max_leaf_nodes=params.max_leaf_nodes,
        min_gain=_min_gain(params.min_impurity_decrease, target),
        key=params.seed,
        narrow_rows=min(max(capacity, 1024), most),
        n_threads=n_threads,
    )
    return plan, features


def _limits(target: _Target, params: GrowthParams, n_rows: int) -> tuple[Any, ...]:
    """Return the fields of the kernels' Limits."""
    least_weight = math.ceil(params.min_weight_fraction_leaf * target.weights.total)
    min_samples_leaf, min_weight_leaf = params.min_samples_leaf, least_weight
    if target.weights.units is None:
        min_samples_leaf, min_weight_leaf = max(min_samples_leaf, least_weight), 0
    return (
        n_rows if params.max_depth is None else min(params.max_depth, n_rows),
        params.min_samples_split,
        min_samples_leaf,
        params.max_features,
        min_weight_leaf,
        params.min_samples_category,
        _min_gain(params.min_impurity_decrease, target),
        params.splitter == "random",
    )


def _first_rows(target: _Target, n_rows: int) -> NDArray[np.uint32]:
    """Return the rows of the root: in order of the target where medians need it."""
    if target.criterion == "absolute_error":
        assert target.response is not None
        response = target.response.reshape(target.n_outputs, n_rows)
        order = np.argsort(response, axis=1, kind="stable")
        return order.astype(np.uint32).reshape(-1)
    return np.arange(n_rows, dtype=np.uint32)


def _column_words(target: _Target) -> int:
    """Return the uint64 words of a histogram of 256 codes, 0 if it is too large."""
    if target.kind == _BINARY:
        return 256
    if target.kind == _REGRESSION:
        return 512
    return 128 * target.n_classes if target.n_classes <= _MAX_KEPT_CLASSES else 0


def _keys_by_row(table: EncodedTable, n_threads: int) -> list[NDArray[Any]]:
    """Return each column as the integers that drawn splits look at.

    They are in the order of the values: see the kernel's draw.pxd.
    """

    def make(column: Any) -> NDArray[Any]:
        values: NDArray[Any] = np.arange(column.n_codes, dtype=np.int32)
        last = column.n_codes
        if isinstance(column, KeyColumn):
            return column.codes
        if _has_value_keys(column):
            upper = column.upper.astype(np.float32 if column.single else np.float64)
            values = np.empty(len(upper), np.int32 if column.single else np.int64)
            encode.value_keys(upper, values)
        if not column.is_categorical:
            last = np.iinfo(values.dtype).max
        keys = np.empty(len(column.codes), values.dtype)
        kernels.gather_keys(
            column.codes, np.append(values, values.dtype.type(last)), keys
        )
        return keys

    return threads.run(make, [(column,) for column in table.columns], n_threads)


def _has_value_keys(column: Any) -> bool:
    return column.is_exact and not column.is_categorical


def _set_keys(feature: Any, column: Any, keys: NDArray[Any]) -> None:
    """Fill in the fields of a FEATURE_DTYPE that drawn splits need."""
    feature["keys"] = keys.ctypes.data
    feature["key_size"] = keys.itemsize
    if not column.is_categorical and not column.is_exact:
        feature["lower"] = column.lower.ctypes.data
        feature["upper"] = column.upper.ctypes.data


def _take_orders(
    table: EncodedTable, ordered: list[int], target: _Target, n_threads: int
) -> list[NDArray[np.uint32]]:
    """Return the columns' sorted rows, for growth to permute."""
    # One piece of memory for the copies: see encoding.Workspace.
    spaces = Workspaces(table.n_rows, len(ordered))

    def take(f: int) -> NDArray[np.uint32]:
        with spaces.borrow() as space:
            order = table.columns[f].take_order(space)
        if target.kind == _BINARY:
            kernels.flag_ones(order, target.label)
        return order

    return threads.run(take, [(f,) for f in ordered], n_threads)


def _min_gain(min_impurity_decrease: float, target: _Target) -> float:
    """Return the least gain of score; scikit-learn allows a decrease short by eps."""
    if min_impurity_decrease <= 0.0:
        return -np.inf
    gain = (min_impurity_decrease - np.finfo(np.float64).eps) * target.weights.total
    gain *= target.n_outputs  # impurities are means over the outputs
    if target.kind in (_REGRESSION, _SUMS):
        per_unit = target.value_exponent + target.response_exponent
        scale = target.weights.scale
        if target.criterion == "squared_error":
            # Score is value**2 / weight units.
            gain = math.ldexp(gain / scale**2, 2 * per_unit)
        else:
            gain = math.ldexp(gain / scale, per_unit)
        if target.criterion == "poisson":
            gain /= math.log(2.0)
    return gain


def _to_tree(
    grown: growth.Grown, table: EncodedTable, target: _Target, params: GrowthParams
) -> Tree:
    nodes = grown.nodes
    is_leaf = nodes["left"] < 0
    weight = nodes["weight"] / target.weights.scale
    category_start = nodes["set_start"]
    category_count = np.zeros(len(category_start), np.int32)
    n_codes = np.array([column.n_codes for column in table.columns], np.int32)
    in_set = category_start >= 0
    category_count[in_set] = n_codes[nodes["feature"][in_set]]
    payload: dict[str, Any]
    impurity = nodes["impurity"]
    if target.kind in (_REGRESSION, _SUMS):
        power = 2 if target.criterion == "squared_error" else 1
        impurity = np.ldexp(impurity, -power * target.response_exponent)
        payload = _value_payload(grown, target, is_leaf, params.monotone)
    elif target.kind == _BINARY:
        payload = _binary_payload(nodes["n"][is_leaf], nodes["ones"][is_leaf])
    else:
        payload = {
            "leaf_start": grown.leaf_start,
            "leaf_class": grown.leaf_class,
            "leaf_weight": grown.leaf_weight / target.weights.scale,
        }
    if target.kind == _LABELS:
        payload["output_classes"] = np.diff(target.class_start)
    if target.kind in (_BINARY, _CLASSES) and params.monotone is not None:
        payload = _bounded_payload(payload, nodes, target, params.monotone)
    return Tree.from_arrays(
        n_features=table.n_features,
        n_classes=target.n_classes,
        n_outputs=target.n_outputs,
        criterion=params.criterion,
        children_left=nodes["left"],
        children_right=nodes["right"],
        feature=nodes["feature"],
        threshold=_thresholds(nodes, table),
        missing_left=nodes["missing_left"],
        category_start=category_start,
        category_count=category_count,
        category_bits=grown.words,
        impurity=impurity,
        n_node_samples=nodes["n"],
        weighted_n_node_samples=weight,
        **payload,
    )


def _value_payload(
    grown: growth.Grown,
    target: _Target,
    is_leaf: NDArray[np.bool_],
    monotone: constraints.Monotone | None,
) -> dict[str, Any]:
    """Return the values of the leaves.

    And of the inner nodes, if those are medians or keep to constraints.
    """
    value = grown.nodes["value"][:, None]
    if target.kind == _SUMS:
        value = grown.leaf_weight.view(np.float64).reshape(-1, target.n_outputs)
    if monotone is not None:
        bounds = _regression_bounds(grown.nodes, target, monotone)
        value = value.clip(bounds[:, :1], bounds[:, 1:])
    value = np.ldexp(value, -target.response_exponent)
    if len(value) < len(is_leaf):
        return {"leaf_value": value.reshape(-1)}
    payload = {"leaf_value": value[is_leaf].reshape(-1)}
    if target.criterion == "absolute_error" or monotone is not None:
        payload["inner_value"] = value[~is_leaf].reshape(-1)
    return payload


def _binary_payload(n: NDArray[np.int64], ones: NDArray[np.int64]) -> dict[str, Any]:
    """Return the classes present in each leaf, from the rows of class 1."""
    counts = np.stack([n - ones, ones], axis=1)
    leaf, leaf_class = np.nonzero(counts)
    leaf_start = np.zeros(len(n) + 1, np.int64)
    np.cumsum((counts > 0).sum(axis=1), out=leaf_start[1:])
    return {
        "leaf_start": leaf_start,
        "leaf_class": leaf_class.astype(np.int32),
        "leaf_weight": counts[leaf, leaf_class].astype(np.float64),
    }


def _regression_bounds(
    nodes: dict[str, NDArray[Any]], target: _Target, monotone: constraints.Monotone
) -> NDArray[np.float64]:
    """Return each node's lowest and highest value, (n_nodes, 2), as a response."""
    is_median = target.criterion == "absolute_error"
    values = nodes["value"] if is_median else nodes["ones"] / nodes["weight"]
    tree = nodes["left"], nodes["right"], nodes["feature"]
    bounds = constraints.find_bounds(monotone, *tree, values[:, None])[:, 0]
    return bounds if is_median else bounds / target.per_unit + target.centre[0]


def _bounded_payload(
    payload: dict[str, Any],
    nodes: dict[str, NDArray[Any]],
    target: _Target,
    monotone: constraints.Monotone,
) -> dict[str, Any]:
    """Return the leaves' classes with shares that keep to the constraints."""
    leaves = np.flatnonzero(nodes["left"] < 0)
    weight = np.zeros((len(leaves), target.n_classes))
    leaf = np.repeat(np.arange(len(leaves)), np.diff(payload["leaf_start"]))
    weight[leaf, payload["leaf_class"]] = payload["leaf_weight"]
    # Sums of the weights' units are exact.
    sums = np.zeros((len(nodes["left"]), len(monotone.classes)))
    sums[leaves] = weight[:, monotone.classes]
    predict.sum_upwards(nodes["left"], nodes["right"], sums)
    values = sums / (nodes["weight"] / target.weights.scale)[:, None]
    tree = nodes["left"], nodes["right"], nodes["feature"]
    bounds = constraints.find_bounds(monotone, *tree, values)[leaves]
    shares = weight / weight.sum(axis=1, keepdims=True)
    shares = constraints.project_shares(monotone, shares, bounds)
    is_listed = (weight > 0.0) | (shares > 0.0)
    leaf, leaf_class = np.nonzero(is_listed)
    leaf_start = np.zeros(len(leaves) + 1, np.int64)
    np.cumsum(is_listed.sum(axis=1), out=leaf_start[1:])
    return {
        "leaf_start": leaf_start,
        "leaf_class": leaf_class.astype(np.int32),
        "leaf_weight": weight[leaf, leaf_class],
        "leaf_share": shares[leaf, leaf_class],
    }


def _thresholds(
    nodes: dict[str, NDArray[Any]], table: EncodedTable
) -> NDArray[np.float64]:
    """Return each split's threshold, in the dtype of its column.

    Drawn splits bring it along.
    """
    feature, threshold = nodes["feature"], nodes["threshold"]
    is_drawn = ~np.isnan(threshold)
    threshold = np.where(is_drawn, threshold, -2.0)
    threshold[nodes["set_start"] >= 0] = np.nan
    numeric = np.flatnonzero((feature >= 0) & (nodes["set_start"] < 0) & ~is_drawn)
    dtype = np.min_scalar_type(table.n_features)  # NumPy sorts the short ones faster
    by_feature = numeric[np.argsort(feature[numeric].astype(dtype), kind="stable")]
    ends = np.cumsum(np.bincount(feature[numeric], minlength=table.n_features))
    start = 0
    for column, end in zip(table.columns, ends.tolist(), strict=True):
        if end > start:
            at = by_feature[start:end]
            threshold[at] = column.thresholds_between(
                nodes["row_low"][at], nodes["row_high"][at]
            )
        start = end
    return threshold
