"""Details of the answers against scikit-learn and against the calibration error they are parts of."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from triad_serving.contract.tasks import Task
from triad_training.evaluation.bootstrap import score_interval
from triad_training.evaluation.breakdown import break_down, coverage
from triad_training.evaluation.metrics import Answers

KIND = Task(name="kind", type="classification", labels=("a", "b", "c"))
TAGS = Task(name="tags", type="multilabel", labels=("x", "y"))
SIZE = Task(name="size", type="regression")
NAMES = ("precision", "recall", "f1", "examples")


def of_whole_examples(task: Task, logits: np.ndarray, targets: np.ndarray) -> Answers:
    """Each example has text and an image; alone, both answer nonsense."""
    subsets = ["text", "image", "text+image"]
    whole = np.tile([False, False, True], len(logits))
    repeated = np.repeat(logits, 3, axis=0)
    repeated[~whole] = 7
    return Answers(
        media=("text", "image", "audio"),
        example_N=np.repeat(np.arange(len(logits)), 3),
        subsets_N=np.array(subsets * len(logits)),
        logits={task.name: repeated.astype(np.float32)},
        attention={task.name: np.zeros((len(repeated), 3), dtype=np.float32)},
        targets={task.name: np.repeat(targets, 3, axis=0).astype(np.float32)},
    )


def test_classes_are_scored_and_counted_as_scikit_learn_does() -> None:
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(60, 3)), rng.integers(0, 2, 60).astype(float)  # nobody is a c
    targets[::7] = math.nan
    found = break_down(of_whole_examples(KIND, logits, targets), [KIND])["kind"]
    truth, answer = targets[~np.isnan(targets)], logits[~np.isnan(targets)].argmax(axis=1)
    columns = precision_recall_fscore_support(truth, answer, labels=[0, 1, 2], zero_division=0)
    for k, label in enumerate(KIND.labels):
        assert found.classes[label] == pytest.approx({name: columns[n][k] for n, name in enumerate(NAMES)})
    assert found.confusion_KK is not None
    assert found.confusion_KK[0, 2] == ((truth == 0) & (answer == 2)).sum()
    assert found.confusion_KK.sum() == len(truth) == found.scores["examples"]


def test_the_bins_of_reliability_add_up_to_the_calibration_error() -> None:
    rng = np.random.default_rng(1)
    logits, targets = 2 * rng.normal(size=(200, 2)), rng.integers(0, 2, (200, 2))
    found = break_down(of_whole_examples(TAGS, logits, targets), [TAGS])["tags"]
    bins = found.reliability
    assert bins is not None
    gaps = np.abs(bins.confidence_Q - bins.right_Q) * bins.count_Q
    assert gaps.sum() / 400 == pytest.approx(found.scores["ece"])
    assert found.confusion_KK is None
    assert set(found.classes) == {"x", "y"}


def test_a_regression_has_scores_and_no_classes() -> None:
    found = break_down(of_whole_examples(SIZE, np.array([[1.0], [2.0]]), np.array([1.0, 4.0])), [SIZE])[
        "size"
    ]
    assert found.scores["mae"] == pytest.approx(1.0)
    assert (found.classes, found.confusion_KK, found.reliability) == ({}, None, None)
    assert found.json()["confusion"] is None


def test_a_task_without_labels_is_left_out() -> None:
    unlabelled = of_whole_examples(KIND, np.zeros((2, 3)), np.array([math.nan, math.nan]))
    assert break_down(unlabelled, [KIND]) == {}


def test_leaving_out_the_least_sure_answers_raises_the_accuracy_of_the_others() -> None:
    """Right as often as they are sure; against a count by hand at every point."""
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.4, 1, 333).astype(np.float32)
    right = rng.random(333) < sure
    curve = coverage(sure, right)
    assert (len(curve.kept_Q), curve.kept_Q[-1]) == (20, 1)
    assert curve.right_Q[0] > curve.right_Q[-1] + 0.15
    for kept, share, least in zip(curve.kept_Q, curve.right_Q, curve.least_Q, strict=True):
        assert kept == pytest.approx((sure >= least).mean())
        assert share == pytest.approx(right[sure >= least].mean())


def test_answers_that_are_equally_sure_are_kept_or_left_out_together() -> None:
    curve = coverage(np.array([0.5, 0.9, 0.5, 0.5], np.float32), np.array([False, True, True, False]))
    assert (curve.kept_Q.tolist(), curve.right_Q.tolist()) == ([0.25, 1], [1, 0.5])


def test_a_task_that_abstains_says_how_often_and_how_right_it_is_otherwise() -> None:
    rng = np.random.default_rng(3)
    logits, targets = rng.normal(size=(80, 3)), rng.integers(0, 3, 80).astype(float)
    answers, careful = of_whole_examples(KIND, logits, targets), replace(KIND, abstain_below=0.5)
    sure = np.exp(logits).max(axis=1) / np.exp(logits).sum(axis=1) >= 0.5
    found = break_down(answers, [careful])["kind"]
    expected = (1 - sure.mean(), (logits.argmax(axis=1) == targets)[sure].mean())
    assert found.abstained == pytest.approx(expected)
    assert break_down(answers, [KIND])["kind"].abstained is None
    assert found.scores == break_down(answers, [KIND])["kind"].scores  # which count every answer
    interval = score_interval(KIND, logits.astype(np.float32), targets.astype(np.float32))
    assert found.interval == interval
    assert interval is not None
    assert found.json()["interval"] == interval.ends
