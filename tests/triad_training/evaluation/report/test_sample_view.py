"""An example's media on the page: the same pixels, samples and words, and attention where it lay."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from PIL import Image

from tests.conftest import SPEC, png_bytes, wav_bytes
from triad_serving.contract.outputs import Wanted
from triad_serving.media.example import RawInputs
from triad_serving.media.limits import MediaLimits
from triad_serving.media.preprocess import preprocess
from triad_training.evaluation.evaluate import Evaluation
from triad_training.evaluation.report.mistakes import worst_mistakes
from triad_training.evaluation.report.sample_view import SampleView, view_sample
from triad_training.media.audio.view import WAVE_HEIGHT, WAVE_WIDTH, SoundView
from triad_training.media.image.view import ImageView
from triad_training.media.text.view import MOST_CHARACTERS, TextView


def sample(evaluation: Evaluation, raw: RawInputs) -> SampleView:
    inputs = preprocess(raw, SPEC, evaluation.bundle.assets, MediaLimits())
    [outputs] = evaluation.session.run([inputs], Wanted(attention=True))
    return view_sample(raw, inputs, dict(outputs.attention["kind"]), SPEC)


def pieces(evaluation: Evaluation, text: str) -> list[tuple[str, float]]:
    view = sample(evaluation, RawInputs(text=text)).views["text"]
    assert isinstance(view, TextView)
    return view.pieces


def content(uri: str) -> io.BytesIO:
    return io.BytesIO(base64.b64decode(uri.partition(",")[2]))


def test_a_text_keeps_every_character_and_marks_its_words(evaluation: Evaluation) -> None:
    words = pieces(evaluation, " seven… 七!")
    assert "".join(piece for piece, _ in words) == " seven… 七!"
    assert {piece for piece, weight in words if weight == 1.0} >= {"seven", "七"}
    long = pieces(evaluation, "seven " * 200)
    assert "".join(piece for piece, _ in long) == ("seven " * 200)[:MOST_CHARACTERS] + "…"


def test_an_image_is_shown_at_a_size_for_a_page_with_cells_in_its_own_pixels(evaluation: Evaluation) -> None:
    picture = sample(evaluation, RawInputs(image=png_bytes(600, 300, value=90))).views["image"]
    assert isinstance(picture, ImageView)
    with Image.open(content(picture.uri)) as shown:
        assert shown.size == (240, 120)
    assert (picture.width, picture.height) == (600, 300)
    assert [(cell.x, cell.y, cell.width, cell.height) for cell in picture.cells] == [
        (0, 0, 300, 150), (300, 0, 300, 150), (0, 150, 300, 150), (300, 150, 300, 150),
    ]  # fmt: skip
    assert [cell.weight for cell in picture.cells] == [1, 1, 1, 1]


def test_a_sound_can_be_heard_and_its_moments_lie_under_its_wave(evaluation: Evaluation) -> None:
    sound = sample(evaluation, RawInputs(audio=wav_bytes(1.0, sample_rate_hz=16_000))).views["audio"]
    assert isinstance(sound, SoundView)
    wave_T, rate_hz = soundfile.read(content(sound.uri))
    assert (len(wave_T), rate_hz) == (8000, 8000)
    assert sound.seconds == 1.0
    assert sound.wave.count("M") == WAVE_WIDTH
    assert f"V{0.975 * WAVE_HEIGHT:.1f}" in sound.wave  # the loudest stroke nearly fills the box
    assert sound.cells[1].x == pytest.approx(0.04 * WAVE_WIDTH)


def test_only_present_media_are_shown(evaluation: Evaluation) -> None:
    found = sample(evaluation, RawInputs(text="seven"))
    assert found.shares == {"text": 1.0}
    assert set(found.views) == {"text"}


def test_the_surest_mistakes_come_first_with_their_shapley_values(evaluation: Evaluation) -> None:
    first, second = worst_mistakes(evaluation, evaluation.breakdowns["kind"])
    assert (first.said, first.true, first.line) == ("picture", "word", 2)
    assert second.sure < first.sure
    assert set(first.shapley) == {"text", "image", "audio"}
    assert first.shapley["image"] > max(first.shapley["text"], first.shapley["audio"])
    probability = float(first.sure.split()[0]) / 100
    assert sum(first.shapley.values()) + 0.3 == pytest.approx(probability, abs=1e-3)  # the prior of `picture`


def test_of_tags_and_numbers_the_worst_come_first(evaluation: Evaluation) -> None:
    tags = worst_mistakes(evaluation, evaluation.breakdowns["tags"])
    assert {mistake.true for mistake in tags} <= {"seen", "spoken, seen", "none"}
    sizes = worst_mistakes(evaluation, evaluation.breakdowns["size"])
    errors = [float(mistake.sure.removeprefix("off by ")) for mistake in sizes]
    assert errors == sorted(errors, reverse=True)
    assert float(sizes[0].said) - float(sizes[0].true) == pytest.approx(errors[0], abs=0.01)


def test_where_all_is_right_there_are_no_mistakes(evaluation: Evaluation) -> None:
    breakdown = evaluation.breakdowns["kind"]
    right = replace(breakdown, targets=breakdown.answers.astype(np.float32))
    assert worst_mistakes(evaluation, right) == []
