"""Fixtures of both packages: files built by hand, and a bundle whose answer can be computed by hand.

The tiny model reads text (t), image (i) and sound (a); an absent medium scores 0:
    t = sum of token ids / 10      i = 4 * mean pixel / 255      a = 4 * peak / 32768
    logits.kind = [t, i, a]   logits.tags = [t - 1, i - 1]   logits.size = [t + i + a]
The spoken one has a transcript, too, which each sound token of 40 ms says alone by its peak:
    logits.spoken = - 200 (peak - level)^2 for the levels 0 (blank), 0.25 (low), 0.5 (mid), 0.9 (high)
Attention: a word and a sound token weigh 1, an image cell 1 + its mean pixel / 255; all divided by their sum.
Embedding: [cos x, sin x], x = t, i or a; fused: x = t + i + a. Rollout: each token weighs 1, divided by their
number. Fusion: one layer, one head, each medium sees itself.
"""

from __future__ import annotations

import io
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import onnx
import pytest
from fastapi import FastAPI
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from triad_serving.contract.tasks import Task
from triad_serving.inference.bundle import BundleManifest, write_bundle
from triad_serving.media.audio.spec import AudioSpec
from triad_serving.media.example import PreprocessSpec
from triad_serving.media.image.spec import ImageSpec
from triad_serving.media.text.spec import TextSpec

# Those that take longest, longest first: begun last, one would run alone while the other process has ended.
LONGEST = (
    "triad_serving/test_cli.py",
    "clients/test_generated.py",
    "triad_training/media/pretrained/test_serving.py",
    "page/test_fields.py",
    "test_public_face.py",
    "triad_training/test_train.py",
    "page/test_reference.py",
    "page/test_access.py",
    "triad_training/compression/test_compress.py",
    "triad_training/layers/test_distributed.py",
    "page/test_explanations.py",
    "page/test_answer.py",
    "triad_training/learning/test_loop.py",
    "triad_training/evaluation/report/test_page.py",
    "triad_training/media/fields/test_served.py",
    "page/test_take.py",
    "page/test_problems.py",
    "triad_serving/faults/test_processes.py",
    "examples/test_tickets.py",
)
SPEC = PreprocessSpec(
    text=TextSpec(max_tokens=8),
    image=ImageSpec(height=4, width=4, rows=2, columns=2),
    audio=AudioSpec(sample_rate_hz=8000, max_s=2.0, window=200, hop=80, frames_per_token=4),
)
TASKS = (
    Task(name="kind", type="classification", labels=("word", "picture", "sound"), temperature=2.0),
    Task(name="tags", type="multilabel", labels=("spoken", "seen")),
    Task(name="size", type="regression"),
)
SPOKEN = Task(name="spoken", type="transcript", labels=("low", "mid", "high"))
LEVELS = {"": 0.0, "low": 0.25, "mid": 0.5, "high": 0.9}
TOKEN_S = 0.04
SHAPES = {"fusion.1": ["B", 1, 3, 3], "logits.spoken": ["B", "S", 4]}
WORDS = ("seven", "七", "three", "hello")  # ids 2, 3, 4, 5


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, the others as they were."""
    place = {Path(__file__).parent / name: n for n, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


def png_bytes(width: int = 4, height: int = 4, *, value: int = 255, file_format: str = "PNG") -> bytes:
    """An evenly grey image; any format that Pillow writes."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), (value, value, value)).save(file, file_format)
    return file.getvalue()


def wav_bytes(seconds: float = 0.5, *, sample_rate_hz: int = 8000, peak: float = 0.5) -> bytes:
    """A mono 16-bit square wave: every sample is +peak or -peak, 250 of each a second."""
    count = round(seconds * sample_rate_hz)
    sign_T = np.where(np.arange(count) * 250 // sample_rate_hz % 2 == 0, 1, -1)
    data = (sign_T * round(peak * 32768)).clip(-32768, 32767).astype("<i2").tobytes()
    header = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, sample_rate_hz, 2 * sample_rate_hz, 2, 16)
    chunks = b"WAVE" + header + struct.pack("<4sI", b"data", len(data)) + data
    return struct.pack("<4sI", b"RIFF", len(chunks)) + chunks


