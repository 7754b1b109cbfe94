"""Rows for the tests of boosting."""

import numpy as np

PLAIN = {"early_stopping": False}


def data(n_rows=3000, n_features=6, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, n_features)).astype(np.float32)
    X[rng.random(n_rows) < 0.1, 2] = np.nan
    score = X[:, 0] * 2 + np.nan_to_num(X[:, 2], nan=1.5) + np.sin(3 * X[:, 1])
    return X, score + 0.3 * rng.normal(size=n_rows)


def queries(n_queries=150, size=12, seed=0):
    X, score = data(n_queries * size, seed=seed)
    y = np.clip(np.round(score + 1), 0, 4)
    return X, y, np.repeat(np.arange(n_queries), size)
