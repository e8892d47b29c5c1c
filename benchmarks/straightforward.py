"""What the pipeline's own work wins: it against the one that everybody would write first, without a server.

    python -m benchmarks.straightforward [BUNDLE] [--rounds 40] [--before GRAPH]

The other one decodes the whole JPEG, cuts words with jieba, reads sounds with soundfile, resamples them with
soxr, and runs the graph request by request: --before, say an earlier export of the same weights. One thread,
interleaved, medians of its CPU time. Answers may differ as far as a JPEG decoded at a smaller scale does.
"""

from __future__ import annotations

import argparse
import io
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import jieba
import numpy as np
import soundfile
import soxr
from PIL import Image

from benchmarks.media import make_examples
from benchmarks.pipeline import WANTED, Pipeline
from benchmarks.serving.machine import describe_machine
from benchmarks.stages import Stage, measure
from triad_serving.contract.outputs import ModelOutputs
from triad_serving.engine.batcher import GOOD_BATCH
from triad_serving.inference.bundle import Bundle
from triad_serving.inference.postprocess import probabilities
from triad_serving.inference.session import Session
from triad_serving.media.audio.spec import AudioInput
from triad_serving.media.example import ModelInputs, RawInputs
from triad_serving.media.image.spec import ImageInput
from triad_serving.media.text.lexicon import WordLexicon
from triad_serving.media.text.spec import UNKNOWN_ID, TextInput
from triad_serving.media.text.words import RESERVED

ROOT = Path(__file__).parents[1]
PLAIN = "straightforward "
Item = TypeVar("Item")


class Straightforward:
    """The same steps and the same model, as a tutorial has them."""

    def __init__(self, bundle: Bundle, graph: Path) -> None:
        self.spec = bundle.spec
        lexicon = bundle.assets["text"]
        assert isinstance(lexicon, WordLexicon)
        tokens = (*RESERVED, *lexicon.vocabulary.tokens)
        self._ids = {token: i for i, token in enumerate(tokens)}
        self._session = Session(graph, spec=bundle.spec, tasks=bundle.tasks, device="cpu", threads=1)
        jieba.initialize()

    def text(self, text: str) -> TextInput:
        assert self.spec.text is not None
        normal = unicodedata.normalize("NFKC", text).lower()
        ids, spans = list[int](), list[tuple[int, int]]()
        for word, start, end in jieba.tokenize(normal):
            pieces = [(word, start, end)]
            if word not in self._ids:
                pieces = [(character, start + i, start + i + 1) for i, character in enumerate(word)]
            for piece, first, last in pieces:
                ids.append(self._ids.get(piece, UNKNOWN_ID))
                spans.append((first, last))
        kept = self.spec.text.max_tokens
        return TextInput(
            ids_L=np.array(ids[:kept], dtype=np.int64),
            spans=tuple(spans[:kept]),
            text=text,
            truncated=len(ids) > kept,
        )

    def image(self, data: bytes) -> ImageInput:
        assert self.spec.image is not None
        image = Image.open(io.BytesIO(data)).convert("RGB")
        size = (self.spec.image.width, self.spec.image.height)
        pixels_HW3 = np.array(image.resize(size, Image.Resampling.BILINEAR))
        region = (0, 0, image.width, image.height)
        return ImageInput(
            pixels_HW3=pixels_HW3, format="JPEG", width=image.width, height=image.height, region=region
        )

    def sound(self, data: bytes) -> AudioInput:
        assert self.spec.audio is not None
        samples_TC, rate_hz = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
        wave_T = soxr.resample(samples_TC.mean(axis=1), rate_hz, self.spec.audio.sample_rate_hz)
        samples_T = (wave_T[: self.spec.audio.max_samples] * 32768).clip(-32768, 32767).astype(np.int16)
        return AudioInput(
            samples_T=samples_T,
            format="WAV",
            seconds=len(samples_TC) / rate_hz,
            sample_rate_hz=rate_hz,
            truncated=False,
            peak=float(abs(samples_TC).max()),
        )

    def prepare(self, raw: RawInputs) -> ModelInputs:
        assert raw.text is not None
        assert raw.image is not None
        assert raw.audio is not None
        return ModelInputs(text=self.text(raw.text), image=self.image(raw.image), audio=self.sound(raw.audio))

    def run(self, inputs: ModelInputs) -> ModelOutputs:
        return self._session.run([inputs], WANTED)[0]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "bundle", nargs="?", type=Path, default=ROOT / "service/triad_serving/models/digits/1"
    )
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--before", type=Path, help="the graph that the other one runs; default: the same")
    options = parser.parse_args()
    ours = Pipeline(options.bundle)
    plain = Straightforward(ours.bundle, options.before or ours.bundle.model_path)
    examples = make_examples()[:GOOD_BATCH]
    times_us = measure([_stages(ours, plain, examples)], options.rounds)
    largest = max(difference(ours, plain, raw) for raw in examples)
    sys.stdout.write(
        f"{describe_machine().sentence()}\n\n{markdown(times_us, len(examples))}\n\n"
        f"Largest difference between two probabilities: {largest:.4f}\n"
    )


