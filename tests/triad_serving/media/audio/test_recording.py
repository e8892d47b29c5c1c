"""Windows of a recording: what they hear, and what a long sound takes to be read."""

import io

import numpy as np
import pytest
import soundfile

from tests.conftest import wav_bytes
from triad_serving.media.audio.decode import decode_audio, fit_audio
from triad_serving.media.audio.medium import AUDIO
from triad_serving.media.audio.spec import AudioSpec, sound_tokens
from triad_serving.media.limits import MediaLimits

SPEC = AudioSpec(max_s=2.0)
LIMITS = MediaLimits()


def file_of(wave_T: np.ndarray, rate_hz: int, file_format: str = "FLAC") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, wave_T, rate_hz, format=file_format)
    return file.getvalue()


def noise(seconds: float, rate_hz: int = 8000) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, round(seconds * rate_hz)).astype(np.float32)


@pytest.mark.parametrize("seconds", [2.1, 3.0, 3.5, 3.52, 7.77, 30.0])
def test_windows_hear_the_whole_sound_from_whole_tokens_on(seconds: float) -> None:
    data = file_of(noise(seconds), 8000)
    windows = AUDIO.read_windows(data, SPEC, LIMITS)
    whole_T = AUDIO.read(data, AudioSpec(max_s=60.0), None, LIMITS).samples_T
    assert len(windows) > 1
    for window in windows:
        own_T = window.item.samples_T
        np.testing.assert_array_equal(own_T, whole_T[window.first * 320 :][: SPEC.max_samples])
        assert window.item.start_s == pytest.approx(window.first * 0.04)
        assert window.item.windows == len(windows)
        assert len(own_T) >= SPEC.window
    counted = [w.first + token for w in windows for token in range(w.kept.start, w.kept.stop)]
    assert counted == list(range(sound_tokens(len(whole_T), SPEC)))
    first, read = windows[0].item, AUDIO.read(data, SPEC, None, LIMITS)
    np.testing.assert_array_equal(first.samples_T, read.samples_T)
    assert (first.seconds, first.format, first.truncated) == (read.seconds, read.format, read.truncated)


@pytest.mark.parametrize("spec", [SPEC, AudioSpec(max_s=2.0, trim_db=30.0)])
def test_a_sound_that_fits_is_one_window_as_it_is_read(spec: AudioSpec) -> None:
    data = wav_bytes(1.5)
    (window,) = AUDIO.read_windows(data, spec, LIMITS)
    read = AUDIO.read(data, spec, None, LIMITS)
    np.testing.assert_array_equal(window.item.samples_T, read.samples_T)
    assert not window.item.truncated
    assert window.item.windows == 1
    assert list(AUDIO.warnings(window.item, spec)) == []


def test_silence_at_the_ends_of_a_recording_is_not_read() -> None:
    spec = AudioSpec(max_s=2.0, trim_db=30.0)
    silence_T = np.zeros(12 * 8000, dtype=np.float32)
    windows = AUDIO.read_windows(
        file_of(np.concatenate((silence_T, noise(3.0), silence_T)), 8000), spec, LIMITS
    )
    assert windows[0].item.start_s == pytest.approx(12.0, abs=0.02)
    last = windows[-1].item
    assert last.start_s + len(last.samples_T) / 8000 == pytest.approx(15.0, abs=0.02)


def test_a_long_sound_of_a_high_rate_is_resampled_block_by_block() -> None:
    """To the same as at once; it is never in memory at its own rate."""
    data = file_of(noise(8.0, 192_000), 192_000)
    decoded = decode_audio(data, SPEC, LIMITS, whole=True)
    assert (decoded.sample_rate_hz, decoded.sent_rate_hz) == (8000, 192_000)
    at_once = fit_audio(decode_audio(data, AudioSpec(max_s=60.0), LIMITS), AudioSpec(max_s=60.0))
    in_blocks = fit_audio(decoded, SPEC, whole=True)
    assert in_blocks.sample_rate_hz == 192_000
    assert in_blocks.seconds == pytest.approx(8.0)
    difference_T = in_blocks.samples_T.astype(int) - at_once.samples_T
    assert np.abs(difference_T).max() <= 1
