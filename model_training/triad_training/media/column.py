"""A column of a table as a stranger sees it, and an option chosen for what was seen."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

Value: TypeAlias = str | float | bool | Sequence[str] | Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Column:
    """cells: of every row, without white space around them; empty where nothing is known."""

    name: str
    cells: tuple[str, ...]

    @cached_property
    def filled(self) -> tuple[str, ...]:
        return tuple(cell for cell in self.cells if cell)

    @cached_property
    def counts(self) -> Counter[str]:
        return Counter(self.filled)

    @cached_property
    def numbers(self) -> tuple[float, ...] | None:
        """Of the filled cells; None where one of them is no finite number, or there are none."""
        try:
            numbers = tuple(map(float, self.filled))
        except ValueError:
            return None
        return numbers if numbers and all(map(math.isfinite, numbers)) else None

    @property
    def distinct(self) -> int:
        return len(self.counts)

    @property
    def mean_length(self) -> float:
        """Characters of a filled cell."""
        return sum(map(len, self.filled)) / max(len(self.filled), 1)

    def is_named(self, *words: str) -> bool:
        """Whether one of the words is a part of its name: `defect_label` is named label."""
        return bool(set(words) & set(self.name.lower().replace("-", "_").replace(" ", "_").split("_")))

    def sample(self, most: int) -> tuple[str, ...]:
        """At most so many different filled cells, from the whole column alike."""
        different = tuple(self.counts)
        return different[:: max(math.ceil(len(different) / most), 1)]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One line of a config: section.key = value, because `why`.

    off: proposed, but commented out. reads: whether it names what a model reads.
    """

    section: str
    key: str
    value: Value
    why: str
    off: bool = False
    reads: bool = False


def toml(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Sequence):
        return f"[{', '.join(map(toml, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
