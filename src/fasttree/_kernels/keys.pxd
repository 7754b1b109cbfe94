"""Keys: columns as integers in the order of the values, for splits that are drawn.

    exact columns      the bits of the value, made monotone: int32 for float32
                       columns, else int64
    binned columns     the bin's code, int32
    categories         the category's code, int32; the missing code is one more

A missing number has the largest key.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memcpy

from fasttree._kernels.histogram cimport fasttree_prefetch
from fasttree._kernels.types cimport Feature, entry_t

ctypedef fused narrow_or_wide:
    int32_t
    int64_t

# The keys that occur in a node.
cdef struct KeyRange:
    int64_t low               # of the present ones
    int64_t high
    int64_t n_missing


cdef inline double key_value(narrow_or_wide key) noexcept nogil:
    """The value of an exact column's key."""
    cdef float narrow
    cdef double wide
    if narrow_or_wide is int32_t:
        key ^= (key >> 31) & 0x7FFFFFFF
        memcpy(&narrow, &key, sizeof(float))
        return <double>narrow
    else:
        key ^= (key >> 63) & <int64_t>0x7FFFFFFFFFFFFFFF
        memcpy(&wide, &key, sizeof(double))
        return wide


cdef inline int64_t value_key(double value, bint narrow) noexcept nogil:
    """The inverse of `key_value`."""
    cdef float single
    cdef int32_t key
    cdef int64_t wide
    if narrow:
        single = <float>value
        memcpy(&key, &single, sizeof(float))
        return key ^ ((key >> 31) & 0x7FFFFFFF)
    memcpy(&wide, &value, sizeof(double))
    return wide ^ ((wide >> 63) & <int64_t>0x7FFFFFFFFFFFFFFF)


cdef inline int64_t nearest_cut(
    const Feature* feature, int64_t low, int64_t high, double* threshold
) noexcept nogil:
    """Last bin on the left, of the bins low..high, nearest to a threshold.

    A threshold inside a bin is moved to the nearer one of the bin's two ends that
    leave bins on either side.
    """
    cdef int64_t first = low, last = high, middle
    cdef double value = threshold[0], a, b
    cdef bint down, up
    while first < last:  # the first bin that ends above the threshold
        middle = (first + last) >> 1
        if feature.upper[middle] <= value:
            first = middle + 1
        else:
            last = middle
    if value < feature.lower[first]:
        return first - 1
    down = first > low
    up = first < high
    if down and (not up or value - feature.lower[first]
                 <= feature.upper[first] - value):
        first -= 1
    a = feature.upper[first]
    b = feature.lower[first + 1]
    value = a / 2 + b / 2
    if feature.single:
        value = <double><float>value
    threshold[0] = value if a <= value < b else a
    return first


cdef inline void make_keys(narrow_or_wide* keys, int64_t n) noexcept nogil:
    """Make keys of the bits of float or double values, in place.

    As `value_keys` of encode.pyx does; without a branch, so that it is vectorised.
    """
    cdef narrow_or_wide largest = <narrow_or_wide>(
        0x7FFFFFFF if narrow_or_wide is int32_t else <int64_t>0x7FFFFFFFFFFFFFFF)
    cdef narrow_or_wide infinity = <narrow_or_wide>(
        0x7F800000 if narrow_or_wide is int32_t else <int64_t>0x7FF0000000000000)
    cdef narrow_or_wide key
    cdef int64_t i
    for i in range(n):
        key = keys[i] ^ ((keys[i] >> (8 * sizeof(narrow_or_wide) - 1)) & largest)
        key += key == -1  # negative zero
        keys[i] = largest if (key > infinity) | (key < -1 - infinity) else key


cdef inline void gather_column(
    const narrow_or_wide* keys, const entry_t* rows, int64_t n, narrow_or_wide* out
) noexcept nogil:
    cdef int64_t i
    for i in range(n):
        out[i] = keys[rows[i]]


cdef inline void gather_beside(
    const uint8_t* keys, int64_t row_bytes, const int64_t* offset, const entry_t* rows,
    int64_t n, narrow_or_wide** out, int k
) noexcept nogil:
    """Gather `k` columns of a table of rows; called with a number, for its loops."""
    cdef int64_t i
    cdef int j
    cdef const uint8_t* row
    for i in range(n):
        if entry_t is uint32_t:
            if i + 16 < n:
                row = keys + rows[i + 16] * row_bytes
                for j in range(k):
                    fasttree_prefetch(row + offset[j])
        row = keys + rows[i] * row_bytes
        for j in range(k):
            out[j][i] = (<const narrow_or_wide*>(row + offset[j]))[0]


cdef inline void gather_group(
    const uint8_t* keys, int64_t row_bytes, const int64_t* offset, const entry_t* rows,
    int64_t n, narrow_or_wide** out, int k
) noexcept nogil:
    """Write to `out` (k, n) the keys of k columns, `offset` bytes from a row's start."""
    if k == 1:
        gather_beside(keys, row_bytes, offset, rows, n, out, 1)
    elif k == 2:
        gather_beside(keys, row_bytes, offset, rows, n, out, 2)
    elif k == 3:
        gather_beside(keys, row_bytes, offset, rows, n, out, 3)
    elif k == 4:
        gather_beside(keys, row_bytes, offset, rows, n, out, 4)
    elif k == 5:
        gather_beside(keys, row_bytes, offset, rows, n, out, 5)
    elif k == 6:
        gather_beside(keys, row_bytes, offset, rows, n, out, 6)
    elif k == 7:
        gather_beside(keys, row_bytes, offset, rows, n, out, 7)
    elif k == 8:
        gather_beside(keys, row_bytes, offset, rows, n, out, 8)


cdef inline KeyRange range_of(
    const narrow_or_wide* keys, int64_t n, bint has_missing
) noexcept nogil:
    cdef KeyRange seen
    cdef narrow_or_wide missing = <narrow_or_wide>(
        0x7FFFFFFF if narrow_or_wide is int32_t else <int64_t>0x7FFFFFFFFFFFFFFF)
    cdef narrow_or_wide low = missing, high = -missing, key
    cdef int64_t i, n_missing = 0
    if not has_missing:
        for i in range(n):
            low = min(low, keys[i])
            high = max(high, keys[i])
    else:
        for i in range(n):
            key = keys[i]
            n_missing += key == missing
            low = min(low, key)
            high = max(high, -missing if key == missing else key)
    seen.n_missing = n_missing
    seen.low = low
    seen.high = high
    return seen
