"""A sound as a drawing shows it: the wave over a value for each of its columns.

Shape letters: T samples, X columns of a wave.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from triad_serving.contract.language import Language
from triad_serving.media.audio.decode import decode_audio
from triad_serving.media.audio.schemas import SoundAttention, SoundOcclusion
from triad_serving.media.audio.spec import AudioSpec
from triad_serving.media.figures import Scale, Track, Wave
from triad_serving.media.limits import MediaLimits

WAVE_COLUMNS = 240
TOUCH_S = 1e-6  # a moment that reaches into a column by less does not: it was rounded
SECONDS: dict[Language, str] = {
    "en": "The first {shown} of {all} s are shown.",
    "zh": "只显示前 {shown} 秒，共 {all} 秒。",
}

Section = Sequence[SoundAttention | SoundOcclusion]


def wave_of(data: bytes, spec: AudioSpec, limits: MediaLimits, *, whole: bool = False) -> Wave:
    """Of a sound file that was decoded before, what the model hears of it; raises as decode_audio does."""
    decoded = decode_audio(data, spec, limits, whole=whole)
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


def values_of(section: Section) -> list[float]:
    return [moment.drop if isinstance(moment, SoundOcclusion) else moment.weight for moment in section]


def draw_moments(wave: Wave, section: Section, values: Sequence[float], scale: Scale, title: str) -> Track:
    spans_s = [(moment.start, moment.end) for moment in section]
    return Track(title=title, scale=scale, values=values_by_column(spans_s, values, wave))


def note_cut(wave: Wave, language: Language) -> Iterator[str]:
    if round(wave.shown_s, 1) < round(wave.seconds, 1):
        yield SECONDS[language].format(shown=f"{wave.shown_s:.1f}", all=f"{wave.seconds:.1f}")


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
