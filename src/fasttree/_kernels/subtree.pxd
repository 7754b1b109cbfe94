"""Narrow nodes: finish a whole subtree depth-first on a cache-resident copy.

The node's rows are renumbered 0..n-1 and each column becomes a list of its
entries in order of its codes (uint16: 13 bits of row, three flags). From there on
a split partitions each list stably, so every descendant finds its rows already
sorted: nothing is sorted, counted or cleared per node. Columns that have become
constant drop out for all descendants, and lists are left alone where both
children are leaves.
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
from libc.string cimport memcpy, memset

from fasttree._kernels.absolute cimport MedianSpace, rank_rows
from fasttree._kernels.bits cimport (
    cells_of,
    count_bits,
    mark_bit,
    trailing_zeros,
    try_bit,
)
from fasttree._kernels.monotone cimport (
    Monotone,
    bound_children,
    monotone_of,
    node_values,
    rule_of,
)
from fasttree._kernels.outputs cimport (
    clear_node,
    count_node,
    emit_values,
    measure_node,
    part_orders,
)
from fasttree._kernels.partition cimport keep_entries
from fasttree._kernels.records cimport (
    Arena,
    NodeRecord,
    reserve_nodes,
    reserve_payload,
    reserve_words,
)
from fasttree._kernels.scan cimport Run, Scratch, is_constant
from fasttree._kernels.scan_categories cimport mark_left, scan_categories
from fasttree._kernels.types cimport (
    ABSOLUTE,
    BINARY,
    CLASSES,
    Feature,
    LABELS,
    Limits,
    NodeStat,
    REGRESSION,
    SUMS,
    Split,
    Target,
    entry_t,
)

cdef enum:
    LOCAL_ROWS = 8192         # what 13 bits hold
    LOCAL_NEW = 0x8000
    LOCAL_MISSING = 0x4000

cdef struct Frame:
    NodeStat stat
    int64_t begin
    int64_t depth
    uint64_t key
    int32_t parent            # record, or -1
    bint right
    bint leaf

# `scan_entries` and `partition_entries`. Called through pointers they have the registers
# to themselves: within `grow_frames` the compiler spills some, in whichever loop it
# happens to be.
ctypedef void (*scan_t)(
    const uint16_t*, bint, const Target*, const NodeStat*, const Limits*,
    const Monotone*, Scratch*, Split*
) noexcept nogil
ctypedef int64_t (*partition_t)(
    uint16_t*, int64_t, const uint8_t*, uint16_t*
) noexcept nogil

# A worker's memory for one subtree at a time.
cdef struct Workspace:
    int64_t capacity          # rows
    int64_t n_features
    int64_t n_words           # of a feature mask
    uint16_t* lists           # (n_features, capacity)
    uint16_t* ids             # (capacity,)
    uint16_t* spare           # (capacity,)
    uint8_t* goes_left        # (capacity,)
    uint64_t* codes           # (capacity,)
    int64_t n_bit_words       # of a row: 64 columns of two values each
    uint64_t* bits            # (n_bit_words, capacity)
    int64_t* cells            # (n_bit_words, 64, cells_of)
    const uint64_t* listed    # (n_words,) features that have a list
    uint16_t* label
    int64_t* weight
    int64_t* value
    double* response
    const uint32_t* rows      # table rows of the local ones
    Frame* frames             # (capacity + 2,)
    uint64_t* masks           # (capacity + 2, n_words)
    double* bounds            # (capacity + 2, n_bounded, 2)
    double* values            # (2, n_bounded) of the two sides of a split
    Monotone rule             # of the node that is searched
    scan_t scan_list
    partition_t partition_list
    Scratch scratch
    MedianSpace medians
    Arena arena


cdef inline uint32_t code_of(const Feature* feature, int64_t row) noexcept nogil:
    if feature.itemsize == 1:
        return (<const uint8_t*>feature.codes)[row]
    if feature.itemsize == 2:
        return (<const uint16_t*>feature.codes)[row]
    return (<const uint32_t*>feature.codes)[row]


cdef inline bint must_be_leaf(
    const Limits* limits, const NodeStat* stat, int64_t depth
) noexcept nogil:
    return (stat.pure or depth >= limits.max_depth
            or stat.n < limits.min_samples_split
            or stat.n < 2 * limits.min_samples_leaf
            or stat.weight < 2 * limits.min_weight_leaf)


cdef inline bint emit_leaf_classes(
    Arena* arena, const Target* target, const entry_t* rows, int64_t n,
    int64_t* totals
) noexcept nogil:
    """Append the classes of a leaf in order; `totals` comes and goes zeroed."""
    cdef int64_t c, i, j, o, start = arena.n_payload, w
    cdef int64_t n_labels = target.n_outputs, most = n * n_labels
    if not reserve_payload(arena, min(most, target.n_totals)):
        return False
    count_node(target, totals, rows, n)
    if most >= target.n_totals:
        for c in range(target.n_totals):
            if totals[c]:
                arena.leaf_class[arena.n_payload] = <int32_t>c
                arena.leaf_weight[arena.n_payload] = totals[c]
                arena.n_payload += 1
                totals[c] = 0
        return True
    for i in range(n):
        for o in range(n_labels):
            c = target.label[rows[i] * n_labels + o]
            w = totals[c]
            if w == 0:
                continue
            totals[c] = 0
            j = arena.n_payload
            while j > start and arena.leaf_class[j - 1] > c:
                arena.leaf_class[j] = arena.leaf_class[j - 1]
                arena.leaf_weight[j] = arena.leaf_weight[j - 1]
                j -= 1
            arena.leaf_class[j] = <int32_t>c
            arena.leaf_weight[j] = w
            arena.n_payload += 1
    return True


cdef inline bint emit_payload(
    Arena* arena, NodeRecord* record, const Target* target, const entry_t* rows,
    int64_t n, int64_t* totals, bint is_leaf
) noexcept nogil:
    """Append what the tree keeps of a node besides its record."""
    if target.kind == SUMS and (is_leaf or target.loss == ABSOLUTE):
        return emit_values(arena, record, target, rows, n)
    if is_leaf and (target.kind == CLASSES or target.kind == LABELS):
        record.payload = arena.n_payload
        return emit_leaf_classes(arena, target, rows, n, totals)
    return True


cdef inline bint record_split(
    Arena* arena, NodeRecord* record, const Feature* feature, const Split* split,
    const entry_t* entries, const uint32_t* table_rows, const uint8_t* goes_left,
    int64_t n, int64_t n_left
) noexcept nogil:
    """Fill in the rows at the split, the category set and the way of missing values.

    What the node has not seen (a missing value, an absent category) goes to the
    child with more rows, to the right if they are equal.
    """
    cdef entry_t missing = <entry_t>1 << (8 * sizeof(entry_t) - 2)
    cdef entry_t mask = (missing >> 1) - 1, row
    cdef int64_t k, n_words = (<int64_t>feature.n_codes + 63) // 64
    cdef uint64_t* words
    cdef uint32_t code
    cdef bint left_is_larger = n_left > n - n_left
    record.feature = split.feature
    record.set_start = -1
    record.missing_left = left_is_larger
    if not feature.categorical:
        row = entries[split.position - 1] & mask
        record.row_low = row if table_rows == NULL else table_rows[row]
        row = entries[split.position] & mask
        record.row_high = row if table_rows == NULL else table_rows[row]
        if entries[n - 1] & missing:
            record.missing_left = split.missing_left
        return True
    if not reserve_words(arena, n_words):
        return False
    words = arena.words + arena.n_words
    record.set_start = arena.n_words
    arena.n_words += n_words
    memset(words, 255 if left_is_larger else 0, n_words * sizeof(uint64_t))
    for k in range(n):
        row = entries[k] & mask
        if entries[k] & missing:
            record.missing_left = goes_left[row]
            continue
        code = code_of(feature, row if table_rows == NULL else table_rows[row])
        if goes_left[row]:
            words[code >> 6] |= <uint64_t>1 << (code & 63)
        else:
            words[code >> 6] &= ~(<uint64_t>1 << (code & 63))
    code = feature.n_codes & 63
    if code:  # no bits past the last category
        words[n_words - 1] &= (<uint64_t>1 << code) - 1
    record.row_low = 0
    record.row_high = 0
    return True


cdef inline bint try_feature(
    Workspace* w, const Feature* feature, int32_t index, const Target* target,
    const NodeStat* stat, int64_t begin, const Limits* limits, Split* best
) noexcept nogil:
    """Search one column; False if it is constant in the node."""
    cdef uint16_t* entries = w.lists + index * w.capacity + begin
    cdef double before = best.score
    cdef const Monotone* rule = rule_of(&w.rule, limits, feature, index)
    if feature.binary:
        return try_bit(target, stat, w.cells + feature.place * cells_of(target),
                       w.scratch.totals, limits, rule, index, best)
    if is_constant(entries, stat.n):
        return False
    if feature.categorical and stat.n <= limits.min_samples_category:
        return False  # all categories are pooled, here and below
    if feature.categorical:
        scan_categories(entries, target, stat, limits, &w.scratch, best)
    else:
        w.scan_list(entries, feature.has_missing, target, stat, limits, rule,
                    &w.scratch, best)
    if best.score > before:
        best.feature = index
    return True


cdef inline bint is_perfect(
    const Target* target, const NodeStat* stat, const Split* best
) noexcept nogil:
    """Both sides are pure: no later feature can be strictly better."""
    if target.kind == REGRESSION or target.kind == SUMS:
        return stat.n == 2 and best.feature >= 0
    if target.entropy:
        return best.score >= 0.0
    # Squares of fractional weights are rounded: a later feature may seem better.
    return (target.weight == NULL
            and best.score >= <double>(target.n_outputs * stat.weight))


cdef inline void count_node_bits(
    Workspace* w, const Feature* features, const Target* target,
    const uint16_t* rows, int64_t n, const uint64_t* mask
) noexcept nogil:
    """Count the columns of two values that may vary in a node."""
    cdef int64_t word, f, place, bit_word
    cdef uint64_t left, active
    for bit_word in range(w.n_bit_words):
        active = 0
        for word in range(w.n_words):
            left = mask[word] & ~w.listed[word]
            while left:
                f = 64 * word + trailing_zeros(left)
                left &= left - 1
                place = features[f].place
                if place >> 6 == bit_word:
                    active |= <uint64_t>1 << (place & 63)
        if active:
            count_bits(target, w.bits + bit_word * w.capacity, active, rows, n,
                       w.cells + 64 * bit_word * cells_of(target))


cdef inline Split find_split(
    Workspace* w, const Feature* features, const Limits* limits,
    const Target* target, const NodeStat* stat, int64_t begin, uint64_t* mask
) noexcept nogil:
    """Best split of all features; columns that are constant leave `mask`."""
    cdef Split best
    cdef int64_t word
    cdef int32_t f
    cdef uint64_t bits
    best.score = -INFINITY
    best.feature = -1
    best.position = 0
    best.missing_left = 0
    best.order_class = 0
    if target.loss == ABSOLUTE:
        rank_rows(&w.medians, target, w.ids + begin, stat.n)
    count_node_bits(w, features, target, w.ids + begin, stat.n, mask)
    for word in range(w.n_words):
        bits = mask[word]
        while bits:
            f = <int32_t>(64 * word + trailing_zeros(bits))
            bits &= bits - 1
            if not try_feature(w, features + f, f, target, stat, begin, limits, &best):
                mask[word] &= ~(<uint64_t>1 << (f & 63))
            elif is_perfect(target, stat, &best):
                return best
    return best


cdef inline void give_bounds(
    Workspace* w, const Limits* limits, int64_t feature, int64_t top
) noexcept nogil:
    """Write the bounds of both children, from `values` and the parent's at `top`."""
    cdef int64_t n = limits.n_bounded
    bound_children(n, limits.signs + feature * n, w.values, w.values + n,
                   w.bounds + 2 * n * top, w.bounds + 2 * n * (top + 1))


