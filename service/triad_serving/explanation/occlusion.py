"""The parts of an example that can be hidden from the model, one at a time, and the example without each.

A part is some tokens in a row: words, cells of the image's grid, moments of the sound. Where there are more
tokens than a request may hide, neighbours are hidden together.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from triad_serving.contract.arrays import F32
from triad_serving.contract.outputs import MediumName
from triad_serving.media.audio.spec import AudioInput, AudioSpec, sound_tokens
from triad_serving.media.example import ModelInputs, PreprocessSpec
from triad_serving.media.image.spec import ImageInput, ImageSpec
from triad_serving.media.names import MEDIA
from triad_serving.media.text.spec import TextInput


@dataclass(frozen=True, kw_only=True)
class Part:
    """Tokens of one medium, [first, last): of a text or sound, along it; of an image, rows and columns."""

    medium: MediumName
    first: int
    last: int
    left: int = 0
    right: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """Everything that is hidden of an example. columns: parts in a line of the image."""

    parts: tuple[Part, ...]
    columns: int

    def of(self, medium: MediumName) -> list[tuple[int, Part]]:
        """With their places among all."""
        return [(n, part) for n, part in enumerate(self.parts) if part.medium == medium]


def parts_of(inputs: ModelInputs, spec: PreprocessSpec, *, most: int) -> Parts:
    """most: parts of one medium."""
    parts: list[Part] = []
    columns = 0
    if inputs.text:
        parts += _along("text", len(inputs.text.ids_L), most)
    if inputs.image and spec.image:
        cells = list(_of_grid(spec.image, most))
        columns = sum(part.first == 0 for part in cells)
        parts += cells
    if inputs.audio and spec.audio:
        parts += _along("audio", sound_tokens(len(inputs.audio.samples_T), spec.audio), most)
    return Parts(parts=tuple(parts), columns=columns)


def hide(inputs: ModelInputs, parts: Sequence[Part], spec: PreprocessSpec) -> ModelInputs:
    """The example without some parts; a medium that keeps all its own is shared, so that it is encoded once.

    Words are left out (a text of no other words is absent then), cells get the image's mean colour, moments
    are silent.
    """
    words, cells, moments = ([part for part in parts if part.medium == medium] for medium in MEDIA)
    text, image, audio = inputs.text, inputs.image, inputs.audio
    if text and words:
        text = _without_words(text, words)
    if image and spec.image and cells:
        image = _without_cells(image, cells, spec.image)
    if audio and spec.audio and moments:
        audio = _without_moments(audio, moments, spec.audio)
    return ModelInputs(text=text, image=image, audio=audio)


def total(weights: F32, part: Part, spec: PreprocessSpec) -> float:
    """Sum of a medium's weights (by token) over a part."""
    if part.medium != "image":
        return float(weights[part.first : part.last].sum())
    assert spec.image is not None
    grid = weights.reshape(spec.image.rows, spec.image.columns)
    return float(grid[part.first : part.last, part.left : part.right].sum())


def _along(medium: MediumName, tokens: int, most: int) -> Iterator[Part]:
    """Parts of equal length, but for the last."""
    step = -(-tokens // most)
    for first in range(0, tokens, step):
        yield Part(medium=medium, first=first, last=min(first + step, tokens))


def _of_grid(spec: ImageSpec, most: int) -> Iterator[Part]:
    """Squares of cells, line by line."""
    side = next(
        side for side in range(1, 1 + max(spec.rows, spec.columns))
        if math.ceil(spec.rows / side) * math.ceil(spec.columns / side) <= most
    )  # fmt: skip
    for top in range(0, spec.rows, side):
        for left in range(0, spec.columns, side):
            bottom, right = min(top + side, spec.rows), min(left + side, spec.columns)
            yield Part(medium="image", first=top, last=bottom, left=left, right=right)


def _without_words(text: TextInput, parts: Sequence[Part]) -> TextInput | None:
    left_out = {token for part in parts for token in range(part.first, part.last)}
    kept = [token for token in range(len(text.ids_L)) if token not in left_out]
    if not kept:
        return None
    pos_L = None if text.pos_L is None else text.pos_L[kept]
    spans = tuple(text.spans[token] for token in kept)
    return dataclasses.replace(text, ids_L=text.ids_L[kept], pos_L=pos_L, spans=spans)


def _without_cells(image: ImageInput, parts: Sequence[Part], spec: ImageSpec) -> ImageInput:
    pixels_HW3 = image.pixels_HW3.copy()
    mean_3 = image.pixels_HW3.mean(axis=(0, 1)).round().astype(np.uint8)
    high, wide = spec.height / spec.rows, spec.width / spec.columns
    for part in parts:
        rows = slice(round(part.first * high), round(part.last * high))
        columns = slice(round(part.left * wide), round(part.right * wide))
        pixels_HW3[rows, columns] = mean_3
    return dataclasses.replace(image, pixels_HW3=pixels_HW3)


def _without_moments(sound: AudioInput, parts: Sequence[Part], spec: AudioSpec) -> AudioInput:
    samples_T = sound.samples_T.copy()
    token = spec.hop * spec.frames_per_token
    for part in parts:
        samples_T[part.first * token : part.last * token] = 0
    return dataclasses.replace(sound, samples_T=samples_T)
