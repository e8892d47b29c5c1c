"""Features against torch.stft, a mel scale computed apart and SciPy's cosine transform; noise taken out."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import fft

from triad_serving.media.audio.spec import AudioSpec
from triad_training.config.reading import load_config
from triad_training.learning.prepare import build_model, prepare
from triad_training.media.audio.config import Features, SpectrumAugment
from triad_training.media.audio.front_end import (
    LogMel,
    cosine_matrix,
    fourier_kernels,
    hide_parts,
    mel_matrix,
)

SPEC = AudioSpec()


def random_sound(count: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(-9000, 9000, (1, count)).astype(np.int16))


def starts(*counts: int) -> torch.Tensor:
    """Samples at which a whole window may start."""
    return torch.tensor(counts, dtype=torch.int64) - SPEC.window + 1


def test_the_kernels_compute_the_short_time_fourier_transform() -> None:
    wave_T = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    found = torch.nn.functional.conv1d(wave_T[None, None], fourier_kernels(200), stride=80)[0]
    expected = torch.stft(wave_T, 200, 80, window=torch.hann_window(200), center=False, return_complex=True)
    assert torch.allclose(found[:101], expected.real, atol=1e-4)
    assert torch.allclose(found[101:], expected.imag, atol=1e-4)


def test_each_mel_band_peaks_where_the_scale_says() -> None:
    matrix_MK = mel_matrix(AudioSpec(window=8000), 20)
    for band, bin_hz in enumerate(matrix_MK.argmax(dim=1).tolist(), start=1):
        expected_hz = 700 * (10 ** (band / 21 * math.log10(1 + 4000 / 700)) - 1)
        assert bin_hz == pytest.approx(expected_hz, abs=1)
    assert torch.allclose(matrix_MK.sum(0)[int(bin_hz // 21) : 3000], torch.ones(1), atol=0.02)


def test_a_tone_is_loudest_in_its_own_band() -> None:
    tone_T = 10_000 * np.sin(2 * np.pi * 1000 * np.arange(4000) / 8000)
    logmel_NMF, _ = LogMel(SPEC, 40)(torch.from_numpy(tone_T.astype(np.int16))[None], torch.tensor([3801]))
    expected = mel_matrix(SPEC, 40)[:, 25].argmax()  # bin 25 of 200 samples at 8 kHz is 1000 Hz
    assert logmel_NMF[0].mean(1).argmax() == expected
    assert logmel_NMF.max() == pytest.approx(1.0)
    assert logmel_NMF.min() >= -1.0


def test_loudness_does_not_change_the_front_end() -> None:
    front_end, starts_N = LogMel(SPEC, 40), torch.tensor([1801])
    loud, quiet = random_sound(2000), random_sound(2000) // 4
    assert torch.allclose(front_end(loud, starts_N)[0], front_end(quiet, starts_N)[0], atol=0.01)


@pytest.mark.parametrize("mels", [40, 23])
def test_mfcc_are_the_lower_half_of_the_cosine_transform_of_log_mel(mels: int) -> None:
    sound, begins_N = random_sound(3000), starts(3000)
    logmel_NMF, _ = LogMel(SPEC, mels)(sound, begins_N)
    front_end = LogMel(SPEC, mels, features="mfcc")
    mfcc_NMF, _ = front_end(sound, begins_N)
    expected = fft.dct(logmel_NMF.numpy(), axis=1, norm="ortho")[:, : (mels + 1) // 2]
    assert mfcc_NMF.shape[1] == front_end.bands == (mels + 1) // 2
    assert np.allclose(mfcc_NMF.numpy(), expected, atol=1e-5)
    assert torch.allclose(cosine_matrix(mels) @ cosine_matrix(mels).T, torch.eye((mels + 1) // 2), atol=1e-6)


@pytest.mark.parametrize("features", ["log_mel", "mfcc"])
@pytest.mark.parametrize("denoise", [False, True])
@pytest.mark.parametrize("count", [200, 900, 3000])
def test_features_do_not_depend_on_the_padding(features: Features, denoise: bool, count: int) -> None:
    front_end = LogMel(SPEC, 40, features=features, denoise=denoise).eval()
    alone, mask_NF = front_end(random_sound(count), starts(count))
    padded = torch.zeros(2, 9000, dtype=torch.int16)
    padded[0, :count], padded[1] = random_sound(count), random_sound(9000, seed=1)
    together, mask2_NF = front_end(padded, starts(count, 9000))
    frames = alone.shape[2]
    assert mask_NF.all()
    assert mask2_NF[0].sum() == frames
    assert torch.allclose(together[0, :, :frames], alone[0], atol=1e-5)
    assert (together[0, :, frames:] == 0).all()


def spoken_tones(snr_db: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Half a second of silence, then tones for one; without noise, and under steady coloured noise."""
    random = np.random.default_rng(seed)
    time_T = np.arange(12_000) / 8000
    clean = np.sin(2 * np.pi * random.uniform(300, 3000) * time_T)
    clean = clean * (time_T > 0.5) * (np.sin(2 * np.pi * 3 * time_T) > 0)
    noise = np.convolve(random.normal(0, 1, 12_000), [0.4, 0.4, 0.4, 0.4], mode="same")
    noise *= np.sqrt(np.mean(clean**2) / np.mean(noise**2) / 10 ** (snr_db / 10))
    return tuple(torch.from_numpy((4000 * w).astype(np.int16))[None] for w in (clean, clean + noise))  # type: ignore[return-value]


