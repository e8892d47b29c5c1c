"""A session: packs examples into one batch, runs the graph, unpacks its rows."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from triad_serving.contract.arrays import F32, Feed
from triad_serving.contract.device import Device, GpuMode
from triad_serving.contract.errors import BundleError
from triad_serving.contract.outputs import MediumName, ModelOutputs, Wanted
from triad_serving.contract.tasks import HEARD, Task
from triad_serving.inference.packing import EXACT, graph_inputs, output_names, pack_batch
from triad_serving.inference.runtime import Graph
from triad_serving.inference.split_graph import SplitGraph
from triad_serving.media.example import ModelInputs, PreprocessSpec
from triad_serving.media.padding import Padding
from triad_serving.media.registry import by_name, present

EVERYTHING = Wanted(attention=True, fusion=True, embeddings=True)
ONLY_ROW = np.zeros(1, dtype=np.int64)  # uses the first item of a medium; of no items that is the blank one
FUSION_LAYER = re.compile(r"fusion\.[1-9][0-9]*")


class Session:
    """One loaded graph. `run` may be called from several threads at once."""

    def __init__(
        self,
        model: Path | bytes,
        *,
        spec: PreprocessSpec,
        tasks: Sequence[Task],
        device: Device = "auto",
        threads: int = 1,
        gpu_mode: GpuMode = "kernels",
        gpu_memory_mib: int | None = None,
    ) -> None:
        """threads, gpu_mode, gpu_memory_mib: see Graph.

        Raises DeviceError where what was asked for cannot be had, BundleError where the graph cannot
        be loaded or its inputs and outputs are not those of the spec and tasks.
        """
        self._spec = spec
        self._tasks = tuple(tasks)
        self._transcripts = [task.name for task in tasks if task.type == "transcript"]
        self._graph = Graph(
            model, device=device, threads=threads, gpu_mode=gpu_mode, gpu_memory_mib=gpu_memory_mib
        )
        self.device = self._graph.device
        # CUDA kernels refuse zero rows: there an absent medium feeds one blank item that no row points at.
        self._min_items = 1 if self.device == "cuda" else 0
        self._layers = sum(bool(FUSION_LAYER.fullmatch(node.name)) for node in self._graph.outputs)
        self._verify()
        self._model = model
        self._split: SplitGraph | None = None

    def take_apart(self) -> None:
        """Loads the graph in parts, too, where that can be done."""
        if self.device == "cpu":
            blanks = {medium.name: medium.pack([], own, EXACT) for medium, own in present(self._spec)}
            self._split = SplitGraph.load(self._model, blanks)

    @property
    def encodes(self) -> bool:
        """Whether it is loaded in parts, so that `encode` can be asked."""
        return self._split is not None

    def encode(self, medium: MediumName, item: object) -> Feed:
        """What ModelInputs.encoded holds of one item of a medium."""
        assert self._split is not None
        return self._split.encode(medium, by_name(medium).pack([item], self._spec.of(medium), EXACT))

    def encoded(self, inputs: ModelInputs) -> ModelInputs:
        """The same example with all of its media encoded."""
        encoded = {medium.name: self.encode(medium.name, item) for medium, item in present(inputs)}
        return dataclasses.replace(inputs, encoded=encoded)

    def run(self, batch: Sequence[ModelInputs], wanted: Wanted) -> list[ModelOutputs]:
        """The graph's answer for each example, in order; items shared by identity are encoded once."""
        names = output_names(self._spec, self._tasks, wanted, layers=self._layers)
        if (
            self._split is not None
            and names
            and len(batch) == 1
            and (batch[0].encoded or len(batch[0].media) == 1)
        ):
            return [self._run_in_parts(self._split, names, batch[0], wanted)]
        padding = Padding(min_items=self._min_items, rounded=self._graph.replaying)
        feed = pack_batch(batch, self._spec, padding)
        found = self._graph.run(names, feed) if names else ()  # ONNX Runtime takes none for all of them
        outputs = dict(zip(names, found, strict=True))
        return [self._unpack_row(b, inputs, outputs, wanted) for b, inputs in enumerate(batch)]

    def _run_in_parts(
        self, split: SplitGraph, names: Sequence[str], inputs: ModelInputs, wanted: Wanted
    ) -> ModelOutputs:
        """Runs neither encoders of absent media nor those that have run already."""
        if not inputs.encoded:
            inputs = self.encoded(inputs)
        rows: Feed = {f"{medium}_row": ONLY_ROW for medium in self._spec.media}
        outputs = dict(zip(names, split.answer(names, rows, inputs.encoded), strict=True))
        return self._unpack_row(0, inputs, outputs, wanted)

    def replay(self) -> None:
        """See Graph."""
        self._graph.replay()

    def _unpack_row(
        self, b: int, inputs: ModelInputs, outputs: dict[str, F32], wanted: Wanted
    ) -> ModelOutputs:
        lengths = {
            medium.name: medium.token_count(item, self._spec.of(medium.name))
            for medium, item in present(inputs)
        }

        def of_tokens(kind: str) -> dict[str, dict[MediumName, F32]]:
            return {
                task.name: {
                    m: outputs[f"{kind}.{task.name}.{m}"][b, :length] for m, length in lengths.items()
                }
                for task in self._tasks
            }

        logits_K = {task.name: outputs[f"logits.{task.name}"][b] for task in self._tasks}
        for name in self._transcripts:
            logits_K[name] = logits_K[name][: lengths.get(HEARD, 0)]
        embedded = (*inputs.media, "fused") if wanted.embeddings else ()
        layers = range(1, self._layers + 1) if wanted.fusion else ()
        return ModelOutputs(
            logits_K=logits_K,
            attention=of_tokens("attention") if wanted.attention else {},
            rollout=of_tokens("rollout") if wanted.fusion else {},
            fusion_HMM=[outputs[f"fusion.{layer}"][b] for layer in layers],
            embeddings_D={part: outputs[f"embedding.{part}"][b] for part in embedded},
        )

    def _verify(self) -> None:
        expected = {each.name: each for each in graph_inputs(self._spec)}
        found = {node.name: node for node in self._graph.inputs}
        if found.keys() != expected.keys():
            raise BundleError(f"The graph's inputs are {sorted(found)}, expected {sorted(expected)}.")
        for name, node in found.items():
            if node.type != expected[name].type:
                raise BundleError(f"The graph's input {name} is {node.type}, expected {expected[name].type}.")
            fixed = list(expected[name].fixed)
            if fixed and list(node.shape[expected[name].axes :]) != fixed:
                raise BundleError(f"The graph reads {name} {node.shape}, the spec says {fixed}.")
        outputs = {node.name: node for node in self._graph.outputs}
        missing = set(output_names(self._spec, self._tasks, EVERYTHING, layers=self._layers)) - outputs.keys()
        if missing:
            raise BundleError(f"The graph lacks the outputs {sorted(missing)}.")
        for task in self._tasks:
            shape = outputs[f"logits.{task.name}"].shape
            if task.type == "transcript" and len(shape) != 3:
                raise BundleError(f"The graph gives {shape} for {task.name}, which needs three axes.")
            width = shape[-1]
            if isinstance(width, int) and width != task.outputs:
                raise BundleError(
                    f"The graph gives {width} values for {task.name}, which has {task.outputs} labels."
                )
