"""What Python hands to growth, as the structs that the kernels read."""

from libc.stdint cimport int8_t, int32_t, int64_t

from fasttree._kernels.types cimport ABSOLUTE, Limits, SUMS, Target


cdef inline void fill_target(
    Target* target, int kind, int loss, bint entropy, int n_classes, int64_t n_outputs,
    int64_t n_totals, const int64_t[::1] class_start, const double[::1] nlogn,
    double quantum, const double[::1] centres, double per_unit, int64_t n_rows,
    int64_t n_table_rows
) noexcept:
    """Fill in what is known of a target but for its arrays by row.

    A tree has at most `n_rows` rows of `n_table_rows`.
    """
    target.kind = kind
    target.loss = loss
    target.entropy = entropy
    target.centre = centres[0]
    target.centres = &centres[0]
    target.per_unit = per_unit
    target.n_classes = n_classes
    target.n_outputs = n_outputs
    target.n_orders = n_outputs if kind == SUMS and loss == ABSOLUTE else 1
    target.n_totals = n_totals
    target.stride = n_rows
    # Several outputs stand row by row, or output by output: see types.pxd.
    target.row_step = 1 if target.n_orders > 1 else n_outputs
    target.output_step = n_table_rows if target.n_orders > 1 else 1
    target.class_start = NULL if class_start is None else &class_start[0]
    target.nlogn = NULL if nlogn is None else &nlogn[0]
    target.nlogn_size = 0 if nlogn is None else nlogn.shape[0]
    target.quantum = quantum
    # Twelve rounded terms; for gini, the rounding of two quotients near n.
    target.slack = 12 * quantum if entropy else 1e-14 * n_rows


cdef inline int fill_limits(
    Limits* limits, tuple given, const int32_t[::1] bounded, const int8_t[:, ::1] signs
) except -1:
    """Fill in all limits; `given` has those that are numbers."""
    (limits.max_depth, limits.min_samples_split, limits.min_samples_leaf,
     limits.max_features, limits.min_weight_leaf, limits.min_samples_category,
     limits.min_gain, limits.drawn) = given
    limits.n_bounded = bounded.shape[0]
    limits.bounded = NULL if bounded.shape[0] == 0 else &bounded[0]
    limits.signs = NULL if bounded.shape[0] == 0 else &signs[0, 0]
    return 0
