"""What a fit prepares before it grows: tables of logarithms, tiles, flags and keys, and
codes and keys row by row."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fasttree._kernels.columns cimport Column
from fasttree._kernels.impurity cimport log2_portable, nlogn_rounded
from fasttree._kernels.keys cimport narrow_or_wide
from fasttree._kernels.transpose cimport interleave_bytes
from fasttree._kernels.types cimport Feature

ctypedef fused code_t:
    uint8_t
    uint16_t
    uint32_t


def fill_nlogn(double[::1] out, double quantum):
    """Write x * log2(x), rounded to a multiple of `quantum`, for x = 0, 1, 2, ..."""
    cdef int64_t x
    with nogil:
        for x in range(out.shape[0]):
            out[x] = nlogn_rounded(<double>x, quantum)


def log2(const double[::1] x, double[::1] out):
    """Write the portable log2 of positive `x`."""
    cdef int64_t i
    for i in range(x.shape[0]):
        out[i] = log2_portable(x[i])


def pack_tile(list columns, uint64_t[::1] tile):
    """Interleave up to eight uint8 columns: byte j of a row's word is column j."""
    cdef const uint8_t[::1] column
    cdef uint8_t* bytes = <uint8_t*>&tile[0]
    cdef int64_t n = tile.shape[0], i
    cdef int j
    for j in range(len(columns)):
        column = columns[j]
        with nogil:
            for i in range(n):
                bytes[8 * i + j] = column[i]


def flag_ones(uint32_t[::1] entries, const uint16_t[::1] label):
    """Set ONE on the entries whose row has label 1."""
    cdef int64_t i
    with nogil:
        for i in range(entries.shape[0]):
            entries[i] |= <uint32_t>(label[entries[i] & 0x1FFFFFFF] == 1) << 29


def gather_keys(
    const code_t[::1] codes, const narrow_or_wide[::1] table, narrow_or_wide[::1] out
):
    """Write `table[codes]` to `out`."""
    cdef int64_t i
    with nogil:
        for i in range(out.shape[0]):
            out[i] = table[codes[i]]


def interleave_keys(
    const uint8_t[::1] features, const int64_t[::1] offset, int64_t start, int64_t stop,
    uint8_t[:, ::1] out,
):
    """Write the keys of rows start..stop-1 row by row.

    `features` is one Feature for each column, `offset` where its key stands in a row.
    """
    cdef const Feature* columns = <const Feature*>&features[0]
    cdef int64_t f, i, step, first = start, last = start
    cdef uint8_t* base = &out[0, 0]
    cdef int32_t* narrow
    cdef int64_t* wide
    with nogil:
        while last < stop:
            first = last
            last = min(stop, first + 512)  # rows that stay in the cache
            for f in range(offset.shape[0]):
                if columns[f].key_size == sizeof(int32_t):
                    narrow = <int32_t*>(base + offset[f])
                    step = out.shape[1] // sizeof(int32_t)
                    for i in range(first, last):
                        narrow[i * step] = (<const int32_t*>columns[f].keys)[i]
                else:
                    wide = <int64_t*>(base + offset[f])
                    step = out.shape[1] // sizeof(int64_t)
                    for i in range(first, last):
                        wide[i * step] = (<const int64_t*>columns[f].keys)[i]


def interleave_codes(
    const uint8_t[::1] columns, int64_t start, int64_t stop, uint8_t[:, ::1] out
):
    """Write rows start..stop-1 of the columns whose codes are bytes row by row.

    `columns` is one Column each, `out` as wide as there are, in whole eights.
    """
    cdef const Column* column = <const Column*>&columns[0]
    cdef const uint8_t* eight[8]
    cdef int64_t n = columns.shape[0] // sizeof(Column), f, j
    cdef int64_t first = start, last
    with nogil:
        while first < stop:
            last = min(stop, first + 512)  # rows that stay in the cache
            for f in range(0, n, 8):
                for j in range(8):
                    eight[j] = NULL
                    if f + j < n and column[f + j].codes.size == 1:
                        eight[j] = <const uint8_t*>column[f + j].codes.codes
                interleave_bytes(eight, first, last, out.shape[1], &out[0, f])
            first = last
