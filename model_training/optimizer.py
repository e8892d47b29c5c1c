"""How weights move: which of them decay, and the learning rate's way from the first step to the last."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from model_training.config import OptimConfig


def parameter_groups(model: nn.Module, optim: OptimConfig) -> list[dict[str, Any]]:
    """Weight decay on matrices only: decaying biases, norms and queries has no use."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": optim.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]


def warmup_cosine(step: int, *, steps: int, optim: OptimConfig) -> float:
    """Factor on the learning rate: linear up, then half a cosine down to 0 (Loshchilov & Hutter 2017)."""
    warmup = max(round(optim.warmup * steps), 1)
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))
