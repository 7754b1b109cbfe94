"""The structs that every growth kernel shares.

A *row* is an index into the table, or a local index into a node's own copy.
An *entry* is a row in sorted order with three flags in its top bits:

    NEW      its code differs from that of the entry before (means nothing
             on the first entry of a node's segment)
    MISSING  the column has no value for this row; such entries stand last
    ONE      the row is of class 1 of two: scans need not look its label up
"""

from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

ctypedef fused entry_t:
    uint16_t  # local rows of a node's own copy: 13 bits
    uint32_t  # rows of the table: 29 bits

ctypedef fused code_t:
    uint8_t
    uint16_t
    uint32_t

cdef enum Kind:
    BINARY = 0      # two classes, each row counts once
    CLASSES = 1     # any number of classes, integer weights
    REGRESSION = 2  # sums of fixed-point targets
    LABELS = 3      # several outputs of classes, see outputs.pxd
    SUMS = 4        # several outputs of numbers

cdef enum Loss:
    SQUARED = 0     # deviations from the mean
    POISSON = 1     # half the Poisson deviance from the mean
    ABSOLUTE = 2    # deviations from the median; rows are in order of the target

# What is to be predicted, and how a split of it is scored.
cdef struct Target:
    int kind
    int loss                  # of REGRESSION and SUMS
    bint entropy              # else gini; ignored for these
    int n_classes
    const uint16_t* label     # (n_rows,) classification
    const int64_t* weight     # (n_rows,) in weight units, NULL when all are 1
    const int64_t* value      # (n_rows,) REGRESSION: weight * target, fixed point
    const double* response    # (n_rows,) REGRESSION: target times a power of 2
    const double* nlogn       # (nlogn_size,) x * log2(x), rounded to quantum
    int64_t nlogn_size
    double quantum            # power of two: sums of nlogn are exact
    double slack              # bounds closer than this are not trusted
    # REGRESSION: value = weight * (response - centre) * per_unit, rounded.
    double centre
    double per_unit
    int64_t n_totals          # length of a node's vector of sums; 0: it has none
    # Several outputs; label is (n_rows, n_outputs) then.
    int64_t n_outputs
    int64_t row_step          # of value and response, from row to row
    int64_t output_step       # and from output to output
    int64_t n_orders          # orders that a node's rows are kept in
    int64_t stride            # from one such order to the next
    const int64_t* class_start    # (n_outputs + 1,) LABELS: first class of each
    const double* centres     # (n_outputs,) SUMS: `centre` of each

# Sums over the rows of one node.
cdef struct NodeStat:
    int64_t n                 # rows
    int64_t weight            # weight units
    int64_t sum               # BINARY: rows of class 1; REGRESSION: sum of value
    double class_sum          # CLASSES, LABELS: sum over classes of nlogn(w) or w * w
    double score              # what a split has to exceed to gain anything
    double impurity
    double mean               # REGRESSION: sum / weight
    double value              # REGRESSION: weighted mean of response
    bint pure

# The best split of a node so far.
cdef struct Split:
    double score              # -inf: none
    int64_t position          # ordered columns: entries (or runs) that go left;
                              # drawn splits: last key that goes left, or attempt
    double threshold          # drawn splits; else the midpoint is taken later
    int32_t feature
    uint32_t code_low         # tiled columns: last code that goes left
    uint32_t code_high        # tiled columns: first code that goes right
    int32_t order_class       # categorical columns: class that ordered the runs
    uint8_t missing_left
    uint8_t constant          # the column has one code in this node

# A column as the growth kernels see it.
cdef struct Feature:
    int32_t place             # of a tiled column: tile * TILE + byte
    uint8_t tiled             # uint8 codes in tiles; else an order
    uint8_t binary            # tiled, of two codes, none missing: see bits.pxd
    uint8_t categorical
    uint8_t has_missing
    uint8_t itemsize          # bytes of a code in `codes`
    uint32_t n_codes          # code of a missing value, where there are codes
    const void* codes         # (n_rows,) categorical columns; else NULL
    uint32_t* order           # (n_rows,) nodes own ranges of it; NULL if tiled
    const void* keys          # (n_rows,) drawn splits, see keys.pxd; else NULL
    const double* lower       # (n_codes,) bounds of the bins that the keys number;
    const double* upper       # NULL where the keys are values or categories
    uint8_t key_size          # bytes of a key
    uint8_t single            # thresholds are to be values of float32
    uint8_t monotone          # a constraint speaks of the column

cdef struct Limits:
    int64_t max_depth
    int64_t min_samples_split
    int64_t min_samples_leaf
    int64_t max_features
    int64_t min_weight_leaf   # weight units; 0 where all rows weigh the same
    int64_t min_samples_category
    double min_gain           # in units of score
    bint drawn                # one split a feature, drawn at random
    int64_t n_bounded         # values under monotonic constraints, see monotone.pxd
    const int32_t* bounded    # (n_bounded,) CLASSES: the classes whose shares they are
    const int8_t* signs       # (n_features, n_bounded)
