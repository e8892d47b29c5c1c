"""A text as it might have been written: with fewer words, or with words that are not known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from triad_serving.media.text.medium import Cut
from triad_serving.media.text.words import Word, spell_out
from triad_training.media.text.config import TextAugment


def augment_text(cut: Cut, config: TextAugment, rng: np.random.Generator) -> Cut:
    return cut._replace(words=augment_words(cut.words, config, rng))


def augment_words(words: Sequence[Word], config: TextAugment, rng: np.random.Generator) -> tuple[Word, ...]:
    """Leaves words out and spells others out; at least one stays."""
    kept: list[Word] = []
    for word, draw in zip(words, rng.random(len(words)), strict=True):
        if draw < config.drop:
            continue
        kept += spell_out(word) if draw < config.drop + config.split else (word,)
    return tuple(kept) or tuple(words)
