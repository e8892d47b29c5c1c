"""One row of the table to model inputs: the service's own preprocessing, augmented in its middle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from model_training.augment import augment_audio, augment_image, augment_words
from model_training.config import AugmentConfig, OptimConfig
from model_training.manifest import Example
from service.contract import (
    F32,
    AudioInput,
    ImageInput,
    MediaLimits,
    ModelInputs,
    PreprocessSpec,
    TextInput,
    media_subsets,
)
from service.preprocess.audio import decode_audio, fit_audio
from service.preprocess.image import decode_image, fit_image
from service.preprocess.text import Vocabulary, encode_words, segment_text
from service.session import pack_batch

LIMITS = MediaLimits()


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledInputs:
    """targets: by task, a scalar or [K], NaN where unlabelled."""

    inputs: ModelInputs
    targets: Mapping[str, F32]


class ExampleDataset(Dataset[LabelledInputs]):
    """Rows of one split. With `augment`, each epoch draws anew: by seed, epoch and index, in any worker."""

    def __init__(
        self,
        examples: Sequence[Example],
        targets: Mapping[str, F32],
        spec: PreprocessSpec,
        vocabulary: Vocabulary | None,
        *,
        augment: AugmentConfig | None = None,
        optim: OptimConfig | None = None,
    ) -> None:
        """targets: by task, one row per example. optim: seed and media dropout, used with `augment`."""
        self.examples = examples
        self.targets = targets
        self.spec = spec
        self.vocabulary = vocabulary
        self.augment = augment
        self.optim = optim or OptimConfig()
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> LabelledInputs:
        example = self.examples[index]
        if self.augment is not None:
            rng = np.random.default_rng((self.optim.seed, self.epoch, index))
            example = _drop_media(example, self.optim.media_dropout, rng)
            inputs = load_inputs(example, self.spec, self.vocabulary, self.augment, rng)
        else:
            inputs = load_inputs(example, self.spec, self.vocabulary)
        return LabelledInputs(inputs=inputs, targets={name: t[index] for name, t in self.targets.items()})


def load_inputs(
    example: Example,
    spec: PreprocessSpec,
    vocabulary: Vocabulary | None,
    augment: AugmentConfig | None = None,
    rng: np.random.Generator | None = None,
) -> ModelInputs:
    """The arrays that the service makes of the same bytes; other ones where `augment` and `rng` are given.

    Raises what the service's preprocessing raises; a checked table raises nothing.
    """
    raw = example.read()
    text: TextInput | None = None
    image: ImageInput | None = None
    audio: AudioInput | None = None
    if raw.text is not None and spec.text is not None and vocabulary is not None:
        words = segment_text(raw.text, LIMITS)
        if augment and rng:
            words = augment_words(words, augment.text, rng)
        text = encode_words(words, vocabulary, spec.text, characters=len(raw.text))
    if raw.image is not None and spec.image is not None:
        picture = decode_image(raw.image, spec.image, LIMITS)
        if augment and rng:
            picture = augment_image(picture, augment.image, rng)
        image = fit_image(picture, spec.image)
    if raw.audio is not None and spec.audio is not None:
        sound = decode_audio(raw.audio, spec.audio, LIMITS)
        if augment and rng:
            sound = augment_audio(sound, augment.audio, rng)
        audio = fit_audio(sound, spec.audio)
    return ModelInputs(text=text, image=image, audio=audio)


def collate(examples: Sequence[LabelledInputs], spec: PreprocessSpec) -> dict[str, dict[str, Tensor]]:
    """One batch: "inputs", packed by the session's own function, and "targets" by task, [B] or [B, K]."""
    inputs = pack_batch([example.inputs for example in examples], spec)
    names = examples[0].targets
    return {
        "inputs": {name: torch.from_numpy(array) for name, array in inputs.items()},
        "targets": {name: torch.from_numpy(np.stack([e.targets[name] for e in examples])) for name in names},
    }


def build_vocabulary(examples: Sequence[Example], *, min_count: int) -> Vocabulary:
    """Words of these examples, most frequent first, then the single characters that they are made of."""
    counts = Counter(
        word.text for example in examples if example.text for word in segment_text(example.text, LIMITS)
    )
    words = [word for word, count in counts.most_common() if count >= min_count]
    characters = sorted({character for word in counts for character in word} - set(words))
    return Vocabulary([*words, *characters])


def _drop_media(example: Example, probability: float, rng: np.random.Generator) -> Example:
    """With this probability a random non-empty subset of the example's media, all subsets alike."""
    if rng.random() >= probability or len(example.media) < 2:
        return example
    subsets = media_subsets(example.media)
    return example.only(*subsets[rng.integers(len(subsets))])
