"""What large photographs cost: one client sends JPEGs of 12 megapixels while others send usual requests.

    python -m benchmarks.serving.photos [--server triad] [--concurrency 8] [--seconds 5] [--rounds 3]

Compares the others' p99 with and without that client, and the server's CPU time for one such photograph with
the cheapest decode there is: JPEG's own scaled decode (Pillow's `draft`) to no less than the model's size.
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from benchmarks.media import make_examples, make_large_photo
from benchmarks.serving.load import finish, start
from benchmarks.serving.machine import describe_machine
from benchmarks.serving.running import Running, started
from benchmarks.serving.servers import ROOT, SERVERS
from triad_serving.inference.bundle import read_bundle
from triad_serving.media.image.spec import ImageSpec

PHOTOS = 2
DECODES = 10
EXTRA_S = 1  # how much longer the photographs come than the others, so that they are there from first to last


@dataclass(frozen=True, kw_only=True)
class Round:
    """alone: only usual requests; beside: the same with the photographs; cpu_ms: of one photograph."""

    alone_p50_ms: float
    alone_p99_ms: float
    beside_p50_ms: float
    beside_p99_ms: float
    photo_cpu_ms: float
    errors: int


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, default=ROOT / "service/triad_serving/models/digits/1")
    parser.add_argument("--server", choices=list(SERVERS), default="triad")
    parser.add_argument("--workers", type=int, default=2, help="of servers that have workers")
    parser.add_argument("--concurrency", type=int, default=8, help="of the usual requests")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    bundle = options.bundle.resolve()
    spec = read_bundle(bundle).spec.image
    if spec is None:
        sys.exit(f"{bundle} reads no images.")
    machine = describe_machine()
    photos = [make_large_photo(n) for n in range(PHOTOS)]
    decode_ms = [cheapest_decode_ms(photo.image, spec) for photo in photos if photo.image]
    with started(SERVERS[options.server], bundle, workers=options.workers) as running:
        usual, large = running.write("usual", make_examples()), running.write("large", photos)
        running.drive(usual, concurrency=options.concurrency, seconds=1)
        rounds = [
            measure_round(running, usual, large, options.concurrency, options.seconds)
            for _ in range(options.rounds)
        ]
    sys.stdout.write(
        f"{options.server} on {machine.sentence()}\n\n{markdown(rounds, statistics.median(decode_ms))}\n"
    )


def measure_round(
    running: Running, usual: Sequence[Path], large: Sequence[Path], concurrency: int, seconds: float
) -> Round:
    """Raises LoadError."""
    alone = running.drive(usual, concurrency=concurrency, seconds=seconds)
    photographs = start(large, port=running.port, concurrency=1, seconds=seconds + EXTRA_S)
    beside = running.drive(usual, concurrency=concurrency, seconds=seconds)
    finish(photographs)
    single = running.measure(large, concurrency=1, seconds=seconds)
    return Round(
        alone_p50_ms=alone.p50_ms,
        alone_p99_ms=alone.p99_ms,
        beside_p50_ms=beside.p50_ms,
        beside_p99_ms=beside.p99_ms,
        photo_cpu_ms=single.cpu_ms,
        errors=alone.failed + alone.lost + beside.failed + beside.lost + single.errors,
    )


def cheapest_decode_ms(data: bytes, spec: ImageSpec) -> float:
    """CPU time of the decode alone, median."""
    times_ms = []
    for _ in range(DECODES):
        started_ns = time.process_time_ns()
        with Image.open(io.BytesIO(data)) as image:
            image.draft("RGB", (spec.width, spec.height))
            image.load()
        times_ms.append((time.process_time_ns() - started_ns) / 1e6)
    return statistics.median(times_ms)


def markdown(rounds: Sequence[Round], decode_ms: float) -> str:
    def median(name: str) -> float:
        values: list[float] = [getattr(each, name) for each in rounds]
        return statistics.median(values)

    photo_ms = median("photo_cpu_ms")
    times = median("beside_p99_ms") / median("alone_p99_ms")
    return "\n".join(
        [
            "| usual requests | p50 ms | p99 ms |",
            "| --- | ---: | ---: |",
            f"| alone | {median('alone_p50_ms'):.1f} | {median('alone_p99_ms'):.1f} |",
            f"| beside | {median('beside_p50_ms'):.1f} | {median('beside_p99_ms'):.1f} |",
            "",
            f"Their p99 beside photographs of 12 megapixels is {times:.2f} times that alone.",
            f"A photograph costs the server {photo_ms:.1f} ms of CPU, {photo_ms / decode_ms:.2f} times its "
            f"cheapest decode alone ({decode_ms:.1f} ms).",
            f"Errors: {sum(each.errors for each in rounds)}.",
        ]
    )


if __name__ == "__main__":
    main()
