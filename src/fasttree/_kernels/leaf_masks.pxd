"""One row through many small trees at once: sets of leaves as bits of a word.

A node that sends a row right rules out the leaves below its left child; the leftmost
leaf that no node rules out is the row's (QuickScorer, Lucchese et al. 2015). Which
leaves the nodes of one feature rule out, in all trees, depends on the rank of the
value alone: how many of the feature's thresholds are less than it. So it is looked
up, a word for each tree; the words of all features have the leaf in common.

Not every rank has its words where that would take too much memory: the nodes between
the last rank that has and the row's are applied one by one.
"""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stddef cimport ptrdiff_t

from fasttree._kernels.bits cimport trailing_zeros
from fasttree._kernels.cut_search cimport single_code_of
from fasttree._kernels.nodes cimport code_of, rank_of, real, single_above

cdef enum:
    # Columns of one row, the repeated ones included.
    MOST_COLUMNS = 256
    # Columns that are looked up together; the last one is repeated to fill up.
    GROUP = 4

ctypedef fused word_t:
    uint32_t    # trees of up to 32 leaves
    uint64_t    # of up to 64

# The columns are the features that trees ask for, those of categories last.
ctypedef struct LeafMasks:
    ptrdiff_t n_trees
    ptrdiff_t n_columns             # a multiple of GROUP
    ptrdiff_t first_set             # columns from here on hold categories
    ptrdiff_t row_size              # bytes of a row of words, whole cache lines
    int word_size
    int shift                       # each 2**shift-th rank has a row
    const int32_t* feature          # (n_columns,)
    const int32_t* n_ranks          # (n_columns,) thresholds, or the last code
    const int64_t* first_rank       # (n_columns,) number of the column's first rank
    const int64_t* first_row        # (n_columns,)
    const int64_t* missing_row      # (n_columns,)
    const double* cuts              # (n_ranks of all columns,)
    const float* coarse             # (n_columns, 16) every sixteenth cut; or NULL
    const float* fine               # (n_columns, 256)
    const int64_t* entry_start      # (n_ranks of all columns + 1,) nodes by rank
    const int32_t* entry_tree
    const void* entry_word          # what is left where the node sends the row right
    const void* rows                # (n_rows, row_size)
    const double* worth             # (n_trees, bits of a word, width)
    ptrdiff_t width

cdef extern from *:
    """
    #include <stddef.h>
    #include <stdint.h>
    #if defined(_MSC_VER) && !defined(__clang__)
    #define FASTTREE_RESTRICT __restrict
    typedef uint64_t fasttree_word;
    #else
    #define FASTTREE_RESTRICT restrict
    /* It may be read as halves afterwards. */
    typedef uint64_t __attribute__((may_alias)) fasttree_word;
    #endif

    /* What four rows of n words have in common; and with what was left before. */
    static inline void fasttree_common(
        fasttree_word *FASTTREE_RESTRICT left, const fasttree_word *FASTTREE_RESTRICT a,
        const fasttree_word *FASTTREE_RESTRICT b, const fasttree_word *FASTTREE_RESTRICT c,
        const fasttree_word *FASTTREE_RESTRICT d, ptrdiff_t n
    ) {
        ptrdiff_t i;
        for (i = 0; i < n; i++)
            left[i] = a[i] & b[i] & c[i] & d[i];
    }

    static inline void fasttree_still_common(
        fasttree_word *FASTTREE_RESTRICT left, const fasttree_word *FASTTREE_RESTRICT a,
        const fasttree_word *FASTTREE_RESTRICT b, const fasttree_word *FASTTREE_RESTRICT c,
        const fasttree_word *FASTTREE_RESTRICT d, ptrdiff_t n
    ) {
        ptrdiff_t i;
        for (i = 0; i < n; i++)
            left[i] &= a[i] & b[i] & c[i] & d[i];
    }
    """
    void common "fasttree_common"(
        uint64_t* left, const uint64_t* a, const uint64_t* b, const uint64_t* c,
        const uint64_t* d, ptrdiff_t n,
    ) noexcept nogil
    void still_common "fasttree_still_common"(
        uint64_t* left, const uint64_t* a, const uint64_t* b, const uint64_t* c,
        const uint64_t* d, ptrdiff_t n,
    ) noexcept nogil


