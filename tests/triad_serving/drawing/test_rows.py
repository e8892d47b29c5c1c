"""Rows of names and values, as every renderer draws them: a bar each, as long as its shade is strong."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
from PIL import Image

from tests.triad_serving.drawing.conftest import Draw
from triad_serving.drawing.bars import bars_of
from triad_serving.drawing.html.page import to_html
from triad_serving.drawing.png.page import to_png
from triad_serving.drawing.scene import Scene
from triad_serving.drawing.terminal import to_terminal
from triad_serving.media.example import RawInputs
from triad_serving.media.figures import Rows, Scale

ATTENTION = Rows(
    title="attention of the fields",
    scale=Scale(tone="attention", most=0.5),
    rows=(("age: 63", 0.5), ("sex: <F>", 0.1)),
)
DROP = Rows(
    title="drop without each field",
    scale=Scale(tone="drop", most=0.4),
    rows=(("age: 63", 0.4), ("sex: <F>", -0.2)),
)


def scene_with_rows(draw: Draw) -> Scene:
    scene = draw(RawInputs(text="seven"))
    part = replace(scene.tasks[0], figures=(ATTENTION, DROP))
    return replace(scene, tasks=(part,))


def test_bars_of_attention_begin_at_nothing_and_those_of_drops_in_the_middle() -> None:
    [attention], [drop] = bars_of(ATTENTION).columns, bars_of(DROP).columns
    assert (attention.low, attention.high, attention.signed) == (0, 0.5, False)
    assert (drop.low, drop.high, drop.signed) == (-0.4, 0.4, True)
    assert attention.shown == ("0.500", "0.100")
    assert drop.shown == ("+0.400", "-0.200")
    assert bars_of(DROP).names == ("age: 63", "sex: <F>")


def test_the_page_has_a_bar_for_each_row_and_a_users_text_is_a_text(draw: Draw) -> None:
    page = to_html(scene_with_rows(draw))
    assert "attention of the fields" in page
    assert page.count("sex: &lt;F&gt;") == 2
    assert "<F>" not in page


def test_the_terminal_has_a_line_for_each_row(draw: Draw) -> None:
    lines = to_terminal(scene_with_rows(draw), 80).splitlines()
    [title] = [n for n, line in enumerate(lines) if "attention of the fields" in line]
    assert "age: 63" in lines[title + 1]
    assert lines[title + 1].count("█") > lines[title + 2].count("█") > 0
    [title] = [n for n, line in enumerate(lines) if "drop without each field" in line]
    assert "░" in lines[title + 2]


def test_the_picture_grows_by_the_rows(draw: Draw) -> None:
    scene = scene_with_rows(draw)
    without = replace(scene, tasks=(replace(scene.tasks[0], figures=()),))
    pictures = [Image.open(io.BytesIO(to_png(each, asked="en"))) for each in (scene, without)]
    heights = [picture.height for picture in pictures]
    assert heights[0] > heights[1] + 100
    assert np.asarray(pictures[0])[heights[1] :].min() < 128
