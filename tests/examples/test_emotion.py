from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.fft import dct

from tests.examples.conftest import Rows, load, read_table

prepare = load("emotion/prepare")
baseline = load("emotion/baseline")


@pytest.fixture(scope="module")
def rows(prepared: Callable[[str, str, str], Path]) -> Rows:
    return read_table(prepared("emotion", "--emodb", "emodb") / "metadata.csv")


def test_a_recording_is_described_by_its_name() -> None:
    row = prepare.make_row(Path("13b09Wc.flac"))
    assert (row["emotion"], row["sex"], row["speaker"], row["sentence"]) == ("anger", "female", "13", "b09")
    assert row["text"].endswith("mit Karl was trinken gehen.")
    assert [row[fold] for fold in prepare.FOLDS] == ["train", "validation", "test", "train", "train"]


def test_nobody_is_in_two_splits_of_a_fold_and_everybody_is_tested_once(rows: Rows) -> None:
    tested: list[str] = []
    for fold in prepare.FOLDS:
        splits = {(row["speaker"], row[fold]) for row in rows}
        assert len(splits) == 10
        assert Counter(split for _, split in splits) == {"train": 6, "validation": 2, "test": 2}
        tested += [speaker for speaker, split in splits if split == "test"]
    assert sorted(tested) == sorted({row["speaker"] for row in rows})


def test_the_sentence_says_nothing_of_the_emotion(rows: Rows) -> None:
    """Every sentence is spoken in every emotion: what makes the text a control for attention."""
    spoken = {(row["text"], row["emotion"]) for row in rows}
    assert len(spoken) == 10 * 7
    assert len(rows) == 535


def test_the_baseline_hears_a_tone_in_its_band() -> None:
    """Coefficients are those of log energies that peak where the tone is."""
    rate_hz, tone_hz = 16_000, 1000.0
    wave_T = np.sin(2 * np.pi * tone_hz * np.arange(rate_hz) / rate_hz)
    mfcc_CF = baseline.mfcc(wave_T, rate_hz)
    energy_M = dct(np.pad(mfcc_CF[:, 50], (0, baseline.BANDS - len(mfcc_CF))), type=3, norm="ortho")
    centre_mel = np.linspace(0, 2595 * np.log10(1 + rate_hz / 1400), baseline.BANDS + 2)[1:-1]
    loudest_hz = 700 * (10 ** (centre_mel[energy_M.argmax()] / 2595) - 1)
    assert loudest_hz == pytest.approx(tone_hz, rel=0.15)
