"""Sums of a leaf's gradients by feature and code, and its best split.

The leaf with fewer rows of two is counted; what is left of the parent's sums are the
other's. While a tile's sums are in the cache, both leaves are scanned.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from fasttree._kernels.boost_engine cimport (
    CLEAN, COUNTED, FEW_ROWS, MANY_ROWS, PART_ROWS, USED, Engine, Leaf, Slot, column_of,
    n_chunks, view_of
)
from fasttree._kernels.boost_queue cimport push, release, take_place
from fasttree._kernels.gradient_histogram cimport (
    PANEL_TILES, TILE_BINS, TILE_COLUMNS, sum_gradients
)
from fasttree._kernels.leaf_split cimport (
    GradientSplit, LeafView, Regularization, ScanSpace, clear_split, has_rows,
    is_better, is_sure, own_score, scan_categorical, scan_numeric
)
from fasttree._kernels.random cimport draw_below
from fasttree._kernels.sparse_cells cimport (
    SparseScan, add_entries, count_entries, scan_sparse
)
from fasttree._kernels.team cimport share


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
                e.columns[e.features[f].slot], e.features + f, f,
                cells + e.slots[e.features[f].slot].offset, &view, own, &e.reg, counts,
                space, best)
        else:
            scan_numeric(
                e.columns[e.features[f].slot], e.features + f, f,
                cells + e.slots[e.features[f].slot].offset, &view, own, &e.reg, counts,
                space, best)


cdef inline int64_t width_of(const Engine* e, int64_t panel) noexcept nogil:
    return e.last_width if panel == e.n_panels - 1 else <int64_t>PANEL_TILES


cdef inline void count_tiles(
    const Engine* e, int64_t panel, int64_t tile, int64_t taken, int64_t start,
    int64_t stop, uint64_t* block, uint64_t* bins
) noexcept nogil:
    """Sum some rows of the small child, or the root, over tiles of a panel."""
    cdef int64_t width = width_of(e, panel), n_columns
    cdef const uint64_t* tiles = e.tiles + panel * PANEL_TILES * e.n_rows + tile
    cdef const Leaf* leaf = e.small
    n_columns = min(taken * TILE_COLUMNS,
                    e.n_slots - (panel * PANEL_TILES + tile) * TILE_COLUMNS)
    sum_gradients(
        tiles + start * width if leaf.in_order else tiles, width, taken, n_columns,
        NULL if leaf.in_order else e.rows[leaf.buffer] + leaf.begin + start,
        e.stat[leaf.buffer] + leaf.begin + start, stop - start, block, bins)


cdef inline uint64_t* clean_bins(Engine* e, int worker, int64_t panel) noexcept nogil:
    """Return a worker's bins of a panel, which only the worker itself clears."""
    cdef uint64_t* bins = e.bins + (worker * e.n_panels + panel) * (
        PANEL_TILES * TILE_COLUMNS * TILE_BINS)
    cdef uint8_t* state = e.state + worker * e.n_panels + panel
    if state[0] == USED:
        memset(bins, 0,
               width_of(e, panel) * TILE_COLUMNS * TILE_BINS * sizeof(uint64_t))
        state[0] = CLEAN
    return bins


cdef inline void count_chunk(void* context, int64_t chunk, int worker) noexcept nogil:
    """Sum a part of the rows in one panel."""
    cdef Engine* e = <Engine*>context
    cdef int64_t panel = chunk % e.n_panels, part = chunk // e.n_panels
    cdef int64_t n = e.small.n, rows = (n + e.n_parts - 1) // e.n_parts
    cdef int64_t start = min(part * rows, n), stop = min(start + rows, n)
    cdef uint64_t* bins = clean_bins(e, worker, panel)
    e.state[worker * e.n_panels + panel] = COUNTED
    count_tiles(
        e, panel, 0, width_of(e, panel), start, stop, e.spaces[worker].block, bins)


cdef inline void take_bins(
    const Engine* e, int64_t tile, const uint64_t* bins, uint64_t* cells, bint first
) noexcept nogil:
    """Copy the bins of a tile to a leaf's cells, or add them."""
    cdef int64_t j, b
    cdef const Slot* slot
    cdef uint64_t* target
    for j in range(TILE_COLUMNS):
        slot = e.slots + tile * TILE_COLUMNS + j
        if slot.n_bins == 0:
            continue
        target = cells + slot.offset
        if first:
            memcpy(target, bins + j * TILE_BINS, slot.n_bins * sizeof(uint64_t))
        else:
            for b in range(slot.n_bins):
                target[b] += bins[j * TILE_BINS + b]


