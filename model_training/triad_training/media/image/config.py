"""The section [augment.image] of a training config."""

from __future__ import annotations

from pydantic import Field

from triad_training.media.section import Factors, Fraction, Range, Section, Shares


class ImageAugment(Section):
    """In the order in which they happen; the outside of a moved image gets its border's median colour."""

    crop: Factors = Field(
        default=(1.0, 1.0), description="Share of the area that is kept: objects of any size and place."
    )
    flip_horizontal: Fraction = Field(
        default=0.0, description="Share mirrored, left to right: where the sides mean the same."
    )
    flip_vertical: Fraction = Field(
        default=0.0, description="Share turned upside down: for what is seen from above."
    )
    canvas: int = Field(
        default=0,
        ge=0,
        description="Side of the canvas it is redrawn on, pixels; 0: none, it keeps its shape.",
    )
    stroke: int = Field(
        default=0, ge=0, description="Largest thickening or thinning of bright strokes, pixels: handwriting."
    )
    scale: Factors = Field(default=(1.0, 1.0), description="Size of the picture within its canvas.")
    aspect: Factors = Field(default=(1.0, 1.0), description="Width over height, relative.")
    rotate: float = Field(default=0.0, ge=0, description="Largest turn, degrees.")
    shear: float = Field(default=0.0, ge=0, description="Largest horizontal shear, fraction of the height.")
    shift: float = Field(default=0.0, ge=0, description="Largest shift, fraction of the margin.")
    invert: Fraction = Field(default=0.0, description="Share of images turned negative: ink on any paper.")
    blur: float = Field(default=0.0, ge=0, description="Largest Gaussian radius, canvas pixels.")
    brightness: Factors = Field(default=(1.0, 1.0), description="Factor on the light: another exposure.")
    contrast: Range = Field(default=(1.0, 1.0), description="Factor on the distance from the mean.")
    saturation: Range = Field(
        default=(1.0, 1.0), description="Factor on the colours; 0 is grey: another camera."
    )
    hue: float = Field(
        default=0.0, ge=0, le=180, description="Largest turn of the colours, degrees: where hue says nothing."
    )
    tint: float = Field(default=0.0, ge=0, description="Largest shift of a colour channel, full scale = 1.")
    shading: float = Field(default=0.0, ge=0, description="Largest slope of uneven light across the image.")
    erase: Fraction = Field(
        default=0.0, description="Share of images of which a part is covered in grey: where things hide it."
    )
    erase_area: Shares = Field(default=(0.1, 0.4), description="Share of the image that is covered.")
    erase_band: Fraction = Field(
        default=0.0, description="Share of the covers that reach along one whole side; others are boxes."
    )
    noise: float = Field(default=0.0, ge=0, description="Largest deviation of noise, full scale = 1.")
