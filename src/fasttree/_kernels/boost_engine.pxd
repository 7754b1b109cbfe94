"""Memory of a boosting fit, and of the tree that is being grown.

A `Leaf` is a stretch of one of two buffers of rows; a split moves it to the other
buffer. `pool` has the sums of the leaves that may still be split.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fasttree._kernels.leaf_split cimport (
    Feature, GradientSplit, LeafView, Regularization, ScanSpace
)
from fasttree._kernels.objective cimport BlockSums
from fasttree._kernels.sparse_cells cimport SparseTable, SpreadColumn, spread_column
from fasttree._kernels.team cimport Team

# What stands in a worker's bins of a panel.
cdef enum:
    CLEAN                      # zeros
    COUNTED                    # sums of the leaf that is being split
    USED                       # those of a leaf before

cdef enum:
    ROW_BLOCK = 16384          # rows of a chunk, a whole number of BLOCKs
    MOVE_BLOCK = 2048          # rows of a chunk that are moved to the children
    PART_ROWS = 4096           # least rows of a chunk that are counted
    MARK_BLOCK = 32768         # rows of a chunk whose leaves are noted
    MANY_ROWS = 8192           # from here on, workers divide a leaf's rows, not its tiles
    # Below, rows leave a parent's sums one by one, and are counted where a split may
    # leave a side too few.
    FEW_ROWS = 512
    MAX_REFIT_CELLS = 1048576  # sums of leaves times blocks

# A column of a tile.
cdef struct Slot:
    int64_t offset             # of its first bin in a leaf's sums
    int32_t n_bins             # 0: no column
    int32_t unused             # so that the size is stated

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
    int64_t n_cells            # bins of all slots, cells of all entries
    int64_t n_panels
    int64_t last_width         # tiles of a row of the last panel, the others have 8
    const uint64_t* tiles      # panels of (n_rows, width)
    const uint8_t** columns    # (8 * n_tiles,) codes of each slot, (n_rows,)
    const Slot* slots          # (8 * n_tiles,)
    const Feature* features
    const int32_t* tile_features   # features by tile, then those held by entries
    const int32_t* tile_start      # (n_scans + 1,)
    SparseTable sparse
    int64_t n_scans            # tiles, and groups of columns held by their entries
    int64_t tile_cells         # bins of the tiles' slots; the entries' cells follow
    # The rows of this tree.
    int64_t n_work
    const uint32_t* sample     # (n_work,), NULL: all rows
    const float* g             # (n_rows,)
    float* h
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
    uint64_t* bins             # (n_workers, 8 * n_panels, 8, 256)
    uint8_t* state             # (n_workers, n_panels) of the bins: CLEAN, ...
    uint64_t* sparse_bins      # (n_workers, sparse.n_cells), zero between uses
    uint8_t* sparse_dirty      # (n_workers,)
    bint sparse_divided        # workers have cells of their own
    bint sparse_subtracts      # the small child's cells are not off the large one's yet
    uint32_t* sparse_counts[2] # (sparse.n_cells,) of the two children
    SpreadColumn* spread       # (n_workers,)
    uint8_t* row_bytes         # (n_workers, sparse.n_columns), zero between uses
    int64_t n_parts            # chunks of the rows that are counted
    int64_t tiles_of_chunk     # where they are not divided
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
    int64_t to_right
    GradientSplit* found       # (2, n_scans)
    # Leaf values.
    double learning_rate
    double* leaf_sums          # (n_blocks, n_leaves, 2)
    int64_t refit_rows
    double* values             # (max_leaves,)
    double* raw


cdef inline int64_t n_chunks(int64_t n, int64_t size) noexcept nogil:
    return (n + size - 1) // size


cdef inline LeafView view_of(const Engine* e, const Leaf* leaf) noexcept nogil:
    cdef LeafView view
    view.rows = NULL if leaf.in_order else e.rows[leaf.buffer] + leaf.begin
    view.n = leaf.n
    view.sums = leaf.sums
    view.low = leaf.low
    view.high = leaf.high
    return view


cdef inline const uint8_t* column_of(
    const Engine* e, int32_t slot, SpreadColumn* spread
) noexcept nogil:
    """Return the bytes of a slot by row, valid until the next call."""
    cdef int64_t column = slot - 8 * e.n_tiles
    if column < 0:
        return e.columns[slot]
    return spread_column(spread, &e.sparse, column)
