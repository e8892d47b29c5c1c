"""The routes of indexes over ASGI: search, rows that come and go, their media, who may change them, refusals.

The tiny model's embedding is [cos x, sin x]: "seven" is x = 0.2, "hello" 0.5, both 0.7; a white image 4.
"""

from __future__ import annotations

import asyncio
import json
import math
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import client_of, png_bytes, tiny_model, wav_bytes, write_tiny_bundle
from tests.triad_serving.search.made import make_index
from triad_serving.contract.errors import IndexRefusedError, SetupError
from triad_serving.http.access.keys import key_line, new_key
from triad_serving.http.app import create_app
from triad_serving.http.schemas import Problem
from triad_serving.http.search.schemas import IndexList, SearchAnswer
from triad_serving.inference.bundle import read_bundle, write_bundle
from triad_serving.settings import Settings

Client = httpx.AsyncClient
ROWS = "/v1/indexes/i/rows"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Shared by tests that change nothing."""
    return make_index(tmp_path_factory.mktemp("served"), show_media=True)


def ask(served: tuple[Path, Path], talk: Callable[[Client], Awaitable[Any]], **settings: Any) -> Any:
    async def go() -> Any:
        app = create_app(Settings(models=served[0], index=served[1], **settings))
        async with client_of(app) as client:
            return await talk(client)

    return asyncio.run(go())


def part(text: str | bytes) -> tuple[None, bytes]:
    return (None, text.encode() if isinstance(text, str) else text)


def search(served: tuple[Path, Path], query: str = "", **parts: Any) -> httpx.Response:
    async def talk(client: Client) -> httpx.Response:
        files = {name: part(value) if isinstance(value, str) else value for name, value in parts.items()}
        return await client.post(f"/v1/search{query}", files=files)

    response: httpx.Response = ask(served, talk)
    return response


def results(response: httpx.Response) -> list[tuple[str, str, float]]:
    assert response.status_code == 200, response.text
    answer = SearchAnswer.model_validate_json(response.content)
    return [(each.row, each.matched, each.score) for each in answer.results]


def test_a_text_finds_texts_and_pictures_by_the_closest_of_each_row(served: tuple[Path, Path]) -> None:
    found = results(search(served, text="hello"))  # x = 0.5
    assert [(row, matched) for row, matched, _ in found] == [("3", "text"), ("2", "text"), ("4", "image")]
    assert [score for *_, score in found] == pytest.approx([1, math.cos(0.3), math.cos(3.5)], abs=1e-5)


def test_by_chooses_the_vectors(served: tuple[Path, Path]) -> None:
    by_image = results(search(served, "?by=image&index=i", text="hello", k="1"))
    assert by_image == [("3", "image", pytest.approx(math.cos(0.3), abs=1e-5))]
    assert results(search(served, "?by=fused", text="hello", k="1"))[0][:2] == ("2", "fused")


def test_an_answer_says_the_row_its_columns_and_where_its_media_are(served: tuple[Path, Path]) -> None:
    answer = search(served, text="hello", k="1").json()
    assert answer["id"].startswith("req-")
    assert answer["results"] == [
        {
            "row": "3",
            "score": 1.0,
            "matched": "text",
            "columns": {"shop": "Paris", "age": 2},
            "text": "hello",
            "media": {medium: f"/v1/indexes/i/rows/3/{medium}" for medium in ("text", "image", "audio")},
        }
    ]
    assert (answer["model"], answer["version"], answer["index"]) == ("tiny", "1", "i")


def test_filters_and_a_vector_of_the_callers_own(served: tuple[Path, Path]) -> None:
    vector = json.dumps([10 * math.cos(0.2), 10 * math.sin(0.2)])
    assert results(search(served, vector=vector, k="1")) == [("2", "text", pytest.approx(1, abs=1e-6))]
    paris = results(search(served, vector=vector, filter='{"shop": "Paris"}'))
    assert [row for row, *_ in paris] == ["3"]


def test_every_refusal_is_a_problem(served: tuple[Path, Path]) -> None:
    cases: list[tuple[str, dict[str, str], int, str | None]] = [
        ("", {}, 400, None),
        ("", {"k": "3"}, 400, None),
        ("", {"text": "seven", "k": "0"}, 422, "k"),
        ("", {"text": "seven", "k": "x"}, 422, "k"),
        ("", {"text": "seven", "k": "1001"}, 422, "k"),
        ("", {"text": "seven", "filter": "{"}, 422, "filter"),
        ("", {"text": "seven", "filter": '{"colour": 1}'}, 422, "filter"),
        ("", {"text": "seven", "vector": "[1, 0]"}, 422, "vector"),
        ("", {"vector": "[1]"}, 422, "vector"),
        ("", {"vector": "[0, 0]"}, 422, "vector"),
        ("", {"vector": "[1e999, 0]"}, 422, "vector"),
        ("", {"vector": '["a", "b"]'}, 422, "vector"),
        ("", {"text": "seven", "colour": "red"}, 400, None),
        ("?index=cats", {"text": "seven"}, 404, "index"),
        ("?by=audio_", {"text": "seven"}, 422, "by"),
        ("?model=tiny", {"text": "seven"}, 422, "model"),
    ]

    async def talk(client: Client) -> list[httpx.Response]:
        return [
            await client.post(
                f"/v1/search{query}",
                files={name: part(value) for name, value in (parts or {"text": ""}).items()},
            )
            for query, parts, *_ in cases
        ]

    for response, (*_, status, field) in zip(ask(served, talk), cases, strict=True):
        assert response.headers["content-type"] == "application/problem+json"
        problem = Problem.model_validate_json(response.content)
        assert (response.status_code, problem.field) == (status, field), response.text


def test_indexes_are_listed_with_what_can_be_filtered_by(served: tuple[Path, Path]) -> None:
    (report,) = IndexList.model_validate_json(
        ask(served, lambda client: client.get("/v1/indexes")).content
    ).indexes
    assert (report.name, report.model, report.rows, report.width) == ("i", "tiny", 3, 2)
    assert report.media == ["text", "image", "audio"]
    shop, age = report.columns
    assert (shop.type, shop.values) == ("category", ["Lyon", "Paris"])
    assert (age.type, age.low, age.high) == ("number", 1, 3)


def test_without_an_index_there_is_none(tiny_bundle: Path) -> None:
    async def talk(client: Client) -> list[httpx.Response]:
        return [await client.get("/v1/indexes"), await client.post("/v1/search", files={"text": part("x")})]

    async def go() -> list[httpx.Response]:
        async with client_of(create_app(Settings(models=tiny_bundle))) as client:
            return await talk(client)

    listed, refused = asyncio.run(go())
    assert listed.json() == {"indexes": []}
    assert (refused.status_code, refused.json()["field"]) == (404, "index")


def test_media_come_back_as_they_were(served: tuple[Path, Path]) -> None:
    async def talk(client: Client) -> list[httpx.Response]:
        return [await client.get(f"{ROWS}/3/{medium}") for medium in ("text", "image", "audio")]

    text, image, audio = ask(served, talk)
    assert (text.text, text.headers["content-type"]) == ("hello", "text/plain; charset=utf-8")
    assert (image.content, image.headers["content-type"]) == (png_bytes(value=51), "image/png")
    assert (audio.content, audio.headers["content-type"]) == (wav_bytes(0.1), "audio/wav")
    assert image.headers["x-content-type-options"] == "nosniff"


def test_media_that_are_not_there_are_not_found(served: tuple[Path, Path]) -> None:
    paths = ("2/image", "9/image", "3/fields", "3/secret", "..%2f3/image", "3/..%2f..%2fgrey.png")

    async def talk(client: Client) -> list[int]:
        return [(await client.get(f"{ROWS}/{path}")).status_code for path in paths]

    assert ask(served, talk) == [404] * len(paths)


def test_a_file_outside_the_tables_folder_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret.png").write_bytes(png_bytes())
    root = tmp_path / "root"
    root.mkdir()
    served = make_index(root, show_media=True)
    for name, target in (("grey.png", "../outside/secret.png"), ("white.png", "/etc/passwd")):
        (root / name).unlink()
        (root / name).symlink_to(target)

    async def talk(client: Client) -> list[int]:
        return [(await client.get(f"{ROWS}/{row}/image")).status_code for row in (3, 4)]

    assert ask(served, talk) == [404, 404]


def test_an_index_shows_no_media_unless_it_was_built_so(tmp_path: Path) -> None:
    served = make_index(tmp_path)

    async def talk(client: Client) -> list[httpx.Response]:
        added = await client.post(
            ROWS, files={"image": ("a.png", png_bytes(), "image/png"), "row": part("new")}
        )
        shown = [await client.get(f"{ROWS}/{row}/image") for row in ("3", "new")]
        return [added, *shown, await client.post("/v1/search", files={"text": part("hello")})]

    added, *shown, searched = ask(served, talk)
    assert added.status_code == 201
    assert [each.status_code for each in shown] == [404, 404]
    assert all(each["media"] == {} and "text" not in each for each in searched.json()["results"])


def test_rows_come_and_go_while_it_serves(tmp_path: Path) -> None:
    served = make_index(tmp_path, show_media=True)

    async def talk(client: Client) -> None:
        image = ("a.png", png_bytes(value=0), "image/png")  # an image's score is then 0, its weight 1: x = 0
        added = await client.post(ROWS, files={"image": image, "columns": part('{"shop": "Rome"}')})
        assert (added.status_code, added.json()["index"]) == (201, "i")
        row = added.json()["row"]
        found = await client.post("/v1/search", files={"vector": part("[1, 0]"), "k": part("1")})
        assert found.json()["results"][0] | {"score": 1} == {
            "row": row,
            "score": 1,
            "matched": "image",
            "columns": {"shop": "Rome"},
            "media": {"image": f"{ROWS}/{row}/image"},
        }
        assert (await client.get(f"{ROWS}/{row}/image")).content == image[1]
        assert (await client.delete(f"{ROWS}/{row}")).status_code == 204
        assert (await client.delete(f"{ROWS}/{row}")).status_code == 404
        found = await client.post("/v1/search", files={"vector": part("[1, 0]"), "k": part("1")})
        assert found.json()["results"][0]["row"] == "2"

    ask(served, talk)


def test_a_row_that_makes_no_sense_is_refused(served: tuple[Path, Path]) -> None:
    cases: list[tuple[dict[str, str | bytes], str]] = [
        ({"columns": '{"colour": 1}'}, "columns"),
        ({"columns": '{"age": "old"}'}, "columns"),
        ({"columns": "[]"}, "columns"),
        ({"columns": "{"}, "columns"),
        ({"row": "a/b"}, "row"),
        ({"row": b"\xff"}, "row"),
        ({"row": "x" * 201}, "row"),
    ]

    async def talk(client: Client) -> list[httpx.Response]:
        return [
            await client.post(
                ROWS, files={"text": part("seven"), **{name: part(value) for name, value in parts.items()}}
            )
            for parts, _ in cases
        ]

    for response, (_, field) in zip(ask(served, talk), cases, strict=True):
        assert (response.status_code, response.json()["field"]) == (422, field)


def test_changes_take_an_admin_key_and_searches_any(tmp_path: Path) -> None:
    served = make_index(tmp_path)
    secrets = {name: new_key() for name in ("shop", "boss")}
    keys = tmp_path / "keys"
    keys.write_text(
        "\n".join(key_line(name, key, admin=name == "boss", rate=None) for name, key in secrets.items())
        + "\n"
    )

    async def talk(client: Client) -> list[int]:
        codes = []
        for key in (None, secrets["shop"], secrets["boss"]):
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            for method, path in (
                ("POST", "/v1/search"),
                ("POST", ROWS),
                ("DELETE", f"{ROWS}/2"),
                ("GET", "/v1/indexes"),
            ):
                files = {"text": part("seven")} if method == "POST" else None
                codes.append((await client.request(method, path, files=files, headers=headers)).status_code)
        return codes

    codes = ask(served, talk, api_keys_file=keys)
    assert codes == [401] * 4 + [200, 403, 403, 200] + [200, 201, 204, 200]


def test_a_model_that_was_not_trained_to_align_compares_each_medium_with_its_own_kind(tmp_path: Path) -> None:
    served = make_index(tmp_path, aligned=False)
    assert {matched for _, matched, _ in results(search(served, text="hello"))} == {"text"}
    refused = search(served, "?by=image", text="hello")
    assert refused.status_code == 422
    assert "was not trained to compare text with image" in refused.json()["detail"]


def test_an_index_of_another_model_does_not_start(served: tuple[Path, Path], tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path, version="2")
    with pytest.raises(IndexRefusedError, match="made with tiny 1"):
        create_app(Settings(models=tmp_path, index=served[1]))
    with pytest.raises(SetupError, match="There is no index in"):
        create_app(Settings(models=tmp_path, index=tmp_path))


def test_a_model_that_was_replaced_meanwhile_is_refused_with_409(tmp_path: Path) -> None:
    models, indexes = make_index(tmp_path)
    before = read_bundle(models / "tiny/1")

    async def talk(client: Client) -> list[httpx.Response]:
        shutil.rmtree(before.path)
        graph = tiny_model()
        graph.producer_name = "another training"
        files = {"model.onnx": graph.SerializeToString(), "vocabulary.txt": b"seven\n"}
        write_bundle(before.path, before.manifest, files)
        assert (await client.post("/v1/models/tiny/reload")).status_code == 200
        asked = [client.post(path, files={"text": part("seven")}) for path in ("/v1/search", ROWS)]
        return [await each for each in asked]

    for response in ask((models, indexes), talk):
        assert (response.status_code, response.json()["title"]) == (409, "Index refused")
