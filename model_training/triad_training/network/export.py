"""The trained network as one ONNX graph."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

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
from triad_training.media.registry import present
from triad_training.network.model import TriadModel
from triad_training.network.onnx_graph import without_notes

FOLDED = 2**24  # most numbers of a constant that is computed beforehand; the exporter itself stops at 8192
SAMPLE_ROWS = 7


def export_graph(model: TriadModel, spec: PreprocessSpec, tasks: Sequence[Task]) -> bytes:
    """The graph of contract/outputs.py; every packed axis is dynamic. Leaves the model in evaluation mode."""
    graph = _ExportedSignature(model.eval().cpu(), spec, tasks).eval()
    samples = _sample_inputs(spec)
    axes = [range(each.axes) for each in graph_inputs(spec)]
    with warnings.catch_warnings():  # torch 2.13's exporter warns of its own use of its own LeafSpec
        warnings.filterwarnings("ignore", "`isinstance", FutureWarning)
        program = torch.onnx.export(
            graph,
            tuple(samples[name] for name in graph.inputs),
            dynamo=True,
            input_names=graph.inputs,
            output_names=graph.outputs,
            dynamic_shapes=(tuple(dict.fromkeys(each, torch.export.Dim.DYNAMIC) for each in axes),),
            optimize=False,
            verbose=False,
        )
    assert program is not None
    _simplify(program.model)
    return bytes(without_notes(program.model_proto).SerializeToString())


def _simplify(graph: Model) -> None:
    """Folds constants before it looks for patterns: of five tasks 11 s, the other way 51 s."""
    optimizer.inline(graph)
    _fold(graph)
    rewriter.rewrite(graph)
    _fold(graph)
    for tidy in (
        RemoveUnusedNodesPass(),
        LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        DeduplicateInitializersPass(),
        CommonSubexpressionEliminationPass(),
        OutputFixPass(),
        NameFixPass(),
    ):
        tidy(graph)


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
    """Item counts that differ, none 0 or 1, no tensor twice: the exporter would take equal ones for one."""
    inputs: dict[str, Tensor] = {}
    for items, (medium, own) in enumerate(present(spec), start=2):
        inputs |= medium.sample_inputs(own, items)
        inputs[f"{medium.serving.name}_row"] = torch.arange(SAMPLE_ROWS) % (items + 1)
    return inputs
