"""Slow, plain twin of the pruning kernel: all nodes are looked at in each step."""

from __future__ import annotations

import numpy as np


def prune(tree, cost, largest_alpha):
    """Return the masks of kept nodes and of leaves, alphas and costs."""
    left, right = tree.children_left, tree.children_right
    parent = np.full(tree.node_count, -1)
    inner = np.flatnonzero(left != -1)
    parent[left[inner]] = parent[right[inner]] = inner
    is_leaf = left == -1
    is_kept = np.ones(tree.node_count, bool)
    branch, n_leaves = np.zeros(tree.node_count), np.zeros(tree.node_count, int)
    for leaf in np.flatnonzero(is_leaf):
        branch[leaf] = cost[leaf]
        node = parent[leaf]
        while node >= 0:
            branch[node] += cost[leaf]
            n_leaves[node] += 1
            node = parent[node]
    alphas, costs = [0.0], [branch[0]]
    while not is_leaf[0]:
        candidates = np.flatnonzero(is_kept & ~is_leaf)
        alpha = (cost - branch)[candidates] / (n_leaves[candidates] - 1)
        if alpha.min() > largest_alpha:
            break
        weakest = candidates[np.argmin(alpha)]
        below = [left[weakest], right[weakest]]
        while below:
            node = below.pop()
            is_kept[node] = is_leaf[node] = False
            below += [child for child in (left[node], right[node]) if child >= 0]
        is_leaf[weakest] = True
        n_pruned, increase = n_leaves[weakest] - 1, cost[weakest] - branch[weakest]
        branch[weakest] = cost[weakest]
        node = parent[weakest]
        while node >= 0:
            n_leaves[node] -= n_pruned
            branch[node] += increase
            node = parent[node]
        alphas.append(alpha.min())
        costs.append(branch[0])
    return is_kept, is_leaf, alphas, costs
