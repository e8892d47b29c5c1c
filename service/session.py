"""The only importer of onnxruntime: packs examples into one batch, runs the graph, unpacks its rows."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from service.contract import (
    F32,
    I16,
    I64,
    PAD_ID,
    U8,
    AudioInput,
    ImageInput,
    Medium,
    ModelInputs,
    ModelOutputs,
    PreprocessSpec,
    Task,
    TextInput,
    Wanted,
    sound_tokens,
)
from service.errors import BundleError, DeviceError

# Official builds send usage events to Microsoft and keep an identifier and a database under ~/.cache, from
# their import on, unless this is set before (Privacy.md in the package; since 1.31 on Linux, too).
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

Device = Literal["auto", "cpu", "cuda"]
Feed = dict[str, npt.NDArray[np.generic]]
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
        gpu_memory_mib: int | None = None,
    ) -> None:
        """threads: ONNX Runtime's threads inside one run. gpu_memory_mib: the most its arena takes of a GPU.

        Raises DeviceError where CUDA was asked for and cannot be had, BundleError where the graph cannot
        be loaded or its inputs and outputs are not those of the spec and tasks.
        """
        self._spec = spec
        self._tasks = tuple(tasks)
        self._session = _open_session(model, device, threads=threads, gpu_memory_mib=gpu_memory_mib)
        self.device: Literal["cpu", "cuda"] = (
            "cuda" if "CUDAExecutionProvider" in self._session.get_providers() else "cpu"
        )
        # CUDA kernels refuse zero rows: there an absent medium feeds one blank item that no row points at.
        self._min_items = 1 if self.device == "cuda" else 0
        self._layers = sum(bool(FUSION_LAYER.fullmatch(node.name)) for node in self._session.get_outputs())
        self._verify()

    def run(self, batch: Sequence[ModelInputs], wanted: Wanted) -> list[ModelOutputs]:
        """The graph's answer for each example, in order; items shared by identity are encoded once."""
        names = output_names(self._spec, self._tasks, wanted, layers=self._layers)
        arrays = self._session.run(names, pack_batch(batch, self._spec, min_items=self._min_items))
        outputs: dict[str, F32] = dict(zip(names, arrays, strict=True))
        return [self._unpack_row(b, inputs, outputs, wanted) for b, inputs in enumerate(batch)]

    def _unpack_row(
        self, b: int, inputs: ModelInputs, outputs: dict[str, F32], wanted: Wanted
    ) -> ModelOutputs:
        lengths = {medium: self._attention_length(inputs, medium) for medium in inputs.media}

        def of_tokens(kind: str) -> dict[str, dict[Medium, F32]]:
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

    def _attention_length(self, inputs: ModelInputs, medium: Medium) -> int:
        if medium == "text" and inputs.text:
            return len(inputs.text.ids_L)
        if medium == "audio" and inputs.audio and self._spec.audio:
            return sound_tokens(len(inputs.audio.samples_T), self._spec.audio)
        assert self._spec.image is not None
        return self._spec.image.rows * self._spec.image.columns

    def _verify(self) -> None:
        expected = set(input_names(self._spec))
        found = {node.name: node for node in self._session.get_inputs()}
        if found.keys() != expected:
            raise BundleError(f"The graph's inputs are {sorted(found)}, expected {sorted(expected)}.")
        for name, node in found.items():
            if node.type != INPUT_TYPES[name]:
                raise BundleError(f"The graph's input {name} is {node.type}, expected {INPUT_TYPES[name]}.")
        if self._spec.image is not None:
            size_HW = [self._spec.image.height, self._spec.image.width]
            if list(found["pixels"].shape[1:]) != [*size_HW, 3]:
                raise BundleError(f"The graph reads pixels {found['pixels'].shape}, the spec says {size_HW}.")
        outputs = {node.name: node for node in self._session.get_outputs()}
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


