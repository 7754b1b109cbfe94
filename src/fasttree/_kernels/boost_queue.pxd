"""The leaves that may be split, best first, and the pool's places for their sums."""

from libc.stdint cimport int32_t, int64_t

from fasttree._kernels.boost_engine cimport Engine, Leaf


cdef inline bint splits_before(const Engine* e, int32_t a, int32_t b) noexcept nogil:
    cdef const Leaf* x = e.leaves + a
    cdef const Leaf* y = e.leaves + b
    cdef double gx = e.nodes[x.node].gain, gy = e.nodes[y.node].gain
    if e.limits.depthwise and x.depth != y.depth:
        return x.depth < y.depth
    if gx != gy and not e.limits.depthwise:
        return gx > gy
    return x.node < y.node


cdef inline void push(Engine* e, int32_t leaf) noexcept nogil:
    cdef int64_t i = e.n_heap, parent
    e.n_heap += 1
    e.heap[i] = leaf
    while i > 0:
        parent = (i - 1) // 2
        if not splits_before(e, e.heap[i], e.heap[parent]):
            break
        e.heap[i], e.heap[parent] = e.heap[parent], e.heap[i]
        i = parent


cdef inline int32_t pop(Engine* e) noexcept nogil:
    cdef int32_t top = e.heap[0]
    cdef int64_t i = 0, child
    e.n_heap -= 1
    e.heap[0] = e.heap[e.n_heap]
    while True:
        child = 2 * i + 1
        if child >= e.n_heap:
            break
        if child + 1 < e.n_heap and splits_before(e, e.heap[child + 1],
                                                  e.heap[child]):
            child += 1
        if not splits_before(e, e.heap[child], e.heap[i]):
            break
        e.heap[i], e.heap[child] = e.heap[child], e.heap[i]
        i = child
    return top


cdef inline void release(Engine* e, Leaf* leaf) noexcept nogil:
    if leaf.cells >= 0:
        e.idle[e.n_idle] = leaf.cells
        e.n_idle += 1
        leaf.cells = -1


cdef inline void take_place(Engine* e, Leaf* leaf) noexcept nogil:
    e.n_idle -= 1
    leaf.cells = e.idle[e.n_idle]
