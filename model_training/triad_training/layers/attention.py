"""Self-attention over tokens of which some are padding.

Shape letters: N items, L tokens, D width.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from triad_training.layers.prunable import Group, Part, hidden_units

# Added to a score that shall count nothing: far below any real one, and still a 16-bit float. A Where that
# puts something in its place takes ONNX Runtime twice as long.
MASKED = -3e4


class TransformerLayer(nn.Module):
    """Pre-norm self-attention and feed-forward (Xiong et al. 2020, arXiv:2002.04745)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.head_width = width // heads
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(approximate="tanh"),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens_NLD: Tensor, mask_NL: Tensor) -> tuple[Tensor, Tensor]:
        """The tokens, and how much each attends to each, by head: [N, heads, L, L], rows that sum to 1.

        Every item needs at least one valid token.
        """
        items, length, _ = tokens_NLD.shape
        mixed_width = self.project.weight.shape[1]  # fewer heads than at first where they were pruned
        heads = mixed_width // self.head_width
        qkv = self.qkv(self.attention_norm(tokens_NLD)).reshape(items, length, 3 * heads, self.head_width)
        q, k, v = qkv.transpose(1, 2).split(heads, dim=1)
        scores = q @ k.transpose(2, 3) / math.sqrt(self.head_width)
        # Half the nodes of torch's own attention, exported.
        weights_NHLL = masked_softmax(scores, mask_NL[:, None, None, :])
        mixed_NLD = (weights_NHLL @ v).transpose(1, 2).reshape(items, length, mixed_width)
        attended_NLD = tokens_NLD + self.dropout(self.project(mixed_NLD))
        fed_NLD: Tensor = attended_NLD + self.dropout(self.feed_forward(attended_NLD))
        return fed_NLD, weights_NHLL

    def prunable(self, name: str) -> Iterator[Group]:
        """Its heads, and the hidden units of its feed-forward part."""
        width = self.head_width
        yield Group(
            parts=(
                Part(tensor=f"{name}.qkv.weight", outer=3, inner=width),
                Part(tensor=f"{name}.qkv.bias", outer=3, inner=width),
                Part(tensor=f"{name}.project.weight", axis=1, inner=width),
            ),
            step=1,
            layer=name,
        )
        yield Group(parts=hidden_units(f"{name}.feed_forward", 1, 4), layer=name)


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last axis; exactly 0 where the mask is false."""
    return (scores + torch.where(mask, 0.0, MASKED).to(scores.dtype)).softmax(dim=-1)
