"""What is answered while far more is asked than can be, and right after it.

python -m benchmarks.serving.overload [--connections 1024,2048] [--seconds 20] [--rounds 3] [--out FILE]

Each connection asks again as soon as it has its answer, also where that is a 503 with Retry-After. Before and
after each number of them come PEAK_CONNECTIONS, after it for a second and another one. During the load a calm
client of another address asks CALM_PER_S times a second, each time by its own connection.
All of it is done again with TRIAD_FAIR=address.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import socket
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.media import make_examples
from benchmarks.serving.load import Load, drive
from benchmarks.serving.machine import describe_machine
from benchmarks.serving.process import status_of
from benchmarks.serving.running import started
from benchmarks.serving.servers import ROOT, SERVERS

PEAK_CONNECTIONS = 32
SOUND_S = 10.8  # makes a body of 375 KB
CALM_PER_S = 10.0
CALM_ADDRESS = "127.0.0.2"
ANSWER_LIMIT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Calm:
    """What the other client was answered, and when: seconds of each, of 2xx and of 503."""

    asked: int
    ok_s: list[float]
    refused_s: list[float]


@dataclass(frozen=True, kw_only=True)
class Overload:
    """peak: at PEAK_CONNECTIONS before. after, later: the same in the first and second second after it."""

    connections: int
    fair: bool
    peak: Load
    load: Load
    after: Load
    later: Load
    calm: Calm

    @property
    def kept(self) -> float:
        """Answers per second to both clients, as a share of the peak."""
        return (rate(self.load) + len(self.calm.ok_s) / self.load.seconds) / rate(self.peak)

    @property
    def recovered(self) -> float:
        return rate(self.after) / rate(self.peak)

    @property
    def settled(self) -> float:
        return rate(self.later) / rate(self.peak)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, default=ROOT / "service/triad_serving/models/digits/1")
    parser.add_argument("--server", choices=list(SERVERS), default="triad")
    parser.add_argument("--workers", type=int, default=2, help="of servers that have workers")
    parser.add_argument("--connections", default="1024,2048")
    parser.add_argument("--seconds", type=float, default=20, help="of each load")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="JSON to write")
    options = parser.parse_args()

    counts = [int(each) for each in options.connections.split(",")]
    machine = describe_machine()
    runs: list[Overload] = []
    for fair in (False, True):
        server = SERVERS[options.server]
        if fair:
            server = dataclasses.replace(server, environment={**server.environment, "TRIAD_FAIR": "address"})
        with started(server, options.bundle.resolve(), workers=options.workers) as running:
            files = running.write("all", make_examples(sound_s=SOUND_S))
            for _, connections in itertools.product(range(options.rounds), counts):
                peak = running.drive(files, concurrency=PEAK_CONNECTIONS, seconds=options.seconds / 2)
                with ThreadPoolExecutor() as pool:
                    calm = pool.submit(ask_calmly, files[0].read_bytes(), running.port, options.seconds)
                    load = drive(files, port=running.port, concurrency=connections, seconds=options.seconds)
                after, later = (
                    running.drive(files, concurrency=PEAK_CONNECTIONS, seconds=1) for _ in range(2)
                )
                runs.append(
                    Overload(
                        connections=connections,
                        fair=fair,
                        peak=peak,
                        load=load,
                        after=after,
                        later=later,
                        calm=calm.result(),
                    )
                )
    if options.out:
        document = {"machine": machine.sentence(), "runs": [dataclasses.asdict(run) for run in runs]}
        options.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"{options.server} on {machine.sentence()}\n\n{markdown(runs)}\n")


def ask_calmly(request: bytes, port: int, seconds: float) -> Calm:
    """Asks at an even pace, whatever the answers take."""
    count = int(seconds * CALM_PER_S)
    begins_s = time.perf_counter()
    with ThreadPoolExecutor(count) as pool:

        def ask(n: int) -> tuple[int, float]:
            time.sleep(max(begins_s + n / CALM_PER_S - time.perf_counter(), 0))
            asked_s = time.perf_counter()
            return status_of(ask_from(CALM_ADDRESS, port, request)), time.perf_counter() - asked_s

        answers = list(pool.map(ask, range(count)))
    return Calm(
        asked=count,
        ok_s=[seconds for status, seconds in answers if status == 200],
        refused_s=[seconds for status, seconds in answers if status == 503],
    )


def ask_from(address: str, port: int, request: bytes) -> bytes:
    """The head of the answer; nothing where there was none."""
    try:
        with socket.create_connection(("127.0.0.1", port), ANSWER_LIMIT_S, (address, 0)) as connection:
            connection.sendall(request)
            return connection.recv(4096)
    except OSError:
        return b""


def rate(load: Load) -> float:
    """Answers per second."""
    return load.ok / load.seconds


def markdown(runs: Sequence[Overload]) -> str:
    """Medians of the rounds."""
    lines = [
        "| connections | fair | answers/s | of the peak | p99 ms | 503/s | failed or lost | right after "
        "| a second later | calm client: answered | its 503, median ms |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for connections, fair in sorted({(run.connections, run.fair) for run in runs}):
        own = [run for run in runs if (run.connections, run.fair) == (connections, fair)]
        median = statistics.median
        refused_s = [seconds for run in own for seconds in run.calm.refused_s]
        refused_ms = f"{1000 * statistics.median(refused_s):.0f}" if refused_s else "-"
        answered = sum(len(run.calm.ok_s) for run in own) / sum(run.calm.asked for run in own)
        lines.append(
            f"| {connections} | {'address' if fair else 'off'} | {median(rate(run.load) for run in own):.0f} "
            f"| {median(run.kept for run in own):.0%} "
            f"| {median(run.load.p99_ms for run in own):.0f} "
            f"| {median(run.load.refused / run.load.seconds for run in own):.0f} "
            f"| {sum(run.load.failed + run.load.lost for run in own)} "
            f"| {median(run.recovered for run in own):.0%} | {median(run.settled for run in own):.0%} "
            f"| {answered:.0%} | {refused_ms} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
