"""The best split of a numeric column by class counts, for more than two classes.

What a split's score needs of its left side is, for the weights l by class and those of
the node t, sum l^2 and sum t l (gini), or the sums of f(l) and f(t - l) (entropy). Of
rows in plenty there are cells by code and class, whole vectors of classes a code, and
running sums of them are squared and added up. Other nodes' rows are sorted by code, and
each row changes one term of the sums. All sums are exact, so it does not matter how
they are come by: scan.pxd finds the same scores, candidates in the same order.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from fasttree._kernels.argmax cimport argmax
from fasttree._kernels.cells cimport (
    CLASS_CELLS,
    Best,
    CellSpace,
    Codes,
    class_lanes,
    hit_code,
    list_hit,
    ranks,
    sweeps,
)
from fasttree._kernels.few_rows cimport sort_few
from fasttree._kernels.histogram cimport fasttree_prefetch
from fasttree._kernels.prefixes cimport count_rows
from fasttree._kernels.types cimport Limits, NodeStat, Target, code_t, entry_t

cdef enum:
    MOST_LANES = 64           # more classes are counted by sorted rows
    COPIES = 4                # of few cells: adding to one of them again has to wait
    FEW_CELLS = 64

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    #if defined(__GNUC__)
    typedef uint32_t fasttree_eight __attribute__((vector_size(32)));
    typedef uint32_t fasttree_four __attribute__((vector_size(16)));

    static inline uint32_t fasttree_add_eight(fasttree_eight x) {
        fasttree_four low, high;
        memcpy(&low, &x, 16);
        memcpy(&high, (const char*)&x + 16, 16);
        low += high;
        return (low[0] + low[2]) + (low[1] + low[3]);
    }

    /* As the other one, for weights below 2^16: squares have 32 bits. */
    static inline int64_t fasttree_sweep_narrow(
        uint32_t* cells, int64_t n_codes, int64_t lanes, uint32_t* left,
        const uint32_t* totals, uint32_t squares, int clears, uint32_t* codes,
        int64_t* weights, double* own, double* other
    ) {
        fasttree_eight l[8], t[8], x, own_terms, other_terms, sums;
        const fasttree_eight zero = {0};
        int64_t code, k, count = 0;
        uint32_t before, weight;
        memcpy(l, left, 4 * lanes);
        memcpy(t, totals, 4 * lanes);
        sums = zero;
        for (k = 0; k < lanes / 8; k++) {
            sums += l[k];
            t[k] += t[k];
        }
        before = fasttree_add_eight(sums);
        for (code = 0; code < n_codes; code++) {
            own_terms = other_terms = sums = zero;
            for (k = 0; k < lanes / 8; k++) {
                fasttree_eight product;
                memcpy(&x, cells, 32);
                if (clears) memcpy(cells, &zero, 32);
                cells += 8;
                l[k] += x;
                product = l[k] * l[k];
                own_terms += product;
                other_terms += product - l[k] * t[k];
                sums += l[k];
            }
            weight = fasttree_add_eight(sums);
            codes[count] = (uint32_t)code;
            weights[count] = weight;
            own[count] = (double)(int64_t)fasttree_add_eight(own_terms);
            other[count] = (double)(int64_t)(uint32_t)(
                squares + fasttree_add_eight(other_terms));
            count += weight != before;
            before = weight;
        }
        return count;
    }
    #endif

    /* Running sums over codes of class weights, starting from `left`. For each code
       that occurs: the weight up to it, the sum of squares of it by class, and that of
       what is left of `totals`, whose squares sum up to `squares`. */
    static inline int64_t fasttree_sweep_wide(
        uint32_t* cells, int64_t n_codes, int64_t lanes, uint32_t* left,
        const uint32_t* totals, uint64_t squares, int clears, uint32_t* codes,
        int64_t* weights, double* own, double* other
    ) {
        int64_t code, k, count = 0;
        uint64_t before = 0;
        for (k = 0; k < lanes; k++) before += left[k];
        for (code = 0; code < n_codes; code++) {
            uint64_t l2 = 0, lt = 0, weight = 0;
            for (k = 0; k < lanes; k++) {
                uint64_t l = left[k] += cells[k];
                l2 += l * l;
                lt += l * totals[k];
                weight += l;
            }
            if (clears) memset(cells, 0, 4 * lanes);
            cells += lanes;
            codes[count] = (uint32_t)code;
            weights[count] = (int64_t)weight;
            own[count] = (double)(int64_t)l2;
            other[count] = (double)(int64_t)(squares - 2 * lt + l2);
            count += weight != before;
            before = weight;
        }
        return count;
    }

    static inline int64_t fasttree_sweep_squares(
        uint32_t* cells, int64_t n_codes, int64_t lanes, uint32_t* left,
        const uint32_t* totals, uint64_t squares, int64_t all, int clears,
        uint32_t* codes, int64_t* weights, double* own, double* other
    ) {
    #if defined(__GNUC__)
        if (all < 65536 && lanes == 8)
            return fasttree_sweep_narrow(cells, n_codes, 8, left, totals,
                (uint32_t)squares, clears, codes, weights, own, other);
        if (all < 65536 && lanes == 16)
            return fasttree_sweep_narrow(cells, n_codes, 16, left, totals,
                (uint32_t)squares, clears, codes, weights, own, other);
        if (all < 65536 && lanes <= 64)
            return fasttree_sweep_narrow(cells, n_codes, lanes, left, totals,
                (uint32_t)squares, clears, codes, weights, own, other);
    #endif
        return fasttree_sweep_wide(cells, n_codes, lanes, left, totals, squares,
            clears, codes, weights, own, other);
    }

    static inline void fasttree_score_shares(
        const double* CYTHON_RESTRICT left, const double* CYTHON_RESTRICT right,
        const int64_t* CYTHON_RESTRICT weights, int32_t all, int64_t n,
        double* CYTHON_RESTRICT score
    ) {
        int64_t i;
        for (i = 0; i < n; i++) {
            int32_t weight = (int32_t)weights[i];
            score[i] = left[i] / (double)weight + right[i] / (double)(all - weight);
        }
    }
    """
    int64_t sweep_squares "fasttree_sweep_squares"(
        uint32_t* cells, int64_t n_codes, int64_t lanes, uint32_t* left,
        const uint32_t* totals, uint64_t squares, int64_t all_weight, bint clears,
        uint32_t* codes, int64_t* weights, double* own, double* other) noexcept nogil
    void score_shares "fasttree_score_shares"(
        const double* left, const double* right, const int64_t* weights,
        int32_t all_weight, int64_t n, double* score) noexcept nogil


