"""Trees of shared columns, whose nodes look at a few features: one after another."""

import numpy as np

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize

from libc.stdint cimport (
    int8_t,
    int32_t,
    int64_t,
    uint8_t,
    uint16_t,
    uint32_t,
    uint64_t,
)
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from fasttree._kernels.arguments cimport fill_limits, fill_target
from fasttree._kernels.branches cimport copy_arena, join_arenas
from fasttree._kernels.cells cimport MOST_STAT_TOTAL, MOST_STAT_WEIGHT, Codes
from fasttree._kernels.columns cimport Column, threshold_between
from fasttree._kernels.compact cimport (
    N_KINDS,
    Outline,
    PackedForm,
    count_distinct,
    group_thresholds,
    outline_tree,
    write_impurity,
    write_nodes,
)
from fasttree._kernels.grower cimport (
    Grower,
    Stack,
    free_grower,
    free_stack,
    reserve_grower,
    reserve_stack,
    seconds_now,
    shape_stack,
)
from fasttree._kernels.outputs cimport clear_node, measure_node
from fasttree._kernels.records cimport Arena, NodeRecord, arena_free
from fasttree._kernels.roots cimport (
    fill_stats,
    list_rows,
    measure_two_classes,
    plant,
    weigh_by_counts,
)
from fasttree._kernels.sampled cimport grow_nodes
from fasttree._kernels.subtree cimport LOCAL_ROWS
from fasttree._kernels.tree_arrays cimport TreeArrays, count_payload, write_tree
from fasttree._kernels.types cimport (
    ABSOLUTE,
    BINARY,
    CLASSES,
    Feature,
    NodeStat,
    REGRESSION,
    SQUARED,
    SUMS,
)

LAYOUT = {"column": sizeof(Column)}
MOST_NARROW_ROWS = LOCAL_ROWS
MOST_BINARY_WEIGHT = MOST_STAT_WEIGHT     # of a row
MOST_BINARY_TOTAL = MOST_STAT_TOTAL       # the table of n log n holds every count


cdef class Part:
    """Records of a subtree, and the nodes in it that are left to other threads."""

    cdef Arena arena
    cdef Stack branches
    cdef readonly int64_t n_branches

    def __dealloc__(self):
        arena_free(&self.arena)
        free_stack(&self.branches)

    def rows_of(self, int64_t index):
        """Return the rows of a node that was left."""
        if not 0 <= index < self.n_branches:
            raise ValueError(f"index must be in [0, {self.n_branches}), got {index}")
        return self.branches.frames[index].stat.n

    def join(self, list parts not None):
        """Put a Part without such nodes in the place of each node that was left."""
        cdef const Arena** arenas
        cdef Arena joined
        cdef int64_t i
        cdef bint done
        if len(parts) != self.n_branches:
            raise ValueError(f"expected {self.n_branches} parts, got {len(parts)}")
        if any((<Part?>part).n_branches for part in parts):
            raise ValueError("a part has nodes that are left to others")
        arenas = <const Arena**>calloc(self.n_branches + 1, sizeof(Arena*))
        if arenas == NULL:
            raise MemoryError("no memory to join the parts of a tree")
        for i in range(self.n_branches):
            arenas[i] = &(<Part>parts[i]).arena
        memset(&joined, 0, sizeof(Arena))
        with nogil:
            done = join_arenas(&joined, &self.arena, arenas, self.n_branches)
            free(arenas)
        if not done:
            arena_free(&joined)
            raise MemoryError("no memory to join the parts of a tree")
        arena_free(&self.arena)
        self.arena = joined
        self.n_branches = 0