@pytest.mark.parametrize("snr_db", [10, 0])
def test_denoised_features_of_a_noisy_sound_are_closer_to_those_of_the_clean_one(snr_db: float) -> None:
    plain, denoising = LogMel(SPEC, 40), LogMel(SPEC, 40, denoise=True)
    begins_N = starts(12_000)
    ratios = []
    for seed in range(10):
        clean, noisy = spoken_tones(snr_db, seed)
        wanted = plain(clean, begins_N)[0]
        kept = float((plain(noisy, begins_N)[0] - wanted).square().mean())
        left = float((denoising(noisy, begins_N)[0] - wanted).square().mean())
        ratios.append(left / kept)
    assert np.mean(ratios) < 0.75
    assert max(ratios) < 0.9


def test_denoising_leaves_a_clean_sound_nearly_as_it_is() -> None:
    clean, _ = spoken_tones(0, 0)
    plain, denoised = (LogMel(SPEC, 40, denoise=d)(clean, starts(12_000))[0] for d in (False, True))
    assert torch.allclose(plain, denoised, atol=0.01)


def test_parts_are_hidden_while_the_network_learns_and_only_then() -> None:
    front_end, sound, begins_N = LogMel(SPEC, 40), random_sound(8000), starts(8000)
    front_end.augment = SpectrumAugment(time_s=0.3, bands=0.4, masks=2)
    plain = LogMel(SPEC, 40)(sound, begins_N)[0]
    torch.manual_seed(0)
    first = front_end(sound, begins_N)[0]
    torch.manual_seed(0)
    assert torch.equal(front_end(sound, begins_N)[0], first)
    assert not torch.equal(first, plain)
    assert torch.equal(front_end.eval()(sound, begins_N)[0], plain)


def test_no_sound_at_all_has_features_too() -> None:
    front_end = LogMel(SPEC, 40, features="mfcc", denoise=True)
    front_end.augment = SpectrumAugment(time_s=0.3, bands=0.4)
    features_NMF, mask_NF = front_end(torch.zeros(0, 1000, dtype=torch.int16), starts())
    assert features_NMF.shape == (0, 20, 11)
    assert mask_NF.shape == (0, 11)


def test_what_is_hidden_is_a_stretch_of_time_and_one_of_bands_no_longer_than_asked() -> None:
    features_NMF = torch.rand(200, 40, 100, generator=torch.Generator().manual_seed(0))
    mask_NF = torch.arange(100) < torch.where(torch.arange(200) % 2 == 0, 100, 30)[:, None]
    shown = hide_parts(features_NMF, mask_NF, SpectrumAugment(time_s=0.2, bands=0.25), 0.01)
    hidden = (shown != features_NMF).numpy()
    times, bands = hidden.all(1).sum(1), hidden.all(2).sum(1)
    assert 15 < times.max() <= 21  # a stretch may touch one frame more than it is long
    assert 8 < bands.max() <= 11
    assert times.min() == bands.min() == 0
    assert np.median(times[::2]) == pytest.approx(10, abs=3)
    for n in range(0, 200, 10):
        assert len(np.unique(shown[n].numpy()[hidden[n]])) <= 1  # the mean of its valid features
        valid = features_NMF[n, :, : int(mask_NF[n].sum())]
        if hidden[n].any():
            assert shown[n].numpy()[hidden[n]][0] == pytest.approx(float(valid.mean()), abs=1e-4)
    assert torch.equal(hide_parts(features_NMF, mask_NF, SpectrumAugment(), 0.01), features_NMF)


def test_the_config_reaches_the_front_end(toy_folder: Path) -> None:
    options = ["augment.spectrum.bands=0.3", "model.features=mfcc", "model.denoise=true"]
    prepared = prepare(load_config(toy_folder / "config.toml", options))
    (front_end,) = [module for module in build_model(prepared).modules() if isinstance(module, LogMel)]
    assert front_end.augment.bands == 0.3
    assert front_end.denoise
    assert front_end.bands == 8


@pytest.mark.parametrize("subset", ["text", "text+image"])
def test_a_specialist_without_ears_needs_no_other_config(toy_folder: Path, subset: str) -> None:
    config = load_config(toy_folder / "config.toml", ["augment.spectrum.bands=0.3"], subset=subset)
    assert not any(isinstance(module, LogMel) for module in build_model(prepare(config)).modules())
