"""How far the scores could have come out otherwise by chance of the rows: bootstrap intervals.

Percentile intervals: the rows, or the groups they come in, are drawn again with replacement RESAMPLES times,
and the score's spread is read off (B. Efron, Bootstrap methods: another look at the jackknife, 1979). Every
score here is a function of sums over rows, so that all resamples are one matrix product with how often each
drew each row.

A class or tag that occurs, and that a resample happens to leave out, does not count in its mean F1. If it
counts 0, the 95 % intervals of 18 tags of 2 to 20 % on 90 rows hold the true mean in 88 % of 150 draws; left
out, in 97 %.

Shape letters: N rows, K outputs of a task, R resamples, G groups.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triad_serving.contract.arrays import F32, I64
from triad_serving.contract.tasks import Task
from triad_serving.explanation.shapley import F64
from triad_serving.inference.postprocess import probabilities
from triad_training.evaluation.metrics import (
    MAIN_SCORE,
    SCORE_NAMES,
    Answers,
    Logits,
    decisions,
    labelled_rows,
    rows_by_subset,
)
from triad_training.evaluation.transcripts import count_edits, scores_of, spoken_rows

RESAMPLES = 1000
LEVEL = 0.95
BLOCK = 2**21  # counts held at once
FEW_ROWS, FEW_OF_A_CLASS = 100, 10  # of validation: fewer, and chance chooses the epoch and the thresholds

ALL_ALIKE = {"accuracy": (0.0, 1.0), "symbol_accuracy": (1.0,), "wer": (0.0,), "cer": (0.0,)}

Intervals = dict[str, dict[str, dict[str, tuple[float, float]]]]  # subset of media -> task -> score -> ends


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A score, and the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def ends(self) -> tuple[float, float]:
        return self.low, self.high


def score_interval(
    task: Task,
    logits_NK: Logits,
    targets: F32,
    groups: npt.ArrayLike | None = None,
    *,
    seed: int = 0,
    score: str = "",
) -> Interval | None:
    """Of the main score, or of "accuracy", "f1", "wer" or "cer"; None where it is undefined.

    groups: of each row, what is drawn together: the patient, the speaker. Rows without a target do not count.
    Where all answers of a classification are right, or all wrong, resampling cannot say more: its interval is
    then Wilson's. So is that of a transcript without an edit, as if a row could have no more than one.
    """
    score = score or MAIN_SCORE[task.type]
    labelled = _counted(task, logits_NK, targets)
    if not labelled.any():
        return None
    sums = _sums(task, logits_NK[labelled], targets[labelled], score)
    value = float(sums.score(np.ones((1, len(sums.rows_NS))))[0])
    if not math.isfinite(value):
        return None
    unit_N = _units(groups, labelled)
    if value in ALL_ALIKE.get(score, ()):
        low, high = wilson(value, len(np.unique(unit_N)))
        return Interval(value=value, low=max(low, 0.0), high=min(high, 1.0))
    drawn_R = np.concatenate([sums.score(counts_RN) for counts_RN in _resample(unit_N, seed)])
    return _interval(value, drawn_R)


def paired_difference(
    task: Task,
    logits_a_NK: Logits,
    logits_b_NK: Logits,
    targets: F32,
    groups: npt.ArrayLike | None = None,
    *,
    seed: int = 0,
    task_b: Task | None = None,
    score: str = "",
) -> Interval:
    """How much better a is than b on the same rows: of the main score, or of "accuracy" or "f1".

    Both are judged by the same resamples, so that what is hard for both cancels out. task_b: b's own
    temperature and thresholds. Raises ValueError where the score is undefined.
    """
    score = score or MAIN_SCORE[task.type]
    labelled = _counted(task, logits_a_NK, targets)
    pair = [
        _sums(own, logits_NK[labelled], targets[labelled], score)
        for own, logits_NK in ((task, logits_a_NK), (task_b or task, logits_b_NK))
    ]
    one, other = pair
    once_1N = np.ones((1, len(one.rows_NS)))
    value = float((one.score(once_1N) - other.score(once_1N))[0]) if labelled.any() else math.nan
    if not math.isfinite(value):
        raise ValueError(f"{task.name} has no {score} on these rows")
    resamples = _resample(_units(groups, labelled), seed)
    drawn_R = np.concatenate([one.score(counts_RN) - other.score(counts_RN) for counts_RN in resamples])
    return _interval(value, drawn_R)


def subset_intervals(answers: Answers, tasks: Sequence[Task], groups_E: I64 | None = None) -> Intervals:
    """Of the main score of every subset of media and task, and of a transcript's error rates.

    groups_E: of each example.
    """
    groups_N = None if groups_E is None else groups_E[answers.example_N]
    found: Intervals = {}
    for subset, chosen in rows_by_subset(answers).items():
        found[subset] = {}
        for task in tasks:
            ends = {
                score: interval.ends
                for score in (scores_of(task) if task.type == "transcript" else (MAIN_SCORE[task.type],))
                for interval in [
                    score_interval(
                        task,
                        answers.logits[task.name][chosen],
                        answers.targets[task.name][chosen],
                        None if groups_N is None else groups_N[chosen],
                        score=score,
                    )
                ]
                if interval is not None
            }
            if ends:
                found[subset][task.name] = ends
    return found


def whole_intervals(
    answers: Answers, tasks: Sequence[Task], groups_E: I64 | None = None
) -> dict[str, Interval]:
    """Of the main score of every task, each example with all the media it has."""
    rows_E = answers.whole_rows()
    found = {
        task.name: score_interval(
            task, answers.logits[task.name][rows_E], answers.targets[task.name][rows_E], groups_E
        )
        for task in tasks
    }
    return {name: interval for name, interval in found.items() if interval is not None}


def group_examples(groups: Sequence[str]) -> I64 | None:
    """A number for each group; an example without one is its own. None where no two belong together."""
    names = [group or f"\0{e}" for e, group in enumerate(groups)]
    found, number_E = np.unique(np.array(names), return_inverse=True)
    return None if len(found) == len(names) else number_E.astype(np.int64)


def doubt_validation(task: Task, targets: F32, interval: Interval | None = None) -> str | None:
    """Whether the validation rows are too few to choose by. interval: of the score on them, once there is."""
    labelled = targets[labelled_rows(targets)]
    if not len(labelled):
        return None  # data/labels.py says so
    found = [f"{len(labelled)} validation rows are labelled"] if len(labelled) < FEW_ROWS else []
    rare = [
        f"{label!r} in {count}" for label, count in _rows_of_labels(task, labelled) if count < FEW_OF_A_CLASS
    ]
    if rare:
        found.append(
            f"validation has {', '.join(rare[:4])} rows" + (" and others rarely" if rare[4:] else "")
        )
    if not found:
        return None
    sentence = f"{task.name}: {'; '.join(found)}: too few to choose epochs and thresholds by"
    if interval is None:
        return sentence
    name = SCORE_NAMES.get(MAIN_SCORE[task.type], MAIN_SCORE[task.type])
    width = interval.high - interval.low
    return (
        f"{sentence}; the 95 % interval of its {name} there, {interval.value:.3f}, is {width:.3f} wide "
        f"({interval.low:.3f} to {interval.high:.3f})"
    )


def wilson(share: float, count: float) -> tuple[float, float]:
    """The 95 % interval of a share. Source: E. B. Wilson, Probable inference, 1927."""
    z = 1.96
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return centre - half, centre + half


@dataclass(frozen=True, kw_only=True, eq=False)
class _Sums:
    """What is summed over the rows, [N, S], and the kind of score that is made of the sums.

    never_K: of F1, tags that no row has at all: they count, as in metrics.score_task.
    """

    kind: str
    rows_NS: F64
    never_K: npt.NDArray[np.bool_] | None = None

    def score(self, counts_RN: F64) -> F64:
        """By resample; NaN where it is undefined. counts_RN: how often each row counts."""
        sums_RS = counts_RN @ self.rows_NS
        match self.kind:
            case "accuracy":
                return np.asarray(sums_RS[:, 0] / counts_RN.sum(axis=1))
            case "symbol_accuracy" | "wer" | "cer" as score:
                edits_R, true_R = sums_RS.T
                share_R = edits_R / np.maximum(true_R, 1)
                return np.maximum(1 - share_R, 0) if score == "symbol_accuracy" else np.asarray(share_R)
            case "f1":
                assert self.never_K is not None
                return _macro_f1(sums_RS, self.never_K)
            case _:
                return _r2(sums_RS, counts_RN.sum(axis=1))


def _counted(task: Task, logits_NK: Logits, targets: F32) -> npt.NDArray[np.bool_]:
    """Rows that are scored: labelled, of a transcript also with a sound."""
    labelled = labelled_rows(targets)
    if task.type == "transcript":
        counted = np.zeros_like(labelled)
        counted[spoken_rows(logits_NK, targets)] = True
        return counted
    return labelled


def _sums(task: Task, logits_NK: Logits, targets: F32, score: str) -> _Sums:
    if task.type == "transcript":
        [known] = [each for each in scores_of(task) if each == score]
        return _Sums(kind=score, rows_NS=count_edits(task, logits_NK, targets, known))
    probability_NK = probabilities(logits_NK, task)
    if task.type == "regression":
        truth_N, answer_N = targets.astype(np.float64), probability_NK[:, 0].astype(np.float64)
        centred_N = truth_N - truth_N.mean()  # for the precision of the difference of squares below
        return _Sums(
            kind=score, rows_NS=np.stack([(truth_N - answer_N) ** 2, centred_N, centred_N**2], axis=1)
        )
    decided = decisions(task, probability_NK)
    if score == "accuracy":
        right = decided == targets
        right_N = right if task.type == "classification" else right.all(axis=1)
        return _Sums(kind=score, rows_NS=right_N[:, None].astype(np.float64))
    never_K = np.zeros(task.outputs, dtype=np.bool_)
    if task.type == "classification":
        classes_K = np.arange(task.outputs)
        decided, targets = decided[:, None] == classes_K, targets[:, None] == classes_K
    else:
        never_K = np.asarray(~targets.any(axis=0))
    parts = [decided * targets, decided, targets]
    return _Sums(kind=score, never_K=never_K, rows_NS=np.concatenate(parts, axis=1).astype(np.float64))


def _macro_f1(sums_RS: F64, never_K: npt.NDArray[np.bool_]) -> F64:
    hits_RK, given_RK, true_RK = np.split(sums_RS, 3, axis=1)
    f1_RK = 2 * hits_RK / np.maximum(given_RK + true_RK, 1)
    counts_RK = (true_RK > 0) | never_K
    undefined_R = np.full(len(f1_RK), math.nan)
    total_R, count_R = (f1_RK * counts_RK).sum(axis=1), counts_RK.sum(axis=1)
    return np.asarray(np.divide(total_R, count_R, out=undefined_R, where=count_R > 0))


def _r2(sums_RS: F64, count_R: F64) -> F64:
    residual_R, sum_R, squares_R = sums_RS.T
    spread_R = squares_R - sum_R**2 / count_R
    undefined_R = np.full(len(spread_R), math.nan)
    ratio_R = np.divide(residual_R, spread_R, out=undefined_R, where=spread_R > 1e-12 * squares_R)
    return np.asarray(1 - ratio_R)


def _units(groups: npt.ArrayLike | None, labelled: npt.NDArray[np.bool_]) -> I64:
    """What is drawn, of each labelled row, from 0."""
    if groups is None:
        return np.arange(int(labelled.sum()))
    return np.unique(np.asarray(groups)[labelled], return_inverse=True)[1].astype(np.int64)


def _resample(unit_N: I64, seed: int) -> Iterator[F64]:
    """How often each row is drawn, [R, N], in blocks of resamples."""
    rng, units = np.random.default_rng(seed), int(unit_N.max()) + 1
    block = max(1, BLOCK // max(units, len(unit_N)))
    for start in range(0, RESAMPLES, block):
        size = min(block, RESAMPLES - start)
        drawn_RG = rng.integers(units, size=(size, units)) + units * np.arange(size)[:, None]
        counts_RG = np.bincount(drawn_RG.ravel(), minlength=size * units).reshape(size, units)
        yield counts_RG[:, unit_N].astype(np.float64)


def _interval(value: float, drawn_R: F64) -> Interval:
    defined = drawn_R[np.isfinite(drawn_R)]
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(defined, [tail, 1 - tail]).tolist() if len(defined) else (value, value)
    return Interval(value=value, low=low, high=high)


def _rows_of_labels(task: Task, labelled: F32) -> list[tuple[str, int]]:
    """Rarest first; nothing of a regression, nor of a transcript, which may have thousands of symbols."""
    if task.type in ("regression", "transcript"):
        return []
    counts = (
        np.bincount(labelled.astype(int), minlength=len(task.labels))
        if task.type == "classification"
        else (labelled == 1).sum(axis=0)
    )
    return sorted(zip(task.labels, counts.tolist(), strict=True), key=lambda each: each[1])
