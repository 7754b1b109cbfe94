import numpy as np
from numpy.typing import NDArray

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
