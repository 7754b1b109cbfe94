"""Kernels that turn columns of floats into integer codes.

One call works on one column, so that calls can be spread over threads.
"""

from libc.math cimport isinf
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from fasttree._kernels.radix cimport (
    double_key,
    double_of_key,
    radix_sort,
    single_key,
    single_of_key,
)

ctypedef fused floating:
    float
    double

ctypedef fused code_t:
    uint8_t
    uint16_t
    uint32_t

cdef enum:
    ROW_BITS = 30
    COLUMN_BLOCK = 16
    ROW_BLOCK = 64
    LANES = 16
    SLOT_BITS = 10
    SLOTS = 1 << SLOT_BITS

cdef uint64_t HASH = <uint64_t>0x9E3779B97F4A7C15
cdef uint32_t NEW_CODE = <uint32_t>1 << 31
cdef uint32_t MISSING = <uint32_t>1 << 30
cdef uint32_t MISSING_KEY = <uint32_t>0xFFFFFFFF


def transpose(
    const floating[:, :] X, floating[:, ::1] out, Py_ssize_t start, Py_ssize_t stop
):
    """Copy rows `start` to `stop` of `X` into the columns of `out`."""
    cdef Py_ssize_t i, j, row, column, row_stop, column_stop
    cdef Py_ssize_t n_columns = X.shape[1]
    with nogil:
        row = start
        while row < stop:
            row_stop = min(row + ROW_BLOCK, stop)
            column = 0
            while column < n_columns:
                column_stop = min(column + COLUMN_BLOCK, n_columns)
                for j in range(column, column_stop):
                    for i in range(row, row_stop):
                        out[j, i] = X[i, j]
                column = column_stop
            row = row_stop


ctypedef fused signed_key:
    int32_t
    int64_t


def value_keys(const floating[::1] values, signed_key[::1] keys):
    """Write the keys of keys.pxd: integers in the order of the values.

    Keys of float are int32, of double int64. The largest stands for NaN.

    Returns
    -------
    tuple of int
        How many values are missing, and how many infinite.
    """
    cdef Py_ssize_t i, n_missing = 0, n_infinite = 0
    cdef floating value
    cdef signed_key bits, largest
    if sizeof(floating) != sizeof(signed_key):
        raise TypeError("keys must be int32 for float32 values, int64 for float64")
    largest = <signed_key>(
        0x7FFFFFFF if signed_key is int32_t else <int64_t>0x7FFFFFFFFFFFFFFF)
    with nogil:
        for i in range(values.shape[0]):
            value = values[i] + 0  # no negative zero
            memcpy(&bits, &value, sizeof(signed_key))
            bits ^= (bits >> (8 * sizeof(signed_key) - 1)) & largest
            n_infinite += isinf(value) != 0
            n_missing += value != value
            keys[i] = largest if value != value else bits
    return n_missing, n_infinite


def scan_rows(const floating[:, ::1] X, uint32_t[::1] n_missing):
    """Count the missing values of each column, and return that of infinite ones.

    `n_missing` (n_columns,) comes zeroed.
    """
    cdef Py_ssize_t i, j, n_infinite = 0
    cdef uint32_t infinite
    cdef const floating* row
    with nogil:
        for i in range(X.shape[0]):
            row = &X[i, 0]
            infinite = 0
            for j in range(X.shape[1]):
                n_missing[j] += row[j] != row[j]
                # Of an infinite value, and of NaN, the difference is NaN.
                infinite += (row[j] == row[j]) & (row[j] - row[j] != 0)
            n_infinite += infinite
    return n_infinite


cdef Py_ssize_t _order_single(
    const uint64_t* pairs, uint32_t* order, Py_ssize_t n
) noexcept nogil:
    """Write the order of sorted (key, row) pairs and count the distinct keys."""
    cdef Py_ssize_t i, n_distinct = 1
    cdef uint32_t key, is_new
    cdef uint32_t before = <uint32_t>(pairs[0] >> 32)
    for i in range(n):
        key = <uint32_t>(pairs[i] >> 32)
        is_new = key != before
        order[i] = <uint32_t>pairs[i] | (is_new << 31)
        n_distinct += is_new
        before = key
    return n_distinct


