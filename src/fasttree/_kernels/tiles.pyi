import numpy as np
from numpy.typing import NDArray

def list_entries(
    codes: NDArray[np.uint8],
    default: int,
    rows: NDArray[np.uint32],
    others: NDArray[np.uint8],
) -> int: ...
def find_bundle(
    rows: NDArray[np.uint32],
    occupied: NDArray[np.uint64],
    room: NDArray[np.int32],
    needed: int,
) -> int: ...
def mark_bundle(
    rows: NDArray[np.uint32], occupied: NDArray[np.uint64], bundle: int, joins: bool
) -> None: ...
def write_bytes(
    rows: NDArray[np.uint32],
    others: NDArray[np.uint8],
    bytes_of: NDArray[np.uint8],
    column: NDArray[np.uint8],
) -> None: ...
def sort_by_row(
    column_start: NDArray[np.int64],
    column_rows: NDArray[np.uint32],
    column_bytes: NDArray[np.uint8],
    cell: NDArray[np.uint32],
    row_start: NDArray[np.int64],
    row_cells: NDArray[np.uint32],
) -> None: ...
def pack_panel(
    rows: NDArray[np.uint64],
    columns: list[NDArray[np.uint8] | None],
    start: int,
    stop: int,
) -> None: ...
