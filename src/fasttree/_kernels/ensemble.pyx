"""Kernels: rows through all trees of a packed ensemble, and its shape."""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stddef cimport ptrdiff_t
from libc.string cimport memcmp, memcpy, memset

from fasttree._kernels.nodes cimport (
    N_CONSTANT_SLOTS, Layout, NarrowNode, WideNode, layout_of, mask_of, node_t, real,
    step, write_row,
)
from fasttree._kernels.sink cimport (
    Sink, add_payloads, intp_t, sink_of, write_numbers
)

cdef enum:
    # Rows that walk abreast: while some wait for memory, others go on.
    LANES = 8
    # Steps between two looks at which rows have arrived.
    STRIDE = 4
    # Of trees whose leaves are bits of a word.
    MOST_LEAVES = 64


cdef inline void _walk(
    const node_t* nodes,
    const Layout* layout,
    const uint32_t* block,
    ptrdiff_t n_rows,
    uint32_t* reached,
    bint sets,
) noexcept nogil:
    """Write the leaf's position for each row of a block.

    A row that has arrived makes way for the next one, without a branch, so that
    rows with long ways do not hold up others. Past the last row of the block there
    is room for LANES more, which are walked for nothing.
    """
    cdef const uint32_t* rows[LANES]
    cdef int32_t numbers[LANES]
    cdef uint32_t at[LANES]
    cdef int slot_bits = layout.slot_bits
    cdef uint32_t slot_mask = mask_of(slot_bits)
    cdef uint32_t first_set_slot = <uint32_t> layout.first_set_slot
    cdef const uint64_t* words = layout.words
    cdef ptrdiff_t n_slots = layout.n_slots
    cdef int32_t last = <int32_t> n_rows
    cdef int32_t following = LANES
    cdef int32_t is_walking = -1
    cdef int32_t arrived    # all bits set where the lane has arrived
    cdef uint32_t slot
    cdef int lane, _
    for lane in range(LANES):
        numbers[lane] = lane
        rows[lane] = block + lane * n_slots
        at[lane] = 0
    while is_walking < 0:
        for _ in range(STRIDE):
            for lane in range(LANES):
                at[lane] = step(
                    nodes, rows[lane], at[lane], slot_bits, slot_mask,
                    first_set_slot, words, sets,
                )
        is_walking = 0
        for lane in range(LANES):
            if node_t is NarrowNode:
                slot = nodes[at[lane]].link & slot_mask
            else:
                slot = nodes[at[lane]].slot
            arrived = -<int32_t> (slot < N_CONSTANT_SLOTS)
            reached[numbers[lane]] = at[lane]
            at[lane] &= ~<uint32_t> arrived
            numbers[lane] += (following - numbers[lane]) & arrived
            rows[lane] = block + numbers[lane] * n_slots
            following -= arrived
            following = min(following, last + LANES - 1)
            is_walking |= numbers[lane] - last


cdef void _walk_rows(
    const real* X,
    ptrdiff_t n_features,
    const node_t* nodes,
    const int64_t* tree_start,
    const Layout* layout,
    ptrdiff_t first_tree,
    ptrdiff_t last_tree,
    const Sink* sink,
    ptrdiff_t start,
    ptrdiff_t stop,
    uint32_t* block,
    uint32_t* reached,
    ptrdiff_t rows_per_block,
) noexcept nogil:
    cdef const node_t* tree_nodes
    cdef ptrdiff_t row, tree, n_rows
    cdef bint sets = layout.first_set_slot < layout.n_slots
    while start < stop:
        n_rows = min(rows_per_block, stop - start)
        for row in range(n_rows):
            write_row(
                X + (start + row) * n_features, layout, block + row * layout.n_slots
            )
        for row in range(n_rows, n_rows + LANES):
            memset(block + row * layout.n_slots, 0, 4 * layout.n_slots)
        for tree in range(first_tree, last_tree):
            tree_nodes = nodes + tree_start[tree]
            if sets:
                _walk(tree_nodes, layout, block, n_rows, reached, True)
            else:
                _walk(tree_nodes, layout, block, n_rows, reached, False)
            if sink.numbers == NULL:
                for row in range(n_rows):
                    reached[row] = tree_nodes[reached[row]].key
                add_payloads(reached, sink, tree, start, n_rows)
            else:
                for row in range(n_rows):
                    reached[row] = <uint32_t> (
                        sink.numbers[tree_start[tree] + reached[row]]
                    )
                write_numbers(reached, sink, tree, start, n_rows)
        start += n_rows


