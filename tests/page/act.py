"""What a person does on the playground, and what they then read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Locator, Page, expect

# The hand's way along a 7, in the unit square.
SEVEN = ((0.25, 0.15), (0.5, 0.14), (0.75, 0.13), (0.66, 0.35), (0.55, 0.6), (0.45, 0.9))


def answered(page: Page) -> None:
    """The page has nothing to ask any more."""
    expect(page.locator("#answer")).to_have_attribute("aria-busy", "false")


@contextmanager
def one_answer(page: Page) -> Iterator[None]:
    """What happens inside leads to an answer of the service, which is then shown."""
    with page.expect_response(lambda response: "/v1/predict" in response.url):
        yield
    answered(page)


def start_empty(page: Page) -> None:
    """Without the first sample: a model, no answer, no media."""
    expect(page.locator("#card")).to_be_visible()
    expect(page.locator("#empty")).to_be_visible()


def task(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


def label(page: Page, name: str = "digit", when: str = "as_given") -> str:
    return task(page, name).locator(f".head.{when} strong").inner_text()


def probability(page: Page, name: str = "digit", when: str = "as_given") -> float:
    return percent(task(page, name).locator(f".head.{when} span:last-child").inner_text())


def percent(text: str) -> float:
    found = re.search(r"([\d.]+)%", text)
    assert found, text
    return float(found[1]) / 100


def draw_seven(page: Page) -> None:
    page.uncheck("#live")  # a slow hand would be answered on its way too
    box = page.locator("#drawing").bounding_box()
    assert box
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in SEVEN]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=8)
    page.mouse.up()
    page.check("#live")
