"""How far each medium is believed: nothing where it tells nothing, and only as much as rows bear out."""

from __future__ import annotations

import numpy as np
import pytest

from triad_serving.contract.arrays import I64
from triad_training.layers.expert import F64
from triad_training.learning.beliefs import Beliefs, Heard, best_of, solve_beliefs, unless_needed
from triad_training.learning.blend import EXPERTS_DEVIATION, EXPERTS_PRIOR, NEEDED_GAIN
from triad_training.learning.problem import Problem

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


def parts(rows: int) -> list[I64]:
    return [np.arange(start, rows, 5) for start in range(5)]


def test_a_useless_medium_is_not_believed_and_the_useful_one_is() -> None:
    problem, useful_NK = classes(400)
    noise_NK = np.random.default_rng(0).normal(size=(400, 2))
    heard = Heard(np.stack([useful_NK, noise_NK], axis=1), problem, parts(400))
    found = heard.solved(PRIOR, np.ones(2, bool), EXPERTS_DEVIATION)
    assert found.factor_C[0] == pytest.approx(1, abs=0.15)  # log odds of nine in ten, 2.2
    assert found.factor_C[1] < 0.2
    alone = heard.fixed(np.array([found.factor_C[0], 0.0]))
    assert unless_needed(alone, found, NEEDED_GAIN) is alone


def test_a_voice_that_is_not_asked_is_not_believed() -> None:
    problem, useful_NK = classes(400)
    heard = Heard(np.stack([useful_NK, useful_NK], axis=1), problem, parts(400))
    found = heard.solved(PRIOR, np.array([True, False]), EXPERTS_DEVIATION)
    assert found.factor_C.tolist() == pytest.approx([1, 0], abs=0.15)


def test_beliefs_are_judged_on_rows_that_they_have_not_seen() -> None:
    """Each of six voices is right of one of ten rows, and says nothing of the others: a row left out has none
    that speaks of it, so nothing is gained."""
    rows, voices = 10, 6
    targets_N = np.where(np.arange(rows) % 2, 2.0, -2.0)
    said_NCK = (targets_N[:, None] * np.eye(rows, voices))[:, :, None]
    heard = Heard(said_NCK, numbers(targets_N), [np.array([n]) for n in range(rows)])
    nothing = heard.fixed(np.zeros(voices))
    found = heard.solved(np.zeros(voices), np.ones(voices, bool), 1.0)
    assert heard.fixed(found.factor_C).losses_N.mean() < 0.5 * nothing.losses_N.mean()
    assert found.losses_N.tolist() == pytest.approx(nothing.losses_N.tolist())
    assert unless_needed(nothing, found, 0.0) is nothing


def test_the_simple_beliefs_are_kept_until_more_helps_for_sure() -> None:
    problem, useful_NK = classes(400)
    said_NCK = np.stack([useful_NK, useful_NK * (np.arange(400) < 200)[:, None]], axis=1)
    heard = Heard(said_NCK, problem, parts(400))
    none, first, second = (heard.fixed(np.array(of)) for of in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)))
    assert unless_needed(none, first, NEEDED_GAIN) is first
    assert unless_needed(first, second, NEEDED_GAIN) is first
    assert unless_needed(first, none, NEEDED_GAIN) is first
    better = heard.fixed(np.array([1.05, 0.0]))
    gain_N = first.losses_N - better.losses_N
    errors = gain_N.mean() / (gain_N.std() / np.sqrt(len(gain_N)))
    assert unless_needed(first, better, errors - 0.01) is better
    assert unless_needed(first, better, errors + 0.01) is first


def test_without_rows_nothing_changes() -> None:
    problem, useful_NK = classes(10)
    nothing = Heard(useful_NK[:0, None], problem.rows(np.zeros(0, np.int64)), [])
    simple = nothing.fixed(np.zeros(1))
    rich = nothing.solved(np.array([0.7]), np.ones(1, bool), EXPERTS_DEVIATION)
    assert rich.factor_C.tolist() == [0.7]
    assert unless_needed(simple, rich, NEEDED_GAIN) is simple


def test_of_beliefs_that_lose_alike_the_best_score_decides() -> None:
    """As of uneven classes: a picture that finds the rare one, and hardly lowers the loss."""
    noise_N = np.random.default_rng(0).normal(size=100)
    silent = Beliefs(np.array([1.0]), 0.69 + 0.01 * noise_N, score=0.4)
    timid = Beliefs(np.array([2.0]), 0.6901 - 0.01 * noise_N, score=0.7)
    wrong = Beliefs(np.array([3.0]), 0.8 + 0.01 * noise_N, score=0.9)
    assert best_of([silent, timid, wrong], NEEDED_GAIN) is timid
    assert best_of([silent, wrong], NEEDED_GAIN) is silent


def test_beliefs_are_scored_as_penalties_are() -> None:
    problem, useful_NK = classes(400)
    heard = Heard(useful_NK[:, None], problem, parts(400))
    assert heard.fixed(np.array([0.5])).score == pytest.approx(0.9)
    assert heard.solved(PRIOR[:1], np.ones(1, bool), EXPERTS_DEVIATION).score == pytest.approx(0.9)