def spoken_wav(tokens: Sequence[str]) -> bytes:
    """A sound that says one of LEVELS for each token, at 8 kHz."""
    levels_T = np.repeat([LEVELS[each] for each in tokens], round(8000 * TOKEN_S))
    data = (levels_T * 32768).astype("<i2").tobytes()
    plain = wav_bytes(len(tokens) * TOKEN_S)
    return plain[: len(plain) - len(data)] + data


def write_spoken_bundle(root: Path, *, max_s: float = 2.0, **changes: object) -> Path:
    """models/spoken/1, which hears so many seconds at once. changes: as below."""
    assert SPEC.audio is not None
    spec = replace(SPEC, audio=replace(SPEC.audio, max_s=max_s))
    fields = {"name": "spoken", "preprocess": spec, "tasks": (*TASKS, SPOKEN), **changes}
    return write_tiny_bundle(root, **fields)


@pytest.fixture(scope="session")
def spoken_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by all tests: do not change it."""
    return write_spoken_bundle(tmp_path_factory.mktemp("models"))


def write_tiny_bundle(
    root: Path,
    *,
    name: str = "tiny",
    version: str = "1",
    model: bytes | None = None,
    files: Mapping[str, bytes] | None = None,
    **changes: object,
) -> Path:
    """model: another graph. files: more of them. changes: other fields of the manifest."""
    manifest = BundleManifest(
        name=name,
        version=version,
        created="2026-11-23T00:00:00Z",
        description="Answers that can be computed by hand.",
        parameters=0,
        preprocess=SPEC,
        tasks=TASKS,
        metrics={"test": {"text+image+audio": {"kind": {"accuracy": 0.5}}}},
    ).model_copy(update=changes)
    every = {
        "model.onnx": model or tiny_model(manifest.tasks).SerializeToString(),
        "vocabulary.txt": "".join(f"{word}\n" for word in WORDS).encode(),
        **(files or {}),
    }
    return write_bundle(root / name / version, manifest, every).path


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """models/tiny/1, shared by all tests: do not change it."""
    return write_tiny_bundle(tmp_path_factory.mktemp("models"))


@asynccontextmanager
async def client_of(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """An application in its lifespan, asked without a socket."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        yield client


def tiny_model(tasks: Sequence[Task] = TASKS) -> onnx.ModelProto:
    """tasks: TASKS, or those and SPOKEN."""
    graph = _Graph()
    text_B, text_BL = _text_part(graph)
    image_B, image_BC = _image_part(graph)
    audio_B, audio_BS = _audio_part(graph)
    scores = [graph.add("Unsqueeze", part, graph.ints(1)) for part in (text_B, image_B, audio_B)]
    kind_B3 = graph.add("Concat", *scores, axis=1)
    pair_B2 = graph.add("Concat", *scores[:2], axis=1)
    graph.add("Identity", kind_B3, output="logits.kind")
    graph.add("Sub", pair_B2, graph.floats(1.0), output="logits.tags")
    graph.add("ReduceSum", kind_B3, graph.ints(1), output="logits.size")
    weights = {"text": text_BL, "image": image_BC, "audio": audio_BS}
    tokens = {medium: graph.positive(part) for medium, part in weights.items()}
    sums = [graph.add("ReduceSum", part, graph.ints(1)) for part in weights.values()]
    total_B1 = graph.add("Sum", *sums)
    counts = [graph.add("ReduceSum", part, graph.ints(1)) for part in tokens.values()]
    count_B1 = graph.add("Sum", *counts)
    spoken = [SPOKEN] if SPOKEN.name in {task.name for task in tasks} else []
    if spoken:
        _speak(graph)
    for task in (*TASKS, *spoken):
        for medium, part in weights.items():
            graph.add("Div", part, total_B1, output=f"attention.{task.name}.{medium}")
            graph.add("Div", tokens[medium], count_B1, output=f"rollout.{task.name}.{medium}")
    present_B3 = graph.positive(graph.add("Concat", *sums, axis=1))
    graph.add("Mul", graph.add("Unsqueeze", present_B3, graph.ints(1, 3)), graph.eye(3), output="fusion.1")
    total_score_B1 = graph.add("ReduceSum", kind_B3, graph.ints(1))
    angles = zip((*weights, "fused"), (*sums, total_B1), (*scores, total_score_B1), strict=True)
    for medium, part_B1, angle_B1 in angles:
        sides = [
            graph.add("Mul", graph.positive(part_B1), graph.add(side, angle_B1)) for side in ("Cos", "Sin")
        ]
        graph.add("Concat", *sides, axis=1, output=f"embedding.{medium}")
    return graph.model()


