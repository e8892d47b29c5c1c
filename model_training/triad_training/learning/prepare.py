"""What a training run makes of its config and table before the first step: data sets, tasks, the network."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from triad_serving.contract.errors import ConfigError
from triad_serving.contract.outputs import MediumName
from triad_serving.contract.tasks import Task
from triad_serving.inference.bundle import Bundle, read_bundle
from triad_serving.media.medium import Assets
from triad_training.config.train_config import TrainConfig
from triad_training.data.dataset import ExampleDataset
from triad_training.data.labels import split_targets
from triad_training.data.splits import Split
from triad_training.data.table import Table, read_table
from triad_training.learning.distillation import Teacher
from triad_training.media.config import LEARNT, AugmentConfig, PreprocessConfig
from triad_training.media.encoders import with_fitted_spec, with_spec, without_experts
from triad_training.media.registry import present
from triad_training.network.model import TriadModel


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Three splits of a checked table, ready to be read.

    config: its spec with what was learnt of the media before the first step. warnings: see Table.
    teacher: where a network answers beside the labels.
    """

    config: TrainConfig
    tasks: tuple[Task, ...]
    assets: Assets
    warnings: tuple[str, ...]
    train: ExampleDataset
    validation: ExampleDataset
    test: ExampleDataset
    teacher: Teacher | None = None

    def split(self, name: str) -> ExampleDataset:
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    def with_experts(self, kept: Sequence[tuple[MediumName, str]], *, augmented: bool = False) -> Prepared:
        """For a network that has kept only these linear experts. augmented: whether it still learns."""
        config, assets = without_experts(self.config, self.assets, kept)

        def read(data: ExampleDataset) -> ExampleDataset:
            return data.reading(config.spec, assets, augmented=augmented)

        return dataclasses.replace(
            self,
            config=config,
            assets=assets,
            train=read(self.train),
            validation=read(self.validation),
            test=read(self.test),
        )


def prepare(config: TrainConfig) -> Prepared:
    """Asks pretrained encoders what they read, checks the table, learns what reading the media needs.

    Raises ConfigError, SetupError, TableError.
    """
    config = with_fitted_spec(config)
    table = read_table(config)
    config, assets = _learn_media(config, table)

    def dataset(split: Split, augment: AugmentConfig | None = None) -> ExampleDataset:
        examples = table.split(split)
        return ExampleDataset(
            examples,
            split_targets(examples, table.tasks, config),
            config.spec,
            assets,
            files=table.files,
            augment=augment,
            seed=config.optim.seed,
        )

    return Prepared(
        config=config,
        tasks=table.tasks,
        assets=assets,
        warnings=table.warnings,
        train=dataset("train", config.augment),
        validation=dataset("validation"),
        test=dataset("test"),
    )


def _learn_media(config: TrainConfig, table: Table) -> tuple[TrainConfig, Assets]:
    """The config with what the training split says of the media, and what else reading them needs.

    Both are the bundle's where training goes on with all of it.
    """
    if config.transfer.bundle is not None and config.transfer.whole:
        return _read_as_before(config, read_bundle(config.transfer.bundle))
    train = table.split("train")
    targets = split_targets(train, table.tasks, config)
    specs, assets = {}, {}
    for medium, own in present(config.spec):
        name = medium.serving.name
        sources = [example.of(name) for example in train]
        specs[name], assets[name] = medium.learn(own, config, sources, table.tasks, targets)
    return with_spec(config, specs), assets


def _read_as_before(config: TrainConfig, bundle: Bundle) -> tuple[TrainConfig, Assets]:
    """Raises ConfigError where the config reads other media, or reads them otherwise."""
    if config.spec.media != bundle.spec.media:
        reads, read = (" and ".join(spec.media) for spec in (config.spec, bundle.spec))
        raise ConfigError(f"transfer.whole: {bundle.path} reads {read}; the columns in data are of {reads}.")
    specs = {medium: bundle.spec.of(medium) for medium in bundle.spec.media}
    if other := [name for medium in specs for name in _set_otherwise(medium, config, specs[medium])]:
        raise ConfigError(f"transfer.whole: {', '.join(other)}: another value than that of {bundle.path}.")
    return with_spec(config, specs), bundle.assets


def _set_otherwise(medium: MediumName, config: TrainConfig, old: Any) -> Iterator[str]:
    """Options of its section; what training finds out is none."""
    if PreprocessConfig.model_fields[medium].json_schema_extra == LEARNT:
        return
    own = config.spec.of(medium)
    for field in dataclasses.fields(own):
        if not field.metadata.get("learnt") and getattr(own, field.name) != getattr(old, field.name):
            yield f"preprocess.{medium}.{field.name}"


def build_model(prepared: Prepared) -> TriadModel:
    model = TriadModel(prepared.config, prepared.config.spec, prepared.tasks, prepared.assets)
    for medium, own in present(prepared.config.spec):
        name = medium.serving.name
        sources = [source for e in prepared.train.examples if (source := e.of(name)) is not None]
        medium.initialise(model.encoders[name], own, sources)
    for task in prepared.tasks:
        if task.type == "regression":
            labels = prepared.train.targets[task.name]
            model.head(task.name).set_unit(float(np.nanmean(labels)), float(np.nanstd(labels)) or 1.0)
        elif task.type == "classification" and prepared.config.tasks[task.name].imbalance == "weights":
            model.head(task.name).offset.zero_()  # rows are weighted so that each class counts as much
    return model
