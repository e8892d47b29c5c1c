"""Packs examples into one batch, runs the graph, unpacks its rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from triad_serving.contract.arrays import F32, I16, I64, U8, Feed
from triad_serving.contract.device import Device, GpuMode
from triad_serving.contract.errors import BundleError
from triad_serving.contract.outputs import MediumName, ModelOutputs, Wanted
from triad_serving.contract.tasks import Task
from triad_serving.inference.runtime import Graph
from triad_serving.media.audio.spec import SHORT_SAMPLES, AudioInput, AudioSpec, sound_tokens
from triad_serving.media.example import ModelInputs, PreprocessSpec
from triad_serving.media.image.spec import ImageInput, ImageSpec
from triad_serving.media.text.spec import PAD_ID, SHORT_TOKENS, TextInput, TextSpec

Item = TypeVar("Item", TextInput, ImageInput, AudioInput)

INPUT_TYPES = {
    "token_ids": "tensor(int64)",
    "pos_ids": "tensor(int64)",
    "pixels": "tensor(uint8)",
    "samples": "tensor(int16)",
    "sample_counts": "tensor(int64)",
    "text_row": "tensor(int64)",
    "image_row": "tensor(int64)",
    "audio_row": "tensor(int64)",
}
EVERYTHING = Wanted(attention=True, fusion=True, embeddings=True)
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
        self._graph = Graph(
            model, device=device, threads=threads, gpu_mode=gpu_mode, gpu_memory_mib=gpu_memory_mib
        )
        self.device = self._graph.device
        # CUDA kernels refuse zero rows: there an absent medium feeds one blank item that no row points at.
        self._min_items = 1 if self.device == "cuda" else 0
        self._layers = sum(bool(FUSION_LAYER.fullmatch(node.name)) for node in self._graph.outputs)
        self._verify()

    def run(self, batch: Sequence[ModelInputs], wanted: Wanted) -> list[ModelOutputs]:
        """The graph's answer for each example, in order; items shared by identity are encoded once."""
        names = output_names(self._spec, self._tasks, wanted, layers=self._layers)
        padding = Padding(min_items=self._min_items, rounded=self._graph.replaying)
        feed = pack_batch(batch, self._spec, padding)
        outputs = dict(zip(names, self._graph.run(names, feed), strict=True))
        return [self._unpack_row(b, inputs, outputs, wanted) for b, inputs in enumerate(batch)]

    def replay(self) -> None:
        """See Graph."""
        self._graph.replay()

    def _unpack_row(
        self, b: int, inputs: ModelInputs, outputs: dict[str, F32], wanted: Wanted
    ) -> ModelOutputs:
        lengths = {medium: self._attention_length(inputs, medium) for medium in inputs.media}

        def of_tokens(kind: str) -> dict[str, dict[MediumName, F32]]:
            return {
                task.name: {
                    m: outputs[f"{kind}.{task.name}.{m}"][b, :length] for m, length in lengths.items()
                }
                for task in self._tasks
            }

        embedded = (*inputs.media, "fused") if wanted.embeddings else ()
        layers = range(1, self._layers + 1) if wanted.fusion else ()
        return ModelOutputs(
            logits_K={task.name: outputs[f"logits.{task.name}"][b] for task in self._tasks},
            attention=of_tokens("attention") if wanted.attention else {},
            rollout=of_tokens("rollout") if wanted.fusion else {},
            fusion_HMM=[outputs[f"fusion.{layer}"][b] for layer in layers],
            embeddings_D={part: outputs[f"embedding.{part}"][b] for part in embedded},
        )

    def _attention_length(self, inputs: ModelInputs, medium: MediumName) -> int:
        if medium == "text" and inputs.text:
            return len(inputs.text.ids_L)
        if medium == "audio" and inputs.audio and self._spec.audio:
            return sound_tokens(len(inputs.audio.samples_T), self._spec.audio)
        assert self._spec.image is not None
        return self._spec.image.rows * self._spec.image.columns

    def _verify(self) -> None:
        expected = set(input_names(self._spec))
        found = {node.name: node for node in self._graph.inputs}
        if found.keys() != expected:
            raise BundleError(f"The graph's inputs are {sorted(found)}, expected {sorted(expected)}.")
        for name, node in found.items():
            if node.type != INPUT_TYPES[name]:
                raise BundleError(f"The graph's input {name} is {node.type}, expected {INPUT_TYPES[name]}.")
        if self._spec.image is not None:
            size_HW = [self._spec.image.height, self._spec.image.width]
            if list(found["pixels"].shape[1:]) != [*size_HW, 3]:
                raise BundleError(f"The graph reads pixels {found['pixels'].shape}, the spec says {size_HW}.")
        outputs = {node.name: node for node in self._graph.outputs}
        missing = set(output_names(self._spec, self._tasks, EVERYTHING, layers=self._layers)) - outputs.keys()
        if missing:
            raise BundleError(f"The graph lacks the outputs {sorted(missing)}.")
        for task in self._tasks:
            width = outputs[f"logits.{task.name}"].shape[-1]
            if isinstance(width, int) and width != task.outputs:
                raise BundleError(
                    f"The graph gives {width} values for {task.name}, which has {task.outputs} labels."
                )


