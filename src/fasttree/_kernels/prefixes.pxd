"""Sums of a node's rows up to each code, for two classes and for regression.

Only codes that occur have a place, in order. The three ways of cells.pxd count them.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fasttree._kernels.cells cimport (
    CellSpace,
    Codes,
    hit_code,
    list_hit,
    ranks,
    sweeps,
)
from fasttree._kernels.few_rows cimport sort_few
from fasttree._kernels.histogram cimport fasttree_prefetch
from fasttree._kernels.types cimport BINARY, Target, code_t, entry_t


cdef inline uint64_t spread(uint32_t stat) noexcept nogil:
    """A row's weight in the lower half, that of class 1 in the upper one."""
    return (stat & 0xFFFF) | <uint64_t>(stat >> 16) << 32


cdef inline void count_rows(
    const code_t* codes, const entry_t* ids, int64_t n, int64_t count, CellSpace* space
) noexcept nogil:
    """Write the rows up to each of the `count` codes."""
    cdef int64_t i
    cdef uint32_t rows = 0
    for i in range(n):
        space.rows[codes[ids[i]]] += 1
    for i in range(count):
        rows += space.rows[space.codes[i]]
        space.rows[space.codes[i]] = 0
        space.counts[i] = rows


cdef inline int64_t count_binary(
    const code_t* codes, uint32_t n_codes, const entry_t* ids,
    const uint32_t* stats,     # (n,) weight | weight of class 1 << 16, by place
    int64_t n, bint with_rows, CellSpace* space
) noexcept nogil:
    """Write `codes`, `weights`, packed, and `counts` if asked; return how many."""
    cdef uint64_t* cells = space.cells
    cdef uint64_t* ordered = space.ordered
    cdef uint64_t* weights = <uint64_t*>space.weights
    cdef uint64_t cell, total = 0
    cdef int64_t i, count = 0
    cdef uint32_t code
    if ranks(n_codes, n):
        sort_few(codes, ids, stats, n, ordered)
        for i in range(n):
            total += spread(<uint32_t>ordered[i])
            space.codes[count] = <uint32_t>(ordered[i] >> 32)
            weights[count] = total
            space.counts[count] = <uint32_t>(i + 1)
            count += ordered[i] >> 32 != ordered[i + 1] >> 32
        return count
    if sweeps(n_codes, n):
        if entry_t is uint32_t:
            for i in range(n):
                if i + 24 < n:
                    fasttree_prefetch(codes + ids[i + 24])
                cells[codes[ids[i]]] += spread(stats[i])
        else:
            for i in range(n):
                cells[codes[ids[i]]] += spread(stats[i])
        for i in range(n_codes):
            cell = cells[i]
            cells[i] = 0
            total += cell
            space.codes[count] = <uint32_t>i
            weights[count] = total
            count += cell != 0
    else:
        for i in range(n):
            code = codes[ids[i]]
            cells[code] += spread(stats[i])
            hit_code(space, code)
        count = list_hit(space, n_codes)
        for i in range(count):
            code = space.codes[i]
            total += cells[code]
            cells[code] = 0
            weights[i] = total
    if with_rows:
        count_rows(codes, ids, n, count, space)
    return count


cdef inline int64_t sum_values(
    const code_t* codes, uint32_t n_codes, const entry_t* ids, int64_t n,
    const int64_t* pairs,      # (n, 2) weight * value and weight, by place
    bint with_rows, CellSpace* space
) noexcept nogil:
    """As `count_binary`, but `weights` and `sums`."""
    cdef int64_t* cells = <int64_t*>space.cells
    cdef int64_t* cell
    cdef uint64_t* ordered = space.ordered
    cdef int64_t i, count = 0, place, weight = 0, sum = 0
    cdef uint32_t code
    cdef bint swept = sweeps(n_codes, n)
    if ranks(n_codes, n):
        sort_few(codes, ids, NULL, n, ordered)
        for i in range(n):
            place = <int64_t>(<uint32_t>ordered[i])
            sum += pairs[2 * place]
            weight += pairs[2 * place + 1]
            space.codes[count] = <uint32_t>(ordered[i] >> 32)
            space.sums[count] = sum
            space.weights[count] = weight
            space.counts[count] = <uint32_t>(i + 1)
            count += ordered[i] >> 32 != ordered[i + 1] >> 32
        return count
    for i in range(n):
        if entry_t is uint32_t:
            if i + 24 < n:
                fasttree_prefetch(codes + ids[i + 24])
        code = codes[ids[i]]
        cell = cells + 2 * <int64_t>code
        cell[0] += pairs[2 * i]
        cell[1] += pairs[2 * i + 1]
        if not swept:
            hit_code(space, code)
    if swept:
        for i in range(n_codes):
            cell = cells + 2 * i
            sum += cell[0]
            weight += cell[1]
            space.codes[count] = <uint32_t>i
            space.sums[count] = sum
            space.weights[count] = weight
            count += cell[1] != 0
            cell[0] = 0
            cell[1] = 0
    else:
        count = list_hit(space, n_codes)
        for i in range(count):
            cell = cells + 2 * <int64_t>space.codes[i]
            sum += cell[0]
            weight += cell[1]
            space.sums[i] = sum
            space.weights[i] = weight
            cell[0] = 0
            cell[1] = 0
    if with_rows:
        count_rows(codes, ids, n, count, space)
    return count


cdef inline void pair_values(
    const Target* target, const entry_t* ids, int64_t n, int64_t* pairs
) noexcept nogil:
    """Gather what `sum_values` adds up, once for all columns."""
    cdef int64_t i
    for i in range(n):
        if entry_t is uint32_t:
            if i + 24 < n:
                fasttree_prefetch(target.value + ids[i + 24])
        pairs[2 * i] = target.value[ids[i]]
        pairs[2 * i + 1] = 1
    if target.weight != NULL:
        for i in range(n):
            if entry_t is uint32_t:
                if i + 24 < n:
                    fasttree_prefetch(target.weight + ids[i + 24])
            pairs[2 * i + 1] = target.weight[ids[i]]


cdef inline int64_t count_column(
    const Codes* column, const entry_t* ids, const uint32_t* stats,
    const int64_t* pairs, int64_t n, const Target* target, bint with_rows,
    CellSpace* space
) noexcept nogil:
    """Write a column's sums up to each code, for BINARY and sums."""
    if target.kind == BINARY:
        if column.size == 1:
            return count_binary(<const uint8_t*>column.codes, column.n_codes, ids,
                                stats, n, with_rows, space)
        if column.size == 2:
            return count_binary(<const uint16_t*>column.codes, column.n_codes, ids,
                                stats, n, with_rows, space)
        return count_binary(<const uint32_t*>column.codes, column.n_codes, ids, stats,
                            n, with_rows, space)
    if column.size == 1:
        return sum_values(<const uint8_t*>column.codes, column.n_codes, ids, n, pairs,
                          with_rows, space)
    if column.size == 2:
        return sum_values(<const uint16_t*>column.codes, column.n_codes, ids, n, pairs,
                          with_rows, space)
    return sum_values(<const uint32_t*>column.codes, column.n_codes, ids, n, pairs,
                      with_rows, space)
