"""Scores against counts made by hand, calibration against a known distortion."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from tests.triad_training.network.test_model import example
from triad_serving.contract.tasks import Task
from triad_serving.inference.postprocess import probabilities
from triad_serving.media.example import ModelInputs
from triad_serving.media.text.spec import TextInput
from triad_training.data.dataset import LabelledInputs
from triad_training.evaluation.metrics import (
    Answers,
    BatchAnswers,
    answer_subsets,
    calibrate,
    calibration_error,
    decisions,
    mean_score,
    score_subsets,
    score_task,
)

NAMES = ("text", "image", "audio")

KIND = Task(name="kind", type="classification", labels=("a", "b"))
TAGS = Task(name="tags", type="multilabel", labels=("x", "y"))
SIZE = Task(name="size", type="regression")


def f32(values: object) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def test_classification_scores_are_means_over_classes() -> None:
    # truth a a a b, answers a a b b; one row unlabelled
    logits = f32([[9, 0], [9, 0], [0, 9], [0, 9], [9, 0]])
    scores = score_task(KIND, logits, f32([0, 0, 0, 1, math.nan]))
    assert scores["examples"] == 4
    assert scores["accuracy"] == pytest.approx(3 / 4)
    assert scores["precision"] == pytest.approx((1 + 1 / 2) / 2)
    assert scores["recall"] == pytest.approx((2 / 3 + 1) / 2)
    assert scores["f1"] == pytest.approx((0.8 + 2 / 3) / 2)
    assert scores["ece"] == pytest.approx(0.25, abs=1e-3)


def test_tags_are_scored_each_alone() -> None:
    scores = score_task(TAGS, f32([[9, -9], [9, 9], [-9, -9]]), f32([[1, 0], [1, 0], [1, 1]]))
    assert scores["accuracy"] == pytest.approx(1 / 3)
    assert scores["precision"] == pytest.approx((1 + 0) / 2)
    assert scores["recall"] == pytest.approx((2 / 3 + 0) / 2)


def test_a_regression_has_its_error_and_share_of_variance() -> None:
    scores = score_task(SIZE, f32([[1], [2], [4]]), f32([1, 2, 3]))
    assert scores == {"examples": 3, "mae": pytest.approx(1 / 3), "r2": pytest.approx(0.5)}


def test_a_task_without_labels_has_no_scores() -> None:
    assert score_task(SIZE, f32([[1]]), f32([math.nan])) == {}


def test_calibration_error_is_the_gap_between_confidence_and_success() -> None:
    confidence = np.array([0.9] * 10 + [0.6] * 10)
    right = np.array([True] * 7 + [False] * 3 + [True] * 6 + [False] * 4)
    assert calibration_error(confidence, right) == pytest.approx((0.2 * 10 + 0.0 * 10) / 20)
    assert calibration_error(np.ones(3), np.array([True] * 3)) == 0


def answers(logits: np.ndarray, targets: np.ndarray, task: Task) -> Answers:
    return Answers(
        media=NAMES,
        example_N=np.arange(len(logits)),
        subsets_N=np.array(["text"] * len(logits)),
        logits={task.name: logits},
        attention={task.name: f32([[1, 0, 0]] * len(logits))},
        targets={task.name: targets},
    )


@pytest.mark.parametrize("factor", [0.25, 1.0, 4.0])
def test_the_temperature_undoes_a_distortion_of_the_logits(factor: float) -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 2, 20_000)
    truth = rng.random(20_000) < 1 / (1 + np.exp(-honest))
    as_classes = f32(np.stack([np.zeros_like(honest), honest * factor], axis=1))
    (task,) = calibrate(answers(as_classes, f32(truth), KIND), [KIND])
    assert task.temperature == pytest.approx(factor, rel=0.05)
    as_tags = f32(np.stack([honest, honest], axis=1) * factor)
    (task,) = calibrate(answers(as_tags, f32(np.stack([truth, truth], axis=1)), TAGS), [TAGS])
    assert task.temperature == pytest.approx(factor, rel=0.05)


def test_a_regression_and_an_unlabelled_task_keep_their_temperature() -> None:
    assert calibrate(answers(f32([[1]]), f32([1]), SIZE), [SIZE]) == (SIZE,)
    assert calibrate(answers(f32([[1, 2]]), f32([math.nan]), KIND), [KIND]) == (KIND,)


def test_every_subset_of_an_example_is_asked_once_and_scored_apart() -> None:
    """The fake model answers `a` whenever it reads text, else `b`; a is right. It heeds all media alike."""
    seen: list[ModelInputs] = []

    def run(batch: list[ModelInputs]) -> BatchAnswers:
        seen.extend(batch)
        shares = [[float(m in inputs.media) / len(inputs.media) for m in NAMES] for inputs in batch]
        logits = f32([[9, 0] if inputs.text else [0, 9] for inputs in batch])
        return BatchAnswers(logits={"kind": logits}, attention={"kind": f32(shares)})

    full = LabelledInputs(inputs=example(0), targets={"kind": f32(0)})
    lone = LabelledInputs(inputs=example(1).only("image"), targets={"kind": f32(0)})
    found = answer_subsets(run, [[full], [lone]], [KIND], media=NAMES)
    scores = score_subsets(found, [KIND])
    assert len(seen) == 8
    assert found.example_N.tolist() == [0] * 7 + [1]
    assert found.attention["kind"][-2:] == pytest.approx(f32([[1 / 3, 1 / 3, 1 / 3], [0, 1, 0]]))
    assert all(isinstance(inputs.text, TextInput | None) for inputs in seen)
    assert list(scores) == [
        "audio", "image", "text", "image+audio", "text+audio", "text+image", "text+image+audio",
    ]  # fmt: skip
    assert {name: per_task["kind"]["accuracy"] for name, per_task in scores.items()} == {
        name: float("text" in name) for name in scores
    }
    assert scores["image"]["kind"]["examples"] == 2
    assert mean_score(found, [KIND]) == pytest.approx(4 / 7)


def test_a_task_of_uneven_classes_is_judged_by_f1() -> None:
    """Always "a" is right in nine of ten rows; its F1 is that of "a", 18 / 19, and of "b", 0."""
    found = answers(f32([[1, 0]] * 10), f32([0] * 9 + [1]), KIND)
    assert mean_score(found, [KIND]) == pytest.approx(0.9)
    assert mean_score(found, [KIND], balanced={"kind"}) == pytest.approx(9 / 19)


def test_tags_stop_training_by_how_they_rank_not_by_how_high_they_are() -> None:
    rng = np.random.default_rng(0)
    logits, truth = f32(rng.normal(size=(40, 2))), f32(rng.random((40, 2)) < 0.3)
    found = mean_score(answers(logits, truth, TAGS), [TAGS])
    assert found == pytest.approx(average_precision_score(truth, logits, average="macro"))
    assert mean_score(answers(logits - 5, truth, TAGS), [TAGS]) == pytest.approx(found)
    truth[:, 1] = 0  # a tag that no row has
    alone = average_precision_score(truth[:, 0], logits[:, 0])
    assert mean_score(answers(logits, truth, TAGS), [TAGS]) == pytest.approx(alone)
    assert mean_score(answers(logits, truth * 0, TAGS), [TAGS]) == -math.inf


def test_a_tag_is_answered_above_its_own_threshold() -> None:
    logits, truth = f32([[-1, 2], [-2, 1], [-3, 3]]), f32([[1, 0], [1, 0], [0, 1]])
    fitted = replace(TAGS, thresholds=(0.1, 0.9))  # log odds of -2.2 and 2.2
    assert decisions(fitted, probabilities(logits, fitted)).tolist() == truth.tolist()
    assert score_task(fitted, logits, truth)["f1"] == 1
    assert score_task(TAGS, logits, truth)["f1"] == pytest.approx(0.25)