cdef inline bint sweeps_classes(
    const CellSpace* space, uint32_t n_codes, int64_t lanes, int64_t n
) noexcept nogil:
    return (lanes <= MOST_LANES and n_codes * lanes <= CLASS_CELLS * n
            and n_codes * lanes <= space.n_class_cells)


cdef inline void add_stats(
    const uint32_t* stats, int64_t n, int64_t n_classes, int64_t* totals
) noexcept nogil:
    """Add up rows' weights by class; a stat is class | weight << 16."""
    cdef uint32_t copies[COPIES * FEW_CELLS]
    cdef int64_t i, k, whole = n & ~<int64_t>3
    if n_classes > FEW_CELLS or n < 2 * n_classes:
        for i in range(n):
            totals[stats[i] & 0xFFFF] += stats[i] >> 16
        return
    memset(copies, 0, COPIES * n_classes * sizeof(uint32_t))
    for i in range(0, whole, 4):
        copies[stats[i] & 0xFFFF] += stats[i] >> 16
        copies[n_classes + (stats[i + 1] & 0xFFFF)] += stats[i + 1] >> 16
        copies[2 * n_classes + (stats[i + 2] & 0xFFFF)] += stats[i + 2] >> 16
        copies[3 * n_classes + (stats[i + 3] & 0xFFFF)] += stats[i + 3] >> 16
    for i in range(whole, n):
        copies[stats[i] & 0xFFFF] += stats[i] >> 16
    for k in range(n_classes):
        totals[k] += (copies[k] + copies[n_classes + k]
                      + copies[2 * n_classes + k] + copies[3 * n_classes + k])


