"""What one connection may hold, and for how long.

uvicorn bounds neither the head of a request nor a body that goes on after its answer.
"""

from __future__ import annotations

import asyncio
import http
from collections.abc import Mapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from triad_serving.engine.engine import new_request_id
from triad_serving.http.access.headers import DEFAULTS
from triad_serving.http.problems import as_told
from triad_serving.http.schemas import Problem

MAX_HEAD_BYTES = 64 * 1024  # of a request's line and headers, beyond the packet that they begin in


class LimitedProtocol(HttpToolsProtocol):
    """Ends a connection on which a request's head, or the rest of one that was answered, takes over limit_s.

    Between two requests uvicorn's own time limit holds.
    """

    def __init__(self, *, limit_s: float, **given: Any) -> None:
        super().__init__(**given)
        self._limit_s = limit_s
        self._in_head = False
        self._head_bytes = 0
        self._end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._end = self.loop.call_later(self._limit_s, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self._be_patient()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        head_goes_on = self._in_head
        super().data_received(data)
        if not self._in_head or self.transport.is_closing():
            return
        self._head_bytes = self._head_bytes + len(data) if head_goes_on else 0
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(431, f"The request's head has more than {MAX_HEAD_BYTES} bytes.")
        elif self._end is None:
            self._end = self.loop.call_later(self._limit_s, self._give_up)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._be_patient()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._be_patient()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete and self.cycle.more_body:
            self._end = self.loop.call_later(self._limit_s, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, msg)

    def _be_patient(self) -> None:
        if self._end is not None:
            self._end.cancel()
            self._end = None

    def _give_up(self) -> None:
        if self._in_head and (self.cycle is None or self.cycle.response_complete):
            self._refuse(408, f"The request's head was not complete within {self._limit_s:g} s.")
        else:  # nothing was asked, or the answer before it is overdue, too
            self.transport.close()

    def _refuse(self, status: int, detail: str) -> None:
        title = http.HTTPStatus(status).phrase
        problem = Problem(type="about:blank", title=title, status=status, detail=detail, id=new_request_id())
        self.answer(problem, {}, close=True)
        self.transport.close()

    def answer(self, problem: Problem, headers: Mapping[str, str], *, close: bool, path: str = "") -> None:
        """Writes an answer of the server's own."""
        told, media_type = as_told(problem, path)
        body = told.encode()
        lines = {
            "content-type": media_type,
            "x-request-id": problem.id,
            "content-length": str(len(body)),
            **{name.decode(): value.decode() for name, value in DEFAULTS},
            **headers,
            **({"connection": "close"} if close else {}),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        phrase = http.HTTPStatus(problem.status).phrase
        self.transport.write(f"HTTP/1.1 {problem.status} {phrase}\r\n{head}\r\n".encode("latin-1") + body)
