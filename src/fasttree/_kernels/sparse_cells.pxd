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
    uint64_t* cells,           # INOUT (n_cells,)
) noexcept nogil:
    """Add rows to the cells of their entries."""
    cdef const int64_t* start = table.row_start
    cdef const uint32_t* at = table.row_cells
    cdef int64_t i, k
    cdef uint32_t row
    if rows == NULL:
        for i in range(n):
            for k in range(start[first + i], start[first + i + 1]):
                cells[at[k]] += sums[i]
        return
    for i in range(n):
        fetch_entries(table, rows, i, n)
        row = rows[i]
        for k in range(start[row], start[row + 1]):
            cells[at[k]] += sums[i]


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


cdef inline bint may_split(
    const uint64_t* cells, const uint32_t* counts, int64_t n, const Regularization* reg
) noexcept nogil:
    """Whether the rows away from a column's default are enough for a side of a split.

    One side has no others.
    """
    cdef int64_t b
    cdef uint64_t sums = 0
    cdef int64_t count = 0
    if counts != NULL:
        for b in range(n):
            count += counts[b]
        if count < reg.min_samples_leaf:
            return False
    for b in range(n):
        sums += cells[b]
    return hessian_of(sums) >= reg.min_hessian


cdef inline void scan_sparse(
    const SparseTable* table, int64_t start, int64_t stop,
    const Feature* features,
    const int32_t* numbers,    # (stop - start,) the columns' features
    const uint8_t* mask,       # by feature, NULL: all may split
    const uint64_t* cells,     # (n_cells,) of the leaf
    const uint32_t* counts,    # (n_cells,) of the leaf, or NULL
    const LeafView* leaf, double own, const Regularization* reg, ScanSpace* space,
    GradientSplit* best
) noexcept nogil:
    """Put the best split of some columns into `best` if it is better.

    With `counts`, one whose sides have too few rows is not accepted.
    """
    cdef int64_t k, n, at
    cdef int32_t f
    for k in range(start, stop):
        f = numbers[k - start]
        if mask != NULL and not mask[f]:
            continue
        at = table.cell[k] + 1
        n = table.cell[k + 1] + 1 - at
        if not may_split(cells + at, NULL if counts == NULL else counts + at, n, reg):
            continue
        if counts != NULL:
            fill_counts(features + f, counts + at, leaf.n, space.counts)
        scan_numeric(NULL, features + f, f, cells + at - 1, leaf, own, reg,
                     counts != NULL, space, best)


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
