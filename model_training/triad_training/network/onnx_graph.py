"""An exported graph as data: which nodes carry weights, and which must stay exact."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Sequence

import onnx
from onnx import GraphProto, ModelProto, NodeProto

WEIGHTED = ("Conv", "MatMul", "Gemm")
# In the names of the constants of a module `front_end`, which makes a spectrum, or `statistics`, as either of
# PyTorch's exporters writes them. A logarithm follows, which makes any rounding of a quiet band as large as
# one of a loud band: 60 dB do not fit in 8 bits, nor a power spectrum in 16-bit floats.
EXACT_PARTS = re.compile(r"[./](front_end|statistics)(_\d+)?[./]")


def read_graph(data: bytes) -> ModelProto:
    """With a name on every node, and without inferred shapes, which are stale after the first change."""
    model = without_notes(onnx.load_from_string(data))
    for i, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{i}"
    return model


def write_graph(model: ModelProto) -> bytes:
    onnx.checker.check_model(model)
    return bytes(without_notes(model).SerializeToString())


def without_notes(model: ModelProto) -> ModelProto:
    """Without what nobody reads: traces with the training machine's paths, inferred shapes."""
    del model.metadata_props[:], model.graph.metadata_props[:], model.graph.value_info[:]
    for part in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    return model


def weighted_nodes(graph: GraphProto) -> list[NodeProto]:
    """Convolutions and products with a constant matrix, but those of the exact part."""
    matrices = {
        tensor.name
        for tensor in graph.initializer
        if len(tensor.dims) > 1 and not EXACT_PARTS.search(tensor.name)
    }
    return [node for node in graph.node if node.op_type in WEIGHTED and node.input[1] in matrices]


def embeddings(graph: GraphProto) -> list[NodeProto]:
    """Rows gathered from a constant table of floats, but linear experts': their few large weights decide."""
    tables = {
        tensor.name
        for tensor in graph.initializer
        if len(tensor.dims) == 2
        and tensor.data_type == onnx.TensorProto.FLOAT
        and ".experts." not in tensor.name
    }
    return [node for node in graph.node if node.op_type == "Gather" and node.input[0] in tables]


def names_after(graph: GraphProto, nodes: Iterable[NodeProto]) -> set[str]:
    """Names of these nodes and of all that use what they compute."""
    reached, tensors = {node.name for node in nodes}, set[str]()
    for node in graph.node:  # sorted: what a node reads stands before it
        if node.name in reached or tensors.intersection(node.input):
            reached.add(node.name)
            tensors.update(node.output)
    return reached


def names_before(graph: GraphProto, nodes: Iterable[NodeProto]) -> set[str]:
    """Names of these nodes and of all whose results they use."""
    reached, tensors = {node.name for node in nodes}, set[str]()
    for node in reversed(graph.node):
        if node.name in reached or tensors.intersection(node.output):
            reached.add(node.name)
            tensors.update(node.input)
    return reached


def replace_nodes(graph: GraphProto, nodes: Sequence[NodeProto]) -> None:
    """Other nodes, in the order in which they run; constants that none of them reads go."""
    copies = [copy.deepcopy(node) for node in nodes]  # those of the graph end with their place in it
    del graph.node[:]
    graph.node.extend(copies)
    read = {name for node in graph.node for name in node.input}
    constants = [copy.deepcopy(tensor) for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(constants)
