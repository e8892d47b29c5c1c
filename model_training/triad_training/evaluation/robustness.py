"""How fast the answers get worse as one medium gets worse, and whether the attention notices.

Corruption lies where augmentation does, between decoding and fitting, in the service's own preprocessing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from triad_serving.contract.arrays import F32
from triad_serving.contract.outputs import MediumName, ModelOutputs, Wanted
from triad_serving.contract.tasks import Task
from triad_serving.inference.session import Session
from triad_serving.media.audio.decode import DecodedAudio
from triad_serving.media.example import ModelInputs
from triad_serving.media.image.decode import DecodedImage
from triad_serving.media.preprocess import preprocess
from triad_serving.media.text.words import Word
from triad_training.data.dataset import ExampleDataset
from triad_training.data.forms import LIMITS
from triad_training.evaluation.metrics import MAIN_SCORE, score_task

Kind = Literal["image noise", "occlusion", "sound noise", "word dropout"]
SAMPLE = 200  # examples per curve
EXAMPLES_PER_RUN = 16
SEED = 0


@dataclass(frozen=True, kw_only=True)
class Corruption:
    """levels: mildest first; None is the medium as it was sent."""

    kind: Kind
    medium: MediumName
    unit: str
    levels: tuple[float | None, ...]


CORRUPTIONS = (
    Corruption(
        kind="image noise",
        medium="image",
        unit="deviation of Gaussian noise, full scale = 1",
        levels=(None, 0.05, 0.1, 0.2, 0.4),
    ),
    Corruption(
        kind="occlusion",
        medium="image",
        unit="share of the image under a grey square",
        levels=(None, 0.1, 0.25, 0.5, 0.75),
    ),
    Corruption(
        kind="sound noise",
        medium="audio",
        unit="signal to white noise, dB",
        levels=(None, 20.0, 10.0, 0.0, -10.0),
    ),
    Corruption(
        kind="word dropout", medium="text", unit="share of words left out", levels=(None, 0.2, 0.4, 0.6, 0.8)
    ),
)


@dataclass(frozen=True, kw_only=True)
class Point:
    """One level. together, alone: the main score with all media of each example, and with the corrupted only.

    attention: mean weight on the corrupted medium where it stands beside others. None where undefined.
    """

    level: float | None
    together: float | None
    alone: float | None
    attention: float | None


@dataclass(frozen=True, kw_only=True)
class Curve:
    """examples: how many the points are made of. points: by task."""

    corruption: Corruption
    examples: int
    points: Mapping[str, tuple[Point, ...]]


@dataclass(frozen=True, kw_only=True)
class Corrupter:
    """triad_serving.media.preprocess.Augment: makes one medium worse, the same way at each level."""

    kind: Kind
    level: float
    rng: np.random.Generator

    def words(self, words: Sequence[Word]) -> Sequence[Word]:
        """At least one stays."""
        if self.kind != "word dropout":
            return words
        draws = self.rng.random(len(words))
        least = min(self.level, float(draws.max()))
        return tuple(word for word, draw in zip(words, draws, strict=True) if draw >= least)

    def image(self, decoded: DecodedImage) -> DecodedImage:
        pixels_HW3 = decoded.pixels_HW3.astype(np.float32)
        if self.kind == "image noise":
            noise_HW3 = self.rng.standard_normal(pixels_HW3.shape, dtype=np.float32)
            pixels_HW3 += 255 * self.level * noise_HW3
        elif self.kind == "occlusion":
            height, width, _ = pixels_HW3.shape
            side = math.sqrt(self.level)
            rows, columns = round(height * side), round(width * side)
            top, left = (self.rng.random(2) * (height - rows, width - columns)).astype(int)
            pixels_HW3[top : top + rows, left : left + columns] = 127
        return replace(decoded, pixels_HW3=pixels_HW3.clip(0, 255).astype(np.uint8))

    def audio(self, decoded: DecodedAudio) -> DecodedAudio:
        if self.kind != "sound noise":
            return decoded
        wave_T = decoded.samples_T
        power = float(np.mean(np.square(wave_T))) / 10 ** (self.level / 10)
        noise_T = self.rng.standard_normal(len(wave_T), dtype=np.float32)
        noisy_T = wave_T + np.float32(math.sqrt(power)) * noise_T
        loudest = max(1.0, float(np.abs(noisy_T).max()))  # louder than full scale would be cut off
        return replace(decoded, samples_T=(noisy_T / loudest).astype(np.float32))


def measure_robustness(
    session: Session, dataset: ExampleDataset, tasks: Sequence[Task], *, sample: int = SAMPLE
) -> tuple[Curve, ...]:
    """A curve of each corruption of a medium that occurs, on a seeded sample of those that have it."""
    curves = []
    for corruption in CORRUPTIONS:
        having = [i for i, example in enumerate(dataset.examples) if corruption.medium in example.media]
        if corruption.medium in dataset.spec.media and having:
            chosen = np.random.default_rng(SEED).permutation(having)[:sample].tolist()
            curves.append(_measure(session, dataset, tasks, corruption, chosen))
    return tuple(curves)


def robustness_table(curves: Sequence[Curve]) -> str:
    """Markdown: one row per corruption, task and level; nothing where nothing was measured."""
    if not curves:
        return ""
    lines = [
        "| corruption | task | level | score with all media | with this medium alone | attention on it |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for curve in curves:
        for task, points in curve.points.items():
            for point in points:
                level = "as sent" if point.level is None else f"{point.level:g}"
                values = (point.together, point.alone, point.attention)
                shown = " | ".join("" if value is None else f"{value:.3f}" for value in values)
                lines.append(f"| {curve.corruption.kind} | {task} | {level} | {shown} |")
    return "\n".join(lines)


def _measure(
    session: Session,
    dataset: ExampleDataset,
    tasks: Sequence[Task],
    corruption: Corruption,
    chosen: Sequence[int],
) -> Curve:
    points: dict[str, list[Point]] = {task.name: [] for task in tasks}
    for level in corruption.levels:
        inputs = [_corrupted(dataset, i, corruption, level) for i in chosen]
        together = _run(session, inputs)
        alone = _run(session, [each.only(corruption.medium) for each in inputs])
        for task in tasks:
            targets_E = dataset.targets[task.name][list(chosen)]
            beside = [row.attention[task.name] for row in together if len(row.attention[task.name]) > 1]
            point = Point(
                level=level,
                together=_score(task, together, targets_E),
                alone=_score(task, alone, targets_E),
                attention=float(np.mean([w[corruption.medium].sum() for w in beside])) if beside else None,
            )
            points[task.name].append(point)
    return Curve(
        corruption=corruption,
        examples=len(chosen),
        points={name: tuple(each) for name, each in points.items()},
    )


def _corrupted(
    dataset: ExampleDataset, index: int, corruption: Corruption, level: float | None
) -> ModelInputs:
    """Seeded by the example: what is drawn for it is the same at every level."""
    corrupter = None
    if level is not None:
        corrupter = Corrupter(kind=corruption.kind, level=level, rng=np.random.default_rng((SEED, index)))
    raw = dataset.examples[index].read()
    return preprocess(raw, dataset.spec, dataset.lexicon, LIMITS, augment=corrupter)


def _run(session: Session, inputs: Sequence[ModelInputs]) -> list[ModelOutputs]:
    return [
        outputs
        for start in range(0, len(inputs), EXAMPLES_PER_RUN)
        for outputs in session.run(inputs[start : start + EXAMPLES_PER_RUN], Wanted(attention=True))
    ]


def _score(task: Task, outputs: Sequence[ModelOutputs], targets_E: F32) -> float | None:
    logits_EK = np.stack([row.logits_K[task.name] for row in outputs])
    return score_task(task, logits_EK, targets_E).get(MAIN_SCORE[task.type])
