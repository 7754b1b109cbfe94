"""Codes as boosting reads them: columns that share a byte, and panels of tiles."""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memset

cdef enum:
    CHECKED_ROWS = 4096        # between two looks at whether to go on


def find_bundle(
    const uint8_t[::1] codes, uint8_t default, list bundles,
):
    """Return which is the first bundle that a column can join, or -1.

    In no row may both have a code: a bundle one that is not 0, the column one that is
    not `default`. `bundles` are uint8 (n_rows,).
    """
    cdef const uint8_t[::1] bundle
    cdef int64_t k, i, at, stop, n = codes.shape[0]
    cdef uint8_t both
    for k in range(len(bundles)):
        bundle = bundles[k]
        with nogil:
            both = 0
            at = 0
            while at < n and not both:
                stop = min(at + CHECKED_ROWS, n)
                for i in range(at, stop):
                    both |= (bundle[i] != 0) & (codes[i] != default)
                at = stop
        if not both:
            return k
    return -1


def join_bundle(
    const uint8_t[::1] codes, const uint8_t[::1] bytes_of, uint8_t[::1] bundle,
):
    """Write `bytes_of` (256,) a column's codes into a bundle, where it is not 0."""
    cdef int64_t i
    with nogil:
        for i in range(codes.shape[0]):
            bundle[i] |= bytes_of[codes[i]]


def pack_panel(
    uint64_t[:, ::1] rows,         # OUT (n_rows, width)
    list columns,                  # of uint8 (n_rows,) or None, at most 8 * width
    int64_t start, int64_t stop,
):
    """Write the bytes of up to 64 columns into the rows start:stop of a panel."""
    cdef const uint8_t* at[64]
    cdef const uint8_t[::1] column
    cdef uint8_t* out = <uint8_t*>&rows[0, 0]
    cdef int64_t j, i, n = len(columns), width = 8 * rows.shape[1], block, end
    for j in range(n):
        at[j] = NULL
        if columns[j] is not None:
            column = columns[j]
            at[j] = &column[0]
    with nogil:
        block = start
        while block < stop:
            end = min(block + 1024, stop)
            memset(out + block * width, 0, (end - block) * width)
            for j in range(n):
                if at[j] != NULL:
                    for i in range(block, end):
                        out[i * width + j] = at[j][i]
            block = end
