"""The best split of one column in one node.

Glossary. *entries*: the node's rows in order of their codes, missing ones last.
*Position* k: the first k entries go left. A position is a *candidate* where the
code changes (NEW) and both sides keep min_samples_leaf rows. *Missing first*:
the missing entries go left too.

    for each direction of the missing values:
        for each candidate, in order:
            score it; keep it if it is better than the best so far

Strictly better: equal scores keep the earlier feature, missing values on the
right, and the lower code.

Two classes and regression skip blocks of positions that cannot win. The score
is convex in the left side's sums, so over a block it is at most its largest
value on the corners of the box that those sums can reach (the idea of Fayyad
and Irani's boundary points, for blocks: Elomaa and Rousu 2004).
"""

from libc.math cimport INFINITY
from libc.stdint cimport int32_t, int64_t, uint16_t, uint32_t

from fasttree._kernels.absolute cimport MedianSpace, scan_absolute
from fasttree._kernels.flags cimport WORD, scan_flags
from fasttree._kernels.impurity cimport (
    ClassSums,
    bound_sums,
    move_left,
    nlogn,
    score_binary,
    score_classes,
    score_sums,
)
from fasttree._kernels.monotone cimport (
    Monotone,
    allows_binary,
    allows_classes,
    allows_sums,
    unlikely,
)
from fasttree._kernels.outputs cimport scan_output_medians, scan_outputs
from fasttree._kernels.types cimport (
    ABSOLUTE,
    BINARY,
    CLASSES,
    LABELS,
    Limits,
    NodeStat,
    POISSON,
    REGRESSION,
    SQUARED,
    SUMS,
    Split,
    Target,
    entry_t,
)

# A stretch of equal codes in a node's entries.
cdef struct Run:
    double key
    int32_t index
    int32_t start
    int32_t stop
    bint pooled               # too few rows to be told apart

# What a scan needs besides the column; one per thread.
cdef struct Scratch:
    int64_t* left             # (n_totals,) zeroed
    Run* runs                 # (capacity,)
    int64_t* totals           # (n_totals,) of the node
    MedianSpace* medians      # of the node, ABSOLUTE


cdef inline int64_t block_length(int64_t n) noexcept nogil:
    """About 2 sqrt(n): a box of that size moves the score by a few units."""
    cdef int64_t length = 8
    while length * length < 4 * n:
        length *= 2
    return length


cdef inline int64_t count_present(const entry_t* entries, int64_t n) noexcept nogil:
    """Entries before the first missing one, by bisection."""
    cdef entry_t missing = <entry_t>1 << (8 * sizeof(entry_t) - 2)
    cdef int64_t low = 0, high = n, middle
    while low < high:
        middle = (low + high) >> 1
        if entries[middle] & missing:
            high = middle
        else:
            low = middle + 1
    return low


cdef inline int64_t find_new(
    const entry_t* entries, int64_t start, int64_t stop
) noexcept nogil:
    """First NEW entry in [start, stop), or stop; 32 at a time, vectorised."""
    cdef entry_t new = <entry_t>1 << (8 * sizeof(entry_t) - 1)
    cdef entry_t seen
    cdef int64_t i = start, j
    while i + 32 <= stop and not entries[i] & new:
        seen = 0
        for j in range(32):
            seen |= entries[i + j]
        if seen & new:
            break
        i += 32
    while i < stop and not entries[i] & new:
        i += 1
    return i


cdef inline bint is_constant(const entry_t* entries, int64_t n) noexcept nogil:
    return find_new(entries, 1, n) == n


cdef inline int64_t count_ones(const entry_t* entries, int64_t n) noexcept nogil:
    """Entries of class 1; a loop without look-ups, so that it is vectorised."""
    cdef int shift = 8 * sizeof(entry_t) - 3
    cdef uint32_t ones = 0
    cdef int64_t k
    for k in range(n):
        ones += entries[k] >> shift & 1
    return ones


