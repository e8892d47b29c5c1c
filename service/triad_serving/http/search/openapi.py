"""What the OpenAPI pages say of the routes of indexes beyond their schemas."""

from __future__ import annotations

from typing import Any

from triad_serving.http.openapi import (
    ADMIN_RESPONSES,
    EXAMPLE_ID,
    PREDICT_RESPONSES,
    UNAVAILABLE,
    Responses,
    describe_request,
    problem,
)
from triad_serving.http.search.reading import DEFAULT_K, MOST_K
from triad_serving.http.search.schemas import RowStored, SearchAnswer, SearchQuery

SEARCH_DESCRIPTION = """\
Send media as to `predict`, or a `vector`; the answer is the rows whose vectors are closest. With a model that
was trained to align its media (`optim.contrast`) any medium finds any other; else each finds its own kind.
`filter` is JSON: a column's value, a list of values, or `min` and `max`.

    curl -F text='seven' -F k=5 'localhost:8000/v1/search?by=image'
    curl -F image=@seven.png -F 'filter={"digit": ["7", "1"], "age": {"min": 20}}' 'localhost:8000/v1/search'
"""
ADD_ROW_DESCRIPTION = """\
Media as to `predict`, and the row's `columns` as JSON; `row` is its id, a new one where it is left out. When
the answer comes, the row is on the disk, and every search from then on finds it, in every worker process.
With keys it takes an admin key.

    curl -F image=@seven.png -F 'columns={"digit": "7"}' -F row=17 localhost:8000/v1/indexes/digits/rows
"""


def _field(description: str, example: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", **more, "description": description, "examples": [example]}


def _describe(operation: dict[str, Any], title: str, fields: dict[str, Any], encoded: str) -> dict[str, Any]:
    """An operation that takes media, and other fields beside them. encoded: the one that is JSON."""
    body = operation["requestBody"]["content"]["multipart/form-data"]
    schema = {**body["schema"], "title": title, "properties": {**body["schema"]["properties"], **fields}}
    encoding = {**body["encoding"], encoded: {"contentType": "application/json"}}
    return {
        **operation,
        "requestBody": {
            "required": True,
            "content": {"multipart/form-data": {"schema": schema, "encoding": encoding}},
        },
    }


SEARCH = _describe(
    describe_request(SearchQuery),
    "SearchForm",
    {
        "k": {
            "type": "integer",
            "minimum": 1,
            "maximum": MOST_K,
            "default": DEFAULT_K,
            "description": "How many rows.",
        },
        "filter": _field(
            "JSON: column -> value, list of values, or min and max.",
            '{"digit": "7"}',
            contentMediaType="application/json",
        ),
        "vector": _field(
            "JSON: numbers to compare with, in place of media.",
            "[0.6, -0.8]",
            contentMediaType="application/json",
        ),
    },
    "filter",
)
ADD_ROW = _describe(
    {**describe_request(SearchQuery), "parameters": describe_request(SearchQuery)["parameters"][2:]},
    "RowForm",
    {
        "columns": _field("JSON: column -> value.", '{"digit": "7"}', contentMediaType="application/json"),
        "row": _field("The row's id.", "17", maxLength=200),
    },
    "columns",
)

_UNKNOWN_INDEX = problem(
    404, "Not found", "There is no index 'cats'; served: digits.", field="index", value="cats"
)
_REFUSED = problem(
    409,
    "Index refused",
    "The index digits was made with digits 1 (graph 5f2b1c0a9d3e), not with digits 1 (graph 0a9d3e4f605f): "
    "vectors of different models cannot be compared.",
)
_WRONG = problem(
    422, "Invalid parameter", "k: send a whole number from 1 to 1000.", field="k", limit=1000, value="0"
)
_FULL = problem(507, "Cannot write", "The disk that the index lies on is full.")
_ID_HEADER = {"X-Request-ID": PREDICT_RESPONSES[200]["headers"]["X-Request-ID"]}


def _example(answer: SearchAnswer | RowStored) -> dict[str, Any]:
    return {"application/json": {"example": answer.model_dump(exclude_none=True)}}


SEARCH_RESPONSES: Responses = {
    **PREDICT_RESPONSES,
    200: {
        "description": "The closest rows.",
        "content": _example(
            SearchAnswer.model_validate(
                {
                    "id": EXAMPLE_ID,
                    "model": "digits",
                    "version": "1",
                    "index": "digits",
                    "results": [
                        {
                            "row": "17",
                            "score": 0.93,
                            "matched": "image",
                            "columns": {"digit": "7"},
                            "media": {"image": "/v1/indexes/digits/rows/17/image"},
                        }
                    ],
                    "warnings": [],
                }
            )
        ),
        "headers": _ID_HEADER,
    },
    404: _UNKNOWN_INDEX,
    409: _REFUSED,
    422: _WRONG,
}
INDEX_RESPONSES: Responses = {200: {"headers": _ID_HEADER}, **UNAVAILABLE}
ROW_RESPONSES: Responses = {
    **{status: each for status, each in PREDICT_RESPONSES.items() if status != 200},
    201: {
        "description": "Stored.",
        "content": _example(RowStored(id=EXAMPLE_ID, index="digits", row="17", warnings=[])),
        "headers": _ID_HEADER,
    },
    **ADMIN_RESPONSES,
    404: _UNKNOWN_INDEX,
    409: _REFUSED,
    507: _FULL,
}
_NO_ROW = problem(404, "Not found", "The index digits has no row '18'.", field="row", value="18")
ROW_DELETED_RESPONSES: Responses = {
    204: {"description": "Deleted.", "headers": _ID_HEADER},
    **ADMIN_RESPONSES,
    404: _NO_ROW,
    422: _WRONG,
    507: _FULL,
    **UNAVAILABLE,
}
MEDIUM_RESPONSES: Responses = {
    200: {
        "description": "As it was sent.",
        "content": {
            kind: {"schema": {"type": "string", **binary}}
            for kind, binary in (
                ("text/plain", {}),
                ("image/*", {"format": "binary"}),
                ("audio/*", {"format": "binary"}),
            )
        },
        "headers": _ID_HEADER,
    },
    404: _NO_ROW,
    422: _WRONG,
    **UNAVAILABLE,
}
