"""What is ours between uvicorn and the socket; the running service is tested by its command line."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from triad_serving.operation.server import OneWrite, uvicorn_options
from triad_serving.settings import Settings

LIMIT_S = 10.0


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


def test_the_options_reach_workers_that_start_anew() -> None:
    options = pickle.loads(pickle.dumps(uvicorn_options(Settings(request_timeout_s=3))))
    assert options["http"].keywords == {"limit_s": 3.0}
