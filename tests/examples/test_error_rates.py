from __future__ import annotations

import numpy as np
import pytest

from tests.examples.conftest import load

error_rates = load("error_rates")

SYLLABLE = r"[^0-9]*[0-9]"


@pytest.mark.parametrize(
    ("said", "heard", "unit", "expected"),
    [
        ("four seven one", "four seven one", r"\S+", (0, 3)),
        ("four seven one", "four one one", r"\S+", (1, 3)),
        ("four seven one", "seven one nine", r"\S+", (2, 3)),
        ("four", "", r"\S+", (1, 1)),
        ("zh ong 1 g uo 2", "zh ong 1 g uo 2", SYLLABLE, (0, 2)),
        ("zh ong 1 g uo 2", "zh ong 4 k uo 2", SYLLABLE, (2, 2)),
        ("zh ong 1 g uo 2", "g uo 2", SYLLABLE, (1, 2)),
        ("zh ong 1 g uo 2", "zh ong 1 g uo", SYLLABLE, (1, 2)),
    ],
)
def test_errors_are_counted_by_unit(said: str, heard: str, unit: str, expected: tuple[int, int]) -> None:
    assert error_rates.errors(said, heard, unit) == expected


def test_a_rate_is_of_all_units_together_and_lies_in_its_interval() -> None:
    errors_N2 = np.array([[1, 2], [0, 6]] * 50)
    cells = error_rates.line("test", errors_N2).strip("| \n").split(" | ")
    assert cells[:4] == ["test", "100", "400", "12.50"]
    low, high = map(float, cells[4].split(" to "))
    assert 8 < low < 12.5 < high < 19
    assert cells[5] == "50.0"
