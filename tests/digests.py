"""Print a digest of trees of every kind: the same on every CPU level."""

import hashlib

import numpy as np

from fasttree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    GradientBoostingClassifier,
    GradientBoostingRanker,
    GradientBoostingRegressor,
)


def data(n_rows=12_000, n_features=10):
    rng = np.random.default_rng(5)
    X = rng.normal(size=(n_rows, n_features)).astype(np.float32)
    X[:, 1] = np.round(X[:, 1], 1)
    X[:, 2] = rng.integers(0, 9, n_rows)
    X[rng.random(n_rows) < 0.1, 3] = np.nan
    noise = rng.normal(size=n_rows)
    score = np.nan_to_num(X[:, 3]) + X[:, 0] * X[:, 1] + 0.5 * noise
    return X, score, rng.random(n_rows) + 0.1


def digest(model):
    return digest_tree(model.tree_)


def digest_tree(tree):
    state = tree.__getstate__()
    sha = hashlib.sha256()
    for name in sorted(state):
        if isinstance(state[name], np.ndarray):
            sha.update(name.encode())
            sha.update(np.ascontiguousarray(state[name]).tobytes())
    return sha.hexdigest()


def digests():
    X, score, weight = data()
    classes = np.digitize(score, [-0.5, 0.0, 0.5])
    for max_bins in (None, 100):
        for criterion in ("gini", "entropy"):
            options = {"criterion": criterion, "max_bins": max_bins}
            model = DecisionTreeClassifier(**options)
            yield digest(model.fit(X, score > 0))
            yield digest(model.fit(X, classes))
            yield digest(model.fit(X, score > 0, sample_weight=weight))
            model = DecisionTreeClassifier(
                **options, max_features=3, categorical_features=[2], random_state=3
            )
            yield digest(model.fit(X, classes))
        model = DecisionTreeRegressor(max_bins=max_bins)
        yield digest(model.fit(X, score))
        yield digest(model.fit(X, score, sample_weight=weight))
    several = np.stack([score, X[:, 0] ** 2, weight], axis=1)
    for splitter in ("best", "random"):
        options = {"splitter": splitter, "max_depth": 7, "random_state": 1}
        for criterion in ("squared_error", "poisson", "absolute_error"):
            model = DecisionTreeRegressor(criterion=criterion, **options)
            yield digest(model.fit(X, np.abs(several), sample_weight=weight))
        model = DecisionTreeClassifier(criterion="entropy", **options)
        yield digest(model.fit(X, np.digitize(several, [0.0, 0.5, 1.0])))
        for criterion in ("poisson", "absolute_error"):
            model = DecisionTreeRegressor(criterion=criterion, max_bins=max_bins)
            yield digest(model.fit(X[:4000], np.exp(score[:4000])))
            yield digest(model.fit(X[:4000], np.exp(score[:4000]), weight[:4000]))
    yield from boosted_digests(X, score, classes, weight)


def boosted_digests(X, score, classes, weight):
    options = {
        "max_iter": 3,
        "early_stopping": False,
        "categorical_features": [2],
        "random_state": 1,
    }
    models = [
        GradientBoostingClassifier(**options).fit(X, score > 0, weight),
        GradientBoostingClassifier(**options, sampling="goss").fit(X, classes),
        GradientBoostingRegressor(**options, max_features=0.5).fit(X, score),
    ]
    for loss in ("poisson", "gamma", "tweedie", "huber", "absolute_error"):
        model = GradientBoostingRegressor(**options, loss=loss, subsample=0.7)
        models.append(model.fit(X, np.exp(score / 4)))
    grades = np.clip(np.round(score + 1), 0, 4)
    ranker = GradientBoostingRanker(**options)
    models.append(ranker.fit(X, grades, qid=np.repeat(np.arange(600), 20)))
    for model in models:
        for tree in model.ensemble_:
            yield digest_tree(tree)


if __name__ == "__main__":
    print("\n".join(digests()))
