"""Sounds under white noise. Shape letters: T samples."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from triad_serving.media.audio.decode import DecodedAudio
from triad_training.media.corruption import Corruption


def add_noise(decoded: DecodedAudio, level: float, rng: np.random.Generator) -> DecodedAudio:
    """level: signal to noise, dB."""
    wave_T = decoded.samples_T
    power = float(np.mean(np.square(wave_T))) / 10 ** (level / 10)
    noise_T = rng.standard_normal(len(wave_T), dtype=np.float32)
    noisy_T = wave_T + np.float32(math.sqrt(power)) * noise_T
    loudest = max(1.0, float(np.abs(noisy_T).max()))  # louder than full scale would be cut off
    return replace(decoded, samples_T=(noisy_T / loudest).astype(np.float32))


CORRUPTIONS = (
    Corruption(
        kind="sound noise",
        medium="audio",
        unit="signal to white noise, dB",
        levels=(None, 20.0, 10.0, 0.0, -10.0),
        cause="under sound noise at {:g} dB",
        apply=add_noise,
    ),
)
