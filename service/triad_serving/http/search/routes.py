"""/v1/search, and /v1/indexes with their rows, which come and go while it serves."""

from __future__ import annotations

import asyncio
import functools
from pathlib import Path as File
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from starlette.responses import FileResponse

from triad_serving.contract.errors import NotFoundError, NothingToPredictError, ParameterError
from triad_serving.engine.engine import Engine
from triad_serving.http.access.guard import require_admin
from triad_serving.http.multipart import Upload, UploadBudget
from triad_serving.http.record import record_of
from triad_serving.http.routes import ProblemRoute, deadline, embed_raw, read_options, receive, server_timing
from triad_serving.http.search.openapi import (
    ADD_ROW,
    ADD_ROW_DESCRIPTION,
    INDEX_RESPONSES,
    MEDIUM_RESPONSES,
    ROW_DELETED_RESPONSES,
    ROW_RESPONSES,
    SEARCH,
    SEARCH_DESCRIPTION,
    SEARCH_RESPONSES,
)
from triad_serving.http.search.reading import (
    ROW,
    ROW_FIELDS,
    SEARCH_FIELDS,
    read_columns,
    read_row_id,
    read_search,
)
from triad_serving.http.search.report import describe_hits, describe_index
from triad_serving.http.search.schemas import (
    IndexList,
    RowStored,
    SearchAnswer,
    SearchQuery,
)
from triad_serving.inference.answer import Medium
from triad_serving.inference.embedding import EmbedOptions
from triad_serving.search.index import Index, Query
from triad_serving.search.indexes import Indexes
from triad_serving.search.media import content_of, media_of
from triad_serving.search.query import compared, query_vectors
from triad_serving.search.store import EVERYTHING, NewRow

IndexName = Annotated[str, Path(description="Name of the index.", examples=["digits"])]
RowId = Annotated[str, Path(description="The row's id.", examples=["17"])]


def build_search_router(engine: Engine, indexes: Indexes, budget: UploadBudget) -> APIRouter:
    """budget: shared with the other routes."""
    router = APIRouter(prefix="/v1", route_class=ProblemRoute, tags=["search"])

    @router.post(
        "/search",
        operation_id="search",
        summary="The rows of an index that are closest to a text, an image and a sound",
        description=SEARCH_DESCRIPTION,
        response_model=SearchAnswer,
        responses=SEARCH_RESPONSES,
        openapi_extra=SEARCH,
    )
    async def search(request: Request) -> Response:
        query = read_options(SearchQuery, request.scope["query_string"])
        index = indexes.find(query.index)
        parts = compared(index.about.parts, query.by)
        async with deadline(request, engine):
            return await _search(request, index, parts, engine, budget)

    @router.get(
        "/indexes",
        operation_id="list_indexes",
        summary="List the served indexes",
        response_model=IndexList,
        responses=INDEX_RESPONSES,
    )
    async def list_indexes() -> Response:
        reports = await asyncio.to_thread(lambda: [describe_index(index) for index in indexes.all])
        return Response(IndexList(indexes=reports).to_json(), media_type="application/json")

    @router.post(
        "/indexes/{index}/rows",
        operation_id="put_row",
        summary="Add a row, or replace the one of the same id",
        description=ADD_ROW_DESCRIPTION,
        status_code=201,
        response_model=RowStored,
        responses=ROW_RESPONSES,
        openapi_extra=ADD_ROW,
    )
    async def put_row(index: IndexName, request: Request) -> Response:
        require_admin(request, engine.settings)
        found = indexes.find(index)
        async with deadline(request, engine):
            return await _put_row(request, found, engine, budget)

    @router.delete(
        "/indexes/{index}/rows/{row}",
        operation_id="delete_row",
        summary="Delete a row: no search finds it any more",
        status_code=204,
        response_class=Response,
        responses=ROW_DELETED_RESPONSES,
    )
    async def delete_row(index: IndexName, row: RowId, request: Request) -> Response:
        require_admin(request, engine.settings)
        found = indexes.find(index)
        if not await asyncio.to_thread(found.delete, row):
            raise _no_row(found, row)
        return Response(status_code=204)

    @router.get(
        "/indexes/{index}/rows/{row}/{medium}",
        operation_id="get_row_medium",
        summary="A row's text, picture or sound",
        response_class=Response,
        responses=MEDIUM_RESPONSES,
    )
    def get_row_medium(
        index: IndexName,
        row: RowId,
        medium: Annotated[Medium, Path(description="Which of the row's media.")],
    ) -> Response:
        found = indexes.find(index)
        stored = found.store.find(row)
        if stored is None:
            raise _no_row(found, row)
        content = content_of(found.store, stored, medium)
        if content is None:
            raise NotFoundError(f"The row {row[:80]!r} shows no {medium[:80]}.", field="medium", value=medium)
        kind = stored.media[medium]["type"]
        if isinstance(content, File):
            return FileResponse(content, media_type=kind)
        return Response(content, media_type=kind)

    return router


