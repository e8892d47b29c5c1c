"""How transcripts are decoded: as their config asks, and with n-grams as far as these help on validation."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from triad_serving.contract.arrays import F32
from triad_serving.contract.disk import writing
from triad_serving.contract.errors import BundleError, ConfigError
from triad_serving.contract.tasks import Decoding, Task
from triad_serving.inference.transcribe.decoder import Decoder
from triad_serving.inference.transcribe.ngrams import NgramModel
from triad_training.config.train_config import TaskConfig
from triad_training.data.labels import symbols
from triad_training.evaluation.metrics import labelled_rows
from triad_training.evaluation.transcripts import (
    SpokenRows,
    count_edits,
    spoken_rows,
    transcribe_again,
)

ROWS = 200  # of validation, on which weights are tried
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of n-grams
BONUSES = (0.0, 0.5, 1.0, 2.0)  # for each symbol, which n-grams make rarer


def with_decodings(
    tasks: Sequence[Task], configs: Mapping[str, TaskConfig], train: Mapping[str, F32], folder: Path
) -> tuple[Task, ...]:
    """The tasks as their configs ask, before anything is chosen. Writes the decodings' files into the folder.

    train: targets of the training rows, by task. Raises ConfigError, DiskError.
    """
    return tuple(
        _with_decoding(task, configs[task.name], train[task.name], folder)
        if task.type == "transcript"
        else task
        for task in tasks
    )


def decoding_files(tasks: Sequence[Task], folder: Path) -> dict[str, bytes]:
    """What the decodings of these tasks need, by name."""
    return {name: (folder / name).read_bytes() for task in tasks for name in _files_of(task)}


def weigh_ngrams(task: Task, spoken_N: SpokenRows, targets_NL: F32, folder: Path) -> Task:
    """With the weight of the n-grams, then the bonus for each symbol, of the fewest edits on validation rows.

    Among equals the smallest; n-grams that do not help are left out.
    """
    decoding = task.decoding
    if decoding is None or not decoding.ngrams:
        return task
    rows = spoken_rows(spoken_N, targets_NL)[:ROWS]
    spoken_N, targets_NL = spoken_N[rows], targets_NL[rows]

    def edits(asked: Decoding) -> float:
        own = dataclasses.replace(task, decoding=asked)
        again_N = transcribe_again(spoken_N, Decoder.open(own, folder))
        return float(count_edits(own, again_N, targets_NL, "symbol_accuracy")[:, 0].sum())

    weighted = [dataclasses.replace(decoding, ngram_weight=weight) for weight in WEIGHTS]
    best = min(weighted, key=edits) if len(rows) else weighted[0]
    if not best.ngram_weight:
        return dataclasses.replace(task, decoding=dataclasses.replace(best, ngrams=""))
    longer = [dataclasses.replace(best, symbol_bonus=bonus) for bonus in BONUSES]
    return dataclasses.replace(task, decoding=min(longer, key=edits))


def _with_decoding(task: Task, config: TaskConfig, train_NL: F32, folder: Path) -> Task:
    if config.beam == 1:
        return task
    files = {}
    if config.words is not None:
        files[f"{task.name}.words.txt"] = _read_words(config.words)
    if config.ngrams:
        said = [symbols(target_L).tolist() for target_L in train_NL[labelled_rows(train_NL)]]
        model = NgramModel.fit(said, order=config.ngrams, outputs=task.outputs)
        files[f"{task.name}.ngrams.json"] = model.to_json()
    for name, data in files.items():
        with writing(folder / name):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
    decoding = Decoding(
        beam=config.beam,
        words=f"{task.name}.words.txt" if config.words is not None else "",
        ngrams=f"{task.name}.ngrams.json" if config.ngrams else "",
    )
    task = dataclasses.replace(task, decoding=decoding)
    try:
        Decoder.open(task, folder)
    except BundleError as error:  # a word of other symbols
        raise ConfigError(f"tasks.{task.name}.words: {error.detail}") from error
    return task


def _read_words(path: Path) -> bytes:
    """Raises ConfigError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from error


def _files_of(task: Task) -> Iterator[str]:
    if task.decoding is not None:
        yield from filter(None, (task.decoding.words, task.decoding.ngrams))
