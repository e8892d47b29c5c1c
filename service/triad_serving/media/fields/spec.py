"""What a model reads of a record's columns, and a record ready for the graph.

Shape letters: F numeric fields, G categorical fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triad_serving.contract.arrays import F32, I64

MISSING_ID, UNKNOWN_ID = 0, 1  # of a category; the training's own follow


@dataclass(frozen=True, kw_only=True)
class NumericField:
    """A number; what the graph computes with it is learned.

    low, median, high: of the training rows, quantiles LOWEST, a half and HIGHEST; the graph reads what lies
    beyond low and high as these.
    """

    name: str
    low: float
    median: float
    high: float

    def __post_init__(self) -> None:
        """Raises ValueError."""
        if not self.low <= self.median <= self.high:
            raise ValueError(f"{self.name}: low, median and high are not in this order")


@dataclass(frozen=True, kw_only=True)
class CategoricalField:
    """One of the training's categories, in the order of their ids; any other is unknown."""

    name: str
    categories: tuple[str, ...]

    def id_of(self, category: str) -> int:
        try:
            return 2 + self.categories.index(category)
        except ValueError:
            return UNKNOWN_ID


@dataclass(frozen=True, kw_only=True)
class FieldsSpec:
    """Numbers first, then categories: the order of the tokens. What each is like, training finds out."""

    numeric: tuple[NumericField, ...] = ()
    categorical: tuple[CategoricalField, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError."""
        if len(set(self.names)) < len(self.names):
            raise ValueError("two fields have the same name")

    @property
    def names(self) -> tuple[str, ...]:
        return (*(field.name for field in self.numeric), *(field.name for field in self.categorical))


@dataclass(frozen=True, kw_only=True, eq=False)
class FieldsInput:
    """numbers_F: as sent, NaN where missing. categories_G: ids, MISSING_ID where missing.

    At least one field is there. written: of each field that was sent, its value as people read it.
    """

    numbers_F: F32
    categories_G: I64
    written: Mapping[str, str]

    @property
    def there(self) -> npt.NDArray[np.bool_]:
        """Which fields are there, [F + G], in the spec's order."""
        return np.concatenate([~np.isnan(self.numbers_F), self.categories_G != MISSING_ID])
