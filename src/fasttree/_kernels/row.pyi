from typing import Any

import numpy as np
from numpy.typing import NDArray

class RowPredictor:
    def __init__(
        self,
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
        baseline: NDArray[np.float64],
        *,
        masks: Any,
        releases_gil: bool,
        n_features: int,
        divisor: float,
        link: int,
        names: tuple[str, ...] | None,
        codes: tuple[dict[Any, float] | None, ...] | None,
        refuses_unknown: bool,
        classes: tuple[tuple[Any, ...], ...] | None,
    ) -> None: ...
    def predict_one(self, row: Any) -> Any: ...
    def predict_proba_one(self, row: Any) -> Any: ...
    def score_one(self, row: Any) -> NDArray[np.float64]: ...

def link_rows(
    link: int, raw: NDArray[np.float64], out: NDArray[np.float64]
) -> None: ...
