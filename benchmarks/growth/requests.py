"""Requests of every size: long texts and sounds, large images, many rows."""

from __future__ import annotations

import io
import itertools

import numpy as np
from PIL import Image

from benchmarks.media import PHOTO, make_examples
from triad_serving.media.example import RawInputs

GRAIN = 64  # of 255, as a camera's noise: so that a file grows with its pixels
TILE = 512
QUALITY = 80  # of JPEG: 64 megapixels keep below the cap on bytes


def text_of(characters: int) -> RawInputs:
    """Sentences, over and over."""
    sentences = itertools.cycle(each.text for each in make_examples(sound_s=0.1) if each.text)
    text = ""
    while len(text) < characters:
        text += next(sentences)
    return RawInputs(text=text[:characters])


def sound_of(seconds: float) -> RawInputs:
    return RawInputs(audio=make_examples(sound_s=seconds)[0].audio)


def image_of(megapixels: float) -> RawInputs:
    """A photograph of 4 by 3, as JPEG."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    size = (round(height * 4 / 3), height)
    example = make_examples(sound_s=0.1)[0]
    assert example.image is not None
    with Image.open(io.BytesIO(example.image)) as photo:
        large = photo.resize(PHOTO).resize(size, Image.Resampling.BILINEAR)
    tile = np.random.default_rng(0).integers(0, GRAIN, (TILE, TILE, 3), dtype=np.uint8)
    repeats = (-(-size[1] // TILE), -(-size[0] // TILE), 1)
    grain = Image.fromarray(np.tile(tile, repeats)[: size[1], : size[0]])
    file = io.BytesIO()
    Image.blend(large, grain, 0.5).save(file, "JPEG", quality=QUALITY)
    return RawInputs(image=file.getvalue())
