"""TriadClient: asks a service, and waits for its answers."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self, Unpack

import httpx

from triad_serving.client.calls import (
    Asked,
    Call,
    EmbedAsked,
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
from triad_serving.client.many import progress_bar
from triad_serving.client.rows import Answer, Rows, in_groups
from triad_serving.client.tries import AGAIN_ALONE, Tries
from triad_serving.contract.errors import (
    NotFoundError,
    TooLargeError,
    TriadError,
    UnavailableError,
    UnexpectedAnswerError,
)
from triad_serving.contract.in_order import each_in_order
from triad_serving.http.schemas import ModelList, ModelReport, ModelVersion, Reload
from triad_serving.http.search.schemas import IndexList, RowStored, SearchAnswer
from triad_serving.inference.answer import Prediction
from triad_serving.inference.embedding import EmbeddingAnswer

TIMEOUT_S, RETRIES, CONNECTIONS = 30.0, 5, 32


class TriadClient:
    """Keeps its connections; any number of threads may use one. Close it, or use it in a `with` block.

    Every method raises TriadError: the one that the service raised; UnavailableError where it cannot be
    reached, DeadlineError after `timeout_s`, UnexpectedAnswerError where something else answers.
    """

    def __init__(
        self,
        url: str = "http://localhost:8000",
        *,
        api_key: str | None = None,
        timeout_s: float = TIMEOUT_S,
        retries: int = RETRIES,
        connections: int = CONNECTIONS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """timeout_s: of all tries of one request together; the service, too, drops it then.

        retries: after a 429, 502 or 503, when Retry-After says so, and where a connection fails.
        connections: most at once. transport: in place of httpx's own, with certificates or a proxy, say.
        """
        self._timeout_s = timeout_s
        self._retries = retries
        self._http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def predict(self, **asked: Unpack[Asked]) -> Prediction:
        return self._predict(asked)

    def explain(self, **asked: Unpack[Asked]) -> Prediction:
        """With every explanation, unless less is asked for."""
        return read(Prediction, self._send(explain_call(asked, "application/json")))

    def explain_png(self, **asked: Unpack[Asked]) -> bytes:
        """The explanation drawn, a PNG file."""
        return self._send(explain_call(asked, "image/png")).content

    def explain_html(self, **asked: Unpack[Asked]) -> str:
        """The explanation as a page that needs nothing else."""
        return self._send(explain_call(asked, "text/html")).content.decode()

    def predict_many(
        self,
        examples: Iterable[Asked],
        *,
        concurrency: int = 4,
        rows: int = 8,
        progress: bool = False,
        **asked: Unpack[Asked],
    ) -> Iterator[Answer]:
        """The answer to each example, in their order, or why there is none.

        Examples are taken as they are needed: a generator over a large table will do. asked: of every example
        that does not say otherwise. rows: of one request, which is cheaper than many requests; concurrency:
        requests at once. progress: a bar on stderr.
        """

        def ask(group: list[Asked]) -> list[Answer]:
            return self._ask_group(group, asked)

        with progress_bar(examples, shown=progress) as advance:
            for answers in each_in_order(ask, in_groups(examples, rows), concurrency=concurrency):
                for answer in answers:
                    advance()
                    yield answer

    def embed(self, **asked: Unpack[EmbedAsked]) -> EmbeddingAnswer:
        """Vectors of each medium and of all together."""
        return read(EmbeddingAnswer, self._send(embed_call(asked)))

    def search(self, **asked: Unpack[SearchAsked]) -> SearchAnswer:
        """The rows of an index that are closest to the media, or to a vector."""
        return read(SearchAnswer, self._send(search_call(asked)))

    def indexes(self) -> IndexList:
        return read(IndexList, self._send(Call(method="GET", path="/v1/indexes")))

    def put_row(self, index: str, **asked: Unpack[RowAsked]) -> RowStored:
        """Adds a row, or replaces the one of the same id. Needs an admin key."""
        return read(RowStored, self._send(put_row_call(index, asked)))

    def delete_row(self, index: str, row: str) -> None:
        """Needs an admin key. Raises NotFoundError where it is not there."""
        self._send(delete_row_call(index, row))

    def models(self) -> ModelList:
        return read(ModelList, self._send(Call(method="GET", path="/v1/models")))

    def model(self, name: str) -> ModelReport:
        return read(ModelReport, self._send(model_call(name)))

    def model_version(self, name: str, version: str) -> ModelVersion:
        return read(ModelVersion, self._send(model_call(name, "versions", version)))

    def reload(self, name: str, version: str | None = None) -> Reload:
        """Serves what the models folder holds now; version: which answers by default. Needs an admin key."""
        return read(Reload, self._send(reload_call(name, version)))

    def ready(self) -> bool:
        """Whether it answers requests now; asked once."""
        try:
            self._send(Call(method="GET", path="/readyz"), retries=0)
        except UnavailableError:
            return False
        return True

    def _ask_group(self, group: list[Asked], asked: Asked) -> list[Answer]:
        if len(group) == 1:
            return [self._ask_one(group[0], asked)]
        prepared = Rows.of(group, asked)
        if prepared.call is None:
            return list(prepared.refused.values())
        try:
            answers = prepared.read(self._send(prepared.call), len(group))
        except (NotFoundError, TooLargeError, UnexpectedAnswerError):  # each by itself, then
            return [self._ask_one(example, asked) for example in group]
        except TriadError as error:
            return [error.without_tracebacks()] * len(group)
        return [
            self._ask_one(example, asked) if isinstance(answer, AGAIN_ALONE) else answer
            for example, answer in zip(group, answers, strict=True)
        ]

    def _ask_one(self, example: Asked, asked: Asked) -> Answer:
        try:
            return self._predict({**asked, **example})
        except TriadError as error:
            return error.without_tracebacks()

    def _predict(self, asked: Mapping[str, Any]) -> Prediction:
        return read(Prediction, self._send(predict_call(asked)))

    def _send(self, call: Call, retries: int | None = None) -> httpx.Response:
        tries = Tries(self._retries if retries is None else retries, call.timeout_s or self._timeout_s)
        while True:
            outcome = self._try(call, tries)
            wait_s = tries.wait_after(outcome)
            if wait_s is None:
                assert isinstance(outcome, httpx.Response)
                return outcome
            time.sleep(wait_s)

    def _try(self, call: Call, tries: Tries) -> httpx.Response | httpx.TransportError:
        try:
            return self._http.request(
                call.method,
                call.path,
                params=call.query,
                files=call.parts,
                headers={**call.headers, **tries.headers},
                timeout=tries.timeout,
            )
        except httpx.TransportError as error:
            return error
