"""A fitted model as plain data: what a file, a pickle and a predictor are made of."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree.storage.model_file import ModelFileError
from fasttree.trees.links import LINKS
from fasttree.trees.packed_trees import PackedTrees

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

#: How what the leaves of a row hold becomes the model's answer: the mean over the
#: trees, or a baseline plus the sum.
COMBINATIONS = ("mean", "sum")
UNKNOWN_CATEGORY_POLICIES = ("missing", "error")

_INT32_MAX = np.iinfo(np.int32).max
_LABEL_DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float32", "float64",
)  # fmt: skip
# Arrays of the file that make up the trees, their dtype and dimensions. Nodes of two
# words are one of 64 bits there.
_PACKED = {
    "tree_start": (np.int64, 1),
    "slot_feature": (np.int32, 1),
    "slot_kind": (np.uint8, 1),
    "cuts": (np.float64, 1),
    "cut_start": (np.int64, 1),
    "words": (np.uint64, 1),
    "leaf_value": (np.float64, 2),
    "profile_start": (np.int64, 1),
    "profile_class": (np.int32, 1),
    "profile_weight": (np.float64, 1),
    "profile_share": (np.float64, 1),
}
_STATISTICS = (
    "n_node_samples",
    "weighted_n_node_samples",
    "impurity",
    "inner_value",
    "output_classes",
)


@dataclass(frozen=True, eq=False)
class ModelState:
    """All that a fitted model is.

    Attributes
    ----------
    packed : PackedTrees
    columns : int32 array of shape (n_trees,)
        First column that each tree adds to.
    baseline : float64 array of shape (n_columns,)
        What the columns start from.
    combination : {"mean", "sum"}
        Whether the columns are divided by the number of trees.
    link : {"identity", "logistic", "softmax", "exponential"}
        What makes predictions of the columns.
    feature_names : tuple of str or None
    categories : tuple of (ndarray or None)
        Labels of each feature's categories in the order of codes.
    single : tuple of bool
        Whether each feature's thresholds are float32 values.
    unknown_category : {"missing", "error"}
    classes : tuple of ndarray, or None
        Classification: the labels of each output.
    criterion : str or None
        What the trees were grown with, if `statistics` are there.
    statistics : dict of str to ndarray
        What training left at nodes, as in `NodeStatistics`; may be empty.
    estimator : str or None
        Name of the estimator's class.
    params : dict
        The estimator's parameters.
    attributes : dict
        Numbers and strings that the estimator keeps besides.
    arrays : dict of str to ndarray
        Arrays that it keeps besides.
    """

    packed: PackedTrees
    columns: NDArray[np.int32]
    baseline: NDArray[np.float64]
    combination: str
    link: str
    feature_names: tuple[str, ...] | None
    categories: tuple[NDArray[Any] | None, ...]
    single: tuple[bool, ...]
    unknown_category: str
    classes: tuple[NDArray[Any], ...] | None
    criterion: str | None = None
    statistics: dict[str, NDArray[Any]] = field(default_factory=dict)
    estimator: str | None = None
    params: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)

    def to_parts(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the description and the arrays that a file holds.

        Raises
        ------
        TypeError
            If a parameter or a label is none that JSON can hold.
        """
        names = self.feature_names or [None] * len(self.single)
        features = [
            {
                "name": name,
                "float32": bool(single),
                "categories": None if labels is None else _labels_to_json(labels),
            }
            for name, single, labels in zip(
                names, self.single, self.categories, strict=True
            )
        ]
        packed = self.packed
        description = {
            "fasttree_version": version("fasttree"),
            "estimator": self.estimator,
            "params": {
                name: _to_json(value, f"parameter {name}")
                for name, value in self.params.items()
            },
            "attributes": {
                name: _to_json(value, f"attribute {name}")
                for name, value in self.attributes.items()
            },
            "combination": self.combination,
            "link": self.link,
            "criterion": self.criterion,
            "features": features,
            "unknown_category": self.unknown_category,
            "classes": None
            if self.classes is None
            else [_labels_to_json(labels) for labels in self.classes],
            "n_columns": packed.n_columns,
            "slot_bits": packed.slot_bits,
        }
        nodes = packed.nodes
        if nodes.shape[1] == 2:
            little = np.ascontiguousarray(nodes, "<u4")
            nodes = little.view("<u8").reshape(-1)
        arrays = {"nodes": nodes}
        arrays |= {name: getattr(packed, name) for name in _PACKED}
        arrays |= {"columns": self.columns, "baseline": self.baseline}
        arrays |= {f"node.{name}": array for name, array in self.statistics.items()}
        arrays |= {f"own.{name}": array for name, array in self.arrays.items()}
        return description, arrays

    @classmethod
    def from_parts(
        cls, description: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> ModelState:
        """Return the model that these describe, after checking all of it.

        Raises
        ------
        ModelFileError
            If they are not those of a model.
        """
        try:
            return _restore(description, arrays)
        except ModelFileError:
            raise
        except (
            ValueError, TypeError, KeyError, OverflowError, MemoryError, RecursionError
        ) as error:  # fmt: skip
            raise ModelFileError(f"this is not a model: {error}") from error


def _restore(
    description: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> ModelState:
    features = _typed(description, "features", list)
    _require(features, "features must not be empty")
    names, single, categories = [], [], []
    for entry in features:
        _require(isinstance(entry, dict), "features must be objects")
        name = entry.get("name")
        _require(name is None or isinstance(name, str), "a name must be a string")
        names.append(name)
        single.append(_typed(entry, "float32", bool))
        labels = entry.get("categories")
        categories.append(None if labels is None else _labels_from_json(labels))
    has_names = names[0] is not None
    _require(
        all((name is not None) == has_names for name in names)
        and (not has_names or len(set(names)) == len(names)),
        "either all features have different names or none has one",
    )
    classes = description.get("classes")
    if classes is not None:
        _require(isinstance(classes, list) and classes, "classes must be a list")
        classes = tuple(_labels_from_json(labels) for labels in classes)
        _require(
            all(len(labels) for labels in classes),
            "classes must have labels for each output",
        )
    packed = _restore_packed(description, arrays, len(features))
    packed.check()
    is_classification = not len(packed.leaf_value)
    combination = _typed(description, "combination", str)
    _require(combination in COMBINATIONS, f"combination {combination!r:.40} is unknown")
    policy = _typed(description, "unknown_category", str)
    _require(
        policy in UNKNOWN_CATEGORY_POLICIES,
        f"unknown_category {policy!r:.40} is unknown",
    )
    columns = _array(arrays, "columns", np.int32, 1)
    baseline = _array(arrays, "baseline", np.float64, 1)
    _require(
        len(columns) == packed.n_trees
        and np.all(columns >= 0)
        and np.all(columns.astype(np.int64) + packed.n_columns <= len(baseline))
        and np.all(np.isfinite(baseline)),
        "columns must be those of the baseline",
    )
    link = description.get("link", "identity")
    _require(isinstance(link, str) and link in LINKS, f"link {link!r:.40} is unknown")
    if is_classification:
        _require(
            classes is not None
            and sum(map(len, classes)) == packed.n_columns == len(baseline)
            and combination == "mean"
            and link == "identity"
            and not np.any(columns),
            "trees of classes need the classes' labels",
        )
    elif classes is not None:
        sizes = {"logistic": (2, 1), "softmax": (len(baseline), len(baseline))}
        _require(
            len(classes) == 1 and sizes.get(link) == (len(classes[0]), len(baseline)),
            "scores of classes need a link and the classes' labels",
        )
    else:
        _require(link in ("identity", "exponential"), "only classes have such a link")
    params = _typed(description, "params", dict)
    attributes = _typed(description, "attributes", dict)
    estimator = description.get("estimator")
    criterion = description.get("criterion")
    for name, value in (("estimator", estimator), ("criterion", criterion)):
        _require(value is None or isinstance(value, str), f"{name} must be a string")
    return ModelState(
        packed=packed,
        columns=columns,
        baseline=baseline,
        combination=combination,
        link=link,
        feature_names=tuple(names) if has_names else None,
        categories=tuple(categories),
        single=tuple(single),
        unknown_category=policy,
        classes=classes,
        criterion=criterion,
        statistics={
            name: arrays[f"node.{name}"]
            for name in _STATISTICS
            if f"node.{name}" in arrays
        },
        estimator=estimator,
        params={name: _from_json(value) for name, value in params.items()},
        attributes={name: _from_json(value) for name, value in attributes.items()},
        arrays={
            name.removeprefix("own."): array
            for name, array in arrays.items()
            if name.startswith("own.")
        },
    )


def _restore_packed(
    description: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    n_features: int,
) -> PackedTrees:
    _require("nodes" in arrays, "array nodes is missing")
    nodes = arrays["nodes"]
    if nodes.dtype == np.dtype("<u8") and nodes.ndim == 1:
        nodes = nodes.view("<u4").reshape(-1, 2)
    _require(
        nodes.dtype == np.dtype("<u4") and nodes.ndim == 2 and nodes.shape[1] in (2, 3),
        "array nodes must hold one word of 64 bits or three of 32 for each node",
    )
    fields = {
        name: _array(arrays, name, dtype, n_dimensions)
        for name, (dtype, n_dimensions) in _PACKED.items()
    }
    return PackedTrees(
        nodes=np.ascontiguousarray(nodes, np.uint32),
        slot_bits=_size(description, "slot_bits"),
        n_features=n_features,
        n_columns=_size(description, "n_columns"),
        **fields,
    )


def _array(
    arrays: Mapping[str, NDArray[Any]], name: str, dtype: Any, n_dimensions: int
) -> NDArray[Any]:
    _require(name in arrays, f"array {name} is missing")
    array = arrays[name]
    wanted = np.dtype(dtype)
    _require(
        array.dtype.newbyteorder("=") == wanted and array.ndim == n_dimensions,
        f"array {name} must be {wanted} of {n_dimensions} dimensions, got "
        f"{array.dtype} of {array.ndim}",
    )
    return np.ascontiguousarray(array, wanted)


def _typed(source: Mapping[str, Any], name: str, kind: type) -> Any:
    value = source.get(name)
    _require(type(value) is kind, f"{name} must be {kind.__name__}, got {value!r:.40}")
    return value


def _size(source: Mapping[str, Any], name: str) -> int:
    value = _typed(source, name, int)
    _require(0 <= value <= _INT32_MAX, f"{name} is out of range: {value}")
    return value


def _require(condition: object, message: str) -> None:
    if not condition:
        raise ModelFileError(f"this is not a model: {message}")


# --- JSON ----------------------------------------------------------------------


def _to_json(value: Any, what: str) -> Any:
    """Return a value as JSON can hold it, so that `_from_json` gives it back."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, list):
        return [_to_json(entry, what) for entry in value]
    if isinstance(value, tuple):
        return {"tuple": [_to_json(entry, what) for entry in value]}
    if isinstance(value, np.ndarray) and value.ndim == 1:
        return {"array": _labels_to_json(value)}
    if isinstance(value, dict):
        return {
            "dict": [
                [_to_json(key, what), _to_json(entry, what)]
                for key, entry in value.items()
            ]
        }
    raise TypeError(
        f"{what} must be a number, string, list, tuple, dict or None to be saved, got "
        f"{value!r:.80}"
    )


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_from_json(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    _require(len(value) == 1, "a value of a parameter is not as it must be")
    ((kind, content),) = value.items()
    if kind == "float":
        _require(content in ("inf", "-inf", "nan"), "a float is not as it must be")
        return float(content)
    if kind == "array":
        return _labels_from_json(content)
    _require(isinstance(content, list), "a value of a parameter is not as it must be")
    if kind == "tuple":
        return tuple(_from_json(entry) for entry in content)
    _require(
        kind == "dict"
        and all(isinstance(pair, list) and len(pair) == 2 for pair in content),
        "a value of a parameter is not as it must be",
    )
    return {_from_json(key): _from_json(entry) for key, entry in content}


def _labels_to_json(labels: NDArray[Any]) -> dict[str, Any]:
    values = [
        value.item() if isinstance(value, np.generic) else value
        for value in labels.tolist()
    ]
    if labels.dtype.kind == "U":
        return {"dtype": "str", "values": values}
    if labels.dtype.name in _LABEL_DTYPES:
        if labels.dtype.kind == "f" and not np.isfinite(labels).all():
            raise TypeError("labels must be finite to be saved")
        return {"dtype": labels.dtype.name, "values": values}
    if labels.dtype.kind == "O":
        for value in values:
            if not isinstance(value, (bool, int, str)) and not (
                isinstance(value, float) and math.isfinite(value)
            ):
                raise TypeError(
                    f"labels must be strings or numbers to be saved, got {value!r:.80}"
                )
        return {"dtype": "object", "values": values}
    raise TypeError(f"labels of dtype {labels.dtype} cannot be saved")


def _labels_from_json(content: Any) -> NDArray[Any]:
    _require(isinstance(content, dict), "labels must be an object")
    values = _typed(content, "values", list)
    dtype = _typed(content, "dtype", str)
    _require(
        all(isinstance(value, (bool, int, float, str)) for value in values),
        "labels must be strings or numbers",
    )
    if dtype == "object":
        labels = np.empty(len(values), object)
        labels[:] = values
    elif dtype == "str":
        _require(
            all(isinstance(value, str) for value in values), "labels must be strings"
        )
        # As wide as the widest, for each label.
        widest = max(map(len, values), default=1)
        _require(widest * len(values) <= 2**28, "labels are too long")
        labels = np.array(values, np.str_)
    else:
        _require(dtype in _LABEL_DTYPES, f"labels of dtype {dtype!r:.40} are unknown")
        labels = np.array(values, dtype)
        _require(labels.tolist() == values, f"labels do not fit dtype {dtype}")
    _require(len(set(labels.tolist())) == len(values), "labels must be different")
    return labels


def statistics_of(node_statistics: Any) -> dict[str, NDArray[Any]]:
    """Return the arrays of `NodeStatistics` that are not empty."""
    return {
        entry.name: getattr(node_statistics, entry.name)
        for entry in dataclasses.fields(node_statistics)
        if entry.name in _STATISTICS and len(getattr(node_statistics, entry.name))
    }
