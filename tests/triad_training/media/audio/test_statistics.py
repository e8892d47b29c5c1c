"""Pooled statistics of sounds: against NumPy, whatever padding follows, of silence, and as a graph."""

from __future__ import annotations

import numpy as np
import onnx_ir
import onnxruntime
import pytest
import torch

from triad_serving.media.audio.spec import AudioSpec
from triad_training.media.audio.descriptors import MELS
from triad_training.media.audio.front_end import FULL_SCALE
from triad_training.media.audio.statistics import SoundStatistics, _moments
from triad_training.network.export import trace

RATE_HZ = 8000
STATISTICS = SoundStatistics(AudioSpec()).eval()


def of(*sounds: np.ndarray, length: int = 0) -> torch.Tensor:
    """Features of int16 sounds in one batch, padded to the longest or `length` with what nobody may hear."""
    counts = [len(sound) for sound in sounds]
    samples_NT = np.full((len(sounds), max(*counts, length)), 12_345, np.int16)
    for n, sound in enumerate(sounds):
        samples_NT[n, : len(sound)] = sound
    return STATISTICS(torch.from_numpy(samples_NT), torch.tensor(counts))


def value(features_F: torch.Tensor, name: str) -> float:
    return float(features_F[STATISTICS.names.index(name)])


def noise(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-9000, 9000, count).astype(np.int16)


def hum(hz: float, seconds: float = 1.0, amplitude: float = 4000) -> np.ndarray:
    """Ten harmonics of a voice's pitch."""
    time_T = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    wave_T = sum(np.cos(2 * np.pi * k * hz * time_T) / k for k in range(1, 11))
    return (amplitude * np.asarray(wave_T)).astype(np.int16)


