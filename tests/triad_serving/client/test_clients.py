"""Both clients against the service: in memory, and a real one behind a socket."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image

from tests.conftest import png_bytes, wav_bytes
from triad_serving import AsyncTriadClient, TriadClient
from triad_serving.client.calls import Asked, read
from triad_serving.client.rows import Answer
from triad_serving.contract.errors import (
    DeadlineError,
    DecodeError,
    ForbiddenError,
    NotFoundError,
    NothingToPredictError,
    OverloadedError,
    ParameterError,
    TriadError,
    UnauthorizedError,
    UnavailableError,
    UnexpectedAnswerError,
    UnsupportedFormatError,
)
from triad_serving.engine.engine import Engine
from triad_serving.http.access.keys import key_line, new_key
from triad_serving.http.app import create_app
from triad_serving.inference.answer import Classification, Prediction
from triad_serving.settings import Settings

MEDIA: Asked = {"text": "seven", "image": png_bytes(), "audio": wav_bytes(0.1)}


def kind_of(answer: Prediction | TriadError) -> str:
    assert isinstance(answer, Prediction), answer
    kind = answer.predictions["kind"]
    assert isinstance(kind, Classification)
    return kind.label


@asynccontextmanager
async def serving(
    tiny_bundle: Path, *, client: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[tuple[AsyncTriadClient, Engine]]:
    app = create_app(Settings(models=tiny_bundle, **settings))
    async with (
        app.router.lifespan_context(app),
        AsyncTriadClient("http://test", transport=httpx.ASGITransport(app), **(client or {})) as asked,
    ):
        yield asked, app.state.engine


def talk(
    tiny_bundle: Path,
    conversation: Callable[[AsyncTriadClient, Engine], Awaitable[Any]],
    *,
    client: dict[str, Any] | None = None,
    **settings: Any,
) -> Any:
    async def go() -> Any:
        async with serving(tiny_bundle, client=client, **settings) as (asked, engine):
            return await conversation(asked, engine)

    return asyncio.run(go())


@pytest.fixture(scope="module")
def url(tiny_bundle: Path) -> Iterator[str]:
    """`triad serve`."""
    command = [sys.executable, "-m", "triad_serving.cli", "serve", "--port", "0", "--workers", "1"]
    process = subprocess.Popen(
        [*command, "--models", str(tiny_bundle)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode == 0


def test_an_answer_is_what_the_engine_answers(tiny_bundle: Path) -> None:
    async def conversation(client: AsyncTriadClient, engine: Engine) -> None:
        answer = await client.predict(**MEDIA, attention="full", top_k=2, request_id="order-66")
        assert answer.id == "order-66"
        assert kind_of(answer) == "picture"
        attention = answer.predictions["kind"].attention
        assert attention is not None
        assert attention.text is not None
        assert [word.token for word in attention.text] == ["seven"]

    talk(tiny_bundle, conversation)


def test_explanations_come_as_an_answer_a_picture_and_a_page(tiny_bundle: Path) -> None:
    async def conversation(client: AsyncTriadClient, engine: Engine) -> None:
        answer = await client.explain(**MEDIA)
        assert answer.predictions["kind"].attribution is not None
        assert answer.predictions["kind"].occlusion is not None
        assert (await client.explain_png(**MEDIA)).startswith(b"\x89PNG")
        assert '<html lang="zh">' in await client.explain_html(**MEDIA, language="zh")

    talk(tiny_bundle, conversation)


def test_models_are_described_and_reloaded(tiny_bundle: Path) -> None:
    async def conversation(client: AsyncTriadClient, engine: Engine) -> None:
        assert (await client.models()).default == "tiny"
        assert (await client.model("tiny")).versions == ["1"]
        assert (await client.model_version("tiny", "1")).tasks[0].name == "kind"
        assert (await client.reload("tiny")).status == "serving"
        assert await client.ready()
        with pytest.raises(NotFoundError, match="no model 'cats'"):
            await client.model("cats")
        engine.drain()
        assert not await client.ready()

    talk(tiny_bundle, conversation, allow_reload=True)


@pytest.mark.parametrize(
    ("asked", "kind", "field"),
    [
        ({"text": "seven", "model": "cats"}, NotFoundError, "model"),
        ({"text": "seven", "top_k": 0}, ParameterError, "top_k"),
        ({"image": b"no image"}, UnsupportedFormatError, "image"),
        ({"fields": {"age": 63}}, ParameterError, "fields"),
        ({"model": "tiny"}, NothingToPredictError, None),
        ({"video": b""}, ParameterError, "video"),
    ],
)
def test_a_refusal_is_the_error_that_the_service_raised(
    tiny_bundle: Path, asked: Any, kind: type[TriadError], field: str | None
) -> None:
    async def conversation(client: AsyncTriadClient, engine: Engine) -> None:
        with pytest.raises(kind) as raised:
            await client.predict(**asked)
        assert raised.value.field == field

    talk(tiny_bundle, conversation)


def test_a_key_is_sent(tiny_bundle: Path, tmp_path: Path) -> None:
    secret = new_key()
    keys = tmp_path / "keys"
    keys.write_text(key_line("shop", secret, admin=False, rate=None) + "\n")

    async def conversation(client: AsyncTriadClient, engine: Engine) -> None:
        assert kind_of(await client.predict(text="seven")) == "word"
        with pytest.raises(ForbiddenError):
            await client.reload("tiny")

    async def stranger(client: AsyncTriadClient, engine: Engine) -> None:
        with pytest.raises(UnauthorizedError):
            await client.predict(text="seven")

    talk(tiny_bundle, conversation, client={"api_key": secret}, api_keys_file=keys)
    talk(tiny_bundle, stranger, api_keys_file=keys)


def test_a_full_service_is_asked_again_until_there_is_room(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def conversation(client: AsyncTriadClient, engine: Engine) -> str:
        places = [engine._running_batcher().accept() for _ in range(engine.settings.max_queue)]

        async def sleep(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 2:
                for place in places:
                    place.cancel()

        monkeypatch.setattr("triad_serving.client.asynchronous.asyncio.sleep", sleep)
        return kind_of(await client.predict(text="seven"))

    assert talk(tiny_bundle, conversation, max_queue=2) == "word"
    assert len(waits) == 2
    assert all(1 <= seconds < 2 for seconds in waits)  # Retry-After: 1


def test_who_does_not_wait_is_told_that_it_is_full(tiny_bundle: Path) -> None:
    async def conversation(client: AsyncTriadClient, engine: Engine) -> None:
        places = [engine._running_batcher().accept() for _ in range(2)]
        with pytest.raises(OverloadedError) as raised:
            await client.predict(text="seven")
        assert (raised.value.limit, raised.value.retry_after_s) == (2, 1)
        for place in places:
            place.cancel()

    talk(tiny_bundle, conversation, client={"retries": 0}, max_queue=2)


def test_the_deadline_is_the_services_too(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The 504 is the service's: over ASGI the client's own clock is never asked."""

    async def conversation(client: AsyncTriadClient, engine: Engine) -> None:
        monkeypatch.setattr(engine, "_prepare", lambda pending: None)  # it is never answered
        with pytest.raises(DeadlineError) as raised:
            await client.predict(text="seven", timeout_s=0.05)
        assert raised.value.limit == pytest.approx(0.05, abs=0.01)
        assert raised.value.request_id is not None

    talk(tiny_bundle, conversation)


