"""NumPy twin of drawn splits, and an audit of trees that were grown with them.

The numbers that a node draws are computed anew from its key and the feature, as
draw.pxd documents them; every drawn candidate is then scored from the definition of
the impurity, and the tree must hold the best one.
"""

from __future__ import annotations

import numpy as np

from fasttree._kernels import grow as kernels
from reference_growth import impurity

MASK = (1 << 64) - 1
STEP = 0xA24BAED4963EE407
NODE = 0x9FB21C651E98DF25
POOL = 0xFFFFFFFF


def mix(x):
    """SplitMix64's finaliser."""
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def draw(key, feature):
    """Return the 64 bits that a node draws for a feature."""
    return mix((mix(key ^ NODE) + feature * STEP) & MASK)


def draw_threshold(h, low, high, single):
    u = (h >> 11) * 2.0**-53
    value = low * (1.0 - u) + high * u
    if single:
        value = float(np.float32(value))
    return value if low <= value < high else low


def nearest_cut(column, low, high, value):
    """Return the last bin on the left and the threshold, for a drawn value."""
    upper, lower = column.upper, column.lower
    for last in range(low, high):
        if upper[last] <= value < lower[last + 1]:
            return last, value
    inside = next(b for b in range(low, high + 1) if lower[b] <= value < upper[b])
    cuts = []
    if inside > low:
        cuts.append((value - lower[inside], inside - 1))
    if inside < high:
        cuts.append((upper[inside] - value, inside))
    last = min(cuts)[1]
    middle = upper[last] / 2 + lower[last + 1] / 2
    if column.single:
        middle = float(np.float32(middle))
    inner = upper[last] <= middle < lower[last + 1]
    return last, middle if inner else upper[last]


def draw_candidate(column, codes, h, min_category):
    """Return the threshold and the sides of a node's rows; sides None: no split.

    Returns None if the column is constant.
    """
    present = np.unique(codes)
    if len(present) < 2:
        return None
    missing = codes == column.n_codes
    if column.is_categorical:
        sizes = np.bincount(codes)
        group = {c: POOL if sizes[c] < min_category else int(c) for c in present}
        if len(set(group.values())) < 2:
            return np.nan, None
        for attempt in range(64):
            left = {
                c: mix((h + group[c] + attempt * STEP) & MASK) >> 63 for c in present
            }
            if len(set(left.values())) == 2:
                return np.nan, np.array([left[c] == 1 for c in codes])
    values = present[present < column.n_codes]
    low, high = int(values[0]), int(values[-1])
    if low == high:
        return np.inf, ~missing
    threshold = draw_threshold(h, column.lower[low], column.upper[high], column.single)
    if column.is_exact:
        last = int(np.searchsorted(column.upper, threshold, side="right")) - 1
    else:
        last, threshold = nearest_cut(column, low, high, threshold)
    sides = (codes <= last) & ~missing
    if h & 1:
        sides |= missing
    return threshold, sides


def order_of_features(key, n_features, max_features):
    order = np.arange(n_features, dtype=np.int32)
    if max_features < n_features:
        kernels.draw_features(key, order)
    return order


def decrease_of(sides, rows, y, weight, params, n_classes, min_weight):
    """Return the weighted decrease of impurity, -inf where a side is too small."""
    if min(sides.sum(), (~sides).sum()) < params.min_samples_leaf:
        return -np.inf
    parts = rows[sides], rows[~sides]
    if min(weight[part].sum() for part in parts) < min_weight:
        return -np.inf

    def loss(part):
        w = weight[part]
        return w.sum() * impurity(params.criterion, y[part], w, n_classes)

    rest = sum(loss(part) for part in parts)
    return loss(rows) - rest if rest < np.inf else -np.inf


def audit(tree, table, matrix, y, params, sample_weight=None, n_classes=0):
    """Check each node of a tree that was grown with params.splitter "random"."""
    weight = np.ones(table.n_rows) if sample_weight is None else sample_weight
    min_weight = params.min_weight_fraction_leaf * weight.sum()
    rows = np.flatnonzero(weight > 0)
    # The oracle rounds, and fractional weights are rounded by the library.
    spread = impurity(params.criterion, y[rows], weight[rows], n_classes)
    scale = spread if np.all(n_classes == 0) else 1.0
    tolerance = 1e-9 * weight.sum() * scale
    stack = [(0, rows, params.seed, 0)]
    while stack:
        node, rows, key, depth = stack.pop()
        assert tree.n_node_samples[node] == len(rows)
        is_leaf = tree.children_left[node] < 0
        stops = (
            len(np.unique(y[rows], axis=0)) == 1
            or len(rows) < max(params.min_samples_split, 2 * params.min_samples_leaf)
            or weight[rows].sum() < 2 * min_weight
            or (params.max_depth is not None and depth >= params.max_depth)
        )
        if stops:
            assert is_leaf
            continue
        found = {}
        n_varying = 0
        order = order_of_features(key, table.n_features, params.max_features)
        for n_drawn, f in enumerate(order.tolist()):
            if n_drawn >= params.max_features and n_varying:
                break
            column = table.columns[f]
            codes = column.codes[rows].astype(np.int64)
            drawn = draw_candidate(
                column, codes, draw(key, f), params.min_samples_category
            )
            if drawn is None:
                continue
            n_varying += 1
            threshold, sides = drawn
            if sides is None:
                continue
            decrease = decrease_of(
                sides, rows, y, weight, params, n_classes, min_weight
            )
            if decrease > -np.inf:
                found[f] = decrease, threshold, sides
        if is_leaf:
            assert not found
            continue
        assert found
        f = int(tree.feature[node])
        best = max(decrease for decrease, _, _ in found.values())
        decrease, threshold, sides = found[f]
        assert decrease >= best - tolerance
        np.testing.assert_array_equal(tree.threshold[node], threshold)
        column = table.columns[f]
        if not column.is_categorical:
            values = matrix[rows, f]
            present = values[~np.isnan(values)]
            if threshold < np.inf:
                assert present.min() <= threshold < present.max()
            with np.errstate(invalid="ignore"):
                left = np.where(
                    np.isnan(values),
                    tree.missing_go_to_left[node] == 1,
                    values <= threshold,
                )
            np.testing.assert_array_equal(left, sides)
        left_key, right_key = kernels.node_keys(key)
        stack.append((tree.children_left[node], rows[sides], left_key, depth + 1))
        stack.append((tree.children_right[node], rows[~sides], right_key, depth + 1))
    # Prediction goes the way that training went.
    leaves, counts = np.unique(tree.apply(matrix)[weight > 0], return_counts=True)
    np.testing.assert_array_equal(tree.n_node_samples[leaves], counts)
    assert counts.sum() == (weight > 0).sum()
    assert len(leaves) == tree.n_leaves
