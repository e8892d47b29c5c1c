"""What a reader should know first: is it good, where is it weak, can its attention be believed.

Each finding is one sentence with its number, so that it can be checked further down the page.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from triad_serving.contract.tasks import Task
from triad_training.evaluation.breakdown import Breakdown
from triad_training.evaluation.evaluate import Evaluation
from triad_training.evaluation.metrics import MAIN_SCORE, SCORE_NAMES
from triad_training.evaluation.removal import Removals
from triad_training.evaluation.report.style import decimals

HONEST = 0.03  # calibration error
TELLS, HINTS = 0.8, 0.5  # rank correlations
MATTERS = 0.02  # of a probability
LOST = 0.05  # of a score


@dataclass(frozen=True, kw_only=True)
class Headline:
    """One task in one number. beside: how sure that is, and what an answer without looking would get."""

    task: str
    name: str
    score: str
    beside: str


def headline(breakdown: Breakdown) -> Headline:
    task, scores = breakdown.task, breakdown.scores
    rows = f"{scores['examples']:.0f} rows"
    blind = without_looking(breakdown)
    between = ""
    if breakdown.interval is not None:
        low, high = breakdown.interval.ends
        between = f"95 % interval {100 * low:.1f} to {percent(high)}, "
    match task.type:
        case "transcript":
            name, score = _error_name(task), percent(1 - scores["symbol_accuracy"])
            if breakdown.interval is not None:
                between = f"95 % interval {100 * (1 - high):.1f} to {percent(1 - low)}, "
            beside = f"{between}all of it right in {percent(scores['exact'])} of {rows}"
        case "classification":
            name, score = "accuracy", percent(scores["accuracy"])
            beside = f"{between}{rows}"
            beside += "" if blind is None else f"; without looking {percent(blind)}"
        case "multilabel":
            name, score = "F1, mean over tags", percent(scores["f1"])
            beside = f"{between}every tag right in {percent(scores['accuracy'])} of {rows}"
        case "regression":
            name, score = "mean error", f"{scores['mae']:.3g}"
            beside = rows
            if "r2" in scores:
                beside = f"explains {percent(scores['r2'])} of the variance, {between}{rows}"
            beside += "" if blind is None else f"; without looking {blind:.3g}"
    return Headline(task=task.name, name=name, score=score, beside=beside)


def without_looking(breakdown: Breakdown) -> float | None:
    """What always giving the commonest class of training gets; of a regression, the error of its mean."""
    task = breakdown.task
    if not task.prior or task.type in ("multilabel", "transcript"):
        return None
    if task.type == "regression":
        return float(np.abs(breakdown.targets - task.prior[0]).mean())
    return float((breakdown.targets == int(np.argmax(task.prior))).mean())


def find_good(breakdown: Breakdown) -> Iterator[str]:
    task, scores = breakdown.task, breakdown.scores
    blind = without_looking(breakdown)
    match task.type:
        case "transcript":
            found = f"{percent(scores['symbol_accuracy'])} of what was said is heard"
        case "classification":
            found = f"{percent(scores['accuracy'])} of the answers are right"
            if blind is not None and scores["accuracy"] > 0:
                found += f", {100 * (scores['accuracy'] - blind):.0f} points above the commonest class"
        case "multilabel":
            found = f"of the tags given {percent(scores['precision'])} are right, of the true ones "
            found += f"{percent(scores['recall'])} are given"
        case "regression":
            found = f"off by {scores['mae']:.3g} on average"
            found += "" if blind is None else f"; always answering the training mean is off by {blind:.3g}"
    yield f"{task.name}: {found}."
    if breakdown.reliability is not None:
        honest = "can be taken at their word" if scores["ece"] <= HONEST else f"are too {bias(breakdown)}"
        yield f"{task.name}: its probabilities {honest} (calibration error {percent(scores['ece'])})."
    if breakdown.symbol_reliability is not None:
        yield (
            f"{task.name}: the probabilities of its symbols are off by {percent(scores['symbol_ece'])} on "
            "average (calibration error)."
        )
    if breakdown.abstained is not None:
        open_share, right = breakdown.abstained
        yield (
            f"{task.name}: less sure than {task.abstain_below:g} it abstains, in {percent(open_share)} of "
            f"the rows; of its other answers {percent(right)} are right."
        )


def find_weak(evaluation: Evaluation) -> Iterator[str]:
    for breakdown in evaluation.breakdowns.values():
        yield from _missed_class(breakdown)
        yield from _weak_subsets(evaluation, breakdown.task)
        yield from _costly_corruption(evaluation, breakdown.task)


def describe_attention(task: str, numbers: Mapping[str, float]) -> Iterator[str]:
    """Whether a task's attention can be believed. numbers: of attribution.compare_task."""
    if "spearman" not in numbers:
        yield f"{task}: every medium contributes the same, so there is nothing to rank."
        return
    correlation = numbers["spearman"]
    verdict = "yes" if correlation >= TELLS else "roughly" if correlation >= HINTS else "no"
    found = f"{task}: {verdict}. Its rank correlation to what the media contribute is {correlation:z.2f}"
    if numbers["drop_most"] < MATTERS:
        yield f"{found}; but no single medium is needed, so the ranks compare small differences."
        return
    places = decimals([numbers["drop_most"]])
    most, least = (f"{numbers[which]:z.{places}f}" for which in ("drop_most", "drop_least"))
    yield (
        f"{found}; without the most attended one the answer falls by {most}, "
        f"without the least attended one by {least}."
    )


