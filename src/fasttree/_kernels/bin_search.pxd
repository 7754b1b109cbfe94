"""The best split of a column of which the sums up to each code are known.

All splits are scored, in vectors, and the largest score is looked for afterwards. The
order of candidates and the ties are those of scan.pxd: missing values right, then
left; a strictly higher score wins. A limit on leaves only narrows the range of the
candidates: rows and weights grow from code to code.
"""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport qsort

from fasttree._kernels.argmax cimport argmax
from fasttree._kernels.cells cimport Best, Bin, CellSpace, Codes
from fasttree._kernels.impurity cimport score_binary, score_sums
from fasttree._kernels.prefixes cimport count_column
from fasttree._kernels.scan cimport Run
from fasttree._kernels.scan_categories cimport compare_runs
from fasttree._kernels.types cimport (
    BINARY,
    Limits,
    NodeStat,
    POISSON,
    Target,
    entry_t,
)

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    /* Products of whole numbers below 2^25 are exact, so these are the bits of
       score_binary. C, so that the compiler makes vector code of it. */
    static inline void fasttree_score_gini(
        const uint64_t* left, int64_t n, uint64_t first, double all0, double all1,
        double* CYTHON_RESTRICT score
    ) {
        int64_t i;
        for (i = 0; i < n; i++) {
            uint64_t sums = left[i] + first;
            double l = (double)(int32_t)sums, l1 = (double)(int32_t)(sums >> 32);
            double l0 = l - l1, r1 = all1 - l1, r0 = all0 - l0;
            score[i] = (l0 * l0 + l1 * l1) / l + (r0 * r0 + r1 * r1) / (r0 + r1);
        }
    }

    /* The bits of a conversion, which AVX2 has no vectors for: the upper half and the
       lower one are made numbers by their exponents, and are rounded when added. */
    static inline double fasttree_to_double(int64_t x) {
        uint64_t low = ((uint64_t)x & 0xFFFFFFFFu) | 0x4330000000000000u;
        uint64_t high = ((uint64_t)x >> 32) ^ 0x4530000080000000u;
        double a, b;
        memcpy(&a, &high, 8);
        memcpy(&b, &low, 8);
        return (a - 19342822341709703277445120.0) + b;  /* 2^84 + 2^63 + 2^52 */
    }

    /* score_regression; weights are below 2^53, so their differences are exact. */
    static inline void fasttree_score_about(
        const int64_t* CYTHON_RESTRICT sums, const int64_t* CYTHON_RESTRICT weights,
        int64_t n, int64_t first_sum, int64_t first_weight, int64_t all_sum,
        int64_t all_weight, double mean, double* CYTHON_RESTRICT score
    ) {
        const double all = (double)all_weight;
        int64_t i;
        for (i = 0; i < n; i++) {
            int64_t sum = sums[i] + first_sum;
            double weight = fasttree_to_double(weights[i] + first_weight);
            double l = fasttree_to_double(sum) - mean * weight;
            double r = fasttree_to_double(all_sum - sum) - mean * (all - weight);
            score[i] = l * l / weight + r * r / (all - weight);
        }
    }
    """
    void score_gini "fasttree_score_gini"(
        const uint64_t* left, int64_t n, uint64_t first, double all0, double all1,
        double* score) noexcept nogil
    void score_about "fasttree_score_about"(
        const int64_t* sums, const int64_t* weights, int64_t n, int64_t first_sum,
        int64_t first_weight, int64_t all_sum, int64_t all_weight, double mean,
        double* score) noexcept nogil


cdef inline int64_t weight_at(
    const Target* target, const CellSpace* space, int64_t i
) noexcept nogil:
    if target.kind == BINARY:
        return <int64_t>(<uint32_t>space.weights[i])
    return space.weights[i]


cdef inline int64_t sum_at(
    const Target* target, const CellSpace* space, int64_t i
) noexcept nogil:
    if target.kind == BINARY:
        return space.weights[i] >> 32
    return space.sums[i]


cdef inline double score_left(
    const Target* target, const NodeStat* node, int64_t weight, int64_t sum
) noexcept nogil:
    if target.kind == BINARY:
        return score_binary(
            target.entropy, target.nlogn, weight - sum, sum,
            node.weight - node.sum - (weight - sum), node.sum - sum)
    return score_sums(target.loss, node, sum, weight)


cdef inline void score_codes(
    const Target* target, const NodeStat* node, int64_t start, int64_t stop,
    int64_t weight, int64_t sum, CellSpace* space
) noexcept nogil:
    """Score the splits after each place from start to stop - 1.

    `weight` and `sum` are of what else goes left.
    """
    cdef int64_t i, w, s
    cdef int64_t all1 = node.sum, all0 = node.weight - node.sum
    cdef uint64_t packed
    if target.kind == BINARY and not target.entropy:
        score_gini(<const uint64_t*>space.weights + start, stop - start,
                   <uint64_t>weight | <uint64_t>sum << 32, <double>all0, <double>all1,
                   space.score + start)
    elif target.kind == BINARY:
        packed = <uint64_t>weight | <uint64_t>sum << 32
        for i in range(start, stop):
            w = <int64_t>(<uint32_t>(<uint64_t>space.weights[i] + packed))
            s = <int64_t>((<uint64_t>space.weights[i] + packed) >> 32)
            space.score[i] = score_binary(
                True, target.nlogn, w - s, s, all0 - (w - s), all1 - s)
    elif target.loss == POISSON:
        for i in range(start, stop):
            space.score[i] = score_sums(
                POISSON, node, space.sums[i] + sum, space.weights[i] + weight)
    else:
        score_about(space.sums + start, space.weights + start, stop - start, sum,
                    weight, node.sum, node.weight, node.mean, space.score + start)


cdef inline void search_codes(
    const Target* target, const NodeStat* node, const Limits* limits, int64_t count,
    uint32_t missing, bint checked, int32_t feature, CellSpace* space, Best* best
) noexcept nogil:
    """Numeric columns. `checked` is whether any limit on leaves applies."""
    cdef bint has_missing = space.codes[count - 1] == missing
    cdef int64_t present = count - has_missing, start, stop, chosen
    cdef int64_t weight = 0, sum = 0, rows = 0
    cdef int direction
    for direction in range(2 if has_missing else 1):
        start = 0
        stop = count - 1
        if direction:
            weight = node.weight - weight_at(target, space, present - 1)
            sum = node.sum - sum_at(target, space, present - 1)
            stop = present - 1
        if checked:
            if direction:
                rows = node.n - space.counts[present - 1]
            while start < stop and (
                    space.counts[start] + rows < limits.min_samples_leaf
                    or weight_at(target, space, start) + weight
                    < limits.min_weight_leaf):
                start += 1
            while start < stop and (
                    node.n - space.counts[stop - 1] - rows < limits.min_samples_leaf
                    or node.weight - weight_at(target, space, stop - 1) - weight
                    < limits.min_weight_leaf):
                stop -= 1
        if start >= stop:
            continue
        score_codes(target, node, start, stop, weight, sum, space)
        chosen = argmax(space.score + start, stop - start, &best.split.score)
        if chosen >= 0:
            chosen += start
            best.split.feature = feature
            best.split.code_low = space.codes[chosen]
            best.split.code_high = space.codes[chosen + 1]
            best.split.missing_left = direction
            best.left_weight = weight_at(target, space, chosen) + weight
            best.left_sum = sum_at(target, space, chosen) + sum


# --- categories -----------------------------------------------------------------------

cdef inline void make_bins(
    const Target* target, int64_t count, CellSpace* space
) noexcept nogil:
    """Write each code's own sums."""
    cdef int64_t i
    cdef Bin* bins = space.bins
    for i in range(count):
        bins[i].code = space.codes[i]
        bins[i].weight = weight_at(target, space, i)
        bins[i].sum = sum_at(target, space, i)
        bins[i].rows = space.counts[i]
        if i:
            bins[i].weight -= weight_at(target, space, i - 1)
            bins[i].sum -= sum_at(target, space, i - 1)
            bins[i].rows -= space.counts[i - 1]


