"""What was heard, over the wave. What the spoken model hears: tests/conftest.py."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.conftest import spoken_wav, write_spoken_bundle
from tests.page.act import answered, one_answer, task
from tests.page.conftest import Open, served

SAID = ["", "low", "low", "", "low", "high", "", "mid"]
SOUND = {"name": "said.wav", "mimeType": "audio/wav", "buffer": spoken_wav(SAID)}


@pytest.fixture(scope="module")
def spoken_url(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(write_spoken_bundle(tmp_path_factory.mktemp("served"))) as url:
        yield url


def heard(open_page: Open, url: str, path: str = "#task=spoken&text=seven", **context: str) -> Page:
    page = open_page(path, base=url, **context)
    answered(page)
    with one_answer(page):
        page.set_input_files("#audio-file", SOUND)
    return page


def marked(page: Page) -> list[bool]:
    marks = task(page, "spoken").locator(".mark")
    return marks.evaluate_all("all => all.map((one) => one.classList.contains('pointed'))")


def test_symbols_lie_over_the_wave_where_they_were_heard(open_page: Open, spoken_url: str) -> None:
    page = heard(open_page, spoken_url)
    card = task(page, "spoken")
    expect(card.locator(".head.as_given strong")).to_have_text("low low high mid")
    assert card.locator(".symbol").all_inner_texts() == ["low", "low", "high", "mid"]
    starts = card.locator(".mark").evaluate_all(
        "all => all.map((one) => one.style.getPropertyValue('--from'))"
    )
    assert [float(start) for start in starts] == pytest.approx([0.125, 0.5, 0.625, 0.875])
    expect(card.locator(".wave .outline")).to_have_attribute("d", re.compile("^M0 50L"))


def test_pointing_at_a_symbol_marks_its_moment(open_page: Open, spoken_url: str) -> None:
    page = heard(open_page, spoken_url)
    card = task(page, "spoken")
    assert marked(page) == [False] * 4
    card.locator(".symbol").nth(2).hover()
    assert marked(page) == [False, False, True, False]
    expect(card.locator(".readout")).to_have_text(re.compile(r"^high, 0\.2.*0\.24.*: .*%$"))
    card.locator(".symbol").nth(2).click()
    card.locator("h3").hover()
    assert marked(page) == [False, False, True, False]


def test_the_keyboard_goes_from_symbol_to_symbol(open_page: Open, spoken_url: str) -> None:
    page = heard(open_page, spoken_url)
    symbols = task(page, "spoken").locator(".symbols")
    symbols.focus()
    assert marked(page) == [True, False, False, False]
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert marked(page) == [False, False, True, False]
    page.keyboard.press("End")
    assert marked(page) == [False, False, False, True]
    expect(symbols).to_have_attribute("aria-activedescendant", re.compile("-3$"))


def test_without_the_sound_the_page_says_that_it_needs_one(open_page: Open, spoken_url: str) -> None:
    page = open_page("#task=spoken&text=seven", base=spoken_url)
    answered(page)
    expect(page.locator("#warnings")).to_have_text("spoken needs a sound.")
    with one_answer(page):
        page.set_input_files("#audio-file", SOUND)
    expect(page.locator("#warnings")).to_be_hidden()
    with one_answer(page):
        page.uncheck("#audio-on")
    expect(page.locator("#what-if-text")).to_have_text(
        "Without it, spoken goes from low low high mid to not answered."
    )


def test_it_speaks_chinese(open_page: Open, spoken_url: str) -> None:
    page = heard(open_page, spoken_url, locale="zh-CN")
    expect(task(page, "spoken").locator(".readout")).to_have_text("指向一个符号，可看到它何时被听到。")
    expect(task(page, "spoken").locator(".symbols")).to_have_attribute("aria-label", "逐个听到的内容")
