"""What the OpenAPI pages say of the protocol beyond its schemas."""

from __future__ import annotations

from typing import Any

from triad_serving.http.openapi import TIMEOUT_PARAMETER, Responses
from triad_serving.http.schemas import ProtocolError
from triad_serving.http.v2.body import HEADER_LENGTH
from triad_serving.http.v2.schemas import InferenceRequest

INFER_DESCRIPTION = """\
Each input is a medium, a BYTES tensor of shape [n]: n examples, each answered for itself; an empty element is
an absent medium. Outputs of a task: `label.TASK` and `probability.TASK` (of tags: labels separated by `;`,
and the probability of every label, in the order of the model's), or `value.TASK`, or `text.TASK` and
`probability.TASK` (empty and 0 without a sound); `attention.TASK.MEDIUM`, shares of 1.

    curl localhost:8000/v2/models/digits/infer -d '{
      "inputs": [{"name": "text", "datatype": "BYTES", "shape": [2], "data": ["seven", "三"]}],
      "outputs": [{"name": "label.digit"}, {"name": "probability.digit"}]}'
"""


def _error(status: int, meaning: str, error: str) -> Responses:
    return {
        status: {
            "description": meaning,
            "model": ProtocolError,
            "content": {"application/json": {"example": {"error": error}}},
        }
    }


V2_RESPONSES = _error(404, "Not found", "There is no model 'cats'; served: digits.")
V2_UNAVAILABLE = _error(503, "Unavailable", "The service is shutting down.")
V2_KEY_RESPONSES: Responses = {
    **_error(401, "Unauthorized", "The API key is not one of this service."),
    **_error(429, "Too many requests", "The key shop may ask 100 times a minute."),
}
_LENGTH: dict[str, Any] = {
    "description": "Of the JSON, where tensors in binary come behind it.",
    "schema": {"type": "integer"},
}
INFER_RESPONSES: Responses = {
    200: {
        "description": "One row per example.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        "headers": {HEADER_LENGTH: _LENGTH},
    },
    **_error(400, "Malformed request", "The body has 3 bytes that belong to no input."),
    **V2_RESPONSES,
    **_error(413, "Too large", "Row 1: The image has more than 20971520 bytes."),
    **_error(415, "Unsupported format", "Row 0: Not an image in a format that is read."),
    **_error(422, "Invalid parameter", "There is no input 'video'; there are text, image."),
    **_error(500, "Inference failed", "The model failed on this example."),
    **_error(503, "Overloaded", "128 requests are waiting already; try again soon."),
    **_error(504, "Deadline passed", "No answer within 30 s."),
}


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """Without references, which would lead nowhere from where FastAPI puts it."""
    if isinstance(schema, list):
        return [_inlined(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {key: _inlined(each, definitions) for key, each in schema.items() if key != "$defs"}


_REQUEST = InferenceRequest.model_json_schema()
INFER_REQUEST: dict[str, Any] = {
    "parameters": [
        {"name": HEADER_LENGTH, "in": "header", "required": False, **_LENGTH},
        TIMEOUT_PARAMETER,
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": _inlined(_REQUEST, _REQUEST.get("$defs", {}))},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    },
}
