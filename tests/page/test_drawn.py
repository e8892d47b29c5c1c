"""What POST /v1/explain draws, as a browser shows it: a plain form is enough to ask for it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.page.conftest import ROOT, SAMPLES, Open
from tests.page.test_access import overflow, violations

TEXTS = {"en": "I wrote the number seven.", "zh": "我写的是数字七"}
FORM = """
<form action="{url}/v1/explain?language={language}" method="post" enctype="multipart/form-data">
<input name="text"><input name="image" type="file"><input name="audio" type="file"><button>Explain</button>
</form>"""


def ask(page: Page, url: str, language: str) -> None:
    page.set_content(FORM.format(url=url, language=language))
    page.fill("[name=text]", TEXTS[language])
    page.set_input_files("[name=image]", ROOT / "examples" / "seven.jpg")
    page.set_input_files("[name=audio]", SAMPLES / "7.mp3")
    page.get_by_role("button", name="Explain").click()
    expect(page.locator("main section")).to_have_count(2)


@pytest.mark.parametrize(
    ("language", "theme", "width"), [("en", "light", 1280), ("zh", "dark", 390)], ids=["desktop", "phone"]
)
def test_the_drawn_page_keeps_to_its_policy_and_reads_well(
    open_page: Open, digits_url: str, language: str, theme: str, width: int
) -> None:
    """Every page is watched: a style that the policy refused would be in the console."""
    page = open_page("healthz", color_scheme=theme, viewport={"width": width, "height": 900})
    ask(page, digits_url, language)
    expect(page.locator("html")).to_have_attribute("lang", language)
    expect(page.locator("h2").first).to_contain_text("7")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 29)"}[theme]
    colours = "all => all.map((one) => getComputedStyle(one).backgroundColor)"
    assert len(set(page.locator("mark").evaluate_all(colours))) > 1
    assert overflow(page) == 0
    assert violations(page) == []