def _stages(ours: Pipeline, plain: Straightforward, examples: Sequence[RawInputs]) -> list[Stage]:
    """Every stage does all of the examples, one after another but where it says batch."""
    prepared = [ours.prepare(raw) for raw in examples]

    def each(does: Callable[[Item], object], items: Iterable[Item]) -> Callable[[], object]:
        chosen = list(items)
        return lambda: [does(item) for item in chosen]

    texts = [raw.text for raw in examples if raw.text is not None]
    images = [raw.image for raw in examples if raw.image is not None]
    sounds = [raw.audio for raw in examples if raw.audio is not None]
    return [
        Stage(name=f"{PLAIN}text", run=each(plain.text, texts)),
        Stage(name="text", run=each(lambda text: ours.prepare(RawInputs(text=text)), texts)),
        Stage(name=f"{PLAIN}image", run=each(plain.image, images)),
        Stage(name="image", run=each(lambda image: ours.prepare(RawInputs(image=image)), images)),
        Stage(name=f"{PLAIN}sound", run=each(plain.sound, sounds)),
        Stage(name="sound", run=each(lambda audio: ours.prepare(RawInputs(audio=audio)), sounds)),
        Stage(name=f"{PLAIN}graph", run=each(plain.run, prepared)),
        Stage(name="graph", run=each(lambda inputs: ours.run([inputs]), prepared)),
        Stage(name=f"{PLAIN}all", run=each(lambda raw: plain.run(plain.prepare(raw)), examples)),
        Stage(name="all", run=each(lambda raw: ours.run([ours.prepare(raw)]), examples)),
        Stage(name="all, in one batch", run=lambda: ours.run([ours.prepare(raw) for raw in examples])),
    ]


def markdown(times_us: Mapping[str, float], examples: int) -> str:
    lines = ["| CPU us | straightforward | ours | times as fast |", "| --- | ---: | ---: | ---: |"]
    for name, us in times_us.items():
        if not name.startswith(PLAIN):
            plain_us = times_us[PLAIN + name.partition(",")[0]]
            lines.append(
                f"| {name} | {plain_us / examples:.0f} | {us / examples:.0f} | {plain_us / us:.2f} |"
            )
    return "\n".join(lines)


def difference(ours: Pipeline, plain: Straightforward, raw: RawInputs) -> float:
    """Largest between two probabilities of one example."""
    one, other = ours.run([ours.prepare(raw)])[0], plain.run(plain.prepare(raw))
    tasks = {task.name: task for task in ours.bundle.tasks}
    return max(
        float(
            np.abs(
                probabilities(logits_K, tasks[name]) - probabilities(other.logits_K[name], tasks[name])
            ).max()
        )
        for name, logits_K in one.logits_K.items()
    )


if __name__ == "__main__":
    main()
