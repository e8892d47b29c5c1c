"""Variants of one model side by side: size, time, scores and answers, the original first."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from triad_serving.contract.device import Device
from triad_serving.contract.errors import CompressionError
from triad_serving.contract.outputs import MediumName, Wanted, media_subsets
from triad_serving.contract.tasks import Task
from triad_serving.inference.postprocess import probabilities
from triad_serving.inference.session import Session
from triad_serving.media.example import ModelInputs, PreprocessSpec
from triad_training.data.dataset import ExampleDataset
from triad_training.evaluation.bootstrap import Intervals, subset_intervals
from triad_training.evaluation.evaluate import answer_split, groups_of
from triad_training.evaluation.metrics import MAIN_SCORE, Answers, Scores, score_subsets, score_task
from triad_training.evaluation.retrieval import Retrieval, mean_recall, search_split
from triad_training.evaluation.transcripts import largest_difference

F64 = npt.NDArray[np.float64]
ROUNDS = 9  # in each of which every variant runs the same requests, one after the other
REQUESTS = 16  # of each subset of media and round, each with another example
MEANINGFUL = 0.05  # of a score, above always answering the same: below it there is nothing to lose


@dataclass(frozen=True, kw_only=True)
class Variant:
    """name: what was done to it. tasks: with its own temperatures."""

    name: str
    graph: bytes
    tasks: tuple[Task, ...]


@dataclass(frozen=True, kw_only=True)
class Drop:
    """points: of a main score, percent lost against the original. where: of which task and media."""

    where: str
    points: float

    def __str__(self) -> str:
        return f"{self.points:.2f} points ({self.where})"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One variant. By subset of media: ms, the median per request; speed, how many times the original's.

    difference: by task, largest distance from the original's answers: of a probability, or of a regression's
    value in its own unit; of a transcript, of the probability of the whole, or 1 where it is another.
    retrieval: of a model that searches between media. drop: the worst, where any is counted.
    """

    name: str
    size: int
    ms: dict[str, float]
    speed: dict[str, float]
    scores: Scores
    retrieval: Retrieval
    difference: dict[str, float]
    drop: Drop | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """variants: the original first. unjudged: scores too near to always answering the same.

    intervals: of the last one's main scores.
    """

    device: str
    variants: tuple[Measured, ...]
    unjudged: tuple[str, ...]
    intervals: Intervals

    @property
    def result(self) -> Measured:
        return self.variants[-1]

    def require(self, max_drop: float) -> None:
        """Raises CompressionError where the last variant's drop is over `max_drop` points."""
        drop = self.result.drop
        if drop is not None and drop.points > max_drop:
            raise CompressionError(
                f"Nothing written: {self.result.name} loses {drop}; at most {max_drop:g} is allowed.",
                limit=max_drop,
                value=drop.points,
            )

    def table(self) -> str:
        """Markdown: a column for each variant, then the scores from variant to variant."""
        original, *others = self.variants
        rows = [["", *(variant.name for variant in self.variants)], ["---", *["---:"] * len(self.variants)]]
        rows.append(["graph, MB", f"{original.size / 1e6:.2f}"])
        rows[-1] += [f"{each.size / 1e6:.2f} ({each.size / original.size:.1%})" for each in others]
        for subset, ms in original.ms.items():
            rows.append([f"{subset}, ms", f"{ms:.3f}"])
            rows[-1] += [f"{each.ms[subset]:.3f} ({each.speed[subset]:.2f} x)" for each in others]
        for task in original.difference:
            rows.append([f"{task}, largest difference", ""])
            rows[-1] += [f"{each.difference[task]:.4f}" for each in others]
        if original.retrieval:
            rows.append(
                [
                    "searches, mean recall",
                    *(f"{100 * mean_recall(each.retrieval):.2f}" for each in self.variants),
                ]
            )
        rows.append(["largest drop", "", *(str(each.drop or "none counted") for each in others)])
        lines = [f"| {' | '.join(row)} |" for row in rows] + ["", *self._score_lines()]
        if self.unjudged:
            listed = ", ".join(self.unjudged)
            lines += ["", f"Not counted, as the training prior alone answers as well: {listed}."]
        return "\n".join(lines)

    def _score_lines(self) -> list[str]:
        lines = ["| task | media | examples | scores |", "|---|---|---:|---|"]
        for task in self.variants[0].difference:
            for subset, tasks in self.variants[0].scores.items():
                found = [variant.scores[subset][task] for variant in self.variants if task in tasks]
                names = [name for name in tasks.get(task, {}) if name != "examples"]
                shown = [f"{n} {' → '.join(_shown(n, values[n]) for values in found)}" for n in names]
                if shown:
                    lines.append(
                        f"| {task} | {subset} | {tasks[task]['examples']:.0f} | {', '.join(shown)} |"
                    )
        return lines


