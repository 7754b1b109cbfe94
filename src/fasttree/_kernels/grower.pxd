"""One thread's memory for trees whose nodes look at a few features."""

from libc.stdint cimport (
    int32_t,
    int64_t,
    uint8_t,
    uint16_t,
    uint32_t,
    uint64_t,
)
from libc.stdlib cimport calloc, free, realloc

from fasttree._kernels.absolute cimport MedianSpace, free_medians, reserve_medians
from fasttree._kernels.cells cimport CellSpace, Codes, free_cells, reserve_cells
from fasttree._kernels.draw cimport DrawSpace, free_draws, reserve_draws
from fasttree._kernels.records cimport Arena, arena_free
from fasttree._kernels.scan cimport Scratch
from fasttree._kernels.subtree cimport Frame
from fasttree._kernels.types cimport (
    ABSOLUTE,
    BINARY,
    CLASSES,
    Feature,
    Limits,
    REGRESSION,
    Target,
)

cdef enum:
    # Rows times features looked at between two questions whether to go on: some
    # milliseconds of wide nodes, some tens of nodes that are copied and finished.
    WORK_UNASKED = 1 << 21

# Nodes that wait to be grown, the columns that may vary in them, and the bounds that
# monotonic constraints have given them.
cdef struct Stack:
    Frame* frames             # (capacity,)
    uint64_t* masks           # (capacity, n_words)
    double* bounds            # (capacity, n_bounded, 2)
    int64_t capacity
    int64_t n_words
    int64_t n_bounded

ctypedef bint (*may_go_on_t)(void* owner) noexcept nogil

cdef struct Grower:
    int32_t n_features
    int64_t n_words           # of a mask of features
    int64_t n_table_rows
    int64_t narrow_rows       # nodes of at most so many rows are copied
    int64_t row_bytes         # of the keys of a row in the copy
    int64_t least_branch      # nodes of so many rows are left to other threads;
    int64_t most_branch       # of at most 0: none
    bint shuffles             # draw an order even where all features are looked at
    const Codes* columns      # (n_features,) of the table
    const Feature* features   # (n_features,) of drawn splits
    Limits limits
    Target target             # by row of the table
    uint32_t* rows            # (n_orders, n_rows) of the tree
    uint32_t* stats           # (n_rows,) by place: of BINARY see prefixes.pxd, of
    bint has_stats            # CLASSES class_cells.pxd, where this is set
    int64_t* pairs            # (n_rows, 2) REGRESSION: of one node, see prefixes.pxd
    uint32_t* spare           # (n_rows,)
    uint32_t* spare_stats     # (n_rows,)
    uint32_t* entries         # (n_rows,)
    uint8_t* goes_left        # (n_table_rows,) by row
    Codes* own_columns        # (n_features,) of the copy
    uint8_t* own_codes        # (whole eights of features, narrow_rows) uint16
    const uint8_t* row_codes  # (n_table_rows, code_bytes) codes of one byte by row,
    int64_t code_bytes        # that of a feature at its number; or NULL
    const uint8_t* row_keys   # (n_table_rows, row_bytes) all keys of a row together
    int raw_size              # bytes of a value, where these are not keys yet; else 0
    uint8_t* own_keys         # (narrow_rows, row_bytes)
    const int64_t* key_offset # (n_features,) bytes of a row's keys before a column's
    Target own_target         # by row of the copy
    uint16_t* own_label       # (narrow_rows, n_outputs) each
    int64_t* own_weight
    int64_t* own_value
    double* own_response
    uint16_t* local           # (n_table_rows,) a row's number in the copy
    uint16_t* ids             # (n_orders, narrow_rows)
    uint16_t* own_spare
    uint16_t* own_entries
    int32_t* permutation      # (n_features,) identity between nodes
    int32_t* places           # (n_features,) drawn in a node
    double* values            # (2, n_bounded) of two children
    Stack wide
    Stack narrow
    Stack branches            # left to other threads
    int64_t n_branches
    CellSpace cells
    DrawSpace draws
    Scratch scratch
    MedianSpace medians       # ABSOLUTE
    Arena arena
    double seconds_narrow
    int64_t work              # since the last such question
    may_go_on_t may_go_on     # called with `owner`; False is to end growth
    void* owner

cdef extern from *:
    """
    #include <time.h>
    static double fasttree_seconds(void) {
        struct timespec t;
        timespec_get(&t, TIME_UTC);
        return t.tv_sec + 1e-9 * t.tv_nsec;
    }
    """
    double seconds_now "fasttree_seconds"() noexcept nogil


cdef inline void shape_stack(
    Stack* stack, int64_t n_words, int64_t n_bounded
) noexcept nogil:
    stack.n_words = n_words
    stack.n_bounded = n_bounded


cdef inline bint reserve_stack(Stack* stack, int64_t size) noexcept nogil:
    cdef int64_t capacity = stack.capacity
    cdef void* grown
    if size <= capacity:
        return True
    capacity = max(2 * capacity, size, <int64_t>64)
    grown = realloc(stack.frames, capacity * sizeof(Frame))
    if grown == NULL:
        return False
    stack.frames = <Frame*>grown
    grown = realloc(stack.masks, capacity * stack.n_words * sizeof(uint64_t))
    if grown == NULL:
        return False
    stack.masks = <uint64_t*>grown
    grown = realloc(stack.bounds, (2 * capacity * stack.n_bounded + 1) * sizeof(double))
    if grown == NULL:
        return False
    stack.bounds = <double*>grown
    stack.capacity = capacity
    return True