cdef inline void find_left(
    const real* values, const LeafMasks* masks, uint64_t* left
) noexcept nogil:
    """Write the words of the leaves that no node rules out, row_size bytes."""
    cdef const uint64_t* rows[MOST_COLUMNS]
    cdef int32_t ranks[MOST_COLUMNS]
    cdef ptrdiff_t n_words = masks.row_size // 8
    cdef ptrdiff_t i, group
    cdef int64_t row
    cdef int32_t rank
    cdef uint32_t code
    cdef real value
    for i in range(masks.first_set):
        value = values[masks.feature[i]]
        # A missing value has rank 0.
        if masks.coarse != NULL:
            rank = single_code_of(
                masks.coarse + 16 * i, masks.fine + 256 * i, single_above(value)
            )
        else:
            rank = <int32_t> rank_of(
                masks.cuts + masks.first_rank[i], masks.n_ranks[i], value
            )
        row = masks.first_row[i] + (rank >> masks.shift)
        row = masks.missing_row[i] if value != value else row
        rows[i] = <const uint64_t*> masks.rows + row * n_words
        ranks[i] = rank
    for i in range(masks.first_set, masks.n_columns):
        code = code_of(values[masks.feature[i]])
        rank = masks.n_ranks[i]
        row = masks.first_row[i] + min(code, <uint32_t> rank)
        rows[i] = <const uint64_t*> masks.rows + row * n_words
    common(left, rows[0], rows[1], rows[2], rows[3], n_words)
    for group in range(1, masks.n_columns // GROUP):
        i = GROUP * group
        still_common(left, rows[i], rows[i + 1], rows[i + 2], rows[i + 3], n_words)
    if masks.shift > 0:
        if masks.word_size == 4:
            _apply(masks, ranks, <const uint32_t*> masks.entry_word, <uint32_t*> left)
        else:
            _apply(masks, ranks, <const uint64_t*> masks.entry_word, <uint64_t*> left)


cdef inline void _apply(
    const LeafMasks* masks, const int32_t* ranks, const word_t* words, word_t* left
) noexcept nogil:
    """Apply the nodes between each column's row and its rank."""
    cdef const int64_t* start
    cdef ptrdiff_t i, entry
    cdef int32_t first
    for i in range(masks.first_set):
        start = masks.entry_start + masks.first_rank[i]
        first = ranks[i] >> masks.shift << masks.shift
        for entry in range(start[first], start[ranks[i]]):
            left[masks.entry_tree[entry]] &= words[entry]


cdef inline void add_worth(
    const LeafMasks* masks,
    const word_t* left,
    const int32_t* column,          # (n_trees,) first number of out
    double* out,
    ptrdiff_t n_out,
) noexcept nogil:
    """Add what the leaves hold, tree by tree."""
    cdef const double* worth = masks.worth
    cdef ptrdiff_t n_leaves = 8 * sizeof(word_t)
    cdef ptrdiff_t tree, k
    cdef ptrdiff_t width = masks.width
    cdef const double* values
    cdef double* target
    cdef double total
    if n_out == 1:
        # A sum in memory would wait for each store.
        total = out[0]
        for tree in range(masks.n_trees):
            total += worth[n_leaves * tree + trailing_zeros(left[tree])]
        out[0] = total
        return
    if width == 1:
        for tree in range(masks.n_trees):
            out[column[tree]] += worth[n_leaves * tree + trailing_zeros(left[tree])]
        return
    for tree in range(masks.n_trees):
        values = worth + width * (n_leaves * tree + trailing_zeros(left[tree]))
        target = out + column[tree]
        for k in range(width):
            target[k] += values[k]
