"""Table files to rows. References: the same rows in every format, and files broken by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from triad_serving.contract.errors import TableError
from triad_serving.contract.rows import read_rows


def test_typed_cells_become_what_csv_would_hold(tmp_path: Path) -> None:
    record = {"label": 7.0, "score": 0.5, "none": None, "nan": math.nan, "tags": ["a", "b"], "empty": []}
    (tmp_path / "t.jsonl").write_text(json.dumps(record), encoding="utf-8")
    assert list(read_rows(tmp_path / "t.jsonl")) == [
        (1, {"label": "7", "score": "0.5", "none": "", "nan": "", "tags": "a;b", "empty": ";"})
    ]


def test_lines_that_are_no_rows_are_all_named(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"a": 1}\n{"a":\n[1]\n{"a": 1, "a": 2}\n', encoding="utf-8")
    rows = dict(read_rows(tmp_path / "t.jsonl"))
    assert rows[1] == {"a": "1"}
    assert str(rows[2]).startswith("not JSON")
    assert rows[3] == "not a JSON object"
    assert rows[4] == "not JSON: 'a' stands there twice"
    (tmp_path / "t.csv").write_text("a,b\n1,2,3\n4,5\n6\n", encoding="utf-8")
    assert dict(read_rows(tmp_path / "t.csv")) == {
        2: "more cells than the header names",
        3: {"a": "4", "b": "5"},
        4: "fewer cells than the header names",
    }


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.xlsx", b"", "not a table that is read"),
        ("none.csv", None, "No such file"),
        ("t.csv", "a,b\n七,\n三,é\n".encode()[:-3] + b"\xe9\n", "line 3: byte 5 of it, 0xe9, is not UTF-8"),
        ("t.jsonl", '{"a": "七"}\n'.encode("utf-16"), "line 1: byte 1 of it, 0xff, is not UTF-8; save it"),
        ("t.csv", b'a\n"b"c\n', "line 2: ',' expected after"),
        ("t.csv", b"a,b,a\n1,2,3\n", "two columns are named 'a'"),
        ("t.parquet", b"not parquet", "cannot be read"),
    ],
)
def test_a_file_that_is_no_table_is_refused(
    tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(TableError, match=said):
        list(read_rows(tmp_path / name))


def test_two_columns_of_one_name_are_refused_in_parquet_too(tmp_path: Path) -> None:
    table = pyarrow.table([["1"], ["2"]], names=["a", "a"])
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(TableError, match="two columns are named 'a'"):
        list(read_rows(tmp_path / "t.parquet"))


def test_columns_without_a_name_may_be_several(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,,\n1,2,3\n", encoding="utf-8")
    [(_, cells)] = read_rows(tmp_path / "t.csv")
    assert not isinstance(cells, str)
    assert cells["a"] == "1"
