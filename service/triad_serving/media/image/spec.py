"""What a model reads of an image, and an image ready for the graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from triad_serving.contract.arrays import U8
from triad_serving.contract.checks import require_positive
from triad_serving.media.figures import Region

Fit = Literal["stretch", "pad", "crop"]


@dataclass(frozen=True, kw_only=True)
class ImageSpec:
    """Pixels fed to the graph, and the grid of cells its attention speaks of.

    fit: how an image of other proportions becomes height x width. stretch: whole and distorted. pad: whole,
    between bars of `pad_colour` (red, green, blue); where proportions or edges matter, as in medical images.
    crop: its middle; where the edges say little, and for networks that were pretrained so.
    """

    height: int = 56
    width: int = 56
    rows: int = 7
    columns: int = 7
    fit: Fit = "stretch"
    pad_colour: tuple[int, int, int] = (0, 0, 0)

    def __post_init__(self) -> None:
        """Raises ValueError."""
        require_positive(height=self.height, width=self.width, rows=self.rows, columns=self.columns)
        if not all(0 <= value <= 255 for value in self.pad_colour):
            raise ValueError(f"pad_colour: {list(self.pad_colour)} is not within 0 to 255")


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageInput:
    """region: left, top, right, bottom of what the model sees, in pixels of the image as sent.

    It reaches beyond the image where that was padded.
    """

    pixels_HW3: U8
    format: str
    width: int
    height: int
    region: Region
