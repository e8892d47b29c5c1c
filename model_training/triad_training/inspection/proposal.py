"""What a table is, column by column, and the choices of the config that suits it. Read `propose`."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from triad_serving.contract.errors import ConfigError, TableError
from triad_serving.contract.rows import read_rows
from triad_training.data.splits import split_named
from triad_training.inspection.labels import MOST_CLASSES, Labels, is_named_target, labels_of, transcript_of
from triad_training.inspection.leaks import gives_away, says_the_same
from triad_training.inspection.splits import (
    group_columns,
    half_split_columns,
    more_splits,
    names_rows,
    respects,
    split_columns,
)
from triad_training.media.column import Choice, Column
from triad_training.media.inspection import MediaFound, fields_choices, find_media


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """left_out: columns that are not used, each with the reason. guessed: those that nobody asked for."""

    rows: int
    choices: tuple[Choice, ...]
    left_out: tuple[tuple[str, str], ...]
    guessed: tuple[str, ...]


def read_columns(table: Path) -> list[Column]:
    """Rows that cannot be read are left to the training, which names each. Raises TableError."""
    rows = [cells for _, cells in read_rows(table) if not isinstance(cells, str)]
    if not rows:
        raise TableError([f"{table.name}: holds no rows"])
    names = dict.fromkeys(name for cells in rows for name in cells if name)
    return [Column(name=name, cells=tuple(cells.get(name, "").strip() for cells in rows)) for name in names]


def propose(columns: Sequence[Column], folder: Path, targets: Sequence[str] = ()) -> Proposal:
    """folder: of the table. targets: columns that shall be answered; without, a guess. Raises ConfigError."""
    _require_known(targets, columns)
    left_out: list[tuple[str, str]] = []
    rest = []
    for column in columns:
        if column.distinct < 2 and column.name not in targets:
            left_out.append((column.name, "says the same in every row" if column.filled else "is empty"))
        else:
            rest.append(column)
    free = [column for column in rest if column.name not in targets]

    splits, halves = split_columns(free), half_split_columns(free)
    left_out += [(column.name, "another column of splits") for column in splits[1:]]
    left_out += [(column.name, "names splits, but not all of train, validation, test") for column in halves]
    free = [column for column in free if column not in (*splits, *halves)]
    media = find_media(free, folder)
    asked = _labels([column for column in rest if column.name in targets], media, wanted=True)
    if any(labels.type == "transcript" for labels in asked):
        media = find_media(free, folder, transcribed=True)
    free = [column for column in free if column.name not in media.taken]
    groups = group_columns(free)
    free = [column for column in free if column not in groups]
    left_out += [(c.name, "another value in every row: it names the row") for c in free if names_rows(c)]
    free = [column for column in free if not names_rows(column)]

    tasks, doubles = _drop_doubles(asked or _guess(free, media), media)
    left_out += doubles
    answered = {labels.column.name for labels in tasks}
    fields, unfit = _fields([column for column in free if column.name not in answered | dict(doubles).keys()])
    left_out += unfit
    if not tasks and media.spoken and media.prose is not None and len(media.read) == 2:
        spoken = media.prose.name
        return dataclasses.replace(propose(columns, folder, [spoken]), guessed=(spoken,))
    if not tasks and len(media.read) < 2:
        raise ConfigError("No column looks like something to learn; name one with --target.")
    copies = {column.name: task for column in fields for task in tasks if gives_away(column, task)}
    split = splits[0] if splits else None
    choices = [
        *media.choices,
        *_field_choices(fields, copies),
        *_split_choices(split, groups),
        *(choice for labels in tasks for choice in _task_choices(labels, split)),
    ]
    if not tasks:
        why = "no column to answer, so what stands in one row shall find each other; search with triad index"
        choices.append(Choice(section="optim", key="contrast", value=1.0, why=why))
    return Proposal(
        rows=len(columns[0].cells),
        choices=tuple(choices),
        left_out=tuple(left_out),
        guessed=tuple(labels.column.name for labels in tasks if not targets),
    )


def _require_known(targets: Sequence[str], columns: Sequence[Column]) -> None:
    known = [column.name for column in columns]
    for target in targets:
        if target not in known:
            raise ConfigError(f"--target: the table has no column {target!r}; it has {', '.join(known)}.")


def _labels(columns: Sequence[Column], media: MediaFound, *, wanted: bool = False) -> list[Labels]:
    """wanted: somebody asked for each; raises ConfigError where one holds nothing to learn."""
    found = [labels_of(column) for column in columns]
    if wanted and media.spoken:
        found = [labels or transcript_of(column) for column, labels in zip(columns, found, strict=True)]
    for column, labels in zip(columns, found, strict=True):
        if wanted and labels is None:
            raise ConfigError(
                f"--target {column.name}: {column.distinct} different values in {len(column.filled)} rows, "
                f"which are neither numbers nor at most {MOST_CLASSES} classes or tags that come again."
            )
    return [labels for labels in found if labels is not None]


def _guess(free: Sequence[Column], media: MediaFound) -> list[Labels]:
    """Columns that are named as targets; beside media, all that have classes or tags, too; else the last."""
    possible = _labels(free, media)
    named = [labels for labels in possible if is_named_target(labels.column)]
    if media.read:
        return [each for each in possible if each in named or each.type != "regression"] or possible[-1:]
    return named or possible[-1:]


def _drop_doubles(tasks: Sequence[Labels], media: MediaFound) -> tuple[list[Labels], list[tuple[str, str]]]:
    """Without those that another one, or what is read, gives away one to one."""
    kept: list[Labels] = []
    doubles = []
    for labels in tasks:
        others = [*media.read, *(k.column for k in kept)]
        twin = next((other for other in others if says_the_same(labels.column, other)), None)
        if twin is None:
            kept.append(labels)
        else:
            doubles.append((labels.column.name, f"says the same as {twin.name}, in other words"))
    return kept, doubles


def _fields(columns: Sequence[Column]) -> tuple[list[Column], list[tuple[str, str]]]:
    """Columns of numbers, and those of few values; the others with what keeps them out."""
    fields, unfit = [], []
    for column in columns:
        if column.numbers is not None or column.distinct <= MOST_CLASSES:
            fields.append(column)
        else:
            unfit.append((column.name, f"{column.distinct} different values: no category comes often"))
    return fields, unfit


def _field_choices(fields: Sequence[Column], copies: dict[str, Labels]) -> Iterator[Choice]:
    left = [
        (c, f"{copies[c.name].column.name} nearly follows from it: only if it is known when you ask")
        for c in fields
        if c.name in copies
    ]
    own = [column for column in fields if column.name not in copies]
    numeric = [column for column in own if column.numbers is not None and column.distinct > 2]
    categorical = [column for column in own if column not in numeric]
    yield from fields_choices(numeric, categorical, left)


def _split_choices(split: Column | None, groups: Sequence[Column]) -> Iterator[Choice]:
    if split is None:
        why = "no column of splits: training, validation and test rows are drawn"
        yield Choice(section="data", key="split", value="", why=why)
    else:
        why = ", ".join(f"{value}: {count} rows" for value, count in split.counts.most_common())
        yield Choice(section="data", key="split", value=split.name, why=why)
        if more := more_splits(split):
            yield Choice(section="data", key="more_splits", value=more, why="measured as test is")
    for n, group in enumerate(groups):
        shared = f"{group.distinct} different values in {len(group.filled)} rows"
        if split is not None and not respects(group, split):
            why = f"{shared}, some of them in two splits: test rows may be known from training"
            yield Choice(section="data", key="group", value=group.name, why=why, off=True)
        elif n:
            why = f"{shared}; instead of {groups[0].name}, if its rows are more alike"
            yield Choice(section="data", key="group", value=group.name, why=why, off=True)
        else:
            why = f"{shared}: all rows of one stand in one split"
            yield Choice(section="data", key="group", value=group.name, why=why)


def _task_choices(labels: Labels, split: Column | None) -> Iterator[Choice]:
    column = labels.column
    name = task_name(column.name)
    section = f"tasks.{name}"
    yield Choice(section=section, key="type", value=labels.type, why=labels.why)
    if name != column.name:
        yield Choice(section=section, key="column", value=column.name, why="as the table calls it")
    if labels.type == "multilabel":
        yield Choice(
            section=section, key="separator", value=labels.separator, why="between the tags of a cell"
        )
    if split is not None and (late := _only_elsewhere(labels, split)):
        why = f"no training row has {', '.join(late)}: it is never answered"
        yield Choice(section=section, key="labels", value=labels.values, why=why)
    if labels.unit:
        yield Choice(section=section, key="unit", value=labels.unit, why="what is heard one after the other")
    if labels.uneven:
        yield Choice(section=section, key="imbalance", value="weights", why=labels.uneven)


def _only_elsewhere(labels: Labels, split: Column) -> list[str]:
    """Labels without a training row: unless the config lists them, training takes them for mistakes."""
    trained = [
        cell
        for cell, name in zip(labels.column.cells, split.cells, strict=True)
        if cell and split_named(name) == "train"
    ]
    if labels.type == "multilabel":
        trained = [tag.strip() for cell in trained for tag in cell.split(labels.separator)]
    return sorted(set(labels.values) - set(trained))


def task_name(column: str) -> str:
    """As a task may be called: letters, digits, underscores."""
    name = re.sub(r"[^A-Za-z0-9_]+", "_", column).strip("_")
    return name if re.match(r"[A-Za-z_]", name) else f"task_{name}".rstrip("_")
