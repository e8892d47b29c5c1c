"""A config whose open options are filled in by its preset, which asks the table how many rows it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from triad_serving.contract.rows import read_rows
from triad_serving.inference.bundle import read_bundle
from triad_training.config.preset import merged, summary, with_preset
from triad_training.config.reading import parse_config, read_document
from triad_training.config.train_config import DataConfig, TrainConfig
from triad_training.data.splits import split_named
from triad_training.media.config import LEARNT, PreprocessConfig

OF_WEIGHTS = ("model", "preprocess")  # sections that must be the old bundle's, or its weights fit nowhere


class Chosen(NamedTuple):
    """note: one line that says what the preset set."""

    config: TrainConfig
    note: str


def load_with_preset(path: Path, overrides: Sequence[str] = (), *, subset: str = "") -> Chosen:
    """As load_config, and every option that nobody set is the preset's. Raises ConfigError, TableError.

    Where another bundle's weights are taken, the network is as theirs; where all are, the labels, too.
    Without a table, which training will miss next, the options stay as they are.
    """
    document = read_document(path, overrides, subset=subset)
    config = parse_config(document, path).with_paths_from(path.parent)
    if not config.data.table.is_file():
        return Chosen(config, "")
    if config.transfer.bundle is not None:
        document = merged(document, _network_of(config.transfer.bundle))
    if config.transfer.bundle is not None and config.transfer.whole:
        document = merged(document, _labels_of(config.transfer.bundle, config))
    train = training_rows(config.data)
    filled, chosen = with_preset(document, config, train)
    note = summary(config.preset, len(train), chosen)
    return Chosen(parse_config(filled, path).with_paths_from(path.parent), note)


def training_rows(data: DataConfig) -> list[Mapping[str, str]]:
    """Cells of the rows to train on: those that the table says, or the share that will be drawn."""
    rows = [cells for _, cells in read_rows(data.table) if not isinstance(cells, str)]
    if not data.split:
        return rows[: round(len(rows) * data.shares[0])]
    return [cells for cells in rows if split_named(cells.get(data.split, "").strip()) == "train"]


def _network_of(bundle: Path) -> dict[str, Any]:
    """What its network reads and is made of, without pretrained encoders, whose files it does not hold."""
    training = read_bundle(bundle).manifest.training
    sections = PreprocessConfig.model_fields.items()
    learnt = {name for name, field in sections if field.json_schema_extra == LEARNT}
    return {
        section: {
            key: value
            for key, value in training.get(section, {}).items()
            if key not in learnt and value is not None and not key.endswith("_encoder")
        }
        for section in OF_WEIGHTS
    }


def _labels_of(bundle: Path, config: TrainConfig) -> dict[str, Any]:
    """Of the tasks that both have, in the order of its outputs."""
    tasks = read_bundle(bundle).tasks
    return {
        "tasks": {task.name: {"labels": list(task.labels)} for task in tasks if task.name in config.tasks}
    }