cdef inline void free_stack(Stack* stack) noexcept nogil:
    free(stack.frames)
    free(stack.masks)
    free(stack.bounds)


cdef inline bint reserve_grower(
    Grower* g, int64_t n_rows, int64_t n_table_rows, int64_t most_codes
) noexcept nogil:
    """Allocate; to be freed whatever is returned. Sizes and kind are set already.

    `most_codes` is of categories alone where splits are drawn.
    """
    cdef int64_t narrow = g.narrow_rows, i
    cdef int64_t n_totals = g.target.n_totals, n_orders = g.target.n_orders
    cdef int64_t own = narrow * g.target.n_outputs
    cdef bint binary = g.target.kind == BINARY, drawn = g.limits.drawn
    cdef bint stats = binary or g.target.kind == CLASSES
    shape_stack(&g.wide, g.n_words, g.limits.n_bounded)
    shape_stack(&g.narrow, g.n_words, g.limits.n_bounded)
    shape_stack(&g.branches, g.n_words, g.limits.n_bounded)
    g.rows = <uint32_t*>calloc(n_orders * n_rows, sizeof(uint32_t))
    g.stats = <uint32_t*>calloc(n_rows if stats else 1, sizeof(uint32_t))
    g.spare = <uint32_t*>calloc(n_rows, sizeof(uint32_t))
    g.spare_stats = <uint32_t*>calloc(n_rows if stats else 1, sizeof(uint32_t))
    g.entries = <uint32_t*>calloc(1 if binary or drawn else n_rows, sizeof(uint32_t))
    g.pairs = <int64_t*>calloc(
        2 * n_rows if g.target.kind == REGRESSION and not drawn else 1,
        sizeof(int64_t))
    g.goes_left = <uint8_t*>calloc(n_table_rows, 1)
    g.own_columns = <Codes*>calloc(g.n_features, sizeof(Codes))
    g.own_codes = <uint8_t*>calloc(
        1 if drawn else (g.n_features + 7) // 8 * 8 * narrow + 8, sizeof(uint16_t))
    g.own_keys = <uint8_t*>calloc(narrow * g.row_bytes + 1, 1)
    g.own_label = <uint16_t*>calloc(own, sizeof(uint16_t))
    g.own_weight = <int64_t*>calloc(narrow, sizeof(int64_t))
    g.own_value = <int64_t*>calloc(own, sizeof(int64_t))
    g.own_response = <double*>calloc(own, sizeof(double))
    g.local = <uint16_t*>calloc(n_table_rows if n_orders > 1 else 1, sizeof(uint16_t))
    g.ids = <uint16_t*>calloc(n_orders * narrow, sizeof(uint16_t))
    g.own_spare = <uint16_t*>calloc(narrow, sizeof(uint16_t))
    g.own_entries = <uint16_t*>calloc(narrow, sizeof(uint16_t))
    g.permutation = <int32_t*>calloc(g.n_features, sizeof(int32_t))
    g.places = <int32_t*>calloc(g.n_features, sizeof(int32_t))
    g.values = <double*>calloc(2 * g.limits.n_bounded + 1, sizeof(double))
    g.scratch.left = <int64_t*>calloc(n_totals + 1, sizeof(int64_t))
    g.scratch.totals = <int64_t*>calloc(n_totals + 1, sizeof(int64_t))
    if (g.rows == NULL or g.stats == NULL
            or g.spare == NULL or g.spare_stats == NULL or g.entries == NULL
            or g.pairs == NULL or g.goes_left == NULL or g.own_columns == NULL
            or g.own_codes == NULL or g.own_keys == NULL or g.own_label == NULL
            or g.own_weight == NULL or g.own_value == NULL or g.own_response == NULL
            or g.local == NULL or g.ids == NULL or g.own_spare == NULL
            or g.own_entries == NULL or g.permutation == NULL or g.places == NULL
            or g.values == NULL or g.scratch.left == NULL or g.scratch.totals == NULL):
        return False
    for i in range(g.n_features):
        g.permutation[i] = <int32_t>i
    if drawn:
        return reserve_draws(&g.draws, n_rows, &g.target, n_table_rows, most_codes)
    g.scratch.medians = &g.medians
    if g.target.loss == ABSOLUTE and not reserve_medians(
            &g.medians, n_table_rows, n_rows):
        return False
    if not reserve_cells(&g.cells, &g.target, most_codes, n_rows):
        return False
    g.scratch.runs = g.cells.runs
    return True


cdef inline void free_grower(Grower* g) noexcept nogil:
    free(g.rows)
    free(g.stats)
    free(g.spare)
    free(g.spare_stats)
    free(g.entries)
    free(g.pairs)
    free(g.goes_left)
    free(g.own_columns)
    free(g.own_codes)
    free(g.own_keys)
    free(g.own_label)
    free(g.own_weight)
    free(g.own_value)
    free(g.own_response)
    free(g.local)
    free(g.ids)
    free(g.own_spare)
    free(g.own_entries)
    free(g.permutation)
    free(g.places)
    free(g.values)
    free(g.scratch.left)
    free(g.scratch.totals)
    free_stack(&g.wide)
    free_stack(&g.narrow)
    free_stack(&g.branches)
    free_cells(&g.cells)
    free_draws(&g.draws)
    free_medians(&g.medians)
    arena_free(&g.arena)
