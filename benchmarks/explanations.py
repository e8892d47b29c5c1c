"""What each explanation costs, as a ratio to the plain answer from the same text, image and sound.

    python -m benchmarks.explanations [BUNDLE] [--rounds 60]

Whole requests in process, one thread, interleaved; medians of the process's CPU time. Drawings are of the
answer to `explain=all&attention=full`, and are told apart from it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.media import make_examples
from service.engine import Engine
from service.schemas import Options
from service.settings import Settings
from service.view import View

ROOT = Path(__file__).parents[1]
EVERYTHING = Options(explain="all", attention="full")
ASKED: Mapping[str, Options] = {
    "plain": Options(),
    "attention=full": Options(attention="full"),
    "explain=shapley": Options(explain="shapley"),
    "explain=occlusion": Options(explain="occlusion"),
    "explain=all&attention=full": EVERYTHING,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", nargs="?", type=Path, default=ROOT / "service/models/digits/1")
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    settings = Settings(models=options.bundle, device="cpu", threads=1)
    with Engine.open(options.bundle, settings) as engine:
        times = measure(_calls(engine), options.rounds)
    lines = ["| asked | CPU ms | times plain |", "|---|---:|---:|"]
    lines += [f"| {name} | {ms:.1f} | {ms / times['plain']:.2f} |" for name, ms in times.items()]
    sys.stdout.write("\n".join(lines) + "\n")


def _calls(engine: Engine) -> dict[str, Callable[[], object]]:
    raw = make_examples()[0]
    calls: dict[str, Callable[[], object]] = {
        name: lambda asked=asked: engine.predict_sync(raw, asked) for name, asked in ASKED.items()
    }
    prediction = engine.predict_sync(raw, EVERYTHING)
    heard, limits = engine.catalog.find(None, None).bundle.spec.audio, engine.settings.media_limits
    for name, view in {
        "drawn as a page, besides": View(media_type="text/html", language="en"),
        "drawn as a picture, besides": View(media_type="image/png", language="en"),
    }.items():
        calls[name] = lambda view=view: view.draw(prediction, raw, heard, limits)
    return calls


def measure(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median CPU milliseconds of each call; a round makes every call once. The first tenth warms up."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for each in range(-(rounds // 10) - 1, rounds):
        for name, call in calls.items():
            started_s = time.process_time()
            call()
            if each >= 0:
                times[name].append(1000 * (time.process_time() - started_s))
    return {name: statistics.median(spent) for name, spent in times.items()}


if __name__ == "__main__":
    main()
