"""What the OpenAPI pages say beyond the schemas: the multipart body, and an example of every answer."""

from __future__ import annotations

import itertools
import json
from typing import Any

from triad_serving.contract.schema import Schema
from triad_serving.http.schemas import BatchRow, Problem, Reload
from triad_serving.inference.options import Options
from triad_serving.media.registry import MEDIA

Responses = dict[int | str, dict[str, Any]]

PROBLEM_TYPE = "application/problem+json"
EXAMPLE_ID = "req-5f2b1c0a9d3e4f60"

TAGS = [
    {"name": "predict", "description": "Ask a model, and see what it looked at."},
    {"name": "search", "description": "Vectors of media, and the rows of an index that are closest to them."},
    {"name": "models", "description": "What is served, what it reads and answers, how good it is."},
    {
        "name": "open inference protocol",
        "description": "What clients of NVIDIA Triton, KServe and others speak, version 2.",
    },
    {"name": "operations", "description": "What operators and their machines ask."},
]

PREDICT_DESCRIPTION = f"""\
Send at least one of `text`, `image`, `audio` and `fields`; the model answers every task from what is
there. Which of them a model reads, `/v1/models/NAME/versions/VERSION` says.

{" ".join(medium.request.about for medium in MEDIA if medium.request.about)}

    curl -F text='seven' -F image=@seven.png -F audio=@seven.wav 'localhost:8000/v1/predict'
    curl -F 'fields={{"age": 63}};type=application/json' 'localhost:8000/v1/predict?model=patients'
"""

BATCH_DESCRIPTION = """\
The part `rows` is JSON Lines, one example each: `text` and `fields` as they are, `image` and `audio` by the
name of the part that holds the file. Every row is answered, or refused with a problem of its own; the query
counts for all. `Accept` chooses: `application/json`, one answer with all rows in their order, or
`application/x-ndjson`, a line for each row as soon as it is ready. Rows that took too long get a 504.

    printf '{"text": "seven"}\\n{"image": "a"}\\n' > rows.jsonl
    curl -F rows=@rows.jsonl -F a=@seven.png 'localhost:8000/v1/predict/batch'
"""

EXPLAIN_DESCRIPTION = """\
The same request as `predict`, with every explanation unless less is asked for. `Accept` chooses what comes
back: `application/json` (the same answer as `predict`), `image/png` or `text/html` (the explanation drawn: a
heat map over the image, words shaded, the sound's wave with its weights, bars of media and labels). A page
needs nothing else: no script, no link. Pictures and pages speak English or Chinese.

    curl -H 'Accept: image/png' -F text='seven' -F image=@seven.png 'localhost:8000/v1/explain' > seen.png
"""

RELOAD_DESCRIPTION = """\
Every version is verified (hashes, graph) and new ones are loaded and run once; from then on the highest
answers where none is asked for, or `version`: so one goes back to an older one, which is still loaded. What
runs already keeps its version. Where something is wrong with a version, nothing changes.

    curl -X POST 'localhost:8000/v1/models/digits/reload'
    curl -X POST 'localhost:8000/v1/models/digits/reload?version=1'
"""


def describe_request(options: type[Schema]) -> dict[str, Any]:
    """The query and the body of an operation which reads them itself, as FastAPI would describe them."""
    fields = options.model_json_schema()["properties"]
    schemas = {
        name: {key: value for key, value in schema.items() if (key, value) != ("default", None)}
        for name, schema in fields.items()
    }
    parameters = [
        {
            "name": name,
            "in": "query",
            "required": False,
            "schema": schema,
            "description": schema["description"],
        }
        for name, schema in schemas.items()
    ]
    return {"parameters": [*parameters, TIMEOUT_PARAMETER], **_BODY}


def describe_batch() -> dict[str, Any]:
    row = BatchRow.model_json_schema()
    rows = {
        "type": "string",
        "contentMediaType": "application/jsonl",
        "contentSchema": {"title": row["title"], "type": "object", "properties": row["properties"]},
        "description": "One example a line.",
        "examples": ['{"text": "这是数字七", "image": "seven.png"}'],
    }
    body = {
        "schema": {
            "type": "object",
            "title": "BatchForm",
            "required": ["rows"],
            "properties": {"rows": rows},
            "additionalProperties": {"type": "string", "format": "binary"},
        },
        "encoding": {"rows": {"contentType": "application/jsonl"}},
    }
    return {
        "parameters": describe_request(Options)["parameters"],
        "requestBody": {"required": True, "content": {"multipart/form-data": body}},
    }


TIMEOUT_HEADER = "X-Request-Timeout-Ms"
TIMEOUT_PARAMETER: dict[str, Any] = {
    "name": TIMEOUT_HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999},
    "description": "Milliseconds after which nobody needs the answer: 504 then, and its work is dropped.",
}

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "title": "PredictForm",
                    "additionalProperties": False,
                    "minProperties": 1,
                    "properties": {medium.name: dict(medium.request.schema) for medium in MEDIA},
                },
                "encoding": {
                    medium.name: {"contentType": medium.request.encoding}
                    for medium in MEDIA
                    if medium.request.encoding
                },
            }
        },
    }
}

