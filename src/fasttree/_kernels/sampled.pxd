"""Growth where each node looks at a few features, or at one split of each.

A node is a list of rows. Nothing is kept for columns that no node looks at: those
that a node draws are counted by code, see cells.pxd, or have a split drawn of their
values, see keys.pxd. Wide nodes read the table; once a node's rows are few, its
codes or keys and its targets are copied out, so that they lie in the cache, and the
subtree below is grown from the copy. Columns of many codes are renumbered there:
exact splits have small codes too.

The whole tree is grown depth-first in one call, left before right; its records
stand in preorder. What a node draws hangs on its key alone.
"""

from libc.math cimport INFINITY, NAN
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from fasttree._kernels.absolute cimport rank_rows
from fasttree._kernels.bin_search cimport try_bins
from fasttree._kernels.branches cimport leave_branch
from fasttree._kernels.cells cimport Best, Codes, sort_node
from fasttree._kernels.class_cells cimport add_stats, try_classes
from fasttree._kernels.copies cimport copy_columns, copy_keys, copy_targets
from fasttree._kernels.draw cimport GROUP, draw_gathered, draw_of_node
from fasttree._kernels.drawn_parting cimport record_drawn
from fasttree._kernels.grower cimport (
    WORK_UNASKED,
    Grower,
    Stack,
    reserve_stack,
    seconds_now,
)
from fasttree._kernels.impurity cimport measure_classes, score_binary
from fasttree._kernels.keys cimport gather_column, gather_group, make_keys
from fasttree._kernels.monotone cimport (
    Monotone,
    bound_children,
    monotone_of,
    node_values,
)
from fasttree._kernels.outputs cimport clear_node, count_node, measure_node
from fasttree._kernels.parting cimport (
    Sides,
    code_at,
    mark_codes,
    mark_set,
    part_drawn,
    part_marked,
    part_node,
    record_set,
    sorts_rows,
)
from fasttree._kernels.prefixes cimport pair_values
from fasttree._kernels.random cimport child_key, draw_below
from fasttree._kernels.records cimport NodeRecord, reserve_nodes
from fasttree._kernels.scan cimport is_constant, scan_entries
from fasttree._kernels.scan_categories cimport scan_categories
from fasttree._kernels.subtree cimport Frame, emit_payload, must_be_leaf
from fasttree._kernels.types cimport (
    ABSOLUTE,
    BINARY,
    CLASSES,
    Feature,
    LABELS,
    Limits,
    NodeStat,
    REGRESSION,
    Target,
    entry_t,
)

cdef enum:
    SPARSE = 8                # nodes of fewer than 1 of so many rows read whole rows


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


cdef inline void measure_sides(
    const Target* target, const entry_t* ids, const uint32_t* stats, int64_t n,
    int64_t n_left, int64_t* totals, int64_t* some, NodeStat* left, NodeStat* right
) noexcept nogil:
    """Measure two children of CLASSES with stats, of which the smaller is counted.

    `totals` comes with the parent's class weights, `some` zeroed; both go zeroed.
    """
    cdef bint left_is_smaller = 2 * n_left < n
    cdef int64_t c
    if left_is_smaller:
        add_stats(stats, n_left, target.n_classes, some)
        measure_classes(target, ids, n_left, some, left)
    else:
        add_stats(stats + n_left, n - n_left, target.n_classes, some)
        measure_classes(target, ids + n_left, n - n_left, some, right)
    if n < target.n_classes:
        for c in range(n):
            totals[stats[c] & 0xFFFF] -= some[stats[c] & 0xFFFF]
            some[stats[c] & 0xFFFF] = 0
    else:
        for c in range(target.n_classes):
            totals[c] -= some[c]
            some[c] = 0
    if left_is_smaller:
        measure_classes(target, ids + n_left, n - n_left, totals, right)
    else:
        measure_classes(target, ids, n_left, totals, left)
    clear_node(target, totals, ids, n)


