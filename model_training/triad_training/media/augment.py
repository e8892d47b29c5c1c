"""What a training example may look and sound like: changes between decoding and fitting, drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from triad_serving.media.audio.decode import DecodedAudio
from triad_serving.media.example import PreprocessSpec
from triad_serving.media.image.decode import DecodedImage
from triad_serving.media.text.words import Word, spell_out
from triad_training.media.audio.augment import augment_sound
from triad_training.media.audio.noise import Noise
from triad_training.media.config import AugmentConfig, TextAugment
from triad_training.media.image.augment import augment_image


@dataclass(frozen=True)
class Augmenter:
    """triad_serving.media.preprocess.Augment for one example; each draws from the same generator."""

    config: AugmentConfig
    spec: PreprocessSpec
    noise: Noise | None
    rng: np.random.Generator

    def words(self, words: Sequence[Word]) -> Sequence[Word]:
        return augment_words(words, self.config.text, self.rng)

    def image(self, decoded: DecodedImage) -> DecodedImage:
        assert self.spec.image is not None
        return augment_image(decoded, self.config.image, self.spec.image, self.rng)

    def audio(self, decoded: DecodedAudio) -> DecodedAudio:
        return augment_sound(decoded, self.config.audio, self.noise, self.rng)


def augment_words(words: Sequence[Word], config: TextAugment, rng: np.random.Generator) -> tuple[Word, ...]:
    """Leaves words out and spells others out; at least one stays."""
    kept: list[Word] = []
    for word, draw in zip(words, rng.random(len(words)), strict=True):
        if draw < config.drop:
            continue
        kept += spell_out(word) if draw < config.drop + config.split else (word,)
    return tuple(kept) or tuple(words)
