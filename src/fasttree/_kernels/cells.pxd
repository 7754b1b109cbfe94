"""Counting a node's rows by code, and the best split of the counts.

A node is a list of rows; a column is looked at through its codes. The rows are
added up in one *cell* per code, and the cells that were hit become *bins*, in
order of their codes. A node costs what it holds, however many codes there are:

    a handful of rows    are sorted by insertion
    rows in plenty       all cells are swept, without branches
    rows in between      a bitmap of two levels tells which cells were hit

Cells are zeroed as they are read. The order of candidates and the ties are those
of scan.pxd: missing values right, then left; a strictly higher score wins.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, qsort

from fasttree._kernels.bits cimport trailing_zeros
from fasttree._kernels.histogram cimport fasttree_prefetch
from fasttree._kernels.impurity cimport score_binary, score_sums
from fasttree._kernels.scan cimport Run
from fasttree._kernels.scan_categories cimport compare_runs
from fasttree._kernels.types cimport (
    BINARY,
    Limits,
    NodeStat,
    POISSON,
    REGRESSION,
    SQUARED,
    Split,
    Target,
    entry_t,
)

ctypedef fused code_t:
    uint8_t
    uint16_t
    uint32_t

cdef enum:
    FEW_ROWS = 8              # sorted by insertion

cdef extern from *:
    """
    #if defined(_MSC_VER) && !defined(__clang__)
    #include <intrin.h>
    #define fasttree_count_ones(x) ((int)__popcnt64(x))
    #else
    #define fasttree_count_ones(x) __builtin_popcountll(x)
    #endif
    """
    int count_ones "fasttree_count_ones"(uint64_t x) noexcept nogil

# A column's codes by row: of the table, or of a node's own copy.
cdef struct Codes:
    const void* codes
    uint32_t n_codes          # codes are below it, that of a missing value too
    uint32_t missing          # code of a missing value, or more than any
    uint8_t size              # bytes of a code
    uint8_t categorical
    uint8_t monotone          # a constraint speaks of the column

# Sums of the rows of one code.
cdef struct Bin:
    int64_t weight
    int64_t sum               # BINARY: weight of class 1; REGRESSION: of values
    uint32_t code
    uint32_t rows             # only where they are asked for

# A thread's memory for one column of one node.
cdef struct CellSpace:
    uint64_t* cells           # (n_codes, 2) zeroed; BINARY uses one of two
    uint32_t* rows            # (n_codes,) zeroed
    uint64_t* hit             # (n_codes / 64,) bit by code, zeroed
    uint64_t* blocks          # (n_codes / 4096,) bit by word of `hit`, zeroed
    uint32_t* before          # (n_codes / 64,) codes hit before a word of `hit`
    uint32_t* codes           # (n_codes,) that were hit
    Bin* bins                 # (n_codes,)
    Run* runs                 # (n_codes,)
    uint8_t* sides            # (n_codes,) of categories: 1 goes left

# The best split of a node, and what it sends to the left.
cdef struct Best:
    Split split
    int64_t left_weight       # but for CLASSES
    int64_t left_sum


cdef inline bint reserve_cells(CellSpace* space, int64_t n_codes) noexcept nogil:
    """Allocate for codes below `n_codes`; to be freed whatever is returned."""
    cdef int64_t n = n_codes + FEW_ROWS + 1
    space.cells = <uint64_t*>calloc(2 * n, sizeof(uint64_t))
    space.rows = <uint32_t*>calloc(n, sizeof(uint32_t))
    space.hit = <uint64_t*>calloc(n // 64 + 2, sizeof(uint64_t))
    space.blocks = <uint64_t*>calloc(n // 4096 + 2, sizeof(uint64_t))
    space.before = <uint32_t*>calloc(n // 64 + 2, sizeof(uint32_t))
    space.codes = <uint32_t*>calloc(n, sizeof(uint32_t))
    space.bins = <Bin*>calloc(n, sizeof(Bin))
    space.runs = <Run*>calloc(n, sizeof(Run))
    space.sides = <uint8_t*>calloc(n, 1)
    return (space.cells != NULL and space.rows != NULL and space.hit != NULL
            and space.blocks != NULL and space.before != NULL
            and space.codes != NULL and space.bins != NULL and space.runs != NULL
            and space.sides != NULL)


cdef inline void free_cells(CellSpace* space) noexcept nogil:
    free(space.cells)
    free(space.rows)
    free(space.hit)
    free(space.blocks)
    free(space.before)
    free(space.codes)
    free(space.bins)
    free(space.runs)
    free(space.sides)


# --- which codes occur ----------------------------------------------------------

cdef inline void hit_code(CellSpace* space, uint32_t code) noexcept nogil:
    space.hit[code >> 6] |= <uint64_t>1 << (code & 63)
    space.blocks[code >> 12] |= <uint64_t>1 << (code >> 6 & 63)


cdef inline int64_t list_hit(CellSpace* space, uint32_t n_codes) noexcept nogil:
    """Write the codes that were hit, ascending, and forget them."""
    cdef int64_t count = 0, block, word
    cdef uint64_t words, bits
    for block in range((<int64_t>n_codes >> 12) + 1):
        words = space.blocks[block]
        space.blocks[block] = 0
        while words:
            word = 64 * block + trailing_zeros(words)
            words &= words - 1
            bits = space.hit[word]
            space.hit[word] = 0
            while bits:
                space.codes[count] = <uint32_t>(64 * word + trailing_zeros(bits))
                bits &= bits - 1
                count += 1
    return count


cdef inline bint sweeps(uint32_t n_codes, int64_t n) noexcept nogil:
    """Whether looking at every cell costs less than marking those that are hit."""
    return n_codes <= 2 * n


# --- two classes ------------------------------------------------------------------

cdef inline int64_t sort_few(
    const code_t* codes, const entry_t* ids, const uint32_t* stats, int64_t n, Bin* bins
) noexcept nogil:
    cdef uint64_t keys[FEW_ROWS]
    cdef uint64_t key
    cdef int64_t i, j, count = -1
    cdef uint32_t code
    for i in range(n):
        key = <uint64_t>codes[ids[i]] << 32 | stats[i]
        j = i
        while j > 0 and keys[j - 1] > key:
            keys[j] = keys[j - 1]
            j -= 1
        keys[j] = key
    for i in range(n):
        code = <uint32_t>(keys[i] >> 32)
        if count < 0 or bins[count].code != code:
            count += 1
            bins[count].code = code
            bins[count].weight = 0
            bins[count].sum = 0
            bins[count].rows = 0
        bins[count].weight += keys[i] & 0xFFFF
        bins[count].sum += keys[i] >> 16 & 0xFFFF
        bins[count].rows += 1
    return count + 1


cdef inline uint64_t spread(uint32_t stat) noexcept nogil:
    """A row's weight in the lower half, that of class 1 in the upper one."""
    return (stat & 0xFFFF) | <uint64_t>(stat >> 16) << 32


