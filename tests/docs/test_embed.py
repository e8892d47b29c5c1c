"""docs/embed.md: its code runs, its commands are answered. Its page: tests/page/test_example.py."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from tests.docs.pages import ROOT, Command, blocks, played

MOUNTED, HTTP, CLIENT, _PAGE = blocks("embed.md", "console")


def test_the_engine_in_process() -> None:
    [code] = blocks("embed.md", "python")
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        env=Command("", {}).environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    answered, refused = ran.stdout.splitlines()
    assert answered.startswith("7 ")
    assert refused.startswith("415 Not an image")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_mounted_router_and_the_applications_own_route() -> None:
    with played(MOUNTED) as (printed, _):
        predicted, read = map(json.loads, printed)
    assert predicted["predictions"]["digit"]["label"] == "7"
    assert (read["order"], read["digit"]) == (17, "7")
    assert 0.5 < read["probability"] <= 1


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_service() -> None:
    with played(HTTP) as (printed, _):
        predicted, models = map(json.loads, printed)
    assert predicted["predictions"]["digit"]["attention"]["audio"]
    assert [model["name"] for model in models["models"]] == ["digits"]


def test_the_client() -> None:
    with played(CLIENT) as (printed, _):
        lines = printed[0].splitlines()
    assert [line.split(" (")[0] for line in lines] == ["examples/seven.png: 7", "examples/seven.jpg: 7"]
