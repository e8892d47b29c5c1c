from __future__ import annotations

import numpy as np

from triad_serving.media.text.words import Word
from triad_training.media.text.augment import augment_words
from triad_training.media.text.config import TextAugment

WORDS = (Word("hello", 0, 5), Word("七", 6, 7), Word("days", 8, 12))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_without_any_option_nothing_changes() -> None:
    assert augment_words(WORDS, TextAugment(), rng()) == WORDS


def test_a_word_left_out_never_leaves_an_empty_text() -> None:
    assert augment_words(WORDS, TextAugment(drop=1.0), rng()) == WORDS
    kept = [len(augment_words(WORDS, TextAugment(drop=0.5), rng(seed))) for seed in range(200)]
    assert 1.4 < np.mean(kept) < 2.0
    assert min(kept) == 1


def test_a_word_spelled_out_keeps_its_offsets() -> None:
    spelled = augment_words(WORDS, TextAugment(split=1.0), rng())
    assert "".join(word.text for word in spelled) == "hello七days"
    assert spelled[1] == Word("e", 1, 2)
    assert spelled[-1] == Word("s", 11, 12)
