"""Subtrees that one thread leaves to others, and how their records come together.

The thread that comes to such a node writes a record in its place and puts the node's
frame aside. Records stand in preorder, within a subtree too, so that a tree is its
top's records with those of the subtrees in the places held for them.
"""

from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from fasttree._kernels.grower cimport Grower, Stack, reserve_stack
from fasttree._kernels.records cimport (
    Arena,
    NodeRecord,
    reserve_nodes,
    reserve_payload,
    reserve_words,
)
from fasttree._kernels.subtree cimport Frame

cdef enum:
    ELSEWHERE = -3            # feature of a record that holds a subtree's place


cdef inline bint leave_branch(
    Grower* g, const Frame* frame, const uint64_t* mask, const double* bounds,
    NodeRecord* record
) noexcept nogil:
    """Put a node aside; False if there is no memory. `record` holds its place."""
    cdef Stack* branches = &g.branches
    cdef int64_t n = g.n_branches, n_bounds = 2 * g.limits.n_bounded
    if not reserve_stack(branches, n + 1):
        return False
    branches.frames[n] = frame[0]
    branches.frames[n].parent = -1
    memcpy(branches.masks + n * g.n_words, mask, g.n_words * sizeof(uint64_t))
    memcpy(branches.bounds + n * n_bounds, bounds, n_bounds * sizeof(double))
    record.feature = ELSEWHERE
    g.n_branches = n + 1
    return True


cdef inline bint copy_arena(Arena* out, const Arena* arena) noexcept nogil:
    """Copy to an empty arena, of just the size; False if there is no memory."""
    if not (reserve_nodes(out, arena.n_nodes) and reserve_payload(out, arena.n_payload)
            and reserve_words(out, arena.n_words)):
        return False
    add_records(out, arena, 0, arena.n_nodes)
    return True


cdef inline int64_t payload_before(const Arena* arena, int64_t i) noexcept nogil:
    """Where the payload of the first node from `i` on that has one begins."""
    for i in range(i, arena.n_nodes):
        if arena.nodes[i].payload >= 0:
            return arena.nodes[i].payload
    return arena.n_payload


cdef inline int64_t words_before(const Arena* arena, int64_t i) noexcept nogil:
    """Where the category set of the first node from `i` on that has one begins."""
    for i in range(i, arena.n_nodes):
        if arena.nodes[i].set_start >= 0:
            return arena.nodes[i].set_start
    return arena.n_words


cdef inline void add_records(
    Arena* out, const Arena* arena, int64_t start, int64_t stop
) noexcept nogil:
    """Append the records start:stop and what they point at; there is room.

    Children keep their distance to the first of these records.
    """
    cdef int64_t payload = payload_before(arena, start)
    cdef int64_t words = words_before(arena, start)
    cdef int64_t n_payload = payload_before(arena, stop) - payload
    cdef int64_t n_words = words_before(arena, stop) - words
    cdef int32_t shift = <int32_t>(out.n_nodes - start)
    cdef int64_t i
    cdef NodeRecord* record
    for i in range(start, stop):
        record = out.nodes + out.n_nodes + i - start
        record[0] = arena.nodes[i]
        if record.payload >= 0:
            record.payload += out.n_payload - payload
        if record.set_start >= 0:
            record.set_start += out.n_words - words
        if record.left >= 0:
            record.left += shift
            record.right += shift
    if n_payload:
        memcpy(out.leaf_class + out.n_payload, arena.leaf_class + payload,
               n_payload * sizeof(int32_t))
        memcpy(out.leaf_weight + out.n_payload, arena.leaf_weight + payload,
               n_payload * sizeof(int64_t))
    if n_words:
        memcpy(out.words + out.n_words, arena.words + words,
               n_words * sizeof(uint64_t))
    out.n_nodes += stop - start
    out.n_payload += n_payload
    out.n_words += n_words


cdef inline bint join_arenas(
    Arena* out, const Arena* top, const Arena** parts, int64_t n_parts
) noexcept nogil:
    """Write to an empty arena the records of `top`, and of each part in its place.

    False if there is no memory; the arena is to be freed in either case.
    """
    cdef int64_t i, j, part = 0, start = 0, n_nodes = top.n_nodes - n_parts
    cdef int64_t n_payload = top.n_payload, n_words = top.n_words
    cdef int32_t* place = <int32_t*>malloc(top.n_nodes * sizeof(int32_t))
    cdef NodeRecord* record
    if place == NULL:
        return False
    for j in range(n_parts):
        n_nodes += parts[j].n_nodes
        n_payload += parts[j].n_payload
        n_words += parts[j].n_words
    if not (reserve_nodes(out, n_nodes) and reserve_payload(out, n_payload)
            and reserve_words(out, n_words)):
        free(place)
        return False
    for i in range(top.n_nodes):
        if top.nodes[i].feature != ELSEWHERE:
            continue
        add_top(out, top, start, i, place)
        place[i] = <int32_t>out.n_nodes
        add_records(out, parts[part], 0, parts[part].n_nodes)
        part += 1
        start = i + 1
    add_top(out, top, start, top.n_nodes, place)
    # The children of the top's records may be parts.
    for i in range(top.n_nodes):
        if top.nodes[i].feature >= 0:
            record = out.nodes + place[i]
            record.left = place[top.nodes[i].left]
            record.right = place[top.nodes[i].right]
    free(place)
    return True


cdef inline void add_top(
    Arena* out, const Arena* top, int64_t start, int64_t stop, int32_t* place
) noexcept nogil:
    cdef int64_t i
    for i in range(start, stop):
        place[i] = <int32_t>(out.n_nodes + i - start)
    add_records(out, top, start, stop)
