"""The reload route: who may ask, what it answers, what it never tells."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from tests.conftest import client_of, write_tiny_bundle
from triad_serving.contract.errors import BundleError
from triad_serving.engine.engine import Engine
from triad_serving.http.app import create_app
from triad_serving.http.schemas import ModelReport, Problem
from triad_serving.settings import Settings

RELOAD = "/v1/models/tiny/reload"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_tiny_bundle(tmp_path)
    return tmp_path


def ask(
    engine: Engine, talk: Callable[[httpx.AsyncClient], Awaitable[list[httpx.Response]]]
) -> list[httpx.Response]:
    async def go() -> list[httpx.Response]:
        async with client_of(create_app(engine=engine)) as client:
            return await talk(client)

    return asyncio.run(go())


def test_a_new_version_answers_after_a_reload_and_an_older_one_after_another(models: Path) -> None:
    async def talk(client: httpx.AsyncClient) -> list[httpx.Response]:
        write_tiny_bundle(models, version="2")
        answers = []
        for query in ("", "?version=1"):
            answers += [await client.post(RELOAD + query), await client.get("/v1/models/tiny")]
        return answers

    reloaded, new, back, old = ask(Engine.open(models), talk)
    assert (reloaded.status_code, reloaded.json()) == (200, {"status": "serving"})
    assert back.status_code == 200
    reports = [ModelReport.model_validate_json(response.content) for response in (new, old)]
    assert [report.default_version for report in reports] == ["2", "1"]
    assert [report.versions for report in reports] == [["1", "2"]] * 2


def test_a_broken_version_is_a_problem_that_tells_no_folder(models: Path) -> None:
    async def talk(client: httpx.AsyncClient) -> list[httpx.Response]:
        (write_tiny_bundle(models, version="2") / "model.onnx").write_bytes(b"no graph")
        posts = [
            await client.post(path) for path in (RELOAD, RELOAD + "?version=9", "/v1/models/cats/reload")
        ]
        return [*posts, await client.post("/v1/predict", files={"text": (None, b"seven")})]

    *refused, answer = ask(Engine.open(models), talk)
    assert [response.status_code for response in refused] == [409, 409, 404]
    problem = Problem.model_validate_json(refused[0].content)
    assert problem.detail.startswith("The models in service stay. Bundle tiny/2: model.onnx was changed")
    assert str(models) not in problem.detail
    assert answer.json()["version"] == "1"


@pytest.mark.parametrize(("address", "allowed", "status"), [
    ("127.0.0.1", False, 200),
    ("::1", False, 200),
    ("192.0.2.1", False, 403),
    ("192.0.2.1", True, 200),
    ("unix", False, 403),
])  # fmt: skip
def test_only_its_own_machine_may_ask_unless_others_are_allowed(
    models: Path, address: str, allowed: bool, status: int
) -> None:
    async def go() -> int:
        app = create_app(Settings(models=models, allow_reload=allowed))
        transport = httpx.ASGITransport(app, client=(address, 123))
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://test") as client,
        ):
            return (await client.post(RELOAD)).status_code

    assert asyncio.run(go()) == status


def test_a_process_among_several_asks_its_supervisor(models: Path) -> None:
    asked: list[tuple[str, str | None]] = []

    def supervisor(name: str, version: str | None) -> None:
        asked.append((name, version))
        if version:
            raise BundleError("It is broken.")

    async def talk(client: httpx.AsyncClient) -> list[httpx.Response]:
        engine.supervisor = supervisor
        return [await client.post(RELOAD), await client.post(RELOAD + "?version=2")]

    engine = Engine.open(models)
    accepted, refused = ask(engine, talk)
    assert (accepted.status_code, accepted.json()) == (202, {"status": "replacing workers"})
    assert refused.status_code == 409
    assert refused.json()["detail"].endswith("It is broken.")
    assert asked == [("tiny", None), ("tiny", "2")]
