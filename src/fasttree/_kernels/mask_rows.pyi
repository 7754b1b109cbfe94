import numpy as np
from numpy.typing import NDArray

HAS_CUT_SEARCH: bool
COLUMNS: int
COLUMN_GROUP: int

def write_rows(
    first_set: int,
    shift: int,
    n_ranks: NDArray[np.int32],
    first_rank: NDArray[np.int64],
    first_row: NDArray[np.int64],
    missing_row: NDArray[np.int64],
    entry_start: NDArray[np.int64],
    entry_tree: NDArray[np.int32],
    entry_word: NDArray[np.uint32] | NDArray[np.uint64],
    missing_right: NDArray[np.uint8],
    entry_set: NDArray[np.uint32],
    words: NDArray[np.uint64],
    rows: NDArray[np.uint32] | NDArray[np.uint64],
    now: NDArray[np.uint32] | NDArray[np.uint64],
) -> None: ...
