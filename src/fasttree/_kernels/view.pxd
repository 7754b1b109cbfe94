"""What all threads of a fit see, and the messages of growth's policy."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fasttree._kernels.types cimport Feature, Limits, NodeStat, Target

# A wide node to search. Mirrored by fasttree.growth.records.JOB_DTYPE.
cdef struct Job:
    int64_t begin
    int64_t slot              # of its histograms, or -1
    uint64_t key
    int64_t depth
    int64_t leaf
    NodeStat stat

# Rows to count into one slot, which is then taken from another.
cdef struct Count:
    int64_t begin
    int64_t end
    int64_t slot
    int64_t parent            # slot that becomes the sibling's, or -1

# What a fit needs of the table and the target; threads share it.
cdef struct View:
    Target target
    Limits limits
    const Feature* features
    int32_t n_features
    int64_t n_rows
    int64_t n_words           # of a mask of features
    uint32_t* rows            # (n_orders, n_rows) nodes own ranges of it
    const uint64_t* tiles     # (n_tiles, n_rows)
    const int32_t* tiled      # feature of each byte of the tiles, or -1
    uint64_t* binary          # (n_tiles,) 1 in the bytes of columns of two values
    uint64_t* listed          # (n_words,) mask of the other features
    int32_t n_tiles
    int32_t n_bit_words       # of a row
    uint8_t* goes_left        # (n_rows,)
    uint16_t* local           # (n_rows,) local row in the node's copy
    int64_t run_capacity
    bint has_orders
