"""The container of a model file: named arrays and a description, hashed.

The layout is that of safetensors: eight bytes that say how long the header is, a
header in JSON, and the arrays, little-endian, without gaps. docs/model_file.md
describes it for readers in other languages. Nothing of what is read is run, and
nothing is believed before it has been checked.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

FORMAT = "fasttree"
#: Readers refuse another major version; a minor one adds what may be ignored.
VERSION = (1, 0)

_ALIGNMENT = 64
_MAX_HEADER = 100_000_000
_MAX_DIMENSIONS = 8
_DTYPES = {
    "U64": "<u8",
    "I64": "<i8",
    "F64": "<f8",
    "U32": "<u4",
    "I32": "<i4",
    "F32": "<f4",
    "U16": "<u2",
    "I16": "<i2",
    "F16": "<f2",
    "U8": "|u1",
    "I8": "|i1",
    "BOOL": "|b1",
}
_NAMES = {np.dtype(code): name for name, code in _DTYPES.items()}


class ModelFileError(ValueError):
    """A file is not a model file, is damaged, or is of an unknown version."""


def write(
    path: str | os.PathLike[str],
    description: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
) -> None:
    """Write a model file, or leave the old one as it is.

    The file is written beside its place, flushed to the disk and then renamed, so
    that at any time `path` is the old file or the new one.

    Parameters
    ----------
    path : str or path-like
    description : mapping
        What JSON can hold.
    arrays : mapping of str to ndarray
        Numbers, of any layout.
    """
    path = Path(path)
    blocks = dump(description, arrays)
    descriptor, temporary = tempfile.mkstemp(
        prefix=f".{path.name}.", suffix=".part", dir=path.parent
    )
    try:
        with os.fdopen(descriptor, "wb") as file:
            for block in blocks:
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(OSError):
            # What a file made by open() would have.
            umask = os.umask(0)
            os.umask(umask)
            Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def dump(description: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> list:
    """Return the bytes of a model file, in blocks."""
    ready = {
        name: np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        for name, array in arrays.items()
    }
    # Wide ones first: each then starts at a multiple of its item's size.
    order = sorted(ready, key=lambda name: -ready[name].dtype.itemsize)
    table: dict[str, Any] = {}
    position = 0
    for name in order:
        array = ready[name]
        table[name] = {
            "dtype": _NAMES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [position, position + array.nbytes],
        }
        position += array.nbytes
    text = json.dumps(description, allow_nan=False, ensure_ascii=True)
    payload = [ready[name].reshape(-1).view(np.uint8).data for name in order]
    version = ".".join(map(str, VERSION))
    metadata = {
        "format": FORMAT,
        "version": version,
        "model": text,
        "sha256": _hash(version, text, table, payload),
    }
    header = json.dumps({"__metadata__": metadata, **table}, ensure_ascii=True).encode()
    header += b" " * (-(8 + len(header)) % _ALIGNMENT)
    return [len(header).to_bytes(8, "little"), header, *payload]


def read(
    path: str | os.PathLike[str], *, mmap: bool = False
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the description and the arrays of a model file.

    Parameters
    ----------
    path : str or path-like
    mmap : bool, default=False
        Whether the arrays stay in the file, read-only and shared with other
        processes that map it.

    Returns
    -------
    description : dict
    arrays : dict of str to ndarray
        Read-only views of one buffer.

    Raises
    ------
    ModelFileError
        If the file is not a model file, is damaged or of an unknown version.
    OSError
        If it cannot be read.
    """
    if mmap and Path(path).stat().st_size > 0:
        return parse(np.memmap(path, np.uint8, mode="r"))
    buffer = np.fromfile(path, np.uint8)
    buffer.setflags(write=False)
    return parse(buffer)


