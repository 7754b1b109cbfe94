import numpy as np
from numpy.typing import NDArray

PART_SIZE: int
LINE_SIZE: int
MISSING_CODE: int

def run(
    X: NDArray[np.float32] | NDArray[np.float64],
    feature: NDArray[np.int32],
    coarse: NDArray[np.float32] | NDArray[np.float64],
    cuts: NDArray[np.float32] | NDArray[np.float64],
    n_cuts: NDArray[np.int32],
    column_start: NDArray[np.int64],
    column_feature: NDArray[np.int32],
    cut_start: NDArray[np.int64],
    column_cuts: NDArray[np.int8],
    first_line: NDArray[np.int32],
    line_start: NDArray[np.int64],
    lines: NDArray[np.uint8],
    word_size: int,
    worth: NDArray[np.float64],
    leaf_numbers: NDArray[np.int32],
    column: NDArray[np.int32],
    out: NDArray[np.float64],
    number_out: NDArray[np.intp],
    first_tree: int,
    last_tree: int,
    start: int,
    stop: int,
    codes: NDArray[np.int8],
    numbers: NDArray[np.uint16],
) -> None: ...
