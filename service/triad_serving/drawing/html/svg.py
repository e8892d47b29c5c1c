"""The drawings of a page, as SVG: the image, alone and under its cells; the wave over its moments; bars."""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Iterator
from html import escape
from itertools import groupby

from PIL import Image

from triad_serving.drawing.bars import number, share
from triad_serving.drawing.colours import colour_of, ink_on, veil
from triad_serving.drawing.frame import frame_of
from triad_serving.drawing.lanes import in_lanes
from triad_serving.drawing.scene import Column
from triad_serving.media.figures import Heat, Mark, Marks, Picture, Tone, Track, Wave

SIDE = 280  # pixels of the square that an image is drawn in
SMALL = 200  # pixels: a smaller image is kept losslessly, and enlarged without blur
WAVE_HEIGHT = 100  # units of its drawing
SCALE_STEPS = 48
NAMES_WIDTH, NAME_HEIGHT, LETTER_WIDTH = 640, 20, 9  # pixels of a narrow page, at least
# Control characters, which HTML cannot hold, C1 among them.
CONTROL = dict.fromkeys((*range(9), 11, 12, *range(14, 32), *range(127, 160)), "\ufffd")


def define_image(picture: Picture) -> str:
    """The image once, for every drawing to refer to."""
    image = Image.fromarray(picture.pixels_HW3)
    small = max(image.size) < SMALL
    kind, look = ("png", ' class="pixels"') if small else ("jpeg", "")
    file = io.BytesIO()
    image.save(file, kind)
    data = base64.b64encode(file.getvalue()).decode()
    return (
        f'<svg width="0" height="0" aria-hidden="true"><defs><image id="picture"{look} '
        f'width="{picture.width}" height="{picture.height}" preserveAspectRatio="none" '
        f'href="data:image/{kind};base64,{data}"/></defs></svg>'
    )


def draw_image(picture: Picture, title: str) -> str:
    frame = frame_of(picture, None, SIDE)
    return (
        f'<svg width="{frame.across}" height="{frame.down}" viewBox="0 0 {frame.width} {frame.height}" '
        f'preserveAspectRatio="none" role="img" aria-label="{escape(title)}"><use href="#picture"/></svg>'
    )


def draw_heat(heat: Heat, picture: Picture) -> str:
    frame = frame_of(picture, heat.region, SIDE)
    box = f'x="{frame.left}" y="{frame.top}" width="{frame.width}" height="{frame.height}"'
    return (
        f'<svg width="{frame.across}" height="{frame.down}" preserveAspectRatio="none" '
        f'viewBox="{frame.left} {frame.top} {frame.width} {frame.height}" role="img" '
        f'aria-label="{escape(heat.title)}"><rect class="margin" {box}/>'
        '<use class="grey" href="#picture"/>'
        f'<g shape-rendering="crispEdges">{"".join(_cells(heat))}</g></svg>'
    )


def _cells(heat: Heat) -> Iterator[str]:
    left, top, right, bottom = heat.region
    high, wide = (bottom - top) / len(heat.values), (right - left) / len(heat.values[0])
    colours, opacity = veil(heat.levels, heat.scale.tone)
    for row, values in enumerate(heat.values):
        for column, value in enumerate(values):
            yield (
                f'<rect x="{left + column * wide:.2f}" y="{top + row * high:.2f}" width="{wide:.2f}" '
                f'height="{high:.2f}" fill="#{bytes(colours[row, column]).hex()}" '
                f'fill-opacity="{opacity[row, column]:.3f}"><title>{number(value)}</title></rect>'
            )


def draw_track(track: Track, wave: Wave) -> str:
    """The wave over its shades: strokes in the ink that the shade under them asks for."""
    shades: list[str] = []
    strokes: dict[str, list[str]] = {}  # by the attribute that gives them their colour
    at = 0
    for value, group in groupby(track.values):
        count, ink = len(list(group)), 'class="unheard"'
        if value is not None:
            colour = colour_of(track.scale.level(value), track.scale.tone)
            ink = f'stroke="{ink_on(colour)}"'
            shades.append(
                f'<rect x="{at}" y="0" width="{count}" height="{WAVE_HEIGHT}" fill="{colour}">'
                f"<title>{number(value)}</title></rect>"
            )
        strokes.setdefault(ink, []).extend(_strokes(wave, at, at + count))
        at += count
    paths = [f'<path {ink} d="{"".join(each)}"/>' for ink, each in strokes.items()]
    return (
        f'<svg class="track" viewBox="0 0 {at} {WAVE_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(track.title)}"><g shape-rendering="crispEdges">{"".join(shades)}</g>'
        f"{''.join(paths)}</svg>"
    )


