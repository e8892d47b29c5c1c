"""A real service of two processes, killed while rows are added: what was acknowledged is there, for all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import write_tiny_bundle
from triad_serving.engine.engine import Engine
from triad_serving.scoring.indexing import Indexing, Recipe
from triad_serving.search.store import Store

LIMIT_S = 30.0


@pytest.fixture
def service(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str, Path]]:
    """The process, its URL, its index."""
    bundle, index = write_tiny_bundle(tmp_path / "models"), tmp_path / "index"
    (tmp_path / "table.csv").write_text("text\nseven\n")
    with Engine.open(bundle) as engine:
        indexing = Indexing(engine, tmp_path / "table.csv", index, Recipe())
        assert len(list(indexing.run(1))) == 1
        indexing.finish(1, on_vectors=lambda done, total: None)
    command = [sys.executable, "-m", "triad_serving.cli", "serve", "--port", "0", "--workers", "2"]
    process = subprocess.Popen(
        [*command, "--models", str(bundle), "--index", str(index)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().split()[-1], index
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=LIMIT_S)


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
def test_what_was_acknowledged_is_found_by_other_workers_and_outlives_a_kill(
    service: tuple[subprocess.Popen[str], str, Path],
) -> None:
    process, url, index = service
    with httpx.Client(base_url=url) as client:
        added = client.post("/v1/indexes/index/rows", files={"text": (None, b"hello"), "row": (None, b"new")})
        assert added.status_code == 201
    for _ in range(4):  # a new connection each time: the workers in turn
        files = {"text": (None, b"hello"), "k": (None, b"1")}
        assert httpx.post(f"{url}/v1/search", files=files).json()["results"][0]["row"] == "new"
    acknowledged: list[str] = []
    enough = threading.Event()

    def add(client: httpx.Client, name: str) -> None:
        try:
            for n in range(10_000):
                files = {"text": (None, b"seven"), "row": (None, f"{name}{n}".encode())}
                answer = client.post("/v1/indexes/index/rows", files=files)
                assert answer.status_code == 201, answer.text
                acknowledged.append(answer.json()["row"])
                if len(acknowledged) >= 20:
                    enough.set()
        except httpx.TransportError:  # killed
            pass

    with httpx.Client(base_url=url) as one, httpx.Client(base_url=url) as two:
        threads = [threading.Thread(target=add, args=each) for each in ((one, "a"), (two, "b"))]
        for thread in threads:
            thread.start()
        assert enough.wait(LIMIT_S)
        os.killpg(process.pid, signal.SIGKILL)
        for thread in threads:
            thread.join()
    assert set(acknowledged) | {"new", "2"} <= Store(index).ids()
