"""Logits to probabilities, labels and values; attention back to the coordinates of what was sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from triad_serving.contract.arrays import F32
from triad_serving.contract.errors import UnanswerableError
from triad_serving.contract.outputs import MediumName, ModelOutputs
from triad_serving.contract.schema import DECIMALS, rounded
from triad_serving.contract.tasks import DEFAULT_THRESHOLD, Task
from triad_serving.inference.answer import (
    Attention,
    Classification,
    FusionLayer,
    InputsReport,
    LabelProbability,
    Multilabel,
    Regression,
    Symbol,
    TaskPrediction,
    Transcript,
)
from triad_serving.inference.bundle import BundleManifest
from triad_serving.inference.options import Options
from triad_serving.inference.transcribe.decoder import Decoder, Heard, text_of
from triad_serving.media.example import ModelInputs, PreprocessSpec
from triad_serving.media.registry import TRANSCRIBED, present

NO_DECODERS: Mapping[str, Decoder] = {}


def probabilities(logits_K: F32, task: Task) -> F32:
    """Calibrated probabilities of one row [K] or of a batch [B, K]; a regression's values stay as they are.

    A class's probabilities sum to 1, a tag's stand alone.
    """
    if task.type == "regression":
        return logits_K
    scaled_K = logits_K / np.float32(task.temperature)
    if task.type == "multilabel":
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * scaled_K)), dtype=np.float32)  # sigmoid, overflow-free
    exp_K = np.exp(scaled_K - scaled_K.max(axis=-1, keepdims=True))
    return np.asarray(exp_K / exp_K.sum(axis=-1, keepdims=True), dtype=np.float32)


def holding(probability_K: F32, task: Task) -> npt.NDArray[np.bool_]:
    """Which tags of a multilabel are answered, of one row [K] or of a batch [B, K]."""
    return np.asarray(probability_K > np.asarray(task.thresholds or DEFAULT_THRESHOLD))


def first_answered(probability_K: F32, task: Task) -> int:
    """The likeliest class; of a multilabel the likeliest tag of those that hold, where any does."""
    if task.type == "multilabel" and (holds_K := holding(probability_K, task)).any():
        probability_K = np.where(holds_K, probability_K, -1)
    return int(probability_K.argmax())


def predict_tasks(
    outputs: ModelOutputs,
    inputs: ModelInputs,
    manifest: BundleManifest,
    options: Options,
    decoders: Mapping[str, Decoder] = NO_DECODERS,
) -> dict[str, TaskPrediction]:
    """One answer per task, no transcript without a sound. decoders: the bundle's.

    Raises UnanswerableError where what the graph says of a task is not finite.
    """
    answers: dict[str, TaskPrediction] = {}
    for task in manifest.tasks:
        if task.type == "transcript" and not len(outputs.logits_K[task.name]):
            continue
        attention = None
        if options.attention == "modality":
            attention = _media_attention(outputs.attention[task.name], manifest.preprocess)
        elif options.attention == "full":
            weights, rollout = outputs.attention[task.name], outputs.rollout[task.name]
            require_finite(sum(float(values.sum()) for values in rollout.values()), task)
            attention = describe_attention(weights, rollout, inputs, manifest.preprocess)
        if attention is not None:
            require_finite(sum(attention.modalities.values()), task)
        if task.type == "transcript":
            heard = decoders[task.name].decode(outputs.logits_K[task.name])
            answers[task.name] = _transcript(heard, task, inputs, manifest.preprocess, attention)
        else:
            answers[task.name] = _task_prediction(outputs.logits_K[task.name], task, attention, options.top_k)
    return answers


def require_finite(values: npt.ArrayLike, task: Task) -> None:
    """Raises UnanswerableError."""
    if not np.isfinite(values).all():
        raise UnanswerableError(f"The model has no finite answer for {task.name} to this input.")


def _transcript(
    heard: Heard, task: Task, inputs: ModelInputs, spec: PreprocessSpec, attention: Attention | None
) -> Transcript:
    item, own = inputs.of(TRANSCRIBED.name), spec.of(TRANSCRIBED.name)
    moments = [TRANSCRIBED.moment(first, last, item, own) for first, last in heard.spans_U2.tolist()]
    shares = heard.probabilities_U.round(DECIMALS).tolist()
    return Transcript(
        text=text_of(heard.symbols_U, task),
        probability=round(heard.probability, DECIMALS),
        symbols=[
            Symbol(symbol=task.labels[k - 1], start=start, end=end, probability=share)
            for k, (start, end), share in zip(heard.symbols_U, moments, shares, strict=True)
        ],
        attention=attention,
    )


def describe_inputs(inputs: ModelInputs, spec: PreprocessSpec) -> InputsReport:
    reports = {
        medium.name: medium.describe_item(item, spec.of(medium.name)) for medium, item in present(inputs)
    }
    return InputsReport().model_copy(update=reports)


def warnings_about(inputs: ModelInputs, spec: PreprocessSpec, transcripts: Iterable[str] = ()) -> list[str]:
    """What the user sent that the model could not make full use of, and what it lacked for these tasks."""
    warnings = [
        warning for medium, item in present(inputs) for warning in medium.warnings(item, spec.of(medium.name))
    ]
    if inputs.of(TRANSCRIBED.name) is None:
        warnings += [f"{task}: needs a {TRANSCRIBED.titles['en']}." for task in transcripts]
    return warnings


def _task_prediction(logits_K: F32, task: Task, attention: Attention | None, top_k: int) -> TaskPrediction:
    values_K = probabilities(logits_K, task)
    require_finite(values_K, task)
    if task.type == "regression":
        return Regression(value=float(str(values_K[0])), attention=attention)  # str: shortest float32
    order: list[int] = np.argsort(-values_K, kind="stable").tolist()
    shares = rounded(values_K)
    top = [
        LabelProbability(
            label=task.labels[k],
            probability=shares[k],
            threshold=task.thresholds[k] if task.thresholds else None,
        )
        for k in order[:top_k]
    ]
    if task.type == "multilabel":
        holds_K = holding(values_K, task)
        return Multilabel(labels=[task.labels[k] for k in order if holds_K[k]], top=top, attention=attention)
    return Classification(
        label=top[0].label,
        probability=top[0].probability,
        abstained=bool(values_K[order[0]] < task.abstain_below) if task.abstain_below else None,
        top=top,
        attention=attention,
    )


def _media_attention(weights: Mapping[MediumName, F32], spec: PreprocessSpec) -> Attention:
    shares = {medium: float(weights[medium].sum()) if medium in weights else 0.0 for medium in spec.media}
    return Attention(modalities={medium: round(share, DECIMALS) for medium, share in shares.items()})


def describe_attention(
    weights: Mapping[MediumName, F32],
    rollout: Mapping[MediumName, F32],
    inputs: ModelInputs,
    spec: PreprocessSpec,
) -> Attention:
    """How much on each medium, and where within each present one, in the coordinates of the media as sent."""
    details = {
        medium.name: medium.describe_attention(
            item, spec.of(medium.name), weights[medium.name], rollout[medium.name]
        )
        for medium, item in present(inputs)
    }
    return _media_attention(weights, spec).model_copy(update=details)


def describe_fusion(
    fusion_HMM: Sequence[F32], inputs: ModelInputs, spec: PreprocessSpec
) -> list[FusionLayer]:
    """What every head of every layer of fusion attended to, between the media that are present."""
    places = {medium: spec.media.index(medium) for medium in inputs.media}
    return [
        FusionLayer(
            heads=[
                {
                    of: {to: round(float(shares_MM[i, j]), DECIMALS) for to, j in places.items()}
                    for of, i in places.items()
                }
                for shares_MM in layer_HMM
            ]
        )
        for layer_HMM in fusion_HMM
    ]
