"""What a client that counts every request loses while processes are told to end, to reload, or are killed.

python -m benchmarks.faults [--cases sigterm,sighup,sigkill,rolling] [--runs 10] [--out FILE]

Each case runs so many times under connections that are kept alive and pause a little between two requests, so
that at any moment some are idle, some send and some wait. A request has failed where its connection was made
and no whole answer came, or another one than 200 and 503; where nobody accepts connections any more, nothing
was asked. `rolling` restarts two services in turn behind haproxy (Debian: `apt-get install haproxy`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.media import make_examples, make_texts
from benchmarks.serving.bodies import multipart_request
from benchmarks.serving.process import free_port

ROOT = Path(__file__).parent.parent
LIMIT_S = 60.0
PAUSE_S = 0.03  # longest, between an answer and the next request of the same connection
HAPROXY = """
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout check 5s
  option redispatch
  retries 3
frontend all
  bind 127.0.0.1:{port}
  monitor-uri /both
  monitor fail if {{ nbsrv(services) lt 2 }}
  default_backend services
backend services
  option httpchk GET /readyz
  default-server check inter 100ms fall 1 rise 1
"""


@dataclass(kw_only=True)
class Count:
    """What became of the requests. unconnected: connections that nobody accepted, nothing sent."""

    answered: int = 0
    refused: int = 0
    unconnected: int = 0
    failed: Counter[str] = field(default_factory=Counter)

    @property
    def requests(self) -> int:
        return self.answered + self.refused + self.failed.total()

    def document(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "refused with 503": self.refused,
            "connections refused": self.unconnected,
            "failed": self.failed.total(),
            "failures": dict(self.failed),
        }


class Load:
    """Connections that ask again and again, until `stop`, or until nobody accepts them any more."""

    def __init__(self, port: int, requests: Sequence[bytes], *, connections: int) -> None:
        self.count = Count()
        self._port = port
        self._requests = requests
        self._stopping = asyncio.Event()
        self._arrived = asyncio.Event()
        self._tasks = [asyncio.create_task(self._connect_again()) for _ in range(connections)]

    async def answered(self, more: int) -> None:
        """Waits for so many more answers; returns early where the connections ended."""
        goal = self.count.answered + more
        while self.count.answered < goal and not all(task.done() for task in self._tasks):
            self._arrived.clear()
            await asyncio.wait_for(self._arrived.wait(), LIMIT_S)

    async def refused(self) -> Count:
        """Waits until nobody accepts connections any more."""
        await asyncio.wait_for(asyncio.gather(*self._tasks), LIMIT_S)
        return self.count

    async def stop(self) -> Count:
        self._stopping.set()
        return await self.refused()

    async def _connect_again(self) -> None:
        while not self._stopping.is_set():
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                self.count.unconnected += 1
                self._arrived.set()
                return
            try:
                await self._ask_again(reader, writer)
            except (OSError, asyncio.IncompleteReadError) as error:
                self.count.failed[type(error).__name__] += 1
            finally:
                writer.close()

    async def _ask_again(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until an answer ends it."""
        closing = False
        while not (closing or self._stopping.is_set()):
            writer.write(random.choice(self._requests))
            status, closing = await read_answer(reader)
            if status == 200:
                self.count.answered += 1
            elif status == 503:
                self.count.refused += 1
            else:
                self.count.failed[str(status)] += 1
            self._arrived.set()
            await asyncio.sleep(random.uniform(0, PAUSE_S))


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """Status of one whole answer, and whether it ends the connection. Raises IncompleteReadError."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = re.search(rb"\ncontent-length: *(\d+)", head)
    assert length, head
    await reader.readexactly(int(length[1]))
    return int(head.split(maxsplit=2)[1]), b"\nconnection: close" in head


@asynccontextmanager
async def serving(
    *arguments: str, environment: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """A running `triad serve` and its port, once it says that it is ready. Its log goes to stderr."""
    command = [sys.executable, "-m", "triad_serving.cli", "serve", *arguments]
    if "--port" not in arguments:
        command += ["--port", "0"]
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **(environment or {})}, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), LIMIT_S)).decode()
        found = re.search(r"http://\S+:(\d+)", line)
        if not found:
            raise RuntimeError(f"The service did not start: {line!r}")
        yield process, int(found[1])
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait_for(process.wait(), LIMIT_S)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """How one case runs once."""

    models: Path
    requests: Sequence[bytes]
    connections: int
    workers: int
    answers: int = 100  # before, between and after what is done to the service

    def load(self, port: int) -> Load:
        return Load(port, self.requests, connections=self.connections)

    def arguments(self) -> list[str]:
        return ["--models", str(self.models), "--workers", str(self.workers)]


async def end_under_load(trial: Trial) -> Count:
    """SIGTERM: every request whose connection was accepted is answered; the exit code is 0."""
    async with serving(*trial.arguments()) as (process, port):
        load = trial.load(port)
        await load.answered(2 * trial.answers)
        process.send_signal(signal.SIGTERM)
        count = await load.refused()
        if (code := await asyncio.wait_for(process.wait(), LIMIT_S)) != 0:
            count.failed[f"exit code {code}"] += 1
        return count


async def reload_under_load(trial: Trial) -> Count:
    """SIGHUP: worker after worker is replaced; no request fails and no connection is refused."""
    async with serving(*trial.arguments()) as (process, port):
        load = trial.load(port)
        await load.answered(trial.answers)
        before = workers_of(process)
        process.send_signal(signal.SIGHUP)
        while before & workers_of(process):
            await load.answered(trial.answers)
        await load.answered(trial.answers)
        return must_serve(await load.stop())


async def kill_under_load(trial: Trial) -> Count:
    """SIGKILL of one worker: what it had in flight fails, nothing else; it is replaced."""
    async with serving(*trial.arguments()) as (process, port):
        load = trial.load(port)
        await load.answered(trial.answers)
        before = workers_of(process)
        os.kill(min(before), signal.SIGKILL)
        while len(workers_of(process) - before) < 1:
            await load.answered(trial.answers)
        await load.answered(trial.answers)
        return must_serve(await load.stop())


async def restart_in_turn(trial: Trial) -> Count:
    """Two services behind haproxy, stopped and started one after the other: no request fails."""
    ports = free_port(), free_port()
    async with contextlib.AsyncExitStack() as stack:
        services = [await start(stack, trial, port) for port in ports]
        front = await stack.enter_async_context(haproxy(ports))
        load = trial.load(front)
        await load.answered(trial.answers)
        for number, port in enumerate(ports):
            services[number].terminate()
            await asyncio.wait_for(services[number].wait(), LIMIT_S)
            await load.answered(trial.answers)
            services[number] = await start(stack, trial, port)
            await both_up(front)
            await load.answered(trial.answers)
        return must_serve(await load.stop())


async def start(stack: contextlib.AsyncExitStack, trial: Trial, port: int) -> asyncio.subprocess.Process:
    context = serving(*trial.arguments(), "--port", str(port))
    return (await stack.enter_async_context(context))[0]


@asynccontextmanager
async def haproxy(ports: Sequence[int]) -> AsyncIterator[int]:
    """A running haproxy in front of services on these ports, and its own port, once it answers."""
    program = shutil.which("haproxy")
    if program is None:
        raise SystemExit("haproxy is not installed: apt-get install haproxy.")
    front = free_port()
    servers = "".join(f"  server s{port} 127.0.0.1:{port}\n" for port in ports)
    with tempfile.NamedTemporaryFile("w", suffix=".cfg") as config:
        config.write(HAPROXY.format(port=front) + servers)
        config.flush()
        process = await asyncio.create_subprocess_exec(program, "-q", "-f", config.name)
        try:
            await both_up(front)
            yield front
        finally:
            process.kill()
            await process.wait()


async def both_up(front: int) -> None:
    """Waits until the proxy has seen that both services are ready: before that, none may be stopped."""
    async with asyncio.timeout(LIMIT_S):
        while await status_of(front, b"GET /both HTTP/1.1\r\nHost: localhost\r\n\r\n") != 200:
            await asyncio.sleep(PAUSE_S)


async def status_of(port: int, request: bytes) -> int | None:
    """Of one request on a connection of its own; None where there is no answer."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            return (await read_answer(reader))[0]
        finally:
            writer.close()
    except (OSError, asyncio.IncompleteReadError):
        return None


