"""Intervals against scipy's bootstrap of scikit-learn's scores, and their promise: 95 of 100 hold."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest, bootstrap
from sklearn.metrics import accuracy_score, f1_score, r2_score

from tests.triad_training.evaluation.test_breakdown import of_whole_examples
from triad_serving.contract.tasks import Task
from triad_training.evaluation.bootstrap import (
    doubt_validation,
    group_examples,
    paired_difference,
    score_interval,
    subset_intervals,
    whole_intervals,
    wilson,
)
from triad_training.evaluation.metrics import score_subsets, score_task

KIND = Task(name="kind", type="classification", labels=("a", "b", "c", "d"))
TAGS = Task(name="tags", type="multilabel", labels=("x", "y", "z"), thresholds=(0.4, 0.5, 0.3))
SIZE = Task(name="size", type="regression")
TASKS = (KIND, TAGS, SIZE)
NOISE = 0.02  # of an end of an interval, over seeds


def draw(task: Task, rows: int = 120, seed: int = 0, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    if task.type == "regression":
        truth = rng.normal(size=rows)
        logits = truth[:, None] + noise * rng.normal(size=(rows, 1))
    elif task.type == "classification":
        truth = rng.integers(0, 3, rows)  # nobody is a d
        logits = 2 * np.eye(4)[truth] + noise * rng.normal(size=(rows, 4))
    else:
        truth = rng.random((rows, 3)) < 0.4
        logits = 3 * truth - 1.5 + noise * rng.normal(size=(rows, 3))
    return logits.astype(np.float32), np.asarray(truth, dtype=np.float32)


def reference(task: Task, score: str) -> Callable[[np.ndarray, np.ndarray], float]:
    """Of truth and answers, as scikit-learn has it."""
    if score == "accuracy":
        return accuracy_score
    if score == "r2":
        return r2_score
    if task.type == "multilabel":
        return lambda truth, answer: f1_score(truth, answer, average="macro", zero_division=0)
    return lambda truth, answer: f1_score(
        truth, answer, labels=np.unique(truth), average="macro", zero_division=0
    )


def answered(task: Task, logits: np.ndarray) -> np.ndarray:
    if task.type == "classification":
        return logits.argmax(axis=1)
    if task.type == "regression":
        return logits[:, 0]
    return 1 / (1 + np.exp(-logits)) > np.array(task.thresholds)


@pytest.mark.parametrize(
    ("task", "score"), [(KIND, "accuracy"), (KIND, "f1"), (TAGS, "f1"), (TAGS, "accuracy"), (SIZE, "r2")]
)
def test_an_interval_is_what_scipy_finds(task: Task, score: str) -> None:
    logits, targets = draw(task, noise=0.3 if task is SIZE else 1.0)
    found = score_interval(task, logits, targets, score=score)
    assert found is not None
    assert found.value == pytest.approx(score_task(task, logits, targets)[score], abs=1e-6)
    statistic, answer = reference(task, score), answered(task, logits)
    expected = bootstrap(
        (np.arange(len(targets)),),
        lambda rows: statistic(targets[rows], answer[rows]),
        n_resamples=600,
        vectorized=False,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert found.ends == pytest.approx((expected.low, expected.high), abs=NOISE)
    assert found == score_interval(task, logits, targets, score=score)  # seeded


def test_rows_of_a_group_are_drawn_together() -> None:
    """Twenty copies of 40 rows are as sure as 40 rows, not as 800."""
    logits, targets = draw(KIND, rows=40)
    copies = np.repeat(logits, 20, axis=0), np.repeat(targets, 20)
    alone, fooled = score_interval(KIND, logits, targets), score_interval(KIND, *copies)
    grouped = score_interval(KIND, *copies, groups=np.repeat([f"patient {n}" for n in range(40)], 20))
    assert alone
    assert fooled
    assert grouped
    assert grouped.ends == pytest.approx(alone.ends, abs=1e-9)
    assert fooled.high - fooled.low < 0.4 * (alone.high - alone.low)


def test_rows_without_a_label_do_not_count_and_an_undefined_score_has_no_interval() -> None:
    logits, targets = draw(KIND)
    unlabelled = np.concatenate([targets, np.full(30, np.nan, np.float32)])
    more = np.concatenate([logits, logits[:30]])
    assert score_interval(KIND, more, unlabelled) == score_interval(KIND, logits, targets)
    assert score_interval(KIND, logits[:2], unlabelled[-2:]) is None
    assert score_interval(SIZE, logits[:1, :1], targets[:1]) is None
    with pytest.raises(ValueError, match="size has no r2"):
        paired_difference(SIZE, logits[:1, :1], logits[:1, :1], targets[:1])


def test_answers_that_are_all_right_have_wilsons_interval() -> None:
    logits, targets = 9 * np.eye(4, dtype=np.float32)[[0, 1, 2] * 10], np.array([0, 1, 2] * 10, np.float32)
    found = score_interval(KIND, logits, targets)
    expected = binomtest(30, 30).proportion_ci(method="wilson")
    assert found
    assert found.ends == pytest.approx((expected.low, 1.0), abs=1e-4)
    grouped = score_interval(KIND, logits, targets, groups=np.arange(30) // 3)
    assert grouped
    assert grouped.low == pytest.approx(binomtest(10, 10).proportion_ci(method="wilson").low, abs=1e-4)


def test_the_interval_of_a_share_is_wilsons() -> None:
    expected = binomtest(45, 50).proportion_ci(method="wilson")
    assert wilson(0.9, 50) == pytest.approx((expected.low, expected.high), abs=1e-4)
    assert wilson(1.0, 400)[1] == pytest.approx(1.0)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_difference_on_the_same_rows_is_surer_than_two_intervals_say(task: Task) -> None:
    logits, targets = draw(task, rows=300)
    nearly = logits + 0.1 * np.random.default_rng(9).normal(size=logits.shape).astype(np.float32)
    found = paired_difference(task, logits, nearly, targets)
    one, other = (score_interval(task, each, targets) for each in (logits, nearly))
    assert one
    assert other
    assert found.value == pytest.approx(one.value - other.value, abs=1e-9)
    assert found.low <= found.value <= found.high
    assert found.high - found.low < 0.6 * (one.high - one.low)
    worse = paired_difference(task, logits, -logits, targets, groups=np.arange(300) // 2)
    assert worse.low > 0


def test_each_side_of_a_difference_is_decided_by_its_own_thresholds() -> None:
    logits, targets = draw(TAGS)
    fixed = replace(TAGS, thresholds=())
    found = paired_difference(TAGS, logits, logits, targets, task_b=fixed)
    expected = score_task(TAGS, logits, targets)["f1"] - score_task(fixed, logits, targets)["f1"]
    assert found.value == pytest.approx(expected, abs=1e-6)
    assert paired_difference(TAGS, logits, logits, targets).ends == (0, 0)


def test_about_95_of_100_intervals_hold_the_truth() -> None:
    """Macro F1 of 12 rare tags on 90 rows, where resamples leave tags out."""
    task = Task(name="tags", type="multilabel", labels=tuple("abcdefghijkl"))
    shares = np.geomspace(0.03, 0.2, 12)

    def rows_of(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        truth = rng.random((count, 12)) < shares
        return (1.2 * truth - 0.9 + rng.normal(size=truth.shape)).astype(np.float32), truth.astype(np.float32)

    truth = score_task(task, *rows_of(0, 50_000))["f1"]
    found = [score_interval(task, *rows_of(seed, 90)) for seed in range(1, 101)]
    held = sum(each is not None and each.low <= truth <= each.high for each in found)
    assert 88 <= held <= 100


def test_every_subset_and_task_has_the_interval_of_its_main_score() -> None:
    logits, targets = draw(KIND, rows=60)
    answers = of_whole_examples(KIND, logits, targets)
    found, scores = subset_intervals(answers, [KIND]), score_subsets(answers, [KIND])
    assert list(found) == list(scores)
    expected = score_interval(KIND, logits, targets)
    assert expected
    assert found["text+image"]["kind"]["accuracy"] == expected.ends
    assert whole_intervals(answers, [KIND]) == {"kind": expected}
    groups = group_examples(["a"] * 30 + [""] * 30)
    assert groups is not None
    assert len(np.unique(groups)) == 31
    low, high = subset_intervals(answers, [KIND], groups)["text+image"]["kind"]["accuracy"]
    assert high - low > expected.high - expected.low
    assert group_examples(["", "b", ""]) is None


def test_a_small_validation_split_is_doubted_with_its_number_and_the_width_of_its_interval() -> None:
    logits, targets = draw(KIND, rows=45)
    interval = score_interval(KIND, logits, targets)
    assert interval
    doubt = doubt_validation(KIND, targets, interval)
    assert doubt
    assert "kind: 45 validation rows are labelled" in doubt
    assert "'d' in 0" in doubt
    assert f"is {interval.high - interval.low:.3f} wide" in doubt
    assert str(doubt_validation(KIND, targets)).endswith("too few to choose epochs and thresholds by")
    enough = np.repeat(np.arange(4), 30).astype(np.float32)
    assert doubt_validation(KIND, enough) is None
    assert "'a' in 5" in str(doubt_validation(KIND, enough[25:]))
    assert doubt_validation(SIZE, np.zeros(100, np.float32)) is None
    assert doubt_validation(SIZE, np.full(9, np.nan, np.float32)) is None


def test_a_thousand_resamples_of_2000_rows_take_a_moment() -> None:
    task = Task(name="tags", type="multilabel", labels=tuple(map(str, range(18))))
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(2000, 18)).astype(np.float32), rng.random((2000, 18)) < 0.1
    start = time.process_time()
    score_interval(task, logits, targets.astype(np.float32))
    assert time.process_time() - start < 2  # 0.15 s measured
