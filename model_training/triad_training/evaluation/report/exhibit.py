"""One example's media as a page can show them, with the attention of one task drawn on each.

Shape letters: H W pixels, T samples.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr
from PIL import Image

from triad_serving.contract.arrays import F32
from triad_serving.contract.outputs import MediumName
from triad_serving.inference.postprocess import describe_attention
from triad_serving.media.audio.decode import decode_audio
from triad_serving.media.audio.spec import AudioSpec
from triad_serving.media.example import ModelInputs, PreprocessSpec, RawInputs
from triad_serving.media.image.decode import decode_image
from triad_serving.media.image.spec import ImageSpec
from triad_training.data.forms import LIMITS

THUMBNAIL = 240  # pixels, longer side
MOST_CHARACTERS = 400
MOST_SECONDS = 10.0
WAVE_WIDTH, WAVE_HEIGHT = 240, 40  # units of its drawing


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A part of a drawing, in its units. weight: attention relative to the most attended part."""

    x: float
    y: float
    width: float
    height: float
    weight: float


@dataclass(frozen=True, kw_only=True)
class Picture:
    """width, height: of the image as sent, in pixels, which are the units of its cells."""

    uri: str
    width: int
    height: int
    cells: list[Cell]


@dataclass(frozen=True, kw_only=True)
class Sound:
    """seconds: of the whole sound; shown_s: of what can be heard.

    wave: an SVG path in a box of WAVE_WIDTH by WAVE_HEIGHT, in whose units the cells are.
    """

    uri: str
    seconds: float
    shown_s: float
    wave: str
    cells: list[Cell]


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """shares: attention on each present medium. words: pieces of the text, each with its relative weight."""

    shares: dict[MediumName, float]
    words: list[tuple[str, float]]
    picture: Picture | None
    sound: Sound | None


def show_example(
    raw: RawInputs, inputs: ModelInputs, weights: dict[MediumName, F32], spec: PreprocessSpec
) -> Exhibit:
    """weights: one task's attention, by medium, as the session gives it."""
    attention = describe_attention(weights, weights, inputs, raw.text, spec)  # its rollout is not shown
    picture = sound = None
    if raw.image and spec.image and (seen := attention.image):
        picture = _show_image(raw.image, spec.image, seen.region, seen.weights)
    if raw.audio and spec.audio and attention.audio:
        sound = _show_sound(raw.audio, spec.audio, [(s.start, s.end, s.weight) for s in attention.audio])
    words = [(word.start, word.end, word.weight) for word in attention.text or []]
    return Exhibit(
        shares={medium: attention.modalities[medium] for medium in inputs.media},
        words=_show_words(raw.text or "", words),
        picture=picture,
        sound=sound,
    )


def _show_words(text: str, spans: Sequence[tuple[int, int, float]]) -> list[tuple[str, float]]:
    """The whole text in pieces, what lies between tokens included, cut off after MOST_CHARACTERS."""
    most = max((weight for *_, weight in spans), default=0) or 1.0
    pieces: list[tuple[str, float]] = []
    at = 0
    for start, end, weight in spans:
        if end > MOST_CHARACTERS:
            break
        pieces += [(text[at:start], 0.0), (text[max(start, at) : end], weight / most)]
        at = max(at, end)
    rest = text[at:] if len(text) <= MOST_CHARACTERS else f"{text[at:MOST_CHARACTERS]}…"
    return [(piece, weight) for piece, weight in [*pieces, (rest, 0.0)] if piece]


def _show_image(
    data: bytes, spec: ImageSpec, region: tuple[int, int, int, int], weights: Sequence[Sequence[float]]
) -> Picture:
    decoded = decode_image(data, spec, LIMITS)
    image = Image.fromarray(decoded.pixels_HW3)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    file = io.BytesIO()
    kind = "png" if max(image.size) < THUMBNAIL else "jpeg"
    image.save(file, kind)
    left, top, right, bottom = region
    height, width = (bottom - top) / len(weights), (right - left) / len(weights[0])
    most = max(max(row) for row in weights) or 1.0
    cells = [
        Cell(x=left + c * width, y=top + r * height, width=width, height=height, weight=weight / most)
        for r, row in enumerate(weights)
        for c, weight in enumerate(row)
    ]
    return Picture(uri=_uri(f"image/{kind}", file), width=decoded.width, height=decoded.height, cells=cells)


def _show_sound(data: bytes, spec: AudioSpec, moments: Sequence[tuple[float, float, float]]) -> Sound:
    """Its first MOST_SECONDS, at the rate that the model hears."""
    decoded = decode_audio(data, spec, LIMITS)
    kept_T = decoded.samples_T[: round(MOST_SECONDS * decoded.sample_rate_hz)]
    wave_T = soxr.resample(kept_T, decoded.sample_rate_hz, spec.sample_rate_hz)
    file = io.BytesIO()
    soundfile.write(file, wave_T.clip(-1, 1), spec.sample_rate_hz, format="WAV", subtype="PCM_16")
    unit = WAVE_WIDTH * spec.sample_rate_hz / len(wave_T)  # of the drawing, per second
    most = max((weight for *_, weight in moments), default=0) or 1.0
    cells = [
        Cell(x=start * unit, y=0, width=(end - start) * unit, height=WAVE_HEIGHT, weight=weight / most)
        for start, end, weight in moments
        if end * unit <= WAVE_WIDTH + 1
    ]
    return Sound(
        uri=_uri("audio/wav", file),
        seconds=decoded.seconds,
        shown_s=len(kept_T) / decoded.sample_rate_hz,
        wave=_wave_path(wave_T),
        cells=cells,
    )


def _wave_path(wave_T: F32) -> str:
    """An upright stroke from the lowest to the highest sample of each stretch, full scale at the loudest."""
    middle = WAVE_HEIGHT / 2
    scale = 0.95 * middle / max(float(np.abs(wave_T).max()), 1e-6)
    strokes = []
    for x, stretch in enumerate(np.array_split(wave_T, WAVE_WIDTH)):
        if len(stretch):
            high, low = middle - scale * stretch.max(), middle - scale * stretch.min()
            strokes.append(f"M{x + 0.5} {high:.1f}V{max(low, high + 0.5):.1f}")
    return "".join(strokes)


def _uri(mime: str, file: io.BytesIO) -> str:
    return f"data:{mime};base64,{base64.b64encode(file.getvalue()).decode()}"
