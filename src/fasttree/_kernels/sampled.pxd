"""Growth where each node looks at a few features, drawn at random.

A node is a list of rows. Nothing is kept for columns that no node looks at: the
drawn ones are counted by code, see cells.pxd. Wide nodes read the table's codes;
once a node's rows are few, its codes and targets are copied out, so that they lie
in the cache, and the subtree below is grown from the copy. Columns of many codes
are renumbered there: exact splits have small codes too.

The whole tree is grown depth-first in one call, left before right; its records
stand in preorder. What a node draws hangs on its key alone.
"""

from libc.math cimport INFINITY, NAN
from libc.stdint cimport (
    int32_t,
    int64_t,
    uint8_t,
    uint16_t,
    uint32_t,
    uint64_t,
)
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

from fasttree._kernels.absolute cimport (
    MedianSpace,
    free_medians,
    rank_rows,
    reserve_medians,
)
from fasttree._kernels.bits cimport trailing_zeros
from fasttree._kernels.cells cimport (
    Best,
    CellSpace,
    Codes,
    code_t,
    count_bins,
    free_cells,
    renumber,
    reserve_cells,
    sort_bins,
    sort_node,
    try_bins,
)
from fasttree._kernels.histogram cimport fasttree_prefetch
from fasttree._kernels.impurity cimport (
    add_totals,
    clear_totals,
    node_stat,
    score_binary,
)
from fasttree._kernels.random cimport child_key, draw_below
from fasttree._kernels.records cimport (
    Arena,
    NodeRecord,
    arena_free,
    reserve_nodes,
    reserve_words,
)
from fasttree._kernels.scan cimport (
    Run,
    Scratch,
    is_constant,
    mark_left,
    scan_categories,
    scan_entries,
)
from fasttree._kernels.subtree cimport (
    Frame,
    LOCAL_ROWS,
    emit_leaf_classes,
    must_be_leaf,
)
from fasttree._kernels.types cimport (
    ABSOLUTE,
    BINARY,
    CLASSES,
    Limits,
    NodeStat,
    REGRESSION,
    Target,
    entry_t,
)

# Nodes that wait to be grown, and the columns that may vary in them.
cdef struct Stack:
    Frame* frames             # (capacity,)
    uint64_t* masks           # (capacity, n_words)
    int64_t capacity
    int64_t n_words

# One thread's memory for one tree at a time.
cdef struct Grower:
    int32_t n_features
    int64_t n_words           # of a mask of features
    int64_t narrow_rows       # nodes of at most so many rows are copied
    bint shuffles             # draw an order even where all features are looked at
    const Codes* columns      # (n_features,) of the table
    Limits limits
    Target target             # by row of the table
    uint32_t* rows            # (n_rows,) of the tree
    uint32_t* stats           # (n_rows,) BINARY: see cells.pxd, by place
    uint32_t* spare           # (n_rows,)
    uint32_t* spare_stats     # (n_rows,)
    uint32_t* entries         # (n_rows,)
    uint8_t* goes_left        # (n_table_rows,) CLASSES, categories
    Codes* own_columns        # (n_features,) of the copy
    uint8_t* own_codes        # (n_features, narrow_rows) uint16
    Target own_target         # by row of the copy
    uint16_t* own_label       # (narrow_rows,) each
    int64_t* own_weight
    int64_t* own_value
    double* own_response
    uint16_t* ids
    uint16_t* own_spare
    uint16_t* own_entries
    int32_t* permutation      # (n_features,) identity between nodes
    int32_t* places           # (n_features,) drawn in a node
    Stack wide
    Stack narrow
    CellSpace cells
    Scratch scratch
    MedianSpace medians       # ABSOLUTE
    Arena arena
    double seconds_narrow

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
    stack.capacity = capacity
    return True


