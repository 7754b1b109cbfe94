"""A grown tree as prediction reads it, straight from its records.

To the byte what fasttree.prediction.packing makes of a Tree, and
fasttree.trees.node_statistics keeps of it; nodes.pxd says what a packed node is.
Records are large: they are read once, into an outline of the tree, and nodes are
written from that.
"""

from libc.math cimport ldexp
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from fasttree._kernels.cells cimport Codes
from fasttree._kernels.columns cimport Column, threshold_between
from fasttree._kernels.nodes cimport ALWAYS_RIGHT, float_key, rank_of
from fasttree._kernels.records cimport NodeRecord
from fasttree._kernels.types cimport BINARY, REGRESSION

cdef enum:
    # What a slot of a row holds of a feature, as in packed_trees.py.
    MISSING_LOW = 0
    MISSING_HIGH = 1
    CATEGORY = 2
    N_KINDS = 3
    MISSING_GOES_LEFT = 1 << 30   # in `asks` of categories

# A tree in preorder; pointers are NULL where its kind of target has no use for them.
cdef struct Outline:
    int kind                  # of the target
    bint drawn                # thresholds stand in the records
    double weight_scale       # units of a weight of one
    int response_exponent
    int impurity_exponent
    int32_t* asks             # (n_nodes,) N_KINDS * feature + kind of slot; -1: leaf
    double* thresholds        # (n_inner,) or first words of sets
    double* impurity          # (n_inner,)
    uint32_t* leaf_rows       # (n_leaves,)
    double* leaf_value        # (n_leaves,) REGRESSION
    int64_t* leaf_units       # (n_leaves,)
    double* inner_value       # (n_inner,) ABSOLUTE
    double* profiles          # (n_leaves, 2) BINARY: class weights
    int32_t* leaf_keys        # (n_leaves,)
    int64_t* leaf_start       # (n_leaves,) CLASSES: first payload
    uint8_t* used             # (n_features, N_KINDS)
    int64_t n_profiles
    int64_t n_words           # of the sets, packed
    bint wide                 # a threshold is no float32 value
    bint impure               # a leaf has an impurity
    bint weighed              # a node does not weigh as much as it has rows

# How a tree's nodes are written.
cdef struct PackedForm:
    const uint32_t* slot_of   # (n_features, N_KINDS)
    int slot_bits
    int64_t width             # integers of a node
    const double* cuts        # NULL: keys are float32 values
    const int64_t* cut_start  # (n_features + 1,)
    const int32_t* leaf_keys  # (n_leaves,)


cdef inline int64_t words_of(int64_t n_codes) noexcept nogil:
    """The words of a packed set: its size, and a bit more than it has codes."""
    return 2 + (n_codes >> 6)


cdef inline void outline_tree(
    const NodeRecord* nodes, int64_t n_nodes, const Column* columns, Outline* out
) noexcept nogil:
    cdef const NodeRecord* record
    cdef int64_t i, leaf = 0, inner = 0
    cdef int kind
    cdef double threshold
    for i in range(n_nodes):
        record = nodes + i
        if <double>record.weight != out.weight_scale * record.n:
            out.weighed = True
        if record.left < 0:
            out.asks[i] = -1
            out.leaf_rows[leaf] = <uint32_t>record.n
            if record.impurity != 0.0:
                out.impure = True
            if out.kind == BINARY:
                out.profiles[2 * leaf] = <double>(record.weight - record.ones)
                out.profiles[2 * leaf + 1] = <double>record.ones
            elif out.kind == REGRESSION:
                out.leaf_value[leaf] = ldexp(record.value, -out.response_exponent)
                out.leaf_units[leaf] = record.weight
            else:
                out.leaf_start[leaf] = record.payload
            leaf += 1
            continue
        if record.set_start >= 0:
            kind = CATEGORY
            threshold = <double>record.set_start
            out.n_words += words_of(columns[record.feature].codes.n_codes - 1)
        else:
            kind = MISSING_LOW if record.missing_left else MISSING_HIGH
            threshold = record.threshold
            if not out.drawn:
                threshold = threshold_between(
                    columns + record.feature, record.row_low, record.row_high)
            if <double><float>threshold != threshold:
                out.wide = True
        out.asks[i] = N_KINDS * record.feature + kind
        if kind == CATEGORY and record.missing_left:
            out.asks[i] |= MISSING_GOES_LEFT
        out.used[N_KINDS * record.feature + kind] = True
        out.thresholds[inner] = threshold
        out.impurity[inner] = record.impurity
        if out.impurity_exponent:
            out.impurity[inner] = ldexp(record.impurity, out.impurity_exponent)
        if out.inner_value != NULL:
            out.inner_value[inner] = ldexp(record.value, -out.response_exponent)
        inner += 1


cdef inline void write_impurity(
    const NodeRecord* nodes, int64_t n_nodes, Outline* out
) noexcept nogil:
    """Write the impurity of all nodes."""
    cdef int64_t i
    for i in range(n_nodes):
        out.impurity[i] = ldexp(nodes[i].impurity, out.impurity_exponent)


