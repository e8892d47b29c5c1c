"""Processes that die, are killed, reload and end under requests that are counted."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from benchmarks.faults import Trial, must_serve, restart_in_turn, serving, workers_of
from benchmarks.serving.bodies import multipart_request
from tests.triad_serving import test_cli
from triad_serving.media.example import RawInputs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them")

LIMIT_S = 60.0
CONNECTIONS = 6
# A session that is lost, as with its GPU, once it has read a certain word.
MORTAL = """
from triad_serving import cli
from triad_serving.inference.session import Session
run, lost = Session.run, []
def mortal(self, batch, wanted):
    lost.extend(inputs for inputs in batch if inputs.text and inputs.text.text == "three")
    if lost:
        raise RuntimeError("CUDA failure 700: an illegal memory access was encountered")
    return run(self, batch, wanted)
Session.run = mortal
cli.main()
"""


def trial(models: Path, *, workers: int) -> Trial:
    request = multipart_request(RawInputs(text="seven"), "/v1/predict")
    return Trial(models=models, requests=[request], connections=CONNECTIONS, workers=workers, answers=20)


def test_only_what_a_killed_worker_had_in_hand_is_lost_and_nothing_at_reload_and_end(
    tiny_bundle: Path,
) -> None:
    async def go() -> list[int]:
        once = trial(tiny_bundle, workers=2)
        lost = []
        async with serving(*once.arguments()) as (process, port):
            load = once.load(port)
            await load.answered(once.answers)
            for number in (signal.SIGKILL, signal.SIGHUP):
                before = workers_of(process)
                stay = before - {min(before)} if number == signal.SIGKILL else set()
                os.kill(min(before) if number == signal.SIGKILL else process.pid, number)
                while (before & (now := workers_of(process))) != stay or len(now) < 2:
                    await load.answered(1)
                await load.answered(once.answers)
                lost.append(must_serve(load.count).failed.total())
            process.send_signal(signal.SIGTERM)
            lost.append((await load.refused()).failed.total())
            assert await asyncio.wait_for(process.wait(), LIMIT_S) == 0
        return lost

    killed, reloaded, ended = asyncio.run(go())
    assert killed <= CONNECTIONS
    assert (reloaded, ended) == (killed, killed)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_process_whose_model_is_lost_ends_and_is_replaced_where_there_is_a_supervisor(
    tiny_bundle: Path, workers: int
) -> None:
    command = [sys.executable, "-c", MORTAL]
    with test_cli.serving("--models", tiny_bundle, "--workers", str(workers), command=command) as (
        process,
        url,
    ):
        before = psutil.Process(process.pid).children()
        last = httpx.post(f"{url}/v1/predict", files={"text": (None, b"three")})
        assert (last.status_code, last.headers["retry-after"]) == (503, "1")
        assert last.json()["detail"] == "The batch worker died; try again soon."
        if workers == 1:
            assert process.wait(LIMIT_S) == 1
            return
        while all(worker.is_running() for worker in before):
            assert process.poll() is None
        for _ in range(8):
            assert httpx.post(f"{url}/v1/predict", files={"text": (None, b"seven")}).status_code == 200


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("haproxy"), reason="haproxy is not installed (Debian: haproxy)")
def test_services_restarted_in_turn_behind_a_proxy_lose_nothing(tiny_bundle: Path) -> None:
    count = asyncio.run(restart_in_turn(trial(tiny_bundle, workers=1)))
    assert count.answered > 0
    assert count.failed == {}
