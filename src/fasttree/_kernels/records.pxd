"""The growing list of a tree's nodes, and what their leaves and sets hold."""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc

# To touch memory for the first time costs as much as growing a node does; on Linux
# large pages make it cheap.
cdef extern from *:
    """
    #if defined(__linux__)
    #include <stdint.h>
    #include <sys/mman.h>
    #endif
    static inline void fasttree_ask_for_large_pages(void* start, size_t n_bytes) {
    #if defined(__linux__) && defined(MADV_HUGEPAGE)
        const size_t large = (size_t)1 << 21;
        uintptr_t first = ((uintptr_t)start + large - 1) / large * large;
        uintptr_t end = ((uintptr_t)start + n_bytes) / large * large;
        if (first < end) {
            /* Advice: what becomes of it changes no result. */
            (void)madvise((void*)first, end - first, MADV_HUGEPAGE);
        }
    #else
        (void)start;
        (void)n_bytes;
    #endif
    }
    """
    void fasttree_ask_for_large_pages(void* start, size_t n_bytes) noexcept nogil

# Mirrored by fasttree.growth.records.NODE_DTYPE; a test compares the two.
cdef struct NodeRecord:
    int64_t n                 # rows
    int64_t weight            # weight units
    int64_t ones              # BINARY: rows of class 1
    double impurity
    double value              # REGRESSION: mean of response
    double threshold          # drawn splits; else NAN: the midpoint of the codes
    int64_t payload           # first of its classes in the arena, or -1
    int64_t set_start         # first word of its category set, or -1
    int32_t left              # -1: leaf
    int32_t right
    int32_t feature           # -2: leaf
    uint32_t row_low          # a row with the last value that goes left
    uint32_t row_high         # one with the first that goes right
    int32_t missing_left

cdef struct Arena:
    NodeRecord* nodes
    int64_t n_nodes
    int64_t nodes_capacity
    int32_t* leaf_class
    int64_t* leaf_weight
    int64_t n_payload
    int64_t payload_capacity
    uint64_t* words
    int64_t n_words
    int64_t words_capacity


cdef inline void arena_free(Arena* arena) noexcept nogil:
    free(arena.nodes)
    free(arena.leaf_class)
    free(arena.leaf_weight)
    free(arena.words)


cdef inline bint reserve_nodes(Arena* arena, int64_t extra) noexcept nogil:
    """Make room; False if there is no memory, with what was there untouched."""
    cdef int64_t capacity = arena.nodes_capacity
    cdef void* grown
    if arena.n_nodes + extra <= capacity:
        return True
    capacity = max(2 * capacity, arena.n_nodes + extra)
    grown = realloc(arena.nodes, capacity * sizeof(NodeRecord))
    if grown == NULL:
        return False
    fasttree_ask_for_large_pages(grown, capacity * sizeof(NodeRecord))
    arena.nodes = <NodeRecord*>grown
    arena.nodes_capacity = capacity
    return True


cdef inline bint reserve_payload(Arena* arena, int64_t extra) noexcept nogil:
    cdef int64_t capacity = arena.payload_capacity
    cdef void* grown
    if arena.n_payload + extra <= capacity:
        return True
    capacity = max(2 * capacity, arena.n_payload + extra)
    grown = realloc(arena.leaf_class, capacity * sizeof(int32_t))
    if grown == NULL:
        return False
    arena.leaf_class = <int32_t*>grown
    grown = realloc(arena.leaf_weight, capacity * sizeof(int64_t))
    if grown == NULL:
        return False
    arena.leaf_weight = <int64_t*>grown
    arena.payload_capacity = capacity
    return True


cdef inline bint reserve_words(Arena* arena, int64_t extra) noexcept nogil:
    cdef int64_t capacity = arena.words_capacity
    cdef void* grown
    if arena.n_words + extra <= capacity:
        return True
    capacity = max(2 * capacity, arena.n_words + extra)
    grown = realloc(arena.words, capacity * sizeof(uint64_t))
    if grown == NULL:
        return False
    arena.words = <uint64_t*>grown
    arena.words_capacity = capacity
    return True
