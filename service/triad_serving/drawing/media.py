"""An example's media as pictures can hold them: small, whatever their size as sent.

Shape letters: H W pixels, T samples, X columns of a wave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from triad_serving.contract.arrays import F32, U8
from triad_serving.media.audio.decode import decode_audio
from triad_serving.media.audio.spec import AudioSpec
from triad_serving.media.image.decode import DRAFT_FACTOR, Region, decode_image
from triad_serving.media.image.spec import ImageSpec
from triad_serving.media.limits import MediaLimits

PICTURE_SIDE = 480  # pixels, the longer one, at most
WAVE_COLUMNS = 240
MOST_CHARACTERS, TAIL = 1000, 120
TOUCH_S = 1e-6  # a moment that reaches into a column by less does not: it was rounded
NARROWEST = 24  # pixels of a drawn image, which an extreme one is stretched to

# Large enough for a JPEG not to be decoded smaller than PICTURE_SIDE.
DECODED_AS = ImageSpec(height=PICTURE_SIDE // DRAFT_FACTOR, width=PICTURE_SIDE // DRAFT_FACTOR)


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """pixels_HW3: RGB, upright, shrunk to PICTURE_SIDE. width, height: as sent, upright."""

    pixels_HW3: U8
    width: int
    height: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Wave:
    """low_X, high_X: of each column, full scale at the loudest. shown_s: how much of `seconds` there is."""

    low_X: F32
    high_X: F32
    shown_s: float
    seconds: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Media:
    """One example; None where a medium is absent."""

    text: str | None
    picture: Picture | None
    wave: Wave | None


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What is drawn of an image, in its pixels as sent; and how large that is drawn, across x down pixels."""

    left: int
    top: int
    width: int
    height: int
    across: int
    down: int


def frame_of(picture: Picture, region: Region | None, side: int) -> Frame:
    """All of the image and of a region that may reach beyond it, in a square of `side` pixels."""
    left, top, right, bottom = region or (0, 0, picture.width, picture.height)
    left, top = min(left, 0), min(top, 0)
    width, height = max(right, picture.width) - left, max(bottom, picture.height) - top
    scale = side / max(width, height)
    across, down = (max(round(scale * length), NARROWEST) for length in (width, height))
    return Frame(left=left, top=top, width=width, height=height, across=across, down=down)


def picture_of(data: bytes, limits: MediaLimits) -> Picture:
    """Of an image file that was decoded before; raises as decode_image does."""
    decoded = decode_image(data, DECODED_AS, limits)
    image = Image.fromarray(decoded.pixels_HW3)
    image.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    return Picture(pixels_HW3=np.asarray(image), width=decoded.width, height=decoded.height)


def wave_of(data: bytes, spec: AudioSpec, limits: MediaLimits) -> Wave:
    """Of a sound file that was decoded before, what the model hears of it; raises as decode_audio does."""
    decoded = decode_audio(data, spec, limits)
    wave_T = decoded.samples_T
    columns = min(WAVE_COLUMNS, len(wave_T))
    starts = np.arange(columns) * len(wave_T) // columns
    loudest = np.maximum(np.abs(wave_T).max(), np.float32(1e-6))
    return Wave(
        low_X=np.minimum.reduceat(wave_T, starts) / loudest,
        high_X=np.maximum.reduceat(wave_T, starts) / loudest,
        shown_s=len(wave_T) / decoded.sample_rate_hz,
        seconds=decoded.seconds,
    )


def values_by_column(
    spans_s: Sequence[tuple[float, float]], values: Sequence[float], wave: Wave
) -> tuple[float | None, ...]:
    """The value of the moment that lies under each column of a wave; of several the largest in magnitude.

    spans_s: start and end of each moment, in order. None where there is no moment: the model did not hear it.
    """
    starts, ends = (np.array([span[end] for span in spans_s]) for end in (0, 1))
    edges = np.linspace(0, wave.shown_s, len(wave.low_X) + 1)
    first = np.searchsorted(ends, edges[:-1] + TOUCH_S, side="right")
    last = np.searchsorted(starts, edges[1:] - TOUCH_S, side="left")
    slices = (values[i:j] for i, j in zip(first, last, strict=True))
    return tuple(max(under, key=abs) if len(under) else None for under in slices)


def pieces_of(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[str, int | None]]:
    """The text in pieces, each with the index of its span, None between spans.

    At most MOST_CHARACTERS, of which TAIL behind the last span: what the model did not read. spans: [start,
    end) in characters, in order; where two overlap, the first has what both have.
    """
    pieces: list[tuple[str, int | None]] = []
    at = 0
    for n, (start, end) in enumerate(spans):
        if end > MOST_CHARACTERS:
            break
        pieces += [(text[at:start], None), (text[max(start, at) : end], n)]
        at = max(at, end)
    cut = min(MOST_CHARACTERS, at + TAIL)
    rest = text[at:] if len(text) <= cut else f"{text[at:cut]}…"
    return [(piece, n) for piece, n in [*pieces, (rest, None)] if piece]
