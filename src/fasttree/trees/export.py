"""Trees as text."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils._param_validation import Interval, validate_params
from sklearn.utils.validation import check_array, check_is_fitted

from fasttree.trees.tree import Tree
from fasttree.trees.tree_checks import NO_CHILD

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

_MAX_CATEGORIES_SHOWN = 8


@validate_params(
    {
        "decision_tree": "no_validation",
        "feature_names": ["array-like", None],
        "class_names": ["array-like", None],
        "max_depth": [Interval(Integral, 0, None, closed="left"), None],
        "spacing": [Interval(Integral, 1, None, closed="left"), None],
        "decimals": [Interval(Integral, 0, None, closed="left"), None],
        "show_weights": ["boolean"],
        "show_missing": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def export_text(
    decision_tree: Any,
    *,
    feature_names: ArrayLike | None = None,
    class_names: ArrayLike | None = None,
    max_depth: int | None = 10,
    spacing: int = 3,
    decimals: int = 2,
    show_weights: bool = False,
    show_missing: bool = False,
) -> str:
    """Return the rules of a decision tree as text, in scikit-learn's format.

    Parameters
    ----------
    decision_tree : DecisionTreeClassifier or DecisionTreeRegressor
        A fitted one.
    feature_names : array-like of shape (n_features,), default=None
        None writes ``feature_0``, ``feature_1``, ...
    class_names : array-like of shape (n_classes,), default=None
        None writes the classes as they are in ``classes_``. For several outputs
        a list of such arrays, one for each.
    max_depth : int or None, default=10
        Branches below it are cut short. None shows all.
    spacing : int, default=3
        Characters between edges.
    decimals : int, default=2
        Digits after the decimal point.
    show_weights : bool, default=False
        Whether the leaves of a classifier show the weight of each class.
    show_missing : bool, default=False
        Whether the branch that takes missing values says so.

    Returns
    -------
    str
        Categorical nodes read ``name in {a, b}`` and ``name not in {a, b}``; a set
        of many categories is shortened, with their number.

    Raises
    ------
    NotFittedError
        If `decision_tree` is not fitted.
    TypeError
        If `decision_tree` has no tree of this library.
    ValueError
        If `feature_names` or `class_names` have the wrong length.
    """
    tree = fitted_tree(decision_tree)
    if feature_names is None:
        feature_names = [f"feature_{i}" for i in range(tree.n_features)]
    feature_names = check_array(feature_names, ensure_2d=False, dtype=None)
    if len(feature_names) != tree.n_features:
        raise ValueError(
            f"feature_names must contain {tree.n_features} elements, "
            f"got {len(feature_names)}"
        )
    if tree.is_classification:
        if class_names is None:
            class_names = decision_tree.classes_
        class_names = _check_class_names(tree, class_names)
    writer = _Writer(
        tree, feature_names, class_names, getattr(decision_tree, "schema_", None),
        spacing, decimals, show_weights, show_missing,
    )  # fmt: skip
    return "".join(writer.lines(np.inf if max_depth is None else max_depth))


class _Writer:
    def __init__(
        self,
        tree: Tree,
        feature_names: Sequence[str],
        class_names: list[NDArray[Any]] | None,
        schema: Any,
        spacing: int,
        decimals: int,
        show_weights: bool,
        show_missing: bool,
    ) -> None:
        self.tree = tree
        self.feature_names = feature_names
        self.class_names = class_names
        self.schema = schema
        self.spacing = spacing
        self.decimals = decimals
        self.show_weights = show_weights
        self.show_missing = show_missing

    def lines(self, max_depth: float) -> Iterator[str]:
        """Yield the lines; a stack, since trees may be deeper than recursion goes."""
        tree = self.tree
        heights: list[int] | None = None
        stack: list[tuple[int, int] | str] = [(0, 1)]
        while stack:
            item = stack.pop()
            if isinstance(item, str):
                yield item
                continue
            node, depth = item
            indent = ("|" + " " * self.spacing) * depth
            indent = indent[: -self.spacing] + "-" * self.spacing
            if tree.children_left[node] == NO_CHILD:
                yield f"{indent}{self._leaf(node)}\n"
            elif depth <= max_depth + 1:
                left, right = self._branches(node)
                stack.append((int(tree.children_right[node]), depth + 1))
                stack.append(f"{indent} {right}\n")
                stack.append((int(tree.children_left[node]), depth + 1))
                stack.append(f"{indent} {left}\n")
            else:
                heights = heights or _heights(tree)
                yield f"{indent} truncated branch of depth {heights[node]}\n"

    def _branches(self, node: int) -> tuple[str, str]:
        tree = self.tree
        name = self.feature_names[tree.feature[node]]
        if tree.is_categorical[node]:
            names = left_categories(tree, node, self.schema)
            left, right = f"{name} in {names}", f"{name} not in {names}"
        else:
            threshold = f"{tree.threshold[node]:.{self.decimals}f}"
            left, right = f"{name} <= {threshold}", f"{name} >  {threshold}"
        if self.show_missing:
            if tree.missing_go_to_left[node]:
                left += " or missing"
            else:
                right += " or missing"
        return left, right

    def _leaf(self, node: int) -> str:
        tree = self.tree
        leaf = int(np.searchsorted(tree.leaf_nodes, node))
        if not tree.is_classification:
            return f" value: {self._listed(np.atleast_1d(tree.leaf_value[leaf]))}"
        entries = slice(tree.leaf_start[leaf], tree.leaf_start[leaf + 1])
        shares = np.zeros(tree.total_n_classes)
        shares[tree.leaf_class[entries]] = tree.leaf_share[entries]
        by_output = np.split(shares, tree.class_start[1:-1])
        winners = []
        for share, names in zip(by_output, self.class_names or [], strict=True):
            winner = int(np.argmax(share))
            winners.append(str(names[winner] if len(share) != 1 else winner))
        classes = winners[0] if len(winners) == 1 else f"[{', '.join(winners)}]"
        if not self.show_weights:
            return f" class: {classes}"
        weight = tree.weighted_n_node_samples[node]
        weights = ", ".join(self._listed(share * weight) for share in by_output)
        if len(winners) > 1:
            weights = f"[{weights}]"
        return f" weights: {weights} class: {classes}"

    def _listed(self, numbers: NDArray[np.float64]) -> str:
        return "[" + ", ".join(f"{x:.{self.decimals}f}" for x in numbers) + "]"


def _check_class_names(tree: Tree, class_names: Any) -> list[NDArray[Any]]:
    """Return the names of the classes of each output."""
    given = [class_names] if tree.n_outputs == 1 else list(class_names)
    if len(given) != tree.n_outputs:
        raise ValueError(
            f"class_names must contain {tree.n_outputs} arrays, one for each output, "
            f"got {len(given)}"
        )
    names = [check_array(own, ensure_2d=False, dtype=None) for own in given]
    for own, n_classes in zip(names, tree.n_classes, strict=True):
        if len(own) != n_classes:
            raise ValueError(
                f"class_names must contain {n_classes} elements, one for each class, "
                f"got {len(own)}"
            )
    return names


def fitted_tree(decision_tree: Any) -> Tree:
    """Return the tree of a fitted estimator of this library.

    Raises
    ------
    NotFittedError
        If `decision_tree` is not fitted.
    TypeError
        If `decision_tree` has no tree of this library.
    """
    check_is_fitted(decision_tree)
    tree = getattr(decision_tree, "tree_", None)
    if not isinstance(tree, Tree):
        raise TypeError(
            "decision_tree must be a fitted DecisionTreeClassifier or "
            f"DecisionTreeRegressor of fasttree, got {type(decision_tree).__name__}"
        )
    return tree


def left_categories(tree: Tree, node: int, schema: Any) -> str:
    """Return the set of categories that goes left, shortened if there are many."""
    codes = left_codes(tree, node)
    categories = _categories(schema, int(tree.feature[node]))
    shown = [
        str(code if categories is None else categories[code])
        for code in codes[:_MAX_CATEGORIES_SHOWN].tolist()
    ]
    if len(codes) > len(shown):
        shown.append(f"... {len(codes)} in all")
    return "{" + ", ".join(shown) + "}"


def left_codes(tree: Tree, node: int) -> NDArray[np.intp]:
    """Return the category codes that a categorical node sends left, ascending."""
    start, count = int(tree.category_start[node]), int(tree.category_count[node])
    words = tree.category_bits[start : start + (count + 63) // 64]
    bits = np.unpackbits(words.astype("<u8").view(np.uint8), bitorder="little")
    return np.flatnonzero(bits[:count])


def _categories(schema: Any, feature: int) -> NDArray[Any] | None:
    return None if schema is None else schema.categories[feature]


def _heights(tree: Tree) -> list[int]:
    """Return the depth of each node's subtree, 1 at leaves."""
    left, right = tree.children_left.tolist(), tree.children_right.tolist()
    heights = [1] * tree.node_count
    for node in range(tree.node_count - 1, -1, -1):
        if left[node] != NO_CHILD:
            heights[node] = 1 + max(heights[left[node]], heights[right[node]])
    return heights
