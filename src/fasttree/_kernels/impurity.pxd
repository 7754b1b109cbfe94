"""Scores of a split: what is left of the parent's impurity, negated.

Higher is better. For the weights l (left) and r (right), by class c:

    entropy        sum_c f(l_c) - f(l) + sum_c f(r_c) - f(r),  f(x) = x log2 x
    gini           sum_c l_c^2 / l + sum_c r_c^2 / r
    squared_error  (sum of left)^2 / l + (sum of right)^2 / r
    poisson        s log2(s / l) + t log2(t / r), s and t the sums of the sides
    absolute_error what absolute.pxd says, negated

f is rounded to a power of two, so that sums of it are exact in float64: equal
splits have equal scores whatever order the rows came in, and running sums do
not drift. Logarithms are our own: libm's differ between machines.
"""

from libc.math cimport INFINITY, frexp, rint
from libc.stdint cimport int64_t

from fasttree._kernels.absolute cimport measure_median
from fasttree._kernels.types cimport (
    ABSOLUTE,
    BINARY,
    CLASSES,
    NodeStat,
    POISSON,
    Target,
    entry_t,
)


cdef inline double log2_portable(double x) noexcept nogil:
    """log2 of x > 0 by the series of atanh, within an ulp or two everywhere."""
    cdef int exponent
    cdef double m = frexp(x, &exponent)
    cdef double t, t2, s
    if m < 0.7071067811865476:
        m *= 2.0
        exponent -= 1
    t = (m - 1.0) / (m + 1.0)
    t2 = t * t
    s = 1.0 / 23.0
    s = s * t2 + 1.0 / 21.0
    s = s * t2 + 1.0 / 19.0
    s = s * t2 + 1.0 / 17.0
    s = s * t2 + 1.0 / 15.0
    s = s * t2 + 1.0 / 13.0
    s = s * t2 + 1.0 / 11.0
    s = s * t2 + 1.0 / 9.0
    s = s * t2 + 1.0 / 7.0
    s = s * t2 + 1.0 / 5.0
    s = s * t2 + 1.0 / 3.0
    s = s * t2 + 1.0
    return exponent + t * s * 2.8853900817779268  # 2 / ln 2


cdef inline double nlogn_rounded(double x, double quantum) noexcept nogil:
    if x <= 1.0:
        return 0.0
    return rint(x * log2_portable(x) / quantum) * quantum


cdef inline double nlogn(const Target* target, int64_t x) noexcept nogil:
    if x < target.nlogn_size:
        return target.nlogn[x]
    return nlogn_rounded(<double>x, target.quantum)


cdef inline double score_binary(
    bint entropy, const double* f, int64_t l0, int64_t l1, int64_t r0, int64_t r1
) noexcept nogil:
    cdef int64_t l = l0 + l1, r = r0 + r1
    if entropy:
        return (f[l0] + f[l1] - f[l]) + (f[r0] + f[r1] - f[r])
    # An empty side has the score 0 (bounds look at empty sides, splits do not).
    return (<double>(l0 * l0 + l1 * l1) / <double>(l + (l == 0))
            + <double>(r0 * r0 + r1 * r1) / <double>(r + (r == 0)))


cdef inline double score_regression(
    const NodeStat* node, int64_t sum_left, int64_t weight_left
) noexcept nogil:
    # Sums are taken about the node's mean: else its square would swamp the gain.
    cdef int64_t weight_right = node.weight - weight_left
    cdef double l = <double>sum_left - node.mean * <double>weight_left
    cdef double r = (<double>(node.sum - sum_left)
                     - node.mean * <double>weight_right)
    return l * l / <double>weight_left + r * r / <double>weight_right


cdef inline double poisson_side(
    const NodeStat* node, int64_t s, int64_t weight
) noexcept nogil:
    # About the node's mean, which scores 0: else its logarithm would swamp the gain.
    if s <= 0:
        return 0.0
    return <double>s * log2_portable(<double>s / <double>weight / node.mean)


cdef inline double bound_sums(
    int loss, const NodeStat* node, int64_t sum_left, int64_t weight_left
) noexcept nogil:
    """Score of a split by its sums, convex in them, whether it is allowed or not."""
    if loss == POISSON:
        return (poisson_side(node, sum_left, weight_left)
                + poisson_side(node, node.sum - sum_left, node.weight - weight_left))
    return score_regression(node, sum_left, weight_left)


