"""Kernels of gradient boosting: gradients, one whole tree, and what it predicts.

A `Booster` holds what all trees of a fit share. A tree grows in one call: the leader
runs `grow_tree`, and other workers share its loops over rows and tiles (team.pxd).
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

import numpy as np

from fasttree._kernels.boost_engine cimport (
    MAX_REFIT_CELLS, MOVE_BLOCK, ROW_BLOCK, Engine, Leaf, Node, Slot, n_chunks
)
from fasttree._kernels.boost_gradients cimport (
    QUERIES, GradientTask, RankTask, SampleTask, drop_chunk, gradient_chunk, list_chunk,
    rank_chunk
)
from fasttree._kernels.boost_rows cimport add_chunk
from fasttree._kernels.boost_tree cimport grow_tree
from fasttree._kernels.gradient_histogram cimport PANEL_TILES, TILE_BINS, TILE_COLUMNS
from fasttree._kernels.leaf_split cimport Feature, GradientSplit, ScanSpace
from fasttree._kernels.objective cimport BLOCK, BlockSums
from fasttree._kernels.random cimport mix
from fasttree._kernels.ranking cimport RANK_ARRAYS
from fasttree._kernels.sparse_cells cimport SparseTable, SpreadColumn, read_sparse
from fasttree._kernels.team cimport Range, close_team, help, open_team, share

NODE_FIELDS = [
    ("gain", "f8"), ("value", "f8"), ("sum_gradient", "f8"), ("sum_hessian", "f8"),
    ("n", "i8"), ("set", "u8", (4,)), ("left", "i4"), ("right", "i4"),
    ("feature", "i4"), ("code", "i4"), ("slot", "i4"), ("leaf", "i4"),
    ("missing_left", "u1"), ("categorical", "u1"), ("unused", "u1", (6,)),
]


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
    cdef list owned
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
        object sparse,                 # a SparseFeatures
        tuple limits,                  # as in Limits
        double learning_rate,
        int64_t n_pool,
        int n_workers,
    ):
        cdef Engine* e = &self.engine
        cdef int64_t n_rows = rows.n_rows, n_outputs = rows.raw.shape[0], i
        cdef int64_t blocks = n_chunks(n_rows, ROW_BLOCK) + 1
        cdef int64_t n_bins
        cdef const uint8_t[::1] column
        (
            e.limits.max_leaves, e.limits.max_depth, e.limits.min_samples_leaf,
            e.limits.max_features, e.limits.min_hessian, e.limits.l2,
            e.limits.cat_smooth, e.limits.cat_l2, e.limits.max_cat_threshold,
            e.limits.min_data_per_group, e.limits.depthwise, e.limits.any_monotonic,
        ) = limits
        self.rows = rows
        self.n_rows = n_rows
        self.n_pool = n_pool
        self.owned = [
            slots.base, features.base, tile_features.base, tile_start.base,
            groups.base, columns, sparse,
        ]
        e.n_rows = n_rows
        e.n_features = features.shape[0] // sizeof(Feature)
        e.n_tiles = len(columns) // TILE_COLUMNS
        e.n_scans = tile_start.shape[0] - 1
        e.n_panels = n_chunks(e.n_tiles, PANEL_TILES)
        e.last_width = 1
        while e.last_width < e.n_tiles - (e.n_panels - 1) * PANEL_TILES:
            e.last_width *= 2
        e.tiles = rows.tiles_at
        e.slots = <const Slot*>&slots[0]
        e.features = <const Feature*>&features[0]
        e.tile_features = &tile_features[0]
        e.tile_start = &tile_start[0]
        e.tile_cells = e.n_slots = 0
        for i in range(TILE_COLUMNS * e.n_tiles):
            if e.slots[i].n_bins:
                e.n_slots = i + 1
                e.tile_cells = max(
                    e.tile_cells, e.slots[i].offset + e.slots[i].n_bins)
        self.hold_sparse(sparse, n_workers)
        e.n_cells = e.tile_cells + e.sparse.n_cells
        e.columns = <const uint8_t**>self.new(len(columns) * sizeof(void*), True)
        for i in range(len(columns)):
            if columns[i] is not None:
                column = columns[i]
                e.columns[i] = &column[0]
        e.learning_rate = learning_rate
        e.n_groups = groups.shape[0]
        if e.n_groups:
            e.groups = &groups[0, 0]
        self.g = np.empty((n_outputs, n_rows), np.float32)
        self.h = np.empty((n_outputs, n_rows), np.float32)
        self.leaf_of = np.zeros(n_rows, np.uint16)
        e.leaf_of = &self.leaf_of[0]
        max_leaves = e.limits.max_leaves
        self.values = np.zeros(max_leaves)
        e.values = &self.values[0]
        self.nodes = np.zeros(2 * max_leaves, np.dtype(NODE_FIELDS))
        if self.nodes.dtype.itemsize != sizeof(Node):
            raise RuntimeError("NODE_FIELDS and Node differ")
        column = self.nodes.view(np.uint8)
        e.nodes = <Node*>&column[0]

        e.block_sums = <BlockSums*>self.new(
            (blocks * (ROW_BLOCK // BLOCK) + 1) * sizeof(BlockSums), False)
        e.block_totals = <uint64_t*>self.new(blocks * sizeof(uint64_t), False)
        e.block_left = <int64_t*>self.new(
            n_chunks(n_rows, MOVE_BLOCK) * sizeof(int64_t), False)
        for i in range(2):
            e.rows[i] = <uint32_t*>self.new(n_rows * sizeof(uint32_t), False)
            e.stat[i] = <uint64_t*>self.new(n_rows * sizeof(uint64_t), False)
            e.mask[i] = <uint8_t*>self.new(e.n_features, True)
        e.side = <uint8_t*>self.new(n_rows, False)
        e.leaves = <Leaf*>self.new(max_leaves * sizeof(Leaf), True)
        e.heap = <int32_t*>self.new(max_leaves * sizeof(int32_t), True)
        e.pool = <uint64_t*>self.new(n_pool * e.n_cells * sizeof(uint64_t), False)
        e.idle = <int64_t*>self.new(n_pool * sizeof(int64_t), False)
        e.spaces = <ScanSpace*>self.new(n_workers * sizeof(ScanSpace), True)
        n_bins = e.n_panels * PANEL_TILES * TILE_COLUMNS * TILE_BINS
        e.bins = <uint64_t*>self.new(n_workers * n_bins * sizeof(uint64_t), True)
        e.state = <uint8_t*>self.new(n_workers * e.n_panels, True)
        e.team.ranges = <Range*>self.new(n_workers * sizeof(Range), True)
        e.live = <uint8_t*>self.new(max_leaves * e.n_groups, True)
        e.shuffled = <int32_t*>self.new(e.n_features * sizeof(int32_t), True)
        e.found = <GradientSplit*>self.new(
            2 * e.n_scans * sizeof(GradientSplit), True)
        # fit_values makes blocks larger until their sums fit, but keeps one.
        e.leaf_sums = <double*>self.new(
            max(MAX_REFIT_CELLS, 2 * max_leaves) * sizeof(double), False)

    cdef int hold_sparse(self, object sparse, int n_workers) except -1:
        """Take the columns that are held by their entries."""
        cdef Engine* e = &self.engine
        cdef SparseTable* table = &e.sparse
        cdef int64_t i, b, n_bytes
        cdef uint32_t* column_of
        read_sparse(table, sparse)
        column_of = <uint32_t*>self.new(table.n_cells * sizeof(uint32_t), True)
        for i in range(table.n_columns):
            for b in range(table.cell[i], table.cell[i + 1]):
                column_of[b + 1] = <uint32_t>i
        table.column_of = column_of
        n_bytes = table.n_cells * sizeof(uint64_t)
        e.sparse_bins = <uint64_t*>self.new(n_workers * n_bytes, True)
        e.sparse_dirty = <uint8_t*>self.new(n_workers, True)
        for i in range(2):
            e.sparse_counts[i] = <uint32_t*>self.new(
                table.n_cells * sizeof(uint32_t), False)
        e.row_bytes = <uint8_t*>self.new(n_workers * table.n_columns, True)
        e.spread = <SpreadColumn*>self.new(n_workers * sizeof(SpreadColumn), True)
        for i in range(n_workers):
            e.spread[i].column = -1
            if table.n_columns:
                e.spread[i].bytes = <uint8_t*>self.new(self.n_rows, True)
        return 0

    cdef void* new(self, int64_t n_bytes, bint zeroed) except NULL:
        """Return memory that lives as long as the booster."""
        cdef uint8_t[::1] memory = (np.zeros if zeroed else np.empty)(
            max(n_bytes, 1), np.uint8)
        self.owned.append(memory.base)
        return &memory[0]

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
