import numpy as np
from numpy.typing import NDArray

def find_bad_field(
    children_left: NDArray[np.int32],
    feature: NDArray[np.int32],
    threshold: NDArray[np.float64],
    missing_left: NDArray[np.uint8],
    category_start: NDArray[np.int32],
    category_count: NDArray[np.int32],
    impurity: NDArray[np.float64],
    n_node_samples: NDArray[np.int64],
    weighted_n_node_samples: NDArray[np.float64],
    n_features: int,
    n_words: int,
) -> int: ...
