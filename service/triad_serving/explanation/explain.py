"""Why an answer is as it is: what must be asked of the graph besides, and what the answers to that say.

Everything is a row of the same run: the example, all subsets of its media (shapley; each medium is encoded
once for all of them), and the example without each of its parts (occlusion). Of a recording that is read in
windows each of these variants is a row for every window; a part is hidden in those that hear it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from triad_serving.contract.arrays import F32
from triad_serving.contract.errors import ParameterError, TooLargeError
from triad_serving.contract.outputs import MediumName, ModelOutputs, media_subsets
from triad_serving.contract.schema import DECIMALS
from triad_serving.contract.tasks import Task
from triad_serving.explanation.occlusion import Parts, hide, parts_of, total
from triad_serving.explanation.shapley import F64, coalition_of, interaction_values, shapley_values
from triad_serving.inference.answer import (
    Attribution,
    Interaction,
    Occlusion,
    Relation,
    TaskPrediction,
    Transcript,
)
from triad_serving.inference.bundle import BundleManifest
from triad_serving.inference.options import Options
from triad_serving.inference.postprocess import NO_DECODERS, first_answered, probabilities, require_finite
from triad_serving.inference.transcribe.decoder import Decoder
from triad_serving.inference.transcribe.joining import join_windows
from triad_serving.media.example import ModelInputs, PreprocessSpec
from triad_serving.media.medium import Part
from triad_serving.media.registry import TRANSCRIBED, present
from triad_serving.media.windows import Window

MOST_ROWS = 2048  # of one request whose recording is read in windows
NEGLIGIBLE = 0.02  # effect of a medium, or of two together, as a share of the range of the coalitions' values


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """The rows of one request, the example itself first.

    variants: of the example, itself first; of each its row, or where it is read in windows their rows.
    coalitions: variant by coalition of the present media, where Shapley values are wanted. parts: what is
    hidden, where occlusion is wanted; hidden: the variant without each, None where nothing else is left.
    """

    rows: tuple[ModelInputs, ...]
    variants: tuple[tuple[int, ...], ...] = ((0,),)
    windows: Sequence[Window] = ()
    coalitions: Mapping[int, int] = field(default_factory=dict)
    parts: Parts | None = None
    hidden: tuple[int | None, ...] = ()


def plan(
    inputs: ModelInputs,
    options: Options,
    spec: PreprocessSpec,
    *,
    most_parts: int,
    windows: Sequence[Window] = (),
) -> Plan:
    """most_parts: to hide of one medium. windows: of a recording that is read so; inputs has the first.

    Raises TooLargeError where that would be too many rows.
    """
    if options.explain == "none" and not windows:
        return Plan(rows=(inputs,))
    drawn_up = _DrawingUp(spec=spec, windows=windows)
    drawn_up.add(inputs)
    coalitions: dict[int, int] = {}
    parts: Parts | None = None
    hidden: list[int | None] = []
    if options.explain in ("shapley", "all"):
        for subset in media_subsets(inputs.media):
            coalition = coalition_of(subset, inputs.media)
            coalitions[coalition] = 0 if subset == inputs.media else drawn_up.add(inputs.only(*subset))
    if options.explain in ("occlusion", "all"):
        parts = parts_of(inputs, spec, most=most_parts, windows=windows)
        hidden = [drawn_up.without(part, inputs) for part in parts.parts]
    return Plan(
        rows=tuple(drawn_up.rows),
        variants=tuple(drawn_up.variants),
        windows=windows,
        coalitions=coalitions,
        parts=parts,
        hidden=tuple(hidden),
    )


@dataclass(kw_only=True, eq=False)
class _DrawingUp:
    """A plan's rows while they are collected."""

    spec: PreprocessSpec
    windows: Sequence[Window]
    rows: list[ModelInputs] = field(default_factory=list)
    variants: list[tuple[int, ...]] = field(default_factory=list)

    def add(self, variant: ModelInputs) -> int:
        """Its number among the variants."""
        further = self.windows[1:] if variant.of(TRANSCRIBED.name) is not None else ()
        heard = [variant.having(TRANSCRIBED.name, window.item) for window in further]
        return self._append([self._row(each) for each in (variant, *heard)])

    def without(self, part: Part, inputs: ModelInputs) -> int | None:
        """Likewise of the example without a part; None where nothing is left of it."""
        if not self.windows or part.medium != TRANSCRIBED.name:
            rest = hide(inputs, [part], self.spec)
            return self.add(rest) if rest.media else None
        found = list(self.variants[0])
        for w, window in enumerate(self.windows):
            first, last = part.first - window.first, part.last - window.first
            own = dataclasses.replace(part, first=max(first, 0), last=last)
            if last > 0 and first < TRANSCRIBED.token_count(window.item, self.spec.of(TRANSCRIBED.name)):
                found[w] = self._row(hide(inputs.having(TRANSCRIBED.name, window.item), [own], self.spec))
        return self._append(found)

    def _append(self, rows: Sequence[int]) -> int:
        self.variants.append(tuple(rows))
        return len(self.variants) - 1

    def _row(self, inputs: ModelInputs) -> int:
        if self.windows and len(self.rows) >= MOST_ROWS:
            raise TooLargeError(
                f"A recording of {len(self.windows)} windows takes more than {MOST_ROWS} rows so; "
                "send a shorter one, or ask for no explanation.",
                field=TRANSCRIBED.name,
                limit=MOST_ROWS,
            )
        self.rows.append(inputs)
        return len(self.rows) - 1


