"""The columns of a record as a medium that a model learns."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from triad_serving.contract.arrays import F32
from triad_serving.contract.tasks import Task
from triad_serving.media.fields.decode import Fields, decode_fields
from triad_serving.media.fields.medium import FIELDS as SERVING
from triad_serving.media.fields.schemas import FieldAttention
from triad_serving.media.fields.spec import MISSING_ID, UNKNOWN_ID, FieldsInput, FieldsSpec
from triad_serving.media.medium import Medium
from triad_training.layers.expert import Expert
from triad_training.media.config import AugmentConfig, EncodersConfig, MediaColumns, MediaConfig
from triad_training.media.corruption import Corruption
from triad_training.media.fields.augment import augment_fields
from triad_training.media.fields.config import FieldsAugment
from triad_training.media.fields.corruption import CORRUPTIONS
from triad_training.media.fields.encoder import FieldsEncoder, knots_of
from triad_training.media.fields.expert import FieldsExpert
from triad_training.media.fields.source import (
    Source,
    find_doubtful,
    find_empty,
    learn_spec,
    number_of,
    problem_of,
    read_cells,
)
from triad_training.media.fields.transfer import copy_by_name
from triad_training.media.fields.view import FieldsView, view_fields
from triad_training.media.medium import Change, Reading
from triad_training.media.stored import File, Files, StoredForm
from triad_training.media.style import MediumStyle


class TrainingFields:
    """See TrainingMedium. Its source is the cells of a row that are not empty."""

    serving: Medium[FieldsSpec, None, Fields, FieldsInput, FieldsInput] = SERVING
    forms: tuple[StoredForm, ...] = ()
    may_coincide = True
    unread = "{}"
    aligned_inputs: tuple[str, ...] = ()
    style = MediumStyle(colour="#8f3b60", marker="D")
    corruptions: tuple[Corruption, ...] = CORRUPTIONS
    size_label = "fields of a record"
    parts_label = "fields"
    hidden_label = "a hidden field is missing"
    attended_label = "shaded fields"

    def columns(self, data: MediaColumns) -> tuple[str, ...]:
        return data.fields.names if self.serving.name in data.subset else ()

    def source(self, cells: Mapping[str, str], data: MediaColumns, folder: Path) -> Source | None:
        return (read_cells(cells, data.fields) or None) if self.columns(data) else None

    def files(self, source: Source, *, augmented: bool) -> Iterator[File]:
        return iter(())

    def check(self, source: Source) -> str | None:
        return problem_of(source)

    def identity(self, source: Source, digests: Mapping[Path, bytes]) -> bytes | None:
        return None

    def raw(self, source: Source) -> dict[str, Any]:
        return {cell.name: number_of(cell) if cell.numeric else cell.written for cell in source}

    def fit_spec(self, spec: FieldsSpec, model: EncodersConfig) -> FieldsSpec:
        return spec

    def learn(
        self,
        spec: FieldsSpec,
        config: MediaConfig,
        sources: Sequence[Source | None],
        tasks: Sequence[Task],
        targets: Mapping[str, F32],
    ) -> tuple[FieldsSpec, None]:
        return learn_spec([source for source in sources if source], config.data.fields), None

    def loader(
        self, sources: Sequence[Source], spec: FieldsSpec, asset: None, files: Files
    ) -> Callable[[Source, Callable[[FieldsInput], FieldsInput] | None], FieldsInput]:
        return functools.partial(self._load, spec=spec)

    def augmentation(
        self, config: AugmentConfig, spec: FieldsSpec, files: Files
    ) -> Change[FieldsInput] | None:
        if config.fields == FieldsAugment():
            return None
        return functools.partial(_change, config=config.fields)

    def build_encoder(self, config: MediaConfig, spec: FieldsSpec, asset: None) -> nn.Module:
        model = config.model
        return FieldsEncoder(
            spec, width=model.width, heads=model.heads, layers=model.field_layers, dropout=model.dropout
        )

    def build_experts(
        self, config: MediaConfig, spec: FieldsSpec, asset: None, encoder: nn.Module, tasks: Sequence[Task]
    ) -> dict[str, Expert]:
        return {"columns": FieldsExpert(spec, tasks)}

    def without_experts(
        self, spec: FieldsSpec, asset: None, kept: Collection[str]
    ) -> tuple[FieldsSpec, None]:
        return spec, asset

    def initialise(self, encoder: nn.Module, spec: FieldsSpec, sources: Sequence[Source]) -> None:
        """The knots of each number's encoding are quantiles of its training values."""
        if not spec.numeric:
            return
        assert isinstance(encoder, FieldsEncoder)
        assert encoder.numbers is not None
        by_name: dict[str, list[float]] = {field.name: [] for field in spec.numeric}
        for cell in (cell for source in sources for cell in source if cell.numeric):
            by_name[cell.name].append(number_of(cell))
        encoder.numbers.set_knots(knots_of([np.array(by_name[field.name]) for field in spec.numeric]))

    def bundle_files(self, config: MediaConfig, spec: FieldsSpec, asset: None) -> dict[str, bytes]:
        return {}

    def sample_inputs(self, spec: FieldsSpec, items: int) -> dict[str, Tensor]:
        samples: dict[str, Tensor] = {}
        if spec.numeric:
            samples["numbers"] = torch.zeros(items, len(spec.numeric))
        if spec.categorical:
            samples["categories"] = torch.full((items, len(spec.categorical)), UNKNOWN_ID)
        return samples

    def degenerate(self, spec: FieldsSpec) -> Sequence[FieldsInput]:
        """Every field alone; numbers far outside, unknown categories."""
        items = []
        for number in (-1e30, 0.0, 1e30):
            numbers_F = np.full(len(spec.numeric), number, dtype=np.float32)
            items.append(self._item(spec, numbers_F, np.full(len(spec.categorical), UNKNOWN_ID)))
        for there in range(len(spec.names)):
            missing_P = np.arange(len(spec.names)) != there
            numbers_F = np.where(missing_P[: len(spec.numeric)], np.float32(np.nan), np.float32(1))
            ids_G = np.where(missing_P[len(spec.numeric) :], MISSING_ID, UNKNOWN_ID)
            items.append(self._item(spec, numbers_F, ids_G))
        return items

    def transfer(
        self,
        name: str,
        source: Tensor,
        target: Tensor,
        new: Reading[FieldsSpec, None],
        old: Reading[FieldsSpec, None],
    ) -> int | None:
        return copy_by_name(name, source, target, new.spec, old.spec)

    def problems(self, rows: Mapping[int, Source], data: MediaColumns) -> Iterator[str]:
        return find_empty(rows, data.fields)

    def doubts(self, rows: Mapping[int, Source], data: MediaColumns) -> Iterator[str]:
        return find_doubtful(rows, data.fields)

    def size(self, item: FieldsInput) -> float:
        return float(item.there.sum())

    def view(
        self, raw: Fields, item: FieldsInput, section: Sequence[FieldAttention], spec: FieldsSpec
    ) -> FieldsView:
        return view_fields(item.written, section)

    def _load(
        self, source: Source, change: Callable[[FieldsInput], FieldsInput] | None, *, spec: FieldsSpec
    ) -> FieldsInput:
        item = decode_fields(self.raw(source), spec)
        return change(item) if change is not None else item

    def _item(self, spec: FieldsSpec, numbers_F: F32, ids_G: np.ndarray) -> FieldsInput:
        written = dict.fromkeys(spec.names, "")
        return FieldsInput(numbers_F=numbers_F, categories_G=ids_G.astype(np.int64), written=written)


def _change(item: FieldsInput, rng: np.random.Generator, *, config: FieldsAugment) -> FieldsInput:
    return augment_fields(item, config, rng)


FIELDS = TrainingFields()
