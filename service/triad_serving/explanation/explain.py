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
from triad_serving.contract.tasks import Task
from triad_serving.explanation.occlusion import Part, Parts, hide, parts_of, total
from triad_serving.explanation.shapley import (
    COALITIONS,
    F64,
    coalition_of,
    interaction_values,
    shapley_values,
)
from triad_serving.inference.bundle import BundleManifest
from triad_serving.inference.postprocess import DECIMALS, describe_moment, probabilities
from triad_serving.inference.schemas import (
    Attribution,
    ImageOcclusion,
    Interaction,
    Occlusion,
    Options,
    Relation,
    SoundOcclusion,
    TaskPrediction,
    WordOcclusion,
)
from triad_serving.media.example import ModelInputs, PreprocessSpec
from triad_serving.media.names import MEDIA

NEGLIGIBLE = 0.02  # effect of a medium, or of two together, as a share of the range of the coalitions' values


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """The rows of one request, the example itself first.

    coalitions: row by coalition of media, where Shapley values are wanted. parts: what is hidden, where
    occlusion is wanted; hidden: the row without each, None where nothing else is left.
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
            coalitions[coalition_of(subset)] = 0 if whole else len(rows)
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
    text: str | None,
    manifest: BundleManifest,
    target: str | None,
) -> dict[str, TaskPrediction]:
    """The predictions, each with what the rows say about it. text: as sent. target: a label to explain."""
    explained = {}
    for task in manifest.tasks:
        game = _play(task, np.stack([row.logits_K[task.name] for row in rows]), target)
        details: dict[str, object] = {}
        if planned.coalitions:
            details["attribution"] = _attribute(game, planned)
        if planned.parts:
            weights = rows[0].attention[task.name]
            details["occlusion"] = _occlude(game, planned, weights, text, manifest.preprocess)
        explained[task.name] = predictions[task.name].model_copy(update=details)
    return explained


def _play(task: Task, logits_RK: F32, target: str | None) -> _Game:
    values_RK = probabilities(logits_RK, task).astype(np.float64)
    prior = task.prior or (0.0 if task.type == "regression" else 1 / task.outputs,) * task.outputs
    if task.type == "regression":
        return _Game(label=None, values_R=values_RK[:, 0], baseline=prior[0])
    k = task.labels.index(target) if target in task.labels else int(values_RK[0].argmax())
    return _Game(label=task.labels[k], values_R=values_RK[:, k], baseline=prior[k])


def _attribute(game: _Game, planned: Plan) -> Attribution:
    media = planned.rows[0].media
    values_1S = np.full((1, COALITIONS), game.baseline)
    for coalition in range(COALITIONS):
        of_present = coalition & coalition_of(media)  # an absent medium adds nothing
        if of_present:
            values_1S[0, coalition] = game.values_R[planned.coalitions[of_present]]
    phi_M = shapley_values(values_1S)[0]
    values = {medium: _rounded(phi_M[MEDIA.index(medium)]) for medium in media}
    interactions = [
        Interaction(media=pair, value=_rounded(index_E[0]), relation=_relate(pair, index_E[0], values_1S[0]))
        for pair, index_E in interaction_values(values_1S).items()
        if set(pair) <= set(media)
    ]
    return Attribution(
        target=game.label,
        baseline=_rounded(game.baseline),
        interactions=interactions,
        **values,
    )


def _relate(pair: tuple[MediumName, MediumName], index: float, values_S: F64) -> Relation:
    """By what each would say alone, then by what they add together."""
    negligible = NEGLIGIBLE * float(np.ptp(values_S))
    one, other = (values_S[coalition_of([medium])] - values_S[0] for medium in pair)
    if one * other < 0 and min(abs(one), abs(other)) > negligible:
        return "contradict"
    if abs(index) <= negligible:
        return "add up"
    return "overlap" if index < 0 else "complete"


def _occlude(
    game: _Game,
    planned: Plan,
    weights: Mapping[MediumName, F32],
    text: str | None,
    spec: PreprocessSpec,
) -> Occlusion:
    inputs, parts = planned.rows[0], planned.parts
    assert parts is not None
    left = [game.baseline if row is None else game.values_R[row] for row in planned.hidden]
    drops = [_rounded(game.values_R[0] - value) for value in left]
    details: dict[str, object] = {}
    if inputs.text and text is not None:
        details["text"] = [
            WordOcclusion(
                token=text[start:end],
                start=start,
                end=end,
                drop=drops[n],
                weight=_weight(weights, part, spec),
            )
            for n, part in parts.of("text")
            for start, end in [(inputs.text.spans[part.first][0], inputs.text.spans[part.last - 1][1])]
        ]
    if inputs.image:
        cells = parts.of("image")
        grid = range(0, len(cells), parts.columns)
        details["image"] = ImageOcclusion(
            rows=len(grid),
            columns=parts.columns,
            region=inputs.image.region,
            drops=[[drops[n] for n, _ in cells[i : i + parts.columns]] for i in grid],
            weights=[
                [_weight(weights, part, spec) for _, part in cells[i : i + parts.columns]] for i in grid
            ],
        )
    if inputs.audio and spec.audio:
        details["audio"] = [
            SoundOcclusion(start=start, end=end, drop=drops[n], weight=_weight(weights, part, spec))
            for n, part in parts.of("audio")
            for start, end in [describe_moment(part.first, part.last, inputs.audio, spec.audio)]
        ]
    return Occlusion(target=game.label, value=_rounded(game.values_R[0])).model_copy(update=details)


def _weight(weights: Mapping[MediumName, F32], part: Part, spec: PreprocessSpec) -> float:
    return _rounded(total(weights[part.medium], part, spec))


def _rounded(value: float) -> float:
    return round(float(value), DECIMALS)
