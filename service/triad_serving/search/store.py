"""The truth of an index: one SQLite file with its rows, their columns, vectors and media.

A row has a key, which is never used again: a row that is replaced gets a new one. So all that came after a
moment has a higher key, and what was deleted is a key that is no longer there. Every change is on the disk
(WAL, synchronous=FULL) before it is acknowledged; any number of processes read and write.

Shape letters: D numbers of a vector, N rows.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from triad_serving.contract.arrays import F32, I64
from triad_serving.contract.errors import DiskError, ForbiddenError, OverloadedError, SetupError
from triad_serving.inference.embedding import PARTS

ROWS_FILE = "rows.sqlite"
ROW_ID = re.compile(r"[^/\x00-\x1f\x7f]{1,200}")  # one segment of a path
BUSY_S = 10.0  # how long a change waits for another process's
MAPPED_BYTES = 2**31 - 1  # of the file: pages are read without a system call each
PIECE = 10_000  # vectors that are read at once
NO_MEDIA = "{}"
AT_ONCE = 500  # keys of one statement; SQLite takes 32766 variables
Kind: TypeAlias = Literal["number", "string"]
Storage: TypeAlias = Literal["float32", "float16", "int8"]
Cell: TypeAlias = str | int | float | None


class About(BaseModel):
    """What all of an index is made with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[1] = 1
    bundle: str  # where it was, to be found again
    model: str
    version: str
    graph: str  # SHA-256 of model.onnx
    parts: tuple[str, ...]  # media of the model, and "fused"
    width: int = 0  # numbers of a vector; 0 before the first row
    vectors: Storage = "float32"
    columns: dict[str, Kind]
    table: str  # SHA-256
    options: dict[str, str | bool]
    media_root: str | None = None  # which media's paths are relative to; None: they are not shown


@dataclass(frozen=True, kw_only=True)
class Medium:
    """What can be shown of a row's medium: a file by its path, or what was sent itself."""

    type: str
    path: str | None = None
    content: str | bytes | None = None


@dataclass(frozen=True, kw_only=True)
class NewRow:
    """vectors_D: by part."""

    id: str
    columns: Mapping[str, Cell]
    vectors_D: Mapping[str, F32]
    media: Mapping[str, Medium] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Row:
    key: int
    id: str
    columns: dict[str, str | int | float]  # that are known
    media: dict[str, dict[str, Any]]  # what of `Medium` is small


@dataclass(frozen=True, kw_only=True)
class State:
    """last: the highest key ever. generation: of the files that hold keys up to `folded`."""

    last: int
    generation: int
    folded: int


