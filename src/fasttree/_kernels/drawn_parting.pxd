"""Carrying out a split that was drawn, and recording it."""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from fasttree._kernels.draw cimport draw_of_feature, draw_side
from fasttree._kernels.keys cimport narrow_or_wide
from fasttree._kernels.records cimport Arena, NodeRecord, reserve_words
from fasttree._kernels.types cimport Feature, Limits, Split, entry_t


cdef inline int64_t part_keys(
    const narrow_or_wide* keys, entry_t* rows, int64_t n, narrow_or_wide cut,
    bint missing_left, entry_t* spare
) noexcept nogil:
    cdef narrow_or_wide missing = <narrow_or_wide>(
        0x7FFFFFFF if narrow_or_wide is int32_t else <int64_t>0x7FFFFFFFFFFFFFFF)
    cdef narrow_or_wide key
    cdef int64_t i, left = 0, right = 0, side
    cdef entry_t row
    for i in range(n):
        row = rows[i]
        key = keys[row]
        side = (key <= cut) | (missing_left & (key == missing))
        rows[left] = row
        spare[right] = row
        left += side
        right += 1 - side
    memcpy(rows + left, spare, right * sizeof(entry_t))
    return left


cdef inline int64_t part_set(
    const int32_t* codes, entry_t* rows, int64_t n, uint64_t h, int64_t attempt,
    int64_t min_category, int64_t* sizes, entry_t* spare
) noexcept nogil:
    cdef int64_t i, left = 0, right = 0
    cdef int32_t side
    cdef entry_t row
    for i in range(n):
        sizes[codes[rows[i]]] += 1
    for i in range(n):
        row = rows[i]
        side = draw_side(sizes, min_category, codes[row], h, attempt)
        rows[left] = row
        spare[right] = row
        left += 1 - side
        right += side
    memcpy(rows + left, spare, right * sizeof(entry_t))
    for i in range(n):
        sizes[codes[rows[i]]] = 0
    return left


cdef inline int64_t part_rows(
    const Feature* feature, const void* keys, entry_t* rows, int64_t n,
    const Split* split, uint64_t node_draw, const Limits* limits, int64_t* sizes,
    entry_t* spare
) noexcept nogil:
    """Part a node's rows by its drawn split, stably; return how many went left."""
    if feature.categorical:
        return part_set(<const int32_t*>keys, rows, n,
                        draw_of_feature(node_draw, split.feature), split.position,
                        limits.min_samples_category, sizes, spare)
    if feature.key_size == sizeof(int32_t):
        return part_keys(<const int32_t*>keys, rows, n, <int32_t>split.position,
                         split.missing_left, spare)
    return part_keys(<const int64_t*>keys, rows, n, split.position,
                     split.missing_left, spare)


cdef inline bint record_drawn(
    Arena* arena, NodeRecord* record, const Feature* feature, const void* keys,
    int64_t step, const entry_t* rows, int64_t n, int64_t n_left, const Split* split
) noexcept nogil:
    """Fill in threshold or category set, from rows that have been parted.

    An absent category goes to the child with more rows, to the right if they are
    equal.
    """
    cdef const int32_t* codes = <const int32_t*>keys
    cdef int64_t i, n_words = (<int64_t>feature.n_codes + 63) // 64
    cdef uint64_t* words
    cdef uint64_t bit
    cdef uint32_t code
    cdef bint left_is_larger = n_left > n - n_left
    record.feature = split.feature
    record.set_start = -1
    record.threshold = split.threshold
    record.missing_left = split.missing_left
    record.row_low = record.row_high = 0
    if not feature.categorical:
        return True
    if not reserve_words(arena, n_words):
        return False
    words = arena.words + arena.n_words
    record.set_start = arena.n_words
    arena.n_words += n_words
    record.missing_left = left_is_larger
    memset(words, 255 if left_is_larger else 0, n_words * sizeof(uint64_t))
    for i in range(n):
        code = codes[<int64_t>rows[i] * step]
        if code == feature.n_codes:
            record.missing_left = i < n_left
            continue
        bit = <uint64_t>1 << (code & 63)
        if i < n_left:
            words[code >> 6] |= bit
        else:
            words[code >> 6] &= ~bit
    code = feature.n_codes & 63
    if code:  # no bits past the last category
        words[n_words - 1] &= (<uint64_t>1 << code) - 1
    return True
