"""Absolute deviations from the median, for criterion="absolute_error".

Growth keeps the rows of every node in order of their targets: splits are stable, so
it is enough that the root starts that way. The *rank* of a row is its place there.
The *cost* of a set of rows is the sum of its |target - median|, in units of the
fixed-point targets: an integer, so equal splits cost the same.

The costs of all splits of a column come from two passes over its order. Rows leave
a linked list of the node's ranks one by one, from the column's end for the left
sides and from its start for the right ones, and the median moves by at most one
place each time: O(n) a column. With weights it may move further. Where that comes to
more than a few places a row, rows enter a binary indexed tree over the ranks instead
(Fenwick 1994), which finds the median in O(log n).
"""

from libc.math cimport rint
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport calloc, free

from fasttree._kernels.monotone cimport Monotone, in_order
from fasttree._kernels.types cimport NodeStat, Split, Target, entry_t

cdef enum:
    MOVES_A_ROW = 8           # of a weighted median, before a tree is faster

# Work space for one node at a time; one per thread.
cdef struct MedianSpace:
    int32_t* rank             # (n_rows,) by row
    int64_t* value            # (longest,) by rank, as the arrays that follow
    int64_t* weight
    double* response
    int32_t* after            # (longest + 2,) next rank in the list, counted from 1
    int32_t* before           # (longest + 2,)
    int64_t* weights          # (longest + 1,) indexed tree
    int64_t* values           # (longest + 1,) indexed tree
    int32_t* sequence         # (longest,) ranks, in the order of going left
    int32_t* going            # (longest,) rows in that order
    const void* rows          # (n,) of the node, in order of the targets
    int64_t* cost             # (longest + 1,) of the split at each place of it
    double* medians           # (2, longest + 1) of its right side, and of its left


cdef inline bint reserve_medians(
    MedianSpace* space, int64_t n_rows, int64_t longest
) noexcept nogil:
    """Allocate; False if there is no memory. To be freed in either case."""
    space.rank = <int32_t*>calloc(n_rows, sizeof(int32_t))
    space.value = <int64_t*>calloc(longest, sizeof(int64_t))
    space.weight = <int64_t*>calloc(longest, sizeof(int64_t))
    space.response = <double*>calloc(longest, sizeof(double))
    space.after = <int32_t*>calloc(longest + 2, sizeof(int32_t))
    space.before = <int32_t*>calloc(longest + 2, sizeof(int32_t))
    space.weights = <int64_t*>calloc(longest + 1, sizeof(int64_t))
    space.values = <int64_t*>calloc(longest + 1, sizeof(int64_t))
    space.sequence = <int32_t*>calloc(longest, sizeof(int32_t))
    space.going = <int32_t*>calloc(longest, sizeof(int32_t))
    space.cost = <int64_t*>calloc(longest + 1, sizeof(int64_t))
    space.medians = <double*>calloc(2 * (longest + 1), sizeof(double))
    return (space.rank != NULL and space.value != NULL and space.weight != NULL
            and space.response != NULL and space.after != NULL
            and space.before != NULL and space.weights != NULL
            and space.values != NULL and space.sequence != NULL
            and space.going != NULL and space.cost != NULL and space.medians != NULL)


cdef inline void free_medians(MedianSpace* space) noexcept nogil:
    free(space.rank)
    free(space.value)
    free(space.weight)
    free(space.response)
    free(space.after)
    free(space.before)
    free(space.weights)
    free(space.values)
    free(space.sequence)
    free(space.going)
    free(space.cost)
    free(space.medians)


# --- one set of rows --------------------------------------------------------------

cdef inline int64_t cost_about(
    const Target* target, double response, int64_t low, int64_t weight_low,
    int64_t high, int64_t weight_high
) noexcept nogil:
    """Cost of weighted rows, from sums up to the lower median and above it.

    The weights differ by no more than twice the median's own, so that nothing
    overflows.
    """
    cdef double median = (response - target.centre) * target.per_unit
    return high - low + <int64_t>rint(median * <double>(weight_low - weight_high))


