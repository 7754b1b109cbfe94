"""The best split of a leaf by sums of gradients and hessians.

A split gains what it lowers the second-order loss by (Chen and Guestrin, "XGBoost: A
Scalable Tree Boosting System", KDD 2016), without the factor 1/2::

    gl**2 / (hl + l2) + gr**2 / (hr + l2) - g**2 / (h + l2)

All sums are in the tree's units; the units are powers of two, so that they change no
bit of a gain. Ties: the lower feature, missing values to the right, the lower code.

Histograms have no counts of rows. `min_samples_leaf` is a bound on the hessian where
all rows have the same. Elsewhere a scan takes a split for possible, and if the leaf's
best one has sides too light to be sure of their rows, these are counted. Only where
they are too few, its tile is scanned again with the counts of each such feature.
"""

from libc.math cimport INFINITY
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t

from fasttree._kernels.gradient_histogram cimport (
    BLOCK_WORDS, count_rows, gradient_of, hessian_of
)

cdef enum:
    MAX_ONE_HOT = 4            # categories: up to so many, each is tried alone
    # A leaf of fewer rows than so many least leaves is counted before it is scanned,
    # as most of its splits leave a side too few.
    FEW_LEAVES = 5

# A column as boosting sees it. It is a byte of a tile, or shares one with other
# columns that are never away from their most frequent value in the same row.
cdef struct Feature:
    int32_t slot               # tile * 8 + byte
    int32_t first              # bundled: the byte of its first code but the default
    int32_t default_code       # bundled: the most frequent code; else -1
    int32_t n_codes            # code of a missing value
    uint8_t has_missing
    uint8_t categorical
    int8_t monotonic          # 1: increasing, -1: decreasing
    uint8_t unused

cdef struct Regularization:
    double l2                  # units of the hessian
    double min_hessian         # units: the least of a side
    double sure_hessian        # units: so much is surely min_samples_leaf rows
    int64_t min_samples_leaf
    double gradient_unit       # what one unit is, powers of two
    double hessian_unit
    double cat_smooth
    double cat_l2
    int64_t max_cat_threshold
    int64_t min_data_per_group
    bint any_monotonic

# The rows and sums of a leaf.
cdef struct LeafView:
    const uint32_t* rows       # NULL: the rows 0 to n - 1
    int64_t n
    uint64_t sums
    double low, high           # bounds of its value, units of gradient / hessian

cdef struct GradientSplit:
    double score               # units; -inf: none
    uint64_t left              # sums
    int32_t feature
    int32_t code               # numeric: last code that goes left
    uint8_t missing_left
    uint8_t saw_missing        # the leaf has rows with a missing value
    uint8_t categorical
    uint64_t set[4]            # codes that go left, the missing one too

# Memory of one worker.
cdef struct ScanSpace:
    uint64_t block[BLOCK_WORDS]
    uint64_t cells[257]
    double score[2][256]
    uint32_t counts[256]
    double key[256]
    int32_t order[256]


cdef inline void clear_split(GradientSplit* split) noexcept nogil:
    split.score = -INFINITY
    split.feature = -1


cdef inline bint is_better(
    double score, int32_t feature, const GradientSplit* best
) noexcept nogil:
    return score > best.score or (score == best.score and feature < best.feature)


cdef inline double score_of(double g, double h) noexcept nogil:
    return g * g / h if h > 0.0 else 0.0


cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #ifdef __AVX2__
    #include <immintrin.h>
    #endif

    /* 2**52, and 2**52 + 2**31: a double's bits with an integer in the low half, and with
       one whose sign bit is flipped. */
    #define FASTTREE_BITS ((uint64_t)0x4330000000000000)
    #define FASTTREE_SIGNED_BITS ((uint64_t)0x4330000080000000)

    static inline double fasttree_double_of(uint64_t bits) {
        double x;
        memcpy(&x, &bits, 8);
        return x;
    }

    /* With k = h + l2 of a side, and K = kl + kr:
       gl**2 / kl + gr**2 / kr = G**2 / K + K * (gl - G / K * kl)**2 / (kl * kr). */
    static inline double fasttree_score(
        uint64_t left, double own, double slope, double K, double l2, double least,
        double most
    ) {
        double hl = fasttree_double_of((left & 0xffffffff) | FASTTREE_BITS)
            - fasttree_double_of(FASTTREE_BITS);
        double gl = fasttree_double_of((left >> 32) ^ FASTTREE_SIGNED_BITS)
            - fasttree_double_of(FASTTREE_SIGNED_BITS);
        double kl = hl + l2, x = gl - slope * kl;
        double s = own + K * ((x * x) / (kl * (K - kl)));
        return (hl >= least) & (hl <= most) ? s : 0.0;
    }

    /* Score the splits behind each of n bins; `left` is what goes left anyway. */
    static inline double fasttree_score_bins(
        const uint64_t* cells, int64_t n, uint64_t left, double G, double H,
        double least, double l2, double* score
    ) {
        const double K = H + 2 * l2, slope = G / K, own = G * G / K;
        const double most = H - least;
        double best = 0.0;
        int64_t b = 0;
    #ifdef __AVX2__
        const __m256i bits = _mm256_set1_epi64x(FASTTREE_BITS);
        const __m256i signed_bits = _mm256_set1_epi64x(FASTTREE_SIGNED_BITS);
        const __m256i upper = _mm256_set_epi64x(-1, -1, 0, 0);
        const __m256d k_sum = _mm256_set1_pd(K), l2s = _mm256_set1_pd(l2);
        const __m256d slopes = _mm256_set1_pd(slope), owns = _mm256_set1_pd(own);
        const __m256d leasts = _mm256_set1_pd(least), mosts = _mm256_set1_pd(most);
        __m256i before = _mm256_set1_epi64x((int64_t)left);
        __m256d top = _mm256_setzero_pd();
        double tops[4];
        for (; b + 4 <= n; b += 4) {
            __m256i sums = _mm256_loadu_si256((const __m256i*)(cells + b));
            __m256d hl, gl, kl, x, s;
            sums = _mm256_add_epi64(sums, _mm256_slli_si256(sums, 8));
            sums = _mm256_add_epi64(
                sums, _mm256_and_si256(_mm256_permute4x64_epi64(sums, 0x50), upper));
            hl = _mm256_castsi256_pd(_mm256_add_epi64(sums, before));
            before = _mm256_add_epi64(before, _mm256_permute4x64_epi64(sums, 0xff));
            gl = _mm256_sub_pd(
                _mm256_castsi256_pd(_mm256_xor_si256(
                    _mm256_srli_epi64(_mm256_castpd_si256(hl), 32), signed_bits)),
                _mm256_castsi256_pd(signed_bits));
            hl = _mm256_sub_pd(
                _mm256_castsi256_pd(
                    _mm256_blend_epi32(_mm256_castpd_si256(hl), bits, 0xaa)),
                _mm256_castsi256_pd(bits));
            kl = _mm256_add_pd(hl, l2s);
            x = _mm256_sub_pd(gl, _mm256_mul_pd(slopes, kl));
            s = _mm256_div_pd(
                _mm256_mul_pd(x, x), _mm256_mul_pd(kl, _mm256_sub_pd(k_sum, kl)));
            s = _mm256_add_pd(owns, _mm256_mul_pd(k_sum, s));
            s = _mm256_and_pd(s, _mm256_and_pd(
                _mm256_cmp_pd(hl, leasts, _CMP_GE_OQ),
                _mm256_cmp_pd(hl, mosts, _CMP_LE_OQ)));
            _mm256_storeu_pd(score + b, s);
            top = _mm256_max_pd(top, s);
        }
        _mm256_storeu_pd(tops, top);
        for (int j = 0; j < 4; j++) best = tops[j] > best ? tops[j] : best;
        left = (uint64_t)_mm256_extract_epi64(before, 0);
    #endif
        for (; b < n; b++) {
            left += cells[b];
            score[b] = fasttree_score(left, own, slope, K, l2, least, most);
            best = score[b] > best ? score[b] : best;
        }
        return best;
    }
    """
    # Score the splits behind each of n bins, 0 where a side is too light, and return
    # the largest score. `left` is the sums of what goes left besides.
    double score_bins "fasttree_score_bins"(
        const uint64_t* cells, int64_t n, uint64_t left, double G, double H,
        double least, double l2, double* score) noexcept nogil


cdef inline double clip(double x, double low, double high) noexcept nogil:
    return low if x < low else (high if x > high else x)


cdef inline double gain_of_value(
    double g, double h, double l2, double value
) noexcept nogil:
    """What a leaf of a given value gains: -2 g v - (h + l2) v**2."""
    return -2.0 * g * value - (h + l2) * value * value


cdef inline double best_value(
    uint64_t sums, double l2, const LeafView* leaf
) noexcept nogil:
    """Value of a leaf inside its parent's bounds, units of gradient / hessian."""
    cdef double h = hessian_of(sums) + l2
    if h <= 0.0:
        return 0.0
    return clip(-<double>gradient_of(sums) / h, leaf.low, leaf.high)


