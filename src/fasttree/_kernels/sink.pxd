"""What to do with the leaves that a block of rows has reached in a tree."""

from libc.stdint cimport int32_t, int64_t, uint32_t
from libc.stddef cimport ptrdiff_t

ctypedef ptrdiff_t intp_t

ctypedef struct Sink:
    const double* table         # (n_payloads, width), or NULL
    ptrdiff_t width
    const int64_t* entry_start  # else: entries of each payload, by column
    const int32_t* entry_column
    const double* entry_value
    const int32_t* column       # (n_trees,) first column that each tree adds to
    double* out                 # (n_rows, n_columns)
    ptrdiff_t n_columns
    const int32_t* numbers      # (n_positions,) what to write instead, or NULL
    intp_t* number_out          # (n_rows, n_trees)


cdef inline void add_payloads(
    const uint32_t* keys,       # (n,) payload of each row's leaf
    const Sink* sink,
    ptrdiff_t tree,
    ptrdiff_t row,
    ptrdiff_t n,
) noexcept nogil:
    """Add what the leaves of rows row:row+n hold."""
    cdef double* out = sink.out + row * sink.n_columns + sink.column[tree]
    cdef const double* values
    cdef ptrdiff_t i, k
    cdef int64_t entry
    if sink.table != NULL and sink.width == 1:
        for i in range(n):
            out[i * sink.n_columns] += sink.table[keys[i]]
    elif sink.table != NULL and sink.width == 2:
        for i in range(n):
            values = sink.table + 2 * <ptrdiff_t> keys[i]
            out[i * sink.n_columns] += values[0]
            out[i * sink.n_columns + 1] += values[1]
    elif sink.table != NULL:
        for i in range(n):
            values = sink.table + sink.width * <ptrdiff_t> keys[i]
            for k in range(sink.width):
                out[i * sink.n_columns + k] += values[k]
    else:
        for i in range(n):
            for entry in range(
                sink.entry_start[keys[i]], sink.entry_start[keys[i] + 1]
            ):
                out[i * sink.n_columns + sink.entry_column[entry]] += (
                    sink.entry_value[entry]
                )


cdef inline void write_numbers(
    const uint32_t* numbers,    # (n,) of the node of each row's leaf
    const Sink* sink,
    ptrdiff_t tree,
    ptrdiff_t row,
    ptrdiff_t n,
) noexcept nogil:
    """Write the leaves of rows row:row+n."""
    cdef ptrdiff_t i
    for i in range(n):
        sink.number_out[(row + i) * sink.n_columns + tree] = numbers[i]


cdef inline Sink sink_of(
    const double[:, ::1] table,
    const int64_t[::1] entry_start,
    const int32_t[::1] entry_column,
    const double[::1] entry_value,
    const int32_t[::1] column,
    double[:, ::1] out,             # no columns: numbers are written
    const int32_t[::1] numbers,
    intp_t[:, ::1] number_out,
) noexcept nogil:
    cdef Sink sink
    sink.table = NULL
    sink.width = table.shape[1]
    sink.entry_start = NULL
    sink.entry_column = NULL
    sink.entry_value = NULL
    if table.shape[0] > 0:
        sink.table = &table[0, 0]
    else:
        sink.entry_start = &entry_start[0]
        sink.entry_column = &entry_column[0]
        sink.entry_value = &entry_value[0]
    sink.column = &column[0]
    sink.out = NULL
    sink.numbers = NULL
    sink.number_out = NULL
    if out.shape[1] > 0:
        sink.out = &out[0, 0]
        sink.n_columns = out.shape[1]
    else:
        sink.numbers = &numbers[0]
        sink.number_out = &number_out[0, 0]
        sink.n_columns = number_out.shape[1]
    return sink
