"""Measures the series, each against a service of its own."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.growth.requests import image_of, sound_of, text_of
from benchmarks.growth.series import Series
from benchmarks.media import make_examples
from benchmarks.serving.bodies import batch_request, multipart_request, write_requests
from benchmarks.serving.running import Running, started
from benchmarks.serving.servers import triad
from triad_serving.media.example import RawInputs

PREDICT = "/v1/predict"
CONCURRENCY = 2  # requests under way: what two cores are busy with
EXAMPLES = 12
LONE = ("cpu_ms", "p99_ms")


def rows(bundle: Path, seconds: float) -> Series:
    """All three media in each row."""

    def request(count: float) -> bytes:
        examples = make_examples()
        return batch_request([examples[n % EXAMPLES] for n in range(round(count))], "/v1/predict/batch")

    sizes = [1, 4, 16, 64, 256]
    return _requests("rows of a request", "rows", sizes, request, bundle=bundle, seconds=seconds)


def alone(
    name: str, unit: str, sizes: Sequence[float], example: Callable[[float], RawInputs]
) -> Callable[[Path, float], Series]:
    """One medium of each size. example: of that size."""

    def request(size: float) -> bytes:
        return multipart_request(example(size), PREDICT)

    def measure(bundle: Path, seconds: float) -> Series:
        return _requests(name, unit, sizes, request, bundle=bundle, seconds=seconds)

    return measure


def models(bundle: Path, seconds: float) -> Series:
    """Copies of one model under names of their own; requests go to one of them."""
    points = {}
    for count in (1, 10, 50):
        with tempfile.TemporaryDirectory(prefix="triad-growth-") as folder:
            for n in range(count):
                _copy_bundle(bundle, Path(folder), f"copy{n:02d}")
            with started(triad("cpu", "--workers", "{workers}"), Path(folder), workers=2) as running:
                point = _measure(running, _usual(running), seconds, concurrency=1)
                points[float(count)] = {**point, "start_s": running.start_s}
    return Series(
        name="models loaded", unit="models", costs=("memory_mb", "start_s", "p50_ms", "p99_ms"), points=points
    )


def workers(bundle: Path, seconds: float) -> Series:
    """As many workers as fit twice on the cores, and twice as many connections as workers."""
    points = {}
    for count in (1, 2):
        with started(triad("cpu", "--workers", "{workers}"), bundle, workers=count) as running:
            requests = _usual(running)
            running.drive(requests, concurrency=2 * count, seconds=1)
            point = _measure(running, requests, seconds, concurrency=2 * count)
            points[float(count)] = {**point, "start_s": running.start_s}
    return Series(name="workers", unit="workers", costs=("memory_mb", "cpu_ms"), points=points)


def table(bundle: Path, _seconds: float) -> Series:
    """`triad predict --table`, from its start to its end; media are shared by rows, but read for each."""
    points = {}
    with tempfile.TemporaryDirectory(prefix="triad-growth-") as folder:
        files = _write_media(Path(folder))
        for count in (100, 1000, 10_000):
            path = Path(folder) / f"{count}.csv"
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, ["text", "image_file_name", "audio_file_name"])
                writer.writeheader()
                writer.writerows(files[n % len(files)] for n in range(count))
            command = [sys.executable, "-m", "triad_serving.cli", "predict", "--model", str(bundle)]
            command += ["--table", str(path), "--out", str(path.with_suffix(".out.csv"))]
            before = _children_cpu_s()
            started_s = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            took_s = time.perf_counter() - started_s
            cpu_s = _children_cpu_s() - before
            points[float(count)] = {
                "seconds": took_s,
                "cpu_s": cpu_s,
                "s_per_1000": 1000 * took_s / count,
            }
    return Series(name="rows of `predict --table`", unit="rows", costs=("seconds", "cpu_s"), points=points)


SERIES: Mapping[str, Callable[[Path, float], Series]] = {
    "rows": rows,
    "text": alone(
        "length of a text",
        "characters",
        [30, 100, 300, 1000, 3000, 10_000],
        lambda size: text_of(round(size)),
    ),
    "sound": alone("length of a sound", "s", [1, 5, 20, 60, 200, 600], sound_of),
    "image": alone("size of an image", "megapixels", [0.1, 0.3, 1, 4, 16, 64], image_of),
    "models": models,
    "workers": workers,
    "table": table,
}


def _requests(
    name: str,
    unit: str,
    sizes: Sequence[float],
    request: Callable[[float], bytes],
    *,
    bundle: Path,
    seconds: float,
) -> Series:
    """The same request over and over at each size, by CONCURRENCY connections."""
    points = {}
    with started(triad("cpu", "--workers", "{workers}"), bundle, workers=2) as running:
        for size in sizes:
            files = write_requests(running.folder / f"{size:g}", [request(size)])
            points[float(size)] = _measure(running, files, seconds, concurrency=CONCURRENCY)
    return Series(name=name, unit=unit, costs=LONE, points=points)


def _usual(running: Running) -> list[Path]:
    return running.write("usual", make_examples())


def _measure(
    running: Running, files: Sequence[Path], seconds: float, *, concurrency: int
) -> dict[str, float]:
    """Raises ValueError where a request was not answered: then its cost says nothing."""
    measured = running.measure(files, concurrency=concurrency, seconds=seconds)
    if measured.errors or measured.refused:
        raise ValueError(f"{measured.errors} errors, {measured.refused} refused at {files[0]}")
    return {
        "rps": measured.rps,
        "cpu_ms": measured.cpu_ms,
        "p50_ms": measured.p50_ms,
        "p99_ms": measured.p99_ms,
        "memory_mb": measured.memory_mb,
    }


def _copy_bundle(bundle: Path, models_folder: Path, name: str) -> None:
    copy = models_folder / name / "1"
    shutil.copytree(bundle, copy)
    manifest = copy / "bundle.json"
    document = json.loads(manifest.read_text(encoding="utf-8"))
    manifest.write_text(json.dumps({**document, "name": name, "version": "1"}), encoding="utf-8")


def _write_media(folder: Path) -> list[dict[str, str]]:
    rows_of = []
    for n, example in enumerate(make_examples()):
        assert example.image is not None
        assert example.audio is not None
        (folder / f"{n}.jpg").write_bytes(example.image)
        (folder / f"{n}.wav").write_bytes(example.audio)
        cells = {"text": example.text or "", "image_file_name": f"{n}.jpg", "audio_file_name": f"{n}.wav"}
        rows_of.append(cells)
    return rows_of


def _children_cpu_s() -> float:
    times = os.times()
    return times.children_user + times.children_system
