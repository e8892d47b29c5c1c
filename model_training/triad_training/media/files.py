"""Columns of a table that name files."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from triad_training.media.column import Column

SAMPLE = 200  # files that are looked at
MOST = 0.9  # share of the cells that must be such paths


def columns_of_files(columns: Sequence[Column], folder: Path, endings: Collection[str]) -> list[Column]:
    """Those of paths that end so and that are there, relative to the folder; names that say so come first."""
    found = [column for column in columns if files_of(column, folder, endings)]
    return sorted(found, key=lambda column: not column.name.endswith("_file_name"))


def files_of(column: Column, folder: Path, endings: Collection[str]) -> list[Path]:
    """A sample of its files; none where most cells name something else."""
    cells = column.sample(SAMPLE)
    named = [cell for cell in cells if Path(cell).suffix.lower() in endings]
    if len(named) < MOST * len(cells):
        return []
    there = [folder / cell for cell in named if (folder / cell).is_file()]
    return there if len(there) >= MOST * len(named) else []
