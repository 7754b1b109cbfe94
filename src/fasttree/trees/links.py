"""From raw scores to predictions: the same bits for one row and for many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fasttree._kernels import row as kernels

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: What makes predictions of columns, with its number in links.pxd: nothing; the
#: logistic function of one column, for two classes; softmax; the exponential.
LINKS = {"identity": 0, "logistic": 1, "softmax": 2, "exponential": 3}


def apply_link(link: str, raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what raw scores stand for.

    Parameters
    ----------
    link : {"identity", "logistic", "softmax", "exponential"}
    raw : float64 array of shape (n_rows, n_columns)

    Returns
    -------
    ndarray of shape (n_rows, n_columns), or (n_rows, 2) under "logistic"
    """
    if link == "identity":
        return raw
    raw = np.ascontiguousarray(raw, np.float64)
    out = np.empty((len(raw), 2 if link == "logistic" else raw.shape[1]))
    if len(raw):
        kernels.link_rows(LINKS[link], raw, out)
    return out
