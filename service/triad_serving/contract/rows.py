"""Rows of a table file, whatever its format: columns and cells as CSV would hold them."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from triad_serving.contract.errors import TableError

Row = tuple[int, Mapping[str, str] | str]  # line in the file; column -> cell, or what is wrong with it


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
    except UnicodeDecodeError as error:
        raise TableError([f"{path}: {_undecodable(path)}; save it as UTF-8"]) from error
    except OSError as error:
        raise TableError([f"{path}: cannot be read: {error.strerror}"]) from error


def _read_csv(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, restval=None, strict=True)
        try:
            _require_single(path, reader.fieldnames or ())
            for cells in reader:
                if None in cells:  # where DictReader puts cells past the header
                    yield reader.line_num, "more cells than the header names"
                elif None in cells.values():
                    yield reader.line_num, "fewer cells than the header names"
                else:
                    yield reader.line_num, cells
        except csv.Error as error:
            raise TableError([f"{path}: line {reader.reader.line_num}: {error}"]) from error


def _read_jsonl(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as file:
        for line, text in enumerate(file, start=1):
            if not text.strip():
                continue
            try:
                record = json.loads(text, object_pairs_hook=_single_keys)
            except ValueError as error:
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
        _require_single(path, pyarrow.parquet.read_schema(path).names)
        records = pyarrow.parquet.read_table(path).to_pylist()
    except pyarrow.ArrowException as error:
        raise TableError([f"{path}: cannot be read: {error}"]) from error
    for line, record in enumerate(records, start=1):
        yield line, {key: _cell(value) for key, value in record.items()}


def _require_single(path: Path, columns: Iterable[str]) -> None:
    repeated = [column for column, count in Counter(columns).items() if count > 1 and column]
    if repeated:
        raise TableError([f"{path}: two columns are named {column!r}" for column in repeated])


def _single_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    for key, count in Counter(key for key, _ in pairs).items():
        if count > 1:
            raise ValueError(f"{key!r} stands there twice")
    return dict(pairs)


def _undecodable(path: Path) -> str:
    """Where a file stops to be UTF-8."""
    with path.open("rb") as file:
        for line, data in enumerate(file, start=1):
            try:
                data.decode()
            except UnicodeDecodeError as error:
                return f"line {line}: byte {error.start + 1} of it, 0x{data[error.start]:02x}, is not UTF-8"
    return "it is not UTF-8"


def _cell(value: object) -> str:
    """A typed value as CSV would hold it; whole floats lose their point, so that 7.0 and 7 are one label."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, list):
        return ";".join(map(_cell, value)) or ";"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
