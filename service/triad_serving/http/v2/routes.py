"""The /v2 endpoints: what clients of NVIDIA Triton, KServe and others speak, over the engine of /v1."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

from fastapi import APIRouter, Depends, Request, Response
from starlette.requests import ClientDisconnect

from triad_serving.contract.errors import ClientGoneError, UnavailableError, UnsupportedFormatError
from triad_serving.engine.catalog import Model
from triad_serving.engine.engine import Engine
from triad_serving.http.multipart import Upload, UploadBudget
from triad_serving.http.record import record_of
from triad_serving.http.routes import (
    ModelName,
    ModelVersionNumber,
    ProblemRoute,
    deadline,
    server_timing,
    while_connected,
)
from triad_serving.http.v2.body import HEADER_LENGTH, answer_response, read_request
from triad_serving.http.v2.inference import Asked, infer
from triad_serving.http.v2.metadata import EXTENSIONS, SERVER, describe_configuration, describe_model
from triad_serving.http.v2.openapi import (
    INFER_DESCRIPTION,
    INFER_REQUEST,
    INFER_RESPONSES,
    V2_RESPONSES,
    V2_UNAVAILABLE,
)
from triad_serving.http.v2.outputs import wanted_outputs
from triad_serving.http.v2.schemas import (
    InferenceResponse,
    ModelConfiguration,
    ModelMetadata,
    ModelReady,
    ServerLive,
    ServerMetadata,
    ServerReady,
)

LARGE_BYTES = 2**20  # of a body that is read in a thread: JSON and base64 would hold up the event loop

T = TypeVar("T")
Find: TypeAlias = Callable[..., Awaitable[Model]]


def build_v2_health_router(engine: Engine) -> APIRouter:
    """What load balancers ask, who have no key."""
    router = APIRouter(prefix="/v2/health", route_class=ProblemRoute, tags=["open inference protocol"])

    @router.get("/live", operation_id="v2_server_live", summary="Whether the process lives")
    async def live() -> ServerLive:
        return ServerLive()

    @router.get(
        "/ready",
        operation_id="v2_server_ready",
        summary="Whether models are loaded and the batcher runs",
        responses=V2_UNAVAILABLE,
    )
    async def ready() -> ServerReady:
        _require_ready(engine)
        return ServerReady()

    return router


def build_v2_router(engine: Engine, budget: UploadBudget) -> APIRouter:
    router = APIRouter(prefix="/v2", route_class=ProblemRoute, tags=["open inference protocol"])

    @router.get("", operation_id="v2_server_metadata", summary="What this server is")
    async def server_metadata(request: Request) -> ServerMetadata:
        return ServerMetadata(name=SERVER, version=request.app.version, extensions=list(EXTENSIONS))

    async def named(name: ModelName) -> Model:
        return engine.catalog.find(name)

    async def versioned(name: ModelName, version: ModelVersionNumber) -> Model:
        return engine.catalog.find(name, version)

    _add_model_routes(router, engine, budget, path="/models/{name}", find=named, suffix="")
    versions = "/models/{name}/versions/{version}"
    _add_model_routes(router, engine, budget, path=versions, find=versioned, suffix="_version")
    return router


def _add_model_routes(
    router: APIRouter, engine: Engine, budget: UploadBudget, *, path: str, find: Find, suffix: str
) -> None:
    """Each exists for a model, whose default version answers, and for a version of it."""
    found: Model = Depends(find)

    @router.get(
        path,
        operation_id=f"v2_model{suffix}_metadata",
        summary="What a model reads and answers, as tensors",
        responses=V2_RESPONSES,
    )
    async def metadata(model: Model = found) -> ModelMetadata:
        return describe_model(engine.catalog, model)

    @router.get(
        f"{path}/ready",
        operation_id=f"v2_model{suffix}_ready",
        summary="Whether a model answers",
        responses=V2_RESPONSES | V2_UNAVAILABLE,
    )
    async def ready(model: Model = found) -> ModelReady:
        _require_ready(engine)
        return ModelReady(name=model.name)

    @router.get(
        f"{path}/config",
        operation_id=f"v2_model{suffix}_configuration",
        summary="The same as a configuration of NVIDIA Triton",
        response_model_exclude_none=True,
        responses=V2_RESPONSES,
    )
    async def configuration(model: Model = found) -> ModelConfiguration:
        return describe_configuration(engine.catalog, model)

    @router.post(
        f"{path}/infer",
        operation_id=f"v2_model{suffix}_infer",
        summary="Predict from tensors",
        description=INFER_DESCRIPTION,
        response_model=InferenceResponse,
        responses=INFER_RESPONSES,
        openapi_extra=INFER_REQUEST,
    )
    async def answer(request: Request, model: Model = found) -> Response:
        async with deadline(request, engine):
            return await _infer(request, engine, budget, model)


async def _infer(request: Request, engine: Engine, budget: UploadBudget, model: Model) -> Response:
    headers, record = request.headers, record_of(request)
    record.model = model.name
    engine.check_capacity()  # a full queue refuses before the upload, not after it
    if headers.get("content-encoding", "identity") != "identity":
        raise UnsupportedFormatError("Send the body as it is, not compressed.", field="Content-Encoding")
    with Upload(engine.settings.media_limits, budget) as upload:
        body = await _read(request, upload)
        read = functools.partial(read_request, body, headers.get(HEADER_LENGTH))
        asked, inputs = await asyncio.to_thread(read) if len(body) > LARGE_BYTES else read()
        del body, read
        outputs = wanted_outputs(model.bundle, [output.name for output in asked.outputs])
        work = infer(engine, Asked(model=model, inputs=inputs, outputs=outputs), record)
        del inputs
        task = asyncio.create_task(work)
        async with while_connected(request, task.cancel):
            tensors = await task
    assert record.timings is not None
    return answer_response(asked, model, tensors, {"Server-Timing": server_timing(record.timings)})


def _require_ready(engine: Engine) -> None:
    """Raises UnavailableError."""
    if not engine.ready:
        raise UnavailableError("No model is loaded, the batch worker died, or the service is stopping.")


async def _read(request: Request, upload: Upload) -> bytes:
    try:
        return await upload.read_plain(request.headers.get("content-length"), request.stream())
    except ClientDisconnect as error:
        raise ClientGoneError("The client went away before its request was complete.") from error
