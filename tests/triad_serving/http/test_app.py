"""The assembled application: framework errors, health, metrics, ids on every answer, lifespan."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import client_of
from triad_serving.engine.engine import Engine
from triad_serving.http.app import create_app
from triad_serving.http.schemas import Problem
from triad_serving.settings import Settings

Client = httpx.AsyncClient


def ask(tiny_bundle: Path, talk: Callable[[Client], Awaitable[Any]]) -> Any:
    async def go() -> Any:
        async with client_of(create_app(Settings(models=tiny_bundle))) as client:
            return await talk(client)

    return asyncio.run(go())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("GET", "/v1/predict", 405), ("DELETE", "/v1/models", 405)],
)
def test_framework_errors_are_problems_too(tiny_bundle: Path, method: str, path: str, status: int) -> None:
    response = ask(tiny_bundle, lambda client: client.request(method, path))
    problem = Problem.model_validate_json(response.content)
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.status_code, problem.status, problem.type) == (status, status, "about:blank")
    assert problem.id == response.headers["x-request-id"]
    assert ("allow" in response.headers) is (status == 405)


@pytest.mark.parametrize(
    "path", ["/docs", "/redoc", "/openapi.json", "/healthz", "/metrics", "/", "/nothing"]
)
def test_every_answer_bears_one_request_id(tiny_bundle: Path, path: str) -> None:
    response = ask(tiny_bundle, lambda client: client.get(path, headers={"X-Request-ID": "mine"}))
    assert response.headers.get_list("x-request-id") == ["mine"]


def test_an_error_outside_our_routes_is_a_problem_and_is_not_told(tiny_bundle: Path) -> None:
    async def go() -> httpx.Response:
        app = create_app(Settings(models=tiny_bundle))

        @app.get("/broken")
        async def broken() -> None:
            raise ZeroDivisionError("secret")

        async with client_of(app) as client:
            return await client.get("/broken")

    response = asyncio.run(go())
    assert (response.status_code, Problem.model_validate_json(response.content).status) == (500, 500)
    assert "secret" not in response.text


def test_health_and_readiness(tiny_bundle: Path) -> None:
    async def go() -> list[httpx.Response]:
        engine = Engine.open(tiny_bundle)
        async with client_of(create_app(engine=engine)) as client:
            before = [await client.get("/healthz"), await client.get("/readyz")]
            engine.drain()
            return [*before, await client.get("/healthz"), await client.get("/readyz")]

    *healthy, unready = asyncio.run(go())
    assert [(response.status_code, response.json()) for response in healthy] == [(200, {"status": "ok"})] * 3
    assert unready.status_code == 503
    assert unready.headers["retry-after"] == "1"
    assert Problem.model_validate_json(unready.content).title == "Unavailable"


def test_before_its_lifespan_the_service_lives_but_is_not_ready(tiny_bundle: Path) -> None:
    async def go() -> list[int]:
        transport = httpx.ASGITransport(create_app(Settings(models=tiny_bundle)))
        async with Client(transport=transport, base_url="http://test") as client:
            paths = ("/healthz", "/readyz", "/v1/models")
            return [(await client.get(path)).status_code for path in paths]

    assert asyncio.run(go()) == [200, 503, 503]


def test_an_engine_that_is_open_already_is_left_open(tiny_bundle: Path) -> None:
    async def go() -> None:
        async with Engine.open(tiny_bundle) as engine:
            async with client_of(create_app(engine=engine)) as client:
                assert (await client.get("/readyz")).status_code == 200
            assert engine.ready

    asyncio.run(go())


def test_the_lifespan_closes_what_it_opened(tiny_bundle: Path) -> None:
    async def go() -> Engine:
        app = create_app(Settings(models=tiny_bundle))
        async with client_of(app):
            assert app.state.engine.ready
        return app.state.engine

    assert not asyncio.run(go()).ready


def test_requests_are_counted_by_route_model_and_status(tiny_bundle: Path) -> None:
    async def talk(client: Client) -> str:
        await client.post("/v1/predict", files={"text": (None, b"seven")})
        await client.post("/v1/predict", files={"text": (None, b"seven")}, params={"model": "cats"})
        await client.get("/v1/models/a")
        await client.get("/v1/models/b")
        await client.get("/nothing")
        return (await client.get("/metrics")).text

    families = {family.name: family for family in text_string_to_metric_families(ask(tiny_bundle, talk))}
    counts = {
        (sample.labels["route"], sample.labels["model"], sample.labels["status"]): sample.value
        for sample in families["triad_requests"].samples
        if sample.name == "triad_requests_total"
    }
    assert counts == {
        ("/v1/predict", "tiny", "200"): 1,
        ("/v1/predict", "", "404"): 1,
        ("/v1/models/{name}", "", "404"): 2,
        ("none", "", "404"): 1,
    }
    seconds = families["triad_request_seconds"].samples
    assert {sample.labels["route"]: sample.value for sample in seconds if sample.name.endswith("_count")} == {
        "/v1/predict": 2,
        "/v1/models/{name}": 2,
        "none": 1,
    }


def test_two_applications_count_apart(tiny_bundle: Path) -> None:
    create_app(Settings(models=tiny_bundle))
    create_app(Settings(models=tiny_bundle))
