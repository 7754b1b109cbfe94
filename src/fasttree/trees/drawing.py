"""Trees as pictures, drawn by scikit-learn's own functions."""

from __future__ import annotations

import html
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import sklearn.tree
from sklearn.utils._param_validation import HasMethods, validate_params

from fasttree.trees.export import fitted_tree, left_categories

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    from fasttree.trees.tree import Tree

# Marks a set in DOT until "<=" before it is replaced; from Unicode's private area.
_MARK = "\ue000"

_READ_BY_EXPORTERS = (
    "children_left",
    "children_right",
    "feature",
    "impurity",
    "n_classes",
    "n_node_samples",
    "n_outputs",
    "value",
    "weighted_n_node_samples",
)


@validate_params(
    {"out_file": [str, None, HasMethods("write")]},
    prefer_skip_nested_validation=False,
)
def export_graphviz(
    decision_tree: Any,
    out_file: Any = None,
    *,
    max_depth: int | None = None,
    feature_names: ArrayLike | None = None,
    class_names: ArrayLike | bool | None = None,
    label: str = "all",
    filled: bool = False,
    leaves_parallel: bool = False,
    impurity: bool = True,
    node_ids: bool = False,
    proportion: bool = False,
    rotate: bool = False,
    rounded: bool = False,
    special_characters: bool = False,
    precision: int = 3,
    fontname: str = "helvetica",
) -> str | None:
    """Write a decision tree in Graphviz's DOT format, as scikit-learn does.

    Parameters
    ----------
    decision_tree : DecisionTreeClassifier or DecisionTreeRegressor
        A fitted one.
    out_file : str or object with a method ``write``, default=None
        Name of a file, or an open one. None returns the text.
    max_depth : int, default=None
        Nodes below it are not shown. None shows all.
    feature_names : array-like of shape (n_features,), default=None
        None writes ``x[0]``, ``x[1]``, ...
    class_names : array-like of shape (n_classes,) or bool, default=None
        Names of the classes in the order of ``classes_``; True writes ``y[0]``,
        ``y[1]``, ..., and None nothing.
    label : {"all", "root", "none"}, default="all"
        Which nodes say what their numbers are.
    filled : bool, default=False
        Whether nodes have the colour of their class or value.
    leaves_parallel : bool, default=False
        Whether all leaves are drawn at the bottom.
    impurity : bool, default=True
        Whether nodes show their impurity.
    node_ids : bool, default=False
        Whether nodes show their number.
    proportion : bool, default=False
        Whether nodes show shares instead of numbers of rows.
    rotate : bool, default=False
        Whether the tree grows from left to right.
    rounded : bool, default=False
        Whether boxes have round corners.
    special_characters : bool, default=False
        Whether special characters, not all of them known to PostScript, are used.
    precision : int, default=3
        Digits after the decimal point.
    fontname : str, default="helvetica"
        Font of the text.

    Returns
    -------
    str or None
        The text if `out_file` is None. Categorical nodes read ``name in {a, b}``;
        a set of many categories is shortened, with their number.

    Raises
    ------
    NotFittedError
        If `decision_tree` is not fitted.
    TypeError
        If `decision_tree` has no tree of this library.
    ValueError
        If a parameter has a value that is not allowed.
    """

    def escape(text: str) -> str:
        if special_characters:
            return _MARK + html.escape(text, quote=False)
        return _MARK + text.replace("\\", "\\\\").replace('"', '\\"')

    drawn = sklearn.tree.export_graphviz(
        _as_sklearn(decision_tree, feature_names, escape),
        None,
        max_depth=max_depth,
        feature_names=feature_names,
        class_names=class_names,
        label=label,
        filled=filled,
        leaves_parallel=leaves_parallel,
        impurity=impurity,
        node_ids=node_ids,
        proportion=proportion,
        rotate=rotate,
        rounded=rounded,
        special_characters=special_characters,
        precision=precision,
        fontname=fontname,
    )
    drawn = re.sub(f"(?:<=|&le;) {_MARK}", "in ", drawn)
    if out_file is None:
        return drawn
    if isinstance(out_file, str):
        with open(out_file, "w", encoding="utf-8") as file:
            file.write(drawn)
    else:
        out_file.write(drawn)
    return None