class Store:
    """Each thread has a connection of its own, opened when it first asks: none outlives a fork."""

    def __init__(self, folder: Path) -> None:
        """Raises SetupError where the folder holds no complete index."""
        self.path = folder / ROWS_FILE
        self._local = threading.local()
        if not self.path.exists():
            raise SetupError(f"{folder} is no index: it has no {ROWS_FILE}.")
        self.about, self.complete = self._read_about(folder)
        self._columns = tuple(self.about.columns)
        self._selected = ", ".join(["key", "id", "media", *(f"c{i}" for i in range(len(self._columns)))])

    @classmethod
    def create(cls, folder: Path, about: About) -> Store:
        folder.mkdir(parents=True, exist_ok=True)
        kinds = {"number": "NUMERIC", "string": "TEXT"}
        columns = "".join(f", c{i} {kinds[kind]}" for i, kind in enumerate(about.columns.values()))
        connection = _connect(folder / ROWS_FILE)
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("CREATE TABLE about (name TEXT PRIMARY KEY, value ANY)")
            connection.execute(
                "CREATE TABLE rows (key INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL,"
                f" media TEXT NOT NULL{columns})"
            )
            for part in about.parts:
                connection.execute(
                    f"CREATE TABLE {_table(part)} (key INTEGER PRIMARY KEY, vector BLOB NOT NULL)"
                )
            connection.execute(
                "CREATE TABLE contents (key INTEGER, medium TEXT, content, PRIMARY KEY (key, medium))"
            )
            connection.execute("CREATE TABLE failures (line INTEGER PRIMARY KEY, problem TEXT NOT NULL)")
            connection.executemany(
                "INSERT INTO about VALUES (?, ?)",
                [("about", about.model_dump_json()), ("complete", 0), ("generation", 0), ("folded", 0)],
            )
        connection.close()
        return cls(folder)

    def _read_about(self, folder: Path) -> tuple[About, bool]:
        try:
            connection = _connect(self.path)
            with closing(connection):
                found = dict(connection.execute("SELECT name, value FROM about"))
            return About.model_validate_json(found["about"]), bool(found["complete"])
        except (sqlite3.DatabaseError, KeyError, ValidationError) as error:
            raise SetupError(f"{folder} is no index that can be read: {error}.") from error

    @property
    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = _connect(self.path)
        return connection

    def close(self) -> None:
        """This thread's connection; the last of all takes the write-ahead log into the file."""
        if getattr(self._local, "connection", None) is not None:
            self._local.connection.close()
            self._local.connection = None

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """A transaction, on the disk when it ends.

        Raises OverloadedError where others hold it up, ForbiddenError where the folder may only be read,
        DiskError where the disk is full.
        """
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise OverloadedError(f"The index is being changed by others for {BUSY_S:g} s.") from error
        try:
            yield connection
            connection.commit()
        except sqlite3.OperationalError as error:
            connection.rollback()
            if error.sqlite_errorname == "SQLITE_READONLY":
                raise ForbiddenError("The index lies in a folder that may not be written to.") from error
            if error.sqlite_errorname == "SQLITE_FULL":
                raise DiskError("The disk that the index lies on is full.") from error
            raise
        except BaseException:
            connection.rollback()
            raise

    # Changes

    def put(self, rows: Sequence[NewRow]) -> None:
        """Adds rows, or replaces those of the same id; all or none."""
        names = ", ".join(["id", "media", *(f"c{i}" for i in range(len(self._columns)))])
        places = ", ".join("?" * (2 + len(self._columns)))
        with self.changing() as connection:
            for row in rows:
                self._delete(connection, row.id)
                shown = {
                    name: {"type": each.type, **({"path": each.path} if each.path is not None else {})}
                    for name, each in row.media.items()
                }
                cells = [row.columns.get(name) for name in self._columns]
                key = connection.execute(
                    f"INSERT INTO rows ({names}) VALUES ({places})",
                    [row.id, json.dumps(shown), *cells],
                ).lastrowid
                for part, vector_D in row.vectors_D.items():
                    data = np.ascontiguousarray(vector_D, "<f4").tobytes()
                    connection.execute(f"INSERT INTO {_table(part)} VALUES (?, ?)", (key, data))
                for name, each in row.media.items():
                    if each.content is not None:
                        connection.execute("INSERT INTO contents VALUES (?, ?, ?)", (key, name, each.content))

    def delete(self, row_id: str) -> bool:
        """Whether it was there."""
        with self.changing() as connection:
            return self._delete(connection, row_id)

    def _delete(self, connection: sqlite3.Connection, row_id: str) -> bool:
        found = connection.execute("DELETE FROM rows WHERE id = ? RETURNING key", (row_id,)).fetchone()
        if found is None:
            return False
        for table in ("contents", *map(_table, self.about.parts)):
            connection.execute(f"DELETE FROM {table} WHERE key = ?", found)
        return True

    def fail(self, line: int, problem: Mapping[str, Any]) -> None:
        """Notes that a line of the table is no row, and why."""
        with self.changing() as connection:
            connection.execute("INSERT OR REPLACE INTO failures VALUES (?, ?)", (line, json.dumps(problem)))

    def set_about(self, about: About) -> None:
        with self.changing() as connection:
            connection.execute("UPDATE about SET value = ? WHERE name = 'about'", (about.model_dump_json(),))
        self.about = about

    def finish(self) -> None:
        """All of the table is in: columns can be filtered by fast, and the index may be served."""
        with self.changing() as connection:
            for i in range(len(self._columns)):
                connection.execute(f"CREATE INDEX IF NOT EXISTS by_c{i} ON rows (c{i})")
            connection.execute("UPDATE about SET value = 1 WHERE name = 'complete'")
        self.complete = True

    def fold(self, generation: int, folded: int) -> None:
        """From now on the files of that generation hold the keys up to `folded`."""
        with self.changing() as connection:
            connection.execute("UPDATE about SET value = ? WHERE name = 'generation'", (generation,))
            connection.execute("UPDATE about SET value = ? WHERE name = 'folded'", (folded,))

    # Questions

    def state(self) -> State:
        last, generation, folded = self._connection.execute(
            "SELECT (SELECT seq FROM sqlite_sequence WHERE name = 'rows'),"
            " (SELECT value FROM about WHERE name = 'generation'),"
            " (SELECT value FROM about WHERE name = 'folded')"
        ).fetchone()
        return State(last=last or 0, generation=generation, folded=folded)

    def count(self) -> int:
        (count,) = self._connection.execute("SELECT count(*) FROM rows").fetchone()
        return int(count)

    def count_vectors(self, part: str) -> int:
        (count,) = self._connection.execute(f"SELECT count(*) FROM {_table(part)}").fetchone()
        return int(count)

    def ids(self) -> set[str]:
        return {row_id for (row_id,) in self._connection.execute("SELECT id FROM rows")}

    def failures(self) -> dict[int, dict[str, Any]]:
        found = self._connection.execute("SELECT line, problem FROM failures ORDER BY line")
        return {line: json.loads(problem) for line, problem in found}

    def vectors(self, part: str, *, after: int, until: int) -> Iterator[tuple[I64, F32]]:
        """Keys [N] and vectors_ND of a part with after < key <= until, piece by piece.

        Of all parts of the table alike from the beginning on, however it is sorted: multiplied by 2**32 over
        the golden ratio, neighbours lie far apart (Knuth, The Art of Computer Programming 3, 6.4). Without a
        LIMIT, SQLite takes no notice of the order of a subquery.
        """
        table = _table(part)
        found = self._connection.execute(
            f"SELECT key, vector FROM (SELECT key FROM {table} WHERE key > ? AND key <= ?"
            f" ORDER BY key * 2654435769 % 4294967296 LIMIT -1) CROSS JOIN {table} USING (key)",
            (after, until),
        )
        while piece := found.fetchmany(PIECE):
            keys_N = np.array([key for key, _ in piece], np.int64)
            yield keys_N, np.frombuffer(b"".join(data for _, data in piece), "<f4").reshape(len(piece), -1)

    def rows(self, keys: Sequence[int], condition: Condition) -> dict[int, Row]:
        """Those of the keys that are there and meet the condition."""
        found: dict[int, Row] = {}
        for start in range(0, len(keys), AT_ONCE):
            some = keys[start : start + AT_ONCE]
            marks = ",".join("?" * len(some))
            for key, row_id, media, *cells in self._connection.execute(
                f"SELECT {self._selected} FROM rows WHERE key IN ({marks}){condition.and_sql}",
                [*some, *condition.values],
            ):
                columns = {n: c for n, c in zip(self._columns, cells, strict=True) if c is not None}
                shown = json.loads(media) if media != NO_MEDIA else {}
                found[key] = Row(key=key, id=row_id, columns=columns, media=shown)
        return found

    def keys(self, condition: Condition, *, most: int) -> I64:
        """Of rows that meet it, at most so many, in their order."""
        found = self._connection.execute(
            f"SELECT key FROM rows WHERE 1{condition.and_sql} LIMIT ?", [*condition.values, most]
        )
        return np.sort(np.array([key for (key,) in found], np.int64))

    def values(self, column: str, *, most: int) -> list[str]:
        """Different ones of a column of strings, in their order, at most so many."""
        name = f"c{self._columns.index(column)}"
        found = self._connection.execute(
            f"SELECT DISTINCT {name} FROM rows WHERE {name} IS NOT NULL ORDER BY {name} LIMIT ?", (most,)
        )
        return [value for (value,) in found]

    def ends(self, column: str) -> tuple[float | None, float | None]:
        """The least and the greatest number of a column."""
        name = f"c{self._columns.index(column)}"
        (low,) = self._connection.execute(f"SELECT min({name}) FROM rows").fetchone()
        (high,) = self._connection.execute(f"SELECT max({name}) FROM rows").fetchone()
        return low, high

    def find(self, row_id: str) -> Row | None:
        found = self._connection.execute("SELECT key FROM rows WHERE id = ?", (row_id,)).fetchone()
        return self.rows([found[0]], EVERYTHING).get(found[0]) if found else None

    def content(self, key: int, medium: str) -> str | bytes | None:
        found = self._connection.execute(
            "SELECT content FROM contents WHERE key = ? AND medium = ?", (key, medium)
        ).fetchone()
        return found[0] if found else None


@dataclass(frozen=True, kw_only=True)
class Condition:
    """Of a row: SQL that begins with AND, and the values of its marks."""

    and_sql: str = ""
    values: tuple[Cell, ...] = ()


EVERYTHING = Condition()


def _table(part: str) -> str:
    assert part in PARTS
    return f"vectors_{part}"


def _connect(path: Path) -> sqlite3.Connection:
    if path.exists() and not os.access(path.parent, os.W_OK):  # nobody writes it, there can be no WAL
        log = path.with_name(f"{path.name}-wal")
        if log.exists() and log.stat().st_size:
            raise SetupError(f"{path} was left by a kill; open it once where it may be written to.")
        uri = f"{path.absolute().as_uri()}?immutable=1"
        return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA mmap_size = {MAPPED_BYTES}")
    return connection
