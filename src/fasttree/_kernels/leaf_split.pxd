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
    uint64_t left[2][257]
    double score[2][256]
    uint32_t counts[256]
    int32_t code[257]          # of the entries of `left`
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

    /* C, so that the compiler makes vector code of it: a condition would be a branch
       around the division. */
    static inline void fasttree_score_all(
        const uint64_t* left, int64_t n, double G, double H, double least, double l2,
        double* score
    ) {
        int64_t b;
        for (b = 0; b < n; b++) {
            double gl = (double)(int32_t)(left[b] >> 32);
            double hl = (double)(int32_t)left[b];
            double gr = G - gl, hr = H - hl;
            double kl = hl + l2, kr = hr + l2;
            double s = (gl * gl * kr + gr * gr * kl) / (kl * kr);
            int64_t bits, mask = -(int64_t)((hl >= least) & (hr >= least));
            memcpy(&bits, &s, 8);
            bits &= mask;
            memcpy(&score[b], &bits, 8);
        }
    }

    /* The first position of the largest score above *best, which it raises; or -1. */
    static inline int64_t fasttree_argmax(
        const double* score, int64_t n, double* best
    ) {
        double top[8];
        double most = *best;
        int64_t b, j;
        for (j = 0; j < 8; j++) top[j] = most;
        for (b = 0; b + 8 <= n; b += 8)
            for (j = 0; j < 8; j++)
                top[j] = score[b + j] > top[j] ? score[b + j] : top[j];
        for (; b < n; b++) top[0] = score[b] > top[0] ? score[b] : top[0];
        for (j = 0; j < 8; j++) most = top[j] > most ? top[j] : most;
        if (!(most > *best)) return -1;
        *best = most;
        for (b = 0; score[b] != most; b++) {}
        return b;
    }
    """
    # Score each of n splits; 0 where a side is too light.
    void score_all "fasttree_score_all"(
        const uint64_t* left, int64_t n, double G, double H, double least, double l2,
        double* score) noexcept nogil
    int64_t argmax "fasttree_argmax"(
        const double* score, int64_t n, double* best) noexcept nogil


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


cdef inline void score_bounded(
    const uint64_t* left, int64_t n, const LeafView* leaf, int monotonic,
    const Regularization* reg, double* score
) noexcept nogil:
    """Do as score_all does under bounds of values and a direction."""
    cdef int64_t b
    cdef double hl, hr, vl, vr
    cdef uint64_t right
    for b in range(n):
        right = leaf.sums - left[b]
        hl = hessian_of(left[b])
        hr = hessian_of(right)
        if hl < reg.min_hessian or hr < reg.min_hessian:
            score[b] = -INFINITY
            continue
        vl = best_value(left[b], reg.l2, leaf)
        vr = best_value(right, reg.l2, leaf)
        if (monotonic > 0 and vl > vr) or (monotonic < 0 and vl < vr):
            score[b] = -INFINITY
            continue
        score[b] = (gain_of_value(gradient_of(left[b]), hl, reg.l2, vl)
                    + gain_of_value(gradient_of(right), hr, reg.l2, vr))


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
    const uint8_t* const* columns, const Feature* feature, const GradientSplit* split,
    const LeafView* leaf, const Regularization* reg, uint32_t* counts
) noexcept nogil:
    """Whether both sides of a split have min_samples_leaf rows; counts if need be."""
    cdef int64_t b, left = 0
    if is_sure(split.left, leaf.sums, reg):
        return True
    count_codes(feature, columns, leaf, counts)
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
    const Feature* feature, const uint8_t* const* columns,
    const LeafView* leaf, uint32_t* counts
) noexcept nogil:
    """Count the leaf's rows of each code of a feature."""
    cdef int64_t b, n = feature.n_codes + feature.has_missing
    cdef int64_t d = feature.default_code
    cdef uint32_t rest
    count_rows(columns[feature.slot], leaf.rows, leaf.n, counts)
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


cdef inline void scan_numeric(
    const uint8_t* const* columns, const Feature* feature, int32_t number,
    const uint64_t* bins, const LeafView* leaf, double own,
    const Regularization* reg, bint counts, ScanSpace* space, GradientSplit* best
) noexcept nogil:
    """Put the feature's best split into `best` if it is better.

    `counts`: one whose sides have too few rows is not accepted.
    """
    cdef const uint64_t* cells = feature_cells(
        feature, bins, leaf.sums, space.cells)
    cdef int64_t n_codes = feature.n_codes, used = 0, n, b, count, at = -1, low
    cdef uint64_t sums = 0, missing = 0
    cdef int direction, n_directions = 1, way = 0
    cdef double floor = least_score(own, best), top = floor
    cdef int64_t[2] length
    if n_codes < 1:
        return
    if feature.has_missing:
        missing = cells[n_codes]
    # Codes that no row has drop out: an entry is written until its bin has rows.
    for b in range(n_codes):
        sums += cells[b]
        space.left[0][used] = sums
        space.code[used] = <int32_t>b
        used += cells[b] != 0
    if used == 0:
        return
    length[0] = used - 1
    if missing != 0:
        length[0] = used
        length[1] = used - 1
        n_directions = 2
        for b in range(used - 1):
            space.left[1][b] = space.left[0][b] + missing
    for direction in range(n_directions):
        n = length[direction]
        if reg.any_monotonic:
            score_bounded(space.left[direction], n, leaf, feature.monotonic, reg,
                          space.score[direction])
        else:
            score_all(
                space.left[direction], n, gradient_of(leaf.sums),
                hessian_of(leaf.sums), reg.min_hessian, reg.l2,
                space.score[direction])
        b = argmax(space.score[direction], n, &top)
        if b >= 0:
            at = b
            way = direction
    if at < 0:
        return
    if counts and not is_sure(space.left[way][at], leaf.sums, reg):
        # Count, and try again among the splits that leave rows enough.
        count_codes(feature, columns, leaf, space.counts)
        top = floor
        at = -1
        for direction in range(n_directions):
            count = space.counts[n_codes] if direction else 0
            for b in range(length[direction]):
                count += space.counts[space.code[b]]
                if space.score[direction][b] > top:
                    if (count >= reg.min_samples_leaf
                            and leaf.n - count >= reg.min_samples_leaf):
                        top = space.score[direction][b]
                        at = b
                        way = direction
        if at < 0:
            return
    # The middle of the empty codes that follow.
    low = space.code[at]
    low = n_codes - 1 if at + 1 == used else low + (space.code[at + 1] - 1 - low) // 2
    best.score = top
    best.left = space.left[way][at]
    best.feature = number
    best.code = <int32_t>low
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
    const uint8_t* const* columns, const Feature* feature, int32_t number,
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
        count_codes(feature, columns, leaf, space.counts)
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
