"""From arriving to an answer: a sample at once, then whatever a person types, draws, chooses and records."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.page.act import answered, draw_seven, label, one_answer, start_empty, task
from tests.page.conftest import ROOT, SAMPLES, Open

EMPTY = "#text="
MEDIA = ("Text", "Image", "Sound")


def test_whoever_arrives_sees_an_answer_without_doing_anything(open_page: Open) -> None:
    page = open_page()
    answered(page)
    assert label(page) == "7"
    for name in ("digit", "speaker"):
        card = task(page, name)
        expect(card.locator(".bars li")).to_have_count(5)
        expect(card.locator(".keys li")).to_have_text([re.compile(medium) for medium in MEDIA])
    expect(page.locator("#words [role=option]").first).to_be_visible()
    expect(page.locator("#heat [role=option]")).to_have_count(49)
    assert page.locator("#wave [role=option]").count() > 20
    expect(page.locator(".waterfall li")).to_have_count(5)
    expect(page.locator(".interactions li")).to_have_count(3)
    expect(page.locator("#timings .keys li")).to_have_count(5)
    expect(page.locator("#card-title")).to_have_text("The model: digits, version 1")


def test_a_seven_drawn_a_sound_chosen_a_sentence_typed_are_a_seven(open_page: Open) -> None:
    page = open_page(EMPTY)
    start_empty(page)
    with one_answer(page):
        draw_seven(page)
    assert label(page) == "7"
    with one_answer(page):
        page.select_option("#audio-sample", "7.mp3")
    assert label(page) == "7"
    with one_answer(page):
        page.fill("#text", "I wrote the number seven.")
    assert label(page) == "7"
    for medium in ("text", "image", "audio"):
        expect(page.locator(f"#{medium}-seen")).to_be_visible()


def test_a_stroke_is_taken_back(open_page: Open) -> None:
    page = open_page(EMPTY)
    start_empty(page)
    sheets = []
    for act in (lambda: draw_seven(page), page.locator("#drawing").click, page.locator("#undo").click):
        with one_answer(page):
            act()
        sheets.append(page.locator("#drawing").evaluate("sheet => sheet.toDataURL()"))
    assert sheets[0] == sheets[2] != sheets[1]
    page.click("#undo")
    expect(page.locator("#empty")).to_be_visible()
    expect(page.locator("#undo")).to_be_hidden()


def test_each_medium_can_be_cleared_and_the_answer_follows(open_page: Open) -> None:
    page = open_page()
    answered(page)
    for medium in ("text", "audio"):
        with one_answer(page):
            page.click(f"#{medium}-clear")
        expect(page.locator(f"#{medium}-clear")).to_be_hidden()
        expect(page.locator(f"#{medium}-seen")).to_be_hidden()
        expect(task(page, "digit").locator(f"[data-medium={medium}] .value")).to_have_text("0%")
    page.click("#image-clear")
    expect(page.locator("#empty")).to_be_visible()
    expect(page.locator("#predictions")).to_be_hidden()


@pytest.mark.parametrize("name", ["3", "photo", "media that disagree"])
def test_a_sample_is_one_click(open_page: Open, name: str) -> None:
    page = open_page()
    answered(page)
    with one_answer(page):
        page.get_by_role("button", name=name, exact=True).click()
    if name == "3":
        assert label(page) == "3"
    expect(page.locator("#image-seen")).to_be_visible()
    expect(page.locator("#text-seen")).to_be_visible(visible=name != "photo")


def test_files_are_picked_dropped_and_pasted(open_page: Open) -> None:
    page = open_page(EMPTY)
    start_empty(page)
    with one_answer(page):
        page.set_input_files("#image-file", SAMPLES / "photo.jpg")
    expect(page.locator("#image-caption")).to_have_text("photo.jpg")
    with one_answer(page):
        page.set_input_files("#audio-file", SAMPLES / "7.mp3")
    assert label(page) == "7"
    with one_answer(page):
        hand_over(page, "drop", SAMPLES / "3.png", "image/png")
    expect(page.locator("#image-caption")).to_have_text("3.png")
    with one_answer(page):
        hand_over(page, "paste", SAMPLES / "4.png", "image/png")
    expect(page.locator("#image-caption")).to_have_text("4.png")
    with one_answer(page):
        hand_over(page, "drop", SAMPLES / "3.mp3", "audio/mpeg")


def test_a_photograph_is_taken_where_there_is_a_camera_to_hold(open_page: Open) -> None:
    page = open_page(EMPTY, has_touch=True, is_mobile=True, viewport={"width": 390, "height": 800})
    expect(page.locator("label:has(#image-photo)")).to_be_visible()
    with one_answer(page):
        page.set_input_files("#image-photo", ROOT / "examples" / "seven.jpg")
    assert label(page) == "7"


def test_the_microphone_becomes_a_wav_that_the_service_reads(open_page: Open) -> None:
    page = open_page(EMPTY)
    start_empty(page)
    page.click("#record")
    expect(page.locator("#record")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#record-label")).to_have_text(re.compile("Stop, 1"))
    with one_answer(page):
        page.click("#record")
    expect(page.locator("#record")).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#audio-seen")).to_be_visible()
    with page.expect_download() as waiting:
        page.locator("#take").evaluate("details => { details.open = true; }")
        page.click("#download-audio")
    wave = Path(waiting.value.path()).read_bytes()
    assert waiting.value.suggested_filename == "recording.wav"
    assert wave[:4] + wave[8:16] == b"RIFFWAVEfmt "
    assert any(wave[44:])


def test_live_answers_follow_typing_and_stop_when_it_is_off(open_page: Open) -> None:
    page = open_page(EMPTY)
    start_empty(page)
    with one_answer(page):
        page.locator("#text").press_sequentially("seven")
    assert label(page) == "7"
    page.uncheck("#live")
    answered(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.locator("#text").press_sequentially(" no, three", delay=5)
    page.wait_for_timeout(600)
    assert [url for url in asked if "predict" in url] == []
    with one_answer(page):
        page.locator("#text").press("Control+Enter")


def test_one_request_is_in_flight_and_the_latest_wins(open_page: Open) -> None:
    page = open_page(EMPTY)
    start_empty(page)
    page.evaluate(
        """() => {
            window.flying = window.most = 0;
            window.texts = [];
            const send = window.fetch;
            window.fetch = async (address, request) => {
                window.texts.push(request.body.get("text"));
                window.most = Math.max(window.most, ++window.flying);
                await new Promise((go) => setTimeout(go, 500));
                const answer = await send(address, request);
                window.flying -= 1;
                return answer;
            };
        }"""
    )
    for digit in ("zero", "one", "two", "three", "four"):
        page.fill("#text", digit)
        page.wait_for_timeout(300)
    expect(page.locator("#words")).to_have_text("four")
    answered(page)
    assert page.evaluate("most") == 1
    assert page.evaluate("texts.length") < 5
    assert page.evaluate("texts.at(-1)") == "four"
    assert label(page) == "4"


def hand_over(page: Page, event: str, file: Path, kind: str) -> None:
    """The browser's own drop and paste events, with a file in them."""
    page.evaluate(
        """([event, bytes, name, type]) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], name, { type }));
            const init = { bubbles: true, cancelable: true };
            document.body.dispatchEvent(event === "drop"
                ? new DragEvent("drop", { ...init, dataTransfer: data })
                : new ClipboardEvent("paste", { ...init, clipboardData: data }));
        }""",
        [event, list(file.read_bytes()), file.name, kind],
    )
