from typing import Any

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

class Counted:
    def __init__(
        self,
        kind: int,
        entropy: bool,
        n_classes: int,
        nlogn: NDArray[np.float64] | None,
        codes: NDArray[np.uint8],
        size: int,
        n_codes: int,
        missing: int,
        categorical: bool,
        rows: NDArray[np.uint32],
        stats: NDArray[np.uint32] | None,
        value: NDArray[np.int64] | None,
        weight: NDArray[np.int64] | None,
    ) -> None: ...
    def count(self, narrow: bool) -> list[tuple[int, int, int, int]]: ...
    def search(
        self, narrow: bool, min_leaf: int, min_weight: int, min_category: int
    ) -> tuple[bool, dict[str, Any] | None]: ...

def sort_codes_of_few(
    codes: NDArray[np.uint8] | None, wide: NDArray[np.uint32] | None
) -> list[tuple[int, int]]: ...
def interleave_eight(
    columns: list[NDArray[np.uint8] | None],
    start: int,
    stop: int,
    out: NDArray[np.uint8],
) -> None: ...
def sum_entries(
    sparse: Any,
    rows: NDArray[np.uint32] | None,
    sums: NDArray[np.uint64],
    first: int,
    sign: int,
    cells: NDArray[np.uint64],
    counts: NDArray[np.uint32],
) -> None: ...
def spread_columns(
    sparse: Any, columns: NDArray[np.int64], out: NDArray[np.uint8]
) -> None: ...