cdef inline int64_t count_binary(
    const code_t* codes, uint32_t n_codes, const entry_t* ids,
    const uint32_t* stats,     # (n,) weight | weight of class 1 << 16, by place
    int64_t n, bint with_rows, CellSpace* space
) noexcept nogil:
    """Write the node's bins; return how many."""
    cdef uint64_t* cells = space.cells
    cdef uint64_t cell
    cdef Bin* bins = space.bins
    cdef int64_t i, count = 0
    cdef uint32_t code
    if n <= FEW_ROWS:
        return sort_few(codes, ids, stats, n, bins)
    if sweeps(n_codes, n):
        if entry_t is uint32_t:
            for i in range(n):
                if i + 24 < n:
                    fasttree_prefetch(codes + ids[i + 24])
                cells[codes[ids[i]]] += spread(stats[i])
        else:
            for i in range(n):
                cells[codes[ids[i]]] += spread(stats[i])
        for i in range(n_codes):
            cell = cells[i]
            cells[i] = 0
            bins[count].code = <uint32_t>i
            bins[count].weight = <uint32_t>cell
            bins[count].sum = cell >> 32
            count += cell != 0
    else:
        for i in range(n):
            code = codes[ids[i]]
            cells[code] += spread(stats[i])
            hit_code(space, code)
        count = list_hit(space, n_codes)
        for i in range(count):
            code = space.codes[i]
            cell = cells[code]
            cells[code] = 0
            bins[i].code = code
            bins[i].weight = <uint32_t>cell
            bins[i].sum = cell >> 32
    if with_rows:
        count_rows(codes, ids, n, count, space)
    return count


