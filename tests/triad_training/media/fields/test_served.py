"""A model of records and notes, from its table to answers over HTTP: every field by its name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from tests.conftest import client_of
from triad_serving import cli
from triad_serving.drawing.phrases import PHRASES
from triad_serving.http.app import create_app
from triad_serving.inference.bundle import Bundle
from triad_serving.settings import Settings
from triad_training.evaluation.evaluate import evaluate_bundle
from triad_training.evaluation.history import run_folder

SICK = {"age": 40, "heat": 39.5, "ward": "A"}


def post(bundle: Bundle, path: str, parts: Mapping[str, Any], **headers: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with client_of(create_app(Settings(models=bundle.path, threads=1))) as client:
            return await client.post(path, files=parts, headers=headers)

    return asyncio.run(ask())


def part(fields: object) -> tuple[None, str, str]:
    return (None, json.dumps(fields), "application/json")


def test_the_model_learns_from_the_fields_and_from_the_note(patients: Bundle) -> None:
    scores = patients.manifest.metrics["test"]
    assert set(scores) == {"text", "fields", "text+fields"}
    assert scores["fields"]["ill"]["accuracy"] > 0.75
    assert scores["text+fields"]["ill"]["accuracy"] > 0.85


def test_an_answer_speaks_of_each_field(patients: Bundle) -> None:
    answer = post(patients, "/v1/predict?attention=full&explain=all", {"fields": part(SICK)}).json()
    assert answer["inputs"] == {"fields": {"given": ["age", "heat", "ward"], "missing": []}}
    ill = answer["predictions"]["ill"]
    assert ill["label"] == "yes"
    assert ill["attention"]["modalities"] == {"text": 0.0, "fields": pytest.approx(1.0, abs=1e-5)}
    attended = ill["attention"]["fields"]
    assert [field["name"] for field in attended] == ["age", "heat", "ward"]
    assert sum(field["weight"] for field in attended) == pytest.approx(1, abs=1e-4)
    drops = {field["name"]: field["drop"] for field in ill["occlusion"]["fields"]}
    assert max(drops, key=lambda name: drops[name]) == "heat"
    found = ill["attribution"]
    assert found["baseline"] + found["fields"] == pytest.approx(ill["probability"], abs=1e-4)
    assert answer["warnings"] == []


def test_what_is_missing_has_no_weight_and_what_is_strange_is_said(patients: Bundle) -> None:
    answer = post(
        patients,
        "/v1/predict?attention=full",
        {"fields": part({"heat": 50, "ward": "Q"}), "text": (None, "well")},
    ).json()
    assert answer["inputs"]["fields"] == {"given": ["heat", "ward"], "missing": ["age"]}
    assert [f["name"] for f in answer["predictions"]["ill"]["attention"]["fields"]] == ["heat", "ward"]
    assert any(
        warning.startswith("heat is 50; the model was trained on 36") for warning in answer["warnings"]
    )
    assert "The model knows no ward 'Q'." in answer["warnings"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"agee": 1}, "fields.agee"),
        ({"age": "x"}, "fields.age"),
        ({"age": 1e300}, "fields.age"),
        ([], "fields"),
    ],
)
def test_bad_fields_are_refused_by_name(patients: Bundle, fields: object, field: str) -> None:
    answer = post(patients, "/v1/predict", {"fields": part(fields)})
    assert answer.status_code == 422
    assert answer.json()["field"] == field


def test_fields_past_their_cap_are_refused_and_empty_ones_are_nothing(patients: Bundle) -> None:
    large = post(patients, "/v1/predict", {"fields": part({"age": "9" * 70_000})})
    assert large.status_code == 413
    empty = post(patients, "/v1/predict", {"fields": part({})})
    assert (empty.status_code, empty.json()["title"]) == (400, "Nothing to predict from")


def test_a_model_without_fields_refuses_them_as_any_medium_it_does_not_read(tiny_bundle: Any) -> None:
    async def ask() -> httpx.Response:
        async with client_of(create_app(Settings(models=tiny_bundle, threads=1))) as client:
            return await client.post("/v1/predict", files={"fields": part(SICK)})

    answer = asyncio.run(ask())
    assert answer.status_code == 422
    assert answer.json()["detail"] == "This model does not read fields; it reads text, image, audio."


def test_the_model_describes_its_fields(patients: Bundle) -> None:
    async def ask() -> httpx.Response:
        async with client_of(create_app(Settings(models=patients.path, threads=1))) as client:
            return await client.get("/v1/models/patients/versions/1")

    inputs = asyncio.run(ask()).json()["inputs"]
    assert [field["name"] for field in inputs["fields"]["numeric"]] == ["age", "heat"]
    assert inputs["fields"]["categorical"] == [{"name": "ward", "labels": ["A", "B", "X"]}]


@pytest.mark.parametrize("accept", ["text/html", "image/png"])
def test_an_explanation_draws_a_row_for_each_field(patients: Bundle, accept: str) -> None:
    drawn = post(patients, "/v1/explain", {"fields": part(SICK)}, Accept=accept)
    assert drawn.status_code == 200
    if accept == "text/html":
        assert "heat: 39.5" in drawn.text
        assert PHRASES["en"].title in drawn.text


def test_the_command_line_takes_fields(patients: Bundle) -> None:
    command = ["--model", str(patients.path), "--fields", json.dumps(SICK)]
    predicted = CliRunner().invoke(cli.app, ["predict", *command])
    assert json.loads(predicted.stdout)["predictions"]["ill"]["label"] == "yes"
    explained = CliRunner().invoke(cli.app, ["explain", *command])
    assert "heat: 39.5" in explained.stdout


def test_the_report_shows_the_fields_of_mistakes(patients: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(patients.path.parents[2])
    page = (run_folder("patients", "1") / "report" / "report.html").read_text(encoding="utf-8")
    assert 'class="fields"' in page


def test_scores_fall_as_fields_go_missing(patients: Bundle) -> None:
    table = patients.path.parents[2] / "metadata.csv"
    evaluation = evaluate_bundle(patients.path, table, robustness=True)
    [curve] = [curve for curve in evaluation.curves if curve.corruption.kind == "missing fields"]
    alone = [point.alone for point in curve.points["ill"]]
    assert alone[0] is not None
    assert alone[-1] is not None
    assert alone[0] > alone[-1]
    assert "| missing fields | ill | 0.8 |" in evaluation.table()
