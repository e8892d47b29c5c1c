"""What a training example may look and sound like: changes between decoding and fitting, drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model_training.augment_config import AugmentConfig, TextAugment
from model_training.augment_image import augment_image
from model_training.augment_sound import augment_sound
from model_training.noise import Noise
from service.contract import PreprocessSpec
from service.preprocess.audio import DecodedAudio
from service.preprocess.image import DecodedImage
from service.preprocess.text import Word, spell_out


@dataclass(frozen=True)
class Augmenter:
    """service.preprocess.example.Augment for one example; each draws from the same generator."""

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
