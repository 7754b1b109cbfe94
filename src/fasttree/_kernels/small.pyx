"""Kernels: many rows through small trees, sixteen or eight trees at once.

As in `leaf_masks.pxd`, leaves are bits of a word, and what the nodes of one feature
rule out depends on the rank of the value alone. Here as many trees stand together as
have their words in a cache line, so that what is looked up for them stays in the
first cache while many rows pass.

A row first becomes bytes, one a feature: how many of the ensemble's thresholds are
less than the value. Trees that stand together have few of these thresholds; a byte's
rank among them is counted, many rows at a time, and is the line to look up.
"""

from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stddef cimport ptrdiff_t

from fasttree._kernels.bits cimport trailing_zeros
from fasttree._kernels.cut_search cimport AVAILABLE, code_of, single_code_of
from fasttree._kernels.nodes cimport rank_of, real, single_above
from fasttree._kernels.sink cimport intp_t

ctypedef fused cut_t:
    float
    double

ctypedef fused word_t:
    uint32_t    # sixteen trees of up to 32 leaves
    uint64_t    # eight of up to 64

cdef extern from *:
    """
    #include <stddef.h>
    #include <stdint.h>

    #define FASTTREE_PART 128

    #ifdef __GNUC__
    /* One register with AVX2, two without. Words may be read as halves of theirs. */
    typedef int8_t fasttree_bytes
        __attribute__((vector_size(32), aligned(1), may_alias));
    typedef uint8_t fasttree_counts
        __attribute__((vector_size(32), aligned(1), may_alias));
    typedef uint64_t fasttree_words
        __attribute__((vector_size(32), aligned(1), may_alias));

    /* Adds one to the counts of all rows whose codes are greater than a cut. */
    static void fasttree_count(
        const int8_t *codes, const int8_t *cuts, ptrdiff_t n_cuts, uint8_t *counts
    ) {
        const fasttree_bytes *code = (const fasttree_bytes *)codes;
        fasttree_counts a = {0}, b = {0}, c = {0}, d = {0};
        fasttree_counts *count = (fasttree_counts *)counts;
        const fasttree_bytes code_a = code[0], code_b = code[1], code_c = code[2],
            code_d = code[3];
        ptrdiff_t i;
        for (i = 0; i < n_cuts; i++) {
            a -= (fasttree_counts)(code_a > cuts[i]);
            b -= (fasttree_counts)(code_b > cuts[i]);
            c -= (fasttree_counts)(code_c > cuts[i]);
            d -= (fasttree_counts)(code_d > cuts[i]);
        }
        count[0] = a;
        count[1] = b;
        count[2] = c;
        count[3] = d;
    }

    /* What the lines of all columns have in common, for four rows. The lines are
       numbered in eighths. */
    static inline void fasttree_lines(
        const uint8_t *lines, const uint16_t *numbers, ptrdiff_t n_columns,
        uint64_t *left
    ) {
        #define FASTTREE_ONES {~0ull, ~0ull, ~0ull, ~0ull}
        fasttree_words a = FASTTREE_ONES, b = a, c = a, d = a, e = a, f = a, g = a, h = a;
        fasttree_words *out = (fasttree_words *)left;
        ptrdiff_t i;
        for (i = 0; i < n_columns; i++) {
            #define FASTTREE_LINE(row, half) \
                ((const fasttree_words *)(lines + 8 * (size_t)numbers[row]))[half]
            a &= FASTTREE_LINE(0, 0);
            b &= FASTTREE_LINE(0, 1);
            c &= FASTTREE_LINE(1, 0);
            d &= FASTTREE_LINE(1, 1);
            e &= FASTTREE_LINE(2, 0);
            f &= FASTTREE_LINE(2, 1);
            g &= FASTTREE_LINE(3, 0);
            h &= FASTTREE_LINE(3, 1);
            numbers += FASTTREE_PART;
        }
        out[0] = a, out[1] = b, out[2] = c, out[3] = d;
        out[4] = e, out[5] = f, out[6] = g, out[7] = h;
    }
    #else
    static void fasttree_count(
        const int8_t *codes, const int8_t *cuts, ptrdiff_t n_cuts, uint8_t *counts
    ) {
        ptrdiff_t i, row;
        for (row = 0; row < FASTTREE_PART; row++) {
            counts[row] = 0;
            for (i = 0; i < n_cuts; i++)
                counts[row] += codes[row] > cuts[i];
        }
    }

    static inline void fasttree_lines(
        const uint8_t *lines, const uint16_t *numbers, ptrdiff_t n_columns,
        uint64_t *left
    ) {
        ptrdiff_t i, row, word;
        for (row = 0; row < 4; row++)
            for (word = 0; word < 8; word++) {
                left[8 * row + word] = ~0ull;
                for (i = 0; i < n_columns; i++)
                    left[8 * row + word] &= ((const uint64_t *)(
                        lines + 8 * (size_t)numbers[FASTTREE_PART * i + row]))[word];
            }
    }
    #endif
    """
    void count_less "fasttree_count"(
        const int8_t* codes, const int8_t* cuts, ptrdiff_t n_cuts, uint8_t* counts
    ) noexcept nogil
    void and_lines "fasttree_lines"(
        const uint8_t* lines, const uint16_t* numbers, ptrdiff_t n_columns,
        uint64_t* left
    ) noexcept nogil