cdef inline bint reserve_grower(
    Grower* g, int64_t n_rows, int64_t n_table_rows, int64_t most_codes
) noexcept nogil:
    """Allocate; to be freed whatever is returned. Sizes and kind are set already."""
    cdef int64_t narrow = g.narrow_rows, i
    cdef int64_t K = g.target.n_classes
    cdef bint binary = g.target.kind == BINARY
    g.wide.n_words = g.narrow.n_words = g.n_words
    g.rows = <uint32_t*>calloc(n_rows, sizeof(uint32_t))
    g.stats = <uint32_t*>calloc(n_rows if binary else 1, sizeof(uint32_t))
    g.spare = <uint32_t*>calloc(n_rows, sizeof(uint32_t))
    g.spare_stats = <uint32_t*>calloc(n_rows if binary else 1, sizeof(uint32_t))
    g.entries = <uint32_t*>calloc(1 if binary else n_rows, sizeof(uint32_t))
    g.goes_left = <uint8_t*>calloc(n_table_rows, 1)
    g.own_columns = <Codes*>calloc(g.n_features, sizeof(Codes))
    g.own_codes = <uint8_t*>calloc(g.n_features * narrow, sizeof(uint16_t))
    g.own_label = <uint16_t*>calloc(narrow, sizeof(uint16_t))
    g.own_weight = <int64_t*>calloc(narrow, sizeof(int64_t))
    g.own_value = <int64_t*>calloc(narrow, sizeof(int64_t))
    g.own_response = <double*>calloc(narrow, sizeof(double))
    g.ids = <uint16_t*>calloc(narrow, sizeof(uint16_t))
    g.own_spare = <uint16_t*>calloc(narrow, sizeof(uint16_t))
    g.own_entries = <uint16_t*>calloc(narrow, sizeof(uint16_t))
    g.permutation = <int32_t*>calloc(g.n_features, sizeof(int32_t))
    g.places = <int32_t*>calloc(g.n_features, sizeof(int32_t))
    g.scratch.left = <int64_t*>calloc(K + 1, sizeof(int64_t))
    g.scratch.totals = <int64_t*>calloc(K + 1, sizeof(int64_t))
    if (not reserve_cells(&g.cells, most_codes) or g.rows == NULL or g.stats == NULL
            or g.spare == NULL or g.spare_stats == NULL or g.entries == NULL
            or g.goes_left == NULL or g.own_columns == NULL or g.own_codes == NULL
            or g.own_label == NULL or g.own_weight == NULL or g.own_value == NULL
            or g.own_response == NULL or g.ids == NULL or g.own_spare == NULL
            or g.own_entries == NULL or g.permutation == NULL or g.places == NULL
            or g.scratch.left == NULL or g.scratch.totals == NULL):
        return False
    g.scratch.runs = g.cells.runs
    g.scratch.medians = &g.medians
    if g.target.loss == ABSOLUTE and not reserve_medians(
            &g.medians, n_table_rows, n_rows):
        return False
    for i in range(g.n_features):
        g.permutation[i] = <int32_t>i
    return True


cdef inline void free_grower(Grower* g) noexcept nogil:
    free(g.rows)
    free(g.stats)
    free(g.spare)
    free(g.spare_stats)
    free(g.entries)
    free(g.goes_left)
    free(g.own_columns)
    free(g.own_codes)
    free(g.own_label)
    free(g.own_weight)
    free(g.own_value)
    free(g.own_response)
    free(g.ids)
    free(g.own_spare)
    free(g.own_entries)
    free(g.permutation)
    free(g.places)
    free(g.scratch.left)
    free(g.scratch.totals)
    free(g.wide.frames)
    free(g.wide.masks)
    free(g.narrow.frames)
    free(g.narrow.masks)
    free_cells(&g.cells)
    free_medians(&g.medians)
    arena_free(&g.arena)


# --- one node -------------------------------------------------------------------

cdef inline NodeStat binary_stat(
    const Target* target, int64_t n, int64_t weight, int64_t ones
) noexcept nogil:
    cdef NodeStat stat
    memset(&stat, 0, sizeof(NodeStat))
    stat.n = n
    stat.weight = weight
    stat.sum = ones
    stat.pure = ones == 0 or ones == weight
    stat.score = score_binary(target.entropy, target.nlogn, weight - ones, ones, 0, 0)
    if not stat.pure:
        if target.entropy:
            stat.impurity = -stat.score / <double>weight
        else:
            stat.impurity = 1.0 - stat.score / <double>weight
    return stat