def draw_marks(marks: Marks, wave: Wave) -> str:
    """The wave over what was heard in it, under the names: as many lines of them as that takes."""
    columns = len(wave.low_X)
    rects = "".join(
        f'<rect class="heard" x="{columns * mark.start_s / wave.shown_s:.2f}" y="0" '
        f'width="{columns * max(mark.end_s - mark.start_s, 0.0) / wave.shown_s:.2f}" height="{WAVE_HEIGHT}" '
        f'fill-opacity="{0.15 + 0.6 * mark.level:.2f}"><title>{escape(_said(mark))}</title></rect>'
        for mark in marks.marks
    )
    spans = [
        (NAMES_WIDTH * (mark.start_s + mark.end_s) / 2 / wave.shown_s, LETTER_WIDTH * (len(mark.name) + 1))
        for mark in marks.marks
    ]
    lanes = list(in_lanes(spans, NAMES_WIDTH))
    names = "".join(
        f'<text x="{100 * left / NAMES_WIDTH:.2f}%" y="{NAME_HEIGHT * (lane + 0.75):g}">'
        f"{escape(mark.name.translate(CONTROL))}</text>"
        for mark, (lane, left) in zip(marks.marks, lanes, strict=True)
        if lane >= 0
    )
    height = NAME_HEIGHT * (1 + max((lane for lane, _ in lanes), default=0))
    return (
        f'<svg class="names" width="100%" height="{height}" aria-hidden="true">{names}</svg>'
        f'<svg class="track" viewBox="0 0 {columns} {WAVE_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(marks.title)}">{rects}<path class="said" '
        f'd="{"".join(_strokes(wave, 0, columns))}"/></svg>'
    )


def _said(mark: Mark) -> str:
    return f"{mark.name.translate(CONTROL)} {mark.start_s:.2f}–{mark.end_s:.2f} s, {share(mark.level)}"


def _strokes(wave: Wave, first: int, last: int) -> Iterator[str]:
    """An upright line from the lowest to the highest sample of each column, half a unit at least."""
    middle = WAVE_HEIGHT / 2
    for x in range(first, last):
        top = middle * (1 - 0.92 * float(wave.high_X[x]))
        bottom = max(middle * (1 - 0.92 * float(wave.low_X[x])), top + 0.5)
        yield f"M{x + 0.5} {top:.1f}V{bottom:.1f}"


def draw_bar(column: Column, n: int) -> str:
    """One value of a column, "" where there is none."""
    value = column.values[n]
    if value is None:
        return ""
    unit = 100 / (column.high - column.low)
    zero = -column.low * unit
    left, width = zero + min(value, 0) * unit, abs(value) * unit
    kind = "plain" if not column.signed else "for" if value > 0 else "against"
    axis = f'<path class="axis" d="M{zero:.2f} 0V10"/>' if column.signed else ""
    return (
        '<svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="{kind}" x="{left:.2f}" y="0" width="{width:.2f}" height="10"/>{axis}</svg>'
    )


@functools.cache
def draw_scale(tone: Tone) -> str:
    lowest = 0 if tone == "attention" else -1
    levels = [lowest + (1 - lowest) * n / (SCALE_STEPS - 1) for n in range(SCALE_STEPS)]
    shades = [
        f'<rect x="{n}" y="0" width="1" height="10" fill="{colour_of(level, tone)}"/>'
        for n, level in enumerate(levels)
    ]
    return (
        f'<svg viewBox="0 0 {SCALE_STEPS} 10" preserveAspectRatio="none" aria-hidden="true" '
        f'shape-rendering="crispEdges">{"".join(shades)}</svg>'
    )
