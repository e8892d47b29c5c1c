"""Several processes that serve one port, under uvicorn's supervisor.

On Linux a worker begins as a copy of a process that has loaded everything, and shares its memory: two of them
take 277 MB where they took 519, and start in two thirds of the time. A GPU cannot be used by a copy, nor can
other systems make one safely: there every worker starts anew.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import socket
import sys
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import multiprocess

from service.app import create_app
from service.bundle import find_bundles, read_bundle
from service.engine import Engine
from service.errors import SetupError
from service.runtime import cuda_within_reach
from service.server import announce, open_socket, settle, uvicorn_options
from service.settings import Settings

logger = logging.getLogger(__name__)

STARTUP_LIMIT_S = 120


def serve_with_workers(settings: Settings, bound: socket.socket, workers: int) -> None:
    """Serves until SIGTERM or Ctrl-C. Raises SetupError where a model does not load or no worker starts."""
    for folder in find_bundles(settings.models):
        read_bundle(folder)  # one sentence from here is better than a log from every worker
    options = uvicorn_options(settings)
    if may_fork(settings):
        engine = Engine.open(settings.models, settings)
        config = uvicorn.Config(create_app(engine=engine), workers=workers, **options)
        engine.load()
        settle()
        supervisor = _Supervisor(config, bound, engine)
    else:
        config = uvicorn.Config("service.workers:create_worker", factory=True, workers=workers, **options)
        supervisor = _Supervisor(config, bound)
    supervisor.run()
    if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
        raise SetupError("The workers did not start; the log says why.")


def may_fork(settings: Settings) -> bool:
    return sys.platform == "linux" and (settings.device == "cpu" or not cuda_within_reach())


def create_worker() -> FastAPI:
    """In a process started anew, which reads the settings from the environment."""
    app = create_app(Settings())
    settle()
    return app


class OwnSocket:
    """Arrives in a worker as a socket of the worker's own on the same port.

    Linux spreads connections evenly over them; of one shared socket the worker that wakes first may take all.
    Linux only: elsewhere one of the sockets gets everything.
    """

    def __init__(self, bound: socket.socket) -> None:
        """bound: exclusively, so that the port is nobody else's; it never listens itself."""
        self._bound = bound
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)

    def open(self) -> socket.socket:
        return _bind_beside(self._bound.family, self._bound.getsockname())

    def __reduce__(self) -> tuple[Any, ...]:
        """For a worker that is started anew."""
        return _bind_beside, (self._bound.family, self._bound.getsockname())


def _bind_beside(family: int, address: tuple[Any, ...]) -> socket.socket:
    own = open_socket(family)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    own.bind(address)
    return own


class _ForkedWorker(multiprocess.Process):
    def __init__(self, config: uvicorn.Config, sockets: list[Any]) -> None:
        super().__init__(config, sockets)
        self.process = multiprocessing.get_context("fork").Process(target=self._begin, args=(sockets,))  # type: ignore[assignment]

    def start(self) -> None:
        """No signal may meet the copies of this process's own handlers."""
        signal.pthread_sigmask(signal.SIG_BLOCK, multiprocess.SIGNALS)
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, multiprocess.SIGNALS)

    def _begin(self, sockets: list[OwnSocket]) -> None:
        for number in multiprocess.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, multiprocess.SIGNALS)
        self.target([own.open() for own in sockets])


class _Supervisor(multiprocess.Multiprocess):
    """Says when every worker is ready."""

    def __init__(self, config: uvicorn.Config, bound: socket.socket, engine: Engine | None = None) -> None:
        """engine: loaded, for workers that are copies of this process."""
        super().__init__(config, [OwnSocket(bound) if sys.platform == "linux" else bound])  # type: ignore[list-item]
        self._bound = bound
        self._engine = engine
        if engine is not None:
            multiprocess.Process = _ForkedWorker  # type: ignore[misc]  # the name by which it makes workers

    def init_processes(self) -> None:
        super().init_processes()
        if all(process.wait_until_ready(STARTUP_LIMIT_S, self.should_exit) for process in self.processes):
            announce(self._bound)

    def restart_all(self) -> None:
        """On SIGHUP, worker by worker, so that new models are served without a gap."""
        if self._engine is not None:
            try:
                self._engine.load()
            except SetupError as error:
                logger.error("The workers go on with the models they have. %s", error.detail)
                return
            settle()
        super().restart_all()
