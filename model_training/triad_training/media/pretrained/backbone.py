"""Backbone: a pretrained model of which nothing, the top layers or everything learns, at rates of its own.

Shape letters: N items, L tokens, H width of the pretrained model, D width of every token in fusion.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from triad_serving.contract.errors import ConfigError
from triad_training.media.pretrained.config import PretrainedConfig
from triad_training.media.pretrained.location import in_bundle
from triad_training.media.pretrained.low_rank import add_low_rank, is_low_rank


class Backbone(nn.Module):
    """Frozen parts neither learn nor drop anything out: they stay in evaluation mode.

    Of a bundle, changes of low rank are part of the weights already.
    """

    def __init__(self, model: nn.Module, encoder: PretrainedConfig) -> None:
        super().__init__()
        self.model: Any = model
        self.encoder = encoder
        low_rank = encoder.tune == "lora" and not in_bundle(encoder.source)
        if low_rank and not add_low_rank(_layers(model), encoder.rank):
            raise ConfigError(f"tune: {encoder.source} has no linear layers that lora could change.")
        depths = parameter_depths(model)
        top = max(depths.values())
        learning = encoder.tune if isinstance(encoder.tune, int) else top + 1 if encoder.tune == "all" else 0
        if isinstance(encoder.tune, int) and learning > top:
            raise ConfigError(f"tune: {encoder.source} has {top} layers, not {learning}.")
        self.rates = {
            name: encoder.learning_rate * encoder.layer_decay ** (top - depth)
            for name, depth in depths.items()
            if (depth > top - learning and model.get_parameter(name).requires_grad) or is_low_rank(name)
        }
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in self.rates)

    def train(self, mode: bool = True) -> Backbone:
        super().train(mode)
        for module in self.model.modules():
            parameters = list(module.parameters())
            if parameters and not any(parameter.requires_grad for parameter in parameters):
                module.eval()
        return self

    def learning_rates(self) -> Iterator[tuple[nn.Parameter, float]]:
        """Peak of each parameter that learns: the base at the top, a factor less per layer further down."""
        for name, rate in self.rates.items():
            yield self.model.get_parameter(name), rate


class PretrainedEncoder(Protocol):
    """A pretrained encoder in two steps; while it is frozen, `hidden` need run only once per item."""

    hidden_size: int

    def hidden(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The model's own tokens hidden_NLH, and mask_NL: which of them are valid."""
        ...

    def project(self, hidden_NLH: Tensor) -> Tensor:
        """tokens_NLD; each from its own hidden token alone."""
        ...


def as_pretrained(encoder: nn.Module) -> PretrainedEncoder | None:
    """The encoder where it is a pretrained one."""
    return cast(PretrainedEncoder, encoder) if hasattr(encoder, "hidden") else None


class Projection(nn.Module):
    """A pretrained model's tokens to the width of all others, whatever their scale (ConvNeXt norms none)."""

    def __init__(self, hidden: int, width: int) -> None:
        super().__init__()
        self.scale = nn.LayerNorm(hidden)
        self.linear = nn.Linear(hidden, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, hidden_NLH: Tensor) -> Tensor:
        tokens_NLD: Tensor = self.norm(self.linear(self.scale(hidden_NLH)))
        return tokens_NLD

    def nothing(self, length: int) -> tuple[Tensor, Tensor]:
        """Hidden tokens and mask of no items."""
        hidden_NLH = self.linear.weight.new_zeros(0, length, self.linear.in_features)
        return hidden_NLH, torch.zeros(0, length, dtype=torch.bool, device=hidden_NLH.device)


def parameter_depths(model: nn.Module) -> dict[str, int]:
    """By name: 0 below the layers, 1 to L in them, L for what stands behind them.

    The layers are the largest list of modules; what is registered before it counts as below.
    """
    layers = _layers(model)
    within = {id(parameter): i for i, layer in enumerate(layers, start=1) for parameter in layer.parameters()}
    depths: dict[str, int] = {}
    behind = 0
    for name, parameter in model.named_parameters():
        behind = max(behind, within.get(id(parameter), 0))
        depths[name] = within.get(id(parameter), len(layers) if behind else 0)
    return depths


def attention_bias(mask_NL: Tensor) -> Tensor:
    """[N, 1, 1, L], added to attention scores: 0 where valid, the lowest number where not."""
    return (~mask_NL)[:, None, None, :].float() * torch.finfo(torch.float32).min


def nothing_to_encode(items: Tensor) -> bool:
    """Whether a batch holds no item, which many models cannot reshape; while exporting: never."""
    return not torch.compiler.is_exporting() and items.shape[0] == 0


def backbone_types(network: nn.Module) -> set[str]:
    """The architectures of the pretrained models in it."""
    return {module.model.config.model_type for module in network.modules() if isinstance(module, Backbone)}


def _layers(model: nn.Module) -> nn.ModuleList:
    return max((module for module in model.modules() if isinstance(module, nn.ModuleList)), key=_size)


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