cdef inline void scan_binary(
    const entry_t* entries, int64_t first, int64_t last,
    int64_t missing_n, int64_t missing_ones, const NodeStat* node,
    bint entropy, const double* f, double slack, const Monotone* rule, Split* best,
) noexcept nogil:
    """Candidates at positions first..last, with `missing_n` rows left before."""
    cdef entry_t new = <entry_t>1 << (8 * sizeof(entry_t) - 1)
    cdef int shift = 8 * sizeof(entry_t) - 3
    cdef int64_t all1 = node.sum, all0 = node.n - node.sum
    cdef int64_t length = block_length(last - first + 1)
    cdef int64_t i = first - 1, j, k, l0, l1, m0, m1
    cdef bint several = last - i > length
    cdef double score, bound, at_start = 0.0, at_stop = 0.0, best_score = best.score
    if entry_t is uint16_t and rule == NULL and last < WORD:
        # Bounds on blocks would cost more than the candidates that they save.
        scan_flags(entries, first, last, missing_n, missing_ones, node, entropy, f,
                   best)
        return
    l1 = missing_ones + count_ones(entries, i)
    l0 = i + missing_n - l1
    if several:
        at_start = score_binary(entropy, f, l0, l1, all0 - l0, all1 - l1)
    while i < last:
        j = min(i + length, last)
        m1 = l1 + count_ones(entries + i, j - i)
        m0 = j + missing_n - m1
        # One block holds all candidates, and so all that can be: no bound.
        bound = INFINITY
        if several:
            at_stop = score_binary(entropy, f, m0, m1, all0 - m0, all1 - m1)
            bound = max(at_start, at_stop)
            bound = max(bound,
                        score_binary(entropy, f, l0, m1, all0 - l0, all1 - m1))
            bound = max(bound,
                        score_binary(entropy, f, m0, l1, all0 - m0, all1 - l1))
        if bound + slack > best_score:
            for k in range(i, j):
                l1 += entries[k] >> shift & 1
                if entries[k + 1] & new:
                    l0 = k + 1 + missing_n - l1
                    score = score_binary(entropy, f, l0, l1, all0 - l0, all1 - l1)
                    if score > best_score and allows_binary(rule, node, l0 + l1, l1):
                        best_score = score
                        best.score = score
                        best.position = k + 1
                        best.missing_left = missing_n > 0
        l0 = m0
        l1 = m1
        at_start = at_stop
        i = j


cdef inline void scan_classes(
    const entry_t* entries, int64_t n, int64_t n_present, int64_t first,
    int64_t last, bint missing_first, bint entropy, const Target* target,
    const NodeStat* node, int64_t min_weight, const Monotone* rule, Scratch* scratch,
    Split* best,
) noexcept nogil:
    """Runs of equal codes move left together.

    Short ones row by row, each row changing one class's term; long ones are
    counted, and then all terms are summed anew.
    """
    cdef entry_t new = <entry_t>1 << (8 * sizeof(entry_t) - 1)
    cdef entry_t mask = (new >> 2) - 1
    cdef int64_t* left = scratch.left
    cdef const int64_t* totals = scratch.totals
    cdef int64_t k, stop, c, w = 1, row, long_run = max(4, target.n_classes)
    cdef double score, best_score = best.score
    cdef ClassSums sums
    sums.left = 0.0
    sums.right = node.class_sum
    sums.weight = 0
    if missing_first:
        for k in range(n_present, n):
            move_left(target, totals, left, &sums, entries[k] & mask)
    k = 0
    while k < last:
        stop = find_new(entries, k + 1, last)
        if stop - k < long_run:
            while k < stop:
                move_left(target, totals, left, &sums, entries[k] & mask)
                k += 1
        else:
            while k < stop:
                row = entries[k] & mask
                if target.weight != NULL:
                    w = target.weight[row]
                left[target.label[row]] += w
                sums.weight += w
                k += 1
            sums.left = 0.0
            sums.right = 0.0
            for c in range(target.n_classes):
                if entropy:
                    sums.left += nlogn(target, left[c])
                    sums.right += nlogn(target, totals[c] - left[c])
                else:
                    sums.left += <double>left[c] * <double>left[c]
                    sums.right += (<double>(totals[c] - left[c])
                                   * <double>(totals[c] - left[c]))
        if (k >= first and entries[k] & new and sums.weight >= min_weight
                and node.weight - sums.weight >= min_weight):
            score = score_classes(target, node, &sums)
            if score > best_score and allows_classes(rule, node, totals, left,
                                                     sums.weight, False):
                best_score = score
                best.score = score
                best.position = k
                best.missing_left = missing_first
    clear_left(target, left, entries, n)


