"""LoRA: a frozen linear layer learns a change of low rank, which is added to its weight before the export.

Source: Hu et al. 2021, arXiv:2106.09685, section 4.1, without its constant factor: the learning rate is one.

Shape letters: I inputs, O outputs, R rank.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LowRankLinear(nn.Linear):
    """The layer that it stands for, by the same names, and its change: none at first."""

    @classmethod
    def around(cls, linear: nn.Linear, rank: int) -> Self:
        weight_OI = linear.weight
        with torch.device("meta"):
            layer = cls(linear.in_features, linear.out_features, bias=False)
        layer.weight, layer.bias = weight_OI, linear.bias
        layer.low_rank_down_RI = nn.Parameter(weight_OI.new_empty(rank, linear.in_features))
        layer.low_rank_up_OR = nn.Parameter(weight_OI.new_zeros(linear.out_features, rank))
        nn.init.kaiming_uniform_(layer.low_rank_down_RI, a=5**0.5)  # as nn.Linear begins, and LoRA's authors
        return layer

    low_rank_down_RI: nn.Parameter
    low_rank_up_OR: nn.Parameter

    def forward(self, x: Tensor) -> Tensor:
        change = F.linear(F.linear(x, self.low_rank_down_RI), self.low_rank_up_OR)
        return super().forward(x) + change

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """An ordinary layer that answers alike."""
        with torch.device("meta"):
            linear = nn.Linear(self.in_features, self.out_features, bias=False)
        weight_OI = self.weight + self.low_rank_up_OR @ self.low_rank_down_RI
        linear.weight, linear.bias = nn.Parameter(weight_OI, requires_grad=False), self.bias
        return linear


def add_low_rank(model: nn.Module, rank: int) -> int:
    """To every linear layer within that is larger than the rank both ways; returns how many."""
    found = [
        (owner, name, layer)
        for owner in model.modules()
        for name, layer in owner.named_children()
        if type(layer) is nn.Linear and min(layer.in_features, layer.out_features) > rank
    ]
    for owner, name, layer in found:
        setattr(owner, name, LowRankLinear.around(layer, rank))
    return len(found)


def is_low_rank(parameter: str) -> bool:
    """By its name."""
    return ".low_rank_" in parameter


def merge_low_rank(model: nn.Module) -> None:
    """In place, wherever there is any."""
    for owner in list(model.modules()):
        for name, layer in list(owner.named_children()):
            if isinstance(layer, LowRankLinear):
                setattr(owner, name, layer.merged())
