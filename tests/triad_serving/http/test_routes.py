"""The /v1 routes over ASGI: answers, every error in its shape, deadlines, disconnects, embedding."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.conftest import client_of, png_bytes, wav_bytes, write_tiny_bundle
from triad_serving.engine.batcher import BatchResult
from triad_serving.engine.engine import Engine, Pending, Timings
from triad_serving.http.app import create_app
from triad_serving.http.routes import build_router
from triad_serving.http.schemas import Problem
from triad_serving.inference.answer import Prediction
from triad_serving.inference.options import Options
from triad_serving.media.example import ModelInputs, RawInputs
from triad_serving.settings import Settings

LIMIT_S = 10.0
Client = httpx.AsyncClient
IMAGE = ("seven.png", png_bytes(value=102), "image/png")
SOUND = ("seven.wav", wav_bytes(0.1), "audio/wav")


def ask(tiny_bundle: Path, talk: Callable[[Client], Awaitable[Any]], **settings: Any) -> Any:
    """Whatever `talk` returns from a conversation with a fresh service."""

    async def go() -> Any:
        async with client_of(create_app(Settings(models=tiny_bundle, **settings))) as client:
            return await talk(client)

    return asyncio.run(go())


def post(
    tiny_bundle: Path,
    *,
    files: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
    content: bytes | None = None,
    query: str = "",
    settings: dict[str, Any] | None = None,
) -> httpx.Response:
    async def talk(client: Client) -> httpx.Response:
        return await client.post(f"/v1/predict{query}", files=files, content=content, headers=headers)

    response: httpx.Response = ask(tiny_bundle, talk, **(settings or {}))
    return response


def text_part(text: str) -> tuple[None, bytes]:
    return (None, text.encode())


def test_three_media_are_answered(tiny_bundle: Path) -> None:
    response = post(
        tiny_bundle,
        files={"text": text_part("seven 七!"), "image": IMAGE, "audio": SOUND},
        query="?attention=full",
    )
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    prediction = Prediction.model_validate_json(response.content)
    assert prediction.id == response.headers["x-request-id"]
    with Engine.open(tiny_bundle) as engine:
        raw = RawInputs(text="seven 七!", image=IMAGE[1], audio=SOUND[1])
        same = engine.predict_sync(raw, Options(attention="full"), request_id=prediction.id)
    assert response.text == same.to_json()


def test_times_are_in_the_standard_header(tiny_bundle: Path) -> None:
    header = post(tiny_bundle, files={"text": text_part("seven")}).headers["server-timing"]
    stages = [entry.split(";dur=") for entry in header.split(", ")]
    assert [name for name, _ in stages] == ["preprocess", "queue", "inference", "postprocess"]
    assert all(float(milliseconds) >= 0 for _, milliseconds in stages)


@pytest.mark.parametrize(("explain", "workers"), [("shapley", False), ("occlusion", True), ("all", True)])
def test_many_rows_are_put_together_by_a_worker(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, explain: str, workers: bool
) -> None:
    threads: list[str] = []
    real_finish = Engine.finish

    def watched(self: Engine, pending: Pending, result: BatchResult) -> tuple[Prediction, Timings]:
        threads.append(threading.current_thread().name)
        return real_finish(self, pending, result)

    monkeypatch.setattr(Engine, "finish", watched)
    files = {"text": text_part("seven 七!"), "image": IMAGE, "audio": SOUND}
    response = post(tiny_bundle, files=files, query=f"?explain={explain}")
    assert Prediction.model_validate_json(response.content).predictions["kind"].label
    assert [name.startswith("triad-worker") for name in threads] == [workers]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("order-66", True),
        ("a" * 128, True),
        ("a" * 129, False),
        ("two words", False),
        ("naïve", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("good", [True, False])
def test_a_sane_request_id_is_kept(tiny_bundle: Path, sent: str, kept: bool, good: bool) -> None:
    response = post(
        tiny_bundle,
        files={"text": text_part("seven")} if good else None,
        headers={"X-Request-ID": sent.encode("utf-8")},  # type: ignore[dict-item]
    )
    returned = response.headers["x-request-id"]
    assert response.json()["id"] == returned
    assert returned == sent if kept else returned.startswith("req-")


FORM = "multipart/form-data; boundary=XX"


def raw_form(*parts: tuple[str, bytes]) -> bytes:
    return b"".join(
        b'--XX\r\nContent-Disposition: form-data; name="' + name.encode() + b'"\r\n\r\n' + content + b"\r\n"
        for name, content in parts
    ) + b"--XX--\r\n"  # fmt: skip


GOOD = {"content": raw_form(("text", b"x"))}
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("request_parts", "status", "title", "field"),
    [
        ({"content": raw_form(("text", b"seven"))[:-6]}, 400, "Malformed request", None),
        ({"content": raw_form()}, 400, "Nothing to predict from", None),
        ({"content": raw_form(("text", b""), ("image", b""))}, 400, "Nothing to predict from", None),
        ({"content": raw_form(("video", b"a"))}, 400, "Malformed request", None),
        ({"content": raw_form(("text", b"a"), ("text", b"b"))}, 400, "Malformed request", "text"),
        ({"content": b""}, 400, "Malformed request", None),
        ({**GOOD, "query": "?model=cats"}, 404, "Not found", "model"),
        ({**GOOD, "query": "?version=2"}, 404, "Not found", "version"),
        ({"content": raw_form(("text", b"x" * 1_500_000))}, 413, "Too large", "text"),
        ({"content": raw_form(("text", b"x" * 10_001))}, 413, "Too large", "text"),
        ({"content": raw_form(("image", png_bytes(100, 101)))}, 413, "Too large", "image"),
        ({"content": raw_form(("audio", wav_bytes(1.1)))}, 413, "Too large", "audio"),
        ({"content": b"{}", "headers": JSON}, 415, "Unsupported format", "Content-Type"),
        ({"content": raw_form(("image", b"no image"))}, 415, "Unsupported format", "image"),
        ({"content": raw_form(("audio", b"no sound"))}, 415, "Unsupported format", "audio"),
        ({"content": raw_form(("image", png_bytes(90, 90)[:80]))}, 422, "Cannot decode", "image"),
        ({"content": raw_form(("audio", wav_bytes()[:999]))}, 422, "Cannot decode", "audio"),
        ({"content": raw_form(("text", b"\xff\xfe"))}, 422, "Cannot decode", "text"),
        ({**GOOD, "query": "?top_k=0"}, 422, "Invalid parameter", "top_k"),
        ({**GOOD, "query": "?top_k=many"}, 422, "Invalid parameter", "top_k"),
        ({**GOOD, "query": "?attention=all"}, 422, "Invalid parameter", "attention"),
        ({**GOOD, "query": "?explain=lime"}, 422, "Invalid parameter", "explain"),
        ({**GOOD, "query": "?topk=3"}, 422, "Invalid parameter", "topk"),
    ],
)  # fmt: skip
def test_bad_input_becomes_a_problem_never_an_answer(
    tiny_bundle: Path, request_parts: dict[str, Any], status: int, title: str, field: str | None
) -> None:
    settings = {"max_image_megapixels": 0.01, "max_audio_s": 1.0}
    response = post(tiny_bundle, **{"headers": {"Content-Type": FORM}, "settings": settings, **request_parts})
    problem = problem_of(response)
    assert (problem.status, problem.title, problem.field) == (status, title, field)


def problem_of(response: httpx.Response) -> Problem:
    assert response.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate_json(response.content)
    assert problem.status == response.status_code
    assert problem.id == response.headers["x-request-id"]
    assert "null" not in response.text
    return problem


def test_limits_and_values_are_told_as_numbers(tiny_bundle: Path) -> None:
    problem = problem_of(post(tiny_bundle, files={"text": text_part("x" * 10_001)}))
    assert (problem.limit, problem.value) == (10_000, 10_001)
    assert isinstance(problem.limit, int)
    problem = problem_of(post(tiny_bundle, files={"text": text_part("x")}, query="?top_k=1001&attention=x"))
    assert (problem.limit, problem.value) == (1000, "1001")
    assert "top_k" in problem.detail
    assert "attention" in problem.detail


def test_a_body_over_all_caps_is_refused_by_its_announced_length(tiny_bundle: Path) -> None:
    async def never_read() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    async def talk(client: Client) -> httpx.Response:
        headers = {"Content-Type": FORM, "Content-Length": str(10**9)}
        return await client.post("/v1/predict", content=never_read(), headers=headers)

    assert problem_of(ask(tiny_bundle, talk)).title == "Too large"


@pytest.fixture
def stuck_preprocessing(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """(entered, gate): the first request enters preprocessing and stays until the gate opens."""
    entered, gate = threading.Event(), threading.Event()

    def stuck(*_: object) -> ModelInputs:
        entered.set()
        assert gate.wait(LIMIT_S)
        return ModelInputs()

    monkeypatch.setattr("triad_serving.engine.engine.preprocess", stuck)
    return entered, gate


def test_past_the_bound_the_answer_is_503_before_the_body_is_read(
    tiny_bundle: Path, stuck_preprocessing: tuple[threading.Event, threading.Event]
) -> None:
    entered, gate = stuck_preprocessing

    async def never_read() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    async def talk(client: Client) -> tuple[httpx.Response, httpx.Response]:
        first = asyncio.create_task(client.post("/v1/predict", files={"text": text_part("seven")}))
        assert await asyncio.to_thread(entered.wait, LIMIT_S)
        refused = await client.post("/v1/predict", content=never_read(), headers={"Content-Type": FORM})
        gate.set()
        return refused, await first

    refused, answered = ask(tiny_bundle, talk, max_queue=1)
    assert problem_of(refused).title == "Overloaded"
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"
    assert answered.status_code == 200


def test_past_the_deadline_the_answer_is_504(
    tiny_bundle: Path, stuck_preprocessing: tuple[threading.Event, threading.Event]
) -> None:
    _, gate = stuck_preprocessing

    async def talk(client: Client) -> httpx.Response:
        response = await client.post("/v1/predict", files={"text": text_part("seven")})
        gate.set()
        return response

    problem = problem_of(ask(tiny_bundle, talk, request_timeout_s=0.05))
    assert (problem.status, problem.title, problem.limit) == (504, "Deadline passed", 0.05)


@pytest.mark.parametrize(("asked_ms", "limit_s"), [("50", 0.05), ("99999", 0.1)])
def test_a_request_may_have_a_shorter_deadline_and_no_longer_one(
    tiny_bundle: Path,
    stuck_preprocessing: tuple[threading.Event, threading.Event],
    asked_ms: str,
    limit_s: float,
) -> None:
    _, gate = stuck_preprocessing

    async def talk(client: Client) -> httpx.Response:
        parts, headers = {"text": text_part("seven")}, {"X-Request-Timeout-Ms": asked_ms}
        response = await client.post("/v1/predict", files=parts, headers=headers)
        gate.set()
        return response

    problem = problem_of(ask(tiny_bundle, talk, request_timeout_s=0.1))
    assert (problem.status, problem.limit) == (504, limit_s)


@pytest.mark.parametrize("asked_ms", ["0", "-1", "1.5", "soon", "٣", "9" * 30])
def test_a_deadline_that_is_none_is_refused(tiny_bundle: Path, asked_ms: str) -> None:
    async def talk(client: Client) -> httpx.Response:
        headers = {b"X-Request-Timeout-Ms": asked_ms.encode()}
        return await client.post("/v1/predict", files={"text": text_part("seven")}, headers=headers)

    problem = problem_of(ask(tiny_bundle, talk))
    assert (problem.status, problem.field) == (422, "X-Request-Timeout-Ms")


def test_the_deadline_includes_the_upload(tiny_bundle: Path) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"--XX\r\n"
        await asyncio.Event().wait()

    async def talk(client: Client) -> httpx.Response:
        return await client.post("/v1/predict", content=slow(), headers={"Content-Type": FORM})

    assert problem_of(ask(tiny_bundle, talk, request_timeout_s=0.05)).status == 504


def predict_scope() -> dict[str, Any]:
    """A predict request as an ASGI server would announce it."""
    return {
        "type": "http",
        "method": "POST",
        "path": "/v1/predict",
        "raw_path": b"/v1/predict",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"content-type", FORM.encode())],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("test", 80),
        "client": ("test", 1),
    }


def test_a_client_that_goes_away_is_dropped_before_its_run(
    tiny_bundle: Path, stuck_preprocessing: tuple[threading.Event, threading.Event]
) -> None:
    """Spoken as ASGI: the disconnect comes while the request before it keeps the only thread busy."""
    entered, gate = stuck_preprocessing
    body = raw_form(("text", b"seven"))

    async def send(_: Any) -> None:
        pass

    async def go() -> None:
        with Engine.open(tiny_bundle, Settings(models=tiny_bundle, threads=1)) as engine:
            app = create_app(engine=engine)
            first = engine.start(RawInputs(text="seven"), Options(), request_id=None)
            assert await asyncio.to_thread(entered.wait, LIMIT_S)
            messages = iter([{"type": "http.request", "body": body, "more_body": False}])

            async def receive() -> Any:
                return next(messages, {"type": "http.disconnect"})

            async with asyncio.timeout(LIMIT_S):
                await app(predict_scope(), receive, send)
            assert accepted(engine) == {first.answer}
            gate.set()

    def accepted(engine: Engine) -> set[Any]:
        assert engine._batcher
        return engine._batcher._accepted

    asyncio.run(go())


@pytest.mark.parametrize(
    ("part", "status"),
    [
        (("image", IMAGE[1]), 200),
        (("image", b"no image"), 415),
        (("audio", SOUND[1][:-20]), 422),
        (("gift", b"seven"), 400),
    ],
)
def test_an_upload_is_freed_without_the_garbage_collector(
    tiny_bundle: Path, part: tuple[str, bytes], status: int
) -> None:
    async def go() -> None:
        async with client_of(app := create_app(Settings(models=tiny_bundle, device="cpu"))):
            for _ in range(3):  # the first ones load what is loaded once
                gc.collect()
                assert await answer(app) == status
            assert gc.collect() == 0

    async def answer(app: FastAPI) -> int:
        sent: list[Any] = []
        messages = iter([{"type": "http.request", "body": raw_form(part), "more_body": False}])

        async def receive() -> Any:
            if message := next(messages, None):
                return message
            await asyncio.Event().wait()  # no more comes
            return None

        async def send(message: Any) -> None:
            sent.append(message)

        await app(predict_scope(), receive, send)
        return int(sent[0]["status"])

    asyncio.run(go())


def test_a_client_that_goes_away_while_uploading_leaves_nothing_behind(tiny_bundle: Path) -> None:
    async def go() -> list[Any]:
        sent: list[Any] = []
        async with client_of(app := create_app(Settings(models=tiny_bundle))):
            messages = iter([{"type": "http.request", "body": b"--XX\r\n", "more_body": True}])

            async def receive() -> Any:
                return next(messages, {"type": "http.disconnect"})

            async def send(message: Any) -> None:
                sent.append(message)

            await app(predict_scope(), receive, send)
        return sent

    assert asyncio.run(go())[0]["status"] == 400


def test_an_unexpected_error_is_logged_and_not_told(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("triad_serving.engine.engine.predict_tasks", broken)
    response = post(tiny_bundle, files={"text": text_part("seven")})
    problem = problem_of(response)
    assert problem.status == 500
    assert "secret" not in response.text
    assert "secret" in caplog.text
    assert problem.id in caplog.text


def test_the_models_are_described(tiny_bundle: Path) -> None:
    async def talk(client: Client) -> list[httpx.Response]:
        paths = ("", "/tiny", "/tiny/versions/1", "/cats", "/tiny/versions/2", "/cats/versions/1")
        return [await client.get(f"/v1/models{path}") for path in paths]

    listed, model, version, *missing = ask(tiny_bundle, talk)
    assert listed.json() == {"default": "tiny", "models": [model.json()]}
    assert model.json()["versions"] == ["1"]
    assert version.json()["inputs"]["audio"]["sample_rate"] == 8000
    assert version.json()["inputs"]["text"] == {"max_tokens": 8, "vocabulary": 6}
    assert [task["name"] for task in version.json()["tasks"]] == ["kind", "tags", "size"]
    assert version.json()["metrics"]["test"]["text+image+audio"]["kind"]["accuracy"] == 0.5
    assert "retrieval" not in version.json()
    assert [problem_of(response).status for response in missing] == [404, 404, 404]
    assert all(response.headers["x-request-id"] for response in (listed, model, version))


def test_a_model_that_searches_says_how_well(tmp_path: Path) -> None:
    found = {"test": {"text -> image": {"row": {"recall@1": 0.5}}}}
    bundle = write_tiny_bundle(tmp_path, retrieval=found)

    async def talk(client: Client) -> httpx.Response:
        return await client.get("/v1/models/tiny/versions/1")

    assert ask(bundle, talk).json()["retrieval"] == found


def test_the_router_lives_in_somebody_elses_application(tiny_bundle: Path) -> None:
    """Prefix, errors and ids are kept without our error handlers and middleware."""
    engine = Engine.open(tiny_bundle)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with engine:
            yield

    host = FastAPI(lifespan=lifespan)
    host.include_router(build_router(engine), prefix="/ml")

    async def go() -> list[httpx.Response]:
        async with client_of(host) as client:
            return [
                await client.post("/ml/v1/predict", files={"text": text_part("seven")}),
                await client.post("/ml/v1/predict", files={"text": text_part("seven")}, params={"top_k": 0}),
                await client.post("/ml/v1/predict", files={"image": ("a.png", b"no image")}),
                await client.get("/ml/v1/models/cats"),
            ]

    good, *bad = asyncio.run(go())
    assert Prediction.model_validate_json(good.content).id == good.headers["x-request-id"]
    assert [problem_of(response).status for response in bad] == [422, 415, 404]


def test_a_mounted_application_serves_when_its_engine_is_opened_by_the_host(tiny_bundle: Path) -> None:
    async def go() -> httpx.Response:
        async with Engine.open(tiny_bundle) as engine:
            host = FastAPI()
            host.mount("/triad", create_app(engine=engine))
            async with client_of(host) as client:
                return await client.post("/triad/v1/predict", files={"text": text_part("seven")})

    assert asyncio.run(go()).status_code == 200