cdef Py_ssize_t _order_double(
    const double* values,
    uint64_t* pairs,
    uint64_t* spare,
    uint32_t* order,
    Py_ssize_t n,
) noexcept nogil:
    """As `_order_single`, for pairs sorted by the upper halves of their keys.

    Rows that share the upper half are sorted by the lower one, within `pairs`.
    """
    cdef Py_ssize_t start = 0, stop, i, n_distinct = 0
    cdef uint64_t* run
    cdef uint32_t upper, row, is_new
    while start < n:
        upper = <uint32_t>(pairs[start] >> 32)
        stop = start + 1
        while stop < n and <uint32_t>(pairs[stop] >> 32) == upper:
            stop += 1
        run = pairs + start
        if stop - start > 1:
            for i in range(stop - start):
                row = <uint32_t>run[i]
                run[i] = (double_key(values[row]) << 32) | row
            run = radix_sort(run, spare + start, stop - start)
        order[start] = <uint32_t>run[0] | (NEW_CODE if start else 0)
        n_distinct += 1
        for i in range(1, stop - start):
            is_new = (run[i] >> 32) != (run[i - 1] >> 32)
            order[start + i] = <uint32_t>run[i] | (is_new << 31)
            n_distinct += is_new
        start = stop
    return n_distinct


def presort(
    const floating[::1] values,
    uint64_t[::1] pairs,
    uint64_t[::1] spare,
    uint32_t[::1] order,
):
    """Write the rows in order of value into `order`, with its flags.

    Bit 31 is set where the value differs from the one before, bit 30 where it
    is NaN; NaN come last. `pairs` and `spare` are work space of at least as
    many entries as `values`, which has at least one and fewer than 2**30.

    Returns
    -------
    n_distinct : int
        Number of distinct values, NaN not counted.
    n_missing : int
        Number of NaN.
    """
    cdef Py_ssize_t i, n = values.shape[0], n_missing = 0, n_distinct = 0
    cdef Py_ssize_t n_present
    cdef uint64_t* words = &pairs[0]
    cdef uint64_t* other = &spare[0]
    cdef uint64_t key
    cdef uint32_t flags
    with nogil:
        if floating is float:
            for i in range(n):
                key = single_key(values[i])
                words[i] = (key << 32) | <uint64_t>i
                n_missing += values[i] != values[i]
        else:
            for i in range(n):
                key = double_key(values[i])
                words[i] = (key & (<uint64_t>MISSING_KEY << 32)) | <uint64_t>i
                n_missing += values[i] != values[i]
        n_present = n - n_missing
        words = radix_sort(words, other, n)
        other = &spare[0] if words == &pairs[0] else &pairs[0]
        if n_present:
            if floating is float:
                n_distinct = _order_single(words, &order[0], n_present)
            else:
                n_distinct = _order_double(
                    &values[0], words, other, &order[0], n_present
                )
        flags = MISSING | (NEW_CODE if n_present else 0)
        for i in range(n_present, n):
            order[i] = <uint32_t>words[i] | flags
            flags = MISSING
    return n_distinct, n_missing


def code_few(const floating[::1] values, uint8_t[::1] codes, floating[::1] distinct):
    """Code a column of few values without sorting its rows.

    Parameters
    ----------
    values : (n,)
    codes : (n,) uint8
        Receives the rank of each value; the number of values for NaN.
    distinct : (255,)
        Receives the values in order.

    Returns
    -------
    n_distinct : int
        How many values there are; -1 if more than 255: `codes` is unfinished then.
    n_missing : int
    """
    cdef uint64_t keys[SLOTS]
    cdef int32_t numbers[SLOTS]
    cdef uint8_t place[256]
    cdef int32_t by_value[255]
    cdef Py_ssize_t i, n_missing = 0
    cdef int32_t n_distinct = 0, number, at
    cdef uint64_t key, slot
    cdef floating value
    with nogil:
        for i in range(SLOTS):
            numbers[i] = -1
        for i in range(values.shape[0]):
            value = values[i]
            if value != value:
                codes[i] = 255
                n_missing += 1
                continue
            value += 0.0  # no negative zero
            key = 0
            memcpy(&key, &value, sizeof(floating))
            slot = (key * HASH) >> (64 - SLOT_BITS)
            while numbers[slot] >= 0 and keys[slot] != key:
                slot = (slot + 1) & (SLOTS - 1)
            number = numbers[slot]
            if number < 0:
                if n_distinct == 255:
                    n_distinct = -1
                    break
                number = n_distinct
                keys[slot] = key
                numbers[slot] = number
                # Kept in order: there are few of them.
                at = number
                while at > 0 and distinct[at - 1] > value:
                    distinct[at] = distinct[at - 1]
                    by_value[at] = by_value[at - 1]
                    at -= 1
                distinct[at] = value
                by_value[at] = number
                n_distinct += 1
            codes[i] = <uint8_t>number
        if n_distinct >= 0:
            for at in range(n_distinct):
                place[by_value[at]] = <uint8_t>at
            place[255] = <uint8_t>n_distinct
            for i in range(values.shape[0]):
                codes[i] = place[codes[i]]
    return n_distinct, n_missing


