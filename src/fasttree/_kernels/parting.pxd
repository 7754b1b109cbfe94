"""Carrying out the split of a node that is a list of rows: which rows go left."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from fasttree._kernels.bin_search cimport make_bins, sort_bins
from fasttree._kernels.cells cimport Best, Codes, sort_node
from fasttree._kernels.grower cimport Grower
from fasttree._kernels.histogram cimport fasttree_prefetch
from fasttree._kernels.keys cimport narrow_or_wide
from fasttree._kernels.records cimport Arena, NodeRecord, reserve_words
from fasttree._kernels.prefixes cimport count_column
from fasttree._kernels.scan_categories cimport mark_left
from fasttree._kernels.types cimport (
    ABSOLUTE,
    CLASSES,
    Feature,
    LABELS,
    Limits,
    NodeStat,
    REGRESSION,
    Split,
    Target,
    code_t,
    entry_t,
)

# What a split did.
cdef struct Sides:
    int64_t n_left
    int64_t n_missing
    int64_t low               # a row of the last code that went left
    int64_t high              # one of the first that went right


cdef inline uint32_t code_at(const Codes* column, int64_t row) noexcept nogil:
    if column.size == 1:
        return (<const uint8_t*>column.codes)[row]
    if column.size == 2:
        return (<const uint16_t*>column.codes)[row]
    return (<const uint32_t*>column.codes)[row]


cdef inline bint sorts_rows(const Target* target, const Limits* limits) noexcept nogil:
    """Whether columns are searched in order of their codes, not by sums."""
    return (target.kind == CLASSES or target.kind >= LABELS or limits.n_bounded > 0
            or (target.kind == REGRESSION and target.loss == ABSOLUTE))


cdef inline Sides part_codes(
    const code_t* codes, uint32_t missing, const Best* best, bint binary, bint finds,
    entry_t* ids, uint32_t* stats, int64_t n, entry_t* spare, uint32_t* spare_stats
) noexcept nogil:
    """Part a node's rows; `finds` is whether rows at the split are asked for."""
    cdef Sides sides
    cdef int64_t i, left = 0, right = 0, side, n_missing = 0
    cdef uint32_t code, stat = 0, code_low = best.split.code_low
    cdef uint32_t code_high = best.split.code_high
    cdef uint32_t missing_left = best.split.missing_left
    cdef entry_t row, low = 0, high = 0
    for i in range(n):
        if entry_t is uint32_t:
            if i + 24 < n:
                fasttree_prefetch(codes + ids[i + 24])
        row = ids[i]
        code = codes[row]
        side = (code <= code_low) | (missing_left & (code == missing))
        n_missing += code == missing
        if finds:
            low = row if code == code_low else low
            high = row if code == code_high else high
        ids[left] = row
        spare[right] = row
        if binary:
            stat = stats[i]
            stats[left] = stat
            spare_stats[right] = stat
        left += side
        right += 1 - side
    memcpy(ids + left, spare, right * sizeof(entry_t))
    if binary:
        memcpy(stats + left, spare_stats, right * sizeof(uint32_t))
    sides.n_left = left
    sides.n_missing = n_missing
    sides.low = low
    sides.high = high
    return sides


cdef inline int64_t part_marked(
    const uint8_t* goes_left, bint binary, entry_t* ids, uint32_t* stats, int64_t n,
    entry_t* spare, uint32_t* spare_stats
) noexcept nogil:
    cdef int64_t i, left = 0, right = 0, side
    cdef uint32_t stat
    cdef entry_t row
    for i in range(n):
        row = ids[i]
        side = goes_left[row]
        ids[left] = row
        spare[right] = row
        if binary:
            stat = stats[i]
            stats[left] = stat
            spare_stats[right] = stat
        left += side
        right += 1 - side
    memcpy(ids + left, spare, right * sizeof(entry_t))
    if binary:
        memcpy(stats + left, spare_stats, right * sizeof(uint32_t))
    return left


cdef inline void mark_codes(
    const Codes* column, const Best* best, const entry_t* ids, int64_t n,
    uint8_t* goes_left
) noexcept nogil:
    """Write into `goes_left` the side of each row of a split of numbers."""
    cdef int64_t i
    cdef uint32_t code
    for i in range(n):
        code = code_at(column, ids[i])
        goes_left[ids[i]] = code <= best.split.code_low or (
            best.split.missing_left and code == column.missing)


cdef inline void mark_set(
    const Codes* column, const Best* best, const entry_t* ids, entry_t* entries,
    const uint32_t* stats, const Target* target, const NodeStat* node, Grower* g
) noexcept nogil:
    """Write into `goes_left` the side of each row of a split of categories."""
    cdef int64_t i, count
    if sorts_rows(target, &g.limits):
        sort_node(column, ids, node.n, &g.cells, entries)
        mark_left(entries, node, True, g.limits.min_samples_category, target,
                  &best.split, &g.scratch, g.goes_left)
        return
    count = count_column(column, ids, stats, g.pairs, node.n, target, True, &g.cells)
    make_bins(target, count, &g.cells)
    sort_bins(g.cells.bins, count, g.limits.min_samples_category, g.cells.runs)
    for i in range(count):
        g.cells.sides[g.cells.bins[g.cells.runs[i].index].code] = (
            i < best.split.position)
    for i in range(node.n):
        g.goes_left[ids[i]] = g.cells.sides[code_at(column, ids[i])]