def input_names(spec: PreprocessSpec) -> list[str]:
    """Names of the graph's inputs, in the order in which it is exported."""
    names: list[str] = []
    if spec.text is not None:
        names += ["token_ids", "pos_ids", "text_row"] if spec.text.pos else ["token_ids", "text_row"]
    if spec.image is not None:
        names += ["pixels", "image_row"]
    if spec.audio is not None:
        names += ["samples", "sample_counts", "audio_row"]
    return names


def output_names(spec: PreprocessSpec, tasks: Sequence[Task], wanted: Wanted, *, layers: int) -> list[str]:
    """Names of the graph's outputs, in the order in which it is exported; layers: of fusion."""
    names = [f"logits.{task.name}" for task in tasks]
    if wanted.attention:
        names += [f"attention.{task.name}.{medium}" for task in tasks for medium in spec.media]
    if wanted.fusion:
        names += [f"rollout.{task.name}.{medium}" for task in tasks for medium in spec.media]
        names += [f"fusion.{layer}" for layer in range(1, layers + 1)]
    if wanted.embeddings:
        names += [f"embedding.{part}" for part in (*spec.media, "fused")]
    return names


@dataclass(frozen=True, kw_only=True)
class Padding:
    """How far a batch is filled up.

    min_items: blank items that no row points at fill each medium up to this many. rounded: every size but an
    image's goes up to a power of two, so that there are few shapes; the rows more repeat the last one.
    """

    min_items: int = 0
    rounded: bool = False

    def count(self, found: int) -> int:
        return max(_power_of_two(found) if self.rounded and found else found, self.min_items)

    def length(self, longest: int, *, least: int, most: int) -> int:
        """least, most: where it is rounded. The batcher keeps apart what would be rounded differently."""
        return min(max(_power_of_two(longest), least), most) if self.rounded else longest


def pack_batch(batch: Sequence[ModelInputs], spec: PreprocessSpec, padding: Padding = Padding()) -> Feed:
    """The graph's inputs for a batch; the trainer packs with it, too."""
    feed: Feed = {}
    if spec.text is not None:
        texts, feed["text_row"] = _index_items([inputs.text for inputs in batch], padding)
        feed["token_ids"] = _pack_ids([text.ids_L for text in texts], spec.text, padding)
        if spec.text.pos:
            tags = [np.zeros_like(text.ids_L) if text.pos_L is None else text.pos_L for text in texts]
            feed["pos_ids"] = _pack_ids(tags, spec.text, padding)
    if spec.image is not None:
        images, feed["image_row"] = _index_items([inputs.image for inputs in batch], padding)
        feed["pixels"] = _pack_images(images, spec.image, padding)
    if spec.audio is not None:
        sounds, feed["audio_row"] = _index_items([inputs.audio for inputs in batch], padding)
        feed["samples"], feed["sample_counts"] = _pack_sounds(sounds, spec.audio, padding)
    return feed


def _power_of_two(size: int) -> int:
    """The next one from a size of 1 on."""
    return 1 << (size - 1).bit_length()


def _index_items(column: Sequence[Item | None], padding: Padding) -> tuple[list[Item], I64]:
    """Distinct items of one medium, and for each row which one it uses (the packed count where absent)."""
    items = {id(item): item for item in column if item is not None}
    position = {key: i for i, key in enumerate(items)}
    absent = padding.count(len(items))
    rows = [position.get(id(item), absent) for item in column]
    rows += rows[-1:] * (padding.count(len(rows)) - len(rows))
    return list(items.values()), np.array(rows, dtype=np.int64)


def _pack_ids(texts: Sequence[I64], spec: TextSpec, padding: Padding) -> I64:
    longest = max((len(ids_L) for ids_L in texts), default=1)
    length = padding.length(longest, least=SHORT_TOKENS, most=spec.max_tokens)
    ids_NL = np.full((padding.count(len(texts)), length), PAD_ID, dtype=np.int64)
    for n, ids_L in enumerate(texts):
        ids_NL[n, : len(ids_L)] = ids_L
    return ids_NL


def _pack_images(images: Sequence[ImageInput], spec: ImageSpec, padding: Padding) -> U8:
    pixels_NHW3 = np.zeros((padding.count(len(images)), spec.height, spec.width, 3), dtype=np.uint8)
    for n, image in enumerate(images):
        pixels_NHW3[n] = image.pixels_HW3
    return pixels_NHW3


def _pack_sounds(sounds: Sequence[AudioInput], spec: AudioSpec, padding: Padding) -> tuple[I16, I64]:
    """Samples padded with zeros to the longest, and each one's valid count; at least one window long."""
    items = padding.count(len(sounds))
    longest = max((len(sound.samples_T) for sound in sounds), default=spec.window)
    length = padding.length(longest, least=SHORT_SAMPLES, most=spec.max_samples)
    samples_NT = np.zeros((items, length), dtype=np.int16)
    counts_N = np.full(items, spec.window, dtype=np.int64)
    for n, sound in enumerate(sounds):
        counts_N[n] = len(sound.samples_T)
        samples_NT[n, : counts_N[n]] = sound.samples_T
    return samples_NT, counts_N
