"""A line for each request where it was asked for: what happened, and nothing of what was sent."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import logging.config
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import client_of, png_bytes
from triad_serving.http import request_log
from triad_serving.http.access.keys import key_line, new_key
from triad_serving.http.app import create_app
from triad_serving.operation.server import log_config
from triad_serving.settings import Settings

SECRET = new_key()
ASKED = {
    "params": {"target": "word", "explain": "shapley"},
    "files": {"text": (None, b"seven geheim"), "image": ("geheim.png", png_bytes())},
    "headers": {"Authorization": f"Bearer {SECRET}", "X-Request-ID": "mine"},
}


def ask(tiny_bundle: Path, tmp_path: Path, **settings: Any) -> None:
    keys = tmp_path / "keys.toml"
    keys.write_text(key_line("shop", SECRET, admin=False, rate=None))

    async def go() -> None:
        app = create_app(Settings(models=tiny_bundle, api_keys_file=keys, **settings))
        async with client_of(app) as client:
            assert (await client.post("/v1/predict", **ASKED)).status_code == 200
            assert (await client.get("/v1/models/geheim", headers=ASKED["headers"])).status_code == 404
            assert (await client.get("/geheim")).status_code == 404

    asyncio.run(go())


def test_a_line_says_what_happened_and_nothing_of_what_was_sent(
    tiny_bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ask(tiny_bundle, tmp_path, log_requests=True)
    lines = [record for record in caplog.records if record.name == request_log.__name__]
    answered, unknown, nothing = (vars(line) for line in lines)
    told = {name: answered[name] for name in ("id", "method", "route", "status", "key", "model", "version")}
    assert told == {
        "id": "mine",
        "method": "POST",
        "route": "/v1/predict",
        "status": 200,
        "key": "shop",
        "model": "tiny",
        "version": "1",
    }
    assert answered["media"] == "text+image"
    stages = [answered[f"{stage}_ms"] for stage in ("preprocess", "queue", "inference", "postprocess")]
    assert 0 < sum(stages) <= answered["ms"]
    assert (unknown["route"], unknown["status"], unknown["problem"]) == (
        "/v1/models/{name}",
        404,
        "not-found",
    )
    assert (nothing["route"], nothing["key"]) == ("none", "")
    for line in lines:
        assert "geheim" not in line.getMessage()
        assert SECRET not in line.getMessage()
        assert f"status={line.status}" in line.getMessage()  # type: ignore[attr-defined]


def test_requests_are_not_logged_unless_asked_for(
    tiny_bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ask(tiny_bundle, tmp_path)
    assert not [record for record in caplog.records if record.name == request_log.__name__]


def formatted(log_format: Any, record: logging.LogRecord) -> str:
    """A record as the service's own configuration writes it; the process's logging stays as it is."""
    config = log_config("info", log_format)
    formatter = logging.config.DictConfigurator(config).configure_formatter(config["formatters"]["line"])
    handler = logging.StreamHandler(stream := io.StringIO())
    handler.setFormatter(formatter)
    handler.handle(record)
    return stream.getvalue()


def test_json_lines_are_one_object_each_whatever_they_hold() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        caught = (ValueError, error, error.__traceback__)
    record = logging.makeLogRecord(
        {
            "name": "a.b",
            "levelname": "ERROR",
            "msg": 'broke\n"%s"',
            "args": ("x",),
            "exc_info": caught,
            "id": "r",
        }
    )
    text = formatted("json", record)
    assert text.count("\n") == 1
    told = json.loads(text)
    assert (told["level"], told["logger"], told["message"], told["id"]) == ("ERROR", "a.b", 'broke\n"x"', "r")
    assert "ValueError: two\nlines" in told["exc_info"]
    assert told["time"].startswith("20")
    assert formatted("text", logging.makeLogRecord({"name": "a", "levelname": "INFO", "msg": "m"})).endswith(
        "INFO a: m\n"
    )


def test_the_client_may_not_write_lines_of_its_own(tiny_bundle: Path) -> None:
    async def go() -> httpx.Response:
        async with client_of(create_app(Settings(models=tiny_bundle))) as client:
            return await client.get("/healthz", headers={"X-Request-ID": "a b"})

    assert asyncio.run(go()).headers["x-request-id"].startswith("req-")