def join_variants(
    planned: Plan, rows: Sequence[ModelOutputs], transcripts: Sequence[str]
) -> list[ModelOutputs]:
    """Of each variant what its windows say together. rows: the plan's. transcripts: names of the tasks."""
    return [
        join_windows([rows[row] for row in variant], planned.windows, transcripts)
        for variant in planned.variants
    ]


def check_target(target: str | None, tasks: Sequence[Task]) -> None:
    """Raises ParameterError where no task has such a label; a transcript's symbols are none."""
    labels = (task.labels for task in tasks if task.type != "transcript")
    if target is not None and not any(target in each for each in labels):
        raise ParameterError(f"No task has the label {target[:80]!r}.", field="target", value=target)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Game:
    """What is explained of a task, its value in each variant, [R], and where nothing is known."""

    label: str | None
    values_R: F64
    baseline: float


def explain(
    predictions: Mapping[str, TaskPrediction],
    planned: Plan,
    variants: Sequence[ModelOutputs],
    *,
    manifest: BundleManifest,
    target: str | None,
    decoders: Mapping[str, Decoder] = NO_DECODERS,
) -> dict[str, TaskPrediction]:
    """The predictions, each with what the variants say about it. target: a label to explain.

    Raises UnanswerableError where a variant's answer is not finite.
    """
    explained = {}
    for task in manifest.tasks:
        answer = predictions.get(task.name)
        if answer is None:
            continue
        if isinstance(answer, Transcript):
            game = _play_transcript(decoders[task.name], answer, variants)
        else:
            game = _play(task, np.stack([variant.logits_K[task.name] for variant in variants]), target)
        details: dict[str, object] = {}
        if planned.coalitions:
            details["attribution"] = _attribute(game, planned)
        if planned.parts:
            weights = variants[0].attention[task.name]
            details["occlusion"] = _occlude(game, planned, weights, manifest.preprocess)
        explained[task.name] = answer.model_copy(update=details)
    return explained


def _play_transcript(decoder: Decoder, answer: Transcript, variants: Sequence[ModelOutputs]) -> _Game:
    """The probability of the answered symbols; 0 without a sound, and where nothing is known."""
    task = decoder.task
    symbols_U = [1 + task.labels.index(each.symbol) for each in answer.symbols]
    values = [
        decoder.probability(logits_SK, symbols_U) if len(logits_SK := variant.logits_K[task.name]) else 0.0
        for variant in variants
    ]
    return _Game(label=answer.text, values_R=np.array(values), baseline=0.0)


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
    for coalition, variant in planned.coalitions.items():
        values_1S[0, coalition] = game.values_R[variant]
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
    left = [game.baseline if variant is None else game.values_R[variant] for variant in planned.hidden]
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
