"""The drawings of a picture, as pixels: text, bars, the image under its cells, the wave over its moments.

Each returns an image of its own; `below` and `beside` put them together.
Shape letters: H W pixels, X columns of a wave.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from triad_serving.contract.arrays import U8
from triad_serving.drawing.colours import AGAINST, FOR, PLAIN, colour_of, ink_on, inks_on, shade, veil
from triad_serving.drawing.frame import frame_of
from triad_serving.drawing.lanes import in_lanes
from triad_serving.drawing.png.fonts import Letters
from triad_serving.drawing.scene import Bars, Column
from triad_serving.media.figures import Heat, Marks, Picture, Tone, Track, Wave, Words

PAPER, INK, SOFT, LINE = "#ffffff", "#1f2933", "#5a6774", "#d5dbe1"
SIDE = 292  # pixels of the square that an image is drawn in
WAVE_HEIGHT = 84
BAR_HEIGHT, SCALE_HEIGHT = 12, 14
NUMBER_WIDTH = 74  # behind a bar

# What is not broken: a word, or one character of East Asia with what closes it, and the white space before.
ATOM = re.compile(r"\n|[^\S\n]*(?:[^\s\u2e80-\uffff]+|[\u2e80-\uffff][，。！？；：、）】》”’]*)|[^\S\n]+")


@dataclass(frozen=True, kw_only=True)
class Run:
    """Text of one look. fill: behind it."""

    text: str
    ink: str = INK
    fill: str | None = None


def below(images: Sequence[Image.Image], *, gap: int = 0) -> Image.Image:
    """One under the other, flush left."""
    width = max((image.width for image in images), default=1)
    height = sum(image.height for image in images) + gap * max(len(images) - 1, 0)
    canvas = Image.new("RGB", (width, max(height, 1)), PAPER)
    y = 0
    for image in images:
        canvas.paste(image, (0, y))
        y += image.height + gap
    return canvas


def beside(images: Sequence[Image.Image], *, gap: int) -> Image.Image:
    """Next to each other, flush at the top."""
    width = sum(image.width for image in images) + gap * max(len(images) - 1, 0)
    height = max((image.height for image in images), default=1)
    canvas = Image.new("RGB", (max(width, 1), height), PAPER)
    x = 0
    for image in images:
        canvas.paste(image, (x, 0))
        x += image.width + gap
    return canvas


def draw_text(runs: Sequence[Run], letters: Letters, width: int, *, leading: float = 1.0) -> Image.Image:
    """Broken into lines of `width`."""
    step = round(leading * letters.line_height)
    placed = list(_flow(runs, letters, width))
    lines = 1 + max((line for *_, line in placed), default=0)
    canvas = Image.new("RGB", (width, step * lines), PAPER)
    pen = ImageDraw.Draw(canvas)
    for text, run, x, line in placed:
        middle = line * step + step / 2
        if run.fill:
            half = 0.72 * letters.size
            pen.rectangle((x, middle - half, x + letters.width(text) - 2, middle + half), fill=run.fill)
        letters.draw(pen, (x, middle), text, run.ink)
    return canvas


def _flow(runs: Sequence[Run], letters: Letters, width: int) -> Iterator[tuple[str, Run, float, int]]:
    """Each piece of a line: its text, its run, where it begins, and on which line."""
    x, line = 0.0, 0
    for run in runs:
        for atom in ATOM.findall(run.text):
            for piece in atom if letters.width(atom) > width else (atom,):
                text = piece if x else piece.lstrip()
                if piece == "\n" or x + letters.width(text) > width:
                    x, line, text = 0.0, line + 1, piece.lstrip()
                if text:
                    yield text, run, x, line
                x += letters.width(text)


def draw_words(words: Words, letters: Letters, width: int) -> Image.Image:
    runs = []
    for text, value in words.pieces:
        if value is None:
            runs.append(Run(text=text))
        else:
            fill = colour_of(words.scale.level(value), words.scale.tone)
            runs.append(Run(text=text, ink=ink_on(fill), fill=fill))
    return draw_text(runs, letters, width, leading=1.25)


def draw_bars(bars: Bars, letters: Letters, small: Letters, width: int) -> Image.Image:
    """A table: names, and a bar with its number in every column."""
    step = letters.line_height
    named = min(max(letters.width(name) for name in (bars.title, *bars.names)) + 16, 0.4 * width)
    each = (width - named) / len(bars.columns)
    canvas = Image.new("RGB", (width, step * (1 + len(bars.names))), PAPER)
    pen = ImageDraw.Draw(canvas)
    small.draw(pen, (0, step / 2), bars.title, SOFT)
    for n, name in enumerate(bars.names, start=1):
        letters.draw(pen, (0, (n + 0.5) * step), name, INK if name in (bars.chosen or bars.names) else SOFT)
    pen.rectangle((named - 8, 0, width, canvas.height), fill=PAPER)  # names that are too long end here
    for c, column in enumerate(bars.columns):
        left, length = named + c * each, each - NUMBER_WIDTH
        small.draw(pen, (left, step / 2), column.title, SOFT)
        for n in range(len(bars.names)):
            middle = (n + 1.5) * step
            canvas.paste(_bar(column, n, round(length)), (round(left), round(middle) - BAR_HEIGHT // 2))
            letters.draw(pen, (left + length + 8, middle), column.shown[n], INK)
    return canvas


def _bar(column: Column, n: int, width: int) -> Image.Image:
    bar = Image.new("RGB", (width, BAR_HEIGHT), PAPER)
    value = column.values[n]
    if value is None:
        return bar
    pen = ImageDraw.Draw(bar)
    unit = (width - 1) / (column.high - column.low)
    zero = -column.low * unit
    colour = PLAIN if not column.signed else FOR if value > 0 else AGAINST
    start, end = sorted((zero, zero + value * unit))
    pen.rectangle((start, 0, end, BAR_HEIGHT), fill=colour)
    if column.signed:
        pen.line((zero, 0, zero, BAR_HEIGHT), fill=INK)
    return bar


def draw_image(picture: Picture) -> Image.Image:
    frame = frame_of(picture, None, SIDE)
    return _resized(Image.fromarray(picture.pixels_HW3), (frame.across, frame.down))


def draw_heat(heat: Heat, picture: Picture) -> Image.Image:
    """The image in grey, its cells over it."""
    frame = frame_of(picture, heat.region, SIDE)
    across, down = frame.across / frame.width, frame.down / frame.height

    def place(left: float, top: float, right: float, bottom: float) -> tuple[int, int, int, int]:
        x, y = (left - frame.left) * across, (top - frame.top) * down
        width, height = (right - left) * across, (bottom - top) * down
        return round(x), round(y), max(round(width), 1), max(round(height), 1)

    canvas = Image.new("RGB", (frame.across, frame.down), LINE)
    x, y, *size = place(0, 0, picture.width, picture.height)
    grey = Image.fromarray(picture.pixels_HW3).convert("L").convert("RGB")
    canvas.paste(_resized(grey, (size[0], size[1])), (x, y))
    colours, opacity = veil(heat.levels, heat.scale.tone)
    x, y, *size = place(*heat.region)
    cells = Image.fromarray(colours).resize((size[0], size[1]), Image.Resampling.NEAREST)
    mask = Image.fromarray((255 * opacity).astype(np.uint8)).resize(cells.size, Image.Resampling.NEAREST)
    canvas.paste(cells, (x, y), mask)
    return canvas


def draw_track(track: Track, wave: Wave, width: int) -> Image.Image:
    """The wave, full scale at its loudest, over the shade of each column; on paper where it was not heard."""
    heard_X1 = np.array([value is not None for value in track.values])[:, None]
    shades_X3 = shade([track.scale.level(value or 0.0) for value in track.values], track.scale.tone)
    under_X3 = np.where(heard_X1, shades_X3, _rgb(PAPER))
    over_X3 = np.where(heard_X1, inks_on(shades_X3), _rgb(SOFT))
    middle = WAVE_HEIGHT / 2
    top_X, bottom_X = (np.rint(middle * (1 - 0.92 * ends_X)) for ends_X in (wave.high_X, wave.low_X))
    y_H1 = np.arange(WAVE_HEIGHT)[:, None]
    stroke_HX1 = ((y_H1 >= top_X) & (y_H1 <= bottom_X))[..., None]
    column_W = np.arange(width) * len(heard_X1) // width
    return Image.fromarray(np.where(stroke_HX1, over_X3, under_X3)[:, column_W].astype(np.uint8))


def draw_marks(marks: Marks, wave: Wave, letters: Letters, width: int) -> Image.Image:
    """The wave over what was heard in it, under the names: as many lines of them as that takes."""
    unit = width / wave.shown_s
    spans = [
        (unit * (mark.start_s + mark.end_s) / 2, letters.width(mark.name) + letters.size)
        for mark in marks.marks
    ]
    lanes = list(in_lanes(spans, width))
    step = letters.line_height
    top = step * (1 + max((lane for lane, _ in lanes), default=0))
    canvas = Image.new("RGB", (width, top + WAVE_HEIGHT), PAPER)
    pen = ImageDraw.Draw(canvas)
    for mark, (lane, left) in zip(marks.marks, lanes, strict=True):
        shade_3 = _rgb(PAPER) + (0.15 + 0.6 * mark.level) * (_rgb(PLAIN).astype(float) - _rgb(PAPER))
        ends = unit * mark.start_s, max(unit * mark.end_s - 1, unit * mark.start_s)
        pen.rectangle((ends[0], top, ends[1], canvas.height), fill=tuple(map(int, shade_3)))
        if lane >= 0:
            letters.draw(pen, (left, (lane + 0.5) * step), mark.name, INK)
    for x in range(width):
        column = x * len(wave.low_X) // width
        high, low = (
            top + WAVE_HEIGHT / 2 * (1 - 0.92 * float(ends_X[column])) for ends_X in (wave.high_X, wave.low_X)
        )
        pen.line((x, high, x, low), fill=INK)
    return canvas


def draw_scale(tone: Tone, width: int) -> Image.Image:
    levels_W = np.linspace(0 if tone == "attention" else -1, 1, width)
    return Image.fromarray(np.repeat(shade(levels_W, tone)[None], SCALE_HEIGHT, axis=0))


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Without blur where it grows."""
    grows = size[0] > image.width
    return image.resize(size, Image.Resampling.NEAREST if grows else Image.Resampling.BILINEAR)


def _rgb(colour: str) -> U8:
    return np.array(list(bytes.fromhex(colour[1:])), dtype=np.uint8)
