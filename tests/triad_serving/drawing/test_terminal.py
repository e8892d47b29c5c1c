"""Lines for a terminal: within its width, without anything that it would obey."""

from __future__ import annotations

import unicodedata
from typing import get_args

import pytest

from tests.triad_serving.drawing.conftest import Draw, spotted_png
from triad_serving.contract.language import Language
from triad_serving.drawing.terminal import NARROWEST, WIDEST, to_terminal
from triad_serving.media.example import RawInputs


def columns_of(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in line)


@pytest.mark.parametrize("language", get_args(Language))
@pytest.mark.parametrize("width", [1, 60, 80, 500])
def test_bars_stay_within_the_terminal(draw: Draw, width: int, language: Language) -> None:
    lines = to_terminal(draw(language=language), width).splitlines()
    drawn = [line for line in lines if set(line) & set("█▓▒░▁▇")]
    assert len(drawn) > 20
    assert max(map(columns_of, drawn)) <= max(NARROWEST, min(width, WIDEST))


def test_nothing_in_a_text_is_obeyed(draw: Draw) -> None:
    evil = "七\x1b[31m\r\u202e"
    said = to_terminal(draw(RawInputs(text=evil)), 80)
    assert {unicodedata.category(character) for character in said if character != "\n"}.isdisjoint(
        {"Cc", "Cf"}
    )
    assert "七" in said


def test_a_bar_is_as_long_as_its_value(draw: Draw) -> None:
    """Attention: text 0, image and sound as the tokens weigh (see tests/conftest.py)."""
    lines = to_terminal(draw(RawInputs(text="seven"), explain="none"), 80).splitlines()
    [text] = {line for line in lines if line.strip().startswith("text")}
    [sound] = {
        line for line in lines if line.strip().startswith("sound ") and "0.0 %" in line and "█" not in line
    }
    assert "100.0 %" in text
    assert text.count("█") > 40
    assert sound


def test_the_strongest_words_come_first(draw: Draw) -> None:
    """Without a word of id n the size falls by n / 10."""
    said = to_terminal(draw(RawInputs(text="seven three 七"), explain="occlusion"), 80).split("size:")[1]
    drops = said.split("drop without each part")[1].splitlines()[1:4]
    assert [line.split()[:2] for line in drops] == [["three", "0.400"], ["七", "0.300"], ["seven", "0.200"]]
    lengths = [line.count("█") for line in drops]
    assert lengths == sorted(lengths, reverse=True)


def test_a_grid_is_darkest_where_the_weight_is_largest(draw: Draw) -> None:
    lines = to_terminal(draw(RawInputs(image=spotted_png(1, 0)), explain="none"), 80).splitlines()
    at = next(n for n, line in enumerate(lines) if line.strip().startswith("attention:"))
    assert [line.strip() for line in lines[at + 1 : at + 3]] == ["▒▒▒▒", "██▒▒"]