cdef inline bint grow_frames(
    Workspace* w, const Feature* features, const Limits* limits,
    const Target* target, const Frame* root
) noexcept nogil:
    """Grow depth-first from `root` into the arena, in preorder."""
    cdef int64_t top = 0, begin, n, n_left, f, word, first = w.arena.n_nodes
    cdef int32_t node
    cdef uint64_t bits
    cdef Frame frame
    cdef Frame* left
    cdef Frame* right
    cdef NodeRecord* record
    cdef Split best
    cdef uint64_t* mask
    cdef uint16_t* entries
    cdef int64_t* totals = w.scratch.totals
    w.frames[0] = root[0]
    while top >= 0:
        frame = w.frames[top]
        mask = w.masks + top * w.n_words
        begin = frame.begin
        n = frame.stat.n
        if not reserve_nodes(&w.arena, 1):
            return False
        node = <int32_t>(w.arena.n_nodes - first)
        record = w.arena.nodes + w.arena.n_nodes
        w.arena.n_nodes += 1
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
                w.arena.nodes[first + frame.parent].right = node
            else:
                w.arena.nodes[first + frame.parent].left = node
        best.feature = -1
        if not frame.leaf:
            if target.n_totals:
                count_node(target, totals, w.ids + begin, n)
            w.rule = monotone_of(limits, w.bounds + 2 * limits.n_bounded * top)
            best = find_split(w, features, limits, target, &frame.stat, begin, mask)
            if target.n_totals:
                clear_node(target, totals, w.ids + begin, n)
            if best.feature >= 0 and best.score - frame.stat.score < limits.min_gain:
                best.feature = -1
        if not emit_payload(&w.arena, record, target, w.ids + begin, n, totals,
                            best.feature < 0):
            return False
        if best.feature < 0:
            top -= 1
            continue

        if features[best.feature].binary:
            f = features[best.feature].place
            n_left = mark_bit(w.bits + (f >> 6) * w.capacity, f & 63, w.ids + begin, n,
                              w.goes_left, &record.row_low, &record.row_high)
            record.row_low = w.rows[record.row_low]
            record.row_high = w.rows[record.row_high]
            record.feature = best.feature
            record.missing_left = n_left > n - n_left
        else:
            entries = w.lists + best.feature * w.capacity + begin
            n_left = mark_left(
                entries, &frame.stat, features[best.feature].categorical,
                limits.min_samples_category, target, &best, &w.scratch, w.goes_left)
            if not record_split(&w.arena, record, features + best.feature, &best,
                                entries, w.rows, w.goes_left, n, n_left):
                return False
        part_orders(target, w.ids + begin, n, w.goes_left, w.spare)

        right = w.frames + top
        left = w.frames + top + 1
        right.begin = begin + n_left
        left.begin = begin
        right.stat = measure_node(target, w.ids + right.begin, n - n_left, totals)
        node_values(limits, target, &right.stat, totals, w.values + limits.n_bounded)
        if target.n_totals:
            clear_node(target, totals, w.ids + right.begin, n - n_left)
        left.stat = measure_node(target, w.ids + begin, n_left, totals)
        node_values(limits, target, &left.stat, totals, w.values)
        if target.n_totals:
            clear_node(target, totals, w.ids + begin, n_left)
        give_bounds(w, limits, best.feature, top)
        right.depth = left.depth = frame.depth + 1
        right.parent = left.parent = node
        right.right = True
        left.right = False
        right.leaf = must_be_leaf(limits, &right.stat, right.depth)
        left.leaf = must_be_leaf(limits, &left.stat, left.depth)
        if not (left.leaf and right.leaf):
            for word in range(w.n_words):
                bits = mask[word] & w.listed[word]
                while bits:
                    f = 64 * word + trailing_zeros(bits)
                    bits &= bits - 1
                    entries = w.lists + f * w.capacity + begin
                    if left.leaf or right.leaf:
                        # A leaf needs its rows alone.
                        keep_entries(entries, n, w.goes_left, right.leaf,
                                     n_left if left.leaf else 0)
                    else:
                        w.partition_list(entries, n, w.goes_left, w.spare)
        memcpy(mask + w.n_words, mask, w.n_words * sizeof(uint64_t))
        top += 1
    return True
