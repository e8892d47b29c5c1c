"""Measures the limit, Triad and its peers in turn, round after round; writes JSON, prints Markdown.

    python -m benchmarks.serving [--servers triad,mosec] [--seconds 5] [--rounds 3] ...

A minute's look: --servers triad --concurrency 1,8 --seconds 1 --rounds 1
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.media import make_examples, make_texts
from benchmarks.serving.environments import InstallError
from benchmarks.serving.limit import run_loop, topologies
from benchmarks.serving.load import LoadError
from benchmarks.serving.machine import describe_machine
from benchmarks.serving.process import ServerError
from benchmarks.serving.results import Collected, Media, Run, summarise
from benchmarks.serving.running import started
from benchmarks.serving.servers import ROOT, SERVERS
from benchmarks.serving.table import markdown
from triad_serving.contract.errors import BundleError
from triad_serving.inference.bundle import read_bundle
from triad_serving.media.example import RawInputs
from triad_serving.settings import usable_cores

RESULTS = Path(__file__).parents[1] / "results"
WARM_UP_CONCURRENCY = 8
TEXT_CONCURRENCY = 8


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What every round does with every server."""

    bundle: Path
    examples: Mapping[Media, Sequence[RawInputs]]
    concurrencies: Sequence[int]
    batches: Sequence[int]
    workers: int
    seconds: float


def main() -> None:
    options = _parse_options()
    machine = describe_machine()
    plan = Plan(
        bundle=options.bundle,
        examples={"all": make_examples(sound_s=options.sound_s), "text": make_texts()},
        concurrencies=options.concurrency,
        batches=options.batches,
        workers=options.workers,
        seconds=options.seconds,
    )
    collected = Collected()
    for number in range(options.rounds):
        _say(f"Round {number + 1} of {options.rounds}: the limit")
        for topology in topologies(plan.workers, plan.batches):
            collected.loops.append(run_loop(plan.bundle, plan.examples["all"], topology, plan.seconds))
        for name in options.servers:
            _say(f"Round {number + 1} of {options.rounds}: {name}")
            try:
                measure_server(name, plan, collected)
            except (InstallError, ServerError, LoadError) as error:
                _say(f"{name} failed: {error}")
                collected.failed[name] = str(error)
    results = summarise(
        collected,
        machine=machine,
        bundle="/".join(plan.bundle.parts[-2:]),
        settings={
            "rounds": options.rounds,
            "seconds": options.seconds,
            "workers": options.workers,
            "sound_s": options.sound_s,
        },
    )
    results.write(options.out)
    sys.stdout.write(markdown(results))


def measure_server(name: str, plan: Plan, collected: Collected) -> None:
    """Starts it, warms it up, drives it at every concurrency. Raises InstallError, ServerError, LoadError."""
    with started(SERVERS[name], plan.bundle, workers=plan.workers) as running:
        collected.start_s.setdefault(name, []).append(running.start_s)
        files = {media: running.write(media, examples) for media, examples in plan.examples.items()}
        running.drive(files["all"], concurrency=WARM_UP_CONCURRENCY, seconds=1)
        loads: list[tuple[Media, int]] = [("text", TEXT_CONCURRENCY)]
        loads += [("all", concurrency) for concurrency in plan.concurrencies]
        for media, concurrency in loads:
            measured = running.measure(files[media], concurrency=concurrency, seconds=plan.seconds)
            collected.runs.append(Run(server=name, media=media, concurrency=concurrency, measured=measured))


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cores = usable_cores()
    parser.add_argument("--bundle", type=_bundle, default=ROOT / "service/triad_serving/models/digits/1")
    parser.add_argument("--servers", type=_names, default=list(SERVERS), help=", ".join(SERVERS))
    parser.add_argument("--concurrency", type=_numbers, default=[1, 8, 32, 128])
    parser.add_argument(
        "--batches", type=_numbers, default=[1, 8], help="of the bare loop; 1 is always there"
    )
    parser.add_argument("--workers", type=int, default=cores, help="of the bare loop and of every server")
    parser.add_argument("--seconds", type=float, default=5, help="of one run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sound-s", type=float, default=1.0, help="length of the sounds")
    parser.add_argument("--out", type=Path, default=RESULTS / "serving.json")
    options = parser.parse_args()
    options.batches = sorted({1, *options.batches})
    return options


def _bundle(text: str) -> Path:
    folder = Path(text).resolve()
    try:
        read_bundle(folder)
    except BundleError as error:
        raise argparse.ArgumentTypeError(error.detail) from error
    return folder


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in SERVERS]:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known: {', '.join(SERVERS)}")
    return names


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
