from typing import Any

import numpy as np
from numpy.typing import NDArray

def assemble(
    parts: list[tuple[NDArray[Any], ...]],
    part: NDArray[np.int32],
    start: NDArray[np.int64],
    stop: NDArray[np.int64],
) -> tuple[
    dict[str, NDArray[Any]],
    NDArray[np.int64],
    NDArray[np.int32],
    NDArray[np.int64],
    NDArray[np.uint64],
]: ...
