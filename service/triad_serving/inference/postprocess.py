"""Logits to probabilities, labels and values; attention back to words, regions and seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from triad_serving.contract.arrays import F32
from triad_serving.contract.errors import InferenceError
from triad_serving.contract.outputs import MediumName, ModelOutputs
from triad_serving.contract.tasks import Task
from triad_serving.inference.bundle import BundleManifest
from triad_serving.inference.schemas import (
    Attention,
    AudioReport,
    Classification,
    FusionLayer,
    ImageAttention,
    ImageReport,
    InputsReport,
    LabelProbability,
    Multilabel,
    Options,
    Regression,
    SoundAttention,
    TaskPrediction,
    TextReport,
    WordAttention,
)
from triad_serving.media.audio.spec import AudioInput, AudioSpec
from triad_serving.media.example import ModelInputs, PreprocessSpec
from triad_serving.media.image.spec import ImageSpec
from triad_serving.media.text.spec import UNKNOWN_ID, TextInput

DECIMALS = 6  # of shares and seconds; float32 noise would print as 0.9800000190734863
SILENT_PEAK = 10 ** (-60 / 20)  # -60 dBFS: below the noise of any room that was recorded


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


def predict_tasks(
    outputs: ModelOutputs, inputs: ModelInputs, text: str | None, manifest: BundleManifest, options: Options
) -> dict[str, TaskPrediction]:
    """One answer per task; text: as sent, for the words of the attention.

    Raises InferenceError where the graph's answer is not finite.
    """
    answers: dict[str, TaskPrediction] = {}
    for task in manifest.tasks:
        attention = None
        if options.attention == "modality":
            attention = _media_attention(outputs.attention[task.name], manifest.preprocess)
        elif options.attention == "full":
            weights, rollout = outputs.attention[task.name], outputs.rollout[task.name]
            attention = describe_attention(weights, rollout, inputs, text, manifest.preprocess)
        answers[task.name] = _task_prediction(outputs.logits_K[task.name], task, attention, options.top_k)
    return answers


def describe_inputs(inputs: ModelInputs) -> InputsReport:
    text = image = audio = None
    if seen := inputs.image:
        image = ImageReport(format=seen.format, width=seen.width, height=seen.height)
    if read := inputs.text:
        text = TextReport(characters=read.characters, tokens=len(read.ids_L), truncated=read.truncated)
    if heard := inputs.audio:
        audio = AudioReport(
            format=heard.format,
            seconds=round(heard.seconds, DECIMALS),
            sample_rate=heard.sample_rate_hz,
            truncated=heard.truncated,
        )
    return InputsReport(text=text, image=image, audio=audio)


def warnings_about(inputs: ModelInputs, spec: PreprocessSpec) -> list[str]:
    """What the user sent that the model could not make full use of."""
    warnings: list[str] = []
    if inputs.text and spec.text:
        if inputs.text.truncated:
            warnings.append(f"The text was cut off after {spec.text.max_tokens} tokens.")
        if (inputs.text.ids_L == UNKNOWN_ID).all():
            warnings.append("The model knows no word of the text.")
    if inputs.audio and spec.audio:
        if inputs.audio.truncated:
            warnings.append(f"The sound was cut off after {spec.audio.max_s:g} s.")
        if inputs.audio.peak < SILENT_PEAK:
            warnings.append("The sound is silent.")
    return warnings


def _task_prediction(logits_K: F32, task: Task, attention: Attention | None, top_k: int) -> TaskPrediction:
    values_K = probabilities(logits_K, task)
    if not np.isfinite(values_K).all():
        raise InferenceError(f"The model's answer for {task.name} is not a finite number.")
    if task.type == "regression":
        return Regression(value=float(str(values_K[0])), attention=attention)  # str: shortest float32
    order: list[int] = np.argsort(-values_K, kind="stable").tolist()
    shares = _rounded(values_K)
    top = [LabelProbability(label=task.labels[k], probability=shares[k]) for k in order[:top_k]]
    if task.type == "multilabel":
        labels = [task.labels[k] for k in order if values_K[k] > 0.5]
        return Multilabel(labels=labels, top=top, attention=attention)
    return Classification(label=top[0].label, probability=top[0].probability, top=top, attention=attention)


def _media_attention(weights: Mapping[MediumName, F32], spec: PreprocessSpec) -> Attention:
    shares = {medium: float(weights[medium].sum()) if medium in weights else 0.0 for medium in spec.media}
    return Attention(modalities={medium: round(share, DECIMALS) for medium, share in shares.items()})


def describe_attention(
    weights: Mapping[MediumName, F32],
    rollout: Mapping[MediumName, F32],
    inputs: ModelInputs,
    text: str | None,
    spec: PreprocessSpec,
) -> Attention:
    """How much on each medium, and where within each present one, in the coordinates of the media as sent."""
    details: dict[str, object] = {}
    if inputs.text and text:
        details["text"] = _word_attention(weights["text"], rollout["text"], inputs.text, text)
    if inputs.image and spec.image:
        details["image"] = ImageAttention(
            rows=spec.image.rows,
            columns=spec.image.columns,
            region=inputs.image.region,
            weights=_grid(weights["image"], spec.image),
            rollout=_grid(rollout["image"], spec.image),
        )
    if inputs.audio and spec.audio:
        details["audio"] = _sound_attention(weights["audio"], rollout["audio"], inputs.audio, spec.audio)
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


def _word_attention(weights_L: F32, rollout_L: F32, words: TextInput, text: str) -> list[WordAttention]:
    pairs = zip(words.spans, _rounded(weights_L), _rounded(rollout_L), strict=True)
    return [
        WordAttention(token=text[start:end], start=start, end=end, weight=weight, rollout=rollout)
        for (start, end), weight, rollout in pairs
    ]


def _grid(weights_C: F32, spec: ImageSpec) -> list[list[float]]:
    weights = _rounded(weights_C)
    return [weights[row * spec.columns : (row + 1) * spec.columns] for row in range(spec.rows)]


def _sound_attention(
    weights_S: F32, rollout_S: F32, sound: AudioInput, spec: AudioSpec
) -> list[SoundAttention]:
    pairs = zip(_rounded(weights_S), _rounded(rollout_S), strict=True)
    return [
        SoundAttention(start=start, end=end, weight=weight, rollout=rollout)
        for s, (weight, rollout) in enumerate(pairs)
        for start, end in [describe_moment(s, s + 1, sound, spec)]
    ]


def describe_moment(first: int, last: int, sound: AudioInput, spec: AudioSpec) -> tuple[float, float]:
    """Start and end of sound tokens [first, last), in seconds of the sound as sent."""
    start_s, end_s = (sound.start_s + token * spec.token_s for token in (first, last))
    return round(start_s, DECIMALS), round(min(end_s, sound.seconds), DECIMALS)


def _rounded(values: F32) -> list[float]:
    rounded: list[float] = values.astype(np.float64).round(DECIMALS).tolist()
    return rounded
