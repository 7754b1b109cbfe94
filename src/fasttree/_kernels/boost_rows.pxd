"""Loops over the rows of a tree: units of gradients, and leaf values."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from fasttree._kernels.boost_engine cimport (
    MARK_BLOCK, ROW_BLOCK, Engine, Leaf, Node
)
from fasttree._kernels.gradient_histogram cimport PANEL_TILES
from fasttree._kernels.objective cimport BLOCK, round_block, sum_block
from fasttree._kernels.sparse_cells cimport spread_row


cdef inline void sum_chunk(void* context, int64_t chunk, int worker) noexcept nogil:
    cdef Engine* e = <Engine*>context
    cdef int64_t start = chunk * ROW_BLOCK, stop = min(start + ROW_BLOCK, e.n_rows)
    cdef int64_t at
    at = start
    while at < stop:
        sum_block(e.g + at, e.h + at, min(at + BLOCK, stop) - at,
                  e.block_sums + at // BLOCK)
        at += BLOCK


cdef inline void round_chunk(void* context, int64_t chunk, int worker) noexcept nogil:
    """Round the gradients of some rows, and raise their hessians to one unit.

    Rounding does that, and leaf values must too: where many rows have next to none, a
    leaf would have `min_sum_hessian` in units and a value without bounds.
    """
    cdef Engine* e = <Engine*>context
    cdef int64_t start = chunk * ROW_BLOCK, stop = min(start + ROW_BLOCK, e.n_work), i
    cdef float least = <float>e.reg.hessian_unit
    cdef float* h = e.h
    e.block_totals[chunk] = round_block(
        e.g, h, e.sample, start, stop, e.per_gradient, e.per_hessian, e.stat[0])
    if e.sample == NULL:
        for i in range(start, stop):
            h[i] = h[i] if h[i] > least else least
    else:
        memcpy(e.rows[0] + start, e.sample + start, (stop - start) * sizeof(uint32_t))
        for i in range(start, stop):
            h[e.sample[i]] = max(h[e.sample[i]], least)


cdef inline int32_t find_leaf(
    const Engine* e, const uint8_t* sparse, int64_t row
) noexcept nogil:
    """Return the number of a row's leaf; `sparse` are its bytes of those columns."""
    cdef const Node* node = e.nodes
    cdef uint64_t code
    cdef int64_t panel, width
    while node.left >= 0:
        if node.slot >= 8 * e.n_tiles:
            code = sparse[node.slot - 8 * e.n_tiles]
        else:
            panel = node.slot >> 6
            width = e.last_width if panel == e.n_panels - 1 else <int64_t>PANEL_TILES
            code = e.tiles[panel * PANEL_TILES * e.n_rows + row * width
                           + (node.slot >> 3 & 7)]
            code = code >> (8 * (node.slot & 7)) & 255
        if node.set[code >> 6] >> (code & 63) & 1:
            node = e.nodes + node.left
        else:
            node = e.nodes + node.right
    return node.leaf


cdef inline void walk_chunk(void* context, int64_t chunk, int worker) noexcept nogil:
    """Find the leaves of all rows, those outside the sample too."""
    cdef Engine* e = <Engine*>context
    cdef int64_t start = chunk * ROW_BLOCK, stop = min(start + ROW_BLOCK, e.n_rows)
    cdef int64_t i
    cdef uint8_t* sparse = e.row_bytes + worker * e.sparse.n_columns
    for i in range(start, stop):
        spread_row(&e.sparse, i, sparse, True)
        e.leaf_of[i] = <uint16_t>find_leaf(e, sparse, i)
        spread_row(&e.sparse, i, sparse, False)


cdef inline int64_t count_below(
    const uint32_t* rows, int64_t n, bint ascending, int64_t bound
) noexcept nogil:
    """Return how many of a leaf's rows are below a bound; their order is monotonic."""
    cdef int64_t low = 0, high = n, middle
    while low < high:
        middle = (low + high) // 2
        if (rows[middle] < bound) == ascending:
            low = middle + 1
        else:
            high = middle
    return low if ascending else n - low


cdef inline void mark_chunk(void* context, int64_t chunk, int worker) noexcept nogil:
    """Note the leaves of a block of rows, so that no other worker writes beside."""
    cdef Engine* e = <Engine*>context
    cdef int64_t start = chunk * MARK_BLOCK, stop = min(start + MARK_BLOCK, e.n_rows)
    cdef int64_t leaf, i, first, last
    cdef const Leaf* at
    cdef const uint32_t* rows
    cdef bint ascending
    cdef uint16_t* leaf_of = e.leaf_of
    for leaf in range(e.n_leaves):
        at = e.leaves + leaf
        if at.in_order:
            for i in range(start, stop):
                leaf_of[i] = <uint16_t>leaf
            continue
        if at.n == 0:
            continue
        rows = e.rows[at.buffer] + at.begin
        ascending = rows[0] <= rows[at.n - 1]
        first = count_below(rows, at.n, ascending, start)
        last = count_below(rows, at.n, ascending, stop)
        if not ascending:
            first, last = at.n - last, at.n - first
        for i in range(first, last):
            leaf_of[rows[i]] = <uint16_t>leaf


cdef inline void refit_chunk(void* context, int64_t chunk, int worker) noexcept nogil:
    """Sum the gradients of each leaf over a block of rows."""
    cdef Engine* e = <Engine*>context
    cdef int64_t start = chunk * e.refit_rows
    cdef int64_t stop = min(start + e.refit_rows, e.n_rows), i
    cdef double* sums = e.leaf_sums + 2 * chunk * e.n_leaves
    cdef double* cell
    cdef const float* g = e.g
    cdef const float* h = e.h
    cdef const uint16_t* leaf_of = e.leaf_of
    memset(sums, 0, 2 * e.n_leaves * sizeof(double))
    for i in range(start, stop):
        cell = sums + 2 * leaf_of[i]
        cell[0] += g[i]
        cell[1] += h[i]


cdef inline void add_chunk(void* context, int64_t chunk, int worker) noexcept nogil:
    """Add the values of the rows' leaves to the raw predictions."""
    cdef Engine* e = <Engine*>context
    cdef int64_t start = chunk * ROW_BLOCK, stop = min(start + ROW_BLOCK, e.n_rows)
    cdef int64_t i
    for i in range(start, stop):
        e.raw[i] += e.values[e.leaf_of[i]]
