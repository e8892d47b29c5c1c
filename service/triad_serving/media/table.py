"""A row of a table as an example: which column holds which medium."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triad_serving.contract.errors import DecodeError
from triad_serving.contract.outputs import MediumName
from triad_serving.media.example import PreprocessSpec, RawInputs
from triad_serving.media.fields.decode import Fields
from triad_serving.media.fields.spec import FieldsSpec


@dataclass(frozen=True, kw_only=True)
class Columns:
    """By medium; an empty name where the model does not read it. A file's path is relative to the table."""

    text: str
    image: str
    audio: str
    fields: FieldsSpec

    @classmethod
    def of(cls, spec: PreprocessSpec, trained: Mapping[str, Any]) -> Columns:
        """trained: the section `data` of the config that the model was trained with; else the usual names."""
        return cls(
            text=trained.get("text", "text") if spec.text else "",
            image=trained.get("image", "image_file_name") if spec.image else "",
            audio=trained.get("audio", "audio_file_name") if spec.audio else "",
            fields=spec.fields or FieldsSpec(),
        )

    @property
    def media(self) -> dict[MediumName, str]:
        """The column of each medium that has one of its own."""
        columns = {"text": self.text, "image": self.image, "audio": self.audio}
        return {medium: column for medium, column in columns.items() if column}

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.media.values(), *self.fields.names)

    def read(self, cells: Mapping[str, str], folder: Path) -> RawInputs:
        """cells: by column, as CSV holds them; empty means absent. Raises DecodeError."""
        written = {column: cell.strip() for column, cell in cells.items()}
        return RawInputs(
            text=written.get(self.text) or None,
            image=_file("image", written.get(self.image), folder),
            audio=_file("audio", written.get(self.audio), folder),
            fields=self._fields(written),
        )

    def _fields(self, cells: Mapping[str, str]) -> Fields | None:
        numbers = {f.name: _number(f.name, cells[f.name]) for f in self.fields.numeric if cells.get(f.name)}
        names = {f.name: cells[f.name] for f in self.fields.categorical if cells.get(f.name)}
        return {**numbers, **names} or None


def _file(medium: str, name: str | None, folder: Path) -> bytes | None:
    if not name:
        return None
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise DecodeError(f"{name} cannot be read: {error.strerror}.", field=medium) from error


def _number(name: str, cell: str) -> float:
    try:
        return float(cell)
    except ValueError as error:
        raise DecodeError(f"{name}: {cell!r} is not a number.", field=f"fields.{name}") from error
