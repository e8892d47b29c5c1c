"""The entries data.fields and [augment.fields] of a training config."""

from __future__ import annotations

from pydantic import Field, model_validator

from triad_training.media.section import Fraction, Section


class FieldsColumns(Section):
    """Columns that count as they are; any cell may be empty."""

    numeric: tuple[str, ...] = Field(default=(), description="Columns of numbers.")
    categorical: tuple[str, ...] = Field(
        default=(), description="Columns of categories, each as it is written: F, M; north, south."
    )

    @model_validator(mode="after")
    def _names_each_once(self) -> FieldsColumns:
        repeated = sorted({name for name in self.names if self.names.count(name) > 1})
        if repeated:
            raise ValueError(f"fields: {repeated[0]!r} stands there twice")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.numeric, *self.categorical)


class FieldsAugment(Section):
    drop: Fraction = Field(
        default=0.0, description="Share of fields left out: so that no single one decides."
    )
    unknown: Fraction = Field(
        default=0.0, description="Share of categories that become unknown: where new ones will come."
    )
