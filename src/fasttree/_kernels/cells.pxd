"""A column's codes in a node: which occur, and the rows in order of them.

A node is a list of rows; a column is looked at through its codes. The rows are
added up in one *cell* per code, see prefixes.pxd, or sorted. A node costs what it
holds, however many codes there are:

    a handful of rows    are sorted by comparing all of them: few_rows.pxd
    rows in plenty       all cells are swept, without branches
    rows in between      a bitmap of two levels tells which cells were hit

Cells are zeroed as they are read.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from fasttree._kernels.bits cimport trailing_zeros
from fasttree._kernels.few_rows cimport (
    MOST_RANKED_CODES,
    RANKED_ROWS,
)
from fasttree._kernels.histogram cimport fasttree_prefetch
from fasttree._kernels.scan cimport Run
from fasttree._kernels.types cimport CLASSES, Split, Target, code_t, entry_t

cdef enum:
    FEW_ROWS = 16             # sorted by insertion
    CLASS_CELLS = 8           # of a row: more are not swept
    MOST_STAT_WEIGHT = 0xFFFF     # of a row that is counted
    MOST_STAT_TOTAL = 1 << 24     # of all: squares of two sums are exact in float64

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

# Sums of the rows of one category.
cdef struct Bin:
    int64_t weight
    int64_t sum               # BINARY: weight of class 1; REGRESSION: of values
    uint32_t code
    uint32_t rows

# A thread's memory for one column of one node.
cdef struct CellSpace:
    uint64_t* cells           # (n_codes, 2) zeroed; BINARY uses one of two
    uint32_t* classes         # zeroed; CLASSES: see class_cells.pxd
    int64_t n_class_cells
    uint64_t* ordered         # (n_rows or RANKED_ROWS, + 1) code << 32 | stat
    uint32_t* rows            # (n_codes,) zeroed
    uint64_t* hit             # (n_codes / 64,) bit by code, zeroed
    uint64_t* blocks          # (n_codes / 4096,) bit by word of `hit`, zeroed
    uint32_t* before          # (n_codes / 64,) codes hit before a word of `hit`
    # By place among the codes that occur; sums are of all codes up to this one.
    uint32_t* codes
    int64_t* weights          # BINARY: packed, that of class 1 in the upper half
    int64_t* sums
    uint32_t* counts          # rows
    double* left              # terms of the scores
    double* right
    double* score
    Bin* bins                 # (n_codes,)
    Run* runs                 # (n_codes,)
    uint8_t* sides            # (n_codes,) of categories: 1 goes left

# The best split of a node, and what it sends to the left.
cdef struct Best:
    Split split
    int64_t left_weight       # but for CLASSES
    int64_t left_sum


cdef inline bint reserve_cells(
    CellSpace* space, const Target* target, int64_t n_codes, int64_t n_rows
) noexcept nogil:
    """Allocate for codes below `n_codes`; to be freed whatever is returned."""
    cdef int64_t n = n_codes + RANKED_ROWS + 1, lanes
    cdef bint by_class = target.kind == CLASSES
    space.n_class_cells = 0
    if by_class:
        # No more cells than are ever looked at: see `sweeps_classes`.
        lanes = class_lanes(target.n_classes)
        space.n_class_cells = min(n_codes * lanes, CLASS_CELLS * n_rows)
    space.cells = <uint64_t*>calloc(2 * n, sizeof(uint64_t))
    space.classes = <uint32_t*>calloc(space.n_class_cells + 1, sizeof(uint32_t))
    space.ordered = <uint64_t*>calloc(
        max(n_rows if by_class else 0, <int64_t>RANKED_ROWS) + 1, sizeof(uint64_t))
    space.rows = <uint32_t*>calloc(n, sizeof(uint32_t))
    space.hit = <uint64_t*>calloc(n // 64 + 2, sizeof(uint64_t))
    space.blocks = <uint64_t*>calloc(n // 4096 + 2, sizeof(uint64_t))
    space.before = <uint32_t*>calloc(n // 64 + 2, sizeof(uint32_t))
    space.codes = <uint32_t*>calloc(n, sizeof(uint32_t))
    space.weights = <int64_t*>calloc(n, sizeof(int64_t))
    space.sums = <int64_t*>calloc(n, sizeof(int64_t))
    space.counts = <uint32_t*>calloc(n, sizeof(uint32_t))
    space.left = <double*>calloc(n, sizeof(double))
    space.right = <double*>calloc(n, sizeof(double))
    space.score = <double*>calloc(n, sizeof(double))
    space.bins = <Bin*>calloc(n, sizeof(Bin))
    space.runs = <Run*>calloc(n, sizeof(Run))
    space.sides = <uint8_t*>calloc(n, 1)
    return (space.cells != NULL and space.classes != NULL and space.ordered != NULL
            and space.rows != NULL and space.hit != NULL
            and space.blocks != NULL and space.before != NULL
            and space.codes != NULL and space.weights != NULL and space.sums != NULL
            and space.counts != NULL and space.left != NULL and space.right != NULL
            and space.score != NULL and space.bins != NULL and space.runs != NULL and space.sides != NULL)


cdef inline void free_cells(CellSpace* space) noexcept nogil:
    free(space.cells)
    free(space.classes)
    free(space.ordered)
    free(space.rows)
    free(space.hit)
    free(space.blocks)
    free(space.before)
    free(space.codes)
    free(space.weights)
    free(space.sums)
    free(space.counts)
    free(space.left)
    free(space.right)
    free(space.score)
    free(space.bins)
    free(space.runs)
    free(space.sides)


cdef inline int64_t class_lanes(int64_t n_classes) noexcept nogil:
    """Cells of one code: whole vectors of classes."""
    return (n_classes + 7) & ~<int64_t>7


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


cdef inline bint ranks(uint32_t n_codes, int64_t n) noexcept nogil:
    """Whether rows are so few that they are best sorted by comparing all of them."""
    return n <= RANKED_ROWS and n < n_codes and n_codes <= MOST_RANKED_CODES


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
    if n <= FEW_ROWS:
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
