"""What is noted about one request while it is answered: counted, logged and traced when it ends."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import HTTPConnection

from triad_serving.engine.engine import Timings, new_request_id
from triad_serving.inference.answer import Prediction

REQUEST_ID = re.compile(r"[!-~]{1,128}")
SCOPE_KEY = "triad.record"


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Whose key a request bears."""

    name: str
    admin: bool


@dataclass(kw_only=True, slots=True)
class Record:
    """caller: where the service has keys. problem: the reason why it was refused.

    further: predictions of a request of several examples, beside the first.
    answered_ns: when the prediction was ready, by the clock of `time.time_ns`.
    """

    id: str
    caller: Caller | None = None
    model: str = ""
    media: Sequence[str] = ()
    problem: str = ""
    prediction: Prediction | None = None
    further: Sequence[Prediction] = ()
    timings: Timings | None = None
    answered_ns: int = 0


def reason_of(title: str) -> str:
    """A problem's title, as metrics and logs name it."""
    return title.lower().replace(" ", "-")


def record_of(request: HTTPConnection) -> Record:
    """The same for the whole request; its id is the client's X-Request-ID where printable and short."""
    record: Record | None = request.scope.get(SCOPE_KEY)
    if record is None:
        sent = request.headers.get("x-request-id", "")
        record = Record(id=sent if REQUEST_ID.fullmatch(sent) else new_request_id())
        request.scope[SCOPE_KEY] = record
    return record
