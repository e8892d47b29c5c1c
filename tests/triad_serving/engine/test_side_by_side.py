"""A request that has the machine alone uses two cores; in a crowd each uses one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import png_bytes, wav_bytes
from triad_serving.contract.errors import DecodeError
from triad_serving.engine import engine as engine_module
from triad_serving.engine.engine import Engine
from triad_serving.inference.options import Options
from triad_serving.inference.session import Session
from triad_serving.media.example import RawInputs

ALL = RawInputs(text="seven 七!", image=png_bytes(value=102), audio=wav_bytes(0.1, peak=0.5))
FULL = Options(attention="full")


@pytest.fixture
def engine(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setattr(engine_module, "usable_cores", lambda: 2)
    with Engine.open(tiny_bundle) as engine:
        yield engine


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """By medium, the thread that encoded it last."""
    seen: dict[str, str] = {}
    encode = Session.encode

    def watched(self: Session, medium: str, item: Any) -> Any:
        seen[medium] = threading.current_thread().name
        return encode(self, medium, item)

    monkeypatch.setattr(Session, "encode", watched)
    return seen


def test_alone_its_media_are_encoded_in_two_threads(engine: Engine, threads: dict[str, str]) -> None:
    alone = engine.predict_sync(ALL, FULL, request_id="a")
    assert threads.keys() == {"text", "image", "audio"}

    engine.occupancy.take_place(1)
    engine.occupancy.set(1)  # as another process would
    engine.occupancy.take_place(0)
    threads.clear()
    crowded = engine.predict_sync(ALL, FULL, request_id="a")

    assert not threads
    assert crowded == alone


def test_the_slowest_medium_has_a_thread_for_itself(engine: Engine, threads: dict[str, str]) -> None:
    pace = engine.catalog.find().side_by_side
    for slowest in ("image", "text"):
        pace._seconds = {"text": 1.0, "image": 1.0, "audio": 1.0, slowest: 100.0}
        engine.predict_sync(ALL)
        assert threads[slowest].startswith("triad-worker")


def test_a_broken_medium_is_refused_wherever_it_was_read(engine: Engine) -> None:
    pace = engine.catalog.find().side_by_side
    broken = RawInputs(text="seven", image=ALL.image, audio=wav_bytes()[:2000])
    for seconds in (0.0, 100.0):
        pace._seconds = {"text": 1.0, "image": 1.0, "audio": seconds}
        with pytest.raises(DecodeError):
            engine.predict_sync(broken)


def test_explained_by_its_subsets_it_runs_whole(engine: Engine, threads: dict[str, str]) -> None:
    explained = engine.predict_sync(ALL, Options(explain="shapley"))

    assert not threads
    assert explained.predictions.keys() == {"kind", "tags", "size"}