_EXAMPLES = {medium.name: medium.examples for medium in MEDIA if medium.examples}
_ATTENTION = {"modalities": {name: each.share for name, each in _EXAMPLES.items()}}
_FULL_ATTENTION = {**_ATTENTION, **{name: each.attention for name, each in _EXAMPLES.items()}}
_LOOKED = ((0.6, 0.3, 0.1), (0.2, 0.5, 0.3), (0.2, 0.4, 0.4))  # from each medium to each
_FUSION = [
    {
        "heads": [
            {of: dict(zip(_EXAMPLES, row, strict=True)) for of, row in zip(_EXAMPLES, _LOOKED, strict=True)}
        ]
    }
]
_RELATIONS = ((-0.21, "overlap"), (0.004, "add up"), (-0.16, "overlap"))  # of each pair
_ATTRIBUTION = {
    "method": "shapley",
    "target": "7",
    "baseline": 0.1,
    **{name: each.contribution for name, each in _EXAMPLES.items()},
    "interactions": [
        {"media": list(pair), "value": value, "relation": relation}
        for pair, (value, relation) in zip(itertools.combinations(_EXAMPLES, 2), _RELATIONS, strict=True)
    ],
}
_OCCLUSION = {
    "method": "occlusion",
    "target": "7",
    "value": 0.98,
    **{name: each.occlusion for name, each in _EXAMPLES.items()},
}
_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head><title>What the model looked at</title>...</head>
<body>
<header><h1>What the model looked at</h1><p>model digits, version 1</p></header>
<main><section><h2><span>digit</span> 7 · 98.0 %</h2>...</section></main>
</body>
</html>
"""


def _prediction(*, fusion: list[Any] | None = None, **explained: Any) -> dict[str, Any]:
    more = {"fusion": fusion} if fusion else {}
    return {
        "id": EXAMPLE_ID,
        "model": "digits",
        "version": "1",
        "precision": "single",
        "inputs": {name: each.report for name, each in _EXAMPLES.items()},
        "predictions": {
            "digit": {
                "type": "classification",
                "label": "7",
                "probability": 0.98,
                "top": [{"label": "7", "probability": 0.98}, {"label": "1", "probability": 0.01}],
                **explained,
            }
        },
        **more,
        "warnings": [],
    }


_TRANSCRIPT = {
    "id": EXAMPLE_ID,
    "model": "phone",
    "version": "1",
    "precision": "single",
    "inputs": {"audio": {"format": "WAV", "seconds": 1.2, "sample_rate": 8000, "truncated": False}},
    "predictions": {
        "number": {
            "type": "transcript",
            "text": "four seven",
            "probability": 0.97,
            "symbols": [
                {"symbol": "four", "start": 0.31, "end": 0.55, "probability": 0.99},
                {"symbol": "seven", "start": 0.72, "end": 1.04, "probability": 0.98},
            ],
        }
    },
    "warnings": [],
}


PREDICTION_EXAMPLES: dict[str, Any] = {
    "modality": {"summary": "attention=modality", "value": _prediction(attention=_ATTENTION)},
    "full": {
        "summary": "attention=full",
        "value": _prediction(attention=_FULL_ATTENTION, fusion=_FUSION),
    },
    "transcript": {"summary": "a transcript, attention=none", "value": _TRANSCRIPT},
    "explain": {
        "summary": "attention=none&explain=all",
        "value": _prediction(attribution=_ATTRIBUTION, occlusion=_OCCLUSION),
    },
}


def problem(status: int, title: str, detail: str, **more: str | float) -> dict[str, Any]:
    example = {
        "type": "urn:triad:problem:" + title.lower().replace(" ", "-"),
        "title": title,
        "status": status,
        "detail": detail,
        **more,
        "id": EXAMPLE_ID,
    }
    return {
        "description": title,
        "model": Problem,
        "content": {
            PROBLEM_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "example": example,
            }
        },
    }


_REQUEST_ID_HEADER = {
    "X-Request-ID": {
        "description": "The request's own, where it sent one of printable ASCII (up to 128), else a new one.",
        "schema": {"type": "string"},
    }
}
_RETRY_AFTER_HEADER = {
    "Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}, "example": 1}
}
_FAILED = problem(500, "Inference failed", "The model failed on this example.")
_OVERLOADED = problem(503, "Overloaded", "128 requests are waiting already; try again soon.", limit=128)
KEY_RESPONSES: Responses = {
    401: {
        **problem(401, "Unauthorized", "The API key is not one of this service.", field="Authorization"),
        "headers": {
            "WWW-Authenticate": {"schema": {"type": "string"}, "example": 'Bearer realm="triad"'},
        },
    },
    429: {
        **problem(429, "Too many requests", "The key shop may ask 100 times a minute.", limit=100),
        "headers": _RETRY_AFTER_HEADER,
    },
}
ADMIN_RESPONSES: Responses = {
    403: problem(403, "Forbidden", "This needs an admin key; shop is none."),
}
UNAVAILABLE: Responses = {
    503: {**problem(503, "Unavailable", "The service is shutting down."), "headers": _RETRY_AFTER_HEADER}
}

PREDICT_RESPONSES: Responses = {
    200: {
        "description": "One answer per task of the model.",
        "content": {"application/json": {"examples": PREDICTION_EXAMPLES}},
        "headers": {
            **_REQUEST_ID_HEADER,
            "Server-Timing": {
                "description": "Milliseconds per stage. Of a request that comes alone, the encoders of its "
                "media run in `preprocess`, side by side.",
                "schema": {"type": "string"},
                "example": "preprocess;dur=0.91, queue;dur=0.05, inference;dur=1.78, postprocess;dur=0.09",
            },
        },
    },
    400: problem(
        400, "Nothing to predict from", "Nothing to predict from: send at least one of text, image, audio."
    ),
    404: problem(404, "Not found", "There is no model 'cats'; served: digits.", field="model", value="cats"),
    413: problem(413, "Too large", "The image has more than 20971520 bytes.", field="image", limit=20971520),
    415: problem(
        415,
        "Unsupported format",
        "Not an image in a format that is read (JPEG, PNG, WEBP, GIF, BMP, TIFF).",
        field="image",
    ),
    422: problem(
        422,
        "Invalid parameter",
        "top_k: Input should be greater than or equal to 1.",
        field="top_k",
        limit=1,
        value="0",
    ),
    500: _FAILED,
    503: {**_OVERLOADED, "headers": _RETRY_AFTER_HEADER},
    504: problem(504, "Deadline passed", "No answer within 30 s.", limit=30),
}

_ROW_ANSWERS = [
    {"row": 0, "prediction": _prediction(attention=_ATTENTION)},
    {
        "row": 1,
        "problem": {
            "type": "urn:triad:problem:cannot-decode",
            "title": "Cannot decode",
            "status": 422,
            "detail": "The image file is empty (0 bytes).",
            "field": "image",
            "id": f"{EXAMPLE_ID}.1",
        },
    },
]
BATCH_RESPONSES: Responses = {
    **PREDICT_RESPONSES,
    200: {
        "description": "A prediction or a problem of each row.",
        "content": {
            "application/json": {"example": {"answers": _ROW_ANSWERS}},
            "application/x-ndjson": {
                "schema": {"type": "string", "description": "A RowAnswer a line."},
                "example": "".join(f"{json.dumps(answer, ensure_ascii=False)}\n" for answer in _ROW_ANSWERS),
            },
        },
        "headers": _REQUEST_ID_HEADER,
    },
    400: problem(
        400, "Malformed request", "There is no part 'rows', JSON Lines with one row each.", field="rows"
    ),
    406: problem(
        406,
        "Not acceptable",
        "Accept names none of application/json, application/x-ndjson.",
        field="Accept",
        value="image/jpeg",
    ),
    413: problem(
        413,
        "Too large",
        "There are 4000 rows; at most 1000 are answered at once.",
        field="rows",
        limit=1000,
        value=4000,
    ),
}

EXPLAIN_RESPONSES: Responses = {
    **PREDICT_RESPONSES,
    200: {
        **PREDICT_RESPONSES[200],
        "description": "One answer per task of the model; as JSON, or drawn.",
        "content": {
            "application/json": {
                "examples": {
                    "all": {
                        "summary": "attention=full&explain=all",
                        "value": _prediction(
                            attention=_FULL_ATTENTION,
                            attribution=_ATTRIBUTION,
                            occlusion=_OCCLUSION,
                            fusion=_FUSION,
                        ),
                    }
                }
            },
            "image/png": {"schema": {"type": "string", "format": "binary"}},
            "text/html": {"schema": {"type": "string"}, "example": _PAGE},
        },
    },
    406: problem(
        406,
        "Not acceptable",
        "Accept names none of application/json, image/png, text/html.",
        field="Accept",
        value="image/jpeg",
    ),
}

MODEL_RESPONSES: Responses = {
    200: {"headers": _REQUEST_ID_HEADER},
    404: PREDICT_RESPONSES[404],
    422: PREDICT_RESPONSES[422],
    **UNAVAILABLE,
}

RELOAD_RESPONSES: Responses = {
    **MODEL_RESPONSES,
    200: {"content": {"application/json": {"example": {"status": "serving"}}}, "headers": _REQUEST_ID_HEADER},
    202: {
        "description": "Verified; the workers are being replaced.",
        "model": Reload,
        "content": {"application/json": {"example": {"status": "replacing workers"}}},
        "headers": _REQUEST_ID_HEADER,
    },
    403: problem(403, "Forbidden", "Only its own machine may ask for that."),
    409: problem(
        409,
        "Reload refused",
        "The models in service stay. Bundle digits/2: model.onnx was changed (SHA-256 5f2b, expected 1c0a).",
    ),
}

METRICS_RESPONSES: Responses = {
    200: {
        "content": {
            "text/plain": {
                "schema": {"type": "string"},
                "example": """\
# HELP triad_requests_total Requests answered.
# TYPE triad_requests_total counter
triad_requests_total{model="digits",route="/v1/predict",status="200"} 4.0
""",
            }
        }
    }
}
