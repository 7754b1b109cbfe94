"""Loops that fill a fit's gradients, and that draw the rows of a tree."""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from fasttree._kernels.boost_engine cimport ROW_BLOCK
from fasttree._kernels.objective cimport (
    MULTINOMIAL, gradients_of_block, gradients_of_classes
)
from fasttree._kernels.random cimport mix
from fasttree._kernels.ranking cimport RANK_ARRAYS, Ranking, rank_query

cdef enum:
    QUERIES = 16               # of a chunk

cdef struct GradientTask:
    int loss
    double parameter
    int64_t n_classes          # of the multinomial loss
    int64_t n_rows
    const double* raw
    const double* y
    const double* weight
    float* g
    float* h


cdef inline void gradient_chunk(void* context, int64_t chunk, int worker) noexcept nogil:
    cdef GradientTask* task = <GradientTask*>context
    cdef int64_t at = chunk * ROW_BLOCK, stop = min(at + ROW_BLOCK, task.n_rows)
    cdef float[1024] largest
    cdef float[1024] total
    if task.loss != MULTINOMIAL:
        gradients_of_block(task.loss, task.parameter, task.raw, task.y, task.weight,
                           at, stop, task.g, task.h)
        return
    while at < stop:
        gradients_of_classes(
            task.n_classes, task.n_rows, task.raw, task.y, task.weight, at,
            min(at + 1024, stop), task.g, task.h, largest, total)
        at += 1024

cdef struct SampleTask:
    int64_t n_rows
    uint64_t key
    uint64_t below             # a row is drawn if its number is below
    uint64_t rest_below        # the same for rows of small gradients
    float amplify              # of the drawn ones of those
    float threshold            # of |g| * h; below 0: all are large
    float* g
    float* h
    uint32_t* rows
    int64_t* block_n


cdef inline bint is_drawn(const SampleTask* task, int64_t row) noexcept nogil:
    cdef uint64_t number = mix(task.key + <uint64_t>row) >> 11
    cdef float size
    if task.threshold < 0:
        return number < task.below
    size = task.g[row] * task.h[row]
    if size < 0:
        size = -size
    return number < (task.below if size > task.threshold else task.rest_below)


cdef inline void drop_chunk(void* context, int64_t chunk, int worker) noexcept nogil:
    """Count the drawn rows of a block, and take the others' gradients away."""
    cdef SampleTask* task = <SampleTask*>context
    cdef int64_t start = chunk * ROW_BLOCK, stop = min(start + ROW_BLOCK, task.n_rows)
    cdef int64_t i, count = 0
    cdef float size
    for i in range(start, stop):
        if not is_drawn(task, i):
            # Never that of a drawn row: hessians are positive there.
            task.g[i] = 0.0
            task.h[i] = -1.0
            continue
        count += 1
        if task.threshold >= 0:
            size = task.g[i] * task.h[i]
            if (size if size > 0 else -size) <= task.threshold:
                task.g[i] *= task.amplify
                task.h[i] *= task.amplify
    task.block_n[chunk] = count


cdef inline void list_chunk(void* context, int64_t chunk, int worker) noexcept nogil:
    """List the drawn rows of a block."""
    cdef SampleTask* task = <SampleTask*>context
    cdef int64_t start = chunk * ROW_BLOCK, stop = min(start + ROW_BLOCK, task.n_rows)
    cdef int64_t i, at = task.block_n[chunk]
    for i in range(start, stop):
        if task.h[i] < 0:
            task.h[i] = 0.0
        else:
            task.rows[at] = <uint32_t>i
            at += 1

cdef struct RankTask:
    Ranking ranking
    int64_t n_queries
    const double* raw
    int32_t* order             # (n_rows,)
    float* work                # (n_workers, RANK_ARRAYS, ranking.longest)
    float* g
    float* h


cdef inline void rank_chunk(void* context, int64_t chunk, int worker) noexcept nogil:
    cdef RankTask* task = <RankTask*>context
    cdef int64_t query, first, start = chunk * QUERIES
    for query in range(start, min(start + QUERIES, task.n_queries)):
        first = task.ranking.start[query]
        rank_query(&task.ranking, query, task.raw, task.order + first,
                   task.work + worker * RANK_ARRAYS * task.ranking.longest, task.g,
                   task.h)
