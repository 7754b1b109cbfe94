import numpy as np
from numpy.typing import NDArray

GROUP: int
COLUMNS: int

def run(
    X: NDArray[np.float32] | NDArray[np.float64],
    nodes: NDArray[np.uint32],
    tree_start: NDArray[np.int64],
    slot_bits: int,
    first_set_slot: int,
    slot_feature: NDArray[np.int32],
    slot_missing: NDArray[np.uint32],
    cuts: NDArray[np.float64],
    cut_start: NDArray[np.int64],
    words: NDArray[np.uint64],
    table: NDArray[np.float64],
    entry_start: NDArray[np.int64],
    entry_column: NDArray[np.int32],
    entry_value: NDArray[np.float64],
    column: NDArray[np.int32],
    out: NDArray[np.float64],
    numbers: NDArray[np.int32],
    number_out: NDArray[np.intp],
    first_tree: int,
    last_tree: int,
    start: int,
    stop: int,
    rows_per_block: int,
    is_missing: NDArray[np.uint8],
    block: NDArray[np.uint32],
    copy: NDArray[np.uint32],
) -> None: ...
