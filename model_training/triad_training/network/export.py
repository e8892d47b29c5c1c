"""The trained network as one ONNX graph."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Mapping, Sequence

import onnx
import onnx_ir
import torch
from onnx_ir import Model
from onnx_ir.passes.common import (
    CommonSubexpressionEliminationPass,
    DeduplicateInitializersPass,
    LiftConstantsToInitializersPass,
    NameFixPass,
    OutputFixPass,
    RemoveUnusedNodesPass,
)
from onnxscript import optimizer, rewriter
from torch import Tensor, nn

from triad_serving.contract.tasks import Task
from triad_serving.inference.packing import graph_inputs, input_names, output_names
from triad_serving.inference.session import EVERYTHING
from triad_serving.media.example import PreprocessSpec
from triad_training.media.pretrained.backbone import backbone_types
from triad_training.media.pretrained.source import TRACEABLE
from triad_training.media.registry import present
from triad_training.network.model import TriadModel
from triad_training.network.onnx_graph import without_notes

FOLDED = 2**24  # most numbers of a constant that is computed beforehand; the exporter itself stops at 8192
SAMPLE_ROWS = 7
OPSET = 20


def export_graph(model: TriadModel, spec: PreprocessSpec, tasks: Sequence[Task]) -> bytes:
    """The graph of contract/outputs.py; every packed axis is dynamic. Leaves the model in evaluation mode."""
    signature = _ExportedSignature(model.eval().cpu(), spec, tasks).eval()
    samples = _sample_inputs(spec)
    axes = {each.name: range(each.axes) for each in graph_inputs(spec)}
    exporter = trace if backbone_types(model) <= TRACEABLE else _export
    graph = exporter(signature, {name: samples[name] for name in signature.inputs}, signature.outputs, axes)
    _tidy(graph)
    return bytes(without_notes(onnx_ir.to_proto(graph)).SerializeToString())


def trace(
    module: nn.Module,
    samples: Mapping[str, Tensor],
    outputs: Sequence[str],
    axes: Mapping[str, Iterable[int]],
) -> Model:
    """By PyTorch's older exporter: five tasks on three media take it 4 s, where the other takes 75 s.

    axes: the dynamic ones of each input. What else depends on sizes of the samples becomes a constant:
    `check_parity` compares at others.
    """
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is the older one, and of each size that becomes a constant
        torch.onnx.export(
            module,
            tuple(samples.values()),
            file,  # type: ignore[arg-type]  # its annotation forgets files
            dynamo=False,
            input_names=list(samples),
            output_names=list(outputs),
            dynamic_axes={name: {axis: f"{name}_{axis}" for axis in own} for name, own in axes.items()},
            opset_version=OPSET,
        )
    graph = onnx_ir.from_proto(onnx.load_from_string(file.getvalue()))
    for node in graph.graph:
        if node.op_type == "Reshape":  # ONNX Runtime rewrites the others to a -1, which fails for no items
            node.attributes["allowzero"] = onnx_ir.AttrInt64("allowzero", 1)
    _fold(graph)
    return graph


def _export(
    module: nn.Module,
    samples: Mapping[str, Tensor],
    outputs: Sequence[str],
    axes: Mapping[str, Iterable[int]],
) -> Model:
    """By PyTorch's newer exporter, which reasons about symbolic sizes."""
    dynamic = tuple(dict.fromkeys(own, torch.export.Dim.DYNAMIC) for own in axes.values())
    with warnings.catch_warnings():  # torch 2.13's exporter warns of its own use of its own LeafSpec
        warnings.filterwarnings("ignore", "`isinstance", FutureWarning)
        program = torch.onnx.export(
            module,
            tuple(samples.values()),
            dynamo=True,
            input_names=list(samples),
            output_names=list(outputs),
            dynamic_shapes=(dynamic,),
            optimize=False,
            verbose=False,
        )
    assert program is not None
    _simplify(program.model)
    return program.model


def _tidy(graph: Model) -> None:
    for tidy in (
        LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        DeduplicateInitializersPass(),
        CommonSubexpressionEliminationPass(),
        RemoveUnusedNodesPass(),
        OutputFixPass(),
        NameFixPass(),
    ):
        tidy(graph)


def _simplify(graph: Model) -> None:
    """Folds constants before it looks for patterns: of five tasks 11 s, the other way 51 s."""
    optimizer.inline(graph)
    _fold(graph)
    rewriter.rewrite(graph)
    _fold(graph)


def _fold(graph: Model) -> None:
    """Sequences of splits are taken apart only where shapes are known."""
    optimizer.fold_constants(
        graph, onnx_shape_inference=True, input_size_limit=FOLDED, output_size_limit=FOLDED
    )
    for tidy in (
        DeduplicateInitializersPass(),
        CommonSubexpressionEliminationPass(),
        RemoveUnusedNodesPass(),
    ):
        tidy(graph)


class _ExportedSignature(nn.Module):
    """The exported signature: inputs and outputs as positional arrays in the contract's order."""

    def __init__(self, model: TriadModel, spec: PreprocessSpec, tasks: Sequence[Task]) -> None:
        super().__init__()
        self.model = model
        self.inputs = input_names(spec)
        self.outputs = output_names(spec, tasks, EVERYTHING, layers=len(model.fusion.layers))

    def forward(self, *arrays: Tensor) -> tuple[Tensor, ...]:
        outputs = self.model(dict(zip(self.inputs, arrays, strict=True)))
        return tuple(outputs[name] for name in self.outputs)


def _sample_inputs(spec: PreprocessSpec) -> dict[str, Tensor]:
    """Item counts that differ, none 0 or 1, no tensor twice: equal ones are one to an exporter."""
    inputs: dict[str, Tensor] = {}
    for items, (medium, own) in enumerate(present(spec), start=2):
        inputs |= medium.sample_inputs(own, items)
        inputs[f"{medium.serving.name}_row"] = torch.arange(SAMPLE_ROWS) % (items + 1)
    return inputs
