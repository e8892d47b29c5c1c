"""Details of the answers against scikit-learn and against the calibration error they are parts of."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from triad_serving.contract.tasks import Task
from triad_training.evaluation.breakdown import break_down
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
