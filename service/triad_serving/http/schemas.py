"""What the service answers besides predictions: its models, errors, health."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from triad_serving.contract.device import Precision
from triad_serving.contract.schema import Absent, Schema
from triad_serving.inference.answer import Medium, Prediction
from triad_serving.media.audio.schemas import AudioFormat
from triad_serving.media.fields.schemas import FieldsFormat
from triad_serving.media.image.schemas import ImageFormat
from triad_serving.media.text.schemas import TextFormat

PROBLEM_URN = "urn:triad:problem:"
Number = Annotated[int | float, WithJsonSchema({"type": "number"})]  # 40000 stays 40000, not 40000.0


class Problem(Schema):
    """RFC 9457. `field`, `limit` and `value` where they apply."""

    type: str = Field(examples=["urn:triad:problem:too-large"])
    title: str = Field(examples=["Too large"])
    status: int = Field(examples=[413])
    detail: str = Field(examples=["The text has 12000 characters; at most 10000 are read."])
    field: str | Absent = Field(
        default=None, description="The part or parameter at fault.", examples=["text"]
    )
    limit: Number | Absent = Field(default=None, examples=[10000])
    value: Number | str | Absent = Field(default=None, examples=[12000])
    id: str = Field(description="Also in `X-Request-ID`.", examples=["req-5f2b1c0a9d3e4f60"])


class BatchRow(Schema):
    """One example of many; media that are files are named parts of the request, and rows may share one."""

    text: str | Absent = None
    image: str | Absent = Field(default=None, description="Name of the part that holds it.")
    audio: str | Absent = Field(default=None, description="Name of the part that holds it.")
    fields: dict[str, str | int | float | bool | Absent] | Absent = None


class RowAnswer(Schema):
    """Either the prediction or the problem of one row."""

    row: int = Field(description="Which, from 0.", examples=[0])
    prediction: Prediction | Absent = None
    problem: Problem | Absent = None


class BatchAnswer(Schema):
    answers: list[RowAnswer] = Field(description="One of each row, in their order.")


class ProtocolError(Schema):
    """As the Open Inference Protocol wants it."""

    error: str = Field(examples=["The text has 12000 characters; at most 10000 are read."])


class ModelInputFormats(Schema):
    """A medium that the model does not read is absent."""

    text: TextFormat | Absent = None
    image: ImageFormat | Absent = None
    audio: AudioFormat | Absent = None
    fields: FieldsFormat | Absent = None


class TaskReport(Schema):
    name: str = Field(examples=["digit"])
    type: Literal["classification", "multilabel", "regression", "transcript"]
    labels: list[str] = Field(
        description="Empty for a regression; a transcript's symbols.", examples=[["0", "1", "2"]]
    )
    thresholds: list[float] | Absent = Field(
        default=None,
        description="Of a `multilabel`: above which probability each label holds; absent where that is 0.5.",
        examples=[[0.31, 0.5, 0.22]],
    )
    abstain_below: float | Absent = Field(
        default=None,
        description="Of a `classification` that abstains: the probability below which it does.",
        examples=[0.6],
    )


class ModelVersion(Schema):
    name: str = Field(examples=["digits"])
    version: str = Field(examples=["1"])
    created: str = Field(examples=["2026-11-23T12:00:00Z"])
    description: str = Field(examples=["Which digit was written, spoken or mentioned, and who spoke."])
    parameters: int = Field(description="Weights in the network.", examples=[640000])
    device: Literal["cpu", "cuda"] = Field(description="Where it runs.")
    precision: Precision = Field(description="Of the numbers that it computes with there.")
    inputs: ModelInputFormats
    tasks: list[TaskReport]
    metrics: dict[str, Any] = Field(
        description="split -> subset of media -> task -> score -> value",
        examples=[{"test": {"text+image+audio": {"digit": {"accuracy": 0.997}}}}],
    )
    retrieval: dict[str, Any] | Absent = Field(
        default=None,
        description="Of a model that searches between media: split -> direction -> what counts as found "
        "-> score -> value",
        examples=[{"test": {"text -> image": {"digit": {"recall@1": 0.89}}}}],
    )
    data: str = Field(description="What it was trained on.", examples=["MNIST, FSDD, written sentences."])
    licence: str = Field(description="Licence of the weights.", examples=["Apache-2.0"])
    intended_use: str = Field(examples=["Demonstration; not for cheques."])


class ModelReport(Schema):
    name: str = Field(examples=["digits"])
    description: str = Field(examples=["Which digit was written, spoken or mentioned, and who spoke."])
    default_version: str = Field(examples=["1"])
    versions: list[str] = Field(examples=[["1"]])
    media: list[Medium] = Field(
        description="What its default version reads.", examples=[["text", "image", "audio"]]
    )
    tasks: list[str] = Field(description="What its default version answers.", examples=[["digit", "speaker"]])


class ModelList(Schema):
    default: str = Field(description="The model that answers where none is named.", examples=["digits"])
    models: list[ModelReport]


class Reload(Schema):
    status: Literal["serving", "replacing workers"] = Field(
        description="`replacing workers` (202): verified; each worker process serves it once it is replaced."
    )


class Health(Schema):
    status: Literal["ok"] = "ok"
