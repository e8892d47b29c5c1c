"""Letters with and without fonts of the machine: what none has is substituted, and remembered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from triad_serving.contract.language import Language
from triad_serving.drawing.phrases import PHRASES, Phrases
from triad_serving.drawing.png import fonts
from triad_serving.drawing.png.fonts import Letters

CHINESE = pytest.mark.skipif(
    not Letters.of(16).has("模型"), reason="no font of this machine has Chinese characters"
)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without any font; Pillow brings one of its own."""
    monkeypatch.setattr(fonts, "_locate", lambda known: None)


def drawn(letters: Letters, text: str) -> np.ndarray:
    canvas = Image.new("L", (400, 40), 255)
    letters.draw(ImageDraw.Draw(canvas), (4, 20), text, "#000000")  # "L" takes the colour's grey
    return 255 - np.asarray(canvas)


def test_letters_are_found_in_the_first_font_that_has_them() -> None:
    letters = Letters.of(16)
    assert letters.has("Is it 7?")
    assert drawn(letters, "seven").any()
    assert not letters.missing
    assert letters.width("seven seven") > 2 * letters.width("seven")
    assert letters.width("") == 0


def sentences(language: Language) -> Iterator[str]:
    for field in fields(Phrases):
        said = getattr(PHRASES[language], field.name)
        yield from said.values() if isinstance(said, dict) else [said]


@CHINESE
def test_every_phrase_can_be_drawn_where_there_is_a_chinese_font() -> None:
    letters = Letters.of(16)
    assert [said for language in PHRASES for said in sentences(language) if not letters.has(said)] == []


@pytest.mark.usefixtures("bare")
def test_english_needs_no_font_of_the_machine() -> None:
    letters = Letters.of(16)
    assert [said for said in (*sentences("en"), "7 · 98.0 % …") if not letters.has(said)] == []


@CHINESE
def test_a_line_may_mix_scripts() -> None:
    letters = Letters.of(16)
    pieces = [letters.width(text) for text in ("数字", " seven")]
    assert letters.width("数字 seven") == pytest.approx(sum(pieces), abs=2)


@pytest.mark.usefixtures("bare")
def test_what_no_font_has_is_substituted_and_remembered() -> None:
    letters = Letters.of(16)
    assert not letters.has("七")
    assert not letters.missing  # only asked
    assert (drawn(letters, "a七b") == drawn(letters, "a?b")).all()
    assert letters.missing


@pytest.mark.usefixtures("bare")
def test_what_has_no_width_and_what_controls_is_not_substituted() -> None:
    letters = Letters.of(16)
    assert (drawn(letters, "a\u200b\ufe0fb\u0301c") == drawn(letters, "abc")).all()
    assert (drawn(letters, "a\tb\u2028c") == drawn(letters, "a b c")).all()
    assert not letters.missing


@pytest.fixture
def no_cache() -> Iterator[None]:
    fonts._locate.cache_clear()
    yield
    fonts._locate.cache_clear()


@pytest.mark.usefixtures("no_cache")
def test_the_first_known_font_that_is_installed_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Found:
        path = "/fonts/second.ttf"

    def truetype(name: str, size: int, index: int) -> Found:
        asked.append(name)
        if name != "second.ttf":
            raise OSError("cannot open resource")
        return Found()

    monkeypatch.setattr(ImageFont, "truetype", truetype)
    known = (("first.ttf", 0), ("second.ttf", 3), ("third.ttf", 0))
    assert fonts._locate(known) == ("/fonts/second.ttf", 3)
    assert asked == ["first.ttf", "second.ttf"]
    assert fonts._locate((("first.ttf", 0),)) is None
