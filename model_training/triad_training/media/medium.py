"""A medium: what training adds to all that serving knows of it, behind one protocol.

Each medium is one object, made in its own folder beside this file and listed in registry.py. Everything else
loops over the media of a config, a model or an example and names none of them. See also
triad_serving/media/medium.py, whose Spec, Asset, Decoded and Item these are. Besides:
    Source   of one row of the table: what an example holds of the medium; hashable
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np
from torch import Tensor, nn

from triad_serving.contract.arrays import F32
from triad_serving.contract.tasks import Task
from triad_serving.media.medium import Medium
from triad_training.layers.expert import Expert
from triad_training.media.config import AugmentConfig, EncodersConfig, MediaColumns, MediaConfig
from triad_training.media.corruption import Corruption
from triad_training.media.stored import File, Files, StoredForm
from triad_training.media.style import MediumStyle

Spec = TypeVar("Spec")
Asset = TypeVar("Asset")
Raw = TypeVar("Raw")
Decoded = TypeVar("Decoded")
Item = TypeVar("Item")
Source = TypeVar("Source")

# Another of the same type, by chance.
Change: TypeAlias = Callable[[Decoded, np.random.Generator], Decoded]
# From a source, and what changes it between decoding and fitting, if anything does.
Loader: TypeAlias = Callable[[Source, Callable[[Any], Any] | None], Item]


class Reading(NamedTuple, Generic[Spec, Asset]):
    """What a model reads of a medium."""

    spec: Spec
    asset: Asset


class TrainingMedium(Protocol[Spec, Asset, Raw, Decoded, Item, Source]):
    """See the module. Every `spec` and `asset` is this medium's own.

    forms: in which its files are stored. may_coincide: whether two rows may hold the same by chance, as short
    texts do; then it says only of rows with nothing else that they belong together.
    unread: what data.NAME is set to where the table's columns shall not be read, as TOML.
    aligned_inputs: inputs of the graph that must be equally long in every process: batch statistics count
    padding, too.
    size_label: what `size` is, in words. parts_label: its parts (see serving.parts). hidden_label: what a
    hidden part is, a clause. attended_label: how its view shows the parts that got attention.
    """

    serving: Medium[Spec, Asset, Raw, Decoded, Item]
    forms: tuple[StoredForm, ...]
    may_coincide: bool
    unread: str
    aligned_inputs: tuple[str, ...]
    style: MediumStyle
    corruptions: tuple[Corruption, ...]
    size_label: str
    parts_label: str
    hidden_label: str
    attended_label: str

    # The table

    def columns(self, data: MediaColumns) -> tuple[str, ...]:
        """That hold it; none where it is not read."""
        ...

    def source(self, cells: Mapping[str, str], data: MediaColumns, folder: Path) -> Source | None:
        """Of one row; None where it is absent. folder: of the table."""
        ...

    def files(self, source: Source, *, augmented: bool) -> Iterator[File]:
        """What must be decoded of it."""
        ...

    def check(self, source: Source) -> str | None:
        """What is wrong with it, where no file is."""
        ...

    def identity(self, source: Source, digests: Mapping[Path, bytes]) -> bytes | None:
        """Equal for equal content; None where it is not known. digests: of the files that could be read."""
        ...

    def problems(self, rows: Mapping[int, Source], data: MediaColumns) -> Iterator[str]:
        """What is wrong with a whole column. rows: of the training split, by line."""
        ...

    def doubts(self, rows: Mapping[int, Source], data: MediaColumns) -> Iterator[str]:
        """What can be trained on but is likely not meant so. rows: likewise."""
        ...

    def raw(self, source: Source) -> Raw:
        """As a user would send it."""
        ...

    # Before training

    def fit_spec(self, spec: Spec, model: EncodersConfig) -> Spec:
        """As its pretrained encoder reads it; raises ConfigError."""
        ...

    def learn(
        self,
        spec: Spec,
        config: MediaConfig,
        sources: Sequence[Source | None],
        tasks: Sequence[Task],
        targets: Mapping[str, F32],
    ) -> tuple[Spec, Asset]:
        """What reading it needs, from the rows of the training split. targets: by task, one row per source.

        Raises ConfigError, SetupError.
        """
        ...

    def loader(
        self, sources: Sequence[Source], spec: Spec, asset: Asset, files: Files
    ) -> Loader[Source, Item]:
        """sources: those that will be loaded again and again."""
        ...

    def augmentation(self, config: AugmentConfig, spec: Spec, files: Files) -> Change[Decoded] | None:
        """None where nothing is to be changed. Raises ConfigError."""
        ...

    # The network

    def build_encoder(self, config: MediaConfig, spec: Spec, asset: Asset) -> nn.Module:
        """Takes serving.inputs in their order; returns tokens and which are valid. Raises ConfigError."""
        ...

    def build_experts(
        self, config: MediaConfig, spec: Spec, asset: Asset, encoder: nn.Module, tasks: Sequence[Task]
    ) -> Mapping[str, Expert]:
        """By name. encoder: as build_encoder made it."""
        ...

    def without_experts(self, spec: Spec, asset: Asset, kept: Collection[str]) -> tuple[Spec, Asset]:
        """What is still to be read where only these experts are kept."""
        ...

    def initialise(self, encoder: nn.Module, spec: Spec, sources: Sequence[Source]) -> None:
        """Sets what of a new encoder follows from the rows of the training split."""
        ...

    def bundle_files(self, config: MediaConfig, spec: Spec, asset: Asset) -> Mapping[str, bytes]:
        """What a bundle needs to open the asset, and to build a pretrained encoder again."""
        ...

    def sample_inputs(self, spec: Spec, items: int) -> Mapping[str, Tensor]:
        """serving.inputs of so many items, to export with; every size is more than 1."""
        ...

    def degenerate(self, spec: Spec) -> Sequence[Item]:
        """What no table may hold and every service is sent."""
        ...

    def transfer(
        self, name: str, source: Tensor, target: Tensor, new: Reading[Spec, Asset], old: Reading[Spec, Asset]
    ) -> int | None:
        """Copies what fits of an encoder's parameter into `target`; how many numbers.

        None where equal shapes say that all of it fits. new, old: what the two encoders read.
        """
        ...

    # The report

    def size(self, item: Item) -> float:
        """In which items differ most."""
        ...

    def view(self, raw: Raw, item: Item, section: Any, spec: Spec) -> object:
        """An example's medium for `show` of NAME/view.html.j2. section: of serving.describe_attention."""
        ...


# Of whatever medium: which types go together is known inside each medium only.
AnyTrainingMedium: TypeAlias = TrainingMedium[Any, Any, Any, Any, Any, Any]
