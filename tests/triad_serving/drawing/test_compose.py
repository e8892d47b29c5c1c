"""What is shown of answers that are known (see tests/conftest.py)."""

from __future__ import annotations

import dataclasses
import math
from string import Formatter
from typing import get_args

import pytest

from tests.conftest import SPEC, png_bytes, wav_bytes
from tests.triad_serving.drawing.conftest import EVIL, WHOLE, Draw, scene_of
from triad_serving.contract.language import Language
from triad_serving.drawing.bars import MOST_LABELS, number, share
from triad_serving.drawing.compose import MOST_TASKS
from triad_serving.drawing.layers import FAINTEST
from triad_serving.drawing.phrases import PHRASES, Phrases
from triad_serving.drawing.scene import Scene
from triad_serving.engine.engine import Engine
from triad_serving.inference.answer import LabelProbability, Multilabel
from triad_serving.inference.options import ExplainOptions
from triad_serving.media.example import RawInputs
from triad_serving.media.registry import by_name


def text_of(scene: Scene) -> str:
    """Everything that is said in a scene."""
    parts = [
        each
        for part in scene.tasks
        for each in (
            *(part.name, part.answer, *part.remarks),
            *(panel.title for panel in (*part.bars, *part.words, *part.heats, *part.tracks)),
            *(column.title for bars in part.bars for column in bars.columns),
        )
    ]
    return "\n".join([scene.title, scene.subtitle, *scene.legend.values(), *scene.notes, *parts])


def test_every_task_shows_its_answer_its_bars_and_each_medium_twice(draw: Draw) -> None:
    """t = (2 + 7) / 10 (eight tokens: seven and seven unknown characters), i = 4 / 4, a = 4 / 2."""
    scene = draw()
    kind, tags, size = scene.tasks
    assert [part.name for part in scene.tasks] == ["kind", "tags", "size"]
    assert kind.answer == f"sound · {share(math.exp(1) / (math.exp(0.45) + math.exp(0.5) + math.exp(1)))}"
    assert (tags.answer, size.answer) == ("none", "3.900")
    for part in scene.tasks:
        for panels in (part.words, part.heats, part.tracks):
            assert [panel.scale.tone for panel in panels] == ["attention", "drop"]
    assert [len(part.bars) for part in scene.tasks] == [2, 2, 1]
    assert set(scene.legend) == {"attention", "drop"}


def test_only_what_was_asked_for_is_shown(draw: Draw) -> None:
    scene = draw(attention="none", explain="shapley")
    assert scene.legend == {}
    for part in scene.tasks:
        assert (part.words, part.heats, part.tracks) == ((), (), ())
    [media] = scene.tasks[2].bars
    assert [column.title for column in media.columns] == ["Shapley value"]
    bare = draw(attention="none", explain="none").tasks[2]
    assert (bare.bars, bare.remarks) == ((), ())


def test_an_absent_medium_has_no_attention_and_no_shapley_value(draw: Draw) -> None:
    scene = draw(RawInputs(text="seven"))
    assert (scene.picture, scene.wave) == (None, None)
    [part] = [part for part in scene.tasks if part.name == "size"]
    assert (part.heats, part.tracks) == ((), ())
    attention, shapley = part.bars[0].columns
    assert part.bars[0].names == ("text", "image", "sound")
    assert attention.values == (1, 0, 0)
    assert shapley.values == (pytest.approx(0.2), None, None)
    assert shapley.shown == ("+0.200", "", "")


def test_the_most_attended_part_has_the_strongest_colour(draw: Draw) -> None:
    """A cell weighs 1 + its mean brightness: the white one twice as much as a black one."""
    heat = draw().tasks[0].heats[0]
    assert heat.levels == [[pytest.approx(0.5, abs=1e-4)] * 2, [1, pytest.approx(0.5, abs=1e-4)]]
    assert heat.region == (0, 0, 4, 4)


