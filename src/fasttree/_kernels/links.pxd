"""From raw scores of boosting to predictions: the same bits for one row and many."""

from libc.stddef cimport ptrdiff_t

from fasttree._kernels.portable_math cimport exp_

# The same numbers as in model_state.py.
cdef enum:
    IDENTITY = 0
    LOGISTIC = 1        # one score: the probabilities of two classes
    SOFTMAX = 2         # a score for each class
    EXPONENTIAL = 3     # the logarithm of a mean


cdef inline void apply_link(
    int link, const double* raw, ptrdiff_t n, double* out
) noexcept nogil:
    """Write the predictions of a row; `out` may be `raw` unless it is longer."""
    cdef double largest, total, small
    cdef ptrdiff_t i
    if link == LOGISTIC:
        # Of a number that is not positive, so that nothing is lost on either side.
        small = exp_(raw[0] if raw[0] < 0.0 else -raw[0])
        largest = 1.0 / (1.0 + small)
        small = small / (1.0 + small)
        if raw[0] < 0.0:
            out[0] = largest
            out[1] = small
        else:
            out[0] = small
            out[1] = largest
    elif link == SOFTMAX:
        largest = raw[0]
        for i in range(1, n):
            largest = raw[i] if raw[i] > largest else largest
        total = 0.0
        for i in range(n):
            out[i] = exp_(raw[i] - largest)
            total += out[i]
        for i in range(n):
            out[i] /= total
    elif link == EXPONENTIAL:
        for i in range(n):
            out[i] = exp_(raw[i])
    else:
        for i in range(n):
            out[i] = raw[i]
