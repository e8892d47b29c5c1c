"""What a training example may look and sound like: changes between decoding and fitting, drawn at random.

Shape letters: H W pixels, T samples, F frequencies.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soxr
from PIL import Image, ImageFilter, ImageOps
from scipy import fft

from model_training.config import AudioAugment, AugmentConfig, ImageAugment, TextAugment
from service.contract import F32, U8
from service.preprocess.audio import DecodedAudio
from service.preprocess.image import DecodedImage
from service.preprocess.text import Word, spell_out

Generator = np.random.Generator


@dataclass(frozen=True)
class Augmenter:
    """service.preprocess.example.Augment for one example; each draws from the same generator."""

    config: AugmentConfig
    rng: Generator

    def words(self, words: Sequence[Word]) -> Sequence[Word]:
        return augment_words(words, self.config.text, self.rng)

    def image(self, decoded: DecodedImage) -> DecodedImage:
        return augment_image(decoded, self.config.image, self.rng)

    def audio(self, decoded: DecodedAudio) -> DecodedAudio:
        return augment_audio(decoded, self.config.audio, self.rng)


def augment_words(words: Sequence[Word], config: TextAugment, rng: Generator) -> tuple[Word, ...]:
    """Leaves words out and spells others out; at least one stays."""
    kept: list[Word] = []
    for word, draw in zip(words, rng.random(len(words)), strict=True):
        if draw < config.drop:
            continue
        kept += spell_out(word) if draw < config.drop + config.split else (word,)
    return tuple(kept) or tuple(words)


def augment_image(decoded: DecodedImage, config: ImageAugment, rng: Generator) -> DecodedImage:
    """Moves, turns and re-inks the image, then puts it under another light and camera."""
    image = Image.fromarray(decoded.pixels_HW3)
    if config.canvas:
        image = image.resize((config.canvas, config.canvas), Image.Resampling.BICUBIC)
    image = _move(_change_stroke(image, config, rng), config, rng)
    if rng.random() < config.invert:
        image = ImageOps.invert(image)
    if config.blur:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, config.blur)))
    return dataclasses.replace(decoded, pixels_HW3=_relight(np.asarray(image), config, rng))


def augment_audio(decoded: DecodedAudio, config: AudioAugment, rng: Generator) -> DecodedAudio:
    """Another speaker's tempo, room, microphone and silence around the sound."""
    rate_hz = decoded.sample_rate_hz
    wave_T = decoded.samples_T
    if config.speed != (1.0, 1.0):
        wave_T = soxr.resample(wave_T, rate_hz * rng.uniform(*config.speed), rate_hz, quality="QQ")
    speech_power = float(np.mean(np.square(wave_T))) + 1e-12
    if config.silence_s:
        before, after = (rng.uniform(0, config.silence_s, 2) * rate_hz).astype(int)
        wave_T = np.pad(wave_T, (before, after))
    if config.noise_snr_db is not None:
        power = speech_power / 10 ** (rng.uniform(*config.noise_snr_db) / 10)
        wave_T = wave_T + math.sqrt(power) * _coloured_noise(len(wave_T), rng)
    if config.tilt_db:
        wave_T = _tilt(wave_T, rng.uniform(-config.tilt_db, config.tilt_db))
    wave_T = wave_T * 10 ** (rng.uniform(*config.gain_db) / 20)
    seconds = len(wave_T) / rate_hz
    return dataclasses.replace(decoded, samples_T=np.clip(wave_T, -1, 1).astype(np.float32), seconds=seconds)


def _change_stroke(image: Image.Image, config: ImageAugment, rng: Generator) -> Image.Image:
    change = int(rng.integers(-config.stroke, config.stroke, endpoint=True))
    if change > 0:
        return image.filter(ImageFilter.MaxFilter(2 * change + 1))
    return image.filter(ImageFilter.MinFilter(1 - 2 * change)) if change < 0 else image


def _move(image: Image.Image, config: ImageAugment, rng: Generator) -> Image.Image:
    """One affine map: PIL wants, for each pixel of the result, where in the source it comes from."""
    width, height = image.size
    scale, aspect = rng.uniform(*config.scale), math.sqrt(rng.uniform(*config.aspect))
    angle = math.radians(rng.uniform(-config.rotate, config.rotate))
    shear = rng.uniform(-config.shear, config.shear)
    across, down = scale * aspect, scale / aspect
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    inverse = np.linalg.inv(turn @ np.array([[across, shear * across], [0, down]]))
    margin = np.abs(1 - np.array([across, down])) / 2 * np.array([width, height])
    centre = np.array([width, height]) / 2
    target = centre + rng.uniform(-config.shift, config.shift, 2) * margin
    offset = centre - inverse @ target
    coefficients = (*inverse[0], offset[0], *inverse[1], offset[1])
    fill = tuple(int(channel) for channel in _border_median(np.asarray(image)))
    return image.transform(
        image.size, Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC, fillcolor=fill
    )


def _border_median(pixels_HW3: U8) -> U8:
    border = np.concatenate([pixels_HW3[0], pixels_HW3[-1], pixels_HW3[:, 0], pixels_HW3[:, -1]])
    return np.asarray(np.median(border, axis=0), dtype=np.uint8)


def _relight(pixels_HW3: U8, config: ImageAugment, rng: Generator) -> U8:
    """Contrast, colour of ink and paper, uneven light, noise of the sensor."""
    height, width, _ = pixels_HW3.shape
    light_HW3 = pixels_HW3.astype(np.float32) / 255
    mean = light_HW3.mean()
    light_HW3 = mean + (light_HW3 - mean) * rng.uniform(*config.contrast)
    light_HW3 += rng.uniform(-config.tint, config.tint, 3).astype(np.float32)
    if config.shading:
        slope_x, slope_y = rng.uniform(-config.shading, config.shading, 2)
        across_W = np.linspace(-0.5, 0.5, width, dtype=np.float32)
        down_H = np.linspace(-0.5, 0.5, height, dtype=np.float32)
        light_HW3 *= (1 + slope_x * across_W + slope_y * down_H[:, None])[:, :, None]
    if config.noise:
        deviation = rng.uniform(0, config.noise)
        light_HW3 += deviation * rng.standard_normal(light_HW3.shape, dtype=np.float32)
    return np.asarray(np.clip(light_HW3, 0, 1) * 255, dtype=np.uint8)


def _coloured_noise(samples: int, rng: Generator) -> F32:
    """Unit-power noise whose amplitude falls as 1 / f^slope: white hiss (0) to rumble (1)."""
    padded = fft.next_fast_len(samples, real=True)
    spectrum_F = fft.rfft(rng.standard_normal(padded, dtype=np.float32))
    frequency_F = np.arange(1, len(spectrum_F) + 1, dtype=np.float32)
    noise_T = fft.irfft(spectrum_F / frequency_F ** np.float32(rng.uniform(0, 1)), padded)[:samples]
    return np.asarray(noise_T / (noise_T.std() + 1e-12), dtype=np.float32)


def _tilt(wave_T: F32, tilt_db: float) -> F32:
    """Gain rising linearly on a logarithmic frequency axis, by tilt_db over the upper six octaves."""
    padded = fft.next_fast_len(len(wave_T), real=True)
    spectrum_F = fft.rfft(wave_T.astype(np.float32), padded)
    octave_F = np.log2(np.linspace(1 / 64, 1, len(spectrum_F), dtype=np.float32))
    gain_F = 10 ** (np.float32(tilt_db) * (octave_F / 6 + 0.5) / 20)
    return np.asarray(fft.irfft(spectrum_F * gain_F, padded)[: len(wave_T)], dtype=np.float32)