cdef inline double score_bounded(
    const uint64_t* cells, int64_t n, uint64_t left, const LeafView* leaf,
    int monotonic, const Regularization* reg, double* score
) noexcept nogil:
    """Do as score_bins does under bounds of values and a direction; none is -inf."""
    cdef int64_t b
    cdef double hl, hr, vl, vr, best = -INFINITY
    cdef uint64_t right
    for b in range(n):
        left += cells[b]
        right = leaf.sums - left
        hl = hessian_of(left)
        hr = hessian_of(right)
        score[b] = -INFINITY
        if hl < reg.min_hessian or hr < reg.min_hessian:
            continue
        vl = best_value(left, reg.l2, leaf)
        vr = best_value(right, reg.l2, leaf)
        if (monotonic > 0 and vl > vr) or (monotonic < 0 and vl < vr):
            continue
        score[b] = (gain_of_value(gradient_of(left), hl, reg.l2, vl)
                    + gain_of_value(gradient_of(right), hr, reg.l2, vr))
        best = max(best, score[b])
    return best


cdef inline double own_score(
    const LeafView* leaf, const Regularization* reg
) noexcept nogil:
    """Score that a split of the leaf must exceed."""
    cdef double h = hessian_of(leaf.sums) + reg.l2
    if reg.any_monotonic:
        return gain_of_value(gradient_of(leaf.sums), hessian_of(leaf.sums), reg.l2,
                             best_value(leaf.sums, reg.l2, leaf))
    return score_of(gradient_of(leaf.sums), h)


cdef inline bint is_sure(
    uint64_t left, uint64_t total, const Regularization* reg
) noexcept nogil:
    return (hessian_of(left) >= reg.sure_hessian
            and hessian_of(total - left) >= reg.sure_hessian)


cdef inline bint has_rows(
    const uint8_t* column, const Feature* feature, const GradientSplit* split,
    const LeafView* leaf, const Regularization* reg, uint32_t* counts
) noexcept nogil:
    """Count whether both sides of a split have min_samples_leaf rows."""
    cdef int64_t b, left = 0
    count_codes(feature, column, leaf, counts)
    if split.categorical:
        for b in range(feature.n_codes + feature.has_missing):
            if split.set[b >> 6] >> (b & 63) & 1:
                left += counts[b]
    else:
        for b in range(split.code + 1):
            left += counts[b]
        if split.missing_left and feature.has_missing:
            left += counts[feature.n_codes]
    return left >= reg.min_samples_leaf and leaf.n - left >= reg.min_samples_leaf


