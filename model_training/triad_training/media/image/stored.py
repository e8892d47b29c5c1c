"""Images as the cache keeps them.

image    as the graph reads it
picture  as augmentation needs it: before fitting, reduced by a whole factor where it is large
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

import triad_serving.media.image.decode
from triad_serving.media.image.decode import DRAFT_FACTOR, DecodedImage, decode_image, fit_image
from triad_serving.media.image.spec import ImageInput, ImageSpec
from triad_training.media.stored import LIMITS, File, Files, StoredForm


def as_read(data: bytes, spec: ImageSpec) -> ImageInput:
    return fit_image(decode_image(data, spec, LIMITS), spec)


def to_augment(data: bytes, spec: ImageSpec) -> DecodedImage:
    """Still DRAFT_FACTOR times what the graph reads, as a JPEG is decoded in the first place."""
    decoded = decode_image(data, spec, LIMITS)
    height, width, _ = decoded.pixels_HW3.shape
    factor = min(height // (DRAFT_FACTOR * spec.height), width // (DRAFT_FACTOR * spec.width))
    if factor < 2:
        return decoded
    pixels_HW3 = np.asarray(Image.fromarray(decoded.pixels_HW3).reduce(factor))
    return dataclasses.replace(decoded, pixels_HW3=pixels_HW3)


SOURCES = (str(triad_serving.media.image.decode.__file__),)
IMAGE_AS_READ = StoredForm(name="image", medium="image", type=ImageInput, decode=as_read, sources=SOURCES)
PICTURE = StoredForm(name="picture", medium="image", type=DecodedImage, decode=to_augment, sources=SOURCES)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ImageLoader:
    """From the store as the graph reads them, or changed before they are fitted."""

    spec: ImageSpec
    files: Files

    def __call__(self, path: Path, change: Callable[[DecodedImage], DecodedImage] | None) -> ImageInput:
        if change is None:
            found: ImageInput = self.files.read(File(IMAGE_AS_READ, path))
            return found
        return fit_image(change(self.files.read(File(PICTURE, path))), self.spec)