cdef inline void count_rows(
    const code_t* codes, const entry_t* ids, int64_t n, int64_t count, CellSpace* space
) noexcept nogil:
    cdef int64_t i
    for i in range(n):
        space.rows[codes[ids[i]]] += 1
    for i in range(count):
        space.bins[i].rows = space.rows[space.bins[i].code]
        space.rows[space.bins[i].code] = 0


# --- regression -------------------------------------------------------------------

cdef inline int64_t sum_values(
    const code_t* codes, uint32_t n_codes, const entry_t* ids, int64_t n,
    const int64_t* value, const int64_t* weight, bint with_rows, CellSpace* space
) noexcept nogil:
    """As `count_binary`; `value` is by row, and so is `weight`, or NULL."""
    cdef int64_t* cells = <int64_t*>space.cells
    cdef int64_t* cell
    cdef Bin* bins = space.bins
    cdef int64_t i, count = 0
    cdef uint32_t code
    cdef bint swept = sweeps(n_codes, n)
    for i in range(n):
        if entry_t is uint32_t:
            if i + 24 < n:
                fasttree_prefetch(codes + ids[i + 24])
                fasttree_prefetch(value + ids[i + 24])
        code = codes[ids[i]]
        cell = cells + 2 * <int64_t>code
        cell[0] += value[ids[i]]
        cell[1] += 1 if weight == NULL else weight[ids[i]]
        if not swept:
            hit_code(space, code)
    if swept:
        for i in range(n_codes):
            bins[count].code = <uint32_t>i
            bins[count].sum = cells[2 * i]
            bins[count].weight = cells[2 * i + 1]
            count += cells[2 * i + 1] != 0
            cells[2 * i] = 0
            cells[2 * i + 1] = 0
    else:
        count = list_hit(space, n_codes)
        for i in range(count):
            code = space.codes[i]
            cell = cells + 2 * <int64_t>code
            bins[i].code = code
            bins[i].sum = cell[0]
            bins[i].weight = cell[1]
            cell[0] = 0
            cell[1] = 0
    if with_rows:
        count_rows(codes, ids, n, count, space)
    return count


# --- the best split of the bins -----------------------------------------------------

cdef inline double score_left(
    const Target* target, const NodeStat* node, int64_t weight, int64_t sum
) noexcept nogil:
    if target.kind == BINARY:
        return score_binary(
            target.entropy, target.nlogn, weight - sum, sum,
            node.weight - node.sum - (weight - sum), node.sum - sum)
    return score_sums(target.loss, node, sum, weight)


cdef inline void scan_bins(
    const Bin* bins, int64_t count, uint32_t missing, bint checked, bint entropy,
    int loss, const Target* target, const NodeStat* node, const Limits* limits, int32_t feature,
    Best* best
) noexcept nogil:
    """Numeric columns. `checked` is whether any limit on leaves applies."""
    cdef bint has_missing = bins[count - 1].code == missing
    cdef int64_t present = count - has_missing, i, stop, chosen, w, s, rows
    cdef int64_t all1 = node.sum, all0 = node.weight - node.sum
    cdef int64_t chosen_w = 0, chosen_s = 0
    cdef int direction
    cdef double score, best_score = best.split.score
    for direction in range(2 if has_missing else 1):
        w = s = rows = 0
        stop = count - 1
        if direction:
            w = bins[present].weight
            s = bins[present].sum
            rows = bins[present].rows
            stop = present - 1
        chosen = -1
        for i in range(stop):
            w += bins[i].weight
            s += bins[i].sum
            if checked:
                rows += bins[i].rows
                if (rows < limits.min_samples_leaf
                        or node.n - rows < limits.min_samples_leaf
                        or w < limits.min_weight_leaf
                        or node.weight - w < limits.min_weight_leaf):
                    continue
            if target.kind == BINARY:
                score = score_binary(entropy, target.nlogn, w - s, s,
                                     all0 - (w - s), all1 - s)
            else:
                score = score_sums(loss, node, s, w)
            if score > best_score:
                best_score = score
                chosen = i
                chosen_w = w
                chosen_s = s
        if chosen >= 0:
            best.split.score = best_score
            best.split.feature = feature
            best.split.code_low = bins[chosen].code
            best.split.code_high = bins[chosen + 1].code
            best.split.missing_left = direction
            best.left_weight = chosen_w
            best.left_sum = chosen_s


