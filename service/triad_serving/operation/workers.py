"""Several processes that serve one port, under uvicorn's supervisor.

On Linux a worker begins as a copy of a process that has loaded everything, and shares its memory: two of them
take 277 MB where they took 519, and start in two thirds of the time. A GPU cannot be used by a copy, nor can
other systems make one safely: there every worker starts anew.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import multiprocessing
import os
import select
import signal
import socket
import threading
import time
from contextlib import suppress
from ctypes import c_double
from multiprocessing.connection import Connection

import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import multiprocess

from triad_serving.contract.errors import NotFoundError, SetupError, TriadError, UnavailableError
from triad_serving.engine.catalog import choose_graphs
from triad_serving.engine.engine import Engine, Reload
from triad_serving.http.app import create_app
from triad_serving.http.counts import reserve_counts
from triad_serving.inference.bundle import find_bundles, read_bundle
from triad_serving.inference.runtime import cuda_within_reach, fork_safe
from triad_serving.operation.quiet import quiet_libraries
from triad_serving.operation.server import (
    RED_S,
    DrainingServer,
    allow_many_connections,
    announce,
    take_changed,
    tune_garbage_collector,
    uvicorn_options,
)
from triad_serving.operation.watching import watching
from triad_serving.settings import Settings

logger = logging.getLogger(__name__)

STARTUP_LIMIT_S = 120
LAST_CONNECTIONS_S = 5.0  # longest that a worker which ends waits until its supervisor accepts no more
ALIVE_S = 0.5  # how old a worker's last sign of life may be before others get its connections
FULL_S = 0.01  # until workers that have not taken the last hundreds of connections are asked again
RETRY_S = 0.1  # after a connection could not be accepted, say for want of file descriptors
NUMBERS = itertools.count(1)  # of workers; 0 is their supervisor
ACCEPTING = threading.Lock()  # held while a connection is open here: a copy made then would keep it open
PASSES_CONNECTIONS = hasattr(
    socket, "send_fds"
)  # not on Windows: there the workers share the listening socket


def serve_with_workers(settings: Settings, bound: socket.socket, workers: int) -> None:
    """Serves until SIGTERM or Ctrl-C. Raises SetupError where a model does not load or no worker starts."""
    for folder in find_bundles(settings.models):
        read_bundle(folder)  # one sentence from here is better than a log from every worker
    reserve_counts()
    quiet_libraries()
    allow_many_connections()
    options = uvicorn_options(settings)
    if may_fork(settings):
        engine = Engine.open(settings.models, settings)
        config = uvicorn.Config(create_app(engine=engine), workers=workers, **options)
        engine.load()
        tune_garbage_collector()
        supervisor = _Supervisor(config, bound, settings, engine)
    else:
        _choose_graphs(settings)
        config = uvicorn.Config(
            "triad_serving.operation.workers:create_worker", factory=True, workers=workers, **options
        )
        supervisor = _Supervisor(config, bound, settings)
    with watching(settings, supervisor.models_changed.set):
        supervisor.run()
    if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
        raise SetupError("The workers did not start; the log says why.")


def _choose_graphs(settings: Settings) -> None:
    """Once for all workers, each of which would time them for itself. Not where a GPU may take them."""
    if settings.device == "cpu" or not cuda_within_reach():
        choose_graphs(settings.models, settings)


def may_fork(settings: Settings) -> bool:
    return fork_safe(settings.device)


def create_worker() -> FastAPI:
    """In a process started anew, which reads the settings from the environment."""
    reserve_counts()
    quiet_libraries()
    app = create_app(Settings())
    app.state.engine.supervisor = _refuse  # until its server says whom to ask
    tune_garbage_collector()
    return app


def _refuse(_name: str, _version: str | None) -> None:
    raise UnavailableError("Here workers are not replaced one by one: restart the service.")


class _Server(DrainingServer):
    """Takes connections that the supervisor accepted."""

    def __init__(
        self, config: uvicorn.Config, receiver: socket.socket, questions: Connection, alive_s: c_double
    ) -> None:
        """receiver: where they come from, one with every message. questions: to the supervisor.

        alive_s: shared with it; when this worker last showed a sign of life, by the monotonic clock.
        """
        super().__init__(config)
        self._receiver = receiver
        self._questions = questions
        self._alive_s = alive_s
        self._asking = threading.Lock()
        self._received_all = asyncio.Event()
        self._opening: set[asyncio.Task[None]] = set()
        self._supervisor = os.getppid()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.engine is not None:
            self.engine.supervisor = self._ask_for_reload
        self._receiver.setblocking(False)
        asyncio.get_running_loop().add_reader(self._receiver, self._take)

    def _ask_for_reload(self, name: str, version: str | None) -> None:
        """Raises what keeps the supervisor from it, UnavailableError where this worker ends meanwhile."""
        with self._asking:
            self._questions.send((name, version))
            while not self._questions.poll(RETRY_S):
                if self.should_exit or os.getppid() != self._supervisor:
                    raise UnavailableError("The workers are being replaced; ask again.")
            answer = self._questions.recv()
        if answer is not None:
            raise answer

    def _take(self) -> None:
        loop = asyncio.get_running_loop()
        message, descriptors, flags, _ = socket.recv_fds(self._receiver, 1, 1)
        if flags & socket.MSG_CTRUNC:
            logger.warning("A connection was lost for want of file descriptors.")
        if not message:  # there will be none any more
            loop.remove_reader(self._receiver)
            self._received_all.set()
        for descriptor in descriptors:
            task = loop.create_task(self.serve_connection(socket.socket(fileno=descriptor)))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def on_tick(self, counter: int) -> bool:
        """Without its supervisor it would never be given a connection again."""
        self._alive_s.value = time.monotonic()
        return await super().on_tick(counter) or os.getppid() != self._supervisor

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Takes first what the supervisor has given it, or still gives it until it stops accepting."""
        if not self.dead and os.getppid() == self._supervisor:
            with suppress(TimeoutError):  # where somebody else has sent the signal
                await asyncio.wait_for(self._received_all.wait(), LAST_CONNECTIONS_S)
        self._receiver.shutdown(socket.SHUT_RD)  # the next ones are for others
        await self._received_all.wait()
        self._receiver.close()
        await asyncio.gather(*self._opening)
        await super().shutdown(sockets)


