"""Write the golden files of this format version: once, when it is released.

    python tests/golden/make.py

Files that are there are never written again: every later version must load them and
predict the same bits. The rows and predictions are kept in ``expected.json``, floats
in hexadecimal.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

import fasttree

HERE = Path(__file__).parent


def models():
    """Yield a name, a fitted model and rows for it."""
    rng = np.random.default_rng(20261125)
    X = rng.normal(size=(150, 4))
    X[rng.random(X.shape) < 0.1] = np.nan
    y = rng.integers(0, 3, 150)
    value = np.nan_to_num(X[:, 0]) + rng.normal(size=150)
    single = X.astype(np.float32)
    frame = pd.DataFrame(single, columns=["a", "b", "c", "d"])
    frame["colour"] = pd.Categorical(rng.choice(["red", "green", "blue"], 150))
    options = {"max_depth": 5, "random_state": 0}
    labels = np.array(["x", "y", "z"])[y]
    yield (
        "classifier-double",
        fasttree.DecisionTreeClassifier(**options).fit(X, y),
        X,
    )
    yield (
        "regressor-single",
        fasttree.DecisionTreeRegressor(max_bins=16, **options).fit(single, value),
        X,
    )
    yield (
        "classifier-categories",
        fasttree.DecisionTreeClassifier(
            criterion="entropy", class_weight="balanced", **options
        ).fit(frame, labels),
        frame,
    )
    yield (
        "extra-weighted",
        fasttree.ExtraTreeRegressor(**options).fit(X, value, rng.random(150) + 0.1),
        X,
    )
    yield "one-leaf", fasttree.DecisionTreeRegressor().fit(X, np.full(150, 2.5)), X


def as_json(values):
    """Return rows or predictions as JSON holds them, each bit of a float."""
    if isinstance(values, pd.DataFrame):
        values = values.astype(object).where(values.notna(), None).to_numpy()
    return [
        [item.hex() if isinstance(item, float) else item for item in row]
        for row in np.atleast_2d(np.asarray(values, object)).tolist()
    ]


def main():
    """Write what is not there yet."""
    path = HERE / "expected.json"
    expected = json.loads(path.read_text()) if path.exists() else {}
    for name, model, X in models():
        file = HERE / f"{name}.fasttree"
        if file.exists():
            continue
        model.save(file)
        rows = X[:20]
        outputs = (
            model.predict_proba(rows)
            if hasattr(model, "predict_proba")
            else model.predict(rows)[:, None]
        )
        expected[name] = {"rows": as_json(rows), "outputs": as_json(outputs)}
    path.write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
