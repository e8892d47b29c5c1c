"""Every error as an RFC 9457 answer, for our own routes and for the framework's errors."""

from __future__ import annotations

import http
import re
from collections.abc import Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import Response

from triad_serving.contract.errors import TriadError
from triad_serving.engine.engine import new_request_id
from triad_serving.http.schemas import Problem

REQUEST_ID = re.compile(r"[!-~]{1,128}")
SCOPE_KEY = "triad.request_id"
RETRY_AFTER_S = 1
MAX_VALUE_CHARACTERS = 100
MAX_COMPLAINTS = 10


def request_id_of(request: Request) -> str:
    """The client's X-Request-ID where printable and short, else a new one; the same for the whole request."""
    chosen: str | None = request.scope.get(SCOPE_KEY)
    if chosen is None:
        sent = request.headers.get("x-request-id", "")
        chosen = sent if REQUEST_ID.fullmatch(sent) else new_request_id()
        request.scope[SCOPE_KEY] = chosen
    return chosen


def triad_problem(request: Request, error: TriadError) -> Response:
    value = error.value
    problem = Problem(
        type="urn:triad:problem:" + error.title.lower().replace(" ", "-"),
        title=error.title,
        status=error.status,
        detail=error.detail,
        field=error.field,
        limit=error.limit,
        value=value[:MAX_VALUE_CHARACTERS] if isinstance(value, str) else value,
        id=request_id_of(request),
    )
    return _response(problem, {"Retry-After": str(RETRY_AFTER_S)} if error.status == 503 else None)


def validation_problem(request: Request, error: RequestValidationError) -> Response:
    """422 for a query or path parameter that is unknown, missing or out of range; all of them named."""
    first: dict[str, Any] = error.errors()[0]
    limit = next((first["ctx"][key] for key in ("ge", "le", "gt", "lt") if key in first.get("ctx", {})), None)
    problem = Problem(
        type="urn:triad:problem:invalid-parameter",
        title="Invalid parameter",
        status=422,
        detail=" ".join(_complaint(each) for each in error.errors()[:MAX_COMPLAINTS]),
        field=str(first["loc"][-1])[:MAX_VALUE_CHARACTERS],
        limit=limit,
        value=str(first["input"])[:MAX_VALUE_CHARACTERS],
        id=request_id_of(request),
    )
    return _response(problem)


def http_problem(
    request: Request, status: int, detail: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """What the framework or a proxy would say, without a type of its own."""
    title = http.HTTPStatus(status).phrase
    problem = Problem(
        type="about:blank", title=title, status=status, detail=detail or title, id=request_id_of(request)
    )
    return _response(problem, headers)


def _complaint(error: Mapping[str, Any]) -> str:
    name = str(error["loc"][-1])[:MAX_VALUE_CHARACTERS]
    said = "There is no such parameter" if error["type"] == "extra_forbidden" else error["msg"]
    return f"{name}: {said}."


def _response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        problem.to_json(),
        status_code=problem.status,
        media_type="application/problem+json",
        headers={**(headers or {}), "X-Request-ID": problem.id},
    )
