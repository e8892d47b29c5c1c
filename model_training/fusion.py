"""Fusion by attention that can be read: all tokens look at each other, then each task asks its question.

Shape letters: B rows, P tokens of all media side by side, D width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from model_training.encoders import TransformerLayer, masked_softmax


class Fusion(nn.Module):
    """Self-attention over the tokens of all media: each token learns what the others say."""

    def __init__(self, *, width: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TransformerLayer(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens_BPD: Tensor, mask_BP: Tensor) -> Tensor:
        for layer in self.layers:
            tokens_BPD = layer(tokens_BPD, mask_BP)
        fused_BPD: Tensor = self.norm(tokens_BPD)
        return fused_BPD


class TaskAttention(nn.Module):
    """One learned query over all tokens.

    Where to look is decided on the fused tokens, which know of each other; what is read there comes from
    the medium's own encoder. So a weight on a medium can only mean that this medium was read: were the
    values fused, a weight on an image cell could carry what the sound said.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(width) / math.sqrt(width))
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)

    def forward(self, fused_BPD: Tensor, own_BPD: Tensor, mask_BP: Tensor) -> tuple[Tensor, Tensor]:
        """Returns what was read, [B, D], and weights_BP, which sum to 1 over the valid tokens."""
        scores_BP = self.key(fused_BPD) @ self.query
        weights_BP = masked_softmax(scores_BP, mask_BP)
        read_BD = (weights_BP[:, None, :] @ self.value(own_BPD))[:, 0]
        return read_BD, weights_BP
