"""The whole route: whatever is sent is answered, or refused by a problem, and the next request is served."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import client_of
from tests.hostile.corpus import (
    ANY,
    FORM,
    Body,
    Case,
    form,
    hostile_bodies,
    hostile_fields,
    hostile_images,
    hostile_sounds,
    hostile_texts,
    part,
    valid_images,
    valid_sounds,
)
from tests.hostile.mutation import mutate
from tests.hostile.targets import complaint_about
from triad_serving.http.app import create_app
from triad_serving.settings import Settings

IMAGES, SOUNDS = list(valid_images().values()), list(valid_sounds().values())
BODIES = [body.data for body in hostile_bodies() if len(body.data) < 2**16]
GOOD = form(part("text", b"seven"))
FEW = settings(
    max_examples=settings.default.max_examples // 4,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")

Post = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def post(tiny_bundle: Path) -> Iterator[Post]:
    """Asks one service, which lives as long as the module."""

    async def start(stack: AsyncExitStack) -> httpx.AsyncClient:
        return await stack.enter_async_context(client_of(create_app(Settings(models=tiny_bundle))))

    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        client = runner.run(start(stack))

        def post(data: bytes, headers: dict[str, str] | None = None, query: str = "") -> httpx.Response:
            sent = {"Content-Type": FORM, **(headers or {})}
            return runner.run(client.post(f"/v1/predict{query}", content=data, headers=sent))

        yield post
        runner.run(stack.aclose())


def complaint(response: httpx.Response) -> str:
    return complaint_about(response.status_code, response.headers["content-type"], response.text)


@pytest.mark.parametrize(
    ("medium", "cases"), [("image", hostile_images), ("audio", hostile_sounds), ("text", hostile_texts)]
)
def test_hostile_media_get_the_answer_that_they_deserve(
    post: Post, medium: str, cases: Callable[[], Iterable[Case]]
) -> None:
    """Those of which it is certain; the others are the decoders' own affair."""
    wrong = {}
    for case in cases():
        if case.statuses == ANY:
            continue
        response = post(form(part(medium, case.data, file_name="a" if medium != "text" else None)))
        if response.status_code not in case.statuses or complaint(response):
            wrong[case.name] = (response.status_code, complaint(response))
    assert wrong == {}
    assert post(GOOD).status_code == 200


def test_hostile_fields_of_a_model_that_reads_none_are_refused(post: Post) -> None:
    for case in hostile_fields():
        response = post(form(part("fields", case.data)))
        assert response.status_code in (400, 413, 422), case.name
        assert not complaint(response), case.name
    assert post(GOOD).status_code == 200


@pytest.mark.parametrize("body", list(hostile_bodies()), ids=lambda body: body.name)
def test_a_hostile_body_is_answered_or_refused_as_it_says(post: Post, body: Body) -> None:
    response = post(body.data, body.headers)

    assert response.status_code in body.statuses
    assert not complaint(response)
    assert post(GOOD).status_code == 200


@FEW
@given(
    seed=st.integers(min_value=0),
    image=st.sampled_from(IMAGES),
    sound=st.sampled_from(SOUNDS),
    query=st.sampled_from(["", "?attention=full", "?explain=all"]),
)
def test_any_mutated_media_are_answered_or_refused(
    post: Post, seed: int, image: bytes, sound: bytes, query: str
) -> None:
    rng = np.random.default_rng(seed)
    parts = (part("image", mutate(image, IMAGES, rng)), part("audio", mutate(sound, SOUNDS, rng)))
    for sent in (parts, parts[:1], parts[1:]):
        assert not complaint(post(form(*sent), query=query))


@FEW
@given(seed=st.integers(min_value=0), body=st.sampled_from(BODIES))
def test_any_mutated_form_is_answered_or_refused(post: Post, seed: int, body: bytes) -> None:
    assert not complaint(post(mutate(body, BODIES, np.random.default_rng(seed))))


@FEW
@given(
    query=st.text(max_size=50)
    | st.dictionaries(
        st.sampled_from(["model", "version", "top_k", "attention", "explain", "target"]), st.text(max_size=20)
    ).map(lambda asked: str(httpx.QueryParams(asked)))
)
def test_any_query_is_answered_or_refused(post: Post, query: str) -> None:
    assert not complaint(post(GOOD, query=f"?{httpx.QueryParams(query)}"))


def headers_of(names: Iterable[str], values: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(sorted(names)), values, max_size=4)


@FEW
@given(
    headers=headers_of(
        {"Content-Type", "Content-Length", "X-Request-ID", "Accept", "Accept-Language", "traceparent"},
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)
        | st.sampled_from(["multipart/form-data; boundary=", 'multipart/form-data; boundary="', "9" * 400]),
    )
)
def test_any_headers_are_answered_or_refused(post: Post, headers: dict[str, str]) -> None:
    assert not complaint(post(GOOD, headers))
