"""Histograms of tiled columns, and the best split of one.

A tile holds eight uint8 columns, a row's eight codes in one uint64: one load of
codes and one of the statistic serve eight updates, and eight histograms share
the L1 cache. A cell is one uint64, `rows | rows of class 1 << 32`, for two
classes, or a pair (sum, rows) of int64 for regression. A sibling's histogram is
the parent's less the child's, exactly.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fasttree._kernels.impurity cimport (
    ClassSums,
    move_weight,
    score_binary,
    score_classes,
    score_sums,
)
from fasttree._kernels.monotone cimport (
    Monotone,
    allows_binary,
    allows_classes,
    allows_sums,
)
from fasttree._kernels.types cimport NodeStat, Split, Target

cdef enum:
    BINS = 256
    TILE = 8


cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__)
    #define fasttree_prefetch(p) __builtin_prefetch(p)
    #else
    #define fasttree_prefetch(p)
    #endif
    """
    void fasttree_prefetch(const void* p) noexcept nogil


cdef inline void count_tile(
    const uint64_t* tile,      # IN by row
    const uint32_t* rows, int64_t n,
    const uint16_t* label,     # IN by row
    uint64_t* histogram,       # OUT (8, 256), zeroed
) noexcept nogil:
    cdef int64_t i
    cdef uint64_t codes, cell
    for i in range(n):
        if i + 24 < n:
            fasttree_prefetch(tile + rows[i + 24])
        codes = tile[rows[i]]
        cell = 1 | <uint64_t>label[rows[i]] << 32
        histogram[codes & 255] += cell
        histogram[256 + (codes >> 8 & 255)] += cell
        histogram[512 + (codes >> 16 & 255)] += cell
        histogram[768 + (codes >> 24 & 255)] += cell
        histogram[1024 + (codes >> 32 & 255)] += cell
        histogram[1280 + (codes >> 40 & 255)] += cell
        histogram[1536 + (codes >> 48 & 255)] += cell
        histogram[1792 + (codes >> 56)] += cell


cdef inline void sum_tile(
    const uint64_t* tile, const uint32_t* rows, int64_t n, const int64_t* value,
    int64_t* histogram,        # OUT (8, 256, 2), zeroed
) noexcept nogil:
    cdef int64_t i, x
    cdef int j
    cdef uint64_t codes
    cdef int64_t* cell
    for i in range(n):
        if i + 24 < n:
            fasttree_prefetch(tile + rows[i + 24])
        codes = tile[rows[i]]
        x = value[rows[i]]
        for j in range(8):
            cell = histogram + 2 * (256 * j + (codes >> (8 * j) & 255))
            cell[0] += x
            cell[1] += 1


cdef inline void count_column(
    const uint64_t* tile, int byte, const uint32_t* rows, int64_t n,
    const uint16_t* label, uint64_t* histogram,    # OUT (256,), zeroed
) noexcept nogil:
    cdef int64_t i
    cdef int shift = 8 * byte
    for i in range(n):
        if i + 24 < n:
            fasttree_prefetch(tile + rows[i + 24])
        histogram[tile[rows[i]] >> shift & 255] += (
            1 | <uint64_t>label[rows[i]] << 32)


cdef inline void sum_column(
    const uint64_t* tile, int byte, const uint32_t* rows, int64_t n,
    const int64_t* value, int64_t* histogram,      # OUT (256, 2), zeroed
) noexcept nogil:
    cdef int64_t i
    cdef int shift = 8 * byte
    cdef int64_t* cell
    for i in range(n):
        if i + 24 < n:
            fasttree_prefetch(tile + rows[i + 24])
        cell = histogram + 2 * (tile[rows[i]] >> shift & 255)
        cell[0] += value[rows[i]]
        cell[1] += 1


cdef inline void count_classes(
    const uint64_t* tile, int byte, const uint32_t* rows, int64_t n,
    const uint16_t* label, int64_t n_classes,
    uint32_t* histogram,       # OUT (256, n_classes), zeroed
) noexcept nogil:
    cdef int64_t i
    cdef int shift = 8 * byte
    for i in range(n):
        if i + 24 < n:
            fasttree_prefetch(tile + rows[i + 24])
        histogram[(tile[rows[i]] >> shift & 255) * n_classes + label[rows[i]]] += 1


cdef inline void count_tile_classes(
    const uint64_t* tile, const uint32_t* rows, int64_t n,
    const uint16_t* label, int64_t n_classes,
    uint32_t* histogram,       # OUT (8, 256, n_classes), zeroed
) noexcept nogil:
    cdef int64_t i, stride = 256 * n_classes
    cdef uint64_t codes
    cdef uint32_t* cell
    cdef int j
    for i in range(n):
        if i + 24 < n:
            fasttree_prefetch(tile + rows[i + 24])
        codes = tile[rows[i]]
        cell = histogram + label[rows[i]]
        for j in range(8):
            cell[j * stride + <int64_t>(codes >> (8 * j) & 255) * n_classes] += 1