def must_serve(count: Count) -> Count:
    """Where the service goes on, what it refuses is a failure, too."""
    for what, number in (("connection refused", count.unconnected), ("503", count.refused)):
        if number:
            count.failed[what] += number
    count.unconnected = count.refused = 0
    return count


def workers_of(process: asyncio.subprocess.Process) -> set[int]:
    workers = set()
    for child in psutil.Process(process.pid).children():
        with contextlib.suppress(psutil.Error):  # it has just ended
            if "resource_tracker" not in " ".join(child.cmdline()):
                workers.add(child.pid)
    return workers


CASES: Mapping[str, Callable[[Trial], Awaitable[Count]]] = {
    "sigterm": end_under_load,
    "sighup": reload_under_load,
    "sigkill": kill_under_load,
    "rolling": restart_in_turn,
}


async def measure(case: str, trial: Trial, runs: int) -> dict[str, Any]:
    total = Count()
    for _ in range(runs):
        count = await CASES[case](trial)
        total.answered += count.answered
        total.refused += count.refused
        total.unconnected += count.unconnected
        total.failed += count.failed
    return {"case": case, "workers": trial.workers, "runs": runs, **total.document()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=ROOT / "service/triad_serving/models")
    parser.add_argument("--cases", default="sigterm,sighup,sigkill", help=f"of {', '.join(CASES)}")
    parser.add_argument("--workers", default="2", help="one or several, by commas")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--media", choices=["text", "all"], default="text", help="what each request sends")
    parser.add_argument("--out", type=Path, help="JSON to write")
    options = parser.parse_args()

    examples = make_texts() if options.media == "text" else make_examples()
    requests = [multipart_request(example, "/v1/predict") for example in examples]
    results = []
    for case in options.cases.split(","):
        for workers in map(int, options.workers.split(",")):
            if workers == 1 and case in ("sighup", "sigkill"):
                continue  # there is no other worker
            trial = Trial(
                models=options.models.resolve(),
                requests=requests,
                connections=options.connections,
                workers=workers,
            )
            results.append(asyncio.run(measure(case, trial, options.runs)))
            sys.stdout.write(json.dumps(results[-1]) + "\n")
            sys.stdout.flush()
    if options.out:
        options.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
