"""Several processes that serve one port, under uvicorn's supervisor.

On Linux a worker begins as a copy of a process that has loaded everything, and shares its memory: two of them
take 277 MB where they took 519, and start in two thirds of the time. A GPU cannot be used by a copy, nor can
other systems make one safely: there every worker starts anew.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import multiprocessing
import os
import select
import signal
import socket
import sys
import threading
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import multiprocess

from triad_serving.contract.errors import SetupError
from triad_serving.engine.engine import Engine
from triad_serving.http.app import create_app
from triad_serving.inference.bundle import find_bundles, read_bundle
from triad_serving.inference.runtime import cuda_within_reach
from triad_serving.operation.quiet import quiet_libraries
from triad_serving.operation.server import announce, tune_garbage_collector, uvicorn_options
from triad_serving.settings import Settings

logger = logging.getLogger(__name__)

STARTUP_LIMIT_S = 120
RETRY_S = 0.1  # after a connection could not be accepted, say for want of file descriptors
ACCEPTING = threading.Lock()  # held while a connection is open here: a copy made then would keep it open
PASSES_CONNECTIONS = hasattr(
    socket, "send_fds"
)  # not on Windows: there the workers share the listening socket


def serve_with_workers(settings: Settings, bound: socket.socket, workers: int) -> None:
    """Serves until SIGTERM or Ctrl-C. Raises SetupError where a model does not load or no worker starts."""
    for folder in find_bundles(settings.models):
        read_bundle(folder)  # one sentence from here is better than a log from every worker
    quiet_libraries()
    options = uvicorn_options(settings)
    if may_fork(settings):
        engine = Engine.open(settings.models, settings)
        config = uvicorn.Config(create_app(engine=engine), workers=workers, **options)
        engine.load()
        tune_garbage_collector()
        supervisor = _Supervisor(config, bound, engine)
    else:
        config = uvicorn.Config(
            "triad_serving.operation.workers:create_worker", factory=True, workers=workers, **options
        )
        supervisor = _Supervisor(config, bound)
    supervisor.run()
    if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
        raise SetupError("The workers did not start; the log says why.")


def may_fork(settings: Settings) -> bool:
    return sys.platform == "linux" and (settings.device == "cpu" or not cuda_within_reach())


def create_worker() -> FastAPI:
    """In a process started anew, which reads the settings from the environment."""
    quiet_libraries()
    app = create_app(Settings())
    tune_garbage_collector()
    return app


class _Server(uvicorn.Server):
    """Takes connections that the supervisor accepted."""

    def __init__(self, config: uvicorn.Config, receiver: socket.socket) -> None:
        """receiver: where they come from, one with every message."""
        super().__init__(config)
        self._receiver = receiver
        self._supervisor = os.getppid()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._receiver.setblocking(False)
        asyncio.get_running_loop().add_reader(self._receiver, self._take)

    def _take(self) -> None:
        loop = asyncio.get_running_loop()
        message, descriptors, flags, _ = socket.recv_fds(self._receiver, 1, 1)
        if flags & socket.MSG_CTRUNC:
            logger.warning("A connection was lost for want of file descriptors.")
        if not message:  # there will be none any more
            loop.remove_reader(self._receiver)
        for descriptor in descriptors:
            task = loop.create_task(self._serve_connection(socket.socket(fileno=descriptor)))
            self.server_state.tasks.add(task)
            task.add_done_callback(self.server_state.tasks.discard)

    async def _serve_connection(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        """As uvicorn makes one for a connection that it accepts itself."""
        protocol: type[Any] = self.config.http_protocol_class
        made: asyncio.Protocol = protocol(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made

    async def on_tick(self, counter: int) -> bool:
        """Without its supervisor it would never be given a connection again."""
        return await super().on_tick(counter) or os.getppid() != self._supervisor

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().remove_reader(self._receiver)
        self._receiver.close()
        await super().shutdown(sockets)


class _Worker(multiprocess.Process):
    """One process; begins as a copy of this one where the application is loaded here."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self._sender, self._receiver = socket.socketpair()
        self._sender.setblocking(False)
        self._copies = not isinstance(config.app, str)
        if self._copies:
            self.process = multiprocessing.get_context("fork").Process(target=self._begin)  # type: ignore[assignment]

    def start(self) -> None:
        """No signal may meet a copy of this process's own handlers."""
        held_back = multiprocess.SIGNALS if self._copies else ()
        with ACCEPTING:
            signal.pthread_sigmask(signal.SIG_BLOCK, held_back)
            try:
                super().start()
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, held_back)
        self._receiver.close()

    def wait_until_ready(self, timeout: float, should_exit: threading.Event | None = None) -> bool:
        """After SIGHUP uvicorn would give it 5 s, in which a large model does not load."""
        return super().wait_until_ready(max(timeout, STARTUP_LIMIT_S), should_exit)

    def take(self, connection: socket.socket) -> bool:
        """Gives it a connection; False where it takes none."""
        try:
            socket.send_fds(self._sender, [b"c"], [connection.fileno()])
        except OSError:  # it has ended, is about to, or has not taken the last hundreds
            return False
        return True

    def terminate(self) -> None:
        """It finishes the connections that it was given."""
        self._sender.shutdown(socket.SHUT_WR)
        super().terminate()

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        self._server = _Server(self.config, self._receiver)
        super().target(sockets)

    def _begin(self) -> None:
        for number in multiprocess.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, multiprocess.SIGNALS)
        self.target([])


