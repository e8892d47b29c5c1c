"""Whether memory, files and threads stay flat: many requests in a row, looked at before, between and after.

python -m benchmarks.serving.soak [--server triad] [--requests 100000] [--hostile] [--out FILE]

--hostile: every second request brings broken media of tests/hostile, which are to be refused.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import re
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.media import make_examples
from benchmarks.serving.machine import describe_machine
from benchmarks.serving.running import Running, started
from benchmarks.serving.servers import ROOT, SERVERS
from tests.hostile.corpus import hostile_images, hostile_sounds
from triad_serving.media.example import RawInputs

SHOWN = 10  # rows of the table
LARGEST_BYTES = 1_000_000  # of a hostile file: the load generator holds them all


@dataclass(frozen=True, kw_only=True)
class Sample:
    """After so many answered requests; memory in MiB, of all processes, as files and threads.

    errors: so far, anything but 2xx and 503; with hostile requests, which are to fail, 500 alone.
    """

    requests: int
    memory_mb: float
    files: int
    threads: int
    errors: int
    refused: int


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, default=ROOT / "service/triad_serving/models/digits/1")
    parser.add_argument("--server", choices=list(SERVERS), default="triad")
    parser.add_argument("--workers", type=int, default=2, help="of servers that have workers")
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--hostile", action="store_true", help="of Triad: send broken media, too")
    parser.add_argument("--every-s", type=float, default=10, help="seconds between two looks at the memory")
    parser.add_argument("--out", type=Path, help="JSON to write")
    options = parser.parse_args()

    machine = describe_machine()
    with started(SERVERS[options.server], options.bundle.resolve(), workers=options.workers) as running:
        examples = make_examples()
        if options.hostile:
            bad = hostile_examples()
            examples = [each for pair in zip(itertools.cycle(examples), bad) for each in pair]
        files = running.write("all", examples)
        samples = [look(running, requests=0, errors=0, refused=0)]
        while samples[-1].requests < options.requests:
            load = running.drive(files, concurrency=options.concurrency, seconds=options.every_s)
            if not load.ok:
                sys.exit(f"{options.server} answers no more, after {samples[-1].requests} requests.")
            before = samples[-1]
            wrong = count_500(running.port) if options.hostile else before.errors + load.failed
            samples.append(
                look(
                    running,
                    requests=before.requests + load.ok + (load.failed if options.hostile else 0),
                    errors=wrong + load.lost,
                    refused=before.refused + load.refused,
                )
            )
    if options.out:
        document = {"machine": machine.sentence(), "samples": [dataclasses.asdict(each) for each in samples]}
        options.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"{options.server} on {machine.sentence()}\n\n{markdown(samples)}\n")


def look(running: Running, *, requests: int, errors: int, refused: int) -> Sample:
    files, threads = running.process.files_and_threads()
    return Sample(
        requests=requests,
        memory_mb=running.process.memory_mb(),
        files=files,
        threads=threads,
        errors=errors,
        refused=refused,
    )


def hostile_examples() -> list[RawInputs]:
    """Broken images, sounds and texts, each alone in its request."""
    made = [RawInputs(image=case.data) for case in hostile_images()]
    made += [RawInputs(audio=case.data) for case in hostile_sounds()]
    return [raw for raw in made if sum(len(data) for data in (raw.image, raw.audio) if data) < LARGEST_BYTES]


def count_500(port: int) -> int:
    """As the service itself counts them."""
    metrics = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=60).text
    return int(sum(map(float, re.findall(r'^triad_requests_total{.*status="500".*} (\S+)$', metrics, re.M))))


def growth_mb(samples: Sequence[Sample]) -> float:
    """Median of the last quarter less that of the second: the first quarter fills caches and arenas."""
    quarter = max(len(samples) // 4, 1)
    second, last = samples[quarter : 2 * quarter] or samples[:1], samples[-quarter:]
    return statistics.median(s.memory_mb for s in last) - statistics.median(s.memory_mb for s in second)


def markdown(samples: Sequence[Sample]) -> str:
    """At most SHOWN rows, the first and the last among them."""
    step = max(-(-(len(samples) - 1) // (SHOWN - 1)), 1)
    shown = [*samples[:-1:step], samples[-1]]
    lines = [
        "| requests | memory MB | files | threads | errors | 503 |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {s.requests} | {s.memory_mb:.1f} | {s.files} | {s.threads} | {s.errors} | {s.refused} |"
        for s in shown
    ]
    return "\n".join(
        (*lines, "", f"From the second quarter to the last it grew by {growth_mb(samples):.1f} MB.")
    )


if __name__ == "__main__":
    main()
