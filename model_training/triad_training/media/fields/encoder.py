"""Fields to tokens, one each (FT-Transformer, Gorishniy et al. 2021, arXiv:2106.11959).

Shape letters: N records, F numbers, G categories, P tokens (F + G), B bins, D width.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from triad_serving.contract.arrays import F32
from triad_serving.media.fields.spec import MISSING_ID, FieldsSpec
from triad_training.layers.attention import TransformerLayer
from triad_training.media.fields.source import HIGHEST, LOWEST

BINS = 12  # of a number, each with as many training rows as any other
NARROWEST = 1e-6  # of a bin, as a share of the whole range: of whole numbers many knots coincide
CATEGORY_DEVIATION = 0.02  # of embeddings at first, as of words


class NumberEmbedding(nn.Module):
    """Piecewise-linear encoding over quantiles, then a matrix for each number.

    A number becomes how much of each bin it fills, 0 to 1; so it is also clipped to the outer knots.
    Source: Gorishniy et al. 2022, On embeddings for numerical features (arXiv:2203.05556, section 3.2).
    """

    def __init__(self, numbers: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("knots", torch.linspace(0, 1, BINS + 1).repeat(numbers, 1))
        self.knots: Tensor
        # A product of matrices for each number; as a convolution, for no records at all in ONNX Runtime.
        self.embed = nn.Conv1d(numbers * BINS, numbers * width, 1, groups=numbers)

    def set_knots(self, knots_FB: F32) -> None:
        """[F, B + 1], ascending."""
        self.knots.copy_(torch.from_numpy(knots_FB))

    def forward(self, numbers_NF: Tensor) -> Tensor:
        """tokens_NFD; of a NaN whatever its lowest value has."""
        low_FB, high_FB = self.knots[:, :-1], self.knots[:, 1:]
        span_F1 = (self.knots[:, -1:] - self.knots[:, :1]).clamp(min=torch.finfo(torch.float32).tiny)
        width_FB = torch.maximum(high_FB - low_FB, NARROWEST * span_F1)
        known_NF = torch.where(torch.isnan(numbers_NF), self.knots[:, 0], numbers_NF)
        filled_NFB = ((known_NF[:, :, None] - low_FB) / width_FB).clamp(0, 1)
        embedded = self.embed(filled_NFB.flatten(1)[:, :, None])
        tokens_NFD: Tensor = embedded.reshape(*numbers_NF.shape, self.width)
        return tokens_NFD


class FieldsEncoder(nn.Module):
    """Numbers and categories to tokens, then self-attention over the fields that are there."""

    def __init__(self, spec: FieldsSpec, *, width: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.numbers = NumberEmbedding(len(spec.numeric), width) if spec.numeric else None
        sizes = [2 + len(field.categories) for field in spec.categorical]
        self.categories = nn.Embedding(sum(sizes), width) if sizes else None
        if self.categories is not None:
            nn.init.normal_(self.categories.weight, std=CATEGORY_DEVIATION)
        starts_G = torch.tensor([0, *itertools.accumulate(sizes)][: len(sizes)])
        self.register_buffer("starts", starts_G, persistent=False)
        self.starts: Tensor
        self.names = nn.Parameter(0.02 * torch.randn(len(spec.names), width))
        self.layers = nn.ModuleList(TransformerLayer(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """numbers_NF and categories_NG, where the spec has any; returns tokens_NPD and mask_NP."""
        tokens, masks, rest = [], [], list(inputs)
        if self.numbers is not None:
            numbers_NF = rest.pop(0)
            tokens.append(self.numbers(numbers_NF))
            masks.append(~torch.isnan(numbers_NF))
        if self.categories is not None:
            ids_NG = rest.pop(0)
            tokens.append(self.categories(ids_NG + self.starts))
            masks.append(ids_NG != MISSING_ID)
        mask_NP = torch.cat(masks, dim=1)
        tokens_NPD = torch.cat(tokens, dim=1) + self.names
        for layer in self.layers:
            tokens_NPD, _ = layer(tokens_NPD, mask_NP)
        return self.norm(tokens_NPD), mask_NP


def knots_of(columns: Sequence[F32]) -> F32:
    """[F, BINS + 1]: quantiles of each number's training values, the outer ones LOWEST and HIGHEST."""
    shares = np.linspace(LOWEST, HIGHEST, BINS + 1)
    return np.stack([np.quantile(numbers_R, shares) for numbers_R in columns]).astype(np.float32)
