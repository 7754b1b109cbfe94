from typing import Any

import numpy as np
from numpy.typing import NDArray

NODE_FIELDS: list[Any]

def order_nodes(
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    order: NDArray[np.int32],
    new_left: NDArray[np.int32],
    new_right: NDArray[np.int32],
    stack: NDArray[np.int32],
) -> None: ...

class Rows:
    tiles: NDArray[np.uint64]
    raw: NDArray[np.float64]
    def __init__(self, tiles: NDArray[np.uint64], raw: NDArray[np.float64]) -> None: ...

class Booster:
    def __init__(
        self,
        rows: Rows,
        slots: NDArray[np.uint8],
        features: NDArray[np.uint8],
        tile_features: NDArray[np.int32],
        tile_start: NDArray[np.int32],
        columns: list[NDArray[np.uint8] | None],
        groups: NDArray[np.uint8],
        sparse: Any,
        limits: tuple[Any, ...],
        learning_rate: float,
        n_pool: int,
        n_workers: int,
    ) -> None: ...
    @property
    def gradients(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
    @property
    def leaves(self) -> NDArray[np.uint16]: ...
    @property
    def leaf_values(self) -> NDArray[np.float64]: ...
    def open(self, n_workers: int) -> None: ...
    def help(self, worker: int) -> None: ...
    def close(self) -> None: ...
    def find_gradients(
        self,
        loss: int,
        parameter: float,
        y: NDArray[np.float64],
        weight: NDArray[np.float64] | None,
    ) -> None: ...
    def rank_gradients(
        self,
        start: NDArray[np.int64],
        gain: NDArray[np.float32],
        discount: NDArray[np.float32],
        inverse_max: NDArray[np.float32],
        weight: NDArray[np.float64] | None,
        truncation: int,
        order: NDArray[np.int32],
    ) -> None: ...
    def sample(
        self,
        output: int,
        key: int,
        fraction: float,
        rest_fraction: float,
        threshold: float,
    ) -> NDArray[np.uint32]: ...
    def grow(
        self, output: int, key: int, sample: NDArray[np.uint32] | None = None
    ) -> NDArray[Any]: ...
    def add(self, output: int) -> None: ...
