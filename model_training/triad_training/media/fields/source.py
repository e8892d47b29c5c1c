"""What a row of the table holds of fields, and what is wrong with a column of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from triad_serving.media.fields.decode import LARGEST
from triad_serving.media.fields.spec import CategoricalField, FieldsSpec, NumericField
from triad_training.media.fields.config import FieldsColumns

# Quantiles beyond which a number counts as that quantile: a slip of the pen shall not move the rest.
LOWEST, HIGHEST = 0.005, 0.995
MIN_COUNT = 2  # rarer categories are unknown ones: from them training learns what unknown means
MOSTLY = 0.5  # of the rows: with more categories than that, a column is likely a name, not a category


class Cell(NamedTuple):
    """One field of a row, as written; never empty."""

    name: str
    written: str
    numeric: bool


Source: TypeAlias = tuple[Cell, ...]


def read_cells(cells: Mapping[str, str], columns: FieldsColumns) -> Source:
    return tuple(
        Cell(name, written, name in columns.numeric)
        for name in columns.names
        if (written := cells.get(name, ""))
    )


def problem_of(source: Source) -> str | None:
    """A number that is none."""
    for cell in source:
        if cell.numeric and not math.isfinite(number_of(cell)):
            return f"{cell.name}: {cell.written!r} is not a finite number (empty means missing)"
    return None


def number_of(cell: Cell) -> float:
    """NaN where it is none."""
    try:
        number = float(cell.written)
    except ValueError:
        return math.nan
    return number if abs(number) <= LARGEST else math.nan


def learn_spec(sources: Sequence[Source], columns: FieldsColumns) -> FieldsSpec:
    """Quantiles and categories of the training rows."""
    numeric = []
    for name in columns.numeric:
        numbers = [number_of(cell) for source in sources for cell in source if cell.name == name]
        low, median, high = np.quantile(numbers or [0.0], (LOWEST, 0.5, HIGHEST)).tolist()
        numeric.append(NumericField(name=name, low=low, median=median, high=high))
    categorical = []
    for name in columns.categorical:
        counts = Counter(cell.written for source in sources for cell in source if cell.name == name)
        kept = sorted(category for category, count in counts.items() if count >= MIN_COUNT)
        categorical.append(CategoricalField(name=name, categories=tuple(kept)))
    return FieldsSpec(numeric=tuple(numeric), categorical=tuple(categorical))


def find_empty(rows: Mapping[int, Source], columns: FieldsColumns) -> Iterator[str]:
    """Columns of which no training row has anything. rows: by line."""
    seen = {cell.name for source in rows.values() for cell in source}
    for name in columns.names:
        if name not in seen:
            yield f"no training row has a value in the column {name!r}: leave it out of data.fields"


def find_doubtful(rows: Mapping[int, Source], columns: FieldsColumns) -> Iterator[str]:
    """Columns that tell nothing, or are likely not what they are taken for. rows: of training, by line."""
    for name in columns.names:
        lines = {line: cell.written for line, source in rows.items() for cell in source if cell.name == name}
        counts = Counter(lines.values())
        if len(counts) == 1:
            written, line = next(iter(counts)), min(lines)
            yield f"{name} is {written!r} in every training row, from line {line} on: it tells nothing"
        elif name in columns.categorical and len(counts) > MOSTLY * len(lines):
            lonely = min(line for line, written in lines.items() if counts[written] == 1)
            yield (
                f"{name} has {len(counts)} categories in {len(lines)} rows, one at line {lonely} alone: "
                "is it a name, or a number?"
            )