cdef inline bint try_entries(
    const Codes* column, int32_t feature, const entry_t* ids, entry_t* entries,
    const Target* target, const NodeStat* node, Monotone* rule, Grower* g, Best* best
) noexcept nogil:
    """Search a column in order of its codes; False if it is constant."""
    cdef entry_t missing = <entry_t>1 << (8 * sizeof(entry_t) - 2)
    cdef entry_t mask = (missing >> 1) - 1
    cdef const Limits* limits = &g.limits
    cdef int64_t n = node.n, place
    cdef double before = best.split.score
    sort_node(column, ids, n, &g.cells, entries)
    if is_constant(entries, n):
        return False
    if column.categorical:
        scan_categories(entries, target, node, limits, &g.scratch, &best.split)
    else:
        rule.sign = limits.signs + feature * rule.n
        scan_entries(entries, entries[n - 1] & missing != 0, target, node, limits,
                     rule if column.monotone else NULL, &g.scratch, &best.split)
    if best.split.score > before:
        best.split.feature = feature
        if not column.categorical:
            place = best.split.position
            best.split.code_low = code_at(column, entries[place - 1] & mask)
            best.split.code_high = code_at(column, entries[place] & mask)
    return True


cdef inline bint both_pure(
    const Target* target, const NodeStat* node, bint has_stats, const Best* best
) noexcept nogil:
    """No later feature can be strictly better."""
    if target.kind == BINARY:
        return best.split.score >= (0.0 if target.entropy else <double>node.weight)
    if target.kind == CLASSES or target.kind == LABELS:
        if target.entropy:
            return best.split.score >= 0.0
        # Squares of fractional weights are rounded: a later one may score more.
        return (target.weight == NULL or has_stats) and (
            best.split.score >= <double>(target.n_outputs * node.weight))
    return node.n == 2 and best.split.feature >= 0


cdef inline int32_t draw_next(Grower* g, uint64_t key, int64_t drawn) noexcept nogil:
    """The feature that a node draws after `drawn` others."""
    cdef int64_t place = drawn + draw_below(
        key, drawn, <uint32_t>(g.n_features - drawn))
    cdef int32_t f = g.permutation[place]
    g.permutation[place] = g.permutation[drawn]
    g.permutation[drawn] = f
    g.places[drawn] = <int32_t>place
    return f


cdef inline void put_back(Grower* g, int64_t drawn) noexcept nogil:
    """Make the permutation the identity again."""
    cdef int64_t place
    cdef int32_t f
    while drawn > 0:
        drawn -= 1
        place = g.places[drawn]
        f = g.permutation[place]
        g.permutation[place] = g.permutation[drawn]
        g.permutation[drawn] = f


cdef inline Best find_counted(
    Grower* g, const Codes* columns, const Target* target, const entry_t* ids,
    entry_t* entries, const uint32_t* stats, const NodeStat* node, uint64_t key,
    uint64_t* mask, Monotone* rule
) noexcept nogil:
    """Best split of the drawn features; columns that are constant leave `mask`."""
    cdef Best best
    cdef const Limits* limits = &g.limits
    cdef int64_t drawn = 0
    cdef int32_t n_features = g.n_features, f
    cdef bint found = False, varies, by_order = sorts_rows(target, limits)
    cdef bint by_class = target.kind == CLASSES and stats != NULL
    cdef bint in_order = limits.max_features >= n_features and not g.shuffles
    memset(&best, 0, sizeof(Best))
    best.split.score = -INFINITY
    best.split.feature = -1
    if target.loss == ABSOLUTE:
        rank_rows(&g.medians, target, ids, node.n)
    if target.kind == REGRESSION and not by_order:
        pair_values(target, ids, node.n, g.pairs)
    # Draw features until max_features are seen and one of them varies.
    while drawn < n_features and (drawn < limits.max_features or not found):
        f = <int32_t>drawn if in_order else draw_next(g, key, drawn)
        drawn += 1
        if not mask[f >> 6] >> (f & 63) & 1:
            continue
        if by_class and not columns[f].categorical:
            varies = try_classes(columns + f, f, ids, stats, target, node,
                                 g.scratch.totals, g.scratch.left, limits, &g.cells,
                                 &best)
        elif by_order:
            varies = try_entries(columns + f, f, ids, entries, target, node, rule, g,
                                 &best)
        else:
            varies = try_bins(columns + f, f, ids, stats, g.pairs, target, node,
                              limits, &g.cells, &best)
        if varies:
            found = True
            if both_pure(target, node, stats != NULL, &best):
                break
        else:
            mask[f >> 6] &= ~(<uint64_t>1 << (f & 63))
    if not in_order:
        put_back(g, drawn)
    return best


