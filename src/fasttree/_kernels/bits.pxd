"""Columns of two values in a narrow node: a bit of a word of each row.

A column that has two codes in the table and no missing value needs no list: its
one candidate puts code 0 on the left and code 1 on the right. The bits of up to
64 such columns stand in one word a row, which stays in place when nodes split, and
one pass over a node's rows counts the targets of all of them, bit by set bit.
Columns like that are mostly 0, so few bits are set.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from fasttree._kernels.impurity cimport (
    ClassSums,
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
)
from fasttree._kernels.types cimport (
    BINARY,
    CLASSES,
    Feature,
    Limits,
    NodeStat,
    REGRESSION,
    Split,
    Target,
)


cdef extern from *:
    """
    #if defined(_MSC_VER) && !defined(__clang__)
    #include <intrin.h>
    static __inline int fasttree_trailing_zeros(unsigned long long x) {
        unsigned long i;
        _BitScanForward64(&i, x);
        return (int)i;
    }
    #else
    #define fasttree_trailing_zeros(x) __builtin_ctzll(x)
    #endif
    """
    int trailing_zeros "fasttree_trailing_zeros"(uint64_t x) noexcept nogil


cdef inline uint64_t pack_bytes(uint64_t word) noexcept nogil:
    """Gather the lowest bit of each byte in the lowest byte, in order.

    No two partial products meet in a bit, so nothing is carried.
    """
    cdef uint64_t lowest = <uint64_t>0x0101010101010101
    return ((word & lowest) * <uint64_t>0x0102040810204080) >> 56


cdef inline int64_t cells_of(const Target* target) noexcept nogil:
    """Words that a column's counts take: rows with the bit by class, or their sum."""
    if target.kind == CLASSES:
        return target.n_classes
    return 1 if target.kind == BINARY else 2


cdef inline void count_bits(
    const Target* target,
    const uint64_t* bits,      # (n_rows,) of one word of columns
    uint64_t active,           # the columns that may vary
    const uint16_t* rows,      # (n,)
    int64_t n,
    int64_t* cells,            # OUT (64, cells_of(target)), zeroed here
) noexcept nogil:
    cdef int64_t i, c, n_cells = cells_of(target)
    cdef uint64_t word
    cdef int64_t unit
    memset(cells, 0, 64 * n_cells * sizeof(int64_t))
    for i in range(n):
        word = bits[rows[i]] & active
        if target.kind == BINARY:
            # Rows in the lower half, rows of class 1 in the upper one.
            unit = 1 | <int64_t>target.label[rows[i]] << 32
            while word:
                cells[trailing_zeros(word)] += unit
                word &= word - 1
        elif target.kind == CLASSES:
            c = target.label[rows[i]]
            while word:
                cells[trailing_zeros(word) * n_cells + c] += 1
                word &= word - 1
        else:
            while word:
                c = 2 * trailing_zeros(word)
                cells[c] += 1
                cells[c + 1] += target.value[rows[i]]
                word &= word - 1


cdef inline bint try_bit(
    const Target* target, const NodeStat* node, const int64_t* cell,
    const int64_t* totals, const Limits* limits, const Monotone* rule, int32_t feature,
    Split* best
) noexcept nogil:
    """Score the one split of a column; False if it is constant in the node.

    `cell` is the column's of `count_bits`; `totals` holds a node's class weights.
    """
    cdef int64_t n_right = 0, s = 0, c
    cdef double score
    cdef ClassSums sums
    if target.kind == CLASSES:
        for c in range(target.n_classes):
            n_right += cell[c]
    else:
        n_right = <uint32_t>cell[0]
        s = cell[0] >> 32 if target.kind == BINARY else cell[1]
    if n_right == 0 or n_right == node.n:
        return False
    if n_right < limits.min_samples_leaf or node.n - n_right < limits.min_samples_leaf:
        return True
    if target.kind == BINARY:
        score = score_binary(
            target.entropy, target.nlogn,
            node.n - n_right - (node.sum - s), node.sum - s, n_right - s, s)
        if not allows_binary(rule, node, node.n - n_right, node.sum - s):
            return True
    elif target.kind == REGRESSION:
        score = score_sums(target.loss, node, node.sum - s, node.weight - n_right)
        if not allows_sums(rule, node, node.sum - s, node.weight - n_right):
            return True
    else:
        if not allows_classes(rule, node, totals, cell, n_right, True):
            return True
        sums.weight = node.weight - n_right
        sums.left = 0.0
        sums.right = 0.0
        for c in range(target.n_classes):
            s = totals[c] - cell[c]
            if target.entropy:
                sums.left += nlogn(target, s)
                sums.right += nlogn(target, cell[c])
            else:
                sums.left += <double>s * <double>s
                sums.right += <double>cell[c] * <double>cell[c]
        score = score_classes(target, node, &sums)
    if score > best.score:
        best.score = score
        best.feature = feature
        best.missing_left = 0
    return True


cdef inline int64_t mark_bit(
    const uint64_t* bits, int shift, const uint16_t* rows, int64_t n,
    uint8_t* goes_left,        # OUT by row
    uint32_t* last_left,       # OUT a row that goes left
    uint32_t* first_right,     # OUT one that goes right
) noexcept nogil:
    """Write each row's side; return how many go left."""
    cdef int64_t i, n_left = 0, side
    for i in range(n):
        side = 1 - <int64_t>(bits[rows[i]] >> shift & 1)
        goes_left[rows[i]] = <uint8_t>side
        last_left[0] = rows[i] if side else last_left[0]
        first_right[0] = first_right[0] if side else rows[i]
        n_left += side
    return n_left
