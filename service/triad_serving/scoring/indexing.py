"""A table of examples in, an index of their vectors out; goes on where a run was killed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from triad_serving.contract.errors import RequestError, SetupError, TableError, TriadError
from triad_serving.contract.in_order import each_in_order
from triad_serving.contract.rows import Row
from triad_serving.engine.engine import Engine
from triad_serving.inference.bundle import MODEL_FILE
from triad_serving.inference.embedding import FUSED
from triad_serving.media.table import Columns
from triad_serving.scoring.score import AHEAD, describe_failure, read_table
from triad_serving.search.index import fold
from triad_serving.search.media import media_of
from triad_serving.search.store import ROW_ID, ROWS_FILE, About, Cell, Kind, NewRow, Storage, Store

NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?")  # no 007: that is a name
ROWS_AT_ONCE = 64  # of one transaction: what a kill costs


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """row_id: the column that names rows; empty: their lines do. keep: columns to filter by and to answer;
    None: all that hold no medium. show_media: whether a service may show the rows' texts and files.
    """

    vectors: Storage = "float32"
    row_id: str = ""
    keep: Sequence[str] | None = None
    show_media: bool = False


@dataclass(frozen=True, kw_only=True)
class _Failure:
    line: int
    error: TriadError


class Indexing:
    """One table and its index. `run`, then `finish`."""

    def __init__(self, engine: Engine, table: Path, out: Path, recipe: Recipe) -> None:
        """engine: open; its default model. Raises SetupError, TableError."""
        self._engine = engine
        bundle = engine.catalog.find().bundle
        manifest = bundle.manifest
        self._source = Columns.of(bundle.spec, manifest.training.get("data", {}))
        self._rows = read_table(table, self._source, list(recipe.keep or []))
        self._folder = table.parent
        self._out = out
        self._ids = _row_ids(self._rows, recipe.row_id)
        media = self._source.media.values()
        known = list(
            dict.fromkeys(name for _, cells in self._rows if isinstance(cells, Mapping) for name in cells)
        )
        keep = [name for name in known if name not in media] if recipe.keep is None else recipe.keep
        about = About(
            bundle=str(bundle.path.absolute()),
            model=manifest.name,
            version=manifest.version,
            graph=manifest.files[MODEL_FILE],
            parts=(*bundle.spec.media, FUSED),
            vectors=recipe.vectors,
            columns={name: _kind(self._rows, name) for name in keep},
            table=hashlib.sha256(table.read_bytes()).hexdigest(),
            options={"id": recipe.row_id, "show_media": recipe.show_media},
            media_root=str(table.parent.resolve()) if recipe.show_media else None,
        )
        self._store = Store(out) if (out / ROWS_FILE).exists() else Store.create(out, about)
        if self._store.about.model_copy(update={"width": 0}) != about:
            raise SetupError(
                f"{out} was begun with another table, model or options; delete it to begin anew."
            )
        self._done = self._store.ids()

    @property
    def total(self) -> int:
        """Rows of the table."""
        return len(self._rows)

    @property
    def done(self) -> int:
        """Rows that are in, or failed, by an earlier run, too."""
        return len(self._rows) - len(self._todo)

    @property
    def _todo(self) -> list[Row]:
        """None of an index that is complete: rows that were deleted since do not come back."""
        if self._store.complete:
            return []
        failed = self._store.failures().keys()
        return [row for row in self._rows if self._ids[row[0]] not in self._done and row[0] not in failed]

    def run(self, jobs: int) -> Iterator[None]:
        """Yields when a row is done. jobs: threads of the engine."""
        concurrency = min(AHEAD * jobs, self._engine.settings.max_queue)
        embedded: list[NewRow] = []
        for each in each_in_order(self._embed, self._todo, concurrency=concurrency):
            if isinstance(each, NewRow):
                embedded.append(each)
            else:
                self._store.fail(each.line, describe_failure(each.error))
            if len(embedded) == ROWS_AT_ONCE:
                self._put(embedded)
                embedded = []
            yield
        self._put(embedded)

    def finish(self, jobs: int, *, on_vectors: Callable[[int, int], object]) -> dict[int, dict[str, object]]:
        """Makes the files of vectors; returns the lines that failed, and why. on_vectors: see `fold`.

        Raises DiskError, SetupError.
        """
        if not self._store.about.width:
            first = next(iter(self._store.failures().values()))["detail"]
            raise SetupError(f"No row of the table can be embedded; the first: {first}")
        if not self._store.complete:
            self._store.finish()
        failures = self._store.failures()
        self._store.close()
        fold(self._out, threads=jobs, on_vectors=on_vectors)
        return failures

    def _embed(self, row: Row) -> NewRow | _Failure:
        line, cells = row
        try:
            if isinstance(cells, str):
                raise RequestError(f"{cells}.")
            raw = self._source.read(cells, self._folder)
            embedding = self._engine.embed_sync(raw)
        except TriadError as error:
            return _Failure(line=line, error=error.without_tracebacks())
        about = self._store.about
        paths = {name: cells.get(column, "").strip() for name, column in self._source.media.items()}
        return NewRow(
            id=self._ids[line],
            columns={name: _cell(cells.get(name, ""), kind) for name, kind in about.columns.items()},
            vectors_D=embedding.vectors_D,
            media=media_of(raw, embedding.inputs, paths) if about.media_root is not None else {},
        )

    def _put(self, rows: Sequence[NewRow]) -> None:
        if rows and not self._store.about.width:
            width = len(rows[0].vectors_D[FUSED])
            self._store.set_about(self._store.about.model_copy(update={"width": width}))
        self._store.put(rows)


def _row_ids(rows: Sequence[Row], column: str) -> dict[int, str]:
    """By line. Raises TableError."""
    found: dict[int, str] = {}
    problems, seen = [], set()
    for line, cells in rows:
        row_id = cells.get(column, "").strip() if column and isinstance(cells, Mapping) else str(line)
        if row_id in seen or not ROW_ID.fullmatch(row_id):
            problems.append(
                f"line {line}: {row_id[:80]!r} names no row: it is empty, has a /, or stood there before"
            )
        seen.add(row_id)
        found[line] = row_id
    if problems:
        raise TableError(problems)
    return found


def _kind(rows: Sequence[Row], column: str) -> Kind:
    cells = [cells.get(column, "").strip() for _, cells in rows if isinstance(cells, Mapping)]
    filled = [cell for cell in cells if cell]
    return "number" if filled and all(NUMBER.fullmatch(cell) for cell in filled) else "string"


def _cell(written: str, kind: Kind) -> Cell:
    cell = written.strip()
    if not cell or kind == "string":
        return cell or None
    return int(cell) if re.fullmatch(r"-?[0-9]{1,15}", cell) else float(cell)
