from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.growth.__main__ import from_json, markdown, to_json
from benchmarks.growth.figure import draw
from benchmarks.growth.requests import image_of, sound_of, text_of
from benchmarks.growth.series import Series


def made() -> Series:
    """Constant, then linear, then a square."""
    points = {
        10.0: {"cpu_ms": 2.0},
        100.0: {"cpu_ms": 2.0},
        1000.0: {"cpu_ms": 20.0},
        2000.0: {"cpu_ms": 80.0},
    }
    return Series(name="length", unit="characters", costs=("cpu_ms",), points=points)


def test_only_what_grows_faster_than_its_size_is_named() -> None:
    series = made()
    assert list(series.steps("cpu_ms").values()) == pytest.approx([0, 1, 2])
    assert series.steep("cpu_ms") == {(1000.0, 2000.0): pytest.approx(2)}
    [line] = markdown([series]).splitlines()[2:]
    assert line.endswith("| 1000 to 2000: 2.00 |")


def test_the_exponent_is_that_of_a_power() -> None:
    points = {size: {"cpu_ms": 3 * size**1.5} for size in (1.0, 2.0, 4.0, 8.0)}
    series = Series(name="x", unit="x", costs=("cpu_ms",), points=points)
    assert series.exponent("cpu_ms") == pytest.approx(1.5)


def test_series_are_kept_as_json() -> None:
    assert from_json(json.loads(json.dumps(to_json(made())))) == Series(
        **{**vars(made()), "costs": ["cpu_ms"]}
    )


def test_the_figure_is_an_svg_that_any_page_can_show(tmp_path: Path) -> None:
    draw([made(), made()], tmp_path / "growth.svg")
    text = (tmp_path / "growth.svg").read_text()
    assert text.count(">length<") == 2
    assert "CPU ms a request" in text


def test_requests_are_as_large_as_asked_for() -> None:
    text, sound, image = text_of(500).text, sound_of(2).audio, image_of(0.5).image
    assert text is not None
    assert len(text) == 500
    assert sound is not None
    assert len(sound) == 44 + 2 * 2 * 16_000
    assert image is not None
    with Image.open(io.BytesIO(image)) as opened:
        assert opened.width * opened.height == pytest.approx(5e5, rel=0.01)
