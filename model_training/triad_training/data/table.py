"""The table of examples: read, and checked whole before any training starts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from triad_serving.contract.arrays import F32
from triad_serving.contract.errors import RequestError, TableError
from triad_serving.contract.outputs import MediumName
from triad_serving.contract.tasks import Task
from triad_serving.media.example import PreprocessSpec, RawInputs
from triad_serving.media.names import MEDIA
from triad_serving.media.text.words import check_text
from triad_training.config.train_config import DataConfig, TaskConfig, TrainConfig
from triad_training.data.files import Media, open_media
from triad_training.data.forms import LIMITS, File
from triad_training.data.rows import Row, read_rows
from triad_training.data.splits import SPLITS, Identity, draw_splits, find_leaks, split_named


@dataclass(frozen=True, kw_only=True)
class Example:
    """One row. labels: by task, as written; missing where the cell is empty. Paths are absolute.

    group: of rows that must not be torn apart; empty where the config names no column.
    """

    line: int
    split: str
    group: str = ""
    text: str | None
    image: Path | None
    audio: Path | None
    labels: Mapping[str, str]

    @property
    def media(self) -> tuple[MediumName, ...]:
        return tuple(medium for medium in MEDIA if getattr(self, medium) is not None)

    def read(self) -> RawInputs:
        return RawInputs(
            text=self.text,
            image=self.image.read_bytes() if self.image else None,
            audio=self.audio.read_bytes() if self.audio else None,
        )


@dataclass(frozen=True, kw_only=True)
class Table:
    """A checked table: every medium decodes, every label is known, no example stands in two splits.

    warnings: what can be trained on but is likely not meant so.
    """

    examples: tuple[Example, ...]
    tasks: tuple[Task, ...]
    media: Media
    warnings: tuple[str, ...]

    def split(self, name: str) -> tuple[Example, ...]:
        return tuple(example for example in self.examples if example.split == name)


def read_table(config: TrainConfig) -> Table:
    """Reads and checks the table that a config names; labels left open come from the training split.

    Raises TableError with every problem in it, each with its line.
    """
    media = open_media(config)
    examples, problems = read_examples(config.data, config.tasks, config.spec, media=media)
    tasks = tuple(_make_task(name, task, examples) for name, task in config.tasks.items())
    problems += _check_coverage(examples, tasks, config.spec)
    for task in tasks:
        problems += check_labels(task, config.tasks[task.name], examples)
        problems += _check_task(task, examples)
    if problems:
        raise TableError([f"{config.data.table.name}: {problem}" for problem in problems])
    warnings = [warning for task in tasks for warning in _doubts(task, config.tasks[task.name], examples)]
    warnings += _repeated_texts(examples)
    return Table(
        examples=examples,
        tasks=tasks,
        media=media,
        warnings=tuple(f"{config.data.table.name}: {warning}" for warning in warnings),
    )


def read_examples(
    data: DataConfig, tasks: Mapping[str, TaskConfig], spec: PreprocessSpec, *, media: Media | None = None
) -> tuple[tuple[Example, ...], list[str]]:
    """Every row that can be used, and the problems of the others. Raises TableError without the columns.

    media: decodes the files, and knows them from then on.
    """
    rows = list(read_rows(data.table))
    label_columns = {name: task.column or name for name, task in tasks.items()}
    _require_columns(
        rows, {*data.columns.values(), data.split, data.group, *label_columns.values()}, data.table
    )
    examples: list[Example] = []
    problems: list[str] = []
    for line, cells in rows:
        found = cells if isinstance(cells, str) else _make_example(line, cells, data, label_columns)
        if isinstance(found, str):
            problems.append(f"line {line}: {found}")
        elif found is not None:
            examples.append(found)
    media = media or Media(spec)
    problems += _check_texts(examples) + _check_files(examples, media)
    placed, leaks = _place(examples, data, tasks, media.digests)
    return placed, problems + leaks


def _require_columns(rows: Sequence[Row], named: set[str], table: Path) -> None:
    """Raises TableError where the table has no rows or lacks a column; an empty name needs none."""
    if not rows:
        raise TableError([f"{table.name}: holds no rows"])
    known: set[str] = set().union(*(cells for _, cells in rows if not isinstance(cells, str)))
    if not known:
        raise TableError([f"{table.name}: line {line}: {problem}" for line, problem in rows])
    missing = sorted(named - known - {""})
    if missing:
        raise TableError([f"{table.name}: no column {column!r} among {sorted(known)}" for column in missing])


def targets(task: Task, separator: str, labels: Sequence[str | None]) -> F32:
    """What the network shall answer, [N] class indices or values, or [N, K] tags; NaN where unlabelled."""
    position = {label: float(k) for k, label in enumerate(task.labels)}
    if task.type == "classification":
        values = [math.nan if label is None else position[label] for label in labels]
        return np.array(values, dtype=np.float32)
    if task.type == "regression":
        return np.array([math.nan if label is None else float(label) for label in labels], dtype=np.float32)
    tags_NK = np.full((len(labels), task.outputs), math.nan, dtype=np.float32)
    for n, label in enumerate(labels):
        if label is not None:
            chosen = set(split_tags(label, separator))
            tags_NK[n] = [tag in chosen for tag in task.labels]
    return tags_NK


def split_tags(cell: str, separator: str) -> list[str]:
    """Tags of a multilabel cell; the separator alone means "labelled: none of them"."""
    return [tag.strip() for tag in cell.split(separator) if tag.strip()]


def tags_of(cell: str, config: TaskConfig) -> list[str]:
    """The labels that a cell names; none of a number."""
    match config.type:
        case "classification":
            return [cell]
        case "multilabel":
            return split_tags(cell, config.separator)
        case "regression":
            return []


def check_labels(task: Task, config: TaskConfig, examples: Sequence[Example]) -> list[str]:
    """Problems of one task's labels."""
    problems = []
    labelled = [
        (example.line, example.labels[task.name]) for example in examples if task.name in example.labels
    ]
    for line, cell in labelled:
        if task.type == "regression" and not _is_finite(cell):
            problems.append(f"line {line}: {task.name}: {cell!r} is not a finite number of single precision")
        unknown = [tag for tag in tags_of(cell, config) if tag not in task.labels]
        problems += [
            f"line {line}: {task.name}: unknown label {tag!r}; {_listed(task, config)}" for tag in unknown
        ]
    return problems


