"""Several targets at once: what a side of a split holds is a vector.

    LABELS   weights by class, the classes of all outputs numbered one after another:
             a row adds its weight to one class of each output
    SUMS     sums of the fixed-point targets by output

A split's score is the sum of its outputs' scores, a node's impurity the mean of
their impurities, as in scikit-learn. The vector of a node is its *totals*; for SUMS
the outputs' means follow, rounded to integers: sums are scored about them (about
what does not matter, since it adds the same to all splits of a node, but far from
the mean the square of it would swamp the gain).

Absolute deviations need the rows in order of each target. The order of output o
stands `stride` entries after that of output 0, and the targets by output, not by
row: `row_step` and `output_step` say where they are.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t
from libc.string cimport memcpy

from fasttree._kernels.absolute cimport (
    MedianSpace,
    add_position_costs,
    keep_best_position,
    measure_median,
    rank_rows,
)
from fasttree._kernels.impurity cimport (
    ClassSums,
    add_totals,
    clear_totals,
    deviation,
    log2_portable,
    move_weight,
    nlogn,
    node_stat,
    score_sums,
)
from fasttree._kernels.partition cimport partition_rows
from fasttree._kernels.records cimport Arena, NodeRecord, reserve_payload
from fasttree._kernels.types cimport (
    ABSOLUTE,
    CLASSES,
    LABELS,
    NodeStat,
    POISSON,
    SUMS,
    Split,
    Target,
    entry_t,
)


cdef inline int64_t weight_of(const Target* target, int64_t row) noexcept nogil:
    return 1 if target.weight == NULL else target.weight[row]


cdef inline Target target_of(const Target* target, int64_t output) noexcept nogil:
    """One output of a target that is kept by output."""
    cdef Target own = target[0]
    own.value += output * target.output_step
    own.response += output * target.output_step
    own.centre = target.centres[output]
    return own


# --- a node's totals --------------------------------------------------------------

cdef inline void add_row(
    const Target* target, int64_t* totals, int64_t row, int64_t weight
) noexcept nogil:
    cdef int64_t o, base
    if target.kind == LABELS:
        base = row * target.n_outputs
        for o in range(target.n_outputs):
            totals[target.label[base + o]] += weight
    else:
        base = row * target.row_step
        for o in range(target.n_outputs):
            totals[o] += target.value[base + o * target.output_step]


cdef inline void count_node(
    const Target* target, int64_t* totals, const entry_t* rows, int64_t n
) noexcept nogil:
    """Add up a node's totals, which come zeroed."""
    cdef int64_t i, o, weight = 0
    if target.kind == CLASSES:
        add_totals(target, totals, rows, n)
        return
    for i in range(n):
        add_row(target, totals, rows[i], weight_of(target, rows[i]))
    if target.kind == SUMS:
        for i in range(n):
            weight += weight_of(target, rows[i])
        for o in range(target.n_outputs):
            totals[target.n_outputs + o] = totals[o] / weight


cdef inline void clear_node(
    const Target* target, int64_t* totals, const entry_t* rows, int64_t n
) noexcept nogil:
    """Zero the totals that the rows have touched."""
    cdef int64_t i, o
    if target.kind == CLASSES:
        clear_totals(target, totals, rows, n)
    elif target.kind == LABELS and n * target.n_outputs < target.n_totals:
        for i in range(n):
            for o in range(target.n_outputs):
                totals[target.label[rows[i] * target.n_outputs + o]] = 0
    else:
        for o in range(target.n_totals):
            totals[o] = 0


# --- scores -----------------------------------------------------------------------

cdef inline double score_labels(
    const Target* target, int64_t weight, int64_t all_weight, double left, double right
) noexcept nogil:
    """Score from the sums over classes of nlogn(w) or w * w of both sides."""
    cdef double n_outputs = <double>target.n_outputs
    if target.entropy:
        return (left - n_outputs * nlogn(target, weight)) + (
            right - n_outputs * nlogn(target, all_weight - weight))
    return left / <double>weight + right / <double>(all_weight - weight)