cdef enum:
    # Rows whose codes are compared at once.
    PART = 128
    # Rows whose lines are looked up at once.
    ABREAST = 4
    LINE = 64
    WORDS = 8               # of a line
    CUTS = 256
    # Codes are stored less than they are by this: bytes compare as signed numbers.
    BIAS = 128
    MISSING = 255

PART_SIZE = PART
LINE_SIZE = LINE
MISSING_CODE = MISSING


cdef void _write_codes(
    const real* X,
    ptrdiff_t n_features,
    ptrdiff_t n_rows,
    const int32_t[::1] feature,
    const cut_t[:, ::1] coarse,
    const cut_t[:, ::1] cuts,
    const int32_t[::1] n_cuts,
    int8_t* codes,
) noexcept nogil:
    """Write the codes of a part's rows, one feature after the other."""
    cdef ptrdiff_t i, row
    cdef real value
    cdef int code
    cdef const cut_t* own_coarse
    cdef const cut_t* own_cuts
    for i in range(feature.shape[0]):
        own_coarse, own_cuts = &coarse[i, 0], &cuts[i, 0]
        for row in range(n_rows):
            value = X[row * n_features + feature[i]]
            if not AVAILABLE:
                if cut_t is double:
                    code = <int> rank_of(own_cuts, n_cuts[i], value)
                else:
                    code = 0
            elif cut_t is float:
                code = single_code_of(own_coarse, own_cuts, single_above(value))
            else:
                code = code_of(own_coarse, own_cuts, <double> value)
            code = MISSING if value != value else code
            codes[i * PART + row] = <int8_t> (code - BIAS)


# Trees that stand together.
ctypedef struct Group:
    ptrdiff_t n_columns
    const int32_t* feature          # (n_columns,) which codes it looks at
    const int64_t* cut_start        # (n_columns + 1,)
    const int32_t* first_line       # (n_columns,) for codes that exceed no cut
    const int8_t* cuts
    const uint8_t* lines


cdef inline void _number_lines(
    const Group* group, const int8_t* codes, uint16_t* numbers
) noexcept nogil:
    """Write the line of each column and row of a part, in eighths."""
    cdef uint8_t counts[PART]
    cdef ptrdiff_t i, row
    cdef int first
    for i in range(group.n_columns):
        count_less(
            codes + PART * group.feature[i], group.cuts + group.cut_start[i],
            group.cut_start[i + 1] - group.cut_start[i], counts,
        )
        first = group.first_line[i]
        for row in range(PART):
            numbers[i * PART + row] = <uint16_t> (8 * (first + counts[row]))


cdef inline void _add(
    const word_t* left,             # (trees of a group,)
    ptrdiff_t skipped,              # trees of the group that come first
    ptrdiff_t n_trees,
    const double* worth,            # (n_trees, bits of a word, width)
    ptrdiff_t width,
    const int32_t* column,          # (n_trees,)
    double* out,                    # (n_columns,)
    ptrdiff_t n_columns,
) noexcept nogil:
    cdef ptrdiff_t bits = 8 * sizeof(word_t)
    cdef ptrdiff_t tree, k
    cdef const double* values
    cdef double total
    left += skipped
    if n_columns == 1:
        total = out[0]
        for tree in range(n_trees):
            total += worth[bits * tree + trailing_zeros(left[tree])]
        out[0] = total
        return
    for tree in range(n_trees):
        values = worth + width * (bits * tree + trailing_zeros(left[tree]))
        for k in range(width):
            out[column[tree] + k] += values[k]


