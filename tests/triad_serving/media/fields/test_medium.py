"""Fields as a medium: what the graph is given, and what is told of each field by its name."""

from __future__ import annotations

import numpy as np
import pytest

from tests.triad_serving.media.fields.test_decode import SPEC
from triad_serving.media.fields.decode import decode_fields
from triad_serving.media.fields.medium import FIELDS
from triad_serving.media.fields.schemas import FieldAttention, FieldOcclusion, FieldsReport
from triad_serving.media.fields.spec import (
    MISSING_ID,
    UNKNOWN_ID,
    CategoricalField,
    FieldsInput,
    FieldsSpec,
    NumericField,
)
from triad_serving.media.figures import Rows, Scale
from triad_serving.media.limits import MediaLimits
from triad_serving.media.padding import Padding

SOME = decode_fields({"age": 63, "sex": "X"}, SPEC)
WEIGHTS = np.array([0.3, 0.0, 0.1, 0.0], dtype=np.float32)


def test_the_graph_gets_numbers_as_they_are_and_ids() -> None:
    other = decode_fields({"temperature": 40, "ward": "1"}, SPEC)
    feed = FIELDS.pack([SOME, other], SPEC, Padding())
    np.testing.assert_array_equal(feed["numbers"], np.array([[63, np.nan], [np.nan, 40]], dtype=np.float32))
    assert feed["categories"].tolist() == [[UNKNOWN_ID, MISSING_ID], [MISSING_ID, 2]]
    assert [each.name for each in FIELDS.inputs(SPEC)] == list(feed)


def test_a_blank_item_has_tokens_of_its_own() -> None:
    """One that no row points at must not be all missing: a softmax over nothing is no number."""
    feed = FIELDS.pack([], SPEC, Padding(min_items=1))
    assert not np.isnan(feed["numbers"]).any()
    assert (feed["categories"] == UNKNOWN_ID).all()


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        (FieldsSpec(numeric=SPEC.numeric), ["numbers"]),
        (FieldsSpec(categorical=SPEC.categorical), ["categories"]),
    ],
)
def test_a_model_of_one_kind_has_one_input(spec: FieldsSpec, names: list[str]) -> None:
    assert [each.name for each in FIELDS.inputs(spec)] == names
    assert list(FIELDS.pack([FIELDS.blank(spec, None)], spec, Padding())) == names


def test_attention_speaks_of_the_fields_that_were_sent() -> None:
    found = FIELDS.describe_attention(SOME, SPEC, WEIGHTS, WEIGHTS)
    assert found == [
        FieldAttention(name="age", weight=0.3, rollout=0.3),
        FieldAttention(name="sex", weight=0.1, rollout=0.1),
    ]
    report = FIELDS.describe_item(SOME, SPEC)
    assert report == FieldsReport(given=["age", "sex"], missing=["temperature", "ward"])


def test_each_field_that_was_sent_can_be_hidden() -> None:
    age, sex = FIELDS.parts(SOME, SPEC, most=64)
    without_age = FIELDS.hide(SOME, [age], SPEC)
    assert without_age is not None
    assert without_age.there.tolist() == [False, False, True, False]
    assert SOME.there.tolist() == [True, False, True, False]
    assert FIELDS.hide(SOME, [age, sex], SPEC) is None
    assert FIELDS.weight(WEIGHTS, sex, SPEC) == pytest.approx(0.1)
    told = FIELDS.describe_occlusion(SOME, SPEC, [age, sex], [0.5, -0.1], [0.3, 0.1])
    assert told[0] == FieldOcclusion(name="age", drop=0.5, weight=0.3)


def test_many_fields_are_hidden_together() -> None:
    numeric = tuple(NumericField(name=f"n{n}", low=0, median=1, high=2) for n in range(10))
    spec = FieldsSpec(numeric=numeric)
    item = decode_fields({f"n{n}": 1 for n in range(0, 10, 2)}, spec)
    parts = FIELDS.parts(item, spec, most=2)
    told = FIELDS.describe_occlusion(item, spec, parts, [0.0] * 2, [0.0] * 2)
    assert [each.name for each in told] == ["n0, n2, n4", "n6, n8"]
    assert FIELDS.hide(item, parts, spec) is None


def test_what_the_model_cannot_use_is_said() -> None:
    assert list(FIELDS.warnings(decode_fields({"age": 300, "temperature": 36}, SPEC), SPEC)) == [
        "age is 300; the model was trained on 1 to 99 and reads 99."
    ]
    assert list(FIELDS.warnings(decode_fields({"age": -3}, SPEC), SPEC)) == [
        "age is -3; the model was trained on 1 to 99 and reads 1."
    ]
    assert list(FIELDS.warnings(SOME, SPEC)) == ["The model knows no sex 'X'."]


def test_a_drawing_has_a_row_for_each_field_with_its_value() -> None:
    canvas = FIELDS.canvas({"age": 63, "sex": "X"}, SPEC, MediaLimits())
    section = FIELDS.describe_attention(SOME, SPEC, WEIGHTS, WEIGHTS)
    scale = Scale(tone="attention", most=0.3)
    drawn = FIELDS.draw(canvas, section, FIELDS.values(section), scale=scale, title="t")
    assert drawn == Rows(title="t", scale=scale, rows=(("age: 63", 0.3), ("sex: X", 0.1)))


def test_a_spec_says_what_is_wrong_with_it() -> None:
    with pytest.raises(ValueError, match="same name"):
        FieldsSpec(numeric=SPEC.numeric, categorical=(CategoricalField(name="age", categories=()),))
    with pytest.raises(ValueError, match="not in this order"):
        NumericField(name="x", low=2, median=1, high=3)


def test_the_blank_item_is_like_a_training_row() -> None:
    blank = FIELDS.blank(SPEC, None)
    assert isinstance(blank, FieldsInput)
    assert blank.numbers_F.tolist() == [50.0, 37.0]
    assert blank.there.all()
