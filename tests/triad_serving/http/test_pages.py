"""The pages' files as HTTP serves them; what they do in a browser is tested in tests/page."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import Mapping

import httpx
import pytest
from fastapi import FastAPI

from triad_serving.http.pages import FOLDER, build_pages_router, read_site

PAGES = ("/", "/search", "/docs", "/redoc")


def get(path: str, headers: Mapping[str, str] | None = None, *, prefix: str = "") -> httpx.Response:
    async def go() -> httpx.Response:
        app = FastAPI(docs_url=None, redoc_url=None)
        app.include_router(build_pages_router(), prefix=prefix)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(go())


def addresses(html: str) -> list[str]:
    """What a browser loads or may go to."""
    return re.findall(r'(?:src|href)="([^"#]+)"', html)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_html_under_a_strict_policy_and_revalidated_on_every_visit(page: str) -> None:
    response = get(page)
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-content-type-options"] == "nosniff"
    policy = dict(part.split(maxsplit=1) for part in response.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert ("'unsafe-inline'" in policy["style-src"]) is (page == "/redoc")


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("prefix", ["", "/ml"])
def test_every_address_of_a_page_is_relative_and_leads_somewhere(page: str, prefix: str) -> None:
    response = get(prefix + page, prefix=prefix)
    found = addresses(response.text)
    assert found
    for address in found:
        assert not address.startswith(("/", "http", "data:"))
        assert get(str(response.url.join(address).path), prefix=prefix).status_code == 200, address


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_neither_inline_scripts_nor_inline_styles(page: str) -> None:
    html = get(page).text
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", html)


def test_files_are_kept_for_a_year_under_a_name_that_changes_with_them() -> None:
    site = read_site()
    response = get(f"/page/{site.digest}/app.js")
    assert response.headers["content-type"] == "text/javascript; charset=utf-8"
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert response.content == (FOLDER / "app.js").read_bytes()


def test_a_page_of_another_release_finds_its_files_but_does_not_keep_them() -> None:
    response = get("/page/0123456789ab/app.js")
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-cache")


def test_browsers_find_an_icon_also_for_what_is_no_page() -> None:
    response = get("/favicon.ico")
    assert response.headers["content-type"] == "image/svg+xml"
    assert response.content == (FOLDER / "icon.svg").read_bytes()


@pytest.mark.parametrize("path", ["nothing.js", "%2e%2e/app.py", "%2e%2e%2fapp.py", "", "samples"])
def test_nothing_else_is_served(path: str) -> None:
    assert get(f"/page/{read_site().digest}/{path}").status_code == 404


def test_what_has_not_changed_is_not_sent_again() -> None:
    first = get("/")
    again = get("/", {"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["content-security-policy"] == first.headers["content-security-policy"]
    assert get("/", {"If-None-Match": 'W/"other"'}).status_code == 200


def test_text_travels_compressed_where_the_browser_can_and_pictures_never() -> None:
    for name, compressed in (("styles/layout.css", True), ("samples/7.png", False), ("icon.svg", True)):
        path = f"/page/{read_site().digest}/{name}"
        response = get(path, {"Accept-Encoding": "gzip, br"})
        assert ("content-encoding" in response.headers) is compressed
        assert response.content == get(path, {"Accept-Encoding": "identity"}).content
    script = read_site().assets["reference/swagger-ui/swagger-ui-bundle.js"]
    assert script.gzipped is not None
    assert gzip.decompress(script.gzipped) == script.content


def test_the_vendored_scripts_come_with_their_licences() -> None:
    licences = {name for name in read_site().assets if "LICENSE" in name}
    for package in ("swagger-ui", "redoc"):
        assert f"reference/{package}/LICENSE" in licences