cdef inline void scan_two_values(
    const entry_t* entries, int64_t position, const Target* target,
    const NodeStat* node, int64_t min_weight, const Monotone* rule, Scratch* scratch,
    Split* best,
) noexcept nogil:
    """The one candidate of a column of two values: sum its shorter side."""
    cdef entry_t mask = (<entry_t>1 << (8 * sizeof(entry_t) - 3)) - 1
    cdef bint right_is_shorter = 2 * position > node.n
    cdef int64_t start = position if right_is_shorter else 0
    cdef int64_t stop = node.n if right_is_shorter else position
    cdef int64_t k, c, row, s = 0, w = 0, unit = 1
    cdef double score
    cdef ClassSums sums
    for k in range(start, stop):
        row = entries[k] & mask
        if target.weight != NULL:
            unit = target.weight[row]
        w += unit
        if target.kind == CLASSES:
            scratch.left[target.label[row]] += unit
        else:
            s += target.value[row]
    sums.weight = node.weight - w if right_is_shorter else w
    if sums.weight < min_weight or node.weight - sums.weight < min_weight:
        score = -INFINITY
    elif target.kind == CLASSES:
        sums.left = 0.0
        sums.right = 0.0
        for c in range(target.n_classes):
            if right_is_shorter:
                row = scratch.totals[c] - scratch.left[c]
            else:
                row = scratch.left[c]
            if target.entropy:
                sums.left += nlogn(target, row)
                sums.right += nlogn(target, scratch.totals[c] - row)
            else:
                sums.left += <double>row * <double>row
                row = scratch.totals[c] - row
                sums.right += <double>row * <double>row
        score = score_classes(target, node, &sums)
        if not allows_classes(rule, node, scratch.totals, scratch.left, w,
                              right_is_shorter):
            score = -INFINITY
    else:
        s = node.sum - s if right_is_shorter else s
        score = score_sums(target.loss, node, s, sums.weight)
        if not allows_sums(rule, node, s, sums.weight):
            score = -INFINITY
    if target.kind == CLASSES:
        clear_left(target, scratch.left, entries + start, stop - start)
    if score > best.score:
        best.score = score
        best.position = position
        best.missing_left = 0


cdef inline void clear_left(
    const Target* target, int64_t* left, const entry_t* entries, int64_t n
) noexcept nogil:
    cdef entry_t mask = (<entry_t>1 << (8 * sizeof(entry_t) - 3)) - 1
    cdef int64_t k
    if n < target.n_classes:
        for k in range(n):
            left[target.label[entries[k] & mask]] = 0
    else:
        for k in range(target.n_classes):
            left[k] = 0


cdef inline void scan_regression(
    const entry_t* entries, int64_t n, int64_t n_present, int64_t first,
    int64_t last, bint missing_first, bint weighted, int loss, const Target* target,
    const NodeStat* node, int64_t min_weight, const Monotone* rule, Split* best,
) noexcept nogil:
    cdef entry_t new = <entry_t>1 << (8 * sizeof(entry_t) - 1)
    cdef entry_t mask = (new >> 2) - 1
    cdef const int64_t* value = target.value
    cdef const int64_t* weight = target.weight
    cdef int64_t length = block_length(last - first + 1)
    cdef int64_t i = first - 1, j, k, row, s = 0, w = 0
    cdef int64_t low, high, s_stop, w_first, w_stop
    cdef bint several = last - i > length
    cdef double score, bound, best_score = best.score
    if missing_first:
        for k in range(n_present, n):
            row = entries[k] & mask
            s += value[row]
            w += weight[row] if weighted else 1
    for k in range(i):
        row = entries[k] & mask
        s += value[row]
        w += weight[row] if weighted else 1
    while i < last:
        j = min(i + length, last)
        bound = INFINITY
        s_stop = s
        w_stop = w
        if several:
            row = entries[i] & mask
            s_stop += value[row]
            w_first = w + (weight[row] if weighted else 1)
            low = high = s_stop
            w_stop = w_first
            for k in range(i + 1, j):
                row = entries[k] & mask
                s_stop += value[row]
                low = min(low, s_stop)
                high = max(high, s_stop)
                if weighted:
                    w_stop += weight[row]
            if not weighted:
                w_stop += j - i - 1
            bound = max(bound_sums(loss, node, low, w_first),
                        bound_sums(loss, node, high, w_first))
            bound = max(bound, bound_sums(loss, node, low, w_stop))
            bound = max(bound, bound_sums(loss, node, high, w_stop))
            bound += 1e-12 * (bound + (<double>node.sum if loss == POISSON else 0.0))
        if bound > best_score:
            for k in range(i, j):
                row = entries[k] & mask
                s += value[row]
                w += weight[row] if weighted else 1
                if entries[k + 1] & new and (
                        not weighted
                        or (w >= min_weight and node.weight - w >= min_weight)):
                    score = score_sums(loss, node, s, w)
                    if score > best_score and allows_sums(rule, node, s, w):
                        best_score = score
                        best.score = score
                        best.position = k + 1
                        best.missing_left = missing_first
        else:
            s = s_stop
            w = w_stop
        i = j


