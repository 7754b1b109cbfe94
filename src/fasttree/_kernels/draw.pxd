"""Splits drawn at random: one candidate a feature, as in extremely randomized trees
(Geurts, Ernst and Wehenkel 2006).

Nothing is sorted. A node is a list of rows, and a column is looked at through its
*keys*: see keys.pxd. The numbers drawn for a feature in a node depend on the
node's key and the feature alone:

    node_draw = mix(key ^ 0x9FB21C651E98DF25)
    h         = mix(node_draw + feature * 0xA24BAED4963EE407)
    u         = (h >> 11) / 2**53         place between smallest and largest value
    h & 1                                 missing values go left
    g         = mix(h + code + attempt * 0xA24BAED4963EE407);  g >> 63
                                          category goes left

Sides of categories are drawn again until there are two; small ones are pooled
and share the code 2**32 - 1 there.
"""

from libc.math cimport INFINITY, NAN
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from fasttree._kernels.absolute cimport (
    HalfSums,
    add_to_halves,
    begin_halves,
    cost_of_halves,
    median_of_halves,
)
from fasttree._kernels.impurity cimport (
    ClassSums,
    nlogn,
    score_binary,
    score_classes,
    score_sums,
)
from fasttree._kernels.keys cimport (
    KeyRange,
    gather_column,
    key_value,
    narrow_or_wide,
    nearest_cut,
    range_of,
    value_key,
)
from fasttree._kernels.monotone cimport (
    Monotone,
    allows_binary,
    allows_classes,
    allows_sums,
    in_order,
    rule_of,
)
from fasttree._kernels.outputs cimport add_row, score_counted, target_of
from fasttree._kernels.random cimport mix
from fasttree._kernels.types cimport (
    ABSOLUTE,
    BINARY,
    CLASSES,
    Feature,
    LABELS,
    Limits,
    NodeStat,
    SUMS,
    Split,
    Target,
    entry_t,
)

cdef enum:
    MAX_ATTEMPTS = 64         # at drawing two sides of categories: 2**-64 fail
    GROUP = 8                 # features whose keys are gathered together

# What a split sends to the left; weight and sum not of CLASSES and several outputs.
cdef struct LeftSide:
    int64_t n                 # rows
    int64_t weight
    int64_t sum               # BINARY: weight of class 1; REGRESSION: of values

# A thread's memory for one node at a time.
cdef struct DrawSpace:
    void* bank[GROUP]         # (capacity,) each: a node's keys, by place
    void* spare               # (capacity,) sides of categories
    void* kept                # (capacity,) keys or sides of the best split so far
    LeftSide side             # of the split at hand
    LeftSide kept_side        # of the best one
    const uint32_t* stats     # (n,) BINARY: weight | weight of class 1 << 16, by place
    int64_t* left             # (n_totals,) zeroed
    int64_t* sizes            # (largest n_codes + 1,) of categories, zeroed
    int64_t* totals           # (n_totals,) of the node
    uint8_t* sides            # (n_rows,) by row, where rows have several orders
    Monotone rule             # of the node

cdef inline bint reserve_draws(
    DrawSpace* space, int64_t capacity, const Target* target, int64_t n_rows,
    int64_t n_codes
) noexcept nogil:
    """Allocate; False if there is no memory. To be freed in either case."""
    cdef int j
    cdef bint allocated = True
    for j in range(GROUP):
        space.bank[j] = calloc(capacity, sizeof(int64_t))
        allocated &= space.bank[j] != NULL
    space.spare = calloc(capacity, sizeof(int64_t))
    space.kept = calloc(capacity, sizeof(int64_t))
    space.left = <int64_t*>calloc(target.n_totals + 1, sizeof(int64_t))
    space.sides = <uint8_t*>calloc(n_rows if target.n_orders > 1 else 1, 1)
    space.sizes = <int64_t*>calloc(n_codes + 1, sizeof(int64_t))
    space.totals = NULL
    space.stats = NULL
    return (allocated and space.spare != NULL and space.kept != NULL
            and space.left != NULL and space.sizes != NULL and space.sides != NULL)


cdef inline void free_draws(DrawSpace* space) noexcept nogil:
    cdef int j
    for j in range(GROUP):
        free(space.bank[j])
    free(space.spare)
    free(space.kept)
    free(space.left)
    free(space.sizes)
    free(space.sides)


# --- random numbers -------------------------------------------------------------

