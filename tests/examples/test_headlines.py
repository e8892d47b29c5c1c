from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.examples.conftest import Rows, load, read_table

prepare = load("headlines/prepare")


@pytest.fixture(scope="module")
def rows(prepared: Callable[[str, str, str], Path]) -> Rows:
    return read_table(prepared("headlines", "--headlines", "thucnews_headlines") / "metadata.csv")


def test_headlines_that_stand_twice_or_in_the_test_are_not_trained_on(tmp_path: Path) -> None:
    (tmp_path / "class.txt").write_text("money\nsport\n", encoding="utf-8")
    learned = [f"headline {n}\t{n % 2}" for n in range(20)]
    (tmp_path / "dev.txt").write_text("\n".join([*learned, learned[0], "seen\t1"]) + "\n", encoding="utf-8")
    (tmp_path / "test.txt").write_text("seen \t1\n", encoding="utf-8")
    made = prepare.make_rows(tmp_path)
    assert Counter(split for _, split, _ in made) == {"train": 18, "validation": 2, "test": 1}
    assert len({text for text, _, _ in made}) == len(made)
    assert ("seen", "test", "sport") in made
    assert prepare.make_rows(tmp_path) == made


def test_no_headline_is_in_two_splits(rows: Rows) -> None:
    splits: dict[str, set[str]] = {}
    for row in rows:
        splits.setdefault(row["text"], set()).add(row["split"])
    assert max(map(len, splits.values())) == 1


def test_the_table_holds_all_that_the_readme_says(rows: Rows) -> None:
    assert Counter(row["split"] for row in rows) == {"train": 8987, "validation": 998, "test": 10_000}
    assert len({row["topic"] for row in rows}) == 10