cdef inline bint record_set(
    Arena* arena, NodeRecord* record, const Codes* column, const entry_t* ids,
    const uint32_t* table_rows, int64_t n, int64_t n_left
) noexcept nogil:
    """Note which categories went left, from rows that have been parted.

    What the node has not seen goes to the child with more rows, to the right if
    they are equal. `column` is the table's, and `table_rows` what `ids` number.
    """
    cdef int64_t i, row, n_categories = column.n_codes - 1
    cdef int64_t n_words = (n_categories + 63) // 64
    cdef uint64_t* words
    cdef uint64_t bit
    cdef uint32_t code
    cdef bint left_is_larger = n_left > n - n_left
    record.missing_left = left_is_larger
    if not reserve_words(arena, n_words):
        return False
    words = arena.words + arena.n_words
    record.set_start = arena.n_words
    arena.n_words += n_words
    memset(words, 255 if left_is_larger else 0, n_words * sizeof(uint64_t))
    for i in range(n):
        row = ids[i] if table_rows == NULL else table_rows[ids[i]]
        code = code_at(column, row)
        if code == column.missing:
            record.missing_left = i < n_left
            continue
        bit = <uint64_t>1 << (code & 63)
        if i < n_left:
            words[code >> 6] |= bit
        else:
            words[code >> 6] &= ~bit
    code = n_categories & 63
    if code:  # no bits past the last category
        words[n_words - 1] &= (<uint64_t>1 << code) - 1
    return True


cdef inline Sides part_node(
    const Codes* column, const Best* best, bint binary, bint finds, entry_t* ids,
    uint32_t* stats, int64_t n, entry_t* spare, uint32_t* spare_stats
) noexcept nogil:
    if column.size == 1 and finds:
        return part_codes(<const uint8_t*>column.codes, column.missing, best, binary,
                          True, ids, stats, n, spare, spare_stats)
    if column.size == 1:
        return part_codes(<const uint8_t*>column.codes, column.missing, best, binary,
                          False, ids, stats, n, spare, spare_stats)
    if column.size == 2:
        return part_codes(<const uint16_t*>column.codes, column.missing, best, binary,
                          finds, ids, stats, n, spare, spare_stats)
    return part_codes(<const uint32_t*>column.codes, column.missing, best, binary,
                      finds, ids, stats, n, spare, spare_stats)


# --- drawn splits -------------------------------------------------------------------

cdef inline int64_t part_kept(
    const narrow_or_wide* keys, narrow_or_wide cut, bint missing_left, bint binary,
    entry_t* ids, uint32_t* stats, int64_t n, entry_t* spare, uint32_t* spare_stats
) noexcept nogil:
    """Part rows by their keys, which stand beside them; return how many go left."""
    cdef narrow_or_wide missing = <narrow_or_wide>(
        0x7FFFFFFF if narrow_or_wide is int32_t else <int64_t>0x7FFFFFFFFFFFFFFF)
    cdef int64_t i, left = 0, right = 0, side
    cdef uint32_t stat
    cdef entry_t row
    for i in range(n):
        row = ids[i]
        side = (keys[i] <= cut) | (missing_left & (keys[i] == missing))
        ids[left] = row
        spare[right] = row
        if binary:
            stat = stats[i]
            stats[left] = stat
            spare_stats[right] = stat
        left += side
        right += 1 - side
    memcpy(ids + left, spare, right * sizeof(entry_t))
    if binary:
        memcpy(stats + left, spare_stats, right * sizeof(uint32_t))
    return left


cdef inline void mark_kept(
    const narrow_or_wide* keys, narrow_or_wide cut, bint missing_left,
    const entry_t* ids, int64_t n, uint8_t* goes_left
) noexcept nogil:
    """Write each row's side, by row."""
    cdef narrow_or_wide missing = <narrow_or_wide>(
        0x7FFFFFFF if narrow_or_wide is int32_t else <int64_t>0x7FFFFFFFFFFFFFFF)
    cdef int64_t i
    for i in range(n):
        goes_left[ids[i]] = (keys[i] <= cut) | (missing_left & (keys[i] == missing))


cdef inline int64_t part_drawn(
    Grower* g, const Feature* feature, const Split* split, const Target* target,
    entry_t* ids, uint32_t* stats, int64_t n, entry_t* spare
) noexcept nogil:
    """Part the rows of a node by its drawn split, in each of their orders."""
    cdef int64_t o
    # Sides of categories are 0 and 1.
    cdef int64_t cut = 0 if feature.categorical else split.position
    cdef bint narrow = feature.categorical or feature.key_size == sizeof(int32_t)
    cdef bint missing_left = split.missing_left and not feature.categorical
    cdef bint binary = stats != NULL
    for o in range(1, target.n_orders):
        if o == 1:
            if narrow:
                mark_kept(<const int32_t*>g.draws.kept, <int32_t>cut, missing_left,
                          ids, n, g.goes_left)
            else:
                mark_kept(<const int64_t*>g.draws.kept, cut, missing_left, ids, n,
                          g.goes_left)
        part_marked(g.goes_left, False, ids + o * target.stride, NULL, n, spare, NULL)
    if narrow:
        return part_kept(<const int32_t*>g.draws.kept, <int32_t>cut, missing_left,
                         binary, ids, stats, n, spare, g.spare_stats)
    return part_kept(<const int64_t*>g.draws.kept, cut, missing_left, binary, ids,
                     stats, n, spare, g.spare_stats)