cdef void _dispatch(
    const real* X,
    ptrdiff_t n_features,
    const uint32_t[:, ::1] nodes,
    const int64_t* tree_start,
    const Layout* layout,
    ptrdiff_t first_tree,
    ptrdiff_t last_tree,
    const Sink* sink,
    ptrdiff_t start,
    ptrdiff_t stop,
    uint32_t[::1] work,
) noexcept nogil:
    # Room for the slots and the leaf of each row, and of LANES more.
    cdef ptrdiff_t n_rows = work.shape[0] // (layout.n_slots + 1) - LANES
    cdef uint32_t* reached = &work[0] + (n_rows + LANES) * layout.n_slots
    if nodes.shape[1] == 2:
        _walk_rows(
            X, n_features, <const NarrowNode*> &nodes[0, 0], tree_start, layout,
            first_tree, last_tree, sink, start, stop, &work[0], reached, n_rows,
        )
    else:
        _walk_rows(
            X, n_features, <const WideNode*> &nodes[0, 0], tree_start, layout,
            first_tree, last_tree, sink, start, stop, &work[0], reached, n_rows,
        )


def run(
    const real[:, ::1] X,               # IN  (n_rows, n_features)
    const uint32_t[:, ::1] nodes,       # IN  (n_positions, 2 or 3), see nodes.pxd
    const int64_t[::1] tree_start,      # IN  (n_trees + 1,) first position
    int slot_bits,
    int32_t first_set_slot,
    const int32_t[::1] slot_feature,    # IN  (n_slots,)
    const uint32_t[::1] slot_missing,   # IN  (n_slots,)
    const double[::1] cuts,             # IN  ascending for each feature; or empty
    const int64_t[::1] cut_start,       # IN  (n_features + 1,); or empty
    const uint64_t[::1] words,          # IN  sets of categories
    const double[:, ::1] table,         # IN  (n_payloads, width), no rows: entries
    const int64_t[::1] entry_start,     # IN  (n_payloads + 1,)
    const int32_t[::1] entry_column,    # IN  (n_entries,)
    const double[::1] entry_value,      # IN  (n_entries,)
    const int32_t[::1] column,          # IN  (n_trees,)
    double[:, ::1] out,                 # INOUT (n_rows, n_columns); no columns: numbers
    const int32_t[::1] numbers,         # IN  (n_positions,) node number of each
    intp_t[:, ::1] number_out,          # OUT (n_rows, n_trees); unless out has columns
    ptrdiff_t first_tree,
    ptrdiff_t last_tree,
    ptrdiff_t start,
    ptrdiff_t stop,
    uint32_t[::1] work,                 # WORK room for some rows, see _dispatch
):
    """Add the payloads of the leaves that rows start:stop reach, tree by tree."""
    cdef Layout layout
    cdef Sink sink
    if start >= stop or first_tree >= last_tree:
        return
    with nogil:
        layout = layout_of(
            slot_bits, first_set_slot, slot_feature, slot_missing, cuts, cut_start,
            words,
        )
        sink = sink_of(
            table, entry_start, entry_column, entry_value, column, out, numbers,
            number_out,
        )
        _dispatch(
            &X[0, 0], X.shape[1], nodes, &tree_start[0], &layout, first_tree,
            last_tree, &sink, start, stop, work,
        )


cdef ptrdiff_t _unpack(
    const node_t* nodes,
    ptrdiff_t n_positions,
    int slot_bits,
    uint32_t n_slots,
    int32_t* number,
    int32_t* stack,
) noexcept nogil:
    cdef ptrdiff_t depth = 1
    cdef ptrdiff_t position, next_pair = 1
    cdef int32_t n_numbered = 0
    cdef uint32_t slot, pair
    number[1] = -1
    stack[0] = 0
    while depth > 0:
        depth -= 1
        position = stack[depth]
        number[position] = n_numbered
        n_numbered += 1
        if node_t is NarrowNode:
            slot = nodes[position].link & mask_of(slot_bits)
            pair = nodes[position].link >> slot_bits
        else:
            slot = nodes[position].slot
            pair = nodes[position].pair
        if slot < N_CONSTANT_SLOTS:
            if slot != <uint32_t> (position & 1) or pair != <uint32_t> (position >> 1):
                return position
            continue
        if (
            slot >= n_slots
            or pair != <uint32_t> next_pair
            or 2 * next_pair + 1 >= n_positions
        ):
            return position
        stack[depth] = <int32_t> (2 * next_pair + 1)
        stack[depth + 1] = <int32_t> (2 * next_pair)
        depth += 2
        next_pair += 1
    return -1 if 2 * next_pair == n_positions else n_positions


