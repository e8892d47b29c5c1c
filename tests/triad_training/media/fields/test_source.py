"""Columns of a table as fields: what training finds out about them, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.triad_training.media.fields.conftest import make_rows, write_table
from triad_serving.contract.errors import ConfigError, TableError
from triad_training.config.reading import load_config
from triad_training.data.table import read_table
from triad_training.learning.prepare import prepare
from triad_training.media.fields.config import FieldsColumns
from triad_training.media.fields.source import learn_spec, read_cells

COLUMNS = FieldsColumns(numeric=("age",), categorical=("ward",))


def test_numbers_have_quantiles_and_categories_their_names() -> None:
    sources = [read_cells({"age": str(n), "ward": "ABB"[n % 3]}, COLUMNS) for n in range(1001)]
    spec = learn_spec(sources, COLUMNS)
    [age], [ward] = spec.numeric, spec.categorical
    assert (age.low, age.median, age.high) == (5.0, 500.0, 995.0)
    assert ward.categories == ("A", "B")


def test_a_category_seen_once_is_an_unknown_one() -> None:
    """So the class of unknown ones has examples to learn from."""
    sources = [read_cells({"ward": ward}, COLUMNS) for ward in ("A", "B", "B", "C", "C")]
    assert learn_spec(sources, COLUMNS).categorical[0].categories == ("B", "C")


def test_the_training_split_alone_decides(folder: Path) -> None:
    rows = make_rows()
    rows[-1]["age"], rows[-1]["ward"], rows[-2]["ward"] = "5000", "Z", "Z"
    write_table(folder, rows)
    spec = prepare(load_config(folder / "config.toml")).config.spec
    assert spec.fields is not None
    assert spec.fields.numeric[0].high < 100
    assert spec.fields.categorical[0].categories == ("A", "B", "X")


@pytest.mark.parametrize("written", ["old", "nan", "inf", "-1e39", "1,5"])
def test_a_number_that_is_none_is_named_with_its_line(folder: Path, written: str) -> None:
    rows = make_rows()
    rows[4]["age"] = written
    write_table(folder, rows)
    with pytest.raises(TableError) as caught:
        read_table(load_config(folder / "config.toml"))
    assert caught.value.problems == (
        f"metadata.csv: line 6: fields: age: {written!r} is not a finite number (empty means missing)",
    )


def test_a_column_without_a_value_is_refused(folder: Path) -> None:
    write_table(folder, [{**row, "age": ""} for row in make_rows()])
    with pytest.raises(TableError, match="fields: no training row has a value in the column 'age'"):
        read_table(load_config(folder / "config.toml"))


def test_a_column_that_tells_nothing_is_doubted_with_its_line(folder: Path) -> None:
    rows = [{**row, "age": "63", "ward": f"patient {n}"} for n, row in enumerate(make_rows())]
    rows[0]["age"] = ""
    write_table(folder, rows)
    constant, names = (w for w in read_table(load_config(folder / "config.toml")).warnings if "fields" in w)
    assert constant == (
        "metadata.csv: fields: age is '63' in every training row, from line 3 on: it tells nothing"
    )
    assert "ward has 100 categories in 100 rows, one at line 2 alone" in names


def test_a_column_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(TableError, match="no column 'weight'"):
        read_table(load_config(folder / "config.toml", ["data.fields.numeric=['weight']"]))


def test_a_field_stands_in_one_list_once(folder: Path) -> None:
    with pytest.raises(ConfigError, match="'ward' stands there twice"):
        load_config(folder / "config.toml", ["data.fields.numeric=['ward']"])


def test_a_row_without_any_field_has_none(folder: Path) -> None:
    rows = make_rows()
    rows[0] |= {"age": "", "heat": "", "ward": ""}
    write_table(folder, rows)
    table = read_table(load_config(folder / "config.toml"))
    assert table.examples[0].media == ("text",)
    assert table.examples[1].media == ("text", "fields")
    assert table.examples[1].read().fields == {
        "heat": pytest.approx(float(rows[1]["heat"])),
        "ward": rows[1]["ward"],
    }


def test_a_subset_leaves_fields_out(folder: Path) -> None:
    config = load_config(folder / "config.toml", subset="text")
    assert config.spec.media == ("text",)
    assert all(example.fields is None for example in read_table(config).examples)


def test_what_was_decoded_for_training_is_what_the_service_decodes(folder: Path) -> None:
    prepared = prepare(load_config(folder / "config.toml"))
    item = prepared.train[0].inputs.fields
    assert item is not None
    assert item.numbers_F.dtype == np.float32
    assert item.written["ward"] == make_rows()[0]["ward"]
