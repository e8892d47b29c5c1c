"""A scene as lines of text: bars of blocks, the strongest words, cells and moments as shades; no colours."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np

from triad_serving.drawing.bars import bars_of, number, share
from triad_serving.drawing.scene import Bars, Column, Scene, TaskPart
from triad_serving.media.figures import Heat, Marks, Track, Words

NARROWEST, WIDEST = 48, 100  # columns of a line
EIGHTHS = " ▏▎▍▌▋▊▉█"
SHADES, AGAINST = "·░▒▓█", "·-=≡≣"  # of a level's magnitude; the second where it is below 0
HEIGHTS = "▁▂▃▄▅▆▇█"
MOST_WORDS, WORD_WIDTH = 5, 60  # and columns of their lines
MOST_ROWS = 16  # of a grid of cells
MOST_MARKS = 40
INDENT = "  "


def to_terminal(scene: Scene, width: int) -> str:
    """width: columns of the terminal."""
    inner = max(NARROWEST, min(width, WIDEST)) - len(INDENT)
    lines = [scene.subtitle, *scene.notes]
    for part in scene.tasks:
        lines += ["", f"{part.name}: {part.answer}"]
        lines += [INDENT + line for line in _task(part, inner)]
    return "".join(f"{_printable(line).rstrip()}\n" for line in lines)


def _task(part: TaskPart, width: int) -> Iterator[str]:
    for bars in part.bars:
        yield from _bars(bars, width)
    yield from part.remarks
    for words in part.words:
        yield words.title
        yield from _strongest(words, min(width, WORD_WIDTH))
    for heat in part.heats:
        yield heat.title
        yield from _grid(heat)
    for marks in part.marks:
        yield marks.title
        yield from _marks(marks, width)
    for track in part.tracks:
        yield track.title
        yield _heights(track, width)
    for rows in part.rows:
        yield rows.title
        yield from list(_bars(bars_of(rows), width))[1:]  # its columns have no titles


def _bars(bars: Bars, width: int) -> Iterator[str]:
    named = min(max(map(_width, (bars.title, *bars.names))), width // 3)
    each = (width - named) // len(bars.columns) - 2
    yield "  ".join([_fitted(bars.title, named), *(_fitted(column.title, each) for column in bars.columns)])
    for n, name in enumerate(bars.names):
        yield "  ".join([_fitted(name, named), *(_bar(column, n, each) for column in bars.columns)])


def _bar(column: Column, n: int, width: int) -> str:
    """The number, then its bar: blocks for a share and for what speaks for an answer, shades against it."""
    value, shown = column.values[n], f"{column.shown[n]:>8}"
    longest = max(column.high, -column.low)
    length = (width - 9) * abs(value or 0.0) / longest
    if column.signed and value is not None and value < 0:
        return _fitted(f"{shown} {'░' * round(length)}", width)
    whole, eighths = divmod(round(8 * length), 8)
    return _fitted(f"{shown} {'█' * whole}{EIGHTHS[eighths] if eighths else ''}", width)


def _strongest(words: Words, width: int) -> Iterator[str]:
    found = [(text, value) for text, value in words.pieces if value is not None]
    shown = sorted(found, key=lambda pair: -abs(pair[1]))[:MOST_WORDS]
    named = min(max(_width(text) for text, _ in shown), width // 3)
    column = Column(
        title="",
        values=tuple(value for _, value in shown),
        shown=tuple(number(value) for _, value in shown),
        low=-words.scale.most,
        high=words.scale.most,
        signed=True,
    )
    for n, (text, _) in enumerate(shown):
        yield f"{_fitted(text, named)}  {_bar(column, n, width - named - 2)}"


def _grid(heat: Heat) -> Iterator[str]:
    """Two characters a cell; neighbours together where there are many."""
    side = -(-max(len(heat.levels), len(heat.levels[0])) // MOST_ROWS)
    levels = np.array(heat.levels)
    for row in range(0, len(levels), side):
        blocks = [levels[row : row + side, c : c + side] for c in range(0, levels.shape[1], side)]
        yield "".join(2 * _glyph(max(block.ravel().tolist(), key=abs), SHADES, AGAINST) for block in blocks)


def _marks(marks: Marks, width: int) -> Iterator[str]:
    """Each name with its moment, and how sure it is as a bar."""
    shown = marks.marks[:MOST_MARKS]
    named = min(max(_width(mark.name) for mark in shown), width // 3)
    ends = len(f"{shown[-1].end_s:.2f}")
    column = Column(
        title="",
        values=tuple(mark.level for mark in shown),
        shown=tuple(share(mark.level) for mark in shown),
        low=0,
        high=1,
    )
    for n, mark in enumerate(shown):
        moment = f"{mark.start_s:{ends}.2f}–{mark.end_s:{ends}.2f} s"
        yield f"{moment}  {_fitted(mark.name, named)}  {_bar(column, n, width - len(moment) - named - 4)}"
    if more := len(marks.marks) - len(shown):
        yield f"… {more}"


def _heights(track: Track, width: int) -> str:
    columns = np.array_split(np.arange(len(track.values)), min(width, len(track.values)))
    values = [max((track.values[x] or 0.0 for x in under), key=abs) for under in columns]
    return "".join(_glyph(track.scale.level(value), HEIGHTS, AGAINST) for value in values)


def _glyph(level: float, ramp: Sequence[str], against: Sequence[str]) -> str:
    chosen = ramp if level >= 0 else against
    return chosen[round(abs(level) * (len(chosen) - 1))]


def _fitted(text: str, width: int) -> str:
    """Cut off or filled up to so many columns."""
    kept, used = "", 0
    for character in _printable(text):
        if used + _width(character) > width:
            break
        kept, used = kept + character, used + _width(character)
    return kept + " " * (width - used)


def _width(text: str) -> int:
    """Columns that a terminal gives it: East Asian characters take two. Source: Unicode annex 11."""
    return sum(
        2 if unicodedata.east_asian_width(character) in "WF" else not unicodedata.combining(character)
        for character in text
    )


def _printable(text: str) -> str:
    """Without what a terminal would obey."""
    return "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") else c for c in text)
