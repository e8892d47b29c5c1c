"""A table of predictions: its columns, a row of it, and the file."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from triad_serving.contract.disk import writing
from triad_serving.contract.errors import SetupError
from triad_serving.contract.tasks import Task
from triad_serving.inference.answer import Classification, Prediction, TaskPrediction, Transcript

LINE = "line"
Columns = Mapping[str, type]  # of str, float or int; an empty cell is None
Row = Mapping[str, Any]


def columns_of(
    tasks: Sequence[Task], media: Sequence[str], keep: Sequence[str], *, attention: bool
) -> Columns:
    """The table's line; the columns kept; of each task TASK (labels separated by ;), TASK_probability of a
    classification or transcript, TASK_attention_MEDIUM.

    Raises SetupError where a kept column would have the name of another.
    """
    columns: dict[str, type] = {LINE: int}
    for task in tasks:
        columns[task.name] = float if task.type == "regression" else str
        if task.type in ("classification", "transcript"):
            columns[f"{task.name}_probability"] = float
        if attention:
            columns |= {f"{task.name}_attention_{medium}": float for medium in media}
    if taken := sorted(columns.keys() & set(keep)):
        raise SetupError(f"The predictions have a column {taken[0]!r} of their own; it cannot be kept.")
    return {LINE: int, **dict.fromkeys(keep, str), **columns}


def row_of(prediction: Prediction) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, answer in prediction.predictions.items():
        row[name] = _value(answer)
        if isinstance(answer, Classification | Transcript):
            row[f"{name}_probability"] = answer.probability
        if answer.attention is not None:
            shares = answer.attention.modalities
            row |= {f"{name}_attention_{medium}": share for medium, share in shares.items()}
    return row


def _value(answer: TaskPrediction) -> str | float:
    match answer.type:
        case "classification":
            return answer.label
        case "multilabel":
            return ";".join(answer.labels)
        case "transcript":
            return answer.text
        case "regression":
            return answer.value


def writer_for(path: Path) -> Callable[[Columns, Iterable[Row]], None]:
    """Replaces the file when all is written. Raises SetupError where the name tells no format."""
    writers: dict[str, Callable[[Path, Columns, Iterable[Row]], None]] = {
        ".csv": _write_csv,
        ".jsonl": _write_jsonl,
        ".parquet": _write_parquet,
    }
    write = writers.get(path.suffix.lower())
    if write is None:
        raise SetupError(f"{path}: not a table that is written ({', '.join(writers)}).")
    if path.suffix.lower() == ".parquet":
        import_pyarrow()  # before hours of work

    def replace(columns: Columns, rows: Iterable[Row]) -> None:
        unfinished = path.with_name(f".{path.name}.unfinished")
        with writing(unfinished):
            write(unfinished, columns, rows)
            unfinished.replace(path)

    return replace


def _write_csv(path: Path, columns: Columns, rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def _write_jsonl(path: Path, columns: Columns, rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps({name: row.get(name) for name in columns}, ensure_ascii=False) + "\n")


def _write_parquet(path: Path, columns: Columns, rows: Iterable[Row]) -> None:
    pyarrow = import_pyarrow()
    types = {str: pyarrow.string(), float: pyarrow.float64(), int: pyarrow.int64()}
    schema = pyarrow.schema([(name, types[kind]) for name, kind in columns.items()])
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows), schema), path)


def import_pyarrow() -> Any:
    """Raises SetupError."""
    try:
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise SetupError("Parquet needs pyarrow: pip install triad-serving[tables]") from error
    return pyarrow
