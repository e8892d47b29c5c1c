"""Which encoder reads each medium: one of our own, or a pretrained one that then also says what it reads."""

from __future__ import annotations

from torch import nn

from triad_serving.contract.errors import ConfigError
from triad_serving.media.audio.spec import AudioSpec
from triad_serving.media.example import PreprocessSpec
from triad_serving.media.image.spec import ImageSpec
from triad_training.config.train_config import ModelConfig, TrainConfig
from triad_training.media.audio.pretrained import audio_spec, pretrained_audio_encoder
from triad_training.media.audio.windows import Windowed
from triad_training.media.encoders import AudioEncoder, ImageEncoder, TextEncoder
from triad_training.media.image.pretrained import PretrainedImageEncoder, image_spec
from triad_training.media.pretrained.source import bundle_files
from triad_training.media.text.pretrained import PretrainedTextEncoder

MAX_WEIGHTS = (2**31 - 2**24) // 4  # protobuf's 2 GiB, less room for everything else, in single precision


def build_encoders(config: ModelConfig, spec: PreprocessSpec, *, words: int) -> nn.ModuleDict:
    """By medium; words: ids of the lexicon, unused where no text is read."""
    encoders = nn.ModuleDict()
    width, heads, dropout = config.width, config.heads, config.dropout
    if spec.text is not None:
        encoders["text"] = (
            PretrainedTextEncoder(spec.text, config.text_encoder, width=width)
            if config.text_encoder
            else TextEncoder(
                spec.text, words, width=width, heads=heads, layers=config.text_layers, dropout=dropout
            )
        )
    if spec.image is not None:
        encoders["image"] = (
            PretrainedImageEncoder(spec.image, config.image_encoder, width=width)
            if config.image_encoder
            else ImageEncoder(spec.image, width=width)
        )
    if spec.audio is not None:
        encoder: nn.Module = (
            pretrained_audio_encoder(spec.audio, config.audio_encoder, width=width)
            if config.audio_encoder
            else AudioEncoder(
                spec.audio,
                width=width,
                mels=config.mels,
                dropout=dropout,
                features=config.features,
                denoise=config.denoise,
            )
        )
        encoders["audio"] = Windowed(encoder, spec.audio) if spec.audio.window_s else encoder
    _require_one_file(encoders)
    return encoders


def _require_one_file(encoders: nn.ModuleDict) -> None:
    """Raises ConfigError where the graph could not be written after the training."""
    weights = sum(parameter.numel() for parameter in encoders.parameters())
    if weights > MAX_WEIGHTS:
        raise ConfigError(
            f"model: its encoders have {weights:,} weights; an ONNX file holds at most {MAX_WEIGHTS:,}.",
            limit=MAX_WEIGHTS,
            value=weights,
        )


def encoder_files(config: ModelConfig, spec: PreprocessSpec) -> dict[str, bytes]:
    """What a bundle needs beside the weights to build its pretrained encoders again."""
    files: dict[str, bytes] = {}
    for medium in spec.media:
        if encoder := getattr(config, f"{medium}_encoder"):
            files |= bundle_files(encoder, medium)
    return files


def with_sources(config: TrainConfig) -> TrainConfig:
    """The config with a spec that fits its pretrained encoders: their size, grid, rate and framing."""
    spec, model = config.spec, config.model
    fitted: dict[str, ImageSpec | AudioSpec] = {}
    if spec.image and model.image_encoder:
        fitted["image"] = image_spec(spec.image, model.image_encoder)
    if spec.audio and model.audio_encoder:
        fitted["audio"] = audio_spec(spec.audio, model.audio_encoder)
    return config.model_copy(update={"preprocess": config.preprocess.model_copy(update=fitted)})
