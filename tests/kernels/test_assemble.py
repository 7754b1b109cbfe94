"""Trees put together from pieces, against the whole they were cut from."""

from itertools import pairwise

import numpy as np
import pytest

from fasttree._kernels import assemble
from fasttree.growth.records import NODE_DTYPE

COPIED = ["n", "weight", "ones", "impurity", "value", "threshold", "feature"]


def random_preorder(rng, n_leaves):
    """Return (left, right) of a random tree in preorder, -1 at leaves."""
    if n_leaves == 1:
        return [-1], [-1]
    n_left = int(rng.integers(1, n_leaves))
    left, right = random_preorder(rng, n_left)
    other_left, other_right = random_preorder(rng, n_leaves - n_left)

    def moved(children, by):
        return [child + by if child >= 0 else -1 for child in children]

    return (
        [1, *moved(left, 1), *moved(other_left, 1 + len(left))],
        [1 + len(left), *moved(right, 1), *moved(other_right, 1 + len(left))],
    )


def cut(rng, whole, lists, n_parts):
    """Deal runs of nodes to parts, as workers would have written them."""
    bounds = np.unique([0, len(whole), *rng.integers(0, len(whole), 6)])
    owner = rng.integers(0, n_parts, len(bounds) - 1)
    parts = [([], [], [], []) for _ in range(n_parts)]
    part, start, stop = [], [], []
    for j, (begin, end) in enumerate(pairwise(bounds)):
        records, classes, weights, words = parts[owner[j]]
        part.append(owner[j])
        start.append(len(records))
        for node in range(begin, end):
            record = whole[node].copy()
            if record["feature"] < 0 and lists["classes"][node] is not None:
                record["payload"] = len(classes)
                classes += lists["classes"][node]
                weights += lists["weights"][node]
            if lists["words"][node]:
                record["set_start"] = len(words)
                words += lists["words"][node]
            records.append(record)
        stop.append(len(records))
    arrays = [
        (
            np.array(records, NODE_DTYPE).view(np.uint8),
            np.array(classes, np.int32),
            np.array(weights, np.int64),
            np.array(words, np.uint64),
        )
        for records, classes, weights, words in parts
    ]
    return arrays, np.array(part, np.int32), np.array(start), np.array(stop)


@pytest.mark.parametrize("has_classes", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_pieces_become_the_tree_they_were_cut_from(seed, has_classes):
    rng = np.random.default_rng(seed)
    left, right = random_preorder(rng, int(rng.integers(1, 30)))
    whole = np.zeros(len(left), NODE_DTYPE)
    for name in COPIED:
        whole[name] = rng.integers(0, 100, len(whole))
    whole["missing_left"] = rng.integers(0, 2, len(whole))
    whole["payload"] = whole["set_start"] = -1
    is_leaf = np.array(left) < 0
    whole["feature"][is_leaf] = -2
    lists = {"classes": [], "weights": [], "words": []}
    for node in range(len(whole)):
        size = int(rng.integers(1, 4)) if is_leaf[node] else 0
        listed = rng.integers(0, 9, size).tolist()
        lists["classes"].append(listed if has_classes else None)
        lists["weights"].append(rng.integers(1, 50, size).tolist())
        n_words = 0 if is_leaf[node] else int(rng.integers(0, 3))
        lists["words"].append(rng.integers(0, 2**63, n_words).tolist())

    fields, leaf_start, leaf_class, leaf_weight, words = assemble.assemble(
        *cut(rng, whole, lists, n_parts=3)
    )

    assert fields["left"].tolist() == left
    assert fields["right"].tolist() == right
    for name in [*COPIED, "missing_left"]:
        np.testing.assert_array_equal(fields[name], whole[name])
    expected = {"classes": [], "weights": [], "starts": [0]}
    for node in np.flatnonzero(is_leaf):
        if has_classes:
            expected["classes"] += lists["classes"][node]
            expected["weights"] += lists["weights"][node]
        expected["starts"].append(len(expected["classes"]))
    assert leaf_class.tolist() == expected["classes"]
    assert leaf_weight.tolist() == expected["weights"]
    assert leaf_start.tolist() == expected["starts"]
    assert words.tolist() == [word for listed in lists["words"] for word in listed]
    ends = np.cumsum([len(listed) for listed in lists["words"]])
    for node, listed in enumerate(lists["words"]):
        begin = ends[node] - len(listed) if listed else -1
        assert fields["set_start"][node] == begin
