"""An example: one row of the table, with what it holds of each medium."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triad_serving.contract.outputs import MediumName
from triad_serving.media.example import RawInputs
from triad_training.media.fields.source import Source
from triad_training.media.registry import present


@dataclass(frozen=True, kw_only=True)
class Example:
    """One row. labels: by task, as written; missing where the cell is empty. Paths are absolute.

    group: of rows that must not be torn apart; empty where the config names no column.
    """

    line: int
    split: str
    group: str = ""
    text: str | None = None
    image: Path | None = None
    audio: Path | None = None
    fields: Source | None = None
    labels: Mapping[str, str]

    @property
    def media(self) -> tuple[MediumName, ...]:
        return tuple(medium.serving.name for medium, _ in present(self))

    def of(self, medium: MediumName) -> Any:
        """Its source, of the type that the medium says; None where absent."""
        return getattr(self, medium)

    def read(self) -> RawInputs:
        """As a user would send it. Raises OSError."""
        return RawInputs(**{medium.serving.name: medium.raw(source) for medium, source in present(self)})
