"""Fusion by attention that can be read: all tokens look at each other, then each task asks its question.

Shape letters: B rows, P tokens of all media side by side, M media, D width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from triad_training.layers.attention import TransformerLayer, masked_softmax


class Fusion(nn.Module):
    """Self-attention over the tokens of all media: each token learns what the others say."""

    def __init__(self, *, width: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TransformerLayer(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens_BPD: Tensor, mask_BP: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The fused tokens, and of each layer how much each token attends to each: [B, heads, P, P]."""
        layers = []
        for layer in self.layers:
            tokens_BPD, weights_BHPP = layer(tokens_BPD, mask_BP)
            layers.append(weights_BHPP)
        return self.norm(tokens_BPD), layers


class AttentionReading(NamedTuple):
    """What a task's query read.

    reads_BMD: from each medium. evidence_BM: how much each one's word counts, 0 where absent.
    weights_BMP: attention within each medium, which sums to 1; of no meaning where the medium is absent.
    """

    reads_BMD: Tensor
    evidence_BM: Tensor
    weights_BMP: Tensor


class TaskAttention(nn.Module):
    """One learned query: first over the tokens of each medium, then over the media.

    Where to look is decided on fused tokens, which know of each other; what is read there, and how much it
    counts, comes from the medium's own encoder. So a weight on a medium can only mean that this medium was
    read: were the values fused, a weight on an image cell could carry what the sound said.
    Attention on two levels: Yang et al. 2016, Hierarchical Attention Networks (words, then sentences).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(width) / math.sqrt(width))
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.evidence = nn.Linear(width, 1)

    def forward(self, fused_BPD: Tensor, own_BPD: Tensor, mask_BMP: Tensor) -> AttentionReading:
        """mask_BMP: the valid tokens of each medium."""
        asked_1D = (self.query @ self.key.weight)[None]  # one vector, folded in the exported graph
        weights_BMP = masked_softmax(asked_1D @ fused_BPD.transpose(1, 2), mask_BMP)
        own_BMD = weights_BMP @ own_BPD
        evidence_BM = F.softplus(self.evidence(own_BMD))[:, :, 0] * mask_BMP.any(2)
        return AttentionReading(
            self.value(own_BMD), evidence_BM, weights_BMP
        )  # values are linear, weights sum to 1


def roll_out(weights_BP: Tensor, layers: Sequence[Tensor]) -> Tensor:
    """Weights on the last layer's tokens, traced back to the first layer's, [B, P]; they keep their sum.

    Half of a token is what it was before a layer, half what its heads brought, on average.
    Source: attention rollout, Abnar & Zuidema 2020 (arXiv:2005.00928, section 3).
    """
    for weights_BHPP in reversed(layers):
        weights_BP = (weights_BP + (weights_BP[:, None] @ weights_BHPP.mean(1))[:, 0]) / 2
    return weights_BP


def between_media(weights_BHPP: Tensor, mask_BMP: Tensor) -> Tensor:
    """[B, heads, M, M]: how much the tokens of a medium attend to those of each, on average; 0 if absent."""
    members_BMP = mask_BMP.to(weights_BHPP.dtype)
    received_BHPM = weights_BHPP @ members_BMP.transpose(1, 2)[:, None]
    summed_BHMM = members_BMP[:, None] @ received_BHPM
    return summed_BHMM / members_BMP.sum(2).clamp(min=1)[:, None, :, None]


def segment_masks(masks: Sequence[Tensor]) -> Tensor:
    """mask_BMP of media side by side, from each one's mask [B, its tokens]."""
    mask_BP = torch.cat(list(masks), dim=1)
    lengths = [mask.shape[1] for mask in masks]
    medium_P = torch.cat([mask_BP.new_full((n,), m, dtype=torch.int64) for m, n in enumerate(lengths)])
    medium_M = torch.arange(len(masks), device=mask_BP.device)
    return mask_BP[:, None, :] & (medium_P == medium_M[:, None])
