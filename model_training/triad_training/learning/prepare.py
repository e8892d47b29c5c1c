"""What a training run makes of its config and table before the first step: data sets, tasks, the network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from triad_serving.contract.errors import ConfigError
from triad_serving.contract.tasks import Task
from triad_serving.media.text.lexicon import Lexicon
from triad_training.config.train_config import TrainConfig
from triad_training.data.dataset import ExampleDataset
from triad_training.data.files import Media
from triad_training.data.splits import Split
from triad_training.data.table import read_table
from triad_training.evaluation.evaluate import split_targets
from triad_training.learning.distillation import Teacher
from triad_training.media.audio.front_end import LogMel
from triad_training.media.audio.noise import Noise, coloured_noise, recorded_noise
from triad_training.media.config import AugmentConfig, SpectrumAugment
from triad_training.media.factory import with_sources
from triad_training.media.pretrained.source import load_lexicon
from triad_training.media.text.vocabulary import build_lexicon
from triad_training.network.model import TriadModel


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Three splits of a checked table, ready to be read.

    warnings: see manifest.Table. teacher: where a network answers beside the labels.
    """

    config: TrainConfig
    tasks: tuple[Task, ...]
    lexicon: Lexicon | None
    warnings: tuple[str, ...]
    train: ExampleDataset
    validation: ExampleDataset
    test: ExampleDataset
    teacher: Teacher | None = None


def prepare(config: TrainConfig) -> Prepared:
    """Reads and checks the table, builds the lexicon, asks pretrained encoders what they read."""
    config = with_sources(config)
    table = read_table(config)
    lexicon: Lexicon | None = None
    if config.spec.text is not None and config.model.text_encoder is not None:
        lexicon = load_lexicon(config.model.text_encoder)
    elif config.spec.text is not None:
        train = table.split("train")
        lexicon = build_lexicon(
            config.lexicon,
            config.spec.text,
            [example.text for example in train],
            table.tasks,
            split_targets(train, table.tasks, config),
        )

    def dataset(split: Split, augment: AugmentConfig | None = None) -> ExampleDataset:
        examples = table.split(split)
        labels = split_targets(examples, table.tasks, config)
        return ExampleDataset(
            examples,
            labels,
            config.spec,
            lexicon,
            media=table.media,
            augment=augment,
            noise=open_noise(augment, table.media) if augment is not None else None,
            seed=config.optim.seed,
        )

    return Prepared(
        config=config,
        tasks=table.tasks,
        lexicon=lexicon,
        warnings=table.warnings,
        train=dataset("train", config.augment),
        validation=dataset("validation"),
        test=dataset("test"),
    )


def open_noise(augment: AugmentConfig, media: Media) -> Noise | None:
    """Raises ConfigError where the folder has none."""
    if augment.audio.noise_snr_db is None or media.spec.audio is None:
        return None
    folder = augment.audio.noise_folder
    return recorded_noise(folder, media) if folder is not None else coloured_noise()


def build_model(prepared: Prepared) -> TriadModel:
    words = prepared.lexicon.size if prepared.lexicon else 0
    model = TriadModel(prepared.config.model, prepared.config.spec, prepared.tasks, words=words)
    if prepared.config.spec.audio is not None:
        _hide_spectra(model, prepared.config.augment.spectrum)
    for task in prepared.tasks:
        if task.type == "regression":
            labels = prepared.train.targets[task.name]
            model.head(task.name).set_unit(float(np.nanmean(labels)), float(np.nanstd(labels)) or 1.0)
    return model


def _hide_spectra(model: TriadModel, augment: SpectrumAugment) -> None:
    """Raises ConfigError where that is asked for and there is no spectrum."""
    front_ends = [module for module in model.modules() if isinstance(module, LogMel)]
    if not front_ends and augment != SpectrumAugment():
        raise ConfigError("augment.spectrum: the model computes no spectrum of a sound.")
    for front_end in front_ends:
        front_end.augment = augment
