"""One space for all media: a vector of each that lies near those of what belongs with it.

Shape letters: B rows, P tokens of all media side by side, M media, Q queries, D width of tokens, E numbers of
a vector.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from triad_serving.contract.outputs import MediumName
from triad_training.layers.attention import masked_softmax

QUERIES = 4  # of each medium: a single mean forgets in which order a word's syllables came


class Embedded(NamedTuple):
    """vectors_BME: L2-normalised, 0 where absent. weights_BM: how much each counts where several fuse."""

    vectors_BME: Tensor
    weights_BM: Tensor

    def of(self, places: Sequence[int]) -> Embedded:
        """Of these media alone."""
        return Embedded(self.vectors_BME[:, list(places)], self.weights_BM[:, list(places)])

    def fuse(self) -> Tensor:
        """[B, E]: their weighted mean, L2-normalised; 0 where every medium is absent."""
        return F.normalize((self.weights_BM[:, :, None] * self.vectors_BME).sum(1), dim=1)


class SharedSpace(nn.Module):
    """Learned queries read the tokens of a medium's own encoder; what they read is projected.

    Own tokens, because fused ones know of other media: a picture has one vector, whatever comes with it.
    """

    def __init__(self, media: Sequence[MediumName], *, width: int, size: int) -> None:
        super().__init__()
        self.media = tuple(media)
        self.queries = nn.Parameter(torch.randn(len(media), QUERIES, width) / math.sqrt(width))
        self.projections = nn.ModuleDict({medium: _projection(width, size) for medium in media})
        self.weights = nn.ModuleDict({medium: nn.Linear(QUERIES * width, 1) for medium in media})

    def forward(self, own_BPD: Tensor, mask_BMP: Tensor, media: Sequence[MediumName]) -> Embedded:
        """media: whose tokens these are, of which mask_BMP names the valid ones."""
        places = torch.tensor([self.media.index(medium) for medium in media], device=own_BPD.device)
        asked_1SD = self.queries.index_select(0, places).flatten(0, 1)[None]
        rows, length, _ = own_BPD.shape
        scores_BSP = asked_1SD @ own_BPD.transpose(1, 2)
        scores_BMQP = scores_BSP.reshape(rows, len(media), QUERIES, length)
        read_BMQD = masked_softmax(scores_BMQP, mask_BMP[:, :, None]) @ own_BPD[:, None]
        present_BM = mask_BMP.any(2).to(own_BPD.dtype)
        vectors, weights = [], []
        for medium, read_BF in zip(media, read_BMQD.flatten(2).unbind(1), strict=True):
            vectors.append(F.normalize(self.projections[medium](read_BF), dim=1))
            weights.append(F.softplus(self.weights[medium](read_BF))[:, 0])
        return Embedded(
            torch.stack(vectors, dim=1) * present_BM[:, :, None], torch.stack(weights, dim=1) * present_BM
        )


def _projection(width: int, size: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(QUERIES * width, 2 * width), nn.GELU(approximate="tanh"), nn.Linear(2 * width, size)
    )
