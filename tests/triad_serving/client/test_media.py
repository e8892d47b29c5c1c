"""What callers hold becomes the bytes that they mean. References: Pillow, soundfile."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from tests.conftest import png_bytes
from triad_serving.client.media import parts_of
from triad_serving.contract.errors import DecodeError


def content(**media: Any) -> bytes:
    [(_, data, _)] = parts_of(media).values()
    return data


def test_a_file_is_sent_as_it_is_whatever_it_is_held_as(tmp_path: Path) -> None:
    path = tmp_path / "seven.png"
    path.write_bytes(png_bytes())
    for held in (path, str(path), png_bytes(), io.BytesIO(png_bytes())):
        assert content(image=held) == png_bytes()
    assert parts_of({"image": path})["image"][0] == "seven.png"


def test_a_picture_keeps_its_pixels() -> None:
    pixels_HWC = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    sent = Image.open(io.BytesIO(content(image=Image.fromarray(pixels_HWC))))
    assert np.array_equal(np.asarray(sent), pixels_HWC)


@pytest.mark.parametrize("channels", [(), (2,)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_a_wave_keeps_its_samples_and_rate(dtype: Any, channels: tuple[int, ...]) -> None:
    wave = (np.linspace(-0.9, 0.9, 100) * (32768 if dtype == np.int16 else 1)).astype(dtype)
    wave = np.broadcast_to(wave.reshape(100, *(1 for _ in channels)), (100, *channels))
    found, rate = soundfile.read(io.BytesIO(content(audio=(wave, 22050))), dtype="int16")
    assert rate == 22050
    assert found.shape == wave.shape
    scaled = wave.astype(np.float64) * (1 if dtype == np.int16 else 32768)
    assert np.abs(found - scaled).max() <= 1


@pytest.mark.parametrize("wave", [np.array([0.0, np.nan]), np.array([0, 1], dtype=np.int64)])
def test_what_is_no_wave_is_refused(wave: Any) -> None:
    with pytest.raises(DecodeError, match="A wave has finite floats"):
        content(audio=(wave, 8000))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match=r"none.png cannot be read: No such file") as raised:
        content(image=tmp_path / "none.png")
    assert raised.value.field == "image"


def test_text_and_fields_are_utf8_and_json() -> None:
    assert content(text="七") == "七".encode()
    assert json.loads(content(fields={"age": 63, "sex": "女", "weight": None})) == {
        "age": 63,
        "sex": "女",
        "weight": None,
    }