def test_many_examples_are_answered_in_order_and_a_bad_one_alone_fails(tiny_bundle: Path) -> None:
    examples: list[Asked] = [
        {"text": "seven"},
        {"image": "none.png"},
        {"image": Image.new("RGB", (4, 4), (255, 255, 255))},
        {"image": b"no image"},
        {"audio": (np.tile([0.9, -0.9], 400), 8000)},
    ]

    async def conversation(client: AsyncTriadClient, engine: Engine) -> list[Prediction | TriadError]:
        return [answer async for answer in client.predict_many(examples, concurrency=2, attention="none")]

    first, missing, second, third, fourth = talk(tiny_bundle, conversation)
    assert [kind_of(first), kind_of(second), kind_of(fourth)] == ["word", "picture", "sound"]
    assert isinstance(missing, DecodeError)
    assert isinstance(third, UnsupportedFormatError)
    assert third.field == "image"
    assert first.predictions["kind"].attention is None


class Counting(httpx.AsyncBaseTransport):
    """Passes requests on, but those whose path is not there."""

    def __init__(self, app: FastAPI, *, missing: str = "") -> None:
        self._transport = httpx.ASGITransport(app)
        self._missing = missing
        self.paths: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.paths.append(request.url.path)
        if request.url.path == self._missing:
            return httpx.Response(404, text="not here")
        return await self._transport.handle_async_request(request)


