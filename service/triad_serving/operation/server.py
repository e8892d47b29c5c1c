"""Runs the application under uvicorn: bind, serve, stop cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import ipaddress
import logging
import logging.config
import math
import os
import selectors
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType
from typing import Any

import uvicorn

from triad_serving.contract.errors import SetupError
from triad_serving.contract.log_format import LogFormat
from triad_serving.engine.engine import Engine
from triad_serving.http.app import create_app
from triad_serving.operation.admitting import AdmittingProtocol
from triad_serving.operation.footprint import describe_start
from triad_serving.operation.quiet import quiet_libraries
from triad_serving.operation.watching import watching
from triad_serving.settings import Settings

logger = logging.getLogger(__name__)

YOUNG_OBJECTS = 10_000  # Python's 700 are a few requests: it looked through those under way, again and again
MOST_FILES = 65_536
RED_S = 0.5  # how long a stopping service still takes requests, with readiness red and connections closing
LAST_LOOK_S = 0.05  # how long a connection is left open after that, and until it is looked at again


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


def warn_where_open(settings: Settings, bound: socket.socket) -> None:
    """Where others than this machine can ask, and need no key for it."""
    logging.config.dictConfig(log_config(settings.log_level, settings.log_format))
    host = bound.getsockname()[0]
    if settings.api_keys_file is None and not ipaddress.ip_address(host).is_loopback:
        logger.warning(
            "EVERYBODY who reaches %s may use this service: no API keys are set (TRIAD_API_KEYS_FILE).", host
        )


def serve(settings: Settings, bound: socket.socket) -> None:
    """Serves from this process until SIGTERM or Ctrl-C; then answers what was accepted and returns."""
    quiet_libraries()
    allow_many_connections()
    engine = Engine.open(settings.models, settings)
    config = uvicorn.Config(create_app(engine=engine), **uvicorn_options(settings))
    with engine, watching(settings, functools.partial(take_changed, engine)):
        tune_garbage_collector()
        _Server(config, bound).run(sockets=[bound])
    if engine.dead:
        raise SystemExit("The service ends, for whoever started it to start it again; the log says why.")


def allow_many_connections() -> None:
    """As many files as the system lets this process have, within reason; often it has 1024 unless it asks."""
    with contextlib.suppress(ImportError):  # Windows has no such limit
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
        if 0 <= soft < most:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def take_changed(engine: Engine) -> bool:
    """Whether what is in the models folder now is served."""
    try:
        engine.load()
    except SetupError as error:
        logger.error("The models in service stay. %s", error.detail)
        return False
    return True


def tune_garbage_collector() -> None:
    """What was loaded by now stays, and requests leave no rings behind: the garbage collector may rest."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)


def announce(bound: socket.socket, processes: Sequence[int]) -> None:
    host, port = bound.getsockname()[:2]
    name = {"0.0.0.0": "localhost", "::": "localhost", "127.0.0.1": "localhost"}.get(host, host)
    url = f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
    takes = describe_start(processes)
    sys.stdout.write(
        f"Triad is ready: {url}\n"
        + (f"  takes          {takes}\n" if takes else "")
        + f"  documentation  {url}/docs\n"
        f"  try            curl -F text=seven {url}/v1/predict\n"
        "Ctrl-C stops it.\n"
    )
    sys.stdout.flush()


