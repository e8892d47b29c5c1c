"""/docs and /redoc without the internet; "Try it out" with files."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.page.conftest import ROOT, Open

CDN = re.compile(r"cdn\.redoc\.ly|redoc/logo")


def test_swagger_ui_tries_a_prediction_with_all_three_media(open_page: Open) -> None:
    page = open_page("docs")
    expect(page.locator(".info .title")).to_contain_text("Triad")
    expect(page.locator(".opblock-tag")).to_contain_text(["predict", "models", "operations"])
    page.locator("#operations-predict-predict .opblock-summary-control").click()
    block = page.locator("#operations-predict-predict")
    expect(block.locator(".responses-wrapper")).to_contain_text("Nothing to predict from")
    block.locator("tr[data-property-name=text] input, tr[data-property-name=text] textarea").first.fill("七")
    block.locator("tr[data-property-name=image] input[type=file]").set_input_files(
        ROOT / "examples/seven.png"
    )
    block.locator("tr[data-property-name=audio] input[type=file]").set_input_files(
        ROOT / "examples/seven.wav"
    )
    block.locator("tr[data-param-name=explain] select").select_option("shapley")
    with page.expect_response("**/v1/predict*") as answered:
        block.get_by_role("button", name="Execute").click()
    assert answered.value.status == 200
    assert set(answered.value.json()["inputs"]) == {"text", "image", "audio"}
    expect(block.locator(".live-responses-table .response-col_status").nth(1)).to_contain_text("200")


def test_every_operation_of_swagger_ui_opens_without_complaint(open_page: Open) -> None:
    page = open_page("docs")
    controls = page.locator(".opblock-summary-control")
    expect(controls.first).to_be_visible()
    for control in controls.all():
        control.click()
    expect(page.locator(".opblock-body")).to_have_count(controls.count())


def test_redoc_shows_and_searches_everything_and_nothing_from_elsewhere(
    browser: Browser, digits_url: str
) -> None:
    """Its own logo is the one thing that it wants from elsewhere; the policy keeps it from that."""
    page = browser.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(f"{digits_url}/redoc")
    expect(page.get_by_role("heading", name="Predict from text, an image and a sound")).to_be_visible()
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
