import numpy as np
from numpy.typing import NDArray

def find_bundle(
    codes: NDArray[np.uint8], default: int, bundles: list[NDArray[np.uint8]]
) -> int: ...
def join_bundle(
    codes: NDArray[np.uint8],
    bytes_of: NDArray[np.uint8],
    bundle: NDArray[np.uint8],
) -> None: ...
def pack_panel(
    rows: NDArray[np.uint64],
    columns: list[NDArray[np.uint8] | None],
    start: int,
    stop: int,
) -> None: ...