cdef inline void gather_node(
    Grower* g, const int32_t* features, int k, const entry_t* ids, int64_t n
) noexcept nogil:
    """Bring the keys of `k` features of a node together, each into its bank."""
    cdef const uint8_t* keys = g.row_keys
    cdef const Feature* feature
    cdef int64_t offset[GROUP]
    cdef void* out[GROUP]
    cdef int j, size, m
    if entry_t is uint32_t:
        if n * SPARSE > g.n_table_rows and g.raw_size == 0:
            # Most of a column's cache lines hold rows of the node.
            for j in range(k):
                feature = g.features + features[j]
                if feature.key_size == sizeof(int32_t):
                    gather_column(<const int32_t*>feature.keys, ids, n,
                                  <int32_t*>g.draws.bank[j])
                else:
                    gather_column(<const int64_t*>feature.keys, ids, n,
                                  <int64_t*>g.draws.bank[j])
            return
    else:
        keys = g.own_keys
    for size in range(4, 9, 4):
        m = 0
        for j in range(k):
            if g.features[features[j]].key_size == size:
                offset[m] = g.key_offset[features[j]]
                out[m] = g.draws.bank[j]
                m += 1
        if size == 4:
            gather_group(keys, g.row_bytes, offset, ids, n, <int32_t**>out, m)
        else:
            gather_group(keys, g.row_bytes, offset, ids, n, <int64_t**>out, m)
    if entry_t is uint32_t:
        if g.raw_size:
            for j in range(k):
                if g.raw_size == sizeof(int32_t):
                    make_keys(<int32_t*>g.draws.bank[j], n)
                else:
                    make_keys(<int64_t*>g.draws.bank[j], n)


cdef inline Best find_drawn(
    Grower* g, const Target* target, const entry_t* ids, const uint32_t* stats,
    const NodeStat* node, uint64_t key, uint64_t* mask, const Monotone* rule
) noexcept nogil:
    """As `find_counted`, of one split for each feature."""
    cdef Best best
    cdef const Limits* limits = &g.limits
    cdef int64_t drawn = 0
    cdef int32_t n_features = g.n_features, f
    cdef int32_t group[GROUP]
    cdef int j, k
    cdef uint64_t node_draw = draw_of_node(key)
    cdef bint found = False, perfect = False
    cdef bint in_order = limits.max_features >= n_features and not g.shuffles
    memset(&best, 0, sizeof(Best))
    best.split.score = -INFINITY
    best.split.feature = -1
    g.draws.totals = g.scratch.totals
    g.draws.stats = stats
    g.draws.rule = rule[0]
    while drawn < n_features and (drawn < limits.max_features or not found):
        k = 0
        while drawn < n_features and k < GROUP and (
                drawn < limits.max_features or (not found and k == 0)):
            f = <int32_t>drawn if in_order else draw_next(g, key, drawn)
            drawn += 1
            if mask[f >> 6] >> (f & 63) & 1:
                group[k] = f
                k += 1
        gather_node(g, group, k, ids, node.n)
        for j in range(k):
            f = group[j]
            if draw_gathered(g.features + f, f, &g.draws.bank[j], ids, node_draw,
                             target, node, limits, &g.draws, &best.split):
                found = True
                perfect = both_pure(target, node, stats != NULL, &best)
                if perfect:
                    break
            else:
                mask[f >> 6] &= ~(<uint64_t>1 << (f & 63))
        if perfect:
            break
    if not in_order:
        put_back(g, drawn)
    best.left_weight = g.draws.kept_side.weight
    best.left_sum = g.draws.kept_side.sum
    return best


