"""Many trees as a few flat arrays: eight bytes a node, and payloads of leaves.

This is what prediction walks and what a model file holds; ``_kernels/nodes.pxd``
says what a node is. A node's integer key comes from its threshold in one of two ways:

- **float32 keys**, where all thresholds are float32 values: the bits of the
  threshold, made monotone. A float64 value is rounded up to float32 first, which
  never carries it over such a threshold.
- **ranks** otherwise: the number of the threshold among all those that the ensemble
  has for the feature, its *cuts*. A row's value becomes the number of cuts below it.

Both compare as the floats do, to the bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fasttree._kernels import ensemble as kernels

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The same numbers as in nodes.pxd.
ALWAYS_RIGHT = 1
N_CONSTANT_SLOTS = 2
MISSING_LOW, MISSING_HIGH, CATEGORY = 0, 1, 2
LANES = 8

_INT32_MAX = np.iinfo(np.int32).max
_UINT32_MAX = np.iinfo(np.uint32).max
_SIGN = np.uint32(1 << 31)
# Classes up to which the shares of a leaf are held for all classes.
_DENSE_COLUMNS = 4
_CACHE_LINE = 64


@dataclass(frozen=True, eq=False)
class PackedTrees:
    """The trees of an ensemble as the kernels read them.

    Attributes
    ----------
    nodes : uint32 array of shape (n_positions, 2 or 3)
        Key and link; or key, slot and pair where a link has no room for both. Each
        tree's root, an unused position, then pairs of siblings in the preorder of
        their parents.
    tree_start : int64 array of shape (n_trees + 1,)
        First position of each tree.
    slot_bits : int
        Bits of a link that name the slot.
    n_features : int
    slot_feature : int32 array of shape (n_slots,)
        Feature of each slot of a row, -1 for the two constant ones.
    slot_kind : uint8 array of shape (n_slots,)
        Whether missing values are below all else (0) or above (1), or the slot
        holds a category (2). Those of categories come last.
    cuts : float64 array
        Ascending thresholds, feature by feature; none with float32 keys.
    cut_start : int64 array of shape (n_features + 1,)
        First cut of each feature; empty with float32 keys.
    words : uint64 array
        Sets of categories: the number of codes that one covers, then a bit for each
        that is set where the code goes right, and one for whatever else comes. The
        first two words are an empty set.
    leaf_value : float64 array of shape (n_leaves, n_outputs)
        Regression: values of the leaves of all trees. Else no rows.
    profile_start : int64 array of shape (n_profiles + 1,)
        Classification: first entry of each distinct set of class weights.
    profile_class : int32 array of shape (n_entries,)
    profile_weight, profile_share : float64 array of shape (n_entries,)
    n_columns : int
        Classes of all outputs, or outputs.
    """

    nodes: NDArray[np.uint32]
    tree_start: NDArray[np.int64]
    slot_bits: int
    n_features: int
    slot_feature: NDArray[np.int32]
    slot_kind: NDArray[np.uint8]
    cuts: NDArray[np.float64]
    cut_start: NDArray[np.int64]
    words: NDArray[np.uint64]
    leaf_value: NDArray[np.float64]
    profile_start: NDArray[np.int64]
    profile_class: NDArray[np.int32]
    profile_weight: NDArray[np.float64]
    profile_share: NDArray[np.float64]
    n_columns: int

    @property
    def n_trees(self) -> int:
        """Number of trees."""
        return len(self.tree_start) - 1

    @property
    def n_slots(self) -> int:
        """Number of slots of a row, the constant ones included."""
        return len(self.slot_feature)

    @property
    def first_set_slot(self) -> int:
        """Slot from which on categories are held."""
        return self.n_slots - int(np.count_nonzero(self.slot_kind == CATEGORY))

    @property
    def slot_missing(self) -> NDArray[np.uint32]:
        """uint32 (n_slots,): what a missing value is in each slot."""
        return np.where(self.slot_kind == MISSING_LOW, 0, _UINT32_MAX).astype(np.uint32)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(
            value.nbytes
            for value in vars(self).values()
            if isinstance(value, np.ndarray)
        )

    @property
    def layout(self) -> tuple[Any, ...]:
        """The arguments of kernels that say how to read nodes."""
        return (
            self.nodes, self.tree_start, self.slot_bits, self.first_set_slot,
            self.slot_feature, self.slot_missing, self.cuts, self.cut_start,
            self.words,
        )  # fmt: skip

    def payload(self) -> tuple[NDArray[Any], ...]:
        """Return the arguments of kernels that say what a leaf is worth.

        A table with a row for each payload, or nothing and the entries of each.
        """
        if len(self.leaf_value):
            table = self.leaf_value
        elif self.n_columns <= _DENSE_COLUMNS:
            counts = np.diff(self.profile_start)
            table = np.zeros((len(counts), self.n_columns))
            profile = np.repeat(np.arange(len(counts)), counts)
            table[profile, self.profile_class] = self.profile_share
        else:
            table = np.zeros((0, self.n_columns))
        return table, self.profile_start, self.profile_class, self.profile_share

    @property
    def n_nodes(self) -> int:
        """Number of nodes of all trees, leaves included."""
        return len(self.nodes) - self.n_trees

    def slots_and_pairs(
        self, nodes: NDArray[np.uint32]
    ) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """Return the slot that each of `nodes` looks at, and its children's pair."""
        if nodes.shape[1] == 3:
            return nodes[:, 1], nodes[:, 2]
        mask = np.uint32((1 << self.slot_bits) - 1)
        return nodes[:, 1] & mask, nodes[:, 1] >> np.uint32(self.slot_bits)

    def preorder(self, tree: int | None = None) -> NDArray[np.int32]:
        """Return the node number of each position within its tree, -1 for unused.

        Of all trees, or of one.

        Raises
        ------
        ValueError
            If nodes do not form trees.
        """
        which = range(self.n_trees) if tree is None else range(tree, tree + 1)
        bounds = self.tree_start.tolist()
        first = bounds[which.start]
        number = np.empty(bounds[which.stop] - first, np.int32)
        stack = np.empty(int(np.diff(self.tree_start).max()), np.int32)
        for i in which:
            start, stop = bounds[i], bounds[i + 1]
            bad = kernels.unpack(
                self.nodes[start:stop], self.slot_bits, self.n_slots,
                number[start - first : stop - first], stack,
            )  # fmt: skip
            if bad >= 0:
                raise ValueError(
                    f"nodes must form trees; they do not at position {start + bad}"
                )
        return number

    def ranks(
        self,
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
        """Return thresholds as numbers among those of their feature.

        Returns
        -------
        rank : int64 array of shape (n_positions,)
            0 where a position has no threshold.
        cuts : float64 array
            Ascending thresholds, feature by feature.
        cut_start : int64 array of shape (n_features + 1,)
        """
        slot, _ = self.slots_and_pairs(self.nodes)
        numeric = np.flatnonzero(
            (slot >= N_CONSTANT_SLOTS) & (slot < self.first_set_slot)
        )
        rank = np.zeros(len(slot), np.int64)
        key = self.nodes[numeric, 0]
        if len(self.cut_start):
            rank[numeric] = key
            return rank, self.cuts, self.cut_start
        feature = self.slot_feature[slot[numeric]].astype(np.uint64)
        distinct, number = np.unique(
            feature << np.uint64(32) | key, return_inverse=True
        )
        start = np.searchsorted(
            distinct >> np.uint64(32), np.arange(self.n_features + 1, dtype=np.uint64)
        ).astype(np.int64)
        rank[numeric] = number - start[feature.astype(np.int64)]
        return rank, float_values(distinct.astype(np.uint32)), start

    def number_leaves(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Return the leaves of trees of up to 64 as bits of a word.

        Returns
        -------
        below : uint64 array of shape (n_positions,)
            The leaves below each position, numbered from left to right.
        leaf_position : int64 array of shape (n_trees, 64)
            Position of each leaf; the tree's unused one where there are fewer.
        """
        below = np.empty(len(self.nodes), np.uint64)
        position = np.ones((self.n_trees, 64), np.int32)
        kernels.number_leaves(
            self.nodes, self.tree_start, self.slot_bits, below, position
        )
        return below, self.tree_start[:-1, None] + position

    def unpack_sets(
        self, first_word: NDArray[np.uint32]
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Return sets as a tree has them: bits, counts, first words, missing left."""
        first = first_word.astype(np.int64)
        n_codes = self.words[first].astype(np.int64)
        n_words = (n_codes + 63) // 64
        start = np.cumsum(n_words) - n_words
        at = np.repeat(first + 1 - start, n_words) + np.arange(n_words.sum())
        bits = ~self.words[at]
        rest = (n_codes % 64).astype(np.uint64)
        last = np.flatnonzero(rest)
        mask = (np.uint64(1) << rest[last]) - np.uint64(1)
        bits[start[last] + n_words[last] - 1] &= mask
        word = self.words[first + 1 + n_codes // 64]
        missing_right = (word >> (n_codes % 64).astype(np.uint64)) & np.uint64(1)
        return bits, n_codes, start, missing_right == 0

    def check(self) -> None:
        """Check everything that a kernel will index with.

        Raises
        ------
        ValueError
            If these are not packed trees.
        """
        _require(
            1 <= self.n_features <= _INT32_MAX,
            f"n_features must be positive, got {self.n_features}",
        )
        n_positions = len(self.nodes)
        start = self.tree_start
        _require(
            len(start) >= 2
            and start[0] == 0
            and start[-1] == n_positions
            and np.all(start[1:] - start[:-1] >= 2)
            and not np.any(start % 2)
            and np.all(start[1:] - start[:-1] <= _INT32_MAX),
            "tree_start must rise in even steps from 0 to the number of nodes",
        )
        kind, feature = self.slot_kind, self.slot_feature
        first_set = self.first_set_slot
        _require(
            N_CONSTANT_SLOTS <= self.n_slots == len(kind)
            and 0 <= self.slot_bits <= 31
            and (self.nodes.shape[1] == 3 or self.n_slots <= 2**self.slot_bits)
            and np.all(feature[:N_CONSTANT_SLOTS] == -1)
            and np.all(feature[N_CONSTANT_SLOTS:] >= 0)
            and np.all(feature < self.n_features)
            and np.all(kind <= CATEGORY)
            and np.all(kind[:N_CONSTANT_SLOTS] == 0)
            and np.all(kind[first_set:] == CATEGORY)
            and not np.any(kind[:first_set] == CATEGORY),
            "slot_feature and slot_kind must describe the slots of a row",
        )
        n_payloads = self._check_payload()
        self._check_cuts()
        number = self.preorder()
        slot, _ = self.slots_and_pairs(self.nodes)
        key = self.nodes[:, 0]
        is_leaf = slot < N_CONSTANT_SLOTS
        _require(
            np.all(key[is_leaf & (number >= 0)] < n_payloads),
            f"leaves must have payloads below {n_payloads}",
        )
        _require(
            n_payloads > 0 and np.all(key[number < 0] == 0),
            "unused positions must be 0",
        )
        if len(self.cut_start):
            numeric = np.flatnonzero(~is_leaf & (slot < first_set))
            own = feature[slot[numeric]]
            n_cuts = self.cut_start[own + 1] - self.cut_start[own]
            _require(np.all(key[numeric] < n_cuts), "nodes must have a cut")
        else:
            keys = key[~is_leaf & (slot < first_set)]
            low, high = float_keys(np.array([-np.inf, np.inf]))
            _require(
                np.all((keys >= low) & (keys <= high)), "thresholds must be numbers"
            )
        words = self.words
        _require(
            len(words) >= 2 and not np.any(words[:2]) and len(words) <= _INT32_MAX,
            "words must begin with an empty set",
        )
        first = key[slot >= first_set].astype(np.int64)
        _require(
            np.all((first >= 2) & (first < len(words))), "sets must lie within words"
        )
        n_codes = words[first]
        _require(
            np.all((n_codes >= 1) & (n_codes < _INT32_MAX))
            and np.all(first + 1 + (n_codes // np.uint64(64)).astype(np.int64)
                       < len(words)),
            "sets must lie within words",
        )  # fmt: skip

    def _check_payload(self) -> int:
        """Check what leaves are worth, and return how many payloads there are."""
        _require(
            1 <= self.n_columns <= _INT32_MAX and self.leaf_value.ndim == 2,
            f"n_columns must be positive, got {self.n_columns}",
        )
        starts, classes = self.profile_start, self.profile_class
        if len(self.leaf_value):
            _require(
                self.leaf_value.shape[1] == self.n_columns
                and np.all(np.isfinite(self.leaf_value))
                and len(classes) == 0,
                "leaf_value must have n_columns finite numbers for each leaf",
            )
            return len(self.leaf_value)
        _require(
            len(starts) >= 2
            and starts[0] == 0
            and np.all(starts[1:] > starts[:-1])
            and starts[-1] == len(classes)
            and len(self.profile_weight) == len(self.profile_share) == len(classes),
            "profile_start must rise from 0 to the number of entries",
        )
        rises = classes[1:] > classes[:-1]
        rises[starts[1:-1] - 1] = True
        _require(
            np.all(rises) and np.all((classes >= 0) & (classes < self.n_columns)),
            f"profile_class must be in 0..{self.n_columns - 1} and ascend",
        )
        _require(
            np.all((self.profile_weight >= 0) & np.isfinite(self.profile_weight))
            and np.all((self.profile_share >= 0) & (self.profile_share <= 1)),
            "profile_weight must be finite, and profile_share in 0..1",
        )
        return len(starts) - 1

    def _check_cuts(self) -> None:
        start, cuts = self.cut_start, self.cuts
        if not len(start):
            _require(len(cuts) == 0, "cuts need cut_start")
            return
        _require(
            len(start) == self.n_features + 1
            and start[0] == 0
            and start[-1] == len(cuts)
            and np.all(start[1:] >= start[:-1]),
            "cut_start must rise from 0 to the number of cuts",
        )
        rises = cuts[1:] > cuts[:-1]
        inside = start[(start > 0) & (start < len(cuts))]
        rises[inside - 1] = True
        _require(
            np.all(rises) and not np.isnan(cuts).any(),
            "cuts must ascend for each feature",
        )


def _require(condition: object, message: str) -> None:
    if not condition:
        raise ValueError(message)


def aligned_empty(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Return an array that starts on a cache line, so that siblings share one."""
    dtype = np.dtype(dtype)
    n_bytes = int(np.prod(shape)) * dtype.itemsize
    raw = np.empty(n_bytes + _CACHE_LINE, np.uint8)
    offset = -raw.ctypes.data % _CACHE_LINE
    return raw[offset : offset + n_bytes].view(dtype).reshape(shape)


def float_keys(values: NDArray[np.float64]) -> NDArray[np.uint32]:
    """Return integers in the order of float32 values; both zeros have one."""
    bits = (values.astype(np.float32) + np.float32(0.0)).view(np.uint32)
    return np.where(bits >= _SIGN, ~bits, bits | _SIGN)


def float_values(keys: NDArray[np.uint32]) -> NDArray[np.float64]:
    """Return the float32 values that have these keys."""
    bits = np.where(keys >= _SIGN, keys ^ _SIGN, ~keys)
    return bits.view(np.float32).astype(np.float64)