cdef inline uint64_t draw_of_node(uint64_t key) noexcept nogil:
    return mix(key ^ <uint64_t>0x9FB21C651E98DF25)


cdef inline uint64_t draw_of_feature(uint64_t node_draw, int64_t feature) noexcept nogil:
    return mix(node_draw + <uint64_t>feature * <uint64_t>0xA24BAED4963EE407)


cdef inline double draw_between(
    uint64_t h, double low, double high, bint single
) noexcept nogil:
    """A value of [low, high), low < high, and of float32 if `single`."""
    cdef double u = <double>(h >> 11) * (1.0 / 9007199254740992.0)
    # Not low + u * (high - low): the difference may overflow.
    cdef double value = low * (1.0 - u) + high * u
    if single:
        value = <double><float>value
    if not low <= value < high:
        value = low
    return value + 0.0  # no negative zero: its key would differ


# --- the score of a candidate -----------------------------------------------------

cdef inline void sum_halves(
    const narrow_or_wide* keys, const entry_t* rows, int64_t n, narrow_or_wide cut,
    bint missing_left, const Target* target, int64_t weight_left, int64_t weight_right,
    HalfSums* halves,          # OUT (2,) of the right side and of the left one
) noexcept nogil:
    """Sums about the medians of both sides; rows are in order of their targets."""
    cdef narrow_or_wide missing = <narrow_or_wide>(
        0x7FFFFFFF if narrow_or_wide is int32_t else <int64_t>0x7FFFFFFFFFFFFFFF)
    cdef int64_t i, side
    begin_halves(halves, weight_right)
    begin_halves(halves + 1, weight_left)
    for i in range(n):
        side = (keys[i] <= cut) | (missing_left & (keys[i] == missing))
        add_to_halves(halves + side, target, rows[i])


cdef inline int64_t cost_of_outputs(
    const uint8_t* sides, const entry_t* rows, int64_t n, const Target* target,
    int64_t weight_left, int64_t weight_right
) noexcept nogil:
    """As `cost_of_sides`, of all outputs, from each row's side."""
    cdef HalfSums halves[2]
    cdef int64_t i, o, cost = 0
    cdef const entry_t* ordered
    cdef Target own
    for o in range(target.n_outputs):
        own = target_of(target, o)
        ordered = rows + o * target.stride
        begin_halves(halves, weight_right)
        begin_halves(halves + 1, weight_left)
        for i in range(n):
            add_to_halves(halves + sides[ordered[i]], &own, ordered[i])
        cost += cost_of_halves(halves, &own) + cost_of_halves(halves + 1, &own)
    return cost


cdef inline LeftSide count_left(
    const narrow_or_wide* keys, const uint32_t* stats, int64_t n, narrow_or_wide cut,
    bint missing_left
) noexcept nogil:
    """The left side of two classes; without branches, for whole vectors of rows."""
    cdef narrow_or_wide missing = <narrow_or_wide>(
        0x7FFFFFFF if narrow_or_wide is int32_t else <int64_t>0x7FFFFFFFFFFFFFFF)
    cdef LeftSide left
    cdef int64_t i
    cdef uint32_t side, stat, count = 0, weight = 0, ones = 0
    if missing_left:
        for i in range(n):
            side = (keys[i] <= cut) | (keys[i] == missing)
            stat = stats[i] & -side
            count += side
            weight += stat & 0xFFFF
            ones += stat >> 16
    else:
        for i in range(n):
            side = keys[i] <= cut
            stat = stats[i] & -side
            count += side
            weight += stat & 0xFFFF
            ones += stat >> 16
    left.n = count
    left.weight = weight
    left.sum = ones
    return left


