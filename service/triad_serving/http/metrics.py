"""What Prometheus scrapes: requests and their latency, of this process or of all workers."""

from __future__ import annotations

import os
import time

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
    multiprocess,
)
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from triad_serving.engine.engine import Engine
from triad_serving.http.access.headers import add_defaults
from triad_serving.http.record import Record, record_of
from triad_serving.settings import METRICS_FOLDER

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """Counts of one application."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "triad_requests",
            "Requests answered.",
            ("route", "model", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "triad_request_seconds",
            "From the first byte of a request to the last of its answer.",
            ("route",),
            registry=self._registry,
            buckets=BUCKETS_S,
        )

    def count(self, scope: Scope, record: Record, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")
        self._requests.labels(route, record.model, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def expose(self) -> Response:
        registry = self._registry
        if METRICS_FOLDER in os.environ:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


class Observe:
    """Outermost middleware: every request is counted, every answer bears its X-Request-ID.

    While the service stops, answers close their connections, so that no request is sent into a closing one.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, engine: Engine) -> None:
        self._app = app
        self._metrics = metrics
        self._engine = engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_s = time.perf_counter()
        record = record_of(Request(scope))
        status = 500

        async def send_observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.setdefault("X-Request-ID", record.id)
                add_defaults(message["headers"])
                if self._engine.draining:
                    headers["Connection"] = "close"
            await send(message)

        try:
            await self._app(scope, receive, send_observed)
        finally:
            self._metrics.count(scope, record, status, time.perf_counter() - started_s)
