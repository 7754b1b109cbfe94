"""Trees and estimators survive pickle, copy, joblib and clone."""

import copy
import io
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris

import reference_predict as reference
from fasttree.estimators import DecisionTreeClassifier, DecisionTreeRegressor
from fasttree.trees.tree import Tree


def joblib_round_trip(value):
    buffer = io.BytesIO()
    joblib.dump(value, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


ROUND_TRIPS = [
    *(
        pytest.param(
            lambda value, protocol=protocol: pickle.loads(
                pickle.dumps(value, protocol)
            ),
            id=f"pickle{protocol}",
        )
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
    ),
    pytest.param(copy.copy, id="copy"),
    pytest.param(copy.deepcopy, id="deepcopy"),
    pytest.param(joblib_round_trip, id="joblib"),
]


@pytest.fixture(params=[1, 3], ids=["one", "several"])
def n_outputs(request):
    return request.param


@pytest.fixture(params=[0, 3], ids=["regression", "classification"])
def arrays(request, n_outputs):
    rng = np.random.default_rng(0)
    return reference.random_arrays(
        rng,
        n_leaves=30,
        n_classes=request.param,
        n_outputs=n_outputs,
        categorical=0.4,
    )


@pytest.mark.parametrize("round_trip", ROUND_TRIPS)
def test_tree(arrays, round_trip):
    tree = Tree.from_arrays(**arrays)
    X = reference.random_rows(np.random.default_rng(1), 100, 4, np.float64)
    expected = tree.predict(X)
    restored = round_trip(tree)
    np.testing.assert_array_equal(restored.predict(X), expected)
    for name, value in tree.__getstate__().items():
        np.testing.assert_array_equal(restored.__getstate__()[name], value)
    with pytest.raises(ValueError, match="read-only"):
        restored.feature[0] = 0


def test_state_is_plain(arrays, n_outputs):
    state = Tree.from_arrays(**arrays).__getstate__()
    # What the first version can hold is written as that: older releases read it.
    assert state["format_version"] == (1 if n_outputs == 1 else 2)
    assert ("n_outputs" in state) == (n_outputs > 1)
    assert {type(value) for value in state.values()} == {int, str, np.ndarray}
    assert all(
        value.dtype.kind in "iuf"
        for value in state.values()
        if isinstance(value, np.ndarray)
    )


def test_state_has_no_room_for_categories_that_are_not_there():
    arrays = reference.random_arrays(np.random.default_rng(0), n_leaves=5)
    tree = Tree.from_arrays(**arrays)
    assert not [name for name in tree.__getstate__() if name.startswith("category")]
    np.testing.assert_array_equal(copy.deepcopy(tree).category_start, [-1] * 9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 4}, "format_version must be one of .1, 2, 3., got 4"),
        ({"format_version": None}, "format_version"),
        ({"format_version": np.ones(3)}, "format_version"),
        ({"extra": 1}, "unknown entries.*extra"),
        ({"n_features": 1}, "feature"),
        ({"n_features": "many"}, "n_features"),
        ({"children_left": np.zeros(3)}, "children_left"),
    ],
)
def test_tampered_state(arrays, change, message):
    state = Tree.from_arrays(**arrays).__getstate__()
    with pytest.raises(ValueError, match=message):
        Tree.__new__(Tree).__setstate__(state | change)
    if change.keys() <= state.keys():
        for name in change:
            del state[name]
        with pytest.raises(ValueError, match=message.split()[0]):
            Tree.__new__(Tree).__setstate__(state)


@pytest.mark.parametrize("state", [None, 3, [], {}, "state", (1, 2)])
def test_state_of_something_else(state):
    with pytest.raises(ValueError, match="not the state of a Tree"):
        Tree.__new__(Tree).__setstate__(state)


def test_a_made_tree_takes_no_state(arrays):
    tree = Tree.from_arrays(**arrays)
    with pytest.raises(TypeError, match="cannot be changed"):
        tree.__setstate__(tree.__getstate__())


def test_flipped_bytes_of_a_pickle(arrays):
    """Damage within the arrays is refused or gives a tree; it never crashes."""
    data = pickle.dumps(Tree.from_arrays(**arrays))
    rng = np.random.default_rng(0)
    X = reference.random_rows(rng, 10, 4, np.float64)
    state = Tree.from_arrays(**arrays).__getstate__()
    for name, value in state.items():
        if not isinstance(value, np.ndarray):
            continue
        start = data.index(value.tobytes())
        for _ in range(40):
            damaged = bytearray(data)
            damaged[start + rng.integers(value.nbytes)] ^= 1 << rng.integers(8)
            try:
                tree = pickle.loads(bytes(damaged))
            except ValueError:
                continue
            np.testing.assert_array_equal(
                tree.apply(X), reference.apply(tree, X), err_msg=name
            )


@pytest.mark.parametrize("round_trip", ROUND_TRIPS)
@pytest.mark.parametrize(
    "estimator", [DecisionTreeClassifier(max_depth=4), DecisionTreeRegressor()]
)
def test_estimator(estimator, round_trip):
    X, y = load_iris(return_X_y=True)
    frame = pd.DataFrame(X, columns=list("abcd"))
    frame["e"] = np.where(y == 1, "x", "y")
    model = clone(estimator).fit(frame, y)
    restored = round_trip(model)
    np.testing.assert_array_equal(restored.predict(frame), model.predict(frame))
    np.testing.assert_array_equal(restored.apply(frame), model.apply(frame))
    assert restored.get_params() == model.get_params()


def test_clone_is_not_fitted():
    X, y = load_iris(return_X_y=True)
    model = DecisionTreeClassifier(max_depth=2, class_weight="balanced").fit(X, y)
    again = clone(model)
    assert again.get_params() == model.get_params()
    assert not hasattr(again, "tree_")


def test_a_joblib_file_can_be_mapped(tmp_path):
    X, y = load_iris(return_X_y=True)
    model = DecisionTreeClassifier().fit(X, y)
    joblib.dump(model, tmp_path / "model.joblib")
    mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    np.testing.assert_array_equal(mapped.predict(X), model.predict(X))
