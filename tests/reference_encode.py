"""Plain NumPy twins of the encode kernels."""

import numpy as np

NEW_CODE = np.uint32(1 << 31)
MISSING = np.uint32(1 << 30)


def order_codes(codes, n_codes):
    """Rows in order of code, flagged where the code is new or missing."""
    rows = np.argsort(codes, kind="stable")
    ordered = codes[rows]
    order = rows.astype(np.uint32)
    order[1:][ordered[1:] != ordered[:-1]] |= NEW_CODE
    order[ordered == n_codes] |= MISSING
    return order


def encode_exact(values):
    """Codes and distinct values; NaN has the code after the last."""
    distinct = np.unique(values[~np.isnan(values)]).astype(np.float64) + 0.0
    codes = np.searchsorted(distinct, values)
    codes[np.isnan(values)] = len(distinct)
    return codes, distinct


def cut(values, weights, max_bins):
    """Smallest and largest value of each bin, for values in any order."""
    if weights is None:
        weights = np.ones(len(values))
    keep = ~np.isnan(values) & (weights > 0)
    distinct, position = np.unique(values[keep], return_inverse=True)
    weight_of = np.bincount(position, weights[keep], minlength=len(distinct))
    if len(distinct) <= max_bins:
        return distinct, distinct
    heavy = weight_of >= weight_of.sum() / max_bins
    light_left = weight_of[~heavy].sum()
    bins_left = max_bins - heavy.sum()
    target = light_left / max(bins_left, 1)
    starts, filled, has_heavy = [0], 0.0, False
    for i, weight in enumerate(weight_of):
        is_full = has_heavy or filled >= target
        make_room = heavy[i] and i > 0 and filled >= target / 2
        if len(starts) < max_bins and (is_full or make_room):
            if not has_heavy:
                bins_left -= 1
                target = light_left / max(bins_left, 1)
            starts.append(i)
            filled, has_heavy = 0.0, False
        filled += weight
        has_heavy = has_heavy or heavy[i]
        if not heavy[i]:
            light_left -= weight
    stops = np.append(starts[1:], len(distinct))
    return distinct[starts], distinct[stops - 1]


def search(values, upper):
    """First bin whose upper bound is no smaller; the last if there is none."""
    codes = np.minimum(np.searchsorted(upper, values), len(upper) - 1)
    codes[np.isnan(values)] = len(upper)
    return codes
