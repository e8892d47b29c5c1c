"""How fast the answers get worse as one medium gets worse, and whether the attention notices.

Corruption lies where augmentation does, between decoding and fitting, in the service's own preprocessing.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from triad_serving.contract.arrays import F32
from triad_serving.contract.outputs import MediumName, ModelOutputs, Wanted
from triad_serving.contract.tasks import Task
from triad_serving.inference.session import Session
from triad_serving.media.example import ModelInputs
from triad_serving.media.preprocess import preprocess
from triad_training.data.dataset import ExampleDataset
from triad_training.evaluation.metrics import MAIN_SCORE, score_task
from triad_training.media.corruption import Corruption
from triad_training.media.registry import MEDIA
from triad_training.media.stored import LIMITS

SAMPLE = 200  # examples per curve
EXAMPLES_PER_RUN = 16
SEED = 0


CORRUPTIONS: tuple[Corruption, ...] = tuple(
    sorted((each for medium in MEDIA for each in medium.corruptions), key=operator.attrgetter("kind"))
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

    def json(self) -> dict[str, object]:
        corruption = self.corruption
        return {
            "corruption": {
                "kind": corruption.kind,
                "medium": corruption.medium,
                "unit": corruption.unit,
                "levels": corruption.levels,
            },
            "examples": self.examples,
            "points": {task: [asdict(point) for point in points] for task, points in self.points.items()},
        }


@dataclass(frozen=True, kw_only=True)
class Corrupter:
    """triad_serving.media.preprocess.Augment: makes one medium worse, the same way at each level."""

    corruption: Corruption
    level: float
    rng: np.random.Generator

    def __call__(self, medium: MediumName, decoded: Any) -> Any:
        if medium != self.corruption.medium:
            return decoded
        return self.corruption.apply(decoded, self.level, self.rng)


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
        corrupter = Corrupter(corruption=corruption, level=level, rng=np.random.default_rng((SEED, index)))
    raw = dataset.examples[index].read()
    return preprocess(raw, dataset.spec, dataset.assets, LIMITS, augment=corrupter)


def _run(session: Session, inputs: Sequence[ModelInputs]) -> list[ModelOutputs]:
    return [
        outputs
        for start in range(0, len(inputs), EXAMPLES_PER_RUN)
        for outputs in session.run(inputs[start : start + EXAMPLES_PER_RUN], Wanted(attention=True))
    ]


def _score(task: Task, outputs: Sequence[ModelOutputs], targets_E: F32) -> float | None:
    logits_EK = np.stack([row.logits_K[task.name] for row in outputs])
    return score_task(task, logits_EK, targets_E).get(MAIN_SCORE[task.type])
