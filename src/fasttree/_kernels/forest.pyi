from typing import Any

import numpy as np
from numpy.typing import NDArray

LAYOUT: dict[str, int]
MOST_NARROW_ROWS: int
MOST_BINARY_WEIGHT: int
MOST_BINARY_TOTAL: int

def tree_key(seed: int, tree: int) -> int: ...
def draw_counts(key: int, n_draws: int, counts: NDArray[np.uint32]) -> None: ...
def draw_weighted_counts(
    key: int,
    n_draws: int,
    ends: NDArray[np.int64],
    guide: NDArray[np.int64],
    shift: int,
    counts: NDArray[np.uint32],
) -> None: ...
def add_shares(
    leaves: NDArray[np.int64],
    counts: NDArray[np.uint32],
    leaf_start: NDArray[np.int64],
    leaf_class: NDArray[np.int32],
    units: NDArray[np.int64],
    sign: int,
    sums: NDArray[np.int64],
    n_trees: NDArray[np.int32],
) -> None: ...
def add_values(
    leaves: NDArray[np.int64],
    counts: NDArray[np.uint32],
    units: NDArray[np.int64],
    sign: int,
    sums: NDArray[np.int64],
    n_trees: NDArray[np.int32],
) -> None: ...
def interleave_keys(
    features: NDArray[np.uint8],
    offset: NDArray[np.int64],
    start: int,
    stop: int,
    out: NDArray[np.uint8],
) -> None: ...
def interleave_codes(
    columns: NDArray[np.uint8], start: int, stop: int, out: NDArray[np.uint8]
) -> None: ...

class Growth:
    def __init__(
        self,
        kind: int,
        loss: int,
        entropy: bool,
        n_classes: int,
        n_outputs: int,
        n_totals: int,
        class_start: NDArray[np.int64] | None,
        nlogn: NDArray[np.float64] | None,
        quantum: float,
        centres: NDArray[np.float64],
        per_unit: float,
        columns: NDArray[np.uint8],
        features: NDArray[np.uint8] | None,
        row_keys: NDArray[np.uint8] | None,
        key_offset: NDArray[np.int64] | None,
        raw_size: int,
        limits: tuple[int, int, int, int, int, int, float, bool],
        bounded: NDArray[np.int32],
        signs: NDArray[np.int8],
        n_table_rows: int,
        n_rows: int,
        narrow_rows: int,
        shuffles: bool,
        owned: object,
    ) -> None: ...
    @property
    def seconds(self) -> tuple[float, float]: ...
    def grow(
        self,
        key: int,
        counts: NDArray[np.uint32] | None,
        label: NDArray[np.uint16] | None,
        weight: NDArray[np.int64] | None,
        value: NDArray[np.int64] | None,
        response: NDArray[np.float64] | None,
        order: NDArray[np.uint32] | None,
    ) -> bool: ...
    def take_records(
        self,
    ) -> tuple[
        NDArray[np.uint8],
        NDArray[np.int32],
        NDArray[np.int64],
        NDArray[np.uint64],
    ]: ...
    def take(
        self, response_exponent: int, weight_scale: float
    ) -> dict[str, NDArray[Any]]: ...
    def outline(
        self, response_exponent: int, weight_scale: float
    ) -> tuple[dict[str, NDArray[Any]], bool, bool, int]: ...
    def pack(
        self,
        asks: NDArray[np.int32],
        thresholds: NDArray[np.float64],
        slot_of: NDArray[np.uint32],
        slot_bits: int,
        cuts: NDArray[np.float64],
        cut_start: NDArray[np.int64],
        leaf_keys: NDArray[np.int32],
        nodes: NDArray[np.uint32],
        words: NDArray[np.uint64],
    ) -> None: ...

def thresholds_by_feature(
    asks: NDArray[np.int32], thresholds: NDArray[np.float64], n_features: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]: ...
