"""Support vector machines of many sparse rows: chosen, turned into logits, and sure of what all rows have."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from sklearn.svm import LinearSVC

from triad_serving.contract.tasks import TaskType
from triad_training.layers.expert import F64
from triad_training.learning import linear
from triad_training.learning.linear import fit_linear
from triad_training.learning.margins import logits_of_margins, margin_path
from triad_training.learning.problem import Problem

ROWS, WORDS = 300, 40


def texts() -> scipy.sparse.csr_matrix:
    rng = np.random.default_rng(0)
    counts = (rng.random((ROWS, WORDS)) < 0.2).astype(np.float64)
    counts[:, :3] = np.eye(3)[np.arange(ROWS) % 3]
    return scipy.sparse.csr_matrix(counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1))


def problem(kind: TaskType, targets: F64, offset_K: F64) -> Problem:
    return Problem(
        type=kind,
        outputs=len(offset_K),
        targets=targets.astype(np.float32),
        weights_N=np.ones(len(targets)),
        offset_K=offset_K,
    )


def three_classes(offset_K: F64) -> Problem:
    """Which of the first three words a text has."""
    return problem("classification", np.arange(ROWS) % 3, offset_K)


def test_a_class_has_the_machine_of_scikit_learn() -> None:
    asked = three_classes(np.zeros(3))
    (model,) = margin_path(texts(), asked, [1e-3])
    machine = LinearSVC(C=1 / (1e-3 * ROWS), random_state=0).fit(texts(), asked.targets == 1)
    assert model.weight_FK[:, 1] == pytest.approx(machine.coef_[0], abs=1e-2)
    assert model.bias_K[1] == pytest.approx(machine.intercept_[0], abs=1e-2)


def test_a_tag_that_all_have_is_sure_and_one_that_none_has_is_not() -> None:
    targets = np.stack([np.ones(ROWS), np.zeros(ROWS)], axis=1)
    (model,) = margin_path(texts(), problem("multilabel", targets, np.zeros(2)), [1e-3])
    assert model.logits(texts())[0].tolist() == [1, -1]


def test_margins_become_the_likeliest_logits_in_place_of_the_offset() -> None:
    """Of two classes that are told with margin 1, nine in ten rightly: log odds 2.2, half to each side."""
    right_N = np.arange(1000) % 2
    said_N = np.where(np.arange(1000) % 20 < 2, 1 - right_N, right_N)
    margins_NK = np.where(said_N[:, None] == [0, 1], 1.0, -1.0)
    scale = logits_of_margins(margins_NK, problem("classification", right_N, np.array([0.5, 0.0])))
    assert scale.factor == pytest.approx(np.log(9) / 2, abs=1e-3)
    assert scale.shift_K.tolist() == [-0.5, 0]


@pytest.mark.parametrize("offset", [0.0, 2.0])
def test_many_sparse_rows_are_answered_by_machines(offset: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "ROTATED", 0)
    asked = three_classes(np.array([offset, 0.0, 0.0]))
    folds = [np.arange(start, ROWS, 2) for start in range(2)]
    fitted = fit_linear(texts(), asked, folds)
    for logits_NK, least in ((fitted.model.logits(texts()), 0.95), (fitted.unseen_NK, 0.9)):
        assert np.mean((asked.offset_K + logits_NK).argmax(axis=1) == asked.targets) > least
    assert np.abs(fitted.model.logits(texts()) - fitted.unseen_NK).mean() > 1e-3


def test_dense_rows_and_numbers_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "ROTATED", 0)
    monkeypatch.setattr(linear, "margin_path", None)
    folds = [np.arange(start, ROWS, 2) for start in range(2)]
    assert fit_linear(texts().toarray(), three_classes(np.zeros(3)), folds).penalty > 0
    number = problem("regression", texts()[:, 0].toarray()[:, 0], np.zeros(1))
    assert fit_linear(texts(), number, folds).penalty > 0