def compare(
    variants: Sequence[Variant],
    spec: PreprocessSpec,
    dataset: ExampleDataset,
    *,
    device: Device,
    folder: Path = Path(),
    searches: bool = False,
) -> Comparison:
    """Every variant on the dataset in every subset of media; variants[0] is the original.

    folder: where the files lie that transcripts are decoded by. searches: whether its media share a space.
    """
    sessions = [Session(each.graph, spec=spec, tasks=each.tasks, device=device) for each in variants]
    times = _measure_times(sessions, spec, dataset)
    tasks = variants[0].tasks
    answers = [
        answer_split(session, dataset, each.tasks, folder)
        for session, each in zip(sessions, variants, strict=True)
    ]
    retrievals = [
        search_split(session, dataset, each.tasks) if searches else {}
        for session, each in zip(sessions, variants, strict=True)
    ]
    scores = [score_subsets(each, v.tasks) for each, v in zip(answers, variants, strict=True)]
    cells = [(task, subset) for subset, found in scores[0].items() for task in tasks if task.name in found]
    judged = [(task, subset) for task, subset in cells if _is_meaningful(task, subset, scores[0], answers[0])]
    return Comparison(
        device=sessions[0].device,
        variants=tuple(
            Measured(
                name=variant.name,
                size=len(variant.graph),
                ms={subset: 1e3 * float(np.median(seconds[v])) for subset, seconds in times.items()},
                speed={subset: _ratio(seconds[0], seconds[v]) for subset, seconds in times.items()},
                scores=scores[v],
                retrieval=retrievals[v],
                difference={
                    task.name: _largest_difference(task, answers[0], changed, answers[v])
                    for task, changed in zip(tasks, variant.tasks, strict=True)
                },
                drop=_worst(
                    [*_drops(judged, scores[0], scores[v]), *_lost_recall(retrievals[0], retrievals[v])]
                ),
            )
            for v, variant in enumerate(variants)
        ),
        unjudged=tuple(
            f"{task.name} from {subset}" for task, subset in cells if (task, subset) not in judged
        ),
        intervals=subset_intervals(answers[-1], variants[-1].tasks, groups_of(dataset)),
    )


def _measure_times(
    sessions: Sequence[Session], spec: PreprocessSpec, dataset: ExampleDataset
) -> dict[str, F64]:
    """Seconds of single requests by subset of media, [V, ROUNDS, requests]; one thread.

    The variants take turns within each round, so that whatever else the machine does slows all of them;
    each runs its requests in a row, as a service does, with its weights in the caches.
    """
    times: dict[str, F64] = {}
    for subset in media_subsets(spec.media):
        requests = _requests(subset, dataset)
        if not requests:
            continue
        seconds_VRN = np.empty((len(sessions), ROUNDS, len(requests)))
        for r in range(-1, ROUNDS):  # the first warms up and is overwritten
            for v, session in enumerate(sessions):
                for n, request in enumerate(requests):
                    start = time.perf_counter()
                    session.run([request], Wanted(attention=True))
                    seconds_VRN[v, r, n] = time.perf_counter() - start
        times["+".join(subset)] = seconds_VRN
    return times


def _requests(subset: tuple[MediumName, ...], dataset: ExampleDataset) -> list[ModelInputs]:
    having = (i for i, example in enumerate(dataset.examples) if set(subset) <= set(example.media))
    return [dataset[i].inputs.only(*subset) for i in islice(having, REQUESTS)]


def _ratio(original_RN: F64, seconds_RN: F64) -> float:
    """How many times as fast: the median over the rounds, each of which compares neighbours in time."""
    return float(np.median(np.median(original_RN, axis=1) / np.median(seconds_RN, axis=1)))


def _is_meaningful(task: Task, subset: str, scores: Scores, answers: Answers) -> bool:
    """Whether the original knows more than the training prior, so that a drop is no matter of chance."""
    if task.type == "transcript":
        return scores[subset][task.name][MAIN_SCORE[task.type]] >= MEANINGFUL
    targets = answers.targets[task.name][answers.subsets_N == subset]
    prior_K = np.array(task.prior or [1 / task.outputs] * task.outputs, dtype=np.float32)
    if task.type != "regression":
        prior_K = np.log(prior_K.clip(1e-6)) - (task.type == "multilabel") * np.log1p(
            -prior_K.clip(0, 1 - 1e-6)
        )
        prior_K *= np.float32(task.temperature)  # thresholds are of probabilities
    constant_NK = np.broadcast_to(prior_K, (len(targets), task.outputs))
    main = MAIN_SCORE[task.type]
    found, blind = scores[subset][task.name], score_task(task, constant_NK, targets)
    return main in found and found[main] >= blind[main] + MEANINGFUL


def _drops(judged: Sequence[tuple[Task, str]], original: Scores, changed: Scores) -> Iterator[Drop]:
    for task, subset in judged:
        main = MAIN_SCORE[task.type]
        before, after = (scores[subset][task.name][main] for scores in (original, changed))
        yield Drop(where=f"{task.name} from {subset}", points=100 * (before - after))


def _lost_recall(original: Retrieval, changed: Retrieval) -> Iterator[Drop]:
    if original:
        lost = mean_recall(original) - mean_recall(changed)
        yield Drop(where="mean recall of searches between media", points=100 * lost)


def _worst(drops: Sequence[Drop]) -> Drop | None:
    return max(drops, key=lambda drop: drop.points, default=None)


def _largest_difference(task: Task, answers: Answers, changed_task: Task, changed: Answers) -> float:
    if task.type == "transcript":
        return largest_difference(answers.logits[task.name], changed.logits[task.name])
    before = probabilities(answers.logits[task.name], task)
    after = probabilities(changed.logits[task.name], changed_task)
    return float(np.abs(before - after).max())


def _shown(name: str, value: float) -> str:
    return f"{value:.4g}" if name in ("mae", "r2") else f"{100 * value:.2f}"
