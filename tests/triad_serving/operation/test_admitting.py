"""A request without a place, over a real connection: what it is told, and what comes after it."""

from __future__ import annotations

import asyncio
import json
import select
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn

from triad_serving.engine.admission import Admission
from triad_serving.operation import admitting
from triad_serving.operation.server import bind, uvicorn_options
from triad_serving.settings import Settings

LIMIT_S = 10.0
BODY = b"x" * 100


def post(body: bytes = BODY, *, length: int | None = None, headers: bytes = b"") -> bytes:
    size = len(body) if length is None else length
    head = b"POST /v1/predict HTTP/1.1\r\nHost: h\r\nX-Request-ID: mine\r\nContent-Length: %d\r\n" % size
    return head + headers + b"\r\n" + body


class Service:
    """An application that reads a request and answers 200 once it may, behind an engine's places."""

    def __init__(self, places: int) -> None:
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.called = 0
        self.refused = 0
        self.engine = SimpleNamespace(
            admission=Admission(lambda: places, fair=False),
            settings=Settings(),
            draining=False,
            dead=False,
            on_refused=self._count,
        )

    def _count(self) -> None:
        self.refused += 1

    @property
    def free(self) -> bool:
        """Whether one more would get a place."""
        entered = self.engine.admission.enter("")
        if entered:
            self.engine.admission.leave("")
        return bool(entered)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.called += 1
        while (await receive()).get("more_body"):
            pass
        await self.may_answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})


@asynccontextmanager
async def connected(
    service: Service,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, uvicorn.Server]]:
    config = uvicorn.Config(service, **{**uvicorn_options(Settings()), "lifespan": "off"})
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    server.lifespan.state["engine"] = service.engine
    bound = bind("127.0.0.1", 0)
    async with asyncio.timeout(LIMIT_S):
        await server.startup([bound])
        reader, writer = await asyncio.open_connection(*bound.getsockname())
        yield reader, writer, server
        writer.close()
        await server.shutdown([bound])


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(status.split()[1]), headers, await reader.readexactly(int(headers["content-length"]))


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0)


def run(places: int, talk: Callable[..., Awaitable[None]]) -> Service:
    async def go() -> Service:
        service = Service(places)
        async with connected(service) as (reader, writer, server):
            await talk(service, reader, writer, server)
        return service

    return asyncio.run(go())


def test_without_a_place_it_is_told_so_and_the_application_never_sees_it() -> None:
    async def talk(service: Service, reader: Any, writer: Any, _: Any) -> None:
        writer.write(post())
        status, headers, body = await answer(reader)
        assert status == 503
        assert headers["retry-after"] == "1"
        assert headers["x-request-id"] == "mine"
        assert headers["x-content-type-options"] == "nosniff"
        assert "connection" not in headers
        problem = json.loads(body)
        assert (problem["title"], problem["id"]) == ("Overloaded", "mine")

    service = run(0, talk)
    assert (service.called, service.refused) == (0, 1)


@pytest.mark.parametrize(
    ("path", "key"),
    [
        (b"/v1/predict/batch", "detail"),
        (b"/v1/embed", "detail"),
        (b"/v1/search?index=digits", "detail"),
        (b"/v1/indexes/digits/rows", "detail"),
        (b"/v2/models/m/versions/1/infer", "error"),
    ],
)
def test_it_is_told_as_the_path_has_errors(path: bytes, key: str) -> None:
    async def talk(service: Service, reader: Any, writer: Any, _: Any) -> None:
        writer.write(post().replace(b"/v1/predict", path))
        status, _, body = await answer(reader)
        assert (status, json.loads(body)[key][:13]) == (503, "More is asked")

    assert run(0, talk).called == 0


def test_what_costs_little_needs_no_place() -> None:
    async def talk(service: Service, reader: Any, writer: Any, _: Any) -> None:
        writer.write(b"GET /v1/predict HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (await answer(reader))[0] == 200
        writer.write(post().replace(b"/v1/predict", b"/v1/models/m/reload"))
        assert (await answer(reader))[0] == 200

    run(0, talk)


def test_a_place_is_free_again_after_the_answer() -> None:
    async def talk(service: Service, reader: Any, writer: Any, _: Any) -> None:
        for _ in range(3):
            service.may_answer.clear()
            writer.write(post())
            await until(lambda: not service.free)
            service.may_answer.set()
            assert (await answer(reader))[0] == 200
            await until(lambda: service.free)

    assert run(1, talk).refused == 0


def test_who_sends_slowly_keeps_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admitting, "SENDING_S", 0.01)

    async def talk(service: Service, reader: Any, writer: Any, _: Any) -> None:
        writer.write(post(BODY[:1], length=len(BODY)))
        await until(lambda: not service.free)
        await until(lambda: service.free)
        writer.write(BODY[1:])
        assert (await answer(reader))[0] == 200
        assert service.free

    run(1, talk)


