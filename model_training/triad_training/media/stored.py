"""Files of a table, and the forms in which training keeps what they become once decoded."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from triad_serving.contract.outputs import MediumName
from triad_serving.media.limits import MediaLimits

LIMITS = MediaLimits()  # of what a training run reads: those that a service has by default


@dataclass(frozen=True, kw_only=True)
class StoredForm:
    """One thing that a file can become. name: no other form of any medium has it.

    type: of what it becomes: a dataclass with one array and else what JSON holds.
    decode: from the bytes of a file and the medium's spec; raises as the medium's own `decode` does.
    sources: files of code that decide the result, besides the module that `decode` is in.
    fault: what a table that must be whole may not hold, such as a sound longer than is read; None: nothing.
    """

    name: str
    medium: MediumName
    type: type[Any]
    decode: Callable[[bytes, Any], Any]
    sources: tuple[str, ...] = ()
    fault: Callable[[Any, Any], str | None] | None = None


class File(NamedTuple):
    """A file in the form that is needed of it."""

    form: StoredForm
    path: Path


class Files(Protocol):
    """What reads them: data/files.py has it."""

    def check(self, files: Collection[File]) -> dict[File, str]:
        """What is wrong with which file."""
        ...

    def read(self, file: File) -> Any:
        """What it becomes, of form.type. Raises TableError."""
        ...