cdef void _run(
    const Group* group,
    const int8_t* codes,            # of all parts
    ptrdiff_t n_features,           # that have codes
    ptrdiff_t n_rows,
    uint16_t* numbers,              # WORK (n_columns, PART)
    word_t word,                    # says how long words are
    ptrdiff_t first_tree,           # of the group
    ptrdiff_t start_tree,           # of those that are asked for
    ptrdiff_t stop_tree,
    const double* worth,
    ptrdiff_t width,
    const int32_t[:, ::1] leaf_numbers,
    const int32_t* column,
    double* out,
    ptrdiff_t n_columns,
    intp_t* number_out,
    ptrdiff_t n_trees,
) noexcept nogil:
    """Let a block of rows pass a group of trees."""
    cdef uint64_t left[ABREAST * WORDS]
    cdef const word_t* own
    cdef ptrdiff_t part, row, i, tree
    cdef ptrdiff_t per_group = LINE // sizeof(word_t)
    cdef ptrdiff_t bits = 8 * sizeof(word_t)
    for part in range((n_rows + PART - 1) // PART):
        _number_lines(group, codes + part * PART * n_features, numbers)
        for row in range(part * PART, min(n_rows, (part + 1) * PART), 4):
            and_lines(
                group.lines, numbers + row - part * PART, group.n_columns, left
            )
            for i in range(min(<ptrdiff_t> ABREAST, n_rows - row)):
                own = <const word_t*> left + i * per_group
                if n_columns > 0:
                    _add(
                        own, start_tree - first_tree, stop_tree - start_tree,
                        worth + width * bits * start_tree, width, column + start_tree,
                        out + (row + i) * n_columns, n_columns,
                    )
                    continue
                for tree in range(start_tree, stop_tree):
                    number_out[(row + i) * n_trees + tree] = (
                        leaf_numbers[tree, trailing_zeros(own[tree - first_tree])]
                    )


def run(
    const real[:, ::1] X,               # IN  (n_rows, n_features)
    const int32_t[::1] feature,         # IN  (n_used,) features that trees look at
    const cut_t[:, ::1] coarse,         # IN  (n_used, 16) every sixteenth cut
    const cut_t[:, ::1] cuts,           # IN  (n_used, 256) ascending, then infinity
    const int32_t[::1] n_cuts,          # IN  (n_used,)
    const int64_t[::1] column_start,    # IN  (n_groups + 1,) first column of each
    const int32_t[::1] column_feature,  # IN  (n_columns of all groups,)
    const int64_t[::1] cut_start,       # IN  (n_columns of all groups + 1,)
    const int8_t[::1] column_cuts,      # IN  codes, less BIAS, then MISSING - 1
    const int32_t[::1] first_line,      # IN  (n_columns of all groups,) in the group
    const int64_t[::1] line_start,      # IN  (n_groups,) first line of each
    const uint8_t[:, ::1] lines,        # IN  (n_lines, LINE)
    int word_size,
    const double[:, :, ::1] worth,      # IN  (n_trees, bits of a word, width)
    const int32_t[:, ::1] leaf_numbers, # IN  (n_trees, bits of a word)
    const int32_t[::1] column,          # IN  (n_trees,)
    double[:, ::1] out,                 # INOUT (n_rows, n_columns); no columns: numbers
    intp_t[:, ::1] number_out,          # OUT (n_rows, n_trees); unless out has columns
    ptrdiff_t first_tree,
    ptrdiff_t last_tree,
    ptrdiff_t start,
    ptrdiff_t stop,
    int8_t[:, ::1] codes,               # WORK (parts of a block, n_used * PART)
    uint16_t[::1] numbers,              # WORK (PART * most columns of a group,)
):
    """Add the worth of the leaves that rows start:stop reach, tree by tree."""
    cdef Group group
    cdef ptrdiff_t n_rows, part, g, own, n
    cdef ptrdiff_t per_group = LINE // word_size
    cdef double* own_out = NULL
    cdef intp_t* own_numbers = NULL
    if start >= stop or first_tree >= last_tree:
        return
    with nogil:
        group.cuts = &column_cuts[0]
        while start < stop:
            n_rows = min(codes.shape[0] * PART, stop - start)
            for part in range((n_rows + PART - 1) // PART):
                n = min(<ptrdiff_t> PART, n_rows - part * PART)
                _write_codes(
                    &X[start + part * PART, 0], X.shape[1], n, feature, coarse, cuts,
                    n_cuts, &codes[part, 0],
                )
            if out.shape[1] > 0:
                own_out = &out[start, 0]
            else:
                own_numbers = &number_out[start, 0]
            for g in range(first_tree // per_group, (last_tree - 1) // per_group + 1):
                own = column_start[g]
                group.n_columns = column_start[g + 1] - own
                group.feature = &column_feature[0] + own
                group.cut_start = &cut_start[0] + own
                group.first_line = &first_line[0] + own
                group.lines = &lines[0, 0] + LINE * line_start[g]
                if word_size == 4:
                    _run(
                        &group, &codes[0, 0], feature.shape[0], n_rows, &numbers[0],
                        <uint32_t> 0, g * per_group, max(first_tree, g * per_group),
                        min(last_tree, (g + 1) * per_group), &worth[0, 0, 0],
                        worth.shape[2], leaf_numbers, &column[0], own_out,
                        out.shape[1], own_numbers, number_out.shape[1],
                    )
                else:
                    _run(
                        &group, &codes[0, 0], feature.shape[0], n_rows, &numbers[0],
                        <uint64_t> 0, g * per_group, max(first_tree, g * per_group),
                        min(last_tree, (g + 1) * per_group), &worth[0, 0, 0],
                        worth.shape[2], leaf_numbers, &column[0], own_out,
                        out.shape[1], own_numbers, number_out.shape[1],
                    )
            start += n_rows
