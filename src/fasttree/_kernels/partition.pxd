"""Stable, branch-free split of rows and of sorted entries in two.

    before   | entries of the node, in order                    |
    after    | left entries, in order  | right entries, in order |

Both cursors are written at every step and one of them moves: a mispredicted
branch would cost more than the second store.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memmove

from fasttree._kernels.histogram cimport fasttree_prefetch
from fasttree._kernels.types cimport Split, entry_t

# What a split of a tiled column did.
cdef struct Parted:
    int64_t n_left
    int64_t n_missing
    uint32_t row_low          # a row of the last code that went left
    uint32_t row_high         # one of the first that went right


cdef inline int64_t partition_rows(
    entry_t* rows,         # IN/OUT (n,)
    int64_t n,
    const uint8_t* goes_left,  # IN by row: 0 or 1
    entry_t* spare,        # (n,)
) noexcept nogil:
    """Return how many rows went left."""
    cdef int64_t i, left = 0, right = 0
    cdef entry_t row
    cdef int64_t side
    for i in range(n):
        row = rows[i]
        side = goes_left[row]
        rows[left] = row
        spare[right] = row
        left += side
        right += 1 - side
    memcpy(rows + left, spare, right * sizeof(entry_t))
    return left


cdef inline int64_t partition_entries(
    entry_t* entries,      # IN/OUT (n,)
    int64_t n,
    const uint8_t* goes_left,  # IN by row: 0 or 1
    entry_t* spare,        # (n,)
) noexcept nogil:
    """Return how many entries went left, keeping NEW right on both sides.

    A side's entry is NEW if any entry since that side's last one was.
    """
    cdef int64_t i, left = 0, right = 0, side
    cdef entry_t new = <entry_t>1 << (8 * sizeof(entry_t) - 1)
    cdef entry_t mask = (new >> 2) - 1
    cdef entry_t pending_left = 0, pending_right = 0, entry, body, taken
    for i in range(n):
        entry = entries[i]
        side = goes_left[entry & mask]
        pending_left |= entry & new
        pending_right |= entry & new
        body = entry & ~new
        entries[left] = body | pending_left
        spare[right] = body | pending_right
        taken = <entry_t>(0 - side)
        pending_left &= ~taken
        pending_right &= taken
        left += side
        right += 1 - side
    memcpy(entries + left, spare, right * sizeof(entry_t))
    return left


cdef inline void keep_entries(
    entry_t* entries,      # IN/OUT (n,)
    int64_t n,
    const uint8_t* goes_left,  # IN by row: 0 or 1
    bint left,             # the side to keep
    int64_t place,         # where its entries are to stand
) noexcept nogil:
    """Do as `partition_entries` does for one side; the other one is not kept."""
    cdef int64_t i, at = 0, kept
    cdef entry_t new = <entry_t>1 << (8 * sizeof(entry_t) - 1)
    cdef entry_t mask = (new >> 2) - 1
    cdef entry_t pending = 0, entry
    for i in range(n):
        entry = entries[i]
        kept = goes_left[entry & mask] == left
        pending |= entry & new
        entries[at] = entry | pending
        pending &= <entry_t>(kept - 1)
        at += kept
    memmove(entries + place, entries, at * sizeof(entry_t))


cdef inline Parted partition_tile(
    uint32_t* rows,        # IN/OUT (n,)
    int64_t n,
    const uint64_t* tile,  # IN by row
    int shift,             # of the column's byte
    uint32_t missing_code,
    const Split* split,
    uint8_t* goes_left,    # OUT by row, or NULL
    uint32_t* spare,       # (n,)
) noexcept nogil:
    """Split the rows of a node by a column of its tile."""
    cdef Parted parted
    cdef int64_t i, left = 0, right = 0, n_missing = 0, side
    cdef uint32_t row, code, row_low = 0, row_high = 0
    for i in range(n):
        if i + 24 < n:
            fasttree_prefetch(tile + rows[i + 24])
        row = rows[i]
        code = tile[row] >> shift & 255
        side = code <= split.code_low
        if code == missing_code:
            n_missing += 1
            side = split.missing_left
        row_low = row if code == split.code_low else row_low
        row_high = row if code == split.code_high else row_high
        if goes_left != NULL:
            goes_left[row] = <uint8_t>side
        rows[left] = row
        spare[right] = row
        left += side
        right += 1 - side
    memcpy(rows + left, spare, right * sizeof(uint32_t))
    parted.n_left = left
    parted.n_missing = n_missing
    parted.row_low = row_low
    parted.row_high = row_high
    return parted
