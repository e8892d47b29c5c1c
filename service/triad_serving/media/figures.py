"""What is drawn of a medium: canvases that show what was sent, figures of values over them; plain data.

Each renderer draws them its own way. Shape letters: H W pixels, X columns of a wave.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from triad_serving.contract.arrays import F32, U8

Tone = Literal["attention", "drop"]
Region: TypeAlias = tuple[int, int, int, int]  # left, top, right, bottom


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What a shade means. most: the value (a drop's magnitude) that has the strongest colour."""

    tone: Tone
    most: float

    def level(self, value: float) -> float:
        """Within [0, 1], of drops within [-1, 1]."""
        return max(-1.0, min(value / self.most, 1.0))


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """pixels_HW3: RGB, upright, small. width, height: as sent, upright."""

    pixels_HW3: U8
    width: int
    height: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Wave:
    """low_X, high_X: of each column, full scale at the loudest. shown_s: how much of `seconds` there is."""

    low_X: F32
    high_X: F32
    shown_s: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Words:
    """A text in pieces, each with its value, None between words."""

    title: str
    scale: Scale
    pieces: tuple[tuple[str, float | None], ...]


@dataclass(frozen=True, kw_only=True)
class Heat:
    """A picture under a grid of values. region: where the grid lies, in pixels of the image as sent."""

    title: str
    scale: Scale
    values: tuple[tuple[float, ...], ...]
    region: Region

    @property
    def levels(self) -> list[list[float]]:
        return [[self.scale.level(value) for value in row] for row in self.values]


@dataclass(frozen=True, kw_only=True)
class Track:
    """A wave over a value for each of its columns, None where the model did not hear it."""

    title: str
    scale: Scale
    values: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A name over a wave, from and to a moment; level: how strong its shade is, within [0, 1]."""

    name: str
    start_s: float
    end_s: float
    level: float


@dataclass(frozen=True, kw_only=True)
class Marks:
    """A wave under the names of what was heard in it, in order."""

    title: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Names in a column, each with its value."""

    title: str
    scale: Scale
    rows: tuple[tuple[str, float], ...]


Canvas: TypeAlias = str | Picture | Wave | Mapping[str, str]
Figure: TypeAlias = Words | Heat | Track | Rows | Marks