cdef inline bint try_entries(
    const Codes* column, int32_t feature, const entry_t* ids, entry_t* entries,
    const Target* target, const NodeStat* node, const Limits* limits, Grower* g,
    Best* best
) noexcept nogil:
    """Search a column in order of its codes; False if it is constant."""
    cdef entry_t missing = <entry_t>1 << (8 * sizeof(entry_t) - 2)
    cdef entry_t mask = (missing >> 1) - 1
    cdef int64_t n = node.n, place
    cdef double before = best.split.score
    sort_node(column, ids, n, &g.cells, entries)
    if is_constant(entries, n):
        return False
    if column.categorical:
        scan_categories(entries, target, node, limits, &g.scratch, &best.split)
    else:
        scan_entries(entries, entries[n - 1] & missing != 0, target, node, limits,
                     NULL, &g.scratch, &best.split)
    if best.split.score > before:
        best.split.feature = feature
        if not column.categorical:
            place = best.split.position
            best.split.code_low = code_at(column, entries[place - 1] & mask)
            best.split.code_high = code_at(column, entries[place] & mask)
    return True


cdef inline uint32_t code_at(const Codes* column, int64_t row) noexcept nogil:
    if column.size == 1:
        return (<const uint8_t*>column.codes)[row]
    if column.size == 2:
        return (<const uint16_t*>column.codes)[row]
    return (<const uint32_t*>column.codes)[row]


cdef inline bint sorts_rows(const Target* target) noexcept nogil:
    """Whether columns are searched in order of their codes, not by sums."""
    return target.kind == CLASSES or (
        target.kind == REGRESSION and target.loss == ABSOLUTE)


cdef inline bint both_pure(
    const Target* target, const NodeStat* node, const Best* best
) noexcept nogil:
    """No later feature can be strictly better."""
    if target.kind == REGRESSION:
        return node.n == 2 and best.split.feature >= 0
    return best.split.score >= (0.0 if target.entropy else <double>node.weight)


cdef inline Best find_split(
    Grower* g, const Codes* columns, const Target* target, const entry_t* ids,
    entry_t* entries, const uint32_t* stats, const NodeStat* node, uint64_t key,
    uint64_t* mask
) noexcept nogil:
    """Best split of the drawn features; columns that are constant leave `mask`."""
    cdef Best best
    cdef const Limits* limits = &g.limits
    cdef int64_t word, drawn = 0, place
    cdef int32_t n_features = g.n_features, f
    cdef uint64_t bits
    cdef bint found = False, varies, by_order = sorts_rows(target)
    memset(&best, 0, sizeof(Best))
    best.split.score = -INFINITY
    best.split.feature = -1
    if target.loss == ABSOLUTE:
        rank_rows(&g.medians, target, ids, node.n)
    if limits.max_features >= n_features and not g.shuffles:
        for word in range(g.n_words):
            bits = mask[word]
            while bits:
                f = <int32_t>(64 * word + trailing_zeros(bits))
                bits &= bits - 1
                if by_order:
                    varies = try_entries(columns + f, f, ids, entries, target, node,
                                         limits, g, &best)
                else:
                    varies = try_bins(columns + f, f, ids, stats, target, node, limits,
                                      &g.cells, &best)
                if not varies:
                    mask[word] &= ~(<uint64_t>1 << (f & 63))
                elif both_pure(target, node, &best):
                    return best
        return best
    # Draw features until max_features are seen and one of them varies.
    while drawn < n_features and (drawn < limits.max_features or not found):
        place = drawn + draw_below(key, drawn, <uint32_t>(n_features - drawn))
        f = g.permutation[place]
        g.permutation[place] = g.permutation[drawn]
        g.permutation[drawn] = f
        g.places[drawn] = <int32_t>place
        drawn += 1
        if not mask[f >> 6] >> (f & 63) & 1:
            continue
        if by_order:
            varies = try_entries(columns + f, f, ids, entries, target, node, limits, g,
                                 &best)
        else:
            varies = try_bins(columns + f, f, ids, stats, target, node, limits,
                              &g.cells, &best)
        if varies:
            found = True
            # Squares of fractional weights are rounded: a later one may score more.
            if not (target.kind == CLASSES and target.weight != NULL) and both_pure(
                    target, node, &best):
                break
        else:
            mask[f >> 6] &= ~(<uint64_t>1 << (f & 63))
    while drawn > 0:  # back to the identity
        drawn -= 1
        place = g.places[drawn]
        f = g.permutation[place]
        g.permutation[place] = g.permutation[drawn]
        g.permutation[drawn] = f
    return best


