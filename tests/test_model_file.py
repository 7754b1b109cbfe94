"""Model files: what is written, what is refused, and that nothing else happens."""

import hashlib
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fasttree
from fasttree.estimators._saving import restore
from fasttree.prediction.predictor import Predictor
from fasttree.storage import model_file
from fasttree.storage.model_file import ModelFileError
from fasttree.storage.model_state import ModelState

GOLDEN = Path(__file__).with_name("golden")


def make_models():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 3))
    X[rng.random(X.shape) < 0.1] = np.nan
    frame = pd.DataFrame(X.astype(np.float32), columns=["a", "b", "c"])
    frame["d"] = pd.Categorical(rng.choice(["x", "y", "z"], 80))
    y = rng.integers(0, 3, 80)
    return [
        (fasttree.DecisionTreeClassifier(max_depth=4).fit(X, y), X[:5].tolist()),
        (
            fasttree.DecisionTreeClassifier(min_samples_category=1).fit(frame, y),
            [[0.1, None, -0.3, "x"], [np.nan, 1.0, 2.0, "w"]],
        ),
        (
            fasttree.DecisionTreeRegressor(max_depth=5).fit(
                X.astype(np.float32), X[:, :1].sum(axis=1) > 0, rng.random(80)
            ),
            X[:5].tolist(),
        ),
        (
            fasttree.RandomForestClassifier(9, max_depth=4, random_state=0).fit(X, y),
            X[:5].tolist(),
        ),
        (
            fasttree.GradientBoostingClassifier(max_iter=3, random_state=0).fit(X, y),
            X[:5].tolist(),
        ),
    ]


@pytest.fixture(scope="module")
def models():
    return make_models()


@pytest.fixture
def saved(models, tmp_path):
    paths = []
    for i, (model, _) in enumerate(models):
        paths.append(tmp_path / f"{i}.fasttree")
        model.save(paths[-1])
    return paths


def thaw(value):
    return float.fromhex(value) if isinstance(value, str) and "0x" in value else value


@pytest.mark.parametrize(
    "name", sorted(json.loads((GOLDEN / "expected.json").read_text()))
)
def test_golden_files(name):
    expected = json.loads((GOLDEN / "expected.json").read_text())[name]
    rows = [
        [np.nan if value == "nan" else thaw(value) for value in row]
        for row in expected["rows"]
    ]
    outputs = np.array([[thaw(value) for value in row] for row in expected["outputs"]])
    path = GOLDEN / f"{name}.fasttree"
    for mmap in (True, False):
        predictor = fasttree.load_predictor(path, mmap=mmap)
        got = np.array([predictor.score_one(row) for row in rows])
        assert got.tobytes() == outputs.tobytes()
    model = fasttree.load(path)
    names = getattr(model, "feature_names_in_", None)
    X = (
        np.array(rows, np.float64)
        if names is None
        else pd.DataFrame(rows, columns=names)
    )
    is_classifier = hasattr(model, "predict_proba")
    got = model.predict_proba(X) if is_classifier else model.predict(X)[:, None]
    assert got.tobytes() == outputs.tobytes()


def read_plainly(path):
    """Read a file as its documentation says, without the library."""
    data = Path(path).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__")
    return metadata, header, data[8 + length :]


def test_layout(saved):
    kinds = {"U64": 8, "I64": 8, "F64": 8, "U32": 4, "I32": 4, "U16": 2, "U8": 1}
    kinds |= {"F32": 4, "BOOL": 1}
    for path in saved:
        metadata, header, payload = read_plainly(path)
        assert (path.stat().st_size - len(payload)) % 64 == 0
        assert {type(value) for value in metadata.values()} == {str}
        position = 0
        for entry in sorted(header.values(), key=lambda entry: entry["data_offsets"]):
            start, stop = entry["data_offsets"]
            assert start == position
            assert start % kinds[entry["dtype"]] == 0
            assert stop - start == np.prod(entry["shape"]) * kinds[entry["dtype"]]
            position = stop
        assert position == len(payload)
        lines = [
            f"{name} {entry['dtype']} {','.join(map(str, entry['shape']))} "
            f"{','.join(map(str, entry['data_offsets']))}\n"
            for name, entry in sorted(header.items())
        ]
        digest = hashlib.sha256(
            f"{metadata['version']}\n{''.join(lines)}{metadata['model']}".encode()
            + payload
        )
        assert digest.hexdigest() == metadata["sha256"]


