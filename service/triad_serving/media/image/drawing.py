"""An image as a drawing shows it: small, under a grid of values. Shape letters: H W pixels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
from PIL import Image

from triad_serving.media.figures import Heat, Picture, Scale
from triad_serving.media.image.decode import DRAFT_FACTOR, decode_image
from triad_serving.media.image.schemas import ImageAttention, ImageOcclusion
from triad_serving.media.image.spec import ImageSpec
from triad_serving.media.limits import MediaLimits

PICTURE_SIDE = 480  # pixels, the longer one, at most

# Large enough for a JPEG not to be decoded smaller than PICTURE_SIDE.
DECODED_AS = ImageSpec(height=PICTURE_SIDE // DRAFT_FACTOR, width=PICTURE_SIDE // DRAFT_FACTOR)

Section = ImageAttention | ImageOcclusion


def picture_of(data: bytes, limits: MediaLimits) -> Picture:
    """Of an image file that was decoded before; raises as decode_image does."""
    decoded = decode_image(data, DECODED_AS, limits)
    image = Image.fromarray(decoded.pixels_HW3)
    image.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    return Picture(pixels_HW3=np.asarray(image), width=decoded.width, height=decoded.height)


def values_of(section: Section) -> list[float]:
    return list(chain.from_iterable(_grid(section)))


def draw_cells(section: Section, scale: Scale, title: str) -> Heat:
    return Heat(title=title, scale=scale, values=tuple(map(tuple, _grid(section))), region=section.region)


def _grid(section: Section) -> Sequence[Sequence[float]]:
    return section.drops if isinstance(section, ImageOcclusion) else section.weights
