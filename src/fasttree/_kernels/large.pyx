"""Kernels: many rows through large trees.

Where there are about as many rows as nodes, it pays to write both anew in the form
that is quickest to walk. A tree is copied with a byte of each link for the column;
the rows of a block become one column for each feature, and a second one only where
the block has missing values that nodes send either way.

A step then is six instructions, and sixteen rows walk abreast to hide their latency.
All rows of a part of the block take as many steps as about half of them need, without
a look at who has arrived; the others are listed, take some steps more, and so on.
"""

from libc.math cimport log2
from libc.stdint cimport UINT32_MAX, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stddef cimport ptrdiff_t
from libc.string cimport memset

from fasttree._kernels.nodes cimport (
    ALWAYS_RIGHT, N_CONSTANT_SLOTS, Layout, NarrowNode, layout_of, mask_of, real,
    write_row,
)
from fasttree._kernels.sink cimport Sink, add_payloads, intp_t, sink_of, write_numbers

cdef extern from *:
    """
    #include <stdint.h>

    typedef struct { uint32_t key, link; } fasttree_node;

    /* Lane i: position at_i becomes pair + pair + (key < value of the row). Compilers
       do not find that the comparison's carry and the doubling are one addition. */
    #if defined(__GNUC__) && defined(__x86_64__)
    #define FASTTREE_STEP(i, OFFSET, PLACE, ...)                                      \
    {                                                                                 \
        uint64_t next, value;                                                         \
        __asm__(                                                                      \
            "movl 4(%[nodes],%[at],8), %k[next]\\n\\t"                                \
            "movzbl %b[next], %k[value]\\n\\t"                                        \
            OFFSET                                                                    \
            "shrl $8, %k[next]\\n\\t"                                                 \
            "movl " PLACE "(%[rows],%[value],4), %k[value]\\n\\t"                     \
            "cmpl %k[value], (%[nodes],%[at],8)\\n\\t"                                \
            "adcl %k[next], %k[next]"                                                 \
            : [next] "=&r"(next), [value] "=&r"(value)                                \
            : [at] "r"(at_##i), [nodes] "r"(nodes), [rows] "r"(rows), __VA_ARGS__     \
            : "cc", "memory");                                                        \
        at_##i = next;                                                                \
    }
    #define FASTTREE_IN_ORDER(i) \
        FASTTREE_STEP(i, "", "%c[ahead]", [ahead] "i"(4 * i * STRIDE))
    #define FASTTREE_LISTED(i) FASTTREE_STEP(i, \
        "orl %c[lane](%[offsets]), %k[value]\\n\\t", "", \
        [offsets] "r"(offsets), [lane] "i"(4 * i))
    #else
    #define FASTTREE_STEP(i, OFFSET)                                                  \
    {                                                                                 \
        uint32_t link = nodes[at_##i].link;                                           \
        uint32_t value = rows[(link & 255) + (OFFSET)];                               \
        at_##i = (link >> 8) * 2 + (nodes[at_##i].key < value);                       \
    }
    #define FASTTREE_IN_ORDER(i) FASTTREE_STEP(i, i * STRIDE)
    #define FASTTREE_LISTED(i) FASTTREE_STEP(i, offsets[i])
    #endif

    #define FASTTREE_LANES(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8)  \
        DO(9) DO(10) DO(11) DO(12) DO(13) DO(14) DO(15)

    #define FASTTREE_FROM_ROOT(i) uint64_t at_##i = 0;
    #define FASTTREE_FROM_LIST(i) uint64_t at_##i = at[first + i];
    /* Leaves look at column 0 or 1. */
    #define FASTTREE_LIST(i, OFFSET, NUMBER)                                          \
    {                                                                                 \
        uint32_t offset = OFFSET;                                                     \
        keys[NUMBER] = nodes[at_##i].key;                                             \
        at[n_listed] = (uint32_t)at_##i;                                              \
        listed[n_listed] = offset;                                                    \
        n_listed += (nodes[at_##i].link & 255) > 1;                                   \
    }
    #define FASTTREE_LIST_IN_ORDER(i)                                                 \
        FASTTREE_LIST(i, (uint32_t)(first + i) * STRIDE, first + i)
    #define FASTTREE_LIST_LISTED(i) FASTTREE_LIST(i, offsets[i], offset >> shift)

    /* Takes n rows, whole groups of lanes, from the root; writes the keys of their
       nodes, and the list of those that have not arrived: where they are and where
       their rows start. Returns how many these are. */
    #define FASTTREE_START(N_COLUMNS)                                                 \
    static int32_t fasttree_start_##N_COLUMNS(                                        \
        const fasttree_node *nodes, const uint32_t *rows, int32_t n, int32_t n_steps, \
        uint32_t *keys, uint32_t *at, uint32_t *listed                                \
    ) {                                                                               \
        enum { STRIDE = N_COLUMNS };                                                  \
        int32_t n_listed = 0, first, step;                                            \
        for (first = 0; first < n; first += 16) {                                     \
            FASTTREE_LANES(FASTTREE_FROM_ROOT)                                        \
            for (step = 0; step < n_steps; step++) {                                  \
                FASTTREE_LANES(FASTTREE_IN_ORDER)                                     \
            }                                                                         \
            FASTTREE_LANES(FASTTREE_LIST_IN_ORDER)                                    \
            rows += 16 * STRIDE;                                                      \
        }                                                                             \
        return n_listed;                                                              \
    }
    FASTTREE_START(16)
    FASTTREE_START(32)
    FASTTREE_START(64)
    FASTTREE_START(128)
    FASTTREE_START(256)

    static int32_t fasttree_start(
        int shift, const fasttree_node *nodes, const uint32_t *rows, int32_t n,
        int32_t n_steps, uint32_t *keys, uint32_t *at, uint32_t *listed
    ) {
        static int32_t (*const kinds[5])(
            const fasttree_node *, const uint32_t *, int32_t, int32_t, uint32_t *,
            uint32_t *, uint32_t *) = {
            fasttree_start_16, fasttree_start_32, fasttree_start_64,
            fasttree_start_128, fasttree_start_256};
        return kinds[shift - 4](nodes, rows, n, n_steps, keys, at, listed);
    }

    /* The same for n rows of the list, which is written anew. */
    static int32_t fasttree_go_on(
        int shift, const fasttree_node *nodes, const uint32_t *rows, int32_t n,
        int32_t n_steps, uint32_t *keys, uint32_t *at, uint32_t *listed
    ) {
        int32_t n_listed = 0, first, step;
        for (first = 0; first < n; first += 16) {
            const uint32_t *offsets = listed + first;
            FASTTREE_LANES(FASTTREE_FROM_LIST)
            for (step = 0; step < n_steps; step++) {
                FASTTREE_LANES(FASTTREE_LISTED)
            }
            FASTTREE_LANES(FASTTREE_LIST_LISTED)
        }
        return n_listed;
    }
    """
    ctypedef struct Node "fasttree_node":
        uint32_t key
        uint32_t link       # pair of the children << 8 | column
    int32_t start_walk "fasttree_start"(
        int shift, const Node* nodes, const uint32_t* rows, int32_t n, int32_t n_steps,
        uint32_t* keys, uint32_t* at, uint32_t* listed,
    ) noexcept nogil
    int32_t go_on "fasttree_go_on"(
        int shift, const Node* nodes, const uint32_t* rows, int32_t n, int32_t n_steps,
        uint32_t* keys, uint32_t* at, uint32_t* listed,
    ) noexcept nogil

