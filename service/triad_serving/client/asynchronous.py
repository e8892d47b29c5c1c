"""AsyncTriadClient: the same as TriadClient for callers with an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from typing import Any, Self, Unpack

import httpx

from triad_serving.client.blocking import CONNECTIONS, RETRIES, TIMEOUT_S
from triad_serving.client.calls import (
    Asked,
    Call,
    EmbedAsked,
    Representation,
    RowAsked,
    SearchAsked,
    delete_row_call,
    embed_call,
    explain_call,
    model_call,
    predict_call,
    put_row_call,
    read,
    reload_call,
    search_call,
)
from triad_serving.client.many import each_in_order_async, progress_bar
from triad_serving.client.rows import Answer, Rows, in_groups
from triad_serving.client.tries import AGAIN_ALONE, Tries
from triad_serving.contract.errors import (
    NotFoundError,
    TooLargeError,
    TriadError,
    UnavailableError,
    UnexpectedAnswerError,
)
from triad_serving.http.schemas import ModelList, ModelReport, ModelVersion, Reload
from triad_serving.http.search.schemas import IndexList, RowStored, SearchAnswer
from triad_serving.inference.answer import Prediction
from triad_serving.inference.embedding import EmbeddingAnswer


class AsyncTriadClient:
    """See TriadClient. Of one event loop; close it, or use it in an `async with` block."""

    def __init__(
        self,
        url: str = "http://localhost:8000",
        *,
        api_key: str | None = None,
        timeout_s: float = TIMEOUT_S,
        retries: int = RETRIES,
        connections: int = CONNECTIONS,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._timeout_s = timeout_s
        self._retries = retries
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def predict(self, **asked: Unpack[Asked]) -> Prediction:
        return await self._predict(asked)

    async def explain(self, **asked: Unpack[Asked]) -> Prediction:
        """With every explanation, unless less is asked for."""
        return read(Prediction, await self._explain(asked, "application/json"))

    async def explain_png(self, **asked: Unpack[Asked]) -> bytes:
        """The explanation drawn, a PNG file."""
        return (await self._explain(asked, "image/png")).content

    async def explain_html(self, **asked: Unpack[Asked]) -> str:
        """The explanation as a page that needs nothing else."""
        return (await self._explain(asked, "text/html")).content.decode()

    async def predict_many(
        self,
        examples: Iterable[Asked],
        *,
        concurrency: int = 4,
        rows: int = 8,
        progress: bool = False,
        **asked: Unpack[Asked],
    ) -> AsyncIterator[Answer]:
        """See TriadClient.predict_many."""

        async def ask(group: list[Asked]) -> list[Answer]:
            return await self._ask_group(group, asked)

        with progress_bar(examples, shown=progress) as advance:
            asked_groups = each_in_order_async(ask, in_groups(examples, rows), concurrency=concurrency)
            async with aclosing(asked_groups) as answered:
                async for answers in answered:
                    for answer in answers:
                        advance()
                        yield answer

    async def embed(self, **asked: Unpack[EmbedAsked]) -> EmbeddingAnswer:
        """Vectors of each medium and of all together."""
        return read(EmbeddingAnswer, await self._send(await asyncio.to_thread(embed_call, asked)))

    async def search(self, **asked: Unpack[SearchAsked]) -> SearchAnswer:
        """The rows of an index that are closest to the media, or to a vector."""
        return read(SearchAnswer, await self._send(await asyncio.to_thread(search_call, asked)))

    async def indexes(self) -> IndexList:
        return read(IndexList, await self._send(Call(method="GET", path="/v1/indexes")))

    async def put_row(self, index: str, **asked: Unpack[RowAsked]) -> RowStored:
        """Adds a row, or replaces the one of the same id. Needs an admin key."""
        return read(RowStored, await self._send(await asyncio.to_thread(put_row_call, index, asked)))

    async def delete_row(self, index: str, row: str) -> None:
        """Needs an admin key. Raises NotFoundError where it is not there."""
        await self._send(delete_row_call(index, row))

    async def models(self) -> ModelList:
        return read(ModelList, await self._send(Call(method="GET", path="/v1/models")))

    async def model(self, name: str) -> ModelReport:
        return read(ModelReport, await self._send(model_call(name)))

    async def model_version(self, name: str, version: str) -> ModelVersion:
        return read(ModelVersion, await self._send(model_call(name, "versions", version)))

    async def reload(self, name: str, version: str | None = None) -> Reload:
        """Serves what the models folder holds now; version: which answers by default. Needs an admin key."""
        return read(Reload, await self._send(reload_call(name, version)))

    async def ready(self) -> bool:
        """Whether it answers requests now; asked once."""
        try:
            await self._send(Call(method="GET", path="/readyz"), retries=0)
        except UnavailableError:
            return False
        return True

    async def _ask_group(self, group: list[Asked], asked: Asked) -> list[Answer]:
        if len(group) == 1:
            return [await self._ask_one(group[0], asked)]
        prepared = await asyncio.to_thread(Rows.of, group, asked)
        if prepared.call is None:
            return list(prepared.refused.values())
        try:
            answers = prepared.read(await self._send(prepared.call), len(group))
        except (NotFoundError, TooLargeError, UnexpectedAnswerError):  # each by itself, then
            return [await self._ask_one(example, asked) for example in group]
        except TriadError as error:
            return [error.without_tracebacks()] * len(group)
        return [
            await self._ask_one(example, asked) if isinstance(answer, AGAIN_ALONE) else answer
            for example, answer in zip(group, answers, strict=True)
        ]

    async def _ask_one(self, example: Asked, asked: Asked) -> Answer:
        try:
            return await self._predict({**asked, **example})
        except TriadError as error:
            return error.without_tracebacks()

    async def _predict(self, asked: Mapping[str, Any]) -> Prediction:
        call = await asyncio.to_thread(predict_call, asked)  # it may read files
        return read(Prediction, await self._send(call))

    async def _explain(self, asked: Asked, accept: Representation) -> httpx.Response:
        return await self._send(await asyncio.to_thread(explain_call, asked, accept))

    async def _send(self, call: Call, retries: int | None = None) -> httpx.Response:
        tries = Tries(self._retries if retries is None else retries, call.timeout_s or self._timeout_s)
        while True:
            outcome = await self._try(call, tries)
            wait_s = tries.wait_after(outcome)
            if wait_s is None:
                assert isinstance(outcome, httpx.Response)
                return outcome
            await asyncio.sleep(wait_s)

    async def _try(self, call: Call, tries: Tries) -> httpx.Response | httpx.TransportError:
        try:
            return await self._http.request(
                call.method,
                call.path,
                params=call.query,
                files=call.parts,
                headers={**call.headers, **tries.headers},
                timeout=tries.timeout,
            )
        except httpx.TransportError as error:
            return error
