"""An image as it might have been taken: from elsewhere, in another light, by another camera, half hidden.

Pillow and NumPy: Albumentations ended in June 2025, its successor is AGPL, both bring 150 MB of OpenCV, and
on a 28-pixel image a chain of five took 340 us there (on one of 56 420) and takes 120 (150) here.

Shape letters: H W pixels. Light is float, full scale = 1.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from triad_serving.contract.arrays import F32, U8
from triad_serving.media.image.decode import DecodedImage
from triad_serving.media.image.spec import ImageSpec
from triad_training.media.image.config import ImageAugment

Generator = np.random.Generator
CROP_SIDES = math.log(
    4 / 3
)  # of a crop, relative to the image's: 3:4 to 4:3 (Szegedy et al. 2014, section 6)
BOX_SIDES = math.log(10 / 3)  # of a cover (Zhong et al. 2017, arXiv:1708.04896)
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
TO_YIQ = np.array([LUMA, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
FROM_YIQ = np.linalg.inv(TO_YIQ)
NONE = ImageAugment()
MOVES = ("scale", "aspect", "rotate", "shear", "shift")
LIGHTS = ("brightness", "contrast", "saturation", "hue", "tint", "shading", "erase", "noise")


def augment_image(
    decoded: DecodedImage, config: ImageAugment, spec: ImageSpec, rng: Generator
) -> DecodedImage:
    """Crops, moves, turns and re-inks the image, then puts it under another light and camera."""
    decoded = _crop(decoded, config, rng)
    pixels_HW3 = decoded.pixels_HW3
    if rng.random() < config.flip_horizontal:
        pixels_HW3 = pixels_HW3[:, ::-1]
    if rng.random() < config.flip_vertical:
        pixels_HW3 = pixels_HW3[::-1]
    image = Image.fromarray(pixels_HW3)
    if config.canvas:
        image = image.resize((config.canvas, config.canvas), Image.Resampling.BICUBIC)
    elif (factor := min(image.width // spec.width, image.height // spec.height)) > 1:
        image = image.reduce(factor)  # what the graph will not see need not be moved about
    image = _change_stroke(image, config, rng)
    if _asks(config, MOVES):
        image = _move(image, config, rng)
    if rng.random() < config.invert:
        image = ImageOps.invert(image)
    if config.blur:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, config.blur)))
    pixels_HW3 = np.asarray(image)
    if _asks(config, LIGHTS):
        pixels_HW3 = _relight(pixels_HW3, config, rng)
    return dataclasses.replace(decoded, pixels_HW3=pixels_HW3)


def _asks(config: ImageAugment, names: tuple[str, ...]) -> bool:
    return any(getattr(config, name) != getattr(NONE, name) for name in names)


def _crop(decoded: DecodedImage, config: ImageAugment, rng: Generator) -> DecodedImage:
    """A box somewhere in the image; its size as sent shrinks with it, so that fitting knows its shape."""
    if config.crop == NONE.crop:
        return decoded
    height, width, _ = decoded.pixels_HW3.shape
    area, sides = rng.uniform(*config.crop), math.exp(rng.uniform(-CROP_SIDES, CROP_SIDES))
    across, down = min(math.sqrt(area * sides), 1.0), min(math.sqrt(area / sides), 1.0)
    kept_width, kept_height = max(round(width * across), 1), max(round(height * down), 1)
    left, top = rng.integers(width - kept_width + 1), rng.integers(height - kept_height + 1)
    return dataclasses.replace(
        decoded,
        pixels_HW3=decoded.pixels_HW3[top : top + kept_height, left : left + kept_width],
        width=max(round(decoded.width * kept_width / width), 1),
        height=max(round(decoded.height * kept_height / height), 1),
    )


def _change_stroke(image: Image.Image, config: ImageAugment, rng: Generator) -> Image.Image:
    if not config.stroke:
        return image
    change = int(rng.integers(-config.stroke, config.stroke, endpoint=True))
    if change > 0:
        return image.filter(ImageFilter.MaxFilter(2 * change + 1))
    return image.filter(ImageFilter.MinFilter(1 - 2 * change)) if change < 0 else image


def _move(image: Image.Image, config: ImageAugment, rng: Generator) -> Image.Image:
    """One affine map: PIL wants, for each pixel of the result, where in the source it comes from."""
    width, height = image.size
    scale, aspect = rng.uniform(*config.scale), math.sqrt(rng.uniform(*config.aspect))
    angle = math.radians(rng.uniform(-config.rotate, config.rotate))
    shear = rng.uniform(-config.shear, config.shear)
    across, down = scale * aspect, scale / aspect
    cos, sin = math.cos(angle), math.sin(angle)
    a, b = cos * across, cos * shear * across - sin * down
    c, d = sin * across, sin * shear * across + cos * down
    det = a * d - b * c
    a, b, c, d = d / det, -b / det, -c / det, a / det
    shift_x, shift_y = rng.uniform(-config.shift, config.shift, 2).tolist()
    target_x = width / 2 * (1 + shift_x * abs(1 - across))
    target_y = height / 2 * (1 + shift_y * abs(1 - down))
    from_x = width / 2 - a * target_x - b * target_y
    from_y = height / 2 - c * target_x - d * target_y
    return image.transform(
        image.size,
        Image.Transform.AFFINE,
        (a, b, from_x, c, d, from_y),
        Image.Resampling.BICUBIC,
        fillcolor=_border_median(np.asarray(image)),
    )


def _border_median(pixels_HW3: U8) -> tuple[int, ...]:
    border = np.concatenate([pixels_HW3[0], pixels_HW3[-1], pixels_HW3[:, 0], pixels_HW3[:, -1]])
    middle = len(border) // 2
    return tuple(np.partition(border, middle, axis=0)[middle].tolist())


def _relight(pixels_HW3: U8, config: ImageAugment, rng: Generator) -> U8:
    """Colours of ink, paper and lamp, uneven light, something in the way, noise of the sensor."""
    light_HW3 = _recolour(pixels_HW3.astype(np.float32) / np.float32(255), config, rng)
    if config.shading:
        height, width, _ = light_HW3.shape
        slope_x, slope_y = rng.uniform(-config.shading, config.shading, 2)
        across_W = np.linspace(-0.5, 0.5, width, dtype=np.float32)
        down_H = np.linspace(-0.5, 0.5, height, dtype=np.float32)
        light_HW3 *= (1 + slope_x * across_W + slope_y * down_H[:, None])[:, :, None]
    if rng.random() < config.erase:
        _cover(light_HW3, config, rng)
    if config.noise:
        deviation = np.float32(rng.uniform(0, config.noise))
        light_HW3 += deviation * rng.standard_normal(light_HW3.shape, dtype=np.float32)
    light_HW3 *= 255
    light_HW3 += 0.5
    return light_HW3.clip(0, 255).astype(np.uint8)


def _recolour(light_HW3: F32, config: ImageAugment, rng: Generator) -> F32:
    """Every change of colour is linear: all of them are one matrix and one offset."""
    contrast, brightness = rng.uniform(*config.contrast), rng.uniform(*config.brightness)
    offset_3 = rng.uniform(-config.tint, config.tint, 3)
    offset_3 += brightness * (1 - contrast) * float(light_HW3.mean())
    if config.hue or config.saturation != NONE.saturation:
        light_HW3 = light_HW3 @ _mixing(config, rng)
    return light_HW3 * np.float32(brightness * contrast) + offset_3.astype(np.float32)


def _mixing(config: ImageAugment, rng: Generator) -> F32:
    """[3, 3]: RGB in to RGB out; greys stay as they are."""
    angle = math.radians(rng.uniform(-config.hue, config.hue))
    cos, sin = math.cos(angle), math.sin(angle)
    turn_33 = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    saturation = rng.uniform(*config.saturation)
    mixing_33 = saturation * (FROM_YIQ @ turn_33 @ TO_YIQ) + (1 - saturation) * LUMA[None, :]
    return np.asarray(mixing_33.T, dtype=np.float32)


def _cover(light_HW3: F32, config: ImageAugment, rng: Generator) -> None:
    """Grey over a box anywhere, or over a band along one side, in place."""
    height, width, _ = light_HW3.shape
    area = rng.uniform(*config.erase_area)
    grey = rng.random(dtype=np.float32)
    if rng.random() < config.erase_band:
        side = int(rng.integers(4))
        turned = np.rot90(light_HW3, side)  # a view
        turned[: round(area * turned.shape[0])] = grey
        return
    sides = math.exp(rng.uniform(-BOX_SIDES, BOX_SIDES))
    across = min(round(width * math.sqrt(area * sides)), width)
    down = min(round(height * math.sqrt(area / sides)), height)
    left, top = rng.integers(width - across + 1), rng.integers(height - down + 1)
    light_HW3[top : top + down, left : left + across] = grey