async def _search(
    request: Request, index: Index, parts: tuple[str, ...], engine: Engine, budget: UploadBudget
) -> Response:
    about, record = index.about, record_of(request)
    record.model = about.model
    headers: dict[str, str] = {}
    warnings: list[str] = []
    with Upload(engine.settings.media_limits, budget) as upload:
        raw, fields = await receive(request, functools.partial(upload.read_with, fields=SEARCH_FIELDS))
        asked = read_search(fields, about)
        record.media = raw.media
        if asked.vector_D is not None:
            if raw.media:
                raise ParameterError("Send media or a vector, not both.", field="vector")
            vectors_D = dict.fromkeys(parts, asked.vector_D)
        else:
            if not raw.media:
                raise NothingToPredictError(
                    "Nothing to search by: send a text, an image, a sound or a vector."
                )
            model = engine.catalog.find(about.model, about.version)
            index.require_model(model.bundle.manifest)
            options = EmbedOptions(model=about.model, version=about.version)
            embedding, record.timings = await embed_raw(request, raw, options, engine)
            vectors_D = query_vectors(embedding.vectors_D, parts, model.bundle.manifest)
            warnings = embedding.warnings
            headers["Server-Timing"] = server_timing(record.timings)
        del raw
    query = Query(vectors_D=vectors_D, k=asked.k, condition=asked.condition)
    if asked.condition is EVERYTHING:
        hits = index.search(query)
    else:  # it may look at thousands of rows
        hits = await asyncio.wrap_future(engine.offload(functools.partial(index.search, query)))
    answer = describe_hits(index, hits, request_id=record.id, warnings=warnings)
    return Response(answer.to_json(), media_type="application/json", headers=headers)


async def _put_row(request: Request, index: Index, engine: Engine, budget: UploadBudget) -> Response:
    about, record = index.about, record_of(request)
    record.model = about.model
    model = engine.catalog.find(about.model, about.version)
    index.require_model(model.bundle.manifest)
    engine.check_capacity()
    with Upload(engine.settings.media_limits, budget) as upload:
        raw, fields = await receive(request, functools.partial(upload.read_with, fields=ROW_FIELDS))
        row_id, columns = read_row_id(fields.get(ROW)), read_columns(fields.get("columns"), about)
        record.media = raw.media
        options = EmbedOptions(model=about.model, version=about.version)
        embedding, record.timings = await embed_raw(request, raw, options, engine)
        media = media_of(raw, embedding.inputs, {}) if about.media_root is not None else {}
        row = NewRow(id=row_id, columns=columns, vectors_D=embedding.vectors_D, media=media)
        # Once begun it ends: whoever leaves meanwhile does not know whether the row is there.
        await asyncio.shield(asyncio.to_thread(index.put, row))
    stored = RowStored(id=record.id, index=index.name, row=row_id, warnings=embedding.warnings)
    return Response(stored.to_json(), 201, media_type="application/json")


def _no_row(index: Index, row: str) -> NotFoundError:
    return NotFoundError(f"The index {index.name} has no row {row[:80]!r}.", field="row", value=row)
