"""What a model file says of a forest's draws, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree.encoding import MAX_ROWS
from fasttree.forest import Bootstrap, RowDraws

if TYPE_CHECKING:
    from numpy.typing import NDArray


def check_size(value: Any, limit: int) -> int:
    """Return a number of a file if it can be what it stands for."""
    if type(value) is not int or not 0 <= value < limit:
        raise ValueError(
            f"a number must be an integer below {limit}, got {value!r:.40}"
        )
    return value


def restore_draws(kept: Any, arrays: dict[str, NDArray[Any]], number: int) -> RowDraws:
    """Return the draws of a file, after checking what they index with."""
    n_rows = check_size(kept["n_rows"], MAX_ROWS)
    n_groups = check_size(kept["n_groups"], MAX_ROWS)
    n_draws = check_size(kept["n_draws"], 2**31)
    weights, group_of = (
        arrays.get(f"{name}_{number}") for name in ("weights", "group_of")
    )
    if group_of is not None:
        group_of = group_of.astype(np.intp)
        if group_of.shape != (n_rows,) or np.any(
            (group_of < 0) | (group_of >= n_groups)
        ):
            raise ValueError("group_of must number the group of each row")
    if weights is not None:
        weights = weights.astype(np.float64)
        if (
            weights.shape != (n_rows if group_of is None else n_groups,)
            or not np.all((weights >= 0.0) & np.isfinite(weights))
            or not 0.0 < weights.sum() < np.inf
        ):
            raise ValueError("weights must be those of rows or groups")
    bootstrap = Bootstrap(
        n_draws, weights, group_of, n_groups, kept["balances"] is True
    )
    return RowDraws(n_rows, bootstrap)
