"""Scores every row of a table in process; goes on where a run was killed; lists the rows that failed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
AHEAD = 4  # times as many rows as jobs are asked at once, so that there is something to batch


@dataclass(frozen=True, kw_only=True)
class Scored:
    """failures: None where every row was answered."""

    answered: int
    failed: int
    failures: Path | None


class Scoring:
    """One table and where its predictions go. `run`, then `write`."""

    def __init__(
        self, engine: Engine, table: Path, out: Path, *, options: Options, keep: Sequence[str] = ()
    ) -> None:
        """keep: columns that the predictions shall have, too.

        Raises NotFoundError, SetupError, TableError. engine: open.
        """
        self._engine = engine
        self._options = options
        self._folder = table.parent
        self._keep = tuple(keep)
        self._out = out
        bundle = engine.catalog.find(options.model, options.version).bundle
        manifest = bundle.manifest
        self._columns = columns_of(
            manifest.tasks, bundle.spec.media, self._keep, attention=options.attention != "none"
        )
        self._write = writer_for(out)
        self._source = Columns.of(bundle.spec, manifest.training.get("data", {}))
        self._rows = _read_table(table, self._source, self._keep)
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
        todo = [row for row in self._rows if row[0] not in self._journal.done]
        concurrency = min(AHEAD * jobs, self._engine.settings.max_queue)
        with self._journal as journal:
            for record in each_in_order(self._score, todo, concurrency=concurrency):
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

    def _score(self, row: Row) -> dict[str, Any]:
        """A record of the journal."""
        line, cells = row
        try:
            if isinstance(cells, str):
                raise RequestError(f"{cells}.")
            raw = self._source.read(cells, self._folder)
            prediction = self._engine.predict_sync(raw, self._options)
        except TriadError as error:
            return {LINE: line, PROBLEM: _describe(error)}
        return {LINE: line, **{name: cells.get(name, "") for name in self._keep}, **row_of(prediction)}


def _describe(error: TriadError) -> dict[str, Any]:
    field = {} if error.field is None else {"field": error.field}
    return {"problem": reason_of(error.title), "detail": error.detail, **field}


def _read_table(table: Path, source: Columns, keep: Sequence[str]) -> list[Row]:
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
