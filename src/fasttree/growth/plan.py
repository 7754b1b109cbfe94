"""How one tree is to grow: parameters, table and target as a plan for `growth`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree import threads
from fasttree._kernels import grow as kernels
from fasttree._kernels import prepare
from fasttree.data.workspace import Workspaces
from fasttree.growth import constraints, node_order, sampling
from fasttree.growth.records import FEATURE_DTYPE
from fasttree.growth.target import BINARY, REGRESSION, SUMS, Target

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fasttree.data.table import EncodedTable

_MAX_KEPT_CLASSES = 32  # more are counted column by column, not kept
_COPY_BYTES = 320 << 10  # of a worker's copy: most of a common L2 cache


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
    honest : bool
        Whether half of the rows choose the splits, and the others make the leaves.
    keeps_margins : bool
        Whether the best split of a second feature is noted for each node.
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
    honest: bool = False
    keeps_margins: bool = False


def uses_tiles(*, is_weighted: bool, criterion: str, n_outputs: int = 1) -> bool:
    """Return whether columns of at most 255 codes are counted in tiles.

    Rows of one weight and one target are counted in histograms; weighted rows are
    walked in order, where a position tells the number of rows as well as their
    weight, and so are rows of several targets. Medians do not come from histograms
    either.
    """
    return not is_weighted and criterion != "absolute_error" and n_outputs == 1


def samples_features(params: GrowthParams, n_features: int) -> bool:
    """Return whether nodes look only at features, or splits, that they draw.

    Such trees keep no column in order.
    """
    looks_at_few = params.splitter == "random" or params.max_features < n_features
    return looks_at_few and params.max_leaf_nodes is None and not params.keeps_margins


def make_plan(
    table: EncodedTable, target: Target, params: GrowthParams, n_threads: int
) -> tuple[node_order.Plan, Any]:
    n_rows, n_features = table.n_rows, table.n_features
    drawn = params.splitter == "random"
    in_tiles = not drawn and uses_tiles(
        is_weighted=target.weights.units is not None,
        criterion=params.criterion,
        n_outputs=target.n_outputs,
    )
    signs = signs_of(params, n_features)
    features = np.zeros(n_features, FEATURE_DTYPE)
    tile_of = np.full(n_features, -1, np.int32)
    keys = sampling.keys_by_row(table, n_threads) if drawn else None
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
            sampling.set_keys(features[f], column, keys[f])
        is_binary = column.n_codes == 2 and column.n_missing == 0
        features[f]["binary"] = is_tiled and is_binary
        features[f]["monotone"] = signs[f].any()
    # Columns of two values share tiles, so that the bits of a row stand together.
    tiled.sort(key=lambda f: not features[f]["binary"])
    features["place"][tiled] = np.arange(len(tiled))
    tile_of[tiled] = np.arange(len(tiled)) // 8
    n_tiles = (len(tiled) + 7) // 8
    tiles = np.zeros((n_tiles, n_rows), np.uint64)
    columns = [table.columns[f].codes for f in tiled]
    threads.run(
        prepare.pack_tile,
        [(columns[8 * t : 8 * t + 8], tiles[t]) for t in range(n_tiles)],
        n_threads,
    )
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
    problem = _make_problem(
        target,
        params,
        features,
        first_rows(target, n_rows),
        n_rows,
        tiles,
        tiled_features,
        n_runs,
        (table, keys, orders),
    )
    # Only then is a parent's histogram of every column there to subtract from.
    looks_at_all = params.max_features == n_features and params.max_leaf_nodes is None
    keeps_histograms = looks_at_all and not params.keeps_margins
    # Bytes of a row: two for each list, eight for 64 columns of two values.
    n_binary = int(features["binary"].sum())
    row_bytes = 2 * (n_features - n_binary) + 8 * -(-n_binary // 64)
    row_bytes += target.row_bytes
    narrow_rows = max(_COPY_BYTES // row_bytes, 1024)
    if params.keeps_margins:
        narrow_rows = 0
    plan = node_order.Plan(
        problem=problem,
        n_rows=n_rows,
        n_features=n_features,
        drawn=drawn,
        ordered=np.asarray(ordered, np.int32),
        tile_of=tile_of,
        n_tiles=n_tiles,
        n_totals=target.n_totals,
        signs=signs,
        column_words=_column_words(target) if keeps_histograms else 0,
        max_features=params.max_features,
        max_leaf_nodes=params.max_leaf_nodes,
        min_gain=_min_gain(params.min_impurity_decrease, target),
        key=params.seed,
        narrow_rows=min(narrow_rows, kernels.MAX_LOCAL_ROWS),
        n_threads=n_threads,
        keeps_margins=params.keeps_margins,
    )
    return plan, features


def make_measure(
    target: Target,
    params: GrowthParams,
    rows: NDArray[np.uint32],
    n_rows: int,
    n_features: int,
) -> Any:
    """Return a `kernels.Problem` that can measure nodes of `rows`, not split them."""
    return _make_problem(
        target,
        params,
        np.zeros(n_features, FEATURE_DTYPE),
        rows,
        n_rows,
        np.zeros((0, 0), np.uint64),
        np.zeros(0, np.int32),
        0,
        None,
    )


def _make_problem(
    target: Target,
    params: GrowthParams,
    features: NDArray[Any],
    rows: NDArray[np.uint32],
    n_rows: int,
    tiles: NDArray[np.uint64],
    tiled_features: NDArray[np.int32],
    n_runs: int,
    owned: Any,
) -> Any:
    return kernels.Problem(
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
        rows,
        tiles,
        tiled_features,
        make_limits(target, params, n_rows),
        bounded_of(params),
        signs_of(params, len(features)),
        n_runs,
        owned,
    )


def signs_of(params: GrowthParams, n_features: int) -> NDArray[np.int8]:
    """Return the signs of monotonic constraints, of no columns if there are none."""
    if params.monotone is None:
        return np.zeros((n_features, 0), np.int8)
    return params.monotone.signs


def bounded_of(params: GrowthParams) -> NDArray[np.int32]:
    """Return the classes that the signs are of."""
    if params.monotone is None:
        return np.zeros(0, np.int32)
    return params.monotone.classes


def make_limits(target: Target, params: GrowthParams, n_rows: int) -> tuple[Any, ...]:
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


def first_rows(target: Target, n_rows: int) -> NDArray[np.uint32]:
    """Return the rows of the root: in order of the target where medians need it."""
    if target.criterion == "absolute_error":
        assert target.response is not None
        response = target.response.reshape(target.n_outputs, n_rows)
        order = np.argsort(response, axis=1, kind="stable")
        return order.astype(np.uint32).reshape(-1)
    return np.arange(n_rows, dtype=np.uint32)


def _column_words(target: Target) -> int:
    """Return the uint64 words of a histogram of 256 codes, 0 if it is too large."""
    if target.kind == BINARY:
        return 256
    if target.kind == REGRESSION:
        return 512
    return 128 * target.n_classes if target.n_classes <= _MAX_KEPT_CLASSES else 0


def _take_orders(
    table: EncodedTable, ordered: list[int], target: Target, n_threads: int
) -> list[NDArray[np.uint32]]:
    """Return the columns' sorted rows, for growth to permute."""
    # One piece of memory for the copies: see workspace.Workspace.
    spaces = Workspaces(table.n_rows, len(ordered))

    def take(f: int) -> NDArray[np.uint32]:
        with spaces.borrow() as space:
            order = table.columns[f].take_order(space)
        if target.kind == BINARY:
            prepare.flag_ones(order, target.label)
        return order

    return threads.run(take, [(f,) for f in ordered], n_threads)


def _min_gain(min_impurity_decrease: float, target: Target) -> float:
    """Return the least gain of score; scikit-learn allows a decrease short by eps."""
    if min_impurity_decrease <= 0.0:
        return -np.inf
    gain = (min_impurity_decrease - np.finfo(np.float64).eps) * target.weights.total
    gain *= target.n_outputs  # impurities are means over the outputs
    if target.kind in (REGRESSION, SUMS):
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
