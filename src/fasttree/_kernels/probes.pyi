import numpy as np
from numpy.typing import NDArray

def partition_order(
    entries: NDArray[np.uint32],
    goes_left: NDArray[np.uint8],
    spare: NDArray[np.uint32],
) -> int: ...
def keep_order(
    entries: NDArray[np.uint32], goes_left: NDArray[np.uint8], left: bool, place: int
) -> None: ...
def sort_local(
    codes: NDArray[np.uint64], shift: int, missing_code: int
) -> NDArray[np.uint16]: ...
def count_two_valued(
    kind: int,
    label: NDArray[np.uint16] | None,
    value: NDArray[np.int64] | None,
    n_classes: int,
    bits: NDArray[np.uint64],
    active: int,
    rows: NDArray[np.uint16],
) -> NDArray[np.int64]: ...
def entry_flags(entries: NDArray[np.uint16]) -> tuple[int, int]: ...
def pack_word(word: int) -> int: ...
