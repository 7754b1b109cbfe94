"""Which instruction-set level this machine can run.

Compiled for the baseline only, so that it may run before a level is chosen.
"""

cdef extern from *:
    """
    #if (defined(__x86_64__) || defined(_M_X64)) && (defined(__GNUC__) || defined(__clang__))
    static int fasttree_supports_x86_64_v3(void) {
        __builtin_cpu_init();
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
            && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    }
    #else
    static int fasttree_supports_x86_64_v3(void) { return 0; }
    #endif
    """
    bint fasttree_supports_x86_64_v3() noexcept


def supports_x86_64_v3():
    """Return whether the processor runs AVX2, FMA, BMI1 and BMI2."""
    return bool(fasttree_supports_x86_64_v3())
