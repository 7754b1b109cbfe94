"""Rows counted by code, and the best split of the counts, against plain loops."""

import importlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fasttree import _kernels
from fasttree.growth.target import BINARY, CLASSES, REGRESSION, nlogn_table

PROBES = [
    importlib.import_module(f"fasttree._kernels.{level}.probes")
    for level in _kernels.AVAILABLE_ISA
]


# --- what the kernels must equal --------------------------------------------------


class Node:
    """Rows of a node by code, weight and class or value, in plain Python."""

    def __init__(self, kind, entropy, nlogn, n_classes, missing, rows):
        self.kind, self.entropy, self.missing = kind, entropy, missing
        self.nlogn, self.n_classes = nlogn, n_classes
        self.rows = rows  # (code, weight, class or weight * value)
        self.weight, self.sums = self.add(rows)

    def add(self, rows):
        """Return weight and sums: by class, or of values."""
        weight = sum(w for _, w, _ in rows)
        if self.kind == REGRESSION:
            return weight, [sum(x for _, _, x in rows)]
        return weight, [
            sum(w for _, w, c in rows if c == k) for k in range(self.n_classes)
        ]

    def score_side(self, weight, sums):
        if self.kind == REGRESSION:
            mean = float(self.sums[0]) / float(self.weight)
            distance = float(sums[0]) - mean * float(weight)
            return distance * distance / float(weight)
        if self.entropy:
            # Sums of the table's entries are exact.
            return float(sum(self.nlogn[x] for x in sums) - self.nlogn[weight])
        return float(sum(x * x for x in sums)) / float(weight)

    def score(self, weight, sums):
        rest = [a - b for a, b in zip(self.sums, sums, strict=True)]
        return self.score_side(weight, sums) + self.score_side(
            self.weight - weight, rest
        )

    def allows(self, weight, n, limits):
        least, lightest = limits
        return (
            least <= n <= len(self.rows) - least
            and lightest <= weight <= self.weight - lightest
        )

    def by_code(self):
        return {
            code: [row for row in self.rows if row[0] == code]
            for code in sorted({row[0] for row in self.rows})
        }

    def best_of(self, stretches, first, limits, last=None):
        """Yield (score, index, weight, sums) of each stretch but the last."""
        weight, sums = self.add(first)
        n = len(first)
        for i, rows in enumerate(stretches[:last]):
            more, added = self.add(rows)
            weight += more
            sums = [a + b for a, b in zip(sums, added, strict=True)]
            n += len(rows)
            if self.allows(weight, n, limits):
                yield self.score(weight, sums), i, weight, sums

    def search(self, limits):
        """Return the best split of numbers."""
        groups = self.by_code()
        codes = list(groups)
        missing = groups.get(self.missing, [])
        present = [code for code in codes if code != self.missing]
        best = None
        for missing_left in (False, True) if missing else (False,):
            order = present if missing_left else codes
            first = missing if missing_left else []
            stretches = [groups[code] for code in order]
            for score, i, weight, sums in self.best_of(stretches, first, limits, -1):
                if best is None or score > best["score"]:
                    best = {
                        "score": score,
                        "code_low": order[i],
                        "code_high": order[i + 1],
                        "missing_left": missing_left,
                        "left_weight": weight,
                        "left_sum": sums[-1],
                    }
        return len(codes) > 1, best

    def search_categories(self, limits, min_category):
        groups = list(self.by_code().values())
        small = [len(rows) < min_category for rows in groups]
        added = [self.add(rows) for rows in groups]
        keys = [float(sums[-1]) / float(weight) for weight, sums in added]
        if any(small):
            pool = [a for a, pooled in zip(added, small, strict=True) if pooled]
            key = float(sum(s[-1] for _, s in pool)) / float(sum(w for w, _ in pool))
            keys = [
                key if pooled else own for own, pooled in zip(keys, small, strict=True)
            ]
        order = sorted(range(len(groups)), key=lambda i: (keys[i], small[i], i))
        stretches = [groups[i] for i in order]
        best = None
        for score, i, weight, sums in self.best_of(stretches, [], limits, -1):
            if small[order[i]] and small[order[i + 1]]:
                continue
            if best is None or score > best["score"]:
                best = {
                    "score": score,
                    "position": i + 1,
                    "left_weight": weight,
                    "left_sum": sums[-1],
                }
        return len(groups) > 1, best


