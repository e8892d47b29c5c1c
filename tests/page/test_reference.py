"""/docs and /redoc without the internet; "Try it out" with files."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.page.conftest import ROOT, Open

CDN = re.compile(r"cdn\.redoc\.ly|redoc/logo")


def opened(page: Page, operation: str) -> Locator:
    block = page.locator(f"#operations-{operation}")
    block.locator(".opblock-summary-control").click()
    return block


def test_swagger_ui_tries_a_prediction_with_all_three_media(open_page: Open) -> None:
    page = open_page("docs")
    expect(page.locator(".info .title")).to_contain_text("Triad")
    expect(page.locator(".opblock-tag")).to_contain_text(["predict", "models", "operations"])
    block = opened(page, "predict-predict")
    expect(block.locator(".responses-wrapper")).to_contain_text("Nothing to predict from")
    block.locator("tr[data-property-name=text] input").first.fill("七")
    for medium, name in (("image", "seven.png"), ("audio", "seven.wav")):
        field = block.locator(f"tr[data-property-name={medium}] input[type=file]")
        field.set_input_files(ROOT / "examples" / name)
    block.locator("tr[data-param-name=explain] select").select_option("shapley")
    with page.expect_response("**/v1/predict*") as answered:
        block.get_by_role("button", name="Execute").click()
    assert answered.value.status == 200
    assert set(answered.value.json()["inputs"]) == {"text", "image", "audio"}
    expect(block.locator(".live-responses-table .response-col_status").nth(1)).to_contain_text("200")


def test_swagger_ui_shows_the_picture_of_an_explanation(open_page: Open) -> None:
    """Only the text is given: what Swagger UI sends for the empty fields counts as absent."""
    page = open_page("docs")
    block = opened(page, "predict-explain")
    answer = block.locator("tr.response[data-code='200']")
    expect(answer).to_contain_text("attention=full&explain=all")
    block.locator("tr[data-property-name=text] input").first.fill("seven")
    answer.locator(".response-control-media-type select").select_option("image/png")
    with page.expect_response("**/v1/explain*") as answered:
        block.get_by_role("button", name="Execute").click()
    assert answered.value.headers["content-type"] == "image/png"
    picture = block.locator(".live-responses-table img")
    expect(picture).to_be_visible()
    assert picture.evaluate("async (image) => { await image.decode(); return image.naturalWidth; }") > 600


def test_operations_of_every_kind_open_in_swagger_ui_without_complaint(open_page: Open) -> None:
    """The first of each tag: each takes it a second, and all are checked by validators, too."""
    page = open_page("docs")
    tags = page.locator(".opblock-tag-section")
    expect(tags.first).to_be_visible()
    tags.evaluate_all("all => all.forEach((tag) => tag.querySelector('.opblock-summary-control').click())")
    expect(page.locator(".opblock-body")).to_have_count(tags.count())
    assert tags.count() > 3


def test_redoc_shows_and_searches_everything_and_nothing_from_elsewhere(
    browser: Browser, digits_url: str
) -> None:
    """Its own logo is the one thing that it wants from elsewhere; the policy keeps it from that."""
    page = browser.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(f"{digits_url}/redoc")
    expect(page.get_by_role("heading", name="Predict from text, an image and a sound")).to_be_visible()
    expect(page.get_by_role("heading", name="Predict, and show why")).to_be_attached()
    page.get_by_placeholder("Search...").fill("readiness")
    page.keyboard.type(" model")
    expect(page.locator("[data-role='search:results'] li").first).to_be_visible()
    page.context.close()
    assert [text for text in complaints if not CDN.search(text)] == []


@pytest.mark.parametrize(
    ("link", "title"), [("Playground", "Triad"), ("Read the API", "Triad: the API, to read")]
)
def test_the_pages_lead_to_each_other(open_page: Open, link: str, title: str) -> None:
    page = open_page("docs")
    expect(page.locator(".info .title")).to_be_visible()
    page.get_by_role("link", name=link).click()
    expect(page).to_have_title(title)
