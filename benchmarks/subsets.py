"""What each subset of media costs, as a ratio to all three together: an absent medium should cost nothing.

    python benchmarks/subsets.py [BUNDLE] [--rounds 300]

Interleaved in one process, one thread, medians. `graph` is one run of the ONNX graph with attention;
`request` is the whole of it in process: decoding, preprocessing, queue, graph, postprocessing.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from triad_serving.contract.outputs import MediumName, Wanted, media_subsets
from triad_serving.engine.engine import Engine
from triad_serving.inference.bundle import read_bundle
from triad_serving.inference.session import Session
from triad_serving.media.example import RawInputs
from triad_serving.media.preprocess import preprocess
from triad_serving.settings import Settings

MEDIA = ("text", "image", "audio")
ROOT = Path(__file__).parent.parent
TEXT = "请看，我刚才在这张纸上写下了数字七，同时也把它读了出来；录音和照片都在这里，你能认出来吗？"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "bundle", nargs="?", type=Path, default=ROOT / "service/triad_serving/models/digits/1"
    )
    parser.add_argument("--rounds", type=int, default=300)
    options = parser.parse_args()

    image, audio = (ROOT / "examples/seven.jpg").read_bytes(), (ROOT / "examples/seven.wav").read_bytes()
    whole: dict[MediumName, str | bytes] = {"text": TEXT, "image": image, "audio": audio}
    raw = {subset: RawInputs(**{m: whole[m] for m in subset}) for subset in media_subsets(MEDIA)}
    bundle = read_bundle(options.bundle)
    settings = Settings(models=options.bundle, device="cpu", threads=1)
    session = Session(bundle.model_path, spec=bundle.spec, tasks=bundle.tasks, device="cpu")

    rows: dict[tuple[MediumName, ...], dict[str, Callable[[], object]]] = {}
    with Engine.open(options.bundle, settings) as engine:
        for subset, inputs in raw.items():
            packed = preprocess(inputs, bundle.spec, bundle.assets, settings.media_limits)
            rows[subset] = {
                "graph": lambda packed=packed: session.run([packed], Wanted(attention=True)),
                "request": lambda inputs=inputs: engine.predict_sync(inputs),
            }
        found = measure(rows, options.rounds)
    lines = ["| media | graph ms | share | request ms | share |", "|---|---:|---:|---:|---:|"]
    for subset, times in found.items():
        cells = [f"{ms:.2f} | {ms / found[MEDIA][name]:.2f}" for name, ms in times.items()]
        lines.append(f"| {' + '.join(subset)} | {' | '.join(cells)} |")
    sys.stdout.write("\n".join(lines) + "\n")


def measure(
    rows: dict[tuple[MediumName, ...], dict[str, Callable[[], object]]], rounds: int
) -> dict[tuple[MediumName, ...], dict[str, float]]:
    """Median milliseconds of each call; a round makes every call once. The first tenth warms up."""
    times: dict[tuple[MediumName, ...], dict[str, list[float]]] = {
        subset: {name: [] for name in calls} for subset, calls in rows.items()
    }
    for each in range(-(rounds // 10), rounds):
        for subset, calls in rows.items():
            for name, call in calls.items():
                started_s = time.perf_counter()
                call()
                if each >= 0:
                    times[subset][name].append(1000 * (time.perf_counter() - started_s))
    return {s: {name: statistics.median(t) for name, t in per.items()} for s, per in times.items()}


if __name__ == "__main__":
    main()
