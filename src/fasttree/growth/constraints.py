"""Monotonic constraints: what was asked for, and trees whose values keep to it.

Growth sees to it that splits of a constrained column part their sides' values at a
bound (see monotone.pxd). Splits of other columns are free, so that values below them
may leave the bounds that stand higher up. In the end every value is moved to the
nearest one within its bounds: a mean or median is clipped, and class shares are
projected on the shares that keep to all bounds and sum to 1. There always are such
shares: a node whose column is constrained has children whose own are, and other
splits leave the bounds as they were.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree._kernels import grow as kernels

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Monotone:
    """Checked constraints.

    Attributes
    ----------
    signs : ndarray of int8, shape (n_features, n_bounded)
        1 where a value must not fall as the feature rises, -1 where it must not rise,
        0 where it is free.
    classes : ndarray of int32, shape (n_bounded,)
        The classes whose shares are constrained; [1] for regression too.
    """

    signs: NDArray[np.int8]
    classes: NDArray[np.int32]


def resolve(
    monotonic_cst: ArrayLike | Mapping[Any, ArrayLike] | None,
    n_features: int,
    classes: NDArray[Any] | None,
) -> Monotone | None:
    """Return the constraints that the parameter stands for.

    Parameters
    ----------
    monotonic_cst : array-like of shape (n_features,), dict of such, or None
    n_features : int
    classes : ndarray of shape (n_classes,), or None
        Labels of the classes; None for regression.

    Returns
    -------
    Monotone or None
        None if nothing is constrained.

    Raises
    ------
    ValueError
        If it is not -1, 0 or 1 for each feature, names an unknown class, or is not by
        class where there are more than two.
    """
    if monotonic_cst is None:
        return None
    if isinstance(monotonic_cst, Mapping):
        by_class = _signs_by_class(monotonic_cst, n_features, classes)
    else:
        signs = _check_signs("monotonic_cst", monotonic_cst, n_features)
        if classes is not None and len(classes) > 2:
            raise ValueError(
                "monotonic_cst must be a dict {class: constraints} for more than two "
                f"classes, got an array for {len(classes)} classes"
            )
        by_class = {1: signs}
    if classes is not None and len(classes) < 2:
        return None
    by_class = {code: signs for code, signs in by_class.items() if signs.any()}
    if not by_class:
        return None
    codes = sorted(by_class)
    return Monotone(
        np.stack([by_class[code] for code in codes], axis=1),
        np.array(codes, np.int32),
    )


def _check_signs(name: str, value: ArrayLike, n_features: int) -> NDArray[np.int8]:
    signs = np.asarray(value)
    if signs.shape != (n_features,):
        raise ValueError(
            f"{name} has shape {signs.shape} but the input data X has {n_features} "
            "features"
        )
    if not np.isin(signs, (-1, 0, 1)).all():
        raise ValueError(
            f"{name} must be None or an array-like of -1, 0 or 1, but got "
            f"{np.unique(signs)}"
        )
    return signs.astype(np.int8)


def _signs_by_class(
    given: Mapping[Any, ArrayLike], n_features: int, classes: NDArray[Any] | None
) -> dict[int, NDArray[np.int8]]:
    if classes is None:
        raise ValueError("monotonic_cst must be an array for regression, got a dict")
    code_of = {label: code for code, label in enumerate(classes.tolist())}
    by_class = {}
    for label, value in given.items():
        plain = label.item() if isinstance(label, np.generic) else label
        if plain not in code_of:
            raise ValueError(
                f"monotonic_cst names the class {label!r}, which is not in y; the "
                f"classes are {list(code_of)}"
            )
        by_class[code_of[plain]] = _check_signs(
            f"monotonic_cst[{label!r}]", value, n_features
        )
    if len(classes) != 2 or 0 not in by_class:
        return by_class
    # Of two classes the shares mirror each other.
    mirrored = -by_class.pop(0)
    if np.any(by_class.get(1, mirrored) != mirrored):
        raise ValueError(
            "monotonic_cst must have opposite signs for the two classes, since their "
            "shares sum to 1"
        )
    return {1: mirrored}


def find_bounds(
    monotone: Monotone,
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    feature: NDArray[np.int32],
    values: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the lowest and highest values that each node may have.

    Parameters
    ----------
    monotone : Monotone
    left, right, feature : ndarray of shape (n_nodes,)
        The tree, in preorder.
    values : ndarray of shape (n_nodes, n_bounded)
        What growth compared: shares, means or medians of the nodes.

    Returns
    -------
    ndarray of shape (n_nodes, n_bounded, 2), float64
    """
    bounds = np.empty((*values.shape, 2))
    bounds[0] = -np.inf, np.inf
    kernels.bound_tree(
        left, right, feature, monotone.signs, np.ascontiguousarray(values), bounds
    )
    return bounds


