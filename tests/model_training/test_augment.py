from __future__ import annotations

import numpy as np
import pytest

from model_training.augment import augment_audio, augment_image, augment_words
from model_training.config import AudioAugment, ImageAugment, TextAugment
from service.contract import ImageSpec
from service.preprocess.audio import DecodedAudio
from service.preprocess.image import DecodedImage, fit_image
from service.preprocess.text import Word

WORDS = (Word("hello", 0, 5), Word("七", 6, 7), Word("days", 8, 12))
RATE_HZ = 8000


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def picture() -> DecodedImage:
    """A bright square in the middle of black."""
    pixels = np.zeros((28, 28, 3), dtype=np.uint8)
    pixels[10:18, 10:18] = 255
    return DecodedImage(pixels_HW3=pixels, format="PNG", width=28, height=28)


def tone(hz: float = 500, seconds: float = 1.0) -> DecodedAudio:
    wave = 0.5 * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE_HZ)) / RATE_HZ)
    return DecodedAudio(
        samples_T=wave.astype(np.float32), sample_rate_hz=RATE_HZ, format="WAV", seconds=seconds
    )


def loudest_hz(sound: DecodedAudio) -> float:
    spectrum = np.abs(np.fft.rfft(sound.samples_T))
    return float(spectrum.argmax()) * RATE_HZ / len(sound.samples_T)


def test_without_any_option_nothing_changes() -> None:
    assert augment_words(WORDS, TextAugment(), rng()) == WORDS
    assert np.array_equal(augment_image(picture(), ImageAugment(), rng()).pixels_HW3, picture().pixels_HW3)
    assert np.array_equal(augment_audio(tone(), AudioAugment(), rng()).samples_T, tone().samples_T)


def test_the_same_seed_draws_the_same() -> None:
    config = ImageAugment(scale=(0.5, 1.5), rotate=20, noise=0.1, invert=0.5, blur=1, shift=0.5)
    first, second, other = (augment_image(picture(), config, rng(seed)).pixels_HW3 for seed in (1, 1, 2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_a_word_left_out_never_leaves_an_empty_text() -> None:
    assert augment_words(WORDS, TextAugment(drop=1.0), rng()) == WORDS
    kept = [len(augment_words(WORDS, TextAugment(drop=0.5), rng(seed))) for seed in range(200)]
    assert 1.4 < np.mean(kept) < 2.0
    assert min(kept) == 1


def test_a_word_spelled_out_keeps_its_offsets() -> None:
    spelled = augment_words(WORDS, TextAugment(split=1.0), rng())
    assert "".join(word.text for word in spelled) == "hello七days"
    assert spelled[1] == Word("e", 1, 2)
    assert spelled[-1] == Word("s", 11, 12)


@pytest.mark.parametrize("scale", [0.5, 1.5])
def test_scale_is_the_size_of_the_picture_in_its_canvas(scale: float) -> None:
    config = ImageAugment(scale=(scale, scale), canvas=84)
    pixels = augment_image(picture(), config, rng()).pixels_HW3
    assert pixels.shape == (84, 84, 3)
    bright = (pixels[:, :, 0] > 127).sum()
    assert bright == pytest.approx((8 * 3 * scale) ** 2, rel=0.15)


def test_the_outside_of_a_moved_image_looks_like_its_border() -> None:
    white = DecodedImage(pixels_HW3=255 - picture().pixels_HW3, format="PNG", width=28, height=28)
    pixels = augment_image(white, ImageAugment(scale=(0.5, 0.5)), rng()).pixels_HW3
    assert (pixels[0] == 255).all()
    assert (pixels[:, -1] == 255).all()


def test_strokes_grow_and_shrink_and_turn_negative() -> None:
    sizes = {
        int((augment_image(picture(), ImageAugment(stroke=2), rng(seed)).pixels_HW3[:, :, 0] > 0).sum())
        for seed in range(40)
    }
    assert sizes == {4**2, 6**2, 8**2, 10**2, 12**2}
    negative = augment_image(picture(), ImageAugment(invert=1.0), rng()).pixels_HW3
    assert np.array_equal(negative, 255 - picture().pixels_HW3)


def test_an_augmented_image_still_fits_the_graph() -> None:
    config = ImageAugment(canvas=84, contrast=(0.3, 0.5), tint=0.2, shading=0.5, noise=0.1, shear=0.2)
    fitted = fit_image(augment_image(picture(), config, rng()), ImageSpec())
    assert fitted.pixels_HW3.shape == (56, 56, 3)


def test_speed_moves_the_pitch_and_shortens_the_sound() -> None:
    faster = augment_audio(tone(500), AudioAugment(speed=(1.25, 1.25)), rng())
    assert loudest_hz(faster) == pytest.approx(625, abs=3)
    assert faster.seconds == pytest.approx(0.8, abs=0.01)


def test_gain_silence_and_noise_are_as_asked() -> None:
    quiet = augment_audio(tone(), AudioAugment(gain_db=(-20, -20)), rng())
    assert np.allclose(quiet.samples_T, tone().samples_T / 10, atol=1e-6)
    padded = augment_audio(tone(), AudioAugment(silence_s=0.5), rng(3))
    assert 1.0 < padded.seconds < 2.0
    assert len(np.flatnonzero(padded.samples_T)) <= len(tone().samples_T)
    noisy = augment_audio(tone(), AudioAugment(noise_snr_db=(10, 10)), rng())
    noise = noisy.samples_T - tone().samples_T
    snr_db = 10 * np.log10(np.mean(tone().samples_T ** 2) / np.mean(noise**2))
    assert snr_db == pytest.approx(10, abs=0.2)


@pytest.mark.parametrize("samples", [200, 6560, 6561, 7919])
def test_any_length_of_sound_keeps_its_length(samples: int) -> None:
    config = AudioAugment(noise_snr_db=(5, 5), tilt_db=6)
    assert len(augment_audio(tone(seconds=samples / RATE_HZ), config, rng()).samples_T) == samples


def test_tilt_lifts_treble_against_bass() -> None:
    both = tone(250)
    mixed = DecodedAudio(
        samples_T=(both.samples_T + tone(2000).samples_T) / 2, sample_rate_hz=RATE_HZ, format="WAV", seconds=1
    )
    ratios_db = []
    for seed in range(20):
        spectrum = np.abs(np.fft.rfft(augment_audio(mixed, AudioAugment(tilt_db=12), rng(seed)).samples_T))
        ratios_db.append(20 * np.log10(spectrum[2000] / spectrum[250]))
    assert -6.1 <= min(ratios_db) < -3  # three octaves of six, 12 dB: half of it at the most
    assert 3 < max(ratios_db) <= 6.1
