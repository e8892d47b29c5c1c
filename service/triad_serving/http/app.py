"""create_app(): settings, engine, routes, error handlers, middleware and lifespan, assembled in one place."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from triad_serving.contract.errors import UnavailableError
from triad_serving.engine.engine import Engine
from triad_serving.http.access.guard import RequireKey
from triad_serving.http.access.headers import other_sites
from triad_serving.http.access.keys import KeyFile
from triad_serving.http.metrics import Metrics, Observe
from triad_serving.http.multipart import UploadBudget
from triad_serving.http.openapi import KEY_RESPONSES, METRICS_RESPONSES, PROBLEM_TYPE, TAGS, UNAVAILABLE
from triad_serving.http.pages import build_pages_router
from triad_serving.http.problems import http_problem, validation_problem
from triad_serving.http.routes import ProblemRoute, build_router
from triad_serving.http.schemas import Health
from triad_serving.http.search.routes import build_search_router
from triad_serving.http.v2.openapi import V2_KEY_RESPONSES
from triad_serving.http.v2.routes import build_v2_health_router, build_v2_router
from triad_serving.search.indexes import Indexes
from triad_serving.settings import MIB, Settings

DESCRIPTION = """\
One model reads text, an image and a sound together. Every answer says what was predicted, how sure the model
is, and where it looked. Errors are `application/problem+json` (RFC 9457).
"""

# FastAPI's own: it exports where OTEL_EXPORTER_OTLP_ENDPOINT is set. Metrics and logs have ways of their own.
UNTRACED = ("/healthz", "/readyz", "/metrics", "/v2/health/")
TRACES: TelemetryConfig = {
    "auto_configure": True,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "exclude": lambda scope: scope["path"].startswith(UNTRACED),
}


class _Application(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """FastAPI would describe every error as application/json, too."""
        if self.openapi_schema is None:
            for item in super().openapi()["paths"].values():
                for operation in item.values():
                    for response in operation["responses"].values():
                        if PROBLEM_TYPE in response.get("content", {}):
                            response["content"].pop("application/json", None)
        return super().openapi()


def create_app(settings: Settings | None = None, engine: Engine | None = None) -> FastAPI:
    """The service as an ASGI application.

    An engine that is not open yet is opened and closed by the application's lifespan.
    """
    settings = settings or (engine.settings if engine else Settings())
    engine = engine or Engine.open(settings.models, settings)
    metrics = Metrics(engine)
    budget = UploadBudget(settings.max_upload_mib * MIB)
    indexes = Indexes.open(settings.index, settings.models)
    guard = RequireKey(KeyFile(settings.api_keys_file)) if settings.api_keys_file else None
    app = _Application(
        title="Triad",
        version=package_version(),
        description=DESCRIPTION,
        openapi_tags=TAGS,
        docs_url=None,  # FastAPI's own load their scripts from elsewhere
        redoc_url=None,
        lifespan=_lifespan_of(
            engine, indexes, functools.partial(_serve_grpc, engine, metrics, budget, guard)
        ),
        telemetry=TRACES,
        middleware=[Middleware(Observe, metrics=metrics, engine=engine), *other_sites(settings.cors_origins)],
        exception_handlers={
            HTTPException: _answer_http_error,
            RequestValidationError: _answer_validation_error,
            Exception: _answer_unexpected_error,
        },
    )
    guarded: dict[str, Any] = {"dependencies": [Security(guard)], "responses": KEY_RESPONSES} if guard else {}
    app.include_router(build_router(engine, budget), **guarded)
    app.include_router(build_search_router(engine, indexes, budget), **guarded)
    app.include_router(build_v2_health_router(engine))
    v2_guarded = guarded | {"responses": V2_KEY_RESPONSES} if guard else {}
    app.include_router(build_v2_router(engine, budget), **v2_guarded)
    app.include_router(_build_metrics_router(metrics), **guarded)
    app.include_router(_build_probes_router(engine))
    app.include_router(build_pages_router())
    app.state.engine = engine
    return app


def package_version() -> str:
    try:
        return version("triad-serving")
    except PackageNotFoundError:  # run from a source tree
        return "0+source"


def _build_probes_router(engine: Engine) -> APIRouter:
    """What load balancers ask, who have no key."""
    router = APIRouter(route_class=ProblemRoute, tags=["operations"])

    @router.get("/healthz", operation_id="get_health", summary="Whether the process lives")
    async def get_health() -> Health:
        return Health()

    @router.get(
        "/readyz",
        operation_id="get_readiness",
        summary="Whether a model is loaded and the batcher runs",
        responses=UNAVAILABLE,
    )
    async def get_readiness() -> Health:
        if not engine.ready:
            raise UnavailableError("No model is loaded, the batch worker died, or the service is stopping.")
        return Health()

    return router


def _build_metrics_router(metrics: Metrics) -> APIRouter:
    router = APIRouter(route_class=ProblemRoute, tags=["operations"])

    @router.get(
        "/metrics",
        operation_id="get_metrics",
        summary="Counts and latencies for Prometheus",
        response_class=Response,
        responses=METRICS_RESPONSES,
    )
    async def get_metrics() -> Response:
        return metrics.expose()

    return router


def _lifespan_of(
    engine: Engine, indexes: Indexes, beside: Callable[[], AbstractAsyncContextManager[None]]
) -> Callable[[FastAPI], AbstractAsyncContextManager[dict[str, Engine]]]:
    """Tells the server its engine, too: it drains it before it stops."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Engine]]:
        async with AsyncExitStack() as stack:
            if not engine.opened:
                await stack.enter_async_context(engine)
            await asyncio.to_thread(indexes.map_files)
            await stack.enter_async_context(beside())
            yield {"engine": engine}

    return lifespan


@asynccontextmanager
async def _serve_grpc(
    engine: Engine, metrics: Metrics, budget: UploadBudget, guard: RequireKey | None
) -> AsyncIterator[None]:
    """Where it is asked for. Only then, in the process that serves, grpc is imported: it cannot be forked."""
    if engine.settings.grpc_address is None:
        yield
        return
    from triad_serving.http.v2.rpc.server import Service

    service = Service(engine=engine, metrics=metrics, budget=budget, guard=guard, version=package_version())
    async with service.serve(engine.settings.grpc_address):
        yield


async def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = f"There is nothing at {request.url.path[:200]}." if error.status_code == 404 else error.detail
    return http_problem(request, error.status_code, detail, error.headers)


async def _answer_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return validation_problem(request, error)


async def _answer_unexpected_error(request: Request, _: Exception) -> Response:
    # Starlette raises it again behind this answer, so that the server logs it.
    return http_problem(request, 500, "The service failed unexpectedly; its log says more.")
