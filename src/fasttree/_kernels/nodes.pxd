"""The nodes of packed ensembles, the rows that they are compared with, and a step.

Eight bytes a node, the two children of a node side by side, so that a step is
``next = 2 * pair + (row[slot] > key)``. Rows are integers too: a slot of a row holds
one feature in an order-preserving form, with missing values below everything in one
slot and above everything in another; a node names the slot that sends them its way.
Nothing but one comparison is left for a step to do.

Leaves stay where they are: an even one looks at slot 0, which is more than no key,
an odd one at slot 1, which is more than any. Their key is the number of their payload.
"""

from libc.stdint cimport (
    INT32_MAX, UINT32_MAX, int32_t, int64_t, uint8_t, uint32_t, uint64_t
)
from libc.math cimport INFINITY, nextafterf
from libc.stddef cimport ptrdiff_t
from libc.string cimport memcpy

cdef enum:
    # Slots that every row has before those of features.
    ALWAYS_LEFT = 0
    ALWAYS_RIGHT = 1
    N_CONSTANT_SLOTS = 2

# The same fields as in packed_trees.py.
ctypedef struct NarrowNode:
    uint32_t key        # or first word of the node's set, or a leaf's payload
    uint32_t link       # pair of the children << slot_bits | slot

ctypedef struct WideNode:
    uint32_t key
    uint32_t slot
    uint32_t pair

ctypedef fused node_t:
    NarrowNode
    WideNode

ctypedef fused real:
    float
    double

# How to read the nodes of an ensemble and to write the rows.
ctypedef struct Layout:
    int slot_bits               # of narrow nodes
    int32_t n_slots
    int32_t first_set_slot      # the slots from here on hold categories
    const int32_t* slot_feature
    const uint32_t* slot_missing  # what a missing value is in each slot
    const double* cuts          # NULL: keys are float32 values
    const int64_t* cut_start    # (n_features + 1,)
    const uint64_t* words       # of sets: how many codes, then bits that go right


cdef inline Layout layout_of(
    int slot_bits,
    int32_t first_set_slot,
    const int32_t[::1] slot_feature,
    const uint32_t[::1] slot_missing,
    const double[::1] cuts,
    const int64_t[::1] cut_start,
    const uint64_t[::1] words,
) noexcept nogil:
    cdef Layout layout
    layout.slot_bits = slot_bits
    layout.n_slots = <int32_t> slot_feature.shape[0]
    layout.first_set_slot = first_set_slot
    layout.slot_feature = &slot_feature[0]
    layout.slot_missing = &slot_missing[0]
    # Float32 keys have no cuts.
    layout.cuts = &cuts[0] if cut_start.shape[0] > 0 else NULL
    layout.cut_start = &cut_start[0] if cut_start.shape[0] > 0 else NULL
    layout.words = &words[0]
    return layout


cdef inline uint32_t mask_of(int slot_bits) noexcept nogil:
    return (<uint32_t> 1 << slot_bits) - 1


cdef inline uint32_t is_in_set(
    const uint64_t* words, uint32_t first_word, uint32_t code
) noexcept nogil:
    cdef const uint64_t* word = words + first_word
    cdef uint32_t n_codes = <uint32_t> word[0]
    code = n_codes if code > n_codes else code
    return <uint32_t> ((word[1 + (code >> 6)] >> (code & 63)) & 1)


cdef inline uint32_t step(
    const node_t* nodes,
    const uint32_t* row,
    uint32_t position,
    int slot_bits,
    uint32_t slot_mask,
    uint32_t first_set_slot,
    const uint64_t* words,
    bint sets,
) noexcept nogil:
    """Return the position that follows `position` for a row."""
    cdef const node_t* node = nodes + position
    cdef uint32_t slot, pair, value, is_set
    cdef uint32_t key = node.key
    if node_t is NarrowNode:
        slot = node.link & slot_mask
        pair = node.link >> slot_bits
    else:
        slot = node.slot
        pair = node.pair
    value = row[slot]
    if sets:
        # Without a branch: where there is no set, an empty one is asked, at word 0.
        is_set = -<uint32_t> (slot >= first_set_slot)
        return pair + pair + (
            ((key < value) & ~is_set)
            | is_in_set(words, key & is_set, value & is_set)
        )
    # The comparison's carry and the doubling are one addition.
    return pair + pair + (key < value)


# --- Rows ----------------------------------------------------------------------


cdef inline uint32_t float_key(float value) noexcept nogil:
    """Return an integer in the order of the floats; both zeros have one."""
    cdef uint32_t bits
    value = value + <float> 0.0
    memcpy(&bits, &value, 4)
    return bits ^ (-(bits >> 31) | <uint32_t> 0x80000000)


cdef inline uint32_t key_above(real value) noexcept nogil:
    """Return the key of the least float32 that is not less than `value`.

    It is greater than that of a float32 threshold just where `value` is.
    """
    cdef float nearest = <float> value
    if real is float:
        return float_key(nearest)
    else:
        return float_key(nearest) + (<double> nearest < value)


cdef inline float single_above(real value) noexcept nogil:
    """Return the least float32 that is not less than `value`."""
    cdef float nearest = <float> value
    if real is double:
        if <double> nearest < value:
            nearest = nextafterf(nearest, INFINITY)
    return nearest


cdef inline uint32_t rank_of(
    const double* cuts, ptrdiff_t n, double value
) noexcept nogil:
    """Return how many of the ascending cuts are less than `value`."""
    cdef const double* at = cuts
    cdef ptrdiff_t half
    if n == 0:
        return 0
    while n > 1:
        half = n >> 1
        at = at + half if at[half - 1] < value else at
        n -= half
    return <uint32_t> (at - cuts) + (at[0] < value)


cdef inline uint32_t code_of(real value) noexcept nogil:
    """Return a category code; whatever is none is greater than all."""
    # The largest float32 below 2**31.
    return <uint32_t> value if (value >= 0) & (value <= <real> 2147483520.0) \
        else INT32_MAX


cdef inline void write_row(
    const real* values, const Layout* layout, uint32_t* row
) noexcept nogil:
    """Write the slots of one row."""
    cdef const double* cuts
    cdef real value
    cdef uint32_t key = 0
    cdef int32_t slot, feature
    cdef int32_t last = -1
    row[ALWAYS_LEFT] = 0
    row[ALWAYS_RIGHT] = UINT32_MAX
    if layout.cuts == NULL:
        for slot in range(N_CONSTANT_SLOTS, layout.first_set_slot):
            value = values[layout.slot_feature[slot]]
            key = key_above(value)
            row[slot] = layout.slot_missing[slot] if value != value else key
    else:
        for slot in range(N_CONSTANT_SLOTS, layout.first_set_slot):
            feature = layout.slot_feature[slot]
            value = values[feature]
            # A feature with missing values on both sides has two slots.
            if feature != last:
                cuts = layout.cuts + layout.cut_start[feature]
                key = rank_of(
                    cuts,
                    layout.cut_start[feature + 1] - layout.cut_start[feature],
                    value,
                )
                last = feature
            row[slot] = layout.slot_missing[slot] if value != value else key
    for slot in range(layout.first_set_slot, layout.n_slots):
        row[slot] = code_of(values[layout.slot_feature[slot]])
