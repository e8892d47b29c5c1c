"""What crosses the border between preprocessing and the graph."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest

from triad_serving.contract.errors import ParameterError
from triad_serving.contract.outputs import Wanted
from triad_serving.contract.tasks import Task
from triad_serving.media.audio.spec import AudioInput, AudioSpec, sound_tokens
from triad_serving.media.example import ModelInputs, PreprocessSpec, RawInputs, require_media
from triad_serving.media.image.spec import ImageInput, ImageSpec
from triad_serving.media.text.spec import TextInput, TextSpec

MEDIA = ("text", "image", "audio")
ALL = PreprocessSpec(text=TextSpec(), image=ImageSpec(), audio=AudioSpec())
FULL = ModelInputs(
    text=TextInput(text="x", ids_L=np.array([2]), spans=((0, 1),), truncated=False),
    image=ImageInput(
        pixels_HW3=np.zeros((56, 56, 3), np.uint8), format="PNG", width=1, height=1, region=(0, 0, 1, 1)
    ),
    audio=AudioInput(
        samples_T=np.zeros(200, np.int16),
        format="WAV",
        seconds=0.025,
        sample_rate_hz=8000,
        truncated=False,
        peak=0.0,
    ),
)
SUBSETS = [subset for size in range(1, 4) for subset in itertools.combinations(MEDIA, size)]


@pytest.mark.parametrize(
    "spec",
    [
        AudioSpec(),
        AudioSpec(window=400, hop=160, frames_per_token=8),
        AudioSpec(window=7, hop=3, frames_per_token=1),
        AudioSpec(window=5, hop=9, frames_per_token=2),
    ],
)
def test_sound_tokens_are_the_whole_windows_counted_one_by_one(spec: AudioSpec) -> None:
    for samples in [*range(spec.window, spec.window + 60), 1000, 7999, 8000, 40000]:
        frames = sum(1 for start in range(0, samples, spec.hop) if start + spec.window <= samples)
        tokens = len([frame for frame in range(frames) if frame % spec.frames_per_token == 0])
        assert sound_tokens(samples, spec) == tokens


def test_the_shortest_sound_that_is_accepted_makes_one_token() -> None:
    assert sound_tokens(AudioSpec().window, AudioSpec()) == 1


def test_derived_lengths_follow_from_the_rate() -> None:
    spec = AudioSpec(sample_rate_hz=16_000, max_s=2.5, hop=160, frames_per_token=4)

    assert spec.max_samples == 40_000
    assert spec.token_s == pytest.approx(0.04)


@pytest.mark.parametrize("subset", SUBSETS)
def test_only_keeps_the_items_themselves_and_drops_the_rest(subset: tuple[str, ...]) -> None:
    found = FULL.only(*subset)

    assert found.media == subset
    for medium in MEDIA:
        assert getattr(found, medium) is (getattr(FULL, medium) if medium in subset else None)


def test_only_of_a_medium_that_is_absent_leaves_it_absent() -> None:
    assert FULL.only("text").only("text", "image").media == ("text",)


@pytest.mark.parametrize("subset", SUBSETS)
def test_a_medium_that_the_model_does_not_read_is_refused(subset: tuple[str, ...]) -> None:
    spec = dataclasses.replace(ALL, **{medium: None for medium in MEDIA if medium not in subset})
    example = {"text": "a", "image": b"b", "audio": b"c"}

    assert spec.media == subset
    for medium in MEDIA:
        raw = RawInputs(**{medium: example[medium]})
        if medium in subset:
            require_media(raw, spec)
        else:
            with pytest.raises(ParameterError, match=f"{medium}; it reads {', '.join(subset)}") as caught:
                require_media(raw, spec)
            assert caught.value.field == medium


def test_an_empty_part_counts_as_sent() -> None:
    with pytest.raises(ParameterError):
        require_media(RawInputs(audio=b""), dataclasses.replace(ALL, audio=None))


def test_wishes_for_outputs_add_up() -> None:
    neither, both = Wanted(), Wanted(attention=True, embeddings=True)

    assert Wanted(attention=True) | Wanted(embeddings=True) == both
    assert neither | neither == neither
    assert both | neither == neither | both == both


def test_a_task_has_an_output_for_each_label_and_a_regression_one() -> None:
    assert Task(name="digit", type="classification", labels=("a", "b", "c")).outputs == 3
    assert Task(name="tags", type="multilabel", labels=("a", "b")).outputs == 2
    assert Task(name="age", type="regression").outputs == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "multilabel", "thresholds": (0.5,)},
        {"type": "multilabel", "thresholds": (0.5, 1.5)},
        {"type": "classification", "thresholds": (0.5, 0.5)},
        {"type": "classification", "abstain_below": -0.1},
    ],
)
def test_a_decision_that_no_answer_can_take_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="tags"):
        Task(name="tags", labels=("a", "b"), **wrong)