class _Worker(multiprocess.Process):
    """One process; begins as a copy of this one where the application is loaded here."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self._sender, self._receiver = socket.socketpair()
        self._sender.setblocking(False)
        self._questions, self._asking = multiprocessing.Pipe()
        self._alive_s = multiprocessing.RawValue(c_double, time.monotonic())
        self.number = next(NUMBERS)
        self.ready = False
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
        self._asking.close()

    def answer_reload(self, reload: Reload) -> bool:
        """Whether it has asked for a reload, which was done; where that fails, it is told why."""
        try:
            if not self._questions.poll():
                return False
            name, version = self._questions.recv()
        except (EOFError, OSError):  # it has ended
            return False
        answer = None
        try:
            reload(name, version)
        except TriadError as error:
            answer = error
        with suppress(OSError):  # it has ended meanwhile
            self._questions.send(answer)
        return answer is None

    def _healthcheck(self, timeout: float) -> bool | None:
        started = super()._healthcheck(timeout)
        self.ready = self.ready or started is True
        return started

    def wait_until_ready(self, timeout: float, should_exit: threading.Event | None = None) -> bool:
        """After SIGHUP uvicorn would give it 5 s, in which a large model does not load."""
        return super().wait_until_ready(max(timeout, STARTUP_LIMIT_S), should_exit)

    @property
    def alive(self) -> bool:
        """Whether its event loop has run of late: one that was stopped, or hangs, gets nothing meanwhile."""
        return time.monotonic() - self._alive_s.value < ALIVE_S

    def fileno(self) -> int:
        """Of where connections are sent, so that `select` can say whether it takes one more."""
        return self._sender.fileno()

    def take(self, connection: socket.socket) -> bool:
        """Gives it a connection; False where it takes none."""
        try:
            socket.send_fds(self._sender, [b"c"], [connection.fileno()])
        except OSError:  # it has ended, is about to, or has not taken the last hundreds
            return False
        return True

    def warn(self) -> None:
        """It turns red and ends its connections, but takes new ones until it is told to terminate."""
        if self.process.is_alive():
            self.process.terminate()

    def terminate(self) -> None:
        """It finishes the connections that it was given."""
        self._sender.shutdown(socket.SHUT_WR)
        super().terminate()

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        self._server = _Server(self.config, self._receiver, self._asking, self._alive_s)
        super().target(sockets)

    def _begin(self) -> None:
        for number in multiprocess.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, multiprocess.SIGNALS)
        self.config.app.state.engine.occupancy.take_place(self.number)  # type: ignore[union-attr]
        self.target([])


class _Supervisor(multiprocess.Multiprocess):
    """Says when every worker is ready, and distributes connections to them in turn.

    Where each accepts for itself, on a socket of its own or on a common one, some have many more than others.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        bound: socket.socket,
        settings: Settings,
        engine: Engine | None = None,
    ) -> None:
        """engine: loaded, for workers that are copies of this process."""
        super().__init__(config, [] if PASSES_CONNECTIONS else [bound])
        self._settings = settings
        self.models_changed = threading.Event()
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
            announce(self._bound, [os.getpid(), *(process.pid for process in self.processes if process.pid)])

    def restart_all(self) -> None:
        """On SIGHUP, worker by worker, so that changed models are served without a gap."""
        if self._take_changed():
            tune_garbage_collector()
            super().restart_all()

    def _take_changed(self) -> bool:
        if self._engine is not None:
            return take_changed(self._engine)
        try:
            _choose_graphs(self._settings)
        except SetupError as error:
            logger.error("The models in service stay. %s", error.detail)
            return False
        return True

    def handle_signals(self) -> None:
        """And what was seen in the models folder, and what workers were asked to reload."""
        super().handle_signals()
        if self.models_changed.is_set():
            self.models_changed.clear()
            self.restart_all()
        workers = [process for process in self.processes if isinstance(process, _Worker)]
        if self._engine is not None:
            self._engine.occupancy.keep([each.number for each in workers if each.process.is_alive()])
        reloaded = [worker.answer_reload(self._reload) for worker in workers]
        if any(reloaded):
            tune_garbage_collector()
            super().restart_all()

    def _reload(self, name: str, version: str | None) -> None:
        """Raises what keeps the workers as they are; a bundle whose graph is broken does it later."""
        if self._engine is not None:
            self._engine.load(name, version)
            return
        found = [read_bundle(folder).manifest for folder in find_bundles(self._settings.models)]
        versions = {each.version for each in found if each.name == name}
        if not versions or (version and version not in versions):
            served = ", ".join(f"{each.name} {each.version}" for each in found)
            raise NotFoundError(f"There is no {name} {version or ''}; there are: {served}.", field="version")
        defaults = {each: v for each, v in self._settings.default_versions.items() if each != name}
        self._settings = self._settings.model_copy(
            update={"default_versions": defaults | ({name: version} if version else {})}
        )
        _choose_graphs(self._settings)
        os.environ["TRIAD_DEFAULT_VERSIONS"] = json.dumps(self._settings.default_versions)

    def terminate_all(self) -> None:
        """First the workers turn red and end their connections; then no connection is accepted any more."""
        if self._distributor.is_alive():
            for process in self.processes:
                process.warn()  # type: ignore[attr-defined]
            time.sleep(RED_S)
            self._stop.send(b"s")
            self._distributor.join()
        super().terminate_all()

    def _distribute(self) -> None:
        """Until it is told to stop and nobody waits any more: who has connected may have sent a request."""
        turns = itertools.count()
        while True:
            readable, _, _ = select.select([self._bound, self._stopped], [], [])
            workers = self._takers(next(turns))
            if not workers:  # clients wait to be accepted
                self.should_exit.wait(FULL_S)
                continue
            try:
                with ACCEPTING, self._bound.accept()[0] as connection:
                    any(worker.take(connection) for worker in workers)
            except BlockingIOError:
                if self._stopped in readable:
                    break
                # else the client went away meanwhile
            except OSError as error:
                if not self.should_exit.is_set():
                    logger.warning("A connection could not be accepted: %s.", error)
                    self.should_exit.wait(RETRY_S)
        if self._engine is not None:
            self._bound.shutdown(socket.SHUT_RDWR)  # workers hold copies: to close it is not enough
        self._bound.close()

    def _takers(self, turn: int) -> list[_Worker]:
        """Workers that take a connection now, from the one whose turn it is.

        Last those that could not serve it yet: they are not ready, or show no sign of life.
        """
        workers = [process for process in self.processes if isinstance(process, _Worker)]
        first = turn % len(workers)
        _, ready, _ = select.select([], workers[first:] + workers[:first], [], 0)
        return sorted(ready, key=lambda worker: not (worker.ready and worker.alive))
