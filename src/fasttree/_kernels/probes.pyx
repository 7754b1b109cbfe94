"""Inline kernels as the tests see them."""

import numpy as np

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from fasttree._kernels.bits cimport cells_of, count_bits, pack_bytes
from fasttree._kernels.copied cimport sort_codes
from fasttree._kernels.flags cimport gather_flags
from fasttree._kernels.partition cimport keep_entries, partition_entries
from fasttree._kernels.types cimport Target


def partition_order(
    uint32_t[::1] entries, const uint8_t[::1] goes_left, uint32_t[::1] spare
):
    """Split sorted entries stably in two; return how many went left."""
    return partition_entries(
        &entries[0], entries.shape[0], &goes_left[0], &spare[0])


def keep_order(
    uint32_t[::1] entries, const uint8_t[::1] goes_left, bint left, int64_t place
):
    """Move one side's sorted entries to `place`."""
    keep_entries(&entries[0], entries.shape[0], &goes_left[0], left, place)


def sort_local(const uint64_t[::1] codes, int shift, uint32_t missing_code):
    """Return the local entries of one byte of `codes`."""
    cdef uint16_t[::1] out = np.empty(codes.shape[0], np.uint16)
    sort_codes(&codes[0], NULL, codes.shape[0], shift, missing_code, &out[0])
    return np.asarray(out)


def count_two_valued(
    int kind, const uint16_t[::1] label, const int64_t[::1] value, int n_classes,
    const uint64_t[::1] bits, uint64_t active, const uint16_t[::1] rows,
):
    """Return the counts of a node's bits, (64, cells)."""
    cdef Target target
    cdef int64_t[:, ::1] cells
    target.kind = kind
    target.n_classes = n_classes
    target.label = NULL if label is None else &label[0]
    target.value = NULL if value is None else &value[0]
    cells = np.full((64, cells_of(&target)), -1, np.int64)
    count_bits(&target, &bits[0], active, &rows[0], rows.shape[0], &cells[0, 0])
    return np.asarray(cells)


def entry_flags(const uint16_t[::1] entries):
    """Return NEW and ONE of up to 64 local entries as bits."""
    cdef uint64_t new, ones
    gather_flags(&entries[0], entries.shape[0], &new, &ones)
    return new, ones


def pack_word(uint64_t word):
    """Return the lowest bits of the bytes of `word`, packed."""
    return pack_bytes(word)