# Sums over rows that come in order of their targets, up to the median and above it.
cdef struct HalfSums:
    int64_t weight            # of all the rows that will come
    int64_t seen              # of those that came
    int64_t low
    int64_t weight_low
    int64_t high
    int64_t middle            # the lower median's row
    int64_t above             # the next row, -1 if there is none


cdef inline void begin_halves(HalfSums* half, int64_t weight) noexcept nogil:
    half.weight = weight
    half.seen = half.low = half.weight_low = half.high = half.middle = 0
    half.above = -1


cdef inline void add_to_halves(
    HalfSums* half, const Target* target, int64_t row
) noexcept nogil:
    # The median is the first row with half of the weight up to it.
    cdef bint is_low = 2 * half.seen < half.weight
    half.seen += 1 if target.weight == NULL else target.weight[row]
    if is_low:
        half.low += target.value[row]
        half.weight_low = half.seen
        half.middle = row
    else:
        half.high += target.value[row]
        half.above = row if half.above < 0 else half.above


cdef inline double median_of_halves(
    const HalfSums* half, const Target* target
) noexcept nogil:
    """As in scikit-learn: half-way to the next row where half of the weight is below."""
    cdef double median = target.response[half.middle]
    if 2 * half.weight_low == half.weight:
        median = median / 2 + target.response[half.above] / 2
    return median


cdef inline int64_t cost_of_halves(
    const HalfSums* half, const Target* target
) noexcept nogil:
    cdef int64_t weight_high = half.weight - half.weight_low
    if target.weight == NULL:
        return half.high - half.low + target.value[half.middle] * (
            half.weight_low - weight_high)
    return cost_about(target, target.response[half.middle], half.low, half.weight_low,
                      half.high, weight_high)


cdef inline void measure_median(
    const Target* target, const entry_t* rows, int64_t n, NodeStat* stat
) noexcept nogil:
    """Fill in what a node's median tells; `stat.weight` is there already."""
    cdef int64_t i, cost
    cdef HalfSums half
    cdef const double* response = target.response
    begin_halves(&half, stat.weight)
    for i in range(n):
        add_to_halves(&half, target, rows[i])
    stat.value = median_of_halves(&half, target)
    cost = cost_of_halves(&half, target)
    stat.pure = response[rows[0]] == response[rows[n - 1]]
    stat.score = -<double>cost
    stat.impurity = 0.0
    if not stat.pure and cost > 0:
        stat.impurity = <double>cost / target.per_unit / <double>stat.weight


# --- all splits of a column -------------------------------------------------------

cdef inline void rank_rows(
    MedianSpace* space, const Target* target, const entry_t* rows, int64_t n
) noexcept nogil:
    """Number the rows of a node, which are in order of their targets."""
    cdef int64_t i
    space.rows = rows
    for i in range(n):
        space.rank[rows[i]] = <int32_t>i
        space.value[i] = target.value[rows[i]]
        space.response[i] = target.response[rows[i]]
    if target.weight != NULL:
        for i in range(n):
            space.weight[i] = target.weight[rows[i]]


cdef inline void cost_positions(
    MedianSpace* space, const Target* target, int64_t n, int64_t total,
    bint with_medians
) noexcept nogil:
    """Fill `cost` for places 1..n-1 of `sequence`: the ranks before it go left.

    And `medians`, if they are asked for.
    """
    cdef int64_t k
    for k in range(n + 1):
        space.cost[k] = 0
    add_position_costs(space, target, n, total, with_medians)


cdef inline void add_position_costs(
    MedianSpace* space, const Target* target, int64_t n, int64_t total,
    bint with_medians
) noexcept nogil:
    cdef int64_t done
    cdef int of_left
    for of_left in range(2):
        if target.weight != NULL:
            done = add_weighted_costs(space, target, n, total, of_left)
            if done < n - 1:
                add_costs_by_tree(space, target, n, n - 1 - done, of_left)
        elif with_medians:
            add_costs(space, n, of_left, True)
        else:
            add_costs(space, n, of_left, False)


