"""A column of the table that trees share, and the thresholds between its codes."""

from libc.math cimport INFINITY
from libc.stdint cimport int64_t, uint8_t

from fasttree._kernels.cells cimport Codes

# Mirrored by fasttree.growth.sampling.COLUMN_DTYPE.
cdef struct Column:
    Codes codes
    const double* lower       # bounds of each code's values; NULL for categories
    const double* upper
    uint8_t is_exact
    uint8_t single


cdef inline double threshold_between(
    const Column* column, int64_t low, int64_t high
) noexcept nogil:
    """As `fasttree.data.encoding.Column.thresholds_between`, of codes."""
    cdef int64_t missing = column.codes.missing
    cdef double a, b, middle
    cdef float x, y, half
    if not column.is_exact:
        low = low + (min(high, missing) - 1 - low) // 2
        high = low + 1
    if high >= missing:
        return INFINITY
    if column.single:
        x = <float>column.upper[low]
        y = <float>column.lower[high]
        half = x / 2 + y / 2
        return <double>(x if half >= y or half < x else half)
    a = column.upper[low]
    b = column.lower[high]
    middle = a / 2 + b / 2
    return a if middle >= b or middle < a else middle
