"""Codes as boosting reads them: columns that share a byte, panels, and sparse rows."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset


def list_entries(
    const uint8_t[::1] codes, uint8_t default,
    uint32_t[::1] rows,            # OUT (n_rows,)
    uint8_t[::1] others,           # OUT (n_rows,)
):
    """List the rows whose code is not `default`, and their codes; return how many."""
    cdef int64_t i = 0, j, stop, count = 0, n = codes.shape[0]
    cdef uint64_t eight, all_default = default * <uint64_t>0x0101010101010101
    with nogil:
        while i < n:
            stop = min(i + 8, n)
            if stop == i + 8:
                memcpy(&eight, &codes[i], 8)
                if eight == all_default:
                    i = stop
                    continue
            for j in range(i, stop):
                rows[count] = <uint32_t>j
                others[count] = codes[j]
                count += codes[j] != default
            i = stop
    return count


def find_bundle(
    const uint32_t[::1] rows, const uint64_t[::1] occupied, const int32_t[::1] room,
    int32_t needed,
):
    """Return which is the first of 64 bundles that a column can join, or -1.

    `rows` are those where the column is away from its default. A bundle has its bit in
    `occupied` (n_rows,) in the rows of its columns, and room for so many codes more.
    """
    cdef int64_t i = 0, n = rows.shape[0]
    cdef uint64_t taken = 0, all_taken = <uint64_t>-1
    cdef int k
    with nogil:
        for k in range(64):
            taken |= <uint64_t>(room[k] < needed) << k
        while i < n and taken != all_taken:
            taken |= occupied[rows[i]]
            i += 1
        k = 0
        while k < 64 and taken >> k & 1:
            k += 1
    return k if k < 64 else -1


def mark_bundle(
    const uint32_t[::1] rows, uint64_t[::1] occupied, int bundle, bint joins
):
    """Note that a bundle occupies some rows, or that it no longer does."""
    cdef int64_t i
    cdef uint64_t bit = <uint64_t>1 << bundle
    with nogil:
        if joins:
            for i in range(rows.shape[0]):
                occupied[rows[i]] |= bit
        else:
            for i in range(rows.shape[0]):
                occupied[rows[i]] &= ~bit


def write_bytes(
    const uint32_t[::1] rows, const uint8_t[::1] others, const uint8_t[::1] bytes_of,
    uint8_t[::1] column,
):
    """Write `bytes_of` (256,) the codes of some rows into a column of bytes."""
    cdef int64_t i
    with nogil:
        for i in range(rows.shape[0]):
            column[rows[i]] = bytes_of[others[i]]


def sort_by_row(
    const int64_t[::1] column_start,   # (n_columns + 1,)
    const uint32_t[::1] column_rows,   # (n_entries,) ascending in a column
    const uint8_t[::1] column_bytes,   # (n_entries,) from 1
    const uint32_t[::1] cell,          # (n_columns,) the one before that of byte 1
    int64_t[::1] row_start,            # OUT (n_rows + 1,)
    uint32_t[::1] row_cells,           # OUT (n_entries,)
):
    """Sort the entries of columns by row, ascending by column in a row."""
    cdef int64_t k, i, n_rows = row_start.shape[0] - 1, at = 0, count
    cdef uint32_t row
    with nogil:
        memset(&row_start[0], 0, (n_rows + 1) * sizeof(int64_t))
        for i in range(column_rows.shape[0]):
            row_start[column_rows[i] + 1] += 1
        for i in range(n_rows + 1):
            count = row_start[i]
            row_start[i] = at
            at += count
            # Now where row i - 1 begins; the next loop moves it to where row i does.
        for k in range(cell.shape[0]):
            for i in range(column_start[k], column_start[k + 1]):
                row = column_rows[i]
                row_cells[row_start[row + 1]] = cell[k] + column_bytes[i]
                row_start[row + 1] += 1


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