def test_after_a_refusal_a_connection_is_not_read_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admitting, "RETRY_AFTER_S", 0.05)

    async def talk(service: Service, reader: Any, writer: Any, _: Any) -> None:
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        for refused in range(1, 3):
            writer.write(post())
            assert (await answer(reader))[0] == 503
            assert service.refused == refused
        assert loop.time() - started_s >= 0.05
        assert len(service.engine.admission.resting) == 1
        await until(lambda: not service.engine.admission.resting)

    run(0, talk)


def test_requests_that_come_in_one_piece_are_refused_one_by_one() -> None:
    async def talk(service: Service, reader: Any, writer: Any, _: Any) -> None:
        writer.write(post() * 3)
        for _ in range(3):
            assert (await answer(reader))[0] == 503
        assert len(service.engine.admission.resting) == 1

    assert run(0, talk).refused == 3


def test_a_head_of_which_a_part_came_before_the_rest_has_its_time_after_it() -> None:
    async def talk(service: Service, reader: Any, writer: Any, server: Any) -> None:
        assert service.engine.admission.enter("another")
        writer.write(post() + post()[:10])
        assert (await answer(reader))[0] == 503
        await until(lambda: bool(service.engine.admission.resting))
        (connection,) = server.server_state.connections
        assert connection._end is None
        service.engine.admission.leave("another")
        assert connection._end is not None
        writer.write(post()[10:])
        assert (await answer(reader))[0] == 200

    run(1, talk)


def test_where_many_rest_each_rests_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admitting, "RETRY_AFTER_S", 0.0)
    monkeypatch.setattr(admitting, "MOST_REFUSALS_PER_S", 100.0)

    async def talk(service: Service, reader: Any, writer: Any, _: Any) -> None:
        service.engine.admission.resting.update(dict.fromkeys(range(9), print))
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        writer.write(post())
        await answer(reader)
        await until(lambda: len(service.engine.admission.resting) == 10)
        await until(lambda: len(service.engine.admission.resting) == 9)
        assert loop.time() - started_s >= 0.1

    run(0, talk)


def test_who_is_told_to_wait_is_told_half_a_minute_at_most() -> None:
    async def talk(service: Service, reader: Any, writer: Any, _: Any) -> None:
        service.engine.admission.resting.update(dict.fromkeys(range(10_000), print))
        writer.write(post())
        assert (await answer(reader))[1]["retry-after"] == "30"

    run(0, talk)


def test_who_rests_is_read_again_once_there_is_room() -> None:
    async def talk(service: Service, reader: Any, writer: Any, _: Any) -> None:
        assert service.engine.admission.enter("another")
        writer.write(post())
        assert (await answer(reader))[0] == 503
        await until(lambda: bool(service.engine.admission.resting))
        writer.write(post())
        service.engine.admission.leave("another")  # long before the second is over
        assert not service.engine.admission.resting
        assert (await answer(reader))[0] == 200

    run(1, talk)


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="only Linux tells")
def test_a_client_that_leaves_is_forgotten_at_once_with_what_it_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admitting, "RETRY_AFTER_S", 60)

    async def talk(service: Service, reader: Any, writer: Any, server: Any) -> None:
        assert service.engine.admission.enter("another")
        writer.write(post())
        await answer(reader)
        await until(lambda: bool(service.engine.admission.resting))
        writer.write(post())
        writer.close()
        await until(lambda: not server.server_state.connections)
        assert not service.engine.admission.resting

    service = run(1, talk)
    assert (service.called, service.refused) == (0, 1)


def test_who_leaves_while_its_connection_rests_is_forgotten() -> None:
    async def talk(service: Service, reader: Any, writer: Any, server: Any) -> None:
        writer.write(post())
        await answer(reader)
        await until(lambda: len(service.engine.admission.resting) == 1)
        (connection,) = server.server_state.connections
        connection.transport.abort()
        await until(lambda: not server.server_state.connections)
        assert not service.engine.admission.resting

    run(0, talk)


@pytest.mark.parametrize(
    "request_",
    [
        post(b"", length=100, headers=b"Expect: 100-continue\r\n"),
        post(BODY, length=admitting.MOST_IGNORED_BYTES + 1),
        post(headers=b"Connection: close\r\n"),
    ],
    ids=["asks before it sends", "a long body", "wants to end"],
)
def test_a_connection_ends_where_its_body_is_not_to_be_read(request_: bytes) -> None:
    async def talk(service: Service, reader: Any, writer: Any, _: Any) -> None:
        writer.write(request_)
        status, headers, _ = await answer(reader)
        assert (status, headers["connection"]) == (503, "close")
        writer.write(BODY * 1000)  # still on its way: it must not cost the client its answer
        assert await reader.read() == b""

    assert run(0, talk).called == 0


def test_a_stopping_service_ends_the_connection_that_it_refuses() -> None:
    async def talk(service: Service, reader: Any, writer: Any, _: Any) -> None:
        service.engine.draining = True
        writer.write(post())
        assert (await answer(reader))[1]["connection"] == "close"

    run(0, talk)
