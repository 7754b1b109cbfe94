"""Sorting a handful of rows by code, without branches.

A row's place is the number of keys below its own. All pairs of keys are compared, in
vectors of 16 (or 8), which for up to 64 rows costs less than the branches that any
other sort would mispredict.
"""

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t

from fasttree._kernels.types cimport code_t, entry_t

cdef enum:
    RANKED_ROWS = 64          # what the 6 lowest bits of a key number
    MOST_RANKED_CODES = 1 << 25

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    #if defined(__GNUC__)
    typedef int16_t fasttree_lanes_16 __attribute__((vector_size(32)));
    typedef int32_t fasttree_lanes_32 __attribute__((vector_size(32)));
    #define FASTTREE_RANK(name, type, lanes)                                        \\
        static inline void name(const type* key, int64_t n, type* rank) {           \\
            const int64_t step = 32 / sizeof(type);                                 \\
            int64_t first, j;                                                       \\
            for (first = 0; first < n; first += step) {                             \\
                lanes own, below = {0};                                             \\
                memcpy(&own, key + first, 32);                                      \\
                for (j = 0; j < n; j++) below -= own > key[j];                      \\
                memcpy(rank + first, &below, 32);                                   \\
            }                                                                       \\
        }
    #else
    #define FASTTREE_RANK(name, type, lanes)                                        \\
        static inline void name(const type* key, int64_t n, type* rank) {           \\
            int64_t i, j;                                                           \\
            for (i = 0; i < n; i++) {                                               \\
                type below = 0;                                                     \\
                for (j = 0; j < n; j++) below += key[i] > key[j];                   \\
                rank[i] = below;                                                    \\
            }                                                                       \\
        }
    #endif
    /* Of n different keys; whole vectors are read and written. */
    FASTTREE_RANK(fasttree_rank_narrow, int16_t, fasttree_lanes_16)
    FASTTREE_RANK(fasttree_rank_wide, int32_t, fasttree_lanes_32)
    """
    void rank_narrow "fasttree_rank_narrow"(
        const int16_t* key, int64_t n, int16_t* rank) noexcept nogil
    void rank_wide "fasttree_rank_wide"(
        const int32_t* key, int64_t n, int32_t* rank) noexcept nogil


cdef inline void sort_few(
    const code_t* codes, const entry_t* ids, const uint32_t* stats, int64_t n,
    uint64_t* ordered          # OUT (n + 1,) code << 32 | stat; a code of no row
) noexcept nogil:
    """Sort up to RANKED_ROWS rows by code; without `stats`, places stand for them."""
    cdef int16_t narrow[RANKED_ROWS]
    cdef int16_t narrow_rank[RANKED_ROWS]
    cdef int32_t wide[RANKED_ROWS]
    cdef int32_t wide_rank[RANKED_ROWS]
    cdef int64_t i
    cdef uint64_t stat
    if code_t is uint8_t:
        for i in range(n):
            narrow[i] = <int16_t>(<int32_t>codes[ids[i]] << 6 | i)
        for i in range(n, (n + 15) & ~<int64_t>15):
            narrow[i] = 0
        rank_narrow(narrow, n, narrow_rank)
    else:
        for i in range(n):
            wide[i] = <int32_t>(codes[ids[i]] << 6 | i)
        for i in range(n, (n + 7) & ~<int64_t>7):
            wide[i] = 0
        rank_wide(wide, n, wide_rank)
    for i in range(n):
        stat = <uint32_t>i if stats == NULL else stats[i]
        if code_t is uint8_t:
            ordered[narrow_rank[i]] = <uint64_t>(narrow[i] >> 6) << 32 | stat
        else:
            ordered[wide_rank[i]] = <uint64_t>(wide[i] >> 6) << 32 | stat
    ordered[n] = <uint64_t>-1