cdef inline double score_vectors(
    const Target* target, const int64_t* totals, const int64_t* left, int64_t weight,
    int64_t all_weight
) noexcept nogil:
    """Score of a split of a node of `all_weight`, by the sums of its left side.

    For SUMS, and -inf where a side's Poisson mean would be 0.
    """
    cdef const int64_t* means = totals + target.n_outputs
    cdef int64_t o, right = all_weight - weight
    cdef double l, r, score = 0.0, lefts = 0.0, rights = 0.0
    cdef NodeStat own
    if target.loss == POISSON:
        own.weight = all_weight
        for o in range(target.n_outputs):
            if totals[o] == 0:
                continue  # no split can make its mean any other
            own.sum = totals[o]
            own.mean = <double>totals[o] / <double>all_weight
            score += score_sums(POISSON, &own, left[o], weight)
        return score
    for o in range(target.n_outputs):
        l = <double>(left[o] - means[o] * weight)
        r = <double>(totals[o] - left[o] - means[o] * right)
        lefts += l * l
        rights += r * r
    return lefts / <double>weight + rights / <double>right


cdef inline double term(const Target* target, int64_t weight) noexcept nogil:
    return nlogn(target, weight) if target.entropy else (
        <double>weight * <double>weight)


cdef inline double score_counted(
    const Target* target, const entry_t* rows, int64_t n, const int64_t* totals,
    int64_t* left, int64_t weight, int64_t all_weight
) noexcept nogil:
    """Score from a whole left vector, which is zeroed again."""
    cdef int64_t i, o, c
    cdef double score, lefts = 0.0, rights = 0.0
    if target.kind == SUMS:
        score = score_vectors(target, totals, left, weight, all_weight)
        for o in range(target.n_outputs):
            left[o] = 0
        return score
    if n * target.n_outputs >= target.n_totals:
        for c in range(target.n_totals):
            lefts += term(target, left[c])
            rights += term(target, totals[c] - left[c])
            left[c] = 0
        return score_labels(target, weight, all_weight, lefts, rights)
    for i in range(n):
        for o in range(target.n_outputs):
            c = target.label[rows[i] * target.n_outputs + o]
            if left[c] >= 0:  # not yet seen
                lefts += term(target, left[c])
                rights += term(target, totals[c] - left[c])
                left[c] = -1
    for i in range(n):
        for o in range(target.n_outputs):
            left[target.label[rows[i] * target.n_outputs + o]] = 0
    return score_labels(target, weight, all_weight, lefts, rights)


# --- a node's statistics ----------------------------------------------------------

cdef inline double mean_response(
    const Target* target, const entry_t* rows, int64_t n, int64_t output,
    int64_t weight
) noexcept nogil:
    """The weighted mean of an output, exact where its rows agree."""
    cdef const double* response = target.response + output * target.output_step
    cdef double first = response[rows[0] * target.row_step], x, mean = 0.0
    cdef bint differ = False
    cdef int64_t i
    for i in range(n):
        x = response[rows[i] * target.row_step]
        differ |= x != first
        mean += x if target.weight == NULL else x * <double>target.weight[rows[i]]
    return mean / <double>weight if differ else first


cdef inline double entropy_term(
    const Target* target, int64_t weight, double total
) noexcept nogil:
    """Of weighted rows: see `entropy_of` for why the score is not taken."""
    if target.weight == NULL or not target.entropy:
        return 0.0
    return <double>weight / total * log2_portable(total / <double>weight)


cdef inline void measure_labels(
    const Target* target, const entry_t* rows, int64_t n, int64_t* totals,
    NodeStat* stat
) noexcept nogil:
    cdef int64_t i, o, c, occurring = 0
    cdef double n_outputs = <double>target.n_outputs, weight = <double>stat.weight
    cdef double entropy = 0.0
    if n * target.n_outputs < target.n_totals:
        # Each class once: its total is marked as taken by negating it.
        for i in range(n):
            for o in range(target.n_outputs):
                c = target.label[rows[i] * target.n_outputs + o]
                if totals[c] > 0:
                    occurring += 1
                    stat.class_sum += term(target, totals[c])
                    entropy += entropy_term(target, totals[c], weight)
                    totals[c] = -totals[c]
        for i in range(n):
            for o in range(target.n_outputs):
                c = target.label[rows[i] * target.n_outputs + o]
                totals[c] = max(totals[c], -totals[c])
    else:
        for c in range(target.n_totals):
            if totals[c] > 0:
                occurring += 1
                stat.class_sum += term(target, totals[c])
                entropy += entropy_term(target, totals[c], weight)
    stat.pure = occurring == target.n_outputs
    if target.entropy:
        stat.score = stat.class_sum - n_outputs * nlogn(target, stat.weight)
        stat.impurity = -stat.score / (n_outputs * weight)
        if target.weight != NULL:
            stat.impurity = entropy / n_outputs
    else:
        stat.score = stat.class_sum / weight
        stat.impurity = 1.0 - stat.score / (n_outputs * weight)
    if stat.pure:
        stat.impurity = 0.0


