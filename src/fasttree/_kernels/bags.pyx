"""Rows drawn for a tree, and sums over those that it did not draw."""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from fasttree._kernels.random cimport draw_wide, mix


def tree_key(uint64_t seed, uint64_t tree):
    """Return the key of a tree of a forest."""
    return mix(seed ^ mix(tree + <uint64_t>0x5851F42D4C957F2D))


def draw_counts(uint64_t key, int64_t n_draws, uint32_t[::1] counts):
    """Add `n_draws` drawings with replacement of len(counts) things to `counts`."""
    cdef uint64_t n = counts.shape[0], own = mix(key ^ <uint64_t>0x2545F4914F6CDD1D)
    cdef int64_t i
    with nogil:
        for i in range(n_draws):
            counts[draw_wide(own, i, n)] += 1


def draw_weighted_counts(
    uint64_t key, int64_t n_draws, const int64_t[::1] ends, const int64_t[::1] guide,
    int shift, uint32_t[::1] counts,
):
    """Draw things by weight; `ends` are their cumulative weights, in units.

    `guide[b]` is the thing that holds the unit b << shift.
    """
    cdef uint64_t own = mix(key ^ <uint64_t>0x2545F4914F6CDD1D)
    cdef uint64_t total = ends[ends.shape[0] - 1]
    cdef int64_t i, at, unit
    with nogil:
        for i in range(n_draws):
            unit = draw_wide(own, i, total)
            at = guide[unit >> shift]
            while ends[at] <= unit:
                at += 1
            counts[at] += 1


def add_shares(
    const int64_t[::1] leaves, const uint32_t[::1] counts,
    const int64_t[::1] leaf_start, const int32_t[::1] leaf_class,
    const int64_t[::1] units, int sign, int64_t[:, ::1] sums, int32_t[::1] n_trees,
):
    """Add a tree's class shares, in units, for the rows that it did not draw.

    With a `sign` of -1 they are taken away.
    """
    cdef int64_t i, k
    with nogil:
        for i in range(leaves.shape[0]):
            if counts[i]:
                continue
            n_trees[i] += sign
            for k in range(leaf_start[leaves[i]], leaf_start[leaves[i] + 1]):
                sums[i, leaf_class[k]] += sign * units[k]


def add_values(
    const int64_t[::1] leaves, const uint32_t[::1] counts, const int64_t[:, ::1] units,
    int sign, int64_t[:, ::1] sums, int32_t[::1] n_trees,
):
    """Add a tree's values (n_leaves, n_outputs), for the rows that it did not draw."""
    cdef int64_t i, k
    with nogil:
        for i in range(leaves.shape[0]):
            if counts[i]:
                continue
            n_trees[i] += sign
            for k in range(units.shape[1]):
                sums[i, k] += sign * units[leaves[i], k]
