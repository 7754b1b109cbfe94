"""Kernel of minimal cost-complexity pruning."""

from libc.float cimport DBL_MAX
from libc.math cimport INFINITY
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stddef cimport ptrdiff_t


cdef inline void _set_key(
    double* keys, ptrdiff_t n_slots, ptrdiff_t node, double key
) noexcept nogil:
    """Change one key of a tree of minima, and the minima above it."""
    cdef ptrdiff_t at = n_slots + node
    cdef double smaller
    keys[at] = key
    while at > 1:
        smaller = min(keys[at & ~<ptrdiff_t> 1], keys[at | 1])
        at >>= 1
        if keys[at] == smaller:
            return
        keys[at] = smaller


cdef inline ptrdiff_t _first_smallest(
    const double* keys, ptrdiff_t n_slots
) noexcept nogil:
    cdef ptrdiff_t at = 1
    while at < n_slots:
        at *= 2
        if keys[at] > keys[at + 1]:
            at += 1
    return at - n_slots


cdef inline double _alpha(
    double cost, double branch, int64_t n_leaves
) noexcept nogil:
    """Return the increase of cost for each leaf that pruning a node saves."""
    cdef double alpha = (cost - branch) / <double> (n_leaves - 1)
    # Infinite keys are of nodes that cannot be pruned; costs may have overflowed.
    return alpha if alpha < DBL_MAX else DBL_MAX


def prune(
    const int32_t[::1] children_left,   # IN  (n_nodes,) in preorder
    const int32_t[::1] children_right,  # IN  (n_nodes,)
    const int32_t[::1] size,            # IN  (n_nodes,) nodes in the node's subtree
    const double[::1] cost,             # IN  (n_nodes,) of each node as a leaf
    double largest_alpha,               # IN  prune nothing that costs more than this
    uint8_t[::1] is_kept,               # OUT (n_nodes,)
    uint8_t[::1] is_leaf,               # OUT (n_nodes,) of the pruned tree
    double[::1] alphas,                 # OUT (n_inner + 1,)
    double[::1] costs,                  # OUT (n_inner + 1,)
    int32_t[::1] parent,                # WORK (n_nodes,)
    int64_t[::1] n_leaves,              # WORK (n_nodes,)
    double[::1] branch,                 # WORK (n_nodes,)
    double[::1] keys,                   # WORK (2 * n_slots,), a power of two >= n_nodes
):
    """Prune the weakest links; return how many steps `alphas` and `costs` got.

    Sums are made in scikit-learn's order, so that nodes whose alphas would be
    equal in exact arithmetic are told apart as they are there.
    """
    cdef ptrdiff_t n_nodes = children_left.shape[0]
    cdef ptrdiff_t n_slots = keys.shape[0] // 2
    cdef ptrdiff_t node, below, end, step
    cdef int64_t n_pruned
    cdef double alpha, increase
    with nogil:
        parent[0] = -1
        for node in range(n_nodes):
            is_kept[node] = 1
            is_leaf[node] = children_left[node] < 0
            branch[node] = 0.0
            n_leaves[node] = 0
            if not is_leaf[node]:
                parent[children_left[node]] = <int32_t> node
                parent[children_right[node]] = <int32_t> node
        for below in range(n_nodes):
            if is_leaf[below]:
                branch[below] = cost[below]
                node = parent[below]
                while node >= 0:
                    branch[node] += cost[below]
                    n_leaves[node] += 1
                    node = parent[node]
        for node in range(n_slots):
            keys[n_slots + node] = INFINITY
        for node in range(n_nodes):
            if not is_leaf[node]:
                keys[n_slots + node] = _alpha(cost[node], branch[node], n_leaves[node])
        for node in range(n_slots - 1, 0, -1):
            keys[node] = min(keys[2 * node], keys[2 * node + 1])

        alphas[0] = 0.0
        costs[0] = branch[0]
        step = 1
        while not is_leaf[0]:
            node = _first_smallest(&keys[0], n_slots)
            alpha = keys[n_slots + node]
            if largest_alpha < alpha:
                break
            below = node + 1
            end = node + size[node]
            while below < end:
                is_kept[below] = 0
                if is_leaf[below]:
                    # What was below it has gone before.
                    is_leaf[below] = 0
                    below += size[below]
                else:
                    _set_key(&keys[0], n_slots, below, INFINITY)
                    below += 1
            is_leaf[node] = 1
            _set_key(&keys[0], n_slots, node, INFINITY)
            n_pruned = n_leaves[node] - 1
            increase = cost[node] - branch[node]
            branch[node] = cost[node]
            node = parent[node]
            while node >= 0:
                n_leaves[node] -= n_pruned
                branch[node] += increase
                _set_key(
                    &keys[0], n_slots, node,
                    _alpha(cost[node], branch[node], n_leaves[node]),
                )
                node = parent[node]
            alphas[step] = alpha
            costs[step] = branch[0]
            step += 1
    return step