cdef inline void measure_sums(
    const Target* target, const entry_t* rows, int64_t n, const int64_t* totals,
    NodeStat* stat
) noexcept nogil:
    cdef int64_t i, o
    cdef double mean, d, spread = 0.0, weight = <double>stat.weight
    cdef const double* response
    stat.pure = True
    for o in range(target.n_outputs):
        response = target.response + o * target.output_step
        mean = mean_response(target, rows, n, o, stat.weight)
        for i in range(n):
            d = response[rows[i] * target.row_step]
            stat.pure &= d == response[rows[0] * target.row_step]
            d = deviation(target.loss, d, mean)
            spread += d if target.weight == NULL else d * <double>target.weight[rows[i]]
        if target.loss != POISSON:
            d = <double>(totals[o] - totals[target.n_outputs + o] * stat.weight)
            stat.score += d * d / weight
    stat.impurity = 0.0 if stat.pure else spread / weight / <double>target.n_outputs


cdef inline void measure_medians(
    const Target* target, const entry_t* rows, int64_t n, NodeStat* stat
) noexcept nogil:
    cdef int64_t o
    cdef Target own
    cdef NodeStat single = stat[0]
    stat.pure = True
    for o in range(target.n_outputs):
        own = target_of(target, o)
        measure_median(&own, rows + o * target.stride, n, &single)
        stat.pure &= single.pure
        stat.score += single.score
        stat.impurity += single.impurity / <double>target.n_outputs


cdef inline NodeStat measure_node(
    const Target* target, const entry_t* rows, int64_t n, int64_t* totals
) noexcept nogil:
    """Sums over a node's rows; as `node_stat`, for all kinds of targets."""
    cdef NodeStat stat
    cdef int64_t i
    if target.kind < LABELS:
        return node_stat(target, rows, n, totals)
    stat.n = n
    stat.weight = n
    stat.sum = 0
    stat.class_sum = stat.score = stat.impurity = stat.mean = stat.value = 0.0
    if target.weight != NULL:
        stat.weight = 0
        for i in range(n):
            stat.weight += target.weight[rows[i]]
    count_node(target, totals, rows, n)
    if target.kind == LABELS:
        measure_labels(target, rows, n, totals, &stat)
    elif target.loss == ABSOLUTE:
        measure_medians(target, rows, n, &stat)
    else:
        measure_sums(target, rows, n, totals, &stat)
    return stat


# --- what a node keeps ------------------------------------------------------------

cdef inline bint emit_values(
    Arena* arena, NodeRecord* record, const Target* target, const entry_t* rows,
    int64_t n
) noexcept nogil:
    """Append a node's values by output, the bits of float64 numbers."""
    cdef int64_t o
    cdef double value
    cdef Target own
    cdef NodeStat single
    if not reserve_payload(arena, target.n_outputs):
        return False
    record.payload = arena.n_payload
    for o in range(target.n_outputs):
        if target.loss == ABSOLUTE:
            single.weight = record.weight
            own = target_of(target, o)
            measure_median(&own, rows + o * target.stride, n, &single)
            value = single.value
        else:
            value = mean_response(target, rows, n, o, record.weight)
        arena.leaf_class[arena.n_payload] = <int>o
        memcpy(arena.leaf_weight + arena.n_payload, &value, sizeof(double))
        arena.n_payload += 1
    return True


cdef inline void part_orders(
    const Target* target, entry_t* rows, int64_t n, const uint8_t* goes_left,
    entry_t* spare
) noexcept nogil:
    """Part a node's rows stably by their sides, in each of the orders."""
    cdef int64_t o
    for o in range(target.n_orders):
        partition_rows(rows + o * target.stride, n, goes_left, spare)


# --- all splits of an order -------------------------------------------------------

cdef inline void move_labels(
    const Target* target, const int64_t* totals, int64_t* left, ClassSums* sums,
    int64_t row
) noexcept nogil:
    """Move one row from the right side to the left one."""
    cdef const uint16_t* label = target.label + row * target.n_outputs
    cdef const double* f = target.nlogn
    cdef int64_t o, l, r, w
    if target.weight != NULL:
        w = target.weight[row]
        sums.weight += w
        for o in range(target.n_outputs):
            l = left[label[o]]
            r = totals[label[o]] - l
            left[label[o]] = l + w
            move_weight(target, l, r, w, sums)
        return
    sums.weight += 1
    for o in range(target.n_outputs):
        l = left[label[o]]
        r = totals[label[o]] - l
        left[label[o]] = l + 1
        if target.entropy:  # the table holds every count of rows
            sums.left += f[l + 1] - f[l]
            sums.right -= f[r] - f[r - 1]
        else:
            sums.left += <double>(2 * l + 1)
            sums.right -= <double>(2 * r - 1)