cdef inline const uint64_t* feature_cells(
    const Feature* feature, const uint64_t* bins, uint64_t total, uint64_t* cells
) noexcept nogil:
    """Return the feature's bins in order of its codes; `bins` are of its slot."""
    cdef int64_t b, n = feature.n_codes + feature.has_missing
    cdef int64_t d = feature.default_code
    cdef uint64_t rest = total
    if d < 0:
        return bins
    for b in range(d):
        cells[b] = bins[feature.first + b]
        rest -= cells[b]
    for b in range(d + 1, n):
        cells[b] = bins[feature.first + b - 1]
        rest -= cells[b]
    cells[d] = rest
    return cells


cdef inline void count_codes(
    const Feature* feature, const uint8_t* column, const LeafView* leaf,
    uint32_t* counts
) noexcept nogil:
    """Count the leaf's rows of each code of a feature; without a column they are."""
    cdef int64_t b, n = feature.n_codes + feature.has_missing
    cdef int64_t d = feature.default_code
    cdef uint32_t rest
    if column == NULL:
        return
    count_rows(column, leaf.rows, leaf.n, counts)
    if d < 0:
        return
    # In place: code b stands at or after b.
    rest = <uint32_t>leaf.n
    for b in range(n - 1):
        rest -= counts[feature.first + b]
    if feature.first > 0:
        for b in range(n - 1):
            counts[b] = counts[feature.first + b]
    for b in range(n - 1, d, -1):
        counts[b] = counts[b - 1]
    counts[d] = rest


cdef inline double least_score(double own, const GradientSplit* best) noexcept nogil:
    """Score that a split has to exceed: the best one's, or the leaf's own.

    Rounding must not make a split of nothing look like a gain.
    """
    cdef double floor = own + 1e-12 * (own if own > 0.0 else -own)
    return best.score if best.score > floor else floor


cdef inline void find_range(
    const uint32_t* counts, int64_t n_codes, int64_t missing, int direction,
    int64_t least, int64_t first, int64_t* start, int64_t* stop
) noexcept nogil:
    """Find the codes from `first` on behind which both sides have `least` rows."""
    cdef int64_t b = first, count = missing if direction else 0
    while b < n_codes:
        count += counts[b]
        if count >= least:
            break
        b += 1
    start[0] = b
    b = n_codes - 1
    count = 0 if direction else missing
    while b >= 0 and count < least:
        count += counts[b]
        b -= 1
    stop[0] = max(b + 1, start[0])


