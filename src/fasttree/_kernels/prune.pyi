import numpy as np
from numpy.typing import NDArray

def prune(
    children_left: NDArray[np.int32],
    children_right: NDArray[np.int32],
    size: NDArray[np.int32],
    cost: NDArray[np.float64],
    largest_alpha: float,
    is_kept: NDArray[np.uint8],
    is_leaf: NDArray[np.uint8],
    alphas: NDArray[np.float64],
    costs: NDArray[np.float64],
    parent: NDArray[np.int32],
    n_leaves: NDArray[np.int64],
    branch: NDArray[np.float64],
    keys: NDArray[np.float64],
) -> int: ...