cdef inline void add_cells(
    const code_t* codes, int64_t n_codes, int64_t lanes, const entry_t* ids,
    const uint32_t* stats, int64_t n, uint32_t* cells
) noexcept nogil:
    """Add up rows' weights by code and class."""
    cdef int64_t i, k, whole = n & ~<int64_t>3, size = n_codes * lanes
    cdef uint32_t copies[COPIES * FEW_CELLS]
    if size > FEW_CELLS or n < size:
        for i in range(n):
            if entry_t is uint32_t:
                if i + 24 < n:
                    fasttree_prefetch(codes + ids[i + 24])
            cells[codes[ids[i]] * lanes + (stats[i] & 0xFFFF)] += stats[i] >> 16
        return
    memset(copies, 0, COPIES * size * sizeof(uint32_t))
    for i in range(0, whole, 4):
        if entry_t is uint32_t:
            if i + 32 < n:
                fasttree_prefetch(codes + ids[i + 28])
                fasttree_prefetch(codes + ids[i + 29])
                fasttree_prefetch(codes + ids[i + 30])
                fasttree_prefetch(codes + ids[i + 31])
        copies[codes[ids[i]] * lanes + (stats[i] & 0xFFFF)] += stats[i] >> 16
        copies[size + codes[ids[i + 1]] * lanes + (stats[i + 1] & 0xFFFF)] += (
            stats[i + 1] >> 16)
        copies[2 * size + codes[ids[i + 2]] * lanes + (stats[i + 2] & 0xFFFF)] += (
            stats[i + 2] >> 16)
        copies[3 * size + codes[ids[i + 3]] * lanes + (stats[i + 3] & 0xFFFF)] += (
            stats[i + 3] >> 16)
    for i in range(whole, n):
        copies[codes[ids[i]] * lanes + (stats[i] & 0xFFFF)] += stats[i] >> 16
    for k in range(size):
        cells[k] = (copies[k] + copies[size + k] + copies[2 * size + k]
                    + copies[3 * size + k])


cdef inline int64_t sweep_entropy(
    uint32_t* cells, int64_t n_codes, int64_t lanes, int64_t n_classes, uint32_t* left,
    const int64_t* totals, const double* f, bint clears, CellSpace* space
) noexcept nogil:
    """As sweep_squares, of f(l) and f(t - l)."""
    cdef int64_t code, k, count = 0
    cdef uint32_t weight, before = 0
    cdef double own, other
    for k in range(n_classes):
        before += left[k]
    for code in range(n_codes):
        own = other = 0.0
        weight = 0
        for k in range(n_classes):
            left[k] += cells[k]
            weight += left[k]
        space.codes[count] = <uint32_t>code
        space.weights[count] = weight
        if weight != before:
            for k in range(n_classes):
                own += f[left[k]]
                other += f[totals[k] - left[k]]
            space.left[count] = own
            space.right[count] = other
            count += 1
            if clears:
                memset(cells, 0, lanes * sizeof(uint32_t))
        before = weight
        cells += lanes
    return count


cdef inline int64_t sweep_cells(
    const Target* target, const NodeStat* node, const int64_t* totals,
    uint32_t n_codes, int64_t lanes, uint32_t missing, bint missing_first,
    CellSpace* space
) noexcept nogil:
    """Write codes, weights and terms of the cells' running sums; zero them if asked.

    They start from the missing rows' with `missing_first`; then cells are zeroed.
    """
    cdef uint32_t left[MOST_LANES]
    cdef uint32_t every[MOST_LANES]
    cdef uint32_t* cells = space.classes
    cdef int64_t k
    # Without missing rows there is no second sweep.
    cdef bint has_missing = False
    memset(left, 0, sizeof(left))
    memset(every, 0, sizeof(every))
    for k in range(target.n_classes):
        every[k] = <uint32_t>totals[k]
    if missing < n_codes:
        for k in range(target.n_classes):
            has_missing |= cells[missing * lanes + k] != 0
            if missing_first:
                left[k] = cells[missing * lanes + k]
    if missing_first:
        memset(cells + missing * lanes, 0, lanes * sizeof(uint32_t))
    if target.entropy:
        return sweep_entropy(cells, n_codes, lanes, target.n_classes, left, totals,
                             target.nlogn, missing_first or not has_missing, space)
    return sweep_squares(
        cells, n_codes, lanes, left, every, <uint64_t>node.class_sum, node.weight,
        missing_first or not has_missing, space.codes, space.weights, space.left,
        space.right)


