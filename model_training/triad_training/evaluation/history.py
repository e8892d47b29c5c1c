"""What every epoch of a run did: written beside its checkpoint after each, read by the report."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from triad_serving.contract.disk import writing
from triad_serving.contract.errors import ConfigError

RUNS = Path("runs")  # checkpoints: runs/<name>-<version>/
HISTORY_FILE = "history.json"
Batch = TypeVar("Batch")


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One finished epoch.

    epoch: counts from 1. loss: mean over its steps. validation: mean_score. learning_rate: at its end.
    seconds: of the whole epoch, validation included. data_share: of the time of its training steps, what was
    spent waiting for the next batch; near 0 the data keep up, without workers it is their whole cost.
    """

    epoch: int
    loss: float
    validation: float
    learning_rate: float
    seconds: float
    data_share: float


def run_folder(name: str, version: str) -> Path:
    """Where a run leaves its checkpoint, its history and, at its end, its report."""
    return RUNS / f"{name}-{version}"


def read_history(run: Path) -> tuple[EpochRecord, ...]:
    """Epochs of runs/<name>-<version>, none where nothing is written. Raises ConfigError on a broken file."""
    path = run / HISTORY_FILE
    try:
        return tuple(EpochRecord(**record) for record in json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from error


def write_history(run: Path, records: Iterable[EpochRecord]) -> None:
    """Whole or not at all. Raises DiskError."""
    partial = run / f"{HISTORY_FILE}.partial"
    text = json.dumps([asdict(record) for record in records], indent=2) + "\n"
    with writing(partial):
        partial.write_text(text, encoding="utf-8")
        partial.replace(run / HISTORY_FILE)


class Stopwatch:
    """Time of one epoch, and how much of its steps went by waiting for data."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._waited = self._stepped = 0.0

    def watch(self, loader: Iterable[Batch]) -> Iterator[Batch]:
        """The loader's batches; what passes between asking for one and having it counts as waiting."""
        begun = asked = time.perf_counter()
        for batch in loader:
            self._waited += time.perf_counter() - asked
            yield batch
            asked = time.perf_counter()
        self._stepped = time.perf_counter() - begun

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._start

    @property
    def data_share(self) -> float:
        return self._waited / self._stepped if self._stepped else 0.0