cdef inline void clear_bins(
    const Engine* e, int64_t tile, uint64_t* bins
) noexcept nogil:
    cdef int64_t j, n
    for j in range(TILE_COLUMNS):
        # All rows are in bin 0 of a byte that no column has.
        n = max(1, e.slots[tile * TILE_COLUMNS + j].n_bins)
        memset(bins + j * TILE_BINS, 0, n * sizeof(uint64_t))


cdef inline void subtract(
    const Engine* e, int64_t tile, uint64_t* cells, const uint64_t* less
) noexcept nogil:
    cdef const Slot* slots = e.slots + tile * TILE_COLUMNS
    cdef int64_t b, start = slots[0].offset, stop = start, j
    for j in range(TILE_COLUMNS):
        if slots[j].n_bins:
            stop = slots[j].offset + slots[j].n_bins
    for b in range(start, stop):
        cells[b] -= less[b]


cdef inline void scan_children(
    Engine* e, int64_t tile, const uint64_t* small, const uint64_t* large,
    ScanSpace* space
) noexcept nogil:
    if e.scan_small:
        scan_tile(e, tile, small, e.small, e.mask[0] if e.masked else NULL,
                  e.small.n < FEW_ROWS, space, e.found + tile)
    if e.scan_large:
        scan_tile(e, tile, large, e.large, e.mask[1] if e.masked else NULL,
                  e.large.n < FEW_ROWS, space, e.found + e.n_scans + tile)


cdef inline void split_chunk(void* context, int64_t tile, int worker) noexcept nogil:
    """Add up the workers' bins of a tile, and scan the children of a split there."""
    cdef Engine* e = <Engine*>context
    cdef int64_t panel = tile // PANEL_TILES, other
    cdef uint64_t* small = e.pool + e.small.cells * e.n_cells
    cdef uint64_t* large = NULL
    cdef bint first = True
    for other in range(e.team.n_workers):
        if e.state[other * e.n_panels + panel] == COUNTED:
            take_bins(e, tile, e.bins + (other * e.n_panels * PANEL_TILES + tile)
                      * TILE_COLUMNS * TILE_BINS, small, first)
            first = False
    if e.keep_large:
        large = e.pool + e.large.cells * e.n_cells
        subtract(e, tile, large, small)
    scan_children(e, tile, small, large, e.spaces + worker)


cdef inline void subtract_rows(
    const Engine* e, int64_t tile, const uint64_t* codes, int64_t width,
    uint64_t* cells
) noexcept nogil:
    """Take the rows of the small child off the sums of a tile; `codes` are its own."""
    cdef const Leaf* leaf = e.small
    cdef const uint32_t* rows = e.rows[leaf.buffer] + leaf.begin
    cdef const uint64_t* stat = e.stat[leaf.buffer] + leaf.begin
    cdef const Slot* slots = e.slots + tile * TILE_COLUMNS
    cdef int64_t i, j, n = min(<int64_t>TILE_COLUMNS, e.n_slots - tile * TILE_COLUMNS)
    cdef uint64_t word
    for i in range(leaf.n):
        word = codes[rows[i] * width]
        for j in range(n):
            cells[slots[j].offset + (word & 255)] -= stat[i]
            word >>= 8


cdef inline void tiles_chunk(void* context, int64_t chunk, int worker) noexcept nogil:
    """Sum the small child in some tiles of a panel, and scan both children there."""
    cdef Engine* e = <Engine*>context
    cdef ScanSpace* space = e.spaces + worker
    cdef uint64_t* small = e.pool + e.small.cells * e.n_cells
    cdef uint64_t* large = NULL
    # One panel's: they stay in the worker's cache.
    cdef uint64_t* bins = clean_bins(e, worker, 0)
    cdef int64_t tile = chunk * e.tiles_of_chunk, panel = tile // PANEL_TILES, t
    cdef int64_t width = width_of(e, panel), first = tile % PANEL_TILES
    cdef int64_t taken = min(width - first, e.tiles_of_chunk)
    cdef bint by_rows = e.keep_large and not e.scan_small and e.small.n < FEW_ROWS
    cdef const uint64_t* codes = e.tiles + panel * PANEL_TILES * e.n_rows + first
    if e.keep_large:
        large = e.pool + e.large.cells * e.n_cells
    if not by_rows:
        count_tiles(e, panel, first, taken, 0, e.small.n, space.block, bins)
    for t in range(min(taken, e.n_tiles - tile)):
        if by_rows:
            subtract_rows(e, tile + t, codes + t, width, large)
        else:
            take_bins(e, tile + t, bins + t * TILE_COLUMNS * TILE_BINS, small, True)
            clear_bins(e, tile + t, bins + t * TILE_COLUMNS * TILE_BINS)
            if e.keep_large:
                subtract(e, tile + t, large, small)
        scan_children(e, tile + t, small, large, space)