cdef inline int64_t move_ordered(
    const Target* target, const NodeStat* node, const int64_t* totals, int64_t* left,
    int64_t n, int64_t n_present, bint missing_first, CellSpace* space
) noexcept nogil:
    """As `sweep_cells`, of rows that stand in order; `left` comes and goes zeroed."""
    cdef const uint64_t* ordered = space.ordered
    cdef const double* f = target.nlogn
    cdef int64_t i, c, w, l, t, weight = 0, count = 0, start = 0, stop = n
    cdef int64_t l2 = 0, lt = 0, squares = 0
    cdef double own = 0.0, other = node.class_sum
    if not target.entropy:
        squares = <int64_t>node.class_sum
    if missing_first:
        start = n_present - n
        stop = n_present
    for i in range(start, stop):
        # Missing rows, which stand last, come first.
        t = i if i >= 0 else n + i
        c = ordered[t] & 0xFFFF
        w = ordered[t] >> 16 & 0xFFFF
        space.codes[count] = <uint32_t>(ordered[t] >> 32)
        l = left[c]
        t = totals[c]
        left[c] = l + w
        weight += w
        space.weights[count] = weight
        if target.entropy:
            own += f[l + w] - f[l]
            other += f[t - l - w] - f[t - l]
            space.left[count] = own
            space.right[count] = other
        else:
            l2 += w * (2 * l + w)
            lt += w * t
            space.left[count] = <double>l2
            space.right[count] = <double>(squares - 2 * lt + l2)
        space.counts[count] = <uint32_t>(i + 1 - start)
        if i >= 0:
            count += ordered[i] >> 32 != ordered[i + 1] >> 32
    if n < target.n_classes:
        for i in range(n):
            left[ordered[i] & 0xFFFF] = 0
    else:
        for c in range(target.n_classes):
            left[c] = 0
    return count


cdef inline void order_stats(
    const code_t* codes, uint32_t n_codes, const entry_t* ids, const uint32_t* stats,
    int64_t n, CellSpace* space
) noexcept nogil:
    """Sort a node's stats by code."""
    cdef uint32_t* place = space.rows
    cdef uint64_t* ordered = space.ordered
    cdef int64_t i, count
    cdef uint32_t code, size, start = 0
    if ranks(n_codes, n):
        sort_few(codes, ids, stats, n, ordered)
        return
    if sweeps(n_codes, n):
        for i in range(n):
            place[codes[ids[i]]] += 1
        for i in range(n_codes):
            size = place[i]
            place[i] = start
            start += size
    else:
        for i in range(n):
            code = codes[ids[i]]
            place[code] += 1
            hit_code(space, code)
        count = list_hit(space, n_codes)
        for i in range(count):
            code = space.codes[i]
            size = place[code]
            place[code] = start
            start += size
    for i in range(n):
        code = codes[ids[i]]
        ordered[place[code]] = <uint64_t>code << 32 | stats[i]
        place[code] += 1
    if sweeps(n_codes, n):
        memset(place, 0, n_codes * sizeof(uint32_t))
    else:
        for i in range(n):
            place[ordered[i] >> 32] = 0
    ordered[n] = <uint64_t>-1


