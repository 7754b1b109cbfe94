"""Fitting from raw data, encoding included, on one thread."""

from __future__ import annotations

from fasttree import DecisionTreeClassifier, DecisionTreeRegressor, EncodedTable

from . import datasets


class FitClassifier:
    """Two classes, many distinct values."""

    params = (["gini", "entropy"], [8, None], [None, 255])
    param_names = ("criterion", "max_depth", "max_bins")
    timeout = 300

    def setup(self, criterion, max_depth, max_bins):
        self.data = datasets.synthetic_binary(50_000)
        self.tree = DecisionTreeClassifier(
            criterion=criterion,
            max_depth=max_depth,
            max_bins=max_bins,
            random_state=0,
            n_jobs=1,
        )

    def time_fit(self, criterion, max_depth, max_bins):
        self.tree.fit(self.data.X_train, self.data.y_train)

    def track_nodes(self, criterion, max_depth, max_bins):
        tree = self.tree.fit(self.data.X_train, self.data.y_train)
        return tree.tree_.node_count

    track_nodes.unit = "nodes"


class FitEncoded:
    """Growth alone: the table is encoded before the clock starts."""

    params = ([8, None],)
    param_names = ("max_depth",)
    timeout = 300

    def setup(self, max_depth):
        self.data = datasets.synthetic_binary(50_000)
        self.table = EncodedTable.from_data(self.data.X_train, n_jobs=1)
        self.tree = DecisionTreeClassifier(
            criterion="entropy", max_depth=max_depth, random_state=0, n_jobs=1
        )

    def time_fit(self, max_depth):
        self.tree.fit(self.table, self.data.y_train)


class FitRegressor:
    """A real-valued target."""

    params = ([8, None],)
    param_names = ("max_depth",)
    timeout = 300

    def setup(self, max_depth):
        self.data = datasets.synthetic_regression(50_000)
        self.tree = DecisionTreeRegressor(max_depth=max_depth, random_state=0, n_jobs=1)

    def time_fit(self, max_depth):
        self.tree.fit(self.data.X_train, self.data.y_train)


class FitShapes:
    """Data of other shapes, grown to the end."""

    params = (["covtype_like", "few_values", "many_classes", "flights"],)
    param_names = ("data",)
    timeout = 300
    rows = 20_000

    def setup(self, data):
        self.data = getattr(datasets, data)(self.rows)
        self.tree = DecisionTreeClassifier(random_state=0, n_jobs=1)

    def time_fit(self, data):
        self.tree.fit(self.data.X_train, self.data.y_train)


class FitSmall:
    """Little data: what a fit costs besides the growing."""

    params = (["iris", "synthetic"],)
    param_names = ("data",)

    def setup(self, data):
        self.data = (
            datasets.from_sklearn("iris")
            if data == "iris"
            else datasets.synthetic_binary(1_000, 20)
        )
        self.tree = DecisionTreeClassifier(random_state=0, n_jobs=1)

    def time_fit(self, data):
        self.tree.fit(self.data.X_train, self.data.y_train)
