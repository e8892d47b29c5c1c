"""The README's commands and code run as written, and its numbers are those of the shipped bundle."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from triad_serving.inference.bundle import read_bundle
from triad_serving.settings import SHIPPED_MODELS, Settings
from triad_training.config.train_config import TrainConfig
from triad_training.media.registry import MEDIA

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)
PYTHON = [code for language, code in BLOCKS if language == "python"]


def block(language: str, containing: str = "") -> str:
    return next(code for name, code in BLOCKS if name == language and containing in code)


@contextmanager
def served() -> Iterator[int]:
    """`triad serve` on a free port, ready; stopped at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = [sys.executable, "-m", "triad_serving.cli", "serve", "--port", str(port)]
    environment = {**os.environ, "TRIAD_PRECISION": "int8"}  # what is faster on most machines
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        assert "ready" in process.stdout.readline()
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode == 0


def approximately(value: Any) -> Any:
    """The same answer within what another processor may round differently."""
    if isinstance(value, dict):
        return {key: approximately(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [approximately(inner) for inner in value]
    return pytest.approx(value, abs=0.01) if isinstance(value, float) else value


def test_both_make_commands_the_curl_and_its_answer_stand_before_line_30() -> None:
    head = "\n".join(README.splitlines()[:30])
    for expected in ("make serve", "make test", "curl ", '"warnings": []'):
        assert expected in head
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"(?:^|`)make ([a-z]+)\b", README, flags=re.MULTILINE)):
        assert f"\n{target}:" in makefile


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with served() as port:
        yield port


def test_the_curl_answers_what_the_readme_says(port: int) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    command = shlex.split(block("sh", "curl").replace("localhost:8000", f"127.0.0.1:{port}"))
    answer = subprocess.run([curl, "-sS", *command[1:]], cwd=ROOT, capture_output=True, check=True).stdout
    found, stated = json.loads(answer), json.loads(block("json"))
    assert found.pop("id").startswith("req-")
    assert stated.pop("id").startswith("req-")
    assert found == approximately(stated)


@pytest.mark.parametrize("code", [code for code in PYTHON if "Engine" in code and "FastAPI" not in code])
def test_python_blocks_run(code: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    if "asyncio" in code:
        assert ran.stdout.strip() == "['3', '4', '5']"
    else:
        assert json.loads(ran.stdout)["predictions"]["digit"]["label"] == "7"


def test_the_client_asks_the_service(port: int) -> None:
    code = block("python", "TriadClient").replace("localhost:8000", f"127.0.0.1:{port}")
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["7", "3", "4", "5"]


def test_the_routes_work_inside_another_application(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {}
    exec(compile(block("python", "FastAPI"), "README.md", "exec"), names)
    app: FastAPI = names["app"]

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with (
            names["lifespan"](app),
            httpx.AsyncClient(transport=transport, base_url="http://t") as client,
        ):
            files = {"text": (None, "seven")}
            return [
                await client.post("/ml/v1/predict", files=files),
                await client.post("/ml/v1/predict", files={"video": (None, "x")}),
            ]

    answered, refused = asyncio.run(ask())
    assert answered.json()["predictions"]["digit"]["label"] == "7"
    assert refused.status_code == 400
    assert refused.headers["content-type"] == "application/problem+json"


def test_the_config_of_the_readme_is_one() -> None:
    config = TrainConfig.model_validate(tomllib.loads(block("toml")))
    header = block("csv").splitlines()[0].split(",")
    assert set(config.tasks) == set(header[4:6])
    columns = {column for medium in MEDIA for column in medium.columns(config.data)}
    assert columns == set(header[:3] + header[6:])


def test_every_setting_is_listed_with_its_default() -> None:
    for name, field in Settings.model_fields.items():
        line = next(line for line in README.splitlines() if line.startswith(f"| `TRIAD_{name.upper()}` |"))
        if field.default_factory is None and name != "models":
            said = line.split("|")[2].strip()
            assert said in ({"no limit", "none"} if field.default is None else {str(field.default)})


def test_the_scores_are_those_of_the_shipped_bundle() -> None:
    scores = read_bundle(SHIPPED_MODELS / "digits/1").manifest.metrics["test"]
    rows = {line.split("|")[1].strip(): line for line in README.splitlines() if "|" in line}
    for subset, tasks in scores.items():
        cells = [cell.strip() for cell in rows[subset.replace("+", " + ")].split("|")[2:-1]]
        digit, speaker = tasks["digit"], tasks["speaker"]
        stated = [digit["accuracy"], digit["recall"], digit["f1"], digit["ece"], speaker["accuracy"]]
        assert cells == [f"{100 * value:.2f}" for value in stated]