@pytest.mark.parametrize("rate_hz", [8000, 11_025, 16_000, 48_000])
def test_every_feature_has_a_name_of_its_own(rate_hz: int) -> None:
    spec = AudioSpec(sample_rate_hz=rate_hz, window=rate_hz // 50, hop=rate_hz // 70)
    statistics = SoundStatistics(spec)
    features_NF = statistics(torch.zeros(2, rate_hz, dtype=torch.int16), torch.tensor([rate_hz, spec.window]))
    assert features_NF.shape == (2, statistics.size)
    assert len(set(statistics.names)) == statistics.size
    assert not list(statistics.state_dict())


@pytest.mark.parametrize("count", [200, 500, 900, 7777])
def test_padding_does_not_change_a_sound(count: int) -> None:
    alone, together = of(noise(count))[0], of(noise(count), noise(9000, seed=1), length=12_000)[0]
    assert torch.allclose(alone, together, atol=1e-3)
    assert float((alone - together).abs().mean()) < 1e-5


@pytest.mark.parametrize("count", [200, 8000])
def test_silence_and_a_click_are_finite(count: int) -> None:
    click = np.zeros(count, np.int16)
    click[count // 2] = 32_767
    features_NF = of(np.zeros(count, np.int16), click, np.full(count, -32_768, np.int16))
    assert features_NF.isfinite().all()
    assert float(features_NF.abs().max()) < 200


def test_no_sound_at_all_has_no_features() -> None:
    no_count = torch.zeros(0, dtype=torch.int64)
    assert STATISTICS(torch.zeros(0, 300, dtype=torch.int16), no_count).shape == (0, STATISTICS.size)


def test_loudness_changes_nothing_but_rounding() -> None:
    loud, quiet = of(4 * (noise(8000) // 4), noise(8000) // 4)
    assert torch.allclose(loud, quiet, atol=0.05)


@pytest.mark.parametrize("hz", [90, 140, 220, 330])
def test_pitch_and_voicing_of_a_hum(hz: float) -> None:
    features_F = of(hum(hz))[0]
    assert value(features_F, "pitch: mean where loud") == pytest.approx(np.log2(hz / 60), abs=0.05)
    assert value(features_F, "voicing: mean where loud") > 0.9
    assert value(of(noise(8000))[0], "voicing: mean") < 0.5


def test_a_rising_pitch_has_a_trend_and_a_slope() -> None:
    time_T = np.arange(RATE_HZ) / RATE_HZ
    phase_T = 2 * np.pi * 120 * (2**time_T - 1) / np.log(2)  # an octave in a second
    glide = (4000 * sum(np.cos(k * phase_T) for k in range(1, 6)) / 3).astype(np.int16)
    rising, level = of(glide)[0], of(hum(120))[0]
    assert value(rising, "pitch, slope: mean") == pytest.approx(
        0.1, abs=0.02
    )  # ten frames' tenth of an octave
    assert value(rising, "pitch: trend") == pytest.approx(1 / 6, abs=0.03)  # of x / 2 over [-1, 1]
    assert value(level, "pitch: trend") == pytest.approx(0, abs=0.02)


def test_a_swelling_sound_is_modulated_at_its_rate() -> None:
    time_T = np.arange(2 * RATE_HZ) / RATE_HZ
    swelling = (noise(2 * RATE_HZ) * (0.55 + 0.45 * np.cos(2 * np.pi * 8 * time_T))).astype(np.int16)
    features_F = of(swelling)[0]
    power = {hz: value(features_F, f"level: modulation at {hz} Hz") for hz in (2, 4, 8, 16, 22)}
    assert max(power, key=lambda hz: power[hz]) == 8


def test_bands_and_their_moments_are_those_that_numpy_computes() -> None:
    sound = noise(4000) // 2 + hum(200, seconds=0.5)
    frames_FT = np.lib.stride_tricks.sliding_window_view(sound / FULL_SCALE, 200)[::80]
    hann_T = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(200) / 200)
    power_KF = np.abs(np.fft.rfft(frames_FT * hann_T)).T ** 2
    mel_low, mel_top = (2595 * np.log10(1 + hz / 700) for hz in (50, 4000))
    edge_hz = 700 * (10 ** (np.linspace(mel_low, mel_top, MELS + 2) / 2595) - 1)
    triangles = [np.interp(np.arange(101) * 40, edge_hz[m : m + 3], [0, 1, 0]) for m in range(MELS)]
    log_MF = np.log10(np.maximum(np.array(triangles) @ power_KF, 1e-10))
    series_MF = np.maximum(log_MF - log_MF.max(), -6) + 6
    level_F = np.log10(power_KF.sum(0))
    weights_F = 10 ** ((level_F - level_F.max()) / 2)
    found = of(sound)[0].numpy().reshape(-1)
    names = [STATISTICS.names.index(f"{series}: mean") for series in STATISTICS.series[:MELS]]
    assert np.allclose(found[names], series_MF.mean(1), atol=1e-4)
    loud = [STATISTICS.names.index(f"{series}: mean where loud") for series in STATISTICS.series[:MELS]]
    assert np.allclose(found[loud], np.average(series_MF, axis=1, weights=weights_F), atol=1e-4)
    deviation = [STATISTICS.names.index(f"{series}: deviation") for series in STATISTICS.series[:MELS]]
    assert np.allclose(found[deviation], np.sqrt(series_MF.var(1) + 1e-6), atol=1e-4)


def test_moments_are_those_that_numpy_computes() -> None:
    x_CF = np.random.default_rng(0).gamma(2, 1, (3, 400)).astype(np.float32)
    mask_F = (np.arange(400) < 300).astype(np.float32)
    weights_NWF = torch.from_numpy(np.stack([mask_F, mask_F])[None])
    _, found = _moments(torch.from_numpy(x_CF[None]), weights_NWF)
    valid_CF = x_CF[:, :300] - x_CF[:, :300].mean(1, keepdims=True)
    variance_C = valid_CF.var(1) + 1e-2
    assert np.allclose(found[4][0], (valid_CF**3).mean(1) / variance_C**1.5, atol=1e-4)
    assert np.allclose(found[5][0], np.log(((valid_CF**4).mean(1) + 1e-4) / variance_C**2), atol=1e-4)
    assert np.allclose(found[6][0], valid_CF.max(1), atol=1e-4)
    assert np.allclose(found[7][0], valid_CF.min(1), atol=1e-4)


def test_the_graph_computes_what_the_layers_do() -> None:
    samples = {
        "samples": torch.from_numpy(noise(27_000).reshape(3, 9000)),
        "counts": torch.tensor([9000, 900, 5000]),
    }
    graph = trace(STATISTICS, samples, ["features"], {"samples": (0, 1), "counts": (0,)})
    session = onnxruntime.InferenceSession(
        onnx_ir.to_proto(graph).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    click = np.zeros(3000, np.int16)
    click[700] = 20_000
    scale_F = of(*(hum(100 + 9 * seed) // 2 + noise(8000, seed) // 8 for seed in range(20))).std(0) + 1e-2
    one_F = torch.ones_like(scale_F)  # of a click, degenerate as in the parity check: 9e-5 were measured
    for batch, unit_F in (
        (np.zeros((0, 500), np.int16), scale_F),
        (np.zeros((1, 200), np.int16), scale_F),
        (click[None], one_F),
        (noise(9000).reshape(3, -1), scale_F),
    ):
        counts_N = np.full(len(batch), batch.shape[1], np.int64)
        counts_N[1:] -= 900
        (found,) = session.run(None, {"samples": batch, "counts": counts_N})
        expected = STATISTICS(torch.from_numpy(batch), torch.from_numpy(counts_N))
        assert found.shape == expected.shape
        assert not len(batch) or float(((torch.from_numpy(found) - expected) / unit_F).abs().max()) < 1e-3