def test_a_reader_written_from_the_documentation(models, saved):
    """Walk the nodes of a float32-key model in plain Python."""
    model, rows = models[2]
    metadata, header, payload = read_plainly(saved[2])

    def array(name, dtype):
        start, stop = header[name]["data_offsets"]
        return np.frombuffer(payload[start:stop], dtype)

    description = json.loads(metadata["model"])
    nodes, kind = array("nodes", "<u8"), array("slot_kind", "u1")
    feature, values = array("slot_feature", "<i4"), array("leaf_value", "<f8")
    bits = description["slot_bits"]
    for row in rows:
        position = 0
        while True:
            key, link = int(nodes[position]) & 0xFFFFFFFF, int(nodes[position]) >> 32
            slot, pair = link & ((1 << bits) - 1), link >> bits
            if slot < 2:
                break
            pattern = key ^ 0x80000000 if key >= 0x80000000 else key ^ 0xFFFFFFFF
            (threshold,) = struct.unpack("<f", struct.pack("<I", pattern))
            value = row[feature[slot]]
            right = kind[slot] == 1 if np.isnan(value) else value > threshold
            position = 2 * pair + int(right)
        assert values[key] == model.predictor().predict_one(row)


def test_description(saved):
    description = json.loads(read_plainly(saved[1])[0]["model"])
    assert description["estimator"] == "DecisionTreeClassifier"
    assert description["fasttree_version"] == fasttree.__version__
    assert [entry["name"] for entry in description["features"]] == list("abcd")
    labels = description["features"][3]["categories"]
    assert labels["values"] == ["x", "y", "z"]
    assert description["classes"] == [{"dtype": "int64", "values": [0, 1, 2]}]
    assert description["params"]["min_samples_category"] == 1


def test_unknown_arrays_and_entries_are_tolerated(models, saved, tmp_path):
    description, arrays = model_file.read(saved[0])
    more = {**arrays, "from.the.future": np.arange(7, dtype=np.uint16)}
    model_file.write(tmp_path / "new", {**description, "future": [1]}, more)
    model, rows = models[0]
    assert fasttree.load(tmp_path / "new").predict(rows).tolist() == (
        model.predict(rows).tolist()
    )


@pytest.mark.parametrize("version", ["2.0", "0.9", "1", "", "1.x", "1.0.0", "-1.0"])
def test_unknown_versions_are_refused(saved, version, monkeypatch, tmp_path):
    content = model_file.read(saved[0])
    data = b"".join(bytes(block) for block in model_file.dump(*content))
    changed = data.replace(b'"version": "1.0"', f'"version": "{version}"'.encode())
    length = int.from_bytes(changed[:8], "little") + len(changed) - len(data)
    (tmp_path / "new").write_bytes(length.to_bytes(8, "little") + changed[8:])
    with pytest.raises(ModelFileError, match="version"):
        fasttree.load(tmp_path / "new")


def test_minor_versions_are_read(saved, monkeypatch, tmp_path):
    content = model_file.read(saved[0])
    monkeypatch.setattr(model_file, "VERSION", (1, 7))
    model_file.write(tmp_path / "new", *content)
    monkeypatch.undo()
    assert fasttree.load_predictor(tmp_path / "new").state.estimator


def test_not_a_model_file(tmp_path):
    path = tmp_path / "file"
    for data in (
        b"", b"short", b"\0" * 8, b"\x02" + b"\0" * 7 + b"{}", b"\xff" * 64,
        b"PK\x03\x04" + b"\0" * 100, b"\x05" + b"\0" * 7 + b"[1,2]",
        b"\x02" + b"\0" * 7 + b"\xff\xfe",
        (40_000).to_bytes(8, "little") + b"[" * 40_000,
        (24).to_bytes(8, "little") + b'{"__metadata__":{"a":"b"',
        (21).to_bytes(8, "little") + b'{"a":1,"a":2,"c":NaN}',
    ):  # fmt: skip
        path.write_bytes(data)
        for read in (fasttree.load, fasttree.load_predictor):
            with pytest.raises(ModelFileError):
                read(path)
    with pytest.raises(FileNotFoundError):
        fasttree.load(tmp_path / "nothing")


