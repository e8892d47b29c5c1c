"""What is shown of an answer, in the reader's language: plain data, which each renderer draws its own way."""

from __future__ import annotations

from dataclasses import dataclass

from triad_serving.drawing.colours import Tone
from triad_serving.drawing.media import Picture, Wave
from triad_serving.inference.schemas import Language
from triad_serving.media.image.decode import Region

MOST_NAME_CHARACTERS = 40  # of a label or a task


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What a shade means. most: the value (a drop's magnitude) that has the strongest colour."""

    tone: Tone
    most: float

    def level(self, value: float) -> float:
        """Within [0, 1], of drops within [-1, 1]."""
        return max(-1.0, min(value / self.most, 1.0))


@dataclass(frozen=True, kw_only=True)
class Column:
    """One number of each name, drawn as a bar within [low, high]. shown: as text; signed: for or against."""

    title: str
    values: tuple[float | None, ...]
    shown: tuple[str, ...]
    low: float
    high: float
    signed: bool = False


@dataclass(frozen=True, kw_only=True)
class Bars:
    """A table of names; beside each, a bar in every column. chosen: names that are answered."""

    title: str
    names: tuple[str, ...]
    columns: tuple[Column, ...]
    chosen: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Words:
    """The text in pieces, each with its value, None between words."""

    title: str
    scale: Scale
    pieces: tuple[tuple[str, float | None], ...]


@dataclass(frozen=True, kw_only=True)
class Heat:
    """The image under a grid of values. region: where the grid lies, in pixels of the image as sent."""

    title: str
    scale: Scale
    values: tuple[tuple[float, ...], ...]
    region: Region

    @property
    def levels(self) -> list[list[float]]:
        return [[self.scale.level(value) for value in row] for row in self.values]


@dataclass(frozen=True, kw_only=True)
class Track:
    """The wave over a value for each of its columns, None where the model did not hear it."""

    title: str
    scale: Scale
    values: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class TaskPart:
    """Everything about one task. remarks: sentences. Words, images and sounds: by what they show."""

    name: str
    answer: str
    bars: tuple[Bars, ...]
    remarks: tuple[str, ...]
    words: tuple[Words, ...]
    heats: tuple[Heat, ...]
    tracks: tuple[Track, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """notes: about the whole answer. legend: what the shades mean, by tone that occurs."""

    language: Language
    title: str
    subtitle: str
    picture: Picture | None
    wave: Wave | None
    tasks: tuple[TaskPart, ...]
    legend: dict[Tone, str]
    notes: tuple[str, ...]


def shorten(name: str) -> str:
    return name if len(name) <= MOST_NAME_CHARACTERS else f"{name[: MOST_NAME_CHARACTERS - 1]}…"
