"""A sound on a report's page, with the attention on its moments. Shape letters: T samples."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr

from triad_serving.contract.arrays import F32
from triad_serving.media.audio.decode import decode_audio
from triad_serving.media.audio.schemas import SoundAttention
from triad_serving.media.audio.spec import AudioSpec
from triad_training.media.drawing import Cell, data_uri
from triad_training.media.stored import LIMITS

MOST_SECONDS = 10.0
WAVE_WIDTH, WAVE_HEIGHT = 240, 40  # units of its drawing


@dataclass(frozen=True, kw_only=True)
class SoundView:
    """seconds: of the whole sound; shown_s: of what can be heard.

    wave: an SVG path in a box of WAVE_WIDTH by WAVE_HEIGHT, in whose units the cells are.
    """

    uri: str
    seconds: float
    shown_s: float
    wave: str
    cells: list[Cell]


def view_sound(data: bytes, spec: AudioSpec, section: Sequence[SoundAttention]) -> SoundView:
    """Its first MOST_SECONDS, at the rate that the model hears."""
    decoded = decode_audio(data, spec, LIMITS)
    kept_T = decoded.samples_T[: round(MOST_SECONDS * decoded.sample_rate_hz)]
    wave_T = soxr.resample(kept_T, decoded.sample_rate_hz, spec.sample_rate_hz)
    file = io.BytesIO()
    soundfile.write(file, wave_T.clip(-1, 1), spec.sample_rate_hz, format="WAV", subtype="PCM_16")
    unit = WAVE_WIDTH * spec.sample_rate_hz / len(wave_T)  # of the drawing, per second
    most = max((moment.weight for moment in section), default=0) or 1.0
    cells = [
        Cell(
            x=moment.start * unit,
            y=0,
            width=(moment.end - moment.start) * unit,
            height=WAVE_HEIGHT,
            weight=moment.weight / most,
        )
        for moment in section
        if moment.end * unit <= WAVE_WIDTH + 1
    ]
    return SoundView(
        uri=data_uri("audio/wav", file),
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
