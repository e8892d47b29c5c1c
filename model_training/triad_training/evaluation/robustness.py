"""How fast the answers get worse as one medium gets worse, and whether the attention notices.

Corruption lies where augmentation does, between decoding and fitting, in the service's own preprocessing.
"""

from __future__ import annotations

import operator
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from triad_serving.contract.arrays import F32
from triad_serving.contract.outputs import MediumName, ModelOutputs, Wanted
from triad_serving.contract.tasks import Task
from triad_serving.inference.session import Session
from triad_serving.media.example import ModelInputs, RawInputs
from triad_serving.media.preprocess import preprocess
from triad_training.data.dataset import ExampleDataset
from triad_training.evaluation.metrics import MAIN_SCORE, score_task
from triad_training.evaluation.transcripts import as_heard
from triad_training.media.corruption import Corruption
from triad_training.media.registry import MEDIA
from triad_training.media.stored import LIMITS

SAMPLE = 200  # examples per curve
MOST_S = 25.0  # a pretrained encoder takes a second for all levels of one example
EXAMPLES_PER_RUN = 4  # times two, times the levels of all corruptions
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
    """examples: how many the points are made of, of so many rows that have the medium. points: by task."""

    corruption: Corruption
    examples: int
    rows: int
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
            "rows": self.rows,
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
    session: Session,
    dataset: ExampleDataset,
    tasks: Sequence[Task],
    *,
    sample: int = SAMPLE,
    most_s: float = MOST_S,
) -> tuple[Curve, ...]:
    """A curve of each corruption of a medium that occurs, on a seeded sample of those that have it.

    Transcripts are what is likeliest at each moment, which is found soonest, whatever their decoding.
    most_s: after which no further examples are asked; some of each medium always are.
    """
    makers = []
    for corruption in CORRUPTIONS:
        having = [i for i, example in enumerate(dataset.examples) if corruption.medium in example.media]
        if corruption.medium in dataset.spec.media and having:
            chosen = np.random.default_rng(SEED).permutation(having)[:sample].tolist()
            makers.append(_CurveMaker(corruption, chosen, rows_with_it=len(having)))
    started = time.monotonic()
    for start in range(0, max((len(maker.chosen) for maker in makers), default=0), EXAMPLES_PER_RUN):
        if start and time.monotonic() - started > most_s:
            break
        _ask(session, dataset, [(m, i) for m in makers for i in m.chosen[start : start + EXAMPLES_PER_RUN]])
    return tuple(maker.curve(dataset, tasks) for maker in makers)


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


class _CurveMaker:
    """A corruption, the examples to spoil by it, and the answers so far, level by level."""

    def __init__(self, corruption: Corruption, chosen: Sequence[int], *, rows_with_it: int) -> None:
        self.corruption = corruption
        self.chosen = chosen
        self.rows_with_it = rows_with_it
        self.together: list[list[ModelOutputs]] = [[] for _ in corruption.levels]
        self.alone: list[list[ModelOutputs]] = [[] for _ in corruption.levels]

    def curve(self, dataset: ExampleDataset, tasks: Sequence[Task]) -> Curve:
        asked = list(self.chosen[: len(self.together[0])])
        points = {
            task.name: tuple(
                self._point(task, place, dataset.targets[task.name][asked])
                for place in range(len(self.corruption.levels))
            )
            for task in tasks
        }
        return Curve(corruption=self.corruption, examples=len(asked), rows=self.rows_with_it, points=points)

    def _point(self, task: Task, place: int, targets_E: F32) -> Point:
        together, alone = self.together[place], self.alone[place]
        beside = [row.attention[task.name] for row in together if len(row.attention[task.name]) > 1]
        shares = [weights[self.corruption.medium].sum() for weights in beside]
        return Point(
            level=self.corruption.levels[place],
            together=_score(task, together, targets_E),
            alone=_score(task, alone, targets_E),
            attention=float(np.mean(shares)) if beside else None,
        )


def _ask(session: Session, dataset: ExampleDataset, asked: Sequence[tuple[_CurveMaker, int]]) -> None:
    """Adds the answers for some examples. What is not spoilt is encoded once."""
    whole = {i: dataset[i].inputs for _, i in asked}
    rows = [
        spoilt
        for maker, i in asked
        for level in maker.corruption.levels
        for together in [_corrupted(dataset, i, whole[i], maker.corruption, level)]
        for spoilt in (together, together.only(maker.corruption.medium))
    ]
    answers = iter(session.run(rows, Wanted(attention=True)))
    for maker, _ in asked:
        for place in range(len(maker.corruption.levels)):
            maker.together[place].append(next(answers))
            maker.alone[place].append(next(answers))


def _corrupted(
    dataset: ExampleDataset, index: int, whole: ModelInputs, corruption: Corruption, level: float | None
) -> ModelInputs:
    """Seeded by the example: what is drawn for it is the same at every level."""
    if level is None:
        return whole
    corrupter = Corrupter(corruption=corruption, level=level, rng=np.random.default_rng((SEED, index)))
    raw, name = dataset.examples[index].read(), corruption.medium
    one = RawInputs(**{name: getattr(raw, name)})
    spoilt = preprocess(one, dataset.spec, dataset.assets, LIMITS, augment=corrupter)
    return replace(whole, **{name: spoilt.of(name)})


def _score(task: Task, outputs: Sequence[ModelOutputs], targets_E: F32) -> float | None:
    rows = [row.logits_K[task.name] for row in outputs]
    logits_E = as_heard(rows) if task.type == "transcript" else np.stack(rows)
    return score_task(task, logits_E, targets_E).get(MAIN_SCORE[task.type])
