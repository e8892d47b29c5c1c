"""The /v1 endpoints. `build_router(engine)` is complete in itself: any FastAPI application may include it."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import ExitStack, asynccontextmanager
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import parse_qsl

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import ValidationError
from pydantic.json_schema import SkipJsonSchema
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from triad_serving.contract.errors import (
    ClientGoneError,
    DeadlineError,
    OverloadedError,
    ParameterError,
    ReloadError,
    SetupError,
    TriadError,
)
from triad_serving.contract.schema import Schema
from triad_serving.engine.engine import Engine, Timings
from triad_serving.http.access.guard import require_admin
from triad_serving.http.batch import MANY_ROWS, Batch, BatchResponse, read_rows, wanted_format
from triad_serving.http.descriptions import describe_all, describe_model, describe_version
from triad_serving.http.embedding import DESCRIPTION as EMBED_DESCRIPTION
from triad_serving.http.embedding import RESPONSES as EMBED_RESPONSES
from triad_serving.http.embedding import EmbedQuery, Form, describe_embed, embedding_response, wanted_form
from triad_serving.http.multipart import Upload, UploadBudget
from triad_serving.http.openapi import (
    BATCH_DESCRIPTION,
    BATCH_RESPONSES,
    EXPLAIN_DESCRIPTION,
    EXPLAIN_RESPONSES,
    MODEL_RESPONSES,
    PREDICT_DESCRIPTION,
    PREDICT_RESPONSES,
    RELOAD_DESCRIPTION,
    RELOAD_RESPONSES,
    TIMEOUT_HEADER,
    describe_batch,
    describe_request,
)
from triad_serving.http.problems import http_problem, triad_problem, validation_problem
from triad_serving.http.record import record_of
from triad_serving.http.schemas import BatchAnswer, ModelList, ModelReport, ModelVersion, Reload
from triad_serving.http.view import AS_JSON, View
from triad_serving.inference.answer import Prediction
from triad_serving.inference.embedding import Embedding, EmbeddingAnswer, EmbedOptions
from triad_serving.inference.options import ExplainOptions, Options
from triad_serving.media.example import RawInputs
from triad_serving.media.registry import MEDIA
from triad_serving.settings import MIB

logger = logging.getLogger(__name__)

ModelName = Annotated[str, Path(description="Name of the model.", examples=["digits"])]
ModelVersionNumber = Annotated[str, Path(description="Version of the model.", examples=["1"])]
DefaultVersion = Annotated[
    str | SkipJsonSchema[None],
    Query(description="Which answers by default from now on; else the highest.", examples=["1"]),
]
AnyOptions = TypeVar("AnyOptions", bound=Schema)
MAX_DIGITS = 9  # of milliseconds: 11 days
T = TypeVar("T")
Reader = Callable[[str | None, str | None, AsyncIterator[bytes]], Coroutine[Any, Any, T]]
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class ProblemRoute(APIRoute):
    """Gives every answer of its route an X-Request-ID, and every error the shape of RFC 9457."""

    def get_route_handler(self) -> Handler:
        endpoint = super().get_route_handler()

        async def answer(request: Request) -> Response:
            request_id = record_of(request).id
            try:
                response = await endpoint(request)
            except HTTPException:
                raise  # the application's own: it knows how it wants them
            except TriadError as error:
                return triad_problem(request, error.without_tracebacks())
            except RequestValidationError as error:
                return validation_problem(request, error)
            except MemoryError:
                short = OverloadedError("There is not enough memory for this request now; try again soon.")
                return triad_problem(request, short)
            except Exception:  # a defect of ours: logged here, told without its inner life
                logger.exception("Request %s failed unexpectedly.", request_id)
                return http_problem(request, 500, "The service failed unexpectedly; its log says more.")
            response.headers["X-Request-ID"] = request_id
            return response

        return answer


def build_router(engine: Engine, budget: UploadBudget | None = None) -> APIRouter:
    """Routes that answer from an engine which the caller opens and closes, e.g. in the lifespan.

    budget: where other routes share it.
    """
    router = APIRouter(prefix="/v1", route_class=ProblemRoute)
    budget = budget or UploadBudget(engine.settings.max_upload_mib * MIB)
    # Of rows of all batches: half the queue stays to who asks for one.
    places = asyncio.Semaphore(max(1, min(engine.settings.max_batch, engine.settings.max_queue // 2)))

    @router.post(
        "/predict",
        operation_id="predict",
        summary="Predict from text, an image and a sound",
        description=PREDICT_DESCRIPTION,
        tags=["predict"],
        response_model=Prediction,
        responses=PREDICT_RESPONSES,
        openapi_extra=describe_request(Options),
    )
    async def predict(request: Request) -> Response:
        options = read_options(Options, request.scope["query_string"])
        async with deadline(request, engine):
            return await _predict(request, options, engine, budget)

    @router.post(
        "/predict/batch",
        operation_id="predict_batch",
        summary="Predict many at once, in one answer or as they are ready",
        description=BATCH_DESCRIPTION,
        tags=["predict"],
        response_model=BatchAnswer,
        responses=BATCH_RESPONSES,
        openapi_extra=describe_batch(),
    )
    async def predict_batch(request: Request) -> Response:
        options = read_options(Options, request.scope["query_string"])
        return await _predict_batch(request, options, engine, budget, places)

    @router.post(
        "/explain",
        operation_id="explain",
        summary="Predict, and show why: as JSON, a picture or a page",
        description=EXPLAIN_DESCRIPTION,
        tags=["predict"],
        response_model=Prediction,
        responses=EXPLAIN_RESPONSES,
        openapi_extra=describe_request(ExplainOptions),
    )
    async def explain(request: Request) -> Response:
        options = read_options(ExplainOptions, request.scope["query_string"])
        view = View.wanted(request, options.language)
        async with deadline(request, engine):
            response = await _predict(request, options, engine, budget, view)
        response.headers["Vary"] = "Accept, Accept-Language"
        return response

    @router.post(
        "/embed",
        operation_id="embed",
        summary="Vectors of a text, an image and a sound, to compare and to search by",
        description=EMBED_DESCRIPTION,
        tags=["search"],
        response_model=EmbeddingAnswer,
        responses=EMBED_RESPONSES,
        openapi_extra=describe_embed(),
    )
    async def embed(request: Request) -> Response:
        options = read_options(EmbedQuery, request.scope["query_string"])
        form = wanted_form(request)
        async with deadline(request, engine):
            return await _embed(request, options, form, engine, budget)

    @router.get(
        "/models",
        operation_id="list_models",
        summary="List the served models",
        tags=["models"],
        response_model=ModelList,
        responses=MODEL_RESPONSES,
    )
    async def list_models() -> Response:
        return _json(describe_all(engine.catalog))

    @router.get(
        "/models/{name}",
        operation_id="get_model",
        summary="Describe a model",
        tags=["models"],
        response_model=ModelReport,
        responses=MODEL_RESPONSES,
    )
    async def get_model(name: ModelName) -> Response:
        return _json(describe_model(engine.catalog, name))

    @router.get(
        "/models/{name}/versions/{version}",
        operation_id="get_model_version",
        summary="Describe one version: what it reads, what it answers, how good it is",
        tags=["models"],
        response_model=ModelVersion,
        responses=MODEL_RESPONSES,
    )
    async def get_model_version(name: ModelName, version: ModelVersionNumber) -> Response:
        return _json(describe_version(engine.catalog, name, version))

    @router.post(
        "/models/{name}/reload",
        operation_id="reload_model",
        summary="Serve the versions that the models folder holds now",
        description=RELOAD_DESCRIPTION,
        tags=["models"],
        response_model=Reload,
        responses=RELOAD_RESPONSES,
    )
    async def reload_model(name: ModelName, request: Request, version: DefaultVersion = None) -> Response:
        require_admin(request, engine.settings)
        try:
            everywhere = await asyncio.to_thread(engine.reload, name, version)
        except SetupError as error:  # its sentence names the bundle, of which the client needs no folder
            detail = error.detail.replace(f"{engine.settings.models}{os.sep}", "")
            raise ReloadError(f"The models in service stay. {detail}") from error
        state: Literal["serving", "replacing workers"] = "serving" if everywhere else "replacing workers"
        return _json(Reload(status=state), status_code=200 if everywhere else 202)

    return router


@functools.lru_cache(maxsize=256)
def read_options(kind: type[AnyOptions], query: bytes) -> AnyOptions:
    """Read once for all requests that ask alike: FastAPI's reading of a query model takes 0.2 ms for each.

    The last one counts where a name stands twice. Raises RequestValidationError.
    """
    try:
        return kind.model_validate(dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)))
    except ValidationError as error:
        complaints = [{**each, "loc": ("query", *each["loc"])} for each in error.errors()]
        raise RequestValidationError(complaints) from error


@asynccontextmanager
async def deadline(request: Request, engine: Engine) -> AsyncIterator[None]:
    """The service's, or the request's own where that is shorter. Raises DeadlineError, ParameterError."""
    deadline_s = _deadline_s(request, engine)
    try:
        async with asyncio.timeout(deadline_s):
            yield
    except TimeoutError as error:
        raise DeadlineError(f"No answer within {deadline_s:g} s.", limit=deadline_s) from error


def _deadline_s(request: Request, engine: Engine) -> float:
    """The service's, or the request's own where that is shorter. Raises ParameterError."""
    deadline_s = engine.settings.request_timeout_s
    if asked_ms := request.headers.get(TIMEOUT_HEADER):
        deadline_s = min(deadline_s, _milliseconds(asked_ms) / 1000)
    return deadline_s


def _milliseconds(asked: str) -> int:
    if not (asked.isascii() and asked.isdecimal() and len(asked) <= MAX_DIGITS and int(asked)):
        raise ParameterError(
            f"{TIMEOUT_HEADER}: send a whole number of milliseconds, 1 or more.",
            field=TIMEOUT_HEADER,
            value=asked,
        )
    return int(asked)


async def _predict(
    request: Request, options: Options, engine: Engine, budget: UploadBudget, view: View = AS_JSON
) -> Response:
    model = engine.catalog.find(options.model, options.version)
    record = record_of(request)
    record.model = model.name
    engine.check_capacity()  # a full queue refuses before the upload, not after it
    with Upload(engine.settings.media_limits, budget) as upload:
        raw = await receive(request, upload.read)
        record.media = raw.media
        pending = engine.start(raw, options, request_id=record.id)
        to_draw = raw if view.drawn else None
        del raw
        async with while_connected(request, pending.answer.cancel):
            result = await asyncio.wrap_future(pending.answer)
        finish = functools.partial(engine.finish, pending, result)
        many = len(result.rows) > MANY_ROWS or pending.model.bundle.searches
        prediction, timings = await asyncio.wrap_future(engine.offload(finish)) if many else finish()
        record.prediction, record.timings, record.answered_ns = prediction, timings, time.time_ns()
        if to_draw is None:
            return _json(prediction, headers={"Server-Timing": server_timing(timings)})
        started_s = time.perf_counter()
        spec, limits = pending.model.bundle.spec, engine.settings.media_limits
        draw = functools.partial(view.draw, prediction, to_draw, spec, limits)
        response = await asyncio.wrap_future(engine.offload(draw))
    spent_s = time.perf_counter() - started_s
    response.headers["Server-Timing"] = f"{server_timing(timings)}, draw;dur={1000 * spent_s:.2f}"
    return response


async def _embed(
    request: Request, options: EmbedQuery, form: Form, engine: Engine, budget: UploadBudget
) -> Response:
    record = record_of(request)
    record.model = engine.catalog.find(options.model, options.version).name
    engine.check_capacity()
    with Upload(engine.settings.media_limits, budget) as upload:
        raw = await receive(request, upload.read)
        record.media = raw.media
        embedding, record.timings = await embed_raw(request, raw, options, engine)
    response = embedding_response(embedding, form, options.dtype)
    response.headers["Server-Timing"] = server_timing(record.timings)
    response.headers["Vary"] = "Accept"
    return response


async def embed_raw(
    request: Request, raw: RawInputs, options: EmbedOptions, engine: Engine
) -> tuple[Embedding, Timings]:
    """Dropped where the client leaves."""
    pending = engine.start_embedding(raw, options, request_id=record_of(request).id)
    del raw
    async with while_connected(request, pending.answer.cancel):
        result = await asyncio.wrap_future(pending.answer)
    return engine.finish_embedding(pending, result)


async def _predict_batch(
    request: Request, options: Options, engine: Engine, budget: UploadBudget, places: asyncio.Semaphore
) -> Response:
    wanted = wanted_format(request)
    record, settings = record_of(request), engine.settings
    record.model = engine.catalog.find(options.model, options.version).name
    engine.check_capacity()
    until = asyncio.get_running_loop().time() + _deadline_s(request, engine)
    with ExitStack() as held:
        upload = held.enter_context(Upload(settings.media_limits, budget))
        async with deadline(request, engine):
            read = functools.partial(
                upload.read_parts,
                most_bytes=int(settings.max_rows_mib * MIB),
                most_parts=1 + len(MEDIA) * settings.max_rows,
            )
            parts = await receive(request, read)
            rows = await asyncio.to_thread(read_rows, parts, settings.media_limits, most=settings.max_rows)
        if record.caller is not None and record.caller.charge is not None and len(rows) > 1:
            record.caller.charge(len(rows) - 1)  # the first was counted as the request
        batch = Batch(
            engine=engine,
            options=options,
            record=record,
            rows=rows,
            places=places,
            until=until,
            deadline_s=_deadline_s(request, engine),
        )
        return BatchResponse(batch, wanted, held.pop_all().close)


async def receive(request: Request, read: Reader[T]) -> T:
    headers = request.headers
    try:
        return await read(headers.get("content-type"), headers.get("content-length"), request.stream())
    except ClientDisconnect as error:
        raise ClientGoneError("The client went away before its request was complete.") from error


@asynccontextmanager
async def while_connected(request: Request, cancel: Callable[[], object]) -> AsyncIterator[None]:
    """Cancels what the block awaits where the client leaves before its end: raises ClientGoneError then."""
    watcher = asyncio.create_task(_cancel_on_disconnect(request, cancel))
    try:
        yield
    except asyncio.CancelledError:
        if watcher.done():
            raise ClientGoneError("The client went away before its answer.") from None
        raise
    finally:
        watcher.cancel()


async def _cancel_on_disconnect(request: Request, cancel: Callable[[], object]) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    cancel()


def server_timing(timings: Timings) -> str:
    """Milliseconds per stage. Source: W3C Server Timing."""
    stages = {
        "preprocess": timings.preprocess_s,
        "queue": timings.queue_s,
        "inference": timings.inference_s,
        "postprocess": timings.postprocess_s,
    }
    return ", ".join(f"{name};dur={1000 * seconds:.2f}" for name, seconds in stages.items())


def _json(answer: Schema, headers: dict[str, str] | None = None, status_code: int = 200) -> Response:
    return Response(answer.to_json(), status_code, media_type="application/json", headers=headers)
