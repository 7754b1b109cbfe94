"""Scores on held-out rows: they change only when trees change."""

from __future__ import annotations

from sklearn.metrics import r2_score, roc_auc_score

from fasttree import DecisionTreeClassifier, DecisionTreeRegressor

from . import datasets


class ClassifierQuality:
    """Scores of classification trees of depth 8."""

    params = (["synthetic_binary", "few_values", "flights"], [None, 255])
    param_names = ("data", "max_bins")
    timeout = 300

    def setup(self, data, max_bins):
        self.data = getattr(datasets, data)(50_000)
        self.tree = DecisionTreeClassifier(
            criterion="entropy",
            max_depth=8,
            min_samples_leaf=50,
            max_bins=max_bins,
            random_state=0,
            n_jobs=1,
        ).fit(self.data.X_train, self.data.y_train)

    def track_auc(self, data, max_bins):
        scores = self.tree.predict_proba(self.data.X_test)[:, 1]
        return float(roc_auc_score(self.data.y_test, scores))

    def track_accuracy(self, data, max_bins):
        return float(self.tree.score(self.data.X_test, self.data.y_test))


class ManyClassesQuality:
    """Accuracy with 7 and with 450 classes."""

    params = (["covtype_like", "many_classes"],)
    param_names = ("data",)
    timeout = 300

    def setup(self, data):
        self.data = getattr(datasets, data)(30_000)

    def track_accuracy(self, data):
        tree = DecisionTreeClassifier(random_state=0, n_jobs=1)
        tree.fit(self.data.X_train, self.data.y_train)
        return float(tree.score(self.data.X_test, self.data.y_test))


class RegressorQuality:
    """R2 of a regression tree of depth 8."""

    params = ([None, 255],)
    param_names = ("max_bins",)
    timeout = 300

    def setup(self, max_bins):
        self.data = datasets.synthetic_regression(50_000)

    def track_r2(self, max_bins):
        tree = DecisionTreeRegressor(
            max_depth=8,
            min_samples_leaf=20,
            max_bins=max_bins,
            random_state=0,
            n_jobs=1,
        ).fit(self.data.X_train, self.data.y_train)
        return float(r2_score(self.data.y_test, tree.predict(self.data.X_test)))