cdef inline void scan_group(
    const Engine* e, int64_t group, const uint64_t* cells, const Leaf* leaf,
    const uint8_t* mask, const uint32_t* counts, ScanSpace* space, GradientSplit* best
) noexcept nogil:
    """Find the best split of a group of columns that are held by their entries."""
    cdef LeafView view = view_of(e, leaf)
    cdef int64_t first = e.tile_start[e.n_tiles]
    cdef SparseScan scan
    scan.table = &e.sparse
    scan.features = e.features
    scan.numbers = e.tile_features + first
    scan.cells = cells + e.tile_cells
    scan.counts = counts
    scan.leaf = &view
    scan.own = own_score(&view, &e.reg)
    scan.reg = &e.reg
    scan.space = space
    clear_split(best)
    scan_sparse(&scan, e.tile_start[group] - first, e.tile_start[group + 1] - first,
                mask, best)


cdef inline void entries_chunk(void* context, int64_t part, int worker) noexcept nogil:
    """Add a part of the small child's rows to the cells of their entries."""
    cdef Engine* e = <Engine*>context
    cdef const Leaf* leaf = e.small
    cdef int64_t rows = (leaf.n + e.n_parts - 1) // e.n_parts
    cdef int64_t start = min(part * rows, leaf.n), stop = min(start + rows, leaf.n)
    e.sparse_dirty[worker] = 1
    add_entries(
        &e.sparse, NULL if leaf.in_order else e.rows[leaf.buffer] + leaf.begin + start,
        e.stat[leaf.buffer] + leaf.begin + start, start, stop - start, 1,
        e.sparse_bins + worker * e.sparse.n_cells)


cdef inline void add_leaf(
    const Engine* e, const Leaf* leaf, uint64_t sign, uint64_t* cells
) noexcept nogil:
    """Add all rows of a leaf to the cells of their entries, or take them off."""
    cdef LeafView view = view_of(e, leaf)
    add_entries(&e.sparse, view.rows, e.stat[leaf.buffer] + leaf.begin, 0, leaf.n, sign,
                cells)


cdef inline void sparse_chunk(void* context, int64_t chunk, int worker) noexcept nogil:
    """Add up the workers' cells of a group of columns, and scan the children there."""
    cdef Engine* e = <Engine*>context
    cdef int64_t group = e.n_tiles + chunk, b, other
    cdef int64_t base = e.tile_start[e.n_tiles]
    cdef int64_t start = e.sparse.cell[e.tile_start[group] - base] + 1
    cdef int64_t stop = e.sparse.cell[e.tile_start[group + 1] - base] + 1
    cdef uint64_t* small = e.pool + e.small.cells * e.n_cells
    cdef uint64_t* large = NULL
    cdef uint64_t* sums = small + e.tile_cells
    cdef uint64_t* bins
    cdef bint first = True
    for other in range(e.team.n_workers):
        if e.sparse_divided and e.sparse_dirty[other]:
            bins = e.sparse_bins + other * e.sparse.n_cells
            if first:
                memcpy(sums + start, bins + start, (stop - start) * sizeof(uint64_t))
            else:
                for b in range(start, stop):
                    sums[b] += bins[b]
            memset(bins + start, 0, (stop - start) * sizeof(uint64_t))
            first = False
    if e.keep_large:
        large = e.pool + e.large.cells * e.n_cells
        if e.sparse_subtracts:
            for b in range(start, stop):
                large[e.tile_cells + b] -= sums[b]
    if e.scan_small:
        scan_group(e, group, small, e.small, e.mask[0] if e.masked else NULL,
                   e.sparse_counts[0] if e.small.n < FEW_ROWS else NULL,
                   e.spaces + worker, e.found + group)
    if e.scan_large:
        scan_group(e, group, large, e.large, e.mask[1] if e.masked else NULL,
                   e.sparse_counts[1] if e.large.n < FEW_ROWS else NULL,
                   e.spaces + worker, e.found + e.n_scans + group)


