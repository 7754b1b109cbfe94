"""Stable, branch-free split of rows and of sorted entries in two.

    before   | entries of the node, in order                    |
    after    | left entries, in order  | right entries, in order |

Both cursors are written at every step and one of them moves: a mispredicted
branch would cost more than the second store.
"""

from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy

from fasttree._kernels.types cimport entry_t


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
