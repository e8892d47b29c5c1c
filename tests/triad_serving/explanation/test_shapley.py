"""Against the definition by orders of arrival, and games whose values are known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from triad_serving.explanation.shapley import coalition_of, interaction_values, shapley_values

MEDIA = ("text", "image", "audio")
COALITIONS = 8
# v by coalition: nobody, t, i, ti, a, ta, ia, tia
ADDITIVE = [0.1, 0.3, 0.2, 0.4, 0.5, 0.7, 0.6, 0.8]
GLOVES = [0, 0, 0, 1, 0, 1, 0, 1]  # a left one (t), two right ones (i, a); a pair is worth 1
MAJORITY = [0, 0, 0, 1, 0, 1, 1, 1]


def test_values_of_known_games() -> None:
    found = shapley_values(np.array([ADDITIVE, GLOVES, MAJORITY]))
    assert found == pytest.approx(np.array([[0.2, 0.1, 0.4], [2 / 3, 1 / 6, 1 / 6], [1 / 3] * 3]))


def test_values_are_the_mean_over_all_orders_of_arrival() -> None:
    values_ES = np.random.default_rng(0).normal(size=(9, COALITIONS))
    expected = np.zeros((9, 3))
    for order in itertools.permutations(range(3)):
        there = 0
        for m in order:
            expected[:, m] += (values_ES[:, there | 1 << m] - values_ES[:, there]) / 6
            there |= 1 << m
    assert shapley_values(values_ES) == pytest.approx(expected)
    assert shapley_values(values_ES).sum(axis=1) == pytest.approx(values_ES[:, -1] - values_ES[:, 0])


def test_interactions_of_known_games() -> None:
    found = interaction_values(np.array([ADDITIVE, GLOVES, MAJORITY]), MEDIA)
    assert found["text", "image"] == pytest.approx(np.array([0, 0.5, 0]), abs=1e-12)
    assert found["image", "audio"] == pytest.approx(np.array([0, -0.5, 0]), abs=1e-12)


def test_interaction_is_how_a_value_changes_with_another_there_and_not() -> None:
    """Grabisch and Roubens' recursion: I_ab = value of a where b is always there, less where it never is."""
    values_ES = np.random.default_rng(1).normal(size=(9, COALITIONS))
    text, image = coalition_of(["text"], MEDIA), coalition_of(["image"], MEDIA)
    always, never = values_ES.copy(), values_ES.copy()
    for s in range(COALITIONS):
        always[:, s], never[:, s] = values_ES[:, s | image], values_ES[:, s & ~image]
    expected = shapley_values(always)[:, 0] - shapley_values(never)[:, 0]
    assert text == 1
    assert interaction_values(values_ES, MEDIA)["text", "image"] == pytest.approx(expected)
