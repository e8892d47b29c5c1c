"""Each option does what it says to a tone."""

from __future__ import annotations

import numpy as np
import pytest

from triad_serving.media.audio.decode import DecodedAudio
from triad_training.media.audio.augment import augment_sound
from triad_training.media.audio.config import AudioAugment
from triad_training.media.audio.noise import coloured_noise

RATE_HZ = 8000
NOISE = coloured_noise()


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def tone(hz: float = 500, seconds: float = 1.0) -> DecodedAudio:
    wave = 0.5 * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE_HZ)) / RATE_HZ)
    return DecodedAudio(
        samples_T=wave.astype(np.float32), sample_rate_hz=RATE_HZ, format="WAV", seconds=seconds
    )


def loudest_hz(sound: DecodedAudio) -> float:
    spectrum = np.abs(np.fft.rfft(sound.samples_T))
    return float(spectrum.argmax()) * RATE_HZ / len(sound.samples_T)


def test_without_any_option_nothing_changes() -> None:
    assert np.array_equal(augment_sound(tone(), AudioAugment(), None, rng()).samples_T, tone().samples_T)


@pytest.mark.parametrize("shift_s", [0.25, 5.0])
def test_a_shifted_sound_keeps_its_length_and_leaves_silence(shift_s: float) -> None:
    """Of a ramp each sample says where it stood."""
    ramp_T = np.arange(1, 1001, dtype=np.float32) / 1000
    ramp = DecodedAudio(samples_T=ramp_T, sample_rate_hz=2000, format="WAV", seconds=0.5)
    shifts = []
    for seed in range(30):
        found = augment_sound(ramp, AudioAugment(shift_s=shift_s), None, rng(seed)).samples_T
        heard = np.flatnonzero(found)
        assert len(found) == 1000
        if len(heard):
            shift = int(heard[0]) - round(float(found[heard[0]]) * 1000) + 1
            assert np.array_equal(found[heard], ramp_T[heard - shift])
            assert len(heard) == 1000 - abs(shift)
            shifts.append(shift)
    assert min(shifts) < -100
    assert max(shifts) > 100
    assert max(map(abs, shifts)) <= 2000 * shift_s


def test_speed_moves_the_pitch_and_shortens_the_sound() -> None:
    faster = augment_sound(tone(500), AudioAugment(speed=(1.25, 1.25)), NOISE, rng())
    assert loudest_hz(faster) == pytest.approx(625, abs=3)
    assert faster.seconds == pytest.approx(0.8, abs=0.01)


def test_gain_silence_and_noise_are_as_asked() -> None:
    quiet = augment_sound(tone(), AudioAugment(gain_db=(-20, -20)), NOISE, rng())
    assert np.allclose(quiet.samples_T, tone().samples_T / 10, atol=1e-6)
    padded = augment_sound(tone(), AudioAugment(silence_s=0.5), NOISE, rng(3))
    assert 1.0 < padded.seconds < 2.0
    assert len(np.flatnonzero(padded.samples_T)) <= len(tone().samples_T)
    noisy = augment_sound(tone(), AudioAugment(noise_snr_db=(10, 10)), NOISE, rng())
    noise = noisy.samples_T - tone().samples_T
    snr_db = 10 * np.log10(np.mean(tone().samples_T ** 2) / np.mean(noise**2))
    assert snr_db == pytest.approx(10, abs=0.2)


def test_before_or_after_some_moment_it_is_softer() -> None:
    steps_db, moments = [], []
    for seed in range(40):
        stepped = augment_sound(tone(), AudioAugment(step_db=20), NOISE, rng(seed)).samples_T
        ratios_T = stepped[1::16] / tone().samples_T[1::16]
        jumps = np.flatnonzero(abs(np.diff(ratios_T)) > 1e-3)
        assert len(jumps) <= 1
        assert max(ratios_T) == pytest.approx(1)
        steps_db.append(20 * np.log10(ratios_T[-1] / ratios_T[0]))
        moments += (jumps / len(ratios_T)).tolist()
    assert -20 <= min(steps_db) < -15
    assert 15 < max(steps_db) <= 20
    assert min(moments) < 0.1
    assert max(moments) > 0.9


@pytest.mark.parametrize("samples", [200, 6560, 6561, 7919])
def test_any_length_of_sound_keeps_its_length(samples: int) -> None:
    config = AudioAugment(noise_snr_db=(5, 5), tilt_db=6)
    assert len(augment_sound(tone(seconds=samples / RATE_HZ), config, NOISE, rng()).samples_T) == samples


def test_tilt_lifts_treble_against_bass() -> None:
    both = tone(250)
    mixed = DecodedAudio(
        samples_T=(both.samples_T + tone(2000).samples_T) / 2, sample_rate_hz=RATE_HZ, format="WAV", seconds=1
    )
    ratios_db = []
    for seed in range(20):
        spectrum = np.abs(
            np.fft.rfft(augment_sound(mixed, AudioAugment(tilt_db=12), NOISE, rng(seed)).samples_T)
        )
        ratios_db.append(20 * np.log10(spectrum[2000] / spectrum[250]))
    assert -6.1 <= min(ratios_db) < -3  # three octaves of six, 12 dB: half of it at the most
    assert 3 < max(ratios_db) <= 6.1
