"""Pixels of each drawing where they can be known."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from triad_serving.drawing.colours import FOR, PLAIN, colour_of
from triad_serving.drawing.png.fonts import Letters
from triad_serving.drawing.png.raster import (
    INK,
    LINE,
    PAPER,
    SIDE,
    SOFT,
    WAVE_HEIGHT,
    Run,
    below,
    beside,
    draw_bars,
    draw_heat,
    draw_image,
    draw_scale,
    draw_text,
    draw_track,
    draw_words,
)
from triad_serving.drawing.scene import Bars, Column
from triad_serving.media.figures import Heat, Picture, Scale, Tone, Track, Wave, Words

ATTENTION, DROP = Scale(tone="attention", most=0.5), Scale(tone="drop", most=0.5)
BODY, SMALL = Letters.of(16), Letters.of(14)


def grey(width: int, height: int, value: int = 128) -> Picture:
    pixels_HW3 = np.full((height, width, 3), value, dtype=np.uint8)
    return Picture(pixels_HW3=pixels_HW3, width=width, height=height)


def rgb(colour: str) -> list[int]:
    return list(bytes.fromhex(colour[1:]))


def has(image: Image.Image, colour: str) -> bool:
    return bool((np.asarray(image) == rgb(colour)).all(axis=-1).any())


@pytest.mark.parametrize("background", [0, 128, 255])
@pytest.mark.parametrize(("row", "column"), [(0, 0), (1, 2), (2, 1)])
def test_the_heat_map_is_brightest_where_the_weight_is_largest(
    row: int, column: int, background: int
) -> None:
    weights = np.full((3, 3), 0.1)
    weights[row, column] = 0.5
    values = tuple(map(tuple, weights.tolist()))
    heat = Heat(title="", scale=ATTENTION, values=values, region=(0, 0, 60, 60))
    drawn = np.asarray(draw_heat(heat, grey(60, 60, background)).convert("L"), dtype=float)
    assert drawn.shape == (SIDE, SIDE)
    y, x = (int(places.mean()) for places in np.nonzero(drawn == drawn.max()))
    assert (3 * y // SIDE, 3 * x // SIDE) == (row, column)
    brightness = [
        drawn[round((r + 0.5) * SIDE / 3), round((c + 0.5) * SIDE / 3)] for r in range(3) for c in range(3)
    ]
    assert np.argmax(brightness) == 3 * row + column


def test_more_weight_is_brighter_all_along() -> None:
    heat = Heat(
        title="", scale=ATTENTION, values=(tuple(np.linspace(0, 0.5, 10).tolist()),), region=(0, 0, 100, 10)
    )
    line = np.asarray(draw_heat(heat, grey(100, 10)).convert("L"), dtype=float)[10, 5 :: SIDE // 10][:10]
    assert (np.diff(line) > 0).all()


def test_a_drop_is_orange_a_rise_purple_and_nothing_leaves_the_image_grey() -> None:
    heat = Heat(title="", scale=DROP, values=((0.5, 0.0, -0.5),), region=(0, 0, 60, 60))
    drawn = np.asarray(draw_heat(heat, grey(60, 60)))
    falls, nothing, rises = (drawn[30, round((n + 0.5) * SIDE / 3)].astype(int) for n in range(3))
    assert falls[0] - falls[2] > 100
    assert rises[2] - rises[0] > 20
    assert nothing.tolist() == [128] * 3


def test_cells_lie_over_their_region_and_padding_is_shown() -> None:
    """A wide image that was padded above and below; the grid reaches over it."""
    heat = Heat(title="", scale=DROP, values=((0.5,), (0.0,)), region=(0, -50, 200, 150))
    drawn = np.asarray(draw_heat(heat, grey(200, 100)))
    quarter = SIDE // 4
    assert drawn.shape == (SIDE, SIDE, 3)
    assert drawn[SIDE - 2, 5].tolist() == rgb(LINE)  # padding under a cell that changes nothing
    assert drawn[SIDE - quarter - 5, 5].tolist() == [128] * 3  # the image
    assert drawn[quarter + 5, 5, 0] > drawn[quarter + 5, 5, 2] + 100  # the image under a drop
    cropped = Heat(title="", scale=DROP, values=((0.5,),), region=(50, 0, 150, 100))
    edges = np.asarray(draw_heat(cropped, grey(200, 100)))
    assert edges[20, 5].tolist() == edges[20, SIDE - 5].tolist() == [128] * 3
    assert edges[20, SIDE // 2].tolist() != [128] * 3


def test_a_small_image_is_enlarged_without_blur() -> None:
    pixels_HW3 = np.array([[[0] * 3, [255] * 3]], dtype=np.uint8)
    drawn = np.asarray(draw_image(Picture(pixels_HW3=pixels_HW3, width=2, height=1)))
    assert set(np.unique(drawn)) == {0, 255}
    assert drawn.shape == (SIDE // 2, SIDE, 3)


def test_a_wave_lies_over_its_shades() -> None:
    low_X = np.array([-1, -0.5, 0, 0], dtype=np.float32)
    track = Track(title="", scale=ATTENTION, values=(0.5, 0.5, 0.0, None))
    wave = Wave(low_X=low_X, high_X=-low_X, shown_s=1.0, seconds=1.0)
    drawn = np.asarray(draw_track(track, wave, 40))
    assert drawn.shape == (WAVE_HEIGHT, 40, 3)
    top = drawn[0, 5::10].tolist()
    assert top == [rgb(colour_of(1, "attention"))] * 2 + [rgb(colour_of(0, "attention")), rgb(PAPER)]
    strokes = [(drawn[:, x] != drawn[0, x]).any(axis=1).sum() for x in (5, 15, 25, 35)]
    assert strokes == [
        pytest.approx(0.92 * WAVE_HEIGHT, abs=2),
        pytest.approx(0.46 * WAVE_HEIGHT, abs=2),
        1,
        1,
    ]
    assert drawn[WAVE_HEIGHT // 2, 5::10].tolist() == [[0] * 3, [0] * 3, [255] * 3, rgb(SOFT)]


def test_a_bar_is_as_long_as_its_value() -> None:
    column = Column(title="p", values=(1.0, 0.25, 0.0), shown=("1", "2", "3"), low=0, high=1)
    drawn = np.asarray(draw_bars(Bars(title="", names=("a", "b", "c"), columns=(column,)), BODY, SMALL, 400))
    lengths = (drawn == rgb(PLAIN)).all(axis=-1).sum(axis=1)
    longest = lengths.max()
    rows = [lengths[round((n + 1.5) * BODY.line_height)] for n in range(3)]
    assert rows == [longest, pytest.approx(longest / 4, abs=2), 1]


def test_what_speaks_against_lies_left_of_zero() -> None:
    column = Column(
        title="s", values=(0.5, -0.5, None), shown=("+", "-", ""), low=-0.5, high=0.5, signed=True
    )
    bars = Bars(title="", names=("a", "b", "c"), columns=(column,))
    drawn = np.asarray(draw_bars(bars, BODY, SMALL, 400))
    middle = [drawn[round((n + 1.5) * BODY.line_height)] for n in range(3)]
    orange = np.flatnonzero((middle[0] == rgb(FOR)).all(axis=-1))
    purple = np.flatnonzero((middle[1] == rgb("#8073ac")).all(axis=-1))
    assert purple.max() < orange.min()
    assert len(purple) == pytest.approx(len(orange), abs=2)
    assert not has(Image.fromarray(middle[2][None]), PLAIN)


def test_a_long_name_ends_before_its_bar() -> None:
    column = Column(title="p", values=(1.0,), shown=("",), low=0, high=1)
    drawn = np.asarray(draw_bars(Bars(title="", names=("W" * 40,), columns=(column,)), BODY, SMALL, 300))
    line = drawn[round(1.5 * BODY.line_height)]
    first = int(np.flatnonzero((line == rgb(PLAIN)).all(axis=-1)).min())
    assert (line[first - 8 : first] == rgb(PAPER)).all()


@pytest.mark.parametrize(
    "text", ["one two three four five six", "x" * 60, "a\nb", "七七七七七七七七七七七七七七七七"]
)
def test_text_is_broken_into_lines_within_its_width(text: str) -> None:
    drawn = draw_text([Run(text=text)], BODY, 120)
    assert drawn.width == 120
    assert drawn.height % BODY.line_height == 0
    assert drawn.height >= 2 * BODY.line_height
    dark = (np.asarray(drawn) == rgb(INK)).all(axis=-1)
    for line in range(drawn.height // BODY.line_height):
        assert dark[line * BODY.line_height : (line + 1) * BODY.line_height].any() or "七" in text


def test_words_stand_on_their_shades() -> None:
    words = Words(title="", scale=ATTENTION, pieces=(("one", 0.5), (" ", None), ("two", 0.0)))
    drawn = draw_words(words, BODY, 300)
    for level in (0, 1):
        assert has(drawn, colour_of(level, "attention"))
    assert has(drawn, "#ffffff")


@pytest.mark.parametrize("tone", ["attention", "drop"])
def test_a_scale_runs_from_one_end_to_the_other(tone: Tone) -> None:
    drawn = np.asarray(draw_scale(tone, 101))
    lowest = 0 if tone == "attention" else -1
    assert drawn[0, 0].tolist() == rgb(colour_of(lowest, tone))
    assert drawn[-1, -1].tolist() == rgb(colour_of(1, tone))


def test_images_are_put_together_without_loss() -> None:
    red, blue = Image.new("RGB", (10, 20), "red"), Image.new("RGB", (30, 5), "blue")
    assert below([red, blue], gap=3).size == (30, 28)
    assert beside([red, blue], gap=3).size == (43, 20)
    assert below([]).size == beside([], gap=3).size == (1, 1)
