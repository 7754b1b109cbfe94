"""Moving the rows of a leaf to its children, in the other buffer."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from fasttree._kernels.boost_engine cimport MOVE_BLOCK, Engine
from fasttree._kernels.gradient_histogram cimport LOOK_AHEAD
from fasttree._kernels.histogram cimport fasttree_prefetch

cdef enum:
    STREAM_ROWS = 1024         # of a leaf that several workers may read, or more

cdef extern from *:
    """
    #if defined(__x86_64__) || defined(_M_X64)
    #include <immintrin.h>
    #define fasttree_stream_row(p, x) _mm_stream_si32((int*)(p), (int)(x))
    #define fasttree_stream_sums(p, x) _mm_stream_si64((long long*)(p), (long long)(x))
    #define fasttree_end_stream() _mm_sfence()
    #else
    #define fasttree_stream_row(p, x) (*(p) = (x))
    #define fasttree_stream_sums(p, x) (*(p) = (x))
    #define fasttree_end_stream()
    #endif
    """
    # Write past the caches. A line that another processor has read or written has to be
    # taken from it before a write, one line after the other, and if the two share no
    # cache that makes two threads slower than one.
    void fasttree_stream_row(uint32_t* place, uint32_t row) noexcept nogil
    void fasttree_stream_sums(uint64_t* place, uint64_t sums) noexcept nogil
    # Let others see what was written so.
    void fasttree_end_stream() noexcept nogil


cdef inline void side_chunk(void* context, int64_t chunk, int worker) noexcept nogil:
    """Note which rows of the parent go left."""
    cdef Engine* e = <Engine*>context
    cdef int64_t start = chunk * MOVE_BLOCK, n = e.parent.n
    cdef int64_t stop = min(start + MOVE_BLOCK, n), i, count = 0
    cdef const uint8_t* column = e.split_column
    cdef const uint8_t* table = e.table
    cdef uint8_t* side = e.side + e.parent.begin
    cdef const uint32_t* rows = e.rows[e.parent.buffer] + e.parent.begin
    cdef uint8_t goes_left
    if e.parent.in_order:
        for i in range(start, stop):
            goes_left = table[column[i]]
            side[i] = goes_left
            count += goes_left
    else:
        for i in range(start, stop):
            if i + LOOK_AHEAD < n:
                fasttree_prefetch(column + rows[i + LOOK_AHEAD])
            goes_left = table[column[rows[i]]]
            side[i] = goes_left
            count += goes_left
    e.block_left[chunk] = count


cdef inline void stream_rows(
    Engine* e, const uint8_t* side, int64_t start, int64_t stop, int64_t left,
    int64_t right
) noexcept nogil:
    """Move the rows start:stop of the parent to its children's, past the caches."""
    cdef int64_t i, at, step
    cdef const uint32_t* rows = e.rows[e.parent.buffer] + e.parent.begin
    cdef const uint64_t* stat = e.stat[e.parent.buffer] + e.parent.begin
    cdef uint32_t* out = e.rows[1 - e.parent.buffer] + e.parent.begin
    cdef uint64_t* stat_out = e.stat[1 - e.parent.buffer] + e.parent.begin
    if e.parent.in_order:
        for i in range(start, stop):
            step = side[i]
            at = left if step else right
            fasttree_stream_row(out + at, <uint32_t>i)
            fasttree_stream_sums(stat_out + at, stat[i])
            left += step
            right += 1 - step
    elif e.move_stat:
        for i in range(start, stop):
            step = side[i]
            at = left if step else right
            fasttree_stream_row(out + at, rows[i])
            fasttree_stream_sums(stat_out + at, stat[i])
            left += step
            right += 1 - step
    else:
        for i in range(start, stop):
            step = side[i]
            at = left if step else right
            fasttree_stream_row(out + at, rows[i])
            left += step
            right += 1 - step
    fasttree_end_stream()


cdef inline void move_chunk(void* context, int64_t chunk, int worker) noexcept nogil:
    """Move the rows of the parent to the other buffer, left ones first."""
    cdef Engine* e = <Engine*>context
    cdef int64_t start = chunk * MOVE_BLOCK
    stream_rows(e, e.side + e.parent.begin, start, min(start + MOVE_BLOCK, e.parent.n),
                e.block_left[chunk], e.to_right + start - e.block_left[chunk])


cdef inline void move_rows(Engine* e) noexcept nogil:
    """Move the rows of the parent in one pass, those of the right side from its end.

    Their order matters to nothing but the cache; it ascends or descends in a leaf.
    """
    cdef int64_t n = e.parent.n, i, left = 0, right = n - 1, step, at
    cdef const uint8_t* column = e.split_column
    cdef const uint8_t* table = e.table
    cdef const uint32_t* rows = e.rows[e.parent.buffer] + e.parent.begin
    cdef const uint64_t* stat = e.stat[e.parent.buffer] + e.parent.begin
    cdef uint32_t* out = e.rows[1 - e.parent.buffer] + e.parent.begin
    cdef uint64_t* stat_out = e.stat[1 - e.parent.buffer] + e.parent.begin
    cdef bint in_order = e.parent.in_order
    cdef bint streams = e.team.n_workers > 1 and n >= STREAM_ROWS
    cdef uint32_t row
    for i in range(n):
        if in_order:
            row = <uint32_t>i
        else:
            row = rows[i]
            if i + LOOK_AHEAD < n:
                fasttree_prefetch(column + rows[i + LOOK_AHEAD])
        step = table[column[row]]
        if streams:
            at = left if step else right
            fasttree_stream_row(out + at, row)
            fasttree_stream_sums(stat_out + at, stat[i])
        else:
            # To both ends: what is wrong is written over.
            out[left] = out[right] = row
            stat_out[left] = stat_out[right] = stat[i]
        left += step
        right -= 1 - step
    if streams:
        fasttree_end_stream()
    e.to_right = left
