"""A record on a report's page, with the attention on its fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from triad_serving.media.fields.schemas import FieldAttention

MOST_FIELDS = 12


@dataclass(frozen=True, kw_only=True)
class FieldView:
    """weight: attention, relative to the most attended field."""

    name: str
    written: str
    weight: float


@dataclass(frozen=True, kw_only=True)
class FieldsView:
    """fields: the most attended. more: how many others there are."""

    fields: list[FieldView]
    more: int


def view_fields(written: Mapping[str, str], section: Sequence[FieldAttention]) -> FieldsView:
    most = max((field.weight for field in section), default=0) or 1.0
    ranked = sorted(section, key=lambda field: -field.weight)
    shown = [
        FieldView(name=field.name, written=written.get(field.name, ""), weight=field.weight / most)
        for field in ranked[:MOST_FIELDS]
    ]
    return FieldsView(fields=shown, more=len(ranked) - len(shown))
