from typing import Any

import numpy as np
from numpy.typing import NDArray

LAYOUT: dict[str, int]
MAX_LOCAL_ROWS: int

def node_keys(key: int) -> tuple[int, int]: ...
def draw_features(key: int, permutation: NDArray[np.int32]) -> None: ...
def bound_nodes(
    signs: NDArray[np.int8],
    values: NDArray[np.float64],
    bounds: NDArray[np.float64],
) -> None: ...
def bound_tree(
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    feature: NDArray[np.int32],
    signs: NDArray[np.int8],
    values: NDArray[np.float64],
    bounds: NDArray[np.float64],
) -> None: ...

class Problem:
    def __init__(
        self,
        kind: int,
        loss: int,
        entropy: bool,
        n_classes: int,
        n_outputs: int,
        n_totals: int,
        class_start: NDArray[np.int64] | None,
        label: NDArray[np.uint16] | None,
        weight: NDArray[np.int64] | None,
        value: NDArray[np.int64] | None,
        response: NDArray[np.float64] | None,
        nlogn: NDArray[np.float64] | None,
        quantum: float,
        centres: NDArray[np.float64],
        per_unit: float,
        features: NDArray[np.uint8],
        rows: NDArray[np.uint32],
        tiles: NDArray[np.uint64],
        tiled: NDArray[np.int32],
        limits: tuple[int, int, int, int, int, int, float, bool],
        bounded: NDArray[np.int32],
        signs: NDArray[np.int8],
        run_capacity: int,
        owned: object,
    ) -> None: ...
    def measure(
        self,
        begins: NDArray[np.int64],
        ends: NDArray[np.int64],
        jobs: NDArray[np.uint8],
        totals: NDArray[np.int64],
        values: NDArray[np.float64],
    ) -> None: ...
    def search_orders(
        self,
        features: NDArray[np.int32],
        jobs: NDArray[np.uint8],
        totals: NDArray[np.int64],
        selected: NDArray[np.uint8],
        splits: NDArray[np.uint8],
        bounds: NDArray[np.float64],
    ) -> None: ...
    def search_tile(
        self,
        tile: int,
        jobs: NDArray[np.uint8],
        totals: NDArray[np.int64],
        selected: NDArray[np.uint8],
        splits: NDArray[np.uint8],
        bounds: NDArray[np.float64],
        counts: NDArray[np.uint8],
        histograms: NDArray[np.uint64],
    ) -> None: ...
    def search_drawn(
        self,
        features: NDArray[np.int32],
        jobs: NDArray[np.uint8],
        totals: NDArray[np.int64],
        selected: NDArray[np.uint8],
        splits: NDArray[np.uint8],
        bounds: NDArray[np.float64],
    ) -> None: ...
    def split_drawn(
        self, job_bytes: NDArray[np.uint8], split_bytes: NDArray[np.uint8]
    ) -> int: ...
    def split(
        self, job_bytes: NDArray[np.uint8], split_bytes: NDArray[np.uint8]
    ) -> int: ...
    def record(self, jobs: NDArray[np.uint8], is_leaf: NDArray[np.uint8]) -> None: ...
    def partition_orders(
        self,
        features: NDArray[np.int32],
        begins: NDArray[np.int64],
        ends: NDArray[np.int64],
        wanted: NDArray[np.uint8],
    ) -> None: ...
    def take_arena(self) -> tuple[NDArray[Any], ...]: ...

class Worker:
    def __init__(self, problem: Problem, capacity: int) -> None: ...
    def grow(
        self,
        jobs: NDArray[np.uint8],
        masks: NDArray[np.uint64],
        bounds: NDArray[np.float64],
    ) -> tuple[NDArray[Any], ...]: ...
