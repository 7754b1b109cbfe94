"""Random numbers keyed by what they are for, so that no schedule changes them.

The mixer is the finaliser of SplitMix64 (Steele, Lea, Flood, "Fast splittable
pseudorandom number generators", OOPSLA 2014).
"""

from libc.stdint cimport uint32_t, uint64_t


cdef inline uint64_t mix(uint64_t x) noexcept nogil:
    x += <uint64_t>0x9E3779B97F4A7C15
    x = (x ^ (x >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    x = (x ^ (x >> 27)) * <uint64_t>0x94D049BB133111EB
    return x ^ (x >> 31)


cdef inline uint64_t child_key(uint64_t key, bint right) noexcept nogil:
    """Key of a child node, from its parent's: a node is named by its path."""
    return mix(key ^ (<uint64_t>0xD1B54A32D192ED03 if right
                      else <uint64_t>0x8CB92BA72F3D8DD7))


cdef inline uint32_t draw_below(
    uint64_t key, uint64_t counter, uint32_t bound
) noexcept nogil:
    """The counter-th number of a node, in [0, bound); bias below bound / 2**32."""
    return <uint32_t>(((mix(key + counter * <uint64_t>0xA24BAED4963EE407) >> 32)
                       * bound) >> 32)


cdef inline uint64_t draw_wide(
    uint64_t key, uint64_t counter, uint64_t bound
) noexcept nogil:
    """As `draw_below`, for bounds of up to 63 bits; bias below bound / 2**64."""
    cdef uint64_t x = mix(key + counter * <uint64_t>0xA24BAED4963EE407)
    cdef uint64_t high = x >> 32, low = <uint32_t>x
    cdef uint64_t bound_high = bound >> 32, bound_low = <uint32_t>bound
    cdef uint64_t a = high * bound_low, b = low * bound_high, c = low * bound_low
    cdef uint64_t carry = (c >> 32) + <uint32_t>a + <uint32_t>b
    return high * bound_high + (a >> 32) + (b >> 32) + (carry >> 32)
