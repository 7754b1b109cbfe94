"""Monotonic constraints: which splits keep a node's values in order.

A *value* is what a constraint speaks of: a node's mean or median, or its share of a
class. A split of a constrained column must put the sides' values in the constraint's
order, and within the node's bounds. Half-way between the sides' values is then a bound
of both children: what is below one side can never cross what is below the other.

Splits of other columns are free. Values below them may leave the bounds; the tree
moves them back in the end (see fasttree.growth.constraints).
"""

from libc.stdint cimport int8_t, int32_t, int64_t

from fasttree._kernels.types cimport (
    ABSOLUTE,
    BINARY,
    CLASSES,
    Feature,
    Limits,
    NodeStat,
    Target,
)

cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__)
    #define fasttree_unlikely(x) __builtin_expect(!!(x), 0)
    #else
    #define fasttree_unlikely(x) (x)
    #endif
    """
    # Out of the way of the loops over rows of unconstrained columns.
    bint unlikely "fasttree_unlikely"(bint x) noexcept nogil

# What a split of a node's column has to keep to.
cdef struct Monotone:
    int64_t n                 # values that some column constrains
    const int32_t* classes    # (n,) CLASSES: whose share a value is
    const int8_t* sign        # (n,) of the column: 1 rises, -1 falls, 0 is free
    const double* bounds      # (n, 2) of the node: lowest and highest


cdef inline Monotone monotone_of(
    const Limits* limits, const double* bounds
) noexcept nogil:
    cdef Monotone rule
    rule.n = limits.n_bounded
    rule.classes = limits.bounded
    rule.sign = limits.signs
    rule.bounds = bounds
    return rule


cdef inline const Monotone* rule_of(
    Monotone* rule, const Limits* limits, const Feature* feature, int64_t index
) noexcept nogil:
    """The node's rule for one column; NULL if the column is free."""
    if not feature.monotone:
        return NULL
    rule.sign = limits.signs + index * rule.n
    return rule


cdef inline bint in_order(
    const Monotone* rule, int64_t v, double left, double right
) noexcept nogil:
    cdef double low = rule.bounds[2 * v], high = rule.bounds[2 * v + 1]
    return (low <= left <= high and low <= right <= high
            and (right - left) * <double>rule.sign[v] >= 0.0)


cdef inline bint allows_sums(
    const Monotone* rule, const NodeStat* node, int64_t sum_left, int64_t weight_left
) noexcept nogil:
    if unlikely(rule != NULL):
        return in_order(
            rule, 0, <double>sum_left / <double>weight_left,
            <double>(node.sum - sum_left) / <double>(node.weight - weight_left))
    return True


cdef inline bint allows_binary(
    const Monotone* rule, const NodeStat* node, int64_t weight_left, int64_t ones_left
) noexcept nogil:
    if unlikely(rule != NULL):
        return in_order(
            rule, 0, <double>ones_left / <double>weight_left,
            <double>(node.sum - ones_left) / <double>(node.weight - weight_left))
    return True


cdef inline bint allows_classes(
    const Monotone* rule, const NodeStat* node, const int64_t* totals,
    const int64_t* side, int64_t weight, bint is_right
) noexcept nogil:
    """`side` (n_classes,) holds the class weights of one side, `weight` their sum."""
    if unlikely(rule != NULL):
        return classes_in_order(rule, node, totals, side, weight, is_right)
    return True


cdef inline bint classes_in_order(
    const Monotone* rule, const NodeStat* node, const int64_t* totals,
    const int64_t* side, int64_t weight, bint is_right
) noexcept nogil:
    cdef int64_t v, c
    cdef double own, other
    for v in range(rule.n):
        c = rule.classes[v]
        own = <double>side[c] / <double>weight
        other = <double>(totals[c] - side[c]) / <double>(node.weight - weight)
        if not (in_order(rule, v, other, own) if is_right
                else in_order(rule, v, own, other)):
            return False
    return True


cdef inline void node_values(
    const Limits* limits, const Target* target, const NodeStat* stat,
    const int64_t* totals, double* values
) noexcept nogil:
    """Write the values of a node, (n_bounded,); `totals` as in Scratch."""
    cdef int64_t v
    if limits.n_bounded == 0:
        return
    if target.kind == CLASSES:
        for v in range(limits.n_bounded):
            values[v] = <double>totals[limits.bounded[v]] / <double>stat.weight
    elif target.kind == BINARY:
        values[0] = <double>stat.sum / <double>stat.weight
    elif target.loss == ABSOLUTE:
        values[0] = stat.value
    else:
        values[0] = stat.mean


cdef inline void bound_children(
    int64_t n, const int8_t* sign, const double* value_left, const double* value_right,
    double* bounds,            # IN of the node (n, 2), OUT of its right child
    double* bounds_left,       # OUT (n, 2)
) noexcept nogil:
    cdef int64_t v
    cdef double middle
    for v in range(n):
        bounds_left[2 * v] = bounds[2 * v]
        bounds_left[2 * v + 1] = bounds[2 * v + 1]
        middle = value_left[v] / 2 + value_right[v] / 2
        # Growth keeps to the bounds; values of other rows may not.
        middle = min(max(middle, bounds[2 * v]), bounds[2 * v + 1])
        if sign[v] > 0:
            bounds_left[2 * v + 1] = middle
            bounds[2 * v] = middle
        elif sign[v] < 0:
            bounds_left[2 * v] = middle
            bounds[2 * v + 1] = middle
