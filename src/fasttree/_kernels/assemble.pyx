"""One tree out of the records of many workers: preorder, a field an array.

A worker writes the nodes of a subtree, its leaves' classes and its category sets in
preorder, so that a tree is pieces of those lists in the right order. Which node is
whose child follows from the order and from which nodes are leaves.
"""

import numpy as np

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from fasttree._kernels.records cimport NodeRecord

# The lists of one worker.
cdef struct Part:
    const NodeRecord* nodes
    int64_t n_nodes
    const int32_t* leaf_class
    const int64_t* leaf_weight
    int64_t n_payload
    const uint64_t* words
    int64_t n_words


cdef inline int64_t payload_end(const Part* part, int64_t i) noexcept nogil:
    """Where the payload of the next node after `i` that has one begins."""
    for i in range(i + 1, part.n_nodes):
        if part.nodes[i].payload >= 0:
            return part.nodes[i].payload
    return part.n_payload


cdef inline int64_t words_end(const Part* part, int64_t i) noexcept nogil:
    """Where the next category set after that of node `i` begins."""
    for i in range(i + 1, part.n_nodes):
        if part.nodes[i].set_start >= 0:
            return part.nodes[i].set_start
    return part.n_words


def assemble(
    list parts, const int32_t[::1] part, const int64_t[::1] start,
    const int64_t[::1] stop,
):
    """Join the records start:stop of each `part`, given in preorder.

    Parameters
    ----------
    parts : list of tuple of ndarray
        Records (bytes), leaf_class, leaf_weight and words of each worker.
    part, start, stop : (n_pieces,)
        A wide node is a piece of one record, a subtree one of all its records.

    Returns
    -------
    fields : dict of ndarray of shape (n_nodes,)
        By the names of the record's fields; `left` and `right` are -1 at leaves,
        `set_start` at nodes without a set.
    leaf_start : ndarray of shape (n_leaves + 1,), int64
        All 0 if the leaves list no classes. Of no use where inner nodes have a
        payload too.
    leaf_class, leaf_weight, words : ndarray
        In the order of the nodes.
    """
    cdef int64_t n_nodes = 0, n_payload = 0, n_words = 0, n_leaves = 0
    cdef int64_t i, j
    cdef const uint8_t[::1] record_bytes
    cdef const int32_t[::1] classes
    cdef const int64_t[::1] weights
    cdef const uint64_t[::1] sets
    cdef Part* own = <Part*>malloc(max(1, len(parts)) * sizeof(Part))
    if own == NULL:
        raise MemoryError("no memory to put a tree together")
    try:
        for i in range(len(parts)):
            record_bytes, classes, weights, sets = parts[i]
            own[i].n_nodes = record_bytes.shape[0] // sizeof(NodeRecord)
            own[i].nodes = (NULL if record_bytes.shape[0] == 0
                            else <const NodeRecord*>&record_bytes[0])
            own[i].n_payload = classes.shape[0]
            own[i].leaf_class = NULL if classes.shape[0] == 0 else &classes[0]
            own[i].leaf_weight = NULL if weights.shape[0] == 0 else &weights[0]
            own[i].n_words = sets.shape[0]
            own[i].words = NULL if sets.shape[0] == 0 else &sets[0]
            n_payload += classes.shape[0]
            n_words += sets.shape[0]
        for j in range(part.shape[0]):
            n_nodes += stop[j] - start[j]
            for i in range(start[j], stop[j]):
                n_leaves += own[part[j]].nodes[i].feature < 0
        fields = {
            "left": np.empty(n_nodes, np.int32),
            "right": np.empty(n_nodes, np.int32),
            "feature": np.empty(n_nodes, np.int32),
            "row_low": np.empty(n_nodes, np.uint32),
            "row_high": np.empty(n_nodes, np.uint32),
            "missing_left": np.empty(n_nodes, np.uint8),
            "set_start": np.empty(n_nodes, np.int32),
            "n": np.empty(n_nodes, np.int64),
            "weight": np.empty(n_nodes, np.int64),
            "ones": np.empty(n_nodes, np.int64),
            "impurity": np.empty(n_nodes, np.float64),
            "value": np.empty(n_nodes, np.float64),
            "threshold": np.empty(n_nodes, np.float64),
        }
        leaf_start = np.zeros(n_leaves + 1, np.int64)
        leaf_class = np.empty(n_payload, np.int32)
        leaf_weight = np.empty(n_payload, np.int64)
        words = np.empty(n_words, np.uint64)
        _copy(own, part, start, stop, fields["left"], fields["right"],
              fields["feature"], fields["row_low"], fields["row_high"],
              fields["missing_left"], fields["set_start"], fields["n"],
              fields["weight"], fields["ones"], fields["impurity"], fields["value"],
              fields["threshold"], leaf_start, leaf_class, leaf_weight, words,
              np.empty(n_nodes, np.int32))
    finally:
        free(own)
    return fields, leaf_start, leaf_class, leaf_weight, words


cdef void _copy(
    const Part* parts, const int32_t[::1] part, const int64_t[::1] start,
    const int64_t[::1] stop, int32_t[::1] left, int32_t[::1] right,
    int32_t[::1] feature, uint32_t[::1] row_low, uint32_t[::1] row_high,
    uint8_t[::1] missing_left, int32_t[::1] set_start, int64_t[::1] n,
    int64_t[::1] weight, int64_t[::1] ones, double[::1] impurity, double[::1] value,
    double[::1] threshold, int64_t[::1] leaf_start, int32_t[::1] leaf_class,
    int64_t[::1] leaf_weight, uint64_t[::1] words, int32_t[::1] end,
):
    cdef int64_t i, j, length, at = 0, leaf = 0, n_payload = 0, n_words = 0
    cdef const Part* own
    cdef const NodeRecord* record
    with nogil:
        for j in range(part.shape[0]):
            own = parts + part[j]
            for i in range(start[j], stop[j]):
                record = own.nodes + i
                feature[at] = record.feature
                row_low[at] = record.row_low
                row_high[at] = record.row_high
                missing_left[at] = record.missing_left != 0
                n[at] = record.n
                weight[at] = record.weight
                ones[at] = record.ones
                impurity[at] = record.impurity
                value[at] = record.value
                threshold[at] = record.threshold
                set_start[at] = -1
                if record.set_start >= 0:
                    length = words_end(own, i) - record.set_start
                    memcpy(&words[n_words], own.words + record.set_start,
                           length * sizeof(uint64_t))
                    set_start[at] = <int32_t>n_words
                    n_words += length
                if record.payload >= 0:
                    length = payload_end(own, i) - record.payload
                    memcpy(&leaf_class[n_payload],
                           own.leaf_class + record.payload,
                           length * sizeof(int32_t))
                    memcpy(&leaf_weight[n_payload],
                           own.leaf_weight + record.payload,
                           length * sizeof(int64_t))
                    n_payload += length
                if record.feature < 0:
                    leaf += 1
                    leaf_start[leaf] = n_payload
                at += 1
        # The right child stands where the left one's subtree ends.
        for i in range(at - 1, -1, -1):
            if feature[i] < 0:
                left[i] = right[i] = -1
                end[i] = <int32_t>(i + 1)
            else:
                left[i] = <int32_t>(i + 1)
                right[i] = end[i + 1]
                end[i] = end[right[i]]