def pack_batch(batch: Sequence[ModelInputs], spec: PreprocessSpec, *, min_items: int = 0) -> Feed:
    """The graph's inputs for a batch; the trainer packs with it, too.

    min_items: blank items that no row points at fill each medium up to this many.
    """
    feed: Feed = {}
    if spec.text is not None:
        texts, feed["text_row"] = _index_items([inputs.text for inputs in batch], min_items)
        feed["token_ids"] = _pack_ids([text.ids_L for text in texts], min_items)
        if spec.text.pos:
            tags = [np.zeros_like(text.ids_L) if text.pos_L is None else text.pos_L for text in texts]
            feed["pos_ids"] = _pack_ids(tags, min_items)
    if spec.image is not None:
        images, feed["image_row"] = _index_items([inputs.image for inputs in batch], min_items)
        feed["pixels"] = _pack_images(images, min_items, (spec.image.height, spec.image.width, 3))
    if spec.audio is not None:
        sounds, feed["audio_row"] = _index_items([inputs.audio for inputs in batch], min_items)
        feed["samples"], feed["sample_counts"] = _pack_sounds(sounds, min_items, spec.audio.window)
    return feed


def cuda_options(gpu_memory_mib: int | None) -> dict[str, str]:
    """Options of ONNX Runtime's CUDA provider for a service, whose batches change shape from run to run."""
    options = {
        "cudnn_conv_algo_search": "HEURISTIC",  # by default it times every algorithm for each new shape
        "arena_extend_strategy": "kSameAsRequested",  # by default it doubles what it holds
    }
    if gpu_memory_mib is not None:
        options["gpu_mem_limit"] = str(gpu_memory_mib * 2**20)
    return options


def _open_session(
    model: Path | bytes, device: Device, *, threads: int, gpu_memory_mib: int | None
) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    providers: list[str | tuple[str, dict[str, str]]] = ["CPUExecutionProvider"]
    if device != "cpu" and _cuda_within_reach():
        onnxruntime.preload_dlls()
        providers.insert(0, ("CUDAExecutionProvider", cuda_options(gpu_memory_mib)))
    source = model if isinstance(model, bytes) else str(model)
    try:
        session = onnxruntime.InferenceSession(source, options, providers=providers)
    except Exception as error:  # onnxruntime's exceptions share no other base
        raise BundleError(f"The graph cannot be loaded: {error}") from error
    if device == "cuda" and "CUDAExecutionProvider" not in session.get_providers():
        raise DeviceError(
            "CUDA was asked for but cannot be had: it needs an NVIDIA driver and "
            "`pip install triad-serving[gpu]`. --device auto or cpu goes on without."
        )
    return session


def _cuda_within_reach() -> bool:
    """Whether this ONNX Runtime has CUDA and the driver's library loads (a GPU-less machine has none)."""
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return False
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def _index_items(column: Sequence[Item | None], min_items: int) -> tuple[list[Item], I64]:
    """Distinct items of one medium, and for each row which one it uses (the packed count where absent)."""
    items = {id(item): item for item in column if item is not None}
    position = {key: i for i, key in enumerate(items)}
    absent = max(len(items), min_items)
    rows_B = np.array([position.get(id(item), absent) for item in column], dtype=np.int64)
    return list(items.values()), rows_B


def _pack_ids(texts: Sequence[I64], min_items: int) -> I64:
    length = max((len(ids_L) for ids_L in texts), default=1)
    ids_NL = np.full((max(len(texts), min_items), length), PAD_ID, dtype=np.int64)
    for n, ids_L in enumerate(texts):
        ids_NL[n, : len(ids_L)] = ids_L
    return ids_NL


def _pack_images(images: Sequence[ImageInput], min_items: int, shape_HW3: tuple[int, int, int]) -> U8:
    pixels_NHW3 = np.zeros((max(len(images), min_items), *shape_HW3), dtype=np.uint8)
    for n, image in enumerate(images):
        pixels_NHW3[n] = image.pixels_HW3
    return pixels_NHW3


def _pack_sounds(sounds: Sequence[AudioInput], min_items: int, window: int) -> tuple[I16, I64]:
    """Samples padded with zeros to the longest, and each one's valid count; at least one window long."""
    items = max(len(sounds), min_items)
    length = max((len(sound.samples_T) for sound in sounds), default=window)
    samples_NT = np.zeros((items, length), dtype=np.int16)
    counts_N = np.full(items, window, dtype=np.int64)
    for n, sound in enumerate(sounds):
        counts_N[n] = len(sound.samples_T)
        samples_NT[n, : counts_N[n]] = sound.samples_T
    return samples_NT, counts_N
