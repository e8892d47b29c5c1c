"""Images under noise, and behind a square. Shape letters: H W pixels."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from triad_serving.contract.arrays import F32
from triad_serving.media.image.decode import DecodedImage
from triad_training.media.corruption import Corruption


def add_noise(decoded: DecodedImage, level: float, rng: np.random.Generator) -> DecodedImage:
    pixels_HW3 = decoded.pixels_HW3.astype(np.float32)
    pixels_HW3 += 255 * level * rng.standard_normal(pixels_HW3.shape, dtype=np.float32)
    return _with_pixels(decoded, pixels_HW3)


def cover(decoded: DecodedImage, level: float, rng: np.random.Generator) -> DecodedImage:
    """By a grey box of the image's proportions."""
    pixels_HW3 = decoded.pixels_HW3.astype(np.float32)
    height, width, _ = pixels_HW3.shape
    side = math.sqrt(level)
    rows, columns = round(height * side), round(width * side)
    top, left = (rng.random(2) * (height - rows, width - columns)).astype(int)
    pixels_HW3[top : top + rows, left : left + columns] = 127
    return _with_pixels(decoded, pixels_HW3)


def _with_pixels(decoded: DecodedImage, pixels_HW3: F32) -> DecodedImage:
    return replace(decoded, pixels_HW3=pixels_HW3.clip(0, 255).astype(np.uint8))


CORRUPTIONS = (
    Corruption(
        kind="image noise",
        medium="image",
        unit="deviation of Gaussian noise, full scale = 1",
        levels=(None, 0.05, 0.1, 0.2, 0.4),
        cause="under image noise of deviation {:g}",
        apply=add_noise,
    ),
    Corruption(
        kind="occlusion",
        medium="image",
        unit="share of the image under a grey square",
        levels=(None, 0.1, 0.25, 0.5, 0.75),
        cause="when a grey square covers {:.0%} of the image",
        apply=cover,
    ),
)
