"""What is shown of an answer, in the reader's language: plain data, which each renderer draws its own way."""

from __future__ import annotations

from dataclasses import dataclass

from triad_serving.contract.language import Language
from triad_serving.media.figures import Canvas, Figure, Heat, Marks, Picture, Rows, Tone, Track, Wave, Words

MOST_NAME_CHARACTERS = 40  # of a label or a task


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
class TaskPart:
    """Everything about one task. remarks: sentences. figures: each layer of each medium."""

    name: str
    answer: str
    bars: tuple[Bars, ...]
    remarks: tuple[str, ...]
    figures: tuple[Figure, ...]

    @property
    def words(self) -> tuple[Words, ...]:
        return tuple(figure for figure in self.figures if isinstance(figure, Words))

    @property
    def heats(self) -> tuple[Heat, ...]:
        return tuple(figure for figure in self.figures if isinstance(figure, Heat))

    @property
    def rows(self) -> tuple[Rows, ...]:
        return tuple(figure for figure in self.figures if isinstance(figure, Rows))

    @property
    def marks(self) -> tuple[Marks, ...]:
        return tuple(figure for figure in self.figures if isinstance(figure, Marks))

    @property
    def tracks(self) -> tuple[Track, ...]:
        return tuple(figure for figure in self.figures if isinstance(figure, Track))


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """canvases: of the media that are there. notes: about the whole answer.

    legend: what the shades mean, by tone that occurs.
    """

    language: Language
    title: str
    subtitle: str
    canvases: tuple[Canvas, ...]
    tasks: tuple[TaskPart, ...]
    legend: dict[Tone, str]
    notes: tuple[str, ...]

    @property
    def picture(self) -> Picture | None:
        return next((canvas for canvas in self.canvases if isinstance(canvas, Picture)), None)

    @property
    def wave(self) -> Wave | None:
        return next((canvas for canvas in self.canvases if isinstance(canvas, Wave)), None)


def shorten(name: str) -> str:
    return name if len(name) <= MOST_NAME_CHARACTERS else f"{name[: MOST_NAME_CHARACTERS - 1]}…"
