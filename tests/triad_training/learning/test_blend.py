"""How far each medium is believed: nothing where it tells nothing, and only as much as rows bear out."""

from __future__ import annotations

import numpy as np
import pytest

from triad_training.layers.expert import F64
from triad_training.learning.blend import (
    EXPERTS_DEVIATION,
    EXPERTS_PRIOR,
    NEGLIGIBLE,
    Heard,
    simplest,
    solve_beliefs,
)
from triad_training.learning.linear import Problem

PRIOR, DEVIATION = np.full(2, EXPERTS_PRIOR), np.full(2, EXPERTS_DEVIATION)


def numbers(targets_N: F64) -> Problem:
    return Problem(
        type="regression",
        outputs=1,
        targets=targets_N.astype(np.float32),
        weights_N=np.ones(len(targets_N)),
        offset_K=np.zeros(1),
    )


def classes(rows: int) -> tuple[Problem, F64]:
    """A problem of two classes, and logits that are right for nine rows of ten: [N, 2]."""
    right_N = np.arange(rows) % 2
    said_N = np.where(np.arange(rows) % 20 < 2, 1 - right_N, right_N)
    said_NK = np.where(said_N[:, None] == [0, 1], 1.1, -1.1)
    problem = Problem(
        type="classification",
        outputs=2,
        targets=right_N.astype(np.float32),
        weights_N=np.ones(rows),
        offset_K=np.zeros(2),
    )
    return problem, said_NK


def test_a_belief_is_that_of_the_normal_equations() -> None:
    """One expert says twice what is true: belief 1/2, drawn towards the prior by a few rows."""
    truth_N = np.array([1.0, -2.0, 0.5])
    said_NCK = 2 * truth_N[:, None, None]
    found = solve_beliefs(said_NCK, numbers(truth_N), np.array([0.7]), np.array([0.5]))
    squares = float((truth_N**2).sum())
    expected = (2 * squares + 0.7 / 0.25) / (4 * squares + 1 / 0.25)
    assert found.tolist() == pytest.approx([expected], abs=1e-4)


def test_beliefs_are_never_negative() -> None:
    truth_N = np.random.default_rng(0).normal(size=200)
    said_NCK = np.stack([truth_N, -truth_N], axis=1)[:, :1] * -1.0
    found = solve_beliefs(said_NCK[:, :, None], numbers(truth_N), PRIOR[:1], DEVIATION[:1])
    assert found.tolist() == [0.0]


def test_without_a_row_the_prior_is_believed() -> None:
    found = solve_beliefs(np.zeros((0, 2, 1)), numbers(np.zeros(0)), PRIOR, DEVIATION)
    assert found.tolist() == PRIOR.tolist()


def test_a_useless_medium_is_not_believed_and_the_useful_one_is() -> None:
    problem, useful_NK = classes(400)
    noise_NK = np.random.default_rng(0).normal(size=(400, 2))
    said_NCK = np.stack([useful_NK, noise_NK], axis=1)
    found = solve_beliefs(said_NCK, problem, PRIOR, DEVIATION)
    assert found[0] == pytest.approx(1, abs=0.15)  # log odds of nine in ten, 2.2
    assert found[1] < 0.2
    alone = np.array([found[0], 0.0])
    chosen = simplest(Heard(said_NCK, problem), [alone, np.array([0.0, found[1]]), found])
    assert chosen.tolist() == alone.tolist()
    assert chosen[1] <= NEGLIGIBLE


def test_the_smaller_subset_is_kept_until_more_helps_for_sure() -> None:
    problem, useful_NK = classes(400)
    said_NCK = np.stack([useful_NK, useful_NK * (np.arange(400) < 200)[:, None]], axis=1)
    none, first = np.zeros(2), np.array([1.0, 0.0])
    heard = Heard(said_NCK, problem)
    assert simplest(heard, [none, first]).tolist() == first.tolist()
    assert simplest(heard, [first, first.copy()]) is not None
    worse = np.array([0.0, 1.0])
    assert simplest(heard, [first, worse]).tolist() == first.tolist()
    assert simplest(heard, [worse, none, first]).tolist() == first.tolist()


def test_where_nothing_was_seen_or_nothing_is_smaller_all_is_believed() -> None:
    problem, useful_NK = classes(10)
    whole = np.array([0.7])
    assert simplest(Heard(useful_NK[:, None], problem), [whole]) is whole
    nothing = Heard(useful_NK[:0, None], problem.rows(np.zeros(0, np.int64)))
    assert simplest(nothing, [np.zeros(1), whole]) is whole
