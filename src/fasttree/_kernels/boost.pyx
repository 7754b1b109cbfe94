"""Kernels of gradient boosting: gradients, one whole tree, and what it predicts.

A `Booster` holds what all trees of a fit share. A tree grows in one call: the leader
runs `grow_tree`, and other workers share its loops over rows and tiles (team.pxd).
Each split moves the rows of a leaf and their gradients to the leaf's children in a
second buffer, stably; the sums of the child with fewer rows are counted, those of
the other are what is left of the parent's; and while a tile's bins are in the cache,
both children are scanned for the best split of its columns.

Everything that reaches a tree is a sum of integers, or of floats in an order that
neither workers nor blocks change.
"""

from libc.math cimport INFINITY, ldexp
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

import numpy as np

from fasttree._kernels.gradient_histogram cimport (
    LOOK_AHEAD, PANEL_TILES, TILE_BINS, TILE_COLUMNS, gradient_of, hessian_of,
    sum_gradients
)
from fasttree._kernels.histogram cimport fasttree_prefetch
from fasttree._kernels.leaf_split cimport (
    Feature, GradientSplit, LeafView, Regularization, ScanSpace, best_value,
    clear_split, clip, has_rows, is_better, own_score, scan_categorical, scan_numeric
)
from fasttree._kernels.objective cimport (
    BLOCK, MULTINOMIAL, BlockSums, gradients_of_block, gradients_of_classes,
    round_block, sum_block
)
from fasttree._kernels.random cimport child_key, draw_below, mix
from fasttree._kernels.ranking cimport RANK_ARRAYS, Ranking, rank_query
from fasttree._kernels.team cimport (
    Team, close_team, help, open_team, share
)

cdef enum:
    ROW_BLOCK = 16384          # rows of a chunk, a whole number of BLOCKs
    PART_ROWS = 4096           # least rows of a chunk that are counted
    MAX_REFIT_CELLS = 1048576  # sums of leaves times blocks
    QUERIES = 16               # of a chunk

# A column of a tile.
cdef struct Slot:
    int64_t offset             # of its first bin in a leaf's sums
    int32_t n_bins             # 0: no column
    int32_t unused

cdef struct Node:
    double gain
    double value               # of a leaf; times the learning rate
    double sum_gradient
    double sum_hessian
    int64_t n
    uint64_t set[4]            # codes of the slot that go left
    int32_t left               # -1: a leaf
    int32_t right
    int32_t feature
    int32_t code               # numeric: last code that goes left
    int32_t slot
    int32_t leaf               # number of a leaf
    uint8_t missing_left
    uint8_t categorical
    uint8_t saw_missing        # training rows had missing values here
    uint8_t depth8

NODE_FIELDS = [
    ("gain", "f8"), ("value", "f8"), ("sum_gradient", "f8"), ("sum_hessian", "f8"),
    ("n", "i8"), ("set", "u8", (4,)), ("left", "i4"), ("right", "i4"),
    ("feature", "i4"), ("code", "i4"), ("slot", "i4"), ("leaf", "i4"),
    ("missing_left", "u1"), ("categorical", "u1"), ("saw_missing", "u1"),
    ("depth8", "u1"), ("unused", "u4"),
]

cdef struct Leaf:
    int64_t begin
    int64_t n
    uint64_t sums
    uint64_t key               # of its random numbers
    double low                 # bounds of its value
    double high
    int64_t cells              # place of its sums in the pool, -1: none
    int32_t node
    int32_t depth
    uint8_t buffer
    uint8_t in_order           # its rows are 0 to n - 1
    GradientSplit split

cdef struct Limits:
    int64_t max_leaves
    int64_t max_depth
    int64_t min_samples_leaf
    int64_t max_features
    double min_hessian
    double l2
    double cat_smooth
    double cat_l2
    int64_t max_cat_threshold
    int64_t min_data_per_group
    double min_gain
    bint depthwise
    bint any_monotonic

cdef struct Engine:
    Team team
    Limits limits
    Regularization reg
    # The table.
    int64_t n_rows
    int64_t n_features
    int64_t n_tiles
    int64_t n_slots            # those behind have no column
    int64_t n_cells            # bins of all slots
    int64_t n_panels
    int64_t last_width         # tiles of a row of the last panel, the others have 8
    const uint64_t* tiles      # panels of (n_rows, width)
    const uint8_t** columns    # (8 * n_tiles,) codes of each slot, (n_rows,)
    const Slot* slots          # (8 * n_tiles,)
    const Feature* features
    const int32_t* tile_features   # features by tile
    const int32_t* tile_start      # (n_tiles + 1,)
    # The rows of this tree.
    int64_t n_work
    const uint32_t* sample     # (n_work,), NULL: all rows
    const float* g             # (n_rows,)
    const float* h
    float per_gradient
    float per_hessian
    BlockSums* block_sums
    uint64_t* block_totals
    uint32_t* rows[2]
    uint64_t* stat[2]
    uint8_t* side
    int64_t* block_left
    uint16_t* leaf_of          # (n_rows,)
    # The tree.
    Node* nodes
    int64_t n_nodes
    int64_t n_leaves
    Leaf* leaves
    int32_t* heap
    int64_t n_heap
    uint64_t* pool             # (n_pool, n_cells)
    int64_t* idle              # stack of free places
    int64_t n_idle
    ScanSpace* spaces
    uint64_t* bins             # (n_workers, 8 * n_panels, 8, 256), zero between uses
    uint8_t* dirty             # (n_workers, n_panels)
    int64_t n_parts            # chunks of the rows that are counted
    # Interaction constraints: groups by feature, and each leaf's live groups.
    int64_t n_groups
    const uint8_t* groups      # (n_groups, n_features)
    uint8_t* live              # (max_leaves, n_groups)
    uint8_t* mask[2]           # (n_features,) of the two children
    bint masked
    int32_t* shuffled          # (n_features,)
    # The split that is being made.
    Leaf* small
    Leaf* large
    bint scan_small
    bint scan_large
    bint keep_large
    bint move_stat
    Leaf parent
    const uint8_t* split_column
    uint8_t table[256]
    int64_t to_left
    int64_t to_right
    GradientSplit* found       # (2, n_tiles)
    # Leaf values.
    double learning_rate
    double* leaf_sums          # (n_blocks, n_leaves, 2)
    int64_t refit_rows
    double* values             # (max_leaves,)
    double* raw


