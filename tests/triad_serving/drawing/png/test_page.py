"""The picture as a whole: it decodes, is bounded, shows each part, and says where letters lack."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tests.conftest import png_bytes, wav_bytes
from tests.triad_serving.drawing.conftest import WHOLE, Draw, spotted_png
from triad_serving.drawing.colours import colour_of
from triad_serving.drawing.phrases import PHRASES
from triad_serving.drawing.png import fonts
from triad_serving.drawing.png.page import INNER, MARGIN, drawable, to_png
from triad_serving.drawing.png.raster import SIDE
from triad_serving.media.example import RawInputs


def opened(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    image.load()
    assert (image.format, image.mode) == ("PNG", "RGB")
    return image


def test_the_picture_decodes_and_has_a_fixed_width(draw: Draw) -> None:
    whole = opened(to_png(draw(), asked="en"))
    bare = opened(to_png(draw(RawInputs(text="seven"), attention="none", explain="none"), asked="en"))
    assert whole.width == bare.width == INNER + 2 * MARGIN
    assert whole.height > bare.height


def test_its_size_does_not_depend_on_that_of_the_media(draw: Draw) -> None:
    small = RawInputs(text="seven", image=png_bytes(40, 30), audio=wav_bytes(0.1))
    large = RawInputs(text="seven", image=png_bytes(4000, 3000), audio=wav_bytes(2.0, sample_rate_hz=44100))
    sizes = [opened(to_png(draw(raw), asked="en")).size for raw in (small, large)]
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize(("row", "column"), [(0, 1), (1, 0)])
def test_each_heat_map_is_brightest_where_the_weight_is_largest(draw: Draw, row: int, column: int) -> None:
    scene = draw(RawInputs(image=spotted_png(row, column)))
    pixels = np.asarray(opened(to_png(scene, asked="en"))).astype(int)
    brightest = np.rint(0.6 * np.array(list(bytes.fromhex(colour_of(1, "attention")[1:]))) + 0.4 * 255)
    found = (np.abs(pixels - brightest).max(axis=-1) <= 1).sum(axis=0)
    xs = np.flatnonzero(found > SIDE // 2)  # columns of the picture that hold half a heat map of it
    left = MARGIN + SIDE + 28 + column * SIDE // 2
    assert xs.min() == pytest.approx(left, abs=2)
    assert xs.max() == pytest.approx(left + SIDE // 2, abs=2)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "_locate", lambda known: None)


@pytest.mark.usefixtures("bare")
def test_without_a_chinese_font_the_labels_are_english() -> None:
    assert drawable("zh") == "en"
    assert drawable("en") == "en"


@pytest.mark.usefixtures("bare")
def test_where_letters_lack_the_picture_says_so(draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(
        "triad_serving.drawing.png.page._caption",
        lambda text, *_: said.append(text) or Image.new("RGB", (1, 1)),  # type: ignore[func-returns-value]
    )
    caption = PHRASES["en"].no_font
    to_png(draw(RawInputs(text="seven", image=png_bytes(), audio=wav_bytes(0.1))), asked="en")
    assert caption not in said
    to_png(draw(RawInputs(text="seven")), asked="zh")
    assert said.count(caption) == 1
    to_png(draw(RawInputs(text="七")), asked="en")
    assert said.count(caption) == 2


def test_a_picture_is_the_same_each_time(draw: Draw) -> None:
    scene = draw(WHOLE)
    assert to_png(scene, asked="en") == to_png(scene, asked="en")
