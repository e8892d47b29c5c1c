"""Sounds as the cache keeps them.

audio  as the graph reads it
sound  as augmentation needs it: at the graph's rate, not trimmed
noise  a recording to mix into sounds: likewise, of any length
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import triad_serving.media.audio.decode
from triad_serving.contract.arrays import I16
from triad_serving.media.audio.decode import DecodedAudio, decode_audio, fit_audio, resample, to_16_bits
from triad_serving.media.audio.spec import AudioInput, AudioSpec
from triad_training.media.stored import LIMITS, File, Files, StoredForm

NOISE_S = 60.0  # of each recording of noise


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording:
    """A sound at the graph's rate, not trimmed; truncated: whether fitting would cut it off."""

    samples_T: I16
    format: str
    seconds: float
    truncated: bool


def as_read(data: bytes, spec: AudioSpec) -> AudioInput:
    return fit_audio(decode_audio(data, spec, LIMITS), spec)


def to_augment(data: bytes, spec: AudioSpec) -> Recording:
    sound = decode_audio(data, spec, LIMITS)
    return _at_graphs_rate(sound, spec, truncated=fit_audio(sound, spec).truncated)


def to_mix_in(data: bytes, spec: AudioSpec) -> Recording:
    minute = AudioSpec(max_s=NOISE_S)  # of which decoding reads nothing else
    return _at_graphs_rate(decode_audio(data, minute, LIMITS), spec, truncated=False)


def decoded(recording: Recording, spec: AudioSpec) -> DecodedAudio:
    """As augmentation takes it."""
    return DecodedAudio(
        samples_T=recording.samples_T.astype(np.float32) / np.float32(32768),
        sample_rate_hz=spec.sample_rate_hz,
        format=recording.format,
        seconds=recording.seconds,
    )


def too_long(sound: AudioInput | Recording, spec: AudioSpec) -> str | None:
    if not sound.truncated:
        return None
    return (
        f"it is {sound.seconds:.1f} s long, and preprocess.audio.max_s = {spec.max_s:g}; "
        'raise that, or have such sounds cut: data.long_sounds = "cut"'
    )


def _at_graphs_rate(sound: DecodedAudio, spec: AudioSpec, *, truncated: bool) -> Recording:
    samples_T = to_16_bits(resample(sound, spec.sample_rate_hz))
    return Recording(samples_T=samples_T, format=sound.format, seconds=sound.seconds, truncated=truncated)


SOURCES = (str(triad_serving.media.audio.decode.__file__),)
AUDIO_AS_READ = StoredForm(
    name="audio", medium="audio", type=AudioInput, decode=as_read, sources=SOURCES, fault=too_long
)
SOUND = StoredForm(
    name="sound", medium="audio", type=Recording, decode=to_augment, sources=SOURCES, fault=too_long
)
NOISE = StoredForm(name="noise", medium="audio", type=Recording, decode=to_mix_in, sources=SOURCES)


@dataclass(frozen=True, kw_only=True, eq=False)
class AudioLoader:
    """From the store as the graph reads them, or changed before they are fitted."""

    spec: AudioSpec
    files: Files

    def __call__(self, path: Path, change: Callable[[DecodedAudio], DecodedAudio] | None) -> AudioInput:
        if change is None:
            found: AudioInput = self.files.read(File(AUDIO_AS_READ, path))
            return found
        return fit_audio(change(decoded(self.files.read(File(SOUND, path)), self.spec)), self.spec)
