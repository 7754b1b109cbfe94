"""Histograms of gradients: one uint64 holds the sums of a bin.

A row's gradient and hessian are whole numbers of a tree's units, held as
``(gradient << 32) + hessian``. Sums of such words are the words of the sums, as long
as both stay below 2**31 in magnitude, which the units are chosen for. They are exact:
any order of the rows, and a parent less one child, give the same bits.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from fasttree._kernels.histogram cimport fasttree_prefetch

cdef enum:
    TILE_BINS = 256
    TILE_COLUMNS = 8
    PANEL_TILES = 8            # a row of a full panel is a cache line
    BLOCK_WORDS = 4160         # memory of sum_gradients
    LOOK_AHEAD = 64

cdef extern from *:
    """
    #include <stddef.h>
    #include <stdint.h>
    #include <string.h>
    #if defined(__GNUC__) || defined(__clang__)
    /* Into the second level: the first one is full of bins. */
    #define fasttree_fetch(p) __builtin_prefetch((p), 0, 2)
    #else
    #define fasttree_fetch(p)
    #endif

    /* Rows of a block, and the words between its tiles: a power of two would put all
       of them in the same places of the cache. */
    enum { FASTTREE_ROWS = 512, FASTTREE_STRIDE = 520 };

    /* Copy `taken` tiles of m rows tile by tile. Four rows at a time are transposed in
       registers; `taken` and whether there are `rows` are constants. */
    static inline void fasttree_part_tiles(
        const int taken, int64_t width, const uint64_t* panel, const uint32_t* rows,
        int64_t m, uint64_t* block
    ) {
        uint64_t codes[4][8];
        int64_t i = 0;
        int j, t;
        for (; i + 4 <= m; i += 4) {
            for (j = 0; j < 4; j++)
                memcpy(codes[j], panel + (rows == NULL ? i + j : rows[i + j]) * width,
                       8 * taken);
            for (t = 0; t < taken; t++)
                for (j = 0; j < 4; j++)
                    block[t * FASTTREE_STRIDE + i + j] = codes[j][t];
        }
        for (; i < m; i++)
            for (t = 0; t < taken; t++)
                block[t * FASTTREE_STRIDE + i] =
                    panel[(rows == NULL ? i : rows[i]) * width + t];
    }

    static inline void fasttree_gather(
        int64_t taken, int64_t width, const uint64_t* panel, const uint32_t* rows,
        int64_t m, uint64_t* block
    ) {
        if (rows == NULL) {
            if (taken == 8) fasttree_part_tiles(8, 8, panel, NULL, m, block);
            else if (taken == 4) fasttree_part_tiles(4, width, panel, NULL, m, block);
            else if (taken == 2) fasttree_part_tiles(2, width, panel, NULL, m, block);
            else fasttree_part_tiles(1, width, panel, NULL, m, block);
        } else {
            if (taken == 8) fasttree_part_tiles(8, 8, panel, rows, m, block);
            else if (taken == 4) fasttree_part_tiles(4, width, panel, rows, m, block);
            else if (taken == 2) fasttree_part_tiles(2, width, panel, rows, m, block);
            else fasttree_part_tiles(1, width, panel, rows, m, block);
        }
    }

    static inline void fasttree_add_four(
        uint64_t* bins, uint32_t codes, uint64_t sums
    ) {
        bins[codes & 255] += sums;
        bins[256 + (codes >> 8 & 255)] += sums;
        bins[512 + (codes >> 16 & 255)] += sums;
        bins[768 + (codes >> 24)] += sums;
    }

    /* Add m rows to the bins of a tile of eight columns, or of up to four. */
    static inline void fasttree_add_rows(
        const int all_eight, const uint64_t* codes, const uint64_t* sums, int64_t m,
        uint64_t* bins
    ) {
        int64_t i;
        for (i = 0; i < m; i++) {
            fasttree_add_four(bins, (uint32_t)codes[i], sums[i]);
            if (all_eight)
                fasttree_add_four(bins + 1024, (uint32_t)(codes[i] >> 32), sums[i]);
        }
    }

    static inline void fasttree_sum_gradients(
        const uint64_t* panel, int64_t width, int64_t taken, int64_t n_columns,
        const uint32_t* rows, const uint64_t* sums, int64_t n, uint64_t* block,
        uint64_t* bins
    ) {
        const int64_t n_tiles = (n_columns + 7) / 8;
        /* Consecutive rows share cache lines. */
        const int64_t step = rows == NULL ? 8 / width : 1, few = step * n_tiles;
        int64_t start, t, i, k, next, m;
        if (rows != NULL)
            for (i = 0; i < n && i < FASTTREE_ROWS; i++)
                fasttree_fetch(panel + rows[i] * width);
        for (start = 0; start < n; start += m) {
            m = n - start < FASTTREE_ROWS ? n - start : FASTTREE_ROWS;
            fasttree_gather(taken, width, rows == NULL ? panel + start * width : panel,
                            rows == NULL ? NULL : rows + start, m, block);
            /* The next block's rows are fetched while this one's are added. */
            next = start + m;
            for (t = 0; t < n_tiles; t++) {
                const uint64_t* codes = block + t * FASTTREE_STRIDE;
                uint64_t* bins_t = bins + 2048 * t;
                for (i = 0; i < m; i += few) {
                    k = m - i < few ? m - i : few;
                    if (next < n) {
                        fasttree_fetch(
                            panel + (rows == NULL ? next : rows[next]) * width);
                        next += step;
                    }
                    if (n_columns - 8 * t > 4)
                        fasttree_add_rows(1, codes + i, sums + start + i, k, bins_t);
                    else
                        fasttree_add_rows(0, codes + i, sums + start + i, k, bins_t);
                }
            }
        }
    }
    """
    # Add rows to the bins (n_tiles, 8, 256) of the first columns of a panel
    # (n_rows, width), of whose tiles `taken` are read: 1, 2, 4 or 8. `rows` (n,) may be
    # NULL: the panel's first n rows. `sums` (n,) are in the order of `rows`.
    #
    # The codes of a block of rows are gathered first, a cache line a row, and then
    # pass tile by tile, so that the bins of one tile at a time are in the cache.
    void sum_gradients "fasttree_sum_gradients"(
        const uint64_t* panel, int64_t width, int64_t taken, int64_t n_columns,
        const uint32_t* rows, const uint64_t* sums, int64_t n, uint64_t* block,
        uint64_t* bins
    ) noexcept nogil


cdef inline uint64_t pack_sums(int64_t gradient, int64_t hessian) noexcept nogil:
    return (<uint64_t>gradient << 32) + <uint64_t>hessian


cdef inline int32_t gradient_of(uint64_t sums) noexcept nogil:
    return <int32_t>(sums >> 32)


cdef inline int32_t hessian_of(uint64_t sums) noexcept nogil:
    return <int32_t>sums


cdef inline void count_rows(
    const uint8_t* column,     # IN by row
    const uint32_t* rows,      # IN (n,), NULL: the rows 0 to n - 1
    int64_t n,
    uint32_t* counts,          # OUT (256,)
) noexcept nogil:
    """Count the rows of each code of one column."""
    cdef int64_t i
    for i in range(256):
        counts[i] = 0
    if rows == NULL:
        for i in range(n):
            counts[column[i]] += 1
        return
    for i in range(n):
        if i + LOOK_AHEAD < n:
            fasttree_prefetch(column + rows[i + LOOK_AHEAD])
        counts[column[rows[i]]] += 1
