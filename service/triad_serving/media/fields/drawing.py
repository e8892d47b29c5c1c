"""Fields as a drawing shows them: a row for each, with its value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from triad_serving.media.fields.schemas import FieldAttention, FieldOcclusion
from triad_serving.media.figures import Rows, Scale

MOST_ROWS = 40

Section = Sequence[FieldAttention | FieldOcclusion]


def values_of(section: Section) -> list[float]:
    return [field.drop if isinstance(field, FieldOcclusion) else field.weight for field in section]


def draw_rows(
    written: Mapping[str, str], section: Section, values: Sequence[float], scale: Scale, title: str
) -> Rows:
    """The strongest MOST_ROWS, in their order."""
    strongest = sorted(range(len(values)), key=lambda n: -abs(values[n]))[:MOST_ROWS]
    return Rows(
        title=title,
        scale=scale,
        rows=tuple((_label(section[n].name, written), values[n]) for n in sorted(strongest)),
    )


def _label(name: str, written: Mapping[str, str]) -> str:
    return f"{name}: {written[name]}" if name in written else name