cdef inline void sort_bins(
    const Bin* bins, int64_t count, int64_t min_category, Run* runs
) noexcept nogil:
    """Order categories by their mean response, small ones pooled: as sort_runs."""
    cdef int64_t i, pool_s = 0, pool_w = 0
    cdef double pool_key = 0.0
    for i in range(count):
        runs[i].key = <double>bins[i].sum / <double>bins[i].weight
        runs[i].index = <int32_t>i
        runs[i].pooled = bins[i].rows < min_category
        if runs[i].pooled:
            pool_s += bins[i].sum
            pool_w += bins[i].weight
    if pool_w > 0:
        pool_key = <double>pool_s / <double>pool_w
        for i in range(count):
            if runs[i].pooled:
                runs[i].key = pool_key
    qsort(runs, count, sizeof(Run), compare_runs)


cdef inline void search_categories(
    const Target* target, const NodeStat* node, const Limits* limits, int32_t feature,
    int64_t count, CellSpace* space, Best* best
) noexcept nogil:
    """The best subset is a prefix of this order; a missing value is a category."""
    cdef const Bin* item
    cdef const Run* runs = space.runs
    cdef int64_t i, w = 0, s = 0, rows = 0
    cdef double score
    make_bins(target, count, space)
    sort_bins(space.bins, count, limits.min_samples_category, space.runs)
    for i in range(count - 1):
        item = space.bins + runs[i].index
        w += item.weight
        s += item.sum
        rows += item.rows
        if runs[i].pooled and runs[i + 1].pooled:
            continue
        if (rows < limits.min_samples_leaf or node.n - rows < limits.min_samples_leaf
                or w < limits.min_weight_leaf
                or node.weight - w < limits.min_weight_leaf):
            continue
        score = score_left(target, node, w, s)
        if score > best.split.score:
            best.split.score = score
            best.split.feature = feature
            best.split.position = i + 1
            best.split.missing_left = 0
            best.left_weight = w
            best.left_sum = s


cdef inline bint try_bins(
    const Codes* column, int32_t feature, const entry_t* ids, const uint32_t* stats,
    const int64_t* pairs, const Target* target, const NodeStat* node,
    const Limits* limits, CellSpace* space, Best* best
) noexcept nogil:
    """Search a column, for BINARY and sums; False if it is constant."""
    cdef bint checked = limits.min_samples_leaf > 1 or limits.min_weight_leaf > 0
    cdef bint with_rows = column.categorical or checked
    cdef int64_t count = count_column(
        column, ids, stats, pairs, node.n, target, with_rows, space)
    if count < 2:
        return False
    if column.categorical:
        search_categories(target, node, limits, feature, count, space, best)
    else:
        search_codes(target, node, limits, count, column.missing, checked, feature,
                     space, best)
    return True
