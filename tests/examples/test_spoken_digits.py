from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.examples.conftest import Rows, load, read_table

prepare = load("spoken_digits/prepare")

RATE_HZ = 8000
SPEAKERS = ("anna", "george", "yweweler")
SPLITS = ("train", "validation", "test", "unseen")
ROWS = 24


def tone_hz(digit: int, index: int) -> float:
    """By which a take is recognised: of the split that it belongs to, too."""
    return 300 + 200 * digit + 4 * index


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Every digit by three speakers as a tone of 0.2 s, and a noise of each fold."""
    fsdd, esc10 = tmp_path_factory.mktemp("fsdd"), tmp_path_factory.mktemp("esc10")
    (fsdd / "recordings").mkdir()
    time_T = np.arange(RATE_HZ // 5) / RATE_HZ
    for digit, speaker, index in itertools.product(range(10), SPEAKERS, (2, 7, 12)):
        wave_T = 0.3 * np.sin(2 * np.pi * tone_hz(digit, index) * time_T)
        soundfile.write(fsdd / "recordings" / f"{digit}_{speaker}_{index}.wav", wave_T, RATE_HZ)
    rng = np.random.default_rng(0)
    for fold in range(1, 6):
        soundfile.write(esc10 / f"{fold}-1-A.wav", 0.1 * rng.standard_normal(2 * RATE_HZ), 2 * RATE_HZ)
    return fsdd, esc10


@pytest.fixture(scope="module")
def made(originals: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(originals, tmp_path_factory.mktemp("made"))


def make(originals: tuple[Path, Path], out: Path) -> Path:
    prepare.write_table(*originals, out, dict.fromkeys(SPLITS, ROWS), synthetic={})
    return out


@pytest.fixture(scope="module")
def rows(made: Path) -> Rows:
    return read_table(made / "metadata.csv")


def test_the_same_input_makes_the_same_files(
    originals: tuple[Path, Path], made: Path, tmp_path: Path
) -> None:
    again = make(originals, tmp_path)
    files = [path.relative_to(made) for path in sorted(made.rglob("*")) if path.is_file()]
    assert len(files) == 1 + len(SPLITS) * ROWS
    assert all((made / file).read_bytes() == (again / file).read_bytes() for file in files)


def test_unseen_speakers_are_in_no_other_split(rows: Rows) -> None:
    for row in rows:
        assert (row["speaker"] in prepare.UNSEEN) == (row["split"] == "unseen")
    assert {row["speaker"] for row in rows} == set(SPEAKERS)


def test_takes_and_noises_of_the_splits_are_disjoint() -> None:
    seen = [prepare.TAKES[split] for split in ("train", "validation", "test")]
    assert sorted(index for takes in seen for index in takes) == list(range(50))
    for split in ("test", "unseen"):
        assert not {*prepare.NOISE_FOLDS[split]} & {
            *prepare.NOISE_FOLDS["train"],
            *prepare.NOISE_FOLDS["validation"],
        }


def test_half_of_the_utterances_are_noisy_and_all_have_two_to_six_digits(rows: Rows) -> None:
    noisy = [float(row["snr_db"]) for row in rows if row["snr_db"]]
    assert 0.3 < len(noisy) / len(rows) < 0.7
    assert all(0 <= snr_db <= 15 for snr_db in noisy)
    counts = Counter(len(row["words"].split()) for row in rows)
    assert set(counts) == {2, 3, 4, 5, 6}


def test_what_is_heard_is_what_is_written(made: Path, rows: Rows) -> None:
    """In clean test utterances, which no room and no telephone changes: the tones, one after the other."""
    clean = [row for row in rows if row["split"] == "test" and not row["snr_db"]]
    assert clean
    for row in clean:
        wave_T, _ = soundfile.read(made / row["audio_file_name"])
        assert heard(wave_T) == [prepare.WORDS.index(word) for word in row["words"].split()]


def heard(wave_T: np.ndarray) -> list[int]:
    """Digits by the loudest frequency of each tenth of a second that is loud; a tone lasts 0.2 s."""
    loud_T = np.abs(wave_T) > 0.1 * np.abs(wave_T).max()
    digits: list[int] = []
    at = 0
    while (left := np.flatnonzero(loud_T[at:])).size:
        at += int(left[0])
        tone_T = wave_T[at : at + RATE_HZ // 5]
        peak_hz = np.abs(np.fft.rfft(tone_T)).argmax() * RATE_HZ / len(tone_T)
        digits.append(round((peak_hz - tone_hz(0, 2)) / 200))
        at += RATE_HZ // 5
    return digits


def test_noise_lies_below_the_speech_by_the_ratio_asked_for() -> None:
    rng = np.random.default_rng(0)
    wave_T, noise_T = rng.standard_normal((2, 8000), dtype=np.float32)
    added_T = prepare.scaled_to(5 * noise_T, wave_T, -10.0)
    assert 10 * np.log10(np.mean(wave_T**2) / np.mean(added_T**2)) == pytest.approx(10, abs=1e-3)


def test_a_room_keeps_the_direct_sound_first_and_goes_on_behind_it() -> None:
    click_T = np.zeros(4000, np.float32)
    click_T[100] = 1
    room_T = prepare.reverberated(click_T, np.random.default_rng(0))
    assert not room_T[:100].round(5).any()
    assert room_T[100] == pytest.approx(1, abs=1e-5)
    early, late = (float(np.square(room_T[begin : begin + 400]).sum()) for begin in (101, 501))
    assert early > 2 * late > 0


def test_a_speaker_without_a_digit_is_refused(originals: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "recordings").mkdir()
    source = originals[0] / "recordings" / "3_anna_12.wav"
    (tmp_path / "recordings" / source.name).write_bytes(source.read_bytes())
    with pytest.raises(SystemExit, match="lacks recordings of train"):
        prepare.read_voices(tmp_path / "recordings", "train")
