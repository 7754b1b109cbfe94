from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

_Float: TypeAlias = np.float32 | np.float64
_Code: TypeAlias = np.uint8 | np.uint16 | np.uint32

def transpose(
    X: NDArray[_Float], out: NDArray[_Float], start: int, stop: int
) -> None: ...
def presort(
    values: NDArray[_Float],
    pairs: NDArray[np.uint64],
    spare: NDArray[np.uint64],
    order: NDArray[np.uint32],
) -> tuple[int, int]: ...
def code_few(
    values: NDArray[_Float],
    codes: NDArray[np.uint8],
    distinct: NDArray[_Float],
) -> tuple[int, int]: ...
def rank(
    order: NDArray[np.uint32],
    values: NDArray[_Float],
    codes: NDArray[_Code],
    distinct: NDArray[np.float64],
) -> None: ...
def value_keys(
    values: NDArray[_Float], keys: NDArray[np.int32 | np.int64]
) -> tuple[int, int]: ...
def order_codes(
    codes: NDArray[_Code],
    n_codes: int,
    pairs: NDArray[np.uint64],
    spare: NDArray[np.uint64],
    order: NDArray[np.uint32],
) -> None: ...
def sort_values(
    values: NDArray[_Float],
    work: NDArray[np.uint64],
    spare: NDArray[np.uint64],
    out: NDArray[_Float],
) -> int: ...
def take_weighted(
    order: NDArray[np.uint32],
    values: NDArray[_Float],
    weights: NDArray[np.float64],
    sorted_values: NDArray[_Float],
    cumulative: NDArray[np.float64],
) -> int: ...
def cut(
    values: NDArray[_Float],
    cumulative: NDArray[np.float64] | None,
    n: int,
    max_bins: int,
    lower: NDArray[np.float64],
    upper: NDArray[np.float64],
    heavy: NDArray[np.intp],
) -> tuple[int, bool]: ...
def scan_rows(X: NDArray[_Float], n_missing: NDArray[np.uint32]) -> int: ...
def search(
    values: NDArray[_Float],
    upper: NDArray[_Float],
    tree: NDArray[_Float],
    codes: NDArray[_Code],
) -> None: ...