class _Graph:
    """Collects the nodes of a graph; `add` names each result."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._outputs: list[str] = []

    def add(self, operator: str, *inputs: str, output: str | None = None, **attributes: object) -> str:
        name = output or f"n{len(self._nodes)}"
        if output is not None:
            self._outputs.append(output)
        self._nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def ints(self, *values: int) -> str:
        return self.constant(np.array(values, dtype=np.int64))

    def floats(self, value: float) -> str:
        return self.constant(np.array(value, dtype=np.float32))

    def scalar(self, value: int) -> str:
        return self.constant(np.array(value, dtype=np.int64))

    def eye(self, size: int) -> str:
        return self.constant(np.eye(size, dtype=np.float32))

    def positive(self, values: str) -> str:
        """1 where a value is above 0, else 0."""
        return self.add("Cast", self.add("Greater", values, self.floats(0.0)), to=TensorProto.FLOAT)

    def zeros(self, *shape: int) -> str:
        return self.constant(np.zeros(shape, dtype=np.float32))

    def constant(self, value: np.ndarray) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(value, name))
        return name

    def model(self) -> onnx.ModelProto:
        inputs = [
            _value("token_ids", TensorProto.INT64, ["Nt", "L"]),
            _value("pixels", TensorProto.UINT8, ["Ni", 4, 4, 3]),
            _value("samples", TensorProto.INT16, ["Na", "T"]),
            _value("sample_counts", TensorProto.INT64, ["Na"]),
            *(_value(f"{medium}_row", TensorProto.INT64, ["B"]) for medium in ("text", "image", "audio")),
        ]
        outputs = [_value(name, TensorProto.FLOAT, SHAPES.get(name, ["B", None])) for name in self._outputs]
        graph = helper.make_graph(self._nodes, "tiny", inputs, outputs, self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.checker.check_model(model)
        return model


def _value(name: str, kind: int, shape: Sequence[str | int | None]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _text_part(graph: _Graph) -> tuple[str, str]:
    """t [B], and the weight of each token [B, L]."""
    ids_NL = graph.add("Cast", "token_ids", to=TensorProto.FLOAT)
    sum_N = graph.add("ReduceSum", ids_NL, graph.ints(1), keepdims=0)
    score_N = graph.add("Div", sum_N, graph.floats(10.0))
    valid_NL = graph.positive(ids_NL)
    return _gather(graph, "text", score_N), _gather(graph, "text", valid_NL)


def _image_part(graph: _Graph) -> tuple[str, str]:
    """i [B], and the weight of each cell [B, 4]."""
    pixels = graph.add("Cast", "pixels", to=TensorProto.FLOAT)
    scaled = graph.add("Div", pixels, graph.floats(255.0))
    cells = graph.add("Reshape", scaled, graph.ints(0, 2, 2, 2, 2, 3))
    means_N22 = graph.add("ReduceMean", cells, graph.ints(2, 4, 5), keepdims=0)
    means_N4 = graph.add("Reshape", means_N22, graph.ints(0, 4))
    score_N = graph.add(
        "Mul", graph.add("ReduceMean", means_N4, graph.ints(1), keepdims=0), graph.floats(4.0)
    )
    weight_N4 = graph.add("Add", means_N4, graph.floats(1.0))
    return _gather(graph, "image", score_N), _gather(graph, "image", weight_N4)


def _audio_part(graph: _Graph) -> tuple[str, str]:
    """a [B], and the weight of each sound token [B, S]."""
    assert SPEC.audio is not None
    size_NT = graph.add("Abs", graph.add("Cast", "samples", to=TensorProto.FLOAT))
    peak_N = graph.add("ReduceMax", size_NT, graph.ints(1), keepdims=0)
    score_N = graph.add("Div", peak_N, graph.floats(8192.0))
    length = graph.add("Gather", graph.add("Shape", "samples"), graph.scalar(1))
    token_S = graph.add("Range", graph.scalar(0), _tokens(graph, length), graph.scalar(1))
    tokens_N1 = graph.add("Unsqueeze", _tokens(graph, "sample_counts"), graph.ints(1))
    valid_NS = graph.add("Cast", graph.add("Less", token_S, tokens_N1), to=TensorProto.FLOAT)
    return _gather(graph, "audio", score_N), _gather(graph, "audio", valid_NS)


def _speak(graph: _Graph) -> None:
    """logits.spoken [B, S, 4]."""
    size_NT = graph.add("Abs", graph.add("Cast", "samples", to=TensorProto.FLOAT))
    shape_N = graph.add("Gather", graph.add("Shape", "samples"), graph.ints(0))
    length_1 = graph.add("Gather", graph.add("Shape", "samples"), graph.ints(1))
    behind = graph.add("Expand", graph.zeros(1), graph.add("Concat", shape_N, graph.ints(320), axis=0))
    tokens_1 = _tokens(graph, length_1)
    end_1 = graph.add("Mul", tokens_1, graph.scalar(320))
    padded_NT = graph.add("Concat", size_NT, behind, axis=1)
    whole_NT = graph.add("Slice", padded_NT, graph.ints(0), end_1, graph.ints(1))
    cut = graph.add("Reshape", whole_NT, graph.add("Concat", shape_N, tokens_1, graph.ints(320), axis=0))
    peak_NS1 = graph.add("Div", graph.add("ReduceMax", cut, graph.ints(2), keepdims=1), graph.floats(32768.0))
    off_NSK = graph.add("Sub", peak_NS1, graph.constant(np.array(list(LEVELS.values()), dtype=np.float32)))
    logits_NSK = graph.add("Mul", graph.add("Mul", off_NSK, off_NSK), graph.floats(-200.0))
    graph.add("Identity", _gather(graph, "audio", logits_NSK), output="logits.spoken")


def _tokens(graph: _Graph, samples: str) -> str:
    """contract.sound_tokens: frames = (samples - 200) // 80 + 1, four frames to a token, rounded up."""
    frames = graph.add("Div", graph.add("Sub", samples, graph.scalar(200 - 80)), graph.scalar(80))
    return graph.add("Div", graph.add("Add", frames, graph.scalar(3)), graph.scalar(4))


def _gather(graph: _Graph, medium: str, items: str) -> str:
    """Rows of a medium's items [N, ...], one all-zero blank item behind them."""
    shape = graph.add("Shape", items)
    rest = graph.add("Slice", shape, graph.ints(1), graph.ints(9))
    blank_shape = graph.add("Concat", graph.ints(1), rest, axis=0)
    blank = graph.add("Expand", graph.zeros(1), blank_shape)
    return graph.add("Gather", graph.add("Concat", items, blank, axis=0), f"{medium}_row", axis=0)