cdef inline void sort_bins(
    const Bin* bins, int64_t count, int64_t min_category, Run* runs
) noexcept nogil:
    """Order categories by their mean response, small ones pooled: as sort_runs."""
    cdef int64_t i, pool_s = 0, pool_w = 0
    cdef double pool_key = 0.0
    for i in range(count):
        runs[i].key = <double>bins[i].sum / <double>bins[i].weight
        runs[i].index = <int32_t>i
        runs[i].pooled = bins[i].rows < min_category
        if runs[i].pooled:
            pool_s += bins[i].sum
            pool_w += bins[i].weight
    if pool_w > 0:
        pool_key = <double>pool_s / <double>pool_w
        for i in range(count):
            if runs[i].pooled:
                runs[i].key = pool_key
    qsort(runs, count, sizeof(Run), compare_runs)


cdef inline void scan_category_bins(
    const Target* target, const NodeStat* node, const Limits* limits, int32_t feature,
    int64_t count, CellSpace* space, Best* best
) noexcept nogil:
    """The best subset is a prefix of this order; a missing value is a category."""
    cdef const Bin* item
    cdef const Run* runs = space.runs
    cdef int64_t i, w = 0, s = 0, rows = 0
    cdef double score
    sort_bins(space.bins, count, limits.min_samples_category, space.runs)
    for i in range(count - 1):
        item = space.bins + runs[i].index
        w += item.weight
        s += item.sum
        rows += item.rows
        if runs[i].pooled and runs[i + 1].pooled:
            continue
        if (rows < limits.min_samples_leaf or node.n - rows < limits.min_samples_leaf
                or w < limits.min_weight_leaf
                or node.weight - w < limits.min_weight_leaf):
            continue
        score = score_left(target, node, w, s)
        if score > best.split.score:
            best.split.score = score
            best.split.feature = feature
            best.split.position = i + 1
            best.split.missing_left = 0
            best.left_weight = w
            best.left_sum = s


cdef inline int64_t count_bins(
    const Codes* column, const entry_t* ids, const uint32_t* stats, int64_t n,
    const Target* target, bint with_rows, CellSpace* space
) noexcept nogil:
    """Write a node's bins of a column, for BINARY and sums."""
    if target.kind == BINARY:
        if column.size == 1:
            return count_binary(<const uint8_t*>column.codes, column.n_codes, ids, stats,
                                n, with_rows, space)
        if column.size == 2:
            return count_binary(<const uint16_t*>column.codes, column.n_codes, ids,
                                stats, n, with_rows, space)
        return count_binary(<const uint32_t*>column.codes, column.n_codes, ids, stats, n,
                            with_rows, space)
    if column.size == 1:
        return sum_values(<const uint8_t*>column.codes, column.n_codes, ids, n,
                          target.value, target.weight, with_rows, space)
    if column.size == 2:
        return sum_values(<const uint16_t*>column.codes, column.n_codes, ids, n,
                          target.value, target.weight, with_rows, space)
    return sum_values(<const uint32_t*>column.codes, column.n_codes, ids, n,
                      target.value, target.weight, with_rows, space)


cdef inline bint try_bins(
    const Codes* column, int32_t feature, const entry_t* ids, const uint32_t* stats,
    const Target* target, const NodeStat* node, const Limits* limits,
    CellSpace* space, Best* best
) noexcept nogil:
    """Search a column, for BINARY and sums; False if it is constant."""
    cdef bint checked = limits.min_samples_leaf > 1 or limits.min_weight_leaf > 0
    cdef bint with_rows = column.categorical or checked
    cdef int64_t count = count_bins(column, ids, stats, node.n, target, with_rows, space)
    if count < 2:
        return False
    if column.categorical:
        scan_category_bins(target, node, limits, feature, count, space, best)
    elif checked:
        scan_bins(space.bins, count, column.missing, True, target.entropy, target.loss,
                  target, node, limits, feature, best)
    elif target.kind == REGRESSION and target.loss == SQUARED:
        scan_bins(space.bins, count, column.missing, False, False, SQUARED, target, node,
                  limits, feature, best)
    elif target.kind == REGRESSION:
        scan_bins(space.bins, count, column.missing, False, False, POISSON, target, node,
                  limits, feature, best)
    elif target.entropy:
        scan_bins(space.bins, count, column.missing, False, True, SQUARED, target, node,
                  limits, feature, best)
    else:
        scan_bins(space.bins, count, column.missing, False, False, SQUARED, target, node,
                  limits, feature, best)
    return True