cdef inline double score_sides(
    const narrow_or_wide* keys, const entry_t* rows, narrow_or_wide cut,
    bint missing_left, const Target* target, const NodeStat* node,
    const Limits* limits, const Monotone* rule, DrawSpace* space
) noexcept nogil:
    """Score with the keys up to `cut` on the left; -inf if a side is too small.

    What goes left is noted in `space.side`.
    """
    cdef narrow_or_wide missing = <narrow_or_wide>(
        0x7FFFFFFF if narrow_or_wide is int32_t else <int64_t>0x7FFFFFFFFFFFFFFF)
    cdef int64_t n = node.n, i, c, row, side, s = 0, w = 0, count = 0, l, r
    cdef HalfSums halves[2]
    cdef bint allowed = True
    cdef ClassSums sums
    cdef double score = -INFINITY
    if target.kind == BINARY:
        space.side = count_left(keys, space.stats, n, cut, missing_left)
        count = space.side.n
        w = space.side.weight
        s = space.side.sum
        if (count < limits.min_samples_leaf or n - count < limits.min_samples_leaf
                or w < limits.min_weight_leaf
                or node.weight - w < limits.min_weight_leaf
                or not allows_binary(rule, node, w, s)):
            return -INFINITY
        return score_binary(target.entropy, target.nlogn, w - s, s,
                            node.weight - node.sum - (w - s), node.sum - s)
    for i in range(n):
        row = rows[i]
        side = (keys[i] <= cut) | (missing_left & (keys[i] == missing))
        count += side
        l = side if target.weight == NULL else side * target.weight[row]
        w += l
        if target.kind == CLASSES:
            space.left[target.label[row]] += l
        elif target.kind >= LABELS:
            if target.n_orders > 1:
                space.sides[row] = <uint8_t>side
            elif side:
                add_row(target, space.left, row, l)
        else:
            s += target.value[row] & -side
    space.side.n = count
    space.side.weight = w
    space.side.sum = s
    if target.kind >= LABELS and target.n_orders == 1:
        score = score_counted(target, rows, n, space.totals, space.left, w, node.weight)
    if target.kind == CLASSES:
        sums.left = 0.0
        sums.right = 0.0
        sums.weight = w
        if 0 < w < node.weight:
            allowed = allows_classes(rule, node, space.totals, space.left, w, False)
        for i in range(min(n, <int64_t>target.n_classes)):
            # Each class once: by number, or by its rows where they are fewer.
            c = i if n >= target.n_classes else target.label[rows[i]]
            l = space.left[c]
            if l < 0:
                continue
            r = space.totals[c] - l
            if target.entropy:
                sums.left += nlogn(target, l)
                sums.right += nlogn(target, r)
            else:
                sums.left += <double>l * <double>l
                sums.right += <double>r * <double>r
            space.left[c] = 0 if n >= target.n_classes else -1
        if n < target.n_classes:
            for i in range(n):
                space.left[target.label[rows[i]]] = 0
    if (count < limits.min_samples_leaf or n - count < limits.min_samples_leaf
            or w < limits.min_weight_leaf
            or node.weight - w < limits.min_weight_leaf or not allowed):
        return -INFINITY
    if target.kind == CLASSES:
        return score_classes(target, node, &sums)
    if target.kind == SUMS and target.loss == ABSOLUTE:
        return -<double>cost_of_outputs(space.sides, rows, n, target, w,
                                        node.weight - w)
    if target.kind >= LABELS:
        return score
    if target.loss == ABSOLUTE:
        sum_halves(keys, rows, n, cut, missing_left, target, w, node.weight - w, halves)
        if rule != NULL and not in_order(rule, 0, median_of_halves(halves + 1, target),
                                         median_of_halves(halves, target)):
            return -INFINITY
        return -<double>(cost_of_halves(halves, target)
                         + cost_of_halves(halves + 1, target))
    if not allows_sums(rule, node, s, w):
        return -INFINITY
    return score_sums(target.loss, node, s, w)


# --- one feature ------------------------------------------------------------------

cdef inline void keep_split(DrawSpace* space, void** keys) noexcept nogil:
    """The split at hand, of these keys or sides, is the best so far."""
    cdef void* other = space.kept
    space.kept = keys[0]
    keys[0] = other
    space.kept_side = space.side


cdef inline bint draw_cut(
    const Feature* feature, int32_t index, narrow_or_wide** keys, const entry_t* rows,
    uint64_t h, const Target* target, const NodeStat* node, const Limits* limits,
    const Monotone* rule, DrawSpace* space, Split* best
) noexcept nogil:
    cdef KeyRange seen = range_of(keys[0], node.n, feature.has_missing)
    cdef bint missing_left = seen.n_missing > 0 and h & 1
    cdef double threshold = INFINITY, score
    cdef int64_t cut
    if seen.n_missing == node.n or (seen.low == seen.high and seen.n_missing == 0):
        return False
    if seen.low == seen.high:
        cut = seen.high  # the one split there is: the missing values on the right
        missing_left = False
    elif feature.lower == NULL:
        threshold = draw_between(h, key_value(<narrow_or_wide>seen.low),
                                 key_value(<narrow_or_wide>seen.high), feature.single)
        cut = value_key(threshold, narrow_or_wide is int32_t)
    else:
        threshold = draw_between(h, feature.lower[seen.low],
                                 feature.upper[seen.high], feature.single)
        cut = nearest_cut(feature, seen.low, seen.high, &threshold)
    score = score_sides(keys[0], rows, <narrow_or_wide>cut, missing_left, target, node,
                        limits, rule, space)
    if score > best.score:
        best.score = score
        best.feature = index
        best.position = cut
        best.threshold = threshold
        best.missing_left = (missing_left if seen.n_missing > 0
                             else space.side.n > node.n - space.side.n)
        keep_split(space, <void**>keys)
    return True


