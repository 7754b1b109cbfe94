from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

LAYOUT: dict[str, int]
MOST_NARROW_ROWS: int
MOST_BINARY_WEIGHT: int
MOST_BINARY_TOTAL: int

class Part:
    @property
    def n_branches(self) -> int: ...
    def rows_of(self, index: int) -> int: ...
    def join(self, parts: list[Part]) -> None: ...

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
        check: Callable[[], object],
        owned: object,
    ) -> None: ...
    @property
    def n_branches(self) -> int: ...
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
        branch_rows: tuple[int, int] = (0, 0),
    ) -> bool: ...
    def grow_branch(
        self, root: Growth, part: Part, index: int, branch_rows: tuple[int, int]
    ) -> None: ...
    def take_part(self) -> Part: ...
    def put_part(self, part: Part) -> None: ...
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
