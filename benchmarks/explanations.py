"""What each explanation costs, as a ratio to the plain answer from the same text, image and sound.

    python -m benchmarks.explanations [BUNDLE] [--rounds 60]

Whole requests in process, one thread, interleaved; medians of the process's CPU time. Drawings are of the
answer to `explain=all&attention=full`, and are told apart from it.
"""

from __future__ import annotations

import argparse
import functools
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.media import make_examples
from benchmarks.stages import Stage, measure
from triad_serving.engine.engine import Engine
from triad_serving.http.view import View
from triad_serving.inference.options import Options
from triad_serving.settings import Settings

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
    parser.add_argument(
        "bundle", nargs="?", type=Path, default=ROOT / "service/triad_serving/models/digits/1"
    )
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    settings = Settings(models=options.bundle, device="cpu", threads=1)
    with Engine.open(options.bundle, settings) as engine:
        times_us = measure([_stages(engine)], options.rounds)
    lines = ["| asked | CPU ms | times plain |", "|---|---:|---:|"]
    lines += [f"| {name} | {us / 1000:.1f} | {us / times_us['plain']:.2f} |" for name, us in times_us.items()]
    sys.stdout.write("\n".join(lines) + "\n")


def _stages(engine: Engine) -> list[Stage]:
    raw = make_examples()[0]
    prediction = engine.predict_sync(raw, EVERYTHING)
    heard, limits = engine.catalog.find(None, None).bundle.spec.audio, engine.settings.media_limits
    page = View(media_type="text/html", language="en")
    picture = View(media_type="image/png", language="en")
    calls: dict[str, Callable[[], object]] = {
        name: functools.partial(engine.predict_sync, raw, asked) for name, asked in ASKED.items()
    }
    calls["drawn as a page, besides"] = lambda: page.draw(prediction, raw, heard, limits)
    calls["drawn as a picture, besides"] = lambda: picture.draw(prediction, raw, heard, limits)
    return [Stage(name=name, run=run, clock=time.process_time_ns) for name, run in calls.items()]


if __name__ == "__main__":
    main()
