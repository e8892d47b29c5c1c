"""Replicas of a Ray cluster. What needs Ray itself is proved by `python -m benchmarks.cluster`, too."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import ValidationError

from benchmarks.serving.process import free_port
from tests.conftest import client_of, png_bytes, write_tiny_bundle
from triad_serving.cluster import replicas
from triad_serving.cluster.deploy import deploy
from triad_serving.cluster.replicas import Replica, Scale, application, build_app, of_replica
from triad_serving.contract.errors import BundleError, SetupError, UnavailableError
from triad_serving.settings import Settings

WITHOUT_RAY = "Ray is not installed: pip install '.[ray]', 0.5 GB"


class Handle:
    """Stands for Ray's, of a deployment with one more replica."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.asked: list[tuple[str | None, ...]] = []
        self._failure = failure

    def broadcast(self, method: str, *arguments: str | None) -> Handle:
        self.asked.append((method, *arguments))
        return self

    def results(self, timeout_s: float) -> list[None]:
        if self._failure is not None:
            raise self._failure
        return [None]


def within_ray(monkeypatch: pytest.MonkeyPatch, handle: Handle) -> None:
    serve = SimpleNamespace(
        get_replica_context=lambda: SimpleNamespace(deployment="triad", app_name="triad"),
        get_deployment_handle=lambda *_: handle,
    )
    monkeypatch.setattr(replicas, "import_serve", lambda: serve)


def reloaded(models: Path, change: Callable[[], object]) -> tuple[httpx.Response, str]:
    """The answer to a reload after the change, and the version that then answers."""

    async def go() -> tuple[httpx.Response, str]:
        app = build_app(Settings(models=models, allow_reload=True))
        async with client_of(app) as client:
            change()
            response = await client.post("/v1/models/tiny/reload")
            return response, app.state.engine.catalog.find("tiny").version

    return asyncio.run(go())


def test_a_reload_reaches_every_replica(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    within_ray(monkeypatch, handle := Handle())
    write_tiny_bundle(tmp_path)
    response, version = reloaded(tmp_path, lambda: write_tiny_bundle(tmp_path, version="2"))
    assert (response.status_code, version) == (202, "2")
    assert handle.asked == [("take_models", "tiny", None)]


def test_a_reload_that_fails_elsewhere_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    within_ray(monkeypatch, Handle(RuntimeError("no such folder")))
    write_tiny_bundle(tmp_path)
    response, _ = reloaded(tmp_path, lambda: None)
    assert response.status_code == 503
    assert "no such folder" in response.json()["detail"]


def test_a_broken_bundle_reaches_no_other_replica(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    within_ray(monkeypatch, handle := Handle())
    write_tiny_bundle(tmp_path)

    def spoil() -> None:
        (write_tiny_bundle(tmp_path, version="2") / "model.onnx").write_bytes(b"broken")

    response, version = reloaded(tmp_path, spoil)
    assert (response.status_code, version) == (409, "1")
    assert handle.asked == []


def test_a_replica_takes_models_when_another_one_asks(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path)
    replica = Replica()
    replica.app = build_app(Settings(models=tmp_path))

    async def take() -> str:
        async with client_of(replica.app):
            write_tiny_bundle(tmp_path, version="2")
            await replica.take_models("tiny", None)
            replica.check_health()
            return str(replica.app.state.engine.catalog.find("tiny").version)

    assert asyncio.run(take()) == "2"


def test_a_replica_whose_engine_died_is_not_healthy() -> None:
    replica = Replica()
    replica.app = FastAPI()
    replica.app.state.engine = SimpleNamespace(dead=True)
    with pytest.raises(UnavailableError):
        replica.check_health()


@pytest.mark.parametrize(("cpus", "threads"), [(0.5, 1), (1, 1), (2.5, 3)])
def test_threads_follow_the_cores_of_a_replica(tiny_bundle: Path, cpus: float, threads: int) -> None:
    assert of_replica(Settings(models=tiny_bundle), Scale(cpus=cpus)).threads == threads
    assert of_replica(Settings(models=tiny_bundle, threads=7), Scale(cpus=cpus)).threads == 7


def test_paths_hold_in_another_working_directory(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny_bundle.parent)
    assert of_replica(Settings(models=Path(tiny_bundle.name)), Scale()).models == tiny_bundle


def test_fewer_replicas_at_most_than_at_least_are_refused() -> None:
    with pytest.raises(ValidationError, match="at most 1 replicas are fewer than at least 2"):
        Scale(min_replicas=2, max_replicas=1)


def test_without_ray_it_says_what_to_install(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SetupError, match=r"pip install triad-serving\[ray\]"):
        deploy(Settings(models=tiny_bundle), Scale(), address=None, host="127.0.0.1", port=1)


def test_the_application_asks_ray_for_what_the_scale_says(tiny_bundle: Path) -> None:
    pytest.importorskip("ray.serve", reason=WITHOUT_RAY)
    scale = Scale(min_replicas=2, max_replicas=5, queue=4, cpus=2, gpus=0.25)
    deployment: Any = application(Settings(models=tiny_bundle), scale)._bound_deployment
    config = deployment._deployment_config
    assert deployment.ray_actor_options["num_cpus"] == 2
    assert deployment.ray_actor_options["num_gpus"] == 0.25
    assert (config.autoscaling_config.min_replicas, config.autoscaling_config.max_replicas) == (2, 5)
    assert config.autoscaling_config.target_ongoing_requests == 4
    assert config.max_ongoing_requests > Settings(models=tiny_bundle).max_queue


def test_the_command_serves_until_it_is_told_to_end(tiny_bundle: Path) -> None:
    pytest.importorskip("ray.serve", reason=WITHOUT_RAY)
    port = free_port()
    command = [sys.executable, "-m", "triad_serving.cli", "deploy", "ray", "--models", str(tiny_bundle)]
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    command += ["--port", str(port)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(line.startswith("Triad is ready") for line in process.stdout)
        url = f"http://127.0.0.1:{port}"
        assert httpx.get(f"{url}/readyz").status_code == 200
        headers = {"X-Request-ID": "mine"}
        answer = httpx.post(f"{url}/v1/predict", files={"image": png_bytes()}, headers=headers)
        assert answer.json()["id"] == "mine"
        assert httpx.post(f"{url}/v1/predict", files={"none": b"x"}).json()["status"] == 400
        process.terminate()
        assert process.wait(60) == 0


def test_a_bundle_that_is_not_there_is_told_before_anything_starts(tmp_path: Path) -> None:
    pytest.importorskip("ray.serve", reason=WITHOUT_RAY)
    with pytest.raises(BundleError):
        deploy(Settings(models=tmp_path), Scale(), address=None, host="127.0.0.1", port=1)
