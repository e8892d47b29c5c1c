"""Against every sequence that a small sound can say, each worth all of its paths."""

import itertools
import math

import numpy as np
import pytest

from triad_serving.inference.transcribe.beam import Knowledge, beam_search
from triad_serving.inference.transcribe.ctc import best_path, log_probability, posteriors
from triad_serving.inference.transcribe.ngrams import END, NgramModel
from triad_serving.inference.transcribe.words import START, WordList

A, B = 1, 2
EVERYTHING = 1000  # prefixes: more than there are


def random_posteriors(seed: int, count: int = 5, outputs: int = 3) -> np.ndarray:
    return posteriors(np.random.default_rng(seed).normal(0, 1.5, (count, outputs)).astype(np.float32))


def sequences(outputs: int, longest: int) -> list[tuple[int, ...]]:
    symbols = range(1, outputs)
    return [said for n in range(longest + 1) for said in itertools.product(symbols, repeat=n)]


@pytest.mark.parametrize("seed", range(8))
def test_a_wide_beam_finds_the_likeliest_sequence(seed: int) -> None:
    posterior_SK = random_posteriors(seed)
    best = max(sequences(3, 5), key=lambda said: log_probability(posterior_SK, said))
    assert beam_search(posterior_SK, Knowledge(outputs=3), beam=EVERYTHING) == list(best)


def test_paths_together_outweigh_the_best_one() -> None:
    """Graves 2012, figure 7.5: two moments of 0.6 silence and 0.4 A say A with 0.64."""
    posterior_SK = np.array([[0.6, 0.4], [0.6, 0.4]])
    assert best_path(posterior_SK)[0].tolist() == []
    assert beam_search(posterior_SK, Knowledge(outputs=2), beam=2) == [A]


@pytest.mark.parametrize("seed", range(8))
def test_ngrams_and_the_bonus_weigh_as_they_should(seed: int) -> None:
    posterior_SK = random_posteriors(seed)
    ngrams = NgramModel.fit([[A, B, A], [A, B], [B, B]], order=2, outputs=3)

    def score(said: tuple[int, ...]) -> float:
        known = [ngrams.probabilities(said[:u])[k] for u, k in enumerate((*said, END))]
        return log_probability(posterior_SK, said) + 0.7 * sum(map(math.log, known)) + 0.4 * len(said)

    known = Knowledge(outputs=3, ngrams=ngrams, ngram_weight=0.7, symbol_bonus=0.4)
    assert beam_search(posterior_SK, known, beam=EVERYTHING) == list(max(sequences(3, 5), key=score))


@pytest.mark.parametrize("seed", range(8))
def test_only_words_of_the_list_are_said(seed: int) -> None:
    posterior_SK = random_posteriors(seed, count=6)
    words = WordList([[A, B], [B, B, A]], outputs=3)

    def said_in_words(said: tuple[int, ...]) -> bool:
        state = START
        for k in said:
            if not words.allowed(state)[k]:
                return False
            state = words.step(state, k)
        return words.complete(state)

    possible = [said for said in sequences(3, 6) if said_in_words(said)]
    best = max(possible, key=lambda said: log_probability(posterior_SK, said))
    assert beam_search(posterior_SK, Knowledge(outputs=3, words=words), beam=EVERYTHING) == list(best)


def test_a_word_that_is_cut_off_is_left_out() -> None:
    posterior_SK = posteriors(20 * np.eye(3, dtype=np.float32)[[A, B, A]])
    known = Knowledge(outputs=3, words=WordList([[A, B]], outputs=3))
    assert beam_search(posterior_SK, known, beam=8) == [A, B]


def test_silence_says_nothing() -> None:
    assert beam_search(np.eye(3)[[0, 0, 0]], Knowledge(outputs=3), beam=8) == []
    assert beam_search(np.zeros((0, 3)), Knowledge(outputs=3), beam=8) == []


def test_a_long_sound_does_not_underflow() -> None:
    path = [A, 0, B, B, 0, 0, A, 0] * 200
    posterior_SK = posteriors(4 * np.eye(3, dtype=np.float32)[path])
    assert beam_search(posterior_SK, Knowledge(outputs=3), beam=4) == [A, B, A] * 200
