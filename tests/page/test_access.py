"""For everybody: keyboard only, screen readers, both themes, both languages, a phone and a desktop."""

from __future__ import annotations

import importlib.resources
import re

import pytest
from playwright.sync_api import Page, expect

from tests.page.act import answered, label, one_answer, start_empty
from tests.page.conftest import Open

AXE = importlib.resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
DESKTOP = {"viewport": {"width": 1280, "height": 900}}

APPEARANCES = [
    pytest.param("zh-CN", PHONE, id="phone-zh-CN"),
    pytest.param("en-US", DESKTOP, id="desktop-en-US"),
    pytest.param("en-US", PHONE, id="phone-en-US", marks=pytest.mark.slow),
    pytest.param("zh-CN", DESKTOP, id="desktop-zh-CN", marks=pytest.mark.slow),
]


def violations(page: Page, only: list[str] | None = None) -> list[str]:
    """Of all rules, or of some: WCAG 2.2 AA and axe's own best practices."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    options = {"runOnly": only} if only else {"rules": {"target-size": {"enabled": True}}}
    found = page.evaluate("options => axe.run(options)", options)["violations"]
    return [f"{each['id']}: {node['html']}" for each in found for node in each["nodes"]]


def tab_to(page: Page, selector: str, *, most: int = 60) -> None:
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"{selector} is not reached by Tab")


def overflow(page: Page) -> int:
    """Pixels that the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@pytest.mark.parametrize(("language", "size"), APPEARANCES)
def test_axe_finds_no_violation(open_page: Open, language: str, size: dict[str, object]) -> None:
    page = open_page(locale=language, color_scheme="light", **size)
    answered(page)
    assert page.locator("html").get_attribute("lang") == {"en-US": "en", "zh-CN": "zh-Hans"}[language]
    for details in ("#settings", "#take"):
        page.locator(f"{details} summary").click()
    with one_answer(page):
        page.locator("#words [role=option]").last.click()
    assert overflow(page) == 0
    assert violations(page) == []
    page.emulate_media(color_scheme="dark")  # which changes the colours and nothing else
    assert violations(page, ["color-contrast"]) == []


def test_axe_finds_no_violation_where_nothing_is_given_and_where_something_is_wrong(open_page: Open) -> None:
    page = open_page("#text=", color_scheme="dark")
    start_empty(page)
    with one_answer(page):
        page.click("#ask")
    expect(page.locator("#problem")).to_be_visible()
    with one_answer(page):
        page.set_input_files("#image-file", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"x"})
    expect(page.locator("#image-error")).to_be_visible()
    assert violations(page) == []


def test_axe_would_find_one(open_page: Open) -> None:
    page = open_page()
    answered(page)
    page.evaluate("document.body.append(document.createElement('button'))")
    assert violations(page, ["button-name"]) == ["button-name: <button></button>"]


def test_everything_is_done_by_keyboard_alone(open_page: Open) -> None:
    page = open_page("#text=&live=0")  # a slow pen would be answered on its way too
    start_empty(page)
    tab_to(page, "#text")
    page.keyboard.type("seven")
    with one_answer(page):
        page.keyboard.press("Control+Enter")
    tab_to(page, "#drawing")
    for key in ("ArrowLeft",) * 6 + ("ArrowUp",) * 3 + ("Space",) + ("ArrowRight",) * 14:
        page.keyboard.press(key)
    for _ in range(20):
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Shift+ArrowLeft")
        page.keyboard.press("Shift+ArrowLeft")
    with one_answer(page):
        page.keyboard.press("Space")
    assert label(page) == "7"
    tab_to(page, "#cells")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#heat-readout")).to_have_text(re.compile("^row 2, column 2: .*% of the attention"))
    with one_answer(page):
        page.keyboard.press("Space")
    with one_answer(page):
        page.keyboard.press("Shift+ArrowRight")
    expect(page.locator("#heat [aria-selected=true]")).to_have_count(2)
    tab_to(page, "#audio-sample")
    page.keyboard.press("Space")
    with one_answer(page):
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
    tab_to(page, "#moments")
    with one_answer(page):
        page.keyboard.press("End")
        page.keyboard.press("Enter")
    expect(page.locator("#wave [aria-selected=true]")).to_have_count(1)
    tab_to(page, "#restore")
    page.keyboard.press("Enter")
    expect(page.locator("#wave [aria-selected=true]")).to_have_count(0)


def test_the_first_stop_of_the_tab_key_skips_to_the_answer(open_page: Open) -> None:
    page = open_page()
    answered(page)
    page.keyboard.press("Tab")
    expect(page.locator("#skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#answer")).to_be_focused()


def test_an_answer_is_announced(open_page: Open) -> None:
    page = open_page()
    answered(page)
    expect(page.locator("#spoken")).to_have_text(re.compile(r"^digit: 7, >?[\d.]+%; speaker: "))
    with one_answer(page):
        page.uncheck("#text-on")
    expect(page.locator("#spoken")).to_have_text(re.compile(r"^Without it, digit 7: "))


@pytest.mark.parametrize("width", [320, 360, 768, 1024, 1920])
def test_no_width_scrolls_sideways_whatever_is_typed(open_page: Open, width: int) -> None:
    page = open_page("#text=" + "seven" * 60, viewport={"width": width, "height": 800})
    answered(page)
    for details in ("#settings", "#take"):
        page.locator(f"{details} summary").click()
    assert overflow(page) == 0


def test_on_a_phone_the_answer_stays_in_sight(open_page: Open) -> None:
    page = open_page(**PHONE)
    answered(page)
    expect(page.locator("#summary")).to_have_text(re.compile("^digit 7 .*% · speaker"))
    page.locator("#summary").tap()
    expect(page.locator("#predictions")).to_be_in_viewport()
    expect(page.locator("#summary")).not_to_be_visible()


def test_language_and_theme_are_chosen_and_remembered(open_page: Open) -> None:
    page = open_page(color_scheme="light")
    answered(page)
    paper = "() => getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.select_option("#theme", "dark")
    dark = page.evaluate(paper)
    assert dark != light
    page.select_option("#language", "zh")
    expect(page.locator("#answer-title")).to_have_text("回答")
    page.reload()
    answered(page)
    expect(page.locator("#answer-title")).to_have_text("回答")
    assert page.evaluate(paper) == dark
    assert not re.search(r"\b(?:undefined|NaN|null)\b", page.locator("body").inner_text())


def test_both_languages_say_everything(open_page: Open) -> None:
    page = open_page()
    answered(page)
    missing = page.evaluate(
        """async () => {
            const from = document.querySelector("script[type=module]").src;
            const { en } = await import(new URL("language/en.js", from));
            const { zh } = await import(new URL("language/zh.js", from));
            const holes = (text) => [...text.matchAll(/{\\w+}/g)].map(String).sort().join();
            return Object.keys(en).filter((key) => holes(en[key]) !== holes(zh[key] ?? "{}"));
        }"""
    )
    assert missing == []
