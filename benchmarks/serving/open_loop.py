"""What is answered while requests arrive at many times the rate that can be answered, whoever waits.

python -m benchmarks.serving.open_loop [--bundle BUNDLE] [--times 10] [--seconds 60] [--out FILE]

Each comes by a connection of its own, which its client closes once it has the answer. That takes the load
generator 1 ms of a core, so the model should be one that answers few a second (benchmarks.large).
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from benchmarks.media import make_examples
from benchmarks.serving.load import Load
from benchmarks.serving.machine import describe_machine
from benchmarks.serving.process import status_of
from benchmarks.serving.running import started
from benchmarks.serving.servers import ROOT, SERVERS
from triad_serving.operation.server import allow_many_connections

PEAK_CONNECTIONS = 32
ANSWER_LIMIT_S = 60.0


@dataclass(kw_only=True)
class Answers:
    """Seconds from the connection to the answer. in_time: 2xx while more requests came. lost: no answer."""

    in_time: int = 0
    ok_s: list[float] = field(default_factory=list)
    refused_s: list[float] = field(default_factory=list)
    failed: int = 0
    lost: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, default=ROOT / "benchmarks/.models/large/1")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--times", type=float, default=10, help="the peak: so many requests arrive")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--sound-s", type=float, default=1)
    parser.add_argument("--out", type=Path, help="JSON to write")
    options = parser.parse_args()

    allow_many_connections()
    machine = describe_machine()
    with started(SERVERS["triad-workers"], options.bundle.resolve(), workers=options.workers) as running:
        files = running.write("all", make_examples(sound_s=options.sound_s))
        requests = [file.read_bytes() for file in files]

        def peak() -> Load:
            return running.drive(files, concurrency=PEAK_CONNECTIONS, seconds=options.seconds / 4)

        before = peak()
        per_s = options.times * before.ok / before.seconds
        answers = uvloop.run(ask_openly(requests, running.port, per_s=per_s, seconds=options.seconds))
        after = peak()
    peaks = [load.ok / load.seconds for load in (before, after)]
    result = {
        "machine": machine.sentence(),
        "bundle": options.bundle.name if options.bundle.name != "1" else options.bundle.parent.name,
        "seconds": options.seconds,
        "offered_per_s": per_s,
        "peaks_before_and_after_per_s": peaks,
        "answered_per_s": answers.in_time / options.seconds,
        "kept": answers.in_time / options.seconds / statistics.mean(peaks),
        "refused": len(answers.refused_s),
        "failed": answers.failed,
        "lost": answers.lost,
        "answer_ms": percentiles(answers.ok_s),
        "refusal_ms": percentiles(answers.refused_s),
        "refused_within_50_ms": sum(each <= 0.05 for each in answers.refused_s) / len(answers.refused_s),
    }
    text = json.dumps(result, indent=2) + "\n"
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


async def ask_openly(requests: Sequence[bytes], port: int, *, per_s: float, seconds: float) -> Answers:
    """At even times; returns when all are answered."""
    answers = Answers()
    loop = asyncio.get_running_loop()
    begin_s = loop.time()
    async with asyncio.TaskGroup() as group:
        for n, request in zip(range(int(per_s * seconds)), itertools.cycle(requests)):
            if (early_s := begin_s + n / per_s - loop.time()) > 0:
                await asyncio.sleep(early_s)
            group.create_task(ask(request, port, answers, begin_s + seconds))
    return answers


async def ask(request: bytes, port: int, answers: Answers, end_s: float) -> None:
    loop = asyncio.get_running_loop()
    begin_s = loop.time()
    try:
        async with asyncio.timeout(ANSWER_LIMIT_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        answers.lost += 1
        return
    writer.transport.abort()
    took_s = loop.time() - begin_s
    match status_of(head):
        case 200:
            answers.ok_s.append(took_s)
            answers.in_time += loop.time() <= end_s
        case 503:
            answers.refused_s.append(took_s)
        case _:
            answers.failed += 1


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """In milliseconds."""
    cuts = statistics.quantiles(seconds, n=100)
    return {
        "p50": 1000 * cuts[49],
        "p90": 1000 * cuts[89],
        "p99": 1000 * cuts[98],
        "max": 1000 * max(seconds),
    }


if __name__ == "__main__":
    main()
