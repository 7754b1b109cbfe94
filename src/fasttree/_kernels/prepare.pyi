from typing import Any

import numpy as np
from numpy.typing import NDArray

def fill_nlogn(out: NDArray[np.float64], quantum: float) -> None: ...
def log2(x: NDArray[np.float64], out: NDArray[np.float64]) -> None: ...
def pack_tile(columns: list[NDArray[np.uint8]], tile: NDArray[np.uint64]) -> None: ...
def flag_ones(entries: NDArray[np.uint32], label: NDArray[np.uint16]) -> None: ...
def gather_keys(
    codes: NDArray[np.unsignedinteger[Any]],
    table: NDArray[np.signedinteger[Any]],
    out: NDArray[np.signedinteger[Any]],
) -> None: ...
def interleave_keys(
    features: NDArray[np.uint8],
    offset: NDArray[np.int64],
    start: int,
    stop: int,
    out: NDArray[np.uint8],
) -> None: ...
def interleave_codes(
    columns: NDArray[np.uint8], start: int, stop: int, out: NDArray[np.uint8]
) -> None: ...
