"""The answer to a request: what was predicted, where the model looked, why.

The one place beside the media's folders that names them: each is a field of the JSON.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, WithJsonSchema

from triad_serving.contract.device import Precision
from triad_serving.contract.schema import Absent, Schema
from triad_serving.media.audio.schemas import AudioReport, SoundAttention, SoundOcclusion
from triad_serving.media.fields.schemas import FieldAttention, FieldOcclusion, FieldsReport
from triad_serving.media.image.schemas import ImageAttention, ImageOcclusion, ImageReport
from triad_serving.media.registry import NAMES
from triad_serving.media.text.schemas import TextReport, WordAttention, WordOcclusion

Relation = Literal["contradict", "overlap", "add up", "complete"]
Medium: TypeAlias = Annotated[str, WithJsonSchema({"enum": list(NAMES), "type": "string"})]


class InputsReport(Schema):
    """What arrived, as understood; a medium that was not sent is absent."""

    text: TextReport | Absent = None
    image: ImageReport | Absent = None
    audio: AudioReport | Absent = None
    fields: FieldsReport | Absent = None


class LabelProbability(Schema):
    label: str = Field(examples=["7"])
    probability: float = Field(description="Calibrated.", examples=[0.98])
    threshold: float | Absent = Field(
        default=None,
        description="Above it the label holds; absent where it is 0.5, and of a `classification`.",
        examples=[0.31],
    )


class Attention(Schema):
    """Where the model looked for one task: every weight is a share of 1 over all media."""

    modalities: dict[Medium, float] = Field(
        description="Share of each medium that the model reads; exactly 0 for one that was not sent.",
        examples=[{"text": 0.21, "image": 0.47, "audio": 0.32}],
    )
    text: list[WordAttention] | Absent = Field(default=None, description="Only with `attention=full`.")
    image: ImageAttention | Absent = Field(default=None, description="Only with `attention=full`.")
    audio: list[SoundAttention] | Absent = Field(default=None, description="Only with `attention=full`.")
    fields: list[FieldAttention] | Absent = Field(default=None, description="Only with `attention=full`.")


class FusionLayer(Schema):
    """A layer in which the tokens of all media look at each other."""

    heads: list[dict[Medium, dict[Medium, float]]] = Field(
        description="For each head and present medium, how much its tokens attended to those of each.",
        examples=[[{"text": {"text": 0.7, "image": 0.3}, "image": {"text": 0.4, "image": 0.6}}]],
    )


class Interaction(Schema):
    """Shapley interaction index: what two media add together beyond what each adds."""

    media: tuple[Medium, Medium] = Field(examples=[("text", "image")])
    value: float = Field(
        description="Above 0: they need each other; below 0: they say the same.", examples=[-0.21]
    )
    relation: Relation = Field(
        description="`contradict`: alone, one speaks for the target, the other against it. Else `overlap`: "
        "they agree, so that one adds little to the other; `add up`: each adds its own; `complete`: together "
        "they say more than each does."
    )


class Attribution(Schema):
    """Exact Shapley values: `baseline` and the present media's values sum to the target's probability.

    Of a regression they sum to its value.
    """

    method: Literal["shapley"] = "shapley"
    target: str | Absent = Field(
        default=None, description="The label explained, or a transcript's text.", examples=["7"]
    )
    baseline: float = Field(
        description="What is known without any medium: its share in training; 0 for a transcript.",
        examples=[0.1],
    )
    text: float | Absent = Field(default=None, examples=[0.2])
    image: float | Absent = Field(default=None, examples=[0.5])
    audio: float | Absent = Field(default=None, examples=[0.18])
    fields: float | Absent = Field(default=None, examples=[0.1])
    interactions: list[Interaction] = Field(description="Of every pair of present media.")


class Occlusion(Schema):
    """What happens to the answer where one part is hidden, beside the attention that the part got."""

    method: Literal["occlusion"] = "occlusion"
    target: str | Absent = Field(
        default=None, description="The label explained, or a transcript's text.", examples=["7"]
    )
    value: float = Field(
        description="The target's probability (a regression's value) with all.", examples=[0.98]
    )
    text: list[WordOcclusion] | Absent = Field(default=None, description="Words left out.")
    image: ImageOcclusion | Absent = Field(default=None, description="Cells in the image's mean colour.")
    audio: list[SoundOcclusion] | Absent = Field(default=None, description="Moments silenced.")
    fields: list[FieldOcclusion] | Absent = Field(default=None, description="Fields made missing.")


# What every kind of answer may hold; named in each, since a base class would put it first in the JSON.
MaybeAttention = Annotated[Attention | Absent, Field(description="Absent with `attention=none`.")]
MaybeAttribution = Annotated[Attribution | Absent, Field(description="Only with `explain=shapley` or `all`.")]
MaybeOcclusion = Annotated[Occlusion | Absent, Field(description="Only with `explain=occlusion` or `all`.")]


class Classification(Schema):
    """Exactly one label holds."""

    type: Literal["classification"] = "classification"
    label: str = Field(examples=["7"])
    probability: float = Field(description="Calibrated.", examples=[0.98])
    abstained: bool | Absent = Field(
        default=None,
        description="Whether the probability is too low to rely on the label, of a model that abstains.",
        examples=[False],
    )
    top: list[LabelProbability] = Field(description="The `top_k` likeliest labels.")
    attention: MaybeAttention = None
    attribution: MaybeAttribution = None
    occlusion: MaybeOcclusion = None


class Multilabel(Schema):
    """Any number of labels hold; each has its own probability."""

    type: Literal["multilabel"] = "multilabel"
    labels: list[str] = Field(description="Labels with a probability above their threshold, likeliest first.")
    top: list[LabelProbability] = Field(description="The `top_k` likeliest labels.")
    attention: MaybeAttention = None
    attribution: MaybeAttribution = None
    occlusion: MaybeOcclusion = None


class Regression(Schema):
    type: Literal["regression"] = "regression"
    value: float = Field(description="In the unit of the training table.", examples=[36.6])
    attention: MaybeAttention = None
    attribution: MaybeAttribution = None
    occlusion: MaybeOcclusion = None


class Symbol(Schema):
    """One symbol of a transcript, and when it was heard."""

    symbol: str = Field(examples=["four"])
    start: float = Field(description="Seconds of the sound as sent.", examples=[0.31])
    end: float = Field(examples=[0.55])
    probability: float = Field(description="That this symbol is right, calibrated.", examples=[0.99])


class Transcript(Schema):
    """What was said, symbol by symbol: words, syllables or characters, as the model's table has them."""

    type: Literal["transcript"] = "transcript"
    text: str = Field(examples=["four seven one"])
    probability: float = Field(description="That all of it is right, calibrated.", examples=[0.93])
    symbols: list[Symbol] = Field(description="In the order in which they were heard.")
    attention: MaybeAttention = None
    attribution: MaybeAttribution = None
    occlusion: MaybeOcclusion = None


TaskPrediction = Annotated[Classification | Multilabel | Regression | Transcript, Field(discriminator="type")]


class Prediction(Schema):
    id: str = Field(description="Also in `X-Request-ID`.", examples=["req-5f2b1c0a9d3e4f60"])
    model: str = Field(examples=["digits"])
    version: str = Field(examples=["1"])
    precision: Precision = Field(description="Of the numbers that the graph computed with.")
    inputs: InputsReport
    predictions: dict[str, TaskPrediction] = Field(
        description="One answer per task; no `transcript` where no sound was sent."
    )
    fusion: list[FusionLayer] | Absent = Field(default=None, description="Only with `attention=full`.")
    warnings: list[str] = Field(
        description="What may make the answer worse than it could be.",
        examples=[["The sound is silent."]],
    )
