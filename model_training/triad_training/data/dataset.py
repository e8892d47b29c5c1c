"""One row of the table to model inputs: the service's own preprocessing, augmented in its middle."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from triad_serving.contract.arrays import F32
from triad_serving.contract.outputs import MediumName
from triad_serving.inference.session import pack_batch
from triad_serving.media.audio.decode import fit_audio
from triad_serving.media.audio.spec import AudioInput
from triad_serving.media.example import ModelInputs, PreprocessSpec
from triad_serving.media.image.decode import fit_image
from triad_serving.media.image.spec import ImageInput
from triad_serving.media.text.lexicon import Lexicon
from triad_serving.media.text.spec import TextInput
from triad_serving.media.text.words import Word
from triad_training.data.files import Media
from triad_training.data.forms import LIMITS
from triad_training.data.table import Example
from triad_training.media.audio.noise import Noise
from triad_training.media.augment import Augmenter
from triad_training.media.config import AugmentConfig

MAX_KEPT_CHARACTERS = 2_000_000  # of the words kept in memory, which take some 300 bytes for each


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledInputs:
    """targets: by task, a scalar or [K], NaN where unlabelled."""

    inputs: ModelInputs
    targets: Mapping[str, F32]


class ExampleDataset(Dataset[LabelledInputs]):
    """Rows of one split. With `augment`, each epoch draws anew: by seed, epoch and index, in any worker.

    Its halves of preprocessing are the service's; files come from `media`, words are kept in memory.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        targets: Mapping[str, F32],
        spec: PreprocessSpec,
        lexicon: Lexicon | None,
        *,
        media: Media | None = None,
        augment: AugmentConfig | None = None,
        noise: Noise | None = None,
        seed: int = 0,
    ) -> None:
        """targets: by task, one row per example. media: knows the files from checking the table.

        noise: what augment.audio mixes in.
        """
        self.examples = examples
        self.targets = targets
        self.spec = spec
        self.lexicon = lexicon
        self.media = media or Media(spec)
        self.augment = augment
        self.noise = noise
        self.changed: Collection[MediumName] = augment.media if augment is not None else ()
        self.seed = seed
        self.epoch = 0
        self._words = self._cut_texts()

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> LabelledInputs:
        example = self.examples[index]
        augment = None
        if self.augment is not None:
            rng = np.random.default_rng((self.seed, self.epoch, index))
            augment = Augmenter(self.augment, self.spec, self.noise, rng)
        inputs = ModelInputs(
            text=self._text(example.text, augment) if example.text is not None else None,
            image=self._image(example.image, augment) if example.image is not None else None,
            audio=self._audio(example.audio, augment) if example.audio is not None else None,
        )
        return LabelledInputs(inputs=inputs, targets={name: t[index] for name, t in self.targets.items()})

    def _cut_texts(self) -> dict[str, tuple[Word, ...]]:
        """Words of every text, once, before workers inherit them; nothing where that would fill memory."""
        texts = {example.text for example in self.examples if example.text is not None}
        if sum(map(len, texts)) > MAX_KEPT_CHARACTERS:
            return {}
        return {text: self._cut(text) for text in texts}

    def _cut(self, text: str) -> tuple[Word, ...]:
        assert self.lexicon is not None
        assert self.spec.text is not None
        return self.lexicon.words(text, self.spec.text, LIMITS)

    def _text(self, text: str, augment: Augmenter | None) -> TextInput:
        assert self.lexicon is not None
        assert self.spec.text is not None
        words: Sequence[Word] = self._words.get(text) or self._cut(text)
        if augment is not None and "text" in self.changed:
            words = augment.words(words)
        return self.lexicon.encode(words, self.spec.text, characters=len(text))

    def _image(self, path: Path, augment: Augmenter | None) -> ImageInput:
        if augment is None or "image" not in self.changed:
            return self.media.image(path)
        assert self.spec.image is not None
        return fit_image(augment.image(self.media.picture(path)), self.spec.image)

    def _audio(self, path: Path, augment: Augmenter | None) -> AudioInput:
        if augment is None or "audio" not in self.changed:
            return self.media.audio(path)
        assert self.spec.audio is not None
        return fit_audio(augment.audio(self.media.sound(path)), self.spec.audio)


def collate(examples: Sequence[LabelledInputs], spec: PreprocessSpec) -> dict[str, dict[str, Tensor]]:
    """One batch: "inputs", packed by the session's own function, and "targets" by task, [B] or [B, K]."""
    inputs = pack_batch([example.inputs for example in examples], spec)
    names = examples[0].targets
    return {
        "inputs": {name: torch.from_numpy(array) for name, array in inputs.items()},
        "targets": {name: torch.from_numpy(np.stack([e.targets[name] for e in examples])) for name in names},
    }
