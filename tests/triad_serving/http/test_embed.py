"""/v1/embed: vectors as JSON and as bare numbers; refusals. The tiny model's vectors are [cos x, sin x]."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.conftest import client_of, png_bytes
from triad_serving.contract.errors import NothingToPredictError, UnanswerableError
from triad_serving.engine.engine import Engine
from triad_serving.http.app import create_app
from triad_serving.http.schemas import Problem
from triad_serving.inference.embedding import EmbeddingAnswer, require_finite
from triad_serving.media.example import RawInputs
from triad_serving.settings import Settings

FILES = {"text": (None, b"hello"), "image": ("a.png", png_bytes(value=51), "image/png")}  # x = 0.5 and 0.8
ANGLES = {"text": 0.5, "image": 0.8, "fused": 1.3}


def embed(
    bundle: Path, *, files: Any = FILES, query: str = "", accept: str = "application/json"
) -> httpx.Response:
    async def go() -> httpx.Response:
        async with client_of(create_app(Settings(models=bundle))) as client:
            return await client.post(f"/v1/embed{query}", files=files, headers={"Accept": accept})

    return asyncio.run(go())


def test_each_medium_and_all_together_have_a_vector_of_length_one(tiny_bundle: Path) -> None:
    response = embed(tiny_bundle)
    answer = EmbeddingAnswer.model_validate_json(response.content)
    assert (answer.model, answer.version, answer.width) == ("tiny", "1", 2)
    assert list(answer.embeddings) == list(ANGLES)
    for part, angle in ANGLES.items():
        assert answer.embeddings[part] == pytest.approx([math.cos(angle), math.sin(angle)], abs=1e-6)
    assert answer.inputs.image is not None
    assert "inference;dur=" in response.headers["server-timing"]
    assert response.headers["vary"] == "Accept"


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float16", 1e-3)])
def test_bare_numbers_are_those_of_the_json(tiny_bundle: Path, dtype: str, tolerance: float) -> None:
    response = embed(tiny_bundle, query=f"?dtype={dtype}", accept="application/octet-stream")
    assert response.headers["content-type"] == "application/octet-stream"
    names = response.headers["x-vectors"].split(",")
    assert names == list(ANGLES)
    assert (response.headers["x-vector-width"], response.headers["x-vector-dtype"]) == ("2", dtype)
    assert response.headers["x-model"] == "tiny/1"
    numbers = np.frombuffer(response.content, np.dtype(dtype).newbyteorder("<")).reshape(len(names), 2)
    expected = [[math.cos(angle), math.sin(angle)] for angle in ANGLES.values()]
    assert np.allclose(numbers, expected, atol=tolerance)


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"files": {"text": (None, b"")}}, 400),
        ({"files": {"image": ("a.png", b"noise", "image/png")}}, 415),
        ({"query": "?model=cats"}, 404),
        ({"query": "?version=9"}, 404),
        ({"query": "?dtype=float8"}, 422),
        ({"query": "?top_k=3"}, 422),
        ({"accept": "image/png"}, 406),
    ],
)
def test_refusals_are_problems(tiny_bundle: Path, asked: dict[str, Any], status: int) -> None:
    response = embed(tiny_bundle, **asked)
    assert Problem.model_validate_json(response.content).status == response.status_code == status


def test_the_engine_embeds_with_and_without_an_event_loop(tiny_bundle: Path) -> None:
    raw = RawInputs(text="hello")
    with Engine.open(tiny_bundle) as engine:
        one, other = engine.embed_sync(raw, request_id="a"), asyncio.run(engine.embed(raw, request_id="a"))
        assert one.to_json() == other.to_json()
        assert one.vectors_D["text"].dtype == np.float32
        with pytest.raises(NothingToPredictError):
            engine.embed_sync(RawInputs())


def test_a_vector_that_is_not_finite_is_no_answer() -> None:
    with pytest.raises(UnanswerableError, match="no finite vector"):
        require_finite({"text": np.array([np.nan], np.float32)})
