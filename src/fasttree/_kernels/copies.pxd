"""The copy of a narrow node: its codes or keys and its targets, by rows of its own."""

from libc.stdint cimport (
    int32_t,
    int64_t,
    uint8_t,
    uint16_t,
    uint32_t,
    uint64_t,
)
from libc.string cimport memcpy

from fasttree._kernels.cells cimport Codes, renumber
from fasttree._kernels.grower cimport Grower
from fasttree._kernels.histogram cimport fasttree_prefetch
from fasttree._kernels.keys cimport make_keys
from fasttree._kernels.parting cimport code_at
from fasttree._kernels.transpose cimport transpose
from fasttree._kernels.types cimport (
    BINARY,
    REGRESSION,
    SUMS,
    Target,
)

cdef inline void copy_bytes(
    const uint8_t* codes, const uint32_t* rows, int64_t n, uint8_t* out
) noexcept nogil:
    cdef int64_t i
    for i in range(n):
        if i + 24 < n:
            fasttree_prefetch(codes + rows[i + 24])
        out[i] = codes[rows[i]]


cdef inline void copy_rows(Grower* g, const uint32_t* rows, int64_t n) noexcept nogil:
    """Copy all columns of narrow codes, a row's at a time: they lie close together."""
    cdef const uint8_t* from_[8]
    cdef uint8_t* to[8]
    cdef int64_t size = g.code_bytes, step = 2 * g.narrow_rows, i, j, f
    cdef int64_t whole = n & ~<int64_t>7
    for i in range(0, whole, 8):
        for j in range(8):
            from_[j] = g.row_codes + rows[i + j] * size
            if i + j + 24 < n:
                fasttree_prefetch(g.row_codes + rows[i + j + 24] * size)
                if size > 32:
                    fasttree_prefetch(
                        g.row_codes + rows[i + j + 24] * size + size - 1)
        for f in range(0, size, 8):
            for j in range(8):
                to[j] = g.own_codes + (f + j) * step + i
            transpose(from_, to)
            for j in range(8):
                from_[j] += 8
    for i in range(whole, n):
        for f in range(g.n_features):
            (g.own_codes + f * step)[i] = g.row_codes[rows[i] * size + f]


cdef inline void copy_columns(
    Grower* g, const uint32_t* rows, int64_t n, uint64_t* mask
) noexcept nogil:
    """Copy the columns that may vary; those that turn out constant leave `mask`."""
    cdef const Codes* column
    cdef Codes* own
    cdef uint16_t* out
    cdef uint8_t* narrow
    cdef int64_t f, i
    cdef uint32_t count
    if g.row_codes != NULL:
        copy_rows(g, rows, n)
    for f in range(g.n_features):
        if not mask[f >> 6] >> (f & 63) & 1:
            continue
        column = g.columns + f
        own = g.own_columns + f
        out = <uint16_t*>g.own_codes + f * g.narrow_rows
        own.codes = out
        own.categorical = column.categorical
        own.monotone = column.monotone
        if column.size == 1:
            if g.row_codes == NULL:
                copy_bytes(<const uint8_t*>column.codes, rows, n, <uint8_t*>out)
            own.size = 1
            own.n_codes = column.n_codes
            own.missing = column.missing
            continue
        if column.size == 2:
            count = renumber(<const uint16_t*>column.codes, column.n_codes, rows, n,
                             &g.cells, out)
        else:
            count = renumber(<const uint32_t*>column.codes, column.n_codes, rows, n,
                             &g.cells, out)
        if count == 1:
            mask[f >> 6] &= ~(<uint64_t>1 << (f & 63))
            continue
        # A missing value has the largest code, so the last of the copy.
        own.missing = count
        for i in range(n):
            if out[i] == count - 1:
                if code_at(column, rows[i]) == column.missing:
                    own.missing = count - 1
                break
        own.n_codes = count
        own.size = 2
        if count <= 256:
            narrow = <uint8_t*>out
            for i in range(n):
                narrow[i] = <uint8_t>out[i]
            own.size = 1


cdef inline void copy_keys(Grower* g, const uint32_t* rows, int64_t n) noexcept nogil:
    """Copy the rows' keys: what a small node looks at lies close together."""
    cdef int64_t i, size = g.row_bytes
    for i in range(n):
        if i + 12 < n:
            fasttree_prefetch(g.row_keys + rows[i + 12] * size)
            fasttree_prefetch(g.row_keys + rows[i + 12] * size + 64)
        memcpy(g.own_keys + i * size, g.row_keys + rows[i] * size, size)
        if g.raw_size == sizeof(int32_t):
            make_keys(<int32_t*>(g.own_keys + i * size), g.n_features)
        elif g.raw_size == sizeof(int64_t):
            make_keys(<int64_t*>(g.own_keys + i * size), g.n_features)


cdef inline void copy_targets(
    Grower* g, const uint32_t* rows, int64_t n
) noexcept nogil:
    """Copy what the node predicts, and number its rows, in each of their orders."""
    cdef const Target* target = &g.target
    cdef const Target* own = &g.own_target
    cdef int64_t i, o, at, of
    for i in range(n):
        g.ids[i] = <uint16_t>i
    if target.n_orders > 1:
        for i in range(n):
            g.local[rows[i]] = <uint16_t>i
        for o in range(1, target.n_orders):
            for i in range(n):
                g.ids[o * own.stride + i] = g.local[rows[o * target.stride + i]]
    if target.kind == BINARY:
        return
    if target.weight != NULL:
        for i in range(n):
            g.own_weight[i] = target.weight[rows[i]]
    if target.kind == REGRESSION or target.kind == SUMS:
        for i in range(n):
            for o in range(target.n_outputs):
                at = i * own.row_step + o * own.output_step
                of = rows[i] * target.row_step + o * target.output_step
                g.own_value[at] = target.value[of]
                g.own_response[at] = target.response[of]
        return
    for i in range(n):
        for o in range(target.n_outputs):
            g.own_label[i * target.n_outputs + o] = (
                target.label[rows[i] * target.n_outputs + o])
