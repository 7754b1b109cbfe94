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
    PANEL_ROWS = 512
    LOOK_AHEAD = 64


cdef inline uint64_t pack_sums(int64_t gradient, int64_t hessian) noexcept nogil:
    return (<uint64_t>gradient << 32) + <uint64_t>hessian


cdef inline int32_t gradient_of(uint64_t sums) noexcept nogil:
    return <int32_t>(sums >> 32)


cdef inline int32_t hessian_of(uint64_t sums) noexcept nogil:
    return <int32_t>sums


cdef inline void add_to_bins(
    uint64_t* bins, uint64_t codes, uint64_t sums
) noexcept nogil:
    bins[codes & 255] += sums
    bins[256 + (codes >> 8 & 255)] += sums
    bins[512 + (codes >> 16 & 255)] += sums
    bins[768 + (codes >> 24 & 255)] += sums
    bins[1024 + (codes >> 32 & 255)] += sums
    bins[1280 + (codes >> 40 & 255)] += sums
    bins[1536 + (codes >> 48 & 255)] += sums
    bins[1792 + (codes >> 56)] += sums


cdef inline void sum_gradients(
    const uint64_t* panel,     # IN (n_rows, width)
    int64_t width,             # tiles of the panel, those that pad it too
    int64_t n_tiles,
    const uint32_t* rows,      # IN (n,), NULL: the rows first to first + n - 1
    int64_t first,
    const uint64_t* sums,      # IN (n,) in the order of `rows`
    int64_t n,
    uint64_t* block,           # (8, 512)
    uint64_t* bins,            # INOUT (n_tiles, 8, 256)
) noexcept nogil:
    """Add rows to the bins of a panel.

    The codes of a block of rows are gathered first, a cache line a row, and then
    pass tile by tile, so that the bins of one tile at a time are in the cache.
    """
    cdef int64_t start = 0, t, i, m
    cdef uint64_t* bins_t
    cdef const uint64_t* codes
    while start < n:
        m = min(<int64_t>PANEL_ROWS, n - start)
        for i in range(m):
            if rows == NULL:
                codes = panel + (first + start + i) * width
            else:
                if start + i + LOOK_AHEAD < n:
                    fasttree_prefetch(panel + rows[start + i + LOOK_AHEAD] * width)
                codes = panel + rows[start + i] * width
            for t in range(n_tiles):
                block[t * PANEL_ROWS + i] = codes[t]
        for t in range(n_tiles):
            bins_t = bins + 2048 * t
            codes = block + t * PANEL_ROWS
            for i in range(m):
                add_to_bins(bins_t, codes[i], sums[start + i])
        start += m


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
