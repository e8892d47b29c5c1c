"""What a source names: a model and its preprocessor, from a file, a folder or the hub.

A bundle holds them without weights, as MEDIUM_encoder.json and MEDIUM_processor.json (text: tokenizer.json),
so that its network can be built again where the source is not at hand; such a file is a source, too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from triad_serving.contract.errors import ConfigError, SetupError
from triad_serving.contract.outputs import MediumName
from triad_training.media.pretrained.config import PretrainedConfig
from triad_training.media.pretrained.ctranslate2 import load_whisper, whisper_processor, whisper_shape
from triad_training.media.pretrained.efficientnet import (
    MODEL_TYPE,
    EfficientNetConfig,
    efficientnet_shape,
    load_efficientnet,
)
from triad_training.media.pretrained.location import Location, in_bundle, locate, not_found

Loaded = TypeVar("Loaded")

# Architectures that this project's tests train and serve; unispeech's code is wav2vec2's.
TESTED = {
    *("bert", "roberta", "xlm-roberta", "distilbert"),
    *("vit", "dinov2", "dinov2_with_registers", "siglip_vision_model", "convnext", MODEL_TYPE),
    *("wav2vec2", "hubert", "wavlm", "unispeech", "unispeech-sat", "whisper"),
}

# Of these the ones that PyTorch's older exporter writes; traced, DINOv2 stretches its positions in every run,
# which ONNX Runtime refuses.
TRACEABLE = TESTED - {"dinov2", "dinov2_with_registers"}

# Arrays that a checkpoint may lack without harm: for pre-training or pooling, which Triad does not use.
UNUSED = ("pooler", "masked_spec_embed", "head.", "mask_token")


def library() -> Any:
    """The package transformers, imported only by configs that name a source. Raises SetupError."""
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise SetupError(f"{error.name} is missing: pip install triad-serving[pretrained]") from error
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def load_model(encoder: PretrainedConfig, medium: MediumName) -> Any:
    """The part of the source that reads the medium, with its weights, in single precision.

    Raises ConfigError where it cannot be loaded, or lacks weights of its own architecture: such parts would
    be random, and stay so where they are frozen.
    """
    found = locate(encoder.source, medium)
    if found.format == "efficientnet":
        return load_efficientnet(Path(found.place))
    if found.format == "ctranslate2":
        return load_whisper(Path(found.place), library())
    auto = library().AutoModel
    if in_bundle(encoder.source):
        return _tower(try_loading(lambda: auto.from_config(_config(found.place)), found, encoder, medium))

    def load() -> tuple[Any, dict[str, Any]]:
        loaded: tuple[Any, dict[str, Any]] = auto.from_pretrained(
            found.place, dtype=torch.float32, output_loading_info=True
        )
        return loaded

    model, info = try_loading(load, found, encoder, medium)
    missing = sorted(name for name in info["missing_keys"] if not any(part in name for part in UNUSED))
    if missing:
        raise ConfigError(
            f"model.{medium}_encoder.source: {encoder.source} lacks {len(missing)} arrays of its "
            f"architecture, the first of them {missing[0]}."
        )
    return _tower(model)


def model_shape(encoder: PretrainedConfig, medium: MediumName) -> Any:
    """The same model without weights: on torch's meta device, for shapes and its configuration alone."""
    found = locate(encoder.source, medium)
    if found.format == "efficientnet":
        return efficientnet_shape(Path(found.place))
    if found.format == "ctranslate2":
        return whisper_shape(Path(found.place), library())
    config = try_loading(lambda: _config(found.place), found, encoder, medium)
    with torch.device("meta"):
        model = try_loading(lambda: library().AutoModel.from_config(config), found, encoder, medium)
    return _tower(model.eval())


def load_processor(encoder: PretrainedConfig, medium: MediumName) -> Any:
    """The source's image processor or feature extractor: how pixels and samples have to be scaled."""
    found = locate(encoder.source, medium)
    if found.format == "efficientnet":
        return efficientnet_shape(Path(found.place)).config.pixels
    transformers = library()
    if found.format == "ctranslate2":
        return whisper_processor(Path(found.place), transformers)
    auto = transformers.AutoImageProcessor if medium == "image" else transformers.AutoFeatureExtractor
    source = found.place
    if in_bundle(source):
        source = str(Path(source).with_name(f"{medium}_processor.json"))
    return try_loading(lambda: auto.from_pretrained(source), found, encoder, medium)


def network_files(encoder: PretrainedConfig, medium: MediumName) -> dict[str, bytes]:
    """What builds the network again."""
    config = model_shape(encoder, medium).config
    if isinstance(config, EfficientNetConfig):
        return {f"{medium}_encoder.json": config.to_json().encode()}
    config.name_or_path = ""  # a path of this machine, maybe
    return {f"{medium}_encoder.json": config.to_json_string(use_diff=False).encode()}


def processor_files(encoder: PretrainedConfig, medium: MediumName) -> dict[str, bytes]:
    """What builds its processor again, where the network's own file does not say it."""
    if locate(encoder.source, medium).format == "efficientnet":
        return {}
    return {f"{medium}_processor.json": load_processor(encoder, medium).to_json_string().encode()}


def _config(place: str) -> Any:
    return library().AutoConfig.from_pretrained(place)


def _tower(model: Any) -> Any:
    """The encoder alone: of a model of text and images its vision part, of one that writes text its encoder.

    Without the layers that make one vector of all tokens: Triad's attention does that.
    """
    if isinstance(vision := getattr(model, "vision_model", None), nn.Module):
        model = vision
    elif getattr(model.config, "is_encoder_decoder", False):
        model = model.get_encoder()
    pooler = getattr(model, "pooler", None)
    if isinstance(pooler, nn.Module) and any(True for _ in pooler.parameters()):
        model.pooler = None
    if getattr(model, "use_head", False):  # SigLIP
        model.use_head = False
        del model.head
    return model


def try_loading(
    load: Callable[[], Loaded], found: Location, encoder: PretrainedConfig, medium: MediumName
) -> Loaded:
    """Raises ConfigError, which names the option, and what it was taken for."""
    try:
        return load()
    except (OSError, ValueError, ImportError) as error:  # what transformers raises on what it cannot load
        reason = str(error).strip().splitlines()[0].rstrip(".")
        if not found.is_path:
            raise ConfigError(not_found(encoder.source, medium, found.package, hub=reason)) from error
        raise ConfigError(
            f"model.{medium}_encoder.source: {encoder.source} cannot be loaded: {reason}."
        ) from error
