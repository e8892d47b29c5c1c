"""The OpenAPI description: complete, true to the answers, and changed only on purpose.

Run as a script, it rewrites the snapshot: python tests/triad_serving/http/test_openapi.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from triad_serving.contract.schema import Schema
from triad_serving.engine.engine import Engine
from triad_serving.http.app import create_app
from triad_serving.http.schemas import Problem
from triad_serving.http.search.schemas import SearchAnswer
from triad_serving.http.view import MEDIA_TYPES
from triad_serving.inference.answer import Prediction
from triad_serving.inference.embedding import EmbeddingAnswer
from triad_serving.settings import Settings

SNAPSHOT = Path(__file__).with_name("openapi.json")
OPERATIONS = ("get", "post", "delete")


def describe() -> dict[str, Any]:
    description = create_app(engine=Engine.open(Path(), Settings(models=Path()))).openapi()
    description["info"]["version"] = "any"
    return description


def operations() -> list[tuple[str, dict[str, Any]]]:
    paths = describe()["paths"]
    return [(path, item[method]) for path, item in paths.items() for method in OPERATIONS if method in item]


def test_the_description_changes_only_on_purpose() -> None:
    """`make openapi` accepts a change."""
    assert describe() == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def test_operation_ids_make_readable_client_methods() -> None:
    assert {operation["operationId"] for _, operation in operations()} == {
        "predict",
        "predict_batch",
        "explain",
        "list_models",
        "get_model",
        "get_model_version",
        "reload_model",
        "embed",
        "search",
        "list_indexes",
        "put_row",
        "delete_row",
        "get_row_medium",
        "get_health",
        "get_readiness",
        "get_metrics",
        "v2_server_live",
        "v2_server_ready",
        "v2_server_metadata",
        *(
            f"v2_model{version}_{name}"
            for version in ("", "_version")
            for name in ("metadata", "ready", "configuration", "infer")
        ),
    }


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("predict", set()),
        ("explain", {"406"}),
        ("predict/batch", {"406"}),
        ("embed", {"406"}),
        ("search", {"409"}),
    ],
)
def test_every_error_is_described_with_a_true_example(path: str, more: set[str]) -> None:
    responses = describe()["paths"][f"/v1/{path}"]["post"]["responses"]
    assert set(responses) == {"200", "400", "404", "413", "415", "422", "500", "503", "504", *more}
    for status, response in responses.items():
        if status == "200":
            continue
        assert set(response["content"]) == {"application/problem+json"}
        content = response["content"]["application/problem+json"]
        assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
        assert Problem.model_validate(content["example"]).status == int(status)


def test_the_examples_of_an_answer_are_answers() -> None:
    content = describe()["paths"]["/v1/predict"]["post"]["responses"]["200"]["content"]
    examples = content["application/json"]["examples"]
    assert set(examples) == {"modality", "full", "transcript", "explain"}
    for example in examples.values():
        prediction = Prediction.model_validate(example["value"])
        assert json.loads(prediction.to_json()) == example["value"]


def test_the_examples_of_vectors_and_of_a_search_are_answers() -> None:
    kinds: dict[str, type[Schema]] = {"embed": EmbeddingAnswer, "search": SearchAnswer}
    for path, kind in kinds.items():
        content = describe()["paths"][f"/v1/{path}"]["post"]["responses"]["200"]["content"]
        example = content["application/json"]["example"]
        assert json.loads(kind.model_validate(example).to_json()) == example


def test_an_explanation_comes_in_three_types_each_with_what_it_holds() -> None:
    content = describe()["paths"]["/v1/explain"]["post"]["responses"]["200"]["content"]
    assert set(content) == set(MEDIA_TYPES)
    example = content["application/json"]["examples"]["all"]["value"]
    assert json.loads(Prediction.model_validate(example).to_json()) == example
    assert content["image/png"]["schema"]["format"] == "binary"
    assert content["text/html"]["example"].startswith("<!DOCTYPE html>")


def test_an_explanation_takes_what_a_prediction_takes_and_a_language() -> None:
    predict, explain = (describe()["paths"][f"/v1/{name}"]["post"] for name in ("predict", "explain"))
    assert explain["requestBody"] == predict["requestBody"]
    names = [{each["name"] for each in operation["parameters"]} for operation in (predict, explain)]
    assert names[1] == names[0] | {"language"}
    defaults = {each["name"]: each["schema"].get("default") for each in explain["parameters"]}
    assert (defaults["attention"], defaults["explain"]) == ("full", "all")


@pytest.mark.parametrize("medium", ["image", "audio"])
def test_files_are_plain_binary_strings(medium: str) -> None:
    """Any-of-null would cost Swagger UI its file button."""
    body = describe()["paths"]["/v1/predict"]["post"]["requestBody"]
    field = body["content"]["multipart/form-data"]["schema"]["properties"][medium]
    assert (field["type"], field["format"]) == ("string", "binary")


def test_every_parameter_is_described() -> None:
    for path, operation in operations():
        for parameter in operation.get("parameters", []):
            assert parameter["description"], (path, parameter)


def test_operations_are_grouped_under_tags_that_say_what_they_are() -> None:
    described = {tag["name"] for tag in describe()["tags"] if tag["description"]}
    assert {tag for _, operation in operations() for tag in operation["tags"]} == described


def test_nothing_offers_null() -> None:
    assert '"null"' not in json.dumps(describe())


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(describe(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
