"""`triad index`: rows, ids and columns of a table; what fails; going on after a kill; `triad search`."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.conftest import png_bytes, write_tiny_bundle
from triad_serving.cli import app
from triad_serving.contract.errors import ParameterError, SetupError, TableError
from triad_serving.engine.engine import Engine
from triad_serving.http.search.schemas import SearchAnswer
from triad_serving.scoring.indexing import Indexing, Recipe
from triad_serving.search.index import Index
from triad_serving.search.store import Store
from triad_serving.settings import Settings

TABLE = """name,text,image_file_name,digit,age,code
a,seven,a.png,7,1.5,007
b,three,,3,,008
c,,none.png,1,2,
"""
LIMIT_S = 60.0


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "a.png").write_bytes(png_bytes())
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    return path


def build(bundle: Path, table: Path, *, most: int | None = None, **recipe: Any) -> dict[int, Any]:
    """most: rows, after which it is left as a kill would leave it."""
    with Engine.open(bundle, Settings(models=bundle, threads=1)) as engine:
        indexing = Indexing(engine, table, table.parent / "index", Recipe(**recipe))
        left, running = indexing.total - indexing.done, indexing.run(1)
        if most is not None:
            for _ in range(most):
                next(running)
            running.close()  # type: ignore[attr-defined]
            return {}
        assert len(list(running)) == left
        return indexing.finish(1, on_vectors=lambda done, total: None)


def test_a_table_becomes_rows_with_typed_columns_and_what_fails_is_told(
    tiny_bundle: Path, table: Path
) -> None:
    failures = build(tiny_bundle, table, row_id="name")
    assert {line: problem["problem"] for line, problem in failures.items()} == {4: "cannot-decode"}
    index = Index(table.parent / "index")
    assert index.about.columns == {"name": "string", "digit": "number", "age": "number", "code": "string"}
    rows = [index.store.find(name) for name in ("a", "b", "c")]
    assert [row and row.columns for row in rows] == [
        {"name": "a", "digit": 7, "age": 1.5, "code": "007"},
        {"name": "b", "digit": 3, "code": "008"},
        None,
    ]
    assert index.store.count_vectors("image") == 1
    assert index.about.media_root is None


def test_keep_chooses_columns_and_lines_are_ids(tiny_bundle: Path, table: Path) -> None:
    build(tiny_bundle, table, keep=["digit"])
    index = Index(table.parent / "index")
    row = index.store.find("2")
    assert row is not None
    assert row.columns == {"digit": 7}


@pytest.mark.parametrize(
    ("recipe", "error", "said"),
    [
        ({"keep": ["colour"]}, SetupError, "no column 'colour'"),
        ({"row_id": "text"}, TableError, "names no row"),
    ],
)
def test_columns_that_are_not_there_are_refused(
    tiny_bundle: Path, table: Path, recipe: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        build(tiny_bundle, table, **recipe)


def test_a_table_of_which_nothing_can_be_embedded_makes_no_index(tiny_bundle: Path, table: Path) -> None:
    table.write_text("text,image_file_name\n,none.png\n")
    with pytest.raises(SetupError, match="No row of the table can be embedded; the first"):
        build(tiny_bundle, table)


def test_other_options_do_not_go_on_with_an_index(tiny_bundle: Path, table: Path) -> None:
    build(tiny_bundle, table, most=1)
    with pytest.raises(SetupError, match="begun with another table, model or options"):
        build(tiny_bundle, table, show_media=True)


def test_rows_that_were_deleted_do_not_come_back_with_the_same_command(
    tiny_bundle: Path, table: Path
) -> None:
    build(tiny_bundle, table)
    Index(table.parent / "index").delete("3")
    build(tiny_bundle, table)
    assert Index(table.parent / "index").store.ids() == {"2"}


def triad(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_a_killed_run_goes_on_and_a_search_answers(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "models")
    table, out = tmp_path / "many.csv", tmp_path / "index"
    words = [("seven", "three", "hello")[n % 3] for n in range(3000)]
    table.write_text("text,place\n" + "".join(f"{word},{n}\n" for n, word in enumerate(words)))
    command = ("index", bundle, table, "--out", out, "--jobs", "1")
    started = [sys.executable, "-m", "triad_serving.cli", *map(str, command)]
    process = subprocess.Popen(started, stderr=subprocess.DEVNULL)
    until_s = time.monotonic() + LIMIT_S
    while not ((out / "rows.sqlite").exists() and stored(out) > 0):
        assert process.poll() is None
        assert time.monotonic() < until_s
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 0 < stored(out) < 3000
    assert "3000 rows" in triad(*command).stdout
    assert stored(out) == 3000
    asked = ("search", out, "--text", "hello", "-k", "2", "--filter", '{"place": {"min": 100}}')
    answer = SearchAnswer.model_validate_json(triad(*asked, "--json").stdout)
    assert [(hit.row, hit.score) for hit in answer.results] == [("103", 1.0), ("106", 1.0)]
    lines = triad(*asked).stdout.splitlines()
    assert [line.split()[:4] for line in lines] == [["1.0000", "text", "row", row] for row in ("103", "106")]
    assert isinstance(triad(*asked, "--by", "colour").exception, ParameterError)
    Index(out).delete("103")
    assert triad("reindex", out).exit_code == 0
    assert triad(*asked, "-k", "1").stdout.split()[3] == "106"


def stored(out: Path) -> int:
    try:
        return Store(out).count()
    except SetupError:  # it is just being made
        return 0