@pytest.mark.parametrize(
    ("settings", "missing", "singles"),
    [({}, "", 1), ({"max_rows": 2}, "", 6), ({}, "/v1/predict/batch", 6)],
)
def test_several_go_in_one_request_where_the_service_takes_them(
    tiny_bundle: Path, settings: dict[str, Any], missing: str, singles: int
) -> None:
    """Three groups: of three, one that asks for more, of two."""
    seven: Asked = {"text": "seven"}
    more: Asked = {"text": "seven", "top_k": 1}
    examples = [*[seven] * 3, more, *[seven] * (3 if settings else 2)]

    async def go() -> tuple[list[Answer], list[str]]:
        app = create_app(Settings(models=tiny_bundle, **settings))
        transport = Counting(app, missing=missing)
        async with (
            app.router.lifespan_context(app),
            AsyncTriadClient("http://test", transport=transport) as client,
        ):
            return [answer async for answer in client.predict_many(examples, rows=3)], transport.paths

    answers, paths = asyncio.run(go())
    assert {kind_of(answer) for answer in answers} == {"word"}
    assert len(answers) == len(examples)
    assert paths.count("/v1/predict/batch") == 2
    assert paths.count("/v1/predict") == singles + (1 if settings else 0)


def test_a_row_that_found_no_place_is_asked_again(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Engine.start
    refused: list[str] = []

    def start(self: Engine, raw: Any, options: Any, *, request_id: str | None) -> Any:
        if request_id and request_id.endswith(".1") and not refused:
            refused.append(request_id)
            raise UnavailableError("The service is shutting down.")
        return real(self, raw, options, request_id=request_id)

    monkeypatch.setattr(Engine, "start", start)

    async def conversation(client: AsyncTriadClient, engine: Engine) -> list[Answer]:
        return [answer async for answer in client.predict_many([{"text": "seven"}] * 3)]

    assert [kind_of(answer) for answer in talk(tiny_bundle, conversation)] == ["word"] * 3
    assert len(refused) == 1


def test_what_a_newer_service_adds_is_ignored_and_another_service_is_not_believed() -> None:
    answer = json.loads((Path(__file__).parent.parent / "http/openapi.json").read_text(encoding="utf-8"))
    example = answer["paths"]["/v1/predict"]["post"]["responses"]["200"]["content"]["application/json"]
    newer = example["examples"]["full"]["value"] | {"spent": 1}
    newer["predictions"]["digit"]["top"][0]["new"] = {}
    request = httpx.Request("POST", "http://test/v1/predict")
    found = read(Prediction, httpx.Response(200, json=newer, request=request))
    assert found.predictions["digit"].top[0].label == "7"  # type: ignore[union-attr]
    with pytest.raises(UnexpectedAnswerError, match="v1/predict does not answer as a Triad service"):
        read(Prediction, httpx.Response(200, json={"hello": "world"}, request=request))


def test_a_thread_asks_a_real_service(url: str, tmp_path: Path) -> None:
    path = tmp_path / "white.png"
    path.write_bytes(png_bytes())
    with TriadClient(url) as client:
        assert client.ready()
        assert kind_of(client.predict(image=path, attention="none")) == "picture"
        assert client.explain(text="seven").predictions["kind"].attribution is not None
        assert client.explain_png(text="seven").startswith(b"\x89PNG")
        assert "<html" in client.explain_html(text="seven")
        assert client.models().models[0].name == client.model("tiny").name
        assert client.model_version("tiny", "1").version == "1"
        assert client.reload("tiny", "1").status == "serving"
        with pytest.raises(UnsupportedFormatError) as raised:
            client.predict(image=b"no image", request_id="mine")
        assert raised.value.request_id == "mine"


def test_threads_ask_many_over_few_connections(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    examples: list[Asked] = [{"text": "seven"}, {"image": png_bytes()}, {"audio": wav_bytes(0.1)}] * 10
    with TriadClient(url, connections=2) as client:
        answers = list(client.predict_many(examples, concurrency=4, progress=True))
        pool = client._http._transport._pool  # type: ignore[attr-defined]
        assert len(pool.connections) <= 2
    assert [kind_of(answer) for answer in answers] == ["word", "picture", "sound"] * 10
    assert "30/30" in capsys.readouterr().err


def test_who_is_not_there_is_tried_again_and_then_named() -> None:
    with (
        TriadClient("http://127.0.0.1:1", retries=1, timeout_s=5) as client,
        pytest.raises(UnavailableError, match="cannot be reached"),
    ):
        client.predict(text="seven")
