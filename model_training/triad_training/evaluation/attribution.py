"""What each medium contributed to an answer, exactly, and whether the attention says the same.

Shape letters: N rows (an example and a subset of its media), E examples, M media of the model,
S coalitions of media (bit m set: medium m is in it), K outputs of a task.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from triad_serving.contract.arrays import I64
from triad_serving.contract.outputs import MediumName
from triad_serving.contract.tasks import Task
from triad_serving.explanation.shapley import F64, coalition_of, shapley_values
from triad_serving.inference.postprocess import holding, probabilities
from triad_training.evaluation.metrics import Answers, labelled_rows

Flags: TypeAlias = npt.NDArray[np.bool_]
Trust = dict[str, dict[str, float]]  # task -> number -> value
TIED = 1e-6  # contributions closer than this share a rank: below it, single precision decides


@dataclass(frozen=True, kw_only=True, eq=False)
class Attribution:
    """One task's answers as games between the media, beside the attention that each medium got.

    media: of the model. rows_E: where each example's row with all its media stands among the answers.
    present_EM: which media it has. values_ES: what each coalition achieves; an absent medium adds nothing.
    shapley_EM: see shapley_values. drop_EM: how far the value falls when one medium is taken away (of a
    regression, how far it moves). attention_EM: sums to 1 over the media. All three are 0 where absent.
    """

    task: Task
    media: tuple[MediumName, ...]
    rows_E: I64
    present_EM: Flags
    values_ES: F64
    shapley_EM: F64
    drop_EM: F64
    attention_EM: F64

    def of(self, chosen_E: Flags) -> Attribution:
        """Some of the examples."""
        arrays = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name not in ("task", "media")
        }
        return replace(self, **{name: array[chosen_E] for name, array in arrays.items()})

    def complete(self) -> Attribution:
        """The examples that have every medium which any example has."""
        known_M = self.present_EM.any(axis=0)
        return self.of(np.asarray(self.present_EM[:, known_M].all(axis=1)))


def attribute(
    answers: Answers, task: Task, *, label: Literal["predicted", "true"] = "predicted"
) -> Attribution:
    """The game behind every answer of a task.

    What a coalition achieves is the calibrated probability of the label that is predicted from all media (or
    of the true one; unlabelled examples are left out). Of tags, the mean over tags of the probability of what
    is decided about each. Of a regression, the value itself, with either choice of label.
    The empty coalition achieves the training prior: the share of the label, the mean of the target.
    """
    rows_E = answers.whole_rows()
    values_N, baseline_E = _values(answers, task, label, rows_E)
    coalition_N = _coalitions(answers)
    everything = (1 << len(answers.media)) - 1
    places_M = np.arange(len(answers.media))
    present_E = coalition_N[rows_E]
    asked_ES = np.zeros((len(rows_E), everything + 1))
    asked_ES[:, 0] = baseline_E
    asked_ES[answers.example_N, coalition_N] = values_N
    values_ES = np.take_along_axis(asked_ES, np.arange(everything + 1) & present_E[:, None], axis=1)
    drop_EM = values_ES[:, [everything]] - values_ES[:, everything & ~(1 << places_M)]
    game = Attribution(
        task=task,
        media=answers.media,
        rows_E=rows_E,
        present_EM=(present_E[:, None] >> places_M & 1).astype(np.bool_),
        values_ES=values_ES,
        shapley_EM=shapley_values(values_ES),
        drop_EM=np.abs(drop_EM) if task.type == "regression" else drop_EM,
        attention_EM=answers.attention[task.name][rows_E].astype(np.float64),
    )
    return game.of(labelled_rows(answers.targets[task.name][rows_E])) if label == "true" else game


def compare_attention(answers: Answers, tasks: Sequence[Task]) -> Trust:
    """By task, whether the media's attention tells what they contributed; see compare_task."""
    return {task.name: found for task in tasks if task.prior and (found := compare_task(answers, task))}


def compare_task(answers: Answers, task: Task) -> dict[str, float]:
    """Attention against Shapley values on the examples that have all media; nothing where there is no choice.

    spearman: the headline. Per example, the rank correlation between the media's attention and their Shapley
        values for the predicted label (of a regression, the values' magnitudes: their sign only says up or
        down); the mean over examples. Ties share the mean of their ranks. Where all values are tied there is
        no correlation: such examples are left out here and from `first`, and counted as `tied`.
        Attention at random gives 0.
    spearman_magnitude: the same against magnitudes. spearman_true: the same for the true label.
    first: share of the others whose medium of most attention also has the largest Shapley value.
    drop_most, drop_random, drop_least: the deletion test. How far the predicted label's probability falls
        when the medium of most attention, one at random, or the one of least attention is taken away; means.
    """
    game = attribute(answers, task).complete()
    if not len(game.rows_E) or game.present_EM[0].sum() < 2:
        return {}
    seen_M = game.present_EM[0]
    attention_EM, shapley_EM = game.attention_EM[:, seen_M], game.shapley_EM[:, seen_M]
    headline_EM = np.abs(shapley_EM) if task.type == "regression" else shapley_EM
    drop_EM = game.drop_EM[:, seen_M]
    each_E = np.arange(len(drop_EM))
    agreement_E = spearman(attention_EM, headline_EM)
    first_E = (attention_EM.argmax(axis=1) == headline_EM.argmax(axis=1)).astype(np.float64)
    numbers = {
        "examples": float(len(each_E)),
        "tied": float(np.isnan(agreement_E).sum()),
        "spearman": _mean(agreement_E),
        "spearman_magnitude": _mean(spearman(attention_EM, np.abs(shapley_EM))),
        "first": _mean(np.where(np.isnan(agreement_E), math.nan, first_E)),
        "drop_most": float(drop_EM[each_E, attention_EM.argmax(axis=1)].mean()),
        "drop_random": float(drop_EM.mean()),
        "drop_least": float(drop_EM[each_E, attention_EM.argmin(axis=1)].mean()),
    }
    if task.type != "regression":
        true = attribute(answers, task, label="true").complete()
        true_EM = spearman(true.attention_EM[:, seen_M], true.shapley_EM[:, seen_M])
        numbers["spearman_true"] = _mean(true_EM)
    return {name: value for name, value in numbers.items() if not math.isnan(value)}


