"""Which column holds which medium, and what a cell means."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import SPEC, png_bytes
from triad_serving.contract.errors import DecodeError
from triad_serving.media.example import PreprocessSpec, RawInputs
from triad_serving.media.fields.spec import CategoricalField, FieldsSpec, NumericField
from triad_serving.media.table import Columns

FIELDS = FieldsSpec(
    numeric=(NumericField(name="age", low=0, median=40, high=90),),
    categorical=(CategoricalField(name="sex", categories=("F", "M")),),
)


def test_columns_are_those_of_the_training_else_the_usual_ones() -> None:
    assert Columns.of(SPEC, {}).names == ("text", "image_file_name", "audio_file_name")
    trained = Columns.of(SPEC, {"image": "photo", "text": "note"})
    assert trained.names == ("note", "photo", "audio_file_name")
    other = PreprocessSpec(text=None, image=None, audio=None, fields=FIELDS)
    assert Columns.of(other, {"text": "note"}).names == ("age", "sex")


def test_cells_become_an_example(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png_bytes())
    columns = Columns.of(PreprocessSpec(text=SPEC.text, image=SPEC.image, audio=None, fields=FIELDS), {})
    cells = {
        "text": " seven ",
        "image_file_name": "a.png",
        "audio_file_name": "b.wav",
        "age": "63",
        "sex": "",
    }
    assert columns.read(cells, tmp_path) == RawInputs(text="seven", image=png_bytes(), fields={"age": 63.0})
    assert columns.read({"text": " ", "age": ""}, tmp_path) == RawInputs()


def test_a_number_that_is_none_is_named(tmp_path: Path) -> None:
    columns = Columns.of(PreprocessSpec(text=None, image=None, audio=None, fields=FIELDS), {})
    with pytest.raises(DecodeError, match="age: 'old' is not a number") as raised:
        columns.read({"age": "old"}, tmp_path)
    assert raised.value.field == "fields.age"
