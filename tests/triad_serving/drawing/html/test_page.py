"""The page: well-formed, self-contained, a user's text a text, its shades those of the scene."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from typing import get_args

import pytest
from PIL import Image

from tests.conftest import png_bytes
from tests.triad_serving.drawing.conftest import EVIL, WHOLE, Draw, spotted_png
from triad_serving.contract.language import Language
from triad_serving.drawing.colours import colour_of
from triad_serving.drawing.html.page import to_html
from triad_serving.drawing.html.style import content_security_policy, style_sheet
from triad_serving.media.example import RawInputs

VOID = {"meta", "br"}


class Page(HTMLParser):
    """elements: tag and attributes. texts: by the tag that holds them. Fails where tags do not nest."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for found, attributes in self.elements if found == tag]


def test_the_page_needs_nothing_else_and_runs_nothing(draw: Draw) -> None:
    page = Page(to_html(draw()))
    assert not {"script", "link", "iframe", "object", "form", "a", "audio"} & {
        tag for tag, _ in page.elements
    }
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in ("href", "src"):
            assert str(attributes.get(name, "#")).startswith(("#", "data:image/"))
    assert "url(" not in style_sheet()
    assert "@import" not in style_sheet()


def test_the_policy_allows_this_style_sheet_and_nothing_more(draw: Draw) -> None:
    page = Page(to_html(draw()))
    [policy] = [each["content"] for each in page.of("meta") if each.get("http-equiv")]
    assert policy == content_security_policy()
    [style] = page.texts["style"]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    directives = dict(each.strip().split(" ", 1) for each in content_security_policy().split(";"))
    assert directives == {
        "default-src": "'none'",
        "style-src": f"'sha256-{digest}'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_a_text_stays_a_text(draw: Draw) -> None:
    html = to_html(draw())
    page = Page(html)
    assert "<script" not in html
    assert "\x07" not in html
    pieces = re.findall(r'<p class="words">(.*?)</p>', html, flags=re.DOTALL)
    assert len(pieces) == 6  # attention and drops of three tasks
    for piece in pieces:
        assert unescape(re.sub(r"<[^>]*>", "", piece)) == EVIL.replace("\x07", "\ufffd")
    assert not page.of("script")


def test_labels_and_names_stay_texts(draw: Draw) -> None:
    scene = draw()
    part = scene.tasks[0]
    evil = "<img src=x onerror=alert(1)>"
    spoilt = replace(
        scene, subtitle=evil, notes=(evil,), tasks=(replace(part, name=evil, answer=evil, remarks=(evil,)),)
    )
    page = Page(to_html(spoilt))
    assert not page.of("img")
    assert page.texts["li"] == [evil]


def test_a_word_has_the_shade_of_its_weight(draw: Draw) -> None:
    size = draw().tasks[2].words[1]
    marks = Page(to_html(draw())).of("mark")[-len([v for _, v in size.pieces if v is not None]) :]
    strongest = max(marks, key=lambda mark: float(str(mark["title"])))
    assert strongest["title"] == "0.200"
    assert strongest["class"] == f"d{round(32 * 0.2 / 0.75)}"
    assert f".d32 {{ background: {colour_of(1, 'drop')}; color: #ffffff; }}" in style_sheet()


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_the_cell_of_most_weight_is_brightest(draw: Draw, row: int, column: int) -> None:
    page = Page(to_html(draw(RawInputs(image=spotted_png(row, column)))))
    cells = [rect for rect in page.of("rect") if rect.get("fill-opacity") == "0.600"][:4]
    assert [cell["fill"] == "#fee838" for cell in cells] == [n == 2 * row + column for n in range(4)]
    brightest = cells[2 * row + column]
    assert (brightest["x"], brightest["y"]) == (f"{2 * column:.2f}", f"{2 * row:.2f}")


def test_the_image_is_in_the_page_once_and_small(draw: Draw) -> None:
    for width, kind in ((40, "png"), (3000, "jpeg")):
        page = Page(to_html(draw(RawInputs(image=png_bytes(width, width)))))
        [image] = page.of("image")
        head, data = str(image["href"]).split(",")
        assert head == f"data:image/{kind};base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as opened:
            assert opened.size == (min(width, 480),) * 2
        assert len(page.of("use")) == 3 * 3  # as sent and under two layers, for three tasks


@pytest.mark.parametrize("language", get_args(Language))
def test_the_page_says_its_language(draw: Draw, language: Language) -> None:
    page = Page(to_html(draw(WHOLE, language=language)))
    assert page.of("html") == [{"lang": language}]
    assert page.texts["h1"] == page.texts["title"][:1]


def test_a_page_without_media_details_is_a_page(draw: Draw) -> None:
    page = Page(to_html(draw(RawInputs(text="seven"), attention="none", explain="none")))
    assert len(page.of("section")) == 3
    assert not page.of("image")
    assert not page.of("mark")
