"""How one task's answers come out in detail: by class, by pair of classes, by confidence, how surely.

Of every example's row with all the media it has. Shape letters: E examples, K outputs, Q bins or points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import confusion_matrix

from triad_serving.contract.arrays import F32, I64
from triad_serving.contract.tasks import BLANK, Task
from triad_serving.explanation.shapley import F64
from triad_serving.inference.postprocess import probabilities
from triad_training.evaluation.bootstrap import Interval, score_interval
from triad_training.evaluation.metrics import (
    CALIBRATION_BINS,
    Answers,
    confidences,
    decisions,
    labelled_rows,
    score_task,
)
from triad_training.evaluation.transcripts import (
    find_edits,
    spoken_rows,
    sureness_of_rows,
    sureness_of_symbols,
)

COVERAGES = 20  # points of a coverage curve
MOST_CONFUSED = 20  # pairs of symbols


@dataclass(frozen=True, kw_only=True, eq=False)
class Reliability:
    """Mean confidence and share of right answers among the answers of each bin that has any, and how many."""

    confidence_Q: F64
    right_Q: F64
    count_Q: I64


@dataclass(frozen=True, kw_only=True, eq=False)
class Coverage:
    """As the least sure answers are left out: the share kept, the share of those that is right.

    least_Q: the probability of the least sure answer that is kept: abstaining below it keeps these.
    """

    kept_Q: F64
    right_Q: F64
    least_Q: F64

    def json(self) -> list[dict[str, float]]:
        points = zip(self.kept_Q.tolist(), self.right_Q.tolist(), self.least_Q.tolist(), strict=True)
        return [{"coverage": kept, "accuracy": right, "probability": least} for kept, right, least in points]


@dataclass(frozen=True, kw_only=True, eq=False)
class Breakdown:
    """rows_E: where the labelled examples stand among the answers. targets: [E] or [E, K].

    answers: what was answered, likewise. probability_EK: calibrated; a regression's values.
    classes: by label, its scores and how many examples have it. confusion_KK: truth by answer; of a
    classification only. reliability: not of a regression. interval: of the main score, where it is defined.
    coverage: of a classification; abstained: if it abstains, the share left open, the accuracy of the rest.

    Of a transcript: answers: the symbols that were heard, as targets has those that were said.
    probability_EK: of the whole, [E, 1]. classes: by symbol, "examples" is how often it was said.
    symbol_reliability: of the symbols' probabilities. confused: true and heard symbol, "" for none, and how
    often, most often first.
    """

    task: Task
    rows_E: I64
    targets: F32
    answers: F32
    probability_EK: F32
    scores: dict[str, float]
    classes: dict[str, dict[str, float]]
    confusion_KK: I64 | None
    reliability: Reliability | None
    interval: Interval | None = None
    coverage: Coverage | None = None
    abstained: tuple[float, float] | None = None
    symbol_reliability: Reliability | None = None
    confused: tuple[tuple[str, str, int], ...] = ()

    def json(self) -> dict[str, object]:
        confusion = self.confusion_KK
        return {
            "scores": self.scores,
            "classes": self.classes,
            "confusion": None if confusion is None else confusion.tolist(),
            "interval": None if self.interval is None else self.interval.ends,
            "coverage": None if self.coverage is None else self.coverage.json(),
            "thresholds": dict(zip(self.task.labels, self.task.thresholds, strict=False)),
            "confused": [{"true": t, "heard": h, "times": n} for t, h, n in self.confused],
        }


def break_down(answers: Answers, tasks: Sequence[Task], groups_E: I64 | None = None) -> dict[str, Breakdown]:
    """By task; nothing of a task that is labelled nowhere, of a transcript where there is a sound, too.

    groups_E: see bootstrap.score_interval.
    """
    found = {}
    for task in tasks:
        rows_E = answers.whole_rows()
        if task.type == "transcript":
            rows_E = rows_E[
                spoken_rows(answers.logits[task.name][rows_E], answers.targets[task.name][rows_E])
            ]
        else:
            rows_E = rows_E[labelled_rows(answers.targets[task.name][rows_E])]
        if len(rows_E):
            of_task = _of_transcript if task.type == "transcript" else _of_task
            found[task.name] = of_task(task, rows_E, answers, groups_E)
    return found


def _of_task(task: Task, rows_E: I64, answers: Answers, groups_E: I64 | None) -> Breakdown:
    logits_EK, targets = answers.logits[task.name][rows_E], answers.targets[task.name][rows_E]
    probability_EK = probabilities(logits_EK, task)
    decided = decisions(task, probability_EK)
    groups = None if groups_E is None else groups_E[answers.example_N[rows_E]]
    confusion_KK: I64 | None = None
    curve, abstained = None, None
    if task.type == "classification":
        curve = coverage(probability_EK.max(axis=1), decided == targets)
        abstained = _abstained(task, probability_EK.max(axis=1), decided == targets)
        confusion_KK = confusion_matrix(targets, decided, labels=np.arange(len(task.labels)))
    return Breakdown(
        task=task,
        rows_E=rows_E,
        targets=targets,
        answers=decided,
        probability_EK=probability_EK,
        scores=score_task(task, logits_EK, targets),
        classes=_class_scores(task, targets, decided),
        confusion_KK=confusion_KK,
        reliability=None
        if task.type == "regression"
        else reliability(*confidences(task, probability_EK, targets)),
        interval=score_interval(task, logits_EK, targets, groups),
        coverage=curve,
        abstained=abstained,
    )


def _of_transcript(task: Task, rows_E: I64, answers: Answers, groups_E: I64 | None) -> Breakdown:
    spoken_E, targets_EL = answers.logits[task.name][rows_E], answers.targets[task.name][rows_E]
    edits = find_edits(task, spoken_E, targets_EL)
    whole, each = sureness_of_rows(spoken_E, targets_EL), sureness_of_symbols(spoken_E, targets_EL)
    heard = [spoken.heard.symbols_U for spoken in spoken_E]
    answers_EL = np.full((len(heard), max(1, *map(len, heard))), BLANK, dtype=np.float32)
    for e, symbols_U in enumerate(heard):
        answers_EL[e, : len(symbols_U)] = symbols_U
    return Breakdown(
        task=task,
        rows_E=rows_E,
        targets=targets_EL,
        answers=answers_EL,
        probability_EK=whole.confidence_N[:, None],
        scores=score_task(task, spoken_E, targets_EL),
        classes={
            symbol: {
                "precision": right / max(edits.heard[symbol], 1),
                "recall": right / max(said, 1),
                "f1": 2 * right / max(said + edits.heard[symbol], 1),
                "examples": float(said),
            }
            for symbol in task.labels
            if edits.said[symbol] or edits.heard[symbol]
            for said, right in [(edits.said[symbol], edits.right[symbol])]
        },
        confusion_KK=None,
        reliability=reliability(*whole),
        interval=score_interval(
            task, spoken_E, targets_EL, None if groups_E is None else groups_E[answers.example_N[rows_E]]
        ),
        symbol_reliability=reliability(*each) if len(each.right_N) else None,
        confused=tuple((*pair, count) for pair, count in edits.taken.most_common(MOST_CONFUSED)),
    )


def reliability(confidence: F32, right: npt.NDArray[np.bool_]) -> Reliability:
    """Over the equal bins of confidence that the calibration error is made of."""
    bins = np.clip((confidence * CALIBRATION_BINS).astype(int), 0, CALIBRATION_BINS - 1)
    count_Q = np.bincount(bins, minlength=CALIBRATION_BINS)
    used = count_Q > 0
    return Reliability(
        confidence_Q=(np.bincount(bins, confidence, CALIBRATION_BINS)[used] / count_Q[used]),
        right_Q=(np.bincount(bins, right, CALIBRATION_BINS)[used] / count_Q[used]),
        count_Q=count_Q[used],
    )


def coverage(confidence_E: F32, right_E: npt.NDArray[np.bool_]) -> Coverage:
    """At COVERAGES equal steps, each rounded up to keep answers that are equally sure together."""
    order_E = np.argsort(-confidence_E, kind="stable")
    sure_E, right_E = confidence_E[order_E], right_E[order_E]
    counts = np.ceil(np.arange(1, COVERAGES + 1) * len(sure_E) / COVERAGES).astype(int)
    kept = np.unique(np.searchsorted(-sure_E, -sure_E[counts - 1], side="right"))
    return Coverage(
        kept_Q=kept / len(sure_E),
        right_Q=np.cumsum(right_E)[kept - 1] / kept,
        least_Q=sure_E[kept - 1].astype(np.float64),
    )


def _abstained(task: Task, confidence_E: F32, right_E: npt.NDArray[np.bool_]) -> tuple[float, float] | None:
    kept_E = confidence_E >= task.abstain_below
    if not task.abstain_below or not kept_E.any():
        return None
    return float(1 - kept_E.mean()), float(right_E[kept_E].mean())


def _class_scores(task: Task, targets: F32, decided: F32) -> dict[str, dict[str, float]]:
    """Precision, recall and F1 of each class or tag, 0 where undefined; and how many examples have it."""
    if task.type == "regression":
        return {}
    if task.type == "classification":
        classes_K = np.arange(len(task.labels))
        targets, decided = targets[:, None] == classes_K, decided[:, None] == classes_K
    hits_K = (targets * decided).sum(axis=0)
    answered_K, true_K = decided.sum(axis=0), targets.sum(axis=0)
    return {
        label: {
            "precision": float(hits / max(answered, 1)),
            "recall": float(hits / max(true, 1)),
            "f1": float(2 * hits / max(answered + true, 1)),
            "examples": float(true),
        }
        for label, hits, answered, true in zip(task.labels, hits_K, answered_K, true_K, strict=True)
    }
