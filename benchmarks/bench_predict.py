"""Predicting with a fitted tree, on one thread."""

from __future__ import annotations

from fasttree import DecisionTreeClassifier, RandomForestClassifier

from . import datasets


class PredictMatrix:
    """Batches of float rows; the deep tree is larger than the small caches."""

    params = ([8, None], [1, 1_000, 20_000])
    param_names = ("max_depth", "n_rows")
    timeout = 300

    def setup(self, max_depth, n_rows):
        data = datasets.synthetic_binary(20_000)
        self.X = datasets.synthetic_binary(20_000, seed=1).X_train[:n_rows]
        self.tree = DecisionTreeClassifier(
            max_depth=max_depth, random_state=0, n_jobs=1
        ).fit(data.X_train, data.y_train)

    def time_predict_proba(self, max_depth, n_rows):
        self.tree.predict_proba(self.X)

    def time_apply(self, max_depth, n_rows):
        self.tree.apply(self.X)


class PredictFrame:
    """A frame with missing values and categories."""

    timeout = 300

    def setup(self):
        data = datasets.flights(20_000)
        self.X = data.X_test
        self.tree = DecisionTreeClassifier(max_depth=12, random_state=0, n_jobs=1).fit(
            data.X_train, data.y_train
        )

    def time_predict_proba(self):
        self.tree.predict_proba(self.X)


class PredictOne:
    """One row through 100 trees, from Python."""

    params = ([31, None],)
    param_names = ("max_leaf_nodes",)
    timeout = 300

    def setup(self, max_leaf_nodes):
        data = datasets.synthetic_binary(20_000)
        model = RandomForestClassifier(
            100, max_leaf_nodes=max_leaf_nodes, random_state=0, n_jobs=1
        ).fit(data.X_train, data.y_train)
        self.predictor = model.predictor()
        self.row = data.X_train[0].copy()
        self.values = self.row.tolist()

    def time_array(self, max_leaf_nodes):
        self.predictor.predict_one(self.row)

    def time_list(self, max_leaf_nodes):
        self.predictor.predict_one(self.values)

    def time_proba(self, max_leaf_nodes):
        self.predictor.predict_proba_one(self.row)