# --- carrying a split out ---------------------------------------------------------

# What a split did.
cdef struct Sides:
    int64_t n_left
    int64_t n_missing
    int64_t low               # a row of the last code that went left
    int64_t high              # one of the first that went right


cdef inline Sides part_codes(
    const code_t* codes, uint32_t missing, const Best* best, bint binary, entry_t* ids,
    uint32_t* stats, int64_t n, entry_t* spare, uint32_t* spare_stats
) noexcept nogil:
    cdef Sides sides
    cdef int64_t i, left = 0, right = 0, side, n_missing = 0
    cdef uint32_t code, stat = 0, code_low = best.split.code_low
    cdef uint32_t code_high = best.split.code_high
    cdef uint32_t missing_left = best.split.missing_left
    cdef entry_t row, low = 0, high = 0
    for i in range(n):
        if entry_t is uint32_t:
            if i + 24 < n:
                fasttree_prefetch(codes + ids[i + 24])
        row = ids[i]
        code = codes[row]
        side = (code <= code_low) | (missing_left & (code == missing))
        n_missing += code == missing
        low = row if code == code_low else low
        high = row if code == code_high else high
        ids[left] = row
        spare[right] = row
        if binary:
            stat = stats[i]
            stats[left] = stat
            spare_stats[right] = stat
        left += side
        right += 1 - side
    memcpy(ids + left, spare, right * sizeof(entry_t))
    if binary:
        memcpy(stats + left, spare_stats, right * sizeof(uint32_t))
    sides.n_left = left
    sides.n_missing = n_missing
    sides.low = low
    sides.high = high
    return sides


cdef inline int64_t part_marked(
    const uint8_t* goes_left, bint binary, entry_t* ids, uint32_t* stats, int64_t n,
    entry_t* spare, uint32_t* spare_stats
) noexcept nogil:
    cdef int64_t i, left = 0, right = 0, side
    cdef uint32_t stat
    cdef entry_t row
    for i in range(n):
        row = ids[i]
        side = goes_left[row]
        ids[left] = row
        spare[right] = row
        if binary:
            stat = stats[i]
            stats[left] = stat
            spare_stats[right] = stat
        left += side
        right += 1 - side
    memcpy(ids + left, spare, right * sizeof(entry_t))
    if binary:
        memcpy(stats + left, spare_stats, right * sizeof(uint32_t))
    return left


cdef inline void mark_set(
    const Codes* column, const Best* best, const entry_t* ids, entry_t* entries,
    const uint32_t* stats, const Target* target, const NodeStat* node, Grower* g
) noexcept nogil:
    """Write into `goes_left` the side of each row of a split of categories."""
    cdef int64_t i, count
    if sorts_rows(target):
        sort_node(column, ids, node.n, &g.cells, entries)
        mark_left(entries, node, True, g.limits.min_samples_category, target,
                  &best.split, &g.scratch, g.goes_left)
        return
    count = count_bins(column, ids, stats, node.n, target, True, &g.cells)
    sort_bins(g.cells.bins, count, g.limits.min_samples_category, g.cells.runs)
    for i in range(count):
        g.cells.sides[g.cells.bins[g.cells.runs[i].index].code] = (
            i < best.split.position)
    for i in range(node.n):
        g.goes_left[ids[i]] = g.cells.sides[code_at(column, ids[i])]