def plot_tree(
    decision_tree: Any,
    *,
    max_depth: int | None = None,
    feature_names: ArrayLike | None = None,
    class_names: ArrayLike | bool | None = None,
    label: str = "all",
    filled: bool = False,
    impurity: bool = True,
    node_ids: bool = False,
    proportion: bool = False,
    rounded: bool = False,
    precision: int = 3,
    ax: Any = None,
    fontsize: int | None = None,
) -> list[Any]:
    """Plot a decision tree with matplotlib, as scikit-learn does.

    Parameters
    ----------
    decision_tree : DecisionTreeClassifier or DecisionTreeRegressor
        A fitted one.
    max_depth, feature_names, class_names, label, filled, impurity, node_ids, \
proportion, rounded, precision
        As in `export_graphviz`.
    ax : matplotlib Axes, default=None
        Where to plot; what was there is removed. None takes the current ones.
    fontsize : int, default=None
        None fits the text to the figure.

    Returns
    -------
    list of matplotlib Annotation
        The boxes and the words at the root's branches.

    Raises
    ------
    ImportError
        If there is no matplotlib.
    NotFittedError
        If `decision_tree` is not fitted.
    TypeError
        If `decision_tree` has no tree of this library.
    ValueError
        If a parameter has a value that is not allowed.
    """
    sets: set[str] = set()

    def note(text: str) -> str:
        # A pair of dollars would set what is between them as a formula.
        text = text.replace("$", r"\$")
        sets.add(text)
        return text

    model = _as_sklearn(decision_tree, feature_names, note)
    try:
        import matplotlib.pyplot  # noqa: F401, ICN001
    except ImportError as error:
        raise ImportError(
            "plot_tree needs matplotlib; pip install fasttree[plot] brings it"
        ) from error
    annotations = sklearn.tree.plot_tree(
        model,
        max_depth=max_depth,
        feature_names=feature_names,
        class_names=class_names,
        label=label,
        filled=filled,
        impurity=impurity,
        node_ids=node_ids,
        proportion=proportion,
        rounded=rounded,
        precision=precision,
        ax=ax,
        fontsize=fontsize,
    )

    def as_set(match: re.Match[str]) -> str:
        return f"in {match[1]}" if match[1] in sets else match[0]

    for annotation in annotations if sets else ():
        text = annotation.get_text()
        annotation.set_text(re.sub(r"<= (\{.*\})$", as_set, text, flags=re.MULTILINE))
    return annotations


def _as_sklearn(
    decision_tree: Any, feature_names: Any, prepare: Callable[[str], str]
) -> sklearn.tree.DecisionTreeClassifier:
    """Return a model of scikit-learn whose tree can be read as its own can.

    `prepare` makes the text of a set fit for the format.
    """
    tree = fitted_tree(decision_tree)
    if feature_names is not None and len(feature_names) != tree.n_features:
        raise ValueError(
            f"feature_names must contain {tree.n_features} elements, one for each "
            f"feature, got {len(feature_names)}"
        )
    criterion = getattr(decision_tree, "criterion", tree.criterion)
    # The exporters ask for one of scikit-learn's classes, whatever the criterion.
    model = sklearn.tree.DecisionTreeClassifier(criterion=criterion)
    model.n_features_in_ = tree.n_features
    model.tree_ = SimpleNamespace(
        threshold=_thresholds(tree, getattr(decision_tree, "schema_", None), prepare),
        **{name: getattr(tree, name) for name in _READ_BY_EXPORTERS},
    )
    return model


class _Set:
    """The set of a categorical node in the place of a threshold."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __round__(self, ndigits: int | None = None) -> str:
        return self.text


def _thresholds(tree: Tree, schema: Any, prepare: Callable[[str], str]) -> list[Any]:
    thresholds: list[Any] = list(tree.threshold)
    for node in tree.is_categorical.nonzero()[0].tolist():
        # One line, whatever is in the names.
        text = " ".join(left_categories(tree, node, schema).splitlines())
        thresholds[node] = _Set(prepare(text))
    return thresholds
