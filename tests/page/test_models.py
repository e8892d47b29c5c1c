"""Models other than the shipped one: several, in versions, with tags and numbers, without samples."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.conftest import wav_bytes
from tests.page.act import answered, one_answer, start_empty, task
from tests.page.conftest import Open


def test_model_and_version_are_chosen(open_page: Open, tiny_url: str) -> None:
    page = open_page("#text=seven", base=tiny_url)
    answered(page)
    expect(page.locator("#model option")).to_have_text(["another", "tiny"])
    expect(page.locator("#version-choice")).to_be_hidden()
    with one_answer(page):
        page.select_option("#model", "tiny")
    expect(page.locator("#version")).to_have_value("2")
    expect(page.locator("#card")).to_have_text(re.compile("tiny, version 2.*The second one", re.DOTALL))
    with one_answer(page):
        page.select_option("#version", "1")
    expect(page.locator("#card")).to_have_text(re.compile("tiny, version 1.*computed by hand", re.DOTALL))
    assert "model=tiny&version=1" in page.url


def test_classes_tags_and_numbers_each_in_their_own_way(open_page: Open, tiny_url: str) -> None:
    """Text scores (2 + 4) / 10, sound 4 * peak: see tests/conftest.py."""
    page = open_page("#text=seven+three", base=tiny_url)
    answered(page)
    expect(task(page, "kind").locator(".head strong")).to_have_text("word")
    expect(task(page, "tags").locator(".head strong")).to_have_text("none")
    expect(task(page, "size").locator(".head strong")).to_have_text("0.6")
    wave = {"name": "a.wav", "mimeType": "audio/wav", "buffer": wav_bytes(peak=0.5)}
    with one_answer(page):
        page.set_input_files("#audio-file", wave)
    expect(task(page, "kind").locator(".head strong")).to_have_text("sound")
    expect(task(page, "size").locator(".head strong")).to_have_text("2.6")
    page.select_option("#task", "size")
    expect(page.locator(".waterfall .value")).to_have_text(["0", "+0.6", "+2", "2.6"])
    with one_answer(page):
        page.uncheck("#text-on")
    expect(page.locator("#what-if-text")).to_have_text("Without it, size goes from 2.6 to 2.")


def test_a_model_of_something_else_gets_no_samples_and_no_answer_before_it_is_asked(
    open_page: Open, tiny_url: str
) -> None:
    page = open_page(base=tiny_url)
    start_empty(page)
    for sample in ("#samples", "#text-sample", "#image-sample", "#audio-sample"):
        expect(page.locator(sample)).to_be_hidden()


def test_the_card_tells_what_the_shipped_model_is(open_page: Open) -> None:
    page = open_page()
    answered(page)
    page.click("#to-model")
    card = page.locator("#card")
    expect(card).to_be_focused()
    for said in ("MNIST", "CC BY-SA", "speaker", "yweweler", "JPEG", "Not for reading forms"):
        expect(card).to_contain_text(said)
    expect(card.locator("tbody tr")).to_have_count(7)
    expect(card.locator("thead th")).to_contain_text(["Media", "digit: accuracy"])