# --- rows in order of their codes -----------------------------------------------------

cdef inline void sort_rows(
    const code_t* codes, uint32_t n_codes, uint32_t missing, const entry_t* ids,
    int64_t n, CellSpace* space,
    entry_t* entries,          # OUT (n,) as types.pxd describes them, without ONE
) noexcept nogil:
    cdef uint32_t* place = space.rows
    cdef entry_t new = <entry_t>1 << (8 * sizeof(entry_t) - 1)
    cdef entry_t is_missing = new >> 1
    cdef int64_t i, j, count
    cdef uint32_t code, start = 0, size
    if n <= 2 * FEW_ROWS:
        for i in range(n):
            code = codes[ids[i]]
            j = i
            while j > 0 and codes[entries[j - 1]] > code:
                entries[j] = entries[j - 1]
                j -= 1
            entries[j] = ids[i]
        for i in range(n - 1, -1, -1):
            code = codes[entries[i]]
            if i == 0 or codes[entries[i - 1]] != code:
                entries[i] |= new
            if code == missing:
                entries[i] |= is_missing
        return
    if sweeps(n_codes, n):
        for i in range(n):
            place[codes[ids[i]]] += 1
        for i in range(n_codes):
            size = place[i]
            place[i] = start
            start += size
        for i in range(n):
            code = codes[ids[i]]
            entries[place[code]] = ids[i]
            place[code] += 1
        start = 0
        for i in range(n_codes):
            # Now `place` is where the code's entries end.
            if place[i] > start:
                entries[start] |= new
                if <uint32_t>i == missing:
                    for j in range(start, place[i]):
                        entries[j] |= is_missing
                start = place[i]
            place[i] = 0
        return
    for i in range(n):
        code = codes[ids[i]]
        place[code] += 1
        hit_code(space, code)
    count = list_hit(space, n_codes)
    for i in range(count):
        code = space.codes[i]
        size = place[code]
        place[code] = start
        start += size
    for i in range(n):
        code = codes[ids[i]]
        entries[place[code]] = ids[i]
        place[code] += 1
    start = 0
    for i in range(count):
        code = space.codes[i]
        entries[start] |= new
        if code == missing:
            for j in range(start, place[code]):
                entries[j] |= is_missing
        start = place[code]
        place[code] = 0


cdef inline void sort_node(
    const Codes* column, const entry_t* ids, int64_t n, CellSpace* space,
    entry_t* entries
) noexcept nogil:
    if column.size == 1:
        sort_rows(<const uint8_t*>column.codes, column.n_codes, column.missing, ids, n,
                  space, entries)
    elif column.size == 2:
        sort_rows(<const uint16_t*>column.codes, column.n_codes, column.missing, ids, n,
                  space, entries)
    else:
        sort_rows(<const uint32_t*>column.codes, column.n_codes, column.missing, ids, n,
                  space, entries)


# --- a node's own codes -------------------------------------------------------------

cdef inline uint32_t renumber(
    const code_t* codes, uint32_t n_codes, const uint32_t* rows, int64_t n,
    CellSpace* space, uint16_t* out
) noexcept nogil:
    """Write each row's rank among the codes that occur; return how many do."""
    cdef int64_t i, block, word
    cdef uint64_t words, bits
    cdef uint32_t code, count = 0
    for i in range(n):
        if i + 24 < n:
            fasttree_prefetch(codes + rows[i + 24])
        hit_code(space, codes[rows[i]])
    for block in range((<int64_t>n_codes >> 12) + 1):
        words = space.blocks[block]
        while words:
            word = 64 * block + trailing_zeros(words)
            words &= words - 1
            space.before[word] = count
            count += count_ones(space.hit[word])
    for i in range(n):
        code = codes[rows[i]]
        bits = space.hit[code >> 6] & ((<uint64_t>1 << (code & 63)) - 1)
        out[i] = <uint16_t>(space.before[code >> 6] + count_ones(bits))
    for block in range((<int64_t>n_codes >> 12) + 1):
        words = space.blocks[block]
        space.blocks[block] = 0
        while words:
            space.hit[64 * block + trailing_zeros(words)] = 0
            words &= words - 1
    return count
