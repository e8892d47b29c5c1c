"""Runs the application under uvicorn: bind, serve, stop cleanly."""

from __future__ import annotations

import asyncio
import functools
import gc
import math
import socket
import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any

import uvicorn

from triad_serving.contract.errors import SetupError
from triad_serving.engine.engine import Engine
from triad_serving.http.app import create_app
from triad_serving.operation.connection import LimitedProtocol
from triad_serving.operation.quiet import quiet_libraries
from triad_serving.settings import Settings

YOUNG_OBJECTS = 10_000  # Python's 700 are a few requests: it looked through those under way, again and again
RED_S = 0.5  # how long a stopping service still takes requests, with readiness red and connections closing


def bind(host: str, port: int) -> socket.socket:
    """A bound socket that does not listen yet; port 0 takes a free one. Raises SetupError."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except (OSError, UnicodeError) as error:
        bound.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise SetupError(f"Cannot listen on {host} port {port}: {reason}.") from error
    return bound


def serve(settings: Settings, bound: socket.socket) -> None:
    """Serves from this process until SIGTERM or Ctrl-C; then answers what was accepted and returns."""
    quiet_libraries()
    engine = Engine.open(settings.models, settings)
    server = _Server(uvicorn.Config(create_app(engine=engine), **uvicorn_options(settings)), engine, bound)
    with engine:
        tune_garbage_collector()
        server.run(sockets=[bound])


def tune_garbage_collector() -> None:
    """What was loaded by now stays, and requests leave no rings behind: the garbage collector may rest."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)


def announce(bound: socket.socket) -> None:
    host, port = bound.getsockname()[:2]
    name = {"0.0.0.0": "localhost", "::": "localhost", "127.0.0.1": "localhost"}.get(host, host)
    url = f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
    sys.stdout.write(
        f"Triad is ready: {url}\n"
        f"  documentation  {url}/docs\n"
        f"  try            curl -F text=seven {url}/v1/predict\n"
        "Ctrl-C stops it.\n"
    )
    sys.stdout.flush()


class _Server(uvicorn.Server):
    """Says when it is ready, turns readiness red on a signal, and exits with 0 after it."""

    def __init__(self, config: uvicorn.Config, engine: Engine, bound: socket.socket) -> None:
        super().__init__(config)
        self._engine = engine
        self._bound = bound

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        announce(self._bound)

    async def main_loop(self) -> None:
        await super().main_loop()
        await asyncio.sleep(RED_S)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._engine.drain()
        super().handle_exit(sig, frame)
        self._captured_signals.clear()  # uvicorn would raise them again and so end with a signal's exit code


class OneWrite:
    """A transport that sends in one piece what is written within one step of the event loop.

    uvicorn writes an answer's head and its body apart: a system call and a packet each.
    """

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._pieces: list[bytes] = []
        self._loop = asyncio.get_running_loop()

    def write(self, data: bytes) -> None:
        if not self._pieces:
            self._loop.call_soon(self._send)
        self._pieces.append(data)

    def close(self) -> None:
        self._send()
        self._transport.close()

    def _send(self) -> None:
        pieces, self._pieces = self._pieces, []
        if pieces and not self._transport.is_closing():
            self._transport.write(b"".join(pieces))

    def __getattr__(self, name: str) -> Any:
        """Everything else is the transport's own."""
        return getattr(self._transport, name)


class _Protocol(LimitedProtocol):
    def connection_made(self, transport: Any) -> None:
        super().connection_made(OneWrite(transport))


def uvicorn_options(settings: Settings) -> Mapping[str, Any]:
    return {
        "log_config": log_config(settings.log_level),
        "access_log": settings.log_level == "debug",  # 20 us a line
        "server_header": False,
        "lifespan": "on",
        "http": functools.partial(_Protocol, limit_s=settings.request_timeout_s),
        "timeout_graceful_shutdown": math.ceil(settings.request_timeout_s) + 5,
    }


def log_config(level: str) -> dict[str, Any]:
    """Everything to stderr in one shape, in this process and in workers."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"level": level.upper(), "handlers": ["stderr"]},
        "loggers": {
            "python_multipart": {"level": "CRITICAL"},  # what it warns of is answered to the client
            "PIL": {"level": "CRITICAL"},  # likewise
            # It warns of requests that are no HTTP, which is answered to the client, too.
            "uvicorn.error": {"level": "ERROR" if level in ("info", "warning") else level.upper()},
        },
    }
