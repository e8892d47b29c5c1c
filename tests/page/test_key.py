"""A service with API keys: the playground asks for one, Swagger UI's "Authorize" takes one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.conftest import write_tiny_bundle
from tests.page.act import answered, one_answer
from tests.page.conftest import Open, served
from triad_serving.http.access.keys import key_line, new_key

SECRET = new_key()


@pytest.fixture(scope="module")
def guarded_url(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("guarded")
    keys = root / "keys.toml"
    keys.write_text(key_line("page", SECRET, admin=False, rate=None))
    with served(write_tiny_bundle(root / "models"), TRIAD_API_KEYS_FILE=str(keys)) as url:
        yield url


@pytest.mark.parametrize(("language", "words"), [("en-US", "needs an API key"), ("zh-CN", "API 密钥")])
def test_the_playground_asks_for_a_key_and_keeps_it_for_the_tab(
    open_page: Open, guarded_url: str, language: str, words: str
) -> None:
    page = open_page("#text=seven", base=guarded_url, locale=language)
    expect(page.locator("#key-error")).to_contain_text(words)
    expect(page.locator("#predictions")).to_be_hidden()
    page.fill("#key", "triad_wrong")
    page.locator("#key").blur()
    expect(page.locator("#key-error")).to_contain_text(words)
    with one_answer(page):
        page.fill("#key", SECRET)
        page.locator("#key").blur()
    expect(page.locator("#key-error")).to_be_hidden()
    expect(page.locator("#predictions")).to_contain_text("word")
    assert SECRET not in page.url
    page.locator("#take summary").click()
    expect(page.locator("#snippet")).to_contain_text('-H "Authorization: Bearer $TRIAD_KEY"')
    with one_answer(page):
        page.reload()
    expect(page.locator("#predictions")).to_contain_text("word")
    expect(page.locator("#key-choice")).to_be_hidden()
    answered(page)


def test_swagger_ui_sends_the_key_that_authorize_was_given(open_page: Open, guarded_url: str) -> None:
    page = open_page("docs", base=guarded_url)
    page.get_by_role("button", name="Authorize").first.click()
    dialog = page.locator(".dialog-ux")
    dialog.locator("input").fill(SECRET)
    dialog.get_by_role("button", name="Apply credentials").click()
    dialog.get_by_role("button", name="Close").last.click()
    block = page.locator("#operations-models-list_models")
    block.locator(".opblock-summary-control").click()
    with page.expect_response("**/v1/models") as answer:
        block.get_by_role("button", name="Execute").click()
    assert answer.value.status == 200
    assert answer.value.json()["default"] == "tiny"
