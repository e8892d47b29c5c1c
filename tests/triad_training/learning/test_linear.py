"""Linear models: those that scikit-learn finds at the same penalty, with folds that keep groups together."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from sklearn.linear_model import LogisticRegression, Ridge

from triad_serving.contract.tasks import Task, TaskType
from triad_training.layers.expert import F64, Features
from triad_training.learning import linear
from triad_training.learning.linear import FOLDS, Fitted, draw_folds, fit_linear
from triad_training.learning.problem import PENALTIES, Problem

KIND = Task(name="kind", type="classification", labels=("a", "b", "c"))
SIZE = Task(name="size", type="regression")


def features(rows: int, size: int, seed: int = 0) -> F64:
    """Rows of norm 1 or so, as experts scale them."""
    return np.asarray(np.random.default_rng(seed).normal(size=(rows, size)) / np.sqrt(size))


def problem(kind: TaskType, features_NF: F64, weights_N: F64 | None = None) -> Problem:
    """Answers that the features tell, with noise."""
    rng = np.random.default_rng(1)
    outputs = 1 if kind == "regression" else 3
    said_NK = features_NF @ rng.normal(size=(features_NF.shape[1], outputs)) * 3
    said_NK += rng.normal(size=said_NK.shape) * 0.5
    targets = {
        "regression": said_NK[:, 0],
        "multilabel": (said_NK > 0).astype(float),
        "classification": said_NK.argmax(axis=1).astype(float),
    }[kind]
    return Problem(
        type=kind,
        outputs=outputs,
        targets=targets.astype(np.float32),
        weights_N=np.ones(len(features_NF)) if weights_N is None else weights_N,
        offset_K=np.zeros(outputs),
    )


def fit(rows: Features, asked: Problem) -> Fitted:
    count = len(asked.targets)
    return fit_linear(rows, asked, [np.arange(count)[n::FOLDS] for n in range(FOLDS)])


def centred(logits_NK: F64) -> F64:
    return np.asarray(logits_NK - logits_NK.mean(axis=1, keepdims=True))


@pytest.mark.parametrize("weighted", [False, True])
def test_classes_are_those_of_logistic_regression(*, weighted: bool) -> None:
    rows_NF = features(120, 10)
    weights_N = np.random.default_rng(3).uniform(0.5, 1.5, 120) if weighted else np.ones(120)
    asked = problem("classification", rows_NF, weights_N)
    found = fit(rows_NF, asked)
    reference = LogisticRegression(C=1 / (found.penalty * 120), max_iter=2000, tol=1e-8)
    reference.fit(rows_NF, asked.targets, sample_weight=weights_N)
    expected_NK = centred(reference.decision_function(rows_NF))
    assert centred(found.model.logits(rows_NF)) == pytest.approx(expected_NK, rel=0.01, abs=0.02)


def test_every_tag_is_a_logistic_regression_of_its_own() -> None:
    rows_NF = features(120, 10)
    asked = problem("multilabel", rows_NF)
    found = fit(rows_NF, asked)
    for k in range(3):
        reference = LogisticRegression(C=1 / (found.penalty * 120), max_iter=2000, tol=1e-8)
        reference.fit(rows_NF, asked.targets[:, k])
        expected_N = reference.decision_function(rows_NF)
        assert found.model.logits(rows_NF)[:, k] == pytest.approx(expected_N, abs=0.02)


def test_a_number_is_that_of_ridge_regression() -> None:
    rows_NF = features(120, 10)
    asked = problem("regression", rows_NF)
    found = fit(rows_NF, asked)
    reference = Ridge(alpha=found.penalty * 120).fit(rows_NF, asked.targets)
    assert found.model.weight_FK[:, 0] == pytest.approx(reference.coef_, abs=0.01)
    assert found.model.bias_K[0] == pytest.approx(reference.intercept_, abs=0.01)


@pytest.mark.parametrize("sparse", [False, True])
def test_rows_turned_into_fewer_directions_give_the_same_weights(
    monkeypatch: pytest.MonkeyPatch, *, sparse: bool
) -> None:
    rows_NF = features(60, 200)
    asked = problem("classification", rows_NF)
    turned = fit(scipy.sparse.csr_matrix(rows_NF) if sparse else rows_NF, asked)
    monkeypatch.setattr(linear, "ROTATED", 0)
    plain = fit(rows_NF, asked)
    assert turned.penalty == plain.penalty
    assert turned.model.weight_FK == pytest.approx(plain.model.weight_FK, abs=0.01)
    assert turned.unseen_NK == pytest.approx(plain.unseen_NK, abs=0.03)


def test_what_is_said_of_a_row_is_by_a_model_that_has_not_seen_it() -> None:
    """Reference: scikit-learn on the rows of all other folds."""
    rows_NF = features(100, 10)
    asked = problem("regression", rows_NF)
    found = fit(rows_NF, asked)
    for n in range(FOLDS):
        unseen = np.arange(100)[n::FOLDS]
        seen = np.setdiff1d(np.arange(100), unseen)
        reference = Ridge(alpha=found.penalty * len(seen)).fit(rows_NF[seen], asked.targets[seen])
        assert found.unseen_NK[unseen, 0] == pytest.approx(reference.predict(rows_NF[unseen]), abs=0.02)


def test_the_penalty_is_stronger_where_there_is_less_to_say() -> None:
    rows_NF = features(100, 50)
    told = problem("regression", rows_NF)
    noise = np.random.default_rng(5).normal(size=100).astype(np.float32)
    untold = Problem(
        type="regression", outputs=1, targets=noise, weights_N=np.ones(100), offset_K=np.zeros(1)
    )
    weak, strong = fit(rows_NF, told), fit(rows_NF, untold)
    assert {weak.penalty, strong.penalty} <= set(PENALTIES)
    assert strong.penalty > 10 * weak.penalty


def test_the_offset_is_part_of_every_answer() -> None:
    """Rows without features: the bias and the offset together are the logarithm of the shares."""
    targets = np.array([0] * 60 + [1] * 30 + [2] * 10, dtype=np.float32)
    asked = Problem(
        type="classification",
        outputs=3,
        targets=targets,
        weights_N=np.ones(100),
        offset_K=np.log([0.2, 0.3, 0.5]),
    )
    model = fit(np.zeros((100, 1)), asked).model
    answer_K = np.exp(model.bias_K + asked.offset_K)
    assert answer_K / answer_K.sum() == pytest.approx([0.6, 0.3, 0.1], abs=1e-3)


def test_uneven_classes_are_chosen_by_macro_f1_and_even_ones_by_accuracy() -> None:
    even, uneven = (
        Problem(
            type="classification",
            outputs=2,
            targets=np.array([0, 0, 0, 1], dtype=np.float32),
            weights_N=np.array(weights_N),
            offset_K=np.zeros(2),
        )
        for weights_N in ([1.0] * 4, [2 / 3] * 3 + [2.0])
    )
    always_first_NK = np.tile([1.0, 0.0], (4, 1))
    assert even.score(always_first_NK) == 0.75
    assert uneven.score(always_first_NK) == pytest.approx((2 * 3 / 7) / 2)


def test_every_row_is_in_one_fold_and_groups_stay_together() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 3, 97).astype(np.float32)
    groups = [f"speaker {n}" if n < 12 else "" for n in rng.integers(0, 20, 97)]
    for task in (KIND, SIZE):
        folds = draw_folds(task, targets, groups, seed=0)
        assert sorted(np.concatenate(folds).tolist()) == list(range(97))
        for group in set(groups) - {""}:
            assert sum(any(groups[n] == group for n in fold) for fold in folds) == 1
        assert max(map(len, folds)) - min(map(len, folds)) <= 8


def test_folds_are_alike_in_classes() -> None:
    targets = np.array([0] * 50 + [1] * 10, dtype=np.float32)
    for fold in draw_folds(KIND, targets, [""] * 60, seed=0):
        assert np.bincount(targets[fold].astype(int)).tolist() == [10, 2]


@pytest.mark.parametrize(
    ("targets", "groups"),
    [
        ([0, 1, 2], ["", "", ""]),  # every class once
        ([0, 0, 0, 0, 1, 2], [""] * 6),
        ([0, 1, 0, 1], ["one"] * 4),  # a single group cannot be parted but by rows
        ([0, 1], ["a", "b"]),
    ],
)
def test_few_rows_and_rare_classes_still_make_folds(targets: list[int], groups: list[str]) -> None:
    folds = draw_folds(KIND, np.array(targets, dtype=np.float32), groups, seed=0)
    assert len(folds) == min(FOLDS, len(targets))
    assert sorted(np.concatenate(folds).tolist()) == list(range(len(targets)))
    assert all(len(fold) for fold in folds)