def find_share_bounds(
    monotone: Monotone,
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    feature: NDArray[np.int32],
    shares: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the bounds of `find_bounds` from shares that may be out of bounds.

    Children's shares are first moved into the bounds of their parent, so that each
    node has shares within its bounds whose sum is 1.

    Parameters
    ----------
    monotone : Monotone
    left, right, feature : ndarray of shape (n_nodes,)
        The tree, in preorder.
    shares : ndarray of shape (n_nodes, n_classes)

    Returns
    -------
    ndarray of shape (n_nodes, n_bounded, 2), float64
    """
    bounds = np.empty((len(left), len(monotone.classes), 2))
    bounds[0] = -np.inf, np.inf
    level = np.zeros(1, np.intp)
    while len(level):
        level = level[left[level] >= 0]
        sides = left[level], right[level]
        moved = [
            project_shares(monotone, shares[side], bounds[level])[:, monotone.classes]
            for side in sides
        ]
        middle = moved[0] / 2 + moved[1] / 2
        signs = monotone.signs[feature[level]]
        for side, rising in zip(sides, (1, -1), strict=True):
            own = bounds[level]
            own[..., 1] = np.where(signs == rising, middle, own[..., 1])
            own[..., 0] = np.where(signs == -rising, middle, own[..., 0])
            bounds[side] = own
        level = np.concatenate(sides)
    return bounds


def project_shares(
    monotone: Monotone, shares: NDArray[np.float64], bounds: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the nearest class shares within their bounds.

    Parameters
    ----------
    monotone : Monotone
    shares : ndarray of shape (n, n_classes)
    bounds : ndarray of shape (n, n_bounded, 2)

    Returns
    -------
    ndarray of shape (n, n_classes), float64
        Rows that are within their bounds are as they were.
    """
    low = np.zeros_like(shares)
    high = np.ones_like(shares)
    low[:, monotone.classes] = np.maximum(bounds[:, :, 0], 0.0)
    high[:, monotone.classes] = np.minimum(bounds[:, :, 1], 1.0)
    outside = np.flatnonzero(((shares < low) | (shares > high)).any(axis=1))
    projected = shares.copy()
    low, high, wrong = low[outside], high[outside], shares[outside]
    if shares.shape[1] == 2:
        one = np.clip(wrong[:, 1], low[:, 1], high[:, 1])
        projected[outside] = np.stack([1.0 - one, one], axis=1)
        return projected
    # The projection is clip(share - step) for the step that makes the sum 1.
    lowest = (wrong - high).min(axis=1, keepdims=True)
    highest = (wrong - low).max(axis=1, keepdims=True)
    for _ in range(64):
        step = lowest / 2 + highest / 2
        total = np.clip(wrong - step, low, high).sum(axis=1, keepdims=True)
        lowest = np.where(total > 1.0, step, lowest)
        highest = np.where(total > 1.0, highest, step)
    projected[outside] = np.clip(wrong - highest, low, high)
    return projected