cdef inline int32_t draw_side(
    const int64_t* sizes, int64_t min_category, int64_t code, uint64_t h,
    int64_t attempt
) noexcept nogil:
    """0: the category goes left; 1: it goes right."""
    cdef uint64_t drawn = <uint64_t>code
    if sizes[code] < min_category:
        drawn = 0xFFFFFFFF
    drawn += <uint64_t>attempt * <uint64_t>0xA24BAED4963EE407
    return <int32_t>(1 - (mix(h + drawn) >> 63))


cdef inline bint draw_set(
    int32_t index, const int32_t* codes, const entry_t* rows, uint64_t h,
    const Target* target, const NodeStat* node, const Limits* limits,
    DrawSpace* space, Split* best
) noexcept nogil:
    cdef int32_t* sides = <int32_t*>space.spare
    cdef int64_t n = node.n, i, attempt, first = -1, group
    cdef int32_t low, high
    cdef bint varies = False, two_groups = False
    cdef double score
    for i in range(n):
        space.sizes[codes[i]] += 1
    for i in range(n):
        group = codes[i]
        varies |= group != codes[0]
        if space.sizes[group] < limits.min_samples_category:
            group = 0xFFFFFFFF
        two_groups |= first >= 0 and group != first
        first = group
    if two_groups:
        for attempt in range(MAX_ATTEMPTS):
            low = 1
            high = 0
            for i in range(n):
                sides[i] = draw_side(space.sizes, limits.min_samples_category,
                                     codes[i], h, attempt)
                low &= sides[i]
                high |= sides[i]
            if low < high:
                score = score_sides(sides, rows, <int32_t>0, False, target, node,
                                    limits, NULL, space)
                if score > best.score:
                    best.score = score
                    best.feature = index
                    best.position = attempt
                    best.threshold = NAN
                    keep_split(space, &space.spare)
                break
    for i in range(n):
        space.sizes[codes[i]] = 0
    return varies


cdef inline bint draw_gathered(
    const Feature* feature, int32_t index, void** keys, const entry_t* rows,
    uint64_t node_draw, const Target* target, const NodeStat* node,
    const Limits* limits, DrawSpace* space, Split* best
) noexcept nogil:
    """Try a column's one candidate; False if the column is constant in the node.

    `keys` are those of the node, by place, and change places with `kept` where they
    win. `space` holds the node's `stats` or `totals`, and its `rule`, already.
    """
    cdef uint64_t h = draw_of_feature(node_draw, index)
    cdef const Monotone* rule = rule_of(&space.rule, limits, feature, index)
    if feature.categorical:
        return draw_set(index, <const int32_t*>keys[0], rows, h, target, node, limits,
                        space, best)
    if feature.key_size == sizeof(int32_t):
        return draw_cut(feature, index, <int32_t**>keys, rows, h, target, node, limits,
                        rule, space, best)
    return draw_cut(feature, index, <int64_t**>keys, rows, h, target, node, limits,
                    rule, space, best)


cdef inline bint draw_feature(
    const Feature* feature, int32_t index, const entry_t* rows, uint64_t node_draw,
    const Target* target, const NodeStat* node, const Limits* limits, DrawSpace* space,
    Split* best
) noexcept nogil:
    """As `draw_gathered`, of the table's column."""
    if feature.key_size == sizeof(int32_t):
        gather_column(<const int32_t*>feature.keys, rows, node.n,
                      <int32_t*>space.bank[0])
    else:
        gather_column(<const int64_t*>feature.keys, rows, node.n,
                      <int64_t*>space.bank[0])
    return draw_gathered(feature, index, &space.bank[0], rows, node_draw, target, node,
                         limits, space, best)
