"""Equal arrays in trainer and service, and augmentation that depends on nothing but seed, epoch and index."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from triad_serving.inference.bundle import Bundle
from triad_serving.media.example import ModelInputs
from triad_serving.media.limits import MediaLimits
from triad_serving.media.preprocess import preprocess
from triad_serving.media.text.lexicon import WordLexicon
from triad_serving.media.text.words import Vocabulary
from triad_training.config.reading import load_config
from triad_training.config.train_config import TrainConfig
from triad_training.data.dataset import ExampleDataset, collate
from triad_training.data.labels import split_targets
from triad_training.data.table import Table, read_table


def same(first: ModelInputs, second: ModelInputs) -> bool:
    return first.media == second.media and all(
        a is b is None or np.array_equal(a, b)
        for a, b in zip(arrays_of(first), arrays_of(second), strict=True)
    )


def arrays_of(inputs: ModelInputs) -> tuple[object, ...]:
    text, image, audio = inputs.text, inputs.image, inputs.audio
    return text and text.ids_L, text and text.pos_L, image and image.pixels_HW3, audio and audio.samples_T


@pytest.fixture
def config(toy_folder: Path) -> TrainConfig:
    return load_config(
        toy_folder / "config.toml",
        ["augment.image.rotate=20", "augment.audio.gain_db=[-9, 0]"],
    )


@pytest.fixture
def table(config: TrainConfig) -> Table:
    return read_table(config)


def dataset(config: TrainConfig, table: Table, *, augmented: bool) -> ExampleDataset:
    train = table.split("train")
    labels = split_targets(train, table.tasks, config)
    augment = config.augment if augmented else None
    return ExampleDataset(
        train,
        labels,
        config.spec,
        {"text": WordLexicon(vocabulary=Vocabulary(["明亮", "day"]))},
        files=table.files,
        augment=augment,
        seed=config.optim.seed,
    )


def test_the_same_bytes_give_equal_arrays_in_trainer_and_service(toy_bundle: Bundle) -> None:
    folder = toy_bundle.path.parents[2] / "table"
    config = load_config(folder / "config.toml")
    table = read_table(config)
    examples = table.split("test")
    targets = split_targets(examples, table.tasks, config)
    arguments = (examples, targets, toy_bundle.spec, toy_bundle.assets)
    decoded, kept = ExampleDataset(*arguments), ExampleDataset(*arguments, files=table.files)
    for i, example in enumerate(examples):
        served = preprocess(example.read(), toy_bundle.spec, toy_bundle.assets, MediaLimits())
        assert same(decoded[i].inputs, served)
        assert same(kept[i].inputs, served)
        assert served.media == example.media
    assert {medium for example in examples for medium in example.media} == set(toy_bundle.spec.media)


def test_augmentation_depends_on_seed_epoch_and_index_only(config: TrainConfig, table: Table) -> None:
    first, second = (dataset(config, table, augmented=True) for _ in range(2))
    assert all(same(first[i].inputs, second[i].inputs) for i in (5, 3, 4))
    second.epoch = 1
    assert not all(same(first[i].inputs, second[i].inputs) for i in (5, 3, 4))


def test_without_augmentation_an_example_keeps_all_it_has(config: TrainConfig, table: Table) -> None:
    plain = dataset(config, table, augmented=False)
    assert all(plain[i].inputs.media == plain.examples[i].media for i in range(len(plain)))


def test_a_batch_is_packed_with_its_targets(config: TrainConfig, table: Table) -> None:
    plain = dataset(config, table, augmented=False)
    batch = collate([plain[i] for i in range(5)], config.spec)
    assert batch["inputs"]["text_row"].tolist() == [0, 1, 2, 3, 4]  # row 4 has no text: index 4 = absent
    assert batch["inputs"]["token_ids"].shape[0] == 4
    assert batch["inputs"]["pixels"].shape == (5, 16, 16, 3)
    assert batch["targets"]["kind"].tolist() == [0, 1, 0, 1, 0]
    assert batch["targets"]["tags"].shape == (5, 2)
    assert batch["targets"]["size"].isnan().tolist() == [False, False, False, True, False]
