"""A sound as it might have been recorded: by another speaker, elsewhere, with another microphone.

Shape letters: T samples, F frequencies.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import soxr
from scipy import fft

from triad_serving.contract.arrays import F32
from triad_serving.media.audio.decode import DecodedAudio
from triad_training.media.audio.config import AudioAugment
from triad_training.media.audio.noise import Noise

Generator = np.random.Generator


def augment_sound(
    decoded: DecodedAudio, config: AudioAugment, noise: Noise | None, rng: Generator
) -> DecodedAudio:
    """noise: needed where config.noise_snr_db is set."""
    rate_hz = decoded.sample_rate_hz
    wave_T = decoded.samples_T
    if config.speed != (1.0, 1.0):
        wave_T = soxr.resample(wave_T, rate_hz * rng.uniform(*config.speed), rate_hz, quality="QQ")
    power = float(np.mean(np.square(wave_T))) + 1e-12
    if config.shift_s:
        wave_T = _shift(wave_T, round(rng.uniform(-config.shift_s, config.shift_s) * rate_hz))
    if config.silence_s:
        before, after = (rng.uniform(0, config.silence_s, 2) * rate_hz).astype(int)
        wave_T = np.concatenate([np.zeros(before, np.float32), wave_T, np.zeros(after, np.float32)])
    if config.noise_snr_db is not None:
        assert noise is not None
        ratio = 10 ** (rng.uniform(*config.noise_snr_db) / 10)
        wave_T = wave_T + np.float32(math.sqrt(power / ratio)) * noise.draw(len(wave_T), rng)
    if config.tilt_db:
        wave_T = _tilt(wave_T, rng.uniform(-config.tilt_db, config.tilt_db))
    if config.step_db:
        moment = rng.integers(len(wave_T) + 1)
        later_T = np.arange(len(wave_T)) >= moment
        softer_T = later_T if rng.random() < 0.5 else ~later_T
        wave_T = np.where(softer_T, wave_T * np.float32(10 ** (-rng.uniform(0, config.step_db) / 20)), wave_T)
    gain = np.float32(10 ** (rng.uniform(*config.gain_db) / 20))
    return dataclasses.replace(decoded, samples_T=(wave_T * gain).clip(-1, 1), seconds=len(wave_T) / rate_hz)


def _shift(wave_T: F32, samples: int) -> F32:
    """Later by so many samples, or earlier; as long as before."""
    samples = max(-len(wave_T), min(samples, len(wave_T)))
    shifted_T = np.zeros_like(wave_T)
    if samples > 0:
        shifted_T[samples:] = wave_T[:-samples]
    else:
        shifted_T[: len(wave_T) + samples] = wave_T[-samples:]
    return shifted_T


def _tilt(wave_T: F32, tilt_db: float) -> F32:
    """Gain rising linearly on a logarithmic frequency axis, by tilt_db over the upper six octaves."""
    padded = fft.next_fast_len(len(wave_T), real=True)
    spectrum_F = fft.rfft(wave_T.astype(np.float32), padded)
    octave_F = np.log2(np.linspace(1 / 64, 1, len(spectrum_F), dtype=np.float32))
    gain_F = 10 ** (np.float32(tilt_db) * (octave_F / 6 + 0.5) / 20)
    return np.asarray(fft.irfft(spectrum_F * gain_F, padded)[: len(wave_T)], dtype=np.float32)
