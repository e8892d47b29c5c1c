"""What an ONNX file needs beside itself, read before anything loads it: other files, operators of others.

Of protobuf's wire format only what this takes: serving installs without the package onnx.
Source: onnx.proto3 of ONNX 1.23 (names and numbers of fields); protobuf.dev, "Encoding".
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from triad_serving.contract.errors import BundleError
from triad_serving.inference.bundle import Bundle

Kind = Literal["model", "training", "function", "graph", "node", "attribute", "tensor", "sparse", "entry"]

# Kind of message -> number of a field -> kind of the messages in it.
MESSAGES: dict[Kind, dict[int, Kind]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
    "entry": {},
}
KNOWN_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})  # in ONNX Runtime itself
DOMAIN: dict[Kind, int] = {"node": 7, "function": 10}  # of an operator; of those that the file itself defines
LOCATION = b"location"  # the entry of a tensor that names the file which holds it

VARINT, FIXED_64, BYTES, FIXED_32 = 0, 1, 2, 5
MOST_VARINT_BYTES = 10


@dataclass(frozen=True, kw_only=True)
class Needs:
    """domains: of operators that the file does not define. files: that hold some of its tensors."""

    domains: frozenset[str]
    files: frozenset[str]


def check_graphs(bundle: Bundle) -> None:
    """Raises BundleError where one reads a file that the bundle does not list, or has operators of others."""
    for path in (bundle.model_path, bundle.int8_path):
        if path is not None:
            _check(bundle, needs_of(path))


def _check(bundle: Bundle, needs: Needs) -> None:
    if unlisted := needs.files - bundle.manifest.files.keys():
        raise BundleError(
            f"Bundle {bundle.path}: its graph reads {sorted(unlisted)[0]!r}, which is not listed."
        )
    if foreign := needs.domains - KNOWN_DOMAINS:
        raise BundleError(
            f"Bundle {bundle.path}: its graph has operators of {sorted(foreign)[0]!r}; "
            f"known are {', '.join(sorted(KNOWN_DOMAINS - {''}))}."
        )


def needs_of(path: Path) -> Needs:
    """Raises BundleError where this is no ONNX file."""
    try:
        with path.open("rb") as file:
            return _needs(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
    except (ValueError, IndexError) as error:  # ValueError also of mmap: an empty file
        raise BundleError(f"The graph cannot be loaded: {path} is no ONNX file ({error}).") from error


def _needs(model: memoryview) -> Needs:
    used: set[str] = set()
    defined: set[str] = set()
    files: set[str] = set()
    waiting: list[tuple[Kind, memoryview]] = [("model", model)]
    while waiting:  # not by recursion: graphs lie in each other as deep as a stranger likes
        kind, message = waiting.pop()
        entry: dict[int, bytes] = {}
        for number, value in _fields(message):
            if inner := MESSAGES[kind].get(number):
                waiting.append((inner, value))
            elif number == DOMAIN.get(kind):
                (used if kind == "node" else defined).add(bytes(value).decode("utf-8"))
            elif kind == "entry":
                entry[number] = bytes(value)
        if entry.get(1) == LOCATION:
            files.add(entry.get(2, b"").decode("utf-8"))
    return Needs(domains=frozenset(used - defined), files=frozenset(files))


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and content of each field that holds bytes. Raises ValueError, IndexError."""
    return ((number, content) for number, content, _ in fields(message) if content is not None)


def fields(message: memoryview) -> Iterator[tuple[int, memoryview | None, memoryview]]:
    """Number of each field, its content where it holds bytes, and all of it as written.

    Raises ValueError, IndexError.
    """
    at = 0
    while at < len(message):
        start, content = at, None
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == VARINT:
            _, at = _varint(message, at)
        elif kind == BYTES:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise ValueError("a field is cut off")
            content = message[at : at + length]
            at += length
        elif kind in (FIXED_32, FIXED_64):
            at += 4 if kind == FIXED_32 else 8
        else:
            raise ValueError(f"a field has the unknown wire type {kind}")
        yield tag >> 3, content, message[start:at]


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number that begins there, and where it ends. Raises ValueError, IndexError."""
    value = 0
    for i in range(MOST_VARINT_BYTES):
        byte = message[at + i]
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return value, at + i + 1
    raise ValueError("a number is too long")
