"""Whether memory stays flat: many requests in a row, resident memory before, between and after them.

python -m benchmarks.serving.soak [--server triad] [--requests 100000] [--concurrency 8] [--out FILE]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.media import make_examples
from benchmarks.serving.machine import describe_machine
from benchmarks.serving.running import started
from benchmarks.serving.servers import ROOT, SERVERS

SHOWN = 10  # rows of the table


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Memory after so many answered requests, MiB; errors: so far, anything but 2xx and 503."""

    requests: int
    memory_mb: float
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
    parser.add_argument("--every-s", type=float, default=10, help="seconds between two looks at the memory")
    parser.add_argument("--out", type=Path, help="JSON to write")
    options = parser.parse_args()

    machine = describe_machine()
    with started(SERVERS[options.server], options.bundle.resolve(), workers=options.workers) as running:
        files = running.write("all", make_examples())
        samples = [Sample(requests=0, memory_mb=running.process.memory_mb(), errors=0, refused=0)]
        while samples[-1].requests < options.requests:
            load = running.drive(files, concurrency=options.concurrency, seconds=options.every_s)
            if not load.ok:
                sys.exit(f"{options.server} answers no more, after {samples[-1].requests} requests.")
            before = samples[-1]
            samples.append(
                Sample(
                    requests=before.requests + load.ok,
                    memory_mb=running.process.memory_mb(),
                    errors=before.errors + load.failed + load.lost,
                    refused=before.refused + load.refused,
                )
            )
    if options.out:
        document = {"machine": machine.sentence(), "samples": [dataclasses.asdict(each) for each in samples]}
        options.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"{options.server} on {machine.sentence()}\n\n{markdown(samples)}\n")


def growth_mb(samples: Sequence[Sample]) -> float:
    """Median of the last quarter less that of the second: the first quarter fills caches and arenas."""
    quarter = max(len(samples) // 4, 1)
    second, last = samples[quarter : 2 * quarter] or samples[:1], samples[-quarter:]
    return statistics.median(s.memory_mb for s in last) - statistics.median(s.memory_mb for s in second)


def markdown(samples: Sequence[Sample]) -> str:
    """At most SHOWN rows, the first and the last among them."""
    step = max(-(-(len(samples) - 1) // (SHOWN - 1)), 1)
    shown = [*samples[:-1:step], samples[-1]]
    lines = ["| requests | memory MB | errors | 503 |", "| ---: | ---: | ---: | ---: |"]
    lines += [f"| {s.requests} | {s.memory_mb:.1f} | {s.errors} | {s.refused} |" for s in shown]
    return "\n".join(
        (*lines, "", f"From the second quarter to the last it grew by {growth_mb(samples):.1f} MB.")
    )


if __name__ == "__main__":
    main()
