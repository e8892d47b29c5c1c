"""What is ours between uvicorn and the socket; the running service is tested by its command line."""

from __future__ import annotations

import asyncio
import pickle
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from triad_serving.operation import server as server_module
from triad_serving.operation.server import OneWrite, bind, is_readable, uvicorn_options, warn_where_open
from triad_serving.settings import Settings

LIMIT_S = 10.0
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    ("host", "keys", "warns"),
    [("127.0.0.1", False, False), ("0.0.0.0", False, True), ("0.0.0.0", True, False)],
)
def test_a_service_that_everybody_may_use_says_so_loudly(
    *,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    keys: bool,
    warns: bool,
) -> None:
    monkeypatch.setattr(
        server_module.logging.config, "dictConfig", lambda _: None
    )  # it would take caplog away
    settings = Settings(models=tmp_path, api_keys_file=tmp_path if keys else None)
    with bind(host, 0) as bound:
        warn_where_open(settings, bound)
    assert ("EVERYBODY who reaches 0.0.0.0" in caplog.text) is warns


class Counted:
    """A real transport, whose writes are counted."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> object:
        return getattr(self._transport, name)


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Counted, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A server's transport, and the client at its other end."""
    accepted: asyncio.Future[asyncio.Transport] = asyncio.get_running_loop().create_future()

    class Accept(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            accepted.set_result(transport)

    server = await asyncio.get_running_loop().create_server(Accept, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        transport = await accepted
        try:
            yield Counted(transport), reader, writer
        finally:
            writer.close()
            transport.close()


Talk = Callable[[Counted, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def converse(talk: Talk) -> None:
    async def go() -> None:
        async with asyncio.timeout(LIMIT_S), connected() as (transport, reader, writer):
            await talk(transport, reader, writer)

    asyncio.run(go())


def test_head_and_body_leave_in_one_piece() -> None:
    async def talk(transport: Counted, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        one = OneWrite(transport)
        one.write(b"head")
        one.write(b"body")
        assert transport.writes == []
        assert await reader.readexactly(8) == b"headbody"
        one.write(b"next")
        assert await reader.readexactly(4) == b"next"
        assert transport.writes == [b"headbody", b"next"]

    converse(talk)


def test_what_was_written_is_sent_before_the_end() -> None:
    async def talk(transport: Counted, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        one = OneWrite(transport)
        one.write(b"last")
        one.close()
        assert one.is_closing()
        assert await reader.read() == b"last"
        assert transport.writes == [b"last"]

    converse(talk)


def test_a_connection_that_was_lost_meanwhile_is_not_written_to(caplog: pytest.LogCaptureFixture) -> None:
    async def talk(transport: Counted, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        one = OneWrite(transport)
        one.write(b"late")
        one.abort()
        assert await reader.read() == b""
        assert transport.writes == []

    converse(talk)
    assert caplog.text == ""


async def application(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


@asynccontextmanager
async def started() -> AsyncIterator[tuple[uvicorn.Server, socket.socket]]:
    """A server that runs, until it is shut down, and the address it listens on."""
    bound = bind("127.0.0.1", 0)
    options = {**uvicorn_options(Settings()), "lifespan": "off"}
    config = uvicorn.Config(application, **options)
    server = server_module._Server(config, bound)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup([bound])
    async with asyncio.timeout(LIMIT_S):
        yield server, bound


async def answer_of(client: socket.socket) -> bytes:
    """All that comes until the server ends the connection."""
    reader, writer = await asyncio.open_connection(sock=client)
    try:
        return await reader.read()
    finally:
        writer.close()


async def accepted(server: uvicorn.Server) -> uvicorn.server.Protocols:
    while not server.server_state.connections:
        await asyncio.sleep(0)
    (connection,) = server.server_state.connections
    return connection


@pytest.mark.parametrize("request_", [(REQUEST,), (REQUEST[:9], REQUEST[9:])], ids=["whole", "in two pieces"])
def test_a_request_that_was_sent_before_its_connection_was_to_close_is_answered(
    request_: tuple[bytes, ...],
) -> None:
    async def go() -> bytes:
        async with started() as (server, bound):
            client = socket.create_connection(bound.getsockname())
            connection = await accepted(server)
            client.sendall(request_[0])  # the event loop has not read it yet
            connection.shutdown()
            for piece in request_[1:]:
                await asyncio.sleep(server_module.LAST_LOOK_S)
                client.sendall(piece)
            answer, _ = await asyncio.gather(answer_of(client), server.shutdown())
            return answer

    assert asyncio.run(go()).startswith(b"HTTP/1.1 204")


def test_who_had_connected_before_the_end_is_answered_and_nobody_after_it() -> None:
    async def go() -> bytes:
        async with started() as (server, bound):
            address = bound.getsockname()
            client = socket.create_connection(address)  # in the kernel's queue: the event loop did not run
            client.sendall(REQUEST)
            answer, _ = await asyncio.gather(answer_of(client), server.shutdown())
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address)
            return answer

    assert asyncio.run(go()).startswith(b"HTTP/1.1 204")


def test_an_idle_connection_is_closed_at_the_end() -> None:
    async def go() -> bytes:
        async with started() as (server, bound):
            client = socket.create_connection(bound.getsockname())
            await accepted(server)
            assert not is_readable(client)
            answer, _ = await asyncio.gather(answer_of(client), server.shutdown())
            return answer

    assert asyncio.run(go()) == b""


def test_the_options_reach_workers_that_start_anew() -> None:
    options = pickle.loads(pickle.dumps(uvicorn_options(Settings(request_timeout_s=3))))
    assert options["http"].keywords == {"limit_s": 3.0}