def _listed(task: Task, config: TaskConfig) -> str:
    source = "the config lists" if config.labels else "the training rows name"
    return f"{source} {', '.join(task.labels[:12])}{', ...' if len(task.labels) > 12 else ''}"


def _check_coverage(examples: Sequence[Example], tasks: Sequence[Task], spec: PreprocessSpec) -> list[str]:
    """Whether every split has rows, every encoder something to learn from, and validation a say."""
    problems = [f"no row is in the {name} split" for name in SPLITS if all(e.split != name for e in examples)]
    seen = {medium for example in examples if example.split == "train" for medium in example.media}
    problems += [
        f'no training row has {medium}: set data.{medium} = "" to leave it out'
        for medium in spec.media
        if medium not in seen
    ]
    validation = [example for example in examples if example.split == "validation"]
    if validation and not any(task.name in example.labels for example in validation for task in tasks):
        problems.append("no validation row is labelled, so that no epoch could be called the best")
    return problems


def _doubts(task: Task, config: TaskConfig, examples: Sequence[Example]) -> list[str]:
    """What a user should know of a task's labels before waiting for the training."""
    labelled = {name: [e for e in examples if e.split == name and task.name in e.labels] for name in SPLITS}
    lines: dict[str, list[int]] = {label: [] for label in task.labels}
    for example in labelled["train"]:
        for tag in tags_of(example.labels[task.name], config):
            lines[tag].append(example.line)
    doubts = [
        f"{task.name}: label {label!r} has one training row, line {found[0]}: too few to learn it"
        if found
        else f"{task.name}: label {label!r} has no training row: it will not be answered"
        for label, found in lines.items()
        if len(found) < 2
    ]
    if not labelled["validation"]:
        doubts.append(f"{task.name}: no validation row is labelled: its probabilities are not calibrated")
    if not labelled["test"]:
        doubts.append(f"{task.name}: no test row is labelled: it has no score")
    return doubts


def _repeated_texts(examples: Sequence[Example]) -> list[str]:
    """Rows of a text alone that a training row has word for word: fine for "yes", a leak for a letter."""
    alone = [example for example in examples if example.media == ("text",)]
    learnt = {example.text: example.line for example in reversed(alone) if example.split == "train"}
    repeated = [example for example in alone if example.split != "train" and example.text in learnt]
    if not repeated:
        return []
    first = repeated[0]
    return [
        f"{len(repeated)} rows of text alone have a text that the train split has, too, the first at "
        f"line {first.line} (the {first.split} split) as at line {learnt[first.text]}: it may be remembered"
    ]


def _check_task(task: Task, examples: Sequence[Example]) -> list[str]:
    """Whether there is anything to learn from."""
    if all(task.name not in example.labels for example in examples if example.split == "train"):
        return [f"{task.name}: no training row is labelled"]
    if task.type == "classification" and len(task.labels) < 2:
        return [f"{task.name}: the training split names one label; two are needed"]
    if task.type == "multilabel" and not task.labels:
        return [f"{task.name}: the training split names no label"]
    return []


