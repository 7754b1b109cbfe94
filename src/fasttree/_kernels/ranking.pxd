"""Gradients of LambdaMART (Burges, "From RankNet to LambdaRank to LambdaMART", 2010).

For each pair of documents of a query with different labels, the logistic loss of their
order, weighted with what swapping them would change of the NDCG. As in LightGBM, one
document of a pair is among the first `truncation` ones, a pair's weight is damped by
the distance of its scores, and a query's gradients are scaled by log2(1 + s) / s of
their sum s.
"""

from libc.math cimport fabs
from libc.stdint cimport int32_t, int64_t

from fasttree._kernels.portable_math cimport exp_, log_

# Documents of all queries, query after query.
cdef struct Ranking:
    const int64_t* start       # (n_queries + 1,)
    const double* gain         # (n_rows,) of the label: 2**label - 1
    const double* discount     # (largest query,) of a position
    const double* inverse_max  # (n_queries,) 1 / DCG of the best order, 0: none
    const double* weight       # (n_rows,) or NULL; a query's is that of its first row
    int64_t truncation


cdef inline void sort_by_score(
    int32_t* order, const double* score, int64_t n
) noexcept nogil:
    """Sort by descending score, ties by number: Shell's method."""
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
    double* lambdas, float* g, float* h
) noexcept nogil:
    """Write the gradients of a query; `lambdas` (2 * n,) and `order` (n,) are work."""
    cdef int64_t first = ranking.start[query]
    cdef int64_t n = ranking.start[query + 1] - first, i, j, a, b, high, low
    cdef const double* score = raw + first
    cdef const double* gain = ranking.gain + first
    cdef double* hessians = lambdas + n
    cdef double best, worst, apart, change, p, x, total = 0.0, scale
    for i in range(n):
        order[i] = <int32_t>i
        lambdas[i] = hessians[i] = 0.0
    sort_by_score(order, score, n)
    best = score[order[0]]
    worst = score[order[n - 1]]
    if ranking.inverse_max[query] > 0.0:
        for i in range(min(n - 1, ranking.truncation)):
            a = order[i]
            for j in range(i + 1, n):
                b = order[j]
                if gain[a] == gain[b]:
                    continue
                high = a if gain[a] > gain[b] else b
                low = a + b - high
                apart = score[high] - score[low]
                change = (fabs(gain[a] - gain[b])
                          * fabs(ranking.discount[i] - ranking.discount[j])
                          * ranking.inverse_max[query])
                if best != worst:
                    change /= 0.01 + fabs(apart)
                p = 1.0 / (1.0 + exp_(apart))
                x = change * p
                lambdas[high] -= x
                lambdas[low] += x
                total += 2.0 * x
                x *= 1.0 - p
                hessians[high] += x
                hessians[low] += x
    scale = 1.0
    if total > 0.0:
        scale = log_(1.0 + total) / (0.6931471805599453 * total)
    if ranking.weight != NULL:
        scale *= ranking.weight[first]
    for i in range(n):
        g[first + i] = <float>(lambdas[i] * scale)
        h[first + i] = <float>(hessians[i] * scale)