def rank(
    const uint32_t[::1] order,
    const floating[::1] values,
    code_t[::1] codes,
    double[::1] distinct,
):
    """Write each row's rank into `codes` and the value of each rank.

    `order` comes from `presort` of `values`; `distinct` has one entry per
    distinct value, whose number is the code of NaN.
    """
    cdef Py_ssize_t i, n = order.shape[0], n_distinct = distinct.shape[0]
    cdef uint32_t entry, row, code = 0
    with nogil:
        for i in range(n):
            entry = order[i]
            if entry & MISSING:
                break
            row = entry & (MISSING - 1)
            code += entry >> 31
            codes[row] = <code_t>code
            # Adding zero turns -0.0 into 0.0.
            distinct[code] = values[row] + 0.0
        else:
            i = n
        while i < n:
            codes[order[i] & (MISSING - 1)] = <code_t>n_distinct
            i += 1


def order_codes(
    const code_t[::1] codes,
    uint32_t n_codes,
    uint64_t[::1] pairs,
    uint64_t[::1] spare,
    uint32_t[::1] order,
):
    """Write the rows in order of code into `order`, flagged as by `presort`.

    `n_codes` is the code of missing values. `pairs` and `spare` are work space
    of at least as many entries as `codes`, which has at least one.
    """
    cdef Py_ssize_t i, n = codes.shape[0]
    cdef uint64_t* words = &pairs[0]
    cdef uint32_t code, before, is_new, is_missing
    with nogil:
        for i in range(n):
            words[i] = (<uint64_t>codes[i] << 32) | <uint64_t>i
        words = radix_sort(words, &spare[0], n)
        before = <uint32_t>(words[0] >> 32)
        for i in range(n):
            code = <uint32_t>(words[i] >> 32)
            is_new = code != before
            is_missing = code == n_codes
            order[i] = <uint32_t>words[i] | (is_new << 31) | (is_missing << ROW_BITS)
            before = code


cdef void _finish_doubles(
    uint64_t* keys, uint64_t* spare, Py_ssize_t n
) noexcept nogil:
    """Sort keys that are sorted by their upper halves."""
    cdef Py_ssize_t start = 0, stop, i
    cdef uint64_t* run
    cdef uint64_t key
    while start < n:
        key = keys[start] >> 32
        stop = start + 1
        while stop < n and keys[stop] >> 32 == key:
            stop += 1
        if stop - start > 1:
            for i in range(start, stop):
                keys[i] = (keys[i] << 32) | key
            run = radix_sort(keys + start, spare + start, stop - start)
            for i in range(stop - start):
                keys[start + i] = (run[i] >> 32) | (key << 32)
        start = stop


def sort_values(
    const floating[::1] values,
    uint64_t[::1] work,
    uint64_t[::1] spare,
    floating[::1] out,
):
    """Write the values that are not NaN into `out`, sorted; return their number.

    `work` and `spare` are work space of at least as many entries as `values`,
    which has at least one.
    """
    cdef Py_ssize_t i, n = values.shape[0], n_present = values.shape[0]
    cdef uint32_t* singles = <uint32_t*>&work[0]
    cdef uint64_t* doubles = &work[0]
    cdef uint64_t* other
    with nogil:
        if floating is float:
            for i in range(n):
                singles[i] = single_key(values[i])
                n_present -= values[i] != values[i]
            singles = radix_sort(singles, <uint32_t*>&spare[0], n)
            for i in range(n_present):
                out[i] = single_of_key(singles[i])
        else:
            for i in range(n):
                doubles[i] = double_key(values[i])
                n_present -= values[i] != values[i]
            doubles = radix_sort(doubles, &spare[0], n)
            other = &spare[0] if doubles == &work[0] else &work[0]
            _finish_doubles(doubles, other, n_present)
            for i in range(n_present):
                out[i] = double_of_key(doubles[i])
    return n_present


