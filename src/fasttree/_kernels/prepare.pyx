"""What a fit prepares before it grows: tables of logarithms, tiles, flags and keys."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fasttree._kernels.draw cimport narrow_or_wide
from fasttree._kernels.impurity cimport log2_portable, nlogn_rounded

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