# --- a whole tree -----------------------------------------------------------------

cdef inline bint carry_out(
    Grower* g, NodeRecord* record, const Codes* columns, const Best* best,
    const Target* target, entry_t* ids, uint32_t* stats, int64_t n, entry_t* spare,
    const uint32_t* table_rows, int64_t* n_left
) noexcept nogil:
    """Part a node's rows and record its split; False if there is no memory."""
    cdef int32_t f = best.split.feature
    cdef const Codes* column
    cdef const Feature* feature
    cdef const void* keys
    cdef Sides sides
    cdef int64_t o, step = 1
    cdef bint renumbered
    record.feature = f
    if g.limits.drawn:
        feature = g.features + f
        n_left[0] = part_drawn(g, feature, &best.split, target, ids, stats, n, spare)
        keys = feature.keys
        if table_rows != NULL:
            keys = g.own_keys + g.key_offset[f]
            step = g.row_bytes // feature.key_size
        return record_drawn(&g.arena, record, feature, keys, step, ids, n, n_left[0],
                            &best.split)
    column = columns + f
    if not column.categorical:
        if target.n_orders > 1:
            mark_codes(column, best, ids, n, g.goes_left)
        # A copy of codes of more than one byte has codes of its own.
        renumbered = table_rows != NULL and g.columns[f].size > 1
        sides = part_node(column, best, stats != NULL, renumbered, ids, stats, n,
                          spare, g.spare_stats)
        n_left[0] = sides.n_left
        record.row_low = best.split.code_low
        record.row_high = best.split.code_high
        if renumbered:
            record.row_low = code_at(g.columns + f, table_rows[sides.low])
            record.row_high = code_at(g.columns + f, table_rows[sides.high])
        record.missing_left = (best.split.missing_left if sides.n_missing
                               else n_left[0] > n - n_left[0])
    else:
        n_left[0] = part_marked(g.goes_left, stats != NULL, ids, stats, n, spare,
                                g.spare_stats)
    for o in range(1, target.n_orders):
        part_marked(g.goes_left, False, ids + o * target.stride, NULL, n, spare, NULL)
    return not column.categorical or record_set(
        &g.arena, record, g.columns + f, ids, table_rows, n, n_left[0])


cdef inline bint grow_copy(
    Grower* g, const Frame* frame, const uint64_t* mask, const double* bounds,
    uint32_t* rows, uint32_t* stats, int32_t first
) noexcept nogil:
    """Finish a subtree on a copy of its root."""
    cdef double started = seconds_now()
    cdef bint grown
    if not reserve_stack(&g.narrow, 2):
        return False
    g.narrow.frames[0] = frame[0]
    g.narrow.frames[0].begin = 0
    memcpy(g.narrow.masks, mask, g.n_words * sizeof(uint64_t))
    memcpy(g.narrow.bounds, bounds, 2 * g.limits.n_bounded * sizeof(double))
    if g.limits.drawn:
        copy_keys(g, rows, frame.stat.n)
    else:
        copy_columns(g, rows, frame.stat.n, g.narrow.masks)
    copy_targets(g, rows, frame.stat.n)
    grown = grow_nodes(g, &g.narrow, g.own_columns, &g.own_target, g.ids, stats,
                       g.own_spare, g.own_entries, rows, first)
    g.seconds_narrow += seconds_now() - started
    return grown


