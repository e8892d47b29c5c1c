"""The page as a browser would read it: nothing from outside, nothing of the data become markup."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.triad_training.evaluation.report.conftest import EVIL, judge, rows
from triad_serving.cli import app
from triad_serving.contract.errors import SetupError
from triad_training.evaluation.evaluate import Evaluation
from triad_training.evaluation.history import EpochRecord
from triad_training.evaluation.removal import ORDERS
from triad_training.evaluation.report.page import write_report

HISTORY = [
    EpochRecord(epoch=n, loss=2 / n, validation=0.3 * n, learning_rate=1e-3 / n, seconds=4.0, data_share=0.25)
    for n in (1, 2, 3)
]


class Page(HTMLParser):
    """Every element with its attributes, and the text between."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def folder(evaluation: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page") / "report"
    assert write_report(folder, evaluation, history=HISTORY) == folder / "report.html"
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page(folder / "report.html")


def test_the_page_needs_nothing_from_outside(page: Page) -> None:
    assert not {"script", "link", "iframe", "object", "form"} & {tag for tag, _ in page.elements}
    for _, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href", "xlink:href"):
                assert value is not None
                assert value.startswith(("data:", "#"))
            elif value and name != "content":
                assert "url(" not in value
    [policy] = [meta for meta in page.of("meta") if "http-equiv" in meta]
    assert "default-src 'none'" in str(policy["content"])


def test_every_link_leads_to_a_place_on_the_page(page: Page) -> None:
    places = {attributes.get("id") for _, attributes in page.elements}
    targets = [str(link["href"])[1:] for link in page.of("a")]
    assert len(targets) >= 9
    assert set(targets) <= places


def test_texts_and_labels_stay_texts(page: Page) -> None:
    assert EVIL in page.text.replace("\n", "")
    assert "<b>声音&" in page.text
    assert not page.of("script")


def test_every_chart_lies_beside_the_page_and_in_it(folder: Path, page: Page) -> None:
    files = {path.name for path in folder.iterdir()} - {"report.html"}
    charts = [each for each in page.of("img") if str(each["src"]).startswith("data:image/png")]
    assert len(files) == len(charts)
    assert {"course.png", "lengths.png", "times.png", "confusion-kind.png", "regression-size.png"} <= files
    assert {f"{chart}-{task}.png" for chart in ("scores", "robustness", "agreement", "deletion", "use")
            for task in ("kind", "tags", "size")} <= files  # fmt: skip
    for name in files:
        with Image.open(io.BytesIO((folder / name).read_bytes())) as image:
            assert image.width > 300
    assert all(chart["alt"] for chart in charts)


def test_mistakes_come_with_their_media(page: Page) -> None:
    assert len(page.of("audio")) >= 2
    assert all(str(each["src"]).startswith("data:audio/wav;base64,") for each in page.of("audio"))
    assert len(page.of("image")) >= 4  # as sent, and under its attention
    assert "said picture, is word" in re.sub(r"\s+", " ", page.text)


def test_the_first_screen_answers_four_questions(page: Page) -> None:
    for question in ("Is it good?", "Where is it weak?", "Does attention say the truth?", "What next?"):
        assert question in page.text
    assert "kind: accuracy" in page.text
    assert "kind: as its parts go, the most attended ones first" in page.text
    assert "Collect more rows to judge by: 6" in page.text


@pytest.mark.usefixtures("blank_charts")
def test_the_command_writes_the_page_and_prints_json_for_machines(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    bundle = evaluation.bundle.path
    table = bundle.parents[1] / "metadata.csv"
    ran = CliRunner().invoke(app, ["evaluate", str(bundle), str(table), "--json", "--report", str(tmp_path)])
    assert ran.exit_code == 0, ran.stderr
    assert (tmp_path / "report.html").is_file()
    assert ran.stderr.strip() == str(tmp_path / "report.html")
    found = json.loads(ran.stdout)
    assert found["tasks"]["kind"]["confusion"] == [[0, 1, 0], [0, 3, 0], [0, 1, 0]]
    assert [curve["corruption"]["kind"] for curve in found["robustness"]] == [
        "image noise", "occlusion", "sound noise", "word dropout",
    ]  # fmt: skip
    assert found["robustness"][0]["points"]["kind"][0]["level"] is None
    assert set(found["removal"]) == {"kind", "tags"}
    assert {each["order"] for each in found["removal"]["kind"]["orders"]} == set(ORDERS)


@pytest.mark.usefixtures("blank_charts")
def test_without_a_run_there_is_no_learning_curve(evaluation: Evaluation, tmp_path: Path) -> None:
    again = Page(write_report(tmp_path, evaluation))
    assert not (tmp_path / "course.png").exists()
    assert "peak memory" not in again.text


@pytest.mark.usefixtures("blank_charts")
@pytest.mark.parametrize("labels", [(), ("size",), ("tags",)], ids=str)
def test_tasks_without_labels_and_media_that_never_occur_are_left_out(
    tmp_path: Path, labels: tuple[str, ...]
) -> None:
    """Only texts; labelled for one task or none at all."""
    bare = [
        {"text": row["text"], "split": row["split"], **{task: row.get(task, "") for task in labels}}
        for row in rows()
    ]
    for row, text in zip(
        bare, ("seven", "three", "七 hello", "七", "hello", "seven seven", "three 七"), strict=True
    ):
        row["text"] = text
    evaluation = judge(tmp_path, bare)
    path = write_report(tmp_path / "report", evaluation)
    page = Page(path)
    drawn = {file.stem.split("-")[-1] for file in path.parent.glob("*-*.png")}
    assert drawn == set(labels) | ({"tags"} & set(labels))
    assert "no choice between media" in page.text
    assert not page.of("audio")


@pytest.mark.usefixtures("blank_charts")
def test_a_number_that_is_labelled_once_has_no_share_of_variance_and_a_report(tmp_path: Path) -> None:
    lone = [{**row, "kind": "", "tags": "", "size": "5" if n == 1 else ""} for n, row in enumerate(rows())]
    page = Page(write_report(tmp_path / "report", judge(tmp_path, lone)))
    assert "size: mean error" in page.text
    assert "R²" not in page.text


def test_a_report_that_cannot_be_written_is_refused_by_name(evaluation: Evaluation, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(SetupError, match=r"report cannot be written to .*taken"):
        write_report(tmp_path / "taken", evaluation)
