"""Texts with words left out."""

from __future__ import annotations

import numpy as np

from triad_serving.media.text.medium import Cut
from triad_training.media.corruption import Corruption


def drop_words(cut: Cut, level: float, rng: np.random.Generator) -> Cut:
    """At least one stays."""
    draws = rng.random(len(cut.words))
    least = min(level, float(draws.max()))
    return cut._replace(
        words=tuple(word for word, draw in zip(cut.words, draws, strict=True) if draw >= least)
    )


CORRUPTIONS = (
    Corruption(
        kind="word dropout",
        medium="text",
        unit="share of words left out",
        levels=(None, 0.2, 0.4, 0.6, 0.8),
        cause="when {:.0%} of the words are left out",
        apply=drop_words,
    ),
)
