"""Narrow nodes under drawn splits: finish a subtree on a copy of its columns' keys.

The node's rows are renumbered 0..n-1 and the keys of each column that may vary are
copied out, so that they lie in the cache. A node is one list of local rows: the
few columns that it draws are gathered through it, and no other is touched.
"""

from libc.math cimport INFINITY, NAN
from libc.stdint cimport int32_t, int64_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from fasttree._kernels.draw cimport (
    DrawSpace,
    draw_feature,
    draw_of_node,
    part_rows,
    record_drawn,
)
from fasttree._kernels.monotone cimport monotone_of, node_values
from fasttree._kernels.outputs cimport clear_node, count_node, measure_node
from fasttree._kernels.random cimport child_key, draw_below
from fasttree._kernels.records cimport NodeRecord, reserve_nodes
from fasttree._kernels.subtree cimport (
    Frame,
    Workspace,
    emit_payload,
    give_bounds,
    is_perfect,
    must_be_leaf,
    trailing_zeros,
)
from fasttree._kernels.types cimport (
    BINARY,
    CLASSES,
    Feature,
    Limits,
    NodeStat,
    Split,
    Target,
)

cdef enum:
    DRAWN_ROWS = 65535        # local rows are uint16 and need no flags; CLASSES
                              # sums mask them out and keep to LOCAL_ROWS


cdef inline bint is_possible(const uint64_t* mask, int32_t f) noexcept nogil:
    return mask[f >> 6] >> (f & 63) & 1


cdef inline Split find_drawn(
    Workspace* w, DrawSpace* space, const int64_t* columns, const Feature* features,
    const Limits* limits, const Target* target, const NodeStat* stat, int64_t begin,
    uint64_t key, uint64_t node_draw, uint64_t* mask
) noexcept nogil:
    """Best of the drawn features' candidates; columns that are constant leave `mask`."""
    cdef Split best
    cdef const uint16_t* rows = w.ids + begin
    cdef int64_t drawn = 0, place, i, n_features = w.n_features
    cdef bint all_features = limits.max_features >= n_features, found = False
    cdef int32_t f, kept
    best.score = -INFINITY
    best.feature = -1
    best.position = 0
    best.missing_left = 0
    while drawn < n_features and (drawn < limits.max_features or not found):
        f = <int32_t>drawn
        if not all_features:
            place = drawn + draw_below(key, drawn, <uint32_t>(n_features - drawn))
            f = w.permutation[place]
            w.permutation[place] = w.permutation[drawn]
            w.permutation[drawn] = f
        drawn += 1
        if not is_possible(mask, f):
            continue
        if draw_feature(features + f, f, columns + f * w.capacity, rows, node_draw,
                        target, stat, limits, space, &best):
            found = True
            if is_perfect(target, stat, &best):
                break
        else:
            mask[f >> 6] &= ~(<uint64_t>1 << (f & 63))
    if not all_features:
        for i in range(drawn - 1, -1, -1):  # back to the identity
            place = i + draw_below(key, i, <uint32_t>(n_features - i))
            kept = w.permutation[place]
            w.permutation[place] = w.permutation[i]
            w.permutation[i] = kept
    return best


cdef inline bint grow_drawn_frames(
    Workspace* w, DrawSpace* space, const int64_t* columns, const Feature* features,
    const Limits* limits, const Target* target, const Frame* root
) noexcept nogil:
    """Grow depth-first from `root` into the arena, in preorder.

    `columns` (n_features, capacity) holds a column's keys at the start of each row
    of it, as wide as the feature's.
    """
    cdef int64_t top = 0, begin, n, n_left, i, first = w.arena.n_nodes
    cdef int32_t node
    cdef uint64_t node_draw
    cdef Frame frame
    cdef Frame* left
    cdef Frame* right
    cdef NodeRecord* record
    cdef Split best
    cdef uint64_t* mask
    cdef uint16_t* rows
    cdef const int64_t* column
    cdef int64_t* totals = w.scratch.totals
    space.totals = totals
    w.frames[0] = root[0]
    while top >= 0:
        frame = w.frames[top]
        mask = w.masks + top * w.n_words
        begin = frame.begin
        n = frame.stat.n
        rows = w.ids + begin
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
            node_draw = draw_of_node(frame.key)
            if target.n_totals:
                count_node(target, totals, rows, n)
            elif target.kind == BINARY:
                for i in range(n):
                    space.ones[i] = target.label[rows[i]]
            space.rule = monotone_of(limits, w.bounds + 2 * limits.n_bounded * top)
            best = find_drawn(w, space, columns, features, limits, target, &frame.stat,
                              begin, frame.key, node_draw, mask)
            if target.n_totals:
                clear_node(target, totals, rows, n)
            if best.feature >= 0 and best.score - frame.stat.score < limits.min_gain:
                best.feature = -1
        if not emit_payload(&w.arena, record, target, rows, n, totals,
                            best.feature < 0):
            return False
        if best.feature < 0:
            top -= 1
            continue

        column = columns + best.feature * w.capacity
        for i in range(target.n_orders):
            n_left = part_rows(features + best.feature, column,
                               rows + i * target.stride, n, &best, node_draw, limits,
                               space.sizes, w.spare)
        if not record_drawn(&w.arena, record, features + best.feature, column, rows, n,
                            n_left, &best):
            return False
        right = w.frames + top
        left = w.frames + top + 1
        right.begin = begin + n_left
        left.begin = begin
        right.stat = measure_node(target, rows + n_left, n - n_left, totals)
        node_values(limits, target, &right.stat, totals, w.values + limits.n_bounded)
        if target.n_totals:
            clear_node(target, totals, rows + n_left, n - n_left)
        left.stat = measure_node(target, rows, n_left, totals)
        node_values(limits, target, &left.stat, totals, w.values)
        if target.n_totals:
            clear_node(target, totals, rows, n_left)
        give_bounds(w, limits, best.feature, top)
        right.depth = left.depth = frame.depth + 1
        right.parent = left.parent = node
        right.right = True
        left.right = False
        right.key = child_key(frame.key, True)
        left.key = child_key(frame.key, False)
        right.leaf = must_be_leaf(limits, &right.stat, right.depth)
        left.leaf = must_be_leaf(limits, &left.stat, left.depth)
        memcpy(mask + w.n_words, mask, w.n_words * sizeof(uint64_t))
        top += 1
    return True
