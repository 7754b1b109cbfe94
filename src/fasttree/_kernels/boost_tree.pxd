"""One boosted tree, in one call.

Each split moves the rows of a leaf and their gradients to the leaf's children in a
second buffer. Everything that reaches a tree is a sum of integers, or of floats
in an order that neither workers nor blocks change.
"""

from libc.math cimport INFINITY, ldexp
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcpy, memset

from fasttree._kernels.boost_engine cimport (
    MARK_BLOCK, MAX_REFIT_CELLS, MOVE_BLOCK, ROW_BLOCK, Engine, Leaf, Limits, Node,
    column_of, n_chunks, view_of
)
from fasttree._kernels.boost_moves cimport move_chunk, move_rows, side_chunk
from fasttree._kernels.boost_queue cimport pop, release, take_place
from fasttree._kernels.boost_rows cimport (
    mark_chunk, refit_chunk, round_chunk, sum_chunk, walk_chunk
)
from fasttree._kernels.boost_splits cimport can_split, count_alone, count_and_scan
from fasttree._kernels.gradient_histogram cimport gradient_of, hessian_of
from fasttree._kernels.leaf_split cimport (
    Feature, GradientSplit, LeafView, Regularization, best_value, clear_split, clip
)
from fasttree._kernels.objective cimport BLOCK
from fasttree._kernels.random cimport child_key
from fasttree._kernels.team cimport share


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


cdef inline double round_units(double x) noexcept nogil:
    """Units of a hessian, as round_block has them, or one more."""
    cdef int64_t whole = <int64_t>(x + 0.5)
    return <double>whole if whole > 1 else 1.0


cdef inline void choose_units(Engine* e) noexcept nogil:
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


cdef inline void new_node(Engine* e, Leaf* leaf) noexcept nogil:
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


cdef inline void plant(Engine* e, uint64_t key) noexcept nogil:
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


cdef inline void fill_table(
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


cdef inline void keep_table(Engine* e, Node* node, bint left_is_larger) noexcept nogil:
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


cdef inline void split_leaf(Engine* e, int32_t at) noexcept nogil:
    """Make two leaves of one: the left one in its place, the right one at the end."""
    cdef Leaf* left = e.leaves + at
    cdef Leaf* right = e.leaves + e.n_leaves
    cdef Node* node = e.nodes + left.node
    cdef const Feature* feature = e.features + left.split.feature
    cdef int64_t blocks = n_chunks(left.n, MOVE_BLOCK), b, count, place
    cdef bint is_last = e.n_leaves + 1 >= e.limits.max_leaves
    cdef double low, high, middle
    cdef LeafView view = view_of(e, left)
    cdef uint8_t* live
    cdef Leaf* small
    cdef Leaf* large
    cdef bint wants_large
    e.parent = left[0]
    fill_table(e, &e.parent.split, e.parent.split.missing_left)
    e.split_column = column_of(e, feature.slot, e.spread)
    e.move_stat = not is_last
    if e.team.n_workers == 1 or blocks == 1:
        move_rows(e)
        count = e.to_right
    else:
        share(&e.team, blocks, side_chunk, e)
        e.to_right = 0
        for b in range(blocks):
            count = e.block_left[b]
            e.block_left[b] = e.to_right
            e.to_right += count
        count = e.to_right
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


cdef inline void fit_values(Engine* e) noexcept nogil:
    """Find the rows' leaves, and the leaves' values from the gradients."""
    cdef int64_t leaf, b, blocks, rows = 4 * ROW_BLOCK
    cdef double g, h, value, to_value
    cdef Leaf* at
    for leaf in range(e.n_leaves):
        e.nodes[e.leaves[leaf].node].leaf = <int32_t>leaf
    if e.sample == NULL:
        share(&e.team, n_chunks(e.n_rows, MARK_BLOCK), mark_chunk, e)
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

cdef extern from "Python.h":
    int PyErr_CheckSignals() except -1


cdef inline int check_signals() except -1:
    return PyErr_CheckSignals()


cdef inline int grow_tree(Engine* e, uint64_t key) except -1 nogil:
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
