"""exp and log of our own: the same bits on every platform and CPU level.

Both reduce their argument by powers of two and sum a polynomial, as in Cephes
(Moshier 1989); compilers turn loops over them into vector code. Nothing here may be
contracted into fused operations.
"""


cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    /* Within 1.5 units in the last place, for any finite x; saturates beyond
       +-87. */
    static inline float fasttree_expf(float x) {
        float n, r, p;
        int32_t bits, size;
        /* Bounded as an integer: compilers work out the results at bounds that are
           floats, and branch to them. */
        memcpy(&bits, &x, 4);
        size = bits & 0x7fffffff;
        size = size < 0x42ae0000 ? size : 0x42ae0000;
        bits = (int32_t)((uint32_t)bits & 0x80000000u) | size;
        memcpy(&x, &bits, 4);
        n = x * 1.44269504f + 12582912.0f;   /* 1.5 * 2^23: rounds to an integer */
        memcpy(&bits, &n, 4);
        n = n - 12582912.0f;
        r = x - n * 0.693359375f;            /* ln 2 in two parts */
        r = r - n * -2.12194440e-4f;
        p = 1.9875691500e-4f;
        p = p * r + 1.3981999507e-3f;
        p = p * r + 8.3334519073e-3f;
        p = p * r + 4.1665795894e-2f;
        p = p * r + 1.6666665459e-1f;
        p = p * r + 5.0000001201e-1f;
        p = p * r * r + r + 1.0f;
        bits = (int32_t)((uint32_t)(bits - 0x4b400000 + 127) << 23);
        memcpy(&n, &bits, 4);
        return p * n;
    }

    /* Relative error below 1e-15; saturates beyond +-700. */
    static inline double fasttree_exp(double x) {
        double n, r, p;
        int64_t bits, size;
        memcpy(&bits, &x, 8);
        size = bits & 0x7fffffffffffffffLL;
        size = size < 0x4085e00000000000LL ? size : 0x4085e00000000000LL;
        bits = (int64_t)((uint64_t)bits & 0x8000000000000000ULL) | size;
        memcpy(&x, &bits, 8);
        n = x * 1.4426950408889634 + 6755399441055744.0;   /* 1.5 * 2^52 */
        memcpy(&bits, &n, 8);
        n = n - 6755399441055744.0;
        r = x - n * 0.693145751953125;
        r = r - n * 1.42860682030941723212e-6;
        /* Taylor; |r| <= ln(2) / 2 leaves less than 1e-17. */
        p = 1.0 / 6227020800.0;
        p = p * r + 1.0 / 479001600.0;
        p = p * r + 1.0 / 39916800.0;
        p = p * r + 1.0 / 3628800.0;
        p = p * r + 1.0 / 362880.0;
        p = p * r + 1.0 / 40320.0;
        p = p * r + 1.0 / 5040.0;
        p = p * r + 1.0 / 720.0;
        p = p * r + 1.0 / 120.0;
        p = p * r + 1.0 / 24.0;
        p = p * r + 1.0 / 6.0;
        p = p * r + 0.5;
        p = p * r * r + r + 1.0;
        bits = (int64_t)((uint64_t)(bits - 0x4338000000000000LL + 1023) << 52);
        memcpy(&n, &bits, 8);
        return p * n;
    }

    /* Relative error below 1e-15, for normal x > 0: 2 atanh of (m - 1) / (m + 1). */
    static inline double fasttree_log(double x) {
        int64_t bits, e;
        double m, s, z, p;
        memcpy(&bits, &x, 8);
        e = (bits - 0x3fe6a09e667f3bcdLL) >> 52;     /* m from sqrt(1/2) to sqrt(2) */
        bits -= (int64_t)((uint64_t)e << 52);
        memcpy(&m, &bits, 8);
        s = (m - 1.0) / (m + 1.0);
        z = s * s;
        p = 1.0 / 23.0;
        p = p * z + 1.0 / 21.0;
        p = p * z + 1.0 / 19.0;
        p = p * z + 1.0 / 17.0;
        p = p * z + 1.0 / 15.0;
        p = p * z + 1.0 / 13.0;
        p = p * z + 1.0 / 11.0;
        p = p * z + 1.0 / 9.0;
        p = p * z + 1.0 / 7.0;
        p = p * z + 1.0 / 5.0;
        p = p * z + 1.0 / 3.0;
        p = 2.0 * s + 2.0 * s * z * p;
        return (double)e * 0.693147180369123816490
            + (p + (double)e * 1.90821492927058770002e-10);
    }

    /* The integer nearest to x, ties to even, for |x| < 2^22. */
    static inline int32_t fasttree_round(float x) {
        int32_t bits;
        x = x + 12582912.0f;
        memcpy(&bits, &x, 4);
        return bits - 0x4b400000;
    }
    """
    float expf_ "fasttree_expf"(float x) noexcept nogil
    double exp_ "fasttree_exp"(double x) noexcept nogil
    double log_ "fasttree_log"(double x) noexcept nogil
    int round_ "fasttree_round"(float x) noexcept nogil
