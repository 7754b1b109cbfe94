"""Kernel: is every field of every node what the other kernels rely on?"""

from libc.math cimport isfinite, isnan
from libc.stdint cimport int32_t, int64_t, uint8_t

cdef enum:
    # The order is that of NODE_PROBLEMS in fasttree.trees.tree.
    FEATURE = 1
    THRESHOLD
    MISSING_LEFT
    CATEGORY
    IMPURITY
    N_NODE_SAMPLES
    WEIGHTED_N_NODE_SAMPLES


def find_bad_field(
    const int32_t[::1] children_left,
    const int32_t[::1] feature,
    const double[::1] threshold,
    const uint8_t[::1] missing_left,
    const int32_t[::1] category_start,
    const int32_t[::1] category_count,
    const double[::1] impurity,
    const int64_t[::1] n_node_samples,
    const double[::1] weighted_n_node_samples,
    int64_t n_features,
    int64_t n_words,
):
    """Return the number of the first wrong field of the first wrong node, or 0.

    All arrays have one entry a node; `n_words` is the length of the category sets.
    """
    cdef Py_ssize_t i
    cdef int problem = 0
    cdef bint is_leaf, is_categorical
    cdef int64_t n_set_words
    with nogil:
        for i in range(children_left.shape[0]):
            is_leaf = children_left[i] == -1
            is_categorical = category_start[i] != -1
            n_set_words = (<int64_t>category_count[i] + 63) // 64
            if (feature[i] != -2 if is_leaf
                    else not 0 <= feature[i] < n_features):
                problem = FEATURE
            elif (isnan(threshold[i]) != is_categorical
                    or (is_leaf and threshold[i] != -2.0)):
                problem = THRESHOLD
            elif missing_left[i] > 1:
                problem = MISSING_LEFT
            elif is_categorical and not (
                    category_start[i] >= 0 and category_count[i] >= 1
                    and category_start[i] + n_set_words <= n_words):
                problem = CATEGORY
            elif not is_categorical and category_count[i] != 0:
                problem = CATEGORY
            elif not isfinite(impurity[i]):
                problem = IMPURITY
            elif n_node_samples[i] < 1:
                problem = N_NODE_SAMPLES
            elif not (weighted_n_node_samples[i] > 0.0
                      and isfinite(weighted_n_node_samples[i])):
                problem = WEIGHTED_N_NODE_SAMPLES
            if problem:
                break
    return problem
