"""Tells a client that there is no place for its request before the body is read, for next to nothing.

Under overload most of the work would be to refuse, and more where clients ask again at once: then a body of
375 KB takes 0.7 ms of a core, and 1 ms of who sends it. So after a refusal a connection rests, unread, for as
long as Retry-After has told: a second, or longer where many rest already; and at most until there is room, or
until its client has left.
"""

from __future__ import annotations

import asyncio
import math
import re
import select
from collections.abc import Callable
from typing import Any

from starlette.requests import HTTPConnection
from starlette.types import Scope

from triad_serving.contract.errors import OverloadedError
from triad_serving.engine.engine import Engine
from triad_serving.http.problems import RETRY_AFTER_S, describe_problem
from triad_serving.http.record import record_of
from triad_serving.operation.connection import LimitedProtocol
from triad_serving.settings import Fairness

COSTLY = re.compile(r"/v1/(predict(/batch)?|explain|embed|search|indexes/.+/rows)|/v2/models/.+/infer")
SENDING_S = 1.0  # how long a request has a place while its body comes in
MOST_REFUSALS_PER_S = 10.0  # of one process, on connections that rested: 1.5 % of the time of both sides
MOST_IGNORED_BYTES = 2**20  # of a refused body; a longer one ends the connection
MOST_TOLD_S = 30  # of Retry-After: where many rest each rests longer, but who asks anew may find room before
LAST_WORD_S = 2.0  # how long such a connection stays half open: closed at once, it takes the answer with it


class AdmittingProtocol(LimitedProtocol):
    _refused = False
    _rest_s = 0
    _rest: asyncio.TimerHandle | None = None
    _resting_file = -1

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        engine: Engine | None = self.app_state.get("engine")
        costly = cycle.scope["method"] == "POST" and COSTLY.fullmatch(cycle.scope["path"])
        if engine is None or engine.admission is None or not costly:
            super()._start_asgi_task(cycle, app)
            return
        client = client_of(cycle.scope, engine.settings.fair)
        if engine.admission.enter(client):
            self.wake()  # where this one came in one piece with one that was refused
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
        told_s = min(self._rest_s, MOST_TOLD_S)
        headers = {"retry-after": str(told_s)}
        self.answer(problem, headers, close=not cycle.keep_alive, path=cycle.scope["path"])
        self.on_response_complete()
        if not cycle.keep_alive:
            if self.transport.can_write_eof():  # TLS cannot
                self.transport.write_eof()
            self.loop.call_later(LAST_WORD_S, self.transport.close)
        elif cycle.more_body:
            self._refused = True
        else:
            self._take_rest()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._rest is not None:
            self._be_patient()  # with the head of a next request, of which a part came before the rest

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if self._refused:
            self._refused = False
            self._take_rest()

    def connection_lost(self, exc: Exception | None) -> None:
        self.wake()
        super().connection_lost(exc)

    def _take_rest(self) -> None:
        if self._rest is not None:  # two requests came in one piece
            return
        self.app_state["engine"].admission.resting[self] = self.wake
        self._unset_keepalive_if_required()
        self.flow.pause_reading()
        self._rest = self.loop.call_later(self._rest_s, self.wake)
        self._resting_file = self.transport.get_extra_info("socket").fileno()
        self._departures.watch(self._resting_file, self._end_rest_of_departed)

    def wake(self) -> None:
        """Reads again, if it rests."""
        if self._end_rest() and not self.transport.is_closing():
            self.flow.resume_reading()
            if self._in_head:
                self._end = self.loop.call_later(self._limit_s, self._give_up)
            else:
                self.timeout_keep_alive_task = self.loop.call_later(
                    self.timeout_keep_alive, self.timeout_keep_alive_handler
                )

    def _end_rest_of_departed(self) -> None:
        self._end_rest()
        self.transport.abort()  # what it sent before that would be answered to nobody

    def _end_rest(self) -> bool:
        if self._rest is None:
            return False
        self._rest.cancel()
        self._rest = None
        del self.app_state["engine"].admission.resting[self]
        self._departures.forget(self._resting_file)
        return True

    @property
    def _departures(self) -> Departures:
        departures: Departures | None = self.app_state.get("departures")
        if departures is None:
            departures = self.app_state["departures"] = Departures(self.loop)
        return departures


class Departures:
    """Tells which clients have closed a connection that nobody reads, where there is epoll (Linux).

    An event loop learns it only by reading.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._then: dict[int, Callable[[], None]] = {}
        self._epoll = select.epoll() if hasattr(select, "epoll") else None
        if self._epoll is not None:
            loop.add_reader(self._epoll.fileno(), self._tell, self._epoll)

    def watch(self, file: int, then: Callable[[], None]) -> None:
        if self._epoll is not None:
            self._then[file] = then
            self._epoll.register(file, select.EPOLLRDHUP)

    def forget(self, file: int) -> None:
        if self._epoll is not None:
            del self._then[file]
            self._epoll.unregister(file)

    def _tell(self, epoll: select.epoll) -> None:
        for file, _ in epoll.poll(0):
            self._then[file]()


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