def unpack(
    const uint32_t[:, ::1] nodes,       # IN  (n_positions, 2 or 3) of one tree
    int slot_bits,
    uint32_t n_slots,
    int32_t[::1] number,                # OUT (n_positions,) in preorder, -1 if unused
    int32_t[::1] stack,                 # WORK (n_positions,)
):
    """Return the first position that is not as packing makes it, or -1.

    Pairs are numbered in the preorder of their parents. Where that is so, each
    position but the unused one is reached once, and no walk leaves the tree.
    """
    cdef ptrdiff_t bad
    cdef ptrdiff_t n_positions = nodes.shape[0]
    with nogil:
        if nodes.shape[1] == 2:
            bad = _unpack(
                <const NarrowNode*> &nodes[0, 0], n_positions, slot_bits, n_slots,
                &number[0], &stack[0],
            )
        else:
            bad = _unpack(
                <const WideNode*> &nodes[0, 0], n_positions, slot_bits, n_slots,
                &number[0], &stack[0],
            )
    return bad


def number_leaves(
    const uint32_t[:, ::1] nodes,       # IN  (n_positions, 2), see nodes.pxd
    const int64_t[::1] tree_start,      # IN  (n_trees + 1,)
    int slot_bits,
    uint64_t[::1] below,                # OUT (n_positions,) leaves below, as bits
    int32_t[:, ::1] leaf_position,      # OUT (n_trees, 64) of each leaf in its tree
):
    """Number the leaves of trees of up to 64 from left to right."""
    cdef const NarrowNode* own
    cdef ptrdiff_t tree, start
    cdef uint32_t slot_mask = mask_of(slot_bits)
    cdef uint32_t pair
    cdef int32_t position, bit, depth, n_leaves
    cdef int32_t stack[MOST_LEAVES]
    with nogil:
        for tree in range(tree_start.shape[0] - 1):
            start = tree_start[tree]
            own = <const NarrowNode*> &nodes[start, 0]
            n_leaves = 0
            stack[0] = 0
            depth = 1
            while depth > 0:
                depth -= 1
                position = stack[depth]
                if own[position].link & slot_mask < N_CONSTANT_SLOTS:
                    below[start + position] = <uint64_t> 1 << n_leaves
                    leaf_position[tree, n_leaves] = position
                    n_leaves += 1
                    continue
                pair = own[position].link >> slot_bits
                stack[depth] = <int32_t> (2 * pair + 1)
                stack[depth + 1] = <int32_t> (2 * pair)
                depth += 2
            below[start + 1] = 0
            # Children stand after their parent.
            for position in range(
                <int32_t> (tree_start[tree + 1] - start) - 1, -1, -1
            ):
                if own[position].link & slot_mask >= N_CONSTANT_SLOTS:
                    bit = 2 * <int32_t> (own[position].link >> slot_bits)
                    below[start + position] = (
                        below[start + bit] | below[start + bit + 1]
                    )


cdef inline uint64_t _mixed(uint64_t state, uint64_t word) noexcept nogil:
    state = (state ^ word) * <uint64_t> 0x9e3779b97f4a7c15
    return state ^ (state >> 29)


def intern(
    const int64_t[::1] start,           # IN  (n_leaves + 1,) entries of each leaf
    const int32_t[::1] leaf_class,      # IN  (n_entries,)
    const double[::1] weight,           # IN  (n_entries,)
    int32_t[::1] table,                 # WORK (a power of two > n_leaves,) all -1
    int32_t[::1] keys,                  # OUT (n_leaves,) number among the distinct
    int32_t[::1] firsts,                # OUT (n_distinct,) first leaf of each
):
    """Number the distinct sets of class weights by their first leaf."""
    cdef ptrdiff_t n_leaves = keys.shape[0]
    cdef ptrdiff_t leaf, n_entries, i, place
    cdef ptrdiff_t mask = table.shape[0] - 1
    cdef int32_t n_distinct = 0
    cdef int32_t found
    cdef uint64_t state
    cdef const double* weights = &weight[0]
    cdef uint64_t bits
    with nogil:
        for leaf in range(n_leaves):
            n_entries = start[leaf + 1] - start[leaf]
            state = <uint64_t> n_entries
            for i in range(start[leaf], start[leaf + 1]):
                memcpy(&bits, weights + i, 8)
                state = _mixed(_mixed(state, <uint64_t> leaf_class[i]), bits)
            place = <ptrdiff_t> (state & <uint64_t> mask)
            while True:
                found = table[place]
                if found < 0:
                    table[place] = n_distinct
                    firsts[n_distinct] = <int32_t> leaf
                    keys[leaf] = n_distinct
                    n_distinct += 1
                    break
                i = start[firsts[found]]
                if (
                    start[firsts[found] + 1] - i == n_entries
                    and memcmp(
                        &leaf_class[i], &leaf_class[start[leaf]], 4 * n_entries
                    ) == 0
                    and memcmp(
                        &weight[i], &weight[start[leaf]], 8 * n_entries
                    ) == 0
                ):
                    keys[leaf] = found
                    break
                place = (place + 1) & mask
    return n_distinct