def describe_removal(task: str, removals: Removals) -> str:
    """What is left of the answer as its parts go in each order."""
    left = {each.order: f"{each.deletion_area:.2f}" for each in removals.orders}
    return (
        f"{task}: as its parts go, the most attended ones first, the answer's probability is "
        f"{left['attention']} on average; at random {left['random']}, by occlusion {left['occlusion']}."
    )


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def bias(breakdown: Breakdown) -> Literal["high", "low"]:
    """Of its probabilities, on average."""
    bins = breakdown.reliability
    assert bins is not None
    return "high" if float(((bins.confidence_Q - bins.right_Q) * bins.count_Q).sum()) > 0 else "low"


def _missed_class(breakdown: Breakdown) -> Iterator[str]:
    """The class of lowest recall, and what it is taken for."""
    occurring = {label: each for label, each in breakdown.classes.items() if each["examples"]}
    if not occurring:
        return
    label, worst = min(occurring.items(), key=lambda item: item[1]["recall"])
    if worst["recall"] == 1:
        return
    missed = f"{label!r} is missed most: {percent(1 - worst['recall'])}"
    if breakdown.task.type == "transcript":
        yield f"{breakdown.task.name}: {missed} of the {worst['examples']:.0f} times that it was said."
        return
    found = f"{breakdown.task.name}: {missed} of its rows"
    if breakdown.confusion_KK is not None:
        k = breakdown.task.labels.index(label)
        errors_K = breakdown.confusion_KK[k].copy()
        errors_K[k] = 0
        other = int(errors_K.argmax())
        found += f", most often taken for {breakdown.task.labels[other]!r}"
    yield f"{found}."


def _weak_subsets(evaluation: Evaluation, task: Task) -> Iterator[str]:
    """The worst subset of a task, and the whole where a part of it does better."""
    scores = main_scores(evaluation, task)
    if len(scores) < 2:
        return
    worst = min(scores, key=lambda subset: scores[subset])
    if max(scores.values()) - scores[worst] > LOST:
        yield f"{task.name}: weakest with {_media(worst)} only ({_score_name(task)} {scores[worst]:.3f})."
    whole = list(scores)[-1]
    part, best = max(scores.items(), key=operator.itemgetter(1))
    rows = evaluation.scores[whole][task.name]["examples"]
    noise = 2 * math.sqrt(max(best * (1 - best), 0) / rows)  # two standard errors of a share
    if best - scores[whole] > max(noise, 0.01):
        yield (
            f"{task.name}: {_media(part)} ({best:.3f}) beats {_media(whole)} ({scores[whole]:.3f}): "
            "the media disturb each other."
        )


def _costly_corruption(evaluation: Evaluation, task: Task) -> Iterator[str]:
    """The corruption whose middle level costs a task most, with the other media there."""
    falls: list[tuple[float, str]] = []
    for curve in evaluation.curves:
        points = curve.points[task.name]
        sent, middle = points[0], points[len(points) // 2]
        if sent.together is not None and middle.together is not None and middle.level is not None:
            cause = curve.corruption.cause.format(middle.level)
            fall = f"{_score_name(task)} falls from {sent.together:.3f} to {middle.together:.3f} {cause}"
            falls.append((sent.together - middle.together, fall))
    if falls and (worst := max(falls))[0] > LOST:
        yield f"{task.name}: {worst[1]}."


def main_scores(evaluation: Evaluation, task: Task) -> dict[str, float]:
    """By subset of media, smallest first."""
    name = MAIN_SCORE[task.type]
    return {
        subset: tasks[task.name][name]
        for subset, tasks in evaluation.scores.items()
        if name in tasks.get(task.name, {})
    }


def main_intervals(evaluation: Evaluation, task: Task) -> dict[str, tuple[float, float]]:
    """The ends of main_scores' 95 % intervals."""
    name = MAIN_SCORE[task.type]
    return {
        subset: tasks[task.name][name]
        for subset, tasks in evaluation.intervals.items()
        if name in tasks.get(task.name, {})
    }


def _score_name(task: Task) -> str:
    return SCORE_NAMES.get(MAIN_SCORE[task.type], MAIN_SCORE[task.type])


def _error_name(task: Task) -> str:
    return "word error rate" if task.joiner else "character error rate"


def _media(subset: str) -> str:
    return subset.replace("+", " + ")