cdef inline void scan_loss(
    int loss, const entry_t* entries, int64_t n, int64_t n_present, int64_t first,
    int64_t last, bint missing_first, const Target* target, const NodeStat* node,
    const Limits* limits, const Monotone* rule, Split* best,
) noexcept nogil:
    if target.weight == NULL:
        scan_regression(entries, n, n_present, first, last, missing_first, False, loss,
                        target, node, 0, rule, best)
    else:
        scan_regression(entries, n, n_present, first, last, missing_first, True, loss,
                        target, node, limits.min_weight_leaf, rule, best)


cdef inline void scan_entries(
    const entry_t* entries, bint has_missing, const Target* target,
    const NodeStat* node, const Limits* limits, const Monotone* rule, Scratch* scratch,
    Split* best,
) noexcept nogil:
    """Best split of a numeric column; `best` is overwritten only by a better one.

    `rule` is what a constraint asks of the column, NULL if it is free.
    """
    cdef int64_t min_leaf = limits.min_samples_leaf
    cdef int64_t n = node.n, n_present = n, n_missing, first, last, ones
    cdef int direction
    if has_missing:
        n_present = count_present(entries, n)
    n_missing = n - n_present
    if (target.kind in (CLASSES, REGRESSION) and target.loss != ABSOLUTE
            and n_missing == 0 and n > 4 * target.n_classes):
        first = find_new(entries, 1, n)
        if find_new(entries, first + 1, n) == n:
            if min_leaf <= first <= n - min_leaf:
                scan_two_values(entries, first, target, node,
                                limits.min_weight_leaf, rule, scratch, best)
            return
    for direction in range(2 if n_missing > 0 else 1):
        if direction == 0:
            # The last position has all present entries left, the missing right.
            first = min_leaf
            last = min(n_present, n - min_leaf)
        else:
            first = max(<int64_t>1, min_leaf - n_missing)
            last = min(n_present - 1, n - n_missing - min_leaf)
        if first > last:
            continue
        if target.kind == BINARY:
            ones = count_ones(entries + n_present, n_missing) if direction else 0
            # Free columns are given NULL, for their loops to know it.
            if unlikely(rule != NULL):
                scan_binary(entries, first, last, n_missing if direction else 0, ones,
                            node, target.entropy, target.nlogn, target.slack, rule,
                            best)
            elif target.entropy:
                scan_binary(entries, first, last, n_missing if direction else 0, ones,
                            node, True, target.nlogn, target.slack, NULL, best)
            else:
                scan_binary(entries, first, last, n_missing if direction else 0, ones,
                            node, False, target.nlogn, target.slack, NULL, best)
        elif target.kind == CLASSES:
            if unlikely(rule != NULL):
                scan_classes(entries, n, n_present, first, last, direction == 1,
                             target.entropy, target, node, limits.min_weight_leaf,
                             rule, scratch, best)
            elif target.entropy:
                scan_classes(entries, n, n_present, first, last, direction == 1,
                             True, target, node, limits.min_weight_leaf, NULL,
                             scratch, best)
            else:
                scan_classes(entries, n, n_present, first, last, direction == 1,
                             False, target, node, limits.min_weight_leaf, NULL,
                             scratch, best)
        elif target.kind >= LABELS and target.loss != ABSOLUTE:
            scan_outputs(entries, n, n_present, first, last, direction == 1, target,
                         node, limits.min_weight_leaf, scratch.totals, scratch.left,
                         best)
        elif target.kind == SUMS:
            scan_output_medians(scratch.medians, entries, n, n_present, first, last,
                                direction == 1, target, node, limits.min_weight_leaf,
                                best)
        elif target.loss == ABSOLUTE:
            scan_absolute(scratch.medians, entries, n, n_present, first, last,
                          direction == 1, target, node, limits.min_weight_leaf, rule,
                          best)
        elif unlikely(rule != NULL):
            scan_loss(target.loss, entries, n, n_present, first, last, direction == 1,
                      target, node, limits, rule, best)
        elif target.loss == POISSON:
            scan_loss(POISSON, entries, n, n_present, first, last, direction == 1,
                      target, node, limits, NULL, best)
        else:
            scan_loss(SQUARED, entries, n, n_present, first, last, direction == 1,
                      target, node, limits, NULL, best)