class DrainingServer(uvicorn.Server):
    """Answers every request that was sent by its end, and exits with 0 after a signal.

    uvicorn alone closes connections at once, also those on which a request is on its way. Here a signal turns
    readiness red and every answer ends its connection (http.metrics.Observe), so that no client sends another
    request into one; RED_S later what is left is idle.
    """

    async def main_loop(self) -> None:
        await super().main_loop()
        if not self.dead:
            await asyncio.sleep(RED_S)

    async def on_tick(self, counter: int) -> bool:
        """A process that answers nothing any more makes room for another one."""
        return await super().on_tick(counter) or self.dead

    @property
    def dead(self) -> bool:
        return self.engine is not None and self.engine.dead

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if (engine := self.engine) is not None:
            engine.drain()
        super().handle_exit(sig, frame)
        self._captured_signals.clear()  # uvicorn would raise them again and so end with a signal's exit code

    @property
    def engine(self) -> Engine | None:
        """The application's; None before its lifespan has begun."""
        lifespan = getattr(self, "lifespan", None)  # uvicorn makes it after it has loaded the application
        return lifespan and lifespan.state.get("engine")

    async def serve_connection(self, connection: socket.socket) -> None:
        """Serves one that was accepted elsewhere, as uvicorn serves those that it accepts."""
        connection.setblocking(False)
        await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        protocol: type[Any] = self.config.http_protocol_class
        made: asyncio.Protocol = protocol(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made


class _Server(DrainingServer):
    """Says when it is ready, and takes changed models on SIGHUP or when it sees them."""

    def __init__(self, config: uvicorn.Config, bound: socket.socket) -> None:
        super().__init__(config)
        self._bound = bound

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        loop = asyncio.get_running_loop()
        if hasattr(signal, "SIGHUP") and self.engine is not None:  # Windows has none
            loop.add_signal_handler(signal.SIGHUP, loop.run_in_executor, None, take_changed, self.engine)
        announce(self._bound, [os.getpid()])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Clients that have connected already may have sent a request: closing would reset them."""
        waiting = list(accept_all(self._bound))
        for server in self.servers:
            server.close()
        for connection in waiting:
            await self.serve_connection(connection)
        await super().shutdown(sockets)


def accept_all(bound: socket.socket) -> Iterator[socket.socket]:
    """Every connection that waits to be accepted, while there are file descriptors for them."""
    bound.setblocking(False)
    with contextlib.suppress(OSError):  # BlockingIOError: there is none
        while True:
            yield bound.accept()[0]


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

    def write_eof(self) -> None:
        self._send()
        self._transport.write_eof()

    def _send(self) -> None:
        pieces, self._pieces = self._pieces, []
        if pieces and not self._transport.is_closing():
            self._transport.write(b"".join(pieces))

    def __getattr__(self, name: str) -> Any:
        """Everything else is the transport's own."""
        return getattr(self._transport, name)


class _Protocol(AdmittingProtocol):
    """Closes no connection on which a request has begun, or is there and was not read yet."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(OneWrite(transport))

    def shutdown(self) -> None:
        """A little later: a client that has just connected is about to send."""
        self.wake()
        self.loop.call_later(LAST_LOOK_S, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        answering = self.cycle.scope if self.cycle else None
        if self.transport.is_closing():
            return
        if self.scope is not answering or is_readable(self.transport.get_extra_info("socket")):
            self.shutdown()  # the head of another request has begun, or something is there
        else:
            super().shutdown()


def is_readable(connection: socket.socket) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        return bool(selector.select(0))


def uvicorn_options(settings: Settings) -> Mapping[str, Any]:
    return {
        "log_config": log_config(settings.log_level, settings.log_format),
        "access_log": settings.log_level == "debug",  # 20 us a line
        "server_header": False,
        "lifespan": "on",
        "http": functools.partial(_Protocol, limit_s=settings.request_timeout_s),
        "timeout_graceful_shutdown": math.ceil(settings.request_timeout_s) + 5,
    }


FORMATTERS: Mapping[LogFormat, Mapping[str, Any]] = {
    LogFormat.LINES: {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
    LogFormat.JSON: {
        "()": "pythonjsonlogger.json.JsonFormatter",
        "format": ["levelname", "name", "message"],
        "rename_fields": {"levelname": "level", "name": "logger"},
        "timestamp": "time",
    },
}


def log_config(level: str, log_format: LogFormat = LogFormat.LINES) -> dict[str, Any]:
    """Everything to stderr in one shape, in this process and in workers."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": FORMATTERS[log_format]},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"level": level.upper(), "handlers": ["stderr"]},
        "loggers": {
            "python_multipart": {"level": "CRITICAL"},  # what it warns of is answered to the client
            "PIL": {"level": "CRITICAL"},  # likewise
            # It warns of requests that are no HTTP, which is answered to the client, too.
            "uvicorn.error": {"level": "ERROR" if level in ("info", "warning") else level.upper()},
        },
    }
