"""Entry points of growth: wide nodes column by column, narrow ones as subtrees.

A `Problem` holds what a fit needs of the table and the target; it is shared by
all threads, which write to disjoint parts of it. A `Worker` is one thread's
memory for subtrees.
"""

import numpy as np

from libc.math cimport NAN
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from fasttree._kernels.absolute cimport (
    MedianSpace,
    free_medians,
    rank_rows,
    reserve_medians,
)
from fasttree._kernels.arguments cimport fill_limits, fill_target
from fasttree._kernels.copied cimport (
    copy_node,
    free_workspace,
    grow_copied,
    reserve_workspace,
)
from fasttree._kernels.draw cimport (
    DrawSpace,
    draw_feature,
    draw_of_node,
    free_draws,
    reserve_draws,
)
from fasttree._kernels.drawn_parting cimport part_rows, record_drawn
from fasttree._kernels.histogram cimport (
    BINS,
    TILE,
    count_classes,
    count_column,
    count_tile,
    count_tile_classes,
    scan_class_counts,
    scan_counts,
    scan_sums,
    subtract,
    sum_column,
    sum_tile,
)
from fasttree._kernels.monotone cimport (
    Monotone,
    bound_children,
    monotone_of,
    node_values,
    rule_of,
)
from fasttree._kernels.outputs cimport measure_node, part_orders
from fasttree._kernels.partition cimport Parted, partition_entries, partition_tile
from fasttree._kernels.random cimport child_key, draw_below
from fasttree._kernels.records cimport Arena, NodeRecord, arena_free, reserve_nodes
from fasttree._kernels.scan cimport Run, Scratch, is_constant, scan_entries
from fasttree._kernels.scan_categories cimport mark_left, scan_categories
from fasttree._kernels.subtree cimport (
    LOCAL_ROWS,
    Workspace,
    emit_payload,
    must_be_leaf,
    record_split,
)
from fasttree._kernels.types cimport (
    ABSOLUTE,
    BINARY,
    CLASSES,
    Feature,
    REGRESSION,
    SUMS,
    Split,
    Target,
)
from fasttree._kernels.view cimport Count, Job, View

LAYOUT = {
    "job": sizeof(Job),
    "count": sizeof(Count),
    "split": sizeof(Split),
    "node": sizeof(NodeRecord),
    "feature": sizeof(Feature),
}
MAX_LOCAL_ROWS = LOCAL_ROWS


def node_keys(uint64_t key):
    """Return the keys of a node's left and right child."""
    return child_key(key, False), child_key(key, True)


def draw_features(uint64_t key, int32_t[::1] permutation):
    """Shuffle `permutation` (identity on entry) into a node's order of features."""
    cdef int64_t n = permutation.shape[0], i, place
    cdef int32_t kept
    for i in range(n):
        place = i + draw_below(key, i, <uint32_t>(n - i))
        kept = permutation[place]
        permutation[place] = permutation[i]
        permutation[i] = kept


def bound_nodes(
    const int8_t[:, ::1] signs, const double[:, ::1] values, double[:, :, ::1] bounds,
):
    """Write the bounds of children, from those of their parents.

    Parameters
    ----------
    signs : (n_nodes, n_bounded)
        Of the parents' features.
    values : (2 * n_nodes, n_bounded)
        Of the children, in pairs of a left and a right one.
    bounds : (2 * n_nodes, n_bounded, 2), written
        Comes with the parents', each of them twice.
    """
    cdef int64_t i, n = signs.shape[1]
    for i in range(signs.shape[0] if n else 0):
        bound_children(n, &signs[i, 0], &values[2 * i, 0], &values[2 * i + 1, 0],
                       &bounds[2 * i + 1, 0, 0], &bounds[2 * i, 0, 0])


def bound_tree(
    const int32_t[::1] left, const int32_t[::1] right, const int32_t[::1] feature,
    const int8_t[:, ::1] signs, const double[:, ::1] values, double[:, :, ::1] bounds,
):
    """Write the bounds of all nodes of a tree in preorder, from those of the root.

    `signs` (n_features, n_bounded), `values` (n_nodes, n_bounded) and `bounds`
    (n_nodes, n_bounded, 2).
    """
    cdef int64_t i, n = signs.shape[1]
    for i in range(left.shape[0]):
        if left[i] < 0:
            continue
        bounds[right[i]] = bounds[i]
        bound_children(n, &signs[feature[i], 0], &values[left[i], 0],
                       &values[right[i], 0], &bounds[right[i], 0, 0],
                       &bounds[left[i], 0, 0])


