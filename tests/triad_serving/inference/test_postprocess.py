"""Numbers to answers: probabilities against closed forms, attention in the coordinates of what was sent."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.conftest import SPEC
from triad_serving.contract.errors import UnanswerableError
from triad_serving.contract.outputs import ModelOutputs
from triad_serving.contract.tasks import Task
from triad_serving.inference.answer import Attention, Classification, Multilabel, Regression
from triad_serving.inference.bundle import BundleManifest
from triad_serving.inference.options import Options
from triad_serving.inference.postprocess import (
    describe_inputs,
    first_answered,
    holding,
    predict_tasks,
    probabilities,
    warnings_about,
)
from triad_serving.media.audio.spec import AudioInput
from triad_serving.media.example import ModelInputs
from triad_serving.media.image.schemas import ImageAttention
from triad_serving.media.image.spec import ImageInput
from triad_serving.media.text.spec import TextInput

KIND = Task(name="kind", type="classification", labels=("a", "b", "c"), temperature=2.0)
TAGS = Task(name="tags", type="multilabel", labels=("x", "y"), temperature=0.5)
SIZE = Task(name="size", type="regression", temperature=3.0)
MANIFEST = BundleManifest(
    name="m", version="1", created="", parameters=0, preprocess=SPEC, tasks=(KIND, TAGS, SIZE)
)

TEXT = TextInput(text="Seven 七!", ids_L=np.array([2, 3]), spans=((0, 5), (6, 7)), truncated=False)
IMAGE = ImageInput(
    pixels_HW3=np.zeros((4, 4, 3), np.uint8), format="PNG", width=30, height=20, region=(5, 0, 25, 20)
)
SOUND = AudioInput(
    samples_T=np.zeros(440, np.int16),
    format="WAV",
    seconds=0.055,
    sample_rate_hz=8000,
    truncated=False,
    peak=0.3,
)
EVERYTHING = ModelInputs(text=TEXT, image=IMAGE, audio=SOUND)
WEIGHTS = {
    "text": np.array([0.1, 0.2], np.float32),
    "image": np.array([0.05, 0.1, 0.15, 0.2], np.float32),
    "audio": np.array([0.15, 0.05], np.float32),
}


def outputs(
    kind: tuple[float, ...] = (1.0, 3.0, 2.0),
    tags: tuple[float, ...] = (1.0, -1.0),
    size: float = 6.1,
    weights: dict[str, np.ndarray] = WEIGHTS,
) -> ModelOutputs:
    return ModelOutputs(
        logits_K={
            "kind": np.array(kind, np.float32),
            "tags": np.array(tags, np.float32),
            "size": np.array([size], np.float32),
        },
        attention={task.name: weights for task in MANIFEST.tasks},
        rollout={task.name: weights for task in MANIFEST.tasks},
    )


def predict(row: ModelOutputs, inputs: ModelInputs = EVERYTHING, **options: object) -> dict[str, object]:
    return predict_tasks(row, inputs, MANIFEST, Options.model_validate(options))


def test_classes_are_a_softmax_of_the_logits_over_the_temperature() -> None:
    exp = [math.exp(x / 2.0) for x in (1.0, 3.0, 2.0)]
    np.testing.assert_allclose(
        probabilities(np.array([1, 3, 2], np.float32), KIND), np.array(exp) / sum(exp), rtol=1e-6
    )


def test_tags_are_a_sigmoid_each() -> None:
    expected = [1 / (1 + math.exp(-2.0)), 1 / (1 + math.exp(2.0))]
    np.testing.assert_allclose(probabilities(np.array([1, -1], np.float32), TAGS), expected, rtol=1e-6)


def test_a_regression_stays_in_its_unit() -> None:
    assert probabilities(np.array([6.5], np.float32), SIZE).tolist() == [6.5]


@pytest.mark.parametrize("task", [KIND, TAGS, SIZE])
def test_a_batch_gives_what_its_rows_give(task: Task) -> None:
    logits_BK = np.random.default_rng(0).normal(size=(5, task.outputs)).astype(np.float32)
    rows = np.stack([probabilities(logits_K, task) for logits_K in logits_BK])
    np.testing.assert_allclose(probabilities(logits_BK, task), rows, rtol=1e-6)
    assert probabilities(logits_BK, task).dtype == np.float32


@pytest.mark.parametrize(("task", "ends"), [(KIND, [0.0, 1.0, 0.0]), (TAGS, [0.0, 1.0])])
def test_huge_logits_do_not_overflow(task: Task, ends: list[float]) -> None:
    logits_K = np.array([-1e30, 1e30, 0.0][: task.outputs], np.float32)
    assert probabilities(logits_K, task).tolist() == ends


def test_the_likeliest_labels_come_first() -> None:
    kind = predict(outputs(), top_k=2)["kind"]
    assert isinstance(kind, Classification)
    assert (kind.label, kind.probability) == ("b", 0.506480)
    assert [(entry.label, entry.probability) for entry in kind.top] == [("b", 0.506480), ("c", 0.307196)]


def test_tags_hold_above_one_half() -> None:
    tags = predict(outputs())["tags"]
    assert isinstance(tags, Multilabel)
    assert tags.labels == ["x"]
    assert [entry.label for entry in tags.top] == ["x", "y"]


def test_each_tag_holds_above_its_own_threshold_and_says_it() -> None:
    """Tags of 0.880797 and 0.119203; the likeliest that holds is what is explained."""
    row, fitted = np.array([1, -1], np.float32), replace(TAGS, thresholds=(0.9, 0.1))
    manifest = MANIFEST.model_copy(update={"tasks": (fitted,)})
    tags = predict_tasks(outputs(), EVERYTHING, manifest, Options())["tags"]
    assert isinstance(tags, Multilabel)
    assert tags.labels == ["y"]
    assert [(each.label, each.threshold) for each in tags.top] == [("x", 0.9), ("y", 0.1)]
    values = probabilities(row, fitted)
    assert first_answered(values, fitted) == 1
    assert first_answered(values, replace(TAGS, thresholds=(0.9, 0.9))) == 0
    assert first_answered(values, TAGS) == 0
    assert holding(np.stack([values, values]), fitted).tolist() == [[False, True]] * 2


def test_without_thresholds_and_abstention_an_answer_is_as_it_was() -> None:
    answers = predict(outputs(), attention="none")
    assert "threshold" not in answers["tags"].to_json()  # type: ignore[attr-defined]
    assert "abstained" not in answers["kind"].to_json()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("below", "abstained"), [(0.5, False), (0.51, True)])
def test_a_class_less_sure_than_the_task_asks_is_marked(below: float, abstained: bool) -> None:
    manifest = MANIFEST.model_copy(update={"tasks": (replace(KIND, abstain_below=below),)})
    kind = predict_tasks(outputs(), EVERYTHING, manifest, Options())["kind"]
    assert isinstance(kind, Classification)
    assert (kind.label, kind.probability, kind.abstained) == ("b", 0.506480, abstained)
    assert f'"abstained":{str(abstained).lower()}' in kind.to_json()


def test_a_regression_answers_its_shortest_float() -> None:
    size = predict(outputs(size=6.1))["size"]
    assert isinstance(size, Regression)
    assert size.value == 6.1


def test_without_attention_the_graph_need_not_give_any() -> None:
    bare = replace(outputs(), attention={})
    assert all(answer.attention is None for answer in predict(bare, attention="none").values())


def test_the_media_share_the_attention() -> None:
    attention = attention_of(predict(outputs()))
    assert attention.modalities == {"text": 0.3, "image": 0.5, "audio": 0.2}
    assert (attention.text, attention.image, attention.audio) == (None, None, None)


def test_an_absent_medium_gets_exactly_nothing() -> None:
    inputs = EVERYTHING.only("text", "audio")
    weights = {"text": WEIGHTS["text"] * 2, "audio": WEIGHTS["audio"] * 2}
    attention = attention_of(predict(outputs(weights=weights), inputs, attention="full"))
    assert attention.modalities == {"text": 0.6, "image": 0.0, "audio": 0.4}
    assert attention.image is None


def test_words_are_slices_of_the_text_as_sent() -> None:
    attention = attention_of(predict(outputs(), attention="full"))
    assert attention.text
    assert [(word.token, word.start, word.end, word.weight) for word in attention.text] == [
        ("Seven", 0, 5, 0.1),
        ("七", 6, 7, 0.2),
    ]


def test_image_cells_are_rows_over_the_region_that_the_model_saw() -> None:
    attention = attention_of(predict(outputs(), attention="full"))
    assert attention.image == ImageAttention(
        rows=2,
        columns=2,
        region=(5, 0, 25, 20),
        weights=[[0.05, 0.1], [0.15, 0.2]],
        rollout=[[0.05, 0.1], [0.15, 0.2]],
    )


def test_moments_are_seconds_and_the_last_ends_with_the_sound() -> None:
    attention = attention_of(predict(outputs(), attention="full"))
    assert attention.audio
    assert [(moment.start, moment.end, moment.weight) for moment in attention.audio] == [
        (0.0, 0.04, 0.15),
        (0.04, 0.055, 0.05),
    ]


def test_moments_count_from_the_beginning_of_the_sound_as_sent() -> None:
    """Of which the first second was silence."""
    trimmed = replace(EVERYTHING, audio=replace(SOUND, start_s=1.0, seconds=1.5))
    attention = attention_of(predict(outputs(), trimmed, attention="full"))
    assert attention.audio
    assert [(moment.start, moment.end) for moment in attention.audio] == [(1.0, 1.04), (1.04, 1.08)]


NOWHERE = {**WEIGHTS, "image": np.array([math.nan, 0, 0, 0], np.float32)}


@pytest.mark.parametrize(
    ("broken", "options"),
    [
        (outputs(kind=(math.nan, 0, 0)), {}),
        (outputs(size=math.inf), {}),
        (outputs(weights=NOWHERE), {}),
        (replace(outputs(), rollout={**outputs().rollout, "kind": NOWHERE}), {"attention": "full"}),
    ],
)
def test_an_answer_that_is_no_number_is_refused_as_the_inputs_fault(
    broken: ModelOutputs, options: dict[str, object]
) -> None:
    with pytest.raises(UnanswerableError, match="no finite answer for") as caught:
        predict(broken, **options)
    assert caught.value.status == 422


def test_what_arrived_is_described() -> None:
    assert describe_inputs(EVERYTHING, SPEC).to_json() == (
        '{"text":{"characters":8,"tokens":2,"truncated":false},'
        '"image":{"format":"PNG","width":30,"height":20},'
        '"audio":{"format":"WAV","seconds":0.055,"sample_rate":8000,"truncated":false}}'
    )


@pytest.mark.parametrize(
    ("inputs", "warning"),
    [
        (ModelInputs(text=replace(TEXT, truncated=True)), "The text was cut off after 8 tokens."),
        (ModelInputs(text=replace(TEXT, ids_L=np.array([1, 1]))), "The model knows no word of the text."),
        (ModelInputs(audio=replace(SOUND, truncated=True)), "The sound was cut off after 2 s."),
        (ModelInputs(audio=replace(SOUND, peak=0.0009)), "The sound is silent."),
    ],
)
def test_what_could_not_be_used_is_said(inputs: ModelInputs, warning: str) -> None:
    assert warnings_about(inputs, SPEC) == [warning]


def test_good_inputs_raise_no_warning() -> None:
    assert warnings_about(EVERYTHING, SPEC) == []


def attention_of(answers: dict[str, object]) -> Attention:
    answer = answers["kind"]
    assert isinstance(answer, Classification)
    assert answer.attention
    return answer.attention