cdef inline void count_and_scan_sparse(Engine* e) noexcept nogil:
    """Do what count_and_scan does for the columns that are held by their entries."""
    cdef LeafView view
    cdef uint64_t* cells
    if e.scan_small and e.small.n < FEW_ROWS:
        view = view_of(e, e.small)
        count_entries(&e.sparse, view.rows, view.n, e.sparse_counts[0])
    if e.scan_large and e.large.n < FEW_ROWS:
        view = view_of(e, e.large)
        count_entries(&e.sparse, view.rows, view.n, e.sparse_counts[1])
    e.sparse_divided = e.team.n_workers > 1 and e.small.n >= MANY_ROWS
    e.sparse_subtracts = e.sparse_divided or e.scan_small
    if e.sparse_divided:
        e.n_parts = min(e.small.n // PART_ROWS, 4 * e.team.n_workers)
        share(&e.team, e.n_parts, entries_chunk, e)
    elif e.sparse_subtracts:
        cells = e.pool + e.small.cells * e.n_cells + e.tile_cells
        memset(cells, 0, e.sparse.n_cells * sizeof(uint64_t))
        add_leaf(e, e.small, 1, cells)
    elif e.keep_large:
        add_leaf(e, e.small, <uint64_t>-1,
                 e.pool + e.large.cells * e.n_cells + e.tile_cells)
    share(&e.team, e.n_scans - e.n_tiles, sparse_chunk, e)
    memset(e.sparse_dirty, 0, e.team.n_workers)


cdef inline void choose_features(Engine* e, const Leaf* leaf, uint8_t* mask) noexcept nogil:
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


cdef inline void keep_best(Engine* e, Leaf* leaf, int child) noexcept nogil:
    """Reduce the tiles' best splits to the leaf's, and queue it if there is one."""
    cdef GradientSplit* found = e.found + child * e.n_scans
    cdef const uint8_t* mask = e.mask[child] if e.masked else NULL
    cdef int64_t tile, best
    cdef LeafView view = view_of(e, leaf)
    cdef double gain
    cdef const Regularization* reg = &e.reg
    cdef bint counted = leaf.n < FEW_ROWS
    while True:
        best = 0
        for tile in range(1, e.n_scans):
            if found[tile].feature >= 0 and is_better(
                    found[tile].score, found[tile].feature, found + best):
                best = tile
        leaf.split = found[best]
        if leaf.split.feature < 0:
            release(e, leaf)
            return
        if is_sure(leaf.split.left, leaf.sums, reg) or has_rows(
                column_of(e, e.features[leaf.split.feature].slot, e.spread),
                e.features + leaf.split.feature, &leaf.split, &view, reg,
                e.spaces[0].counts):
            break
        if best < e.n_tiles:
            scan_tile(e, best, e.pool + leaf.cells * e.n_cells, leaf, mask, True,
                      e.spaces, found + best)
            continue
        if not counted:
            count_entries(&e.sparse, view.rows, view.n, e.sparse_counts[child])
            counted = True
        scan_group(e, best, e.pool + leaf.cells * e.n_cells, leaf, mask,
                   e.sparse_counts[child], e.spaces, found + best)
    gain = ((leaf.split.score - own_score(&view, reg)) * reg.gradient_unit
            * reg.gradient_unit / reg.hessian_unit)
    if gain <= 0.0:
        release(e, leaf)
        return
    e.nodes[leaf.node].gain = gain
    push(e, <int32_t>(leaf - e.leaves))


cdef inline bint can_split(const Engine* e, const Leaf* leaf) noexcept nogil:
    return (leaf.n >= 2 * e.limits.min_samples_leaf
            and leaf.depth < e.limits.max_depth)


cdef inline void count_and_scan(Engine* e) noexcept nogil:
    """Find the best splits of e.small and e.large."""
    cdef int64_t i
    e.masked = e.n_groups > 0 or e.limits.max_features < e.n_features
    if e.masked:
        if e.scan_small:
            choose_features(e, e.small, e.mask[0])
        if e.scan_large:
            choose_features(e, e.large, e.mask[1])
    if e.team.n_workers > 1 and e.n_panels < 2 * e.team.n_workers and (
            e.small.n >= MANY_ROWS):
        # Workers that divide the tiles of few panels would read the same lines.
        e.n_parts = min(e.small.n // PART_ROWS, 4 * e.team.n_workers)
        share(&e.team, e.n_parts * e.n_panels, count_chunk, e)
        share(&e.team, e.n_tiles, split_chunk, e)
        for i in range(e.team.n_workers * e.n_panels):
            if e.state[i] == COUNTED:
                e.state[i] = USED
    else:
        e.tiles_of_chunk = PANEL_TILES
        if e.n_panels == 1:
            e.tiles_of_chunk = e.last_width
        while e.tiles_of_chunk > 1 and e.team.n_workers > 1 and (
                n_chunks(e.n_tiles, e.tiles_of_chunk) < 2 * e.team.n_workers):
            e.tiles_of_chunk //= 2
        share(&e.team, n_chunks(e.n_tiles, e.tiles_of_chunk), tiles_chunk, e)
    if e.sparse.n_columns:
        count_and_scan_sparse(e)
    if e.scan_small:
        keep_best(e, e.small, 0)
    else:
        release(e, e.small)
    if e.scan_large:
        keep_best(e, e.large, 1)


cdef inline void count_alone(Engine* e, Leaf* leaf) noexcept nogil:
    """Find the best split of a leaf whose parent's sums are not there."""
    e.small = leaf
    e.large = NULL
    e.scan_small = True
    e.scan_large = False
    e.keep_large = False
    take_place(e, leaf)
    count_and_scan(e)
