"""The largest of many scores."""

from libc.stdint cimport int64_t

cdef extern from *:
    """
    #include <stdint.h>

    /* The first position of the largest score above *best, which it raises; or -1. */
    static inline int64_t fasttree_argmax(
        const double* score, int64_t n, double* best
    ) {
        double top[8];
        double most = *best;
        int64_t b, j;
        for (j = 0; j < 8; j++) top[j] = most;
        for (b = 0; b + 8 <= n; b += 8)
            for (j = 0; j < 8; j++)
                top[j] = score[b + j] > top[j] ? score[b + j] : top[j];
        for (; b < n; b++) top[0] = score[b] > top[0] ? score[b] : top[0];
        for (j = 0; j < 8; j++) most = top[j] > most ? top[j] : most;
        if (!(most > *best)) return -1;
        *best = most;
        for (b = 0; score[b] != most; b++) {}
        return b;
    }
    """
    int64_t argmax "fasttree_argmax"(
        const double* score, int64_t n, double* best) noexcept nogil
