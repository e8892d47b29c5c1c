"""The answers that were surest and wrong, each with its media.

Shape letters: E examples, M media.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from triad_serving.contract.arrays import F32
from triad_serving.contract.outputs import MediumName, Wanted
from triad_serving.contract.tasks import Task
from triad_serving.media.preprocess import preprocess
from triad_training.data.labels import symbols
from triad_training.evaluation.attribution import Attribution, attribute
from triad_training.evaluation.breakdown import Breakdown
from triad_training.evaluation.evaluate import Evaluation
from triad_training.evaluation.report.sample_view import SampleView, view_sample
from triad_training.evaluation.transcripts import text_of
from triad_training.media.stored import LIMITS

SHOWN = 6  # per task


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """line: in the table. sure: how sure the wrong answer was, in words. shapley: by present medium."""

    line: int
    said: str
    true: str
    sure: str
    shapley: dict[MediumName, float]
    sample: SampleView


def worst_mistakes(evaluation: Evaluation, breakdown: Breakdown) -> list[Mistake]:
    """The surest wrong answers of one task, surest first; of a regression, the largest errors."""
    wrongness_E = _wrongness(breakdown)
    worst = np.argsort(-wrongness_E, kind="stable")[:SHOWN]
    game = attribute(evaluation.answers, breakdown.task) if breakdown.task.prior else None
    return [
        _describe(evaluation, breakdown, game, e, float(wrongness_E[e]))
        for e in worst.tolist()
        if wrongness_E[e] > 0
    ]


def _wrongness(breakdown: Breakdown) -> F32:
    """[E]: the probability of what was wrongly answered, 0 where all is right; of a regression, its error."""
    task, probability_EK = breakdown.task, breakdown.probability_EK
    if task.type == "regression":
        return np.asarray(np.abs(breakdown.answers - breakdown.targets))
    if task.type == "transcript":
        pairs = zip(breakdown.answers, breakdown.targets, strict=True)
        wrong_E = np.array([not np.array_equal(symbols(heard), symbols(said)) for heard, said in pairs])
        return np.where(wrong_E, probability_EK[:, 0], np.float32(0))
    wrong = breakdown.answers != breakdown.targets
    if task.type == "classification":
        return np.where(wrong, probability_EK.max(axis=1), np.float32(0))
    sure_EK = np.where(breakdown.answers == 1, probability_EK, 1 - probability_EK)
    return np.asarray(np.where(wrong, sure_EK, np.float32(0)).max(axis=1))


def _describe(
    evaluation: Evaluation, breakdown: Breakdown, game: Attribution | None, e: int, wrongness: float
) -> Mistake:
    task, dataset = breakdown.task, evaluation.dataset
    index = int(evaluation.answers.example_N[breakdown.rows_E[e]])
    example = dataset.examples[index]
    raw = example.read()
    inputs = preprocess(raw, dataset.spec, dataset.assets, LIMITS)
    [outputs] = evaluation.session.run([inputs], Wanted(attention=True))
    shapley: dict[MediumName, float] = {}
    if game is not None:
        shapley_M = game.shapley_EM[index].tolist()
        shapley = {m: value for m, value in zip(game.media, shapley_M, strict=True) if m in inputs.media}
    regression = task.type == "regression"
    return Mistake(
        line=example.line,
        said=_words(task, breakdown.answers[e]),
        true=_words(task, breakdown.targets[e]),
        sure=f"off by {wrongness:.4g}" if regression else f"{100 * wrongness:.1f} % sure",
        shapley=shapley,
        sample=view_sample(raw, inputs, dict(outputs.attention[task.name]), dataset.spec),
    )


def _words(task: Task, answer: F32) -> str:
    """answer: a class index or value, [K] tags, or the symbols of a transcript."""
    if task.type == "transcript":
        return text_of(task, symbols(answer).tolist()) or "nothing"
    if task.type == "regression":
        return f"{float(answer):.4g}"
    if task.type == "classification":
        return task.labels[int(answer)]
    return ", ".join(label for label, holds in zip(task.labels, answer, strict=True) if holds == 1) or "none"
