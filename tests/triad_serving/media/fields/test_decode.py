"""Fields from JSON and mappings: what is refused names the field, what is missing stays missing."""

from __future__ import annotations

import contextlib
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triad_serving.contract.errors import DecodeError, ParameterError, RequestError
from triad_serving.media.fields.decode import MAX_BYTES, decode_fields, parse_fields
from triad_serving.media.fields.medium import FIELDS
from triad_serving.media.fields.spec import (
    MISSING_ID,
    UNKNOWN_ID,
    CategoricalField,
    FieldsSpec,
    NumericField,
)
from triad_serving.media.limits import MediaLimits

AGE = NumericField(name="age", low=1.0, median=50.0, high=99.0)
HEAT = NumericField(name="temperature", low=35.0, median=37.0, high=41.0)
SEX = CategoricalField(name="sex", categories=("F", "M"))
WARD = CategoricalField(name="ward", categories=("1", "2", "True"))
SPEC = FieldsSpec(numeric=(AGE, HEAT), categorical=(SEX, WARD))


def test_an_object_becomes_numbers_and_ids_in_the_specs_order() -> None:
    found = decode_fields(parse_fields(b'{"sex": "M", "temperature": 38.5, "age": 63, "ward": 2}'), SPEC)
    assert found.numbers_F.tolist() == [63.0, 38.5]
    assert found.categories_G.tolist() == [3, 3]
    assert found.written == {"age": "63", "temperature": "38.5", "sex": "M", "ward": "2"}
    assert found.there.tolist() == [True] * 4


def test_what_is_left_out_null_or_empty_is_missing() -> None:
    found = decode_fields({"age": None, "sex": "", "ward": "1"}, SPEC)
    assert np.isnan(found.numbers_F).all()
    assert found.categories_G.tolist() == [MISSING_ID, 2]
    assert found.there.tolist() == [False, False, False, True]


def test_a_category_that_training_did_not_see_is_unknown() -> None:
    assert decode_fields({"sex": "X"}, SPEC).categories_G.tolist() == [UNKNOWN_ID, MISSING_ID]


@pytest.mark.parametrize(
    ("value", "known"), [(1, True), (1.0, True), ("1", True), (" 1 ", True), (1.5, False), (True, True)]
)
def test_a_category_is_read_as_a_table_writes_it(value: str | float | bool, known: bool) -> None:
    assert (decode_fields({"ward": value}, SPEC).categories_G[1] != UNKNOWN_ID) == known


@pytest.mark.parametrize(
    ("fields", "error", "field", "says"),
    [
        (
            {"agee": 3},
            ParameterError,
            "fields.agee",
            "no field 'agee'; it reads age, temperature, sex, ward",
        ),
        ({"age": "63"}, ParameterError, "fields.age", "The field age is a number, not '63'"),
        ({"age": True}, ParameterError, "fields.age", "not 'True'"),
        ({"age": [1]}, ParameterError, "fields.age", r"not '\[1\]'"),
        ({"sex": {"F": 1}}, ParameterError, "fields.sex", "a text or a number"),
        ({"age": math.inf}, DecodeError, "fields.age", "not a finite number"),
        ({"age": math.nan}, DecodeError, "fields.age", "not a finite number"),
        ({"age": 10**400}, DecodeError, "fields.age", "not a finite number"),
        ({"age": 1e39}, DecodeError, "fields.age", "single precision"),
        ({"age": None}, DecodeError, "fields", "all missing"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_name(
    fields: dict[str, object], error: type[RequestError], field: str, says: str
) -> None:
    with pytest.raises(error, match=says) as caught:
        decode_fields(fields, SPEC)  # type: ignore[arg-type]
    assert caught.value.field == field
    assert caught.value.status == 422


@pytest.mark.parametrize(
    "data",
    [
        b"63",
        b"[]",
        b"{",
        b'{"age": NaN}',
        b'{"age": -Infinity}',
        b'{"age": 1, "age": 2}',
        b"\xff\xfe",
        b"[" * 30_000,
        b'{"a":' * 10_000,
        b"nothing",
        rb'{"\ud800": 1}',
        rb'{"sex": "\udfff"}',
    ],
)
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError, match="not a JSON object") as caught:
        parse_fields(data)
    assert caught.value.field == "fields"


def test_an_empty_object_is_an_absent_medium() -> None:
    assert FIELDS.parse(b"{}") is None
    assert FIELDS.parse(b' {"age": 1} ') == {"age": 1}


def test_the_cap_is_of_a_form_not_of_a_file() -> None:
    assert FIELDS.max_bytes(MediaLimits()) == MAX_BYTES == 65536


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(SPEC.names), inner),
    max_leaves=9,
)


@given(st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_whatever_is_sent_is_an_item_or_a_request_error(data: bytes) -> None:
    with contextlib.suppress(RequestError):
        assert decode_fields(parse_fields(data), SPEC).there.any()
