"""How many of a feature's thresholds are less than a value, by vectors of AVX2.

Up to 256 ascending thresholds in 16 groups: a first look at the largest of each group
says in which one the place is, a second one where. Elsewhere `AVAILABLE` is 0, and
nothing here may be called.
"""

from libc.stdint cimport uint8_t

cdef extern from *:
    """
    #include <stdint.h>
    #ifdef __AVX2__
    #include <immintrin.h>
    #define FASTTREE_CUT_SEARCH 1

    /* How many of sixteen cuts are less than v. */
    static inline int fasttree_count_less(const double *cuts, __m256d v) {
        __m256i less[4];
        int i;
        for (i = 0; i < 4; i++)
            less[i] = _mm256_castpd_si256(
                _mm256_cmp_pd(_mm256_loadu_pd(cuts + 4 * i), v, _CMP_LT_OQ));
        /* Two bits are left of each comparison. */
        return __builtin_popcount((uint32_t)_mm256_movemask_epi8(_mm256_packs_epi16(
            _mm256_packs_epi32(less[0], less[1]),
            _mm256_packs_epi32(less[2], less[3])))) >> 1;
    }

    /* How many of 256 ascending cuts are less than value: of every sixteenth first,
       to see which sixteen the place is among. */
    static inline uint8_t fasttree_code(
        const double *coarse, const double *cuts, double value
    ) {
        __m256d v = _mm256_set1_pd(value);
        int block = fasttree_count_less(coarse, v);
        block = block > 15 ? 15 : block;
        return (uint8_t)(16 * block + fasttree_count_less(cuts + 16 * block, v));
    }

    /* The same for cuts that are float32 values: value is rounded up to one, which
       carries it over none of them. */
    static inline uint8_t fasttree_single_code(
        const float *coarse, const float *cuts, float value
    ) {
        __m256 v = _mm256_set1_ps(value);
        int low, high, block;
        low = _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(coarse), v, _CMP_LT_OQ));
        high = _mm256_movemask_ps(
            _mm256_cmp_ps(_mm256_loadu_ps(coarse + 8), v, _CMP_LT_OQ));
        block = __builtin_popcount((uint32_t)(low | high << 8));
        block = block > 15 ? 15 : block;
        cuts += 16 * block;
        low = _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(cuts), v, _CMP_LT_OQ));
        high = _mm256_movemask_ps(
            _mm256_cmp_ps(_mm256_loadu_ps(cuts + 8), v, _CMP_LT_OQ));
        return (uint8_t)(
            16 * block + __builtin_popcount((uint32_t)(low | high << 8)));
    }
    #else
    #define FASTTREE_CUT_SEARCH 0
    static inline uint8_t fasttree_code(
        const double *coarse, const double *cuts, double value
    ) {
        (void)coarse; (void)cuts; (void)value;
        return 0;
    }
    static inline uint8_t fasttree_single_code(
        const float *coarse, const float *cuts, float value
    ) {
        (void)coarse; (void)cuts; (void)value;
        return 0;
    }
    #endif
    """
    const int AVAILABLE "FASTTREE_CUT_SEARCH"
    uint8_t code_of "fasttree_code"(
        const double* coarse, const double* cuts, double value
    ) noexcept nogil
    uint8_t single_code_of "fasttree_single_code"(
        const float* coarse, const float* cuts, float value
    ) noexcept nogil
