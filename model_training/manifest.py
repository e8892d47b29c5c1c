"""The table of examples: read, and checked whole before any training starts."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from model_training.config import DataConfig, TaskConfig, TrainConfig
from model_training.media import LIMITS, File, Media, open_media
from service.contract import F32, MEDIA, Medium, PreprocessSpec, RawInputs, Task
from service.errors import RequestError, TableError
from service.preprocess.text import check_text

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}
Row = tuple[int, Mapping[str, str] | str]  # line in the file; column -> cell, or what is wrong with it


@dataclass(frozen=True, kw_only=True)
class Example:
    """One row. labels: by task, as written; missing where the cell is empty. Paths are absolute."""

    line: int
    split: Split
    text: str | None
    image: Path | None
    audio: Path | None
    labels: Mapping[str, str]

    @property
    def media(self) -> tuple[Medium, ...]:
        return tuple(medium for medium in MEDIA if getattr(self, medium) is not None)

    def read(self) -> RawInputs:
        return RawInputs(
            text=self.text,
            image=self.image.read_bytes() if self.image else None,
            audio=self.audio.read_bytes() if self.audio else None,
        )


@dataclass(frozen=True, kw_only=True)
class Table:
    """A checked table: every medium decodes, every label is known, no example stands in two splits."""

    examples: tuple[Example, ...]
    tasks: tuple[Task, ...]
    media: Media

    def split(self, name: Split) -> tuple[Example, ...]:
        return tuple(example for example in self.examples if example.split == name)


def read_table(config: TrainConfig) -> Table:
    """Reads and checks the table that a config names; labels left open come from the training split.

    Raises TableError with every problem in it, each with its line.
    """
    media = open_media(config)
    examples, problems = read_examples(config.data, config.tasks, config.spec, media=media)
    problems += [
        f"no row is in the {split} split" for split in SPLITS if all(e.split != split for e in examples)
    ]
    tasks = tuple(_make_task(name, task, examples) for name, task in config.tasks.items())
    for task in tasks:
        problems += check_labels(task, config.tasks[task.name].separator, examples)
        problems += _check_task(task, examples)
    if problems:
        raise TableError([f"{config.data.table.name}: {problem}" for problem in problems])
    return Table(examples=examples, tasks=tasks, media=media)


def read_examples(
    data: DataConfig, tasks: Mapping[str, TaskConfig], spec: PreprocessSpec, *, media: Media | None = None
) -> tuple[tuple[Example, ...], list[str]]:
    """Every row that can be used, and the problems of the others. Raises TableError without the columns.

    media: decodes the files, and knows them from then on.
    """
    rows = list(read_rows(data.table))
    if not rows:
        raise TableError([f"{data.table.name}: holds no rows"])
    known: set[str] = set().union(*(cells for _, cells in rows if not isinstance(cells, str)))
    label_columns = {name: task.column or name for name, task in tasks.items()}
    missing = {*data.columns.values(), data.split, *label_columns.values()} - known
    if missing:
        raise TableError(
            [f"{data.table.name}: no column {column!r} among {sorted(known)}" for column in sorted(missing)]
        )
    examples: list[Example] = []
    problems: list[str] = []
    for line, cells in rows:
        found = cells if isinstance(cells, str) else _make_example(line, cells, data, label_columns)
        if isinstance(found, str):
            problems.append(f"line {line}: {found}")
        else:
            examples.append(found)
    media = media or Media(spec)
    problems += _check_texts(examples) + _check_files(examples, media)
    problems += _check_splits(examples, media.digests)
    return tuple(examples), problems


def read_rows(path: Path) -> Iterator[Row]:
    """Rows of a CSV, JSON Lines or Parquet file; a Parquet row's line counts from 1, as no header precedes.

    Raises TableError where the file cannot be read.
    """
    readers: dict[str, Callable[[Path], Iterator[Row]]] = {
        ".csv": _read_csv,
        ".jsonl": _read_jsonl,
        ".parquet": _read_parquet,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise TableError([f"{path}: not a table that is read ({', '.join(readers)})"])
    try:
        yield from reader(path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TableError([f"{path}: cannot be read: {error}"]) from error


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


def check_labels(task: Task, separator: str, examples: Sequence[Example]) -> list[str]:
    """Problems of one task's labels."""
    problems = []
    for example in examples:
        label = example.labels.get(task.name)
        if label is None:
            continue
        if task.type == "regression":
            try:
                finite = math.isfinite(float(label))
            except ValueError:
                finite = False
            if not finite:
                problems.append(f"line {example.line}: {task.name}: {label!r} is not a finite number")
            continue
        tags = [label] if task.type == "classification" else split_tags(label, separator)
        problems += [
            f"line {example.line}: {task.name}: unknown label {tag!r}"
            for tag in tags
            if tag not in task.labels
        ]
    return problems


