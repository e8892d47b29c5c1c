"""What training may do to the media of its examples: [augment.text], .image, .audio and .spectrum.

All of it is off by default. A share is drawn for each example anew, a value uniformly from its range.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from triad_serving.contract.outputs import MediumName
from triad_serving.media.names import MEDIA


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _ordered(values: tuple[float, float]) -> tuple[float, float]:
    if values[0] > values[1]:
        raise ValueError(f"the range begins at {values[0]:g}, above its end {values[1]:g}")
    return values


Fraction: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Positive: TypeAlias = Annotated[float, Field(gt=0)]
Range: TypeAlias = Annotated[tuple[float, float], AfterValidator(_ordered)]
Shares: TypeAlias = Annotated[tuple[Fraction, Fraction], AfterValidator(_ordered)]
Factors: TypeAlias = Annotated[tuple[Positive, Positive], AfterValidator(_ordered)]


class TextAugment(Section):
    drop: Fraction = Field(default=0.0, description="Share of words left out.")
    split: Fraction = Field(default=0.0, description="Share of words spelled out, as unknown ones are.")


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


class AudioAugment(Section):
    """In the order in which they happen."""

    speed: Factors = Field(default=(1.0, 1.0), description="Factor on tempo and pitch: other speakers.")
    shift_s: float = Field(
        default=0.0,
        ge=0,
        description="Largest shift, seconds; what leaves at one end is silence at the other.",
    )
    silence_s: float = Field(default=0.0, ge=0, description="Longest silence before and after, seconds each.")
    noise_snr_db: Range | None = Field(
        default=None, description="Signal to noise ratio of what is mixed in: noisy places; unset: nothing."
    )
    noise_folder: Path | None = Field(
        default=None,
        description="Recordings of noise, relative to the config file; unset: noise made of random numbers, "
        "from hiss to rumble.",
    )
    tilt_db: float = Field(default=0.0, ge=0, description="Largest treble boost or cut of a microphone.")
    gain_db: Range = Field(
        default=(0.0, 0.0),
        description="Change of loudness, which log-mel features do not show: for encoders of the raw wave.",
    )

    @model_validator(mode="after")
    def _mixes_what_it_names(self) -> AudioAugment:
        if self.noise_folder is not None and self.noise_snr_db is None:
            raise ValueError("noise_folder needs noise_snr_db, the range of signal to noise ratios")
        return self


class SpectrumAugment(Section):
    """SpecAugment: parts of a sound's features are hidden, inside the network while it learns."""

    masks: int = Field(default=1, ge=1, description="How many of each kind.")
    time_s: float = Field(
        default=0.0, ge=0, description="Longest stretch hidden, seconds: no single moment shall decide."
    )
    bands: Fraction = Field(
        default=0.0, description="Widest stretch of the bands hidden, share: other voices and microphones."
    )


class AugmentConfig(Section):
    """Applied to the training split only; but for `spectrum`, between decoding and fitting."""

    text: TextAugment = TextAugment()
    image: ImageAugment = ImageAugment()
    audio: AudioAugment = AudioAugment()
    spectrum: SpectrumAugment = SpectrumAugment()

    @property
    def media(self) -> frozenset[MediumName]:
        """Those that it changes at all."""
        default = AugmentConfig()
        return frozenset(medium for medium in MEDIA if getattr(self, medium) != getattr(default, medium))
