"""export_graphviz and plot_tree draw what scikit-learn draws, and categories."""

import inspect
import io

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import sklearn.tree
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import NotFittedError

import reference_predict as reference
from fasttree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    export_graphviz,
    plot_tree,
)

mpl.use("Agg")
import matplotlib.pyplot as plt

IRIS, SPECIES = load_iris(return_X_y=True)
IRIS = IRIS.astype(np.float32)


def pairs():
    """Yield scikit-learn's models, and ours around copies of their trees."""
    rng = np.random.default_rng(0)
    X, y = load_diabetes(return_X_y=True)
    for model, data, target, weight in (
        (sklearn.tree.DecisionTreeClassifier(random_state=0), IRIS, SPECIES, None),
        (
            sklearn.tree.DecisionTreeClassifier(criterion="log_loss", random_state=0),
            IRIS, SPECIES, rng.random(150),
        ),
        (sklearn.tree.DecisionTreeRegressor(max_depth=4), X, y, None),
        (sklearn.tree.DecisionTreeClassifier(), IRIS[:3], [1, 1, 1], None),
        (sklearn.tree.DecisionTreeRegressor(), IRIS[:3], [1, 1, 1], None),
    ):  # fmt: skip
        theirs = model.fit(data.astype(np.float32), target, weight)
        arrays = reference.arrays_from_sklearn(theirs)
        if "leaf_weight" in arrays and weight is None:
            # Rows were counted.
            arrays["leaf_weight"] = np.rint(arrays["leaf_weight"])
        ours = reference.Fitted(reference.Tree.from_arrays(**arrays))
        ours.criterion = model.criterion
        yield theirs, ours


GRAPHVIZ = [
    {},
    {"max_depth": 0},
    {"max_depth": 1, "filled": True, "leaves_parallel": True},
    {"class_names": True, "label": "root", "node_ids": True, "precision": 1},
    {"proportion": True, "rotate": True, "rounded": True, "filled": True},
    {"special_characters": True, "label": "none", "impurity": False},
    {"fontname": "times", "class_names": ['a "b"', "c", "d"], "filled": True},
]
PLOT = [
    {},
    {"max_depth": 1, "filled": True},
    {"class_names": True, "label": "root", "node_ids": True, "precision": 1},
    {"proportion": True, "rounded": True, "fontsize": 7, "impurity": False},
]


def test_signatures_are_scikit_learns():
    for ours, theirs in (
        (export_graphviz, sklearn.tree.export_graphviz),
        (plot_tree, sklearn.tree.plot_tree),
    ):
        names, expected = (inspect.signature(f).parameters for f in (ours, theirs))
        assert list(names) == list(expected)
        for name in names:
            assert names[name].default == expected[name].default
            assert names[name].kind == expected[name].kind


@pytest.mark.parametrize("options", GRAPHVIZ)
@pytest.mark.parametrize("named", [False, True])
def test_graphviz_equals_scikit_learn(options, named):
    for theirs, ours in pairs():
        names = [f'f"{i}' for i in range(theirs.n_features_in_)] if named else None
        assert export_graphviz(
            ours, feature_names=names, **options
        ) == sklearn.tree.export_graphviz(theirs, feature_names=names, **options)


@pytest.mark.parametrize("options", PLOT)
def test_plot_equals_scikit_learn(options):
    for theirs, ours in pairs():
        drawn = []
        for plot, model in ((plot_tree, ours), (sklearn.tree.plot_tree, theirs)):
            figure, ax = plt.subplots()
            drawn.append(
                [
                    (
                        note.get_text(), note.get_position(), note.xy,
                        note.get_fontsize(),
                        note.get_bbox_patch() and note.get_bbox_patch().get_facecolor(),
                    )
                    for note in plot(model, ax=ax, **options)
                ]
            )  # fmt: skip
            plt.close(figure)
        assert drawn[0] == drawn[1]


@pytest.mark.parametrize("estimator", [DecisionTreeClassifier, DecisionTreeRegressor])
def test_fitted_estimators(estimator):
    model = estimator(max_depth=2).fit(IRIS, SPECIES)
    dot = export_graphviz(model)
    assert dot.startswith("digraph Tree {")
    assert f"{model.criterion} = " in dot
    assert len(plot_tree(model)) == model.tree_.node_count + 2
    plt.close("all")


def categorical():
    names = ['say "aye"', "b & c", "<d>", "$e$", "f\\g\nh", "zz"]
    frame = pd.DataFrame({"name": names * 20, "x": np.arange(120.0)})
    y = np.isin(np.arange(120) % 6, (0, 1, 2, 3, 4)) & (np.arange(120) > 30)
    model = DecisionTreeClassifier(max_depth=2, min_samples_category=1).fit(frame, y)
    assert model.tree_.is_categorical.sum() == 1
    # Of the two sets the one with "zz" goes right.
    node = int(np.flatnonzero(model.tree_.is_categorical)[0])
    codes = int(model.tree_.category_bits[model.tree_.category_start[node]])
    return model, codes


def test_categories_are_sets():
    model, codes = categorical()
    shown = [
        str(c) for i, c in enumerate(model.schema_.categories[0]) if codes >> i & 1
    ]
    plain = "{" + ", ".join(shown) + "}"
    line = plain.replace("\n", " ")
    dot = export_graphviz(model, feature_names=["who", "x"])
    escaped = line.replace("\\", "\\\\").replace('"', '\\"')
    assert f"who in {escaped}\\n" in dot
    assert dot.count("<=") == model.tree_.node_count - model.tree_.n_leaves - 1
    rich = export_graphviz(model, special_characters=True)
    escaped = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert f"<SUB>0</SUB> in {escaped}<br/>" in rich
    assert "nan" not in dot + rich
    texts = [note.get_text() for note in plot_tree(model, feature_names=["who", "x"])]
    expected = "who in " + line.replace("$", r"\$")
    assert sum(text.startswith(expected + "\n") for text in texts) == 1
    plt.gcf().canvas.draw()
    plt.close("all")


def test_out_file(tmp_path):
    model = DecisionTreeClassifier().fit(IRIS, SPECIES)
    expected = export_graphviz(model)
    path = tmp_path / "tree.dot"
    assert export_graphviz(model, str(path)) is None
    assert path.read_text(encoding="utf-8") == expected
    file = io.StringIO()
    assert export_graphviz(model, file) is None
    assert file.getvalue() == expected


@pytest.mark.parametrize("draw", [export_graphviz, plot_tree])
def test_errors(draw):
    model = DecisionTreeClassifier().fit(IRIS, SPECIES)
    with pytest.raises(ValueError, match="feature_names must contain 4"):
        draw(model, feature_names=["a"])
    for name, value in (("max_depth", -1), ("label", "some"), ("precision", "3")):
        with pytest.raises(ValueError, match=f"'{name}' parameter"):
            draw(model, **{name: value})
    with pytest.raises(ValueError, match="'out_file' parameter"):
        export_graphviz(model, 3)
    with pytest.raises(NotFittedError):
        draw(DecisionTreeClassifier())
    with pytest.raises(TypeError, match="fasttree"):
        draw(sklearn.tree.DecisionTreeClassifier().fit(IRIS, SPECIES))


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    model = DecisionTreeClassifier().fit(IRIS, SPECIES)
    with pytest.raises(ImportError, match=r"fasttree\[plot\]"):
        plot_tree(model)
