"""The shipped bundle on what people really send: drawn by mouse, photographed from paper, spoken, typed.

Everything here is drawn by examples/make_samples.py or spoken by a voice the model was not trained on.
"""

from __future__ import annotations

import io
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import wav_bytes
from triad_serving.engine.engine import Engine
from triad_serving.inference.answer import Classification
from triad_serving.inference.options import Options
from triad_serving.media.example import RawInputs
from triad_serving.settings import SHIPPED_MODELS

EXAMPLES = Path(__file__).parents[2] / "examples"
SAMPLES = runpy.run_path(str(EXAMPLES / "make_samples.py"))
draw_digit: Callable[..., Image.Image] = SAMPLES["draw_digit"]
photograph: Callable[..., bytes] = SAMPLES["photograph"]
DIGITS = range(10)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine.open(SHIPPED_MODELS / "digits") as engine:
        yield engine


def ask(engine: Engine, raw: RawInputs, task: str = "digit") -> Classification:
    answer = engine.predict_sync(raw, Options(attention="full")).predictions[task]
    assert isinstance(answer, Classification)
    return answer


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    "style",
    [
        {},
        {"ink": "white", "paper": "black"},
        {"size": (560, 560), "pen": 0.02},
        {"size": (400, 300), "pen": 0.09, "slant": 0.15},
        {"height": 0.4, "pen": 0.04, "centre": (0.35, 0.6)},
        {"ink": "#c01010", "paper": "#f4f0e0", "slant": -0.1},
        {"size": (1200, 900), "ink": "white", "paper": "#14402a", "pen": 0.03},
    ],
    ids=["white canvas", "black canvas", "thin", "broad", "small, off centre", "red on cream", "chalk board"],
)
def test_a_digit_drawn_by_mouse_is_read(engine: Engine, style: dict[str, object]) -> None:
    answers = [ask(engine, RawInputs(image=png(draw_digit(digit, **style)))).label for digit in DIGITS]
    assert answers == [str(digit) for digit in DIGITS]


def test_a_digit_photographed_from_paper_is_read(engine: Engine) -> None:
    rng = np.random.default_rng(0)
    paper = {"size": (640, 480), "ink": "#1c2a6b", "pen": 0.035, "height": 0.6}
    answers = [
        ask(engine, RawInputs(image=photograph(draw_digit(digit, **paper), rng))).label for digit in DIGITS
    ]
    assert answers == [str(digit) for digit in DIGITS]


def test_a_word_spoken_by_a_strange_voice_in_stereo_with_silence_around_it_is_heard(engine: Engine) -> None:
    answers = [
        ask(engine, RawInputs(audio=(EXAMPLES / f"spoken/{digit}.ogg").read_bytes())).label
        for digit in DIGITS
    ]
    assert answers == [str(digit) for digit in DIGITS]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("我写的是数字七", "7"),
        ("seven", "7"),
        ("It looks like a 4 to me.", "4"),
        ("三", "3"),
        ("ＺＥＲＯ", "0"),
    ],
)
def test_a_sentence_that_names_a_digit_is_understood(engine: Engine, text: str, expected: str) -> None:
    assert ask(engine, RawInputs(text=text)).label == expected


def test_all_three_together_are_surer_than_any_alone(engine: Engine) -> None:
    everything = RawInputs(
        text="我写的是数字七",
        image=(EXAMPLES / "seven.jpg").read_bytes(),
        audio=(EXAMPLES / "seven.wav").read_bytes(),
    )
    answer = ask(engine, everything)
    assert answer.label == "7"
    assert answer.probability > 0.97
    assert answer.attention is not None
    assert all(share > 0 for share in answer.attention.modalities.values())


def test_who_spoke_is_answered_from_the_sound_and_unknown_without_it(engine: Engine) -> None:
    raw = RawInputs(text="seven", audio=(EXAMPLES / "seven.wav").read_bytes())
    attention = ask(engine, raw, "speaker").attention
    assert attention is not None
    assert attention.modalities["audio"] > 0.8
    without = ask(engine, RawInputs(text="seven"), "speaker")
    assert without.probability < 0.35


@pytest.mark.parametrize("seconds", [0.025, 1.0, 6.0])
def test_a_muted_microphone_is_answered_with_a_warning(engine: Engine, seconds: float) -> None:
    """All samples 0: the graph once took the logarithm of that."""
    answer = engine.predict_sync(RawInputs(text="seven", audio=wav_bytes(seconds, peak=0.0)))
    digit = answer.predictions["digit"]
    assert isinstance(digit, Classification)
    assert digit.label == "7"
    assert "The sound is silent." in answer.warnings


def test_a_sentence_that_names_none_leaves_the_question_open(engine: Engine) -> None:
    assert ask(engine, RawInputs(text="这是什么数字？")).probability < 0.5


def test_the_card_states_the_scores_of_all_subsets(engine: Engine) -> None:
    bundle = engine.catalog.find(None, None).bundle
    scores = bundle.manifest.metrics["test"]
    assert len(scores) == 7
    assert scores["image"]["digit"]["accuracy"] >= 0.985
    assert scores["audio"]["digit"]["accuracy"] >= 0.95
    assert scores["text+image+audio"]["digit"]["accuracy"] >= 0.995
    assert scores["audio"]["speaker"]["accuracy"] >= 0.95
    assert bundle.model_path.stat().st_size < 5_000_000
    card = (bundle.path / "MODEL_CARD.md").read_text(encoding="utf-8")
    for subset in scores:
        assert f"| digit | {subset} |" in card
