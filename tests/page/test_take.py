"""What a person takes away: code that runs, the JSON, a link that brings everything back."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.page.act import answered, label, one_answer
from tests.page.conftest import Open
from triad_serving.inference.answer import Prediction

RUNNERS = {
    "curl": ["bash", "-c"],
    "python": [sys.executable, "-c"],
    "javascript": ["node", "--input-type=module", "-e"],
}
AWKWARD = 'It\'s "seven", @七; <b>'


def save(page: Page, control: str, folder: Path) -> Path:
    with page.expect_download() as waiting:
        page.click(control)
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


@pytest.mark.parametrize("language", RUNNERS)
def test_a_snippet_asks_the_same_as_the_page(open_page: Open, language: str, tmp_path: Path) -> None:
    program = "curl" if language == "curl" else RUNNERS[language][0]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    page = open_page("#image=7.png&audio=7.mp3")
    with one_answer(page):
        page.fill("#text", AWKWARD)
    page.locator("#take summary").click()
    for control in ("#download-image", "#download-audio"):
        save(page, control, tmp_path)
    page.select_option("#snippet-language", language)
    code = page.locator("#snippet").inner_text()
    if language == "python":
        code = f"import builtins, json\nprint = lambda answer: builtins.print(json.dumps(answer))\n{code}"
    if language == "javascript":
        code = code.replace("console.log(await response.json())", "console.log(await response.text())")
    ran = subprocess.run(
        [*RUNNERS[language], code], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    answer = Prediction.model_validate_json(ran.stdout)
    assert answer.inputs.text
    assert answer.inputs.text.characters == len(AWKWARD)
    assert answer.predictions["digit"].label == label(page)
    assert answer.predictions["digit"].attribution


def test_the_json_is_the_answer(open_page: Open, tmp_path: Path) -> None:
    page = open_page()
    answered(page)
    page.locator("#take summary").click()
    answer = json.loads(save(page, "#download-json", tmp_path).read_bytes())
    Prediction.model_validate(answer)
    assert answer["predictions"]["digit"]["label"] == label(page)


def test_code_and_link_are_copied(open_page: Open) -> None:
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    answered(page)
    page.locator("#take summary").click()
    page.click("#copy-snippet")
    expect(page.locator("#copied")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#snippet").inner_text()
    page.click("#copy-link")
    expect(page.locator("#copied")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == page.url


def test_a_link_brings_text_samples_and_settings_back(open_page: Open) -> None:
    page = open_page("#text=")
    with one_answer(page):
        page.fill("#text", AWKWARD)
    with one_answer(page):
        page.select_option("#image-sample", "3.png")
    page.select_option("#task", "speaker")
    page.locator("#settings summary").click()
    with one_answer(page):
        page.fill("#top-k", "3")
        page.press("#top-k", "Enter")
    with one_answer(page):
        page.select_option("#target", "george")
    page.uncheck("#live")
    answered(page)
    fragment = page.url.split("#")[1]

    other = open_page(f"#{fragment}")
    answered(other)
    expect(other.locator("#text")).to_have_value(AWKWARD)
    expect(other.locator("#image-caption")).to_have_text("3.png")
    expect(other.locator("#task")).to_have_value("speaker")
    expect(other.locator("#top-k")).to_have_value("3")
    expect(other.locator("#target")).to_have_value("george")
    expect(other.locator("#live")).not_to_be_checked()
    expect(other.locator(".waterfall .whole .label")).to_have_text("“george” in all")
    assert other.url.split("#")[1] == fragment


def test_nothing_is_taken_before_it_could_be_kept(open_page: Open) -> None:
    """Text typed while the models are still being asked for would be lost to the link's."""
    page = open_page("#text=")
    answered(page)
    page.add_init_script("""
        const ask = fetch;
        const released = new Promise((go) => { window.release = go; });
        window.fetch = async (...asked) => { await released; return ask(...asked); };
    """)
    page.reload()
    expect(page.locator("#text")).to_be_hidden()
    page.evaluate(
        """() => {
        const clipboardData = new DataTransfer();
        clipboardData.items.add(new File(["seven"], "seven.txt", { type: "text/plain" }));
        document.dispatchEvent(new ClipboardEvent("paste", { clipboardData }));
    }"""
    )
    with one_answer(page):
        page.evaluate("release()")
        page.fill("#text", AWKWARD)
    expect(page.locator("#text")).to_have_value(AWKWARD)


def test_a_drawing_is_not_in_the_link(open_page: Open) -> None:
    page = open_page("#text=seven")
    answered(page)
    page.locator("#drawing").click()
    answered(page)
    assert "image" not in page.url
