"""A real browser on a really served process: Chromium as installed, never a downloaded one.

Every page is watched: a failing script, a violated policy, a request that leaves the service fail the test.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

from tests.conftest import write_tiny_bundle
from triad_serving.engine.engine import Engine
from triad_serving.scoring.indexing import Indexing, Recipe
from triad_serving.settings import SHIPPED_MODELS, Settings

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "service" / "triad_serving" / "playground" / "samples"
# The shell opens a page in half the time of a whole browser: 0.8 s against 1.4 to 2.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--use-fake-device-for-media-stream",  # a microphone that beeps once a second
    "--use-fake-ui-for-media-stream",  # and is allowed without asking
)
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PATIENCE_MS = 15_000  # a loaded machine of two cores


class Open(Protocol):
    def __call__(self, path: str = "", *, base: str | None = None, **context: Any) -> Page:
        """A page that has loaded. context: options of the browser's context, e.g. its locale."""


@contextmanager
def served(models: Path | None = None, **variables: str) -> Iterator[str]:
    """Address of `triad serve` on a free port, by default with the shipped models. variables: TRIAD_*."""
    command = [sys.executable, "-m", "triad_serving.cli", "serve", "--port", "0", "--workers", "1"]
    command += ["--models", str(models)] if models else []
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        ready = process.stdout.readline()
        assert "ready" in ready, "triad serve did not start"
        yield ready.split()[-1].replace("localhost", "127.0.0.1")
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    found = next((path for path in map(shutil.which, NAMES) if path), None)
    if found is None:
        pytest.skip(f"no browser is installed: none of {', '.join(NAMES)} is on the path")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def digits_url(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The shipped model, and an index of the playground's samples."""
    with served(TRIAD_INDEX=str(index_samples(tmp_path_factory.mktemp("index")))) as url:
        yield url


def index_samples(folder: Path) -> Path:
    """A row for each digit: its drawing, its sound and a sentence."""
    table, out = folder / "samples" / "metadata.csv", folder / "samples-index"
    shutil.copytree(SAMPLES, table.parent)
    lines = [f"the number {word},{digit}.png,{digit}.mp3,{word}" for digit, word in enumerate(WORDS)]
    table.write_text("\n".join(["text,image_file_name,audio_file_name,word", *lines]), encoding="utf-8")
    settings = Settings(models=SHIPPED_MODELS / "digits" / "1", threads=1)
    with Engine.open(settings.models, settings) as engine:
        indexing = Indexing(engine, table, out, Recipe(show_media=True))
        assert list(indexing.run(1))
        assert indexing.finish(1, on_vectors=lambda *_: None) == {}
    return out


@pytest.fixture(scope="package")
def tiny_url(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two models, one of them in two versions; classification, tags and a number; no digits."""
    root = tmp_path_factory.mktemp("served")
    write_tiny_bundle(root)
    write_tiny_bundle(root, version="2", description="The second one.")
    write_tiny_bundle(root, name="another")
    with served(root) as url:
        yield url


@pytest.fixture
def open_page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Open]:
    contexts: list[BrowserContext] = []
    watched: list[Watch] = []

    def open_page(path: str = "", *, base: str | None = None, **context: Any) -> Page:
        base = base or request.getfixturevalue("digits_url")
        contexts.append(browser.new_context(**{"locale": "en-US", "reduced_motion": "reduce", **context}))
        contexts[-1].set_default_timeout(PATIENCE_MS)
        page = contexts[-1].new_page()
        watched.append(Watch(page, base))
        page.goto(f"{base}/{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [fault for watch in watched for fault in watch.faults] == []


class Watch:
    """What went wrong in a page. Errors of the network are left out where a test provokes them."""

    def __init__(self, page: Page, base: str) -> None:
        self.faults: list[str] = []
        self._base = base
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", self._see)

    def _hear(self, message: ConsoleMessage) -> None:
        answered_with_an_error = message.text.startswith("Failed to load resource") and "/v1/" in str(
            message.location
        )
        redoc_logo = "redoc/logo" in message.text  # asked for late, and the policy forbids it
        if message.type in ("error", "warning") and not answered_with_an_error and not redoc_logo:
            self.faults.append(message.text)

    def _see(self, request: Request) -> None:
        own = (self._base, f"blob:{self._base}", "data:")
        if not request.url.startswith(own):
            self.faults.append(f"a request to {request.url}")
