"""What a training run makes of its config and table before the first step: data sets, tasks, the network."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from triad_serving.contract.arrays import F32
from triad_serving.contract.errors import ConfigError, TableError
from triad_serving.contract.outputs import MediumName
from triad_serving.contract.tasks import BLANK, HEARD, Task, with_one_answer
from triad_serving.inference.bundle import Bundle, read_bundle
from triad_serving.media.medium import Assets
from triad_training.config.train_config import TrainConfig
from triad_training.data.dataset import ExampleDataset
from triad_training.data.labels import split_targets, symbols, tokens_needed
from triad_training.data.splits import SPLITS, Split
from triad_training.data.table import Table, read_table
from triad_training.learning.distillation import Teacher
from triad_training.media.config import LEARNT, AugmentConfig, PreprocessConfig
from triad_training.media.encoders import with_fitted_spec, with_spec, without_experts
from triad_training.media.registry import by_name, present
from triad_training.network.model import TriadModel

BLANKS = 4  # moments at which nothing is heard, for each symbol, before anything is learnt


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Three splits of a checked table, ready to be read.

    config: its spec with what was learnt of the media before the first step. warnings: see Table.
    teacher: where a network answers beside the labels. sizes: of the training rows, where rows of a step
    shall be alike: tokens of their sounds.
    """

    config: TrainConfig
    tasks: tuple[Task, ...]
    assets: Assets
    warnings: tuple[str, ...]
    train: ExampleDataset
    validation: ExampleDataset
    test: ExampleDataset
    teacher: Teacher | None = None
    sizes: Sequence[int] | None = None

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
    if not with_one_answer(table.tasks):  # of which alone linear experts say anything
        config = config.model_copy(update={"model": config.model.model_copy(update={"linear": False})})
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

    prepared = Prepared(
        config=config,
        tasks=table.tasks,
        assets=assets,
        warnings=table.warnings,
        train=dataset("train", config.augment),
        validation=dataset("validation"),
        test=dataset("test"),
    )
    written = [task for task in table.tasks if task.type == "transcript"]
    return _with_sizes(prepared, written) if written else prepared


def _with_sizes(prepared: Prepared, tasks: Sequence[Task]) -> Prepared:
    """With the sizes of the sounds. Raises TableError where they cannot hold their transcripts."""
    medium, spec = by_name(HEARD).serving, prepared.config.spec.of(HEARD)
    found: dict[Split, list[int]] = {
        split: [
            medium.token_count(data.load(HEARD, n), spec) if HEARD in example.media else 0
            for data in [prepared.split(split)]
            for n, example in enumerate(data.examples)
        ]
        for split in SPLITS
    }
    if problems := [problem for task in tasks for problem in _too_long(task, prepared, found)]:
        raise TableError([f"{prepared.config.data.table.name}: {problem}" for problem in problems])
    return dataclasses.replace(prepared, sizes=found["train"])


def _too_long(task: Task, prepared: Prepared, tokens: Mapping[Split, Sequence[int]]) -> Iterator[str]:
    """Transcripts that the tokens of their sounds cannot hold. Played faster, sounds have fewer."""
    fastest = {"train": getattr(prepared.config.augment, HEARD).speed[1]}
    lines = [
        example.line
        for split, counts in tokens.items()
        for data in [prepared.split(split)]
        for example, count, target_L in zip(data.examples, counts, data.targets[task.name], strict=True)
        if count and not np.isnan(target_L).any()
        if count / fastest.get(split, 1.0) < tokens_needed(symbols(target_L))
    ]
    if lines:
        named = ", ".join(map(str, sorted(lines)[:10])) + (", ..." if len(lines) > 10 else "")
        yield (
            f"{task.name}: {len(lines)} transcripts have more symbols than their sounds have tokens of "
            f"{prepared.config.spec.of(HEARD).token_s:g} s (line {named}): lower "
            "preprocess.audio.frames_per_token"
        )


def _learn_media(config: TrainConfig, table: Table) -> tuple[TrainConfig, Assets]:
    """The config with what the training split says of the media, and what else reading them needs.

    Both are the bundle's where training goes on with all of it.
    """
    if config.transfer.bundle is not None and config.transfer.whole:
        return _read_as_before(config, read_bundle(config.transfer.bundle))
    train = table.split("train")
    tasks = with_one_answer(table.tasks)
    targets = split_targets(train, tasks, config)
    specs, assets = {}, {}
    for medium, own in present(config.spec):
        name = medium.serving.name
        sources = [example.of(name) for example in train]
        specs[name], assets[name] = medium.learn(own, config, sources, tasks, targets)
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
        elif task.type == "transcript":
            model.transcript_head(task.name).expect(_shares(task, prepared.train.targets[task.name]))
    return model


def _shares(task: Task, targets_NL: F32) -> Tensor:
    """Of the blank and of each symbol of a transcript among all moments, as far as labels can tell."""
    counts_K = np.bincount(targets_NL[~np.isnan(targets_NL)].astype(np.int64), minlength=task.outputs)
    counts_K = counts_K[: task.outputs].clip(1).astype(np.float64)
    counts_K[BLANK] = counts_K[BLANK + 1 :].sum() * BLANKS
    return torch.from_numpy(counts_K / counts_K.sum()).float()
