"""What the protocol says as JSON. Source: KServe, open-inference-protocol, inference_rest.md."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from triad_serving.contract.schema import Absent, Schema

Parameters = dict[str, Any]


class ServerLive(Schema):
    live: bool = True


class ServerReady(Schema):
    ready: bool = True


class ModelReady(Schema):
    name: str = Field(examples=["digits"])
    ready: bool = True


class ServerMetadata(Schema):
    name: str = Field(examples=["triad"])
    version: str = Field(examples=["1.2.3"])
    extensions: list[str] = Field(examples=[["binary_tensor_data", "model_configuration"]])


class TensorMetadata(Schema):
    name: str = Field(examples=["label.digit"])
    datatype: str = Field(examples=["BYTES"])
    shape: list[int] = Field(description="-1: any length.", examples=[[-1]])


class ModelMetadata(Schema):
    name: str = Field(examples=["digits"])
    versions: list[str] = Field(examples=[["1"]])
    platform: str = Field(examples=["triad_onnx"])
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class TensorConfig(Schema):
    name: str = Field(examples=["label.digit"])
    data_type: str = Field(examples=["TYPE_STRING"])
    dims: list[int] = Field(examples=[[-1]])
    optional: bool | Absent = Field(default=None, description="Of an input: whether it may be left out.")


class ModelConfiguration(Schema):
    """Of Triton's, what its tools read."""

    name: str = Field(examples=["digits"])
    platform: str = Field(examples=["triad_onnx"])
    max_batch_size: int = Field(description="0: the axis of the batch is one like others.", examples=[0])
    input: list[TensorConfig]
    output: list[TensorConfig]


class _Sent(BaseModel):
    """Clients may send more than is read."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class SentTensor(_Sent):
    name: str = Field(description="A medium that the model reads.")
    shape: list[int] = Field(description="[n], or [n, 1]: so many examples.", examples=[[1]])
    datatype: str = Field(examples=["BYTES"])
    parameters: Parameters = Field(
        default={}, description="`binary_data_size`: bytes of it behind the JSON, in place of `data`."
    )
    data: list[Any] = Field(
        default=[],
        description="A text, or fields as JSON, as it is; files in base64. Empty: the medium is absent.",
        examples=[["seven"]],
    )


class RequestedOutput(_Sent):
    name: str = Field(examples=["label.digit"])
    parameters: Parameters = Field(default={}, description="`binary_data`: whether it comes behind the JSON.")


class InferenceRequest(_Sent):
    id: str | Absent = Field(default=None, description="Told again in the answer.", examples=["42"])
    parameters: Parameters = Field(
        default={}, description="`binary_data_output`: whether outputs come behind the JSON."
    )
    inputs: list[SentTensor]
    outputs: list[RequestedOutput] = Field(default=[], description="By default all.")


class AnsweredTensor(Schema):
    name: str = Field(examples=["label.digit"])
    shape: list[int] = Field(examples=[[1]])
    datatype: str = Field(examples=["BYTES"])
    parameters: Parameters | Absent = Field(default=None, examples=[{"binary_data_size": 5}])
    data: list[Any] | Absent = Field(default=None, examples=[["7"]])


class InferenceResponse(Schema):
    model_name: str = Field(examples=["digits"])
    model_version: str = Field(examples=["1"])
    id: str | Absent = Field(default=None, examples=["42"])
    outputs: list[AnsweredTensor]
