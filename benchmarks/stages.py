"""Where the CPU time of one request goes: every step of the service on its own, in one thread, as medians.

    python -m benchmarks.stages [BUNDLE] [--rounds 100] [--out FILE] [--before FILE]

`whole request` is the same through the Engine, but for the parse and the JSON; with its hops between threads.
--out writes what --before of a later run compares with.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.media import make_examples
from benchmarks.pipeline import LIMITS, Pipeline
from benchmarks.serving.bodies import BOUNDARY, multipart_request
from benchmarks.serving.machine import describe_machine
from triad_serving.engine.engine import Engine
from triad_serving.http.multipart import Upload, UploadBudget
from triad_serving.media.audio.decode import DecodedAudio, decode_audio, fit_audio, resample
from triad_serving.media.example import RawInputs
from triad_serving.media.image.decode import decode_image, fit_image
from triad_serving.settings import MIB, Settings

ROOT = Path(__file__).parents[1]
WHOLE = "whole request by the Engine"
CHUNK_BYTES = 64 * 1024  # what a server reads from a socket at a time


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step of one request; clock: of the thread that runs it, or of the whole process."""

    name: str
    run: Callable[[], object]
    clock: Callable[[], int] = time.thread_time_ns


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "bundle", nargs="?", type=Path, default=ROOT / "service/triad_serving/models/digits/1"
    )
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--sound-s", type=float, default=1.0)
    parser.add_argument("--out", type=Path, help="JSON to write")
    parser.add_argument("--before", type=Path, help="JSON of an earlier run")
    options = parser.parse_args()

    settings = Settings(models=options.bundle, device="cpu", threads=1)
    with Engine.open(options.bundle, settings) as engine:
        pipeline = Pipeline(options.bundle)
        requests = [stages_of(raw, pipeline, engine) for raw in make_examples(sound_s=options.sound_s)]
        found_us = measure(requests, options.rounds)
    before_us = json.loads(options.before.read_text())["cpu_us"] if options.before else None
    if options.out:
        document = {"machine": describe_machine().sentence(), "cpu_us": found_us}
        options.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"{describe_machine().sentence()}\n\n{markdown(found_us, before_us)}\n")


def stages_of(raw: RawInputs, pipeline: Pipeline, engine: Engine) -> list[Stage]:
    """In the order of a request. Every stage is given what the one before it has made."""
    assert raw.text is not None
    assert raw.image is not None
    assert raw.audio is not None
    text, image, audio = raw.text, raw.image, raw.audio
    spec, lexicon = pipeline.bundle.spec, pipeline.bundle.assets["text"]
    assert spec.text is not None
    assert spec.image is not None
    assert spec.audio is not None
    assert lexicon is not None
    text_spec, image_spec, audio_spec = spec.text, spec.image, spec.audio
    words = lexicon.words(text, text_spec, LIMITS)
    picture = decode_image(image, image_spec, LIMITS)
    sound = decode_audio(audio, audio_spec, LIMITS)
    resampled = _resampled(sound, audio_spec.sample_rate_hz)
    inputs = pipeline.prepare(raw)
    outputs = pipeline.run([inputs])[0]
    body = multipart_request(raw, "/v1/predict").partition(b"\r\n\r\n")[2]
    prediction = pipeline.prediction(inputs, outputs)
    return [
        Stage(name="multipart parse", run=lambda: _parse(body)),
        Stage(name="text: cut into words", run=lambda: lexicon.words(text, text_spec, LIMITS)),
        Stage(
            name="text: words to ids",
            run=lambda: lexicon.encode(words, text_spec, text=text),
        ),
        Stage(name="image: decode", run=lambda: decode_image(image, image_spec, LIMITS)),
        Stage(name="image: resize", run=lambda: fit_image(picture, image_spec)),
        Stage(name="sound: decode", run=lambda: decode_audio(audio, audio_spec, LIMITS)),
        Stage(name="sound: resample", run=lambda: resample(sound, audio_spec.sample_rate_hz)),
        Stage(name="sound: cut, round to 16 bits", run=lambda: fit_audio(resampled, audio_spec)),
        Stage(name="graph, with packing", run=lambda: pipeline.run([inputs])),
        Stage(name="postprocess", run=lambda: pipeline.prediction(inputs, outputs)),
        Stage(name="answer as JSON", run=prediction.to_json),
        Stage(name=WHOLE, run=lambda: engine.predict_sync(raw), clock=time.process_time_ns),
    ]


def measure(requests: Sequence[Sequence[Stage]], rounds: int) -> dict[str, float]:
    """Median microseconds of each stage over all requests and rounds; the first round warms up."""
    times_us: dict[str, list[float]] = {}
    for each in range(rounds + 1):
        for stage in (stage for stages in requests for stage in stages):
            started_ns = stage.clock()
            stage.run()
            if each:
                times_us.setdefault(stage.name, []).append((stage.clock() - started_ns) / 1000)
    return {name: round(statistics.median(times), 1) for name, times in times_us.items()}


def markdown(found_us: Mapping[str, float], before_us: Mapping[str, float] | None = None) -> str:
    """before_us: of an earlier run, for two more columns."""
    found = _with_sum(found_us)
    before = _with_sum(before_us) if before_us else {}
    total_us = found["sum of the stages"]
    lines = ["| stage | CPU us | share |", "| --- | ---: | ---: |"]
    if before:
        lines = ["| stage | CPU us | share | before | times as fast |", "| --- | ---: | ---: | ---: | ---: |"]
    for name, us in found.items():
        cells = [name, f"{us:.0f}", f"{us / total_us:.2f}"]
        if before:
            cells += [f"{before[name]:.0f}", f"{before[name] / us:.2f}"] if name in before else ["", ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _with_sum(times_us: Mapping[str, float]) -> dict[str, float]:
    stages = {name: us for name, us in times_us.items() if name != WHOLE}
    return {**stages, "sum of the stages": sum(stages.values()), WHOLE: times_us[WHOLE]}


def _resampled(sound: DecodedAudio, rate_hz: int) -> DecodedAudio:
    """So that what fit_audio does besides resampling can be timed alone."""
    wave_T = resample(sound, rate_hz)
    return DecodedAudio(samples_T=wave_T, sample_rate_hz=rate_hz, format=sound.format, seconds=sound.seconds)


def _parse(body: bytes) -> RawInputs:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), CHUNK_BYTES):
            yield body[start : start + CHUNK_BYTES]

    async def read() -> RawInputs:
        with Upload(LIMITS, UploadBudget(512 * MIB)) as upload:
            kind = f"multipart/form-data; boundary={BOUNDARY}"
            return await upload.read(kind, str(len(body)), chunks())

    reading = read()
    try:
        reading.send(None)  # nothing in it waits, so no event loop is needed, nor timed
    except StopIteration as done:
        raw: RawInputs = done.value
        return raw
    raise AssertionError("The parser waited.")


if __name__ == "__main__":
    main()
