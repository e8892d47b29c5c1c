"""The body of an inference request and of its answer: JSON, and binary tensors behind it.

Source: KServe, open-inference-protocol; Triton, binary tensor data extension.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from starlette.responses import Response

from triad_serving.contract.errors import DecodeError, MalformedRequestError, ParameterError
from triad_serving.engine.catalog import Model
from triad_serving.http.v2.inference import InputTensor
from triad_serving.http.v2.schemas import AnsweredTensor, InferenceRequest, InferenceResponse, SentTensor
from triad_serving.http.v2.tensors import Tensor, split_bytes, to_binary
from triad_serving.media.registry import NAMES, by_name

HEADER_LENGTH = "Inference-Header-Content-Length"
OTHERS = ("classification", "shared_memory_region")  # of extensions that would change what is answered


def read_request(body: bytes, header_length: str | None) -> tuple[InferenceRequest, list[InputTensor]]:
    """Raises MalformedRequestError, ParameterError, DecodeError."""
    length = len(body)
    if header_length is not None:
        if not (header_length.isascii() and header_length.isdecimal() and len(header_length) < 12):
            raise MalformedRequestError(f"{HEADER_LENGTH} must be a number of bytes.", field=HEADER_LENGTH)
        length = int(header_length)
        if length > len(body):
            raise MalformedRequestError(
                f"{HEADER_LENGTH} says {length}, the body has {len(body)} bytes.", field=HEADER_LENGTH
            )
    try:
        request = InferenceRequest.model_validate_json(body[:length] if length < len(body) else body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "body"
        raise MalformedRequestError(f"{where}: {first['msg']}.", field=where[:80]) from error
    sent = [*(tensor.parameters for tensor in request.inputs), *(each.parameters for each in request.outputs)]
    for parameters in sent:
        for name in OTHERS:
            if name in parameters:
                raise ParameterError(
                    f"The parameter {name} is of an extension that is not spoken here.", field=name
                )
    return request, _read_inputs(request.inputs, body, length)


def _read_inputs(inputs: Sequence[SentTensor], body: bytes, place: int) -> list[InputTensor]:
    """place: where the binary data begins; it is in the order of the inputs."""
    read = []
    for tensor in inputs:
        size = tensor.parameters.get("binary_data_size")
        if size is None:
            elements = _from_json(tensor)
        elif type(size) is not int or not 0 <= size <= len(body) - place:
            left = len(body) - place
            raise MalformedRequestError(
                f"{tensor.name[:80]}: binary_data_size must be within the {left} bytes that are left."
            )
        else:
            elements = split_bytes(body[place : place + size], tensor.name)
            place += size
        read.append(
            InputTensor(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape, elements=elements)
        )
    if place != len(body):
        raise MalformedRequestError(f"The body has {len(body) - place} bytes that belong to no input.")
    return read


def _from_json(tensor: SentTensor) -> list[bytes]:
    flat: list[Any] = []
    for element in tensor.data:
        flat += element if isinstance(element, list) else [element]
    if not all(isinstance(element, str) for element in flat):
        raise MalformedRequestError(f"{tensor.name[:80]}: data must be strings.", field=tensor.name[:80])
    if tensor.name not in NAMES or by_name(tensor.name).request.schema.get("format") != "binary":
        return [element.encode() for element in flat]
    try:
        return [base64.b64decode(element, validate=True) for element in flat]
    except (binascii.Error, ValueError) as error:
        raise DecodeError(f"The {tensor.name} is not base64, which JSON needs.", field=tensor.name) from error


def answer_response(
    request: InferenceRequest, model: Model, tensors: Sequence[Tensor], headers: Mapping[str, str]
) -> Response:
    every = request.parameters.get("binary_data_output") is True
    by_name = {output.name: output.parameters.get("binary_data", every) for output in request.outputs}
    behind: list[bytes] = []
    outputs = []
    for tensor in tensors:
        if by_name.get(tensor.name, every) is True:
            behind.append(to_binary(tensor))
            outputs.append(_describe(tensor, parameters={"binary_data_size": len(behind[-1])}))
        else:
            data = [e.decode() if isinstance(e, bytes) else e for e in tensor.elements]
            outputs.append(_describe(tensor, data=data))
    answer = InferenceResponse(
        model_name=model.name, model_version=model.version, id=request.id, outputs=outputs
    )
    head = answer.to_json().encode()
    if not behind:
        return Response(head, media_type="application/json", headers=dict(headers))
    return Response(
        b"".join([head, *behind]),
        media_type="application/octet-stream",
        headers={**headers, HEADER_LENGTH: str(len(head))},
    )


def _describe(tensor: Tensor, **content: Any) -> AnsweredTensor:
    return AnsweredTensor(name=tensor.name, shape=list(tensor.shape), datatype=tensor.datatype, **content)