cdef inline bint record_set(
    Arena* arena, NodeRecord* record, const Codes* column, const entry_t* ids,
    const uint32_t* table_rows, int64_t n, int64_t n_left
) noexcept nogil:
    """Note which categories went left, from rows that have been parted.

    What the node has not seen goes to the child with more rows, to the right if
    they are equal. `column` is the table's, and `table_rows` what `ids` number.
    """
    cdef int64_t i, row, n_categories = column.n_codes - 1
    cdef int64_t n_words = (n_categories + 63) // 64
    cdef uint64_t* words
    cdef uint64_t bit
    cdef uint32_t code
    cdef bint left_is_larger = n_left > n - n_left
    record.missing_left = left_is_larger
    if not reserve_words(arena, n_words):
        return False
    words = arena.words + arena.n_words
    record.set_start = arena.n_words
    arena.n_words += n_words
    memset(words, 255 if left_is_larger else 0, n_words * sizeof(uint64_t))
    for i in range(n):
        row = ids[i] if table_rows == NULL else table_rows[ids[i]]
        code = code_at(column, row)
        if code == column.missing:
            record.missing_left = i < n_left
            continue
        bit = <uint64_t>1 << (code & 63)
        if i < n_left:
            words[code >> 6] |= bit
        else:
            words[code >> 6] &= ~bit
    code = n_categories & 63
    if code:  # no bits past the last category
        words[n_words - 1] &= (<uint64_t>1 << code) - 1
    return True


cdef inline Sides part_node(
    const Codes* column, const Best* best, bint binary, entry_t* ids, uint32_t* stats,
    int64_t n, entry_t* spare, uint32_t* spare_stats
) noexcept nogil:
    if column.size == 1:
        return part_codes(<const uint8_t*>column.codes, column.missing, best, binary,
                          ids, stats, n, spare, spare_stats)
    if column.size == 2:
        return part_codes(<const uint16_t*>column.codes, column.missing, best, binary,
                          ids, stats, n, spare, spare_stats)
    return part_codes(<const uint32_t*>column.codes, column.missing, best, binary, ids,
                      stats, n, spare, spare_stats)


# --- the copy of a narrow node ------------------------------------------------------

cdef inline void copy_bytes(
    const uint8_t* codes, const uint32_t* rows, int64_t n, uint8_t* out
) noexcept nogil:
    cdef int64_t i
    for i in range(n):
        if i + 24 < n:
            fasttree_prefetch(codes + rows[i + 24])
        out[i] = codes[rows[i]]


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
    for f in range(g.n_features):
        if not mask[f >> 6] >> (f & 63) & 1:
            continue
        column = g.columns + f
        own = g.own_columns + f
        out = <uint16_t*>g.own_codes + f * g.narrow_rows
        own.codes = out
        own.categorical = column.categorical
        if column.size == 1:
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


cdef inline void copy_targets(
    Grower* g, const uint32_t* rows, int64_t n
) noexcept nogil:
    cdef int64_t i
    if g.target.kind == CLASSES:
        for i in range(n):
            g.own_label[i] = g.target.label[rows[i]]
    elif g.target.kind == REGRESSION:
        for i in range(n):
            g.own_value[i] = g.target.value[rows[i]]
            g.own_response[i] = g.target.response[rows[i]]
    if g.target.kind != BINARY and g.target.weight != NULL:
        for i in range(n):
            g.own_weight[i] = g.target.weight[rows[i]]
    for i in range(n):
        g.ids[i] = <uint16_t>i


# --- a whole tree -----------------------------------------------------------------