def parse(buffer: NDArray[np.uint8]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the description and the arrays that the bytes of a file hold."""
    header, payload = _split(buffer)
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise ModelFileError(
            "this is not a model file: its header does not say format fasttree"
        )
    version = metadata.get("version")
    _check_version(version)
    arrays, table = _cut(header, payload)
    text = metadata.get("model")
    if not isinstance(text, str):
        raise ModelFileError("the model file has no description of the model")
    if _hash(version, text, table, [payload]) != metadata.get("sha256"):
        raise ModelFileError(
            "the model file is damaged: its contents do not have the SHA-256 that it "
            "states"
        )
    description = _parse_json(text)
    if not isinstance(description, dict):
        raise ModelFileError("the description of the model must be an object")
    return description, arrays


def _split(buffer: NDArray[np.uint8]) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    if len(buffer) < 8:
        raise ModelFileError(
            f"this is not a model file: it has {len(buffer)} bytes, too few"
        )
    length = int.from_bytes(buffer[:8].tobytes(), "little")
    if length > min(len(buffer) - 8, _MAX_HEADER):
        raise ModelFileError(
            f"this is not a model file, or is cut short: its header would have "
            f"{length} bytes"
        )
    try:
        text = buffer[8 : 8 + length].tobytes().decode()
    except UnicodeDecodeError:
        raise ModelFileError(
            "this is not a model file: its header is no text"
        ) from None
    header = _parse_json(text)
    if not isinstance(header, dict):
        raise ModelFileError("this is not a model file: its header is no JSON object")
    return header, buffer[8 + length :]


def _check_version(version: Any) -> None:
    parts = version.split(".") if isinstance(version, str) else []
    is_version = len(parts) == 2 and all(
        part.isascii() and part.isdigit() and len(part) < 6 for part in parts
    )
    if not is_version or int(parts[0]) != VERSION[0]:
        raise ModelFileError(
            f"the model file has version {version!r:.40}; this fasttree reads versions "
            f"{VERSION[0]}.x"
        )


def _cut(
    header: dict[str, Any], payload: NDArray[np.uint8]
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Return the arrays, and the header's table of them, which fits the payload."""
    entries = []
    for name, entry in header.items():
        if not isinstance(entry, dict) or entry.keys() != {
            "dtype", "shape", "data_offsets",
        }:  # fmt: skip
            raise ModelFileError(f"array {name!r:.80} is not described as it must be")
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        is_valid = (
            isinstance(dtype, str)
            and dtype in _DTYPES
            and _are_sizes(shape)
            and len(shape) <= _MAX_DIMENSIONS
            and _are_sizes(offsets)
            and len(offsets) == 2
        )
        if not is_valid:
            raise ModelFileError(f"array {name!r:.80} is not described as it must be")
        entries.append((*offsets, name, np.dtype(_DTYPES[dtype]), tuple(shape)))
    position = 0
    arrays = {}
    for start, stop, name, dtype, shape in sorted(entries, key=lambda e: e[:2]):
        size = math.prod(shape) * dtype.itemsize
        if start != position or stop - start != size or stop > len(payload):
            raise ModelFileError(
                f"array {name!r:.80} must not lie at bytes {start} to {stop}"
            )
        position = stop
        array = payload[start:stop].view(np.ndarray).view(dtype).reshape(shape)
        if not array.flags.aligned:
            array = array.copy()
            array.setflags(write=False)
        arrays[name] = array
    if position != len(payload):
        raise ModelFileError(
            f"the model file has {len(payload) - position} bytes too many"
        )
    return arrays, {entry[2]: header[entry[2]] for entry in entries}


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(
        type(value) is int and 0 <= value < 2**62 for value in values
    )


def _hash(version: str, text: str, table: Mapping[str, Any], payload: list[Any]) -> str:
    digest = hashlib.sha256(f"{version}\n".encode())
    lines = [
        "{} {} {} {}\n".format(
            name,
            entry["dtype"],
            ",".join(map(str, entry["shape"])),
            ",".join(map(str, entry["data_offsets"])),
        )
        for name, entry in sorted(table.items())
    ]
    digest.update("".join(lines).encode())
    digest.update(text.encode())
    for block in payload:
        digest.update(np.ascontiguousarray(block).data)
    return digest.hexdigest()


def _parse_json(text: str) -> Any:
    try:
        return json.loads(
            text, object_pairs_hook=_without_repeats, parse_constant=_refuse
        )
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"the model file's JSON cannot be read: {error}") from None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name stands twice")
    return result


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
