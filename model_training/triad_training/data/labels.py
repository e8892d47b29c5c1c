"""Labels of a table: what they are to the network, and whether they can be learnt."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from triad_serving.contract.arrays import F32, I64
from triad_serving.contract.tasks import BLANK, Task
from triad_training.config.train_config import TaskConfig, TrainConfig
from triad_training.data.splits import SPLITS
from triad_training.media.example import Example


def make_task(name: str, config: TaskConfig, examples: Sequence[Example]) -> Task:
    """Labels of the training split, sorted, unless the config lists them; prior: their mean target."""
    cells = [e.labels[name] for e in examples if e.split == "train" and name in e.labels]
    if config.type == "regression":
        values = [float(cell) for cell in cells if _is_finite(cell)]
        return Task(name=name, type=config.type, prior=(float(np.mean(values)) if values else 0.0,))
    counts = Counter(tag for cell in cells for tag in tags_of(cell, config))
    labels = config.labels or tuple(sorted(counts))
    if config.type == "transcript":
        joiner = " " if config.unit == "word" else ""
        return Task(name=name, type=config.type, labels=labels, joiner=joiner)
    prior = tuple(counts[label] / max(len(cells), 1) for label in labels)
    return Task(name=name, type=config.type, labels=labels, prior=prior)


def split_targets(examples: Sequence[Example], tasks: Sequence[Task], config: TrainConfig) -> dict[str, F32]:
    """Targets by task, one row per example; see targets."""
    return {
        task.name: targets(task, config.tasks[task.name], [e.labels.get(task.name) for e in examples])
        for task in tasks
    }


def targets(task: Task, config: TaskConfig, labels: Sequence[str | None]) -> F32:
    """What the network shall answer, [N] class indices or values, [N, K] tags, or [N, most symbols of a
    transcript], see symbols; NaN where unlabelled."""
    if task.type == "transcript":
        return _transcripts(task, config, labels)
    position = {label: float(k) for k, label in enumerate(task.labels)}
    if task.type == "classification":
        values = [math.nan if label is None else position[label] for label in labels]
        return np.array(values, dtype=np.float32)
    if task.type == "regression":
        return np.array([math.nan if label is None else float(label) for label in labels], dtype=np.float32)
    tags_NK = np.full((len(labels), task.outputs), math.nan, dtype=np.float32)
    for n, label in enumerate(labels):
        if label is not None:
            chosen = set(split_tags(label, config.separator))
            tags_NK[n] = [tag in chosen for tag in task.labels]
    return tags_NK


def symbols(target_L: F32) -> I64:
    """Of one transcript's target, [symbols]: places among the task's outputs, task.outputs for one that it
    does not know."""
    said_U: I64 = target_L[target_L != BLANK].astype(np.int64)
    return said_U


def tokens_needed(said_U: I64) -> int:
    """Of a sound in which these symbols shall be heard: one for each, and a blank between two alike."""
    return len(said_U) + int((said_U[1:] == said_U[:-1]).sum())


def _transcripts(task: Task, config: TaskConfig, labels: Sequence[str | None]) -> F32:
    """Padded with blanks."""
    place = {symbol: BLANK + 1 + k for k, symbol in enumerate(task.labels)}
    rows = [None if label is None else tags_of(label, config) for label in labels]
    longest = max((len(row) for row in rows if row is not None), default=0)
    symbols_NL = np.full((len(rows), max(longest, 1)), BLANK, dtype=np.float32)
    for n, row in enumerate(rows):
        if row is None:
            symbols_NL[n] = math.nan
        else:
            symbols_NL[n, : len(row)] = [place.get(symbol, task.outputs) for symbol in row]
    return symbols_NL


def is_labelled(target: F32) -> bool:
    """Whether any row is."""
    return bool((~np.isnan(target)).any())


def split_tags(cell: str, separator: str) -> list[str]:
    """Tags of a multilabel cell; the separator alone means "labelled: none of them"."""
    return [tag.strip() for tag in cell.split(separator) if tag.strip()]


def tags_of(cell: str, config: TaskConfig) -> list[str]:
    """The labels that a cell names, a transcript's symbols one after another; none of a number."""
    match config.type:
        case "classification":
            return [cell]
        case "multilabel":
            return split_tags(cell, config.separator)
        case "transcript":
            return cell.split() if config.unit == "word" else list(cell)
        case "regression":
            return []