def test_an_interrupted_save_leaves_the_old_file(models, saved, monkeypatch):
    before = saved[0].read_bytes()

    def fail(descriptor):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space"):
        models[1][0].save(saved[0])
    monkeypatch.undo()
    assert saved[0].read_bytes() == before
    assert len(list(saved[0].parent.iterdir())) == len(saved)
    models[1][0].save(saved[0])
    assert saved[0].read_bytes() != before


def test_what_cannot_be_saved(models, tmp_path):
    X, y = np.arange(6.0)[:, None], np.arange(6) % 2
    model = fasttree.DecisionTreeClassifier(random_state=np.random.RandomState(0))
    with pytest.raises(TypeError, match="random_state must be"):
        model.fit(X, y).save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_params_come_back(tmp_path):
    X, y = np.arange(60.0).reshape(30, 2), np.arange(30) % 3
    for params in (
        {"class_weight": {0: 1.0, 1: 2, 2: 0.5}},
        {"class_weight": "balanced", "max_features": 0.5},
        {"categorical_features": np.array([True, False])},
        {"categorical_features": [1], "max_bins": 5, "random_state": np.int64(3)},
        {"min_samples_leaf": np.float64(0.1)},
    ):
        model = fasttree.DecisionTreeClassifier(**params).fit(X, y)
        model.save(tmp_path / "model")
        again = fasttree.load(tmp_path / "model")
        assert str(again.get_params()) == str(
            {**model.get_params(), **{
                name: value.item() if isinstance(value, np.generic) else value
                for name, value in params.items()
            }}
        )  # fmt: skip
        assert again.predict(X).tolist() == model.predict(X).tolist()


@pytest.mark.parametrize(
    "labels",
    [
        [True, False], [1.0, -2.0], ["ä", "ß" * 40], np.array([3, 7], np.uint8),
        np.array(["o", "t"], object),
    ],
)  # fmt: skip
def test_labels_come_back(labels, tmp_path):
    X, y = np.arange(10.0)[:, None], np.asarray(labels)[np.arange(10) % 2]
    model = fasttree.DecisionTreeClassifier().fit(X, y)
    model.save(tmp_path / "model")
    again = fasttree.load(tmp_path / "model")
    assert again.classes_.dtype == model.classes_.dtype
    assert again.classes_.tolist() == model.classes_.tolist()
    assert again.predictor().predict_one([3.0]) == y[3]


# --- Damage --------------------------------------------------------------------


def use(description, arrays, rows):
    """Do all that can be done with what has been read."""
    state = ModelState.from_parts(description, arrays)
    predictor = Predictor.from_state(state)
    for row in rows:
        predictor.score_one(row)
    predictor.predict_many(rows)
    if all(isinstance(value, float) for row in rows for value in row):
        # So many that small trees are not walked.
        predictor.predict_many(np.resize(rows, (300, len(rows[0]))))
    restore(state)


def mutate_bytes(rng, data):
    data = bytearray(data)
    kind = rng.integers(5)
    at = int(rng.integers(len(data)))
    if rng.random() < 0.5:
        at = int(rng.integers(min(len(data), 4000)))
    if kind == 0:
        data[at] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        data[at] = int(rng.integers(256))
    elif kind == 2:
        del data[at:]
    elif kind == 3:
        del data[at : at + int(rng.integers(1, 30))]
    else:
        data[at:at] = bytes(rng.integers(0, 256, int(rng.integers(1, 30)), np.uint8))
    return bytes(data)


NASTY = [0, 1, 2, 3, 7, 63, 64, 255, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**62]


