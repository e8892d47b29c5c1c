"""When a request is sent again, and with which error it ends; without a clock but the one that is turned."""

from __future__ import annotations

import email.utils
import random
import time
from collections.abc import Iterator

import httpx
import pytest

from triad_serving.client.tries import FIRST_BACKOFF_S, Tries, error_of
from triad_serving.contract.errors import (
    DeadlineError,
    NotFoundError,
    OverloadedError,
    RateLimitError,
    TooLargeError,
    TriadError,
    UnavailableError,
    UnexpectedAnswerError,
    reason_of,
)
from triad_serving.http.schemas import PROBLEM_URN, Problem


class Clock:
    now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock.monotonic)
    monkeypatch.setattr(random, "uniform", lambda _, highest: highest)
    return clock


def refused(kind: type[TriadError], retry_after: str | None = None) -> httpx.Response:
    problem = Problem(
        type=PROBLEM_URN + reason_of(kind.title),
        title=kind.title,
        status=kind.status,
        detail="So it is.",
        field="text",
        limit=3,
        value=4,
        id="req-1",
    )
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return httpx.Response(kind.status, content=problem.to_json(), headers=headers)


def test_an_answer_ends_it(clock: Clock) -> None:
    assert Tries(3, 30).wait_after(httpx.Response(200)) is None
    assert Tries(3, 30).wait_after(httpx.Response(202)) is None


def test_an_overloaded_service_is_asked_again_when_it_says_so(clock: Clock) -> None:
    tries = Tries(3, 30)
    waits = [tries.wait_after(refused(OverloadedError, "2")) for _ in range(3)]
    assert waits == [2 + FIRST_BACKOFF_S, 2 + 2 * FIRST_BACKOFF_S, 2 + 4 * FIRST_BACKOFF_S]
    with pytest.raises(OverloadedError, match="So it is") as raised:
        tries.wait_after(refused(OverloadedError, "2"))
    assert raised.value.retry_after_s == 2
    assert (raised.value.field, raised.value.limit, raised.value.value) == ("text", 3, 4)
    assert raised.value.request_id == "req-1"


def test_a_retry_after_may_be_a_date(clock: Clock) -> None:
    date = email.utils.format_datetime(email.utils.localtime(), usegmt=False)
    later = email.utils.formatdate(time.time() + 5, usegmt=True)
    assert Tries(3, 30).wait_after(refused(OverloadedError, date)) == pytest.approx(FIRST_BACKOFF_S, abs=1)
    waited = Tries(3, 30).wait_after(refused(OverloadedError, later))
    assert waited is not None
    assert 4 < waited - FIRST_BACKOFF_S <= 5
    assert Tries(3, 30).wait_after(refused(OverloadedError, "soon")) == FIRST_BACKOFF_S


def test_nobody_waits_beyond_the_deadline(clock: Clock) -> None:
    tries = Tries(3, 30)
    assert tries.headers == {"X-Request-Timeout-Ms": "30000"}
    clock.now_s += 29
    assert tries.headers == {"X-Request-Timeout-Ms": "1000"}
    with pytest.raises(OverloadedError):
        tries.wait_after(refused(OverloadedError, "1"))


@pytest.mark.parametrize("kind", [DeadlineError, NotFoundError, TooLargeError])
def test_what_would_fail_again_is_not_asked_again(clock: Clock, kind: type[TriadError]) -> None:
    with pytest.raises(kind):
        Tries(3, 30).wait_after(refused(kind))


def test_a_lost_connection_is_made_again_but_silence_is_the_deadline(clock: Clock) -> None:
    tries = Tries(1, 30)
    lost = httpx.RemoteProtocolError("Server disconnected")
    assert tries.wait_after(lost) == FIRST_BACKOFF_S
    with pytest.raises(UnavailableError, match="cannot be reached: Server disconnected") as raised:
        tries.wait_after(lost)
    assert raised.value.__cause__ is lost
    with pytest.raises(DeadlineError, match="within 30 s"):
        Tries(3, 30).wait_after(httpx.ReadTimeout("timed out"))


def test_a_rate_limit_is_one(clock: Clock) -> None:
    with pytest.raises(RateLimitError) as raised:
        Tries(0, 30).wait_after(refused(RateLimitError, "60"))
    assert raised.value.retry_after_s == 60


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, NotFoundError), (413, TooLargeError), (503, UnavailableError), (418, UnexpectedAnswerError)],
)
def test_a_proxys_error_becomes_the_one_of_its_status(status: int, kind: type[TriadError]) -> None:
    error = error_of(httpx.Response(status, content=b"<html>no</html>"))
    assert type(error) is kind
    assert error.detail == f"{httpx.Response(status).reason_phrase}."
