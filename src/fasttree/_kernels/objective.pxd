"""Gradients and hessians of the losses, and their rounding to a tree's units.

The losses are scikit-learn's: a raw prediction r is the mean's logit (log_loss), its
logarithm (poisson, gamma, tweedie) or the prediction itself, and deviances are
halved. float32 holds a gradient; sums over blocks are in double, in a stated order.
"""

from libc.math cimport INFINITY, fabsf
from libc.stdint cimport int64_t, uint32_t, uint64_t

from fasttree._kernels.gradient_histogram cimport pack_sums
from fasttree._kernels.portable_math cimport exp_, expf_, round_

cdef enum Loss:
    SQUARED_ERROR = 0
    LOG_LOSS = 1
    POISSON = 2
    GAMMA = 3
    TWEEDIE = 4                # parameter: power
    ABSOLUTE_ERROR = 5
    QUANTILE = 6               # parameter: quantile
    HUBER = 7                  # parameter: largest |residual| of the squared part
    MULTINOMIAL = 8

cdef enum:
    BLOCK = 4096               # rows whose sums are added up by themselves
    LANES = 8

# Sums over one block of rows.
cdef struct BlockSums:
    double gradient            # of absolute values
    double hessian
    float largest_gradient     # absolute
    float largest_hessian
    float smallest_hessian
    float smallest_positive    # of the hessians


cdef inline void gradients_of_block(
    int loss, double parameter, const double* raw, const double* y,
    const double* weight, int64_t start, int64_t stop, float* g, float* h
) noexcept nogil:
    """Write the gradients of the rows start:stop of a loss of one output."""
    cdef int64_t i
    cdef float p, q = <float>parameter
    cdef double a, b, r
    if loss == SQUARED_ERROR:
        for i in range(start, stop):
            g[i] = <float>(raw[i] - y[i])
            h[i] = 1.0
    elif loss == LOG_LOSS:
        for i in range(start, stop):
            p = <float>1.0 / (<float>1.0 + expf_(<float>-raw[i]))
            g[i] = p - <float>y[i]
            h[i] = p * (<float>1.0 - p)
    elif loss == POISSON:
        for i in range(start, stop):
            a = exp_(raw[i])
            g[i] = <float>(a - y[i])
            h[i] = <float>a
    elif loss == GAMMA:
        for i in range(start, stop):
            a = y[i] * exp_(-raw[i])
            g[i] = <float>(1.0 - a)
            h[i] = <float>a
    elif loss == TWEEDIE:
        for i in range(start, stop):
            a = y[i] * exp_((1.0 - parameter) * raw[i])
            b = exp_((2.0 - parameter) * raw[i])
            g[i] = <float>(b - a)
            h[i] = <float>((2.0 - parameter) * b - (1.0 - parameter) * a)
    elif loss == ABSOLUTE_ERROR:
        for i in range(start, stop):
            g[i] = <float>((raw[i] > y[i]) - (raw[i] < y[i]))
            h[i] = 1.0
    elif loss == QUANTILE:
        for i in range(start, stop):
            g[i] = -q if y[i] >= raw[i] else <float>1.0 - q
            h[i] = 1.0
    else:
        for i in range(start, stop):
            r = raw[i] - y[i]
            g[i] = <float>(parameter if r > parameter
                           else (-parameter if r < -parameter else r))
            h[i] = 1.0
    if weight != NULL:
        for i in range(start, stop):
            g[i] *= <float>weight[i]
            h[i] *= <float>weight[i]