cdef inline void move_rows(
    const Target* target, const int64_t* totals, int64_t* left, ClassSums* sums,
    const entry_t* entries, int64_t n
) noexcept nogil:
    """Move rows of one code: each changes its classes' terms, or all are summed anew."""
    cdef entry_t mask = (<entry_t>1 << (8 * sizeof(entry_t) - 3)) - 1
    cdef int64_t k, c, row, w
    if target.kind == LABELS and (n < 4 or n * target.n_outputs < target.n_totals):
        for k in range(n):
            move_labels(target, totals, left, sums, entries[k] & mask)
        return
    for k in range(n):
        row = entries[k] & mask
        w = weight_of(target, row)
        sums.weight += w
        add_row(target, left, row, w)
    if target.kind == LABELS:
        sums.left = 0.0
        sums.right = 0.0
        for c in range(target.n_totals):
            sums.left += term(target, left[c])
            sums.right += term(target, totals[c] - left[c])


cdef inline void scan_outputs(
    const entry_t* entries, int64_t n, int64_t n_present, int64_t first, int64_t last,
    bint missing_first, const Target* target, const NodeStat* node, int64_t min_weight,
    const int64_t* totals, int64_t* left, Split* best
) noexcept nogil:
    """Best candidate of an order at positions first..last; see scan.pxd."""
    cdef entry_t new = <entry_t>1 << (8 * sizeof(entry_t) - 1)
    cdef int64_t k = 0, stop
    cdef double score
    cdef ClassSums sums
    sums.left = 0.0
    sums.right = node.class_sum
    sums.weight = 0
    if missing_first:
        move_rows(target, totals, left, &sums, entries + n_present, n - n_present)
    while k < last:
        stop = k + 1
        while stop < last and not entries[stop] & new:
            stop += 1
        move_rows(target, totals, left, &sums, entries + k, stop - k)
        k = stop
        if (k < first or not entries[k] & new or sums.weight < min_weight
                or node.weight - sums.weight < min_weight):
            continue
        if target.kind == LABELS:
            score = score_labels(target, sums.weight, node.weight, sums.left, sums.right)
        else:
            score = score_vectors(target, totals, left, sums.weight, node.weight)
        if score > best.score:
            best.score = score
            best.position = k
            best.missing_left = missing_first
    clear_left_vector(target, left, entries, n)


cdef inline void clear_left_vector(
    const Target* target, int64_t* left, const entry_t* entries, int64_t n
) noexcept nogil:
    cdef entry_t mask = (<entry_t>1 << (8 * sizeof(entry_t) - 3)) - 1
    cdef int64_t k, o
    if target.kind == LABELS and n * target.n_outputs < target.n_totals:
        for k in range(n):
            for o in range(target.n_outputs):
                left[target.label[(entries[k] & mask) * target.n_outputs + o]] = 0
    else:
        for o in range(target.n_totals):
            left[o] = 0


# --- absolute deviations ----------------------------------------------------------

cdef inline void cost_outputs(
    MedianSpace* space, const Target* target, const entry_t* rows, const NodeStat* node
) noexcept nogil:
    """Fill `cost` for the places of `going`: a split's costs, over all outputs."""
    cdef int64_t k, o, n = node.n
    cdef Target own
    for k in range(n + 1):
        space.cost[k] = 0
    for o in range(target.n_outputs):
        own = target_of(target, o)
        rank_rows(space, &own, rows + o * target.stride, n)
        for k in range(n):
            space.sequence[k] = space.rank[space.going[k]]
        add_position_costs(space, &own, n, node.weight, False)
    space.rows = rows


cdef inline void scan_output_medians(
    MedianSpace* space, const entry_t* entries, int64_t n, int64_t n_present,
    int64_t first, int64_t last, bint missing_first, const Target* target,
    const NodeStat* node, int64_t min_weight, Split* best
) noexcept nogil:
    """Best candidate of an order at positions first..last; see scan.pxd."""
    cdef entry_t mask = (<entry_t>1 << (8 * sizeof(entry_t) - 3)) - 1
    cdef int64_t k, before = n - n_present if missing_first else 0
    for k in range(before):
        space.going[k] = entries[n_present + k] & mask
    for k in range(n - before):
        space.going[before + k] = entries[k] & mask
    cost_outputs(space, target, <const entry_t*>space.rows, node)
    keep_best_position(space, entries, n, before, first, last, target, node, min_weight,
                       NULL, best)