cdef inline void add_costs(
    MedianSpace* space, int64_t n, bint of_left, bint with_medians
) noexcept nogil:
    """Add the cost of the left sides, or of the right ones.

    All of the node is in the list at first; the side's rows leave it from the far
    end. `low` is the sum up to the lower median `p`, `high` that above it. The
    choices are selects, not branches: which half a row is in cannot be predicted.
    """
    cdef int32_t* after = space.after
    cdef int32_t* before = space.before
    cdef const int64_t* value = space.value - 1  # ranks are counted from 1 here
    cdef const double* response = space.response - 1
    cdef double* medians = space.medians + of_left * (n + 1)
    cdef int64_t i, k, low = 0, high = 0, at_p, at_q, at_x
    cdef int32_t x, q, p = <int32_t>((n + 1) // 2)
    cdef bint is_odd = n & 1
    for i in range(n + 2):
        after[i] = <int32_t>(i + 1)
        before[i] = <int32_t>(i - 1)
    for i in range(1, p + 1):
        low += value[i]
    for i in range(p + 1, n + 1):
        high += value[i]
    for i in range(n - 1):
        k = n - 1 - i if of_left else i
        x = space.sequence[k] + 1
        at_x = value[x]
        if is_odd:
            # Of one row more up to p: that many are left, or p joins the others.
            at_p = value[p]
            low -= at_p if x > p else at_x
            high += at_p - at_x if x > p else 0
            p = before[p] if x >= p else p
        else:
            # Of as many: one more is left up to p, or the next row makes up for it.
            q = after[p]
            at_q = value[q]
            low += at_q - at_x if x <= p else 0
            high -= at_q if x <= p else at_x
            p = q if x <= p else p
        after[before[x]] = after[x]
        before[after[x]] = before[x]
        is_odd = not is_odd
        # What is left are the rows before place k, or those from it on.
        k += not of_left
        space.cost[k] += high - low + (value[p] if is_odd else 0)
        if with_medians:
            medians[k] = response[p] if is_odd else (
                response[p] / 2 + response[after[p]] / 2)


cdef inline int64_t add_weighted_costs(
    MedianSpace* space, const Target* target, int64_t n, int64_t total, bint of_left
) noexcept nogil:
    """As `add_costs`; return how many rows left before the median moved too often.

    Heavy rows among light ones can make it go to and fro.
    """
    cdef int32_t* after = space.after
    cdef int32_t* before = space.before
    cdef const int64_t* value = space.value - 1
    cdef const int64_t* weight = space.weight - 1
    cdef const double* response = space.response - 1
    cdef double* medians = space.medians + of_left * (n + 1)
    cdef int64_t i, k, low = 0, high = 0, weight_low = 0, moves = MOVES_A_ROW * n + 64
    cdef int32_t x, p = 0
    for i in range(n + 2):
        after[i] = <int32_t>(i + 1)
        before[i] = <int32_t>(i - 1)
    for i in range(1, n + 1):
        high += value[i]
    for i in range(n):
        # The last place of less than half of the weight, and one more.
        while 2 * weight_low < total:
            p = after[p]
            low += value[p]
            high -= value[p]
            weight_low += weight[p]
            moves -= i > 0
        while 2 * (weight_low - weight[p]) >= total:
            low -= value[p]
            high += value[p]
            weight_low -= weight[p]
            p = before[p]
            moves -= 1
        if i > 0:
            k = n - i if of_left else i
            space.cost[k] += cost_about(target, response[p], low, weight_low, high,
                                        total - weight_low)
            medians[k] = response[p]
            if 2 * weight_low == total:
                medians[k] = response[p] / 2 + response[after[p]] / 2
        if i == n - 1 or moves < 0:
            return i
        k = n - 1 - i if of_left else i
        x = space.sequence[k] + 1
        total -= weight[x]
        if x > p:
            high -= value[x]
        else:
            low -= value[x]
            weight_low -= weight[x]
            p = before[p] if x == p else p
        after[before[x]] = after[x]
        before[after[x]] = before[x]
    return n - 1


cdef inline void add_costs_by_tree(
    MedianSpace* space, const Target* target, int64_t n, int64_t steps, bint of_left
) noexcept nogil:
    """The first `steps` costs of a side, whose rows enter an indexed tree."""
    cdef const double* response = space.response
    cdef double* medians = space.medians + of_left * (n + 1)
    cdef int64_t i, k, rank, node, first = 1, place, low, weight_low
    cdef int64_t weight = 0, sum = 0
    while 2 * first <= n:
        first *= 2
    for i in range(n + 1):
        space.weights[i] = 0
        space.values[i] = 0
    for i in range(steps):
        k = i if of_left else n - 1 - i
        rank = space.sequence[k]
        weight += space.weight[rank]
        sum += space.value[rank]
        node = rank + 1
        while node <= n:
            space.weights[node] += space.weight[rank]
            space.values[node] += space.value[rank]
            node += node & -node
        # The first ranks, of less than half of the weight; the next is the median.
        place = low = weight_low = 0
        node = first
        while node:
            if (place + node <= n
                    and 2 * (weight_low + space.weights[place + node]) < weight):
                place += node
                weight_low += space.weights[place]
                low += space.values[place]
            node >>= 1
        low += space.value[place]
        weight_low += space.weight[place]
        k += of_left
        space.cost[k] += cost_about(target, response[place], low, weight_low, sum - low,
                                    weight - weight_low)
        medians[k] = response[place]
        if 2 * weight_low == weight:
            medians[k] = response[place] / 2 + response[
                next_rank(space, n, first, weight_low)] / 2


cdef inline int64_t next_rank(
    const MedianSpace* space, int64_t n, int64_t first, int64_t weight
) noexcept nogil:
    """The first rank in the tree above those that hold `weight`."""
    cdef int64_t place = 0, seen = 0, node = first
    while node:
        if place + node <= n and seen + space.weights[place + node] <= weight:
            place += node
            seen += space.weights[place]
        node >>= 1
    return place


cdef inline void scan_absolute(
    MedianSpace* space, const entry_t* entries, int64_t n, int64_t n_present,
    int64_t first, int64_t last, bint missing_first, const Target* target,
    const NodeStat* node, int64_t min_weight, const Monotone* rule, Split* best
) noexcept nogil:
    """Best candidate of an order at positions first..last; see scan.pxd."""
    cdef entry_t new = <entry_t>1 << (8 * sizeof(entry_t) - 1)
    cdef entry_t mask = (new >> 2) - 1
    cdef int64_t k, before = n - n_present if missing_first else 0
    for k in range(before):
        space.sequence[k] = space.rank[entries[n_present + k] & mask]
    for k in range(n - before):
        space.sequence[before + k] = space.rank[entries[k] & mask]
    cost_positions(space, target, n, node.weight, rule != NULL)
    keep_best_position(space, entries, n, before, first, last, target, node, min_weight,
                       rule, best)


cdef inline void keep_best_position(
    const MedianSpace* space, const entry_t* entries, int64_t n, int64_t before,
    int64_t first, int64_t last, const Target* target, const NodeStat* node,
    int64_t min_weight, const Monotone* rule, Split* best
) noexcept nogil:
    """Take the cheapest candidate, where `before` missing entries go left first."""
    cdef entry_t new = <entry_t>1 << (8 * sizeof(entry_t) - 1)
    cdef int64_t k, w = 0
    cdef double score
    if target.weight != NULL:
        for k in range(before + first - 1):
            w += space.weight[space.sequence[k]]
    for k in range(first, last + 1):
        if target.weight != NULL:
            w += space.weight[space.sequence[before + k - 1]]
            if w < min_weight or node.weight - w < min_weight:
                continue
        score = -<double>space.cost[before + k]
        if entries[k] & new and score > best.score and (
                rule == NULL or in_order(rule, 0, space.medians[n + 1 + before + k],
                                         space.medians[before + k])):
            best.score = score
            best.position = k
            best.missing_left = before > 0
