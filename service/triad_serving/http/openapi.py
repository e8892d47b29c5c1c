"""What the OpenAPI pages say beyond the schemas: the multipart body, and an example of every answer."""

from __future__ import annotations

from typing import Any

from triad_serving.inference.schemas import Options, Problem

Responses = dict[int | str, dict[str, Any]]

PROBLEM_TYPE = "application/problem+json"
EXAMPLE_ID = "req-5f2b1c0a9d3e4f60"

TAGS = [
    {"name": "predict", "description": "Ask a model, and see what it looked at."},
    {"name": "models", "description": "What is served, what it reads and answers, how good it is."},
    {"name": "operations", "description": "What operators and their machines ask."},
]

PREDICT_DESCRIPTION = """\
Send at least one of `text`, `image` and `audio`; the model answers every task from whatever is present.

Images: JPEG, PNG, WebP, GIF (first frame), BMP, TIFF. Sounds: WAV, FLAC, OGG (Vorbis, Opus), MP3, AIFF.

    curl -F text='seven' -F image=@seven.png -F audio=@seven.wav 'localhost:8000/v1/predict'
"""

EXPLAIN_DESCRIPTION = """\
The same request as `predict`, with every explanation unless less is asked for. `Accept` chooses what comes
back: `application/json` (the same answer as `predict`), `image/png` or `text/html` (the explanation drawn: a
heat map over the image, words shaded, the sound's wave with its weights, bars of media and labels). A page
needs nothing else: no script, no link. Pictures and pages speak English or Chinese.

    curl -H 'Accept: image/png' -F text='seven' -F image=@seven.png 'localhost:8000/v1/explain' > seen.png
"""


def describe_request(options: type[Options]) -> dict[str, Any]:
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
    return {"parameters": parameters, **_BODY}


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
                    "properties": {
                        "text": {
                            "type": "string",
                            "description": "UTF-8; Chinese and English.",
                            "examples": ["这是数字七"],
                        },
                        "image": {"type": "string", "format": "binary", "description": "An image file."},
                        "audio": {"type": "string", "format": "binary", "description": "A sound file."},
                    },
                },
            }
        },
    }
}

_ATTENTION = {"modalities": {"text": 0.21, "image": 0.47, "audio": 0.32}}
_FULL_ATTENTION = {
    **_ATTENTION,
    "text": [
        {"token": "数字", "start": 2, "end": 4, "weight": 0.03, "rollout": 0.08},
        {"token": "七", "start": 4, "end": 5, "weight": 0.18, "rollout": 0.2},
    ],
    "image": {
        "rows": 2,
        "columns": 2,
        "region": [0, 0, 28, 28],
        "weights": [[0.1, 0.2], [0.1, 0.07]],
        "rollout": [[0.1, 0.15], [0.1, 0.1]],
    },
    "audio": [
        {"start": 0.0, "end": 0.04, "weight": 0.12, "rollout": 0.13},
        {"start": 0.04, "end": 0.06, "weight": 0.2, "rollout": 0.14},
    ],
}

_FUSION = [
    {
        "heads": [
            {
                "text": {"text": 0.6, "image": 0.3, "audio": 0.1},
                "image": {"text": 0.2, "image": 0.5, "audio": 0.3},
                "audio": {"text": 0.2, "image": 0.4, "audio": 0.4},
            }
        ]
    }
]
_ATTRIBUTION = {
    "method": "shapley",
    "target": "7",
    "baseline": 0.1,
    "text": 0.2,
    "image": 0.5,
    "audio": 0.18,
    "interactions": [
        {"media": ["text", "image"], "value": -0.21, "relation": "overlap"},
        {"media": ["text", "audio"], "value": 0.004, "relation": "add up"},
        {"media": ["image", "audio"], "value": -0.16, "relation": "overlap"},
    ],
}
_OCCLUSION = {
    "method": "occlusion",
    "target": "7",
    "value": 0.98,
    "text": [
        {"token": "数字", "start": 2, "end": 4, "drop": 0.001, "weight": 0.03},
        {"token": "七", "start": 4, "end": 5, "drop": 0.09, "weight": 0.18},
    ],
    "image": {
        "rows": 2,
        "columns": 2,
        "region": [0, 0, 28, 28],
        "drops": [[0.02, 0.2], [0.1, -0.01]],
        "weights": [[0.1, 0.2], [0.1, 0.07]],
    },
    "audio": [
        {"start": 0.0, "end": 0.04, "drop": 0.01, "weight": 0.12},
        {"start": 0.04, "end": 0.06, "drop": 0.05, "weight": 0.2},
    ],
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
        "inputs": {
            "text": {"characters": 5, "tokens": 2, "truncated": False},
            "image": {"format": "PNG", "width": 28, "height": 28},
            "audio": {"format": "WAV", "seconds": 0.06, "sample_rate": 8000, "truncated": False},
        },
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


PREDICTION_EXAMPLES: dict[str, Any] = {
    "modality": {"summary": "attention=modality", "value": _prediction(attention=_ATTENTION)},
    "full": {
        "summary": "attention=full",
        "value": _prediction(attention=_FULL_ATTENTION, fusion=_FUSION),
    },
    "explain": {
        "summary": "attention=none&explain=all",
        "value": _prediction(attribution=_ATTRIBUTION, occlusion=_OCCLUSION),
    },
}


def _problem(status: int, title: str, detail: str, **more: str | float) -> dict[str, Any]:
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
_FAILED = _problem(500, "Inference failed", "The model failed on this example.")
_OVERLOADED = _problem(503, "Overloaded", "128 requests are waiting already; try again soon.", limit=128)
UNAVAILABLE: Responses = {
    503: {**_problem(503, "Unavailable", "The service is shutting down."), "headers": _RETRY_AFTER_HEADER}
}

PREDICT_RESPONSES: Responses = {
    200: {
        "description": "One answer per task of the model.",
        "content": {"application/json": {"examples": PREDICTION_EXAMPLES}},
        "headers": {
            **_REQUEST_ID_HEADER,
            "Server-Timing": {
                "description": "Milliseconds per stage.",
                "schema": {"type": "string"},
                "example": "preprocess;dur=0.91, queue;dur=0.05, inference;dur=1.78, postprocess;dur=0.09",
            },
        },
    },
    400: _problem(
        400, "Nothing to predict from", "Nothing to predict from: send at least one of text, image, audio."
    ),
    404: _problem(404, "Not found", "There is no model 'cats'; served: digits.", field="model", value="cats"),
    413: _problem(413, "Too large", "The image has more than 20971520 bytes.", field="image", limit=20971520),
    415: _problem(
        415,
        "Unsupported format",
        "Not an image in a format that is read (JPEG, PNG, WEBP, GIF, BMP, TIFF).",
        field="image",
    ),
    422: _problem(
        422,
        "Invalid parameter",
        "top_k: Input should be greater than or equal to 1.",
        field="top_k",
        limit=1,
        value="0",
    ),
    500: _FAILED,
    503: {**_OVERLOADED, "headers": _RETRY_AFTER_HEADER},
    504: _problem(504, "Deadline passed", "No answer within 30 s.", limit=30),
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
    406: _problem(
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
