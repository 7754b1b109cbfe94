"""The best split of a column of categories: order the categories, then split that.

The best subset of two classes or one number is a prefix of the order by mean response
(Fisher 1958, Breiman et al. 1984); more classes are ordered by each one's share in
turn. Glossary and ties are those of scan.pxd.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport qsort

from fasttree._kernels.absolute cimport MedianSpace, cost_positions
from fasttree._kernels.impurity cimport (
    ClassSums,
    move_left,
    nlogn,
    score_binary,
    score_classes,
    score_sums,
)
from fasttree._kernels.outputs cimport (
    clear_left_vector,
    cost_outputs,
    move_rows,
    score_labels,
    score_vectors,
)
from fasttree._kernels.scan cimport Run, Scratch, clear_left
from fasttree._kernels.types cimport (
    ABSOLUTE,
    BINARY,
    CLASSES,
    LABELS,
    Limits,
    NodeStat,
    REGRESSION,
    SUMS,
    Split,
    Target,
    entry_t,
)


cdef inline int compare_runs(const void* a, const void* b) noexcept nogil:
    cdef const Run* x = <const Run*>a
    cdef const Run* y = <const Run*>b
    if x.key < y.key:
        return -1
    if x.key > y.key:
        return 1
    if x.pooled != y.pooled:
        return 1 if x.pooled else -1
    return (x.index > y.index) - (x.index < y.index)


cdef inline int64_t find_runs(
    const entry_t* entries, int64_t n, Run* runs
) noexcept nogil:
    cdef entry_t new = <entry_t>1 << (8 * sizeof(entry_t) - 1)
    cdef int64_t k, count = 0
    runs[0].start = 0
    for k in range(1, n):
        if entries[k] & new:
            runs[count].stop = <int32_t>k
            count += 1
            runs[count].start = <int32_t>k
    runs[count].stop = <int32_t>n
    return count + 1


cdef inline int64_t value_by(
    const Target* target, int64_t row, int32_t order
) noexcept nogil:
    """An output of a row, or the sum of all where `order` is none of them."""
    cdef int64_t o, s = 0
    cdef const int64_t* value = target.value + row * target.row_step
    if order < target.n_outputs:
        return value[order * target.output_step]
    for o in range(target.n_outputs):
        s += value[o * target.output_step]
    return s


cdef inline void sort_runs(
    const entry_t* entries, Run* runs, int64_t n_runs, const Target* target,
    int64_t min_category, int32_t order_class
) noexcept nogil:
    """Order runs by their mean response, or by the share of `order_class`.

    For SUMS that is an output, or their sum if it is none of them. Runs of fewer
    than `min_category` rows are pooled: they share one mean, so they stand side by
    side.
    """
    cdef entry_t mask = (<entry_t>1 << (8 * sizeof(entry_t) - 3)) - 1
    cdef int64_t i, k, o = 0, row, s, w, unit, pool_s = 0, pool_w = 0
    cdef double pool_key = 0.0
    # Counted without a branch, which would be mispredicted.
    cdef bint plain = target.weight == NULL and (
        target.kind == BINARY or target.kind == CLASSES)
    if target.kind == LABELS:
        while target.class_start[o + 1] <= order_class:
            o += 1
    for i in range(n_runs):
        s = 0
        w = 0
        if plain:
            for k in range(runs[i].start, runs[i].stop):
                s += target.label[entries[k] & mask] == order_class
            w = runs[i].stop - runs[i].start
        for k in range(runs[i].start, runs[i].start if plain else runs[i].stop):
            row = entries[k] & mask
            unit = 1 if target.weight == NULL else target.weight[row]
            w += unit
            if target.kind == REGRESSION:
                s += target.value[row]
            elif target.kind == SUMS:
                s += value_by(target, row, order_class)
            elif target.kind == LABELS:
                if target.label[row * target.n_outputs + o] == order_class:
                    s += unit
            elif target.label[row] == order_class:
                s += unit
        runs[i].index = <int32_t>i
        runs[i].key = <double>s / <double>w
        runs[i].pooled = runs[i].stop - runs[i].start < min_category
        if runs[i].pooled:
            pool_s += s
            pool_w += w
    if pool_w > 0:
        pool_key = <double>pool_s / <double>pool_w
        for i in range(n_runs):
            if runs[i].pooled:
                runs[i].key = pool_key
    qsort(runs, n_runs, sizeof(Run), compare_runs)


cdef inline void scan_runs(
    const entry_t* entries, int64_t n_runs, const Target* target,
    const NodeStat* node, const Limits* limits, int32_t order_class,
    Scratch* scratch, Split* best
) noexcept nogil:
    cdef entry_t mask = (<entry_t>1 << (8 * sizeof(entry_t) - 3)) - 1
    cdef const Run* runs = scratch.runs
    cdef int64_t i, k, row, n_left = 0, s = 0, w = 0
    cdef double score
    cdef ClassSums sums
    if target.kind == REGRESSION and target.loss == ABSOLUTE:
        for i in range(n_runs):
            for k in range(runs[i].start, runs[i].stop):
                scratch.medians.sequence[n_left] = (
                    scratch.medians.rank[entries[k] & mask])
                n_left += 1
        cost_positions(scratch.medians, target, node.n, node.weight, False)
        n_left = 0
    sums.left = 0.0
    sums.right = node.class_sum
    sums.weight = 0
    for i in range(n_runs - 1):
        for k in range(runs[i].start, runs[i].stop):
            row = entries[k] & mask
            if target.kind == CLASSES:
                move_left(target, scratch.totals, scratch.left, &sums, row)
            elif target.kind == BINARY:
                s += target.label[row]
            else:
                s += target.value[row]
                w += 1 if target.weight == NULL else target.weight[row]
        n_left += runs[i].stop - runs[i].start
        if runs[i].pooled and runs[i + 1].pooled:
            continue
        if (n_left < limits.min_samples_leaf
                or node.n - n_left < limits.min_samples_leaf):
            continue
        if target.kind == CLASSES:
            w = sums.weight
        if target.kind != BINARY and (w < limits.min_weight_leaf
                                      or node.weight - w < limits.min_weight_leaf):
            continue
        if target.kind == CLASSES:
            score = score_classes(target, node, &sums)
        elif target.kind == BINARY:
            score = score_binary(
                target.entropy, target.nlogn, n_left - s, s,
                node.n - node.sum - (n_left - s), node.sum - s)
        elif target.loss == ABSOLUTE:
            score = -<double>scratch.medians.cost[n_left]
        else:
            score = score_sums(target.loss, node, s, w)
        if score > best.score:
            best.score = score
            best.position = i + 1
            best.missing_left = 0
            best.order_class = order_class
    if target.kind == CLASSES:
        clear_left(target, scratch.left, entries, node.n)


cdef inline void scan_output_runs(
    const entry_t* entries, int64_t n_runs, const Target* target,
    const NodeStat* node, const Limits* limits, int32_t order_class,
    Scratch* scratch, Split* best
) noexcept nogil:
    """As `scan_runs`, of several outputs."""
    cdef entry_t mask = (<entry_t>1 << (8 * sizeof(entry_t) - 3)) - 1
    cdef const Run* runs = scratch.runs
    cdef MedianSpace* medians = scratch.medians
    cdef int64_t i, k, n_left = 0
    cdef double score
    cdef ClassSums sums
    sums.left = 0.0
    sums.right = node.class_sum
    sums.weight = 0
    if target.loss == ABSOLUTE:
        for i in range(n_runs):
            for k in range(runs[i].start, runs[i].stop):
                medians.going[n_left] = entries[k] & mask
                n_left += 1
        cost_outputs(medians, target, <const entry_t*>medians.rows, node)
        n_left = 0
    for i in range(n_runs - 1):
        move_rows(target, scratch.totals, scratch.left, &sums,
                  entries + runs[i].start, runs[i].stop - runs[i].start)
        n_left += runs[i].stop - runs[i].start
        if runs[i].pooled and runs[i + 1].pooled:
            continue
        if (n_left < limits.min_samples_leaf
                or node.n - n_left < limits.min_samples_leaf
                or sums.weight < limits.min_weight_leaf
                or node.weight - sums.weight < limits.min_weight_leaf):
            continue
        if target.kind == LABELS:
            score = score_labels(target, sums.weight, node.weight, sums.left, sums.right)
        elif target.loss == ABSOLUTE:
            score = -<double>medians.cost[n_left]
        else:
            score = score_vectors(target, scratch.totals, scratch.left, sums.weight,
                                  node.weight)
        if score > best.score:
            best.score = score
            best.position = i + 1
            best.missing_left = 0
            best.order_class = order_class
    clear_left_vector(target, scratch.left, entries, node.n)


cdef inline int32_t next_order(
    const Target* target, const NodeStat* node, const int64_t* totals,
    const int32_t* tried, int n_tried
) noexcept nogil:
    """Return by what to order categories next, or -1.

    Classes of one output come by their weight. Of several outputs those come first
    that divide the node most evenly; the two classes of an output of two would give
    one order and its reverse. Sums: the outputs in turn, and the sum of them.
    """
    cdef int32_t c, best = -1
    cdef int64_t o = 0, weight, largest = 0
    cdef int i
    if target.kind == SUMS:
        return n_tried if n_tried <= target.n_outputs else -1
    for c in range(target.n_totals):
        weight = totals[c]
        if target.kind == LABELS:
            while target.class_start[o + 1] <= c:
                o += 1
            weight = min(weight, node.weight - weight)
            if target.class_start[o] == c and target.class_start[o + 1] == c + 2:
                continue
        if weight <= largest:
            continue
        for i in range(n_tried):
            if tried[i] == c:
                break
        else:
            best = c
            largest = weight
    return best


cdef inline void scan_categories(
    const entry_t* entries, const Target* target, const NodeStat* node,
    const Limits* limits, Scratch* scratch, Split* best
) noexcept nogil:
    """Best split of a categorical column.

    A missing value is one more category. Two classes, squared error and the
    Poisson deviance are exact: the best subset is a prefix in order of the mean
    response (Breiman et al. 1984, theorem 4.5; Fisher 1958; Chou 1991). Absolute
    error tries the prefixes of that order too, but another subset may be better.
    More classes try the order by the share of each of the node's eight heaviest
    classes, and several outputs as many orders: see `next_order`.
    """
    cdef int64_t n_runs = find_runs(entries, node.n, scratch.runs)
    cdef int32_t tried[8]
    cdef int32_t order
    cdef int n_tried
    if n_runs < 2:
        return
    if target.n_totals == 0 or (target.kind == CLASSES and target.n_classes <= 2):
        sort_runs(entries, scratch.runs, n_runs, target,
                  limits.min_samples_category, 1)
        scan_runs(entries, n_runs, target, node, limits, 1, scratch, best)
        return
    for n_tried in range(8):
        order = next_order(target, node, scratch.totals, tried, n_tried)
        if order < 0:
            return
        tried[n_tried] = order
        if n_tried > 0:
            find_runs(entries, node.n, scratch.runs)
        sort_runs(entries, scratch.runs, n_runs, target,
                  limits.min_samples_category, order)
        if target.kind >= LABELS:
            scan_output_runs(entries, n_runs, target, node, limits, order, scratch,
                             best)
        else:
            scan_runs(entries, n_runs, target, node, limits, order, scratch, best)


cdef inline int64_t mark_left(
    const entry_t* entries, const NodeStat* node, bint categorical,
    int64_t min_category, const Target* target, const Split* split, Scratch* scratch,
    uint8_t* goes_left
) noexcept nogil:
    """Write each row's side; return how many entries of the order go first."""
    cdef entry_t mask = (<entry_t>1 << (8 * sizeof(entry_t) - 3)) - 1
    cdef entry_t missing = <entry_t>1 << (8 * sizeof(entry_t) - 2)
    cdef int64_t i, k, n_runs, n_left = 0
    if categorical:
        n_runs = find_runs(entries, node.n, scratch.runs)
        sort_runs(entries, scratch.runs, n_runs, target, min_category,
                  split.order_class)
        for i in range(n_runs):
            for k in range(scratch.runs[i].start, scratch.runs[i].stop):
                goes_left[entries[k] & mask] = i < split.position
            if i < split.position:
                n_left += scratch.runs[i].stop - scratch.runs[i].start
        return n_left
    for k in range(split.position):
        goes_left[entries[k] & mask] = 1
    n_left = split.position
    for k in range(split.position, node.n):
        if split.missing_left and entries[k] & missing:
            goes_left[entries[k] & mask] = 1
            n_left += 1
        else:
            goes_left[entries[k] & mask] = 0
    return n_left
