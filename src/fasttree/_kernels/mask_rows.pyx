"""Kernels: what `leaf_masks.pxd` looks up."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stddef cimport ptrdiff_t

from fasttree._kernels.cut_search cimport AVAILABLE
from fasttree._kernels.leaf_masks cimport GROUP, MOST_COLUMNS, word_t
from fasttree._kernels.nodes cimport is_in_set

HAS_CUT_SEARCH = bool(AVAILABLE)
COLUMNS = MOST_COLUMNS
COLUMN_GROUP = GROUP


def write_rows(
    ptrdiff_t first_set,
    int shift,
    const int32_t[::1] n_ranks,         # IN  (n_columns,)
    const int64_t[::1] first_rank,      # IN  (n_columns,)
    const int64_t[::1] first_row,       # IN  (n_columns,)
    const int64_t[::1] missing_row,     # IN  (n_columns,)
    const int64_t[::1] entry_start,     # IN  (n_ranks of all columns + 1,)
    const int32_t[::1] entry_tree,      # IN  (n_entries,)
    const word_t[::1] entry_word,       # IN  (n_entries,)
    const uint8_t[::1] missing_right,   # IN  (n_entries,)
    const uint32_t[::1] entry_set,      # IN  (n_entries,) first word of the node's set
    const uint64_t[::1] words,          # IN  sets of categories
    word_t[:, ::1] rows,                # OUT (n_rows, n_words), all ones on entry
    word_t[::1] now,                    # WORK (n_words,)
):
    """Write the rows of all columns."""
    cdef ptrdiff_t n_words = rows.shape[1]
    cdef ptrdiff_t i, entry, word
    cdef int64_t rank, first, row
    with nogil:
        for i in range(first_set):
            first = first_rank[i]
            now[:] = ~<word_t> 0
            for rank in range(n_ranks[i] + 1):
                if rank & ((1 << shift) - 1) == 0:
                    row = first_row[i] + (rank >> shift)
                    for word in range(n_words):
                        rows[row, word] = now[word]
                if rank == n_ranks[i]:
                    break
                for entry in range(
                    entry_start[first + rank], entry_start[first + rank + 1]
                ):
                    now[entry_tree[entry]] &= entry_word[entry]
                    if missing_right[entry]:
                        rows[missing_row[i], entry_tree[entry]] &= entry_word[entry]
        for i in range(first_set, n_ranks.shape[0]):
            first = first_rank[i]
            for entry in range(entry_start[first], entry_start[first + 1]):
                for rank in range(n_ranks[i] + 1):
                    if is_in_set(&words[0], entry_set[entry], <uint32_t> rank):
                        rows[first_row[i] + rank, entry_tree[entry]] &= (
                            entry_word[entry]
                        )
