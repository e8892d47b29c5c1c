"""What goes wrong is said in plain words, beside the field that caused it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import soundfile
from PIL import Image
from playwright.sync_api import Page, expect

from tests.conftest import wav_bytes
from tests.page.act import answered, label, one_answer, start_empty
from tests.page.conftest import SAMPLES, Open

EMPTY = "#text="


def upload(page: Page, control: str, name: str, content: bytes, kind: str) -> None:
    with one_answer(page):
        page.set_input_files(control, {"name": name, "mimeType": kind, "buffer": content})


@pytest.mark.parametrize(
    ("language", "words"),
    [("en-US", "not an image that the service reads. It reads JPEG"), ("zh-CN", "不是服务能读的图像")],
)
def test_a_text_file_is_no_image(open_page: Open, language: str, words: str) -> None:
    page = open_page(EMPTY, locale=language)
    start_empty(page)
    upload(page, "#image-file", "notes.txt", b"hello", "text/plain")
    expect(page.locator("#image-error")).to_have_text(re.compile(words))
    expect(page.locator("#image-file")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#sheet")).to_be_hidden()
    expect(page.locator("#predictions")).to_be_hidden()
    page.click("#image-clear")
    expect(page.locator("#image-error")).to_be_hidden()
    expect(page.locator("#drawing")).to_be_visible()


def test_a_broken_sound_is_told_beside_the_sound(open_page: Open) -> None:
    page = open_page(EMPTY)
    start_empty(page)
    wave = wav_bytes()[:30]
    upload(page, "#audio-file", "broken.wav", wave, "audio/wav")
    expect(page.locator("#audio-error")).to_have_text(
        re.compile("broken or cut off|not a sound that the service reads")
    )
    expect(page.locator("#problem")).to_be_hidden()


def test_asking_with_nothing_is_answered_in_words(open_page: Open) -> None:
    page = open_page(EMPTY)
    start_empty(page)
    with one_answer(page):
        page.click("#ask")
    expect(page.locator("#problem-text")).to_have_text(re.compile("nothing to answer from"))


def test_a_service_that_is_gone_and_comes_back(open_page: Open) -> None:
    page = open_page()
    answered(page)
    page.context.set_offline(True)
    page.fill("#text", "three")
    expect(page.locator("#problem-text")).to_have_text(re.compile("does not answer"))
    expect(page.locator("#predictions")).to_be_hidden()
    page.context.set_offline(False)
    with one_answer(page):
        page.click("#retry")
    expect(page.locator("#problem")).to_be_hidden()
    expect(page.locator("#words")).to_have_text("three")


def test_a_setting_out_of_range_is_told_beside_it(open_page: Open) -> None:
    page = open_page()
    answered(page)
    page.locator("#settings summary").click()
    with one_answer(page):
        page.fill("#top-k", "0")
        page.press("#top-k", "Enter")
    expect(page.locator("#top-k-error")).to_have_text(re.compile("from 1 to 1000"))
    with one_answer(page):
        page.fill("#top-k", "2")
        page.press("#top-k", "Enter")
    expect(page.locator("#top-k-error")).to_be_hidden()
    expect(page.locator(".task .bars").first.locator("li")).to_have_count(2)


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        ({"type": "urn:triad:problem:overloaded", "status": 503, "detail": "128 wait."}, "busy"),
        (
            {"type": "urn:triad:problem:too-large", "status": 413, "detail": "20 MiB.", "field": "image"},
            "20 MiB",
        ),
        (None, "Bad Gateway"),
    ],
    ids=["busy", "too large", "a proxy's page"],
)
def test_refusals_that_are_hard_to_provoke(
    open_page: Open, problem: dict[str, object] | None, words: str
) -> None:
    page = open_page(EMPTY)
    start_empty(page)
    body = "<html>" if problem is None else json.dumps(problem)
    status = int(str((problem or {"status": 502})["status"]))
    page.route("**/v1/predict*", lambda route: route.fulfill(status=status, body=body))
    with one_answer(page):
        page.fill("#text", "seven")
    place = "#image-error" if problem and "field" in problem else "#problem-text"
    expect(page.locator(place)).to_have_text(re.compile(words))


@pytest.mark.parametrize("link", ["model=digits&version=99", "model=cats"])
def test_a_link_to_a_model_that_is_not_served_says_so_and_answers_with_the_usual_one(
    open_page: Open, link: str
) -> None:
    page = open_page(f"#{link}&text=seven")
    answered(page)
    expect(page.locator("#model-error")).to_have_text(re.compile("has no version '99'|no model 'cats'"))
    expect(page.locator("#card-title")).to_have_text("The model: digits, version 1")
    assert label(page) == "7"


@pytest.mark.parametrize("medium", ["image", "audio"])
def test_a_file_that_only_the_service_reads_is_answered_and_its_parts_stay(
    open_page: Open, medium: str, tmp_path: Path
) -> None:
    """TIFF and AIFF: Chromium shows and plays neither, so there is nothing to erase from."""
    page = open_page(EMPTY)
    start_empty(page)
    if medium == "image":
        file = tmp_path / "seven.tiff"
        Image.open(SAMPLES / "7.png").save(file)
    else:
        file = tmp_path / "seven.aiff"
        wave, rate_hz = soundfile.read(SAMPLES / "7.mp3")
        soundfile.write(file, wave, rate_hz)
    with one_answer(page):
        page.set_input_files(f"#{medium}-file", file)
    assert label(page) == "7"
    expect(page.locator(f"#{medium}-seen")).to_contain_text("This browser cannot show this file")
    page.locator(f"#{medium}-seen [role=option]").nth(3).click()
    expect(page.locator(f"#{medium}-seen [aria-selected=true]")).to_have_count(0)


def test_what_the_model_could_not_use_is_a_warning_in_the_persons_language(open_page: Open) -> None:
    page = open_page("#text=%E2%98%83", locale="zh-CN")
    answered(page)
    expect(page.locator("#warnings")).to_have_text("模型不认识这段文字中的任何词。")
    page.select_option("#language", "en")
    expect(page.locator("#warnings")).to_have_text("The model knows no word of this text.")


def test_a_format_that_only_the_browser_reads_is_turned_into_one_that_the_service_reads(
    open_page: Open, tmp_path: Path
) -> None:
    page = open_page(EMPTY)
    start_empty(page)
    paper = '<rect width="100" height="100" fill="white"/>'
    ink = '<path d="M20 15H80L45 90" fill="none" stroke="black" stroke-width="7"/>'
    drawing = f'<svg xmlns="http://www.w3.org/2000/svg" width="100" height="100">{paper}{ink}</svg>'.encode()
    upload(page, "#image-file", "seven.svg", drawing, "image/svg+xml")
    expect(page.locator("#image-caption")).to_have_text("seven.svg.png")
    assert label(page) == "7"


def test_without_a_microphone_the_page_says_what_else_to_do(open_page: Open) -> None:
    page = open_page(EMPTY)
    start_empty(page)
    refuse = (
        "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotAllowedError'); }"
    )
    page.evaluate(f"() => {{ {refuse} }}")
    page.click("#record")
    expect(page.locator("#audio-error")).to_have_text(re.compile("was not allowed"))
    page.evaluate("() => { Object.defineProperty(navigator, 'mediaDevices', { value: undefined }); }")
    page.click("#record")
    expect(page.locator("#audio-error")).to_have_text(re.compile("only on https and on localhost"))
