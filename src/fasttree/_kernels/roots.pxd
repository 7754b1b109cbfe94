"""The root of a tree over drawn rows: which they are, what they weigh, its frame."""

from libc.math cimport INFINITY
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from fasttree._kernels.cells cimport MOST_STAT_TOTAL, MOST_STAT_WEIGHT
from fasttree._kernels.grower cimport Grower, reserve_stack
from fasttree._kernels.records cimport reserve_nodes
from fasttree._kernels.sampled cimport binary_stat
from fasttree._kernels.subtree cimport must_be_leaf
from fasttree._kernels.types cimport NodeStat, Target


cdef inline int64_t list_rows(
    Grower* g, const uint32_t* counts, const int64_t* weight, const uint32_t* order,
    int64_t capacity
) noexcept nogil:
    """List the rows that were drawn, in each of their orders; return their number.

    `counts`, `weight` and `order` may be NULL: see `Growth.grow`.
    """
    cdef int64_t n = 0, i, o, row
    for o in range(g.target.n_orders):
        n = 0
        for i in range(g.n_table_rows):
            row = i if order == NULL else order[o * g.n_table_rows + i]
            g.rows[o * capacity + n] = <uint32_t>row
            if counts != NULL:
                n += counts[row] != 0
            else:
                n += weight == NULL or weight[row] != 0
            if n == capacity:
                break
    return n


cdef inline void weigh_by_counts(
    Grower* g, int64_t n, const uint32_t* counts, int64_t* weight, int64_t* value
) noexcept nogil:
    """Let counts be the weights of the target, and multiply its values by them.

    `weight` and `value` receive both; `value` holds those of one drawing before.
    """
    cdef int64_t i, o, row, at
    for i in range(n):
        weight[g.rows[i]] = counts[g.rows[i]]
    g.target.weight = weight
    if g.target.value == NULL:
        return
    for i in range(n):
        row = g.rows[i]
        for o in range(g.target.n_outputs):
            at = row * g.target.row_step + o * g.target.output_step
            value[at] = counts[row] * g.target.value[at]
    g.target.value = value


cdef inline NodeStat measure_two_classes(
    Grower* g, int64_t n, const uint32_t* counts, const uint16_t* label
) noexcept nogil:
    """Write class and weight of a tree's rows by place, and sum them up."""
    cdef int64_t i, total = 0, ones = 0
    for i in range(n):
        g.stats[i] = 1 if counts == NULL else counts[g.rows[i]]
        total += g.stats[i]
        ones += g.stats[i] * label[g.rows[i]]
        g.stats[i] |= (g.stats[i] * label[g.rows[i]]) << 16
    g.has_stats = True
    return binary_stat(&g.target, n, total, ones)


cdef inline bint fill_stats(Grower* g, int64_t n) noexcept nogil:
    """Write class and weight of a tree's rows by place, if they are small enough."""
    cdef const Target* target = &g.target
    cdef int64_t i, weight = 1, total = 0
    cdef uint64_t most = 0
    if g.limits.n_bounded or g.limits.drawn:
        return False
    for i in range(n):
        if target.weight != NULL:
            weight = target.weight[g.rows[i]]
        most |= <uint64_t>weight
        total += weight
        g.stats[i] = target.label[g.rows[i]] | <uint32_t>weight << 16
    return most <= MOST_STAT_WEIGHT and total <= MOST_STAT_TOTAL and (
        not target.entropy or total < target.nlogn_size)


cdef inline bint plant(
    Grower* g, const NodeStat* stat, uint64_t key, int64_t capacity
) noexcept nogil:
    """Put the root at the bottom of the wide nodes; False if there is no memory."""
    cdef int64_t i, most_nodes = capacity
    # At once, untouched: what grows by doubling is copied again and again.
    # For all trees: one that draws more rows would double it.
    if g.limits.max_depth < 32:
        most_nodes = min(most_nodes, <int64_t>2 << g.limits.max_depth)
    if not reserve_stack(&g.wide, 2) or not reserve_nodes(&g.arena, most_nodes):
        return False
    g.wide.frames[0].stat = stat[0]
    g.wide.frames[0].begin = 0
    g.wide.frames[0].depth = 0
    g.wide.frames[0].key = key
    g.wide.frames[0].parent = -1
    g.wide.frames[0].right = False
    g.wide.frames[0].leaf = must_be_leaf(&g.limits, stat, 0)
    for i in range(g.limits.n_bounded):
        g.wide.bounds[2 * i] = -INFINITY
        g.wide.bounds[2 * i + 1] = INFINITY
    for i in range(g.n_words):
        g.wide.masks[i] = <uint64_t>-1
    if g.n_features & 63:
        g.wide.masks[g.n_words - 1] = (<uint64_t>1 << (g.n_features & 63)) - 1
    return True
