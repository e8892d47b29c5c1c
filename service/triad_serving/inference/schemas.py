"""What users send besides the media, and what they get: the text and examples of the OpenAPI pages.

A field that does not apply is absent, never null: serialise with `to_json`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema

from triad_serving.contract.outputs import MediumName

Absent = SkipJsonSchema[None]  # absent rather than null, so the schema need not offer null


Language = Literal["en", "zh"]
Relation = Literal["contradict", "overlap", "add up", "complete"]
ROLLOUT = "The weight traced back through the layers of fusion: attention rollout."
DROP = "How far the target's probability (a regression's value) falls without it; below 0: it rises."

Number = Annotated[int | float, WithJsonSchema({"type": "number"})]  # 40000 stays 40000, not 40000.0


class Schema(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    def to_json(self, *, indent: int | None = None) -> str:
        return self.model_dump_json(exclude_none=True, indent=indent)


class Options(Schema):
    """What to answer, besides the media themselves."""

    model: str | Absent = Field(
        None,
        description="Name of the model; by default the only one, or the first by name.",
        examples=["digits"],
    )
    version: str | Absent = Field(
        None, description="Version of the model; by default its highest.", examples=["1"]
    )
    top_k: int = Field(5, ge=1, le=1000, description="Most labels listed per task, likeliest first.")
    attention: Literal["none", "modality", "full"] = Field(
        "modality",
        description="`modality`: how much weight fell on text, image and sound. "
        "`full`: also on which words, image cells and moments.",
    )
    explain: Literal["none", "shapley", "occlusion", "all"] = Field(
        "none",
        description="`shapley`: what each medium contributed, exactly, and how they interact. `occlusion`: "
        "how the answer changes without each word, image cell and moment; slower. `all`: both.",
    )
    target: str | Absent = Field(
        None,
        description="The label to explain, where a task has it; by default the one that is answered.",
        examples=["1"],
    )


class ExplainOptions(Options):
    """What to show: everything, unless less is asked for."""

    attention: Literal["none", "modality", "full"] = Field(
        "full", description=Options.model_fields["attention"].description
    )
    explain: Literal["none", "shapley", "occlusion", "all"] = Field(
        "all", description=Options.model_fields["explain"].description
    )
    language: Language | Absent = Field(
        None,
        description="Of a picture or page; by default what `Accept-Language` likes best, else English.",
    )


class TextReport(Schema):
    characters: int = Field(description="Unicode code points, as sent.", examples=[9])
    tokens: int = Field(description="Tokens that the model read.", examples=[5])
    truncated: bool = Field(description="Whether tokens past the model's limit were cut off.")


class ImageReport(Schema):
    format: str = Field(examples=["PNG"])
    width: int = Field(description="Pixels as sent, upright.", examples=[28])
    height: int = Field(description="Pixels as sent, upright.", examples=[28])


class AudioReport(Schema):
    format: str = Field(examples=["WAV"])
    seconds: float = Field(description="As sent.", examples=[0.52])
    sample_rate: int = Field(description="Hz, as sent.", examples=[8000])
    truncated: bool = Field(description="Whether sound past the model's limit was cut off.")


class InputsReport(Schema):
    """What arrived, as understood; a medium that was not sent is absent."""

    text: TextReport | Absent = None
    image: ImageReport | Absent = None
    audio: AudioReport | Absent = None


class LabelProbability(Schema):
    label: str = Field(examples=["7"])
    probability: float = Field(description="Calibrated.", examples=[0.98])


class Word(Schema):
    """`start` and `end` are character offsets in the text as sent."""

    token: str = Field(description="The slice of the text as sent.", examples=["七"])
    start: int = Field(examples=[6])
    end: int = Field(examples=[7])


class WordAttention(Word):
    """One token of the text."""

    weight: float = Field(examples=[0.18])
    rollout: float = Field(description=ROLLOUT, examples=[0.12])


class Grid(Schema):
    """Over a region of the image as sent; `rows` lists of `columns` numbers, top left first."""

    rows: int = Field(examples=[2])
    columns: int = Field(examples=[2])
    region: tuple[int, int, int, int] = Field(
        description="Left, top, right, bottom, in pixels of the image as sent (upright); it reaches beyond "
        "the image where the model pads, and leaves its edges out where the model crops.",
        examples=[(0, 0, 28, 28)],
    )


class ImageAttention(Grid):
    weights: list[list[float]] = Field(examples=[[[0.1, 0.2], [0.1, 0.07]]])
    rollout: list[list[float]] = Field(description=ROLLOUT, examples=[[[0.1, 0.15], [0.1, 0.1]]])


class Moment(Schema):
    """One stretch of the sound as sent, in seconds."""

    start: float = Field(examples=[0.0])
    end: float = Field(examples=[0.04])


class SoundAttention(Moment):
    weight: float = Field(examples=[0.004])
    rollout: float = Field(description=ROLLOUT, examples=[0.006])


class Attention(Schema):
    """Where the model looked for one task: every weight is a share of 1 over all media."""

    modalities: dict[MediumName, float] = Field(
        description="Share of each medium that the model reads; exactly 0 for one that was not sent.",
        examples=[{"text": 0.21, "image": 0.47, "audio": 0.32}],
    )
    text: list[WordAttention] | Absent = Field(None, description="Only with `attention=full`.")
    image: ImageAttention | Absent = Field(None, description="Only with `attention=full`.")
    audio: list[SoundAttention] | Absent = Field(None, description="Only with `attention=full`.")


class FusionLayer(Schema):
    """A layer in which the tokens of all media look at each other."""

    heads: list[dict[MediumName, dict[MediumName, float]]] = Field(
        description="For each head and present medium, how much its tokens attended to those of each.",
        examples=[[{"text": {"text": 0.7, "image": 0.3}, "image": {"text": 0.4, "image": 0.6}}]],
    )


class Interaction(Schema):
    """Shapley interaction index: what two media add together beyond what each adds."""

    media: tuple[MediumName, MediumName] = Field(examples=[("text", "image")])
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
    target: str | Absent = Field(None, description="The label explained.", examples=["7"])
    baseline: float = Field(
        description="What is known without any medium: its share in training.", examples=[0.1]
    )
    text: float | Absent = Field(None, examples=[0.2])
    image: float | Absent = Field(None, examples=[0.5])
    audio: float | Absent = Field(None, examples=[0.18])
    interactions: list[Interaction] = Field(description="Of every pair of present media.")


class WordOcclusion(Word):
    """One word, or several in a row of a long text."""

    drop: float = Field(description=DROP, examples=[0.31])
    weight: float = Field(description="Attention.", examples=[0.18])


class ImageOcclusion(Grid):
    drops: list[list[float]] = Field(description=DROP, examples=[[[0.02, 0.2], [0.1, -0.01]]])
    weights: list[list[float]] = Field(description="Attention.", examples=[[[0.1, 0.2], [0.1, 0.07]]])


class SoundOcclusion(Moment):
    drop: float = Field(description=DROP, examples=[0.05])
    weight: float = Field(description="Attention.", examples=[0.004])


class Occlusion(Schema):
    """What happens to the answer where one part is hidden, beside the attention that the part got."""

    method: Literal["occlusion"] = "occlusion"
    target: str | Absent = Field(None, description="The label explained.", examples=["7"])
    value: float = Field(
        description="The target's probability (a regression's value) with all.", examples=[0.98]
    )
    text: list[WordOcclusion] | Absent = Field(None, description="Words left out.")
    image: ImageOcclusion | Absent = Field(None, description="Cells in the image's mean colour.")
    audio: list[SoundOcclusion] | Absent = Field(None, description="Moments silenced.")


# What every kind of answer may hold; named in each, since a base class would put it first in the JSON.
MaybeAttention = Annotated[Attention | Absent, Field(description="Absent with `attention=none`.")]
MaybeAttribution = Annotated[Attribution | Absent, Field(description="Only with `explain=shapley` or `all`.")]
MaybeOcclusion = Annotated[Occlusion | Absent, Field(description="Only with `explain=occlusion` or `all`.")]


class Classification(Schema):
    """Exactly one label holds."""

    type: Literal["classification"] = "classification"
    label: str = Field(examples=["7"])
    probability: float = Field(description="Calibrated.", examples=[0.98])
    top: list[LabelProbability] = Field(description="The `top_k` likeliest labels.")
    attention: MaybeAttention = None
    attribution: MaybeAttribution = None
    occlusion: MaybeOcclusion = None


class Multilabel(Schema):
    """Any number of labels hold; each has its own probability."""

    type: Literal["multilabel"] = "multilabel"
    labels: list[str] = Field(description="Labels with a probability above 0.5, likeliest first.")
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


TaskPrediction = Annotated[Classification | Multilabel | Regression, Field(discriminator="type")]


class Prediction(Schema):
    id: str = Field(description="Also in `X-Request-ID`.", examples=["req-5f2b1c0a9d3e4f60"])
    model: str = Field(examples=["digits"])
    version: str = Field(examples=["1"])
    inputs: InputsReport
    predictions: dict[str, TaskPrediction] = Field(description="One answer per task.")
    fusion: list[FusionLayer] | Absent = Field(None, description="Only with `attention=full`.")
    warnings: list[str] = Field(
        description="What may make the answer worse than it could be.",
        examples=[["The sound is silent."]],
    )


class Problem(Schema):
    """RFC 9457. `field`, `limit` and `value` where they apply."""

    type: str = Field(examples=["urn:triad:problem:too-large"])
    title: str = Field(examples=["Too large"])
    status: int = Field(examples=[413])
    detail: str = Field(examples=["The text has 12000 characters; at most 10000 are read."])
    field: str | Absent = Field(None, description="The part or parameter at fault.", examples=["text"])
    limit: Number | Absent = Field(None, examples=[10000])
    value: Number | str | Absent = Field(None, examples=[12000])
    id: str = Field(description="Also in `X-Request-ID`.", examples=["req-5f2b1c0a9d3e4f60"])


class TextFormat(Schema):
    max_tokens: int = Field(description="Tokens past it are cut off.", examples=[64])
    vocabulary: int = Field(description="Words and characters that the model knows.", examples=[812])


class ImageFormat(Schema):
    width: int = Field(description="Pixels that images are resized to.", examples=[56])
    height: int = Field(description="Pixels that images are resized to.", examples=[56])
    formats: list[str] = Field(examples=[["JPEG", "PNG"]])


class AudioFormat(Schema):
    sample_rate: int = Field(description="Hz that sound is resampled to.", examples=[8000])
    max_seconds: float = Field(description="Sound past it is cut off.", examples=[5.0])
    formats: list[str] = Field(examples=[["WAV", "FLAC"]])


class ModelInputFormats(Schema):
    """A medium that the model does not read is absent."""

    text: TextFormat | Absent = None
    image: ImageFormat | Absent = None
    audio: AudioFormat | Absent = None


class TaskReport(Schema):
    name: str = Field(examples=["digit"])
    type: Literal["classification", "multilabel", "regression"]
    labels: list[str] = Field(description="Empty for a regression.", examples=[["0", "1", "2"]])


class ModelVersion(Schema):
    name: str = Field(examples=["digits"])
    version: str = Field(examples=["1"])
    created: str = Field(examples=["2026-11-23T12:00:00Z"])
    description: str = Field(examples=["Which digit was written, spoken or mentioned, and who spoke."])
    parameters: int = Field(description="Weights in the network.", examples=[640000])
    device: Literal["cpu", "cuda"] = Field(description="Where it runs.")
    inputs: ModelInputFormats
    tasks: list[TaskReport]
    metrics: dict[str, Any] = Field(
        description="split -> subset of media -> task -> score -> value",
        examples=[{"test": {"text+image+audio": {"digit": {"accuracy": 0.997}}}}],
    )
    data: str = Field(description="What it was trained on.", examples=["MNIST, FSDD, written sentences."])
    licence: str = Field(description="Licence of the weights.", examples=["Apache-2.0"])
    intended_use: str = Field(examples=["Demonstration; not for cheques."])


class ModelReport(Schema):
    name: str = Field(examples=["digits"])
    description: str = Field(examples=["Which digit was written, spoken or mentioned, and who spoke."])
    default_version: str = Field(examples=["1"])
    versions: list[str] = Field(examples=[["1"]])
    media: list[MediumName] = Field(
        description="What its default version reads.", examples=[["text", "image", "audio"]]
    )
    tasks: list[str] = Field(description="What its default version answers.", examples=[["digit", "speaker"]])


class ModelList(Schema):
    default: str = Field(description="The model that answers where none is named.", examples=["digits"])
    models: list[ModelReport]


class Health(Schema):
    status: Literal["ok"] = "ok"
