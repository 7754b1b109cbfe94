"""Walking packed trees: several rows abreast, without a branch per node.

A packed tree keeps the two children of a node side by side, so that a step is
``next = left + goes_right``, and its leaves point at themselves, so that a row
that has arrived stays while its neighbours walk on. One row alone would wait for
memory at each step; eight keep the processor busy.
"""

from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    LANES = 8
    # Steps between two looks at whether every lane has arrived.
    STRIDE = 4

cdef enum:
    FEATURE_MASK = 0x7fffffff
    MISSING_RIGHT_SHIFT = 31

# Sixteen bytes; the same fields as NODE in tree.py.
ctypedef struct NumericNode:
    double threshold
    uint32_t feature        # bit 31: a missing value goes right
    uint32_t left           # position of the left child; of itself at a leaf

# The same fields as CATEGORICAL_NODE in tree.py.
ctypedef struct CategoricalNode:
    double threshold        # +inf where the split is categorical
    uint32_t feature
    uint32_t left
    uint32_t first_word     # of the node's set; 0, an empty set, if not categorical
    uint32_t n_codes        # the bit at n_codes tells where all else goes

ctypedef fused node_t:
    NumericNode
    CategoricalNode

ctypedef fused real:
    float
    double


cdef inline uint32_t step(
    const node_t* nodes, const uint64_t* words, const real* row, uint32_t position
) noexcept nogil:
    cdef const node_t* node = nodes + position
    cdef double value = row[node.feature & FEATURE_MASK]
    cdef uint32_t goes_right = (value > node.threshold) | (
        (value != value) & (node.feature >> MISSING_RIGHT_SHIFT)
    )
    cdef double last
    cdef uint32_t code
    if node_t is CategoricalNode:
        # NaN, negative and unseen codes all become n_codes.
        last = node.n_codes
        last = value if (value >= 0.0) & (value < last) else last
        code = <uint32_t> last
        goes_right |= <uint32_t> (
            (words[node.first_word + (code >> 6)] >> (code & 63)) & 1
        )
    return node.left + goes_right


cdef inline void walk(
    const node_t* nodes, const uint64_t* words, const real** rows, uint32_t* positions
) noexcept nogil:
    """Take LANES rows from the root to their leaves."""
    cdef int lane, _
    cdef uint32_t at[LANES]
    cdef uint32_t position, moved
    for lane in range(LANES):
        at[lane] = 0
    while True:
        for _ in range(STRIDE - 1):
            for lane in range(LANES):
                at[lane] = step(nodes, words, rows[lane], at[lane])
        moved = 0
        for lane in range(LANES):
            position = step(nodes, words, rows[lane], at[lane])
            moved |= position ^ at[lane]
            at[lane] = position
        if moved == 0:
            break
    for lane in range(LANES):
        positions[lane] = at[lane]
