"""Bytes of eight columns to those of eight rows, or back."""

from libc.stdint cimport int64_t, uint8_t, uint64_t

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #if defined(__x86_64__) && defined(__GNUC__)
    #include <emmintrin.h>

    static inline void fasttree_transpose(
        const uint8_t* const* from, uint8_t* const* to
    ) {
        __m128i r[8], a[4], b[4], c[4];
        int i;
        for (i = 0; i < 8; i++) r[i] = _mm_loadl_epi64((const __m128i*)from[i]);
        for (i = 0; i < 4; i++) a[i] = _mm_unpacklo_epi8(r[2 * i], r[2 * i + 1]);
        b[0] = _mm_unpacklo_epi16(a[0], a[1]);
        b[1] = _mm_unpackhi_epi16(a[0], a[1]);
        b[2] = _mm_unpacklo_epi16(a[2], a[3]);
        b[3] = _mm_unpackhi_epi16(a[2], a[3]);
        c[0] = _mm_unpacklo_epi32(b[0], b[2]);
        c[1] = _mm_unpackhi_epi32(b[0], b[2]);
        c[2] = _mm_unpacklo_epi32(b[1], b[3]);
        c[3] = _mm_unpackhi_epi32(b[1], b[3]);
        for (i = 0; i < 4; i++) {
            _mm_storel_epi64((__m128i*)to[2 * i], c[i]);
            _mm_storel_epi64((__m128i*)to[2 * i + 1], _mm_unpackhi_epi64(c[i], c[i]));
        }
    }
    #else
    static inline void fasttree_transpose(
        const uint8_t* const* from, uint8_t* const* to
    ) {
        uint8_t block[8][8];
        int i, j;
        for (i = 0; i < 8; i++) memcpy(block[i], from[i], 8);
        for (i = 0; i < 8; i++)
            for (j = 0; j < 8; j++) to[i][j] = block[j][i];
    }
    #endif
    """
    # Byte j of from[i] becomes byte i of to[j].
    void transpose "fasttree_transpose"(
        const uint8_t* const* from_, uint8_t* const* to) noexcept nogil


cdef inline void interleave_bytes(
    const uint8_t* const* columns,     # (8,) NULL: zeros
    int64_t start, int64_t stop, int64_t step,
    uint8_t* out,              # (n_rows, step), at the first of eight columns
) noexcept nogil:
    """Write eight columns' rows start to stop - 1 row by row."""
    cdef const uint8_t* from_[8]
    cdef uint8_t* to[8]
    cdef uint64_t zeros = 0
    cdef int64_t i = start, j
    while i + 8 <= stop:
        for j in range(8):
            from_[j] = <const uint8_t*>&zeros
            if columns[j] != NULL:
                from_[j] = columns[j] + i
            to[j] = out + (i + j) * step
        transpose(from_, to)
        i += 8
    while i < stop:
        for j in range(8):
            out[i * step + j] = 0 if columns[j] == NULL else columns[j][i]
        i += 1
