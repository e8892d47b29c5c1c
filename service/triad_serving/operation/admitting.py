"""Tells a client that there is no place for its request before the body is read, for next to nothing.

Under overload most of the work would be to refuse, and more where clients ask again at once: then a body of
375 KB takes 0.7 ms of a core, and 1 ms of who sends it. So after a refusal a connection rests, unread, for as
long as Retry-After has told: a second, or longer where many rest already; and at most until there is room.
"""

from __future__ import annotations

import asyncio
import math
import socket
from typing import Any

from starlette.requests import HTTPConnection
from starlette.types import Scope

from triad_serving.contract.errors import OverloadedError
from triad_serving.engine.engine import Engine
from triad_serving.http.problems import RETRY_AFTER_S, describe_problem
from triad_serving.http.record import record_of
from triad_serving.operation.connection import LimitedProtocol
from triad_serving.settings import Fairness

ESTABLISHED = 1  # of a connection in TCP_INFO. Source: Linux, include/net/tcp_states.h
COSTLY = ("/v1/predict", "/v1/explain")
SENDING_S = 1.0  # how long a request has a place while its body comes in
MOST_REFUSALS_PER_S = 10.0  # of one process, on connections that rested: 1.5 % of the time of both sides
MOST_IGNORED_BYTES = 2**20  # of a refused body; a longer one ends the connection
LAST_WORD_S = 2.0  # how long such a connection stays half open: closed at once, it takes the answer with it


class AdmittingProtocol(LimitedProtocol):
    _refused = False
    _rest_s = 0
    _rest: asyncio.TimerHandle | None = None

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        engine: Engine | None = self.app_state.get("engine")
        costly = cycle.scope["method"] == "POST" and cycle.scope["path"] in COSTLY
        if engine is None or engine.admission is None or not costly:
            super()._start_asgi_task(cycle, app)
            return
        client = client_of(cycle.scope, engine.settings.fair)
        if engine.admission.enter(client):
            super()._start_asgi_task(cycle, _Placed(app, engine, client, cycle))
        else:
            engine.on_refused()
            self._turn_away(cycle, engine)

    def _turn_away(self, cycle: Any, engine: Engine) -> None:
        error = OverloadedError("More is asked than can be answered; try again soon.")
        asked = HTTPConnection(cycle.scope)
        problem = describe_problem(error, record_of(asked).id)
        length = asked.headers.get("content-length", "0")
        cycle.response_started = cycle.response_complete = True
        ends = cycle.waiting_for_100_continue or engine.draining or int(length) > MOST_IGNORED_BYTES
        cycle.keep_alive = cycle.keep_alive and not ends
        resting = len(engine.admission.resting) if engine.admission else 0
        self._rest_s = math.ceil(max(RETRY_AFTER_S, resting / MOST_REFUSALS_PER_S))
        self.answer(problem, {"retry-after": str(self._rest_s)}, close=not cycle.keep_alive)
        self.on_response_complete()
        if not cycle.keep_alive:
            if self.transport.can_write_eof():  # TLS cannot
                self.transport.write_eof()
            self.loop.call_later(LAST_WORD_S, self.transport.close)
        elif cycle.more_body:
            self._refused = True
        else:
            self._take_rest()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if self._refused:
            self._refused = False
            self._take_rest()

    def connection_lost(self, exc: Exception | None) -> None:
        self.wake()
        super().connection_lost(exc)

    def _take_rest(self) -> None:
        self.app_state["engine"].admission.resting[self] = self.wake
        self._unset_keepalive_if_required()
        self.flow.pause_reading()
        self._rest = self.loop.call_later(self._rest_s, self.wake)

    def wake(self) -> None:
        """Reads again, if it rests."""
        if self._rest is None:
            return
        self._rest.cancel()
        self._rest = None
        del self.app_state["engine"].admission.resting[self]
        if self.transport.is_closing():
            return
        if has_left(self.transport.get_extra_info("socket")):
            self.transport.abort()  # what it sent before that would be answered to nobody
        else:
            self.flow.resume_reading()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )


def has_left(connection: socket.socket) -> bool:
    """Whether the client has closed the connection, behind what it sent and we have not read. Linux tells."""
    if not hasattr(socket, "TCP_INFO"):
        return False
    state = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    return state[0] != ESTABLISHED


def client_of(scope: Scope, fair: Fairness) -> str:
    if fair == "key":
        return HTTPConnection(scope).headers.get("authorization", "")
    return scope["client"][0] if fair == "address" and scope["client"] else ""


class _Placed:
    """The application, while the request has a place: to its end, or until its body has taken too long.

    Such a one gets its place from the batcher when all is there; so slow clients hold none.
    """

    def __init__(self, app: Any, engine: Engine, client: str, cycle: Any) -> None:
        assert engine.admission is not None
        self._app = app
        self._admission = engine.admission
        self._client = client
        self._cycle = cycle
        self._left = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        sending = asyncio.get_running_loop().call_later(SENDING_S, self._leave_where_it_still_sends)
        try:
            await self._app(scope, receive, send)
        finally:
            sending.cancel()
            self._leave()

    def _leave_where_it_still_sends(self) -> None:
        if self._cycle.more_body:
            self._leave()

    def _leave(self) -> None:
        if not self._left:
            self._left = True
            self._admission.leave(self._client)
