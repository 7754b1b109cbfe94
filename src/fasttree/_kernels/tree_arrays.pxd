"""The records of a tree written as the arrays of a `Tree`."""

from libc.math cimport NAN, ldexp
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

from fasttree._kernels.columns cimport Column, threshold_between
from fasttree._kernels.records cimport Arena, NodeRecord
from fasttree._kernels.types cimport BINARY, CLASSES, REGRESSION, SQUARED, Target

# Under the names that `Tree` has for them; NULL where the tree has none.
cdef struct TreeArrays:
    int32_t* left             # (n_nodes,) each
    int32_t* right
    int32_t* feature
    double* threshold
    uint8_t* missing_left
    double* impurity
    int64_t* rows
    double* weight
    int32_t* set_start        # (n_nodes,) each, of trees with sets
    int32_t* set_count
    uint64_t* words           # (n_words,)
    int64_t* leaf_start       # (n_leaves + 1,) classes
    int32_t* leaf_class       # (n_payload,) each
    double* leaf_weight
    double* leaf_value        # (n_leaves,) REGRESSION
    double* inner_value       # (n_inner,) of medians


cdef inline int64_t count_payload(const Arena* arena, int kind) noexcept nogil:
    """Classes that the leaves of a tree list, all of them together."""
    cdef const NodeRecord* record
    cdef int64_t i, n = 0
    if kind != BINARY:
        return arena.n_payload
    for i in range(arena.n_nodes):
        record = arena.nodes + i
        if record.left < 0:
            n += (record.ones > 0) + (record.ones < record.weight)
    return n


cdef inline void write_threshold(
    const NodeRecord* record, const Column* columns, bint drawn, int64_t node,
    const TreeArrays* out
) noexcept nogil:
    """Write how an inner node splits."""
    if record.set_start >= 0:
        out.threshold[node] = NAN
        out.set_count[node] = <int32_t>(columns[record.feature].codes.n_codes - 1)
    elif drawn:
        out.threshold[node] = record.threshold
    else:
        out.threshold[node] = threshold_between(
            columns + record.feature, record.row_low, record.row_high)


cdef inline int64_t list_two_classes(
    const NodeRecord* record, int64_t entries, const TreeArrays* out
) noexcept nogil:
    """List the classes of a leaf of two from `entries` on; return where they end."""
    if record.ones < record.weight:
        out.leaf_class[entries] = 0
        out.leaf_weight[entries] = <double>(record.weight - record.ones)
        entries += 1
    if record.ones > 0:
        out.leaf_class[entries] = 1
        out.leaf_weight[entries] = <double>record.ones
        entries += 1
    return entries


cdef inline void write_tree(
    const Arena* arena, const Column* columns, const Target* target, bint drawn,
    int response_exponent, double weight_scale, const TreeArrays* out
) noexcept nogil:
    """Fill in the arrays of a tree; `weight_scale` is the units of a weight of one.

    `response_exponent` turns values of REGRESSION back into targets.
    """
    # Of squared deviations, of others.
    cdef int impurity_exponent = (
        -2 if target.loss == SQUARED else -1) * response_exponent
    cdef int64_t i, leaf = 0, inner = 0, entries = 0, kind = target.kind
    cdef const NodeRecord* record
    if out.words != NULL:
        memcpy(out.words, arena.words, arena.n_words * sizeof(uint64_t))
    if out.leaf_start != NULL:
        out.leaf_start[0] = 0
    for i in range(arena.n_nodes):
        record = arena.nodes + i
        out.left[i] = record.left
        out.right[i] = record.right
        out.feature[i] = record.feature
        out.threshold[i] = -2.0
        out.missing_left[i] = <uint8_t>record.missing_left
        out.impurity[i] = record.impurity
        out.rows[i] = record.n
        out.weight[i] = <double>record.weight / weight_scale
        if kind == REGRESSION:
            out.impurity[i] = ldexp(record.impurity, impurity_exponent)
        if out.set_start != NULL:
            out.set_start[i] = <int32_t>record.set_start
            out.set_count[i] = 0
        if record.left >= 0:
            if out.inner_value != NULL:
                out.inner_value[inner] = ldexp(record.value, -response_exponent)
                inner += 1
            write_threshold(record, columns, drawn, i, out)
            continue
        if kind == REGRESSION:
            out.leaf_value[leaf] = ldexp(record.value, -response_exponent)
        elif kind == BINARY:
            entries = list_two_classes(record, entries, out)
            out.leaf_start[leaf + 1] = entries
        else:
            # Leaves list their classes in the order of the records.
            out.leaf_start[leaf] = record.payload
        leaf += 1
    if kind == CLASSES:
        out.leaf_start[leaf] = arena.n_payload
        for i in range(arena.n_payload):
            out.leaf_class[i] = arena.leaf_class[i]
            out.leaf_weight[i] = <double>arena.leaf_weight[i] / weight_scale