def take_weighted(
    const uint32_t[::1] order,
    const floating[::1] values,
    const double[::1] weights,
    floating[::1] sorted_values,
    double[::1] cumulative,
):
    """Write the values of the rows that count, in `order`, and their weights.

    A row counts if its value is not NaN and its weight is not zero. Entry ``i + 1``
    of `cumulative` receives the weight of the first ``i + 1`` of them, entry 0
    receives 0. Return how many rows count.
    """
    cdef Py_ssize_t i, n = order.shape[0], n_counted = 0
    cdef uint32_t entry, row
    cdef double total = 0
    with nogil:
        cumulative[0] = 0
        for i in range(n):
            entry = order[i]
            if entry & MISSING:
                break
            row = entry & (MISSING - 1)
            if weights[row] > 0:
                total += weights[row]
                sorted_values[n_counted] = values[row]
                n_counted += 1
                cumulative[n_counted] = total
    return n_counted


cdef inline double _weight(
    const double* cumulative, Py_ssize_t start, Py_ssize_t stop
) noexcept nogil:
    if cumulative == NULL:
        return <double>(stop - start)
    return cumulative[stop] - cumulative[start]


cdef Py_ssize_t _filling(
    const double* cumulative, Py_ssize_t start, Py_ssize_t n, double target
) noexcept nogil:
    """Return the first position up to which the weight from `start` on is `target`."""
    cdef Py_ssize_t low = start, high = n - 1, middle
    while low < high:
        middle = (low + high) >> 1
        if _weight(cumulative, start, middle + 1) >= target:
            high = middle
        else:
            low = middle + 1
    return low


cdef Py_ssize_t _run_start(
    const floating* values, Py_ssize_t position
) noexcept nogil:
    """Return where the run of equal values around `position` starts."""
    cdef Py_ssize_t low = 0, high = position, middle
    while low < high:
        middle = (low + high) >> 1
        if values[middle] < values[position]:
            low = middle + 1
        else:
            high = middle
    return low


cdef Py_ssize_t _run_stop(
    const floating* values, Py_ssize_t position, Py_ssize_t n
) noexcept nogil:
    """Return where the run of equal values around `position` stops."""
    cdef Py_ssize_t low = position + 1, high = n, middle
    while low < high:
        middle = (low + high) >> 1
        if values[middle] > values[position]:
            high = middle
        else:
            low = middle + 1
    return low


