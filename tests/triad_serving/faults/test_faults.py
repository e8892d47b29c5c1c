"""Faults injected below the service: who fails, what they are told, what readiness says, how it recovers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import Fail
from PIL import ImageFile

from tests.conftest import client_of, png_bytes
from triad_serving.contract.errors import (
    InferenceError,
    ModelLostError,
    OverloadedError,
    UnavailableError,
)
from triad_serving.contract.outputs import ModelOutputs, Wanted
from triad_serving.engine.engine import DEFAULTS, Engine
from triad_serving.http import multipart
from triad_serving.http.app import create_app
from triad_serving.inference.session import Session
from triad_serving.media.example import ModelInputs, RawInputs
from triad_serving.settings import Settings

LIMIT_S = 10.0
SEVEN, GUILTY = RawInputs(text="seven"), RawInputs(text="three")
CUDA_LOST = Fail(
    "[ONNXRuntimeError] : 1 : FAIL : CUDA failure 700: an illegal memory access was encountered ; GPU=0"
)

Run = Callable[[Session, Sequence[ModelInputs], Wanted], list[ModelOutputs]]
Break = Callable[[Callable[[Sequence[ModelInputs]], bool], BaseException], None]


@pytest.fixture
def engine(tiny_bundle: Path) -> Iterator[Engine]:
    with Engine.open(tiny_bundle, Settings(models=tiny_bundle, threads=1)) as engine:
        yield engine


@pytest.fixture
def break_session(monkeypatch: pytest.MonkeyPatch) -> Break:
    run: Run = Session.run

    def break_it(where: Callable[[Sequence[ModelInputs]], bool], error: BaseException) -> None:
        def broken(self: Session, batch: Sequence[ModelInputs], wanted: Wanted) -> list[ModelOutputs]:
            if where(batch):
                raise error
            return run(self, batch, wanted)

        monkeypatch.setattr(Session, "run", broken)

    return break_it


def is_guilty(batch: Sequence[ModelInputs]) -> bool:
    return any(inputs.text is not None and inputs.text.text == GUILTY.text for inputs in batch)


def always(_: Sequence[ModelInputs]) -> bool:
    return True


def errors_of_one_batch(engine: Engine, raws: Sequence[RawInputs]) -> list[BaseException | None]:
    """Of requests that arrive while the only worker is busy, and so run together."""
    gate = threading.Event()
    engine.offload(lambda: gate.wait(LIMIT_S))
    answers = [engine.start(raw, DEFAULTS, request_id=None).answer for raw in raws]
    gate.set()
    return [answer.exception(LIMIT_S) for answer in answers]


def test_one_example_on_which_the_session_raises_fails_alone(engine: Engine, break_session: Break) -> None:
    break_session(is_guilty, Fail("a node failed"))
    *innocent, guilty, last = errors_of_one_batch(engine, [SEVEN, SEVEN, GUILTY, SEVEN])
    assert [*innocent, last] == [None, None, None]
    assert isinstance(guilty, InferenceError)
    assert guilty.detail == "The model failed on this example."
    assert engine.ready
    assert engine.predict_sync(SEVEN).version == "1"


def test_a_session_that_always_raises_is_lost_and_readiness_says_so(
    engine: Engine, break_session: Break
) -> None:
    break_session(always, CUDA_LOST)
    for error in errors_of_one_batch(engine, [SEVEN, GUILTY]):
        assert isinstance(error, UnavailableError)
        assert error.detail == "The batch worker died; try again soon."
    assert (engine.ready, engine.dead) == (False, True)
    with pytest.raises(UnavailableError):
        engine.predict_sync(SEVEN)


def test_a_lost_model_names_what_was_lost(engine: Engine, break_session: Break) -> None:
    break_session(always, CUDA_LOST)
    with pytest.raises(ModelLostError, match="tiny 1 answers no more") as caught:
        engine.catalog.find().run([ModelInputs()], Wanted())
    assert caught.value.__cause__ is CUDA_LOST


@pytest.mark.parametrize("stage", ["decoding", "running"])
def test_want_of_memory_fails_one_request_with_a_clear_sentence(
    engine: Engine, break_session: Break, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    def no_memory(*_: object) -> None:
        raise MemoryError

    if stage == "decoding":
        monkeypatch.setattr(ImageFile.ImageFile, "load", no_memory)
        greedy = RawInputs(image=png_bytes())
    else:
        break_session(is_guilty, MemoryError())
        greedy = GUILTY
    with pytest.raises(OverloadedError, match="not enough memory for this example"):
        engine.predict_sync(greedy)
    assert engine.ready
    assert engine.predict_sync(SEVEN).version == "1"


def test_want_of_memory_while_an_upload_is_read_is_no_500(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_memory(*_: object) -> RawInputs:
        raise MemoryError

    async def go() -> tuple[httpx.Response, int]:
        async with client_of(create_app(Settings(models=tiny_bundle))) as client:
            with monkeypatch.context() as patch:
                patch.setattr(multipart.Upload, "read", no_memory)
                refused = await client.post("/v1/predict", files={"text": (None, b"seven")})
            answered = await client.post("/v1/predict", files={"text": (None, b"seven")})
            return refused, answered.status_code

    refused, after = asyncio.run(go())
    assert (refused.status_code, refused.headers["retry-after"], after) == (503, "1", 200)
    assert refused.json()["detail"] == "There is not enough memory for this request now; try again soon."


@pytest.mark.parametrize("jump", [timedelta(days=-400), timedelta(days=400)])
def test_a_jump_of_the_clock_neither_delays_nor_refuses(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, jump: timedelta
) -> None:
    """Waits, ages in the queue and deadlines are counted by the monotonic clock."""
    now = time.time

    async def go() -> list[int]:
        settings = Settings(models=tiny_bundle, request_timeout_s=LIMIT_S, max_queue_s=LIMIT_S)
        app = create_app(settings)
        async with client_of(app) as client:
            gate = threading.Event()
            for _ in range(settings.threads):
                app.state.engine.offload(lambda: gate.wait(LIMIT_S))
            waiting = asyncio.create_task(client.post("/v1/predict", files={"text": (None, b"seven")}))
            await client.get("/healthz")  # so that the request has begun to wait
            monkeypatch.setattr(time, "time", lambda: now() + jump.total_seconds())
            gate.set()
            after = await client.post("/v1/predict", files={"text": (None, b"seven")})
            return [(await waiting).status_code, after.status_code]

    assert asyncio.run(go()) == [200, 200]


def test_the_service_reads_no_clock_that_jumps() -> None:
    service = Path(create_app.__code__.co_filename).parents[1]
    jumping = ("time.time(", "datetime.now(", "utcnow(", "from time import time")
    found = sorted(
        file.name
        for file in service.rglob("*.py")
        if any(each in file.read_text(encoding="utf-8") for each in jumping)
    )
    # guard.py: a rate's window, which the library `limits` keeps by that clock. tries.py: the client's, for a
    # Retry-After that is a date.
    assert found == ["guard.py", "tries.py"]
