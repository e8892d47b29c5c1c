"""A server under test: started, watched with all its processes, stopped."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import psutil

MARK = "TRIAD_BENCHMARK_RUN"  # in the environment of every process of a server, also of those it detaches
READY_LIMIT_S = 120.0
POLL_S = 0.01
IDLE_LIMIT_S, IDLE_LOOK_S, IDLE_CORES = 60.0, 0.25, 0.3  # Ray's own processes take 0.2 of a core for nothing
STOP_LIMIT_S = 30.0
MIB = 2**20


class ServerError(Exception):
    """A server that ended, or did not answer in time; with the end of its log."""


class ServerProcess:
    """Started when made; use it in a `with` block, whose end stops every process of it."""

    def __init__(
        self, command: Sequence[str], *, environment: Mapping[str, str], folder: Path, log: Path
    ) -> None:
        self._run = secrets.token_hex(8)
        self._log = log
        self._cpu_s: dict[psutil.Process, float] = {}
        self._started_s = time.perf_counter()
        with log.open("wb") as output:
            self._root = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, **environment, MARK: self._run},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us to pass on
            )

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def wait_until_ready(self, port: int, request: bytes) -> float:
        """Seconds from the start to the first 200 for a request. Raises ServerError."""
        answer = b""
        while time.perf_counter() - self._started_s < READY_LIMIT_S:
            answer = ask(port, request)
            if status_of(answer) == 200:
                return time.perf_counter() - self._started_s
            with contextlib.suppress(subprocess.TimeoutExpired):
                ended = self._root.wait(POLL_S)
                raise ServerError(f"It ended with {ended}. {self._end_of_log()}")
        said = answer.decode(errors="replace") or "nothing"
        raise ServerError(f"Not ready within {READY_LIMIT_S:g} s; it said {said}. {self._end_of_log()}")

    def wait_until_idle(self) -> None:
        """Lets it finish what a load generator left behind, which else would count in the next run.

        After IDLE_LIMIT_S it goes on all the same: some servers poll. Raises ServerError where it ended.
        """
        deadline_s, before_s = time.perf_counter() + IDLE_LIMIT_S, self.cpu_s()
        while time.perf_counter() < deadline_s:
            with contextlib.suppress(subprocess.TimeoutExpired):
                ended = self._root.wait(IDLE_LOOK_S)
                raise ServerError(f"It ended with {ended} after requests. {self._end_of_log()}")
            now_s = self.cpu_s()
            if now_s - before_s < IDLE_CORES * IDLE_LOOK_S:
                return
            before_s = now_s

    def cpu_s(self) -> float:
        """User and system time of all its processes so far; of an ended one, as of the last call."""
        for process in self._processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                self._cpu_s[process] = times.user + times.system
        return sum(self._cpu_s.values())

    def memory_mb(self) -> float:
        """Resident, in MiB; a page that several of its processes share counts once (PSS)."""
        total = 0
        for process in self._processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_full_info().pss
        return total / MIB

    def files_and_threads(self) -> tuple[int, int]:
        """How many files and sockets are open, and how many threads there are, in all of its processes."""
        files = threads = 0
        for process in self._processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                files += process.num_fds()
                threads += process.num_threads()
        return files, threads

    def stop(self) -> None:
        """SIGTERM to the first process; what then still lives, wherever it hides, is killed."""
        everything = self._processes()
        self._root.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._root.wait(STOP_LIMIT_S)
        left = {*everything, *self._processes()}
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=STOP_LIMIT_S)
        self._root.wait()

    def _processes(self) -> list[psutil.Process]:
        """Descendants, and whoever has our mark: one that was detached, whose parent is gone."""
        found = {process for process in psutil.process_iter() if self._is_marked(process)}
        with contextlib.suppress(psutil.NoSuchProcess):
            root = psutil.Process(self._root.pid)
            found |= {root, *root.children(recursive=True)}
        return list(found)

    def _is_marked(self, process: psutil.Process) -> bool:
        try:
            return bool(process.environ().get(MARK) == self._run)
        except (psutil.Error, OSError):  # ended meanwhile, or another user's
            return False

    def _end_of_log(self) -> str:
        return self._log.read_text(errors="replace").strip()[-1500:]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def ask(port: int, request: bytes) -> bytes:
    """The first bytes of the answer to a whole request, status line included; empty where nobody answers."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=READY_LIMIT_S) as connection:
            connection.sendall(request)
            return connection.recv(2048)
    except OSError:
        return b""


def status_of(answer: bytes) -> int | None:
    """HTTP status; None where there is none."""
    words = answer.split(maxsplit=2)
    return int(words[1]) if len(words) > 1 and words[0].startswith(b"HTTP/") else None
