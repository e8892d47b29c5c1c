"""Our own image encoder: pixels to a grid of tokens.

Shape letters: N images, H W pixels, C cells, D width. Every image is encoded on its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from triad_serving.contract.errors import ConfigError
from triad_serving.media.image.spec import ImageSpec
from triad_training.layers.convolution import conv2d, exact_log2
from triad_training.layers.prunable import Group, chained_channels


class ImageEncoder(nn.Module):
    """A convolution net down to the spec's grid of cells."""

    def __init__(self, spec: ImageSpec, *, width: int) -> None:
        super().__init__()
        self.cells = spec.rows * spec.columns
        halvings = _halvings(spec)
        channels = [3, *(max(width * 2**i // 2**halvings, 8) for i in range(1, halvings + 1))]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(channels):
            layers += [conv2d(before, after, stride=2), conv2d(after, after)]
        self.net = nn.Sequential(*layers)
        self.cell_positions = nn.Parameter(0.02 * torch.randn(self.cells, width))
        self.norm = nn.LayerNorm(width)

    def forward(self, pixels_NHW3: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 RGB; returns tokens_NCD and mask_NC, cells row by row."""
        items = pixels_NHW3.shape[0]
        mask_NC = torch.ones(items, self.cells, dtype=torch.bool, device=pixels_NHW3.device)
        features = self.net(_standardise(pixels_NHW3.permute(0, 3, 1, 2).float()))
        tokens_NCD = features.flatten(2).transpose(1, 2)
        return self.norm(tokens_NCD + self.cell_positions), mask_NC

    def prunable(self, name: str) -> Iterator[Group]:
        """The channels between its convolutions."""
        yield from chained_channels([f"{name}.net.{i}" for i in range(len(self.net))])


def _standardise(x_N3HW: Tensor) -> Tensor:
    """Zero mean and unit variance per image: exposure and contrast carry no meaning."""
    centred = x_N3HW - x_N3HW.mean((1, 2, 3), keepdim=True)
    return centred / ((centred * centred).mean((1, 2, 3), keepdim=True) + 1).sqrt()


def _halvings(spec: ImageSpec) -> int:
    down, across = spec.height / spec.rows, spec.width / spec.columns
    if down != across or not down.is_integer():
        raise ConfigError("image: height / rows and width / columns must be one whole number.")
    return exact_log2(int(down), "image: height / rows")
