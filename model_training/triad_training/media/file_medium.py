"""What the media have in common whose source is a file, named in one column of the table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor, nn

from triad_serving.contract.arrays import F32
from triad_serving.contract.tasks import Task
from triad_training.media.config import MediaColumns, MediaConfig
from triad_training.media.medium import Reading
from triad_training.media.stored import File, StoredForm

Spec = TypeVar("Spec")


class FileMedium(ABC):
    """See TrainingMedium. Its source is a path; it learns nothing from the rows of the training split.

    as_read, as_decoded: what is stored of a file: as the graph reads it, and as augmentation does.
    """

    as_read: StoredForm
    as_decoded: StoredForm
    may_coincide = False
    unread = '""'

    @abstractmethod
    def column(self, data: MediaColumns) -> str:
        """Of the paths, relative to the table; empty where it is not read."""

    def columns(self, data: MediaColumns) -> tuple[str, ...]:
        column = self.column(data)
        return (column,) if column and self.as_read.medium in data.subset else ()

    def source(self, cells: Mapping[str, str], data: MediaColumns, folder: Path) -> Path | None:
        return next((folder / cells[column] for column in self.columns(data) if cells.get(column)), None)

    def files(self, source: Path, *, augmented: bool) -> Iterator[File]:
        yield File(self.as_decoded if augmented else self.as_read, source)

    def check(self, source: Path) -> str | None:
        return None

    def identity(self, source: Path, digests: Mapping[Path, bytes]) -> bytes | None:
        return digests.get(source)

    def problems(self, rows: Mapping[int, Path], data: MediaColumns) -> Iterator[str]:
        return iter(())

    def doubts(self, rows: Mapping[int, Path], data: MediaColumns) -> Iterator[str]:
        return iter(())

    def raw(self, source: Path) -> bytes:
        return source.read_bytes()

    def learn(
        self,
        spec: Spec,
        config: MediaConfig,
        sources: Sequence[Path | None],
        tasks: Sequence[Task],
        targets: Mapping[str, F32],
    ) -> tuple[Spec, None]:
        return spec, None

    def without_experts(self, spec: Spec, asset: None, kept: Collection[str]) -> tuple[Spec, None]:
        return spec, asset

    def initialise(self, encoder: nn.Module, spec: Any, sources: Sequence[Path]) -> None:
        pass

    def transfer(
        self,
        name: str,
        source: Tensor,
        target: Tensor,
        new: Reading[Spec, None],
        old: Reading[Spec, None],
    ) -> int | None:
        return None
