"""A node small enough to be copied out: one thread's memory, and the copying.

Rows are renumbered from 0, so that 13 bits hold one; the columns become lists of local
entries, and those of two values bits.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from fasttree._kernels.absolute cimport free_medians, reserve_medians
from fasttree._kernels.bits cimport cells_of, pack_bytes
from fasttree._kernels.histogram cimport BINS, TILE
from fasttree._kernels.partition cimport partition_entries
from fasttree._kernels.records cimport arena_free
from fasttree._kernels.scan cimport Run, scan_entries
from fasttree._kernels.subtree cimport (
    Frame,
    LOCAL_MISSING,
    LOCAL_NEW,
    Workspace,
    grow_frames,
)
from fasttree._kernels.types cimport ABSOLUTE, BINARY, Feature, REGRESSION, SUMS, Target
from fasttree._kernels.view cimport Job, View


cdef inline bint reserve_workspace(
    Workspace* w, const View* view, int64_t capacity
) noexcept nogil:
    """Make room in a zeroed workspace; False if there is no memory."""
    cdef int64_t F = view.n_features
    cdef int64_t n_outputs = view.target.n_outputs
    w.scan_list = scan_entries
    w.partition_list = partition_entries
    w.capacity = capacity
    w.n_features = F
    w.n_words = view.n_words
    w.lists = <uint16_t*>calloc(F * capacity, sizeof(uint16_t))
    w.ids = <uint16_t*>calloc(
        view.target.n_orders * capacity, sizeof(uint16_t))
    w.spare = <uint16_t*>calloc(capacity, sizeof(uint16_t))
    w.goes_left = <uint8_t*>calloc(capacity, 1)
    w.codes = <uint64_t*>calloc(capacity, sizeof(uint64_t))
    w.n_bit_words = view.n_bit_words
    w.listed = view.listed
    w.bits = <uint64_t*>calloc(w.n_bit_words * capacity + 1, sizeof(uint64_t))
    w.cells = <int64_t*>calloc(
        64 * w.n_bit_words * cells_of(&view.target) + 1, sizeof(int64_t))
    w.label = <uint16_t*>calloc(n_outputs * capacity, sizeof(uint16_t))
    w.weight = <int64_t*>calloc(capacity, sizeof(int64_t))
    w.value = <int64_t*>calloc(n_outputs * capacity, sizeof(int64_t))
    w.response = <double*>calloc(n_outputs * capacity, sizeof(double))
    w.frames = <Frame*>calloc(capacity + 2, sizeof(Frame))
    w.masks = <uint64_t*>calloc((capacity + 2) * w.n_words, sizeof(uint64_t))
    w.bounds = <double*>calloc(
        2 * view.limits.n_bounded * (capacity + 2) + 1, sizeof(double))
    w.values = <double*>calloc(
        2 * view.limits.n_bounded + 1, sizeof(double))
    w.scratch.left = <int64_t*>calloc(
        view.target.n_totals + 1, sizeof(int64_t))
    w.scratch.totals = <int64_t*>calloc(
        view.target.n_totals + 1, sizeof(int64_t))
    w.scratch.runs = <Run*>calloc(view.run_capacity + 1, sizeof(Run))
    if (w.lists == NULL or w.ids == NULL or w.spare == NULL
            or w.goes_left == NULL or w.codes == NULL or w.label == NULL
            or w.bits == NULL or w.cells == NULL
            or w.weight == NULL or w.value == NULL or w.response == NULL
            or w.frames == NULL or w.masks == NULL
            or w.bounds == NULL or w.values == NULL
            or w.scratch.left == NULL or w.scratch.totals == NULL
            or w.scratch.runs == NULL):
        return False
    w.scratch.medians = &w.medians
    if view.target.loss == ABSOLUTE and not reserve_medians(
            &w.medians, capacity, capacity):
        return False
    return True


cdef inline void free_workspace(Workspace* w) noexcept nogil:
    free(w.lists)
    free(w.ids)
    free(w.spare)
    free(w.goes_left)
    free(w.codes)
    free(w.bits)
    free(w.cells)
    free(w.label)
    free(w.weight)
    free(w.value)
    free(w.response)
    free(w.frames)
    free(w.masks)
    free(w.bounds)
    free(w.values)
    free(w.scratch.left)
    free(w.scratch.totals)
    free(w.scratch.runs)
    free_medians(&w.medians)
    arena_free(&w.arena)


cdef inline Frame first_frame(const Job* job) noexcept nogil:
    cdef Frame root
    root.stat = job.stat
    root.begin = 0
    root.depth = job.depth
    root.parent = -1
    root.right = False
    root.leaf = job.leaf != 0
    return root


cdef inline bint grow_copied(
    const View* view, Workspace* w, const Target* target, const Job* job
) noexcept nogil:
    cdef Frame root = first_frame(job)
    return grow_frames(w, view.features, &view.limits, target, &root)


cdef inline void copy_node(const View* view, Workspace* w, const Job* job) noexcept nogil:
    """Renumber the node's rows and copy its columns and targets out."""
    cdef const uint32_t* rows = view.rows + job.begin
    cdef const uint32_t* entries
    cdef const Feature* feature
    cdef uint16_t* out
    cdef uint64_t* bits
    cdef const Target* target = &view.target
    cdef int64_t n = job.stat.n, i, f, t, o, at, output_step
    cdef int byte
    cdef uint32_t entry
    w.rows = rows
    for i in range(n):
        w.ids[i] = <uint16_t>i
        view.local[rows[i]] = <uint16_t>i
    for o in range(1, target.n_orders):
        for i in range(n):
            w.ids[o * w.capacity + i] = view.local[rows[o * target.stride + i]]
    if target.kind == REGRESSION:
        for i in range(n):
            w.value[i] = target.value[rows[i]]
            w.response[i] = target.response[rows[i]]
    elif target.kind == SUMS:
        output_step = w.capacity if target.n_orders > 1 else 1
        for i in range(n):
            for o in range(target.n_outputs):
                at = i * target.row_step + o * output_step
                f = rows[i] * target.row_step + o * target.output_step
                w.value[at] = target.value[f]
                w.response[at] = target.response[f]
    else:
        for i in range(n):
            for o in range(target.n_outputs):
                w.label[i * target.n_outputs + o] = (
                    target.label[rows[i] * target.n_outputs + o])
    if target.weight != NULL:
        for i in range(n):
            w.weight[i] = target.weight[rows[i]]
    if job.leaf:
        return
    for f in range(view.n_features):
        feature = view.features + f
        if feature.tiled or not w.masks[f >> 6] >> (f & 63) & 1:
            continue
        entries = feature.order + job.begin
        out = w.lists + f * w.capacity
        for i in range(n):
            entry = entries[i]
            out[i] = view.local[entry & 0x1FFFFFFF] | <uint16_t>(
                entry >> 16 & 0xE000)
    for t in range(view.n_tiles):
        for i in range(n):
            w.codes[i] = view.tiles[t * view.n_rows + rows[i]]
        if view.binary[t]:
            bits = w.bits + (t >> 3) * w.capacity
            if t & 7 == 0:
                memset(bits, 0, n * sizeof(uint64_t))
            for i in range(n):
                bits[i] |= pack_bytes(w.codes[i] & view.binary[t]) << 8 * (t & 7)
        for byte in range(TILE):
            f = view.tiled[TILE * t + byte]
            if f >= 0 and not view.features[f].binary and w.masks[f >> 6] >> (f & 63) & 1:
                sort_codes(w.codes, w.label if view.target.kind == BINARY else NULL, n,
                           8 * byte, view.features[f].n_codes,
                           w.lists + f * w.capacity)


cdef inline void sort_codes(
    const uint64_t* codes, const uint16_t* ones, int64_t n, int shift,
    uint32_t missing_code, uint16_t* out
) noexcept nogil:
    """Counting sort of one byte of each word into a list of local entries."""
    cdef uint16_t place[BINS + 1]
    cdef uint16_t start
    cdef int64_t i
    cdef int code
    memset(place, 0, sizeof(place))
    for i in range(n):
        place[(codes[i] >> shift & 255) + 1] += 1
    for code in range(BINS):
        place[code + 1] += place[code]
    for i in range(n):
        code = codes[i] >> shift & 255
        out[place[code]] = <uint16_t>i | (0 if ones == NULL else ones[i] << 13)
        place[code] += 1
    # Now place[code] is where the code's entries end and the next code's start.
    start = 0
    for code in range(BINS):
        if place[code] > start:
            out[start] |= LOCAL_NEW
            if <uint32_t>code == missing_code:
                for i in range(start, place[code]):
                    out[i] |= LOCAL_MISSING
            start = place[code]
