"""The search page: any medium is the query, rows are the answer."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Protocol

import pytest
from playwright.sync_api import Page, expect

from tests.page.act import SEVEN, answered
from tests.page.conftest import Open
from tests.page.index_service import ROWS, IndexService
from tests.page.test_access import DESKTOP, PHONE, overflow, tab_to, violations

LENGTH = """player => new Promise((tell) => {
    player.ondurationchange = () => tell(player.duration);
    player.load();
})"""


class Visit(Protocol):
    def __call__(self, path: str = "search", **context: Any) -> Page:
        """The page with the hand-made index behind it."""


@pytest.fixture
def service() -> IndexService:
    return IndexService()


@pytest.fixture
def visit(open_page: Open, digits_url: str, service: IndexService) -> Visit:
    def visit(path: str = "search", **context: Any) -> Page:
        page = open_page("healthz", **context)
        service.attend(page)
        page.goto(f"{digits_url}/{path}")
        return page

    return visit


def found(page: Page, count: int = 12) -> None:
    expect(page.locator(".hit")).to_have_count(count)
    expect(page.locator("#results")).to_have_attribute("aria-busy", "false")


def test_a_drawing_finds_rows_that_are_seen_heard_and_read(visit: Visit, service: IndexService) -> None:
    page = visit()
    expect(page.locator("#empty-text")).to_have_text(re.compile("draw, speak or type"))
    page.locator("#drawing").click()
    found(page)
    assert service.asked[-1].keys() == {"image", "k"}
    assert service.queries[-1] == {"index": "numbers"}
    first, second = page.locator(".hit").nth(0), page.locator(".hit").nth(1)
    expect(first.locator("h3")).to_have_text("Row 0, score 0.9, by its image")
    expect(first.locator(".hit-text")).to_have_text("This is row <0>.")
    expect(first.locator("dd")).to_have_text(["3", "0.5"])
    assert first.locator("img").evaluate("async (image) => (await image.decode(), image.naturalWidth)") == 28
    expect(first.locator("audio")).to_have_attribute("src", re.compile("^blob:"))
    assert first.locator("audio").evaluate(LENGTH) == pytest.approx(0.5, abs=0.01)
    expect(second.locator("img, audio")).to_have_count(0)
    expect(second).to_contain_text("by its text")
    expect(page.locator("#told")).to_have_text(f"12 of {ROWS} rows, the nearest first.")


def test_a_recording_and_a_sentence_are_sent_too(visit: Visit, service: IndexService) -> None:
    page = visit()
    page.fill("#text", "seven")
    page.press("#text", "Enter")
    found(page)
    assert service.sent("text") == "seven"
    page.click("#record")
    expect(page.locator("#record-label")).to_have_text(re.compile(r"Stop, 0\.[5-9]"))
    with page.expect_response("**/v1/search*"):
        page.click("#record")
    assert service.asked[-1].keys() == {"text", "audio", "k"}
    expect(page.locator("#heard")).to_be_visible()


def test_filters_medium_and_number_are_sent_and_cleared(visit: Visit, service: IndexService) -> None:
    page = visit("search#text=seven")
    found(page)
    with page.expect_response("**/v1/search*"):
        page.select_option("#by", "audio")
    page.fill("#k", "20")
    with page.expect_response("**/v1/search*"):
        page.press("#k", "Enter")
    page.locator("#filters summary").click()
    with page.expect_response("**/v1/search*"):
        page.get_by_role("checkbox", name="7", exact=True).check()
    found(page, 15)
    page.get_by_label("ink, at most").fill("20")
    expect(page.locator("#filters-title")).to_have_text("Filters (2)")
    expect(page.locator("#results")).to_have_attribute("aria-busy", "false")
    with page.expect_response("**/v1/search*"):
        page.get_by_label("ink, at least").fill("1.5")
    page.get_by_label("writer").fill("Ann")
    with page.expect_response("**/v1/search*"):
        page.get_by_label("writer").blur()
    wanted = {"digit": ["7"], "ink": {"min": 1.5, "max": 20}, "writer": ["Ann"]}
    assert json.loads(service.sent("filter")) == wanted
    assert (service.queries[-1]["by"], service.sent("k")) == ("audio", "20")
    page.click("#filters-clear")
    found(page, 20)
    assert "filter" not in service.asked[-1]


def test_more_rows_are_shown_as_long_as_there_are_some(visit: Visit) -> None:
    page = visit("search#text=seven&k=24")
    found(page, 24)
    page.click("#more")
    found(page, ROWS)
    expect(page.locator("#more")).to_be_hidden()


def test_back_and_forward_bring_searches_back_a_drawing_too(visit: Visit, service: IndexService) -> None:
    page = visit()
    expect(page.locator("#drawing")).to_be_visible()
    draw(page, SEVEN)
    found(page)
    with page.expect_response("**/v1/search*"):
        page.locator(".hit").nth(6).get_by_role("button").click()
    assert service.asked[-1].keys() == {"text", "image", "audio", "k"}
    expect(page.locator("#text")).to_have_value("This is row <6>.")
    with page.expect_response("**/v1/search*"):
        page.go_back()
    assert service.asked[-1].keys() == {"image", "k"}
    expect(page.locator("#image-caption")).to_have_text("drawing.png")
    expect(page.locator("#text")).to_have_value("")
    with page.expect_response("**/v1/search*"):
        page.go_forward()
    assert service.asked[-1].keys() == {"text", "image", "audio", "k"}


def draw(page: Page, points: Sequence[tuple[float, float]]) -> None:
    box = page.locator("#drawing").bounding_box()
    assert box
    (x, y), *rest = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(x, y)
    page.mouse.down()
    for point in rest:
        page.mouse.move(*point, steps=8)
    page.mouse.up()


def test_a_link_brings_text_samples_and_filters_back(visit: Visit, service: IndexService) -> None:
    page = visit('search#text=seven&image=7.png&by=text&k=5&filter={"digit":["7"],"nothing":["1"]}')
    found(page, 5)
    assert service.asked[-1].keys() == {"text", "image", "k", "filter"}
    assert json.loads(service.sent("filter")) == {"digit": ["7"]}
    expect(page.locator("#image-caption")).to_have_text("7.png")
    expect(page.locator("#by")).to_have_value("text")
    page.reload()
    found(page, 5)
    assert service.asked[-1].keys() == {"text", "image", "k", "filter"}


def test_what_was_given_to_the_playground_is_looked_for(visit: Visit, service: IndexService) -> None:
    page = visit("#text=seven")
    answered(page)
    expect(page.locator("#to-search")).to_be_visible()
    page.locator("#drawing").click()
    answered(page)
    with page.expect_response("**/v1/search*"):
        page.click("#find-similar")
    found(page)
    assert service.asked[-1].keys() == {"text", "image", "k"}
    assert (service.sent("text"), service.asked[-1]["image"].get_filename()) == ("seven", "drawing.png")


def test_without_an_index_the_playground_offers_none_and_the_page_says_so(
    visit: Visit, service: IndexService
) -> None:
    service.indexes = []
    page = visit("#text=seven")
    answered(page)
    expect(page.locator("#to-search")).to_be_hidden()
    expect(page.locator("#similar")).to_be_hidden()
    page = visit()
    expect(page.locator("#empty-text")).to_have_text(re.compile("has no index"))
    expect(page.locator("#query")).to_be_hidden()
    assert violations(page) == []


BUSY = {"type": "urn:triad:problem:overloaded", "status": 503}
FEW = {"type": "urn:triad:problem:invalid-parameter", "status": 422, "field": "k", "detail": "At most 9."}
KEY = {"type": "urn:triad:problem:unauthorized", "status": 401, "field": "Authorization"}
REFUSALS = ((BUSY, "#problem-text", "busy"), (FEW, "#k-error", "At most 9"), (KEY, "#key-error", "key"))


def test_a_refusal_is_told_where_it_belongs(visit: Visit, service: IndexService) -> None:
    page = visit("search#text=seven")
    found(page)
    for problem, place, words in REFUSALS:
        service.problem = problem
        page.click("#search")
        expect(page.locator(place)).to_contain_text(words)
        expect(page.locator(".hit")).to_have_count(0)
        service.problem = None
        page.click("#search")
        found(page)
        expect(page.locator(place)).to_be_hidden()


def test_everything_is_done_by_keyboard_alone(visit: Visit, service: IndexService) -> None:
    page = visit()
    expect(page.locator("#drawing")).to_be_visible()
    tab_to(page, "#drawing")
    for key in ("Space", "ArrowDown", "ArrowRight", "Space"):
        page.keyboard.press(key)
    found(page)
    page.keyboard.press("Shift+Tab")
    tab_to(page, "#filters summary")
    page.keyboard.press("Enter")
    tab_to(page, ".pick input")
    with page.expect_response("**/v1/search*"):
        page.keyboard.press("Space")
    assert json.loads(service.sent("filter")) == {"digit": ["3"]}
    tab_to(page, ".hit button")
    with page.expect_response("**/v1/search*"):
        page.keyboard.press("Enter")
    expect(page.locator("#results")).to_be_focused()


@pytest.mark.parametrize(
    ("language", "size", "theme"),
    [("zh-CN", PHONE, "dark"), ("en-US", DESKTOP, "light")],
    ids=["phone-zh-dark", "desktop-en-light"],
)
def test_axe_finds_no_violation(visit: Visit, language: str, size: dict[str, Any], theme: str) -> None:
    page = visit('search#image=7.png&filter={"digit":["7"]}', locale=language, color_scheme=theme, **size)
    found(page)
    page.locator("#filters summary").click()
    assert overflow(page) == 0
    assert violations(page) == []
    page.emulate_media(color_scheme={"dark": "light", "light": "dark"}[theme])
    assert violations(page, ["color-contrast"]) == []
    assert not re.search(r"\b(?:undefined|NaN|null)\b", page.locator("body").inner_text())


def test_every_medium_finds_its_kind_in_a_real_index(open_page: Open) -> None:
    """The shipped model was not trained to compare its media with each other."""
    page = open_page("search#text=seven&k=3")
    first = page.locator(".hit").first
    for column, ask in (
        ("seven", lambda: None),
        ("three", lambda: page.select_option("#audio-sample", "3.mp3")),
        ("seven", lambda: draw(page, SEVEN)),
    ):
        ask()
        expect(first.locator("dd")).to_have_text(column)
        expect(first.locator(".hit-text")).to_have_text(f"the number {column}")
        expect(first.locator("img")).to_have_js_property("naturalWidth", 280)
        expect(first.locator("audio")).to_have_js_property("error", None)
        for medium in ("text", "audio", "image"):
            if page.locator(f"#{medium}-clear").is_visible():
                page.click(f"#{medium}-clear")
    expect(page.locator("#empty-text")).to_be_visible()
    page.fill("#text", "seven")
    page.select_option("#by", "image")
    expect(page.locator("#by-error")).to_contain_text("optim.contrast")