cdef inline bint grow_nodes(
    Grower* g, Stack* stack, const Codes* columns, const Target* target, entry_t* ids,
    uint32_t* stats, entry_t* spare, entry_t* entries, const uint32_t* table_rows,
    int32_t first
) noexcept nogil:
    """Grow from the frame at the bottom of `stack`; False if there is no memory.

    `first` is the record that the frames' parents are counted from.
    """
    cdef int64_t top = 0, begin, n, n_left
    cdef int32_t node
    cdef int64_t* totals = g.scratch.totals
    cdef bint binary = target.kind == BINARY
    cdef Frame frame
    cdef Frame* left
    cdef Frame* right
    cdef NodeRecord* record
    cdef Best best
    cdef Sides sides
    cdef const Codes* column
    cdef uint64_t* mask
    cdef double started
    while top >= 0:
        if not reserve_stack(stack, top + 2):
            return False
        frame = stack.frames[top]
        mask = stack.masks + top * g.n_words
        begin = frame.begin
        n = frame.stat.n
        if entry_t is uint32_t:
            if n <= g.narrow_rows and not frame.leaf:
                if not reserve_stack(&g.narrow, 2):
                    return False
                g.narrow.frames[0] = frame
                g.narrow.frames[0].begin = 0
                memcpy(g.narrow.masks, mask, g.n_words * sizeof(uint64_t))
                started = seconds_now()
                copy_columns(g, ids + begin, n, g.narrow.masks)
                copy_targets(g, ids + begin, n)
                if not grow_nodes(g, &g.narrow, g.own_columns, &g.own_target, g.ids,
                                  stats + (begin if binary else 0), g.own_spare,
                                  g.own_entries, ids + begin, first):
                    return False
                g.seconds_narrow += seconds_now() - started
                top -= 1
                continue
        if not reserve_nodes(&g.arena, 1):
            return False
        node = <int32_t>(g.arena.n_nodes - first)
        record = g.arena.nodes + g.arena.n_nodes
        g.arena.n_nodes += 1
        record.n = n
        record.weight = frame.stat.weight
        record.ones = frame.stat.sum
        record.impurity = frame.stat.impurity
        record.value = frame.stat.value
        record.threshold = NAN
        record.payload = -1
        record.set_start = -1
        record.left = record.right = -1
        record.feature = -2
        record.row_low = record.row_high = 0
        record.missing_left = 0
        if frame.parent >= 0:
            if frame.right:
                g.arena.nodes[first + frame.parent].right = node
            else:
                g.arena.nodes[first + frame.parent].left = node
        best.split.feature = -1
        if not frame.leaf:
            if target.kind == CLASSES:
                add_totals(target, totals, ids + begin, n)
            best = find_split(g, columns, target, ids + begin, entries,
                              stats + (begin if binary else 0), &frame.stat, frame.key,
                              mask)
            if (best.split.feature >= 0
                    and best.split.score - frame.stat.score < g.limits.min_gain):
                best.split.feature = -1
            if best.split.feature >= 0 and columns[best.split.feature].categorical:
                mark_set(columns + best.split.feature, &best, ids + begin, entries,
                         stats + (begin if binary else 0), target, &frame.stat, g)
            if target.kind == CLASSES:
                clear_totals(target, totals, ids + begin, n)
        if best.split.feature < 0:
            if target.kind == CLASSES:
                record.payload = g.arena.n_payload
                if not emit_leaf_classes(&g.arena, target, ids + begin, n, totals):
                    return False
            top -= 1
            continue

        column = columns + best.split.feature
        record.feature = best.split.feature
        if column.categorical:
            n_left = part_marked(
                g.goes_left, binary, ids + begin, stats + (begin if binary else 0), n,
                spare, g.spare_stats)
            if not record_set(&g.arena, record, g.columns + best.split.feature,
                              ids + begin, table_rows, n, n_left):
                return False
        else:
            sides = part_node(
                column, &best, binary, ids + begin, stats + (begin if binary else 0), n,
                spare, g.spare_stats)
            n_left = sides.n_left
            if table_rows != NULL:
                sides.low = table_rows[sides.low]
                sides.high = table_rows[sides.high]
            record.row_low = code_at(g.columns + best.split.feature, sides.low)
            record.row_high = code_at(g.columns + best.split.feature, sides.high)
            record.missing_left = (best.split.missing_left if sides.n_missing
                                   else n_left > n - n_left)

        right = stack.frames + top
        left = stack.frames + top + 1
        right.begin = begin + n_left
        left.begin = begin
        if binary:
            left.stat = binary_stat(target, n_left, best.left_weight, best.left_sum)
            right.stat = binary_stat(
                target, n - n_left, frame.stat.weight - best.left_weight,
                frame.stat.sum - best.left_sum)
        else:
            right.stat = node_stat(target, ids + right.begin, n - n_left, totals)
            if target.kind == CLASSES:
                clear_totals(target, totals, ids + right.begin, n - n_left)
            left.stat = node_stat(target, ids + begin, n_left, totals)
            if target.kind == CLASSES:
                clear_totals(target, totals, ids + begin, n_left)
        right.depth = left.depth = frame.depth + 1
        right.parent = left.parent = node
        right.right = True
        left.right = False
        right.key = child_key(frame.key, True)
        left.key = child_key(frame.key, False)
        right.leaf = must_be_leaf(&g.limits, &right.stat, right.depth)
        left.leaf = must_be_leaf(&g.limits, &left.stat, left.depth)
        memcpy(mask + g.n_words, mask, g.n_words * sizeof(uint64_t))
        top += 1
    return True
