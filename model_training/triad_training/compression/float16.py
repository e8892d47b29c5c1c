"""A graph in 16-bit floats, for GPUs.

Only what lies between the first and the last weights is converted. Before them stand samples, spectra and
variances of pixels, behind them squared norms and a regression's unit: numbers beyond 65,504, the largest
that 16 bits hold. (onnxruntime's own converter also rounds what passes between nodes that it leaves alone.)
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, shape_inference

from triad_training.network.onnx_graph import (
    embeddings,
    names_after,
    names_before,
    read_graph,
    replace_nodes,
    weighted_nodes,
    write_graph,
)

LARGEST, SMALLEST = 65504.0, 2.0**-24  # of float16, IEEE 754


def convert_to_half(data: bytes) -> bytes:
    """Inputs and outputs stay those of the contract, by casts."""
    model = read_graph(data)
    weights = [*weighted_nodes(model.graph), *embeddings(model.graph)]
    inside = names_after(model.graph, weights) & names_before(model.graph, weights)
    replace_nodes(model.graph, _convert_nodes(model, inside))
    return write_graph(model)


def _convert_nodes(model: ModelProto, inside: set[str]) -> list[NodeProto]:
    """All nodes, those named in `inside` on 16 bits, with casts where the width changes."""
    graph, nodes = model.graph, list[NodeProto]()
    constants = {t.name: t for t in graph.initializer if t.data_type == TensorProto.FLOAT}
    floats = constants.keys() | _computed_floats(model)
    halves, casts = set[str](), set[str]()  # what is computed on 16 bits, what was cast

    def other_width(name: str) -> str:
        to, suffix = (TensorProto.FLOAT, "float") if name in halves else (TensorProto.FLOAT16, "half")
        if (twin := f"{name}.{suffix}") not in casts:
            casts.add(twin)
            if name in constants:
                graph.initializer.append(_half(constants[name], twin))
            else:
                nodes.append(helper.make_node("Cast", [name], [twin], to=to))
        return twin

    outputs = {value.name for value in graph.output}
    for node in graph.node:
        reads = [i for i, name in enumerate(node.input) if name in floats]
        narrow = bool(reads) and node.name in inside
        for i in reads:
            if narrow != (node.input[i] in halves):
                node.input[i] = other_width(node.input[i])
        nodes.append(node)
        for i, name in enumerate(node.output):
            if narrow and name in floats:
                if name in outputs:
                    node.output[i] = f"{name}.half"
                    nodes.append(helper.make_node("Cast", [node.output[i]], [name], to=TensorProto.FLOAT))
                halves.add(node.output[i])
    return nodes


def _computed_floats(model: ModelProto) -> set[str]:
    graph = shape_inference.infer_shapes(model, strict_mode=True).graph
    return {
        value.name
        for value in (*graph.value_info, *graph.output)
        if value.type.tensor_type.elem_type == TensorProto.FLOAT
    }


def _half(tensor: TensorProto, name: str) -> TensorProto:
    """What is too large becomes the largest (a mask's minus infinity), what is too small the smallest."""
    values = numpy_helper.to_array(tensor)
    size = np.where(values == 0, 0, np.abs(values).clip(SMALLEST, LARGEST))
    return numpy_helper.from_array(np.copysign(size, values).astype(np.float16), name)
