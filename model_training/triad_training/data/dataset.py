"""One row of the table to model inputs: the service's own preprocessing, augmented in its middle."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from triad_serving.contract.arrays import F32, I64
from triad_serving.contract.outputs import MediumName
from triad_serving.inference.packing import pack_batch
from triad_serving.media.example import ModelInputs, PreprocessSpec
from triad_serving.media.medium import Assets
from triad_training.data.files import FileStore
from triad_training.media.config import AugmentConfig
from triad_training.media.example import Example
from triad_training.media.medium import AnyTrainingMedium, Change, Loader
from triad_training.media.registry import present


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledInputs:
    """targets: by task, a scalar or [K], NaN where unlabelled. items_M: see ExampleDataset."""

    inputs: ModelInputs
    targets: Mapping[str, F32]
    items_M: I64 | None = None


class ExampleDataset(Dataset[LabelledInputs]):
    """Rows of one split. With `augment`, each epoch draws anew: by seed, epoch and index, in any worker.

    The halves of each medium's preprocessing are the service's; what is decoded comes from `files`.
    items_NM: which of the distinct items of each medium every row has, -1 where it has none.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        targets: Mapping[str, F32],
        spec: PreprocessSpec,
        assets: Assets,
        *,
        files: FileStore | None = None,
        augment: AugmentConfig | None = None,
        seed: int = 0,
    ) -> None:
        """targets: by task, one row per example. files: knows those of the table from checking it.

        Raises ConfigError where what augmentation needs is missing.
        """
        self.examples = examples
        self.targets = targets
        self.spec = spec
        self.assets = assets
        self.files = files or FileStore(spec)
        self.seed = seed
        self.epoch = 0
        self._changes: dict[MediumName, Change[Any]] = {}
        self._loaders: dict[MediumName, Loader[Any, Any]] = {}
        for medium, own in present(spec):
            name = medium.serving.name
            change = medium.augmentation(augment, own, self.files) if augment is not None else None
            if change is not None:
                self._changes[name] = change
            sources = [example.of(name) for example in examples if example.of(name) is not None]
            self._loaders[name] = medium.loader(sources, own, assets.get(name), self.files)
        self.items_NM = np.stack([self._items(medium) for medium, _ in present(spec)], axis=1)

    def unchanged(self) -> ExampleDataset:
        """The same rows without augmentation."""
        plain = copy.copy(self)
        plain._changes = {}
        return plain

    def reading(self, spec: PreprocessSpec, assets: Assets, *, augmented: bool = False) -> ExampleDataset:
        """The same rows, read otherwise. augmented: whether as they are here."""
        other = ExampleDataset(self.examples, self.targets, spec, assets, files=self.files, seed=self.seed)
        if augmented:
            other._changes = self._changes
        return other

    def load(self, medium: MediumName, index: int) -> Any:
        """What the model reads of one medium of a row that has it, not augmented.

        From the form of it that is kept for this data set.
        """
        change = (lambda decoded: decoded) if medium in self._changes else None
        return self._loaders[medium](self.examples[index].of(medium), change)

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> LabelledInputs:
        example = self.examples[index]
        rng = np.random.default_rng((self.seed, self.epoch, index))
        items: dict[MediumName, Any] = {}
        for name, load in self._loaders.items():
            source, change = example.of(name), self._changes.get(name)
            if source is not None:
                items[name] = load(source, None if change is None else _by_chance(change, rng))
        return LabelledInputs(
            inputs=ModelInputs(**items),
            targets={name: t[index] for name, t in self.targets.items()},
            items_M=self.items_NM[index],
        )

    def _items(self, medium: AnyTrainingMedium) -> I64:
        """[N]: those of one medium, numbered as they come."""
        numbers: dict[Any, int] = {None: -1}
        found = []
        for source in (example.of(medium.serving.name) for example in self.examples):
            content = None if source is None else medium.identity(source, self.files.digests) or source
            found.append(numbers.setdefault(content, len(numbers) - 1))
        return np.array(found, dtype=np.int64)


def _by_chance(change: Change[Any], rng: np.random.Generator) -> Callable[[Any], Any]:
    return lambda decoded: change(decoded, rng)


def collate(examples: Sequence[LabelledInputs], spec: PreprocessSpec) -> dict[str, dict[str, Tensor]]:
    """One batch: "inputs", packed by the session's own function, "targets" by task, [B] or [B, K], "rows".

    rows: "items", [B, M], as ExampleDataset has them.
    """
    inputs = pack_batch([example.inputs for example in examples], spec)
    names = examples[0].targets
    items = [example.items_M for example in examples if example.items_M is not None]
    return {
        "inputs": {name: torch.from_numpy(array) for name, array in inputs.items()},
        "rows": {"items": torch.from_numpy(np.stack(items))} if items else {},
        "targets": {name: torch.from_numpy(np.stack([e.targets[name] for e in examples])) for name in names},
    }
