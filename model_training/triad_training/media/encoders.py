"""The encoders of a config, one for each medium that it reads, and what they ask of the spec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from torch import nn

from triad_serving.contract.errors import ConfigError
from triad_serving.contract.outputs import MediumName
from triad_serving.contract.tasks import Task
from triad_serving.media.example import PreprocessSpec
from triad_serving.media.medium import Assets
from triad_training.layers.expert import Expert, PooledExpert
from triad_training.media.config import MediaConfig
from triad_training.media.pretrained.backbone import as_pretrained
from triad_training.media.registry import MEDIA, present

Config = TypeVar("Config", bound=MediaConfig)

MAX_WEIGHTS = (2**31 - 2**24) // 4  # protobuf's 2 GiB, less room for everything else, in single precision


def spec_of(config: MediaConfig) -> PreprocessSpec:
    """Of the media that have a column and are in the subset."""
    return PreprocessSpec(
        **{
            medium.serving.name: getattr(config.preprocess, medium.serving.name)
            if medium.columns(config.data)
            else None
            for medium in MEDIA
        }
    )


def with_spec(config: Config, specs: Mapping[MediumName, Any]) -> Config:
    """The config with other specs of these media."""
    return config.model_copy(update={"preprocess": config.preprocess.model_copy(update=dict(specs))})


def with_fitted_spec(config: Config) -> Config:
    """With a spec that fits its pretrained encoders: their size, grid and rate. Raises ConfigError."""
    fitted = {
        medium.serving.name: medium.fit_spec(own, config.model) for medium, own in present(spec_of(config))
    }
    return with_spec(config, fitted)


def build_encoders(config: MediaConfig, spec: PreprocessSpec, assets: Assets) -> nn.ModuleDict:
    """By medium. Raises ConfigError."""
    encoders = nn.ModuleDict()
    for medium, own in present(spec):
        name = medium.serving.name
        encoders[name] = medium.build_encoder(config, own, assets.get(name))
    _require_one_file(encoders)
    return encoders


def build_experts(
    config: MediaConfig,
    spec: PreprocessSpec,
    assets: Assets,
    encoders: Mapping[MediumName, nn.Module],
    tasks: Sequence[Task],
) -> dict[MediumName, dict[str, Expert]]:
    """By medium and name; of a network that has learnt, those that it has kept."""
    if not config.model.linear:
        return {}
    kept = config.model.experts
    experts: dict[MediumName, dict[str, Expert]] = {}
    for medium, own in present(spec):
        name = medium.serving.name
        found = dict(medium.build_experts(config, own, assets.get(name), encoders[name], tasks))
        found |= _pooled(encoders[name], tasks)
        experts[name] = {each: found[each] for each in found if kept is None or f"{name}.{each}" in kept}
    return experts


def without_experts(
    config: Config, assets: Assets, kept: Sequence[tuple[MediumName, str]]
) -> tuple[Config, dict[MediumName, Any]]:
    """The config and assets of a network that has kept only these experts."""
    specs: dict[MediumName, Any] = {}
    needed: dict[MediumName, Any] = dict(assets)
    for medium, own in present(spec_of(config)):
        name = medium.serving.name
        names = [expert for of, expert in kept if of == name]
        specs[name], needed[name] = medium.without_experts(own, assets.get(name), names)
    model = config.model.model_copy(update={"experts": tuple(f"{of}.{expert}" for of, expert in kept)})
    return with_spec(config, specs).model_copy(update={"model": model}), needed


def _pooled(encoder: nn.Module, tasks: Sequence[Task]) -> dict[str, Expert]:
    """Where the encoder is pretrained, its tokens' mean is worth as much as any other feature."""
    pretrained = as_pretrained(encoder)
    return {} if pretrained is None else {"pretrained": PooledExpert(tasks, pretrained.hidden_size)}


def bundle_files(config: MediaConfig, spec: PreprocessSpec, assets: Assets) -> dict[str, bytes]:
    """What a bundle needs beside graph and weights: to read the media, to build the encoders again."""
    files: dict[str, bytes] = {}
    for medium, own in present(spec):
        files |= medium.bundle_files(config, own, assets.get(medium.serving.name))
    return files


def _require_one_file(encoders: nn.ModuleDict) -> None:
    """Raises ConfigError where the graph could not be written after the training."""
    weights = sum(parameter.numel() for parameter in encoders.parameters())
    if weights > MAX_WEIGHTS:
        raise ConfigError(
            f"model: its encoders have {weights:,} weights; an ONNX file holds at most {MAX_WEIGHTS:,}.",
            limit=MAX_WEIGHTS,
            value=weights,
        )