cdef inline void subtract(
    uint64_t* parent, const uint64_t* child, int64_t n
) noexcept nogil:
    """parent -= child, for any cells: packed counts do not borrow."""
    cdef int64_t i
    for i in range(n):
        parent[i] -= child[i]


cdef inline void keep(
    Split* best, double score, int64_t low, int64_t high, bint missing_left
) noexcept nogil:
    best.score = score
    best.code_low = <uint32_t>low
    best.code_high = <uint32_t>high
    best.missing_left = missing_left


cdef inline void scan_counts(
    const uint64_t* histogram, int64_t n_codes, const NodeStat* node, bint entropy,
    const double* f, int64_t min_leaf, const Monotone* rule, Split* best
) noexcept nogil:
    """Best split of a two-class histogram whose missing values are bin n_codes."""
    cdef uint64_t missing = histogram[n_codes]
    cdef int64_t all1 = node.sum, all0 = node.n - node.sum
    cdef int64_t n_missing = <uint32_t>missing
    cdef int64_t n, l0, l1, b, previous
    cdef uint64_t cell, sums
    cdef double score
    cdef int direction
    best.constant = True
    for direction in range(2 if n_missing > 0 else 1):
        sums = missing if direction else 0
        previous = -1
        for b in range(n_codes + (1 if n_missing > 0 and direction == 0 else 0)):
            cell = histogram[b]
            if cell == 0:
                continue
            if previous >= 0:
                best.constant = False
                n = <uint32_t>sums
                if n >= min_leaf and node.n - n >= min_leaf:
                    l1 = sums >> 32
                    l0 = n - l1
                    score = score_binary(entropy, f, l0, l1, all0 - l0, all1 - l1)
                    if score > best.score and allows_binary(rule, node, n, l1):
                        keep(best, score, previous, b, direction)
            sums += cell
            previous = b


cdef inline void scan_sums(
    const int64_t* histogram, int64_t n_codes, int loss, const NodeStat* node,
    int64_t min_leaf, const Monotone* rule, Split* best
) noexcept nogil:
    cdef int64_t n_missing = histogram[2 * n_codes + 1]
    cdef int64_t n, s, b, previous
    cdef double score
    cdef int direction
    best.constant = True
    for direction in range(2 if n_missing > 0 else 1):
        s = histogram[2 * n_codes] if direction else 0
        n = n_missing if direction else 0
        previous = -1
        for b in range(n_codes + (1 if n_missing > 0 and direction == 0 else 0)):
            if histogram[2 * b + 1] == 0:
                continue
            if previous >= 0:
                best.constant = False
                if n >= min_leaf and node.n - n >= min_leaf:
                    score = score_sums(loss, node, s, n)
                    if score > best.score and allows_sums(rule, node, s, n):
                        keep(best, score, previous, b, direction)
            s += histogram[2 * b]
            n += histogram[2 * b + 1]
            previous = b


cdef inline void move_bin(
    const uint32_t* counts, const Target* target, const int64_t* totals,
    int64_t* left, ClassSums* sums
) noexcept nogil:
    cdef int64_t c, w, l, r
    for c in range(target.n_classes):
        w = counts[c]
        if w == 0:
            continue
        l = left[c]
        r = totals[c] - l
        move_weight(target, l, r, w, sums)
        sums.weight += w
        left[c] = l + w


cdef inline void scan_class_counts(
    const uint32_t* histogram, int64_t n_codes, const Target* target,
    const NodeStat* node, const int64_t* totals, int64_t* left, int64_t min_leaf,
    const Monotone* rule, Split* best
) noexcept nogil:
    """`left` (n_classes,) comes and goes zeroed."""
    cdef int64_t K = target.n_classes
    cdef int64_t b, c, previous, n_missing = 0
    cdef double score
    cdef bint occupied
    cdef int direction
    cdef ClassSums sums
    for c in range(K):
        n_missing += histogram[n_codes * K + c]
    best.constant = True
    for direction in range(2 if n_missing > 0 else 1):
        sums.left = 0.0
        sums.right = node.class_sum
        sums.weight = 0
        if direction:
            move_bin(histogram + n_codes * K, target, totals, left, &sums)
        previous = -1
        for b in range(n_codes + (1 if n_missing > 0 and direction == 0 else 0)):
            occupied = False
            for c in range(K):
                if histogram[b * K + c]:
                    occupied = True
                    break
            if not occupied:
                continue
            if previous >= 0:
                best.constant = False
                if (sums.weight >= min_leaf
                        and node.n - sums.weight >= min_leaf):
                    score = score_classes(target, node, &sums)
                    if score > best.score and allows_classes(
                            rule, node, totals, left, sums.weight, False):
                        keep(best, score, previous, b, direction)
            move_bin(histogram + b * K, target, totals, left, &sums)
            previous = b
        for c in range(K):
            left[c] = 0
