"""One row of the table to model inputs: the service's own preprocessing, augmented in its middle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from model_training.augment import Augmenter
from model_training.config import AugmentConfig
from model_training.manifest import LIMITS, Example
from service.contract import F32, ModelInputs, PreprocessSpec
from service.preprocess.example import preprocess
from service.preprocess.lexicon import Lexicon
from service.preprocess.text import Vocabulary, segment_text
from service.session import pack_batch


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
        lexicon: Lexicon | None,
        *,
        augment: AugmentConfig | None = None,
        seed: int = 0,
    ) -> None:
        """targets: by task, one row per example."""
        self.examples = examples
        self.targets = targets
        self.spec = spec
        self.lexicon = lexicon
        self.augment = augment
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> LabelledInputs:
        augmenter = None
        if self.augment is not None:
            augmenter = Augmenter(self.augment, np.random.default_rng((self.seed, self.epoch, index)))
        raw = self.examples[index].read()
        inputs = preprocess(raw, self.spec, self.lexicon, LIMITS, augment=augmenter)
        return LabelledInputs(inputs=inputs, targets={name: t[index] for name, t in self.targets.items()})


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
