"""Encoding: raw columns to codes."""

from __future__ import annotations

import numpy as np

from fasttree import EncodedTable

from . import datasets


class EncodeMatrix:
    """A float matrix of many distinct values, exact and binned."""

    params = (["float32", "float64"], [None, 255])
    param_names = ("dtype", "max_bins")
    timeout = 120

    def setup(self, dtype, max_bins):
        self.X = datasets.synthetic_binary(100_000).X_train.astype(dtype)

    def time_encode(self, dtype, max_bins):
        EncodedTable.from_data(self.X, max_bins=max_bins, n_jobs=1)

    def peakmem_encode(self, dtype, max_bins):
        EncodedTable.from_data(self.X, max_bins=max_bins, n_jobs=1)

    def track_bytes_per_value(self, dtype, max_bins):
        table = EncodedTable.from_data(self.X, max_bins=max_bins, n_jobs=1)
        return table.nbytes / self.X.size

    track_bytes_per_value.unit = "bytes"


class EncodeFewValues:
    """Counts: columns with so few values that bins and exact codes agree."""

    timeout = 120

    def setup(self):
        self.X = datasets.few_values(100_000).X_train

    def time_encode(self):
        EncodedTable.from_data(self.X, n_jobs=1)


class EncodeFrame:
    """A frame with missing values and categories."""

    timeout = 120

    def setup(self):
        self.X = datasets.flights(100_000).X_train

    def time_encode(self):
        EncodedTable.from_data(self.X, n_jobs=1)


class TakeRows:
    """The rows of one cross-validation fold."""

    params = ([None, 255],)
    param_names = ("max_bins",)
    timeout = 120

    def setup(self, max_bins):
        X = datasets.synthetic_binary(100_000).X_train
        self.table = EncodedTable.from_data(X, max_bins=max_bins, n_jobs=1)
        self.rows = np.flatnonzero(np.arange(len(X)) % 5)

    def time_take(self, max_bins):
        self.table.take(self.rows)
