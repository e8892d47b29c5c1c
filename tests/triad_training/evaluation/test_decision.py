"""Thresholds against a brute-force search, and against raw and fixed ones on tags whose truth is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.metrics import f1_score, precision_score, recall_score

from tests.triad_training.evaluation.test_breakdown import of_whole_examples
from tests.triad_training.evaluation.test_metrics import answers
from triad_serving.contract.tasks import Task
from triad_training.config.train_config import TaskConfig
from triad_training.evaluation import decision
from triad_training.evaluation.decision import decide, fit_thresholds
from triad_training.evaluation.metrics import calibrate, score_task

F1 = TaskConfig(type="multilabel")
KIND = Task(name="kind", type="classification", labels=("a", "b", "c"))


def tags(count: int) -> Task:
    return Task(name="tags", type="multilabel", labels=tuple(f"t{k}" for k in range(count)))


def draw(rng: np.random.Generator, rows: int, count: int = 4, rarest: float = 0.1) -> tuple[np.ndarray, ...]:
    truth = rng.random((rows, count)) < np.geomspace(rarest, 0.4, count)
    return (1.5 * truth - 1 + rng.normal(size=(rows, count))).astype(np.float32), truth.astype(np.float32)


def best_f1(logit_N: np.ndarray, true_N: np.ndarray) -> float:
    """Over every cut between two rows."""
    return max(f1_score(true_N, logit_N >= cut, zero_division=0) for cut in logit_N)


def test_without_shrinkage_each_tag_has_its_best_f1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision, "SHRINKAGE", 0.0)
    logits, truth = draw(np.random.default_rng(0), 60)
    task = replace(tags(4), temperature=1.7)
    fitted = replace(task, thresholds=fit_thresholds(task, logits, truth, F1))
    expected = np.mean([best_f1(logits[:, k], truth[:, k]) for k in range(4)])
    assert score_task(fitted, logits, truth)["f1"] == pytest.approx(expected)


def test_rare_tags_are_drawn_to_the_common_threshold_that_a_tag_without_rows_gets() -> None:
    logits, truth = draw(np.random.default_rng(1), 60)
    truth[:, 0] = 0
    thresholds = fit_thresholds(tags(4), logits, truth, F1)
    odds = np.unique(logits)
    cuts = (odds[1:] + odds[:-1]) / 2
    by_cut = [
        np.mean([f1_score(truth[:, k], logits[:, k] > cut, zero_division=0) for k in (1, 2, 3)])
        for cut in cuts
    ]
    assert by_cut[int(np.abs(cuts - logit(thresholds[0])).argmin())] == pytest.approx(max(by_cut))


def test_the_shrinkage_is_by_how_many_rows_have_the_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, truth = draw(np.random.default_rng(2), 100)
    shrunk = logit(fit_thresholds(tags(4), logits, truth, F1))
    monkeypatch.setattr(decision, "SHRINKAGE", 0.0)
    own = logit(fit_thresholds(tags(4), logits, truth, F1))
    monkeypatch.setattr(decision, "SHRINKAGE", 1e9)
    common = logit(fit_thresholds(tags(4), logits, truth, F1))
    assert np.ptp(common) < 1e-5
    n = truth.sum(axis=0)
    assert shrunk == pytest.approx(common + n / (n + 10) * (own - common), abs=1e-4)


@pytest.mark.parametrize("wanted", ["precision", "recall"])
def test_a_precision_or_recall_is_reached_with_the_most_of_the_other(
    wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decision, "SHRINKAGE", 0.0)
    logits, truth = draw(np.random.default_rng(3), 150, count=2, rarest=0.3)
    config = TaskConfig.model_validate({"type": "multilabel", "decide": wanted, "at_least": 0.7})
    thresholds = fit_thresholds(tags(2), logits, truth, config)
    reach, other = (
        (precision_score, recall_score) if wanted == "precision" else (recall_score, precision_score)
    )
    for k, threshold in enumerate(thresholds):
        given = expit(logits[:, k]) > threshold
        assert reach(truth[:, k], given) >= 0.7
        cuts = [logits[:, k] > cut for cut in np.sort(logits[:, k])[:-1]]
        reaching = [other(truth[:, k], each) for each in cuts if reach(truth[:, k], each) >= 0.7]
        # the most of recall, strictly; of precision up to what one more or less row changes
        assert other(truth[:, k], given) == pytest.approx(
            max(reaching), abs=0 if wanted == "precision" else 0.02
        )


def test_a_precision_out_of_reach_gives_the_best_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision, "SHRINKAGE", 0.0)
    logits = np.array([[3], [2], [1], [0]], dtype=np.float32)
    truth = np.array([[0], [1], [1], [0]], dtype=np.float32)
    config = TaskConfig(type="multilabel", decide="precision", at_least=0.9)
    assert fit_thresholds(tags(1), logits, truth, config) == (pytest.approx(expit(0.5), abs=1e-6),)


def test_tags_that_nobody_has_get_no_threshold() -> None:
    assert fit_thresholds(tags(2), np.zeros((3, 2), np.float32), np.zeros((3, 2), np.float32), F1) == ()
    assert fit_thresholds(tags(1), np.zeros((1, 1), np.float32), np.array([[math.nan]], np.float32), F1) == ()


def test_decisions_are_fitted_on_rows_with_all_their_media() -> None:
    """Alone, both media answer 7 to everything: thresholds fitted on those rows would be far off."""
    logits, truth = draw(np.random.default_rng(4), 80)
    [fitted] = decide(of_whole_examples(tags(4), logits, truth), [tags(4)], {"tags": F1})
    assert fitted.thresholds == fit_thresholds(tags(4), logits, truth, F1)
    classes = of_whole_examples(KIND, np.zeros((2, 3)), np.zeros(2))
    [kind] = decide(classes, [KIND], {"kind": TaskConfig(abstain_below=0.6)})
    assert (kind.abstain_below, kind.thresholds) == (0.6, ())


@pytest.mark.parametrize(
    "wrong",
    [
        {"decide": "recall"},
        {"type": "regression", "abstain_below": 0.5},
        {"type": "multilabel", "abstain_below": 0.5},
        {"abstain_below": 1.5},
        {"type": "multilabel", "decide": "accuracy"},
    ],
)
def test_a_decision_that_a_task_cannot_take_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TaskConfig.model_validate(wrong)


def noisy_tags(rng: np.random.Generator, rows: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """18 tags of 2 to 20 %: log odds of the truth, seen through noise, stretched and shifted for each tag."""
    shares, slopes = np.exp(rng.uniform(np.log(0.02), np.log(0.2), count)), rng.uniform(1.5, 4, count)
    normal = rng.normal(size=4000)
    bases = [
        brentq(lambda c, a=a, share=share: expit(c + a * normal).mean() - share, -30, 5)
        for a, share in zip(slopes, shares, strict=True)
    ]
    known = rng.normal(size=(rows, count))
    truth = rng.random((rows, count)) < expit(bases + slopes * known)
    seen = (known + 0.7 * rng.normal(size=known.shape)) / np.hypot(1, 0.7)
    stretch, shift = np.exp(0.2 * rng.normal(size=count)), 0.5 * rng.normal(size=count)
    logits = (np.array(bases) + 0.8 * slopes * seen) * stretch + shift
    return logits.astype(np.float32), truth.astype(np.float32)


def test_shrunken_thresholds_beat_raw_common_and_fixed_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mean over 20 draws of 90 rows to fit on and 4000 to judge by: 39.6, 37.6, 38.7 and 21.4."""
    task, found = tags(18), dict[str, list[float]]()
    for seed in range(20):
        logits, truth = noisy_tags(np.random.default_rng(seed), 4090, 18)
        [calibrated] = calibrate(answers(logits[:90], truth[:90], task), [task])
        for name, strength in (("shrunken", decision.SHRINKAGE), ("raw", 1e-9), ("common", 1e9)):
            with monkeypatch.context() as patch:
                patch.setattr(decision, "SHRINKAGE", strength)
                thresholds = fit_thresholds(calibrated, logits[:90], truth[:90], F1)
            fitted = replace(calibrated, thresholds=thresholds)
            found.setdefault(name, []).append(score_task(fitted, logits[90:], truth[90:])["f1"])
        found.setdefault("fixed", []).append(score_task(calibrated, logits[90:], truth[90:])["f1"])
    means = {name: float(np.mean(scores)) for name, scores in found.items()}
    assert means["shrunken"] > max(means["raw"], means["common"]) + 0.005
    assert means["shrunken"] > means["fixed"] + 0.1
