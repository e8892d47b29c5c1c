"""Headers for browsers on every answer, and which other sites' pages may read one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import client_of, png_bytes
from triad_serving.http.app import create_app
from triad_serving.settings import Settings

SHOP = "https://shop.example"
PREFLIGHT = {"Origin": SHOP, "Access-Control-Request-Method": "POST"}
TEXT = {"text": (None, b"seven")}


def ask(models: Path, talk: Callable[[httpx.AsyncClient], Awaitable[Any]], **settings: Any) -> Any:
    async def go() -> Any:
        async with client_of(create_app(Settings(models=models, **settings))) as client:
            return await talk(client)

    return asyncio.run(go())


@pytest.mark.parametrize(
    "path", ["/v1/models", "/healthz", "/metrics", "/nothing", "/openapi.json", "/", "/docs", "/redoc"]
)
def test_every_answer_says_what_browsers_may_do_with_it(tiny_bundle: Path, path: str) -> None:
    headers = ask(tiny_bundle, lambda client: client.get(path)).headers
    for name in ("x-content-type-options", "referrer-policy", "content-security-policy"):
        assert len(headers.get_list(name)) == 1
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


def test_other_sites_pages_may_read_nothing_by_default(tiny_bundle: Path) -> None:
    async def talk(client: httpx.AsyncClient) -> list[httpx.Response]:
        asked = await client.post("/v1/predict", files=TEXT, headers={"Origin": SHOP})
        return [asked, await client.options("/v1/predict", headers=PREFLIGHT)]

    for response in ask(tiny_bundle, talk):
        assert not [name for name in response.headers if name.startswith("access-control-")]


def test_a_named_site_may_ask_and_no_other(tiny_bundle: Path) -> None:
    async def talk(client: httpx.AsyncClient) -> list[httpx.Response]:
        wanted = {**PREFLIGHT, "Access-Control-Request-Headers": "authorization"}
        return [
            await client.options("/v1/predict", headers=wanted),
            await client.post("/v1/predict", files=TEXT, headers={"Origin": SHOP}),
            await client.post("/v1/predict", files=TEXT, headers={"Origin": "https://evil.example"}),
        ]

    preflight, asked, other = ask(tiny_bundle, talk, cors_origins=(SHOP,))
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == SHOP
    assert asked.headers["access-control-allow-origin"] == SHOP
    assert "Server-Timing" in asked.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in asked.headers
    assert "access-control-allow-origin" not in other.headers


def test_neither_logs_nor_refusals_say_what_was_sent(
    tiny_bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """At the most talkative level; only the offending value of a parameter is told back to its sender."""
    caplog.set_level(logging.DEBUG)
    secret = "geheimnis"
    broken = png_bytes()[:40] + secret.encode()

    async def talk(client: httpx.AsyncClient) -> list[httpx.Response]:
        return [
            await client.post("/v1/predict", files={"text": (None, secret.encode())}),
            await client.post("/v1/predict", files={"image": (f"{secret}.png", broken)}),
            await client.post("/v1/predict", files={"audio": (f"{secret}.wav", secret.encode())}),
            await client.post("/v1/predict", files={secret[:4]: (None, b"seven")}),
            await client.post("/v1/explain", files={"text": (None, secret.encode())}),
        ]

    answers = ask(tiny_bundle, talk)
    assert [answer.status_code for answer in answers] == [200, 422, 415, 400, 200]
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("httpx")]
    assert secret not in "\n".join(ours)
    assert not [answer for answer in answers[1:4] if secret in answer.text]
    for answer in answers:
        assert str(tiny_bundle) not in answer.text
        assert ".py" not in answer.text
        assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "path",
    ["/v1/models/..%2f..%2fetc", "/v1/models/tiny/versions/..%2f..", "/v1/models/%00", "/..%2f..%2fetc"],
)
def test_a_name_is_looked_up_and_never_a_path(tiny_bundle: Path, path: str) -> None:
    assert ask(tiny_bundle, lambda client: client.get(path)).status_code == 404
