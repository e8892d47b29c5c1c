"""When a request is sent again, and which error it ends with: one request's tries, without the sending."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import httpx
from pydantic import ValidationError

from triad_serving.contract.errors import (
    DeadlineError,
    OverloadedError,
    TriadError,
    UnavailableError,
    UnexpectedAnswerError,
    reason_of,
)
from triad_serving.http.schemas import PROBLEM_URN, Problem

TIMEOUT_HEADER = "X-Request-Timeout-Ms"
AGAIN = (429, 502, 503)  # not 504: the time is over
AGAIN_ALONE = (OverloadedError, UnavailableError)  # of a row of several
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.2, 5.0
ANSWER_S = 1.0  # how much longer than the service's deadline its answer may take to arrive


class Tries:
    """Of one request: at most `retries` after the first, all within `timeout_s`.

    A wait is what Retry-After says, and a random share of a time that doubles, so that clients who were
    refused together do not come back together. Source: M. Brooker, Exponential Backoff and Jitter, 2015.
    """

    def __init__(self, retries: int, timeout_s: float) -> None:
        self._retries = retries
        self._timeout_s = timeout_s
        self._until_s = time.monotonic() + timeout_s
        self._done = 0

    @property
    def left_s(self) -> float:
        return self._until_s - time.monotonic()

    @property
    def headers(self) -> dict[str, str]:
        """So that the service, too, drops what nobody waits for any more."""
        return {TIMEOUT_HEADER: str(max(1, round(1000 * self.left_s)))}

    @property
    def timeout(self) -> httpx.Timeout:
        return httpx.Timeout(max(self.left_s, 0) + ANSWER_S)

    def wait_after(self, outcome: httpx.Response | httpx.TransportError) -> float | None:
        """Seconds to wait before the next try; None after an answer. Raises the error where it is over."""
        if isinstance(outcome, httpx.Response) and outcome.is_success:
            return None
        error = self._error_of(outcome)
        backoff_s = min(FIRST_BACKOFF_S * 2**self._done, LONGEST_BACKOFF_S)
        wait_s = (error.retry_after_s or 0) + random.uniform(0, backoff_s)
        self._done += 1
        again = isinstance(outcome, httpx.TransportError) or outcome.status_code in AGAIN
        over = isinstance(error, DeadlineError) or self._done > self._retries or wait_s >= self.left_s
        if over or not again:
            raise error from (outcome if isinstance(outcome, httpx.TransportError) else None)
        return wait_s

    def _error_of(self, outcome: httpx.Response | httpx.TransportError) -> TriadError:
        if isinstance(outcome, httpx.Response):
            return error_of(outcome)
        if isinstance(outcome, httpx.TimeoutException) and not isinstance(outcome, httpx.ConnectTimeout):
            return DeadlineError(f"No answer within {self._timeout_s:g} s.", limit=self._timeout_s)
        return UnavailableError(f"The service cannot be reached: {outcome or type(outcome).__name__}.")


def error_of(response: httpx.Response) -> TriadError:
    """The error that the service raised. Whatever else answered, a proxy say: the one of its status."""
    try:
        problem = Problem.model_validate_json(response.content, extra="ignore")
    except ValidationError:
        request_id = response.headers.get("x-request-id", "")
        said = response.reason_phrase or "no reason"
        problem = Problem(type="", title="", status=response.status_code, detail=f"{said}.", id=request_id)
    error = error_from(problem)
    error.retry_after_s = _seconds(response.headers.get("retry-after"))
    return error


def error_from(problem: Problem) -> TriadError:
    kind = _KINDS.get(problem.type) or _BY_STATUS.get(problem.status, UnexpectedAnswerError)
    error = kind(problem.detail, field=problem.field, limit=problem.limit, value=problem.value)
    error.request_id = problem.id or None
    return error


def _seconds(retry_after: str | None) -> float | None:
    """Source: RFC 9110, section 10.2.3: seconds, or a date."""
    if retry_after is None:
        return None
    if retry_after.isdecimal():
        return float(retry_after[:9])
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return None


def _kinds(kind: type[TriadError]) -> Iterator[type[TriadError]]:
    yield kind
    for more in kind.__subclasses__():
        yield from _kinds(more)


_ANSWERED = [kind for kind in _kinds(TriadError) if kind.status != 500]
_KINDS = {PROBLEM_URN + reason_of(kind.title): kind for kind in _ANSWERED}
_BY_STATUS = {kind.status: kind for kind in reversed(_ANSWERED)} | {503: UnavailableError}
