from __future__ import annotations

from pathlib import Path

import pytest

from tests.examples.conftest import Rows, load

pytest.importorskip("pypinyin", reason="the example's prepare.py needs pypinyin")
prepare = load("mandarin/prepare")

WORDS = ("中国", "你好", "一定", "不错", "儿子", "女人", "越_越_")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of the right names; prepare.py copies them and reads none."""
    folder = tmp_path_factory.mktemp("mp3")
    for name in (*(f"hsk/{word}" for word in WORDS), "syllabs/zhong1", "syllabs/_m2"):
        path = folder / f"{name}.mp3"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())
    return folder


@pytest.fixture(scope="module")
def rows(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    return prepare.make_rows(source, tmp_path_factory.mktemp("out"))


def test_words_are_written_as_they_are_spoken(rows: Rows) -> None:
    """Before a fourth tone 一 and 不 have the second, before a third one a third has it."""
    pinyin = {row["word"]: row["pinyin"] for row in rows if row["word"]}
    assert pinyin == {
        "中国": "zhong1 guo2",
        "你好": "ni2 hao3",
        "一定": "yi2 ding4",
        "不错": "bu2 cuo4",
        "儿子": "er2 zi5",
        "女人": "nv3 ren2",
    }


@pytest.mark.parametrize(
    ("syllable", "sounds"),
    [
        ("zhong1", ["zh", "ong", "1"]),
        ("nv3", ["n", "v", "3"]),
        ("er2", ["er", "2"]),
        ("yuan4", ["yuan", "4"]),
        ("zi5", ["z", "i", "5"]),
        ("n2", ["n", "2"]),
    ],
)
def test_a_syllable_is_an_initial_a_final_and_a_tone(syllable: str, sounds: list[str]) -> None:
    assert prepare.sounds(syllable) == sounds


def test_patterns_and_sounds_that_are_no_syllable_are_left_out(rows: Rows) -> None:
    assert sorted(row["pinyin"] for row in rows if not row["word"]) == ["zhong1"]
    assert len(rows) == len(WORDS) - 1 + 1


def test_recordings_are_copied_under_plain_names(source: Path, tmp_path: Path) -> None:
    rows = prepare.make_rows(source, tmp_path)
    names = [row["audio_file_name"] for row in rows]
    assert len(set(names)) == len(rows)
    assert all(name.isascii() for name in names)
    copied = {(tmp_path / row["audio_file_name"]).read_bytes().decode() for row in rows}
    assert copied == {f"hsk/{word}" for word in WORDS if "_" not in word} | {"syllabs/zhong1"}


def test_single_syllables_are_for_training_and_a_tenth_of_the_words_for_the_test(rows: Rows) -> None:
    assert {row["split"] for row in rows if not row["word"]} == {"train"}
    splits = [prepare.split_of(f"词{number}") for number in range(2000)]
    for split in ("validation", "test"):
        assert splits.count(split) == pytest.approx(200, abs=50)
