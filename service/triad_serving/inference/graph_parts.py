"""One ONNX graph taken apart where its media meet: what encodes each medium alone, and what answers from all.

So a request that comes alone has its media encoded side by side, and one of a single medium runs nothing of
the others. Of protobuf's wire format only what this takes; see graph_file.py.
Source: onnx.proto3 of ONNX 1.23 (names and numbers of fields).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from triad_serving.inference.graph_file import BYTES, VARINT, fields

GRAPH = 7  # of a ModelProto
NODE, INITIALIZER, INPUT, OUTPUT = 1, 5, 11, 12  # of a GraphProto
TAKES, GIVES, ATTRIBUTE = 1, 2, 5  # of a NodeProto
INNER_GRAPHS = (6, 11)  # of an AttributeProto
NAMES = {INITIALIZER: 8, INPUT: 1, OUTPUT: 1}  # number of the field that is their name
EXTERNAL_DATA = 13  # of a TensorProto
REST = ""  # no medium has this name
Written: TypeAlias = bytes | memoryview  # a field, with its number
ELEMENT_TYPES = {  # onnxruntime's names -> TensorProto.DataType
    "tensor(float)": 1,
    "tensor(uint8)": 2,
    "tensor(int8)": 3,
    "tensor(int32)": 6,
    "tensor(int64)": 7,
    "tensor(bool)": 9,
    "tensor(float16)": 10,
}


class Value(Protocol):
    """onnxruntime's description of a tensor; a dimension that is no number is not fixed."""

    name: str
    type: str
    shape: Sequence[object]


@dataclass(frozen=True, kw_only=True)
class Parts:
    """encoders: ONNX files by medium. values: by medium, the tensors that its encoder gives to the rest."""

    encoders: Mapping[str, bytes]
    values: Mapping[str, Sequence[str]]
    _whole: _Graph
    _nodes: Sequence[_Node]

    def rest(self, values: Iterable[Value]) -> bytes:
        """What makes the outputs, as an ONNX file; values: of all encoders, by their sessions."""
        taken = {name for node in self._nodes for name in node.takes}
        inputs = [written for name, written in self._whole.inputs.items() if name in taken]
        return self._whole.part(
            self._nodes, [*inputs, *map(_describe, values)], list(self._whole.outputs.values())
        )


def take_apart(model: bytes, media: Mapping[str, Sequence[str]]) -> Parts | None:
    """media: by medium, the graph's inputs that are of it alone.

    None where that cannot be done: a node holds a graph of its own, numbers lie in another file, or a medium
    gives nothing to the others.
    Raises ValueError, IndexError where this is no ONNX file.
    """
    whole = _Graph.read(memoryview(model))
    owners: dict[str, str | None] = dict.fromkeys(whole.initializers)  # None: of whoever takes it
    owners |= dict.fromkeys(whole.inputs, REST)
    owners |= {name: medium for medium, names in media.items() for name in names}
    nodes: dict[str | None, list[_Node]] = {owner: [] for owner in (None, REST, *media)}
    for node in whole.nodes:
        mixed = {owners[name] for name in node.takes} - {None}
        owner = mixed.pop() if len(mixed) == 1 else REST if mixed else None
        nodes[owner].append(node)
        owners |= dict.fromkeys(node.gives, owner)
    taken = {name for node in nodes[REST] for name in node.takes}
    values = {m: [name for node in nodes[m] for name in node.gives if name in taken] for m in media}
    if not (whole.divisible and all(values.values())):
        return None
    encoders = {
        medium: whole.part(
            _with_constants(nodes[medium], nodes[None]),
            [whole.inputs[name] for name in media[medium]],
            [_field(OUTPUT, _field(NAMES[OUTPUT], name.encode())) for name in values[medium]],
        )
        for medium in media
    }
    rest = _with_constants(nodes[REST], nodes[None])
    return Parts(encoders=encoders, values=values, _whole=whole, _nodes=rest)


def _with_constants(nodes: Sequence[_Node], constant: Sequence[_Node]) -> list[_Node]:
    """In front of them those that compute from initializers alone what they take."""
    needed: list[_Node] = []
    taken = {name for node in nodes for name in node.takes}
    for node in reversed(constant):  # in the order in which a graph runs, what a node takes is before it
        if taken.intersection(node.gives):
            needed.append(node)
            taken.update(node.takes)
    return [*reversed(needed), *nodes]


@dataclass(frozen=True, kw_only=True)
class _Node:
    takes: Sequence[str]
    gives: Sequence[str]
    holds_graph: bool
    written: memoryview

    @classmethod
    def read(cls, message: memoryview, written: memoryview) -> _Node:
        named: dict[int, list[str]] = {TAKES: [], GIVES: []}
        holds_graph = False
        for number, content, _ in fields(message):
            if content and number in named:  # an empty name: an optional one that is left out
                named[number].append(str(content, "utf-8"))
            elif content and number == ATTRIBUTE:
                holds_graph |= any(inner in INNER_GRAPHS for inner, _, _ in fields(content))
        return cls(takes=named[TAKES], gives=named[GIVES], holds_graph=holds_graph, written=written)


@dataclass(frozen=True, kw_only=True)
class _Graph:
    """As written: the other fields of its model; its nodes; by name its initializers, inputs and outputs."""

    model: bytes
    nodes: Sequence[_Node]
    initializers: Mapping[str, memoryview]
    inputs: Mapping[str, memoryview]
    outputs: Mapping[str, memoryview]
    divisible: bool

    @classmethod
    def read(cls, model: memoryview) -> _Graph:
        others: list[memoryview] = []
        nodes: list[_Node] = []
        named: dict[int, dict[str, memoryview]] = {number: {} for number in NAMES}
        elsewhere = False
        for number, content, written in fields(model):
            if content is None or number != GRAPH:
                others.append(written)
                continue
            for part, inner, whole in fields(content):
                if inner is not None and part == NODE:
                    nodes.append(_Node.read(inner, whole))
                elif inner is not None and part in named:
                    own = {n: value for n, value, _ in fields(inner)}
                    named[part][str(own[NAMES[part]] or b"", "utf-8")] = whole
                    elsewhere |= part == INITIALIZER and EXTERNAL_DATA in own
        initializers, inputs, outputs = (named[number] for number in NAMES)
        return cls(
            model=b"".join(others),
            nodes=nodes,
            initializers=initializers,
            inputs=inputs,
            outputs=outputs,
            divisible=not (elsewhere or any(node.holds_graph for node in nodes)),
        )

    def part(self, nodes: Sequence[_Node], inputs: Sequence[Written], outputs: Sequence[Written]) -> bytes:
        """A model of these nodes, with the initializers that they take."""
        taken = {name for node in nodes for name in node.takes}
        initializers = [written for name, written in self.initializers.items() if name in taken]
        graph = b"".join([*(node.written for node in nodes), *initializers, *inputs, *outputs])
        return self.model + _field(GRAPH, graph)


def _describe(value: Value) -> bytes:
    """A ValueInfoProto that is an input: its name, type and the dimensions that are fixed."""
    sizes = [_number(1, size) if isinstance(size, int) else b"" for size in value.shape]
    shape = b"".join(_field(1, size) for size in sizes)
    tensor = _number(1, ELEMENT_TYPES[value.type]) + _field(2, shape)
    return _field(INPUT, _field(NAMES[INPUT], value.name.encode()) + _field(2, _field(1, tensor)))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | BYTES) + _varint(len(content)) + content


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3 | VARINT) + _varint(value)


def _varint(value: int) -> bytes:
    """Seven bits a byte, lowest first; all but the last have the eighth bit."""
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])