def cut(
    const floating[::1] values,
    const double[::1] cumulative,
    Py_ssize_t n,
    Py_ssize_t max_bins,
    double[::1] lower,
    double[::1] upper,
    Py_ssize_t[::1] heavy,
):
    """Part sorted values into at most `max_bins` bins of about equal weight.

    Where there are no more distinct values than that, each is a bin. Otherwise
    a value of at least the mean weight of a bin ends a bin, which it has for
    itself unless the smaller values before it fill less than half a bin, and the
    other values share the other bins evenly. Equal values are never parted, and
    weights that are integers part as repeated values do.

    Parameters
    ----------
    values : (>= n,) sorted
    cumulative : (>= n + 1,) from `take_weighted`, or None for weights of one
    n : int
        How many values there are, at least 1.
    max_bins : int
        At least 2.
    lower, upper : (min(n, max_bins),) double
        Receive the smallest and largest value of each bin.
    heavy : (max_bins + 1,) intp
        Work space.

    Returns
    -------
    n_bins : int
    is_exact : bool
        Whether each bin is one value.
    """
    cdef const floating* v = &values[0]
    cdef const double* w = NULL
    cdef Py_ssize_t start, stop, k, n_bins = 0, n_heavy = 0
    cdef Py_ssize_t light_bins = max_bins
    cdef double heavy_from, light, mean, weight
    cdef bint is_exact, has_heavy
    if cumulative is not None:
        w = &cumulative[0]
    with nogil:
        start = 0
        while start < n and n_bins < max_bins:
            lower[n_bins] = upper[n_bins] = v[start] + 0.0
            n_bins += 1
            start = _run_stop(v, start, n)
        is_exact = start == n
        if not is_exact:
            light = _weight(w, 0, n)
            heavy_from = light / <double>max_bins
            # A run of that weight lies across one of its multiples.
            stop = 0
            for k in range(1, max_bins + 1):
                start = _filling(w, 0, n, light * <double>k / <double>max_bins)
                if start < stop:
                    continue
                stop = _run_stop(v, start, n)
                start = _run_start(v, start)
                if _weight(w, start, stop) >= heavy_from:
                    heavy[n_heavy] = start
                    n_heavy += 1
            for k in range(n_heavy):
                stop = _run_stop(v, heavy[k], n)
                light -= _weight(w, heavy[k], stop)
            light_bins -= n_heavy
            mean = light / <double>max(light_bins, 1)
            heavy[n_heavy] = n
            k = 0
            n_bins = 0
            start = 0
            while start < n:
                stop = n
                has_heavy = False
                if n_bins < max_bins - 1:
                    if heavy[k] > start:
                        stop = _run_stop(v, _filling(w, start, n, mean), n)
                        stop = min(stop, heavy[k])
                        weight = _weight(w, start, stop)
                        light -= weight
                        has_heavy = stop == heavy[k] < n and weight < mean / 2
                    else:
                        has_heavy = True
                    if has_heavy:
                        stop = _run_stop(v, heavy[k], n)
                        k += 1
                    else:
                        light_bins -= 1
                        mean = light / <double>max(light_bins, 1)
                lower[n_bins] = v[start] + 0.0
                upper[n_bins] = v[stop - 1] + 0.0
                n_bins += 1
                start = stop
    return n_bins, is_exact


cdef void _lay_out(
    const floating* upper, Py_ssize_t n, floating* tree, Py_ssize_t size
) noexcept nogil:
    """Fill a binary search tree in breadth-first order, from entry 1."""
    cdef Py_ssize_t node = 1, position = 0
    # In order: the leftmost node first, then each node's successor.
    while 2 * node < size:
        node *= 2
    while position < size - 1:
        tree[node] = upper[min(position, n - 1)]
        position += 1
        if 2 * node + 1 < size:
            node = 2 * node + 1
            while 2 * node < size:
                node *= 2
        else:
            while node & 1:
                node >>= 1
            node >>= 1


def search(
    const floating[::1] values,
    const floating[::1] upper,
    floating[::1] tree,
    code_t[::1] codes,
):
    """Write the code of each value: the first whose upper bound is no smaller.

    Values above the last bound get the last code, NaN the number of codes.

    Parameters
    ----------
    values : (n,)
    upper : (n_codes,) ascending, at least one, without NaN
    tree : (2**depth,) work space, 2**depth >= n_codes
    codes : (n,)
    """
    cdef Py_ssize_t i, lane, block, n = values.shape[0], size = tree.shape[0]
    cdef uint32_t n_codes = <uint32_t>upper.shape[0]
    cdef uint32_t node[LANES]
    cdef uint32_t _level, depth = 0, code
    cdef floating x[LANES]
    cdef const floating* nodes = &tree[0]
    with nogil:
        _lay_out(&upper[0], upper.shape[0], &tree[0], size)
        while (<Py_ssize_t>1 << depth) < size:
            depth += 1
        for block in range(n // LANES):
            i = block * LANES
            for lane in range(LANES):
                node[lane] = 1
                x[lane] = values[i + lane]
            for _level in range(depth):
                for lane in range(LANES):
                    node[lane] = 2 * node[lane] + (nodes[node[lane]] < x[lane])
            for lane in range(LANES):
                code = node[lane] - <uint32_t>size
                code = min(code, n_codes - 1)
                codes[i + lane] = <code_t>(code if x[lane] == x[lane] else n_codes)
        for i in range(n - n % LANES, n):
            node[0] = 1
            for _level in range(depth):
                node[0] = 2 * node[0] + (nodes[node[0]] < values[i])
            code = min(node[0] - <uint32_t>size, n_codes - 1)
            codes[i] = <code_t>(code if values[i] == values[i] else n_codes)
