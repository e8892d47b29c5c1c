"""Which columns of a table hold the media, and with which options a model should read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from triad_training.media.audio.inspection import ENDINGS as SOUND_ENDINGS
from triad_training.media.audio.inspection import audio_choices
from triad_training.media.column import Choice, Column
from triad_training.media.files import columns_of_files, files_of
from triad_training.media.image.inspection import ENDINGS as IMAGE_ENDINGS
from triad_training.media.image.inspection import image_choices
from triad_training.media.text.inspection import is_prose, text_choices, text_columns


@dataclass(frozen=True, kw_only=True)
class MediaFound:
    """read: the columns that a model reads. taken: names of all that hold a medium.

    spoken: whether there are sounds. prose: what may be said in them.
    """

    choices: tuple[Choice, ...]
    read: tuple[Column, ...]
    taken: frozenset[str]
    spoken: bool
    prose: Column | None


def find_media(columns: Sequence[Column], folder: Path, *, transcribed: bool = False) -> MediaFound:
    """folder: of the table, to which its paths are relative.

    transcribed: what is said in the sounds shall be answered: a text beside them would tell it.
    """
    images = columns_of_files(columns, folder, IMAGE_ENDINGS)
    sounds = columns_of_files(columns, folder, SOUND_ENDINGS)
    prose = text_columns([column for column in columns if column not in (*images, *sounds)])
    texts = [] if transcribed else prose
    choices = [
        _named(
            "text", texts, _prose(texts), "it would tell what is said" if prose else "no column of sentences"
        ),
        _named("image", images, "paths of pictures, relative to the table", "no column of picture files"),
        _named("audio", sounds, "paths of sounds, relative to the table", "no column of sound files"),
    ]
    choices += text_choices(texts[0]) if texts else ()
    choices += image_choices(files_of(images[0], folder, IMAGE_ENDINGS)) if images else ()
    choices += audio_choices(files_of(sounds[0], folder, SOUND_ENDINGS), transcribed) if sounds else ()
    taken = frozenset(column.name for column in (*prose, *images, *sounds))
    read = tuple(found[0] for found in (texts, images, sounds) if found)
    return MediaFound(
        choices=tuple(choices),
        read=read,
        taken=taken,
        spoken=bool(sounds),
        prose=prose[0] if prose else None,
    )


def may_be_said(column: Column) -> bool:
    """Whether it holds sentences."""
    return is_prose(column)


def fields_choices(
    numeric: Sequence[Column], categorical: Sequence[Column], left_out: Sequence[tuple[Column, str]]
) -> Iterator[Choice]:
    """left_out: with the reason; proposed, but not read."""
    if numeric:
        names = [column.name for column in numeric]
        yield Choice(
            section="data",
            key="fields.numeric",
            value=names,
            why="numbers that count as they are",
            reads=True,
        )
    if categorical:
        names = [column.name for column in categorical]
        yield Choice(
            section="data",
            key="fields.categorical",
            value=names,
            why="few values, each a category",
            reads=True,
        )
    for column, why in left_out:
        kind = "numeric" if column.numbers is not None else "categorical"
        yield Choice(section="data", key=f"fields.{kind}", value=[column.name], why=why, off=True)


def _prose(texts: Sequence[Column]) -> str:
    if not texts:
        return ""
    return f"{texts[0].distinct} different texts of {texts[0].mean_length:.0f} characters on average"


def _named(key: str, found: Sequence[Column], why: str, without: str) -> Choice:
    if not found:
        return Choice(section="data", key=key, value="", why=without)
    others = ", ".join(column.name for column in found[1:])
    more = f"; one column is read, so not {others}" if others else ""
    return Choice(section="data", key=key, value=found[0].name, why=why + more, reads=True)