def check_labels(task: Task, config: TaskConfig, examples: Sequence[Example]) -> list[str]:
    """Problems of one task's labels."""
    problems = []
    known = set(task.labels)
    learnt = {example.line for example in examples if example.split == "train"}
    labelled = [
        (example.line, example.labels[task.name]) for example in examples if task.name in example.labels
    ]
    for line, cell in labelled:
        if task.type == "regression" and not _is_finite(cell):
            problems.append(f"line {line}: {task.name}: {cell!r} is not a finite number of single precision")
        if task.type == "transcript" and line not in learnt:
            continue  # what it never heard it gets wrong: see doubts_about
        unknown = [tag for tag in tags_of(cell, config) if tag not in known]
        problems += [
            f"line {line}: {task.name}: unknown label {tag!r}; {_listed(task, config)}" for tag in unknown
        ]
    return problems


def _listed(task: Task, config: TaskConfig) -> str:
    source = "the config lists" if config.labels else "the training rows name"
    return f"{source} {', '.join(task.labels[:12])}{', ...' if len(task.labels) > 12 else ''}"


def check_task(task: Task, examples: Sequence[Example]) -> list[str]:
    """Whether there is anything to learn from."""
    if all(task.name not in example.labels for example in examples if example.split == "train"):
        return [f"{task.name}: no training row is labelled"]
    if task.type == "classification" and len(task.labels) < 2:
        return [f"{task.name}: the training split names one label; two are needed"]
    if task.type == "multilabel" and not task.labels:
        return [f"{task.name}: the training split names no label"]
    if task.type == "transcript" and not task.labels:
        return [f"{task.name}: the training split has no symbol"]
    return []


def doubts_about(task: Task, config: TaskConfig, examples: Sequence[Example]) -> list[str]:
    """What a user should know of a task's labels before waiting for the training."""
    labelled = {name: [e for e in examples if e.split == name and task.name in e.labels] for name in SPLITS}
    lines: dict[str, list[int]] = {label: [] for label in task.labels}
    for example in labelled["train"]:
        for tag in dict.fromkeys(tags_of(example.labels[task.name], config)):
            lines[tag].append(example.line)
    found = [
        f"{task.name}: label {label!r} has one training row, line {rows[0]}: too few to learn it"
        if rows
        else f"{task.name}: label {label!r} has no training row: it will not be answered"
        for label, rows in lines.items()
        if len(rows) < 2
    ]
    if task.type == "transcript":
        found = _doubts_about_symbols(task, config, examples, {symbol: len(r) for symbol, r in lines.items()})
    if not labelled["validation"]:
        found.append(f"{task.name}: no validation row is labelled: its probabilities are not calibrated")
    if not labelled["test"]:
        found.append(f"{task.name}: no test row is labelled: it has no score")
    return found


def _doubts_about_symbols(
    task: Task, config: TaskConfig, examples: Sequence[Example], rows: Mapping[str, int]
) -> list[str]:
    """rows: how many of the training rows have each symbol. There may be thousands of symbols."""
    found = []
    if rare := [symbol for symbol, count in rows.items() if count < 2]:
        found.append(
            f"{task.name}: {len(rare)} of {len(rows)} symbols stand in one training row or none, such as "
            f"{', '.join(map(repr, rare[:4]))}: too few to learn them"
        )
    for split in dict.fromkeys(example.split for example in examples):
        cells = [e.labels[task.name] for e in examples if e.split == split and task.name in e.labels]
        strange = [set(tags_of(cell, config)) - rows.keys() for cell in cells]
        if count := sum(map(bool, strange)):
            others = sorted(set().union(*strange))
            found.append(
                f"{task.name}: {count} of {len(cells)} rows of the {split} split have symbols that no "
                f"training row has, such as {', '.join(map(repr, others[:4]))}: counted as wrong"
            )
    return found


def _is_finite(cell: str) -> bool:
    """Whether it is a number that float32 can hold: what the network computes with."""
    try:
        return abs(float(cell)) <= float(np.finfo(np.float32).max)
    except ValueError:
        return False
