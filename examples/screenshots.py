"""Takes the README's two pictures of the playground: a desktop by day, a phone at night.

    python examples/screenshots.py     (needs what `make test` installs, and Chromium)

They show the shipped model; take them again when it or the page has changed.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

HERE = Path(__file__).parent
MARGIN_PX = 12


@contextmanager
def served() -> Iterator[str]:
    """Address of the service on a free port."""
    command = [sys.executable, "-m", "triad_serving.cli", "serve", "--port", "0"]
    process = subprocess.Popen(command, cwd=HERE.parent, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.communicate(timeout=30)


def photograph_desktop(browser: Browser, url: str) -> Image.Image:
    """Whatever is given beside the answer, down to where the model's card begins."""
    page = browser.new_page(
        viewport={"width": 1200, "height": 900},
        device_scale_factor=1.25,
        locale="en-US",
        color_scheme="light",
    )
    arrive(page, url)
    height = page.locator(".columns").evaluate("it => it.getBoundingClientRect().bottom") + MARGIN_PX
    page.set_viewport_size({"width": 1200, "height": round(height)})
    return photograph(page)


def photograph_phone(browser: Browser, url: str) -> Image.Image:
    """From the text down."""
    page = browser.new_page(
        viewport={"width": 390, "height": 915},
        device_scale_factor=2,
        is_mobile=True,
        has_touch=True,
        locale="zh-CN",
        color_scheme="dark",
    )
    arrive(page, url)
    page.locator("#text-card").evaluate(
        "(card, margin) => scrollTo(0, scrollY + card.getBoundingClientRect().top - margin)", MARGIN_PX
    )
    return photograph(page)


def arrive(page: Page, url: str) -> None:
    """Asked a second time, so that the times are those of a service that has been running."""
    page.goto(url)
    page.locator("#timings").wait_for()
    with page.expect_response("**/v1/predict*"):
        page.click("#ask")
    page.locator("#answer[aria-busy=false]").wait_for()


def photograph(page: Page) -> Image.Image:
    return Image.open(io.BytesIO(page.screenshot(animations="disabled"))).convert("RGB")


def main() -> None:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        sys.exit("Chromium is not on the path.")
    with served() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, take in (("desktop", photograph_desktop), ("phone", photograph_phone)):
            file = HERE / f"playground-{name}.png"
            take(browser, url).save(file, optimize=True)
            print(f"{file}: {file.stat().st_size / 1000:.0f} kB")
        browser.close()


if __name__ == "__main__":
    main()
