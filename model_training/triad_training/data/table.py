"""The table of examples: read, and checked whole before any training starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from triad_serving.contract.errors import TableError
from triad_serving.contract.outputs import MediumName
from triad_serving.contract.rows import Row, read_rows
from triad_serving.contract.tasks import Task
from triad_serving.media.example import PreprocessSpec
from triad_training.config.train_config import DataConfig, TaskConfig, TrainConfig
from triad_training.data.files import FileStore, open_files
from triad_training.data.labels import check_labels, check_task, doubts_about, make_task, tags_of
from triad_training.data.splits import SPLITS, Identity, draw_splits, find_leaks, split_named
from triad_training.media.example import Example
from triad_training.media.medium import AnyTrainingMedium
from triad_training.media.registry import MEDIA, present
from triad_training.media.stored import File


@dataclass(frozen=True, kw_only=True)
class Table:
    """A checked table: every medium decodes, every label is known, no example stands in two splits.

    warnings: what can be trained on but is likely not meant so.
    """

    examples: tuple[Example, ...]
    tasks: tuple[Task, ...]
    files: FileStore
    warnings: tuple[str, ...]

    def split(self, name: str) -> tuple[Example, ...]:
        return tuple(example for example in self.examples if example.split == name)


def read_table(config: TrainConfig) -> Table:
    """Reads and checks the table that a config names; labels left open come from the training split.

    Raises TableError with every problem in it, each with its line.
    """
    files = open_files(config)
    examples, problems = read_examples(config.data, config.tasks, config.spec, files=files)
    tasks = tuple(make_task(name, task, examples) for name, task in config.tasks.items())
    problems += _check_coverage(examples, () if config.optim.contrast else tasks, config.spec)
    learnt = _training_sources(examples)
    for medium, rows in learnt:
        problems += [f"{medium.serving.name}: {each}" for each in medium.problems(rows, config.data)]
    for task in tasks:
        problems += check_labels(task, config.tasks[task.name], examples)
        problems += check_task(task, examples)
    if problems:
        raise TableError([f"{config.data.table.name}: {problem}" for problem in problems])
    warnings = [
        warning for task in tasks for warning in doubts_about(task, config.tasks[task.name], examples)
    ]
    warnings += _repeats(examples)
    for medium, rows in learnt:
        warnings += [f"{medium.serving.name}: {each}" for each in medium.doubts(rows, config.data)]
    return Table(
        examples=examples,
        tasks=tasks,
        files=files,
        warnings=tuple(f"{config.data.table.name}: {warning}" for warning in warnings),
    )


def read_examples(
    data: DataConfig, tasks: Mapping[str, TaskConfig], spec: PreprocessSpec, *, files: FileStore | None = None
) -> tuple[tuple[Example, ...], list[str]]:
    """Every row that can be used, and the problems of the others. Raises TableError without the columns.

    files: decodes the files, and knows them from then on.
    """
    rows = list(read_rows(data.table))
    label_columns = {name: task.column or name for name, task in tasks.items()}
    _require_columns(rows, {*_columns(data), data.split, data.group, *label_columns.values()}, data.table)
    examples: list[Example] = []
    problems: list[str] = []
    for line, cells in rows:
        found = cells if isinstance(cells, str) else _make_example(line, cells, data, label_columns)
        if isinstance(found, str):
            problems.append(f"line {line}: {found}")
        elif found is not None:
            examples.append(found)
    files = files or FileStore(spec)
    problems += _check_sources(examples) + _check_files(examples, files)
    placed, leaks = _place(examples, data, tasks, files.digests)
    return placed, problems + leaks


def _columns(data: DataConfig) -> set[str]:
    return {column for medium in MEDIA for column in medium.columns(data)}


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


def _check_coverage(examples: Sequence[Example], tasks: Sequence[Task], spec: PreprocessSpec) -> list[str]:
    """Whether every split has rows, every encoder something to learn from, and validation a say.

    tasks: those by which epochs are compared.
    """
    problems = [f"no row is in the {name} split" for name in SPLITS if all(e.split != name for e in examples)]
    seen = {medium for example in examples if example.split == "train" for medium in example.media}
    problems += [
        f"no training row has {name}: set data.{name} = {medium.unread} to leave it out"
        for medium, _ in present(spec)
        for name in [medium.serving.name]
        if name not in seen
    ]
    validation = [example for example in examples if example.split == "validation"]
    if (
        tasks
        and validation
        and not any(task.name in example.labels for example in validation for task in tasks)
    ):
        problems.append("no validation row is labelled, so that no epoch could be called the best")
    return problems


def _training_sources(
    examples: Sequence[Example],
) -> list[tuple[AnyTrainingMedium, dict[int, Any]]]:
    """Of each medium that a training row has, what the training rows have of it, by line."""
    found = []
    for medium in MEDIA:
        sources = {e.line: e.of(medium.serving.name) for e in examples if e.split == "train"}
        rows = {line: source for line, source in sources.items() if source is not None}
        if rows:
            found.append((medium, rows))
    return found


def _repeats(examples: Sequence[Example]) -> list[str]:
    """Rows of one medium alone that a training row has, too: fine for the text "yes", a leak for a letter."""
    warnings = []
    for name in (medium.serving.name for medium in MEDIA if medium.may_coincide):
        alone = [example for example in examples if example.media == (name,)]
        learnt = {e.of(name): e.line for e in reversed(alone) if e.split == "train"}
        repeated = [e for e in alone if e.split != "train" and e.of(name) in learnt]
        if repeated:
            first = repeated[0]
            warnings.append(
                f"{len(repeated)} rows of {name} alone have a {name} that the train split has, too, the "
                f"first at line {first.line} (the {first.split} split) as at line "
                f"{learnt[first.of(name)]}: it may be remembered"
            )
    return warnings


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
    found = _sources(written, data)
    if all(source is None for source in found.values()):
        everything = _sources(written, data.with_all_media())
        outside = any(source is not None for source in everything.values())
        return None if outside else "no " + ", no ".join(found)
    return Example(
        line=line,
        split=split,
        group=written.get(data.group, "") if data.group else "",
        labels={name: label for name, column in label_columns.items() if (label := written.get(column))},
        **found,
    )


def _sources(written: Mapping[str, str], data: DataConfig) -> dict[MediumName, Any]:
    """Of each medium that is read; None where it is absent."""
    folder = data.table.parent
    return {
        medium.serving.name: medium.source(written, data, folder) for medium in MEDIA if medium.columns(data)
    }


def _check_sources(examples: Sequence[Example]) -> list[str]:
    """Checks all that lies in the table itself once; what many rows share is reported at its first."""
    problems = []
    for medium in MEDIA:
        name = medium.serving.name
        first: dict[Any, int] = {}
        for example in examples:
            if example.of(name) is not None:
                first.setdefault(example.of(name), example.line)
        for source, line in first.items():
            if (problem := medium.check(source)) is not None:
                problems.append(f"line {line}: {name}: {problem}")
    return problems


def _check_files(examples: Sequence[Example], store: FileStore) -> list[str]:
    """Decodes every file once; one that many rows share is reported at its first."""
    first: dict[File, int] = {}
    for example in examples:
        for medium, source in present(example):
            augmented = example.split == "train" and medium.serving.name in store.augmented
            for file in medium.files(source, augmented=augmented):
                first.setdefault(file, example.line)
    return [
        f"line {first[file]}: {file.form.medium}: {file.path}: {problem}"
        for file, problem in store.check(first).items()
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
        chance = {medium.serving.name for medium in MEDIA if medium.may_coincide}
        firm = [[identity for identity in shared if identity[0] not in chance] for shared in identities]
        return tuple(examples), find_leaks(lines, splits, firm)
    labels = [
        {f"{name} {tag}" for name, cell in example.labels.items() for tag in tags_of(cell, tasks[name])}
        for example in examples
    ]
    drawn = draw_splits(identities, labels, shares=data.shares, seed=data.split_seed)
    return tuple(replace(e, split=split) for e, split in zip(examples, drawn, strict=True)), []


def _identities(example: Example, data: DataConfig, digests: Mapping[Path, bytes]) -> list[Identity]:
    """What other splits must not hold: of what may coincide, only where the row has nothing else."""
    shared: list[Identity] = []
    for medium, source in present(example):
        if not medium.may_coincide or len(example.media) == 1:
            content = medium.identity(source, digests)
            if content is not None:
                shared.append((medium.serving.name, content))
    if example.group:
        shared.append((f"{data.group} {example.group!r}", b""))
    return shared or [("line", str(example.line).encode())]  # of files that cannot be read
