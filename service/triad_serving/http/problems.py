"""Every error as an RFC 9457 answer, for our own routes and for the framework's errors.

But for /v2, whose protocol has a shape of its own.
"""

from __future__ import annotations

import http
from collections.abc import Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import Response

from triad_serving.contract.errors import RateLimitError, TriadError, UnauthorizedError, reason_of
from triad_serving.http.record import record_of
from triad_serving.http.schemas import PROBLEM_URN, Problem, ProtocolError

RETRY_AFTER_S = 1
MAX_VALUE_CHARACTERS = 100
MAX_COMPLAINTS = 10


def triad_problem(request: Request, error: TriadError) -> Response:
    return _response(request, describe_problem(error, record_of(request).id), _headers_for(error))


def describe_problem(error: TriadError, request_id: str) -> Problem:
    value = error.value
    return Problem(
        type=PROBLEM_URN + reason_of(error.title),
        title=error.title,
        status=error.status,
        detail=error.detail,
        field=error.field,
        limit=error.limit,
        value=value[:MAX_VALUE_CHARACTERS] if isinstance(value, str) else value,
        id=request_id,
    )


def validation_problem(request: Request, error: RequestValidationError) -> Response:
    """422 for a query or path parameter that is unknown, missing or out of range; all of them named."""
    first: dict[str, Any] = error.errors()[0]
    limit = next((first["ctx"][key] for key in ("ge", "le", "gt", "lt") if key in first.get("ctx", {})), None)
    problem = Problem(
        type=PROBLEM_URN + "invalid-parameter",
        title="Invalid parameter",
        status=422,
        detail=" ".join(_complaint(each) for each in error.errors()[:MAX_COMPLAINTS]),
        field=str(first["loc"][-1])[:MAX_VALUE_CHARACTERS],
        limit=limit,
        value=str(first["input"])[:MAX_VALUE_CHARACTERS],
        id=record_of(request).id,
    )
    return _response(request, problem)


def http_problem(
    request: Request, status: int, detail: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """What the framework or a proxy would say, without a type of its own."""
    title = http.HTTPStatus(status).phrase
    problem = Problem(
        type="about:blank", title=title, status=status, detail=detail or title, id=record_of(request).id
    )
    return _response(request, problem, headers)


def _complaint(error: Mapping[str, Any]) -> str:
    name = str(error["loc"][-1])[:MAX_VALUE_CHARACTERS]
    said = "There is no such parameter" if error["type"] == "extra_forbidden" else error["msg"]
    return f"{name}: {said}."


def _headers_for(error: TriadError) -> dict[str, str]:
    """Source: RFC 9110, sections 10.2.3 and 11.6.1; RFC 6750."""
    if isinstance(error, UnauthorizedError):
        return {"WWW-Authenticate": 'Bearer realm="triad"'}
    if isinstance(error, RateLimitError):
        return {"Retry-After": str(error.retry_after_s)}
    return {"Retry-After": str(RETRY_AFTER_S)} if error.status == 503 else {}


def _response(request: Request, problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    record_of(request).problem = reason_of(problem.title)
    body, media_type = as_told(problem, request.scope["path"])
    return Response(
        body, problem.status, {**(headers or {}), "X-Request-ID": problem.id}, media_type=media_type
    )


def as_told(problem: Problem, path: str) -> tuple[str, str]:
    """Body and media type, as whoever asks at this path expects errors."""
    if f"{path}/".startswith("/v2/"):
        return ProtocolError(error=problem.detail).to_json(), "application/json"
    return problem.to_json(), "application/problem+json"
