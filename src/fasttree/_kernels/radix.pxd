"""Order-preserving integer keys of floats, and a stable radix sort."""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

cdef enum:
    INSERTION_LIMIT = 32
    SHORT_LIMIT = 4096
    MAX_COUNTERS = 3 * 2048

ctypedef fused word_t:
    uint32_t
    uint64_t


cdef inline uint32_t single_key(float value) noexcept nogil:
    """Key in the order of the values; -0.0 as 0.0, NaN last as 2**32 - 1."""
    cdef uint32_t bits
    if value == 0:
        value = 0
    memcpy(&bits, &value, sizeof(bits))
    bits ^= <uint32_t>(<int32_t>bits >> 31) | <uint32_t>0x80000000
    return bits if value == value else <uint32_t>0xFFFFFFFF


cdef inline uint64_t double_key(double value) noexcept nogil:
    """Key in the order of the values; -0.0 as 0.0, NaN last as 2**64 - 1."""
    cdef uint64_t bits
    if value == 0:
        value = 0
    memcpy(&bits, &value, sizeof(bits))
    bits ^= <uint64_t>(<int64_t>bits >> 63) | <uint64_t>0x8000000000000000
    return bits if value == value else <uint64_t>0xFFFFFFFFFFFFFFFF


cdef inline float single_of_key(uint32_t key) noexcept nogil:
    cdef float value
    key ^= <uint32_t>(<int32_t>~key >> 31) | <uint32_t>0x80000000
    memcpy(&value, &key, sizeof(key))
    return value


cdef inline double double_of_key(uint64_t key) noexcept nogil:
    cdef double value
    key ^= <uint64_t>(<int64_t>~key >> 63) | <uint64_t>0x8000000000000000
    memcpy(&value, &key, sizeof(key))
    return value


cdef inline void insertion_sort(word_t* words, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i, k
    cdef word_t word
    for i in range(1, n):
        word = words[i]
        k = i
        while k > 0 and words[k - 1] > word:
            words[k] = words[k - 1]
            k -= 1
        words[k] = word


cdef inline uint32_t upper_half(word_t word) noexcept nogil:
    if word_t is uint32_t:
        return word
    else:
        return <uint32_t>(word >> 32)


cdef inline word_t* digit_sort(
    word_t* words, word_t* spare, Py_ssize_t n, const int bits, const int passes
) noexcept nogil:
    cdef uint32_t counters[MAX_COUNTERS]
    cdef uint32_t* counter
    cdef uint32_t mask = (1 << bits) - 1
    cdef uint32_t key, total, count
    cdef Py_ssize_t i
    cdef int digit, shift
    memset(counters, 0, sizeof(uint32_t) * (passes << bits))
    for i in range(n):
        key = upper_half(words[i])
        for digit in range(passes):
            counters[(digit << bits) + ((key >> (digit * bits)) & mask)] += 1
    for digit in range(passes):
        counter = counters + (digit << bits)
        shift = digit * bits
        if counter[(upper_half(words[0]) >> shift) & mask] == n:
            continue
        total = 0
        for i in range(mask + 1):
            count = counter[i]
            counter[i] = total
            total += count
        for i in range(n):
            key = (upper_half(words[i]) >> shift) & mask
            spare[counter[key]] = words[i]
            counter[key] += 1
        words, spare = spare, words
    return words


cdef inline word_t* radix_sort(
    word_t* words, word_t* spare, Py_ssize_t n
) noexcept nogil:
    """Sort by the upper 32 bits and return where the result lies.

    Stable: where the upper bits are equal, words that came in ascending order
    stay so. `n` is below 2**32.
    """
    if n <= INSERTION_LIMIT:
        insertion_sort(words, n)
        return words
    if n < SHORT_LIMIT:
        return digit_sort(words, spare, n, 8, 4)
    return digit_sort(words, spare, n, 11, 3)
