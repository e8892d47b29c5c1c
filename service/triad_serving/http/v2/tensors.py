"""Tensors as the protocol carries them. Source: Triton, binary tensor data extension."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from triad_serving.contract.errors import MalformedRequestError

Datatype = Literal["BYTES", "FP32", "BOOL"]
Element: TypeAlias = bytes | float | bool

LENGTH = struct.Struct("<I")  # before each element of a BYTES tensor
FORMATS = {"FP32": "f", "BOOL": "?"}


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """elements: row-major, as many as the shape says."""

    name: str
    datatype: Datatype
    shape: Sequence[int]
    elements: Sequence[Element]


def to_binary(tensor: Tensor) -> bytes:
    if tensor.datatype in FORMATS:
        return struct.pack(f"<{len(tensor.elements)}{FORMATS[tensor.datatype]}", *tensor.elements)
    return b"".join(
        LENGTH.pack(len(element)) + element for element in tensor.elements if isinstance(element, bytes)
    )


def split_bytes(data: bytes, name: str) -> list[bytes]:
    """The elements of a BYTES tensor in its binary form. Raises MalformedRequestError."""
    return list(_elements(data, name))


def _elements(data: bytes, name: str) -> Iterator[bytes]:
    place = 0
    while place < len(data):
        start = place + LENGTH.size
        if start > len(data):
            raise MalformedRequestError(f"{name}: its binary data is cut off.", field=name)
        place = start + LENGTH.unpack_from(data, place)[0]
        if place > len(data):
            raise MalformedRequestError(f"{name}: its binary data is cut off.", field=name)
        yield data[start:place]