cdef inline void gradients_of_classes(
    int64_t n_classes, int64_t n_rows, const double* raw, const double* y,
    const double* weight, int64_t start, int64_t stop, float* g, float* h,
    float* largest, float* total
) noexcept nogil:
    """Write the gradients of the multinomial loss, (n_classes, n_rows).

    `largest` and `total` are (stop - start,).
    """
    cdef int64_t i, k, n = stop - start
    cdef const double* r
    cdef float* p
    cdef float* q
    cdef float w
    r = raw + start
    for i in range(n):
        largest[i] = <float>r[i]
        total[i] = 0.0
    for k in range(1, n_classes):
        r = raw + k * n_rows + start
        for i in range(n):
            w = <float>r[i]
            largest[i] = w if w > largest[i] else largest[i]
    for k in range(n_classes):
        r = raw + k * n_rows + start
        p = g + k * n_rows + start
        for i in range(n):
            w = expf_(<float>r[i] - largest[i])
            p[i] = w
            total[i] += w
    for i in range(n):
        total[i] = <float>1.0 / total[i]
    for k in range(n_classes):
        p = g + k * n_rows + start
        q = h + k * n_rows + start
        for i in range(n):
            w = p[i] * total[i]
            q[i] = w * (<float>1.0 - w)
            p[i] = w - <float>(y[start + i] == <double>k)
        if weight != NULL:
            for i in range(n):
                p[i] *= <float>weight[start + i]
                q[i] *= <float>weight[start + i]


cdef inline void sum_block(
    const float* g, const float* h, int64_t n, BlockSums* sums
) noexcept nogil:
    """Sum a block in eight interleaved parts, added up from first to last."""
    cdef double[LANES] gs
    cdef double[LANES] hs
    cdef float[LANES] gm
    cdef float[LANES] hm
    cdef float[LANES] hl
    cdef float[LANES] hp
    cdef float a, b
    cdef int64_t i, j, whole = n - n % LANES
    for j in range(LANES):
        gs[j] = hs[j] = 0.0
        gm[j] = hm[j] = 0.0
        hl[j] = h[0]
        hp[j] = INFINITY
    for i in range(0, whole, 8):
        for j in range(LANES):
            a = fabsf(g[i + j])
            b = h[i + j]
            gs[j] += a
            hs[j] += b
            gm[j] = a if a > gm[j] else gm[j]
            hm[j] = b if b > hm[j] else hm[j]
            hl[j] = b if b < hl[j] else hl[j]
            hp[j] = b if (b < hp[j]) & (b > 0.0) else hp[j]
    for i in range(whole, n):
        a = fabsf(g[i])
        b = h[i]
        gs[0] += a
        hs[0] += b
        gm[0] = a if a > gm[0] else gm[0]
        hm[0] = b if b > hm[0] else hm[0]
        hl[0] = b if b < hl[0] else hl[0]
        hp[0] = b if (b < hp[0]) & (b > 0.0) else hp[0]
    sums.gradient = sums.hessian = 0.0
    sums.largest_gradient = sums.largest_hessian = 0.0
    sums.smallest_hessian = h[0]
    sums.smallest_positive = INFINITY
    for j in range(LANES):
        sums.gradient += gs[j]
        sums.hessian += hs[j]
        sums.largest_gradient = max(sums.largest_gradient, gm[j])
        sums.largest_hessian = max(sums.largest_hessian, hm[j])
        sums.smallest_hessian = min(sums.smallest_hessian, hl[j])
        sums.smallest_positive = min(sums.smallest_positive, hp[j])


cdef inline uint64_t round_block(
    const float* g, const float* h, const uint32_t* rows, int64_t start, int64_t stop,
    float per_gradient, float per_hessian, uint64_t* out
) noexcept nogil:
    """Write the rows' gradients in units, and return their sum.

    A hessian is at least one unit, so that a bin without hessian has no rows.
    """
    cdef int64_t i, a, b
    cdef uint64_t total = 0
    cdef uint32_t row
    if rows == NULL:
        for i in range(start, stop):
            a = round_(g[i] * per_gradient)
            b = round_(h[i] * per_hessian)
            out[i] = pack_sums(a, b if b > 1 else 1)
            total += out[i]
    else:
        for i in range(start, stop):
            row = rows[i]
            a = round_(g[row] * per_gradient)
            b = round_(h[row] * per_hessian)
            out[i] = pack_sums(a, b if b > 1 else 1)
            total += out[i]
    return total
