"""Plain NumPy twins of the growth kernels, and an audit of grown trees.

The audit knows nothing of histograms, orders or integers: at every node of a
tree it recounts the rows, computes impurities from their definitions in float64
and tries every split there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

NEW = 0x80000000
MISSING = 0x40000000
WEIGHT_STEP = 2.0**-51  # of the sum: what fractional weights are rounded to


def nlogn(x):
    x = np.asarray(x, np.float64)
    return x * np.log2(np.maximum(x, 1))


def order_of(codes, n_codes):
    """Sorted entries of a column of codes, flagged."""
    rows = np.argsort(codes, kind="stable")
    ordered = codes[rows]
    entries = rows.astype(np.uint32)
    entries[1:] |= np.where(ordered[1:] != ordered[:-1], NEW, 0).astype(np.uint32)
    entries |= np.where(ordered == n_codes, MISSING, 0).astype(np.uint32)
    return entries


def partition_entries(entries, goes_left, new=NEW, mask=MISSING - 1):
    """Stable partition of entries whose NEW bits are made anew from the codes."""
    codes = np.cumsum((entries & new) > 0)
    side = goes_left[entries & mask].astype(bool)
    parts = []
    for chosen in (side, ~side):
        part = entries[chosen] & ~np.uint32(new)
        fresh = np.diff(codes[chosen], prepend=-1) != 0
        parts.append(part | np.where(fresh, new, 0).astype(np.uint32))
    return np.concatenate(parts), int(side.sum())


def impurity(criterion, y, weight, n_classes):
    """Impurity of a set of rows, from the definition: the mean of several outputs."""
    if y.ndim == 2:
        sizes = np.broadcast_to(n_classes, y.shape[1])
        columns = zip(y.T, sizes, strict=True)
        return np.mean([impurity(criterion, own, weight, n) for own, n in columns])
    total = weight.sum()
    if criterion == "squared_error":
        mean = (weight * y).sum() / total
        return float((weight * (y - mean) ** 2).sum() / total)
    if criterion == "absolute_error":
        return float((weight * np.abs(y - median(y, weight))).sum() / total)
    if criterion == "poisson":
        mean = (weight * y).sum() / total
        if mean <= 0:
            return np.inf
        ratio = np.where(y > 0, y / mean, 1.0)
        return float((weight * y * np.log(ratio)).sum() / total)
    share = np.bincount(y, weight, minlength=n_classes) / total
    if criterion == "gini":
        return float(1 - (share**2).sum())
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum())


def median(y, weight):
    """Weighted median: half-way to the next target where half of the weight is."""
    order = np.argsort(y, kind="stable")
    y, weight = y[order], weight[order]
    reached = np.cumsum(weight)
    low = y[np.searchsorted(reached, weight.sum() / 2 * (1 - 1e-14))]
    high = y[
        min(
            np.searchsorted(reached, weight.sum() / 2 * (1 + 1e-14), "right"),
            len(y) - 1,
        )
    ]
    return low / 2 + high / 2


def value_of(criterion, y, weight):
    """What a regression tree predicts for a set of rows."""
    if criterion == "absolute_error":
        return median(y, weight)
    return np.average(y, weights=weight)


@dataclass
class Candidate:
    decrease: float  # of weight * impurity
    feature: int
    goes_left: np.ndarray


def candidates(
    columns, rows, y, weight, criterion, n_classes, min_leaf, min_weight, features
):
    """Every split of a node, brute force."""
    whole = weight[rows].sum() * impurity(criterion, y[rows], weight[rows], n_classes)
    for f in features:
        column = columns[f]
        codes = column.codes[rows].astype(np.int64)
        for side in sides(codes, column):
            n_left = int(side.sum())
            if min(n_left, len(rows) - n_left) < min_leaf:
                continue
            lightest = min(weight[rows[side]].sum(), weight[rows[~side]].sum())
            if lightest < min_weight:
                continue
            rest = sum(
                weight[part].sum()
                * impurity(criterion, y[part], weight[part], n_classes)
                for part in (rows[side], rows[~side])
            )
            if rest < np.inf:
                yield Candidate(whole - rest, f, side)


def sides(codes, column):
    present = np.unique(codes)
    if column.is_categorical:
        for size in range(1, len(present)):
            for subset in combinations(present[1:], size):
                yield ~np.isin(codes, subset)
        return
    missing = codes == column.n_codes
    values = present[present < column.n_codes]
    for value in values[:-1]:
        yield (codes <= value) & ~missing
        if missing.any():
            yield (codes <= value) | missing
    if missing.any() and len(values):
        yield ~missing


def audit(tree, table, matrix, y, params, sample_weight=None, n_classes=0, exact=True):
    """Check every node of `tree` against a recount and every possible split.

    `exact` is whether the best split is promised (not so for categories with
    more than two classes).
    """
    n_rows = table.n_rows
    weight = np.ones(n_rows) if sample_weight is None else np.asarray(sample_weight)
    max_depth = n_rows if params.max_depth is None else params.max_depth
    columns = table.columns
    leaf_of = tree.apply(matrix)
    stack = [(0, np.flatnonzero(weight > 0), 0)]
    seen = np.full(n_rows, -1)
    total = weight.sum()
    min_weight = params.min_weight_fraction_leaf * total
    scale = total
    if np.all(n_classes == 0):
        kept = weight > 0
        spread = impurity(params.criterion, y[kept], weight[kept], n_classes)
        # The oracle's own means are rounded.
        largest = float(np.abs(y).max())
        squared = params.criterion == "squared_error"
        scale *= max(spread, 1e-20 * largest**2 if squared else 1e-6 * largest)
    while stack:
        node, rows, depth = stack.pop()
        assert tree.n_node_samples[node] == len(rows)
        np.testing.assert_allclose(
            tree.weighted_n_node_samples[node],
            weight[rows].sum(),
            rtol=1e-9,
            atol=len(rows) * WEIGHT_STEP * total,
        )
        own = impurity(params.criterion, y[rows], weight[rows], n_classes)
        # Small weights beside large ones have few digits, as their products with y.
        rounding = len(rows) * WEIGHT_STEP * total / weight[rows].sum()
        if params.criterion == "absolute_error":
            rounding *= np.abs(y).max()
        np.testing.assert_allclose(
            tree.impurity[node] * total,
            own * total,
            rtol=1e-6,
            atol=1e-9 * scale + rounding * total,
        )
        tolerance = 1e-9 * scale
        pure = len(np.unique(y[rows], axis=0)) == 1
        stops = (
            pure
            or depth >= max_depth
            or len(rows) < params.min_samples_split
            or len(rows) < 2 * params.min_samples_leaf
            or weight[rows].sum() < 2 * min_weight
        )
        found = (
            []
            if stops
            else list(
                candidates(
                    columns,
                    rows,
                    y,
                    weight,
                    params.criterion,
                    n_classes,
                    params.min_samples_leaf,
                    min_weight,
                    range(table.n_features),
                )
            )
        )
        left = tree.children_left[node]
        if left < 0:
            seen[rows] = node
            best = max((c.decrease for c in found), default=-np.inf)
            bound = params.min_impurity_decrease * total
            assert not found or best <= bound + tolerance
            continue
        assert not stops
        # Where the tree sends the rows, by the leaves below its left child.
        went_left = np.isin(leaf_of[rows], _leaves_below(tree, left))
        chosen = [
            c
            for c in found
            if c.feature == tree.feature[node]
            and (
                np.array_equal(c.goes_left, went_left)
                or (
                    columns[c.feature].is_categorical
                    and np.array_equal(~c.goes_left, went_left)
                )
            )
        ]
        assert chosen, "the split is none of the node's candidates"
        best = max(c.decrease for c in found)
        if exact:
            assert chosen[0].decrease >= best - tolerance
            # Ties (the oracle rounds: near-ties are not decided) go to the first.
            rivals = {c.feature for c in found if c.decrease >= best - tolerance}
            if len(rivals) == 1:
                assert tree.feature[node] in rivals
        assert chosen[0].decrease >= params.min_impurity_decrease * total - tolerance
        stack.append((left, rows[went_left], depth + 1))
        stack.append((tree.children_right[node], rows[~went_left], depth + 1))
    np.testing.assert_array_equal(seen[weight > 0], leaf_of[weight > 0])


def _leaves_below(tree, node):
    stack, leaves = [node], []
    while stack:
        node = stack.pop()
        if tree.children_left[node] < 0:
            leaves.append(node)
        else:
            stack += [tree.children_left[node], tree.children_right[node]]
    return leaves
