import numpy as np
from numpy.typing import NDArray

def apply(
    X: NDArray[np.float32] | NDArray[np.float64],
    nodes: NDArray[np.uint8],
    words: NDArray[np.uint64],
    categorical: bool,
    targets: NDArray[np.int32],
    out: NDArray[np.intp],
    start: int,
    stop: int,
) -> None: ...
def write_paths(
    nodes: NDArray[np.intp],
    parent: NDArray[np.int32],
    indptr: NDArray[np.intp],
    indices: NDArray[np.intp],
) -> None: ...
def leaf_shares(
    leaves: NDArray[np.intp],
    leaf_start: NDArray[np.int64],
    leaf_class: NDArray[np.int32],
    share: NDArray[np.float64],
    out: NDArray[np.float64],
    start: int,
    stop: int,
) -> None: ...
def measure_preorder(
    children_left: NDArray[np.int32],
    children_right: NDArray[np.int32],
    size: NDArray[np.int32],
    depth: NDArray[np.int32],
) -> int: ...
def sum_upwards(
    children_left: NDArray[np.int32],
    children_right: NDArray[np.int32],
    sums: NDArray[np.float64],
) -> None: ...
def pack_category_sets(
    bits: NDArray[np.uint64],
    first_bit_word: NDArray[np.int32],
    n_codes: NDArray[np.int32],
    missing_left: NDArray[np.uint8],
    first_word: NDArray[np.uint32],
    words: NDArray[np.uint64],
) -> None: ...