cdef inline double score_sums(
    int loss, const NodeStat* node, int64_t sum_left, int64_t weight_left
) noexcept nogil:
    """Score of a split by its sums; -inf where a side's Poisson mean would be 0."""
    if loss == POISSON and (sum_left <= 0 or sum_left >= node.sum):
        return -INFINITY
    return bound_sums(loss, node, sum_left, weight_left)


# Running sums of one side growing while the other shrinks, for CLASSES.
cdef struct ClassSums:
    double left
    double right
    int64_t weight


cdef inline void move_weight(
    const Target* target, int64_t l, int64_t r, int64_t w, ClassSums* sums
) noexcept nogil:
    """Change the terms of a class whose weights are l and r, as w moves left."""
    if target.entropy:
        sums.left += nlogn(target, l + w) - nlogn(target, l)
        sums.right += nlogn(target, r - w) - nlogn(target, r)
    else:
        sums.left += <double>w * <double>(2 * l + w)
        sums.right -= <double>w * <double>(2 * r - w)


cdef inline void move_left(
    const Target* target, const int64_t* totals, int64_t* left, ClassSums* sums,
    int64_t row
) noexcept nogil:
    """Move one row from the right side to the left one."""
    cdef int64_t c = target.label[row]
    cdef int64_t l = left[c], r = totals[c] - l, w
    cdef const double* f = target.nlogn
    if target.weight == NULL:
        left[c] = l + 1
        sums.weight += 1
        if target.entropy:  # the table holds every count of rows
            sums.left += f[l + 1] - f[l]
            sums.right -= f[r] - f[r - 1]
        else:
            sums.left += <double>(2 * l + 1)
            sums.right -= <double>(2 * r - 1)
        return
    w = target.weight[row]
    left[c] = l + w
    sums.weight += w
    move_weight(target, l, r, w, sums)


cdef inline double score_classes(
    const Target* target, const NodeStat* node, const ClassSums* sums
) noexcept nogil:
    cdef int64_t right = node.weight - sums.weight
    if target.entropy:
        return (sums.left - nlogn(target, sums.weight)) + (
            sums.right - nlogn(target, right))
    return sums.left / <double>sums.weight + sums.right / <double>right


cdef inline void clear_totals(
    const Target* target, int64_t* totals, const entry_t* rows, int64_t n
) noexcept nogil:
    """Zero the classes that the rows have touched, in O(min(n, n_classes))."""
    cdef int64_t i
    cdef entry_t mask = (<entry_t>1 << (8 * sizeof(entry_t) - 3)) - 1
    if n >= target.n_classes:
        for i in range(target.n_classes):
            totals[i] = 0
    else:
        for i in range(n):
            totals[target.label[rows[i] & mask]] = 0


cdef inline void add_totals(
    const Target* target, int64_t* totals, const entry_t* rows, int64_t n
) noexcept nogil:
    cdef int64_t i
    cdef entry_t mask = (<entry_t>1 << (8 * sizeof(entry_t) - 3)) - 1
    if target.weight == NULL:
        for i in range(n):
            totals[target.label[rows[i] & mask]] += 1
    else:
        for i in range(n):
            totals[target.label[rows[i] & mask]] += target.weight[rows[i] & mask]


cdef inline double entropy_of(
    const Target* target, const entry_t* rows, int64_t n, int64_t* totals, double total
) noexcept nogil:
    """Entropy of class weights, to the last bits.

    The score's terms are rounded to a share of all weight: much, for a node that has
    little of it.
    """
    cdef int64_t i, c
    cdef double entropy = 0.0, x
    for i in range(min(n, <int64_t>target.n_classes)):
        # Each class once: by number, or by its rows where they are fewer.
        c = i if n >= target.n_classes else target.label[rows[i]]
        x = <double>totals[c]
        if x > 0.0:
            entropy += x / total * log2_portable(total / x)
            totals[c] = -totals[c]
    for i in range(min(n, <int64_t>target.n_classes)):
        c = i if n >= target.n_classes else target.label[rows[i]]
        if totals[c] < 0:
            totals[c] = -totals[c]
    return entropy


