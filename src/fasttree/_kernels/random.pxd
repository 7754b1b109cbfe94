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