def mutate_array(rng, array):
    array = array.copy()
    if rng.random() < 0.15 or not array.size:
        size = int(rng.integers(0, 2 * len(array) + 3))
        return np.resize(array, (size, *array.shape[1:]))
    if rng.random() < 0.1:
        with np.errstate(all="ignore"):
            return array.astype(rng.choice(["<u1", "<i4", "<f4", "<f8", "<u8"]))
    if rng.random() < 0.05:
        return array.reshape(1, -1)
    flat = array.reshape(-1)
    at = int(rng.integers(flat.size))
    if flat.dtype.kind == "b":
        flat[at] = not flat[at]
    elif flat.dtype.kind == "f":
        flat[at] = rng.choice([np.nan, np.inf, -np.inf, -1.0, 0.0, 1e308, 2.0])
    elif rng.random() < 0.5:
        bits = flat.view(f"u{flat.itemsize}")
        bits[at] ^= bits.dtype.type(1) << bits.dtype.type(
            rng.integers(8 * flat.itemsize)
        )
    else:
        limits = np.iinfo(flat.dtype)
        flat[at] = min(max(rng.choice([-1, *NASTY]), limits.min), limits.max)
    return array


def test_damaged_files(saved):
    """Bytes that changed are noticed: nothing but a clear error comes of them."""
    rng = np.random.default_rng(1)
    n_read = 0
    for path in saved:
        description, arrays = model_file.read(path)
        data = path.read_bytes()
        for _ in range(900):
            buffer = np.frombuffer(mutate_bytes(rng, data), np.uint8)
            try:
                read = model_file.parse(buffer)
            except ModelFileError:
                continue
            # White space of the header, say.
            assert read[0] == description
            assert read[1].keys() == arrays.keys()
            for name, array in arrays.items():
                assert read[1][name].tobytes() == array.tobytes()
            n_read += 1
    assert n_read < 300


def test_forged_files(models, saved):
    """A right hash does not help: what is inside is checked."""
    rng = np.random.default_rng(2)
    n_used = 0
    for (_, rows), path in zip(models, saved, strict=True):
        description, arrays = model_file.read(path)
        names = sorted(arrays)
        for _ in range(1200):
            forged, text = dict(arrays), description
            for _ in range(int(rng.integers(1, 3))):
                if rng.random() < 0.2:
                    text = json.loads(json.dumps(description))
                    mutate_description(rng, text)
                else:
                    name = names[int(rng.integers(len(names)))]
                    forged[name] = mutate_array(rng, forged[name])
            try:
                use(text, forged, rows)
            except ModelFileError:
                continue
            except (ValueError, TypeError):
                # Rows that no longer fit the schema.
                continue
            n_used += 1
    assert n_used > 50


def mutate_description(rng, content):
    """Change one value, at any depth."""
    while True:
        keys = list(content) if isinstance(content, dict) else list(range(len(content)))
        key = keys[int(rng.integers(len(keys)))]
        inner = content[key]
        if isinstance(inner, (dict, list)) and inner and rng.random() < 0.8:
            content = inner
            continue
        break
    if isinstance(content, dict) and rng.random() < 0.3:
        del content[key]
        return
    values = [None, True, -1, 0, 1, 2, 31, 32, 2**31, 2**70, 1.5, "", "x", [], {}]
    content[key] = values[int(rng.integers(len(values)))]


@given(data=st.binary(max_size=400), header=st.text(max_size=200))
def test_arbitrary_bytes(data, header):
    text = header.encode()
    framed = len(text).to_bytes(8, "little") + text + data
    for content in (data, framed):
        with pytest.raises(ModelFileError):
            model_file.parse(np.frombuffer(content, np.uint8))


def run_command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "fasttree.command_line", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_inspect(saved, tmp_path):
    pytest.importorskip("click")
    shown = run_command("inspect", str(saved[1]))
    assert shown.returncode == 0
    for line in (
        "estimator      DecisionTreeClassifier", "trees          1",
        "classes        0, 1, 2", "  d: 3 categories: x, y, z", "  a: float32",
    ):  # fmt: skip
        assert line in shown.stdout.splitlines()
    (tmp_path / "other").write_bytes(b"something else")
    refused = run_command("inspect", str(tmp_path / "other"))
    assert refused.returncode == 1
    assert "not a model file" in refused.stderr
    assert "Traceback" not in refused.stderr
