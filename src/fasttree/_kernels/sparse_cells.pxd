"""Sums of gradients of columns that are held by their entries, and their splits.

Such a column has one code in most rows, its default, and a leaf's sums have a cell for
each of its other codes; the default's are the leaf's less these. A row's entries are
the numbers of the cells that it counts in. By column they are rows and bytes: byte 0 is
the default, which is not stored, and byte b counts in cell `cell` + b.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from fasttree._kernels.gradient_histogram cimport gradient_of, hessian_of
from fasttree._kernels.histogram cimport fasttree_prefetch
from fasttree._kernels.leaf_split cimport (
    Feature, GradientSplit, LeafView, Regularization, ScanSpace, least_score,
    scan_numeric
)

cdef enum:
    ROWS_AHEAD = 24            # rows whose entries' place is fetched
    ENTRIES_AHEAD = 12         # rows whose entries are
    BATCH = 512                # splits that are scored at once

cdef struct SparseTable:
    int64_t n_columns
    int64_t n_cells
    const uint32_t* cell           # (n_columns + 1,) the one before a column's first
    const uint32_t* column_of      # (n_cells,)
    const int64_t* column_start    # (n_columns + 1,)
    const uint32_t* column_rows    # (n_entries,)
    const uint8_t* column_bytes    # (n_entries,)
    const int64_t* row_start       # (n_rows + 1,)
    const uint32_t* row_cells      # (n_entries,)

# A column's bytes by row, one column at a time.
cdef struct SpreadColumn:
    uint8_t* bytes             # (n_rows,), zero where the column has no entry
    int64_t column             # -1: none


cdef inline int read_sparse(SparseTable* table, object sparse) except -1:
    """Point to the arrays of a SparseFeatures, which must live on; no `column_of`."""
    cdef const uint32_t[::1] cell = sparse.cell
    cdef const int64_t[::1] column_start = sparse.column_start
    cdef const uint32_t[::1] column_rows = sparse.column_rows
    cdef const uint8_t[::1] column_bytes = sparse.column_bytes
    cdef const int64_t[::1] row_start = sparse.row_start
    cdef const uint32_t[::1] row_cells = sparse.row_cells
    table.n_columns = len(sparse)
    table.n_cells = sparse.n_cells
    table.cell = &cell[0]
    table.column_start = &column_start[0]
    table.column_rows = &column_rows[0]
    table.column_bytes = &column_bytes[0]
    table.row_start = &row_start[0]
    table.row_cells = &row_cells[0]
    return 0


cdef inline const uint8_t* spread_column(
    SpreadColumn* spread, const SparseTable* table, int64_t column
) noexcept nogil:
    """Return the bytes of a column by row, valid until another one is spread."""
    cdef int64_t i
    if column == spread.column:
        return spread.bytes
    if spread.column >= 0:
        for i in range(table.column_start[spread.column],
                       table.column_start[spread.column + 1]):
            spread.bytes[table.column_rows[i]] = 0
    for i in range(table.column_start[column], table.column_start[column + 1]):
        spread.bytes[table.column_rows[i]] = table.column_bytes[i]
    spread.column = column
    return spread.bytes


cdef inline void spread_row(
    const SparseTable* table, int64_t row, uint8_t* bytes, bint write
) noexcept nogil:
    """Write the bytes of a row's entries by column, or clear them."""
    cdef int64_t k
    cdef uint32_t cell, column
    for k in range(table.row_start[row], table.row_start[row + 1]):
        cell = table.row_cells[k]
        column = table.column_of[cell]
        bytes[column] = <uint8_t>(cell - table.cell[column]) if write else 0


cdef inline void fetch_entries(
    const SparseTable* table, const uint32_t* rows, int64_t i, int64_t n
) noexcept nogil:
    """Fetch entries of rows behind the i-th."""
    if i + ROWS_AHEAD < n:
        fasttree_prefetch(table.row_start + rows[i + ROWS_AHEAD])
    if i + ENTRIES_AHEAD < n:
        fasttree_prefetch(table.row_cells + table.row_start[rows[i + ENTRIES_AHEAD]])


cdef inline void add_entries(
    const SparseTable* table,
    const uint32_t* rows,      # (n,), NULL: the rows first to first + n - 1
    const uint64_t* sums,      # (n,) in the order of `rows`
    int64_t first, int64_t n,
    uint64_t sign,             # 1, or -1 to take them off
    uint64_t* cells,           # INOUT (n_cells,)
) noexcept nogil:
    """Add rows to the cells of their entries."""
    cdef const int64_t* start = table.row_start
    cdef const uint32_t* at = table.row_cells
    cdef int64_t i, k
    cdef uint32_t row
    cdef uint64_t sum
    if rows == NULL:
        for i in range(n):
            sum = sign * sums[i]
            for k in range(start[first + i], start[first + i + 1]):
                cells[at[k]] += sum
        return
    for i in range(n):
        fetch_entries(table, rows, i, n)
        row = rows[i]
        sum = sign * sums[i]
        for k in range(start[row], start[row + 1]):
            cells[at[k]] += sum


cdef inline void count_entries(
    const SparseTable* table, const uint32_t* rows, int64_t n, uint32_t* counts
) noexcept nogil:
    """Count the rows of each cell; `rows` may be NULL: the first n."""
    cdef const int64_t* start = table.row_start
    cdef int64_t i, k
    cdef uint32_t row
    memset(counts, 0, table.n_cells * sizeof(uint32_t))
    if rows == NULL:
        for k in range(start[0], start[n]):
            counts[table.row_cells[k]] += 1
        return
    for i in range(n):
        fetch_entries(table, rows, i, n)
        row = rows[i]
        for k in range(start[row], start[row + 1]):
            counts[table.row_cells[k]] += 1


