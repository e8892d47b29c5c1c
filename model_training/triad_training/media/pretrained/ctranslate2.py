"""Whisper's encoder out of a folder that CTranslate2 reads, as a model of transformers.

Source of the layout: specs/model_spec.py (ModelSpec.save) and specs/whisper_spec.py of CTranslate2 4.8 (MIT).
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from triad_serving.contract.errors import ConfigError

WEIGHTS = "model.bin"
BINARY_VERSION, SPEC = 6, "WhisperSpec"
TYPES = (torch.float32, torch.int8, torch.int16, torch.int32, torch.float16, torch.bfloat16)
MODULES = {
    "self_attention/layer_norm": "self_attn_layer_norm",
    "self_attention/linear_1": "self_attn.out_proj",
    "ffn/layer_norm": "final_layer_norm",
    "ffn/linear_0": "fc1",
    "ffn/linear_1": "fc2",
}
QUERIES_KEYS_VALUES = "self_attention/linear_0"
PARTS = {"gamma": "weight", "beta": "bias"}


def is_ctranslate2(folder: Path) -> bool:
    return (folder / WEIGHTS).is_file() and not any(folder.glob("*.safetensors"))


def load_whisper(folder: Path, transformers: Any) -> Any:
    """In single precision, of whatever precision it is stored in. Raises ConfigError."""
    arrays = _encoder_arrays(folder)
    try:
        model = _encoder(_config(arrays, transformers))
        model.load_state_dict(dict(_renamed(arrays)))
    except (KeyError, RuntimeError) as error:  # a strange, missing or misshapen array
        reason = " ".join(str(error).split())
        raise ConfigError(f"model.audio_encoder.source: {folder} is no Whisper encoder: {reason}.") from error
    return model.eval()


def whisper_shape(folder: Path, transformers: Any) -> Any:
    """Likewise, without weights: on torch's meta device."""
    config = _config(_encoder_arrays(folder), transformers)
    with torch.device("meta"):
        return _encoder(config).eval()


def whisper_processor(folder: Path, transformers: Any) -> Any:
    """Whisper's spectrum is the same for every model, but for the number of bands."""
    bands = _encoder_arrays(folder)["conv1/weight"].shape[1]
    return transformers.WhisperFeatureExtractor(feature_size=bands)


def _encoder(config: Any) -> Any:
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    return WhisperEncoder(config)


def _config(arrays: Mapping[str, Tensor], transformers: Any) -> Any:
    positions, width = arrays["position_encodings/encodings"].shape
    layers = len({match[0] for name in arrays if (match := re.match(r"layer_\d+", name))})
    heads, ffn = int(arrays["num_heads"]), arrays["layer_0/ffn/linear_0/weight"].shape[0]
    sizes = {"layers": layers, "attention_heads": heads, "ffn_dim": ffn}
    return transformers.WhisperConfig(
        d_model=width,
        num_mel_bins=arrays["conv1/weight"].shape[1],
        max_source_positions=positions,
        **{f"{half}_{what}": number for half in ("encoder", "decoder") for what, number in sizes.items()},
    )


def _renamed(arrays: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """By transformers' names; the one product for queries, keys and values in three."""
    for name, stored in arrays.items():
        if name == "num_heads" or name.endswith("_scale"):
            continue
        array = _exact(stored, arrays.get(f"{name}_scale"))
        module, _, part = name.rpartition("/")
        part = PARTS.get(part, part)
        layer = re.match(r"layer_(\d+)/(.+)", module)
        if layer is None:
            yield (
                f"{'embed_positions.weight' if module == 'position_encodings' else f'{module}.{part}'}",
                array,
            )
        elif layer[2] == QUERIES_KEYS_VALUES:
            for which, third in zip("qkv", array.chunk(3), strict=True):
                if (which, part) != ("k", "bias"):  # zeros: Whisper has none
                    yield f"layers.{layer[1]}.self_attn.{which}_proj.{part}", third.contiguous()
        else:
            yield f"layers.{layer[1]}.{MODULES[layer[2]]}.{part}", array


def _exact(stored: Tensor, scale: Tensor | None) -> Tensor:
    """8-bit weights have a scale for each row, by which they were multiplied."""
    if scale is None:
        return stored.float()
    return stored.float() / scale.float().reshape(-1, *[1] * (stored.ndim - 1))


def _encoder_arrays(folder: Path) -> dict[str, Tensor]:
    """By name behind "encoder/", as they are stored, mapped from the file. Raises ConfigError."""
    path = folder / WEIGHTS
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            arrays = _Reader(data).arrays("encoder/")
    except (OSError, ValueError, RuntimeError, IndexError, struct.error) as error:
        raise ConfigError(f"model.audio_encoder.source: {path} cannot be read: {error}.") from error
    if not {"conv1/weight", "position_encodings/encodings", "num_heads"} <= arrays.keys():
        raise ConfigError(f"model.audio_encoder.source: {path} holds no Whisper encoder.")
    return arrays


class _Reader:
    """Little-endian numbers, strings behind their length, arrays behind their shape and type."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.place = 0

    def arrays(self, prefix: str) -> dict[str, Tensor]:
        """Raises ValueError and what reading past the end raises."""
        version, spec = self._number("I"), self._string()
        if (version, spec) != (BINARY_VERSION, SPEC):
            raise ValueError(
                f"it is of {spec or 'nothing'}, version {version}; read is {SPEC}, {BINARY_VERSION}"
            )
        self._number("I")  # revision of the spec: of the decoder's options
        found: dict[str, Tensor] = {}
        for _ in range(self._number("I")):
            name = self._string()
            shape = [self._number("I") for _ in range(self._number("B"))]
            kind, size = TYPES[self._number("B")], self._number("I")
            if name.startswith(prefix):
                array = torch.frombuffer(bytearray(self._bytes(size)), dtype=kind).reshape(shape)
                found[name.removeprefix(prefix)] = array
            else:
                self.place += size
        for _ in range(self._number("I")):
            alias, name = self._string().removeprefix(prefix), self._string().removeprefix(prefix)
            if name in found:
                found[alias] = found[name]
        return found

    def _number(self, kind: str) -> int:
        (number,) = struct.unpack_from(f"<{kind}", self.data, self.place)
        self.place += struct.calcsize(kind)
        return int(number)

    def _string(self) -> str:
        return self._bytes(self._number("H")).rstrip(b"\0").decode()

    def _bytes(self, size: int) -> bytes:
        self.place += size
        return self.data[self.place - size : self.place]