# --- Chunks -----------------------------------------------------------------------


cdef void sum_chunk(void* context, int64_t chunk, int worker) noexcept nogil:
    cdef Engine* e = <Engine*>context
    cdef int64_t start = chunk * ROW_BLOCK, stop = min(start + ROW_BLOCK, e.n_rows)
    cdef int64_t at
    at = start
    while at < stop:
        sum_block(e.g + at, e.h + at, min(at + BLOCK, stop) - at,
                  e.block_sums + at // BLOCK)
        at += BLOCK


cdef void round_chunk(void* context, int64_t chunk, int worker) noexcept nogil:
    cdef Engine* e = <Engine*>context
    cdef int64_t start = chunk * ROW_BLOCK, stop = min(start + ROW_BLOCK, e.n_work)
    e.block_totals[chunk] = round_block(
        e.g, e.h, e.sample, start, stop, e.per_gradient, e.per_hessian, e.stat[0])
    if e.sample != NULL:
        memcpy(e.rows[0] + start, e.sample + start, (stop - start) * sizeof(uint32_t))


cdef inline LeafView view_of(const Engine* e, const Leaf* leaf) noexcept nogil:
    cdef LeafView view
    view.rows = NULL if leaf.in_order else e.rows[leaf.buffer] + leaf.begin
    view.n = leaf.n
    view.sums = leaf.sums
    view.low = leaf.low
    view.high = leaf.high
    return view


cdef inline void scan_tile(
    const Engine* e, int64_t tile, const uint64_t* cells, const Leaf* leaf,
    const uint8_t* mask, bint counts, ScanSpace* space, GradientSplit* best
) noexcept nogil:
    """Find the best split of a tile's features; `cells` are those of the leaf."""
    cdef LeafView view = view_of(e, leaf)
    cdef double own = own_score(&view, &e.reg)
    cdef int64_t i
    cdef int32_t f
    clear_split(best)
    for i in range(e.tile_start[tile], e.tile_start[tile + 1]):
        f = e.tile_features[i]
        if mask != NULL and not mask[f]:
            continue
        if e.features[f].categorical:
            scan_categorical(
                e.columns, e.features + f, f,
                cells + e.slots[e.features[f].slot].offset, &view, own, &e.reg, counts,
                space, best)
        else:
            scan_numeric(
                e.columns, e.features + f, f,
                cells + e.slots[e.features[f].slot].offset, &view, own, &e.reg, counts,
                space, best)


cdef inline int64_t width_of(const Engine* e, int64_t panel) noexcept nogil:
    return e.last_width if panel == e.n_panels - 1 else <int64_t>PANEL_TILES


cdef void count_chunk(void* context, int64_t chunk, int worker) noexcept nogil:
    """Sum some rows of the small child, or the root, over a panel's columns."""
    cdef Engine* e = <Engine*>context
    cdef int64_t panel = chunk // e.n_parts, part = chunk % e.n_parts
    cdef int64_t width = width_of(e, panel)
    cdef const uint64_t* tiles = e.tiles + panel * PANEL_TILES * e.n_rows
    cdef const Leaf* leaf = e.small
    cdef int64_t rows = (leaf.n + e.n_parts - 1) // e.n_parts
    cdef int64_t start = min(part * rows, leaf.n), stop = min(start + rows, leaf.n)
    e.dirty[worker * e.n_panels + panel] = 1
    sum_gradients(
        tiles + start * width if leaf.in_order else tiles, width,
        min(<int64_t>(PANEL_TILES * TILE_COLUMNS),
            e.n_slots - panel * PANEL_TILES * TILE_COLUMNS),
        NULL if leaf.in_order else e.rows[leaf.buffer] + leaf.begin + start,
        e.stat[leaf.buffer] + leaf.begin + start, stop - start,
        e.spaces[worker].block,
        e.bins + (worker * e.n_panels + panel) * PANEL_TILES * TILE_COLUMNS * TILE_BINS)


cdef inline void gather_bins(
    Engine* e, int64_t tile, uint64_t* cells, uint64_t* parent
) noexcept nogil:
    """Move the workers' bins of a tile to a leaf's cells, and off its parent's."""
    cdef int64_t panel = tile // PANEL_TILES, j, b, worker
    cdef const Slot* slot
    cdef uint64_t* bins
    cdef uint64_t* target
    cdef bint first
    for j in range(TILE_COLUMNS):
        slot = e.slots + tile * TILE_COLUMNS + j
        if slot.n_bins == 0:
            # Bin 0 of a byte that no column has is never read.
            continue
        target = cells + slot.offset
        first = True
        for worker in range(e.team.n_workers):
            if not e.dirty[worker * e.n_panels + panel]:
                continue
            bins = (e.bins + ((worker * e.n_panels * PANEL_TILES + tile) * TILE_COLUMNS
                              + j) * TILE_BINS)
            if first:
                memcpy(target, bins, slot.n_bins * sizeof(uint64_t))
            else:
                for b in range(slot.n_bins):
                    target[b] += bins[b]
            memset(bins, 0, slot.n_bins * sizeof(uint64_t))
            first = False
        if parent != NULL:
            for b in range(slot.n_bins):
                parent[slot.offset + b] -= target[b]


cdef void split_chunk(void* context, int64_t tile, int worker) noexcept nogil:
    """Scan the children of a split, or the root, in one tile."""
    cdef Engine* e = <Engine*>context
    cdef ScanSpace* space = e.spaces + worker
    cdef uint64_t* small = e.pool + e.small.cells * e.n_cells
    cdef uint64_t* large = NULL
    if e.keep_large:
        large = e.pool + e.large.cells * e.n_cells
    gather_bins(e, tile, small, large)
    if e.scan_small:
        scan_tile(e, tile, small, e.small, e.mask[0] if e.masked else NULL, False,
                  space, e.found + tile)
    if e.scan_large:
        scan_tile(e, tile, large, e.large, e.mask[1] if e.masked else NULL, False,
                  space, e.found + e.n_tiles + tile)


cdef void side_chunk(void* context, int64_t chunk, int worker) noexcept nogil:
    """Note which rows of the parent go left."""
    cdef Engine* e = <Engine*>context
    cdef int64_t start = chunk * ROW_BLOCK, n = e.parent.n
    cdef int64_t stop = min(start + ROW_BLOCK, n), i, count = 0
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


cdef void move_chunk(void* context, int64_t chunk, int worker) noexcept nogil:
    """Move the rows of the parent to the other buffer, left ones first."""
    cdef Engine* e = <Engine*>context
    cdef int64_t start = chunk * ROW_BLOCK, n = e.parent.n
    cdef int64_t stop = min(start + ROW_BLOCK, n), i, at
    cdef int64_t left = e.block_left[chunk]
    cdef int64_t right = e.to_right + start - left, step
    cdef const uint8_t* side = e.side + e.parent.begin
    cdef const uint32_t* rows = e.rows[e.parent.buffer] + e.parent.begin
    cdef const uint64_t* stat = e.stat[e.parent.buffer] + e.parent.begin
    cdef uint32_t* out = e.rows[1 - e.parent.buffer] + e.parent.begin
    cdef uint64_t* stat_out = e.stat[1 - e.parent.buffer] + e.parent.begin
    if e.parent.in_order:
        for i in range(start, stop):
            step = side[i]
            at = left if step else right
            out[at] = <uint32_t>i
            stat_out[at] = stat[i]
            left += step
            right += 1 - step
    elif e.move_stat:
        for i in range(start, stop):
            step = side[i]
            at = left if step else right
            out[at] = rows[i]
            stat_out[at] = stat[i]
            left += step
            right += 1 - step
    else:
        for i in range(start, stop):
            step = side[i]
            at = left if step else right
            out[at] = rows[i]
            left += step
            right += 1 - step


cdef inline int32_t find_leaf(
    const Node* nodes, const uint64_t* tiles, int64_t n_rows, int64_t n_panels,
    int64_t last_width, int64_t row
) noexcept nogil:
    cdef const Node* node = nodes
    cdef uint64_t code
    cdef int64_t panel, width
    while node.left >= 0:
        panel = node.slot >> 6
        width = last_width if panel == n_panels - 1 else <int64_t>PANEL_TILES
        code = tiles[panel * PANEL_TILES * n_rows + row * width + (node.slot >> 3 & 7)]
        code = code >> (8 * (node.slot & 7)) & 255
        if node.set[code >> 6] >> (code & 63) & 1:
            node = nodes + node.left
        else:
            node = nodes + node.right
    return node.leaf


cdef void walk_chunk(void* context, int64_t chunk, int worker) noexcept nogil:
    """Find the leaves of all rows, those outside the sample too."""
    cdef Engine* e = <Engine*>context
    cdef int64_t start = chunk * ROW_BLOCK, stop = min(start + ROW_BLOCK, e.n_rows)
    cdef int64_t i
    for i in range(start, stop):
        e.leaf_of[i] = <uint16_t>find_leaf(
            e.nodes, e.tiles, e.n_rows, e.n_panels, e.last_width, i)


cdef void mark_chunk(void* context, int64_t leaf, int worker) noexcept nogil:
    """Note the leaf of each of its rows."""
    cdef Engine* e = <Engine*>context
    cdef const Leaf* at = e.leaves + leaf
    cdef const uint32_t* rows = e.rows[at.buffer] + at.begin
    cdef int64_t i
    cdef uint16_t* leaf_of = e.leaf_of
    if at.in_order:
        for i in range(at.n):
            leaf_of[i] = <uint16_t>leaf
    else:
        for i in range(at.n):
            leaf_of[rows[i]] = <uint16_t>leaf


cdef void refit_chunk(void* context, int64_t chunk, int worker) noexcept nogil:
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


cdef void add_chunk(void* context, int64_t chunk, int worker) noexcept nogil:
    """Add the values of the rows' leaves to the raw predictions."""
    cdef Engine* e = <Engine*>context
    cdef int64_t start = chunk * ROW_BLOCK, stop = min(start + ROW_BLOCK, e.n_rows)
    cdef int64_t i
    for i in range(start, stop):
        e.raw[i] += e.values[e.leaf_of[i]]


# --- One tree ---------------------------------------------------------------------


cdef inline int64_t n_chunks(int64_t n, int64_t size) noexcept nogil:
    return (n + size - 1) // size


cdef inline int power_below(double limit, double total, double largest) noexcept nogil:
    """Return the largest e with total * 2**e <= limit and largest * 2**e < 2**21."""
    cdef int e = 0
    while e < 100 and total * ldexp(1.0, e + 1) <= limit and (
            largest * ldexp(1.0, e + 1) < 2097152.0):
        e += 1
    while e > -126 and (total * ldexp(1.0, e) > limit
                        or largest * ldexp(1.0, e) >= 2097152.0):
        e -= 1
    return e


cdef void choose_units(Engine* e) noexcept nogil:
    """Choose the units of the tree and round the gradients to them."""
    cdef int64_t b, n_blocks = n_chunks(e.n_rows, BLOCK)
    cdef double gradient = 0.0, hessian = 0.0, limit
    cdef float most_g = 0.0, most_h = 0.0, least_h = INFINITY
    cdef float least_positive = INFINITY, unit_h
    cdef int eg, eh
    cdef Limits* limits = &e.limits
    cdef Regularization* reg = &e.reg
    cdef bint constant
    share(&e.team, n_chunks(e.n_rows, ROW_BLOCK), sum_chunk, e)
    for b in range(n_blocks):
        gradient += e.block_sums[b].gradient
        hessian += e.block_sums[b].hessian
        most_g = max(most_g, e.block_sums[b].largest_gradient)
        most_h = max(most_h, e.block_sums[b].largest_hessian)
        least_h = min(least_h, e.block_sums[b].smallest_hessian)
        least_positive = min(least_positive, e.block_sums[b].smallest_positive)
    # Rounding adds at most a half, or for the hessian one, to each row.
    limit = 2147483647.0 - 2.0 * <double>e.n_work
    eg = power_below(limit, gradient, most_g)
    eh = power_below(limit, hessian, most_h)
    # Rows outside a sample have none.
    constant = least_positive == most_h and (least_h == most_h or e.sample != NULL)
    if constant:
        # Hessians count rows then.
        e.per_hessian = <float>1.0 / most_h
        reg.hessian_unit = most_h
    else:
        e.per_hessian = <float>ldexp(1.0, eh)
        reg.hessian_unit = ldexp(1.0, -eh)
    e.per_gradient = <float>ldexp(1.0, eg)
    reg.gradient_unit = ldexp(1.0, -eg)
    reg.l2 = limits.l2 / reg.hessian_unit
    reg.min_samples_leaf = limits.min_samples_leaf
    if constant:
        reg.sure_hessian = <double>limits.min_samples_leaf
        reg.min_hessian = max(limits.min_hessian / reg.hessian_unit,
                              reg.sure_hessian)
    else:
        # Of n rows the hessian is from n to n times the largest.
        unit_h = <float>round_units(most_h * e.per_hessian)
        reg.sure_hessian = <double>limits.min_samples_leaf * unit_h
        unit_h = <float>round_units(least_h * e.per_hessian)
        reg.min_hessian = max(limits.min_hessian / reg.hessian_unit,
                              <double>limits.min_samples_leaf * unit_h)
    reg.cat_smooth = limits.cat_smooth
    reg.cat_l2 = limits.cat_l2
    reg.max_cat_threshold = limits.max_cat_threshold
    reg.min_data_per_group = limits.min_data_per_group
    reg.any_monotonic = limits.any_monotonic
    share(&e.team, n_chunks(e.n_work, ROW_BLOCK), round_chunk, e)


cdef inline double round_units(double x) noexcept nogil:
    """Units of a hessian, as round_block has them, or one more."""
    cdef int64_t whole = <int64_t>(x + 0.5)
    return <double>whole if whole > 1 else 1.0


cdef inline bint splits_before(const Engine* e, int32_t a, int32_t b) noexcept nogil:
    cdef const Leaf* x = e.leaves + a
    cdef const Leaf* y = e.leaves + b
    cdef double gx = e.nodes[x.node].gain, gy = e.nodes[y.node].gain
    if e.limits.depthwise and x.depth != y.depth:
        return x.depth < y.depth
    if gx != gy and not e.limits.depthwise:
        return gx > gy
    return x.node < y.node


cdef void push(Engine* e, int32_t leaf) noexcept nogil:
    cdef int64_t i = e.n_heap, parent
    e.n_heap += 1
    e.heap[i] = leaf
    while i > 0:
        parent = (i - 1) // 2
        if not splits_before(e, e.heap[i], e.heap[parent]):
            break
        e.heap[i], e.heap[parent] = e.heap[parent], e.heap[i]
        i = parent


cdef int32_t pop(Engine* e) noexcept nogil:
    cdef int32_t top = e.heap[0]
    cdef int64_t i = 0, child
    e.n_heap -= 1
    e.heap[0] = e.heap[e.n_heap]
    while True:
        child = 2 * i + 1
        if child >= e.n_heap:
            break
        if child + 1 < e.n_heap and splits_before(e, e.heap[child + 1],
                                                  e.heap[child]):
            child += 1
        if not splits_before(e, e.heap[child], e.heap[i]):
            break
        e.heap[i], e.heap[child] = e.heap[child], e.heap[i]
        i = child
    return top


cdef inline void release(Engine* e, Leaf* leaf) noexcept nogil:
    if leaf.cells >= 0:
        e.idle[e.n_idle] = leaf.cells
        e.n_idle += 1
        leaf.cells = -1


cdef void choose_features(Engine* e, const Leaf* leaf, uint8_t* mask) noexcept nogil:
    """Mark the features that a leaf may be split by."""
    cdef int64_t f, k, n = 0, i
    cdef const uint8_t* live = e.live + (leaf - e.leaves) * e.n_groups
    cdef int32_t swapped
    if e.n_groups == 0:
        for f in range(e.n_features):
            mask[f] = 1
    else:
        memset(mask, 0, e.n_features)
        for k in range(e.n_groups):
            if live[k]:
                for f in range(e.n_features):
                    mask[f] |= e.groups[k * e.n_features + f]
    if e.limits.max_features >= e.n_features:
        return
    for f in range(e.n_features):
        if mask[f]:
            e.shuffled[n] = <int32_t>f
            n += 1
    memset(mask, 0, e.n_features)
    for k in range(min(n, e.limits.max_features)):
        i = k + draw_below(leaf.key, k, <uint32_t>(n - k))
        swapped = e.shuffled[k]
        e.shuffled[k] = e.shuffled[i]
        e.shuffled[i] = swapped
        mask[e.shuffled[k]] = 1


cdef void new_node(Engine* e, Leaf* leaf) noexcept nogil:
    cdef Node* node = e.nodes + e.n_nodes
    memset(node, 0, sizeof(Node))
    leaf.node = <int32_t>e.n_nodes
    e.n_nodes += 1
    node.left = node.right = node.feature = -1
    node.slot = -1
    node.code = -1
    node.n = leaf.n
    node.sum_gradient = gradient_of(leaf.sums) * e.reg.gradient_unit
    node.sum_hessian = hessian_of(leaf.sums) * e.reg.hessian_unit
    clear_split(&leaf.split)


cdef void keep_best(Engine* e, Leaf* leaf, int child) noexcept nogil:
    """Reduce the tiles' best splits to the leaf's, and queue it if there is one."""
    cdef GradientSplit* found = e.found + child * e.n_tiles
    cdef const uint8_t* mask = e.mask[child] if e.masked else NULL
    cdef int64_t tile, best
    cdef LeafView view = view_of(e, leaf)
    cdef double gain
    cdef const Regularization* reg = &e.reg
    while True:
        best = 0
        for tile in range(1, e.n_tiles):
            if found[tile].feature >= 0 and is_better(
                    found[tile].score, found[tile].feature, found + best):
                best = tile
        leaf.split = found[best]
        if leaf.split.feature < 0:
            release(e, leaf)
            return
        if has_rows(e.columns, e.features + leaf.split.feature, &leaf.split, &view,
                    reg, e.spaces[0].counts):
            break
        scan_tile(e, best, e.pool + leaf.cells * e.n_cells, leaf, mask, True,
                  e.spaces, found + best)
    gain = ((leaf.split.score - own_score(&view, reg)) * reg.gradient_unit
            * reg.gradient_unit / reg.hessian_unit)
    if gain <= e.limits.min_gain:
        release(e, leaf)
        return
    e.nodes[leaf.node].gain = gain
    push(e, <int32_t>(leaf - e.leaves))


cdef inline bint can_split(const Engine* e, const Leaf* leaf) noexcept nogil:
    return (leaf.n >= 2 * e.limits.min_samples_leaf
            and leaf.depth < e.limits.max_depth)


cdef void count_and_scan(Engine* e) noexcept nogil:
    """Find the best splits of e.small and e.large."""
    e.masked = e.n_groups > 0 or e.limits.max_features < e.n_features
    if e.masked:
        if e.scan_small:
            choose_features(e, e.small, e.mask[0])
        if e.scan_large:
            choose_features(e, e.large, e.mask[1])
    e.n_parts = 1
    if e.team.n_workers > 1:
        e.n_parts = max(<int64_t>1, min(e.small.n // PART_ROWS, 4 * e.team.n_workers))
    share(&e.team, e.n_parts * e.n_panels, count_chunk, e)
    share(&e.team, e.n_tiles, split_chunk, e)
    memset(e.dirty, 0, e.team.n_workers * e.n_panels)
    if e.scan_small:
        keep_best(e, e.small, 0)
    else:
        release(e, e.small)
    if e.scan_large:
        keep_best(e, e.large, 1)


cdef inline void take_place(Engine* e, Leaf* leaf) noexcept nogil:
    e.n_idle -= 1
    leaf.cells = e.idle[e.n_idle]


cdef void count_alone(Engine* e, Leaf* leaf) noexcept nogil:
    """Find the best split of a leaf whose parent's sums are not there."""
    e.small = leaf
    e.large = NULL
    e.scan_small = True
    e.scan_large = False
    e.keep_large = False
    take_place(e, leaf)
    count_and_scan(e)


cdef void plant(Engine* e, uint64_t key) noexcept nogil:
    """Make the root and find its split."""
    cdef Leaf* root = e.leaves
    cdef int64_t chunk
    memset(root, 0, sizeof(Leaf))
    e.n_nodes = 0
    e.n_heap = 0
    e.n_leaves = 1
    root.n = e.n_work
    root.key = key
    root.cells = -1
    root.low = -INFINITY
    root.high = INFINITY
    root.in_order = e.sample == NULL
    for chunk in range(n_chunks(e.n_work, ROW_BLOCK)):
        root.sums += e.block_totals[chunk]
    memset(e.live, 1, e.n_groups)
    new_node(e, root)
    if not can_split(e, root) or e.limits.max_leaves < 2:
        return
    count_alone(e, root)


cdef void fill_table(
    Engine* e, const GradientSplit* split, bint missing_left
) noexcept nogil:
    """Write which bytes of the split's slot go left."""
    cdef const Feature* feature = e.features + split.feature
    cdef int64_t b, n = feature.n_codes, at
    cdef uint8_t* table = e.table
    if split.categorical:
        for b in range(256):
            table[b] = split.set[b >> 6] >> (b & 63) & 1
        if not split.saw_missing:
            table[n] = missing_left
    elif feature.default_code < 0:
        for b in range(256):
            table[b] = b <= split.code
        table[n] = missing_left
    else:
        # Bytes of the other columns of the bundle have this one's default.
        memset(table, missing_left if feature.default_code == n
               else feature.default_code <= split.code, 256)
        at = feature.first
        for b in range(n + feature.has_missing):
            if b == feature.default_code:
                continue
            table[at] = missing_left if b == n else b <= split.code
            at += 1


cdef void keep_table(Engine* e, Node* node, bint left_is_larger) noexcept nogil:
    """Store the split and its set of bytes in a node.

    Where no row of the node has a missing value, those of new data go to the larger
    side.
    """
    cdef const GradientSplit* split = &e.parent.split
    cdef const Feature* feature = e.features + split.feature
    cdef int64_t b
    node.feature = split.feature
    node.slot = feature.slot
    node.code = split.code
    node.categorical = split.categorical
    if not split.saw_missing:
        node.missing_left = left_is_larger
        fill_table(e, split, left_is_larger)
    elif split.categorical:
        node.missing_left = e.table[feature.n_codes]
    else:
        node.missing_left = split.missing_left
    for b in range(256):
        node.set[b >> 6] |= <uint64_t>e.table[b] << (b & 63)


cdef void split_leaf(Engine* e, int32_t at) noexcept nogil:
    """Make two leaves of one: the left one in its place, the right one at the end."""
    cdef Leaf* left = e.leaves + at
    cdef Leaf* right = e.leaves + e.n_leaves
    cdef Node* node = e.nodes + left.node
    cdef const Feature* feature = e.features + left.split.feature
    cdef int64_t blocks = n_chunks(left.n, ROW_BLOCK), b, count, place
    cdef bint is_last = e.n_leaves + 1 >= e.limits.max_leaves
    cdef double low, high, middle
    cdef LeafView view = view_of(e, left)
    cdef uint8_t* live
    cdef Leaf* small
    cdef Leaf* large
    cdef bint wants_large
    e.parent = left[0]
    fill_table(e, &e.parent.split, e.parent.split.missing_left)
    e.split_column = e.columns[feature.slot]
    share(&e.team, blocks, side_chunk, e)
    e.to_right = 0
    for b in range(blocks):
        count = e.block_left[b]
        e.block_left[b] = e.to_right
        e.to_right += count
    count = e.to_right
    e.move_stat = not is_last
    share(&e.team, blocks, move_chunk, e)

    right[0] = e.parent
    left.n = count
    right.n = e.parent.n - count
    right.begin = e.parent.begin + count
    left.buffer = right.buffer = 1 - e.parent.buffer
    left.in_order = right.in_order = False
    left.depth = right.depth = e.parent.depth + 1
    left.sums = e.parent.split.left
    right.sums = e.parent.sums - left.sums
    left.key = child_key(e.parent.key, False)
    right.key = child_key(e.parent.key, True)
    if e.limits.any_monotonic:
        low = best_value(left.sums, e.reg.l2, &view)
        high = best_value(right.sums, e.reg.l2, &view)
        middle = (low + high) / 2
        if feature.monotonic > 0:
            left.high = right.low = middle
        elif feature.monotonic < 0:
            left.low = right.high = middle
    if e.n_groups:
        live = e.live + at * e.n_groups
        for b in range(e.n_groups):
            live[b] &= e.groups[b * e.n_features + e.parent.split.feature]
        memcpy(e.live + e.n_leaves * e.n_groups, live, e.n_groups)
    keep_table(e, node, left.n > right.n)
    new_node(e, left)
    new_node(e, right)
    node.left = left.node
    node.right = right.node
    e.n_leaves += 1

    place = e.parent.cells
    left.cells = right.cells = -1
    if left.n <= right.n:
        e.small, e.large = left, right
    else:
        e.small, e.large = right, left
    e.scan_small = not is_last and can_split(e, e.small)
    e.scan_large = not is_last and can_split(e, e.large)
    if not e.scan_small and not e.scan_large:
        if place >= 0:
            e.idle[e.n_idle] = place
            e.n_idle += 1
        return
    small, large = e.small, e.large
    wants_large = e.scan_large
    if place >= 0:
        # The large child takes its parent's place.
        large.cells = place
        e.keep_large = wants_large
        take_place(e, small)
        count_and_scan(e)
        if not wants_large:
            release(e, large)
    else:
        if e.scan_small:
            count_alone(e, small)
        if wants_large:
            count_alone(e, large)
    # Two places stay free for the next split's children.
    if e.n_idle < 2:
        release(e, small)
    if e.n_idle < 2:
        release(e, large)


cdef void fit_values(Engine* e) noexcept nogil:
    """Find the rows' leaves, and the leaves' values from the gradients."""
    cdef int64_t leaf, b, blocks, rows = 4 * ROW_BLOCK
    cdef double g, h, value, to_value
    cdef Leaf* at
    for leaf in range(e.n_leaves):
        e.nodes[e.leaves[leaf].node].leaf = <int32_t>leaf
    if e.sample == NULL:
        share(&e.team, e.n_leaves, mark_chunk, e)
    else:
        share(&e.team, n_chunks(e.n_rows, ROW_BLOCK), walk_chunk, e)
    while n_chunks(e.n_rows, rows) * e.n_leaves * 2 > MAX_REFIT_CELLS and (
            rows < e.n_rows):
        rows *= 2
    e.refit_rows = rows
    blocks = n_chunks(e.n_rows, rows)
    share(&e.team, blocks, refit_chunk, e)
    to_value = e.reg.gradient_unit / e.reg.hessian_unit
    for leaf in range(e.n_leaves):
        g = h = 0.0
        for b in range(blocks):
            g += e.leaf_sums[2 * (b * e.n_leaves + leaf)]
            h += e.leaf_sums[2 * (b * e.n_leaves + leaf) + 1]
        at = e.leaves + leaf
        h += e.limits.l2
        value = -g / h if h > 0.0 else 0.0
        if e.limits.any_monotonic:
            value = clip(value, at.low * to_value, at.high * to_value)
        e.values[leaf] = value * e.learning_rate
        e.nodes[at.node].value = e.values[leaf]


cdef int grow_tree(Engine* e, uint64_t key) except -1 nogil:
    cdef int64_t work = 0
    cdef int32_t leaf
    choose_units(e)
    plant(e, key)
    while e.n_heap > 0 and e.n_leaves < e.limits.max_leaves:
        leaf = pop(e)
        work += e.leaves[leaf].n * e.n_features
        split_leaf(e, leaf)
        if work > 300000000:
            work = 0
            with gil:
                # Raises KeyboardInterrupt in the main thread.
                check_signals()
    fit_values(e)
    return 0


cdef extern from "Python.h":
    int PyErr_CheckSignals() except -1


cdef int check_signals() except -1:
    return PyErr_CheckSignals()


# --- What Python sees -------------------------------------------------------------


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


cdef void gradient_chunk(void* context, int64_t chunk, int worker) noexcept nogil:
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


cdef void drop_chunk(void* context, int64_t chunk, int worker) noexcept nogil:
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


cdef void list_chunk(void* context, int64_t chunk, int worker) noexcept nogil:
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


cdef void rank_chunk(void* context, int64_t chunk, int worker) noexcept nogil:
    cdef RankTask* task = <RankTask*>context
    cdef int64_t query, first, start = chunk * QUERIES
    for query in range(start, min(start + QUERIES, task.n_queries)):
        first = task.ranking.start[query]
        rank_query(&task.ranking, query, task.raw, task.order + first,
                   task.work + worker * RANK_ARRAYS * task.ranking.longest, task.g,
                   task.h)


def order_nodes(
    const int32_t[::1] left,       # IN  (n_nodes,) -1 at leaves
    const int32_t[::1] right,      # IN  (n_nodes,)
    int32_t[::1] order,            # OUT (n_nodes,)
    int32_t[::1] new_left,         # OUT (n_nodes,)
    int32_t[::1] new_right,        # OUT (n_nodes,)
    int32_t[::1] stack,            # (n_nodes + 1,)
):
    """Put a tree's nodes in depth-first preorder, and renumber their children."""
    cdef int64_t top = 1, at = 0, n = left.shape[0]
    cdef int32_t node, parent
    cdef int32_t[::1] parent_of = np.full(n, -1, np.int32)
    with nogil:
        stack[0] = 0
        while top > 0:
            top -= 1
            node = stack[top]
            order[at] = node
            new_left[at] = new_right[at] = -1
            parent = parent_of[node]
            if parent >= 0:
                new_right[parent] = <int32_t>at
            if left[node] >= 0:
                new_left[at] = <int32_t>at + 1
                parent_of[right[node]] = <int32_t>at
                stack[top] = right[node]
                stack[top + 1] = left[node]
                top += 2
            at += 1


cdef class Rows:
    """Rows of codes whose raw predictions follow the trees.

    `tiles` is panel after panel: (n_rows, 8) each, and the last one (n_rows, 1, 2, 4
    or 8).
    """

    cdef readonly object tiles
    cdef readonly object raw
    cdef const uint64_t* tiles_at
    cdef double* raw_at
    cdef int64_t n_rows

    def __init__(self, const uint64_t[::1] tiles, double[:, ::1] raw):
        self.tiles = tiles.base
        self.raw = raw.base
        self.n_rows = raw.shape[1]
        self.tiles_at = &tiles[0]
        self.raw_at = &raw[0, 0]


cdef class Booster:
    """Memory of a fit, and the steps of one boosting round.

    Every step is called by `n_workers` threads at once, one of them with
    `worker` = 0, which leads and returns the result; `open` comes before.
    """

    cdef Engine engine
    cdef Rows rows
    cdef object owned
    cdef int64_t n_rows
    cdef int64_t n_pool
    cdef object nodes
    cdef float[:, ::1] g
    cdef float[:, ::1] h
    cdef double[::1] values
    cdef uint16_t[::1] leaf_of

    def __cinit__(self):
        memset(&self.engine, 0, sizeof(Engine))

    def __init__(
        self,
        Rows rows,                     # raw (n_outputs, n_rows)
        const uint8_t[::1] slots,      # as structs
        const uint8_t[::1] features,   # as structs
        const int32_t[::1] tile_features,
        const int32_t[::1] tile_start,
        list columns,                  # uint8 (n_rows,) of each slot, or None
        const uint8_t[:, ::1] groups,  # (n_groups, n_features) or (0, n_features)
        tuple limits,                  # as in Limits
        double learning_rate,
        int64_t n_pool,
        int n_workers,
    ):
        cdef Engine* e = &self.engine
        cdef int64_t n_rows = rows.n_rows, n_outputs = rows.raw.shape[0], i
        cdef int64_t blocks = n_chunks(n_rows, ROW_BLOCK) + 1
        cdef uint8_t[::1] bytes_
        cdef const uint8_t[::1] column
        cdef uint64_t[::1] words
        cdef int64_t[::1] longs
        cdef int32_t[::1] ints
        cdef uint32_t[::1] numbers
        cdef double[::1] doubles
        (
            e.limits.max_leaves, e.limits.max_depth, e.limits.min_samples_leaf,
            e.limits.max_features, e.limits.min_hessian, e.limits.l2,
            e.limits.cat_smooth, e.limits.cat_l2, e.limits.max_cat_threshold,
            e.limits.min_data_per_group, e.limits.min_gain, e.limits.depthwise,
            e.limits.any_monotonic,
        ) = limits
        self.rows = rows
        self.n_rows = n_rows
        self.n_pool = n_pool
        owned = [slots.base, features.base, tile_features.base, tile_start.base]
        e.n_rows = n_rows
        e.n_features = features.shape[0] // sizeof(Feature)
        e.n_tiles = tile_start.shape[0] - 1
        e.n_panels = n_chunks(e.n_tiles, PANEL_TILES)
        e.last_width = 1
        while e.last_width < e.n_tiles - (e.n_panels - 1) * PANEL_TILES:
            e.last_width *= 2
        e.tiles = rows.tiles_at
        e.slots = <const Slot*>&slots[0]
        e.features = <const Feature*>&features[0]
        e.tile_features = &tile_features[0]
        e.tile_start = &tile_start[0]
        e.n_cells = e.n_slots = 0
        for i in range(TILE_COLUMNS * e.n_tiles):
            if e.slots[i].n_bins:
                e.n_slots = i + 1
                e.n_cells = max(e.n_cells, e.slots[i].offset + e.slots[i].n_bins)
        array = np.zeros(TILE_COLUMNS * e.n_tiles, np.uint64)
        words = array
        e.columns = <const uint8_t**>&words[0]
        owned += [array, columns]
        for i in range(len(columns)):
            if columns[i] is not None:
                column = columns[i]
                e.columns[i] = &column[0]
        e.learning_rate = learning_rate
        e.n_groups = groups.shape[0]
        if e.n_groups:
            e.groups = &groups[0, 0]
            owned.append(groups.base)
        self.g = np.empty((n_outputs, n_rows), np.float32)
        self.h = np.empty((n_outputs, n_rows), np.float32)
        max_leaves = e.limits.max_leaves

        sums = np.empty((blocks * (ROW_BLOCK // BLOCK) + 1) * sizeof(BlockSums),
                        np.uint8)
        bytes_ = sums
        e.block_sums = <BlockSums*>&bytes_[0]
        totals = np.empty(blocks, np.uint64)
        words = totals
        e.block_totals = &words[0]
        owned += [sums, totals]
        for i in range(2):
            array = np.empty(n_rows, np.uint32)
            numbers = array
            e.rows[i] = &numbers[0]
            owned.append(array)
            array = np.empty(n_rows, np.uint64)
            words = array
            e.stat[i] = &words[0]
            owned.append(array)
        array = np.empty(n_rows, np.uint8)
        bytes_ = array
        e.side = &bytes_[0]
        owned.append(array)
        array = np.empty(blocks, np.int64)
        longs = array
        e.block_left = &longs[0]
        owned.append(array)
        self.leaf_of = np.zeros(n_rows, np.uint16)
        e.leaf_of = &self.leaf_of[0]

        self.nodes = np.zeros(2 * max_leaves, np.dtype(NODE_FIELDS))
        if self.nodes.dtype.itemsize != sizeof(Node):
            raise RuntimeError("NODE_FIELDS and Node differ")
        bytes_ = self.nodes.view(np.uint8)
        e.nodes = <Node*>&bytes_[0]
        array = np.zeros(max_leaves * sizeof(Leaf) + 64, np.uint8)
        bytes_ = array
        e.leaves = <Leaf*>&bytes_[0]
        owned.append(array)
        array = np.zeros(max_leaves + 1, np.int32)
        ints = array
        e.heap = &ints[0]
        owned.append(array)
        array = np.empty(n_pool * e.n_cells + 1, np.uint64)
        words = array
        e.pool = &words[0]
        owned.append(array)
        array = np.arange(n_pool)
        longs = array
        e.idle = &longs[0]
        e.n_idle = n_pool
        owned.append(array)
        array = np.zeros(n_workers * sizeof(ScanSpace) + 64, np.uint8)
        bytes_ = array
        e.spaces = <ScanSpace*>&bytes_[0]
        owned.append(array)
        array = np.zeros(
            n_workers * e.n_panels * PANEL_TILES * TILE_COLUMNS * TILE_BINS, np.uint64)
        words = array
        e.bins = &words[0]
        owned.append(array)
        array = np.zeros(n_workers * e.n_panels, np.uint8)
        bytes_ = array
        e.dirty = &bytes_[0]
        owned.append(array)
        array = np.ones(max_leaves * e.n_groups + 1, np.uint8)
        bytes_ = array
        e.live = &bytes_[0]
        owned.append(array)
        for i in range(2):
            array = np.zeros(e.n_features, np.uint8)
            bytes_ = array
            e.mask[i] = &bytes_[0]
            owned.append(array)
        array = np.zeros(e.n_features, np.int32)
        ints = array
        e.shuffled = &ints[0]
        owned.append(array)
        array = np.zeros(2 * e.n_tiles * sizeof(GradientSplit) + 64, np.uint8)
        bytes_ = array
        e.found = <GradientSplit*>&bytes_[0]
        owned.append(array)
        # fit_values makes blocks larger until their sums fit, but keeps one.
        array = np.zeros(max(MAX_REFIT_CELLS, 2 * max_leaves) + 2)
        doubles = array
        e.leaf_sums = &doubles[0]
        owned.append(array)
        self.values = np.zeros(max_leaves)
        e.values = &self.values[0]
        self.owned = owned

    @property
    def gradients(self):
        """Gradients and hessians of the outputs, float32 (n_outputs, n_rows)."""
        return self.g.base, self.h.base

    @property
    def leaves(self):
        """Number of the leaf of each row in the last tree, uint16 (n_rows,)."""
        return self.leaf_of.base

    @property
    def leaf_values(self):
        """Values of the leaves of the last tree, which the caller may change."""
        return self.values.base[:self.engine.n_leaves]

    def open(self, int n_workers):
        """Get ready for a step of so many threads."""
        open_team(&self.engine.team, n_workers)

    def help(self, int worker):
        """Take part in the step that worker 0 leads."""
        with nogil:
            help(&self.engine.team, worker)

    def close(self):
        """Let the helpers of this step go."""
        close_team(&self.engine.team)

    def find_gradients(
        self, int loss, double parameter, const double[::1] y,
        const double[::1] weight,
    ):
        """Fill `gradients` from the raw predictions. `weight` may be None."""
        cdef GradientTask task
        task.loss = loss
        task.parameter = parameter
        task.n_classes = self.g.shape[0]
        task.n_rows = self.n_rows
        task.raw = self.rows.raw_at
        task.y = &y[0]
        task.weight = NULL if weight is None else &weight[0]
        task.g = &self.g[0, 0]
        task.h = &self.h[0, 0]
        with nogil:
            share(&self.engine.team, n_chunks(self.n_rows, ROW_BLOCK), gradient_chunk,
                  &task)

    def rank_gradients(
        self,
        const int64_t[::1] start,      # (n_queries + 1,)
        const float[::1] gain,         # (n_rows,)
        const float[::1] discount,     # (longest,)
        const float[::1] inverse_max,  # (n_queries,)
        const double[::1] weight,      # (n_rows,) or None
        int64_t truncation,
        int32_t[::1] order,            # INOUT (n_rows,) each query's rows
    ):
        """Fill `gradients` with those of LambdaMART, see ranking.pxd.

        `order` is best that of the last call. `discount` is RANK_LANES longer than
        the longest query.
        """
        cdef RankTask task
        cdef int64_t size = RANK_ARRAYS * discount.shape[0] * self.engine.team.n_workers
        cdef float[::1] work = np.empty(size, np.float32)
        task.ranking.start = &start[0]
        task.ranking.gain = &gain[0]
        task.ranking.discount = &discount[0]
        task.ranking.inverse_max = &inverse_max[0]
        task.ranking.weight = NULL if weight is None else &weight[0]
        task.ranking.truncation = truncation
        task.ranking.longest = discount.shape[0]
        task.n_queries = start.shape[0] - 1
        task.raw = self.rows.raw_at
        task.order = &order[0]
        task.work = &work[0]
        task.g = &self.g[0, 0]
        task.h = &self.h[0, 0]
        with nogil:
            share(&self.engine.team, n_chunks(task.n_queries, QUERIES), rank_chunk,
                  &task)

    def sample(
        self, int64_t output, uint64_t key, double fraction, double rest_fraction,
        double threshold,
    ):
        """Draw rows, return them, and clear the gradients of all others.

        A row is drawn with the chance `fraction`; with `threshold` >= 0 one whose
        \|gradient\| * hessian is at most that, with `rest_fraction`, and its
        gradients are then divided by that.
        """
        cdef SampleTask task
        cdef int64_t blocks = n_chunks(self.n_rows, ROW_BLOCK), b, n = 0, count
        cdef int64_t[::1] block_n = np.zeros(blocks, np.int64)
        cdef uint32_t[::1] rows
        task.n_rows = self.n_rows
        task.key = mix(key)
        task.below = <uint64_t>(fraction * 9007199254740992.0)
        task.rest_below = <uint64_t>(rest_fraction * 9007199254740992.0)
        task.amplify = <float>(1.0 / rest_fraction) if rest_fraction > 0 else 0.0
        task.threshold = <float>threshold
        task.g = &self.g[output, 0]
        task.h = &self.h[output, 0]
        task.block_n = &block_n[0]
        with nogil:
            share(&self.engine.team, blocks, drop_chunk, &task)
        for b in range(blocks):
            count = block_n[b]
            block_n[b] = n
            n += count
        rows = np.empty(max(n, 1), np.uint32)
        task.rows = &rows[0]
        with nogil:
            share(&self.engine.team, blocks, list_chunk, &task)
        return rows.base[:n]

    def grow(self, int64_t output, uint64_t key, const uint32_t[::1] sample=None):
        """Grow a tree from the gradients of an output and return its nodes.

        `sample` are the rows to grow from, ascending; the gradients of all others
        are 0.
        """
        cdef Engine* e = &self.engine
        cdef int64_t place
        e.g = &self.g[output, 0]
        e.h = &self.h[output, 0]
        e.sample = NULL
        e.n_work = self.n_rows
        if sample is not None:
            e.sample = &sample[0]
            e.n_work = sample.shape[0]
        for place in range(self.n_pool):
            e.idle[place] = place
        e.n_idle = self.n_pool
        with nogil:
            grow_tree(e, key)
        return self.nodes[:e.n_nodes].copy()

    def add(self, int64_t output):
        """Add `leaf_values` of the last tree to the raw predictions of an output."""
        cdef Engine* e = &self.engine
        e.raw = self.rows.raw_at + output * self.n_rows
        with nogil:
            share(&e.team, n_chunks(self.n_rows, ROW_BLOCK), add_chunk, e)
