"""Noise of unit power, from recordings or made; a folder without any is a clear error."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

import triad_training.data.files as files_module
from triad_serving.contract.errors import ConfigError
from triad_serving.media.audio.spec import AudioSpec
from triad_serving.media.example import PreprocessSpec
from triad_training.config.reading import load_config
from triad_training.data.cache import Cache
from triad_training.data.files import FileStore
from triad_training.learning.prepare import prepare
from triad_training.media.audio.noise import Noise, coloured_noise, recorded_noise
from triad_training.media.audio.stored import AUDIO_AS_READ
from triad_training.media.stored import File

SPEC = PreprocessSpec(text=None, image=None, audio=AudioSpec(max_s=0.5))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def low_part(wave_T: np.ndarray) -> float:
    power_F = np.abs(np.fft.rfft(wave_T)) ** 2
    return float(power_F[: len(power_F) // 8].sum() / power_F.sum())


@pytest.mark.parametrize("samples", [1, 5000, 131_072, 300_000])
def test_made_noise_has_unit_power_and_any_colour(samples: int) -> None:
    noise = coloured_noise()
    drawn = [noise.draw(samples, rng(seed)) for seed in range(20)]
    assert all(len(each) == samples and each.dtype == np.float32 for each in drawn)
    if samples == 5000:
        assert all(np.mean(each**2) == pytest.approx(1, rel=1e-3) for each in drawn)
        parts = [low_part(each) for each in drawn]
        assert min(parts) < 0.3  # white has an eighth of its power there
        assert max(parts) > 0.7
        assert np.array_equal(noise.draw(samples, rng(3)), drawn[3])


def test_recordings_are_heard_from_anywhere_in_them_at_the_graphs_rate(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    time_T = np.arange(32_000) / 16_000
    soundfile.write(tmp_path / "low.wav", 0.01 * np.sin(2 * np.pi * 300 * time_T), 16_000)
    soundfile.write(tmp_path / "deep" / "high.flac", 0.5 * np.sin(2 * np.pi * 2000 * time_T), 16_000)
    soundfile.write(tmp_path / "silence.wav", np.zeros(4000), 8000)
    (tmp_path / "readme.txt").write_text("not a sound")
    noise = recorded_noise(tmp_path, FileStore(SPEC))
    hz = set()
    for seed in range(20):
        wave_T = noise.draw(12_000, rng(seed))  # longer than the spec's sounds may be
        assert np.mean(wave_T**2) == pytest.approx(1, rel=0.01)
        hz.add(round(float(np.abs(np.fft.rfft(wave_T)).argmax()) * 8000 / 12_000))
    assert hz == {300, 2000}


def test_a_recording_shorter_than_the_sound_is_repeated() -> None:
    drawn = Noise([np.array([3, -3, 3, -3, 0, 0], dtype=np.int16)]).draw(15, rng())
    assert np.array_equal(drawn[:6], drawn[6:12])


def test_a_silent_part_of_a_recording_is_not_made_loud() -> None:
    recording = np.concatenate([np.full(1000, 9000), np.ones(100_000)]).astype(np.int16)
    assert np.abs(Noise([recording]).draw(500, rng(1))).max() < 0.1


def test_recordings_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile.write(tmp_path / "n.wav", rng().uniform(-0.5, 0.5, 8000), 8000)
    caches = [Cache(tmp_path / "cache", max_gib=1) for _ in range(2)]
    recorded_noise(tmp_path, FileStore(SPEC, cache=caches[0]))
    os.utime(tmp_path / "n.wav", (1e9, 1e9))
    recorded_noise(tmp_path, FileStore(SPEC, cache=caches[0]))
    monkeypatch.setattr(files_module, "decode", lambda *_: pytest.fail("decoded again"))
    recorded_noise(tmp_path, FileStore(SPEC, cache=caches[1]))


@pytest.mark.parametrize(
    ("content", "said"), [(None, "holds no sound"), (b"broken", r"n\.wav: Not a sound"), (b"", "0 bytes")]
)
def test_a_folder_without_noise_is_refused(tmp_path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / "n.wav").write_bytes(content)
    with pytest.raises(ConfigError, match=rf"augment\.audio\.noise_folder: .*{said}"):
        recorded_noise(tmp_path, FileStore(SPEC))


def test_a_folder_of_silence_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "n.wav", np.zeros(4000), 8000)
    with pytest.raises(ConfigError, match="is silent"):
        recorded_noise(tmp_path, FileStore(SPEC))


def test_the_config_names_the_folder_and_its_bundle_does_not_tell_where_it_lay(toy_folder: Path) -> None:
    (toy_folder / "noise").mkdir()
    soundfile.write(toy_folder / "noise" / "n.wav", rng().uniform(-0.5, 0.5, 8000), 8000)
    options = ["augment.audio.noise_snr_db=[0, 0]", "augment.audio.noise_folder=noise"]
    config = load_config(toy_folder / "config.toml", options)
    assert config.portable()["augment"]["audio"]["noise_folder"] == "noise"
    prepared = prepare(config)
    found = prepared.train[0].inputs.audio
    assert found is not None
    tone = prepared.train.files.read(File(AUDIO_AS_READ, toy_folder / "0.wav")).samples_T.astype(float)
    noise = found.samples_T - tone
    assert np.mean(noise**2) == pytest.approx(np.mean(tone**2), rel=0.1)
    with pytest.raises(ConfigError, match="nowhere holds no sound"):
        prepare(load_config(toy_folder / "config.toml", [*options, "augment.audio.noise_folder=nowhere"]))
