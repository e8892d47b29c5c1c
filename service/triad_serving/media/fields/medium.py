"""The columns of a record as a medium: numbers and categories, any of them missing."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from triad_serving.contract.arrays import F32, Feed
from triad_serving.contract.language import Language
from triad_serving.contract.schema import rounded
from triad_serving.media.fields.decode import MAX_BYTES, MEDIUM, Fields, decode_fields, parse_fields
from triad_serving.media.fields.drawing import Section, draw_rows, values_of
from triad_serving.media.fields.schemas import (
    CategoricalFormat,
    FieldAttention,
    FieldOcclusion,
    FieldsFormat,
    FieldsReport,
    NumericFormat,
)
from triad_serving.media.fields.spec import MISSING_ID, UNKNOWN_ID, FieldsInput, FieldsSpec
from triad_serving.media.figures import Figure, Rows, Scale
from triad_serving.media.limits import MediaLimits
from triad_serving.media.line import parts_along, weight_along
from triad_serving.media.medium import Examples, GraphInput, Part, RequestPart
from triad_serving.media.padding import Padding


class FieldsMedium:
    """See Medium. Its tokens are all fields of the spec; one that is missing has weight 0."""

    name = MEDIUM
    titles: Mapping[Language, str] = {"en": "fields", "zh": "字段"}
    request = RequestPart(
        schema={
            "type": "object",
            "description": "Columns of the record, by name: numbers, and categories as strings, such as "
            '{"age": 63, "sex": "F"}. A field that is left out or null is missing. The model\'s description '
            "lists those that it reads.",
            "additionalProperties": {"type": ["number", "string", "boolean"]},
            "examples": [{}],  # counts as absent; tools send it where a user changes nothing
        },
        encoding="application/json",
        about="Fields: one JSON object of numbers and categories.",
    )
    examples: Examples | None = None

    def max_bytes(self, limits: MediaLimits) -> int:
        return MAX_BYTES

    def parse(self, data: bytes) -> Mapping[str, Any] | None:
        return parse_fields(data) or None

    def open_asset(self, folder: Path, names: Collection[str]) -> None:
        pass

    def decode(self, raw: Fields, spec: FieldsSpec, asset: None, limits: MediaLimits) -> FieldsInput:
        return decode_fields(raw, spec)

    def fit(self, decoded: FieldsInput, spec: FieldsSpec, asset: None) -> FieldsInput:
        return decoded

    def read(self, raw: Fields, spec: FieldsSpec, asset: None, limits: MediaLimits) -> FieldsInput:
        return decode_fields(raw, spec)

    def inputs(self, spec: FieldsSpec) -> tuple[GraphInput, ...]:
        sizes = (("numbers", "float", len(spec.numeric)), ("categories", "int64", len(spec.categorical)))
        return tuple(
            GraphInput(name=name, type=f"tensor({kind})", fixed=(size,)) for name, kind, size in sizes if size
        )

    def pack(self, items: Sequence[FieldsInput], spec: FieldsSpec, padding: Padding) -> Feed:
        count = padding.count(len(items))
        feed: Feed = {}
        if spec.numeric:
            feed["numbers"] = numbers_NF = np.zeros((count, len(spec.numeric)), dtype=np.float32)
            for n, item in enumerate(items):
                numbers_NF[n] = item.numbers_F
        if spec.categorical:
            feed["categories"] = ids_NG = np.full((count, len(spec.categorical)), UNKNOWN_ID, dtype=np.int64)
            for n, item in enumerate(items):
                ids_NG[n] = item.categories_G
        return feed

    def token_count(self, item: FieldsInput, spec: FieldsSpec) -> int:
        return len(spec.names)

    def length_class(self, item: FieldsInput) -> int:
        return 0

    def blank(self, spec: FieldsSpec, asset: None) -> FieldsInput:
        return FieldsInput(
            numbers_F=np.array([field.median for field in spec.numeric], dtype=np.float32),
            categories_G=np.full(len(spec.categorical), UNKNOWN_ID, dtype=np.int64),
            written=dict.fromkeys(spec.names, ""),
        )

    def resized(self, item: FieldsInput, spec: FieldsSpec, *, longest: bool) -> FieldsInput:
        return item

    def describe_format(self, spec: FieldsSpec, asset: None) -> FieldsFormat:
        return FieldsFormat(
            numeric=[NumericFormat(**dataclasses.asdict(field)) for field in spec.numeric],
            categorical=[
                CategoricalFormat(name=field.name, labels=list(field.categories))
                for field in spec.categorical
            ],
        )

    def describe_spec(self, spec: FieldsSpec, asset: None) -> str:
        return f"{len(spec.names)}: {', '.join(spec.names)}"

    def describe_item(self, item: FieldsInput, spec: FieldsSpec) -> FieldsReport:
        return FieldsReport(
            given=_chosen(spec, item.there.tolist()), missing=_chosen(spec, (~item.there).tolist())
        )

    def warnings(self, item: FieldsInput, spec: FieldsSpec) -> Iterator[str]:
        for number, numeric in zip(item.numbers_F.tolist(), spec.numeric, strict=True):
            if number < numeric.low or number > numeric.high:
                read = numeric.low if number < numeric.low else numeric.high
                yield (
                    f"{numeric.name} is {number:g}; the model was trained on {numeric.low:g} to "
                    f"{numeric.high:g} and reads {read:g}."
                )
        for category, categorical in zip(item.categories_G.tolist(), spec.categorical, strict=True):
            if category == UNKNOWN_ID:
                yield f"The model knows no {categorical.name} {item.written[categorical.name]!r}."

    def describe_attention(
        self, item: FieldsInput, spec: FieldsSpec, weights: F32, rollout: F32
    ) -> list[FieldAttention]:
        of_fields = zip(spec.names, item.there.tolist(), rounded(weights), rounded(rollout), strict=True)
        return [
            FieldAttention(name=name, weight=weight, rollout=traced)
            for name, there, weight, traced in of_fields
            if there
        ]

    def parts(self, item: FieldsInput, spec: FieldsSpec, *, most: int) -> Sequence[Part]:
        """Of the fields that are there."""
        there = np.flatnonzero(item.there).tolist()
        return [
            Part(medium=self.name, first=there[part.first], last=there[part.last - 1] + 1)
            for part in parts_along(self.name, len(there), most)
        ]

    def hide(self, item: FieldsInput, parts: Sequence[Part], spec: FieldsSpec) -> FieldsInput | None:
        """Fields are missing."""
        hidden_P = np.zeros(len(spec.names), dtype=np.bool_)
        for part in parts:
            hidden_P[part.first : part.last] = True
        if not (item.there & ~hidden_P).any():
            return None
        numbers = len(spec.numeric)
        return dataclasses.replace(
            item,
            numbers_F=np.where(hidden_P[:numbers], np.float32(np.nan), item.numbers_F),
            categories_G=np.where(hidden_P[numbers:], MISSING_ID, item.categories_G),
        )

    def weight(self, weights: F32, part: Part, spec: FieldsSpec) -> float:
        return weight_along(weights, part)

    def describe_occlusion(
        self,
        item: FieldsInput,
        spec: FieldsSpec,
        parts: Sequence[Part],
        drops: Sequence[float],
        weights: Sequence[float],
    ) -> list[FieldOcclusion]:
        return [
            FieldOcclusion(name=", ".join(_chosen(spec, shown_P.tolist())), drop=drop, weight=weight)
            for part, drop, weight in zip(parts, drops, weights, strict=True)
            for shown_P in [item.there & _within(part, len(spec.names))]
        ]

    def canvas(self, raw: Fields, spec: FieldsSpec, limits: MediaLimits) -> Mapping[str, str]:
        return decode_fields(raw, spec).written

    def values(self, section: Section) -> list[float]:
        return values_of(section)

    def draw(
        self,
        canvas: Mapping[str, str],
        section: Section,
        values: Sequence[float],
        *,
        scale: Scale,
        title: str,
    ) -> Rows:
        return draw_rows(canvas, section, values, scale, title)

    def notes(
        self, canvas: Mapping[str, str], figures: Sequence[Figure], language: Language
    ) -> Iterator[str]:
        return iter(())


def _chosen(spec: FieldsSpec, chosen: Sequence[bool]) -> list[str]:
    return [name for name, is_chosen in zip(spec.names, chosen, strict=True) if is_chosen]


def _within(part: Part, fields: int) -> npt.NDArray[np.bool_]:
    places_P = np.arange(fields)
    return (places_P >= part.first) & (places_P < part.last)


FIELDS = FieldsMedium()