cdef inline bint count_distinct(Outline* out, int64_t n_leaves) noexcept nogil:
    """Number the distinct profiles by their first leaf, and move them to the front.

    False if there is no memory.
    """
    cdef int64_t size = 4, leaf, place
    cdef uint64_t state
    cdef int32_t found
    cdef int32_t* table
    cdef double* own
    while size < 2 * n_leaves:
        size *= 2
    table = <int32_t*>calloc(size, sizeof(int32_t))  # number + 1
    if table == NULL:
        return False
    for leaf in range(n_leaves):
        own = out.profiles + 2 * leaf
        state = <uint64_t>own[0] * <uint64_t>0x9E3779B97F4A7C15 + <uint64_t>own[1]
        state *= <uint64_t>0xD6E8FEB86659FD93
        place = <int64_t>((state >> 32) & <uint64_t>(size - 1))
        while True:
            found = table[place] - 1
            if found < 0:
                found = <int32_t>out.n_profiles
                table[place] = found + 1
                out.profiles[2 * found] = own[0]
                out.profiles[2 * found + 1] = own[1]
                out.n_profiles += 1
                break
            if (out.profiles[2 * found] == own[0]
                    and out.profiles[2 * found + 1] == own[1]):
                break
            place = (place + 1) & (size - 1)
        out.leaf_keys[leaf] = found
    free(table)
    return True


cdef inline void group_thresholds(
    const int32_t* asks, int64_t n_nodes, const double* thresholds, int64_t n_features,
    int64_t* start, double* out
) noexcept nogil:
    """Write the thresholds of each feature together.

    `start` (n_features + 2) is 0; its first n_features + 1 entries are then where
    those of each feature begin, and the last ones end.
    """
    cdef int64_t i, f, inner = 0
    for i in range(n_nodes):
        if asks[i] >= 0 and (asks[i] & (MISSING_GOES_LEFT - 1)) % N_KINDS != CATEGORY:
            start[asks[i] // N_KINDS + 2] += 1
    for f in range(n_features):
        start[f + 2] += start[f + 1]
    for i in range(n_nodes):
        if asks[i] < 0:
            continue
        if (asks[i] & (MISSING_GOES_LEFT - 1)) % N_KINDS != CATEGORY:
            f = asks[i] // N_KINDS
            # Zeros of both signs are one cut.
            out[start[f + 1]] = thresholds[inner] + 0.0
            start[f + 1] += 1
        inner += 1


cdef inline void write_set(
    const uint64_t* left, int64_t n_codes, bint missing_left, uint64_t* out
) noexcept nogil:
    """Write a set: codes that go right, and a bit for whatever else comes."""
    cdef int64_t word, n_full = n_codes >> 6
    cdef uint64_t rest = n_codes & 63
    out[0] = n_codes
    for word in range(n_full):
        out[1 + word] = ~left[word]
    out[1 + n_full] = 0
    if rest:
        out[1 + n_full] = ~left[n_full] & ((<uint64_t>1 << rest) - 1)
    if not missing_left:
        out[1 + n_full] |= <uint64_t>1 << rest


cdef inline void write_nodes(
    const int32_t* asks, int64_t n_nodes, const double* thresholds,
    const Codes* columns, const uint64_t* sets, const PackedForm* form,
    uint32_t* pending, uint32_t* out, uint64_t* words
) noexcept nogil:
    """Write the nodes' positions, n_nodes + 1 of them, and their category sets.

    `pending` (n_leaves + 1,) is for work; the first two words are there already.
    """
    cdef int64_t i, f, n_codes, leaf = 0, inner = 0, top = 0, next_word = 2
    cdef uint32_t at = 0, slot, pair, key, n_pairs = 1
    cdef uint32_t* own
    cdef int32_t ask
    cdef int kind
    pending[0] = 1  # beside the root, and used by none
    for i in range(n_nodes + 1):
        own = out + form.width * at
        if i == n_nodes:
            slot, pair, key = ALWAYS_RIGHT, 0, 0
        elif asks[i] < 0:
            slot = at & 1
            pair = at >> 1
            key = <uint32_t>form.leaf_keys[leaf]
            leaf += 1
            at = pending[top]
            top -= 1
        else:
            ask = asks[i] & (MISSING_GOES_LEFT - 1)
            f = ask // N_KINDS
            kind = ask - <int32_t>(N_KINDS * f)
            slot = form.slot_of[ask]
            pair = n_pairs
            n_pairs += 1
            at = 2 * pair
            top += 1
            pending[top] = at + 1
            if kind == CATEGORY:
                n_codes = columns[f].n_codes - 1
                key = <uint32_t>next_word
                write_set(sets + <int64_t>thresholds[inner], n_codes,
                          (asks[i] & MISSING_GOES_LEFT) != 0, words + next_word)
                next_word += words_of(n_codes)
            elif form.cuts == NULL:
                key = float_key(<float>thresholds[inner])
            else:
                key = rank_of(form.cuts + form.cut_start[f],
                              form.cut_start[f + 1] - form.cut_start[f],
                              thresholds[inner])
            inner += 1
        own[0] = key
        if form.width == 2:
            own[1] = pair << form.slot_bits | slot
        else:
            own[1] = slot
            own[2] = pair
