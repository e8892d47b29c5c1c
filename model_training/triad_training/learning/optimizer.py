"""How weights move: which of them decay, and the learning rate's way from the first step to the last."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from triad_training.config.train_config import OptimConfig
from triad_training.media.pretrained.backbone import Backbone


def parameter_groups(model: nn.Module, optim: OptimConfig) -> list[dict[str, Any]]:
    """One group per learning rate and decay, without what is frozen.

    Pretrained layers move at rates of their own. Weight decay on matrices only: decaying biases, norms and
    queries has no use.
    """
    backbones = [module for module in model.modules() if isinstance(module, Backbone)]
    rates = {parameter: rate for backbone in backbones for parameter, rate in backbone.learning_rates()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            decay = optim.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((rates.get(parameter, optim.learning_rate), decay), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


def warmup_cosine(step: int, *, steps: int, optim: OptimConfig) -> float:
    """Factor on the learning rate: linear up, then half a cosine down to 0 (Loshchilov & Hutter 2017)."""
    warmup = max(round(optim.warmup * steps), 1)
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))
