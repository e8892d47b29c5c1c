"""The client's embed, search and rows of an index, against the service in memory."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import httpx
import pytest

from tests.conftest import png_bytes
from tests.triad_serving.search.made import make_index
from triad_serving import AsyncTriadClient, TriadClient
from triad_serving.client.calls import embed_call, put_row_call, search_call
from triad_serving.contract.errors import NotFoundError, NothingToPredictError, ParameterError
from triad_serving.http.app import create_app
from triad_serving.settings import Settings


def test_vectors_rows_and_searches(tmp_path: Path) -> None:
    models, indexes = make_index(tmp_path)

    async def talk() -> None:
        app = create_app(Settings(models=models, index=indexes))
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            AsyncTriadClient("http://test", transport=transport, retries=0) as client,
        ):
            embedded = await client.embed(text="hello", model="tiny")
            assert embedded.embeddings["text"] == pytest.approx([math.cos(0.5), math.sin(0.5)], abs=1e-6)
            found = await client.search(text="hello", k=1, index="i", by="text", filter={"shop": ["Paris"]})
            assert [(hit.row, hit.score) for hit in found.results] == [("3", 1.0)]
            (listed,) = (await client.indexes()).indexes
            assert (listed.name, listed.rows) == ("i", 3)
            stored = await client.put_row("i", image=png_bytes(), row="new", columns={"age": 9})
            assert stored.row == "new"
            by_vector = await client.search(vector=embedded.embeddings["text"], filter={"age": {"min": 9}})
            assert [hit.row for hit in by_vector.results] == ["new"]
            await client.delete_row("i", "new")
            with pytest.raises(NotFoundError):
                await client.delete_row("i", "new")

    asyncio.run(talk())


def test_nothing_is_sent_that_cannot_be_asked() -> None:
    with pytest.raises(NothingToPredictError):
        embed_call({})
    with pytest.raises(NothingToPredictError):
        search_call({"k": 3})
    with pytest.raises(ParameterError, match="no 'top_k' to ask"):
        search_call({"text": "seven", "top_k": 3})
    with pytest.raises(ParameterError, match="no 'k' to ask"):
        put_row_call("i", {"text": "seven", "k": 3})
    assert put_row_call("a/b", {"text": "seven"}).path == "/v1/indexes/a%2Fb/rows"


def test_both_clients_have_the_same_methods() -> None:
    assert {name for name in dir(TriadClient) if not name.startswith("_")} == {
        name for name in dir(AsyncTriadClient) if not name.startswith("_")
    }
