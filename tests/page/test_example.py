"""examples/embed/page, served from another site by the commands of docs/embed.md."""

from __future__ import annotations

from playwright.sync_api import Browser, expect

from tests.docs.pages import ROOT, blocks, played

EXAMPLES = ROOT / "examples"


def test_the_page_of_another_site_asks_shows_the_answer_and_the_refusal(browser: Browser) -> None:
    [commands] = [block for block in blocks("embed.md", "console") if "5500" in block]
    with played(commands) as (_, ports), browser.new_context() as context:
        page = context.new_page()
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"http://localhost:{ports['5500']}")
        page.get_by_label("Service").fill(f"http://localhost:{ports['8000']}")
        page.get_by_label("Text").fill("seven")
        page.get_by_label("Image").set_input_files(EXAMPLES / "seven.png")
        page.get_by_label("Sound").set_input_files(EXAMPLES / "seven.wav")
        page.get_by_role("button", name="Ask").click()
        expect(page.get_by_role("status")).to_contain_text("digit: 7 (")
        expect(page.get_by_role("status")).to_contain_text("speaker: george (")
        page.get_by_label("Image").set_input_files([])
        page.get_by_label("Sound").set_input_files([])
        page.get_by_label("Text").fill("")
        page.get_by_role("button", name="Ask").click()
        expect(page.get_by_role("status")).to_contain_text("Nothing to predict from: ")
        page.goto(f"http://127.0.0.1:{ports['5500']}")  # a site that the service was not told of
        page.get_by_label("Service").fill(f"http://localhost:{ports['8000']}")
        page.get_by_label("Text").fill("seven")
        page.get_by_role("button", name="Ask").click()
        expect(page.get_by_role("status")).to_contain_text("No answer: ")
        assert faults == []