@st.composite
def nodes(draw, kinds=(BINARY, CLASSES, REGRESSION), categorical=False):
    kind = draw(st.sampled_from(kinds))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_codes = draw(st.sampled_from([2, 3, 17, 70, 256, 3000]))
    if categorical:
        n_codes = min(n_codes, 70)
    n = draw(st.one_of(st.integers(1, 9), st.integers(10, 64), st.integers(65, 700)))
    size = draw(st.sampled_from([1, 2, 4])) if n_codes <= 256 else 2
    n_table = n + 20
    used = int(rng.integers(1, n_codes + 1))
    codes = rng.integers(0, used, n_table).astype(f"u{size}")
    missing = draw(st.sampled_from([n_codes - 1, n_codes]))
    if missing < n_codes and draw(st.booleans()):
        codes[rng.random(n_table) < 0.2] = missing
    rows = np.sort(rng.permutation(n_table)[:n]).astype(np.uint32)
    n_classes = 2
    if kind == CLASSES:
        n_classes = draw(st.sampled_from([2, 3, 7, 8, 10, 40, 90]))
    label = rng.integers(0, n_classes, n_table)
    most = draw(st.sampled_from([1, 3, 3, 60_000]))
    if kind != REGRESSION:
        most = min(most, (1 << 24) // n_table)
    entropy = kind != REGRESSION and draw(st.booleans())
    weight = rng.integers(1, min(most, 50 if entropy else most) + 1, n_table)
    nlogn, stats, value = None, None, None
    if entropy:
        nlogn = nlogn_table(int(weight.sum()))[0]
    amounts = label
    if kind == REGRESSION:
        exponent = draw(st.sampled_from([18, 40, 50])) - int(most).bit_length()
        value = rng.integers(-(2**exponent), 2**exponent, n_table) * weight
        amounts = value
    elif kind == BINARY:
        stats = (weight | (weight * label) << 16).astype(np.uint32)[rows]
    else:
        stats = (label | weight << 16).astype(np.uint32)[rows]
    node = Node(
        kind,
        entropy,
        nlogn,
        n_classes,
        missing,
        [(int(codes[r]), int(weight[r]), int(amounts[r])) for r in rows],
    )
    arguments = (
        kind,
        entropy,
        n_classes,
        nlogn,
        codes.view(np.uint8),
        size,
        n_codes,
        missing,
        categorical,
        rows,
        stats,
        value,
        None if kind != REGRESSION or most == 1 else weight,
    )
    return node, arguments


def some_limits(node):
    heaviest = node.weight // 2
    return st.sampled_from([(1, 0), (1, 0), (3, 0), (1, heaviest // 3), (20, 2)])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_sums_up_to_each_code(data):
    node, arguments = data.draw(nodes((BINARY, REGRESSION)))
    expected, seen = [], []
    for code, rows in node.by_code().items():
        seen += rows
        weight, sums = node.add(seen)
        expected.append((code, weight, sums[-1], len(seen)))
    for probes in PROBES:
        counted = probes.Counted(*arguments)
        for narrow in (False, True, False):  # cells are zeroed as they are read
            assert counted.count(narrow) == expected


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_best_split_of_numbers(data):
    node, arguments = data.draw(nodes())
    limits = data.draw(some_limits(node))
    varies, expected = node.search(limits)
    for probes in PROBES:
        counted = probes.Counted(*arguments)
        for narrow in (False, True, False):
            found, best = counted.search(narrow, *limits, 1)
            assert found == varies
            assert (best is None) == (expected is None)
            if best is not None:
                del best["position"]
                if node.kind == CLASSES:  # its children are measured by their rows
                    best |= {k: expected[k] for k in ("left_weight", "left_sum")}
                assert best == expected


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_best_split_of_categories(data):
    node, arguments = data.draw(nodes((BINARY, REGRESSION), categorical=True))
    limits = data.draw(some_limits(node))
    min_category = data.draw(st.sampled_from([1, 4]))
    varies, expected = node.search_categories(limits, min_category)
    for probes in PROBES:
        counted = probes.Counted(*arguments)
        for narrow in (False, True):
            found, best = counted.search(narrow, *limits, min_category)
            assert found == varies
            assert (best is None) == (expected is None)
            if best is not None:
                assert {k: best[k] for k in expected} == expected


@pytest.mark.parametrize("probes", PROBES)
def test_heavy_nodes_have_squares_of_more_than_32_bits(probes):
    rng = np.random.default_rng(3)
    for n_classes in (3, 12):
        n = 400
        codes = rng.integers(0, 20, n).astype(np.uint8)
        label = rng.integers(0, n_classes, n)
        weight = rng.integers(30_000, 40_000, n)
        rows = np.arange(n, dtype=np.uint32)
        node = Node(
            CLASSES,
            False,
            None,
            n_classes,
            20,
            list(zip(codes.tolist(), weight.tolist(), label.tolist(), strict=True)),
        )
        stats = (label | weight << 16).astype(np.uint32)
        counted = probes.Counted(
            CLASSES, False, n_classes, None, codes, 1, 20, 20, False, rows, stats,
            None, None,
        )  # fmt: skip
        best = counted.search(False, 1, 0, 1)[1]
        expected = node.search((1, 0))[1]
        assert best["score"] == expected["score"]
        assert best["code_low"] == expected["code_low"]


@given(
    st.lists(st.integers(0, 255), min_size=1, max_size=64),
    st.lists(st.integers(0, 2**25 - 1), min_size=1, max_size=64),
)
def test_few_rows_are_sorted_stably(narrow, wide):
    for probes in PROBES:
        codes = np.array(narrow, np.uint8)
        expected = sorted((code, place) for place, code in enumerate(narrow))
        assert probes.sort_codes_of_few(codes, None) == expected
        codes = np.array(wide, np.uint32)
        expected = sorted((code, place) for place, code in enumerate(wide))
        assert probes.sort_codes_of_few(None, codes) == expected


@given(st.integers(1, 40), st.integers(0, 9), st.integers(0, 2**32 - 1))
def test_bytes_are_interleaved(n, start, seed):
    rng = np.random.default_rng(seed)
    columns = [
        rng.integers(0, 256, n + start).astype(np.uint8) if rng.random() < 0.8 else None
        for _ in range(8)
    ]
    expected = np.zeros((n + start, 8), np.uint8)
    for j, column in enumerate(columns):
        if column is not None:
            expected[start:, j] = column[start:]
    for probes in PROBES:
        out = np.zeros((n + start, 8), np.uint8)
        probes.interleave_eight(columns, start, n + start, out)
        np.testing.assert_array_equal(out, expected)
