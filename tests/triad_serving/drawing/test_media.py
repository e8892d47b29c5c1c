"""Media made small: sizes, places and extremes that can be computed by hand."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import ExifTags, Image

from tests.conftest import SPEC, png_bytes, wav_bytes
from triad_serving.drawing.frame import NARROWEST, frame_of
from triad_serving.media.audio.drawing import WAVE_COLUMNS, values_by_column, wave_of
from triad_serving.media.figures import Picture, Wave
from triad_serving.media.image.drawing import PICTURE_SIDE, picture_of
from triad_serving.media.limits import MediaLimits
from triad_serving.media.text.drawing import MOST_CHARACTERS, TAIL, pieces_of

LIMITS = MediaLimits()


def flat_wave(seconds: float, columns: int) -> Wave:
    zeros_X = np.zeros(columns, dtype=np.float32)
    return Wave(low_X=zeros_X, high_X=zeros_X, shown_s=seconds, seconds=seconds)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_a_picture_is_bounded_whatever_the_image_is(file_format: str) -> None:
    picture = picture_of(png_bytes(3000, 1500, file_format=file_format), LIMITS)
    assert picture.pixels_HW3.shape == (PICTURE_SIDE // 2, PICTURE_SIDE, 3)
    assert (picture.width, picture.height) == (3000, 1500)
    assert picture_of(png_bytes(28, 20), LIMITS).pixels_HW3.shape == (20, 28, 3)


def test_a_picture_is_upright() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # the camera was turned: the file's left is the top
    pixels_HW = np.zeros((20, 40), dtype=np.uint8)
    pixels_HW[:, :10] = 255
    file = io.BytesIO()
    Image.fromarray(pixels_HW).save(file, "PNG", exif=exif)
    picture = picture_of(file.getvalue(), LIMITS)
    assert (picture.width, picture.height) == (20, 40)
    assert picture.pixels_HW3[:10].min() == 255
    assert picture.pixels_HW3[10:].max() == 0


def test_a_wave_keeps_the_extremes_of_each_stretch() -> None:
    assert SPEC.audio is not None
    ramp_T = np.arange(-1200, 1200, dtype="<i2")
    header = wav_bytes(0)[:40]
    wave = wave_of(header + struct.pack("<I", 4800) + ramp_T.tobytes(), SPEC.audio, LIMITS)
    assert len(wave.low_X) == WAVE_COLUMNS
    assert wave.low_X * 1200 == pytest.approx(ramp_T[::10])
    assert wave.high_X * 1200 == pytest.approx(ramp_T[9::10])
    assert (wave.shown_s, wave.seconds) == (0.3, 0.3)


def test_a_wave_shows_what_the_model_hears_and_stays_small() -> None:
    assert SPEC.audio is not None
    long = wave_of(wav_bytes(3.5), SPEC.audio, LIMITS)
    assert (len(long.low_X), long.shown_s, long.seconds) == (WAVE_COLUMNS, 2.0, 3.5)
    assert len(wave_of(wav_bytes(200 / 8000), SPEC.audio, LIMITS).low_X) == 200
    silent = wave_of(wav_bytes(0.1, peak=0), SPEC.audio, LIMITS)
    assert not silent.high_X.any()


def test_each_column_has_the_value_of_the_moment_under_it() -> None:
    spans_s = [(0.2, 0.4), (0.4, 0.6), (0.6, 0.8)]
    assert values_by_column(spans_s, [1, 2, 3], flat_wave(1.0, 5)) == (None, 1, 2, 3, None)
    assert values_by_column(spans_s, [1, 2, 3], flat_wave(1.0, 10)) == (
        *(None, None, 1, 1, 2, 2, 3, 3, None, None),
    )


def test_of_several_moments_under_a_column_the_largest_counts() -> None:
    spans_s = [(n / 100, (n + 1) / 100) for n in range(100)]
    values = [n % 10 - 7 for n in range(100)]
    assert values_by_column(spans_s, values, flat_wave(1.0, 10)) == (-7,) * 10


def test_pieces_are_the_text_whatever_the_spans() -> None:
    assert pieces_of("ab cd", [(0, 2), (3, 5)]) == [("ab", 0), (" ", None), ("cd", 1)]
    overlapping = pieces_of("abcde", [(0, 3), (1, 4), (1, 2)])
    assert overlapping == [("abc", 0), ("d", 1), ("e", None)]
    assert pieces_of("", []) == []


def test_a_long_text_is_cut_off() -> None:
    text = "x" * 5000
    pieces = pieces_of(text, [(n, n + 1) for n in range(5000)])
    assert "".join(piece for piece, _ in pieces) == "x" * MOST_CHARACTERS + "…"
    assert pieces_of(text, [(0, 9)]) == [("x" * 9, 0), ("x" * TAIL + "…", None)]
    assert pieces_of(text, [(0, 5000)]) == [("x" * TAIL + "…", None)]


def test_a_frame_holds_the_image_and_what_was_padded() -> None:
    picture = Picture(pixels_HW3=np.zeros((1, 2, 3), dtype=np.uint8), width=200, height=100)
    whole = frame_of(picture, None, 100)
    assert (whole.left, whole.top, whole.width, whole.height) == (0, 0, 200, 100)
    assert (whole.across, whole.down) == (100, 50)
    padded = frame_of(picture, (0, -50, 200, 150), 100)
    assert (padded.left, padded.top, padded.width, padded.height) == (0, -50, 200, 200)
    assert (padded.across, padded.down) == (100, 100)
    assert frame_of(picture, (50, 0, 150, 100), 100) == whole  # cropped: the edges are shown, too


def test_an_extreme_image_can_still_be_seen() -> None:
    thread = Picture(pixels_HW3=np.zeros((1, 480, 3), dtype=np.uint8), width=5000, height=1)
    frame = frame_of(thread, None, 300)
    assert (frame.across, frame.down) == (300, NARROWEST)