cdef inline void scan_numeric(
    const uint8_t* column, const Feature* feature, int32_t number,
    const uint64_t* bins, const LeafView* leaf, double own,
    const Regularization* reg, bint counts, ScanSpace* space, GradientSplit* best
) noexcept nogil:
    """Put the feature's best split into `best` if it is better.

    `counts`: one whose sides have too few rows is not accepted.
    """
    cdef const uint64_t* cells = feature_cells(
        feature, bins, leaf.sums, space.cells)
    cdef int64_t n_codes = feature.n_codes, b, n, at = -1, next, first = 0
    cdef int64_t[2] start
    cdef int64_t[2] stop
    cdef uint64_t missing = 0, left
    cdef int direction, n_directions, way = 0
    cdef double floor = least_score(own, best), top = floor, most
    cdef bint counted = counts and leaf.n < FEW_LEAVES * reg.min_samples_leaf
    if n_codes < 1:
        return
    if feature.has_missing:
        missing = cells[n_codes]
    n_directions = 2 if missing != 0 else 1
    # What is missing alone on the left is the mirror of it alone on the right.
    while first < n_codes - 1 and cells[first] == 0:
        first += 1
    if counted:
        count_codes(feature, column, leaf, space.counts)
    for direction in range(n_directions):
        start[direction] = first
        stop[direction] = n_codes
        if counted:
            find_range(space.counts, n_codes,
                       space.counts[n_codes] if feature.has_missing else 0, direction,
                       reg.min_samples_leaf, first, &start[direction],
                       &stop[direction])
        left = missing if direction else 0
        for b in range(start[direction]):
            left += cells[b]
        b = start[direction]
        n = stop[direction] - b
        if reg.any_monotonic:
            most = score_bounded(cells + b, n, left, leaf, feature.monotonic, reg,
                                 space.score[direction] + b)
        else:
            most = score_bins(
                cells + b, n, left, gradient_of(leaf.sums), hessian_of(leaf.sums),
                reg.min_hessian, reg.l2, space.score[direction] + b)
        if most > top:
            top = most
            way = direction
            at = b
    if at < 0:
        return
    # The first of equals: its bin has rows.
    while space.score[way][at] != top:
        at += 1
    left = missing if way else 0
    for b in range(at + 1):
        left += cells[b]
    if counts and not counted and not is_sure(left, leaf.sums, reg):
        # Count, and try again among the splits that leave rows enough.
        count_codes(feature, column, leaf, space.counts)
        top = floor
        at = -1
        for direction in range(n_directions):
            find_range(space.counts, n_codes,
                       space.counts[n_codes] if feature.has_missing else 0, direction,
                       reg.min_samples_leaf, first, &start[direction],
                       &stop[direction])
            for b in range(start[direction], stop[direction]):
                if space.score[direction][b] > top:
                    top = space.score[direction][b]
                    at = b
                    way = direction
        if at < 0:
            return
        left = missing if way else 0
        for b in range(at + 1):
            left += cells[b]
    # The middle of the empty codes that follow.
    next = at + 1
    while next < n_codes and cells[next] == 0:
        next += 1
    best.score = top
    best.left = left
    best.feature = number
    best.code = <int32_t>(n_codes - 1 if next == n_codes else (at + next - 1) // 2)
    best.missing_left = way
    best.saw_missing = missing != 0
    best.categorical = False


cdef inline void sort_by_key(
    int32_t* order, const double* key, int64_t n
) noexcept nogil:
    """Sort by key, ties by number: Shell's method, for at most 256 entries."""
    cdef int64_t gap = 1, i, j
    cdef int32_t item
    while gap < n // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, n):
            item = order[i]
            j = i
            while j >= gap and (
                key[order[j - gap]] > key[item]
                or (key[order[j - gap]] == key[item] and order[j - gap] > item)
            ):
                order[j] = order[j - gap]
                j -= gap
            order[j] = item
        gap //= 3


cdef inline void keep_set(
    GradientSplit* best, double score, int32_t number, uint64_t left,
    const int32_t* codes, int64_t n
) noexcept nogil:
    cdef int64_t i
    best.score = score
    best.feature = number
    best.left = left
    best.code = -1
    best.categorical = True
    best.saw_missing = False
    for i in range(4):
        best.set[i] = 0
    for i in range(n):
        best.set[codes[i] >> 6] |= <uint64_t>1 << (codes[i] & 63)


cdef inline void estimate_counts(
    const uint64_t* cells, int64_t n, const LeafView* leaf, uint32_t* counts
) noexcept nogil:
    """Give each category its hessian's share of the rows."""
    cdef int64_t b
    cdef double rows = <double>leaf.n / hessian_of(leaf.sums)
    for b in range(n):
        counts[b] = <uint32_t>(hessian_of(cells[b]) * rows + 0.5)


cdef inline void scan_categorical(
    const uint8_t* column, const Feature* feature, int32_t number,
    const uint64_t* cells, const LeafView* leaf, double own,
    const Regularization* reg, bint counts, ScanSpace* space, GradientSplit* best
) noexcept nogil:
    """Put the best set of categories into `best` if it is better.

    Up to four categories are tried one against the rest. More are sorted by
    gradient / (hessian + cat_smooth) and taken from either end (Fisher 1958;
    LightGBM's bounds): those of fewer rows than cat_smooth take no part, at most
    max_cat_threshold go left, a group has at least min_data_per_group rows, and
    cat_l2 is added to l2. A missing value is one more category.

    Rows are estimated from the hessian, as LightGBM does. With `counts`, if a side that
    wins is too light to be sure of min_samples_leaf, they are counted and all is done
    again.
    """
    cdef GradientSplit before = best[0]
    cdef int64_t n_codes = feature.n_codes + feature.has_missing
    if feature.default_code >= 0 or n_codes < 2:
        return
    estimate_counts(cells, n_codes, leaf, space.counts)
    try_sets(feature, number, cells, leaf, own, reg, space, best)
    if (counts and best.feature == number
            and not is_sure(best.left, leaf.sums, reg)):
        best[0] = before
        count_codes(feature, column, leaf, space.counts)
        try_sets(feature, number, cells, leaf, own, reg, space, best)


cdef inline void try_sets(
    const Feature* feature, int32_t number, const uint64_t* cells,
    const LeafView* leaf, double own, const Regularization* reg, ScanSpace* space,
    GradientSplit* best
) noexcept nogil:
    """Do what scan_categorical says with the rows in space.counts."""
    cdef int64_t n_codes = feature.n_codes + feature.has_missing
    cdef int64_t b, i, used = 0, most, count, group, counted = 0
    cdef double G = gradient_of(leaf.sums), H = hessian_of(leaf.sums)
    cdef double l2 = reg.l2, gl, hl, gr, hr, score
    cdef double floor = least_score(own, best)
    cdef uint64_t sums
    cdef int direction
    cdef int32_t* order = space.order
    cdef bint saw_missing = feature.has_missing and cells[feature.n_codes] != 0
    for b in range(n_codes):
        if cells[b] != 0:
            counted += 1
    if counted < 2:
        return
    if counted <= MAX_ONE_HOT:
        for b in range(n_codes):
            count = space.counts[b]
            if (cells[b] == 0 or count < reg.min_samples_leaf
                    or leaf.n - count < reg.min_samples_leaf):
                continue
            order[0] = <int32_t>b
            gl = gradient_of(cells[b])
            hl = hessian_of(cells[b])
            hr = H - hl
            if hl < reg.min_hessian or hr < reg.min_hessian:
                continue
            score = score_of(gl, hl + l2) + score_of(G - gl, hr + l2)
            if score > floor:
                floor = score
                keep_set(best, score, number, cells[b], order, 1)
                best.saw_missing = saw_missing
        return
    for b in range(n_codes):
        if cells[b] != 0 and space.counts[b] >= reg.cat_smooth:
            space.key[b] = (gradient_of(cells[b]) * reg.gradient_unit
                            / (hessian_of(cells[b]) * reg.hessian_unit
                               + reg.cat_smooth))
            order[used] = <int32_t>b
            used += 1
    if used < 2:
        return
    l2 += reg.cat_l2 / reg.hessian_unit
    most = min(reg.max_cat_threshold, (used + 1) // 2)
    sort_by_key(order, space.key, used)
    for direction in range(2):
        if direction:
            for i in range(used // 2):
                b = order[i]
                order[i] = order[used - 1 - i]
                order[used - 1 - i] = <int32_t>b
        sums = 0
        count = group = 0
        for i in range(min(used, most)):
            b = order[i]
            sums += cells[b]
            count += space.counts[b]
            group += space.counts[b]
            hl = hessian_of(sums)
            hr = H - hl
            if count < reg.min_samples_leaf or hl < reg.min_hessian:
                continue
            if (leaf.n - count < reg.min_samples_leaf
                    or leaf.n - count < reg.min_data_per_group
                    or hr < reg.min_hessian):
                break
            if group < reg.min_data_per_group:
                continue
            group = 0
            gl = gradient_of(sums)
            gr = G - gl
            score = score_of(gl, hl + l2) + score_of(gr, hr + l2)
            if score > floor:
                floor = score
                keep_set(best, score, number, sums, order, i + 1)
                best.saw_missing = saw_missing
