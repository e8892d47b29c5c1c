"""Noise to mix into sounds: recordings of a folder, or random numbers in colours from hiss to rumble.

Shape letters: T samples, F frequencies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import fft

from triad_serving.contract.arrays import F32, I16
from triad_serving.contract.errors import ConfigError
from triad_training.media.audio.stored import NOISE
from triad_training.media.stored import File, Files

SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff")
MAX_SAMPLES = 2**26  # of all recordings together (128 MiB); of longer ones the beginnings are kept
QUIETEST = 0.01  # power of an excerpt, relative to its recording, below which it is not amplified further
SLOPES = np.linspace(0, 1, 9)  # amplitude falls as 1 / f^slope
COLOURED_SAMPLES = 2**17  # of each colour
SEED = 0


class Noise:
    """Recordings at the graph's rate; excerpts are drawn from them."""

    def __init__(self, recordings_T: Sequence[I16 | F32]) -> None:
        self._recordings_T = tuple(recordings_T)
        self._powers = [_power(recording_T) for recording_T in self._recordings_T]

    def draw(self, samples: int, rng: np.random.Generator) -> F32:
        """An excerpt of a random recording, repeated where that is too short, of unit power."""
        which = int(rng.integers(len(self._recordings_T)))
        recording_T = self._recordings_T[which]
        start = int(rng.integers(max(len(recording_T) - samples, 0) + 1))
        excerpt_T = recording_T[start : start + samples].astype(np.float32)
        power = max(_power(excerpt_T), QUIETEST * self._powers[which])
        if len(excerpt_T) < samples:
            excerpt_T = np.resize(excerpt_T, samples)
        return np.asarray(excerpt_T / np.float32(math.sqrt(power)), dtype=np.float32)


def recorded_noise(folder: Path, files: Files) -> Noise:
    """Every sound under the folder, decoded as examples are. Raises ConfigError."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise ConfigError(f"augment.audio.noise_folder: {folder} holds no sound ({', '.join(SUFFIXES)}).")
    for file, problem in files.check([File(NOISE, path) for path in paths]).items():
        raise ConfigError(f"augment.audio.noise_folder: {file.path}: {problem}")
    samples = MAX_SAMPLES // len(paths)
    recordings_T = [files.read(File(NOISE, path)).samples_T[:samples] for path in paths]
    audible_T = [recording_T for recording_T in recordings_T if recording_T.any()]
    if not audible_T:
        raise ConfigError(f"augment.audio.noise_folder: every sound in {folder} is silent.")
    return Noise(audible_T)


def coloured_noise() -> Noise:
    """White to rumbling."""
    rng = np.random.default_rng(SEED)
    frequency_F = np.arange(1, COLOURED_SAMPLES // 2 + 2, dtype=np.float32)
    return Noise(
        [
            fft.irfft(fft.rfft(rng.standard_normal(COLOURED_SAMPLES, dtype=np.float32)) / frequency_F**slope)
            for slope in SLOPES.astype(np.float32)
        ]
    )


def _power(wave_T: I16 | F32) -> float:
    return float(np.mean(np.square(wave_T, dtype=np.float32)))