def _check_task(task: Task, examples: Sequence[Example]) -> list[str]:
    """Whether there is anything to learn from."""
    if all(task.name not in example.labels for example in examples if example.split == "train"):
        return [f"{task.name}: no training row is labelled"]
    if task.type == "classification" and len(task.labels) < 2:
        return [f"{task.name}: the training split names one label; two are needed"]
    if task.type == "multilabel" and not task.labels:
        return [f"{task.name}: the training split names no label"]
    return []


def _read_csv(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, restval="", strict=True)
        for cells in reader:
            too_long = cells.pop(None, None)  # where DictReader puts cells past the header
            yield reader.line_num, "more cells than the header names" if too_long else cells


def _read_jsonl(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8") as file:
        for line, text in enumerate(file, start=1):
            if not text.strip():
                continue
            try:
                record = json.loads(text)
            except json.JSONDecodeError as error:
                yield line, f"not JSON: {error}"
                continue
            if isinstance(record, dict):
                yield line, {key: _cell(value) for key, value in record.items()}
            else:
                yield line, "not a JSON object"


def _read_parquet(path: Path) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        records = pyarrow.parquet.read_table(path).to_pylist()
    except pyarrow.ArrowException as error:
        raise TableError([f"{path}: cannot be read: {error}"]) from error
    for line, record in enumerate(records, start=1):
        yield line, {key: _cell(value) for key, value in record.items()}


def _cell(value: object) -> str:
    """A typed value as CSV would hold it; whole floats lose their point, so that 7.0 and 7 are one label."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, list):
        return ";".join(map(_cell, value)) or ";"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _make_example(
    line: int, cells: Mapping[str, str], data: DataConfig, label_columns: Mapping[str, str]
) -> Example | str:
    """An example, or what is wrong with the row."""
    written = {column: cell.strip() for column, cell in cells.items()}
    split = SPLIT_NAMES.get(written.get(data.split, "").lower())
    if split is None:
        return f"unknown split {written.get(data.split, '')!r} (train, validation and test are known)"
    text, image, audio = (written.get(column, "") for column in (data.text, data.image, data.audio))
    if not (text or image or audio):
        return "no text, no image and no sound"
    folder = data.table.parent
    return Example(
        line=line,
        split=split,
        text=text or None,
        image=folder / image if image else None,
        audio=folder / audio if audio else None,
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


def _check_splits(examples: Sequence[Example], digests: Mapping[Path, bytes]) -> list[str]:
    """An image or sound (by content), or a row of text alone, in two splits: the test would be dishonest."""
    seen: dict[tuple[str, str | bytes], Example] = {}
    problems = []
    for example in examples:
        keys: list[tuple[str, str | bytes]] = []
        if example.media == ("text",) and example.text:
            keys.append(("text", example.text))
        for medium, path in (("image", example.image), ("audio", example.audio)):
            if path is not None and path in digests:
                keys.append((medium, digests[path]))
        for key in keys:
            other = seen.setdefault(key, example)
            if other.split != example.split:
                problems.append(
                    f"line {example.line}: its {key[0]} is in the {example.split} split and, "
                    f"at line {other.line}, in the {other.split} split"
                )
    return problems


def _make_task(name: str, config: TaskConfig, examples: Sequence[Example]) -> Task:
    """Labels of the training split, sorted, unless the config lists them; prior: their mean target."""
    cells = [e.labels[name] for e in examples if e.split == "train" and name in e.labels]
    if config.type == "regression":
        values = [float(cell) for cell in cells if _is_number(cell)]
        return Task(name=name, type=config.type, prior=(float(np.mean(values)) if values else 0.0,))
    tags = [split_tags(c, config.separator) if config.type == "multilabel" else [c] for c in cells]
    counts = Counter(tag for row in tags for tag in row)
    labels = config.labels or tuple(sorted(counts))
    prior = tuple(counts[label] / max(len(cells), 1) for label in labels)
    return Task(name=name, type=config.type, labels=labels, prior=prior)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