cdef inline bint grow_nodes(
    Grower* g, Stack* stack, const Codes* columns, const Target* target, entry_t* rows,
    uint32_t* place_stats, entry_t* spare, entry_t* entries,
    const uint32_t* table_rows, int32_t first
) noexcept nogil:
    """Grow from the frame at the bottom of `stack`.

    False if there is no memory, or growth is to end.

    `first` is the record that the frames' parents are counted from. `place_stats` is
    NULL but for BINARY, and where CLASSES have them, and `table_rows` but in a copy.
    """
    cdef int64_t top = 0, n, n_left, n_bounded = g.limits.n_bounded
    cdef int32_t node
    cdef int64_t* totals = g.scratch.totals
    cdef entry_t* ids
    cdef uint32_t* stats
    cdef Frame frame
    cdef Frame* left
    cdef Frame* right
    cdef NodeRecord* record
    cdef Best best
    cdef uint64_t* mask
    cdef double* bounds
    cdef Monotone rule
    cdef bint by_class = target.kind == CLASSES and place_stats != NULL
    while top >= 0:
        if not reserve_stack(stack, top + 2):
            return False
        frame = stack.frames[top]
        mask = stack.masks + top * g.n_words
        bounds = stack.bounds + 2 * n_bounded * top
        ids = rows + frame.begin
        stats = NULL if place_stats == NULL else place_stats + frame.begin
        n = frame.stat.n
        if entry_t is uint32_t:
            g.work += n * g.limits.max_features
            if g.work > WORK_UNASKED:
                g.work = 0
                if not g.may_go_on(g.owner):
                    return False
            if n <= g.narrow_rows and not frame.leaf:
                if not grow_copy(g, &frame, mask, bounds, ids, stats, first):
                    return False
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
        if entry_t is uint32_t:
            if g.least_branch <= n <= g.most_branch and not frame.leaf:
                if not leave_branch(g, &frame, mask, bounds, record):
                    return False
                top -= 1
                continue
        best.split.feature = -1
        if not frame.leaf:
            if by_class:
                add_stats(stats, n, target.n_classes, totals)
            elif target.n_totals:
                count_node(target, totals, ids, n)
            rule = monotone_of(&g.limits, bounds)
            if g.limits.drawn:
                best = find_drawn(g, target, ids, stats, &frame.stat, frame.key, mask,
                                  &rule)
            else:
                best = find_counted(g, columns, target, ids, entries, stats,
                                    &frame.stat, frame.key, mask, &rule)
            if (best.split.feature >= 0
                    and best.split.score - frame.stat.score < g.limits.min_gain):
                best.split.feature = -1
            if (best.split.feature >= 0 and not g.limits.drawn
                    and columns[best.split.feature].categorical):
                mark_set(columns + best.split.feature, &best, ids, entries, stats,
                         target, &frame.stat, g)
            if target.n_totals and (not by_class or best.split.feature < 0):
                clear_node(target, totals, ids, n)
        if not emit_payload(&g.arena, record, target, ids, n, totals,
                            best.split.feature < 0):
            return False
        if best.split.feature < 0:
            top -= 1
            continue
        if not carry_out(g, record, columns, &best, target, ids, stats, n, spare,
                         table_rows, &n_left):
            return False
        right = stack.frames + top
        left = stack.frames + top + 1
        right.begin = frame.begin + n_left
        left.begin = frame.begin
        if target.kind == BINARY:
            left.stat = binary_stat(target, n_left, best.left_weight, best.left_sum)
            right.stat = binary_stat(
                target, n - n_left, frame.stat.weight - best.left_weight,
                frame.stat.sum - best.left_sum)
            node_values(&g.limits, target, &left.stat, totals, g.values)
            node_values(&g.limits, target, &right.stat, totals, g.values + n_bounded)
        elif by_class:
            measure_sides(target, ids, stats, n, n_left, totals, g.scratch.left,
                          &left.stat, &right.stat)
        else:
            right.stat = measure_node(target, ids + n_left, n - n_left, totals)
            node_values(&g.limits, target, &right.stat, totals, g.values + n_bounded)
            if target.n_totals:
                clear_node(target, totals, ids + n_left, n - n_left)
            left.stat = measure_node(target, ids, n_left, totals)
            node_values(&g.limits, target, &left.stat, totals, g.values)
            if target.n_totals:
                clear_node(target, totals, ids, n_left)
        bound_children(n_bounded, g.limits.signs + best.split.feature * n_bounded,
                       g.values, g.values + n_bounded, bounds, bounds + 2 * n_bounded)
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