cdef inline void choose_code(
    const Target* target, const NodeStat* node, const Limits* limits, int64_t stop,
    int64_t missing_rows, bint checked, bint missing_first, int32_t feature,
    CellSpace* space, Best* best
) noexcept nogil:
    """Score the splits after each of the first `stop` places; keep a better one."""
    cdef const double* f = target.nlogn
    cdef int64_t i, chosen, start = 0
    if checked:
        while start < stop and (
                space.counts[start] + missing_rows < limits.min_samples_leaf
                or space.weights[start] < limits.min_weight_leaf):
            start += 1
        while start < stop and (
                node.n - space.counts[stop - 1] - missing_rows < limits.min_samples_leaf
                or node.weight - space.weights[stop - 1] < limits.min_weight_leaf):
            stop -= 1
    if start >= stop:
        return
    if target.entropy:
        for i in range(start, stop):
            space.score[i] = (space.left[i] - f[space.weights[i]]) + (
                space.right[i] - f[node.weight - space.weights[i]])
    else:
        score_shares(space.left + start, space.right + start, space.weights + start,
                     <int32_t>node.weight, stop - start, space.score + start)
    chosen = argmax(space.score + start, stop - start, &best.split.score)
    if chosen >= 0:
        chosen += start
        best.split.feature = feature
        best.split.code_low = space.codes[chosen]
        best.split.code_high = space.codes[chosen + 1]
        best.split.missing_left = missing_first


cdef inline bint search_classes(
    const code_t* codes, uint32_t n_codes, uint32_t missing, int32_t feature,
    const entry_t* ids, const uint32_t* stats, const Target* target,
    const NodeStat* node, const int64_t* totals, int64_t* left, const Limits* limits,
    CellSpace* space, Best* best
) noexcept nogil:
    cdef bint checked = limits.min_samples_leaf > 1 or limits.min_weight_leaf > 0
    cdef int64_t n = node.n, lanes = class_lanes(target.n_classes), count
    cdef int64_t present, n_present = n, missing_rows = 0
    cdef bint swept = sweeps_classes(space, n_codes, lanes, n)
    if swept:
        add_cells(codes, n_codes, lanes, ids, stats, n, space.classes)
        count = sweep_cells(target, node, totals, n_codes, lanes, missing, False, space)
        if checked:
            count_rows(codes, ids, n, count, space)
    else:
        order_stats(codes, n_codes, ids, stats, n, space)
        if space.ordered[0] >> 32 == space.ordered[n - 1] >> 32:
            return False
        count = move_ordered(target, node, totals, left, n, n, False, space)
    present = count - (space.codes[count - 1] == missing)
    if count >= 2:
        choose_code(target, node, limits, count - 1, 0, checked, False, feature, space,
                    best)
    if present == count:
        return count >= 2
    if checked:
        missing_rows = n - (space.counts[present - 1] if present else 0)
    if swept:
        sweep_cells(target, node, totals, n_codes, lanes, missing, True, space)
    else:
        n_present = n
        while space.ordered[n_present - 1] >> 32 == missing:
            n_present -= 1
        # Rows are counted with the missing ones here.
        missing_rows = 0
        move_ordered(target, node, totals, left, n, n_present, True, space)
    if present > 1:
        choose_code(target, node, limits, present - 1, missing_rows, checked, True,
                    feature, space, best)
    return count >= 2


cdef inline bint try_classes(
    const Codes* column, int32_t feature, const entry_t* ids, const uint32_t* stats,
    const Target* target, const NodeStat* node, const int64_t* totals, int64_t* left,
    const Limits* limits, CellSpace* space, Best* best
) noexcept nogil:
    """Search a numeric column of CLASSES; False if it is constant.

    `left` (n_classes,) comes and goes zeroed.
    """
    if column.size == 1:
        return search_classes(<const uint8_t*>column.codes, column.n_codes,
                              column.missing, feature, ids, stats, target, node,
                              totals, left, limits, space, best)
    if column.size == 2:
        return search_classes(<const uint16_t*>column.codes, column.n_codes,
                              column.missing, feature, ids, stats, target, node,
                              totals, left, limits, space, best)
    return search_classes(<const uint32_t*>column.codes, column.n_codes,
                          column.missing, feature, ids, stats, target, node, totals,
                          left, limits, space, best)