cdef enum:
    LANES = 16
    # Rows that are walked together: they and the lists fit the second cache.
    PART = 1024
    MOST_COLUMNS = 256
    LEAST_SHIFT = 4

GROUP = LANES
COLUMNS = MOST_COLUMNS


cdef void _walk(
    const Node* nodes,
    const uint32_t* rows,
    int shift,
    int32_t n,
    int32_t* n_steps,
    uint32_t* keys,             # (PART + LANES,)
    uint32_t* at,
    uint32_t* listed,
) noexcept nogil:
    """Write the keys of the leaves of n rows, the next LANES being walked in vain."""
    cdef int32_t n_listed, i
    n_listed = start_walk(
        shift, nodes, rows, (n + LANES - 1) // LANES * LANES, n_steps[0], keys, at,
        listed,
    )
    while n_listed > 0 and listed[n_listed - 1] >> shift >= <uint32_t> n:
        n_listed -= 1
    # About half of the rows should have arrived.
    if 16 * n_listed > 7 * n:
        n_steps[0] += 1
    elif 16 * n_listed < 4 * n and n_steps[0] > 1:
        n_steps[0] -= 1
    while n_listed > 0:
        for i in range(n_listed, (n_listed + LANES - 1) // LANES * LANES):
            # Nothing looks at position 1, which stays where it is.
            at[i] = 1
            listed[i] = <uint32_t> n << shift
        n_listed = go_on(
            shift, nodes, rows, (n_listed + LANES - 1) // LANES * LANES,
            2 + n_steps[0] // 5, keys, at, listed,
        )


cdef ptrdiff_t _choose_columns(
    const real* X,
    ptrdiff_t n_features,
    ptrdiff_t n_rows,
    const Layout* layout,
    uint8_t* is_missing,            # WORK (n_features,)
    uint8_t* column,                # OUT (n_slots,) of each slot
    int32_t* column_feature,        # OUT (n_columns,)
    uint32_t* column_missing,       # OUT (n_columns,)
) noexcept nogil:
    """Give each slot a column, the two of a feature one if no value is missing."""
    cdef ptrdiff_t row, slot, i
    cdef ptrdiff_t n_columns = 0
    cdef real value
    memset(is_missing, 0, n_features)
    for row in range(n_rows):
        for i in range(n_features):
            value = X[row * n_features + i]
            is_missing[i] |= value != value
    for slot in range(layout.n_slots):
        if (
            slot <= N_CONSTANT_SLOTS
            or layout.slot_feature[slot] != layout.slot_feature[slot - 1]
            or is_missing[layout.slot_feature[slot]]
        ):
            column_feature[n_columns] = layout.slot_feature[slot]
            column_missing[n_columns] = layout.slot_missing[slot]
            n_columns += 1
        column[slot] = <uint8_t> (n_columns - 1)
    return n_columns


cdef void _copy_tree(
    const NarrowNode* nodes,
    ptrdiff_t n_positions,
    int slot_bits,
    const uint8_t* column,          # (n_slots,)
    const int32_t* numbers,         # (n_positions,) keys of leaves, or NULL: as they are
    Node* out,
) noexcept nogil:
    cdef uint32_t slot_mask = mask_of(slot_bits)
    cdef uint32_t link
    cdef ptrdiff_t position
    for position in range(n_positions):
        link = nodes[position].link
        out[position].key = nodes[position].key
        out[position].link = (link >> slot_bits << 8) | column[link & slot_mask]
    if numbers != NULL:
        for position in range(n_positions):
            if out[position].link & 255 < N_CONSTANT_SLOTS:
                # Unused ones have none.
                out[position].key = <uint32_t> max(numbers[position], 0)


cdef void _run(
    const real* X,
    ptrdiff_t n_features,
    const NarrowNode* nodes,
    const int64_t* tree_start,
    const Layout* layout,
    ptrdiff_t first_tree,
    ptrdiff_t last_tree,
    const Sink* sink,
    ptrdiff_t start,
    ptrdiff_t stop,
    ptrdiff_t rows_per_block,
    uint8_t* is_missing,
    uint32_t* block,
    Node* copy,
) noexcept nogil:
    cdef uint32_t keys[PART + LANES]
    cdef uint32_t at[PART + LANES]
    cdef uint32_t listed[PART + LANES]
    cdef uint8_t column[MOST_COLUMNS]
    cdef int32_t column_feature[MOST_COLUMNS]
    cdef uint32_t column_missing[MOST_COLUMNS]
    cdef Layout own = layout[0]
    cdef ptrdiff_t row, tree, n_rows, first
    cdef int shift
    cdef int32_t n, n_steps = 0
    own.slot_feature = column_feature
    own.slot_missing = column_missing
    while start < stop:
        n_rows = min(rows_per_block, stop - start)
        own.n_slots = <int32_t> _choose_columns(
            X + start * n_features, n_features, n_rows, layout, is_missing, column,
            column_feature, column_missing,
        )
        own.first_set_slot = own.n_slots
        shift = LEAST_SHIFT
        while 1 << shift < own.n_slots:
            shift += 1
        for row in range(n_rows):
            write_row(X + (start + row) * n_features, &own, block + (row << shift))
        memset(block + (n_rows << shift), 0, <size_t> (4 * LANES) << shift)
        for row in range(n_rows, n_rows + LANES):
            # What stays where it is looks here.
            block[(row << shift) + ALWAYS_RIGHT] = UINT32_MAX
        for tree in range(first_tree, last_tree):
            _copy_tree(
                nodes + tree_start[tree], tree_start[tree + 1] - tree_start[tree],
                layout.slot_bits, column,
                sink.numbers + tree_start[tree] if sink.numbers != NULL else NULL, copy,
            )
            if tree == first_tree:
                n_steps = <int32_t> (
                    1.3 * log2(<double> (tree_start[tree + 1] - tree_start[tree]) / 2)
                ) + 1
            for first in range(0, n_rows, 1024):
                n = <int32_t> min(<ptrdiff_t> PART, n_rows - first)
                _walk(
                    copy, block + (first << shift), shift, n, &n_steps, keys, at,
                    listed,
                )
                if sink.numbers == NULL:
                    add_payloads(keys, sink, tree, start + first, n)
                else:
                    write_numbers(keys, sink, tree, start + first, n)
        start += n_rows


def run(
    const real[:, ::1] X,               # IN  (n_rows, n_features)
    const uint32_t[:, ::1] nodes,       # IN  (n_positions, 2), see nodes.pxd
    const int64_t[::1] tree_start,      # IN  (n_trees + 1,) first position
    int slot_bits,
    int32_t first_set_slot,             # as many as there are slots: no categories
    const int32_t[::1] slot_feature,    # IN  (n_slots,)
    const uint32_t[::1] slot_missing,   # IN  (n_slots,)
    const double[::1] cuts,             # IN  ascending for each feature; or empty
    const int64_t[::1] cut_start,       # IN  (n_features + 1,); or empty
    const uint64_t[::1] words,          # IN  sets of categories: none
    const double[:, ::1] table,         # IN  (n_payloads, width), no rows: entries
    const int64_t[::1] entry_start,     # IN  (n_payloads + 1,)
    const int32_t[::1] entry_column,    # IN  (n_entries,)
    const double[::1] entry_value,      # IN  (n_entries,)
    const int32_t[::1] column,          # IN  (n_trees,)
    double[:, ::1] out,                 # INOUT (n_rows, n_columns); no columns: numbers
    const int32_t[::1] numbers,         # IN  (n_positions,) node number of each
    intp_t[:, ::1] number_out,          # OUT (n_rows, n_trees); unless out has columns
    ptrdiff_t first_tree,
    ptrdiff_t last_tree,
    ptrdiff_t start,
    ptrdiff_t stop,
    ptrdiff_t rows_per_block,
    uint8_t[::1] is_missing,            # WORK (n_features,)
    uint32_t[::1] block,                # WORK room for rows_per_block + GROUP rows
    uint32_t[:, ::1] copy,              # WORK (positions of the largest tree, 2)
):
    """Add the payloads of the leaves that rows start:stop reach, tree by tree."""
    cdef Layout layout
    cdef Sink sink
    if start >= stop or first_tree >= last_tree:
        return
    with nogil:
        layout = layout_of(
            slot_bits, first_set_slot, slot_feature, slot_missing, cuts, cut_start,
            words,
        )
        sink = sink_of(
            table, entry_start, entry_column, entry_value, column, out, numbers,
            number_out,
        )
        _run(
            &X[0, 0], X.shape[1], <const NarrowNode*> &nodes[0, 0], &tree_start[0],
            &layout, first_tree, last_tree, &sink, start, stop, rows_per_block,
            &is_missing[0], &block[0], <Node*> &copy[0, 0],
        )
