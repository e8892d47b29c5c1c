"""Colour and gradient statistics of an image, as layers of the graph: what a linear model reads of it.

Shape letters: N images, H W pixels, A orientations, C cells of the spec's grid, F features.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from triad_serving.media.image.spec import ImageSpec

SIDE = 64  # pixels to which larger images are averaged
THUMBNAIL = 16  # side of the grey picture of which every pixel is a feature
COLOUR_CELLS = 4  # a side
BINS = 8  # of the histogram of each colour channel
ORIENTATIONS = 9  # of gradients, unsigned: Dalal & Triggs 2005, Histograms of oriented gradients
GRADIENT_CELLS = (8, 4)  # a side, coarse and fine
SHARPNESS = 2.0  # exponent on the cosine by which a gradient counts for an orientation that is not its own
FLOOR = 1e-4  # of energies and variances, of values between 0 and 1

# Brightness, red against green, blue against yellow: Ohta et al. 1980, Color information for segmentation.
OPPONENT = ((1 / 3, 1 / 3, 1 / 3), (0.5, -0.5, 0.0), (-0.25, -0.25, 0.5))


class ImageStatistics(nn.Module):
    """A small grey picture, colours by cell and as histograms, gradient orientations by cell.

    Grey and gradients are relative to the contrast of the image; colours are not.
    blocks: sizes of the groups of features. cells_FC: which cells of the spec's grid each feature is about;
    rows sum to 1.
    """

    def __init__(self, spec: ImageSpec) -> None:
        super().__init__()
        self.side = (min(SIDE, spec.height), min(SIDE, spec.width))
        self.register_buffer("opponent", torch.tensor(OPPONENT)[:, :, None, None], persistent=False)
        angle_A = torch.arange(ORIENTATIONS) * (2 * math.pi / ORIENTATIONS)  # of the doubled angle
        self.register_buffer("cosine", angle_A.cos()[None, :, None, None], persistent=False)
        self.register_buffer("sine", angle_A.sin()[None, :, None, None], persistent=False)
        centres = torch.tensor([[0.0, 1.0], [-0.5, 0.5], [-0.5, 0.5]])
        steps = torch.arange(BINS) / (BINS - 1)
        self.register_buffer(
            "centres", centres[:, :1] + (centres[:, 1:] - centres[:, :1]) * steps, persistent=False
        )
        self.pools = nn.ModuleDict(
            {
                str(cells): _Means(self.side, (cells, cells))
                for cells in sorted({THUMBNAIL, COLOUR_CELLS, *GRADIENT_CELLS})
            }
        )
        self.shrink = _Means((spec.height, spec.width), self.side)
        everywhere = [torch.full((3 * BINS, spec.rows * spec.columns), 1 / (spec.rows * spec.columns))]
        grids = [(1, THUMBNAIL), (6, COLOUR_CELLS), *((ORIENTATIONS, cells) for cells in GRADIENT_CELLS)]
        placed = [_overlap(cells, spec).repeat(kinds, 1) for kinds, cells in grids]
        self.blocks = tuple(len(rows) for rows in placed + everywhere)
        self.register_buffer("cells_FC", torch.cat(placed + everywhere), persistent=False)
        self.cosine: Tensor
        self.sine: Tensor
        self.opponent: Tensor
        self.centres: Tensor
        self.cells_FC: Tensor

    def forward(self, pixels_NHW3: Tensor) -> Tensor:
        """uint8 RGB; returns features_NF."""
        rgb_N3HW = self.shrink(pixels_NHW3.permute(0, 3, 1, 2).float() / 255)
        colour_N3HW = F.conv2d(rgb_N3HW, self.opponent)
        grey_N1HW = colour_N3HW[:, :1]
        centred_N1HW = grey_N1HW - grey_N1HW.mean((2, 3), keepdim=True)
        spread_N111 = ((centred_N1HW * centred_N1HW).mean((2, 3), keepdim=True) + FLOOR).sqrt()
        relative_N1HW = centred_N1HW / spread_N111
        parts = [self._pool(relative_N1HW, THUMBNAIL), *self._colours(colour_N3HW)]
        parts += self._gradients(relative_N1HW)
        parts.append(self._histograms(colour_N3HW))
        return torch.cat([part.flatten(1) for part in parts], dim=1)

    def _pool(self, x_NCHW: Tensor, cells: int) -> Tensor:
        pooled: Tensor = self.pools[str(cells)](x_NCHW)
        return pooled

    def _colours(self, colour_N3HW: Tensor) -> list[Tensor]:
        """Mean and deviation in each cell."""
        mean_N3CC = self._pool(colour_N3HW, COLOUR_CELLS)
        square_N3CC = self._pool(colour_N3HW * colour_N3HW, COLOUR_CELLS)
        return [mean_N3CC, ((square_N3CC - mean_N3CC * mean_N3CC).clamp(min=0) + FLOOR).sqrt()]

    def _gradients(self, grey_N1HW: Tensor) -> list[Tensor]:
        across = F.pad(grey_N1HW, (1, 1, 0, 0), mode="replicate")
        along = F.pad(grey_N1HW, (0, 0, 1, 1), mode="replicate")
        x, y = across[..., 2:] - across[..., :-2], along[..., 2:, :] - along[..., :-2, :]
        energy = x * x + y * y
        strength = (energy + FLOOR).sqrt()
        cosine, sine = (x * x - y * y) / (energy + FLOOR), 2 * x * y / (energy + FLOOR)
        near_NAHW = ((1 + cosine * self.cosine + sine * self.sine) / 2) ** SHARPNESS * strength
        found = []
        for cells in GRADIENT_CELLS:
            sums_NACC = self._pool(near_NAHW, cells)
            total_N111 = sums_NACC.mean((1, 2, 3), keepdim=True)
            found.append((sums_NACC / (total_N111 + FLOOR) + FLOOR).sqrt())
        return found

    def _histograms(self, colour_N3HW: Tensor) -> Tensor:
        """Share of the pixels near each of BINS values of each channel, by triangular windows."""
        width = (self.centres[:, 1] - self.centres[:, 0])[:, None, None]
        bins = [
            (1 - (colour_N3HW - self.centres[:, b][:, None, None]).abs() / width).clamp(min=0).mean((2, 3))
            for b in range(BINS)
        ]
        return (torch.stack(bins, dim=2) + FLOOR).sqrt()


class _Means(nn.Module):
    """Means over a grid of cells, which need not divide the side."""

    def __init__(self, before: tuple[int, int], after: tuple[int, int]) -> None:
        super().__init__()
        self.needed = before != after
        self.register_buffer("rows", _shares(before[0], after[0])[:, :, None, None], persistent=False)
        self.register_buffer("columns", _shares(before[1], after[1])[:, :, None, None], persistent=False)
        self.rows: Tensor
        self.columns: Tensor

    def forward(self, x_NCHW: Tensor) -> Tensor:
        if not self.needed:
            return x_NCHW
        # As convolutions, an axis in the place of channels: ONNX Runtime refuses products of no images.
        rows_NRCW = F.conv2d(x_NCHW.transpose(1, 2), self.rows)
        return F.conv2d(rows_NRCW.permute(0, 3, 2, 1), self.columns).permute(0, 2, 3, 1)


def _shares(before: int, after: int) -> Tensor:
    """[after, before]: how much of each old place lies in each new one; rows sum to 1."""
    edges = torch.arange(after + 1) * (before / after)
    place = torch.arange(before)
    overlap = torch.minimum(edges[1:, None], place + 1.0) - torch.maximum(edges[:-1, None], place.float())
    return overlap.clamp(min=0) / overlap.clamp(min=0).sum(1, keepdim=True)


def _overlap(cells: int, spec: ImageSpec) -> Tensor:
    """[cells squared, C]: which share of each cell of a square grid lies in each of the spec's grid."""
    rows, columns = _spread(cells, spec.rows), _spread(cells, spec.columns)
    return torch.einsum("ar,bc->abrc", rows, columns).reshape(cells * cells, spec.rows * spec.columns)


def _spread(cells: int, onto: int) -> Tensor:
    """[cells, onto]: rows sum to 1."""
    shared = _shares(cells, onto).T
    return shared / shared.sum(1, keepdim=True)
