"""A graph with 8-bit weights, for CPUs, by ONNX Runtime's own quantiser.

Beside triad_serving.inference.runtime the only importer of onnxruntime: the quantiser makes graphs and needs
onnx, so it has no place in the service. It is imported inside the functions, after that module has switched
off the telemetry that starts with the first import.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import GraphProto, NodeProto, helper, numpy_helper

from triad_serving.contract.arrays import Feed
from triad_serving.inference.packing import pack_batch
from triad_serving.media.example import ModelInputs, PreprocessSpec
from triad_training.network.onnx_graph import (
    embeddings,
    read_graph,
    replace_nodes,
    weighted_nodes,
    write_graph,
)

THIN = 8  # channels; without this rule an image takes 1.37 times less than in floats, with it 1.50


def quantize_static(data: bytes, spec: PreprocessSpec, calibration: Iterable[Sequence[ModelInputs]]) -> bytes:
    """Weights and activations in 8 bits, the latter's ranges as the batches of `calibration` have them."""
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quant_utils
    from onnxruntime.quantization import quantize_static as quantize

    class Batches(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
        def __init__(self) -> None:
            self.feeds: Iterator[Feed] = (pack_batch(batch, spec) for batch in calibration)

        def get_next(self) -> Feed | None:
            return next(self.feeds, None)

    model = read_graph(data)
    quant_utils.add_pre_process_metadata(model)  # it is prepared; the quantiser asks on stderr otherwise
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    chosen = [node for node in weighted_nodes(model.graph) if not _is_thin(node, shapes)]
    chosen += _rectifiers(model.graph, chosen)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "int8.onnx"
        quantize(
            model,
            path,
            Batches(),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=[node.name for node in chosen],
            op_types_to_quantize=sorted({node.op_type for node in chosen}),
            # What follows a matrix product adds, normalises or multiplies in floats: no way back to 8 bits.
            extra_options={"OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"]},
        )
        return _finished(path)


def quantize_dynamic(data: bytes) -> bytes:
    """Weights of matrix products over tokens and embeddings in 8 bits, activations scaled as they come.

    Convolutions stay in floats: ONNX Runtime has fast 8-bit ones only for ranges that are known beforehand.
    """
    from onnxruntime.quantization import QuantType, quant_utils
    from onnxruntime.quantization import quantize_dynamic as quantize

    model = read_graph(data)
    quant_utils.add_pre_process_metadata(model)
    chosen = [node for node in weighted_nodes(model.graph) if node.op_type == "MatMul"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "int8.onnx"
        quantize(
            model,
            path,
            per_channel=True,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=[node.name for node in chosen],
            op_types_to_quantize=["MatMul"],
        )
        return _finished(path)


def _finished(path: Path) -> bytes:
    model = onnx.load(path)
    _quantize_embeddings(model.graph)
    return write_graph(model)


def _quantize_embeddings(graph: GraphProto) -> None:
    """Tables in 8 bits, each column by its own scale; what is gathered from them is floats again.

    The quantiser itself would also round what is gathered to 8 bits, for nobody's gain.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    gathers = {node.name for node in embeddings(graph)}
    nodes = list[NodeProto]()
    for node in graph.node:
        nodes.append(node)
        if node.name not in gathers:
            continue
        table, tokens = node.input[0], node.output[0]
        table_VD = numpy_helper.to_array(constants[table])
        scale_D = np.maximum(np.abs(table_VD).max(axis=0) / 127, np.finfo(np.float32).tiny)
        quantized_VD = np.rint(table_VD / scale_D).astype(np.int8)
        node.input[0], node.output[0] = f"{table}.int8", f"{tokens}.int8"
        scales = f"{table}.scale"
        graph.initializer.append(numpy_helper.from_array(quantized_VD, node.input[0]))
        graph.initializer.append(numpy_helper.from_array(scale_D, scales))
        nodes.append(helper.make_node("DequantizeLinear", [node.output[0], scales], [tokens], axis=-1))
    replace_nodes(graph, nodes)


def _is_thin(node: NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """A convolution of so few channels that 8 bits take longer than floats."""
    return node.op_type == "Conv" and shapes[node.input[1]][1] < THIN


def _rectifiers(graph: GraphProto, nodes: Sequence[NodeProto]) -> list[NodeProto]:
    """Rectifiers right behind these nodes: then what they cut off is not given any of the 256 steps."""
    outputs = {name for node in nodes for name in node.output}
    return [node for node in graph.node if node.op_type == "Relu" and node.input[0] in outputs]