cdef inline const double* bounds_of(
    const double[:, :, ::1] bounds, int64_t node
) noexcept nogil:
    return NULL if bounds.shape[1] == 0 else &bounds[node, 0, 0]


cdef class Problem:
    """Table and target of one fit, as the growth kernels see them.

    All arrays are kept alive by `owned`. `rows` and the orders are permuted by
    growth: every node owns the range [begin, end) of each of them.
    """

    cdef View view
    cdef int64_t* totals
    cdef int64_t* left
    cdef Run* runs
    cdef Arena arena
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
        const uint16_t[::1] label,
        const int64_t[::1] weight,
        const int64_t[::1] value,
        const double[::1] response,
        const double[::1] nlogn,
        double quantum,
        const double[::1] centres,
        double per_unit,
        const uint8_t[::1] features,
        uint32_t[::1] rows,
        const uint64_t[:, ::1] tiles,
        const int32_t[::1] tiled,
        tuple limits,
        const int32_t[::1] bounded,
        const int8_t[:, ::1] signs,
        int64_t run_capacity,
        object owned,
    ):
        cdef int64_t n_orders = n_outputs if kind == SUMS and loss == ABSOLUTE else 1
        cdef int64_t n = rows.shape[0] // n_orders
        self.owned = (class_start, label, weight, value, response, nlogn, centres,
                      features, rows, tiles, tiled, bounded, signs, owned)
        fill_target(&self.view.target, kind, loss, entropy, n_classes, n_outputs,
                    n_totals, class_start, nlogn, quantum, centres, per_unit, n, n)
        fill_limits(&self.view.limits, limits, bounded, signs)
        self.view.target.label = NULL if label is None else &label[0]
        self.view.target.weight = NULL if weight is None else &weight[0]
        self.view.target.value = NULL if value is None else &value[0]
        self.view.target.response = NULL if response is None else &response[0]
        self.view.features = <const Feature*>&features[0]
        self.view.n_features = <int32_t>(features.shape[0] // sizeof(Feature))
        self.view.n_rows = n
        self.view.n_words = (self.view.n_features + 63) // 64
        self.view.rows = &rows[0]
        self.view.tiles = NULL if tiles.shape[0] == 0 else &tiles[0, 0]
        self.view.tiled = NULL if tiled.shape[0] == 0 else &tiled[0]
        self.view.n_tiles = <int32_t>tiles.shape[0]
        self.view.run_capacity = run_capacity
        self.view.goes_left = <uint8_t*>calloc(n, 1)
        self.view.local = <uint16_t*>calloc(n, sizeof(uint16_t))
        self.view.binary = <uint64_t*>calloc(tiles.shape[0] + 1, sizeof(uint64_t))
        self.view.listed = <uint64_t*>calloc(self.view.n_words, sizeof(uint64_t))
        self.totals = <int64_t*>calloc(n_totals + 1, sizeof(int64_t))
        self.left = <int64_t*>calloc(n_totals + 1, sizeof(int64_t))
        self.runs = <Run*>calloc(run_capacity + 1, sizeof(Run))
        if (self.view.goes_left == NULL or self.view.local == NULL or self.totals == NULL
                or self.left == NULL or self.runs == NULL or self.view.binary == NULL
                or self.view.listed == NULL):
            raise MemoryError("no memory for the work arrays of a fit")
        self.look_at_features()

    def __dealloc__(self):
        free(self.view.goes_left)
        free(self.view.local)
        free(self.view.binary)
        free(self.view.listed)
        free(self.totals)
        free(self.left)
        free(self.runs)
        arena_free(&self.arena)

    cdef void look_at_features(self) noexcept nogil:
        """Note which features have orders, lists and bits."""
        cdef const Feature* feature
        cdef int64_t f
        for f in range(self.view.n_features):
            feature = self.view.features + f
            self.view.has_orders |= feature.order != NULL
            if feature.binary:
                self.view.binary[feature.place // TILE] |= (
                    <uint64_t>1 << 8 * (feature.place % TILE))
                self.view.n_bit_words = max(
                    self.view.n_bit_words, feature.place // 64 + 1)
            else:
                self.view.listed[f >> 6] |= <uint64_t>1 << (f & 63)

    def measure(
        self, const int64_t[::1] begins, const int64_t[::1] ends,
        uint8_t[::1] jobs, int64_t[:, ::1] totals, double[:, ::1] values,
    ):
        """Fill in `stat` and `leaf` of one job a node; `depth` is set already.

        `totals` (n_jobs, n_totals) comes zeroed and receives the nodes' totals.
        `values` (n_jobs, n_bounded) receives what monotonic constraints speak of.
        """
        cdef Job* job = <Job*>&jobs[0]
        cdef int64_t i
        cdef int64_t* row
        with nogil:
            for i in range(begins.shape[0]):
                row = self.totals
                if self.view.target.n_totals:
                    row = &totals[i, 0]
                job[i].begin = begins[i]
                job[i].stat = measure_node(
                    &self.view.target, self.view.rows + begins[i],
                    ends[i] - begins[i], row)
                job[i].leaf = must_be_leaf(&self.view.limits, &job[i].stat, job[i].depth)
                if self.view.limits.n_bounded:
                    node_values(&self.view.limits, &self.view.target, &job[i].stat, row,
                                &values[i, 0])

    def search_orders(
        self, const int32_t[::1] features, const uint8_t[::1] jobs,
        int64_t[:, ::1] totals, const uint8_t[:, ::1] selected, uint8_t[::1] splits,
        const double[:, :, ::1] bounds,
    ):
        """Search ordered columns in every job that selected them.

        `splits` holds one Split per (feature, job) of the whole problem.
        """
        cdef const Job* job = <const Job*>&jobs[0]
        cdef int64_t n_jobs = selected.shape[0], i, j
        cdef Split* out = <Split*>&splits[0]
        cdef Split* best
        cdef const Feature* feature
        cdef const uint32_t* entries
        cdef int32_t f
        cdef Scratch scratch
        cdef MedianSpace medians
        cdef Monotone rule
        cdef int64_t longest = 0
        cdef bint failed = False
        memset(&medians, 0, sizeof(MedianSpace))
        scratch.medians = &medians
        with nogil:
            scratch.left = <int64_t*>calloc(
                self.view.target.n_totals + 1, sizeof(int64_t))
            scratch.runs = <Run*>calloc(self.view.run_capacity + 1, sizeof(Run))
            failed = scratch.left == NULL or scratch.runs == NULL
            if self.view.target.loss == ABSOLUTE:
                for j in range(n_jobs):
                    longest = max(longest, job[j].stat.n)
                failed |= not reserve_medians(&medians, self.view.n_rows, longest)
            if not failed:
                for j in range(n_jobs):
                    rule = monotone_of(&self.view.limits, bounds_of(bounds, j))
                    if self.view.target.n_totals:
                        scratch.totals = &totals[j, 0]
                    if self.view.target.loss == ABSOLUTE:
                        rank_rows(&medians, &self.view.target,
                                  self.view.rows + job[j].begin, job[j].stat.n)
                    for i in range(features.shape[0]):
                        f = features[i]
                        if not selected[j, f]:
                            continue
                        feature = self.view.features + f
                        best = out + f * n_jobs + j
                        entries = feature.order + job[j].begin
                        best.feature = f
                        if is_constant(entries, job[j].stat.n):
                            best.constant = True
                        elif feature.categorical:
                            scan_categories(
                                entries, &self.view.target, &job[j].stat,
                                &self.view.limits, &scratch, best)
                        else:
                            scan_entries(
                                entries, feature.has_missing, &self.view.target,
                                &job[j].stat, &self.view.limits,
                                rule_of(&rule, &self.view.limits, feature, f),
                                &scratch, best)
            free(scratch.left)
            free(scratch.runs)
            free_medians(&medians)
        if failed:
            raise MemoryError("no memory for the work arrays of a split search")

    def search_tile(
        self, int32_t tile, const uint8_t[::1] jobs, int64_t[:, ::1] totals,
        const uint8_t[:, ::1] selected, uint8_t[::1] splits,
        const double[:, :, ::1] bounds,
        const uint8_t[::1] counts, uint64_t[:, :, ::1] histograms,
    ):
        """Search the eight columns of a tile in every job that selected them.

        `histograms` (n_slots, n_tiles, cells) is kept from level to level and
        brought up to date by `counts`; without slots each job is counted anew.
        """
        cdef const Job* job = <const Job*>&jobs[0]
        cdef const Count* count
        cdef int64_t n_jobs = selected.shape[0], j, i, f, cells
        cdef Split* out = <Split*>&splits[0]
        cdef Split* best
        cdef const uint64_t* codes = self.view.tiles + tile * self.view.n_rows
        cdef const uint32_t* rows
        cdef uint64_t* histogram
        cdef uint64_t* scratch
        cdef int64_t* left
        cdef Monotone rule
        cdef const Monotone* own
        cdef int byte
        cdef bint kept = histograms.shape[0] > 0
        cdef bint failed
        # uint64 words of a column's histogram.
        cells = 128 * <int64_t>self.view.target.n_classes
        if self.view.target.kind == BINARY:
            cells = BINS
        elif self.view.target.kind == REGRESSION:
            cells = 2 * BINS
        with nogil:
            scratch = <uint64_t*>calloc(cells, sizeof(uint64_t))
            left = <int64_t*>calloc(self.view.target.n_classes + 1, sizeof(int64_t))
            failed = scratch == NULL or left == NULL
            if not failed and kept:
                for i in range(counts.shape[0] // <int64_t>sizeof(Count)):
                    count = <const Count*>&counts[0] + i
                    histogram = &histograms[count.slot, tile, 0]
                    memset(histogram, 0, TILE * cells * sizeof(uint64_t))
                    rows = self.view.rows + count.begin
                    if self.view.target.kind == BINARY:
                        count_tile(codes, rows, count.end - count.begin,
                                   self.view.target.label, histogram)
                    elif self.view.target.kind == CLASSES:
                        count_tile_classes(
                            codes, rows, count.end - count.begin,
                            self.view.target.label, self.view.target.n_classes,
                            <uint32_t*>histogram)
                    else:
                        sum_tile(codes, rows, count.end - count.begin,
                                 self.view.target.value, <int64_t*>histogram)
                    if count.parent >= 0:
                        subtract(&histograms[count.parent, tile, 0], histogram,
                                 TILE * cells)
            if not failed:
                for byte in range(TILE):
                    f = self.view.tiled[TILE * tile + byte]
                    if f < 0:
                        continue
                    for j in range(n_jobs):
                        if not selected[j, f]:
                            continue
                        best = out + f * n_jobs + j
                        best.feature = <int32_t>f
                        rule = monotone_of(&self.view.limits, bounds_of(bounds, j))
                        own = rule_of(&rule, &self.view.limits, self.view.features + f, f)
                        rows = self.view.rows + job[j].begin
                        if kept:
                            histogram = (&histograms[job[j].slot, tile, 0]
                                         + byte * cells)
                        else:
                            histogram = scratch
                            memset(histogram, 0, cells * sizeof(uint64_t))
                            if self.view.target.kind == BINARY:
                                count_column(codes, byte, rows, job[j].stat.n,
                                             self.view.target.label, histogram)
                            elif self.view.target.kind == REGRESSION:
                                sum_column(codes, byte, rows, job[j].stat.n,
                                           self.view.target.value, <int64_t*>histogram)
                            else:
                                count_classes(
                                    codes, byte, rows, job[j].stat.n,
                                    self.view.target.label, self.view.target.n_classes,
                                    <uint32_t*>histogram)
                        if self.view.target.kind == BINARY:
                            scan_counts(
                                histogram, self.view.features[f].n_codes, &job[j].stat,
                                self.view.target.entropy, self.view.target.nlogn,
                                self.view.limits.min_samples_leaf, own, best)
                        elif self.view.target.kind == REGRESSION:
                            scan_sums(
                                <const int64_t*>histogram, self.view.features[f].n_codes,
                                self.view.target.loss, &job[j].stat,
                                self.view.limits.min_samples_leaf, own, best)
                        else:
                            scan_class_counts(
                                <const uint32_t*>histogram,
                                self.view.features[f].n_codes, &self.view.target,
                                &job[j].stat, &totals[j, 0], left,
                                self.view.limits.min_samples_leaf, own, best)
            free(scratch)
            free(left)
        if failed:
            raise MemoryError("no memory for the work arrays of a split search")

    def search_drawn(
        self, const int32_t[::1] features, const uint8_t[::1] jobs,
        int64_t[:, ::1] totals, const uint8_t[:, ::1] selected, uint8_t[::1] splits,
        const double[:, :, ::1] bounds,
    ):
        """Draw a split of each column in every job that selected it."""
        cdef const Job* job = <const Job*>&jobs[0]
        cdef int64_t n_jobs = selected.shape[0], i, j, longest = 0
        cdef Split* best
        cdef const uint32_t* rows
        cdef const Feature* feature
        cdef uint64_t node_draw
        cdef int32_t f
        cdef bint failed
        cdef DrawSpace space
        cdef uint32_t* stats
        with nogil:
            for j in range(n_jobs):
                longest = max(longest, job[j].stat.n)
            stats = <uint32_t*>calloc(longest, sizeof(uint32_t))
            failed = not reserve_draws(&space, longest, &self.view.target,
                                       self.view.n_rows, self.view.run_capacity)
            failed |= stats == NULL
            space.stats = stats
            if not failed:
                for j in range(n_jobs):
                    rows = self.view.rows + job[j].begin
                    node_draw = draw_of_node(job[j].key)
                    space.rule = monotone_of(&self.view.limits, bounds_of(bounds, j))
                    if self.view.target.n_totals:
                        space.totals = &totals[j, 0]
                    elif self.view.target.kind == BINARY:
                        for i in range(job[j].stat.n):
                            stats[i] = 1 | <uint32_t>self.view.target.label[rows[i]] << 16
                    for i in range(features.shape[0]):
                        f = features[i]
                        if not selected[j, f]:
                            continue
                        feature = self.view.features + f
                        best = <Split*>&splits[0] + f * n_jobs + j
                        best.constant = not draw_feature(
                            feature, f, rows, node_draw,
                            &self.view.target, &job[j].stat, &self.view.limits, &space,
                            best)
            free_draws(&space)
            free(stats)
        if failed:
            raise MemoryError("no memory for the work arrays of a split search")

    def split_drawn(
        self, const uint8_t[::1] job_bytes, const uint8_t[::1] split_bytes
    ):
        """Carry out a drawn split of a wide node, as `split` does others.

        Returns
        -------
        int
            How many rows went left. The node's record stands last in the arena.
        """
        cdef const Job* job = <const Job*>&job_bytes[0]
        cdef const Split* split = <const Split*>&split_bytes[0]
        cdef const Feature* feature = self.view.features + split.feature
        cdef int64_t n = job.stat.n, n_left = 0, o
        cdef uint32_t* rows = self.view.rows + job.begin
        cdef uint32_t* spare
        cdef int64_t* sizes
        cdef NodeRecord* record
        cdef bint failed
        with nogil:
            spare = <uint32_t*>calloc(n, sizeof(uint32_t))
            sizes = <int64_t*>calloc(
                feature.n_codes + 1 if feature.categorical else 1, sizeof(int64_t))
            failed = (spare == NULL or sizes == NULL
                      or not reserve_nodes(&self.arena, 1))
            if not failed:
                record = self.arena.nodes + self.arena.n_nodes
                failed = not self.begin_record(record, job, False)
                for o in range(self.view.target.n_orders):
                    n_left = part_rows(
                        feature, feature.keys, rows + o * self.view.target.stride, n,
                        split, draw_of_node(job.key), &self.view.limits, sizes, spare)
                failed |= not record_drawn(&self.arena, record, feature, feature.keys,
                                           1, rows, n, n_left, split)
                self.arena.n_nodes += 1
            free(spare)
            free(sizes)
        if failed:
            raise MemoryError("no memory to split a node")
        return n_left

    def split(self, const uint8_t[::1] job_bytes, const uint8_t[::1] split_bytes):
        """Carry out a split of a wide node, but for its orders.

        Returns
        -------
        int
            How many rows went left. The node's record stands last in the arena.
        """
        cdef const Job* job = <const Job*>&job_bytes[0]
        cdef const Split* split = <const Split*>&split_bytes[0]
        cdef const Feature* feature = self.view.features + split.feature
        cdef int64_t n = job.stat.n, n_left
        cdef uint32_t* rows = self.view.rows + job.begin
        cdef uint32_t* entries
        cdef uint32_t* spare
        cdef bint failed
        cdef Parted parted
        cdef NodeRecord* record
        cdef Scratch scratch
        scratch.runs = self.runs
        scratch.left = self.left
        scratch.totals = self.totals
        with nogil:
            spare = <uint32_t*>malloc(n * sizeof(uint32_t))
            failed = spare == NULL or not reserve_nodes(&self.arena, 1)
            if not failed:
                record = self.arena.nodes + self.arena.n_nodes
                failed = not self.begin_record(record, job, False)
                if feature.tiled:
                    parted = partition_tile(
                        rows, n,
                        self.view.tiles + (feature.place // TILE) * self.view.n_rows,
                        8 * (feature.place % TILE), feature.n_codes, split,
                        self.view.goes_left if self.view.has_orders else NULL, spare)
                    n_left = parted.n_left
                    record.feature = split.feature
                    record.row_low = parted.row_low
                    record.row_high = parted.row_high
                    record.missing_left = (split.missing_left if parted.n_missing
                                           else n_left > n - n_left)
                else:
                    entries = feature.order + job.begin
                    n_left = mark_left(
                        entries, &job.stat, feature.categorical,
                        self.view.limits.min_samples_category, &self.view.target,
                        split, &scratch, self.view.goes_left)
                    failed |= not record_split(
                        &self.arena, record, feature, split, entries, NULL,
                        self.view.goes_left, n, n_left)
                    part_orders(&self.view.target, rows, n, self.view.goes_left, spare)
                self.arena.n_nodes += 1
            free(spare)
        if failed:
            raise MemoryError("no memory to split a node")
        return n_left

    cdef bint begin_record(
        self, NodeRecord* record, const Job* job, bint is_leaf
    ) noexcept nogil:
        """Fill in what a record has of any node; False if there is no memory."""
        memset(record, 0, sizeof(NodeRecord))
        record.n = job.stat.n
        record.weight = job.stat.weight
        record.ones = job.stat.sum
        record.impurity = job.stat.impurity
        record.value = job.stat.value
        record.threshold = NAN
        record.payload = -1
        record.set_start = -1
        record.left = record.right = -1
        record.feature = -2
        return emit_payload(&self.arena, record, &self.view.target,
                            self.view.rows + job.begin, job.stat.n, self.totals, is_leaf)

    def record(self, const uint8_t[::1] jobs, const uint8_t[::1] is_leaf):
        """Record measured nodes as they are, without a split."""
        cdef const Job* job = <const Job*>&jobs[0] if jobs.shape[0] else NULL
        cdef int64_t n_jobs = is_leaf.shape[0], j
        cdef NodeRecord* record
        cdef bint failed
        with nogil:
            failed = not reserve_nodes(&self.arena, n_jobs)
            for j in range(0 if failed else n_jobs):
                record = self.arena.nodes + self.arena.n_nodes
                failed |= not self.begin_record(record, job + j, is_leaf[j])
                self.arena.n_nodes += 1
        if failed:
            raise MemoryError("no memory to record nodes")

    def partition_orders(
        self, const int32_t[::1] features, const int64_t[::1] begins,
        const int64_t[::1] ends, const uint8_t[:, ::1] wanted,
    ):
        """Partition ordered columns in the nodes that have just been split."""
        cdef int64_t i, j, longest = 1
        cdef const Feature* feature
        cdef uint32_t* spare
        with nogil:
            for j in range(begins.shape[0]):
                longest = max(longest, ends[j] - begins[j])
            spare = <uint32_t*>calloc(longest, sizeof(uint32_t))
            if spare != NULL:
                for i in range(features.shape[0]):
                    feature = self.view.features + features[i]
                    for j in range(begins.shape[0]):
                        if wanted[j, features[i]]:
                            partition_entries(
                                feature.order + begins[j], ends[j] - begins[j], self.view.goes_left, spare)
            free(spare)
        if spare == NULL:
            raise MemoryError("no memory to partition a node")

    def take_arena(self):
        """Return the records so far, their payload and sets, and forget them."""
        return arena_arrays(&self.arena)


cdef tuple arena_arrays(Arena* arena):
    cdef uint8_t[::1] nodes = np.empty(
        max(1, arena.n_nodes * sizeof(NodeRecord)), np.uint8)
    cdef int32_t[::1] leaf_class = np.empty(max(1, arena.n_payload), np.int32)
    cdef int64_t[::1] leaf_weight = np.empty(max(1, arena.n_payload), np.int64)
    cdef uint64_t[::1] words = np.empty(max(1, arena.n_words), np.uint64)
    if arena.n_nodes:
        memcpy(&nodes[0], arena.nodes, arena.n_nodes * sizeof(NodeRecord))
    if arena.n_payload:
        memcpy(&leaf_class[0], arena.leaf_class, arena.n_payload * sizeof(int32_t))
        memcpy(&leaf_weight[0], arena.leaf_weight, arena.n_payload * sizeof(int64_t))
    if arena.n_words:
        memcpy(&words[0], arena.words, arena.n_words * sizeof(uint64_t))
    result = (
        np.asarray(nodes)[:arena.n_nodes * sizeof(NodeRecord)],
        np.asarray(leaf_class)[:arena.n_payload],
        np.asarray(leaf_weight)[:arena.n_payload],
        np.asarray(words)[:arena.n_words],
    )
    arena.n_nodes = arena.n_payload = arena.n_words = 0
    return result


cdef class Worker:
    """One thread's memory for subtrees of up to `capacity` rows of `problem`."""

    cdef Workspace w
    cdef Target target
    cdef const View* view
    cdef Problem problem

    def __cinit__(self, Problem problem, int64_t capacity):
        cdef Workspace* w = &self.w
        if not 1 <= capacity <= LOCAL_ROWS:
            raise ValueError(f"capacity must be in [1, {LOCAL_ROWS}], got {capacity}")
        self.problem = problem  # keeps the view alive
        self.view = &problem.view
        if not reserve_workspace(&self.w, &problem.view, capacity):
            raise MemoryError("no memory for the work arrays of a fit")
        self.target = problem.view.target
        self.target.stride = capacity
        if self.target.n_orders > 1:
            self.target.output_step = capacity
        self.target.label = w.label
        self.target.value = w.value
        self.target.response = w.response
        if problem.view.target.weight != NULL:
            self.target.weight = w.weight

    def __dealloc__(self):
        free_workspace(&self.w)

    def grow(
        self, const uint8_t[::1] jobs, const uint64_t[:, ::1] masks,
        const double[:, :, ::1] bounds,
    ):
        """Grow the subtrees of `jobs`; bit f of a mask says column f may vary.

        `bounds` (n_jobs, n_bounded, 2) are those of monotonic constraints.

        Returns
        -------
        tuple of ndarray
            Nodes before each subtree (n_jobs,), then the arena's arrays.
        """
        cdef const Job* job = <const Job*>&jobs[0]
        cdef int64_t n_jobs = masks.shape[0], j
        cdef int64_t[::1] starts = np.empty(n_jobs, np.int64)
        cdef bint grown = True
        with nogil:
            for j in range(n_jobs):
                starts[j] = self.w.arena.n_nodes
                memcpy(self.w.masks, &masks[j, 0], self.w.n_words * sizeof(uint64_t))
                if bounds.shape[1] > 0:
                    memcpy(self.w.bounds, &bounds[j, 0, 0],
                           2 * bounds.shape[1] * sizeof(double))
                copy_node(self.view, &self.w, job + j)
                grown = grow_copied(self.view, &self.w, &self.target, job + j)
                if not grown:
                    break
        if not grown:
            self.w.arena.n_nodes = self.w.arena.n_payload = self.w.arena.n_words = 0
            raise MemoryError("no memory for the nodes of a tree")
        return (np.asarray(starts), *arena_arrays(&self.w.arena))


