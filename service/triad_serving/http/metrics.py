"""What Prometheus scrapes: requests, their stages and answers, of this process or of all workers."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from triad_serving.contract.errors import ClientGoneError, OverloadedError, reason_of
from triad_serving.engine.engine import Engine, Timings
from triad_serving.http.access.headers import add_defaults
from triad_serving.http.inventory import Inventory
from triad_serving.http.record import Record, record_of
from triad_serving.http.request_log import log_request
from triad_serving.inference.answer import Attention, Classification, Multilabel, Prediction, Transcript
from triad_serving.settings import METRICS_FOLDER

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
BUCKETS_ROWS = (1, 2, 4, 8, 16, 32, 64, 128)
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
MOST_LABELS = 100  # of one task counted by name; the further ones together
OTHER = "(other)"
UNREAD = "(unread)"  # as route
OVERLOADED = reason_of(OverloadedError.title)
CLIENT_GONE = reason_of(ClientGoneError.title)

Metric = TypeVar("Metric", Counter, Histogram)


def _children(metric: Metric) -> Callable[..., Metric]:
    """Its children by their labels' values; prometheus_client takes 2 us to find one."""
    return functools.cache(metric.labels)


class Metrics:
    """Counts of one application."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._inventory = Inventory(engine)
        self._registry = registry = CollectorRegistry()
        self._requests = _children(
            Counter("triad_requests", "Requests answered.", ("route", "model", "status"), registry=registry)
        )
        self._seconds = _children(
            Histogram(
                "triad_request_seconds",
                "From the first byte of a request to the last of its answer.",
                ("route",),
                registry=registry,
                buckets=BUCKETS_S,
            )
        )
        self._rejected = _children(
            Counter("triad_rejected", "Requests answered with a problem.", ("reason",), registry=registry)
        )
        self._disconnects = Counter(
            "triad_disconnects", "Clients that left before their answer.", registry=registry
        )
        self._queue_depth = Gauge(
            "triad_queue_depth",
            "Examples accepted and not yet answered.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._stages = _children(
            Histogram(
                "triad_stage_seconds",
                "Of answered requests: preprocess, queue, inference, postprocess.",
                ("stage",),
                registry=registry,
                buckets=BUCKETS_S,
            )
        )
        self._batch_rows = Histogram(
            "triad_batch_rows", "Rows of each run of a graph.", registry=registry, buckets=BUCKETS_ROWS
        )
        self._media = _children(
            Counter("triad_media", "Media that requests brought.", ("medium",), registry=registry)
        )
        of_task = ("model", "version", "task")
        self._predicted = _children(
            Counter("triad_predicted", "Labels answered.", (*of_task, "label"), registry=registry)
        )
        self._confidence = _children(
            Histogram(
                "triad_confidence",
                "Probability of the label or transcript answered.",
                of_task,
                registry=registry,
                buckets=SHARES,
            )
        )
        self._attention = _children(
            Histogram(
                "triad_attention",
                "Share of the attention that fell on a medium which was there.",
                (*of_task, "medium"),
                registry=registry,
                buckets=SHARES,
            )
        )
        self._labels: dict[tuple[str, ...], set[str]] = {}
        engine.on_run = self._batch_rows.observe
        engine.on_refused = self._count_refused

    def begin(self) -> None:
        self._queue_depth.set(self._engine.depth)

    def count(self, scope: Scope, record: Record, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")
        self._requests(route, record.model, str(status)).inc()
        self._seconds(route).observe(seconds)
        self._queue_depth.set(self._engine.depth)
        self._count_record(record)
        for row in record.rows:
            self._count_record(row)

    def _count_record(self, record: Record) -> None:
        if record.problem == CLIENT_GONE:
            self._disconnects.inc()
        elif record.problem:
            self._rejected(record.problem).inc()
        for medium in record.media:
            self._media(medium).inc()
        if record.timings is not None:
            self._count_stages(record.timings)
        if record.prediction is not None:
            self._count_prediction(record.prediction)

    def _count_refused(self) -> None:
        """That the server told, before the application saw the request."""
        self._requests(UNREAD, "", str(OverloadedError.status)).inc()
        self._rejected(OVERLOADED).inc()

    def _count_stages(self, timings: Timings) -> None:
        self._stages("preprocess").observe(timings.preprocess_s)
        self._stages("queue").observe(timings.queue_s)
        self._stages("inference").observe(timings.inference_s)
        self._stages("postprocess").observe(timings.postprocess_s)

    def _count_prediction(self, prediction: Prediction) -> None:
        for name, answer in prediction.predictions.items():
            task = (prediction.model, prediction.version, name)
            if isinstance(answer, Classification):
                self._predicted(*task, self._known(task, answer.label)).inc()
                self._confidence(*task).observe(answer.probability)
            elif isinstance(answer, Multilabel):
                for label in answer.labels:
                    self._predicted(*task, self._known(task, label)).inc()
            elif isinstance(answer, Transcript):
                self._confidence(*task).observe(answer.probability)
            if answer.attention is not None:
                self._count_attention(task, answer.attention)

    def _count_attention(self, task: tuple[str, ...], attention: Attention) -> None:
        for medium, share in attention.modalities.items():
            if share > 0:
                self._attention(*task, medium).observe(share)

    def _known(self, task: tuple[str, ...], label: str) -> str:
        """The label, or that of all others where the task has had enough."""
        labels = self._labels.setdefault(task, set())
        if label not in labels:
            if len(labels) >= MOST_LABELS:
                return OTHER
            labels.add(label)
        return label

    def expose(self) -> Response:
        registry = self._registry
        if METRICS_FOLDER in os.environ:
            _forget_the_dead(Path(os.environ[METRICS_FOLDER]))
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        content = generate_latest(registry) + generate_latest(self._inventory)
        return Response(content, headers={"Content-Type": CONTENT_TYPE_LATEST})


def _forget_the_dead(folder: Path) -> None:
    """A worker that ended by itself still counts as live for prometheus_client."""
    for pid in {int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_live*_*.db")}:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            with suppress(FileNotFoundError):  # another worker was asked at the same time
                multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]


class Observe:
    """Outermost middleware: every request is counted, every answer bears its X-Request-ID.

    While the service stops, answers close their connections, so that no request is sent into a closing one.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, engine: Engine) -> None:
        self._log_requests = engine.settings.log_requests
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
                if scope.get("fastapi.telemetry") is not None:
                    from triad_serving.http.tracing import trace_request

                    trace_request(record, headers)
                if self._engine.draining:
                    headers["Connection"] = "close"
            await send(message)

        self._metrics.begin()
        try:
            await self._app(scope, receive, send_observed)
        finally:
            seconds = time.perf_counter() - started_s
            self._metrics.count(scope, record, status, seconds)
            if self._log_requests:
                log_request(scope, record, status, seconds)
