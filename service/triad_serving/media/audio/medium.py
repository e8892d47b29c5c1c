"""Sound as a medium."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from triad_serving.contract.arrays import F32, Feed
from triad_serving.contract.language import Language
from triad_serving.contract.schema import DECIMALS, rounded
from triad_serving.media.audio.decode import FORMATS, DecodedAudio, decode_audio, fit_audio
from triad_serving.media.audio.drawing import Section, draw_moments, note_cut, values_of, wave_of
from triad_serving.media.audio.recording import windows_of
from triad_serving.media.audio.schemas import AudioFormat, AudioReport, SoundAttention, SoundOcclusion
from triad_serving.media.audio.spec import SHORT_SAMPLES, AudioInput, AudioSpec, sound_tokens
from triad_serving.media.figures import Figure, Scale, Track, Wave
from triad_serving.media.limits import MediaLimits
from triad_serving.media.line import parts_along, weight_along
from triad_serving.media.medium import Examples, GraphInput, Part, RequestPart
from triad_serving.media.padding import Padding, length_class
from triad_serving.media.windows import Window

SILENT_PEAK = 10 ** (-60 / 20)  # -60 dBFS: below the noise of any room that was recorded


class AudioMedium:
    """See Medium."""

    name = "audio"
    titles: Mapping[Language, str] = {"en": "sound", "zh": "声音"}
    request = RequestPart(
        schema={"type": "string", "format": "binary", "description": "A sound file."},
        about="Sounds: WAV, FLAC, OGG (Vorbis, Opus), MP3, AIFF.",
    )
    examples: Examples | None = Examples(
        report={"format": "WAV", "seconds": 0.06, "sample_rate": 8000, "truncated": False},
        attention=[
            {"start": 0.0, "end": 0.04, "weight": 0.12, "rollout": 0.13},
            {"start": 0.04, "end": 0.06, "weight": 0.2, "rollout": 0.14},
        ],
        occlusion=[
            {"start": 0.0, "end": 0.04, "drop": 0.01, "weight": 0.12},
            {"start": 0.04, "end": 0.06, "drop": 0.05, "weight": 0.2},
        ],
        share=0.32,
        contribution=0.18,
    )

    def max_bytes(self, limits: MediaLimits) -> int:
        return limits.max_audio_bytes

    def parse(self, data: bytes) -> bytes:
        return data

    def open_asset(self, folder: Path, names: Collection[str]) -> None:
        pass

    def decode(self, raw: bytes, spec: AudioSpec, asset: None, limits: MediaLimits) -> DecodedAudio:
        return decode_audio(raw, spec, limits)

    def fit(self, decoded: DecodedAudio, spec: AudioSpec, asset: None) -> AudioInput:
        return fit_audio(decoded, spec)

    def read(self, raw: bytes, spec: AudioSpec, asset: None, limits: MediaLimits) -> AudioInput:
        return fit_audio(decode_audio(raw, spec, limits), spec)

    def read_windows(self, raw: bytes, spec: AudioSpec, limits: MediaLimits) -> Sequence[Window]:
        """All of a sound. The first item is what `read` gives, but for the silence that it trims."""
        return windows_of(fit_audio(decode_audio(raw, spec, limits, whole=True), spec, whole=True), spec)

    def inputs(self, spec: AudioSpec) -> tuple[GraphInput, ...]:
        return (
            GraphInput(name="samples", type="tensor(int16)", axes=2),
            GraphInput(name="sample_counts", type="tensor(int64)"),
        )

    def pack(self, items: Sequence[AudioInput], spec: AudioSpec, padding: Padding) -> Feed:
        """Samples padded with zeros to the longest, and each one's valid count; at least one window long."""
        count = padding.count(len(items))
        longest = max((len(sound.samples_T) for sound in items), default=spec.window)
        length = padding.length(longest, least=SHORT_SAMPLES, most=spec.max_samples)
        samples_NT = np.zeros((count, length), dtype=np.int16)
        counts_N = np.full(count, spec.window, dtype=np.int64)
        for n, sound in enumerate(items):
            counts_N[n] = len(sound.samples_T)
            samples_NT[n, : counts_N[n]] = sound.samples_T
        return {"samples": samples_NT, "sample_counts": counts_N}

    def token_count(self, item: AudioInput, spec: AudioSpec) -> int:
        return sound_tokens(len(item.samples_T), spec)

    def length_class(self, item: AudioInput) -> int:
        return length_class(len(item.samples_T), short=SHORT_SAMPLES)

    def blank(self, spec: AudioSpec, asset: None) -> AudioInput:
        return AudioInput(
            samples_T=np.zeros(max(spec.sample_rate_hz, spec.window), dtype=np.int16),
            format="",
            seconds=1.0,
            sample_rate_hz=spec.sample_rate_hz,
            truncated=False,
            peak=0.0,
        )

    def resized(self, item: AudioInput, spec: AudioSpec, *, longest: bool) -> AudioInput:
        samples_T = np.zeros(spec.max_samples if longest else spec.window, dtype=np.int16)
        return dataclasses.replace(item, samples_T=samples_T)

    def describe_format(self, spec: AudioSpec, asset: None) -> AudioFormat:
        return AudioFormat(sample_rate=spec.sample_rate_hz, max_seconds=spec.max_s, formats=list(FORMATS))

    def describe_spec(self, spec: AudioSpec, asset: None) -> str:
        return f"up to {spec.max_s:g} s, resampled to {spec.sample_rate_hz} Hz"

    def describe_item(self, item: AudioInput, spec: AudioSpec) -> AudioReport:
        return AudioReport(
            format=item.format,
            seconds=round(item.seconds, DECIMALS),
            sample_rate=item.sample_rate_hz,
            truncated=item.truncated and item.windows == 1,
        )

    def warnings(self, item: AudioInput, spec: AudioSpec) -> Iterator[str]:
        if item.windows > 1:
            yield f"After its first {spec.max_s:g} s the sound was read for transcripts only."
        elif item.truncated:
            yield f"The sound was cut off after {spec.max_s:g} s."
        if item.peak < SILENT_PEAK:
            yield "The sound is silent."

    def describe_attention(
        self, item: AudioInput, spec: AudioSpec, weights: F32, rollout: F32
    ) -> list[SoundAttention]:
        pairs = zip(rounded(weights), rounded(rollout), strict=True)
        return [
            SoundAttention(start=start, end=end, weight=weight, rollout=traced)
            for s, (weight, traced) in enumerate(pairs)
            for start, end in [self.moment(s, s + 1, item, spec)]
        ]

    def moment(self, first: int, last: int, item: AudioInput, spec: AudioSpec) -> tuple[float, float]:
        """Start and end of sound tokens [first, last), in seconds of the sound as sent."""
        start_s, end_s = (item.start_s + token * spec.token_s for token in (first, last))
        return round(start_s, DECIMALS), round(min(end_s, item.seconds), DECIMALS)

    def parts(self, item: AudioInput, spec: AudioSpec, *, most: int) -> Sequence[Part]:
        return list(parts_along(self.name, self.token_count(item, spec), most))

    def hide(self, item: AudioInput, parts: Sequence[Part], spec: AudioSpec) -> AudioInput:
        """Moments are silent."""
        samples_T = item.samples_T.copy()
        token = spec.hop * spec.frames_per_token
        for part in parts:
            samples_T[part.first * token : part.last * token] = 0
        return dataclasses.replace(item, samples_T=samples_T)

    def weight(self, weights: F32, part: Part, spec: AudioSpec) -> float:
        return weight_along(weights, part)

    def describe_occlusion(
        self,
        item: AudioInput,
        spec: AudioSpec,
        parts: Sequence[Part],
        drops: Sequence[float],
        weights: Sequence[float],
    ) -> list[SoundOcclusion]:
        return [
            SoundOcclusion(start=start, end=end, drop=drop, weight=weight)
            for part, drop, weight in zip(parts, drops, weights, strict=True)
            for start, end in [self.moment(part.first, part.last, item, spec)]
        ]

    def canvas(self, raw: bytes, spec: AudioSpec, limits: MediaLimits, *, whole: bool = False) -> Wave:
        return wave_of(raw, spec, limits, whole=whole)

    def values(self, section: Section) -> list[float]:
        return values_of(section)

    def draw(
        self, canvas: Wave, section: Section, values: Sequence[float], *, scale: Scale, title: str
    ) -> Track:
        return draw_moments(canvas, section, values, scale, title)

    def notes(self, canvas: Wave, figures: Sequence[Figure], language: Language) -> Iterator[str]:
        return note_cut(canvas, language)


AUDIO = AudioMedium()
