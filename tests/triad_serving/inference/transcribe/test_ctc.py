"""Against every path of small sounds, summed one by one."""

import itertools
import math

import numpy as np
import pytest

from triad_serving.inference.transcribe.ctc import (
    FAINTEST,
    RESCALED,
    align,
    best_path,
    log_probability,
    posteriors,
    symbol_probabilities,
)


def collapse(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(k for k, _ in itertools.groupby(path) if k)


def every_probability(posterior_SK: np.ndarray) -> dict[tuple[int, ...], float]:
    """Of each sequence, by going through all paths."""
    found: dict[tuple[int, ...], float] = {}
    count, outputs = posterior_SK.shape
    for path in itertools.product(range(outputs), repeat=count):
        said = collapse(path)
        found[said] = found.get(said, 0.0) + math.prod(posterior_SK[s, k] for s, k in enumerate(path))
    return found


def random_posteriors(count: int, outputs: int, seed: int = 0) -> np.ndarray:
    return posteriors(np.random.default_rng(seed).normal(0, 2, (count, outputs)).astype(np.float32))


def test_posteriors_are_a_softmax_after_the_temperature() -> None:
    posterior_SK = posteriors(np.log(np.array([[1.0, 9.0, 90.0]], dtype=np.float32)), 2.0)
    assert posterior_SK[0] == pytest.approx(np.sqrt([1, 9, 90]) / np.sqrt([1, 9, 90]).sum())


def test_the_best_path_loses_its_repeats_and_blanks() -> None:
    path = [0, 2, 2, 0, 2, 1, 1, 0]
    symbols_U, spans_U2 = best_path(np.eye(3)[path])
    assert symbols_U.tolist() == [2, 2, 1]
    assert spans_U2.tolist() == [[1, 3], [4, 5], [5, 7]]


@pytest.mark.parametrize("path", [[], [0], [0, 0, 0]])
def test_silence_says_nothing(path: list[int]) -> None:
    posterior_SK = np.eye(3)[path]
    symbols_U, spans_U2 = best_path(posterior_SK)
    assert symbols_U.tolist() == []
    assert spans_U2.shape == (0, 2)
    assert log_probability(posterior_SK, []) == 0.0
    assert symbol_probabilities(posterior_SK, symbols_U, spans_U2).shape == (0,)


@pytest.mark.parametrize("seed", range(3))
def test_a_sequence_has_the_probability_of_all_its_paths(seed: int) -> None:
    posterior_SK = random_posteriors(6, 3, seed)
    every = every_probability(posterior_SK)
    assert sum(every.values()) == pytest.approx(1)
    for said, probability in every.items():
        assert math.exp(log_probability(posterior_SK, said)) == pytest.approx(probability, rel=1e-9)


def test_a_sequence_that_no_path_is_long_enough_for_is_impossible() -> None:
    posterior_SK = random_posteriors(3, 3)
    assert log_probability(posterior_SK, [1, 2, 1, 2]) == -math.inf
    assert log_probability(posterior_SK, [1, 1, 1]) == -math.inf  # blanks between equal ones
    assert log_probability(posterior_SK[:0], [1]) == -math.inf


def test_a_long_sound_does_not_underflow() -> None:
    count = 40 * RESCALED
    posterior_SK = np.full((count, 2), 0.5)
    # Paths that say one symbol: n (n + 1) / 2 stretches of n moments.
    expected = math.log(count * (count + 1) / 2) - count * math.log(2)
    assert log_probability(posterior_SK, [1]) == pytest.approx(expected)
    silent_SK = np.eye(2)[np.zeros(count, dtype=int)]
    assert log_probability(silent_SK, [1]) == pytest.approx(math.log(FAINTEST * count), abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_the_alignment_is_the_likeliest_path_of_its_sequence(seed: int) -> None:
    posterior_SK = random_posteriors(6, 3, seed)
    said = (1, 2, 2)
    paths = [path for path in itertools.product(range(3), repeat=6) if collapse(path) == said]
    best = max(paths, key=lambda path: math.prod(posterior_SK[s, k] for s, k in enumerate(path)))
    spans_U2 = align(posterior_SK, said)
    drawn = np.zeros(6, dtype=int)
    for symbol, (first, last) in zip(said, spans_U2, strict=True):
        drawn[first:last] = symbol
    assert tuple(drawn) == best


def test_the_best_path_is_aligned_as_it_is() -> None:
    posterior_SK = random_posteriors(60, 4, 5)
    symbols_U, spans_U2 = best_path(posterior_SK)
    np.testing.assert_array_equal(align(posterior_SK, symbols_U), spans_U2)


def test_a_symbol_is_weighed_against_every_other_and_silence() -> None:
    posterior_SK = random_posteriors(5, 3, 1)
    every = every_probability(posterior_SK)
    one = {said: value for said, value in every.items() if len(said) < 2}
    found_U = symbol_probabilities(posterior_SK, [2], np.array([[1, 2]]))
    assert found_U == pytest.approx([one[2,] / sum(one.values())])


def test_each_symbol_is_weighed_in_its_own_stretch() -> None:
    left_SK, right_SK = random_posteriors(4, 3, 2), random_posteriors(4, 3, 3)
    spans_U2 = np.array([[2, 3], [5, 6]])  # halfway between them: 4
    both_U = symbol_probabilities(np.concatenate((left_SK, right_SK)), [1, 2], spans_U2)
    left_U = symbol_probabilities(left_SK, [1], np.array([[2, 3]]))
    right_U = symbol_probabilities(right_SK, [2], np.array([[1, 2]]))
    assert both_U == pytest.approx([*left_U, *right_U])


def test_silence_far_from_a_symbol_makes_it_no_less_sure() -> None:
    said_SK = np.array([[0.1, 0.9]])
    silence_SK = np.tile([[0.99, 0.01]], (500, 1))
    posterior_SK = np.concatenate((silence_SK, said_SK, silence_SK))
    assert symbol_probabilities(posterior_SK, [1], np.array([[500, 501]])) > 0.85
