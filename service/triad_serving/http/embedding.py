"""What /v1/embed answers: JSON, or the bare numbers of all vectors one after another."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from fastapi import Response
from pydantic import Field
from starlette.requests import Request

from triad_serving.contract.errors import NotAcceptableError
from triad_serving.http.access.headers import VECTOR_HEADERS
from triad_serving.http.negotiation import preferred_type
from triad_serving.http.openapi import (
    EXAMPLE_ID,
    PREDICT_RESPONSES,
    Responses,
    describe_request,
    problem,
)
from triad_serving.inference.embedding import Embedding, EmbeddingAnswer, EmbedOptions

Form = Literal["application/json", "application/octet-stream"]
FORMS: tuple[Form, ...] = get_args(Form)
NUMBERS = {"float32": "<f4", "float16": "<f2"}
VECTORS, WIDTH, DTYPE, MODEL = VECTOR_HEADERS

DESCRIPTION = """\
The same body as `predict`; what comes back are vectors of length 1: one of each medium that was sent, and one
of all together (`fused`). `Accept: application/octet-stream` gets them without JSON: the vectors that
`X-Vectors` names, in its order, each of `X-Vector-Width` little-endian numbers, `float32` or, with
`?dtype=float16`, half as long.

    curl -F text='seven' -F image=@seven.png 'localhost:8000/v1/embed'
    curl -F text='seven' -H 'Accept: application/octet-stream' 'localhost:8000/v1/embed' > seven.f32
"""


class EmbedQuery(EmbedOptions):
    dtype: Literal["float32", "float16"] = Field(
        default="float32", description="Of the numbers of `application/octet-stream`."
    )


def wanted_form(request: Request) -> Form:
    """Raises NotAcceptableError."""
    accept = request.headers.get("accept")
    wanted = preferred_type(accept, FORMS)
    if wanted is None:
        raise NotAcceptableError(f"Accept names none of {', '.join(FORMS)}.", field="Accept", value=accept)
    return wanted


def embedding_response(embedding: Embedding, form: Form, dtype: Literal["float32", "float16"]) -> Response:
    if form == "application/json":
        return Response(embedding.to_json(), media_type=form)
    vectors = embedding.vectors_D
    headers = {
        VECTORS: ",".join(vectors),
        WIDTH: str(len(next(iter(vectors.values())))),
        DTYPE: dtype,
        MODEL: f"{embedding.model}/{embedding.version}",
    }
    content = b"".join(np.asarray(vector_D, NUMBERS[dtype]).tobytes() for vector_D in vectors.values())
    return Response(content, media_type=form, headers=headers)


def describe_embed() -> dict[str, Any]:
    return describe_request(EmbedQuery)


_EXAMPLE = EmbeddingAnswer.model_validate(
    {
        "id": EXAMPLE_ID,
        "model": "digits",
        "version": "1",
        "precision": "single",
        "width": 2,
        "inputs": {"text": {"characters": 5, "tokens": 1, "truncated": False}},
        "embeddings": {"text": [0.6, -0.8], "fused": [0.8, 0.6]},
        "warnings": [],
    }
).model_dump(exclude_none=True)


def _header(description: str, example: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}, "example": example}


RESPONSES: Responses = {
    **PREDICT_RESPONSES,
    200: {
        **PREDICT_RESPONSES[200],
        "description": "The vectors. The `X-Vector` headers are those of `application/octet-stream`.",
        "content": {
            "application/json": {"example": _EXAMPLE},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
        "headers": {
            **PREDICT_RESPONSES[200]["headers"],
            VECTORS: _header("Which vectors, in their order.", "text,image,fused"),
            WIDTH: _header("Numbers in each.", "64"),
            DTYPE: _header("Type of each number, little-endian.", "float32"),
            MODEL: _header("Name and version of the model.", "digits/1"),
        },
    },
    406: problem(
        406, "Not acceptable", f"Accept names none of {', '.join(FORMS)}.", field="Accept", value="image/jpeg"
    ),
}
