"""Scores every row of a table in process; goes on where a run was killed; lists the rows that failed."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from triad_serving.contract.disk import writing
from triad_serving.contract.errors import RequestError, SetupError, TableError, TriadError, reason_of
from triad_serving.contract.in_order import each_in_order
from triad_serving.contract.rows import Row, read_rows
from triad_serving.engine.engine import Engine
from triad_serving.inference.bundle import MODEL_FILE
from triad_serving.inference.options import Options
from triad_serving.media.table import Columns
from triad_serving.scoring.journal import Journal
from triad_serving.scoring.prediction_table import LINE, columns_of, import_pyarrow, row_of, writer_for

PROBLEM = "problem"  # of a record in the journal
Record: TypeAlias = dict[str, Any]  # of the journal
AHEAD = 4  # times as many rows as jobs are asked at once, so that there is something to batch


@dataclass(frozen=True, kw_only=True)
class Scored:
    """failures: None where every row was answered."""

    answered: int
    failed: int
    failures: Path | None


@dataclass(frozen=True, kw_only=True)
class RowScorer:
    """What it takes beside an engine to score a row; folder: which files in cells are relative to."""

    source: Columns
    folder: Path
    options: Options
    keep: tuple[str, ...]

    def score(self, engine: Engine, row: Row) -> Record:
        """Of a row that cannot be answered it says why."""
        line, cells = row
        try:
            if isinstance(cells, str):
                raise RequestError(f"{cells}.")
            raw = self.source.read(cells, self.folder)
            prediction = engine.predict_sync(raw, self.options)
        except TriadError as error:
            return {LINE: line, PROBLEM: describe_failure(error)}
        return {LINE: line, **{name: cells.get(name, "") for name in self.keep}, **row_of(prediction)}


class Scoring:
    """One table and where its predictions go. `run`, then `write`."""

    def __init__(
        self, engine: Engine, table: Path, out: Path, *, options: Options, keep: Sequence[str] = ()
    ) -> None:
        """keep: columns that the predictions shall have, too.

        Raises NotFoundError, SetupError, TableError. engine: open.
        """
        self._engine = engine
        self._out = out
        bundle = engine.catalog.find(options.model, options.version).bundle
        manifest = bundle.manifest
        self._columns = columns_of(
            manifest.tasks, bundle.spec.media, keep, attention=options.attention != "none"
        )
        self._write = writer_for(out)
        source = Columns.of(bundle.spec, manifest.training.get("data", {}))
        self._scorer = RowScorer(source=source, folder=table.parent, options=options, keep=tuple(keep))
        self._rows = read_table(table, source, keep)
        about = {
            "table": hashlib.sha256(table.read_bytes()).hexdigest(),
            "model": f"{manifest.name}/{manifest.version}",
            "graph": manifest.files[MODEL_FILE],
            "columns": list(self._columns),
        }
        self._journal = Journal(out.with_name(f"{out.name}.journal"), about)

    @property
    def total(self) -> int:
        """Rows of the table."""
        return len(self._rows)

    @property
    def done(self) -> int:
        """Rows that were scored, by an earlier run, too."""
        return len(self._journal.done)

    def run(self, jobs: int) -> Iterator[None]:
        """Yields when a row is done. jobs: threads of the engine."""
        concurrency = min(AHEAD * jobs, self._engine.settings.max_queue)
        score = functools.partial(self._scorer.score, self._engine)
        yield from self.run_by(lambda _, rows: each_in_order(score, rows, concurrency=concurrency))

    def run_by(self, records: Callable[[RowScorer, Sequence[Row]], Iterable[Record]]) -> Iterator[None]:
        """The same, by whatever makes records of the rows that are left, in their order."""
        todo = [row for row in self._rows if row[0] not in self._journal.done]
        with self._journal as journal:
            for record in records(self._scorer, todo):
                journal.add(record)
                yield

    def write(self) -> Scored:
        """The tables of predictions and of failures; the journal goes. Raises DiskError."""
        records = self._journal.records
        self._write(self._columns, (record for record in records() if PROBLEM not in record))
        failed = [record for record in records() if PROBLEM in record]
        failures = self._out.with_name(f"{self._out.name}.failures.jsonl")
        if failed:
            with writing(failures), failures.open("w", encoding="utf-8") as file:
                lines = ({LINE: record[LINE], **record[PROBLEM]} for record in failed)
                file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        else:
            failures.unlink(missing_ok=True)
        self._journal.path.unlink()
        answered = self.done - len(failed)
        return Scored(answered=answered, failed=len(failed), failures=failures if failed else None)


def describe_failure(error: TriadError) -> dict[str, Any]:
    field = {} if error.field is None else {"field": error.field}
    return {"problem": reason_of(error.title), "detail": error.detail, **field}


def read_table(table: Path, source: Columns, keep: Sequence[str]) -> list[Row]:
    """Raises SetupError, TableError."""
    if table.suffix.lower() == ".parquet":
        import_pyarrow()
    rows = list(read_rows(table))
    known: set[str] = set().union(*(cells for _, cells in rows if isinstance(cells, Mapping)))
    if not rows:
        raise TableError([f"{table.name}: holds no rows"])
    if not known & set(source.names):
        wanted = _list(source.names)
        raise TableError([f"{table.name}: has none of the columns that the model reads: {wanted}"])
    if missing := sorted(set(keep) - known):
        raise SetupError(f"{table.name}: no column {missing[0]!r} among {_list(sorted(known))}.")
    return rows


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)
