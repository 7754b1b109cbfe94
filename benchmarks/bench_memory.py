"""The process's peak memory while fitting; it includes Python and the data."""

from __future__ import annotations

import pickle

from fasttree import DecisionTreeClassifier

from . import datasets


class FitMemory:
    """Two classes, many distinct values, grown to the end."""

    params = ([None, 255],)
    param_names = ("max_bins",)
    timeout = 300

    def setup(self, max_bins):
        self.data = datasets.synthetic_binary(50_000)
        self.tree = DecisionTreeClassifier(
            criterion="entropy", max_bins=max_bins, random_state=0, n_jobs=1
        )

    def peakmem_fit(self, max_bins):
        self.tree.fit(self.data.X_train, self.data.y_train)

    def track_pickle_bytes_per_node(self, max_bins):
        tree = self.tree.fit(self.data.X_train, self.data.y_train)
        return len(pickle.dumps(tree)) / tree.tree_.node_count

    track_pickle_bytes_per_node.unit = "bytes"


class DataMemory:
    """The same process without a fit, to subtract."""

    def setup(self):
        self.data = datasets.synthetic_binary(50_000)

    def peakmem_nothing(self):
        return self.data