cdef extern from *:
    """
    #include <stdint.h>

    static inline int fasttree_any_above(
        const uint64_t* left, int64_t n, double G, double H, double least, double l2,
        double floor
    ) {
        const double K = H + 2 * l2, slope = G / K, own = G * G / K;
        const double most = H - least;
        int64_t above = 0, i;
        for (i = 0; i < n; i++)
            above |= fasttree_score(left[i], own, slope, K, l2, least, most) > floor;
        return above != 0;
    }
    """
    # Whether one of n splits has a score, as score_bins has it, above `floor`; `left`
    # are the sums of their left sides.
    bint any_above "fasttree_any_above"(
        const uint64_t* left, int64_t n, double G, double H, double least, double l2,
        double floor) noexcept nogil


# Columns of which none may have a better split than the best so far.
cdef struct Batch:
    uint64_t left[BATCH]       # of all their splits
    int64_t n_left
    int64_t columns[BATCH]
    int64_t n_columns

cdef struct SparseScan:
    const SparseTable* table
    const Feature* features
    const int32_t* numbers     # (n_columns,) features of the columns
    const uint64_t* cells      # (n_cells,) of the leaf
    const uint32_t* counts     # (n_cells,) of the leaf, or NULL
    const LeafView* leaf
    double own
    const Regularization* reg
    ScanSpace* space


cdef inline bint may_split(
    const SparseScan* scan, int64_t start, int64_t stop
) noexcept nogil:
    """Whether the rows away from a column's default are enough for a side of a split.

    One side has no others.
    """
    cdef int64_t b, count = 0
    cdef uint64_t sums = 0
    if scan.counts != NULL:
        for b in range(start, stop):
            count += scan.counts[b]
        if count < scan.reg.min_samples_leaf:
            return False
    for b in range(start, stop):
        sums += scan.cells[b]
    return hessian_of(sums) >= scan.reg.min_hessian


cdef inline bint list_splits(
    const SparseScan* scan, const Feature* feature, int64_t first, int64_t n,
    uint64_t* left
) noexcept nogil:
    """Write the sums left of the splits behind n codes; False if values are missing."""
    cdef const uint64_t* cells = scan.cells + first
    cdef int64_t b, d = feature.default_code
    cdef uint64_t sums = 0, others = 0
    if feature.has_missing and (d == n or cells[n - 1] != 0):
        return False
    for b in range(min(d, n)):
        sums += cells[b]
        left[b] = sums
    for b in range(d, n - 1):
        others += cells[b]
    sums = scan.leaf.sums - others
    for b in range(d, n):
        left[b] = sums
        if b < n - 1:
            sums += cells[b]
    return True


cdef inline void fill_counts(
    const Feature* feature, const uint32_t* others, int64_t n_rows, uint32_t* counts
) noexcept nogil:
    """Write the counts of a column's codes in their order."""
    cdef int64_t b, n = feature.n_codes + feature.has_missing
    cdef int64_t d = feature.default_code
    cdef uint32_t rest = <uint32_t>n_rows
    for b in range(n - 1):
        rest -= others[b]
        counts[b if b < d else b + 1] = others[b]
    counts[d] = rest


cdef inline void scan_column(
    const SparseScan* scan, int64_t k, GradientSplit* best
) noexcept nogil:
    cdef int32_t f = scan.numbers[k]
    cdef int64_t cell = scan.table.cell[k]
    if scan.counts != NULL:
        fill_counts(scan.features + f, scan.counts + cell + 1, scan.leaf.n,
                    scan.space.counts)
    scan_numeric(NULL, scan.features + f, f, scan.cells + cell, scan.leaf, scan.own,
                 scan.reg, scan.counts != NULL, scan.space, best)


cdef inline void scan_batch(
    const SparseScan* scan, Batch* batch, GradientSplit* best
) noexcept nogil:
    """Scan the columns of a batch if one has a better split, and empty it."""
    cdef int64_t i
    if any_above(batch.left, batch.n_left, gradient_of(scan.leaf.sums),
                 hessian_of(scan.leaf.sums), scan.reg.min_hessian, scan.reg.l2,
                 least_score(scan.own, best)):
        for i in range(batch.n_columns):
            scan_column(scan, batch.columns[i], best)
    batch.n_left = batch.n_columns = 0


cdef inline void scan_sparse(
    const SparseScan* scan, int64_t start, int64_t stop,
    const uint8_t* mask,       # by feature, NULL: all may split
    GradientSplit* best
) noexcept nogil:
    """Put the best split of some columns into `best` if it is better.

    With counts, one whose sides have too few rows is not accepted.
    """
    cdef int64_t k, n, first
    cdef const Feature* feature
    cdef Batch batch
    batch.n_left = batch.n_columns = 0
    for k in range(start, stop):
        if mask != NULL and not mask[scan.numbers[k]]:
            continue
        feature = scan.features + scan.numbers[k]
        first = scan.table.cell[k] + 1
        if not may_split(scan, first, scan.table.cell[k + 1] + 1):
            continue
        n = feature.n_codes
        if batch.n_left + n > BATCH:
            scan_batch(scan, &batch, best)
        if not scan.reg.any_monotonic and list_splits(
                scan, feature, first, n, batch.left + batch.n_left):
            batch.columns[batch.n_columns] = k
            batch.n_columns += 1
            batch.n_left += n
        else:
            # In their order: the first of equals is the best.
            scan_batch(scan, &batch, best)
            scan_column(scan, k, best)
    scan_batch(scan, &batch, best)
