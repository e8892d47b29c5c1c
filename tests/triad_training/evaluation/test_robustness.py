"""Corruption against what it is defined as; curves on a graph that answers from what it is sent."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.triad_training.conftest import table_folder
from triad_serving.inference.bundle import Bundle
from triad_serving.media.audio.decode import DecodedAudio
from triad_serving.media.image.decode import DecodedImage
from triad_serving.media.text.medium import Cut
from triad_serving.media.text.words import Word
from triad_training.evaluation.evaluate import evaluate_bundle
from triad_training.evaluation.robustness import CORRUPTIONS, Corrupter, robustness_table

CUT = Cut("abcdefghij", tuple(Word(letter, n, n + 1) for n, letter in enumerate("abcdefghij")))
GREY = DecodedImage(pixels_HW3=np.full((40, 60, 3), 50, dtype=np.uint8), format="PNG", width=60, height=40)
TONE = DecodedAudio(
    samples_T=(0.1 * np.sin(np.arange(8000) / 3)).astype(np.float32),
    sample_rate_hz=8000,
    format="WAV",
    seconds=1.0,
)


def corrupter(kind: str, level: float) -> Corrupter:
    corruption = next(each for each in CORRUPTIONS if each.kind == kind)
    return Corrupter(corruption=corruption, level=level, rng=np.random.default_rng(3))


def test_image_noise_has_the_deviation_that_it_says() -> None:
    noisy = corrupter("image noise", 0.05)("image", GREY).pixels_HW3.astype(float)
    assert noisy.std() == pytest.approx(255 * 0.05, rel=0.05)


def test_a_square_covers_the_share_that_it_says() -> None:
    covered = corrupter("occlusion", 0.25)("image", GREY).pixels_HW3
    assert (covered == 127).mean() == pytest.approx(0.25, abs=0.01)
    assert GREY.pixels_HW3.max() == 50  # the decoded image itself stays


@pytest.mark.parametrize("snr_db", [20.0, 0.0])
def test_sound_noise_lies_below_the_signal_by_the_decibels_that_it_says(snr_db: float) -> None:
    noise_T = corrupter("sound noise", snr_db)("audio", TONE).samples_T - TONE.samples_T
    measured_db = 10 * math.log10(np.square(TONE.samples_T).mean() / np.square(noise_T).mean())
    assert measured_db == pytest.approx(snr_db, abs=0.3)


def test_loud_noise_is_turned_down_and_not_cut_off() -> None:
    loud = replace(TONE, samples_T=9 * TONE.samples_T)
    noisy_T = corrupter("sound noise", -10.0)("audio", loud).samples_T
    assert np.abs(noisy_T).max() == pytest.approx(1.0)
    assert (np.abs(noisy_T) > 0.999).mean() < 0.001


def test_more_and_more_words_are_left_out_and_one_always_stays() -> None:
    kept = [set(corrupter("word dropout", level)("text", CUT).words) for level in (0.0, 0.3, 0.6, 1.0)]
    assert len(kept[0]) == 10
    assert kept[0] > kept[1] > kept[2] > kept[3]
    assert len(kept[3]) == 1


def test_each_corruption_leaves_the_other_media_alone() -> None:
    for corruption in CORRUPTIONS:
        made = corrupter(corruption.kind, 0.5)
        assert (made("text", CUT) == CUT) == (corruption.medium != "text")
        same_image = (made("image", GREY).pixels_HW3 == GREY.pixels_HW3).all()
        assert same_image == (corruption.medium != "image")
        assert (made("audio", TONE) is TONE) == (corruption.medium != "audio")


def test_the_toy_falls_from_its_scores_as_its_media_get_worse(toy_bundle: Bundle) -> None:
    table = table_folder(toy_bundle) / "metadata.csv"
    evaluation = evaluate_bundle(toy_bundle.path, table, robustness=True)
    read = [corruption for corruption in CORRUPTIONS if corruption.medium != "fields"]
    assert [curve.corruption for curve in evaluation.curves] == read
    for curve in evaluation.curves:
        as_sent, *_, worst = curve.points["kind"]
        assert as_sent.alone == evaluation.scores[curve.corruption.medium]["kind"]["accuracy"]
        assert as_sent.attention is not None
        assert 0 < as_sent.attention < 1
        assert worst.level == curve.corruption.levels[-1]
        assert {len(points) for points in curve.points.values()} == {len(curve.corruption.levels)}
    assert "| sound noise | size | as sent |" in robustness_table(evaluation.curves)
    assert robustness_table(()) == ""
