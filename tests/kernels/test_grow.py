"""Each growth kernel equals its plain NumPy twin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reference_growth as reference
from fasttree._kernels import grow, prepare, probes
from fasttree.growth.records import (
    COUNT_DTYPE,
    FEATURE_DTYPE,
    JOB_DTYPE,
    NODE_DTYPE,
    SPLIT_DTYPE,
)


def test_struct_layouts():
    sizes = {
        "job": JOB_DTYPE.itemsize,
        "count": COUNT_DTYPE.itemsize,
        "split": SPLIT_DTYPE.itemsize,
        "node": NODE_DTYPE.itemsize,
        "feature": FEATURE_DTYPE.itemsize,
    }
    assert sizes == grow.LAYOUT


def test_log2():
    x = np.concatenate(
        [np.arange(1.0, 5000.0), 2.0 ** np.arange(60), np.linspace(0.5, 2, 1001)]
    )
    out = np.empty_like(x)
    prepare.log2(x, out)
    np.testing.assert_allclose(out, np.log2(x), rtol=4e-16, atol=2e-16)
    powers = 2.0 ** np.arange(60)
    out = np.empty_like(powers)
    prepare.log2(powers, out)
    np.testing.assert_array_equal(out, np.arange(60.0))


def test_nlogn_is_on_its_grid():
    quantum = 2.0**-20
    table = np.empty(3000)
    prepare.fill_nlogn(table, quantum)
    np.testing.assert_allclose(
        table, reference.nlogn(np.arange(3000)), atol=0.51 * quantum
    )
    np.testing.assert_array_equal(table / quantum, np.rint(table / quantum))


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=200),
    st.integers(0, 2**32 - 1),
)
def test_partition_order(codes, seed):
    codes = np.array(codes)
    entries = reference.order_of(codes, 6)
    goes_left = np.random.default_rng(seed).integers(0, 2, len(codes), dtype=np.uint8)
    expected, n_left = reference.partition_entries(entries, goes_left)
    one_side = entries.copy()
    spare = np.empty_like(entries)
    assert probes.partition_order(entries, goes_left, spare) == n_left
    keep = np.ones(len(codes), bool)
    keep[[0] if n_left in (0, len(codes)) else [0, n_left]] = False
    # NEW means nothing on the first entry of either side.
    mask = np.uint32(0x7FFFFFFF)
    np.testing.assert_array_equal(entries & mask, expected & mask)
    np.testing.assert_array_equal(entries[keep], expected[keep])
    for left, side in ((True, slice(n_left)), (False, slice(n_left, None))):
        kept = one_side.copy()
        probes.keep_order(kept, goes_left, left, 0 if left else n_left)
        np.testing.assert_array_equal(kept[side] & mask, expected[side] & mask)
        np.testing.assert_array_equal(
            kept[side][keep[side]], expected[side][keep[side]]
        )


@given(st.lists(st.integers(0, 2**16 - 1), min_size=1, max_size=64))
def test_entry_flags(entries):
    new, ones = probes.entry_flags(np.array(entries, np.uint16))
    assert new == sum((entry >> 15) << i for i, entry in enumerate(entries))
    assert ones == sum((entry >> 13 & 1) << i for i, entry in enumerate(entries))


def test_flag_ones():
    label = np.array([0, 1, 1, 0], np.uint16)
    entries = reference.order_of(np.array([3, 1, 0, 2]), 3)
    flagged = entries.copy()
    prepare.flag_ones(flagged, label)
    np.testing.assert_array_equal(flagged & ~np.uint32(1 << 29), entries)
    np.testing.assert_array_equal(flagged >> 29 & 1, [1, 1, 0, 0])


@given(
    st.lists(st.integers(0, 255), min_size=1, max_size=300),
    st.sampled_from([0, 8, 56]),
    st.integers(1, 255),
)
def test_sort_local(codes, shift, missing_code):
    codes = np.minimum(np.array(codes, np.uint64), np.uint64(missing_code))
    entries = probes.sort_local(codes << np.uint64(shift), shift, missing_code)
    expected = reference.order_of(codes.astype(np.int64), missing_code)
    flags = (expected >> 16) & 0xC000
    expected = (expected & 0x1FFF) | flags
    np.testing.assert_array_equal(entries[1:], expected[1:])
    assert entries[0] & 0x7FFF == expected[0] & 0x7FFF


@given(st.integers(0, 2**64 - 1), st.integers(1, 40))
def test_draw_features_is_a_permutation(key, n):
    order = np.arange(n, dtype=np.int32)
    grow.draw_features(key, order)
    assert sorted(order) == list(range(n))
    again = np.arange(n, dtype=np.int32)
    grow.draw_features(key, again)
    np.testing.assert_array_equal(order, again)


def test_draws_are_even():
    first = np.zeros(7)
    for key in range(7000):
        order = np.arange(7, dtype=np.int32)
        grow.draw_features(key, order)
        first[order[0]] += 1
    np.testing.assert_allclose(first, 1000, atol=150)


def test_node_keys_differ():
    keys = {0}
    level = [0]
    for _ in range(10):
        level = [child for key in level for child in grow.node_keys(key)]
        keys.update(level)
    assert len(keys) == 2**11 - 1


def test_pack_tile():
    columns = [np.arange(i, i + 5, dtype=np.uint8) for i in range(3)]
    tile = np.zeros(5, np.uint64)
    prepare.pack_tile(columns, tile)
    for i, column in enumerate(columns):
        np.testing.assert_array_equal(tile >> np.uint64(8 * i) & np.uint64(255), column)


@pytest.mark.parametrize("capacity", [0, -1, 8193])
def test_worker_refuses_a_wrong_capacity(capacity):
    from test_growth import make_plan

    plan = make_plan()
    with pytest.raises(ValueError, match="capacity"):
        grow.Worker(plan.problem, capacity)


@pytest.mark.parametrize("n_classes", [0, 2, 3])
def test_histograms_equal_a_recount(n_classes):
    """A child's histogram is counted, its sibling's is what remains."""
    from test_growth import tile_problem

    problem, codes, rows, label, value = tile_problem(n_classes)
    n_tiles, words = 2, {0: 512, 2: 256, 3: 128 * 3}[n_classes]
    histograms = np.full((2, n_tiles, 8 * words), 77, np.uint64)
    jobs = np.zeros(0, JOB_DTYPE)
    selected = np.zeros((0, codes.shape[1]), np.uint8)
    splits = np.zeros(1, SPLIT_DTYPE)
    middle = 120
    counts = np.array([(0, len(rows), 0, -1), (0, middle, 1, 0)], COUNT_DTYPE)
    for tile in range(n_tiles):
        problem.search_tile(
            tile,
            np.zeros(JOB_DTYPE.itemsize, np.uint8),
            np.zeros((len(jobs), 0), np.int64),
            selected,
            splits.view(np.uint8),
            np.zeros((0, 0, 2)),
            counts.view(np.uint8),
            histograms,
        )
    for slot, part in ((1, rows[:middle]), (0, rows[middle:])):
        for f in range(codes.shape[1]):
            cells = histograms[slot, f // 8, (f % 8) * words :][:words]
            n = np.bincount(codes[part, f], minlength=256)
            if n_classes == 2:
                ones = np.bincount(codes[part, f], label[part], 256).astype(np.uint64)
                np.testing.assert_array_equal(cells, n + (ones << np.uint64(32)))
            elif n_classes == 3:
                cell = codes[part, f] * 3 + label[part]
                np.testing.assert_array_equal(
                    cells.view(np.uint32), np.bincount(cell, minlength=768)
                )
            else:
                sums = np.zeros(256, np.int64)
                np.add.at(sums, codes[part, f], value[part])
                np.testing.assert_array_equal(cells.view(np.int64)[0::2], sums)
                np.testing.assert_array_equal(cells.view(np.int64)[1::2], n)


class TestBits:
    @given(st.integers(0, 2**64 - 1))
    def test_pack(self, word):
        expected = sum((word >> 8 * i & 1) << i for i in range(8))
        assert probes.pack_word(word) == expected

    @pytest.mark.parametrize("kind", [0, 1, 2], ids=["binary", "classes", "regression"])
    def test_counts_equal_a_recount(self, kind):
        rng = np.random.default_rng(kind)
        bits = rng.integers(0, 2**64, 50, dtype=np.uint64)
        active = int(rng.integers(0, 2**64, dtype=np.uint64))
        rows = rng.choice(50, 20, replace=False).astype(np.uint16)
        n_classes = 5 if kind == 1 else 2
        label = rng.integers(0, n_classes, 50).astype(np.uint16)
        value = rng.integers(-(2**40), 2**40, 50)
        cells = probes.count_two_valued(
            kind, label, value, n_classes, bits, active, rows
        )
        for j in range(64):
            has = rows[
                (bits[rows] & np.uint64(active)) >> np.uint64(j) & np.uint64(1) == 1
            ]
            if kind == 1:
                expected = np.bincount(label[has], minlength=n_classes)
            elif kind == 0:
                expected = [len(has) | int(label[has].sum()) << 32]
            else:
                expected = [len(has), value[has].sum()]
            np.testing.assert_array_equal(cells[j], expected)


class TestWideAgainstNarrow:
    """Histograms, orders of the table and a node's copy find the same trees."""

    @settings(max_examples=40, deadline=None)
    @given(st.data())
    def test_same_tree(self, data):
        from test_growth import grow_both_ways

        grow_both_ways(data)
