from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.examples.conftest import EXAMPLES, Rows, load, read_table

masking = load("xray/masking")
sys.modules.setdefault("masking", masking)  # prepare.py imports its neighbour, as a script does
prepare = load("xray/prepare")


@pytest.fixture(scope="module")
def table(prepared: Callable[[str, str, str], Path]) -> Path:
    return prepared("xray", "--xrays", "covid_chestxray")


@pytest.fixture(scope="module")
def rows(table: Path) -> Rows:
    return read_table(table / "metadata.csv")


@pytest.mark.parametrize(
    ("note", "left"),
    [
        ("COVID-19 pneumonia in a 70-year-old man, RT-PCR positive.", "in a 70-year-old man, positive"),
        ("Portable AP view: ETT tip above the carina", "view: tip above the carina"),
        ("Intubated in the ICU, died on 3 March 2020", "in the , on 3"),
        ("SARS-CoV-2\ufffd and Pneumocystis   jirovecii", "and"),
        ("Bilateral opacities, coronary disease, capital", "Bilateral opacities, coronary disease, capital"),
    ],
)
def test_words_that_name_an_answer_leave_no_trace(note: str, left: str) -> None:
    assert masking.mask_note(note) == left


def test_no_masked_word_is_left(rows: Rows) -> None:
    words = {word for row in rows for word in re.findall(r"\w+", row["text"])}
    assert len(words) > 1000
    assert not [word for word in words if masking.is_masked(word)]
    named = re.compile("covid|coronav|sars|pneumon(?!e)|strepto|klebs|legion|mycopla|varic|intub|icu$", re.I)
    assert not [word for word in words if named.search(word)]


def test_no_patient_is_in_two_splits_of_a_fold_and_all_with_notes_are_tested_once(rows: Rows) -> None:
    tested: Counter[str] = Counter()
    for fold in prepare.FOLDS:
        splits = {(row["patient"], row[fold]) for row in rows}
        assert len(splits) == len({row["patient"] for row in rows})
        tested.update(patient for patient, split in splits if split == "test")
    assert set(tested.values()) == {1}
    assert all(row["text"] for row in rows if row["patient"] in tested)
    unnoted = {row["patient"] for row in rows if not row["text"]}
    assert tested.keys() | unnoted == {row["patient"] for row in rows}


def test_every_fold_can_judge_every_task(rows: Rows) -> None:
    for fold in prepare.FOLDS:
        for task in prepare.TASKS:
            found = {
                split: {row[task] for row in rows if row[fold] == split} - {""} for split in ("train", "test")
            }
            assert found["train"] == found["test"], (fold, task)


def test_a_picture_that_stands_under_two_patients_is_read_once(table: Path, rows: Rows) -> None:
    assert len(rows) == len({row["image_file_name"] for row in rows}) == 569
    assert all((table / row["image_file_name"]).is_file() for row in rows)


def test_the_readme_lists_what_is_masked() -> None:
    readme = (EXAMPLES / "xray/README.md").read_text(encoding="utf-8")
    assert all(group in readme for group in masking.MASKED)
