"""Inline kernels as the tests see them."""

import numpy as np

from libc.math cimport INFINITY
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from fasttree._kernels.bin_search cimport sum_at, try_bins, weight_at
from fasttree._kernels.bits cimport cells_of, count_bits, pack_bytes
from fasttree._kernels.cells cimport (
    Best,
    CellSpace,
    Codes,
    free_cells,
    reserve_cells,
)
from fasttree._kernels.class_cells cimport add_stats, try_classes
from fasttree._kernels.copied cimport sort_codes
from fasttree._kernels.flags cimport gather_flags
from fasttree._kernels.few_rows cimport RANKED_ROWS, sort_few
from fasttree._kernels.partition cimport keep_entries, partition_entries
from fasttree._kernels.prefixes cimport count_column, pair_values
from fasttree._kernels.sparse_cells cimport (
    SparseTable, SpreadColumn, add_entries, count_entries, read_sparse, spread_column
)
from fasttree._kernels.transpose cimport interleave_bytes
from fasttree._kernels.types cimport BINARY, CLASSES, Limits, NodeStat, Target


def partition_order(
    uint32_t[::1] entries, const uint8_t[::1] goes_left, uint32_t[::1] spare
):
    """Split sorted entries stably in two; return how many went left."""
    return partition_entries(
        &entries[0], entries.shape[0], &goes_left[0], &spare[0])


def keep_order(
    uint32_t[::1] entries, const uint8_t[::1] goes_left, bint left, int64_t place
):
    """Move one side's sorted entries to `place`."""
    keep_entries(&entries[0], entries.shape[0], &goes_left[0], left, place)


def sort_local(const uint64_t[::1] codes, int shift, uint32_t missing_code):
    """Return the local entries of one byte of `codes`."""
    cdef uint16_t[::1] out = np.empty(codes.shape[0], np.uint16)
    sort_codes(&codes[0], NULL, codes.shape[0], shift, missing_code, &out[0])
    return np.asarray(out)


def count_two_valued(
    int kind, const uint16_t[::1] label, const int64_t[::1] value, int n_classes,
    const uint64_t[::1] bits, uint64_t active, const uint16_t[::1] rows,
):
    """Return the counts of a node's bits, (64, cells)."""
    cdef Target target
    cdef int64_t[:, ::1] cells
    target.kind = kind
    target.n_classes = n_classes
    target.label = NULL if label is None else &label[0]
    target.value = NULL if value is None else &value[0]
    cells = np.full((64, cells_of(&target)), -1, np.int64)
    count_bits(&target, &bits[0], active, &rows[0], rows.shape[0], &cells[0, 0])
    return np.asarray(cells)


def entry_flags(const uint16_t[::1] entries):
    """Return NEW and ONE of up to 64 local entries as bits."""
    cdef uint64_t new, ones
    gather_flags(&entries[0], entries.shape[0], &new, &ones)
    return new, ones


def pack_word(uint64_t word):
    """Return the lowest bits of the bytes of `word`, packed."""
    return pack_bytes(word)


# --- rows counted by code -------------------------------------------------------------