@dataclass(frozen=True, kw_only=True)
class MediaUse:
    """Mean attention and mean Shapley value of each medium over the complete examples of one class or tag.

    label: None for all examples.
    """

    label: str | None
    examples: int
    attention: dict[MediumName, float]
    shapley: dict[MediumName, float]


def use_by_class(answers: Answers, task: Task) -> list[MediaUse]:
    """All complete examples, then those of each true class or with each tag; nothing without a prior."""
    if not task.prior:
        return []
    game = attribute(answers, task).complete()
    groups: list[tuple[str | None, Flags]] = [(None, np.ones(len(game.rows_E), dtype=np.bool_))]
    targets = answers.targets[task.name][game.rows_E]
    for k, label in enumerate(task.labels):
        groups.append((label, targets == k if task.type == "classification" else targets[:, k] == 1))
    seen = [(m, medium) for m, medium in enumerate(game.media) if game.present_EM[:, m].any()]
    return [
        MediaUse(
            label=label,
            examples=int(chosen_E.sum()),
            attention={medium: float(game.attention_EM[chosen_E, m].mean()) for m, medium in seen},
            shapley={medium: float(game.shapley_EM[chosen_E, m].mean()) for m, medium in seen},
        )
        for label, chosen_E in groups
        if chosen_E.any()
    ]


def spearman(attention_EM: F64, contribution_EM: F64) -> F64:
    """Rank correlation of each row, [E]; NaN where either side is all tied."""
    size = max(
        1.0, float(np.abs(contribution_EM).max(initial=0))
    )  # a regression's values have their own unit
    ranks = [rankdata(attention_EM, axis=1), rankdata(np.round(contribution_EM / (size * TIED)), axis=1)]
    centred = [rank_EM - rank_EM.mean(axis=1, keepdims=True) for rank_EM in ranks]
    norm_E = np.sqrt((centred[0] ** 2).sum(axis=1) * (centred[1] ** 2).sum(axis=1))
    product_E = (centred[0] * centred[1]).sum(axis=1)
    undefined_E = np.full(len(norm_E), math.nan)
    return np.asarray(np.divide(product_E, norm_E, out=undefined_E, where=norm_E > 0))


def trust_table(trust: Trust) -> str:
    """Markdown: one row per task; nothing where no task has one."""
    if not trust:
        return ""
    lines = [
        "| task | examples | rank correlation of attention and Shapley values | same medium first "
        "| drop without most attended | random | least |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for task, numbers in trust.items():
        drops = " | ".join(f"{numbers[f'drop_{which}']:z.3f}" for which in ("most", "random", "least"))
        correlation = f"{numbers['spearman']:.3f}" if "spearman" in numbers else "all tied"
        first = f"{100 * numbers['first']:.1f} %" if "first" in numbers else "all tied"
        lines.append(f"| {task} | {numbers['examples']:.0f} | {correlation} | {first} | {drops} |")
    return "\n".join(lines)


def _values(
    answers: Answers, task: Task, label: Literal["predicted", "true"], rows_E: I64
) -> tuple[F64, F64]:
    """What every row achieves for its example's label, [N], and what no medium at all does, [E]."""
    answered_NK = probabilities(answers.logits[task.name], task)
    probability_NK = answered_NK.astype(np.float64)
    prior_K = np.array(task.prior)
    if task.type == "regression":
        return probability_NK[:, 0], np.full(len(rows_E), prior_K[0])
    if task.type == "classification":
        label_E = probability_NK[rows_E].argmax(axis=1)
        if label == "true":
            label_E = np.nan_to_num(answers.targets[task.name][rows_E]).astype(np.int64)
        label_N = label_E[answers.example_N]
        return probability_NK[np.arange(len(label_N)), label_N], prior_K[label_E]
    true_EK = answers.targets[task.name][rows_E] == 1
    tags_EK = true_EK if label == "true" else holding(answered_NK[rows_E], task)
    tags_NK = tags_EK[answers.example_N]
    value_NK = np.where(tags_NK, probability_NK, 1 - probability_NK)
    return value_NK.mean(axis=1), np.where(tags_EK, prior_K, 1 - prior_K).mean(axis=1)


def _coalitions(answers: Answers) -> I64:
    """Of each row."""
    names, inverse_N = np.unique(answers.subsets_N, return_inverse=True)
    masks = [coalition_of(name.split("+"), answers.media) for name in names.tolist()]
    return np.array(masks, dtype=np.int64)[inverse_N]


def _mean(values_E: F64) -> float:
    defined = values_E[~np.isnan(values_E)]
    return float(defined.mean()) if len(defined) else math.nan
