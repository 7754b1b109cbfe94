"""Kernels: from rows to leaves, from leaves to outputs, and the shape of a tree."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stddef cimport ptrdiff_t

from fasttree._kernels.traverse cimport (
    LANES, CategoricalNode, NumericNode, node_t, real, walk
)

ctypedef ptrdiff_t intp_t


cdef void _apply(
    const node_t* nodes,
    const uint64_t* words,
    const real* X,
    ptrdiff_t n_features,
    const int32_t* targets,
    intp_t* out,
    ptrdiff_t start,
    ptrdiff_t stop,
) noexcept nogil:
    cdef const real* rows[LANES]
    cdef uint32_t positions[LANES]
    cdef ptrdiff_t row = start
    cdef ptrdiff_t lane, n_lanes
    while row < stop:
        n_lanes = min(<ptrdiff_t> LANES, stop - row)
        for lane in range(LANES):
            # The last group is filled up with its own last row.
            rows[lane] = X + (row + min(lane, n_lanes - 1)) * n_features
        walk(nodes, words, rows, positions)
        for lane in range(n_lanes):
            out[row + lane] = targets[positions[lane]]
        row += n_lanes


def apply(
    const real[:, ::1] X,               # IN  (n_rows, n_features)
    const uint8_t[::1] nodes,           # IN  packed nodes, as bytes
    const uint64_t[::1] words,          # IN  packed category sets
    bint categorical,                   # IN  which of the two layouts `nodes` has
    const int32_t[::1] targets,         # IN  (n_positions,) what to write per position
    intp_t[::1] out,                    # OUT (n_rows,)
    ptrdiff_t start,
    ptrdiff_t stop,
):
    """Write the target of the leaf that each of the rows start:stop reaches."""
    if start >= stop:
        return
    with nogil:
        if categorical:
            _apply(
                <const CategoricalNode*> &nodes[0], &words[0], &X[0, 0], X.shape[1],
                &targets[0], &out[0], start, stop,
            )
        else:
            _apply(
                <const NumericNode*> &nodes[0], &words[0], &X[0, 0], X.shape[1],
                &targets[0], &out[0], start, stop,
            )


def write_paths(
    const intp_t[::1] nodes,            # IN  (n_rows,) where each row's path ends
    const int32_t[::1] parent,          # IN  (n_nodes,) -1 at the root
    const intp_t[::1] indptr,           # IN  (n_rows + 1,) room for each path
    intp_t[::1] indices,                # OUT (indptr[n_rows],)
):
    """Write the nodes from the root to the end of each row's path."""
    cdef ptrdiff_t row, at, node
    with nogil:
        for row in range(nodes.shape[0]):
            node = nodes[row]
            for at in range(indptr[row + 1] - 1, indptr[row] - 1, -1):
                indices[at] = node
                node = parent[node]


def leaf_shares(
    const intp_t[::1] leaves,           # IN  (n_rows,)
    const int64_t[::1] leaf_start,      # IN  (n_leaves + 1,)
    const int32_t[::1] leaf_class,      # IN  (n_entries,)
    const double[::1] share,            # IN  (n_entries,) fraction of the leaf's weight
    double[:, ::1] out,                 # OUT (n_rows, n_classes), zero on entry
    ptrdiff_t start,
    ptrdiff_t stop,
):
    """Write the class fractions of the leaves of the rows start:stop."""
    cdef ptrdiff_t row
    cdef int64_t entry
    with nogil:
        for row in range(start, stop):
            for entry in range(leaf_start[leaves[row]], leaf_start[leaves[row] + 1]):
                out[row, leaf_class[entry]] = share[entry]


def measure_preorder(
    const int32_t[::1] children_left,   # IN  (n_nodes,) any values
    const int32_t[::1] children_right,  # IN  (n_nodes,) any values
    int32_t[::1] size,                  # OUT (n_nodes,) nodes in the node's subtree
    int32_t[::1] depth,                 # OUT (n_nodes,)
):
    """Return the first node in the way of a depth-first preorder, or -1.

    Nodes are in preorder when each inner node is followed by its left subtree and
    then its right one, and the root's subtree is all there is. That also means that
    every node but the root has one parent, which stands before it.
    """
    cdef ptrdiff_t n_nodes = children_left.shape[0]
    cdef ptrdiff_t node, right
    cdef ptrdiff_t bad = -1
    with nogil:
        for node in range(n_nodes - 1, -1, -1):
            size[node] = 1
            if children_left[node] == -1 and children_right[node] == -1:
                continue
            if node + 2 >= n_nodes or children_left[node] != node + 1:
                bad = node
                continue
            right = node + 1 + size[node + 1]
            if right >= n_nodes or children_right[node] != right:
                bad = node
                continue
            size[node] = 1 + size[node + 1] + size[right]
        if bad < 0 and size[0] != n_nodes:
            bad = size[0]
        if bad < 0:
            depth[0] = 0
            for node in range(n_nodes):
                if children_left[node] >= 0:
                    depth[children_left[node]] = depth[node] + 1
                    depth[children_right[node]] = depth[node] + 1
    return bad


def sum_upwards(
    const int32_t[::1] children_left,   # IN  (n_nodes,) in preorder
    const int32_t[::1] children_right,  # IN  (n_nodes,)
    double[:, ::1] sums,                # INOUT (n_nodes, k), given at the leaves
):
    """Make each inner node's row the sum of its children's rows."""
    cdef ptrdiff_t node, k
    with nogil:
        for node in range(children_left.shape[0] - 1, -1, -1):
            if children_left[node] >= 0:
                for k in range(sums.shape[1]):
                    sums[node, k] = (
                        sums[children_left[node], k] + sums[children_right[node], k]
                    )


def pack_category_sets(
    const uint64_t[::1] bits,           # IN  set bit: the code goes left
    const int32_t[::1] first_bit_word,  # IN  (n_sets,)
    const int32_t[::1] n_codes,         # IN  (n_sets,)
    const uint8_t[::1] missing_left,    # IN  (n_sets,)
    const uint32_t[::1] first_word,     # IN  (n_sets,) of words
    uint64_t[::1] words,                # OUT zero on entry; set bit: goes right
):
    """Turn left sets into right sets, with one more bit for whatever is missing."""
    cdef ptrdiff_t i, code
    cdef uint64_t bit
    with nogil:
        for i in range(n_codes.shape[0]):
            for code in range(n_codes[i]):
                bit = ~(bits[first_bit_word[i] + (code >> 6)] >> (code & 63)) & 1
                words[first_word[i] + (code >> 6)] |= bit << (code & 63)
            code = n_codes[i]
            if not missing_left[i]:
                words[first_word[i] + (code >> 6)] |= <uint64_t> 1 << (code & 63)