cdef class Counted:
    """A node's rows and one column of it, as nodes that draw features see them.

    Parameters
    ----------
    kind, entropy, n_classes, nlogn
        Of the target.
    codes : ndarray of uint8, uint16 or uint32, shape (n_table_rows,)
        As bytes, `size` each.
    n_codes, missing, categorical
        Of the column.
    rows : ndarray of uint32, shape (n,)
    stats : ndarray of uint32, shape (n,), or None
        By place; None for sums.
    value, weight : ndarray of int64, shape (n_table_rows,)
        Of sums; `weight` is None where all rows weigh 1.
    """

    cdef Target target
    cdef Codes column
    cdef CellSpace space
    cdef NodeStat node
    cdef const uint32_t* stats
    cdef uint32_t[::1] rows
    cdef uint16_t[::1] narrow
    cdef int64_t[::1] pairs
    cdef int64_t[::1] totals
    cdef int64_t[::1] left
    cdef tuple owned

    def __cinit__(
        self, int kind, bint entropy, int n_classes, const double[::1] nlogn,
        const uint8_t[::1] codes, int size, uint32_t n_codes, uint32_t missing,
        bint categorical, uint32_t[::1] rows, const uint32_t[::1] stats,
        const int64_t[::1] value, const int64_t[::1] weight,
    ):
        cdef int64_t n = rows.shape[0], i
        self.owned = (nlogn, codes, stats, value, weight)
        self.rows = rows
        self.narrow = np.asarray(rows).astype(np.uint16)
        self.totals = np.zeros(max(n_classes, 1), np.int64)
        self.left = np.zeros(max(n_classes, 1), np.int64)
        self.pairs = np.zeros(2 * n, np.int64)
        self.target.kind = kind
        self.target.entropy = entropy
        self.target.n_classes = n_classes
        self.target.nlogn = NULL if nlogn is None else &nlogn[0]
        self.target.nlogn_size = 0 if nlogn is None else nlogn.shape[0]
        self.target.value = NULL if value is None else &value[0]
        self.target.weight = NULL if weight is None else &weight[0]
        self.stats = NULL if stats is None else &stats[0]
        self.column.codes = &codes[0]
        self.column.size = size
        self.column.n_codes = n_codes
        self.column.missing = missing
        self.column.categorical = categorical
        if not reserve_cells(&self.space, &self.target, n_codes, n):
            raise MemoryError("no memory for cells")
        self.node.n = n
        if kind == CLASSES:
            add_stats(self.stats, n, n_classes, &self.totals[0])
            for i in range(n_classes):
                self.node.weight += self.totals[i]
                if entropy:
                    self.node.class_sum += self.target.nlogn[self.totals[i]]
                else:
                    self.node.class_sum += <double>(self.totals[i] * self.totals[i])
        elif kind == BINARY:
            for i in range(n):
                self.node.weight += self.stats[i] & 0xFFFF
                self.node.sum += self.stats[i] >> 16
        else:
            pair_values(&self.target, &self.rows[0], n, &self.pairs[0])
            for i in range(n):
                self.node.sum += self.pairs[2 * i]
                self.node.weight += self.pairs[2 * i + 1]
            self.node.mean = <double>self.node.sum / <double>self.node.weight

    def __dealloc__(self):
        free_cells(&self.space)

    def count(self, bint narrow):
        """Return codes, and weights, sums and rows up to each of them; not CLASSES."""
        cdef int64_t n = self.node.n, count, i
        if narrow:
            count = count_column(&self.column, &self.narrow[0], self.stats,
                                 &self.pairs[0], n, &self.target, True, &self.space)
        else:
            count = count_column(&self.column, &self.rows[0], self.stats,
                                 &self.pairs[0], n, &self.target, True, &self.space)
        return [
            (self.space.codes[i], weight_at(&self.target, &self.space, i),
             sum_at(&self.target, &self.space, i), self.space.counts[i])
            for i in range(count)
        ]

    def search(
        self, bint narrow, int64_t min_leaf, int64_t min_weight, int64_t min_category
    ):
        """Return whether the column varies, and its best split, or None."""
        cdef Best best
        cdef Limits limits
        cdef bint varies
        memset(&best, 0, sizeof(Best))
        memset(&limits, 0, sizeof(Limits))
        best.split.score = -INFINITY
        best.split.feature = -1
        limits.min_samples_leaf = min_leaf
        limits.min_weight_leaf = min_weight
        limits.min_samples_category = min_category
        if self.target.kind == CLASSES and narrow:
            varies = try_classes(
                &self.column, 7, &self.narrow[0], self.stats, &self.target, &self.node,
                &self.totals[0], &self.left[0], &limits, &self.space, &best)
        elif self.target.kind == CLASSES:
            varies = try_classes(
                &self.column, 7, &self.rows[0], self.stats, &self.target, &self.node,
                &self.totals[0], &self.left[0], &limits, &self.space, &best)
        elif narrow:
            varies = try_bins(
                &self.column, 7, &self.narrow[0], self.stats, &self.pairs[0],
                &self.target, &self.node, &limits, &self.space, &best)
        else:
            varies = try_bins(
                &self.column, 7, &self.rows[0], self.stats, &self.pairs[0],
                &self.target, &self.node, &limits, &self.space, &best)
        if best.split.feature < 0:
            return varies, None
        return varies, {
            "score": best.split.score,
            "code_low": best.split.code_low,
            "code_high": best.split.code_high,
            "missing_left": best.split.missing_left,
            "position": best.split.position,
            "left_weight": best.left_weight,
            "left_sum": best.left_sum,
        }


def sort_codes_of_few(const uint8_t[::1] codes, const uint32_t[::1] wide):
    """Return the places of up to 64 rows in order of their codes, of one of the two."""
    cdef uint64_t ordered[RANKED_ROWS + 1]
    cdef uint32_t ids[RANKED_ROWS]
    cdef int64_t i, n = wide.shape[0] if codes is None else codes.shape[0]
    for i in range(n):
        ids[i] = <uint32_t>i
    if codes is None:
        sort_few(&wide[0], &ids[0], NULL, n, ordered)
    else:
        sort_few(&codes[0], &ids[0], NULL, n, ordered)
    return [(ordered[i] >> 32, ordered[i] & <uint64_t>0xFFFFFFFF) for i in range(n)]


def interleave_eight(list columns, int64_t start, int64_t stop, uint8_t[:, ::1] out):
    """Write eight columns of bytes, or None for zeros, row by row."""
    cdef const uint8_t* eight[8]
    cdef const uint8_t[::1] column
    cdef int j
    for j in range(8):
        eight[j] = NULL
        if columns[j] is not None:
            column = columns[j]
            eight[j] = &column[0]
    interleave_bytes(eight, start, stop, out.shape[1], &out[0, 0])


def sum_entries(
    object sparse, const uint32_t[::1] rows, const uint64_t[::1] sums, int64_t first,
    int64_t sign, uint64_t[::1] cells, uint32_t[::1] counts
):
    """Add rows of sparse columns to cells, and count them; `rows` may be None."""
    cdef SparseTable table
    cdef int64_t n = sums.shape[0]
    cdef const uint32_t* at = NULL if rows is None else &rows[0]
    read_sparse(&table, sparse)
    add_entries(&table, at, &sums[0], first, n, <uint64_t>sign, &cells[0])
    count_entries(&table, at, first + n if rows is None else n, &counts[0])


def spread_columns(object sparse, const int64_t[::1] columns, uint8_t[:, ::1] out):
    """Write the bytes by row of one sparse column after another."""
    cdef SparseTable table
    cdef SpreadColumn spread
    cdef uint8_t[::1] bytes_ = np.zeros(out.shape[1], np.uint8)
    cdef int64_t i, k
    cdef const uint8_t* column
    read_sparse(&table, sparse)
    spread.bytes = &bytes_[0]
    spread.column = -1
    for k in range(columns.shape[0]):
        column = spread_column(&spread, &table, columns[k])
        for i in range(out.shape[1]):
            out[k, i] = column[i]
