"""docs/embed.md: its code runs, its commands are answered. Its page: tests/page/test_example.py."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.docs.pages import ROOT, blocks, played

MOUNTED, HTTP, _PAGE, SEARCH = blocks("embed.md", "console")


def test_the_engine_in_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    [code] = blocks("embed.md", "python")
    monkeypatch.chdir(ROOT)
    exec(compile(code, "docs/embed.md", "exec"), {})
    answered, refused = capsys.readouterr().out.splitlines()
    assert answered.startswith("7 ")
    assert refused.startswith("415 Not an image")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_mounted_router_and_the_applications_own_route() -> None:
    with played(MOUNTED) as (printed, _):
        predicted, read = map(json.loads, printed)
    assert predicted["predictions"]["digit"]["label"] == "7"
    assert (read["order"], read["digit"]) == (17, "7")
    assert 0.5 < read["probability"] <= 1


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_service_and_its_client() -> None:
    with played(HTTP) as (printed, _):
        predicted, models = map(json.loads, printed[:2])
        lines = printed[2].splitlines()
    assert predicted["predictions"]["digit"]["attention"]["audio"]
    assert [model["name"] for model in models["models"]] == ["digits"]
    assert [line.split(" (")[0] for line in lines] == ["examples/seven.png: 7", "examples/seven.jpg: 7"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_an_index_is_made_searched_and_changed_while_it_is_served() -> None:
    shutil.rmtree(ROOT / "runs/indexes/digits", ignore_errors=True)
    with played(SEARCH) as (printed, _):
        indexed, found, embedded, searched, _image, added, deleted = printed
    assert indexed.startswith("10 rows")
    assert found.split()[1:4] == ["audio", "row", "9"]  # the line of the table that says seven
    assert json.loads(embedded)["width"] == 96
    first = json.loads(searched)["results"][0]
    assert (first["columns"]["digit"], first["matched"], first["text"]) == (7, "audio", "The digit is seven.")
    assert (ROOT / "runs/seven.png").read_bytes() == (ROOT / "examples/seven.png").read_bytes()
    assert (json.loads(added)["row"], deleted) == ("new", "")
