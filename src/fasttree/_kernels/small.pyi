import numpy as np
from numpy.typing import NDArray

AVAILABLE: bool

def prepare(
    nodes: NDArray[np.uint32],
    tree_start: NDArray[np.int64],
    slot_bits: int,
    below: NDArray[np.uint64],
    limits: NDArray[np.uint8],
    n_chunks: int,
    index: NDArray[np.uint8],
    limit: NDArray[np.uint8],
    table: NDArray[np.uint64],
    n_words: NDArray[np.uint8],
) -> None: ...
def add_leaves(
    X: NDArray[np.float32] | NDArray[np.float64],
    slot_feature: NDArray[np.int32],
    missing: NDArray[np.uint8],
    coarse: NDArray[np.float32] | NDArray[np.float64],
    cuts: NDArray[np.float32] | NDArray[np.float64],
    n_chunks: int,
    index: NDArray[np.uint8],
    limit: NDArray[np.uint8],
    table: NDArray[np.uint64],
    n_words: NDArray[np.uint8],
    worth: NDArray[np.float64],
    numbers: NDArray[np.int32],
    column: NDArray[np.int32],
    out: NDArray[np.float64],
    number_out: NDArray[np.intp],
    first_tree: int,
    last_tree: int,
    start: int,
    stop: int,
    codes: NDArray[np.uint8],
    leaf: NDArray[np.uint8],
) -> None: ...