def test_drops_share_one_scale_so_that_media_can_be_compared(draw: Draw) -> None:
    """Without a word of id n the size falls by n / 10; without the white cell, which gets the mean of
    64, by 4 * (255 - 64) / 255 / 4."""
    size = draw().tasks[2]
    assert size.words[1].scale == size.heats[1].scale == size.tracks[1].scale
    assert size.heats[1].scale.most == pytest.approx(191 / 255, abs=1e-5)
    levels = size.heats[1].levels
    assert levels[1][0] == pytest.approx(1, abs=1e-4)
    assert levels[0][0] < 0
    assert [value for _, value in size.words[1].pieces if value is not None] == pytest.approx(
        [0.2] + [0.1] * 7
    )


def test_noise_stays_pale(draw: Draw) -> None:
    """In an even image no cell stands out: its drops are rounding."""
    kind = draw(RawInputs(image=png_bytes(value=102))).tasks[0]
    assert kind.heats[1].scale.most == FAINTEST


def test_the_words_are_the_text_as_sent(draw: Draw) -> None:
    for words in draw().tasks[0].words:
        assert "".join(text for text, _ in words.pieces) == EVIL


@pytest.mark.parametrize("language", get_args(Language))
def test_everything_is_said_in_the_language(draw: Draw, language: Language) -> None:
    said = text_of(draw(language=language))
    chinese = [character for character in said if "\u4e00" <= character <= "\u9fff"]
    assert bool(chinese) == (language == "zh")
    assert "{" not in said
    for medium in SPEC.media:
        assert by_name(medium).titles[language] in said


def test_both_languages_say_the_same_things_with_the_same_blanks() -> None:
    for field in dataclasses.fields(Phrases):
        english, chinese = (getattr(PHRASES[language], field.name) for language in ("en", "zh"))
        if field.name == "language":
            continue
        if isinstance(english, dict):
            assert english.keys() == chinese.keys()
            continue
        blanks = [{name for _, name, _, _ in Formatter().parse(said) if name} for said in (english, chinese)]
        assert blanks[0] == blanks[1], field.name


def test_another_target_is_named_and_its_values_add_up(draw: Draw) -> None:
    kind = draw(target="word").tasks[0]
    assert "Explained: the probability of word." in kind.remarks
    bars = kind.bars[1].columns[1]
    total = 1 / 3 + sum(value or 0 for value in bars.values)
    assert f"Without any medium it is 0.333; the media's Shapley values lead from there to {total:.3f}." in (
        kind.remarks
    )
    assert len(kind.remarks) == 2 + 3  # a sentence for each pair of media


def test_what_is_cut_off_is_said(draw: Draw) -> None:
    scene = draw(RawInputs(text="七 " * 3000, audio=wav_bytes(3.5)))
    assert "Of the 6000 characters of the text, those that were read are shown." in scene.notes
    assert "The first 2.0 of 3.5 s are shown." in scene.notes
    assert "The text was cut off after 8 tokens." in scene.notes


def test_many_labels_and_tasks_do_not_make_it_larger(engine: Engine) -> None:
    top = [LabelProbability(label=f"{n:03d}" * 40, probability=0.001) for n in range(900)]
    many = Multilabel(labels=[each.label for each in top], top=top)
    answer = engine.predict_sync(WHOLE, ExplainOptions())
    crowded = answer.model_copy(update={"predictions": {f"task {n}": many for n in range(40)}})
    scene = scene_of(crowded, WHOLE)
    assert len(scene.tasks) == MOST_TASKS
    assert len(scene.tasks[0].bars[0].names) == MOST_LABELS
    assert "890 more labels are not shown." in scene.tasks[0].remarks
    assert "28 more tasks are not shown; the JSON answer has them." in scene.notes
    assert max(map(len, text_of(scene).split("\n"))) < 150


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.12345, "0.123"), (-0.0001, "0.000"), (3.9, "3.900"), (36.61, "36.61"), (123456.7, "123,457")],
)
def test_numbers_are_short(value: float, shown: str) -> None:
    assert number(value) == shown
