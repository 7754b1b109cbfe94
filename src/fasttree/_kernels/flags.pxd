"""Flags of entries as bits of a word: one scan step a candidate, not one a row.

Columns of equal values have few candidates, at places that no branch predictor
knows. As bits they are found by counting zeros, and the rows of class 1 before them
by counting ones.
"""

from libc.stdint cimport int64_t, uint16_t, uint64_t
from libc.string cimport memcpy

from fasttree._kernels.bits cimport trailing_zeros
from fasttree._kernels.impurity cimport score_binary
from fasttree._kernels.types cimport NodeStat, Split

cdef extern from *:
    """
    #if defined(_MSC_VER) && !defined(__clang__)
    #include <intrin.h>
    #define fasttree_count_bits(x) ((int)__popcnt64(x))
    #else
    #define fasttree_count_bits(x) __builtin_popcountll(x)
    #endif
    """
    int count_set "fasttree_count_bits"(uint64_t x) noexcept nogil

cdef enum:
    WORD = 64                 # entries whose flags are seen at once
    NEW = 15
    ONE = 13


cdef inline uint64_t four_flags(uint64_t entries, int flag) noexcept nogil:
    """Bit `flag` of four entries as the lowest four bits.

    The product adds each of the four bits at 48 to 51, and others that meet none of
    them below.
    """
    return (((entries >> flag) & <uint64_t>0x0001000100010001)
            * <uint64_t>0x0001000200040008) >> 48 & 15


cdef inline void gather_flags(
    const uint16_t* entries, int64_t n, uint64_t* new, uint64_t* ones
) noexcept nogil:
    """Flags of up to 64 entries; bit i is that of entry i."""
    cdef uint64_t four
    cdef int64_t i = 0
    new[0] = 0
    ones[0] = 0
    while i + 4 <= n:
        memcpy(&four, entries + i, 8)
        new[0] |= four_flags(four, NEW) << i
        ones[0] |= four_flags(four, ONE) << i
        i += 4
    while i < n:
        new[0] |= <uint64_t>(entries[i] >> NEW & 1) << i
        ones[0] |= <uint64_t>(entries[i] >> ONE & 1) << i
        i += 1


cdef inline void scan_flags(
    const uint16_t* entries, int64_t first, int64_t last, int64_t missing_n,
    int64_t missing_ones, const NodeStat* node, bint entropy, const double* f,
    Split* best,
) noexcept nogil:
    """Candidates at positions first..last < 64, as `scan_binary` finds them."""
    cdef int64_t all1 = node.sum, all0 = node.n - node.sum, k, l0, l1
    cdef uint64_t new, ones, bit
    cdef double score, best_score = best.score
    gather_flags(entries, last + 1, &new, &ones)
    new = new >> first << first
    while new:
        bit = new & (0 - new)
        k = trailing_zeros(new)
        new ^= bit
        l1 = missing_ones + count_set(ones & (bit - 1))
        l0 = k + missing_n - l1
        score = score_binary(entropy, f, l0, l1, all0 - l0, all1 - l1)
        if score > best_score:
            best_score = score
            best.score = score
            best.position = k
            best.missing_left = missing_n > 0