cdef inline void measure_classes(
    const Target* target, const entry_t* rows, int64_t n, int64_t* totals,
    NodeStat* stat
) noexcept nogil:
    """Fill in what follows from a node's class weights, for CLASSES."""
    cdef int64_t i, c, x, w = 0, occurring = 0
    cdef double total
    stat.n = n
    stat.sum = 0
    stat.class_sum = stat.mean = stat.value = 0.0
    if n < target.n_classes:
        # Each class once: its total is marked as taken by negating it.
        for i in range(n):
            c = target.label[rows[i]]
            x = totals[c]
            if x > 0:
                occurring += 1
                w += x
                totals[c] = -x
                stat.class_sum += (nlogn(target, x) if target.entropy
                                   else <double>x * <double>x)
        for i in range(n):
            c = target.label[rows[i]]
            if totals[c] < 0:
                totals[c] = -totals[c]
    else:
        for c in range(target.n_classes):
            x = totals[c]
            if x > 0:
                occurring += 1
                w += x
                stat.class_sum += (nlogn(target, x) if target.entropy
                                   else <double>x * <double>x)
    stat.weight = w
    stat.pure = occurring <= 1
    total = <double>w
    if target.entropy:
        stat.score = stat.class_sum - nlogn(target, w)
        stat.impurity = -stat.score / total
    else:
        stat.score = stat.class_sum / total
        stat.impurity = 1.0 - stat.score / total
    if stat.pure:
        stat.impurity = 0.0
    elif target.entropy and target.weight != NULL:
        stat.impurity = entropy_of(target, rows, n, totals, total)


cdef inline NodeStat node_stat(
    const Target* target, const entry_t* rows, int64_t n, int64_t* totals
) noexcept nogil:
    """Sums over a node's rows.

    `totals` (n_classes,) comes zeroed; for CLASSES it holds the class weights
    afterwards and is the caller's to clear.
    """
    cdef NodeStat stat
    cdef int64_t i, s = 0, w = 0, low, high, x
    cdef double sq = 0.0, d, first, mean = 0.0
    stat.n = n
    stat.class_sum = 0.0
    stat.mean = 0.0
    stat.value = 0.0
    stat.sum = 0
    if target.kind == BINARY:
        for i in range(n):
            s += target.label[rows[i]]
        stat.weight = n
        stat.sum = s
        stat.pure = s == 0 or s == n
        stat.score = score_binary(target.entropy, target.nlogn, n - s, s, 0, 0)
        if stat.pure:
            stat.impurity = 0.0
        elif target.entropy:
            stat.impurity = -stat.score / <double>n
        else:
            stat.impurity = 1.0 - stat.score / <double>n
    elif target.kind == CLASSES:
        add_totals(target, totals, rows, n)
        measure_classes(target, rows, n, totals, &stat)
    else:
        low = high = target.value[rows[0]]
        if target.weight == NULL:
            for i in range(n):
                x = target.value[rows[i]]
                s += x
                low = min(low, x)
                high = max(high, x)
            w = n
            stat.pure = low == high
        else:
            stat.pure = True
            d = target.response[rows[0]]
            for i in range(n):
                s += target.value[rows[i]]
                w += target.weight[rows[i]]
                if target.response[rows[i]] != d:
                    stat.pure = False
        stat.sum = s
        stat.weight = w
        stat.mean = <double>s / <double>w
        if target.loss == ABSOLUTE:
            measure_median(target, rows, n, &stat)
            return stat
        stat.score = 0.0 if target.loss == POISSON else score_about_mean(&stat)
        # About one of them: equal targets, however large, have just that mean.
        first = target.response[rows[0]]
        for i in range(n):
            d = target.response[rows[i]] - first
            mean += d if target.weight == NULL else d * <double>target.weight[rows[i]]
        mean = first + mean / <double>w
        for i in range(n):
            d = deviation(target.loss, target.response[rows[i]], mean)
            sq += d if target.weight == NULL else d * <double>target.weight[rows[i]]
        stat.impurity = 0.0 if stat.pure else sq / <double>w
        stat.value = first if stat.pure else mean
    return stat


cdef inline double deviation(int loss, double response, double mean) noexcept nogil:
    """What a row of weight one adds to a node's impurity."""
    if loss != POISSON:
        return (response - mean) * (response - mean)
    if response <= 0.0:
        return 0.0
    return response * log2_portable(response / mean) * 0.6931471805599453


cdef inline double score_about_mean(const NodeStat* stat) noexcept nogil:
    cdef double d = <double>stat.sum - stat.mean * <double>stat.weight
    return d * d / <double>stat.weight
