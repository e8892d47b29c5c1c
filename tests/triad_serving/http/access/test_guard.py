"""A service with keys: who gets in where, what the refused are told, what the description says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import client_of
from triad_serving.engine.engine import Engine
from triad_serving.http.access.keys import key_line, new_key
from triad_serving.http.app import create_app
from triad_serving.http.schemas import Problem
from triad_serving.settings import Settings

SHOP, OPS, SLOW = new_key(), new_key(), new_key()
TEXT = {"text": (None, b"seven")}


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys.toml"
    lines = (
        key_line("shop", SHOP, admin=False, rate=None),
        key_line("ops", OPS, admin=True, rate=None),
        key_line("slow", SLOW, admin=False, rate="2/day"),
    )
    path.write_text("\n".join(lines))
    return path


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def ask(models: Path, keys: Path | None, talk: Callable[[httpx.AsyncClient], Awaitable[Any]]) -> Any:
    async def go() -> Any:
        async with client_of(create_app(Settings(models=models, api_keys_file=keys))) as client:
            return await talk(client)

    return asyncio.run(go())


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/predict"), ("POST", "/v1/explain"), ("GET", "/v1/models"), ("GET", "/metrics")],
)
def test_without_a_key_nothing_is_told(tiny_bundle: Path, keys: Path, method: str, path: str) -> None:
    sent = [{}, bearer("triad_wrong"), bearer(""), {"Authorization": f"Basic {SHOP}"}, {"X-API-Key": SHOP}]

    async def talk(client: httpx.AsyncClient) -> list[httpx.Response]:
        return [await client.request(method, path, headers=headers) for headers in sent]

    for response in ask(tiny_bundle, keys, talk):
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == 'Bearer realm="triad"'
        assert response.headers["content-type"] == "application/problem+json"
        assert Problem.model_validate_json(response.content).title == "Unauthorized"
        assert "tiny" not in response.text
        assert "triad_wrong" not in response.text


def test_with_a_key_everything_is_answered(tiny_bundle: Path, keys: Path) -> None:
    async def talk(client: httpx.AsyncClient) -> list[int]:
        client.headers.update({"Authorization": f"bearer {SHOP}"})
        answers = [await client.get(path) for path in ("/v1/models", "/metrics")]
        answers.append(await client.post("/v1/predict", files=TEXT))
        return [answer.status_code for answer in answers]

    assert ask(tiny_bundle, keys, talk) == [200] * 3


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/", "/docs", "/redoc", "/openapi.json"])
def test_probes_and_pages_need_no_key(tiny_bundle: Path, keys: Path, path: str) -> None:
    assert ask(tiny_bundle, keys, lambda client: client.get(path)).status_code == 200


def test_a_refused_upload_is_not_read(tiny_bundle: Path, keys: Path) -> None:
    def body() -> Any:
        async def pieces() -> Any:
            raise AssertionError("the body was read")
            yield b""

        return pieces()

    headers = {"Content-Type": "multipart/form-data; boundary=XX"}
    answer = ask(
        tiny_bundle, keys, lambda client: client.post("/v1/predict", content=body(), headers=headers)
    )
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("secret", "status", "words"),
    [(None, 401, "Send an API key"), (SHOP, 403, "needs an admin key"), (OPS, 200, "serving")],
    ids=["no key", "not an admin's", "an admin's"],
)
def test_an_admin_route_is_for_admins(
    tiny_bundle: Path, keys: Path, secret: str | None, status: int, words: str
) -> None:
    headers = bearer(secret) if secret else {}
    answer = ask(tiny_bundle, keys, lambda client: client.post("/v1/models/tiny/reload", headers=headers))
    assert answer.status_code == status
    assert words in answer.text


def test_over_its_rate_a_key_is_told_when_to_come_back(tiny_bundle: Path, keys: Path) -> None:
    async def talk(client: httpx.AsyncClient) -> list[httpx.Response]:
        answers = [await client.get("/v1/models", headers=bearer(SLOW)) for _ in range(3)]
        return [*answers, await client.get("/v1/models", headers=bearer(SHOP))]

    *allowed, refused, other = ask(tiny_bundle, keys, talk)
    assert [answer.status_code for answer in (*allowed, refused, other)] == [200, 200, 429, 200]
    assert 1 <= int(refused.headers["retry-after"]) <= 24 * 3600
    problem = Problem.model_validate_json(refused.content)
    assert (problem.detail, problem.limit) == ("The key slow may ask 2 times a day.", 2)


def test_the_description_asks_for_a_key_only_where_one_is_needed(keys: Path) -> None:
    settings = Settings(models=Path(), api_keys_file=keys)
    described = create_app(engine=Engine.open(Path(), settings)).openapi()
    [scheme] = described["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    wanted = {
        (path, "401" in operation["responses"])
        for path, item in described["paths"].items()
        for operation in item.values()
        if "security" in operation
    }
    probes = {"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"}
    assert wanted == {(path, True) for path in described["paths"].keys() - probes}
    open_one = create_app(engine=Engine.open(Path(), Settings(models=Path()))).openapi()
    assert "securitySchemes" not in open_one["components"]