class _Supervisor(multiprocess.Multiprocess):
    """Says when every worker is ready, and distributes connections to them in turn.

    Where each accepts for itself, on a socket of its own or on a common one, some have many more than others.
    """

    def __init__(self, config: uvicorn.Config, bound: socket.socket, engine: Engine | None = None) -> None:
        """engine: loaded, for workers that are copies of this process."""
        super().__init__(config, [] if PASSES_CONNECTIONS else [bound])
        self._bound = bound
        self._engine = engine
        self._stopped, self._stop = socket.socketpair()
        self._distributor = threading.Thread(target=self._distribute, name="triad-distributor", daemon=True)
        if PASSES_CONNECTIONS:
            multiprocess.Process = _Worker  # type: ignore[misc]  # the name by which it makes workers

    def init_processes(self) -> None:
        super().init_processes()
        if all(process.wait_until_ready(STARTUP_LIMIT_S, self.should_exit) for process in self.processes):
            if PASSES_CONNECTIONS:
                self._bound.listen(self.config.backlog)
                self._bound.setblocking(False)
                self._distributor.start()
            announce(self._bound)

    def restart_all(self) -> None:
        """On SIGHUP, worker by worker, so that new models are served without a gap."""
        if self._engine is not None:
            try:
                self._engine.load()
            except SetupError as error:
                logger.error("The workers go on with the models they have. %s", error.detail)
                return
            tune_garbage_collector()
        super().restart_all()

    def terminate_all(self) -> None:
        if self._distributor.is_alive():
            self._stop.send(b"s")
            self._distributor.join()
            if self._engine is not None:
                self._bound.shutdown(socket.SHUT_RDWR)  # workers hold copies: to close it is not enough
            self._bound.close()
        super().terminate_all()

    def _distribute(self) -> None:
        turns = itertools.count()
        while not self.should_exit.is_set():
            select.select([self._bound, self._stopped], [], [])
            try:
                with ACCEPTING, self._bound.accept()[0] as connection:
                    workers = [process for process in self.processes if isinstance(process, _Worker)]
                    any(workers[next(turns) % len(workers)].take(connection) for _ in workers)
            except BlockingIOError:
                continue  # the client went away meanwhile, or this is the end
            except OSError as error:
                if not self.should_exit.is_set():
                    logger.warning("A connection could not be accepted: %s.", error)
                    self.should_exit.wait(RETRY_S)
