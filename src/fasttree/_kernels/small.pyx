"""Kernels: rows through small trees, all nodes of a tree at once.

A tree of up to 64 leaves is not walked: one vector comparison says at which nodes a
row goes left, and tables say which leaves that leaves over. Each byte of the
comparison's mask looks up the leaves that its eight nodes do not rule out; what all
bytes have in common is the one leaf. Ruling leaves out by bit sets is QuickScorer's
idea (Lucchese et al. 2015); here no node is skipped and none is branched on.

Rows are codes of one byte: how many of the feature's thresholds are less than the
value. Without AVX2 the module says that it is not available, and trees are walked.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stddef cimport ptrdiff_t
from libc.string cimport memset

from fasttree._kernels.cut_search cimport code_of, single_code_of
from fasttree._kernels.nodes cimport (
    N_CONSTANT_SLOTS, NarrowNode, mask_of, real, single_above
)

ctypedef ptrdiff_t intp_t

ctypedef fused cut_t:
    float
    double

cdef extern from *:
    """
    #include <stddef.h>
    #include <stdint.h>
    #ifdef __AVX2__
    #include <immintrin.h>
    #define FASTTREE_MASKS 1

    /* Bit i of the result: byte i of v is at most byte i of limit. */
    static inline uint32_t fasttree_at_most(__m256i v, __m256i limit) {
        return (uint32_t)_mm256_movemask_epi8(
            _mm256_cmpeq_epi8(_mm256_min_epu8(v, limit), v));
    }

    static inline __m256i fasttree_pick(
        const uint8_t *row, const uint8_t *index, int n_chunks
    ) {
        __m256i v = _mm256_setzero_si256();
        int chunk;
        for (chunk = 0; chunk < n_chunks; chunk++) {
            __m256i part = _mm256_broadcastsi128_si256(
                _mm_loadu_si128((const __m128i *)(row + 16 * chunk)));
            v = _mm256_or_si256(v, _mm256_shuffle_epi8(part,
                _mm256_loadu_si256((const __m256i *)(index + 32 * chunk))));
        }
        return v;
    }

    #define FASTTREE_LOOK(t, m) ((t)[(m) & 255] & (t)[256 + (((m) >> 8) & 255)] \
        & (t)[512 + (((m) >> 16) & 255)] & (t)[768 + ((m) >> 24)])

    /* Adds what the leaves hold to every stride-th number of out, or writes their
       numbers. The arrays do not overlap, so that tables stay in registers. */
    #define FASTTREE_FIND(NAME, N_CHUNKS, N_WORDS, ADDS)                            \
    static void NAME(                                                               \
        const uint8_t *restrict codes, ptrdiff_t n_rows,                            \
        const uint8_t *restrict index, const uint8_t *restrict limit,               \
        const uint64_t *restrict table, const double *restrict worth,               \
        double *restrict out, ptrdiff_t stride, uint8_t *restrict leaf              \
    ) {                                                                             \
        ptrdiff_t row;                                                              \
        for (row = 0; row < n_rows; row++) {                                        \
            const uint8_t *own = codes + row * 16 * N_CHUNKS;                       \
            uint32_t low = fasttree_at_most(                                        \
                fasttree_pick(own, index, N_CHUNKS),                                \
                _mm256_loadu_si256((const __m256i *)limit));                         \
            uint64_t left = FASTTREE_LOOK(table, low);                              \
            if (N_WORDS == 2) {                                                     \
                uint32_t high = fasttree_at_most(                                   \
                    fasttree_pick(own, index + 32 * N_CHUNKS, N_CHUNKS),            \
                    _mm256_loadu_si256((const __m256i *)(limit + 32)));              \
                left &= FASTTREE_LOOK(table + 1024, high);                          \
            }                                                                       \
            if (ADDS)                                                               \
                out[row * stride] += worth[__builtin_ctzll(left)];                  \
            else                                                                    \
                leaf[row] = (uint8_t)__builtin_ctzll(left);                         \
        }                                                                           \
    }
    FASTTREE_FIND(fasttree_find_2_1, 2, 1, 0)
    FASTTREE_FIND(fasttree_find_2_2, 2, 2, 0)
    FASTTREE_FIND(fasttree_find_4_1, 4, 1, 0)
    FASTTREE_FIND(fasttree_find_4_2, 4, 2, 0)
    FASTTREE_FIND(fasttree_add_2_1, 2, 1, 1)
    FASTTREE_FIND(fasttree_add_2_2, 2, 2, 1)
    FASTTREE_FIND(fasttree_add_4_1, 4, 1, 1)
    FASTTREE_FIND(fasttree_add_4_2, 4, 2, 1)

    static void fasttree_find(
        int n_chunks, int n_words, const uint8_t *codes, ptrdiff_t n_rows,
        const uint8_t *index, const uint8_t *limit, const uint64_t *table,
        const double *worth, double *out, ptrdiff_t stride, uint8_t *leaf
    ) {
        static void (*const kinds[8])(
            const uint8_t *, ptrdiff_t, const uint8_t *, const uint8_t *,
            const uint64_t *, const double *, double *, ptrdiff_t, uint8_t *) = {
            fasttree_find_2_1, fasttree_find_2_2, fasttree_find_4_1, fasttree_find_4_2,
            fasttree_add_2_1, fasttree_add_2_2, fasttree_add_4_1, fasttree_add_4_2};
        kinds[4 * (out != NULL) + 2 * (n_chunks == 4) + (n_words == 2)](
            codes, n_rows, index, limit, table, worth, out, stride, leaf);
    }
    #else
    #define FASTTREE_MASKS 0
    static void fasttree_find(
        int n_chunks, int n_words, const uint8_t *codes, ptrdiff_t n_rows,
        const uint8_t *index, const uint8_t *limit, const uint64_t *table,
        const double *worth, double *out, ptrdiff_t stride, uint8_t *leaf
    ) {
        (void)worth; (void)out; (void)stride;
        (void)n_chunks; (void)n_words; (void)codes; (void)n_rows; (void)index;
        (void)limit; (void)table; (void)leaf;
    }
    #endif
    """
    const int HAS_MASKS "FASTTREE_MASKS"
    void find_leaves "fasttree_find"(
        int n_chunks, int n_words, const uint8_t* codes, ptrdiff_t n_rows,
        const uint8_t* index, const uint8_t* limit, const uint64_t* table,
        const double* worth, double* out, ptrdiff_t stride, uint8_t* leaf,
    ) noexcept nogil

AVAILABLE = bool(HAS_MASKS)

cdef enum:
    MOST_LEAVES = 64
    CHUNK = 16
    CUTS = 256
    TABLE = 2048            # words of a tree: eight bytes of mask, 256 values each


def prepare(
    const uint32_t[:, ::1] nodes,       # IN  (n_positions, 2), see nodes.pxd
    const int64_t[::1] tree_start,      # IN  (n_trees + 1,)
    int slot_bits,
    const uint64_t[::1] below,          # IN  (n_positions,) leaves below, as bits
    const uint8_t[::1] limits,          # IN  (n_positions,) code of each threshold
    int n_chunks,                       # 2 or 4: sixteen slots each
    uint8_t[:, ::1] index,              # OUT (n_trees, 64 * n_chunks) all 0x80
    uint8_t[:, ::1] limit,              # OUT (n_trees, 64) zero on entry
    uint64_t[:, ::1] table,             # OUT (n_trees, TABLE)
    uint8_t[::1] n_words,               # OUT (n_trees,)
):
    """Write what `add_leaves` looks up, for trees of up to 64 leaves."""
    cdef const NarrowNode* own
    cdef const uint64_t* own_below
    cdef ptrdiff_t tree, position, n_positions
    cdef int pair, bit, byte, value, n_inner, slot, word, chunk
    cdef uint64_t ruled_out[2][MOST_LEAVES]
    cdef uint64_t left
    cdef uint32_t slot_mask = mask_of(slot_bits)
    with nogil:
        for tree in range(tree_start.shape[0] - 1):
            own = <const NarrowNode*> &nodes[tree_start[tree], 0]
            own_below = &below[tree_start[tree]]
            n_positions = tree_start[tree + 1] - tree_start[tree]
            n_inner = <int> (n_positions // 2 - 1)
            n_words[tree] = 2 if n_inner > 32 else 1
            memset(ruled_out, 0, sizeof(ruled_out))
            for position in range(n_positions):
                slot = <int> (own[position].link & slot_mask)
                if slot < N_CONSTANT_SLOTS:
                    continue
                pair = <int> (own[position].link >> slot_bits)
                bit = pair - 1
                ruled_out[0][bit] = own_below[2 * pair]
                ruled_out[1][bit] = own_below[2 * pair + 1]
                word = bit >> 5
                slot -= N_CONSTANT_SLOTS
                chunk = slot // CHUNK
                index[tree, 32 * (word * n_chunks + chunk) + (bit & 31)] = (
                    <uint8_t> (slot % CHUNK)
                )
                limit[tree, bit] = limits[tree_start[tree] + position]
            for byte in range(8):
                for value in range(256):
                    left = ~<uint64_t> 0
                    for bit in range(8):
                        left &= ~ruled_out[(value >> bit) & 1][8 * byte + bit]
                    table[tree, 256 * byte + value] = left


cdef void _write_codes(
    const real* X,
    ptrdiff_t n_features,
    ptrdiff_t n_rows,
    const int32_t[::1] slot_feature,
    const uint8_t[::1] missing,
    const cut_t[:, ::1] coarse,
    const cut_t[:, ::1] cuts,
    ptrdiff_t row_size,
    uint8_t* codes,
) noexcept nogil:
    cdef ptrdiff_t slot, row
    cdef int32_t feature
    cdef real value
    cdef uint8_t code
    cdef const cut_t* own_coarse
    cdef const cut_t* own_cuts
    for slot in range(slot_feature.shape[0]):
        feature = slot_feature[slot]
        if slot > 0 and slot_feature[slot - 1] == feature:
            # Its twin has been looked up.
            for row in range(n_rows):
                value = X[row * n_features + feature]
                code = codes[row * row_size + slot - 1]
                codes[row * row_size + slot] = (
                    missing[slot] if value != value else code
                )
            continue
        own_coarse, own_cuts = &coarse[slot, 0], &cuts[slot, 0]
        for row in range(n_rows):
            value = X[row * n_features + feature]
            if cut_t is float:
                code = single_code_of(own_coarse, own_cuts, single_above(value))
            else:
                code = code_of(own_coarse, own_cuts, <double> value)
            codes[row * row_size + slot] = missing[slot] if value != value else code


def add_leaves(
    const real[:, ::1] X,               # IN  (n_rows, n_features)
    const int32_t[::1] slot_feature,    # IN  (n_slots,) without the constant ones
    const uint8_t[::1] missing,         # IN  (n_slots,) code of a missing value
    const cut_t[:, ::1] coarse,         # IN  (n_slots, 16) every sixteenth cut
    const cut_t[:, ::1] cuts,           # IN  (n_slots, 256) ascending, then infinity
    int n_chunks,
    const uint8_t[:, ::1] index,        # IN  see prepare
    const uint8_t[:, ::1] limit,
    const uint64_t[:, ::1] table,
    const uint8_t[::1] n_words,
    const double[:, :, ::1] worth,      # IN  (n_trees, 64, width) of each leaf
    const int32_t[:, ::1] numbers,      # IN  (n_trees, 64) node number of each leaf
    const int32_t[::1] column,          # IN  (n_trees,)
    double[:, ::1] out,                 # INOUT (n_rows, n_columns); no columns: numbers
    intp_t[:, ::1] number_out,          # OUT (n_rows, n_trees); unless out has columns
    ptrdiff_t first_tree,
    ptrdiff_t last_tree,
    ptrdiff_t start,
    ptrdiff_t stop,
    uint8_t[:, ::1] codes,              # WORK (rows of a block, 16 * n_chunks) of 0
    uint8_t[::1] leaf,                  # WORK (rows of a block,)
):
    """Add the worth of the leaves that rows start:stop reach, tree by tree."""
    cdef ptrdiff_t n_rows, tree, row, k
    cdef ptrdiff_t n_features = X.shape[1]
    cdef ptrdiff_t n_columns = out.shape[1]
    cdef ptrdiff_t width = worth.shape[2]
    cdef const double* values
    cdef double* target
    if start >= stop or first_tree >= last_tree:
        return
    with nogil:
        while start < stop:
            n_rows = min(codes.shape[0], stop - start)
            _write_codes(
                &X[start, 0], n_features, n_rows, slot_feature, missing, coarse, cuts,
                codes.shape[1], &codes[0, 0],
            )
            for tree in range(first_tree, last_tree):
                target = NULL
                if n_columns > 0:
                    target = &out[start, column[tree]]
                find_leaves(
                    n_chunks, n_words[tree], &codes[0, 0], n_rows, &index[tree, 0],
                    &limit[tree, 0], &table[tree, 0], &worth[tree, 0, 0],
                    target if width == 1 else NULL, n_columns, &leaf[0],
                )
                if target == NULL:
                    for row in range(n_rows):
                        number_out[start + row, tree] = numbers[tree, leaf[row]]
                elif width > 1:
                    values = &worth[tree, 0, 0]
                    for row in range(n_rows):
                        for k in range(width):
                            target[row * n_columns + k] += values[
                                width * leaf[row] + k
                            ]
            start += n_rows
