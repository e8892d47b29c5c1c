"""What a source names: a model and its preprocessor in the Hugging Face format, from a folder or the hub.

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
from triad_serving.inference.bundle import Bundle
from triad_serving.media.text.tokenizer import TOKENIZER_FILE, TokenizerLexicon
from triad_training.config.train_config import PRETRAINED, TrainConfig
from triad_training.media.pretrained.config import PretrainedConfig

Loaded = TypeVar("Loaded")

# Arrays that a checkpoint may lack without harm: for pre-training or pooling, which Triad does not use.
UNUSED = ("pooler", "masked_spec_embed", "head.", "mask_token")


def library() -> Any:
    """The package transformers, imported only by configs that name a source. Raises SetupError."""
    transformers: Any
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
    auto = library().AutoModel
    if _in_bundle(encoder):
        return _tower(_try(lambda: auto.from_config(_config(encoder)), encoder, medium))

    def load() -> tuple[Any, dict[str, Any]]:
        loaded: tuple[Any, dict[str, Any]] = auto.from_pretrained(
            encoder.source, dtype=torch.float32, output_loading_info=True
        )
        return loaded

    model, info = _try(load, encoder, medium)
    missing = sorted(name for name in info["missing_keys"] if not any(part in name for part in UNUSED))
    if missing:
        raise ConfigError(
            f"model.{medium}_encoder.source: {encoder.source} lacks {len(missing)} arrays of its "
            f"architecture, the first of them {missing[0]}."
        )
    return _tower(model)


def model_shape(encoder: PretrainedConfig, medium: MediumName) -> Any:
    """The same model without weights: on torch's meta device, for shapes and its configuration alone."""
    config = _try(lambda: _config(encoder), encoder, medium)
    with torch.device("meta"):
        model = _try(lambda: library().AutoModel.from_config(config), encoder, medium)
    return _tower(model.eval())


def load_processor(encoder: PretrainedConfig, medium: MediumName) -> Any:
    """The source's image processor or feature extractor: how pixels and samples have to be scaled."""
    transformers = library()
    auto = transformers.AutoImageProcessor if medium == "image" else transformers.AutoFeatureExtractor
    source = encoder.source
    if _in_bundle(encoder):
        source = str(Path(source).with_name(f"{medium}_processor.json"))
    return _try(lambda: auto.from_pretrained(source), encoder, medium)


def load_lexicon(encoder: PretrainedConfig) -> TokenizerLexicon:
    """The source's tokenizer, as the service runs it. Raises ConfigError, SetupError."""
    if _in_bundle(encoder):
        return TokenizerLexicon(Path(encoder.source).with_name(TOKENIZER_FILE).read_bytes())
    auto = library().AutoTokenizer
    tokenizer = _try(lambda: auto.from_pretrained(encoder.source), encoder, "text")
    fast = getattr(tokenizer, "backend_tokenizer", None)
    if fast is None:
        raise ConfigError(f"model.text_encoder.source: {encoder.source} has no {TOKENIZER_FILE}.")
    return TokenizerLexicon(fast.to_str().encode())


def bundle_files(encoder: PretrainedConfig, medium: MediumName) -> dict[str, bytes]:
    """What builds the encoder again; the tokenizer is among the lexicon's files."""
    config = model_shape(encoder, medium).config
    config.name_or_path = ""  # a path of this machine, maybe
    files = {f"{medium}_encoder.json": config.to_json_string(use_diff=False)}
    if medium != "text":
        files[f"{medium}_processor.json"] = load_processor(encoder, medium).to_json_string()
    return {name: text.encode() for name, text in files.items()}


def with_bundled_sources(config: TrainConfig, bundle: Bundle) -> TrainConfig:
    """A bundle's config with its own files as sources."""
    sources = {
        name: encoder.model_copy(update={"source": str(bundle.path / f"{name}.json")})
        for name in PRETRAINED
        if (encoder := getattr(config.model, name))
    }
    return config.model_copy(update={"model": config.model.model_copy(update=sources)})


def _in_bundle(encoder: PretrainedConfig) -> bool:
    return encoder.source.endswith("_encoder.json")


def _config(encoder: PretrainedConfig) -> Any:
    return library().AutoConfig.from_pretrained(encoder.source)


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


def _try(load: Callable[[], Loaded], encoder: PretrainedConfig, medium: MediumName) -> Loaded:
    try:
        return load()
    except (OSError, ValueError, ImportError) as error:  # what transformers raises on what it cannot load
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise ConfigError(
            f"model.{medium}_encoder.source: {encoder.source} cannot be loaded: {reason}."
        ) from error
