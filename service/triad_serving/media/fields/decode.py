"""Fields: a JSON object, or any mapping, to numbers and category ids."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

from triad_serving.contract.errors import DecodeError, ParameterError
from triad_serving.contract.strict_json import strict_json
from triad_serving.media.fields.spec import (
    MISSING_ID,
    CategoricalField,
    FieldsInput,
    FieldsSpec,
    NumericField,
)

MEDIUM = "fields"
MAX_BYTES = 64 * 1024  # of the JSON: hundreds of fields
SHOWN_CHARACTERS = 80  # of a name or value in a message
LARGEST = float(np.finfo(np.float32).max)

Value: TypeAlias = str | int | float | bool | None
Fields: TypeAlias = Mapping[str, Value]


def parse_fields(data: bytes) -> dict[str, Value]:
    """A JSON object of UTF-8. Raises DecodeError where it is none, or names a field twice."""
    try:
        found = strict_json(data)
    except ValueError as error:
        raise DecodeError(f"The fields are not a JSON object: {error}.", field=MEDIUM) from error
    if not isinstance(found, dict):
        raise DecodeError('The fields are not a JSON object, such as {"age": 63}.', field=MEDIUM)
    return found


def decode_fields(fields: Fields, spec: FieldsSpec) -> FieldsInput:
    """Raises ParameterError for a field that the model does not read, or a value of another type.

    DecodeError for a number that is not finite, and where every field is missing.
    """
    known = set(spec.names)
    for name in fields:
        if name not in known:
            listed = ", ".join(spec.names)
            raise ParameterError(
                f"The model reads no field {_short(name)!r}; it reads {listed}.",
                field=f"{MEDIUM}.{_short(name)}",
            )
    numbers = [_number(fields.get(field.name), field) for field in spec.numeric]
    categories = [_category(fields.get(field.name), field) for field in spec.categorical]
    ids = [
        MISSING_ID if category is None else field.id_of(category)
        for field, category in zip(spec.categorical, categories, strict=True)
    ]
    written = {f.name: f"{n:g}" for f, n in zip(spec.numeric, numbers, strict=True) if not math.isnan(n)}
    written |= {f.name: c for f, c in zip(spec.categorical, categories, strict=True) if c is not None}
    if not written:
        raise DecodeError("The fields are all missing.", field=MEDIUM)
    return FieldsInput(
        numbers_F=np.array(numbers, dtype=np.float32),
        categories_G=np.array(ids, dtype=np.int64),
        written=written,
    )


def write_category(value: Value) -> str:
    """A category as a table has it; whole floats lose their point, so that 7.0 and 7 are one."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def _number(value: Value, field: NumericField) -> float:
    """NaN where it is missing."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ParameterError(
            f"The field {field.name} is a number, not {_short(value)!r}.",
            field=f"{MEDIUM}.{field.name}",
            value=_short(value),
        )
    if not abs(value) <= LARGEST:  # a NaN, too
        raise DecodeError(
            f"The field {field.name} is not a finite number of single precision.",
            field=f"{MEDIUM}.{field.name}",
            value=_short(value),
        )
    return float(value)


def _category(value: Value, field: CategoricalField) -> str | None:
    """None where it is missing."""
    if value is None:
        return None
    if not isinstance(value, str | int | float):
        raise ParameterError(
            f"The field {field.name} is a text or a number, not {_short(value)!r}.",
            field=f"{MEDIUM}.{field.name}",
        )
    return write_category(value) or None


def _short(value: object) -> str:
    return str(value)[:SHOWN_CHARACTERS]