def _make_example(
    line: int, cells: Mapping[str, str], data: DataConfig, label_columns: Mapping[str, str]
) -> Example | str | None:
    """An example, or what is wrong with the row, or None where it has only media outside data.subset.

    In training for now, where there is no column of splits.
    """
    written = {column: cell.strip() for column, cell in cells.items()}
    split = split_named(written.get(data.split, ""), data.more_splits) if data.split else "train"
    if split is None:
        known = ", ".join((*SPLITS, *data.more_splits))
        return f"unknown split {written.get(data.split, '')!r} (known: {known}; others: data.more_splits)"
    found = {medium: written.get(column, "") for medium, column in data.columns.items()}
    if not any(found.values()):
        outside = any(written.get(column) for column in (data.text, data.image, data.audio) if column)
        return None if outside else "no " + ", no ".join(found)
    folder = data.table.parent
    return Example(
        line=line,
        split=split,
        group=written.get(data.group, "") if data.group else "",
        text=found.get("text") or None,
        image=folder / found["image"] if found.get("image") else None,
        audio=folder / found["audio"] if found.get("audio") else None,
        labels={name: label for name, column in label_columns.items() if (label := written.get(column))},
    )


def _check_texts(examples: Sequence[Example]) -> list[str]:
    """Checks every text once; one that many rows share is reported at its first."""
    problems = []
    first: dict[str, int] = {}
    for example in examples:
        if example.text is not None:
            first.setdefault(example.text, example.line)
    for text, line in first.items():
        try:
            check_text(text, LIMITS)
        except RequestError as error:
            problems.append(f"line {line}: text: {text}: {error.detail}")
    return problems


def _check_files(examples: Sequence[Example], media: Media) -> list[str]:
    """Decodes every file once; one that many rows share is reported at its first."""
    first: dict[File, int] = {}
    for example in examples:
        for file in media.files(example.image, example.audio, training=example.split == "train"):
            first.setdefault(file, example.line)
    return [
        f"line {first[file]}: {file.medium}: {file.path}: {problem}"
        for file, problem in media.check(first).items()
    ]


def _place(
    examples: Sequence[Example],
    data: DataConfig,
    tasks: Mapping[str, TaskConfig],
    digests: Mapping[Path, bytes],
) -> tuple[tuple[Example, ...], list[str]]:
    """Examples with a drawn split where the table has none; else the problems of those it has."""
    identities = [_identities(example, data, digests) for example in examples]
    if data.split:
        lines, splits = [e.line for e in examples], [e.split for e in examples]
        firm = [[identity for identity in shared if identity[0] != "text"] for shared in identities]
        return tuple(examples), find_leaks(lines, splits, firm)
    labels = [
        {f"{name} {tag}" for name, cell in example.labels.items() for tag in tags_of(cell, tasks[name])}
        for example in examples
    ]
    drawn = draw_splits(identities, labels, shares=data.shares, seed=data.split_seed)
    return tuple(replace(e, split=split) for e, split in zip(examples, drawn, strict=True)), []


def _identities(example: Example, data: DataConfig, digests: Mapping[Path, bytes]) -> list[Identity]:
    """What other splits must not hold: its image and sound by content, its text where it has nothing else."""
    shared: list[Identity] = []
    if example.media == ("text",) and example.text:
        shared.append(("text", example.text.encode()))
    for medium, path in (("image", example.image), ("audio", example.audio)):
        if path is not None and path in digests:
            shared.append((medium, digests[path]))
    if example.group:
        shared.append((f"{data.group} {example.group!r}", b""))
    return shared or [("line", str(example.line).encode())]  # of files that cannot be read


def _make_task(name: str, config: TaskConfig, examples: Sequence[Example]) -> Task:
    """Labels of the training split, sorted, unless the config lists them; prior: their mean target."""
    cells = [e.labels[name] for e in examples if e.split == "train" and name in e.labels]
    if config.type == "regression":
        values = [float(cell) for cell in cells if _is_finite(cell)]
        return Task(name=name, type=config.type, prior=(float(np.mean(values)) if values else 0.0,))
    counts = Counter(tag for cell in cells for tag in tags_of(cell, config))
    labels = config.labels or tuple(sorted(counts))
    prior = tuple(counts[label] / max(len(cells), 1) for label in labels)
    return Task(name=name, type=config.type, labels=labels, prior=prior)


def _is_finite(cell: str) -> bool:
    """Whether it is a number that float32 can hold: what the network computes with."""
    try:
        return abs(float(cell)) <= float(np.finfo(np.float32).max)
    except ValueError:
        return False
