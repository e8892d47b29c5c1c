"""What /metrics says after requests whose answers are known."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import types
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import client_of, png_bytes, wav_bytes
from triad_serving.engine.engine import Engine
from triad_serving.http.app import create_app
from triad_serving.http.inventory import Inventory
from triad_serving.http.metrics import OTHER, Metrics
from triad_serving.settings import METRICS_FOLDER, Settings

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
TEXT = {"text": (None, b"seven")}
ALL = {**TEXT, "image": ("a.png", png_bytes()), "audio": ("a.wav", wav_bytes())}


def read(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, labels: Mapping[str, str] | None = None) -> float | None:
    return samples.get((name, frozenset((labels or {}).items())))


def scrape(models: Path, talk: Callable[[httpx.AsyncClient], Awaitable[Any]]) -> Samples:
    async def go() -> Samples:
        async with client_of(create_app(Settings(models=models))) as client:
            await talk(client)
            return read((await client.get("/metrics")).text)

    return asyncio.run(go())


@pytest.fixture(scope="module")
def samples(tiny_bundle: Path) -> Samples:
    """After an answer to all media, two to a text alone, an unknown model and a broken image."""

    async def talk(client: httpx.AsyncClient) -> None:
        await client.post("/v1/predict", files=ALL)
        await client.post("/v1/predict", files=TEXT)
        await client.post("/v1/predict", files=TEXT, params={"explain": "shapley", "attention": "none"})
        await client.post("/v1/predict", files=TEXT, params={"model": "cats"})
        await client.post("/v1/predict", files={"image": ("a.png", png_bytes()[:50])})
        await client.get("/nothing")

    return scrape(tiny_bundle, talk)


@pytest.mark.parametrize("stage", ["preprocess", "queue", "inference", "postprocess"])
def test_stages_are_timed_of_answered_requests(samples: Samples, stage: str) -> None:
    assert value(samples, "triad_stage_seconds_count", {"stage": stage}) == 3
    spent_s = value(samples, "triad_stage_seconds_sum", {"stage": stage})
    assert spent_s is not None
    assert 0 < spent_s < 60


def test_runs_are_counted_by_their_rows(samples: Samples) -> None:
    """Two of one row, one of the two subsets that a text alone has."""
    assert value(samples, "triad_batch_rows_count") == 3
    assert value(samples, "triad_batch_rows_sum") in (3, 4)


def test_media_are_counted_where_they_arrived_whole(samples: Samples) -> None:
    counts = {medium: value(samples, "triad_media_total", {"medium": medium}) for medium in ("text", "audio")}
    assert counts == {"text": 3, "audio": 1}
    assert value(samples, "triad_media_total", {"medium": "image"}) == 2


def test_refusals_are_counted_by_their_reason(samples: Samples) -> None:
    reasons = {
        dict(labels)["reason"]: count
        for (name, labels), count in samples.items()
        if name == "triad_rejected_total"
    }
    assert reasons == {"not-found": 2, "cannot-decode": 1}
    assert value(samples, "triad_disconnects_total") == 0


def test_what_the_server_refuses_is_counted_though_the_application_never_sees_it(tiny_bundle: Path) -> None:
    engine = Engine.open(tiny_bundle)
    metrics = Metrics(engine)
    engine.on_refused()
    exposed = bytes(metrics.expose().body).decode()
    assert 'triad_rejected_total{reason="overloaded"} 1.0' in exposed
    assert 'triad_requests_total{model="",route="(unread)",status="503"} 1.0' in exposed


def test_answers_are_counted_by_label_confidence_and_attention(samples: Samples) -> None:
    kind = {"model": "tiny", "version": "1", "task": "kind"}
    assert value(samples, "triad_predicted_total", {**kind, "label": "word"}) == 2
    assert value(samples, "triad_predicted_total", {**kind, "label": "picture"}) == 1
    assert value(samples, "triad_confidence_count", kind) == 3
    assert value(samples, "triad_attention_count", {**kind, "medium": "text"}) == 2
    assert value(samples, "triad_attention_count", {**kind, "medium": "image"}) == 1
    only_text = value(samples, "triad_attention_bucket", {**kind, "medium": "text", "le": "0.99"})
    assert only_text == 1  # the other one's attention is all on its text
    size = {**kind, "task": "size"}  # a number has neither label nor probability
    assert value(samples, "triad_confidence_count", size) is None
    assert value(samples, "triad_attention_count", {**size, "medium": "text"}) == 2


def test_served_models_are_listed_and_nothing_waits(samples: Samples) -> None:
    assert value(samples, "triad_model_info", {"model": "tiny", "version": "1", "device": "cpu"}) == 1
    assert value(samples, "triad_queue_depth") == 0
    assert not [name for name, _ in samples if name.startswith("triad_gpu")]


def test_the_queue_is_as_deep_as_examples_wait(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine.open(tiny_bundle)
    app = create_app(engine=engine)
    monkeypatch.setattr(Engine, "depth", property(lambda _: 7))

    async def go() -> Samples:
        async with client_of(app) as client:
            return read((await client.get("/metrics")).text)

    assert value(asyncio.run(go()), "triad_queue_depth") == 7


def test_labels_past_the_first_hundred_are_counted_together(tiny_bundle: Path) -> None:
    counts = Metrics(Engine.open(tiny_bundle))
    names = [counts._known(("m", "1", "t"), f"label {i}") for i in range(103)]
    assert names[99:] == ["label 99", OTHER, OTHER, OTHER]
    assert counts._known(("m", "1", "t"), "label 5") == "label 5"
    assert counts._known(("m", "1", "other"), "label 102") == "label 102"


def fake_nvml(**broken: object) -> types.ModuleType:
    module = types.ModuleType("pynvml")
    memory = types.SimpleNamespace(used=3, total=8)
    parts: dict[str, object] = {
        "NVMLError": OSError,
        "nvmlInit": lambda: None,
        "nvmlDeviceGetCount": lambda: 1,
        "nvmlDeviceGetHandleByIndex": lambda number: number,
        "nvmlDeviceGetMemoryInfo": lambda handle: memory,
        **broken,
    }
    for name, part in parts.items():
        setattr(module, name, part)
    return module


def fail() -> None:
    raise OSError("no driver")


@pytest.mark.parametrize(
    ("module", "told"),
    [(fake_nvml(), {"used": 3, "total": 8}), (fake_nvml(nvmlInit=fail), {}), (None, {})],
)
def test_a_gpus_memory_is_told_where_models_run_on_one(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, module: types.ModuleType | None, told: dict[str, int]
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", module)
    with Engine.open(tiny_bundle) as engine:
        monkeypatch.setattr(engine.catalog.models[0].session, "device", "cuda")
        families = {family.name: family.samples for family in Inventory(engine).collect()}
    memory = families.get("triad_gpu_memory_bytes", [])
    assert {sample.labels["kind"]: sample.value for sample in memory} == told


WORKER = """
import sys
from prometheus_client import CollectorRegistry, Gauge
gauge = Gauge("triad_queue_depth", "d", registry=CollectorRegistry(), multiprocess_mode="livesum")
gauge.set(5)
"""


def test_a_worker_that_died_waits_for_nobody(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {**os.environ, METRICS_FOLDER: str(tmp_path)}
    subprocess.run([sys.executable, "-c", WORKER], env=environment, check=True)
    assert [file.name[:14] for file in tmp_path.iterdir()] == ["gauge_livesum_"]
    monkeypatch.setenv(METRICS_FOLDER, str(tmp_path))
    exposed = Metrics(Engine.open(tiny_bundle)).expose()
    assert b"triad_queue_depth 5" not in bytes(exposed.body)
    assert list(tmp_path.iterdir()) == []


def test_a_client_that_left_is_a_disconnect_and_no_refusal(tiny_bundle: Path) -> None:
    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(_: object) -> None:
        pass

    async def go() -> Samples:
        app = create_app(Settings(models=tiny_bundle))
        async with client_of(app) as client:
            headers = [(b"content-type", b"multipart/form-data; boundary=XX")]
            scope = {"type": "http", "method": "POST", "path": "/v1/predict", "headers": headers}
            await app({**scope, "query_string": b""}, receive, send)
            return read((await client.get("/metrics")).text)

    samples = asyncio.run(go())
    assert value(samples, "triad_disconnects_total") == 1
    assert not [name for name, _ in samples if name == "triad_rejected_total"]