cdef class Growth:
    """One thread's memory for trees over a table, one after another.

    Parameters
    ----------
    kind, loss, entropy, n_classes, n_outputs, n_totals, class_start, nlogn, quantum
        Of the target, as for `grow.Problem`, and so are `centres` and `per_unit`.
    columns : ndarray of uint8
        One Column each.
    features : ndarray of uint8, or None
        One Feature each, with keys, where splits are drawn.
    row_keys, key_offset
        Of `interleave_keys`, where splits are drawn. Or the bytes of a matrix, whose
        values are made keys when they are looked at. Where splits are not drawn,
        what `interleave_codes` writes, or None.
    raw_size : int
        Bytes of a value of such a matrix; else 0.
    limits, bounded, signs
        As for `grow.Problem`. Two classes under constraints are CLASSES.
    n_table_rows, n_rows : int
        Rows of the table, and most rows of a tree.
    narrow_rows : int
        Nodes of at most so many rows are copied.
    shuffles : bool
        Whether nodes draw an order of the features even to look at all of them.
    check : callable
        Called without arguments now and then; what it raises ends growth.
    owned : object
        Kept alive.
    """

    cdef Grower g
    cdef const Column* columns
    cdef int64_t* weight      # (n_table_rows,) of one tree
    cdef int64_t* value
    cdef int64_t n_table_rows
    cdef int64_t capacity     # rows of a tree
    cdef double seconds_all
    cdef object check
    cdef object error         # that it raised
    cdef object owned

    def __cinit__(
        self,
        int kind,
        int loss,
        bint entropy,
        int n_classes,
        int64_t n_outputs,
        int64_t n_totals,
        const int64_t[::1] class_start,
        const double[::1] nlogn,
        double quantum,
        const double[::1] centres,
        double per_unit,
        const uint8_t[::1] columns,
        const uint8_t[::1] features,
        const uint8_t[:, ::1] row_keys,
        const int64_t[::1] key_offset,
        int raw_size,
        tuple limits,
        const int32_t[::1] bounded,
        const int8_t[:, ::1] signs,
        int64_t n_table_rows,
        int64_t n_rows,
        int64_t narrow_rows,
        bint shuffles,
        object check,
        object owned,
    ):
        cdef Grower* g = &self.g
        cdef int64_t f, most_codes = 0
        cdef Codes* codes
        if not 1 <= narrow_rows <= LOCAL_ROWS:
            raise ValueError(f"narrow_rows must be in [1, {LOCAL_ROWS}]")
        self.owned = (class_start, nlogn, centres, columns, features, row_keys,
                      key_offset, bounded, signs, owned)
        self.check = check
        g.may_go_on = may_go_on
        g.owner = <void*>self
        self.columns = <const Column*>&columns[0]
        self.n_table_rows = n_table_rows
        self.capacity = n_rows
        g.n_features = <int32_t>(columns.shape[0] // sizeof(Column))
        g.n_words = (g.n_features + 63) // 64
        g.n_table_rows = n_table_rows
        g.narrow_rows = narrow_rows
        g.shuffles = shuffles
        if features is not None:
            g.features = <const Feature*>&features[0]
            g.row_keys = &row_keys[0, 0]
            g.row_bytes = row_keys.shape[1]
            g.raw_size = raw_size
            g.key_offset = &key_offset[0]
        elif row_keys is not None:
            g.row_codes = &row_keys[0, 0]
            g.code_bytes = row_keys.shape[1]
        fill_target(&g.target, kind, loss, entropy, n_classes, n_outputs, n_totals,
                    class_start, nlogn, quantum, centres, per_unit, n_rows,
                    n_table_rows)
        fill_limits(&g.limits, limits, bounded, signs)
        if g.limits.drawn and features is None:
            raise ValueError("drawn splits need features")
        if kind == BINARY and bounded.shape[0]:
            raise ValueError("two classes under constraints are CLASSES")
        codes = <Codes*>calloc(g.n_features, sizeof(Codes))
        g.columns = codes
        self.weight = <int64_t*>calloc(
            n_table_rows if kind != BINARY else 1, sizeof(int64_t))
        self.value = <int64_t*>calloc(
            n_outputs * n_table_rows if kind == REGRESSION or kind == SUMS else 1,
            sizeof(int64_t))
        if codes == NULL or self.weight == NULL or self.value == NULL:
            raise MemoryError("no memory for the work arrays of a tree")
        if not g.limits.drawn:
            most_codes = narrow_rows
        for f in range(g.n_features):
            codes[f] = self.columns[f].codes
            if codes[f].categorical or not g.limits.drawn:
                most_codes = max(most_codes, <int64_t>codes[f].n_codes)
        if not reserve_grower(g, n_rows, n_table_rows, most_codes):
            raise MemoryError("no memory for the work arrays of a tree")
        g.own_target = g.target
        g.own_target.stride = narrow_rows
        if g.target.n_orders > 1:
            g.own_target.output_step = narrow_rows
        g.own_target.label = g.own_label
        g.own_target.value = g.own_value
        g.own_target.response = g.own_response

    def __dealloc__(self):
        free(<void*>self.g.columns)
        free(self.weight)
        free(self.value)
        free_grower(&self.g)

    @property
    def n_branches(self):
        """Nodes that were left in the growth before."""
        return self.g.n_branches

    @property
    def seconds(self):
        """Seconds that wide and narrow nodes have taken so far."""
        return self.seconds_all - self.g.seconds_narrow, self.g.seconds_narrow

    def grow(
        self, uint64_t key, const uint32_t[::1] counts, const uint16_t[::1] label,
        const int64_t[::1] weight, const int64_t[::1] value, const double[::1] response,
        const uint32_t[::1] order, tuple branch_rows=(0, 0),
    ):
        """Grow one tree.

        Parameters
        ----------
        key : int
            Of the root.
        counts : ndarray of shape (n_table_rows,) or None
            How often each row was drawn; None is once each.
        label, value, response : ndarray or None
            As in the kernels' Target; values are of one drawing.
        weight : ndarray of shape (n_table_rows,) or None
            Weight units of each row, with `counts` None; not for BINARY.
        order : ndarray of shape (n_orders * n_table_rows,) or None
            Rows in the orders that the root starts from; None is by number.
        branch_rows : tuple of int
            Least and most rows of nodes that are left to `grow_branch`.

        Returns
        -------
        bool
            False if nothing was drawn. The tree is then to be had from `take`, or if
            nodes may have been left, what there is of it from `take_part`.
        """
        cdef Grower* g = &self.g
        cdef int64_t n
        cdef int64_t* totals = g.scratch.totals
        cdef const uint32_t* drawn = NULL if counts is None else &counts[0]
        cdef NodeStat stat
        cdef bint grown = True
        cdef double started = seconds_now()
        if g.target.kind == BINARY and weight is not None:
            raise ValueError("weights are not for BINARY")
        self.begin(branch_rows)
        g.target.label = NULL if label is None else &label[0]
        g.target.value = NULL if value is None else &value[0]
        g.target.response = NULL if response is None else &response[0]
        g.target.weight = NULL if weight is None else &weight[0]
        with nogil:
            n = list_rows(g, drawn, g.target.weight,
                          NULL if order is None else &order[0], self.capacity)
            if drawn != NULL and g.target.kind != BINARY:
                weigh_by_counts(g, n, drawn, self.weight, self.value)
            g.own_target.weight = NULL if g.target.weight == NULL else g.own_weight
            if n > 0:
                if g.target.kind == BINARY:
                    stat = measure_two_classes(g, n, drawn, g.target.label)
                else:
                    if g.target.kind == CLASSES:
                        g.has_stats = fill_stats(g, n)
                    stat = measure_node(&g.target, g.rows, n, totals)
                    if g.target.n_totals:
                        clear_node(&g.target, totals, g.rows, n)
                grown = plant(g, &stat, key, self.capacity) and grow_nodes(
                    g, &g.wide, g.columns, &g.target, g.rows,
                    g.stats if g.has_stats else NULL, g.spare, g.entries, NULL, 0)
        self.seconds_all += seconds_now() - started
        if not grown:
            self.fail()
        return n > 0

    cdef object fail(self):
        """Raise what ended growth."""
        error, self.error = self.error, None
        raise error or MemoryError("no memory for the nodes of a tree")

    cdef void begin(self, tuple branch_rows) except *:
        cdef Arena* arena = &self.g.arena
        arena.n_nodes = arena.n_payload = arena.n_words = 0
        self.g.n_branches = 0
        self.g.least_branch, self.g.most_branch = branch_rows

    def grow_branch(self, Growth root not None, Part part not None, int64_t index,
                    tuple branch_rows):
        """Grow a node that was left; it is to be had from `take_part`.

        Several threads may do so at a time, each with a Growth of its own.

        Parameters
        ----------
        root : Growth
            Has begun the tree, and is left alone until the tree is done.
        part : Part
            Of the tree.
        index : int
            Of the node among those that were left.
        branch_rows : tuple of int
            As in `grow`.
        """
        cdef Grower* g = &self.g
        cdef const Grower* whole = &root.g
        cdef double started = seconds_now()
        cdef bint grown
        if not 0 <= index < part.n_branches:
            raise ValueError(f"index must be in [0, {part.n_branches}), got {index}")
        if root.columns != self.columns or root.capacity != self.capacity:
            raise ValueError("root must be of the same columns and number of rows")
        self.begin(branch_rows)
        g.target = whole.target
        g.own_target.weight = NULL if g.target.weight == NULL else g.own_weight
        with nogil:
            grown = reserve_stack(&g.wide, 2)
            if grown:
                g.wide.frames[0] = part.branches.frames[index]
                memcpy(g.wide.masks, part.branches.masks + index * g.n_words,
                       g.n_words * sizeof(uint64_t))
                memcpy(g.wide.bounds,
                       part.branches.bounds + index * 2 * g.limits.n_bounded,
                       2 * g.limits.n_bounded * sizeof(double))
                if g.wide.frames[0].stat.n <= g.most_branch:
                    g.most_branch = g.wide.frames[0].stat.n - 1
                grown = grow_nodes(
                    g, &g.wide, g.columns, &g.target, whole.rows,
                    whole.stats if whole.has_stats else NULL, g.spare,
                    g.entries, NULL, 0)
        self.seconds_all += seconds_now() - started
        if not grown:
            self.fail()

    def take_part(self):
        """Return the records grown last, and the nodes that were left, as a Part."""
        cdef Part part = Part()
        cdef Grower* g = &self.g
        cdef Stack* out = &part.branches
        cdef int64_t n = g.n_branches, n_bounds = 2 * n * g.limits.n_bounded
        cdef bint done
        shape_stack(out, g.n_words, g.limits.n_bounded)
        with nogil:
            done = copy_arena(&part.arena, &g.arena) and reserve_stack(out, n)
            if done and n:
                memcpy(out.frames, g.branches.frames, n * sizeof(g.branches.frames[0]))
                memcpy(out.masks, g.branches.masks, n * g.n_words * sizeof(uint64_t))
                memcpy(out.bounds, g.branches.bounds, n_bounds * sizeof(double))
        if not done:
            raise MemoryError("no memory for a part of a tree")
        part.n_branches = n
        return part

    def put_part(self, Part part not None):
        """Take over the records of a Part without nodes that are left, emptying it."""
        if part.n_branches:
            raise ValueError("the part has nodes that are left to others")
        arena_free(&self.g.arena)
        self.g.arena = part.arena
        memset(&part.arena, 0, sizeof(Arena))

    def take_records(self):
        """Return the records of the tree that was grown last, as `records.Pieces` do."""
        cdef Arena* arena = &self.g.arena
        cdef int64_t i
        cdef NodeRecord* record
        cdef uint8_t[::1] nodes = np.empty(arena.n_nodes * sizeof(NodeRecord), np.uint8)
        cdef int32_t[::1] leaf_class = np.empty(arena.n_payload, np.int32)
        cdef int64_t[::1] leaf_weight = np.empty(arena.n_payload, np.int64)
        cdef uint64_t[::1] words = np.empty(arena.n_words, np.uint64)
        for i in range(arena.n_nodes):
            record = arena.nodes + i
            if record.left >= 0 and record.set_start < 0 and not self.g.limits.drawn:
                record.threshold = threshold_between(
                    self.columns + record.feature, record.row_low, record.row_high)
        memcpy(&nodes[0], arena.nodes, arena.n_nodes * sizeof(NodeRecord))
        if arena.n_payload:
            memcpy(&leaf_class[0], arena.leaf_class, arena.n_payload * sizeof(int32_t))
            memcpy(&leaf_weight[0], arena.leaf_weight,
                   arena.n_payload * sizeof(int64_t))
        if arena.n_words:
            memcpy(&words[0], arena.words, arena.n_words * sizeof(uint64_t))
        return (np.asarray(nodes), np.asarray(leaf_class), np.asarray(leaf_weight),
                np.asarray(words))

    def take(self, int response_exponent, double weight_scale):
        """Return the arrays of the tree that was grown last, as `Tree` names them.

        `response_exponent` turns values of REGRESSION back into targets,
        `weight_scale` is the units of a weight of one.
        """
        cdef Grower* g = &self.g
        cdef int64_t n_nodes = g.arena.n_nodes, n_leaves = (n_nodes + 1) // 2
        cdef int64_t n_payload
        cdef TreeArrays to
        memset(&to, 0, sizeof(TreeArrays))
        out = {}
        to.left = <int32_t*>add_array(out, "children_left", n_nodes, np.int32)
        to.right = <int32_t*>add_array(out, "children_right", n_nodes, np.int32)
        to.feature = <int32_t*>add_array(out, "feature", n_nodes, np.int32)
        to.threshold = <double*>add_array(out, "threshold", n_nodes, np.float64)
        to.missing_left = <uint8_t*>add_array(out, "missing_left", n_nodes, np.uint8)
        to.impurity = <double*>add_array(out, "impurity", n_nodes, np.float64)
        to.rows = <int64_t*>add_array(out, "n_node_samples", n_nodes, np.int64)
        to.weight = <double*>add_array(
            out, "weighted_n_node_samples", n_nodes, np.float64)
        if g.arena.n_words > 0:
            to.set_start = <int32_t*>add_array(
                out, "category_start", n_nodes, np.int32)
            to.set_count = <int32_t*>add_array(
                out, "category_count", n_nodes, np.int32)
            to.words = <uint64_t*>add_array(
                out, "category_bits", g.arena.n_words, np.uint64)
        if g.target.kind == REGRESSION:
            to.leaf_value = <double*>add_array(out, "leaf_value", n_leaves, np.float64)
            if g.target.loss == ABSOLUTE:
                to.inner_value = <double*>add_array(
                    out, "inner_value", n_nodes - n_leaves, np.float64)
        else:
            n_payload = count_payload(&g.arena, g.target.kind)
            to.leaf_start = <int64_t*>add_array(
                out, "leaf_start", n_leaves + 1, np.int64)
            to.leaf_class = <int32_t*>add_array(out, "leaf_class", n_payload, np.int32)
            to.leaf_weight = <double*>add_array(
                out, "leaf_weight", n_payload, np.float64)
        with nogil:
            write_tree(&g.arena, self.columns, &g.target, g.limits.drawn,
                       response_exponent, weight_scale, &to)
        return out

    def outline(self, int response_exponent, double weight_scale):
        """Return the tree that was grown last, of one output, in what packing needs.

        Returns
        -------
        fields : dict of ndarray
            In preorder: `asks` (n_nodes,), 3 * feature + kind of slot, -1 at leaves;
            `thresholds` (n_inner,), or first words of sets; `impurity` (n_inner,), or
            of all nodes where leaves have any; `leaf_rows` (n_leaves,).
            REGRESSION: `leaf_value` and `leaf_units`, and `inner_value` of medians.
            BINARY: `leaf_keys` and `profiles` (n_profiles, 2), weights of the classes.
            CLASSES: `leaf_start`, `leaf_class` and `leaf_weight`.
            `used` (n_features, 3) is whether the tree asks a feature so.
        single : bool
            Whether thresholds are float32 values.
        plain : bool
            Whether nodes weigh as much as they have rows.
        n_words : int
            Of packed category sets.
        """
        cdef Grower* g = &self.g
        cdef int64_t n_nodes = g.arena.n_nodes, n_leaves = (n_nodes + 1) // 2
        cdef int64_t n_inner = n_nodes - n_leaves, i, n_payload = g.arena.n_payload
        cdef int kind = g.target.kind
        cdef Outline out
        cdef double[:, ::1] profiles
        cdef int32_t[::1] leaf_class
        cdef double[::1] leaf_weight
        memset(&out, 0, sizeof(Outline))
        out.kind = kind
        out.drawn = g.limits.drawn
        out.weight_scale = weight_scale
        out.response_exponent = response_exponent
        if kind == REGRESSION:
            # Of squared deviations, of others.
            out.impurity_exponent = (
                -2 if g.target.loss == SQUARED else -1) * response_exponent
        fields = {}
        out.asks = <int32_t*>new_array(fields, "asks", n_nodes, np.int32)
        out.thresholds = <double*>new_array(fields, "thresholds", n_inner, np.float64)
        out.impurity = <double*>new_array(fields, "impurity", n_inner, np.float64)
        out.leaf_rows = <uint32_t*>new_array(fields, "leaf_rows", n_leaves, np.uint32)
        out.used = <uint8_t*>new_array(
            fields, "used", N_KINDS * g.n_features, np.uint8)
        memset(out.used, 0, N_KINDS * g.n_features)
        if kind == REGRESSION:
            out.leaf_value = <double*>new_array(
                fields, "leaf_value", n_leaves, np.float64)
            out.leaf_units = <int64_t*>new_array(
                fields, "leaf_units", n_leaves, np.int64)
            if g.target.loss == ABSOLUTE:
                out.inner_value = <double*>new_array(
                    fields, "inner_value", n_inner, np.float64)
        elif kind == BINARY:
            profiles = np.empty((n_leaves, 2))
            out.profiles = &profiles[0, 0]
            out.leaf_keys = <int32_t*>new_array(
                fields, "leaf_keys", n_leaves, np.int32)
        elif kind == CLASSES:
            out.leaf_start = <int64_t*>new_array(
                fields, "leaf_start", n_leaves + 1, np.int64)
            out.leaf_start[n_leaves] = n_payload
        else:
            raise ValueError("an outline is of one output")
        with nogil:
            outline_tree(g.arena.nodes, n_nodes, self.columns, &out)
            if kind == BINARY and not count_distinct(&out, n_leaves):
                with gil:
                    raise MemoryError("no memory to pack a tree")
        if out.impure:
            out.impurity = <double*>new_array(fields, "impurity", n_nodes, np.float64)
            write_impurity(g.arena.nodes, n_nodes, &out)
        if kind == BINARY:
            fields["profiles"] = np.array(profiles[:out.n_profiles])
        elif kind == CLASSES:
            leaf_class = np.empty(n_payload, np.int32)
            leaf_weight = np.empty(n_payload)
            for i in range(n_payload):
                leaf_class[i] = g.arena.leaf_class[i]
                leaf_weight[i] = <double>g.arena.leaf_weight[i] / weight_scale
            fields["leaf_class"] = np.asarray(leaf_class)
            fields["leaf_weight"] = np.asarray(leaf_weight)
        fields["used"] = fields["used"].reshape(g.n_features, N_KINDS)
        return fields, not out.wide, not out.weighed, 2 + out.n_words

    def pack(
        self, const int32_t[::1] asks, const double[::1] thresholds,
        const uint32_t[:, ::1] slot_of, int slot_bits, const double[::1] cuts,
        const int64_t[::1] cut_start, const int32_t[::1] leaf_keys,
        uint32_t[:, ::1] nodes, uint64_t[::1] words,
    ):
        """Write the tree of an `outline` as packed nodes and sets: packed_trees.py.

        Parameters
        ----------
        asks, thresholds : ndarray
            Of the outline.
        slot_of : ndarray of shape (n_features, 3)
        slot_bits : int
        cuts : ndarray
        cut_start : ndarray of shape (n_features + 1,)
            Or of none: keys are float32 values.
        leaf_keys : ndarray of shape (n_leaves,)
        nodes : ndarray of shape (n_nodes + 1, 2 or 3)
        words : ndarray of shape (n_words,)
            Zero.
        """
        cdef PackedForm form
        cdef int64_t n_nodes = asks.shape[0]
        cdef uint32_t[::1] pending = np.empty((n_nodes + 1) // 2 + 1, np.uint32)
        form.slot_of = &slot_of[0, 0]
        form.slot_bits = slot_bits
        form.width = nodes.shape[1]
        form.cuts = NULL if cut_start.shape[0] == 0 else &cuts[0]
        form.cut_start = NULL if cut_start.shape[0] == 0 else &cut_start[0]
        form.leaf_keys = &leaf_keys[0]
        with nogil:
            write_nodes(
                &asks[0], n_nodes, NULL if n_nodes == 1 else &thresholds[0],
                self.g.columns, self.g.arena.words, &form, &pending[0], &nodes[0, 0],
                &words[0])


def thresholds_by_feature(
    const int32_t[::1] asks, const double[::1] thresholds, int64_t n_features
):
    """Return an outline's thresholds feature by feature, and where each begins."""
    cdef double[::1] out = np.empty(thresholds.shape[0])
    cdef int64_t[::1] start = np.zeros(n_features + 2, np.int64)
    with nogil:
        group_thresholds(&asks[0], asks.shape[0], &thresholds[0], n_features, &start[0],
                         &out[0])
    return np.asarray(out)[:start[n_features]], np.asarray(start)[:-1]


cdef void* new_array(dict out, str name, int64_t n, dtype) except? NULL:
    """Put an array into `out`, and return where to fill it in."""
    cdef uint8_t[::1] raw = np.empty(max(1, n * np.dtype(dtype).itemsize), np.uint8)
    out[name] = np.asarray(raw)[:n * np.dtype(dtype).itemsize].view(dtype)
    return &raw[0]


cdef bint may_go_on(void* growth) noexcept with gil:
    """Ask a Growth's `check`, and keep the error that it may raise."""
    try:
        (<Growth>growth).check()
    except BaseException as error:
        (<Growth>growth).error = error
        return False
    return True


cdef void* add_array(dict out, str name, int64_t n, dtype) except? NULL:
    """Put an array into `out` that nobody can write to, and return where to fill it in.

    It lies in bytes, which a `Tree` can keep without a copy.
    """
    cdef bytes raw = PyBytes_FromStringAndSize(NULL, n * np.dtype(dtype).itemsize)
    # NumPy makes no array of no bytes.
    out[name] = np.frombuffer(raw, dtype) if n else np.empty(0, dtype)
    return PyBytes_AS_STRING(raw)
