"""Why an answer is as it is: what must be asked of the graph besides, and what the answers to that say.

Everything is a row of the same run: the example, all subsets of its media (shapley; each medium is encoded
once for all of them), and the example without each of its parts (occlusion).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from triad_serving.contract.arrays import F32
from triad_serving.contract.errors import ParameterError
from triad_serving.contract.outputs import MediumName, ModelOutputs, media_subsets
from triad_serving.contract.schema import DECIMALS
from triad_serving.contract.tasks import Task
from triad_serving.explanation.occlusion import Parts, hide, parts_of, total
from triad_serving.explanation.shapley import F64, coalition_of, interaction_values, shapley_values
from triad_serving.inference.answer import Attribution, Interaction, Occlusion, Relation, TaskPrediction
from triad_serving.inference.bundle import BundleManifest
from triad_serving.inference.options import Options
from triad_serving.inference.postprocess import first_answered, probabilities, require_finite
from triad_serving.media.example import ModelInputs, PreprocessSpec
from triad_serving.media.registry import present

NEGLIGIBLE = 0.02  # effect of a medium, or of two together, as a share of the range of the coalitions' values


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """The rows of one request, the example itself first.

    coalitions: row by coalition of the present media, where Shapley values are wanted. parts: what is hidden,
    where occlusion is wanted; hidden: the row without each, None where nothing else is left.
    """

    rows: tuple[ModelInputs, ...]
    coalitions: Mapping[int, int] = field(default_factory=dict)
    parts: Parts | None = None
    hidden: tuple[int | None, ...] = ()


def plan(inputs: ModelInputs, options: Options, spec: PreprocessSpec, *, most_parts: int) -> Plan:
    """most_parts: to hide of one medium."""
    rows = [inputs]
    coalitions: dict[int, int] = {}
    parts: Parts | None = None
    hidden: list[int | None] = []
    if options.explain in ("shapley", "all"):
        for subset in media_subsets(inputs.media):
            whole = subset == inputs.media
            coalitions[coalition_of(subset, inputs.media)] = 0 if whole else len(rows)
            rows += [] if whole else [inputs.only(*subset)]
    if options.explain in ("occlusion", "all"):
        parts = parts_of(inputs, spec, most=most_parts)
        for part in parts.parts:
            rest = hide(inputs, [part], spec)
            hidden.append(len(rows) if rest.media else None)
            rows += [rest] if rest.media else []
    return Plan(rows=tuple(rows), coalitions=coalitions, parts=parts, hidden=tuple(hidden))


def check_target(target: str | None, tasks: Sequence[Task]) -> None:
    """Raises ParameterError where no task has such a label."""
    if target is not None and not any(target in task.labels for task in tasks):
        raise ParameterError(f"No task has the label {target[:80]!r}.", field="target", value=target)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Game:
    """What is explained of a task, its value in each row, [R], and where nothing is known."""

    label: str | None
    values_R: F64
    baseline: float


def explain(
    predictions: Mapping[str, TaskPrediction],
    planned: Plan,
    rows: Sequence[ModelOutputs],
    *,
    manifest: BundleManifest,
    target: str | None,
) -> dict[str, TaskPrediction]:
    """The predictions, each with what the rows say about it. target: a label to explain.

    Raises UnanswerableError where a row's answer is not finite.
    """
    explained = {}
    for task in manifest.tasks:
        game = _play(task, np.stack([row.logits_K[task.name] for row in rows]), target)
        details: dict[str, object] = {}
        if planned.coalitions:
            details["attribution"] = _attribute(game, planned)
        if planned.parts:
            weights = rows[0].attention[task.name]
            details["occlusion"] = _occlude(game, planned, weights, manifest.preprocess)
        explained[task.name] = predictions[task.name].model_copy(update=details)
    return explained


def _play(task: Task, logits_RK: F32, target: str | None) -> _Game:
    probability_RK = probabilities(logits_RK, task)
    require_finite(probability_RK, task)
    values_RK = probability_RK.astype(np.float64)
    prior = task.prior or (0.0 if task.type == "regression" else 1 / task.outputs,) * task.outputs
    if task.type == "regression":
        return _Game(label=None, values_R=values_RK[:, 0], baseline=prior[0])
    k = task.labels.index(target) if target in task.labels else first_answered(probability_RK[0], task)
    return _Game(label=task.labels[k], values_R=values_RK[:, k], baseline=prior[k])


def _attribute(game: _Game, planned: Plan) -> Attribution:
    """Among the present media: one that is absent adds nothing, and changes nobody's value."""
    media = planned.rows[0].media
    values_1S = np.full((1, 1 << len(media)), game.baseline)
    for coalition, row in planned.coalitions.items():
        values_1S[0, coalition] = game.values_R[row]
    phi_M = shapley_values(values_1S)[0]
    interactions = [
        Interaction(
            media=pair,
            value=_rounded(index_E[0]),
            relation=_relate([media.index(medium) for medium in pair], index_E[0], values_1S[0]),
        )
        for pair, index_E in interaction_values(values_1S, media).items()
    ]
    found = Attribution(target=game.label, baseline=_rounded(game.baseline), interactions=interactions)
    return found.model_copy(update={medium: _rounded(phi_M[m]) for m, medium in enumerate(media)})


def _relate(pair: Sequence[int], index: float, values_S: F64) -> Relation:
    """By what each would say alone, then by what they add together."""
    negligible = NEGLIGIBLE * float(np.ptp(values_S))
    one, other = (values_S[1 << m] - values_S[0] for m in pair)
    if one * other < 0 and min(abs(one), abs(other)) > negligible:
        return "contradict"
    if abs(index) <= negligible:
        return "add up"
    return "overlap" if index < 0 else "complete"


def _occlude(
    game: _Game, planned: Plan, weights: Mapping[MediumName, F32], spec: PreprocessSpec
) -> Occlusion:
    inputs, parts = planned.rows[0], planned.parts
    assert parts is not None
    left = [game.baseline if row is None else game.values_R[row] for row in planned.hidden]
    drops = [_rounded(game.values_R[0] - value) for value in left]
    details: dict[str, object] = {}
    for medium, item in present(inputs):
        places = parts.of(medium.name)
        details[medium.name] = medium.describe_occlusion(
            item,
            spec.of(medium.name),
            [part for _, part in places],
            [drops[n] for n, _ in places],
            [_rounded(total(weights[medium.name], part, spec)) for _, part in places],
        )
    return Occlusion(target=game.label, value=_rounded(game.values_R[0])).model_copy(update=details)


def _rounded(value: float) -> float:
    return round(float(value), DECIMALS)
