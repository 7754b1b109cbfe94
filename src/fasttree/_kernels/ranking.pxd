"""Gradients of LambdaMART (Burges, "From RankNet to LambdaRank to LambdaMART", 2010).

For each pair of documents of a query with different labels, the logistic loss of their
order, weighted with what swapping them would change of the NDCG. As in LightGBM, one
document of a pair is among the first `truncation` ones, a pair's weight is damped by
the distance of its scores, and a query's gradients are scaled by log2(1 + s) / s of
their sum s.

The documents of a query are gathered in the order of their scores, so that the pairs of
one of them are a loop over neighbours without a branch. Everything is in float32;
sums have their lanes and their order stated in the code.
"""

from libc.stdint cimport int32_t, int64_t

from fasttree._kernels.portable_math cimport log_

cdef enum:
    RANK_LANES = 8
    RANK_ARRAYS = 7            # of floats, in the memory of a worker

# Documents of all queries, query after query.
cdef struct Ranking:
    const int64_t* start       # (n_queries + 1,)
    const float* gain          # (n_rows,) of the label: 2**label - 1
    const float* discount      # (longest,) of a position
    const float* inverse_max   # (n_queries,) 1 / DCG of the best order, 0: none
    const double* weight       # (n_rows,) or NULL; a query's is that of its first row
    int64_t truncation
    int64_t longest            # at least the rows of any query, and RANK_LANES

cdef extern from *:
    """
    #include <math.h>
    #include <stdint.h>

    /* Pair the document at position i with those at i + 1 to n - 1.

       C, so that the compiler makes vector code of it. Arrays are in the order of the
       scores, with finite numbers at up to RANK_LANES - 1 places from n on; there
       `scale` is 0, before it that of the NDCG. With u = exp(-(score difference))
       the model takes the lower one for the better with the chance u / (1 + u). */
    static inline void fasttree_pair(
        int64_t i, int64_t n, const float* CYTHON_RESTRICT score,
        const float* CYTHON_RESTRICT gain, const float* CYTHON_RESTRICT discount,
        const float* CYTHON_RESTRICT scale, float damping,
        float* CYTHON_RESTRICT pulls, float* CYTHON_RESTRICT bends,
        float* CYTHON_RESTRICT lambda, float* CYTHON_RESTRICT hessian, float* total
    ) {
        const float s = score[i], g = gain[i], d = discount[i];
        const int64_t stop = i + 1 + (n - i - 1 + 7) / 8 * 8;
        float pull[8] = {0}, bend[8] = {0}, size[8] = {0};
        float pull_sum = 0, bend_sum = 0;
        int64_t j, k;
        for (j = i + 1; j < stop; j++) {
            float apart = s - score[j], better = g - gain[j];
            float u = fasttree_expf(-apart);
            float one = 1.0f / ((1.0f + u) * (damping + apart));
            float most = better * (d - discount[j]) * scale[j] * one;
            /* Not a condition, which would be a branch around the products. */
            float first = (float)(better > 0.0f), second = 1.0f - first;
            float x = most * (first * u + second);
            /* 1 / (1 + u) is one * (damping + apart). */
            float y = fabsf(x) * (first + second * u) * one * (damping + apart);
            pulls[j] = x;
            bends[j] = y;
            lambda[j] += x;
            hessian[j] += y;
        }
        for (j = i + 1; j < stop; j += 8)
            for (k = 0; k < 8; k++) {
                float x = pulls[j + k];
                pull[k] += x;
                bend[k] += bends[j + k];
                size[k] += fabsf(x);
            }
        for (k = 0; k < 8; k++) {
            pull_sum += pull[k];
            bend_sum += bend[k];
            *total += 2.0f * size[k];
        }
        lambda[i] -= pull_sum;
        hessian[i] += bend_sum;
    }
    """
    void pair "fasttree_pair"(
        int64_t i, int64_t n, const float* score, const float* gain,
        const float* discount, const float* scale, float damping,
        float* pulls, float* bends, float* lambda_, float* hessian, float* total
    ) noexcept nogil


cdef inline void sort_by_score(
    int32_t* order, const double* score, int64_t n
) noexcept nogil:
    """Sort by descending score, ties by number: Shell's method.

    Little is left to do where `order` is that of the last iteration.
    """
    cdef int64_t gap = 1, i, j
    cdef int32_t item
    while gap < n // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, n):
            item = order[i]
            j = i
            while j >= gap and (
                score[order[j - gap]] < score[item]
                or (score[order[j - gap]] == score[item] and order[j - gap] > item)
            ):
                order[j] = order[j - gap]
                j -= gap
            order[j] = item
        gap //= 3


cdef inline void rank_query(
    const Ranking* ranking, int64_t query, const double* raw, int32_t* order,
    float* work, float* g, float* h
) noexcept nogil:
    """Write the gradients of a query.

    `order` (n,) is a permutation, which is sorted; `work` is RANK_ARRAYS times
    `ranking.longest` floats.
    """
    cdef int64_t first = ranking.start[query], longest = ranking.longest
    cdef int64_t n = ranking.start[query + 1] - first, i
    cdef const double* raw_of = raw + first
    cdef const float* gain_of = ranking.gain + first
    cdef float* score = work
    cdef float* gain = work + longest
    cdef float* scales = work + 2 * longest
    cdef float* lambdas = work + 3 * longest
    cdef float* hessians = work + 4 * longest
    cdef float damping, total = 0.0
    cdef double best, worst, scale
    sort_by_score(order, raw_of, n)
    best = raw_of[order[0]]
    worst = raw_of[order[n - 1]]
    damping = <float>0.01 if best != worst else <float>1.0
    for i in range(n):
        score[i] = <float>(raw_of[order[i]] - best)
        gain[i] = gain_of[order[i]]
        scales[i] = ranking.inverse_max[query]
        lambdas[i] = hessians[i] = 0.0
    for i in range(n, n + RANK_LANES):
        score[i] = <float>(worst - best)
        gain[i] = scales[i] = lambdas[i] = hessians[i] = 0.0
    if ranking.inverse_max[query] > 0.0:
        for i in range(min(n - 1, ranking.truncation)):
            pair(i, n, score, gain, ranking.discount, scales, damping,
                 work + 5 * longest, work + 6 * longest, lambdas, hessians, &total)
    scale = 1.0
    if total > 0.0:
        scale = log_(1.0 + total) / (0.6931471805599453 * total)
    if ranking.weight != NULL:
        scale *= ranking.weight[first]
    for i in range(n):
        g[first + order[i]] = <float>(lambdas[i] * scale)
        h[first + order[i]] = <float>(hessians[i] * scale)
